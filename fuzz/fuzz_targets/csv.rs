//! Any bytes are CSV of rows or errors with line numbers; reading ends, and goes forward.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rowkeep_fuzz::fixture;
use rowkeep_record::csv::{CsvOptions, CsvReader};

fuzz_target!(|bytes: &[u8]| {
    let fixture = fixture();
    let codec = fixture.codecs.row(fixture.entity().id);
    let options = CsvOptions { null: Some("NA".to_owned()), ..CsvOptions::default() };
    let Ok(mut reader) = CsvReader::new(codec, bytes, options) else { return };
    let mut last = 0;
    while let Some(row) = reader.next_row() {
        // Nothing is lost between the records but empty lines.
        let end = usize::try_from(reader.offset()).expect("an offset in the input");
        assert!(bytes[..end].ends_with(reader.raw()));
        let line = row.map_or_else(|error| error.line, |(line, _)| line);
        assert!(line >= last);
        last = line;
    }
    assert!(reader.offset() <= bytes.len() as u64);
});
