//! `load` and `dump`: every value comes back, every bad row is told, nothing is lost or doubled.

#![allow(clippy::unwrap_used, reason = "clippy knows tests only by their attribute")]

mod support;

use std::fs;
use std::io::{BufWriter, Write as _};

use support::{Ran, Scratch, rowkeep, rowkeep_reading};
use testkit::{Process, wait_until};

const THINGS: &str = r#"
syntax = "proto3";
package things.v1;
import "google/protobuf/timestamp.proto";
import "google/type/decimal.proto";
import "rowkeep/v1/options.proto";
message Thing {
  option (rowkeep.v1.entity) = { primary_key: "code" };
  string code = 1;
  string label = 2;
  optional string note = 3;
  int64 count = 4 [(rowkeep.v1.column).min = "0"];
  optional double weight = 5;
  bool good = 6;
  google.protobuf.Timestamp at = 7;
  google.type.Decimal price = 8 [(rowkeep.v1.column).decimal = { precision: 10 scale: 2 }];
  repeated string tags = 9;
  bytes raw = 10;
}
message Line {
  option (rowkeep.v1.entity) = { index: [{ fields: "number" }] };
  int64 id = 1 [(rowkeep.v1.column).generated = AUTO_INCREMENT];
  int64 number = 2;
  string text = 3;
}
"#;

/// A schema, data, and the commands over them.
struct Store {
    scratch: Scratch,
    schema: String,
    data: String,
}

impl Default for Store {
    fn default() -> Self {
        let scratch = Scratch::default();
        let (schema, data) = (scratch.write("things.proto", THINGS), scratch.arg("data"));
        Self { scratch, schema, data }
    }
}

impl Store {
    fn args<'a>(&'a self, words: &[&'a str]) -> Vec<&'a str> {
        [words, &["--schema", &self.schema, "--data", &self.data]].concat()
    }

    fn load(&self, name: &str, text: &str, more: &[&str]) -> Ran {
        let file = self.scratch.write(name, text);
        rowkeep(&self.args(&[&["load", "Thing", &file], more].concat()))
    }

    fn dump(&self, more: &[&str]) -> String {
        rowkeep(&self.args(&[&["dump", "Thing"], more].concat())).expect(0).stdout
    }
}

const ROWS: &str = "code,label,note,count,weight,good,at,price,tags,raw\n\
    a,\"He said \"\"hi\"\", twice\",,1,1.5,true,2026-01-01T00:00:00Z,9.50,\"[\"\"x\"\",\"\"y,z\"\"]\",AAE=\n\
    b,\"two\nlines\",\"\",0,,false,,,[],\n\
    c,żółw 🐢,NULL,9223372036854775807,-0.25,true,1969-12-31T23:59:59.5Z,0.10,[],/w==\n";

#[test]
fn csv_comes_back_as_it_was() {
    let store = Store::default();
    let loaded = store.load("rows.csv", ROWS, &["--json"]).expect(0).json();
    assert_eq!((&loaded["stored"], &loaded["rejected"]), (&3.into(), &0.into()));
    let rows: Vec<serde_json::Value> =
        store.dump(&[]).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows[0]["label"], "He said \"hi\", twice");
    assert_eq!(rows[0].get("note"), None, "an empty cell is absent");
    assert_eq!(rows[1]["note"], "", "a quoted empty cell is the empty string");
    assert_eq!((&rows[1]["label"], rows[1].get("weight")), (&"two\nlines".into(), None));
    assert_eq!(rows[2]["note"], "NULL", "a word is a word");
    assert_eq!((&rows[0]["tags"][1], &rows[0]["raw"]), (&"y,z".into(), &"AAE=".into()));
    // Lines end as RFC 4180 wants, an empty text is quoted, and a fraction of a second has three digits.
    let expected = ROWS.replace("two\nlines", "two lines").replace('\n', "\r\n").replace("two lines", "two\nlines");
    let expected = expected.replace("[],\r\nc", "[],\"\"\r\nc").replace("59.5Z", "59.500Z");
    assert_eq!(store.dump(&["--format", "csv"]), expected);
    // A dump is a file to load.
    let copy = Store::default();
    for format in ["csv", "ndjson"] {
        let dumped = store.dump(&["--format", format]);
        let loaded = copy.load(&format!("copy.{format}"), &dumped, &["--on-conflict", "replace", "--json"]);
        assert_eq!(loaded.expect(0).json()["stored"], 3);
        assert_eq!(copy.dump(&["--format", format]), dumped);
    }
}

