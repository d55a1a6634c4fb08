//! The forms an answer can have.

use http::HeaderValue;
use kit_web::Offer;

/// A form of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Representation {
    Json,
    Xml,
    Markdown,
    Html,
    /// Lists only.
    Csv,
    /// Lists only.
    Ndjson,
    /// Watches only: server-sent events.
    Events,
}

use Representation::{Csv, Events, Html, Json, Markdown, Ndjson, Xml};

/// Forms of a list, in order of preference. The first four are those of everything else.
const FORMS: [Offer<Representation>; 6] = [
    offer(Json, "application/json", "json", &["application/*+json"]),
    offer(Html, "text/html", "html", &["application/xhtml+xml"]),
    offer(Markdown, "text/markdown", "md", &[]),
    offer(Xml, "application/xml", "xml", &["text/xml"]),
    offer(Csv, "text/csv", "csv", &[]),
    offer(Ndjson, "application/x-ndjson", "ndjson", &["application/ndjson", "application/jsonl"]),
];

/// What a list can be had as.
pub(crate) const LIST: &[Offer<Representation>] = &FORMS;

/// What a watch can be had as.
pub(crate) const EVENTS: &[Offer<Representation>] = &[offer(Events, "text/event-stream", "events", &[])];

/// What anything else can be had as, errors included.
pub(crate) const MESSAGE: &[Offer<Representation>] = FORMS.split_at(4).0;

const fn offer(
    value: Representation,
    media_type: &'static str,
    extension: &'static str,
    aliases: &'static [&'static str],
) -> Offer<Representation> {
    Offer { value, media_type, extension, aliases }
}

impl Representation {
    /// The value of `Content-Type`.
    pub(crate) const fn content_type(self) -> HeaderValue {
        HeaderValue::from_static(match self {
            Self::Json => "application/json",
            Self::Xml => "application/xml; charset=utf-8",
            Self::Markdown => "text/markdown; charset=utf-8",
            Self::Html => "text/html; charset=utf-8",
            Self::Csv => "text/csv; charset=utf-8",
            Self::Ndjson => "application/x-ndjson",
            Self::Events => "text/event-stream",
        })
    }
}
