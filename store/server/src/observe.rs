//! What is told of each request: a count and a duration by method, a line in the access log, a span, and the cause of
//! the server's own failures.

use std::net::SocketAddr;
use std::time::Instant;

use http::HeaderName;
use http::request::Parts;
use kit_core::{Code, Error};
use kit_net::Response;
use kit_telemetry::metrics::{Registry, RequestMetrics, WorkerRequests};
use kit_telemetry::{AccessEntry, AccessLog, AccessWriter, RequestSpan, TraceParent, Tracing};
use rowkeep_schema::Schema;

const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

/// Which surface a request came through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Surface {
    Grpc,
    Rest,
}

/// The counts of all workers.
pub(crate) fn request_metrics(registry: &Registry, schema: &Schema, workers: usize) -> RequestMetrics {
    let surface = |name: &'static str| {
        let labels = move |method: &rowkeep_schema::Method| {
            vec![("surface", name.to_owned()), ("service", method.service.clone()), ("method", method.name.clone())]
        };
        schema.methods.iter().map(labels)
    };
    let other = |name: &str| vec![("surface", name.to_owned()), ("service", String::new()), ("method", String::new())];
    let series: Vec<_> = surface("grpc").chain([other("grpc")]).chain(surface("rest")).chain([other("rest")]).collect();
    RequestMetrics::new(registry, "rowkeep", &series, workers)
}

/// One worker's observer.
pub(crate) struct Observer {
    requests: WorkerRequests,
    access: Option<AccessWriter>,
    tracing: Option<Tracing>,
    /// Series of one surface: its methods and what is none.
    series: usize,
}

/// A request as it came.
pub(crate) struct Arrival {
    pub(crate) started: Instant,
    pub(crate) peer: SocketAddr,
    trace: Option<TraceParent>,
    /// Boxed, as most requests have none, and each is moved more than once.
    span: Option<Box<RequestSpan>>,
}

impl Observer {
    pub(crate) fn new(
        schema: &Schema,
        metrics: &RequestMetrics,
        access: &AccessLog,
        tracing: Option<&Tracing>,
        worker: usize,
    ) -> Self {
        Self {
            requests: metrics.worker(worker),
            access: access.writer(),
            tracing: tracing.cloned(),
            series: schema.methods.len() + 1,
        }
    }

    /// Begins with a request.
    pub(crate) fn arrived(
        &self,
        started: Instant,
        peer: SocketAddr,
        head: &http::Request<kit_net::Incoming>,
    ) -> Arrival {
        if self.access.is_none() && self.tracing.is_none() {
            return Arrival { started, peer, trace: None, span: None };
        }
        let trace = head.headers().get(TRACEPARENT).and_then(|value| TraceParent::parse(value.as_bytes()));
        let name = |path: &str| path.to_owned();
        let span = self.tracing.as_ref().and_then(|tracing| tracing.request(trace.as_ref(), name(head.uri().path())));
        let trace = span.as_ref().map(RequestSpan::trace_parent).or(trace);
        Arrival { started, peer, trace, span: span.map(Box::new) }
    }

    /// Ends with its answer; `method` is its place in the schema.
    pub(crate) fn answered(
        &self,
        arrival: Arrival,
        surface: Surface,
        method: Option<usize>,
        head: &Parts,
        response: &Response,
        error: Option<&Error>,
    ) {
        let elapsed = arrival.started.elapsed();
        let code = error.map(Error::code);
        let series = method.unwrap_or(self.series - 1) + if surface == Surface::Rest { self.series } else { 0 };
        self.requests.record(series, code, elapsed);
        let status = response.status().as_u16();
        if let Some(access) = &self.access {
            access.record(&AccessEntry {
                protocol: if surface == Surface::Grpc { "grpc" } else { "rest" },
                method: head.method.as_str(),
                path: head.uri.path(),
                status,
                code,
                elapsed,
                bytes: response.body().as_full().map_or(0, bytes::Bytes::len),
                peer: arrival.peer,
                trace: arrival.trace.as_ref(),
            });
        }
        if let Some(span) = arrival.span {
            span.finish(status, code);
        }
        if let Some(error) = error {
            log_cause(head, error);
        }
    }
}

/// The server's own failures are logged with their causes, which no client sees.
#[cold]
fn log_cause(head: &Parts, error: &Error) {
    if !matches!(error.code(), Code::Internal | Code::DataLoss | Code::Unknown | Code::Unavailable) {
        return;
    }
    let mut causes = String::new();
    let mut cause = std::error::Error::source(error);
    while let Some(found) = cause {
        causes.push_str(if causes.is_empty() { "" } else { ": " });
        causes.push_str(&found.to_string());
        cause = found.source();
    }
    let path = head.uri.path();
    tracing::error!(path, code = error.code().name(), reason = error.reason(), cause = causes, "{}", error.message());
}
