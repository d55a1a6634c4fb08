//! The OpenAPI 3.1 document of a schema's REST surface.
//!
//! ## What is promised
//! A request that fits the document is understood, one that does not is refused: bodies are closed
//! (`additionalProperties: false`, as unknown fields are refused), numbers carry their range, strings their pattern.
//! What JSON Schema cannot say, the grammar of `filter` or that a referenced row must exist, is in descriptions.
//!
//! ## Why several schemas for one message
//! A row is rendered in one way but accepted in several: `shop.v1.User` is what is returned, `.create`, `.update` and
//! `.patch` are what each method takes, with other fields required in each. Messages that are both read and written
//! have an `.input` form as well, since proto3 JSON accepts more (`1` or `"1"`) than it renders.
//!
//! The document is the same for the same schema, byte for byte: every map is sorted.

mod components;
mod constraints;
mod examples;
mod operations;
mod parameters;
mod pattern;
mod responses;
mod scalars;

use serde_json::{Map, Value, json};

use crate::Schema;
use components::Components;

/// What the document says beyond the schema.
#[derive(Debug, Clone)]
pub struct OpenApiOptions {
    /// Title of the API.
    pub title: String,
    /// Its version.
    pub version: String,
    /// Where it is served.
    pub server_url: String,
    /// Rows of a page if the request does not say.
    pub default_page_size: u32,
    /// Rows of a page at most.
    pub max_page_size: u32,
    /// Items of a batch and writes of a commit at most.
    pub max_batch: u32,
}

impl Default for OpenApiOptions {
    fn default() -> Self {
        Self {
            title: "Rowkeep".to_owned(),
            version: "1".to_owned(),
            server_url: "http://127.0.0.1:8080".to_owned(),
            default_page_size: 50,
            max_page_size: 1000,
            max_batch: 500,
        }
    }
}

/// The document.
pub fn document(schema: &Schema, options: &OpenApiOptions) -> Value {
    let mut components = Components::new(schema, options);
    let paths = operations::paths(schema, options, &mut components);
    json!({
        "openapi": "3.1.0",
        "jsonSchemaDialect": "https://spec.openapis.org/oas/3.1/dialect/base",
        "info": {
            "title": options.title,
            "version": options.version,
            "description": DESCRIPTION,
        },
        "servers": [{"url": options.server_url}],
        "tags": tags(schema),
        "paths": paths,
        "components": {
            "schemas": components.finish(),
            "parameters": parameters::shared(),
            "headers": responses::headers(),
            "responses": responses::errors(),
        },
    })
}

const DESCRIPTION: &str = "\
Rows over REST. A representation is chosen by `Accept` or by extension (`/v1/users.csv`): JSON, XML, Markdown, HTML; for \
lists also CSV and NDJSON. JSON is proto3 JSON: 64-bit integers are strings in answers and strings or numbers in requests, \
names are accepted in both styles (`createdAt`, `created_at`), a field at its zero value is left out unless it has presence.";

fn tags(schema: &Schema) -> Vec<Value> {
    let entities = schema.entities.iter().map(|entity| {
        let mut tag = Map::new();
        tag.insert("name".to_owned(), json!(entity_tag(schema, entity)));
        if !entity.comment.trim().is_empty() {
            tag.insert("description".to_owned(), json!(entity.comment.trim()));
        }
        Value::Object(tag)
    });
    entities.chain([json!({"name": COMMIT_TAG, "description": "Writes across entities."})]).collect()
}

const COMMIT_TAG: &str = "Store";

/// The entity's name, with its package if another entity has the same.
fn entity_tag<'a>(schema: &'a Schema, entity: &'a crate::Entity) -> &'a str {
    let unique = schema.entities.iter().filter(|other| other.name == entity.name).count() == 1;
    if unique && entity.name != COMMIT_TAG { &entity.name } else { &entity.full_name }
}
