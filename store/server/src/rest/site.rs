//! The pages around the entities: `/`, `/docs`, `/openapi.json`.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use http::header::{ACCEPT, ALLOW, CONTENT_SECURITY_POLICY, ETAG, IF_NONE_MATCH};
use http::request::Parts;
use http::{HeaderValue, Method, StatusCode};
use kit_core::Error;
use kit_net::{Body, Response};
use rowkeep_schema::Schema;
use rowkeep_schema::openapi::{OpenApiOptions, document};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::representation::{self, Representation};
use super::respond;
use super::templates::{Page, Templates};
use crate::worker::Worker;

const DOCS: &str = include_str!("../../templates/docs.html");

/// Pages bring their style and their script with them and load nothing from elsewhere.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; base-uri 'none'";
const DOCS_POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; \
                           connect-src 'self'; base-uri 'none'";

/// What is there beside the entities, made at start.
pub(crate) struct Site {
    pub(crate) templates: Templates,
    index_html: Bytes,
    index_markdown: Bytes,
    index_json: Bytes,
    openapi: OpenApi,
}

/// The document, made when it is asked for first: its tree is the largest thing a start would allocate, and most
/// processes are never asked.
struct OpenApi {
    schema: Arc<Schema>,
    options: OpenApiOptions,
    made: OnceLock<(Bytes, HeaderValue)>,
}

impl OpenApi {
    fn get(&self) -> &(Bytes, HeaderValue) {
        self.made.get_or_init(|| {
            let text = Bytes::from(document(&self.schema, &self.options).to_string());
            let mut etag = String::from("\"");
            for byte in &Sha256::digest(&text)[..8] {
                etag.push_str(&format!("{byte:02x}"));
            }
            etag.push('"');
            // Hexadecimal digits are fit for a header.
            let etag = HeaderValue::try_from(etag).unwrap_or_else(|_| HeaderValue::from_static("\"\""));
            (text, etag)
        })
    }
}

impl Site {
    pub(crate) fn new(schema: &Arc<Schema>, templates: Templates, options: OpenApiOptions) -> Result<Self, Error> {
        let entities: Vec<_> = schema
            .entities
            .iter()
            .map(|entity| {
                let (plural, comment) = (&entity.plural, entity.comment.trim());
                json!({"name": entity.name, "plural": plural, "comment": comment, "url": entity.rest_collection})
            })
            .collect();
        let context = json!({"title": "Entities", "entities": entities});
        Ok(Self {
            index_html: templates.render(Page::Index, Representation::Html, None, &context)?,
            index_markdown: templates.render(Page::Index, Representation::Markdown, None, &context)?,
            index_json: json!({"entities": entities, "docs": "/docs", "openapi": "/openapi.json"}).to_string().into(),
            templates,
            openapi: OpenApi { schema: Arc::clone(schema), options, made: OnceLock::new() },
        })
    }
}

/// Answers a request for one of the pages.
pub(crate) fn serve(worker: &Worker, head: &Parts) -> Option<Response> {
    let site = &worker.shared.site;
    let path = head.uri.path();
    if !matches!(path, "/" | "/docs" | "/openapi.json" | "/favicon.ico") {
        return None;
    }
    if !matches!(head.method, Method::GET | Method::HEAD) {
        return Some(only_get(&head.method));
    }
    Some(match path {
        "/" => index(site, head),
        "/docs" => page(DOCS, DOCS_POLICY),
        "/openapi.json" => openapi(site, head),
        _ => empty(StatusCode::NO_CONTENT),
    })
}

fn index(site: &Site, head: &Parts) -> Response {
    let offered = &representation::LIST[..3];
    let form = kit_web::negotiate(&head.headers.get_all(ACCEPT), offered).unwrap_or(Representation::Html);
    match form {
        Representation::Html => page(site.index_html.clone(), POLICY),
        Representation::Markdown => respond(StatusCode::OK, form, site.index_markdown.clone()),
        _ => respond(StatusCode::OK, form, site.index_json.clone()),
    }
}

fn openapi(site: &Site, head: &Parts) -> Response {
    let (text, etag) = site.openapi.get();
    let known = head.headers.get(IF_NONE_MATCH) == Some(etag);
    let mut response = if known {
        empty(StatusCode::NOT_MODIFIED)
    } else {
        respond(StatusCode::OK, Representation::Json, text.clone())
    };
    response.headers_mut().insert(ETAG, etag.clone());
    response
}

fn page(body: impl Into<Bytes>, policy: &'static str) -> Response {
    let mut response = respond(StatusCode::OK, Representation::Html, body);
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
    response
}

/// What pages of rows may load: nothing.
pub(crate) fn protect(response: &mut Response) {
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
}

fn only_get(verb: &Method) -> Response {
    let status = if *verb == Method::OPTIONS { StatusCode::NO_CONTENT } else { StatusCode::METHOD_NOT_ALLOWED };
    let mut response = empty(status);
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD, OPTIONS"));
    response
}

fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}