#[test]
fn a_file_is_read_as_it_was_written_elsewhere() {
    let store = Store::default();
    let tabs = "\u{feff}code\tlabel\tweight\r\na\tx\tNA\r\nb\t\"NA\"\t2\r\n";
    store.load("rows.tsv", tabs, &["--format", "csv", "--delimiter", "\\t", "--null", "NA"]).expect(0);
    let rows = store.dump(&[]);
    assert_eq!(rows, "{\"code\":\"a\",\"label\":\"x\"}\n{\"code\":\"b\",\"label\":\"NA\",\"weight\":2.0}\n");
    store.load("rows.txt", "", &[]).fails(2, &["rows.txt", "--format"]);
    rowkeep(&store.args(&["load", "Thing", "nowhere.csv"])).fails(2, &["nowhere.csv"]);
    rowkeep(&store.args(&["load", "Thing", "cli", "--format", "csv"])).fails(2, &["cli is a directory"]);
}

#[test]
fn mistakes_are_told_with_their_line_and_store_nothing_of_their_batch() {
    let store = Store::default();
    for (text, words) in [
        ("code,lable\na,x\n", ["rows.csv:1: ", "`lable`", "label"]),
        ("code,code\na,b\n", ["rows.csv:1: ", "code", "twice"]),
        ("code,count\na,1\nb,many\n", ["rows.csv:3: ", "count", "\"many\""]),
        ("code,count\na,1\n\nb,-1\n", ["rows.csv:4: ", "count", "at least 0"]),
        ("code,label\na,\"x\ny\"\nb\n", ["rows.csv:4: ", "1 cell", "2"]),
        ("code,at\na,yesterday\n", ["rows.csv:2: ", "at", "\"yesterday\""]),
        ("code,price\na,1.234\n", ["rows.csv:2: ", "price", "2"]),
        ("code,good\na,maybe\n", ["rows.csv:2: ", "good", "\"maybe\""]),
        ("code,raw\na,%%\n", ["rows.csv:2: ", "raw", "base64"]),
    ] {
        store.load("rows.csv", text, &[]).fails(2, &words);
    }
    for (text, words) in [
        ("{\"code\":\"a\"}\n{\"code\":\"b\",\"lable\":1}\n", ["rows.ndjson:2: ", "lable", ""]),
        ("{\"code\":\"a\"}\nnonsense\n", ["rows.ndjson:2: ", "", ""]),
        ("{\"code\":\"a\",\"count\":-1}\n", ["rows.ndjson:1: ", "count", "at least 0"]),
    ] {
        store.load("rows.ndjson", text, &[]).fails(2, &words);
    }
    assert_eq!(store.dump(&[]), "");
}

