//! A client that watches over gRPC.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rowkeep_schema::Schema;
use serde_json::Value;
use tonic::codec::CompressionEncoding;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status, Streaming};

use super::grpc::Raw;
use super::wire;

/// After which a test that waits has failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// A watch over gRPC.
pub struct GrpcWatch {
    schema: Arc<Schema>,
    output: String,
    stream: Streaming<Bytes>,
    runtime: tokio::runtime::Runtime,
    _channel: Channel,
}

impl GrpcWatch {
    /// Begins `shop.v1.UserService/WatchUsers` with a JSON request; `change` adds metadata.
    pub fn begin(
        address: SocketAddr,
        schema: &Arc<Schema>,
        method: &str,
        request: &Value,
        change: impl FnOnce(&mut Request<Bytes>),
    ) -> Result<Self, Status> {
        let (service, name) = method.split_once('/').unwrap();
        let found = schema.methods.iter().find(|found| found.service == service && found.name == name).unwrap();
        let (input, output) = (&schema.message(found.input).full_name, &schema.message(found.output).full_name);
        let mut message = Request::new(Bytes::from(wire::encode(schema, input, request)));
        change(&mut message);
        // On a thread of its own, so that the connection lives while the stream is not read.
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let channel = runtime.block_on(Endpoint::from_shared(format!("http://{address}")).unwrap().connect()).unwrap();
        let stream = runtime.block_on(async {
            let mut grpc = tonic::client::Grpc::new(channel.clone()).accept_compressed(CompressionEncoding::Gzip);
            grpc.ready().await.unwrap();
            grpc.server_streaming(message, format!("/{method}").parse().unwrap(), Raw).await
        })?;
        let (schema, output) = (Arc::clone(schema), output.clone());
        Ok(Self { schema, output, stream: stream.into_inner(), runtime, _channel: channel })
    }

    pub fn try_next(&mut self) -> Result<Value, Status> {
        let next = async { tokio::time::timeout(PATIENCE, self.stream.message()).await };
        let message = self.runtime.block_on(next).expect("something is told")?;
        let message = message.ok_or_else(|| Status::ok("the stream ended"))?;
        Ok(wire::decode(&self.schema, &self.output, &message))
    }

    /// The next event that is none of time.
    pub fn next(&mut self) -> Value {
        loop {
            let event = self.try_next().unwrap();
            if event.get("heartbeat").is_none() {
                return event;
            }
        }
    }

    pub fn fails(&mut self) -> Status {
        loop {
            if let Err(status) = self.try_next() {
                return status;
            }
        }
    }
}
