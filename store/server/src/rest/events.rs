//! Watches over REST: server-sent events.
//!
//! The `id` of an event is its resume token, so that an `EventSource` goes on by itself after a lost connection
//! (`Last-Event-ID`). A heartbeat is a comment that moves the `id` on. What ends a watch is an event `error`; whoever
//! reconnects after it is told by the status whether that is of any use.

use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS};
use http::request::Parts;
use http::{HeaderName, HeaderValue};
use kit_core::{BoxError, Deadline, Error};
use kit_net::{Body, Response};
use rowkeep_record::json::WriteOptions;

use super::representation::Representation;
use crate::api::{Event, EventKind, MethodRef, Watch};
use crate::worker::Worker;

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
/// Proxies that gather answers before they pass them on are told not to.
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");

/// What is sent before the first event, so that the client knows that it watches: milliseconds after which it reconnects.
const FIRST: &str = "retry: 1000\n: watching\n\n";

/// Begins a watch and answers with its events.
///
/// # Errors
/// What is wrong with the request; what fails later is an event.
pub(crate) async fn watch(worker: &Worker, method: MethodRef, head: &Parts, request: Bytes) -> Result<Response, Error> {
    let resume = last_event_id(head)?;
    let api = &worker.shared.api;
    let watch = Watch::begin(api, method, &request, resume, Deadline::NONE).await?;
    let message = api.output(method);
    let json = std::sync::Arc::clone(api);
    let mut response = Response::new(Body::unfold(Step::First(watch), move |step| {
        let api = std::sync::Arc::clone(&json);
        async move {
            step.next(|event, out| api.json().to_json(message, event.message(), out, WriteOptions::default())).await
        }
    }));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, Representation::Events.content_type());
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(ACCEL_BUFFERING, HeaderValue::from_static("no"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    Ok(response)
}

fn last_event_id(head: &Parts) -> Result<Option<String>, Error> {
    let Some(value) = head.headers.get(LAST_EVENT_ID) else { return Ok(None) };
    let text = value.to_str().map_err(|_| {
        Error::invalid_field("Last-Event-ID", "INVALID_RESUME_TOKEN", "must be the `id` of an event of this watch")
    })?;
    Ok((!text.is_empty()).then(|| text.to_owned()))
}

/// What is sent next.
enum Step {
    First(Watch),
    Events(Watch),
    Done,
}

impl Step {
    async fn next(
        self,
        put_json: impl Fn(&Event, &mut Vec<u8>) -> Result<(), Error>,
    ) -> Result<Option<(Bytes, Self)>, BoxError> {
        match self {
            Self::First(watch) => Ok(Some((Bytes::from_static(FIRST.as_bytes()), Self::Events(watch)))),
            Self::Events(mut watch) => {
                let written = watch.next().await.and_then(|event| write(&event, put_json));
                Ok(Some(match written {
                    Ok(text) => (text, Self::Events(watch)),
                    Err(error) => (write_error(&error), Self::Done),
                }))
            }
            Self::Done => Ok(None),
        }
    }
}

fn write(event: &Event, put_json: impl Fn(&Event, &mut Vec<u8>) -> Result<(), Error>) -> Result<Bytes, Error> {
    let mut out = Vec::with_capacity(512);
    if let Some(token) = &event.token {
        put_line(&mut out, "id", token.as_bytes());
    }
    if event.kind == EventKind::Heartbeat {
        // Without data it is no event, and the id counts all the same.
        put_line(&mut out, "", event.kind.name().as_bytes());
    } else {
        put_line(&mut out, "event", event.kind.name().as_bytes());
        out.extend_from_slice(b"data: ");
        // One line: what is a line break in a text is escaped in JSON.
        put_json(event, &mut out)?;
        out.push(b'\n');
    }
    out.push(b'\n');
    Ok(out.into())
}

fn write_error(error: &Error) -> Bytes {
    let mut out = Vec::with_capacity(512);
    put_line(&mut out, "event", b"error");
    put_line(&mut out, "data", &kit_web::error_json(error, false));
    out.push(b'\n');
    out.into()
}

fn put_line(out: &mut Vec<u8>, field: &str, value: &[u8]) {
    out.extend_from_slice(field.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.push(b'\n');
}