#[test]
fn rejected_rows_are_kept_word_for_word_and_good_ones_are_stored() {
    let store = Store::default();
    let bad = ["b,x,many\n", "c,\"two\nlines\",1,more\n", "d,\"q\"\"uote\",-1\n"];
    let text = format!("code,label,count\na,first,1\n{}{}{}e,last,2", bad[0], bad[1], bad[2]);
    let rejects = store.scratch.arg("rejects.csv");
    let ran = store.load("rows.csv", &text, &["--rejects", &rejects]).expect(1);
    assert!(ran.stdout.contains("2 rows stored"), "{ran:?}");
    for words in ["3 rows rejected", "rejects.csv", "line 3: count", "line 4: ", "line 6: count"] {
        assert!(ran.stderr.contains(words), "{words} is missing in\n{}", ran.stderr);
    }
    // With the line of names above them, to be corrected and loaded.
    let kept = fs::read_to_string(&rejects).unwrap();
    let rows = kept.strip_prefix("code,label,count\n").unwrap_or_else(|| panic!("{kept}"));
    assert_eq!(rows.len(), bad.concat().len());
    assert!(bad.iter().all(|row| rows.contains(row)), "{kept}");
    let codes: Vec<_> = store.dump(&[]).lines().map(|row| row[9..10].to_owned()).collect();
    assert_eq!(codes, ["a", "e"]);

    let lines = "{\"code\":\"f\"}\n{\"code\":1}\n{\"code\":\"g\",\"count\":-5}\n{\"code\":\"h\"}\n";
    let rejects = store.scratch.arg("rejects.ndjson");
    let ran = store.load("rows.ndjson", lines, &["--rejects", &rejects, "--json"]).expect(1).json();
    assert_eq!((&ran["stored"], &ran["rejected"]), (&2.into(), &2.into()));
    assert_eq!(fs::read_to_string(&rejects).unwrap(), "{\"code\":1}\n{\"code\":\"g\",\"count\":-5}\n");
    let unwritable = store.scratch.arg("no/such/file");
    store.load("rows.csv", &text, &["--rejects", &unwritable]).fails(1, &["no/such/file"]);
}

#[test]
fn rows_that_exist_stop_the_load_are_skipped_or_replaced() {
    let store = Store::default();
    store.load("first.csv", "code,label,note\na,old,kept\n", &[]).expect(0);
    let text = "code,label\nb,new\na,new\n";
    store.load("second.csv", text, &[]).fails(2, &["second.csv:3: ", "exists", "--on-conflict skip"]);
    assert_eq!(store.dump(&[]).lines().count(), 1, "all or nothing of a batch");
    let skipped = store.load("third.csv", text, &["--on-conflict", "skip", "--json"]).expect(0).json();
    assert_eq!((&skipped["stored"], &skipped["skipped"]), (&1.into(), &1.into()));
    assert!(store.dump(&[]).contains("{\"code\":\"a\",\"label\":\"old\",\"note\":\"kept\"}"));
    let replaced = store.load("fourth.csv", text, &["--on-conflict", "replace", "--json"]).expect(0).json();
    assert_eq!((&replaced["stored"], &replaced["skipped"]), (&2.into(), &0.into()));
    let rows = store.dump(&[]);
    assert_eq!(rows.lines().count(), 2);
    assert!(rows.contains("\"a\",\"label\":\"new\""), "{rows}");
}

#[test]
fn standard_input_is_loaded_and_a_dump_overwrites_nothing() {
    let store = Store::default();
    let args = store.args(&["load", "Thing", "-", "--format", "csv"]);
    rowkeep_reading(&args, "code,label\na,x\nb,y\n").expect(0);
    rowkeep_reading(&store.args(&["load", "Thing", "-"]), "").fails(2, &["--format"]);
    let out = store.scratch.arg("out.csv");
    let said = rowkeep(&store.args(&["dump", "Thing", &out])).expect(0).stdout;
    assert!(said.contains("2 rows"), "{said}");
    let written = fs::read_to_string(&out).unwrap();
    assert!(written.starts_with("code,label,") && written.lines().count() == 3, "{written}");
    rowkeep(&store.args(&["dump", "Thing", &out])).fails(2, &["out.csv", "overwrite"]);
    assert_eq!(fs::read_to_string(&out).unwrap(), written);
    assert_eq!(store.dump(&["--filter", "code = \"b\""]), "{\"code\":\"b\",\"label\":\"y\"}\n");
    rowkeep(&store.args(&["dump", "Thing", "--filter", "cod = 1"])).fails(2, &["cod", "code"]);
}

