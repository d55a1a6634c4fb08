//! Answers as pages for people: what the templates are given.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::request::Parts;
use kit_core::Error;
use kit_web::Offer;
use percent_encoding::percent_decode_str;
use rowkeep_record::{Key, Record};
use rowkeep_schema::{Column, Entity, EntityId, Field, Storage};
use serde::Serialize;
use serde_json::Value;

use super::render::{self, query_value, with_parameters};
use super::representation::{self, Representation};
use super::templates::Page;
use crate::api::{Answer, Api, MethodRef};
use crate::worker::Worker;

/// What every template gets.
#[derive(Serialize)]
struct Frame<'a, T> {
    title: String,
    entity: Option<EntityView<'a>>,
    #[serde(flatten)]
    content: T,
}

#[derive(Serialize)]
struct EntityView<'a> {
    name: &'a str,
    plural: &'a str,
    comment: &'a str,
    url: &'a str,
}

#[derive(Serialize)]
struct ListView {
    columns: Vec<ColumnView>,
    rows: Vec<RowView>,
    filter: String,
    order_by: String,
    page_size: String,
    total_size: Option<u64>,
    next_url: Option<String>,
    first_url: Option<String>,
    forms: Vec<Link>,
}

#[derive(Serialize)]
struct ColumnView {
    name: String,
    comment: String,
    /// Set where an index gives the order.
    sort_url: Option<String>,
    /// `ascending`, `descending` if the list is sorted by it.
    sorted: Option<&'static str>,
    numeric: bool,
}

#[derive(Serialize)]
struct RowView {
    url: Option<String>,
    cells: Vec<Cell>,
}

#[derive(Serialize)]
struct Cell {
    name: String,
    comment: String,
    text: String,
    url: Option<String>,
    numeric: bool,
    /// Not one value but a JSON text.
    nested: bool,
}

#[derive(Serialize)]
struct DetailView {
    fields: Vec<Cell>,
    referenced_by: Vec<Link>,
    forms: Vec<Link>,
}

#[derive(Serialize)]
struct MessageView {
    json: String,
}

#[derive(Serialize)]
struct ErrorView<'a> {
    status: u16,
    code: &'static str,
    reason: &'static str,
    message: &'a str,
    violations: Vec<BTreeMap<&'static str, &'a str>>,
}

#[derive(Serialize)]
struct Link {
    name: String,
    url: String,
}

/// The page of an answer; `json` is the answer's message.
pub(super) fn answer(
    worker: &Worker,
    head: &Parts,
    method: MethodRef,
    form: Representation,
    answer: &Answer,
    json: &[u8],
) -> Result<Bytes, Error> {
    let api = &worker.shared.api;
    let templates = &worker.shared.site.templates;
    let entity = api.schema.entity(method.entity);
    let view = Some(EntityView {
        name: &entity.name,
        plural: &entity.plural,
        comment: entity.comment.trim(),
        url: &entity.rest_collection,
    });
    match answer {
        Answer::Page(page) => {
            let list = list_view(api, head, entity, &page.records, &page.next_page_token, page.total_size)?;
            let frame = Frame { title: entity.plural.clone(), entity: view, content: list };
            templates.render(Page::List, form, Some(method.entity), &frame)
        }
        Answer::Row { record, .. } => {
            let detail = detail_view(api, head, entity, record)?;
            let title = row_key(api, entity, record)?.map_or_else(|| entity.name.clone(), |(text, _)| text);
            let frame = Frame { title: format!("{} {title}", entity.name), entity: view, content: detail };
            templates.render(Page::Detail, form, Some(method.entity), &frame)
        }
        _ => {
            let value: Value = serde_json::from_slice(json).map_err(Error::internal)?;
            let content = MessageView { json: serde_json::to_string_pretty(&value).map_err(Error::internal)? };
            let title = api.schema.methods[method.index].name.clone();
            templates.render(Page::Message, form, None, &Frame { title, entity: view, content })
        }
    }
}

/// The page of an error.
pub(super) fn error(worker: &Worker, _head: &Parts, form: Representation, error: &Error) -> Result<Bytes, Error> {
    let fields = error
        .fields()
        .iter()
        .map(|found| BTreeMap::from([("subject", found.field.as_str()), ("description", found.description.as_str())]));
    let conditions = error.preconditions().iter().map(|found| {
        BTreeMap::from([("subject", found.subject.as_str()), ("description", found.description.as_str())])
    });
    let content = ErrorView {
        status: error.http_status(),
        code: error.code().name(),
        reason: error.reason(),
        message: error.message(),
        violations: fields.chain(conditions).collect(),
    };
    let title = format!("{} {}", error.http_status(), error.code().name());
    worker.shared.site.templates.render(Page::Error, form, None, &Frame { title, entity: None, content })
}

