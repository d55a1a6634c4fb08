//! CSV, by example.

#![allow(clippy::unwrap_used)] // a test that cannot go on fails

mod support;

use std::io::{BufRead, BufReader, Read};

use rowkeep_record::csv::{CsvError, CsvOptions, CsvReader, CsvWriter};
use rowkeep_record::{ReadMask, Record, Value};
use serde_json::json;
use support::fixture;

/// Hands out a few bytes at a time, so that every record lies across a boundary.
fn slowly(text: &[u8], step: usize) -> impl BufRead + '_ {
    BufReader::with_capacity(step, text)
}

fn reader(text: &[u8]) -> Result<CsvReader<'_, &[u8]>, CsvError> {
    CsvReader::new(fixture().row(), text, CsvOptions { null: Some("NA".to_owned()), ..CsvOptions::default() })
}

/// All rows and mistakes.
fn read(text: &[u8]) -> Vec<Result<(u64, Vec<Value>), CsvError>> {
    let mut reader = reader(text).unwrap();
    std::iter::from_fn(|| reader.next_row()).collect()
}

fn column(name: &str) -> usize {
    fixture().entity().column_by_field(name).unwrap().id.index()
}

/// The cells of one column.
fn values(name: &str, text: &str) -> Vec<Value> {
    read(text.as_bytes()).into_iter().map(|row| row.unwrap().1.swap_remove(column(name))).collect()
}

fn text(value: &str) -> Value {
    Value::Text(value.into())
}

fn mistake(text: &str) -> CsvError {
    read(text.as_bytes()).into_iter().find_map(Result::err).unwrap()
}

#[test]
fn cells_are_values_of_their_columns() {
    let header = "id,a_bool,aTime,a_date,a_decimal,a_bytes,a_colour,a_duration,a_double,strings,a_uint64\n";
    let cells =
        "7,true,2024-05-01T12:00:00Z,2024-02-29,12.5,+/8=,COLOUR_RED,1.5s,-0.25,\"[\"\"a\"\"]\",18446744073709551615\n";
    let rows = read(format!("{header}{cells}").as_bytes());
    let row = &rows[0].as_ref().unwrap().1;
    for (name, value) in [
        ("id", Value::Int(7)),
        ("a_bool", Value::Int(1)),
        ("a_time", Value::Int(1_714_564_800_000_000)),
        ("a_date", Value::Int(20_240_229)),
        ("a_decimal", Value::Int(1250)),
        ("a_bytes", Value::Blob([0xfb, 0xff].into())),
        ("a_colour", Value::Int(1)),
        ("a_duration", Value::Int(1_500_000)),
        ("a_double", Value::Real(-0.25)),
        ("strings", text("[\"a\"]")),
        ("a_uint64", Value::Uint(u64::MAX)),
        ("a_string", text("")),
        ("maybe_string", Value::Null),
    ] {
        assert_eq!(row[column(name)], value, "{name}");
    }
}

#[test]
fn an_empty_cell_is_null_and_an_empty_quoted_one_the_empty_text() {
    let cells = "id,maybe_string\n1,\n2,\"\"\n3,NA\n4,\"NA\"\n5,x\n";
    assert_eq!(values("maybe_string", cells), [Value::Null, text(""), Value::Null, text("NA"), text("x")]);
}

#[test]
fn an_empty_cell_of_a_column_without_null_is_its_zero() {
    assert_eq!(values("a_string", "id,a_string\n1,\n2,\"\"\n"), [text(""), text("")]);
    assert_eq!(values("an_int32", "an_int32,id\n,1\n"), [Value::Int(0)]);
    assert_eq!(values("strings", "strings,id\n,1\n"), [text("[]")]);
    // The text for NULL says that there is no value, and 0 is one.
    let error = mistake("id,an_int32\n1,NA\n");
    assert_eq!((error.line, error.column.as_deref()), (2, Some("an_int32")));
    assert!(error.message.contains("not optional"), "{}", error.message);
}

