//! A migration that is killed half way is finished or undone by the next start, without anybody's help.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "clippy knows tests only by their attribute")]

mod support;

use std::fs;
use std::path::Path;

use support::{Dice, Scratch, get, rowkeep};
use testkit::{Process, Rowkeep, wait_until};

const ROWS: u64 = 200_000;

fn schema(body: &str) -> String {
    format!(
        "syntax = \"proto3\";\npackage notes.v1;\nimport \"rowkeep/v1/options.proto\";\nmessage Note {{\n  \
         option (rowkeep.v1.entity) = {{ index: [{{ fields: \"title\" }}] }};\n  \
         int64 id = 1 [(rowkeep.v1.column).generated = AUTO_INCREMENT];\n  string title = 2;\n  {body}\n}}\n"
    )
}

fn sqlite(data: &Path) -> rusqlite::Connection {
    rusqlite::Connection::open(data.join("rowkeep.sqlite")).unwrap()
}

/// Puts many rows into the table, faster than any load.
fn fill(data: &Path) {
    let sql = format!(
        "INSERT INTO notes (id, title, body, rowkeep_version)
         WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < {ROWS})
         SELECT i, 'title ' || (i * 7919 % {ROWS}), CASE i % 3 WHEN 0 THEN '' ELSE 'body of ' || i END, i FROM n"
    );
    assert_eq!(sqlite(data).execute(&sql, []).unwrap() as u64, ROWS);
}

/// Count and a sum over every value.
fn sum(data: &Path) -> (i64, String) {
    let sql = "SELECT count(*), total(id) || '/' || total(length(title)) || '/' || total(length(body)) || '/' || count(body) FROM notes";
    sqlite(data).query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?))).unwrap()
}

#[test]
fn a_rebuild_that_is_killed_is_whole_or_undone() {
    let scratch = Scratch::default();
    let mut dice = Dice::seeded("a_rebuild_that_is_killed");
    let old = scratch.write("old.proto", schema("string body = 3;"));
    let new = scratch.write("new.proto", schema("optional string body = 3;"));
    let (data, log) = (scratch.path("data"), scratch.path("data/rowkeep.sqlite-wal"));
    let data_arg = scratch.arg("data");
    rowkeep(&["apply", &old, "--data", &data_arg]).expect(0);
    fill(&data);
    let before = sum(&data);
    let plan = rowkeep(&["plan", &new, "--data", &data_arg]).expect(0).stdout;
    assert!(plan.contains(&format!("rebuild table notes (rewrites {ROWS} rows)")), "{plan}");

    let mut undone = 0;
    for round in 0..3 {
        let serve = ["serve", &new, "--data", &data_arg, "--listen", "127.0.0.1:0", "--admin-listen", ""];
        let process = Process::start(testkit::binary(), &serve, &[]);
        // The log grows while the rows are copied: this is the middle of it.
        let until = 4096 + dice.below(6 << 20);
        wait_until("the migration is under way or done", || {
            let length = fs::metadata(&log).map_or(0, |metadata| metadata.len());
            length >= until || process.log().text().contains("listening on")
        });
        process.kill9();
        let left = rowkeep(&["plan", &new, "--data", &data_arg]).expect(0).stdout;
        println!("round {round}: killed at {until} bytes of log; then: {}", left.lines().next().unwrap_or_default());
        assert_eq!(sum(&data), before);
        if left == "nothing to change\n" {
            break;
        }
        assert_eq!(left, plan, "half of a migration is left");
        undone += 1;
    }
    assert!(undone > 0, "no migration was killed half way");

    let server = Rowkeep::builder().schema(&new).data(&data).start();
    let page = get(&server, "/v1/notes?page_size=1&include_total_size=true");
    assert_eq!(page["totalSize"], ROWS.to_string());
    let body = |id: u32| get(&server, &format!("/v1/notes/{id}"))["body"].as_str().unwrap_or_default().to_owned();
    assert_eq!((body(3), body(4)), (String::new(), "body of 4".to_owned()));
    assert!(server.terminate().success());
    let check: String = sqlite(&data).query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(check, "ok");
    assert_eq!(sum(&data), before);
}
