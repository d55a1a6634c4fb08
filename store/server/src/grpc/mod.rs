//! The gRPC surface: from a path to a method, and from an answer to frames.

mod watch;

use std::collections::HashMap;

use http::request::Parts;
use http::{HeaderMap, HeaderName, HeaderValue};
use kit_core::{Code, Error};
use kit_net::{Incoming, Request, Response};
use kit_rpc::{Call, Framed, HealthService, Reflection};
use rowkeep_engine::Session;
use rowkeep_record::etag;
use rowkeep_schema::Schema;

use crate::api::{self, Answer, Api, MethodRef};
use crate::observe::{Arrival, Surface};
use crate::worker::Worker;

const ETAG: HeaderName = HeaderName::from_static("etag");

/// Methods by path: `/shop.v1.UserService/GetUser`.
#[derive(Debug)]
pub(crate) struct Paths(HashMap<String, MethodRef>);

impl Paths {
    pub(crate) fn new(schema: &Schema, api: &Api) -> Self {
        let path = |method: &rowkeep_schema::Method| format!("/{}/{}", method.service, method.name);
        Self(api.methods().map(|method| (path(&schema.methods[method.index]), method)).collect())
    }
}

/// Answers a request whose content type is gRPC's.
pub(crate) fn handle(worker: &Worker, request: Request, arrival: Arrival) -> impl Future<Output = Response> {
    let method = worker.shared.paths.0.get(request.uri().path()).copied();
    let (head, body) = request.into_parts();
    async move {
        match method {
            Some(method) => call(worker, method, &head, body, arrival).await,
            // Boxed, as what is rare should not make every call's future larger: it is moved more than once.
            None => Box::pin(other(worker, head, body, arrival)).await,
        }
    }
}

async fn call(worker: &Worker, method: MethodRef, head: &Parts, body: Incoming, arrival: Arrival) -> Response {
    let shared = &worker.shared;
    let mut call = match Call::open(head, arrival.started, &shared.config.grpc) {
        Ok(call) => call,
        Err(response) => return *response,
    };
    if method.kind.writes() {
        call.set_write();
    }
    let (mut response, error) = match worker.session(method, &head.headers) {
        Ok(session) => {
            let answered = if method.kind.is_stream() {
                Box::pin(watch::answer(worker, method, &call, body)).await
            } else {
                answer(worker, method, &call, &session, body).await.map(|answer| reply(worker, &call, &answer))
            };
            let (mut response, error) = match answered {
                Ok(response) => (response, None),
                Err(error) => (call.fail(&error), Some(error)),
            };
            worker.put_session(&session, response.headers_mut());
            (response, error)
        }
        Err(error) => (call.fail(&error), Some(error)),
    };
    worker.observer.answered(arrival, Surface::Grpc, Some(method.index), head, &response, error.as_ref());
    if let Some(cors) = &shared.cors {
        cors.apply(&head.headers, &mut response);
    }
    response
}

async fn answer(
    worker: &Worker,
    method: MethodRef,
    call: &Call,
    session: &Session,
    body: Incoming,
) -> Result<Answer, Error> {
    let request = call.read(body).await?;
    let context = api::Call { session, deadline: call.deadline(), if_absent: false };
    worker.shared.api.answer(method, &request, context).await
}

fn reply(worker: &Worker, call: &Call, answer: &Answer) -> Response {
    let api = &worker.shared.api;
    let mut response = call.reply(Framed::from_framed(answer.framed(&api.plans)));
    if let Some(version) = answer.version() {
        put_etag(response.headers_mut(), version);
    }
    response
}

/// The row's version as an etag.
pub(crate) fn put_etag(headers: &mut HeaderMap, version: u64) {
    if let Ok(value) = HeaderValue::from_bytes(&etag::bytes(version)) {
        headers.insert(ETAG, value);
    }
}

/// Answers a request that is not let in.
pub(crate) fn refuse(worker: &Worker, request: Request, arrival: Arrival, error: Error) -> Response {
    let (head, _) = request.into_parts();
    let call = match Call::open(&head, arrival.started, &worker.shared.config.grpc) {
        Ok(call) => call,
        Err(response) => return *response,
    };
    let response = call.fail(&error);
    worker.observer.answered(arrival, Surface::Grpc, None, &head, &response, Some(&error));
    response
}

/// Health, reflection, and what does not exist.
async fn other(worker: &Worker, head: Parts, body: Incoming, arrival: Arrival) -> Response {
    let call = match Call::open(&head, arrival.started, &worker.shared.config.grpc) {
        Ok(call) => call,
        Err(response) => return *response,
    };
    let path = head.uri.path();
    if HealthService::is_path(path) {
        return worker.shared.health.serve(path, &call, body).await;
    }
    if Reflection::is_path(path) {
        return worker.shared.reflection.serve(&call, body);
    }
    let error = unknown(worker, path);
    let response = call.fail(&error);
    worker.observer.answered(arrival, Surface::Grpc, None, &head, &response, Some(&error));
    response
}

fn unknown(worker: &Worker, path: &str) -> Error {
    let shown: String = path.trim_start_matches('/').chars().take(200).collect();
    let close = kit_core::nearest(path, worker.shared.paths.0.keys().map(String::as_str));
    let hint = close.map(|close| format!("; did you mean {}?", close.trim_start_matches('/'))).unwrap_or_default();
    Error::new(Code::Unimplemented, "UNKNOWN_METHOD", format!("there is no method {shown}{hint}")).with("method", shown)
}
