//! The REST surface: the derived methods over HTTP, by `google.api.http`.
//!
//! ```text
//! path ── router ── representation ── binding ── Api::answer ── render ── compress, CORS
//!  404, 405              406       400, 413, 415     412, ...
//! ```

mod binding;
mod conditional;
mod config;
mod events;
mod pages;
mod render;
mod representation;
mod scalar;
mod site;
mod stream;
mod templates;
mod xml;

use bytes::Bytes;
use http::header::{ACCEPT, ALLOW, CONTENT_TYPE, LOCATION, RETRY_AFTER, VARY, X_CONTENT_TYPE_OPTIONS};
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode};
use kit_core::{Code, Deadline, Error};
use kit_net::{Body, Incoming, Request, Response};
use kit_web::{Captures, Lookup, Router, RouterBuilder};
use rowkeep_engine::Session;
use rowkeep_schema::{MethodKind, Schema};

use crate::api::{self, Answer, Api, MethodRef};
use crate::grpc::put_etag;
use crate::observe::{Arrival, Surface};
use crate::worker::Worker;
use binding::{Binding, BodyRule};
use conditional::Conditions;
pub use config::RestConfig;
use representation::Representation;
pub(crate) use site::Site;
pub(crate) use templates::Templates;

/// The methods over HTTP, resolved at start.
#[derive(Debug)]
pub(crate) struct Rest {
    /// Routes in the order of the schema's methods.
    router: Router,
    methods: Vec<MethodRef>,
    bindings: Vec<Binding>,
}

impl Rest {
    pub(crate) fn new(schema: &Schema, api: &Api) -> Result<Self, Error> {
        let mut router = RouterBuilder::new();
        for method in &schema.methods {
            let verb = Method::from_bytes(method.http.verb.as_bytes()).map_err(Error::internal)?;
            router.add(verb, &method.http.path).map_err(|error| Error::internal(error.to_string()))?;
        }
        let bindings = schema.methods.iter().map(|method| Binding::new(schema, method)).collect::<Result<_, _>>()?;
        Ok(Self { router: router.build(), methods: api.methods().collect(), bindings })
    }

    /// Where a path leads, with the form its extension asks for. A key may end like an extension only percent-encoded.
    fn find<'a>(&'a self, verb: &Method, path: &'a str) -> (Lookup<'a, 'a>, Option<Representation>) {
        let (bare, form) = kit_web::split_extension(path, representation::LIST);
        if form.is_some() {
            let found = self.router.find(verb, bare);
            if !matches!(found, Lookup::NotFound) {
                return (found, form);
            }
        }
        (self.router.find(verb, path), None)
    }
}

/// What became of a request, for the log.
struct Outcome {
    response: Response,
    method: Option<MethodRef>,
    error: Option<Error>,
}

impl From<Response> for Outcome {
    fn from(response: Response) -> Self {
        Self { response, method: None, error: None }
    }
}

/// Answers any request that is not gRPC.
pub(crate) fn handle(worker: &Worker, request: Request, arrival: Arrival) -> impl Future<Output = Response> {
    let (head, body) = request.into_parts();
    async move {
        let cors = worker.shared.cors.as_ref();
        if let Some(response) = cors.and_then(|cors| cors.preflight(&head.method, &head.headers)) {
            return response;
        }
        let deadline = arrival.started + *worker.shared.config.rest.timeout;
        let Outcome { response, method, error } = outcome(worker, &head, body, Deadline::at(deadline)).await;
        let index = method.map(|method| method.index);
        worker.observer.answered(arrival, Surface::Rest, index, &head, &response, error.as_ref());
        let mut response = kit_web::compress(&head.headers, response, &worker.shared.config.rest.compression);
        if let Some(cors) = cors {
            cors.apply(&head.headers, &mut response);
        }
        if head.method == Method::HEAD { kit_web::head_only(response) } else { response }
    }
}

/// Answers a request that is not let in.
pub(crate) fn refuse(worker: &Worker, request: Request, arrival: Arrival, error: Error) -> Response {
    let (head, _) = request.into_parts();
    let Outcome { response, error, .. } = failed(worker, &head, None, None, error);
    worker.observer.answered(arrival, Surface::Rest, None, &head, &response, error.as_ref());
    response
}

