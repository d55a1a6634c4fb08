//! A running server gets another schema.
#![allow(clippy::unwrap_used, reason = "clippy knows tests only by their attribute")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread;

use kit_core::Error;
use rowkeep_schema::{Schema, compile_str};
use rowkeep_server::{Migration, ReloadError};
use serde_json::json;
use support::Shop;
use support::http::{ask, get};

/// The schema with these fields and options.
fn notes(options: &str, fields: &str) -> Arc<Schema> {
    let text = format!(
        "syntax = \"proto3\";\npackage notes.v1;\nimport \"rowkeep/v1/options.proto\";\n\
         message Note {{ option (rowkeep.v1.entity) = {{ {options} }}; int64 id = 1; {fields} }}\n"
    );
    Arc::new(compile_str(&[("notes.proto", &text)]).unwrap_or_else(|mistakes| panic!("{mistakes}")))
}

fn start(schema: Arc<Schema>) -> (Shop, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    (Shop::open(schema, support::config(directory.path())).unwrap(), directory)
}

fn reload(shop: &Shop, schema: Arc<Schema>) -> Result<Migration, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(shop.reloader.reload(schema)).map_err(|error| match error {
        ReloadError::Refused(error) => error,
        ReloadError::Fatal(error) => panic!("the server is lost: {error}"),
    })
}

#[test]
fn a_new_column_is_served_without_a_restart() {
    let (shop, _data) = start(notes("", "string text = 2;"));
    ask(shop.address, "POST", "/v1/notes").json(&json!({"id": 1, "text": "first"})).send().expect(201);
    let mood = json!({"id": 2, "text": "second", "mood": "good"});
    ask(shop.address, "POST", "/v1/notes").json(&mood).send().expect(400);

    let migration = reload(&shop, notes("", "string text = 2; optional string mood = 3;")).unwrap();
    assert_eq!(migration.plan.steps.len(), 1);
    ask(shop.address, "POST", "/v1/notes").json(&mood).send().expect(201);
    assert_eq!(get(shop.address, "/v1/notes/1").expect(200).json()["text"], "first");
    assert_eq!(get(shop.address, "/v1/notes/2").expect(200).json()["mood"], "good");
    assert!(get(shop.address, "/openapi.json").expect(200).text().contains("mood"));
    let metrics = get(shop.admin, "/metrics").expect(200).text();
    assert_eq!(metrics.matches("# TYPE rowkeep_requests_total").count(), 1, "{metrics}");
    assert!(metrics.contains("method=\"GetNote\",code=\"OK\"} 2"), "{metrics}");
}

#[test]
fn what_may_not_be_done_is_refused_and_the_former_schema_goes_on() {
    let (shop, _data) = start(notes("", "string text = 2; string author = 3;"));
    ask(shop.address, "POST", "/v1/notes").json(&json!({"id": 1, "text": "a", "author": "b"})).send().expect(201);
    let refused = [
        (notes("", "string text = 2;"), "drop-column:notes.author"),
        (notes("", "string author = 2; string text = 3;"), "number"),
    ];
    for (schema, names) in refused {
        let error = reload(&shop, schema).unwrap_err();
        assert_eq!(error.reason(), "SCHEMA_REFUSED");
        assert!(error.message().contains(names), "{error}");
        assert_eq!(get(shop.address, "/v1/notes/1").expect(200).json()["author"], "b");
    }
    ask(shop.address, "POST", "/v1/notes").json(&json!({"id": 2, "text": "c", "author": "d"})).send().expect(201);
}

#[test]
fn a_migration_that_the_rows_do_not_allow_leaves_everything_as_it_was() {
    let (shop, _data) = start(notes("", "string text = 2;"));
    for id in [1, 2] {
        ask(shop.address, "POST", "/v1/notes").json(&json!({"id": id, "text": "same"})).send().expect(201);
    }
    let unique = notes("", "string text = 2 [(rowkeep.v1.column).unique = true];");
    let error = reload(&shop, unique).unwrap_err();
    assert!(error.message().contains("text"), "{error}");
    ask(shop.address, "POST", "/v1/notes").json(&json!({"id": 3, "text": "same"})).send().expect(201);
    assert_eq!(get(shop.address, "/v1/notes").expect(200).json()["notes"].as_array().unwrap().len(), 3);
}

#[test]
fn requests_of_all_kinds_go_on_while_the_schema_changes() {
    let (shop, _data) = start(notes("", "string text = 2;"));
    let (ended, next) = (AtomicBool::new(false), AtomicU32::new(1));
    let created = thread::scope(|scope| {
        let client = || {
            let mut created = 0;
            while !ended.load(Ordering::Relaxed) {
                let id = next.fetch_add(1, Ordering::Relaxed);
                let row = json!({"id": id, "text": format!("note {id}")});
                ask(shop.address, "POST", "/v1/notes").json(&row).send().expect(201);
                assert_eq!(
                    get(shop.address, &format!("/v1/notes/{id}")).expect(200).json()["text"],
                    format!("note {id}")
                );
                get(shop.address, "/v1/notes?page_size=3").expect(200);
                created += 1;
            }
            created
        };
        let clients: Vec<_> = (0..4).map(|_| scope.spawn(client)).collect();
        for round in 0..10 {
            let fields = ["string text = 2;", "string text = 2; optional int32 rank = 3;"][(round + 1) % 2];
            let index = ["", "index: [{ fields: \"text\" }]"][round / 2 % 2];
            let options = format!("{index} allow_scan: true");
            let schema = notes(&options, fields);
            match reload(&shop, schema) {
                Ok(_) => {}
                // Going back loses a column, which nobody consented to.
                Err(error) => assert!(error.message().contains("drop-column:notes.rank"), "{error}"),
            }
        }
        ended.store(true, Ordering::Relaxed);
        clients.into_iter().map(|client| client.join().unwrap()).sum::<u32>()
    });
    let counted = get(shop.address, "/v1/notes?include_total_size=true&page_size=1").expect(200).json();
    assert_eq!(counted["totalSize"].to_string().trim_matches('"'), created.to_string());
    assert!(created > 20, "{created} rows are too few to tell");
}
