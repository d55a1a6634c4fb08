//! A server over the wire as the conformance suite sees it.

use std::time::Duration;

use kit_core::{Applied, Code};
use prost::Message as _;
use rowkeep_engine::conformance::{Answer, Failure, Subject, Surface, schema};
use rowkeep_schema::{Method, Schema};
use rowkeep_server::ServerConfig;
use serde_json::Value as Json;
use tonic::Status;

use super::Shop;
use super::grpc::Client;

struct Grpc<T> {
    client: Client,
    _server: Shop,
    // Declared last: the server is gone before what it works on.
    _data: T,
}

/// A server of the suite's schema, and what must live as long as it does.
pub fn subject(mut config: ServerConfig, data: impl Send + Sync + 'static) -> Subject {
    config.http.drain_quiet = Duration::from_millis(5).into();
    let server = Shop::open(schema(), config).unwrap();
    let client = Client::new(server.address, schema());
    Subject::new(Grpc { client, _server: server, _data: data })
}

impl<T: Send + Sync> Surface for Grpc<T> {
    fn schema(&self) -> &Schema {
        &self.client.schema
    }

    fn call(&self, method: &Method, request: &Json) -> Result<Answer, Box<Failure>> {
        let answered = self.client.call_full(&format!("{}/{}", method.service, method.name), request);
        let (body, metadata) = answered.map_err(|status| Box::new(failure(&status)))?;
        let etag = metadata.get("etag").map(|etag| etag.to_str().unwrap().to_owned());
        Ok(Answer { body, etag })
    }
}

fn failure(status: &Status) -> Failure {
    use kit_rpc::google_rpc::{BadRequest, ErrorInfo, PreconditionFailure};
    let details = kit_rpc::google_rpc::Status::decode(status.details()).unwrap().details;
    let find = |name: &str| {
        let found = details.iter().find(|any| any.type_url.ends_with(name));
        found.map_or(&[][..], |any| any.value.as_slice())
    };
    let mut info = ErrorInfo::decode(find("google.rpc.ErrorInfo")).unwrap();
    let fields = BadRequest::decode(find("google.rpc.BadRequest")).unwrap().field_violations;
    let preconditions = PreconditionFailure::decode(find("google.rpc.PreconditionFailure")).unwrap().violations;
    // Reads say nothing of it, because they change nothing.
    let applied = match info.metadata.remove("applied").as_deref() {
        None | Some("false") => Applied::No,
        Some(_) => Applied::Unknown,
    };
    Failure {
        code: Code::ALL.into_iter().find(|code| code.grpc() == status.code() as i32).unwrap(),
        reason: info.reason,
        message: status.message().to_owned(),
        applied,
        fields: fields.into_iter().map(|violation| (violation.field, violation.reason)).collect(),
        preconditions: preconditions.into_iter().map(|violation| (violation.r#type, violation.subject)).collect(),
        metadata: info.metadata,
    }
}
