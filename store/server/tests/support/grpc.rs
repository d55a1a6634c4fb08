//! gRPC calls by method name with JSON in and out.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use bytes::{Buf, BufMut, Bytes};
use rowkeep_schema::Schema;
use serde_json::Value;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::metadata::MetadataMap;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Response, Status};

use super::wire;

/// Messages as bytes.
#[derive(Clone, Copy, Default)]
pub struct Raw;

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.reserve(item.len());
        out.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, input: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        let length = input.remaining();
        Ok(Some(input.copy_to_bytes(length)))
    }
}

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

/// A client with a session: it sends back the tokens it was given. Calls at the same time are given one each.
pub struct Client {
    pub schema: Arc<Schema>,
    pub channel: Channel,
    sessions: Mutex<Vec<String>>,
    runtime: tokio::runtime::Runtime,
}

impl Client {
    pub fn new(address: SocketAddr, schema: Arc<Schema>) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let channel = runtime.block_on(Endpoint::from_shared(format!("http://{address}")).unwrap().connect()).unwrap();
        Self { schema, channel, sessions: Mutex::default(), runtime }
    }

    pub fn raw(&self, path: &str, request: Request<Bytes>) -> Result<Response<Bytes>, Status> {
        self.runtime.block_on(async {
            let mut grpc = tonic::client::Grpc::new(self.channel.clone());
            grpc.ready().await.unwrap();
            grpc.unary(request, path.parse().unwrap(), Raw).await
        })
    }

    /// Calls `shop.v1.UserService/GetUser` with JSON; answers JSON and the metadata.
    pub fn call_full(&self, method: &str, request: &Value) -> Result<(Value, MetadataMap), Status> {
        let (service, name) = method.split_once('/').unwrap();
        let method = self.schema.methods.iter().find(|found| found.service == service && found.name == name);
        let method = method.unwrap_or_else(|| panic!("no method {service}/{name}"));
        let input = &self.schema.message(method.input).full_name;
        let output = &self.schema.message(method.output).full_name;
        let bytes = wire::encode(&self.schema, input, request);
        let mut request = Request::new(bytes.into());
        let sent = self.sessions.lock().unwrap().clone();
        if !sent.is_empty() {
            request.metadata_mut().insert("rowkeep-session", sent.join(",").parse().unwrap());
        }
        let answered = self.raw(&format!("/{service}/{name}"), request);
        let metadata = answered.as_ref().map_or_else(Status::metadata, Response::metadata);
        if let Some(session) = metadata.get("rowkeep-session") {
            let mut sessions = self.sessions.lock().unwrap();
            sessions.retain(|session| !sent.contains(session));
            sessions.push(session.to_str().unwrap().to_owned());
        }
        let (metadata, body, _) = answered?.into_parts();
        Ok((wire::decode(&self.schema, output, &body), metadata))
    }

    #[track_caller]
    pub fn call(&self, method: &str, request: &Value) -> Value {
        self.call_full(method, request).unwrap_or_else(|status| panic!("{method}: {status}")).0
    }

    #[track_caller]
    pub fn fails(&self, method: &str, request: &Value) -> Status {
        match self.call_full(method, request) {
            Ok((answer, _)) => panic!("{method} answered {answer}"),
            Err(status) => status,
        }
    }
}

/// The reason in a status' details.
pub fn reason(status: &Status) -> String {
    use prost::Message;
    let status = kit_rpc::google_rpc::Status::decode(status.details()).unwrap();
    let info = status.details.iter().find(|any| any.type_url.ends_with("google.rpc.ErrorInfo")).unwrap();
    kit_rpc::google_rpc::ErrorInfo::decode(info.value.as_slice()).unwrap().reason
}
