//! Any bytes are a message in JSON or an error; what was read is written as JSON that reads back as the same message.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rowkeep_fuzz::fixture;
use rowkeep_record::json::{ReadOptions, WriteOptions};

fuzz_target!(|text: &[u8]| {
    let fixture = fixture();
    let message = fixture.entity().message;
    let options = ReadOptions { paths: true, ..ReadOptions::default() };
    let Ok(parsed) = fixture.json.from_json(message, text, options) else { return };
    let mut first = Vec::new();
    fixture.json.to_json(message, &parsed.wire, &mut first, WriteOptions::default()).expect("what was read can be written");
    let again = fixture.json.from_json(message, &first, options).expect("what was written can be read");
    let mut second = Vec::new();
    fixture.json.to_json(message, &again.wire, &mut second, WriteOptions::default()).expect("and written again");
    assert_eq!(first, second);
});