async fn outcome(worker: &Worker, head: &Parts, body: Incoming, deadline: Deadline) -> Outcome {
    if let Some(response) = site::serve(worker, head) {
        return response.into();
    }
    let rest = &worker.shared.rest;
    let (index, captures, form) = match rest.find(&head.method, head.uri.path()) {
        (Lookup::Found { route, captures, .. }, form) => (route, captures, form),
        (Lookup::OtherMethods { allow }, _) if head.method == Method::OPTIONS => return kit_web::options(allow).into(),
        (Lookup::OtherMethods { allow }, form) => return not_allowed(worker, head, form, allow),
        (Lookup::NotFound, form) => return failed(worker, head, None, form, not_found(head.uri.path())),
    };
    let method = rest.methods[index];
    let form = match negotiate(head, method.kind, form) {
        Ok(form) => form,
        Err(error) => return failed(worker, head, Some(method), None, error),
    };
    let session = match worker.session(method, &head.headers) {
        Ok(session) => session,
        Err(error) => return failed(worker, head, Some(method), Some(form), error),
    };
    let exchange = Exchange { worker, head, method, captures, form, session: &session, deadline };
    let mut outcome = match exchange.answer(body).await {
        Ok(response) => Outcome { response, method: Some(method), error: None },
        Err(error) => failed(worker, head, Some(method), Some(form), error),
    };
    worker.put_session(&session, outcome.response.headers_mut());
    outcome
}

/// One request that has found its method.
struct Exchange<'a> {
    worker: &'a Worker,
    head: &'a Parts,
    method: MethodRef,
    captures: Captures<'a>,
    form: Representation,
    session: &'a Session,
    deadline: Deadline,
}

impl Exchange<'_> {
    async fn answer(&self, body: Incoming) -> Result<Response, Error> {
        let headers = &self.head.headers;
        let writes = self.method.kind.writes();
        let conditions = if writes { Conditions::of(headers)? } else { Conditions::default() };
        let request = self.bind(body, &conditions).await?;
        if self.method.kind == MethodKind::List && stream::is_wanted(self.form) {
            let export = stream::list(self.worker, self.method, self.form, self.head, request, self.session);
            // Boxed, as what is rare should not make every request's future larger.
            return Box::pin(export).await;
        }
        if self.method.kind == MethodKind::Watch {
            return Box::pin(events::watch(self.worker, self.method, self.head, request)).await;
        }
        let call = api::Call { session: self.session, deadline: self.deadline, if_absent: conditions.if_absent };
        let answered = self.worker.shared.api.answer(self.method, &request, call).await;
        let answer = answered.map_err(|error| conditions.explain(error))?;
        if !writes && conditional::is_known(headers, answer.version())? {
            return Ok(not_modified(&answer));
        }
        self.respond(&answer)
    }

    async fn bind(&self, body: Incoming, conditions: &Conditions) -> Result<Bytes, Error> {
        let worker = self.worker;
        let binding = &worker.shared.rest.bindings[self.method.index];
        let json = worker.shared.api.json();
        let mut request = Vec::with_capacity(64);
        let masked = binding.put_query(json, self.head.uri.query(), &mut request)?;
        if binding.body != BodyRule::None {
            let body = kit_web::read_body(&self.head.headers, body, &worker.shared.config.rest.body).await?;
            // Its path says all an `:undelete` needs; of any other verb an absent body is one that was forgotten.
            if !(body.is_empty() && self.method.kind == MethodKind::Undelete) {
                if !body.is_empty() {
                    check_is_json(self.head)?;
                }
                binding.put_body(json, &body, masked, &mut request)?;
            }
        }
        binding.put_path(json, &self.captures, &mut request)?;
        conditions.put(binding, &mut request)?;
        Ok(request.into())
    }

    fn respond(&self, answer: &Answer) -> Result<Response, Error> {
        let body = render::answer(self.worker, self.head, self.method, self.form, answer)?;
        let created = matches!(answer, Answer::Row { created: true, .. });
        let status = if created { StatusCode::CREATED } else { StatusCode::OK };
        let mut response = respond(status, self.form, body);
        let headers = response.headers_mut();
        if let Some(version) = answer.version() {
            put_etag(headers, version);
        }
        if created && let Some(url) = render::location(&self.worker.shared.api, self.method, answer)? {
            headers.insert(LOCATION, HeaderValue::try_from(url).map_err(Error::internal)?);
        }
        Ok(response)
    }
}

