//! What the targets share: one schema with every type, compiled once.

use std::sync::OnceLock;

use rowkeep_record::{Codecs, json::JsonCodec};
use rowkeep_schema::{Entity, Schema, compile_str};

/// The schema and its codecs.
pub struct Fixture {
    /// The entity `Everything` and what it needs.
    pub schema: Schema,
    /// Row codecs.
    pub codecs: Codecs,
    /// JSON codec.
    pub json: JsonCodec,
}

impl Fixture {
    /// The one entity.
    pub fn entity(&self) -> &Entity {
        &self.schema.entities[0]
    }
}

/// Compiled at the first call.
pub fn fixture() -> &'static Fixture {
    static FIXTURE: OnceLock<Fixture> = OnceLock::new();
    FIXTURE.get_or_init(|| {
        let schema = compile_str(&[("everything.proto", include_str!("everything.proto"))]).expect("the fixture's schema");
        let (codecs, json) = (Codecs::new(&schema), JsonCodec::new(&schema));
        Fixture { schema, codecs, json }
    })
}