fn list_view(
    api: &Api,
    head: &Parts,
    entity: &Entity,
    records: &[Record],
    next: &str,
    total_size: Option<u64>,
) -> Result<ListView, Error> {
    let order_by = parameter(head, "order_by", "orderBy");
    let masked = is_masked(head);
    let columns = shown(api, head, entity).map(|(column, _)| column_view(head, entity, column, &order_by)).collect();
    let mut rows = Vec::with_capacity(records.len());
    for record in records {
        let key = if masked { None } else { row_key(api, entity, record)? };
        let url = key.map(|(key, _)| format!("{}/{key}", entity.rest_collection));
        rows.push(RowView { url, cells: cells(api, head, entity, record)? });
    }
    let paged = !parameter(head, "page_token", "pageToken").is_empty();
    Ok(ListView {
        columns,
        rows,
        filter: parameter(head, "filter", "filter"),
        order_by,
        page_size: parameter(head, "page_size", "pageSize"),
        total_size,
        next_url: (!next.is_empty()).then(|| render::next_url(head, next)),
        first_url: paged.then(|| with_parameters(head, &[("page_token", "pageToken")], &[])),
        forms: forms(head, representation::LIST),
    })
}

fn column_view(head: &Parts, entity: &Entity, column: &Column, order_by: &str) -> ColumnView {
    let leads = entity.primary_key.first() == Some(&column.id)
        || entity.indexes.iter().any(|index| index.columns.first().is_some_and(|(id, _)| *id == column.id));
    let first = order_by.split(',').next().unwrap_or_default().trim();
    let sorted = match first.strip_prefix(column.field.as_str()).map(str::trim) {
        Some("") => Some("ascending"),
        Some("desc") => Some("descending"),
        _ => None,
    };
    let order = if sorted == Some("ascending") { format!("{} desc", column.field) } else { column.field.clone() };
    let dropped = [("page_token", "pageToken"), ("order_by", "orderBy")];
    ColumnView {
        name: column.field.clone(),
        comment: column.comment.trim().to_owned(),
        sort_url: (leads || entity.allow_scan).then(|| with_parameters(head, &dropped, &[("order_by", &order)])),
        sorted,
        numeric: is_numeric(column),
    }
}

fn detail_view(api: &Api, head: &Parts, entity: &Entity, record: &Record) -> Result<DetailView, Error> {
    let masked = is_masked(head);
    let referenced_by = if masked { Vec::new() } else { back_references(api, entity, record)? };
    Ok(DetailView {
        fields: cells(api, head, entity, record)?,
        referenced_by,
        forms: forms(head, representation::MESSAGE),
    })
}

/// The columns that a page has: all that are not secret, or those that the request asks for.
fn shown<'a>(api: &'a Api, head: &Parts, entity: &'a Entity) -> impl Iterator<Item = (&'a Column, &'a Field)> {
    let asked = mask(head);
    let names: Vec<String> =
        asked.split(',').filter_map(|path| Some(path.trim().split('.').next()?.to_owned())).collect();
    let all = asked.is_empty() || names.iter().any(|name| name == "*");
    let is_asked = move |field: &Field| all || names.iter().any(|name| *name == field.name || *name == field.json_name);
    let fields = &api.schema.message(entity.message).fields;
    entity.columns.iter().zip(fields).filter(move |(column, field)| !column.secret && is_asked(field))
}

/// The row's values as text, in the order of the columns.
fn cells(api: &Api, head: &Parts, entity: &Entity, record: &Record) -> Result<Vec<Cell>, Error> {
    let mut json = Vec::with_capacity(256);
    api.json().to_json(entity.message, record.wire(), &mut json, Default::default())?;
    let row: serde_json::Map<String, Value> = serde_json::from_slice(&json).map_err(Error::internal)?;
    let codec = &api.plans.get(entity.id).codec;
    let unset = codec.empty();
    // JSON leaves zeros out; a person looks for them.
    let zero = |column: &Column| match column.storage {
        Storage::Json => String::new(),
        _ => codec.format_text(column.id, &unset[column.id.index()]),
    };
    let cell = |(column, field): (&Column, &Field)| {
        let value = row.get(&field.json_name);
        let text = value.map_or_else(|| zero(column), |value| text(column, value));
        cell(api, column, field, text, matches!(value, Some(Value::Array(_) | Value::Object(_))))
    };
    Ok(shown(api, head, entity).map(cell).collect())
}