#[test]
fn a_required_number_is_not_taken_for_0() {
    let schema = "syntax = \"proto3\"; package p.v1; import \"rowkeep/v1/options.proto\";
        message Item {
          option (rowkeep.v1.entity) = {};
          int64 id = 1 [(rowkeep.v1.column) = { generated: SNOWFLAKE required: true }];
          int32 count = 2 [(rowkeep.v1.column) = { required: true }];
        }";
    let schema = rowkeep_schema::compile_str(&[("item.proto", schema)]).unwrap();
    let codec = rowkeep_record::RowCodec::new(&schema, schema.entities[0].id);
    let mut reader = CsvReader::new(&codec, &b"id,count\n,\n,0\n"[..], CsvOptions::default()).unwrap();
    let error = reader.next_row().unwrap().unwrap_err();
    assert_eq!((error.column.as_deref(), &*error.message), (Some("count"), "must be set"));
    assert_eq!(reader.next_row().unwrap().unwrap().1, [Value::Int(0), Value::Int(0)]);
}

#[test]
fn quoted_cells_hold_delimiters_quotes_and_line_ends() {
    let cells = "id,a_string\r\n1,\"a,b\"\r\n2,\"say \"\"hi\"\"\"\r\n3,\"two\r\nlines\"\r\n4,5\" pipe\r\n5,\" x \"\r\n6, x \r\n";
    let expected = ["a,b", "say \"hi\"", "two\r\nlines", "5\" pipe", " x ", " x "].map(text);
    assert_eq!(values("a_string", cells), expected);
}

#[test]
fn lines_are_counted_from_1_with_those_in_cells_and_empty_ones() {
    let rows = read(b"id,a_string\n1,\"a\n\nb\"\n\n\r\n2,x\n3,\"y\nz\"\n4,w");
    let lines: Vec<u64> = rows.into_iter().map(|row| row.unwrap().0).collect();
    assert_eq!(lines, [2, 7, 8, 10]);
}

