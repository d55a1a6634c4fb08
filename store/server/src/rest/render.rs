//! Answers and errors in the form that was asked for.

use bytes::Bytes;
use http::request::Parts;
use kit_core::Error;
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};
use rowkeep_record::json::WriteOptions;
use rowkeep_schema::MessageId;

use super::pages;
use super::representation::Representation;
use super::xml;
use crate::api::{Answer, Api, MethodRef};
use crate::worker::Worker;

/// What must not stand bare in a query value.
const QUERY_VALUE: &AsciiSet =
    &CONTROLS.add(b' ').add(b'"').add(b'#').add(b'<').add(b'>').add(b'&').add(b'+').add(b'%').add(b'\'').add(b'=');

/// The body of an answer.
pub(crate) fn answer(
    worker: &Worker,
    head: &Parts,
    method: MethodRef,
    form: Representation,
    answer: &Answer,
) -> Result<Bytes, Error> {
    let api = &worker.shared.api;
    let message = message_of(api, method, answer);
    let mut json = Vec::with_capacity(512);
    match answer {
        // Sent without being copied into a message of its own first.
        Answer::Row { record, .. } => api.json().to_json(message, record.wire(), &mut json, WriteOptions::default())?,
        other => api.json().to_json(message, &other.message(&api.plans), &mut json, WriteOptions::default())?,
    }
    Ok(match form {
        Representation::Xml => xml::from_json(short_name(api, message), &json)?.into(),
        Representation::Html | Representation::Markdown => pages::answer(worker, head, method, form, answer, &json)?,
        Representation::Json | Representation::Csv | Representation::Ndjson | Representation::Events => json.into(),
    })
}

/// A delete of a missing row answers an empty message whatever the method's response is.
fn message_of(api: &Api, method: MethodRef, answer: &Answer) -> MessageId {
    match answer {
        Answer::Row { .. } => api.plans.get(method.entity).message,
        _ => api.output(method),
    }
}

fn short_name(api: &Api, message: MessageId) -> &str {
    let name = &api.schema.message(message).full_name;
    name.rsplit('.').next().unwrap_or(name)
}

/// The body of an error.
pub(crate) fn error(worker: &Worker, head: &Parts, form: Representation, error: &Error, is_write: bool) -> Bytes {
    let json = kit_web::error_json(error, is_write);
    let rendered = match form {
        Representation::Xml => xml::from_json("answer", &json).map(Bytes::from),
        Representation::Html | Representation::Markdown => pages::error(worker, head, form, error),
        Representation::Json | Representation::Csv | Representation::Ndjson | Representation::Events => Ok(json.into()),
    };
    rendered.unwrap_or_else(|failed| {
        tracing::error!(error = %failed, "an error cannot be rendered");
        Bytes::from_static(b"internal error\n")
    })
}

/// Where the row of an answer is: `/v1/users/42`.
pub(crate) fn location(api: &Api, method: MethodRef, answer: &Answer) -> Result<Option<String>, Error> {
    let Answer::Row { record, .. } = answer else { return Ok(None) };
    let codec = &api.plans.get(method.entity).codec;
    let key = codec.key_of(&codec.decode(record.wire())?.values);
    let collection = &api.schema.entity(method.entity).rest_collection;
    Ok(Some(format!("{collection}/{}", codec.key_text(&key))))
}

/// The same request with another page token.
pub(crate) fn next_url(head: &Parts, token: &str) -> String {
    with_parameters(head, &[("page_token", "pageToken")], &[("page_token", token)])
}

/// The request's path and query without the parameters in `dropped`, given in both styles, and with those in `added`.
pub(crate) fn with_parameters(head: &Parts, dropped: &[(&str, &str)], added: &[(&str, &str)]) -> String {
    let mut url = head.uri.path().to_owned();
    let mut separator = '?';
    let mut push = |part: &str| {
        url.push(separator);
        url.push_str(part);
        separator = '&';
    };
    for pair in head.uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
        let name = pair.split('=').next().unwrap_or_default();
        if !dropped.iter().any(|(snake, camel)| name == *snake || name == *camel) {
            push(pair);
        }
    }
    for (name, value) in added {
        push(&format!("{name}={}", query_value(value)));
    }
    url
}

/// A text as the value of a query parameter.
pub(crate) fn query_value(text: &str) -> String {
    utf8_percent_encode(text, QUERY_VALUE).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_is_replaced_in_either_style_and_the_others_stay() {
        let request = http::Request::get("/v1/users?filter=a%3D1&pageToken=x&page_size=5").body(()).unwrap();
        let head = request.into_parts().0;
        assert_eq!(next_url(&head, "a&b"), "/v1/users?filter=a%3D1&page_size=5&page_token=a%26b");
    }
}
