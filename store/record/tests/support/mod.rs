//! One schema with every type a column can have, compiled once.

#![allow(dead_code, missing_docs, unreachable_pub, clippy::unwrap_used, clippy::cast_possible_truncation)] // each test file uses its part

pub mod entropy;
pub mod generate;
pub mod mangle;
pub mod oracle;

use std::sync::OnceLock;

use prost_reflect::MessageDescriptor;
use rowkeep_record::json::{ReadOptions, WriteOptions};
use rowkeep_record::{Codecs, Record, RowCodec};
use rowkeep_schema::{Entity, MessageId, Schema, compile_str};
use serde_json::Value as Json;

pub const SOURCE: &str = include_str!("every.proto");

pub struct Fixture {
    pub schema: Schema,
    pub codecs: Codecs,
}

/// The schema, compiled at the first call.
pub fn fixture() -> &'static Fixture {
    static FIXTURE: OnceLock<Fixture> = OnceLock::new();
    FIXTURE.get_or_init(|| {
        let schema = compile_str(&[("every.proto", SOURCE)]).unwrap();
        let codecs = Codecs::new(&schema);
        Fixture { schema, codecs }
    })
}

impl Fixture {
    pub fn entity(&self) -> &Entity {
        self.schema.entity_by_name("Every").unwrap()
    }

    pub fn message(&self) -> MessageId {
        self.entity().message
    }

    pub fn row(&self) -> &RowCodec {
        self.codecs.row(self.entity().id)
    }

    pub fn descriptor(&self) -> MessageDescriptor {
        self.schema.descriptors.get_message_by_name(&self.entity().full_name).unwrap()
    }

    /// The wire form of an `Every` in JSON.
    pub fn wire(&self, json: &Json) -> Vec<u8> {
        let text = json.to_string();
        self.codecs.json.from_json(self.message(), text.as_bytes(), ReadOptions::default()).unwrap().wire
    }

    /// The JSON of an `Every` in wire form.
    pub fn json(&self, wire: &[u8]) -> Json {
        let mut out = Vec::new();
        self.codecs.json.to_json(self.message(), wire, &mut out, WriteOptions::default()).unwrap();
        serde_json::from_slice(&out).unwrap()
    }

    /// The row as it is read from a database.
    pub fn record(&self, json: &Json) -> Record {
        let row = self.row().decode(&self.wire(json)).unwrap();
        self.row().encode(&row.values, 0).unwrap()
    }
}