#[test]
fn names_are_those_of_fields_json_and_columns_and_are_trimmed() {
    let names = |text: &str| {
        let reader = reader(text.as_bytes()).unwrap();
        reader.columns().iter().map(|id| fixture().entity().column(*id).field.clone()).collect::<Vec<_>>()
    };
    assert_eq!(names("aString, id,\"a_bool\"\n"), ["a_string", "id", "a_bool"]);
    assert_eq!(names("\u{feff}id\n"), ["id"]);
    assert_eq!(names("\u{feff}\"id\""), ["id"]);
    // Secret ones can be loaded.
    assert_eq!(names("id,a_secret"), ["id", "a_secret"]);
    let adopted = "syntax = \"proto3\"; package p.v1; import \"rowkeep/v1/options.proto\";
        message Item {
          option (rowkeep.v1.entity) = {};
          int64 id = 1 [(rowkeep.v1.column) = { name: \"ITEM_ID\" }];
          string etag = 2 [(rowkeep.v1.column) = { auto: ETAG }];
          string id_text = 3;
        }";
    let schema = rowkeep_schema::compile_str(&[("item.proto", adopted)]).unwrap();
    let codec = rowkeep_record::RowCodec::new(&schema, schema.entities[0].id);
    let mut reader = CsvReader::new(&codec, &b"ITEM_ID,etag,id_text\n7,xyz,t\n"[..], CsvOptions::default()).unwrap();
    assert_eq!(reader.columns().len(), 2, "an etag follows from the version");
    assert_eq!(reader.next_row().unwrap().unwrap().1, [Value::Int(7), Value::Null, text("t")]);
}

#[test]
fn a_wrong_header_is_refused_with_all_that_is_wrong() {
    let error = reader(b"id,a_strng,,aString,a_string,zzzzzzzzzzzz\n").unwrap_err();
    assert_eq!(error.line, 1);
    for part in [
        "`a_strng` is no field of every.v1.Every; did you mean a_string?",
        "column 3 has no name",
        "`a_string` is named twice",
        "`zzzzzzzzzzzz`",
    ] {
        assert!(error.message.contains(part), "{}", error.message);
    }
    assert!(reader(b"").unwrap_err().message.contains("is empty"));
    assert!(reader(b"\n\n").unwrap_err().message.contains("is empty"));
    assert!(reader(b"id,\xff\n").unwrap_err().message.contains("UTF-8"));
    assert!(reader(&b"id,".repeat(20_000)).unwrap_err().message.len() < 2000);
    let long = "x".repeat(1 << 20);
    assert!(reader(long.as_bytes()).unwrap_err().message.len() < 200);
    for delimiter in [b'"', b'\n', b'\r', 0xe4] {
        let options = CsvOptions { delimiter, null: None };
        assert!(CsvReader::new(fixture().row(), &b"id"[..], options).is_err());
    }
}

#[test]
fn cells_may_be_separated_by_something_else() {
    let options = CsvOptions { delimiter: b';', null: None };
    let mut reader = CsvReader::new(fixture().row(), &b"id;a_string\n1;a,b\n"[..], options).unwrap();
    assert_eq!(reader.next_row().unwrap().unwrap().1[column("a_string")], text("a,b"));
}

#[test]
fn a_bad_record_names_line_and_column_and_reading_goes_on() {
    let cells = "id,a_string,an_int32,a_time\n\
        1,a,2147483648,\n\
        2,b\n\
        3,c,1,2,3\n\
        4,\"d\"e,1,\n\
        5,f,,2024-02-30T00:00:00Z\n\
        6,g,1,\n";
    let rows = read(cells.as_bytes());
    let found: Vec<_> = rows
        .iter()
        .map(|row| match row {
            Ok((line, _)) => (*line, None, String::new()),
            Err(error) => (error.line, error.column.clone(), error.message.clone()),
        })
        .collect();
    let columns: Vec<_> = found.iter().map(|(line, column, _)| (*line, column.as_deref())).collect();
    assert_eq!(columns, [(2, Some("an_int32")), (3, None), (4, None), (5, None), (6, Some("a_time")), (7, None)]);
    assert!(found[1].2.contains("has 2 cells; the header has 4"), "{}", found[1].2);
    assert!(found[2].2.contains("has 5 cells"), "{}", found[2].2);
    assert!(found[3].2.contains("doubled"), "{}", found[3].2);
    assert!(rows[5].is_ok());
}

#[test]
fn text_that_is_not_utf8_names_its_column() {
    let rows = read(b"id,a_string\n1,\xe4\n2,x\n");
    let error = rows[0].as_ref().unwrap_err();
    assert_eq!((error.line, error.column.as_deref()), (2, Some("a_string")));
    assert!(rows[1].is_ok());
}

#[test]
fn a_quote_that_is_never_closed_costs_its_own_line() {
    let rows = read(b"id,a_string\n1,\"a\n2,b\n3,c\n");
    assert_eq!(rows.len(), 3);
    assert_eq!(rows[0].as_ref().unwrap_err().line, 2);
    assert!(rows[0].as_ref().unwrap_err().message.contains("not closed"));
    assert_eq!(rows[1].as_ref().unwrap().0, 3);
    assert_eq!(rows[2].as_ref().unwrap().0, 4);
    assert_eq!(read(b"id\n\"").len(), 1);
}

#[test]
fn a_record_without_end_is_given_up_in_bounded_memory() {
    const HUGE: u64 = 100 << 20;
    let line = std::io::repeat(b'x').take(HUGE);
    let input = BufReader::new((&b"id,a_string\n1,"[..]).chain(line).chain(&b"\n2,b\n"[..]));
    let mut reader = CsvReader::new(fixture().row(), input, CsvOptions::default()).unwrap();
    let error = reader.next_row().unwrap().unwrap_err();
    assert!(error.message.contains("longer than"), "{}", error.message);
    assert!(reader.raw().len() < 64 << 20);
    assert_eq!(reader.offset(), 12 + 2 + HUGE + 1);
    let (line, row) = reader.next_row().unwrap().unwrap();
    assert_eq!((line, &row[column("a_string")]), (3, &text("b")));
    assert!(reader.next_row().is_none());
}

#[test]
fn an_open_quote_swallows_at_most_its_own_line_however_long_the_file_is() {
    const GOOD: usize = 20_000;
    let good = format!("2,{}\n", "b".repeat(1000)).repeat(GOOD);
    let text = [&b"id,a_string\n1,\"a\n"[..], good.as_bytes()].concat();
    let mut reader = reader(&text).unwrap();
    assert_eq!(reader.next_row().unwrap().unwrap_err().line, 2);
    assert_eq!(reader.raw(), b"1,\"a\n");
    let rows = std::iter::from_fn(|| reader.next_row()).filter(Result::is_ok).count();
    assert_eq!(rows, GOOD);
}

#[test]
fn the_text_and_the_end_of_each_record_are_exact_whatever_the_input_hands_out() {
    let text = "\u{feff}id,a_string\r\n1,\"a\r\n,\"\"b\"\r\n\r\n2,x\n3,\"y\"z\n4,long enough to lie across\n5,\"end\"";
    let expected = ["1,\"a\r\n,\"\"b\"\r\n", "2,x\n", "3,\"y\"z\n", "4,long enough to lie across\n", "5,\"end\""];
    for step in 1..40 {
        let mut reader = CsvReader::new(fixture().row(), slowly(text.as_bytes(), step), CsvOptions::default()).unwrap();
        for record in expected {
            let _ = reader.next_row().unwrap();
            assert_eq!(std::str::from_utf8(reader.raw()).unwrap(), record, "{step}");
            let end = text.find(record).unwrap() + record.len();
            assert_eq!(reader.offset(), end as u64, "{step}");
        }
        assert!(reader.next_row().is_none());
        assert!(reader.next_row().is_none());
        assert_eq!(reader.offset(), text.len() as u64);
    }
}

#[test]
fn an_input_that_breaks_off_ends_with_an_error() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("the disk is gone"))
        }
    }
    let input = BufReader::new((&b"id,a_string\n1,a\n2,"[..]).chain(Broken));
    let mut reader = CsvReader::new(fixture().row(), input, CsvOptions::default()).unwrap();
    assert!(reader.next_row().unwrap().is_ok());
    assert!(reader.next_row().unwrap().unwrap_err().message.contains("the disk is gone"));
    assert_eq!(reader.offset(), 16);
    assert!(reader.next_row().is_none());
}