fn text(column: &Column, value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Object(parts) if is_decimal(column) => {
            parts.get("value").and_then(Value::as_str).unwrap_or_default().to_owned()
        }
        other => other.to_string(),
    }
}

fn cell(api: &Api, column: &Column, field: &Field, text: String, nested: bool) -> Cell {
    let url = column.references.filter(|_| !text.is_empty()).and_then(|to| reference_url(api, to, &text));
    Cell {
        name: field.name.clone(),
        comment: column.comment.trim().to_owned(),
        nested: nested && !is_decimal(column),
        text,
        url,
        numeric: is_numeric(column),
    }
}

fn reference_url(api: &Api, to: rowkeep_schema::Reference, text: &str) -> Option<String> {
    let entity = api.schema.entity(to.entity);
    if entity.primary_key == [to.column] {
        let key = api.plans.get(to.entity).codec.parse_text(to.column, text).ok()?;
        let segment = api.plans.get(to.entity).codec.key_text(&Key::one(key));
        return Some(format!("{}/{segment}", entity.rest_collection));
    }
    let index = entity
        .indexes
        .iter()
        .find(|index| index.unique && matches!(index.columns[..], [(id, _)] if id == to.column))?;
    let field = &entity.column(to.column).field;
    Some(format!("{}:getBy{}?{field}={}", entity.rest_collection, index.lookup.as_ref()?, query_value(text)))
}

/// Links to the lists of rows that refer to this one.
fn back_references(api: &Api, entity: &Entity, record: &Record) -> Result<Vec<Link>, Error> {
    let codec = &api.plans.get(entity.id).codec;
    let values = codec.decode(record.wire())?.values;
    let link = |(child, column): &(EntityId, rowkeep_schema::ColumnId)| {
        let child = api.schema.entity(*child);
        let column = child.column(*column);
        let target = column.references?.column;
        let text = codec.format_text(target, &values[target.index()]);
        let literal = if is_bare(column.storage) { text } else { quoted(&text) };
        let filter = query_value(&format!("{} = {literal}", column.field));
        let name = format!("{} by {}", child.plural, column.field);
        Some(Link { name, url: format!("{}?filter={filter}", child.rest_collection) })
    };
    Ok(entity.referenced_by.iter().filter_map(link).collect())
}

/// The row's key as in a path, and its values. A key is always among the fields of an unmasked row.
fn row_key(api: &Api, entity: &Entity, record: &Record) -> Result<Option<(String, Key)>, Error> {
    let codec = &api.plans.get(entity.id).codec;
    let key = codec.key_of(&codec.decode(record.wire())?.values);
    Ok(Some((codec.key_text(&key), key)))
}

fn is_bare(storage: Storage) -> bool {
    !matches!(storage, Storage::Text | Storage::Blob | Storage::Timestamp | Storage::Date | Storage::Json)
}

/// A string literal of the filter language.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn is_numeric(column: &Column) -> bool {
    matches!(
        column.storage,
        Storage::Int32 | Storage::Int64 | Storage::Uint32 | Storage::Uint64 | Storage::Float | Storage::Double
    ) || is_decimal(column)
}

fn is_decimal(column: &Column) -> bool {
    matches!(column.storage, Storage::Decimal { .. })
}

fn is_masked(head: &Parts) -> bool {
    !mask(head).is_empty()
}

/// The paths of the read mask.
fn mask(head: &Parts) -> String {
    let asked = ["fields", "read_mask", "readMask"].map(|name| parameter(head, name, name));
    asked.into_iter().find(|paths| !paths.is_empty()).unwrap_or_default()
}

/// A query parameter, decoded, in either style.
fn parameter(head: &Parts, snake: &str, camel: &str) -> String {
    let pairs = head.uri.query().unwrap_or_default().split('&');
    let value = pairs.filter_map(|pair| pair.split_once('=')).find(|(name, _)| *name == snake || *name == camel);
    let value = value.map(|(_, value)| value.replace('+', " ")).unwrap_or_default();
    percent_decode_str(&value).decode_utf8_lossy().into_owned()
}

/// The same in other forms: by extension, so that a link is enough.
fn forms(head: &Parts, offered: &[Offer<Representation>]) -> Vec<Link> {
    let (path, _) = kit_web::split_extension(head.uri.path(), representation::LIST);
    let query = head.uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    let link = |offer: &Offer<Representation>| Link {
        name: offer.extension.to_owned(),
        url: format!("{path}.{}{query}", offer.extension),
    };
    offered.iter().filter(|offer| offer.value != Representation::Html).map(link).collect()
}
