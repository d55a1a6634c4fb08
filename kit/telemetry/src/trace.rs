//! Traces: W3C `traceparent` in, OTLP out.
//!
//! Whether a request is traced is decided before anything is made for it: by the caller's flag, else by the sample
//! ratio. A request that is not traced costs the parsing of its header, if it has one.

use std::borrow::Cow;
use std::time::Duration;

use kit_core::config::HumanDuration;
use kit_core::{BoxError, Code};
use opentelemetry::trace::{
    Span, SpanBuilder, SpanContext, SpanId, SpanKind, Status, TraceContextExt, TraceFlags, TraceId, TraceState, Tracer,
    TracerProvider,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracer, SdkTracerProvider};
use serde::{Deserialize, Serialize};

/// The `traceparent` of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TraceParent {
    trace_id: [u8; 16],
    parent_id: [u8; 8],
    is_sampled: bool,
}

impl TraceParent {
    /// Reads the header; `None` if it is not valid, which by the specification starts a new trace.
    pub fn parse(value: &[u8]) -> Option<Self> {
        let version = *value.first_chunk::<2>()?;
        let is_known = version == *b"00";
        // Later versions may append fields; ff is forbidden.
        if version == *b"ff" || (is_known && value.len() != 55) || (!is_known && value.len() > 55 && value[55] != b'-')
        {
            return None;
        }
        let fields = value.get(2..55)?;
        if fields[0] != b'-' || fields[33] != b'-' || fields[50] != b'-' {
            return None;
        }
        hex::<1>(&version)?;
        let parsed = Self {
            trace_id: hex(&fields[1..33])?,
            parent_id: hex(&fields[34..50])?,
            is_sampled: hex::<1>(&fields[51..53])?[0] & 1 == 1,
        };
        (parsed.trace_id != [0; 16] && parsed.parent_id != [0; 8]).then_some(parsed)
    }

    /// The trace's id as the log shows it.
    pub fn trace_id_hex(&self) -> String {
        self.trace_id.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Whether the caller records this trace.
    pub fn is_sampled(&self) -> bool {
        self.is_sampled
    }
}

impl std::fmt::Display for TraceParent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "00-{}-", self.trace_id_hex())?;
        self.parent_id.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        write!(f, "-{:02x}", u8::from(self.is_sampled))
    }
}

/// Lower-case hexadecimal digits only, as the specification has it.
fn hex<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let mut out = [0; N];
    for (index, byte) in out.iter_mut().enumerate() {
        *byte = digit(*digits.get(2 * index)?)? << 4 | digit(*digits.get(2 * index + 1)?)?;
    }
    Some(out)
}

/// Configuration of traces.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct TraceConfig {
    /// Where spans go, by OTLP over gRPC: `http://127.0.0.1:4317`. Without it nothing is traced.
    pub otlp_endpoint: Option<String>,
    /// The share of requests to trace whose caller does not say, 0 to 1.
    pub sample_ratio: f64,
    /// How long an export may take.
    pub timeout: HumanDuration,
}

impl Default for TraceConfig {
    fn default() -> Self {
        Self { otlp_endpoint: None, sample_ratio: 0.01, timeout: HumanDuration::secs(5) }
    }
}

/// Makes and exports the spans of requests. Clones share the exporter.
#[derive(Debug, Clone)]
pub struct Tracing {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
    sample_ratio: f64,
}

impl Tracing {
    /// Starts the exporter; `None` when no endpoint is configured. Must run within a runtime.
    ///
    /// # Errors
    /// When the endpoint or the ratio is no good.
    pub fn start(config: &TraceConfig, service: &'static str) -> Result<Option<Self>, BoxError> {
        if !(0.0..=1.0).contains(&config.sample_ratio) {
            return Err(format!("sample_ratio: {} is not between 0 and 1", config.sample_ratio).into());
        }
        let Some(endpoint) = &config.otlp_endpoint else { return Ok(None) };
        let exporter =
            SpanExporter::builder().with_tonic().with_endpoint(endpoint).with_timeout(*config.timeout).build()?;
        // What gets a span was decided before.
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_sampler(Sampler::AlwaysOn)
            .with_resource(Resource::builder().with_service_name(service).build())
            .build();
        let tracer = provider.tracer(service);
        Ok(Some(Self { provider, tracer, sample_ratio: config.sample_ratio }))
    }