const LINES: u64 = 30_000;

/// A file of some 60 MB; one row in a thousand is bad.
fn large_file(store: &Store) -> String {
    let mut file = BufWriter::new(fs::File::create(store.scratch.path("large.ndjson")).unwrap());
    let text = "all work and no play makes jack a dull boy ".repeat(46);
    for number in 0..LINES {
        let number = if number % 1000 == 999 { format!("\"no {number}\"") } else { number.to_string() };
        writeln!(file, "{{\"number\":{number},\"text\":\"{text}\"}}").unwrap();
    }
    file.into_inner().unwrap().sync_all().unwrap();
    store.scratch.arg("large.ndjson")
}

/// How many rows the index on their numbers finds.
fn indexed(store: &Store) -> u32 {
    let connection = rusqlite::Connection::open(store.scratch.path("data/rowkeep.sqlite")).unwrap();
    let name = "SELECT name FROM sqlite_schema WHERE type = 'index' AND tbl_name = 'lines'";
    let name: String = connection.query_row(name, [], |row| row.get(0)).unwrap();
    let count = format!("SELECT count(*) FROM lines INDEXED BY {name} WHERE number >= 0");
    connection.query_row(&count, [], |row| row.get(0)).unwrap()
}

/// Peak memory of a running process in KiB.
fn peak(process: u32) -> Option<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

#[test]
fn a_load_that_is_killed_goes_on_where_it_was_in_little_memory() {
    let store = Store::default();
    let file = large_file(&store);
    assert!(fs::metadata(&file).unwrap().len() > 60_000_000);
    let rejects = store.scratch.arg("rejects.ndjson");
    let args = store.args(&["load", "Line", &file, "--rejects", &rejects]);
    let log = store.scratch.path("data/rowkeep.sqlite-wal");
    let stored = || {
        let path = store.scratch.path("data/rowkeep.sqlite");
        let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY;
        let count = rusqlite::Connection::open_with_flags(path, flags)
            .and_then(|connection| connection.query_row("SELECT count(*) FROM lines", [], |row| row.get(0)));
        count.unwrap_or(0u32)
    };
    for part in [3, 2] {
        let process = Process::start(testkit::binary(), &args, &[]);
        wait_until("a part is stored", || {
            assert!(process.exited().is_none(), "the load is done too early\n{}", process.log().text());
            fs::metadata(&log).is_ok_and(|log| log.len() > 0) && u64::from(stored()) > LINES / part
        });
        process.kill9();
    }
    let before = u64::from(stored());
    assert!(before < LINES - LINES / 1000, "nothing is left to do");

    let process = Process::start(testkit::binary(), &args, &[]);
    let mut memory = 0;
    wait_until("the rest is loaded", || {
        memory = peak(process.id()).unwrap_or(0).max(memory);
        process.exited().is_some()
    });
    assert_eq!(process.wait(testkit::PATIENCE).unwrap().code(), Some(1), "there are rejects");
    let said = process.log().text();
    assert!(said.contains("went on behind line"), "{said}");
    assert_eq!(u64::from(indexed(&store)), u64::from(stored()), "each row is in the index that waited for the end");
    assert!((10 << 10..150 << 10).contains(&memory), "{memory} KiB at most");

    let numbers = rowkeep(&store.args(&["dump", "Line"])).expect(0).stdout;
    let numbers: Vec<u64> = numbers
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .map(|row| row["number"].as_str().map_or(0, |number| number.parse().unwrap()))
        .collect();
    let expected: Vec<u64> = (0..LINES).filter(|number| number % 1000 != 999).collect();
    assert!(numbers == expected, "{} rows instead of {}", numbers.len(), expected.len());
    let rejected = fs::read_to_string(rejects).unwrap();
    for number in (999..LINES).step_by(1000) {
        assert!(rejected.contains(&format!("\"no {number}\"")), "reject {number} is lost");
    }
}