/// A response from memory. What it is must not be guessed, and it depends on `Accept`.
fn respond(status: StatusCode, form: Representation, body: impl Into<Bytes>) -> Response {
    let mut response = kit_web::respond(status, form.content_type(), body);
    if form == Representation::Html {
        site::protect(&mut response);
    }
    response.headers_mut().insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response.headers_mut().append(VARY, HeaderValue::from_static("accept"));
    response
}

fn not_modified(answer: &Answer) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    if let Some(version) = answer.version() {
        put_etag(response.headers_mut(), version);
    }
    response
}

fn negotiate(head: &Parts, kind: MethodKind, extension: Option<Representation>) -> Result<Representation, Error> {
    let offered = match kind {
        MethodKind::List => representation::LIST,
        MethodKind::Watch => representation::EVENTS,
        _ => representation::MESSAGE,
    };
    let form = match extension {
        Some(form) => offered.iter().map(|offer| offer.value).find(|offered| *offered == form),
        None => kit_web::negotiate(&head.headers.get_all(ACCEPT), offered),
    };
    form.ok_or_else(|| {
        let types: Vec<_> = offered.iter().map(|offer| offer.media_type).collect();
        let message = format!("this can be had as {}", types.join(", "));
        Error::new(Code::InvalidArgument, "NOT_ACCEPTABLE", message).with_http_status(406)
    })
}

/// A body must say that it is JSON. What a page of another origin can send without a preflight (a form, plain text, no
/// type at all) is refused: the store would act for whoever looks at that page.
fn check_is_json(head: &Parts) -> Result<(), Error> {
    let essence = head.headers.get(CONTENT_TYPE).map(kit_web::content_type_essence);
    if essence.is_some_and(|essence| essence.eq_ignore_ascii_case("application/json")) {
        return Ok(());
    }
    let found = match essence {
        Some(essence) => format!("not `{}`", essence.chars().take(100).collect::<String>()),
        None => "and say so".to_owned(),
    };
    let message = format!("a body must be JSON (`Content-Type: application/json`), {found}");
    Err(Error::new(Code::InvalidArgument, "UNSUPPORTED_MEDIA_TYPE", message).with_http_status(415))
}

/// An error in the form the client asked for, JSON if that is none for errors.
fn failed(
    worker: &Worker,
    head: &Parts,
    method: Option<MethodRef>,
    form: Option<Representation>,
    error: Error,
) -> Outcome {
    let fits = |form: &Representation| representation::MESSAGE.iter().any(|offer| offer.value == *form);
    let form = form.filter(fits).or_else(|| kit_web::negotiate(&head.headers.get_all(ACCEPT), representation::MESSAGE));
    let form = form.unwrap_or(Representation::Json);
    let is_write = method.is_some_and(|method| method.kind.writes());
    let status = StatusCode::from_u16(error.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = respond(status, form, render::error(worker, head, form, &error, is_write));
    if let Some(delay) = error.retry_after() {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(delay.as_secs().max(1)));
    }
    Outcome { response, method, error: Some(error) }
}

fn not_found(path: &str) -> Error {
    let shown: String = path.chars().take(200).collect();
    Error::new(Code::NotFound, "UNKNOWN_PATH", format!("there is nothing at {shown}; /docs lists what there is"))
        .with("path", shown)
}

fn not_allowed(worker: &Worker, head: &Parts, form: Option<Representation>, allow: &HeaderValue) -> Outcome {
    let verbs = allow.to_str().unwrap_or_default();
    let message = format!("{} is not for this path; it takes {verbs}", head.method);
    let error = Error::new(Code::Unimplemented, "METHOD_NOT_ALLOWED", message);
    let error = error.with("method", head.method.as_str()).with_http_status(405);
    let mut outcome = failed(worker, head, None, form, error);
    outcome.response.headers_mut().insert(ALLOW, allow.clone());
    outcome
}
