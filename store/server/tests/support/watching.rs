//! Clients that watch: over gRPC, and over raw HTTP/1.1.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
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
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
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

/// A watch as server-sent events.
pub struct Events {
    stream: BufReader<TcpStream>,
    /// Of the response.
    pub head: String,
    /// What was read of the chunks and is no whole event yet.
    text: String,
    /// As an `EventSource` keeps it.
    pub last_id: Option<String>,
    pub comments: usize,
}

/// An event.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    pub name: String,
    pub data: Value,
    pub id: Option<String>,
}

impl Events {
    /// Sends the request and reads the head of the response, whatever its status.
    pub fn open(address: SocketAddr, path: &str, headers: &[(&str, &str)]) -> Self {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut head = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\n");
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        stream.write_all(format!("{head}\r\n").as_bytes()).unwrap();
        let mut stream = BufReader::new(stream);
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(stream.read_line(&mut head).unwrap() > 0, "the connection ended: {head}");
        }
        Self { stream, head, text: String::new(), last_id: None, comments: 0 }
    }

    pub fn status(&self) -> u16 {
        self.head.split(' ').nth(1).unwrap().parse().unwrap()
    }

    /// The next event; `None` at the end of the response.
    pub fn next(&mut self) -> Option<Event> {
        loop {
            while let Some(end) = self.text.find("\n\n") {
                let block: String = self.text.drain(..end + 2).collect();
                if let Some(event) = self.event(&block) {
                    return Some(event);
                }
            }
            let chunk = self.chunk()?;
            self.text.push_str(&chunk);
        }
    }

    fn event(&mut self, block: &str) -> Option<Event> {
        let (mut name, mut data) = (String::new(), String::new());
        for line in block.lines().filter(|line| !line.is_empty()) {
            match line.split_once(": ").unwrap() {
                ("", _) => self.comments += 1,
                ("id", id) => self.last_id = Some(id.to_owned()),
                ("event", text) => text.clone_into(&mut name),
                ("data", text) => data.push_str(text),
                ("retry", text) => assert!(text.parse::<u32>().is_ok()),
                other => panic!("{other:?}"),
            }
        }
        let data = (!data.is_empty()).then(|| serde_json::from_str(&data).unwrap())?;
        Some(Event { name, data, id: self.last_id.clone() })
    }

    fn chunk(&mut self) -> Option<String> {
        let mut size = String::new();
        self.stream.read_line(&mut size).unwrap();
        let size = usize::from_str_radix(size.trim(), 16).unwrap_or(0);
        if size == 0 {
            return None;
        }
        let mut bytes = vec![0; size + 2];
        self.stream.read_exact(&mut bytes).unwrap();
        bytes.truncate(size);
        Some(String::from_utf8(bytes).unwrap())
    }
}