fn dump(records: &[Record]) -> String {
    let writer = CsvWriter::new(fixture().row());
    let mut out = Vec::new();
    writer.header(&mut out);
    records.iter().for_each(|record| writer.row(record.wire(), &mut out).unwrap());
    String::from_utf8(out).unwrap()
}

#[test]
fn a_dump_loads_back_as_it_was() {
    let rows = [
        json!({}),
        json!({"id": "1", "maybeString": "", "maybeBytes": "", "maybeInt32": 0, "choiceText": "", "aWrappedString": ""}),
        json!({"id": "2", "aString": "a,\"b\"\r\n ", "maybeString": "NA", "strings": ["x,", "\"", ""]}),
        json!({"id": "3", "aNested": {"text": "é\n"}, "aValue": null, "aStruct": {"k": [1, null, {"a": "b"}]}}),
        json!({"id": "4", "aDecimal": "-0.05", "maybeDecimal": "-12345678901234567.125", "aColour": 77}),
        json!({"id": "5", "aDouble": 1e300, "aFloat": 0.1, "aTime": "0001-01-01T00:00:00.000001Z", "aDuration": "-1.5s"}),
        json!({"id": "6", "aDate": {"year": 2024}, "aString": "=1+1"}),
    ];
    let records: Vec<Record> = rows.iter().map(|row| fixture().record(row)).collect();
    let text = dump(&records);
    let mut reader = CsvReader::new(fixture().row(), text.as_bytes(), CsvOptions::default()).unwrap();
    for record in &records {
        let (_, values) = reader.next_row().unwrap().unwrap();
        assert_eq!(values, fixture().row().decode(record.wire()).unwrap().values);
    }
    assert!(reader.next_row().is_none());
    assert!(text.contains("=1+1"), "data is not altered");
}

#[test]
fn secret_columns_are_not_dumped() {
    let text = dump(&[]);
    assert!(text.starts_with("id,a_bool,an_int32,"), "{text}");
    assert!(text.ends_with("\r\n"));
    assert!(!text.contains("secret"));
    // Not even when the wire form has them.
    let mut out = Vec::new();
    CsvWriter::new(fixture().row()).row(&fixture().wire(&json!({"aSecret": "hush"})), &mut out).unwrap();
    assert!(!String::from_utf8(out).unwrap().contains("hush"));
}

#[test]
fn a_masked_dump_has_the_masked_columns() {
    let mask = ReadMask::parse(&fixture().codecs.json, fixture().message(), &["a_nested.text", "id"]).unwrap().unwrap();
    let writer = CsvWriter::masked(fixture().row(), &mask);
    let record = fixture().record(&json!({"id": "1", "aString": "x", "aNested": {"text": "t", "big": "1"}}));
    let mut out = Vec::new();
    writer.header(&mut out);
    writer.row(mask.project(&record).unwrap().wire(), &mut out).unwrap();
    assert_eq!(String::from_utf8(out).unwrap(), "id,a_nested\r\n1,\"{\"\"text\"\":\"\"t\"\"}\"\r\n");
}

#[test]
fn a_malformed_row_leaves_the_output_as_it_was() {
    let mut out = b"before".to_vec();
    let error = CsvWriter::new(fixture().row()).row(&[0x72, 0x05, b'a'], &mut out).unwrap_err();
    assert_eq!(error.code(), kit_core::Code::InvalidArgument);
    assert_eq!(out, b"before");
}
