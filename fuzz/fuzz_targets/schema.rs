//! Any text is a schema or a list of mistakes; a list is not empty, and a schema derives its services.

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    match rowkeep_schema::compile_str(&[("fuzz.proto", text)]) {
        Ok(schema) => assert!(schema.entities.is_empty() || !schema.derived.is_empty()),
        Err(diagnostics) => assert!(!diagnostics.to_string().is_empty()),
    }
});
