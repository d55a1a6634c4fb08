//! Any text is a filter, an order or an error; a filter can be evaluated on a row.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rowkeep_fuzz::fixture;
use rowkeep_record::query;

fuzz_target!(|text: &str| {
    let fixture = fixture();
    let entity = fixture.entity();
    if let Ok(Some(filter)) = query::parse_filter(&fixture.schema, entity, text) {
        let row = fixture.codecs.row(entity.id).empty();
        query::matches(&filter, entity, &row);
    }
    let _ = query::parse_order_by(entity, text);
});
