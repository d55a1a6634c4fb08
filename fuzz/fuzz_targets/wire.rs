//! Any bytes are a row or an error; a row's canonical form decodes to the same values, and JSON can show it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rowkeep_fuzz::fixture;
use rowkeep_record::csv::CsvWriter;
use rowkeep_record::json::WriteOptions;

fuzz_target!(|bytes: &[u8]| {
    let fixture = fixture();
    let entity = fixture.entity();
    let codec = fixture.codecs.row(entity.id);
    let mut json = Vec::new();
    let _ = fixture.json.to_json(entity.message, bytes, &mut json, WriteOptions::default());
    let _ = codec.decode_key(bytes);
    let _ = codec.decode_keys(bytes, 500);
    let Ok(row) = codec.decode(bytes) else { return };
    let record = codec.encode(&row.values, 7).expect("what was decoded can be encoded");
    let again = codec.decode(record.wire()).expect("what was encoded can be decoded");
    assert_eq!(row.values, again.values);
    json.clear();
    fixture.json.to_json(entity.message, record.wire(), &mut json, WriteOptions::default()).expect("and shown");
    CsvWriter::new(codec).row(record.wire(), &mut json).expect("and dumped");
});