    /// The span of a request, if it is to be traced.
    pub fn request(&self, parent: Option<&TraceParent>, name: impl Into<Cow<'static, str>>) -> Option<RequestSpan> {
        let is_traced = match parent {
            Some(parent) => parent.is_sampled,
            None => rand::random::<f64>() < self.sample_ratio,
        };
        is_traced.then(|| {
            let context = parent.map_or_else(Context::new, remote_context);
            let builder = SpanBuilder::from_name(name).with_kind(SpanKind::Server);
            RequestSpan { span: self.tracer.build_with_context(builder, &context) }
        })
    }

    /// Sends what is left; call it off the runtime's threads.
    pub fn stop(&self) {
        if let Err(error) = self.provider.shutdown_with_timeout(Duration::from_secs(2)) {
            tracing::debug!(%error, "the last spans were not exported");
        }
    }
}

fn remote_context(parent: &TraceParent) -> Context {
    let context = SpanContext::new(
        TraceId::from_bytes(parent.trace_id),
        SpanId::from_bytes(parent.parent_id),
        TraceFlags::SAMPLED,
        true,
        TraceState::default(),
    );
    Context::new().with_remote_span_context(context)
}

/// The span of one request; exported when dropped.
pub struct RequestSpan {
    span: opentelemetry_sdk::trace::Span,
}

impl RequestSpan {
    /// What calls made for this request carry on.
    pub fn trace_parent(&self) -> TraceParent {
        let context = self.span.span_context();
        TraceParent {
            trace_id: context.trace_id().to_bytes(),
            parent_id: context.span_id().to_bytes(),
            is_sampled: true,
        }
    }

    /// Ends the span with the result of the request.
    pub fn finish(mut self, status: u16, code: Option<Code>) {
        self.span.set_attribute(KeyValue::new("http.response.status_code", i64::from(status)));
        if let Some(code) = code {
            self.span.set_attribute(KeyValue::new("rpc.grpc.status_code", i64::from(code.grpc())));
            if code.http() >= 500 {
                self.span.set_status(Status::error(code.name()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALID: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_traceparent_survives_reading_and_writing() {
        let parent = TraceParent::parse(VALID.as_bytes()).unwrap();
        assert!(parent.is_sampled());
        assert_eq!(parent.trace_id_hex(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(parent.to_string(), VALID);
    }

    #[test]
    fn what_the_specification_forbids_is_ignored() {
        for bad in [
            "",
            "00",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-x",
            "00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01x",
        ] {
            assert_eq!(TraceParent::parse(bad.as_bytes()), None, "{bad}");
        }
        assert!(TraceParent::parse(format!("01{}-more", &VALID[2..]).as_bytes()).is_some());
    }

    #[tokio::test]
    async fn only_sampled_requests_get_a_span_and_it_continues_the_trace() {
        assert!(Tracing::start(&TraceConfig::default(), "test").unwrap().is_none());
        let endpoint = Some("http://127.0.0.1:1".to_owned());
        let config = TraceConfig { otlp_endpoint: endpoint, sample_ratio: 0.0, ..TraceConfig::default() };
        let tracing = Tracing::start(&config, "test").unwrap().unwrap();
        assert!(tracing.request(None, "Get").is_none());
        let sampled = TraceParent::parse(VALID.as_bytes()).unwrap();
        let span = tracing.request(Some(&sampled), "Get").unwrap();
        assert_eq!(span.trace_parent().trace_id_hex(), sampled.trace_id_hex());
        assert_ne!(span.trace_parent(), sampled, "the span has an id of its own");
        span.finish(200, None);
        let unsampled = TraceParent { is_sampled: false, ..sampled };
        assert!(tracing.request(Some(&unsampled), "Get").is_none());
        tokio::task::spawn_blocking(move || tracing.stop()).await.unwrap();
    }

    #[test]
    fn a_ratio_outside_of_its_range_is_refused() {
        let config = TraceConfig { sample_ratio: 1.5, ..TraceConfig::default() };
        assert!(Tracing::start(&config, "test").unwrap_err().to_string().contains("sample_ratio"));
    }
}
