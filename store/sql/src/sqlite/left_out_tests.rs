//! Loads into empty tables: the indexes are gone while rows come in and there when it is over, whatever ends it.

use std::path::Path;
use std::sync::Arc;

use kit_core::Error;
use rowkeep_engine::{LoadBatch, LoadOutcome, OnConflict, Rows, Stored};
use rowkeep_record::{Codecs, Value};
use rowkeep_schema::{EntityId, Schema, Storage};
use rusqlite::Connection;

use super::{Database, FILE_NAME, OpenOptions, SqliteStore};
use crate::testing::{Table, migrated, row, schema, start, table, wait};

const USERS: EntityId = EntityId(0);

fn users() -> Table {
    table("users")
        .column("id", Storage::Int64)
        .column("email", Storage::Text)
        .column("city", Storage::Text)
        .column("until", Storage::Int64)
        .expire("until")
        .unique(&["email"])
        .index(&["city"])
        .index(&["city", "email"])
}

fn user(id: i64) -> Stored {
    let text = |text: String| Value::Text(text.into());
    row(1, vec![Value::Int(id), text(format!("u{id}")), text(format!("city {}", id % 3)), Value::Int(0)])
}

fn load(store: &SqliteStore, ids: std::ops::Range<i64>, more: bool) -> Result<LoadOutcome, Error> {
    let rows = ids.map(user).collect();
    wait(store.load(LoadBatch { entity: USERS, rows, on_conflict: OnConflict::Skip, remember: None, more }))
}

/// Names of the indexes that are really there, as another program sees them.
fn indexes(directory: &Path) -> Vec<String> {
    let connection = Connection::open(directory.join(FILE_NAME)).unwrap();
    let text = "SELECT name FROM sqlite_schema WHERE type = 'index' AND tbl_name = 'users' ORDER BY name";
    let mut statement = connection.prepare(text).unwrap();
    statement.query_map([], |row| row.get(0)).unwrap().collect::<rusqlite::Result<_>>().unwrap()
}

const ALL: [&str; 4] = ["rowkeep_users_until", "users_city", "users_city_email", "users_email"];
const KEPT: [&str; 2] = ["rowkeep_users_until", "users_email"];

/// What a killed process leaves: the file and its log, copied while the store runs.
fn killed(directory: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for name in [FILE_NAME.to_owned(), format!("{FILE_NAME}-wal")] {
        std::fs::copy(directory.join(&name), copy.path().join(&name)).unwrap();
    }
    copy
}

fn is_whole(directory: &Path, rows: i64) {
    let connection = Connection::open(directory.join(FILE_NAME)).unwrap();
    let checked: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(checked, "ok");
    let text = "SELECT count(*) FROM users INDEXED BY users_city_email WHERE city >= ''";
    assert_eq!(connection.query_row(text, [], |row| row.get::<_, i64>(0)).unwrap(), rows);
    assert_eq!(indexes(directory), ALL);
}

fn open_to_load(directory: &Path, schema: &Arc<Schema>) -> Arc<SqliteStore> {
    let options = OpenOptions { to_load: true, ..OpenOptions::new(directory) };
    let database = Database::open(&options).unwrap();
    let plan = database.plan(schema).unwrap();
    assert!(plan.is_empty() && plan.drift.is_empty(), "{plan}");
    SqliteStore::start(database, Arc::clone(schema), Arc::new(Codecs::new(schema))).unwrap()
}

#[test]
fn indexes_wait_for_the_last_batch_of_a_load_into_an_empty_table() {
    let directory = tempfile::tempdir().unwrap();
    let schema = schema(&[users()]);
    let store = start(directory.path(), &schema);
    assert_eq!(indexes(directory.path()), ALL);
    assert_eq!(load(&store, 0..100, true).unwrap().stored, 100);
    assert_eq!(indexes(directory.path()), KEPT, "what decides conflicts, and what the load reads by");
    let again = load(&store, 50..150, true).unwrap();
    assert_eq!((again.stored, again.conflicts.len()), (50, 50));
    assert_eq!(load(&store, 150..200, false).unwrap().stored, 50);
    is_whole(directory.path(), 200);
}

#[test]
fn a_table_with_rows_keeps_its_indexes() {
    let directory = tempfile::tempdir().unwrap();
    let store = start(directory.path(), &schema(&[users()]));
    load(&store, 0..1, false).unwrap();
    load(&store, 1..10, true).unwrap();
    assert_eq!(indexes(directory.path()), ALL);
}

#[test]
fn a_load_that_ends_early_leaves_the_indexes_to_the_stop_of_the_store() {
    let directory = tempfile::tempdir().unwrap();
    let store = start(directory.path(), &schema(&[users()]));
    load(&store, 0..100, true).unwrap();
    store.stop();
    is_whole(directory.path(), 100);
}

#[test]
fn a_killed_load_goes_on_without_indexes_and_makes_them_at_its_end() {
    let directory = tempfile::tempdir().unwrap();
    let schema = schema(&[users()]);
    let store = start(directory.path(), &schema);
    load(&store, 0..100, true).unwrap();
    let left = killed(directory.path());
    let store = open_to_load(left.path(), &schema);
    assert_eq!(indexes(left.path()), KEPT);
    load(&store, 100..200, true).unwrap();
    assert_eq!(indexes(left.path()), KEPT);
    load(&store, 200..300, false).unwrap();
    is_whole(left.path(), 300);
}

#[test]
fn whoever_opens_the_file_of_a_killed_load_finds_the_indexes() {
    let directory = tempfile::tempdir().unwrap();
    let schema = schema(&[users()]);
    let store = start(directory.path(), &schema);
    load(&store, 0..100, true).unwrap();
    let left = killed(directory.path());
    let database = Database::open(&OpenOptions::new(left.path())).unwrap();
    let plan = database.plan(&schema).unwrap();
    assert!(plan.is_empty() && plan.drift.is_empty(), "{plan}");
    is_whole(left.path(), 100);
}

#[test]
fn a_plan_made_while_a_load_runs_tells_of_no_missing_index() {
    let directory = tempfile::tempdir().unwrap();
    let schema = schema(&[users()]);
    let store = start(directory.path(), &schema);
    load(&store, 0..100, true).unwrap();
    assert_eq!(indexes(directory.path()), KEPT);
    let plan = super::preview(directory.path(), &schema).unwrap().plan;
    assert!(plan.is_empty() && plan.drift.is_empty(), "{plan}");
}

#[test]
fn a_migration_finds_the_indexes_that_a_killed_load_left_out() {
    let directory = tempfile::tempdir().unwrap();
    let store = start(directory.path(), &schema(&[users()]));
    load(&store, 0..100, true).unwrap();
    let left = killed(directory.path());
    let wider = schema(&[users().column("note", Storage::Text).nullable()]);
    let options = OpenOptions { to_load: true, ..OpenOptions::new(left.path()) };
    let database = Database::open(&options).unwrap();
    let plan = database.plan(&wider).unwrap();
    assert_eq!(plan.steps.iter().map(|step| step.what.as_str()).collect::<Vec<_>>(), ["add column users.note"]);
    database.apply(&plan, &wider, b"new", &crate::Allow::default()).unwrap();
    is_whole(left.path(), 100);
    drop(database);
    migrated(left.path(), &wider);
}
