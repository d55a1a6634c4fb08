//! The store as a whole: reads see what was acknowledged, writes fail one by one, files are guarded.

use std::sync::Arc;
use std::task::Poll;

use kit_core::{Applied, Code, Error};
use rowkeep_engine::{
    Access, AccessPath, LoadBatch, OnConflict, Outcome, Remembered, Rows, Scan, Stored, Tx, View, WriteError,
};
use rowkeep_record::query::{Compare, Filter};
use rowkeep_record::{Key, Value};
use rowkeep_schema::{ColumnId, EntityId, Schema, Storage};

use super::tx::SqliteTx;
use super::writer::Work;
use super::{Database, FILE_NAME, OpenOptions, SqliteStore, backup};
use crate::testing::{ALL, SERVER, Table, row, schema, start, table, wait};

const USERS: EntityId = EntityId(0);

fn users() -> Table {
    table("users")
        .column("id", Storage::Int64)
        .counted()
        .column("email", Storage::Text)
        .column("rank", Storage::Uint64)
        .column("city", Storage::Text)
        .nullable()
        .unique(&["email"])
        .index(&["city"])
}

fn user(id: i64, version: u64) -> Stored {
    let email = Value::Text(format!("u{id}@example.com").into());
    row(version, vec![Value::Int(id), email, Value::Uint(u64::MAX - 7), Value::Null])
}

fn key(id: i64) -> Key {
    Key::one(Value::Int(id))
}

fn kept() -> Outcome {
    Outcome { results: Vec::new(), replayed: false, keep: true, position: None }
}

/// Work whose steps fail like a program's.
fn work(mut steps: impl FnMut(&mut SqliteTx<'_>) -> Result<Outcome, Error> + Send + 'static) -> Work {
    Box::new(move |tx| Poll::Ready(steps(tx)))
}

fn put(tx: &mut SqliteTx<'_>, row: &Stored) -> Result<Option<i64>, Error> {
    match tx.insert(USERS, row).try_now().ok().unwrap() {
        Ok(number) => Ok(number),
        Err(WriteError::Duplicate(index)) => Err(Error::new(Code::AlreadyExists, "EXISTS", format!("{index:?}"))),
        Err(WriteError::Other(error)) => Err(error),
    }
}

fn insert(id: i64, version: u64) -> Work {
    work(move |tx| put(tx, &user(id, version)).map(|_| kept()))
}

fn version_of(store: &SqliteStore, id: i64) -> Option<u64> {
    let record = store.get(USERS, &key(id), ALL, &SERVER).try_now().ok().unwrap().unwrap();
    record.map(|record| record.version())
}

fn open(directory: &std::path::Path) -> (Arc<SqliteStore>, Arc<Schema>) {
    let schema = schema(&[users()]);
    (start(directory, &schema), schema)
}

fn scan_all(order: &[(u16, bool)], limit: u32) -> Scan {
    Scan {
        entity: USERS,
        filter: None,
        order: Arc::new(order.iter().map(|(id, descending)| (ColumnId(*id), *descending)).collect()),
        after: None,
        limit,
        max_bytes: usize::MAX,
        access: Access { path: AccessPath::Primary, bound: 0, sorted: true, backward: false },
        view: ALL,
        deadline: None,
    }
}

#[test]
fn a_write_is_seen_by_every_read_after_its_acknowledgement() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = open(directory.path());
    for id in 1..200 {
        assert_eq!(version_of(&store, id), None);
        wait(store.run(insert(id, 1000))).unwrap();
        assert_eq!(version_of(&store, id), Some(1000));
        let other = Arc::clone(&store);
        let seen = std::thread::spawn(move || version_of(&other, id)).join().unwrap();
        assert_eq!(seen, Some(1000));
    }
    let keys: Vec<Key> = [3, 999, 1].into_iter().map(key).collect();
    let many = store.get_many(USERS, &keys, ALL, &SERVER).try_now().ok().unwrap().unwrap();
    assert_eq!(many.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false, true]);
    let found = store.lookup(USERS, 0, &Key::one(Value::Text("u7@example.com".into())), ALL, &SERVER);
    assert!(found.try_now().ok().unwrap().unwrap().is_some());
    assert_eq!(store.count(&scan_all(&[(0, false)], 1), &SERVER).try_now().ok().unwrap().unwrap(), 199);
    assert_eq!(store.scan(&scan_all(&[(0, false)], 10), &SERVER).try_now().ok().unwrap().unwrap().len(), 10);
}

#[test]
fn programs_of_a_group_fail_one_by_one() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = open(directory.path());
    // Holds the writer until all others wait, so that they share a transaction.
    let (go, gate) = std::sync::mpsc::channel::<()>();
    let first = store.run(work(move |tx| {
        gate.recv().unwrap();
        put(tx, &user(1, 1)).map(|_| kept())
    }));
    let duplicate = store.run(insert(1, 2));
    let half = store.run(work(|tx| {
        put(tx, &user(2, 2))?;
        put(tx, &user(1, 2)).map(|_| kept())
    }));
    let unkept = store.run(work(|tx| put(tx, &user(4, 2)).map(|_| Outcome { keep: false, ..kept() })));
    let last = store.run(insert(5, 2));
    // The last one: the report of a panic takes longer than a group may.
    let panics = store.run(work(|tx| {
        put(tx, &user(3, 2)).unwrap();
        panic!("a defect");
    }));
    go.send(()).unwrap();
    wait(first).unwrap();
    assert_eq!(wait(duplicate).unwrap_err().code(), Code::AlreadyExists);
    assert_eq!(wait(half).unwrap_err().code(), Code::AlreadyExists);
    let error = wait(panics).unwrap_err();
    assert_eq!((error.code(), error.applied()), (Code::Internal, Applied::No));
    assert!(!wait(unkept).unwrap().keep);
    wait(last).unwrap();
    let there: Vec<bool> = (1..=5).map(|id| version_of(&store, id).is_some()).collect();
    assert_eq!(there, [true, false, false, false, true]);
    assert_eq!(store.stats().commits, 1, "one transaction for all");
}

#[test]
fn the_first_program_of_a_group_takes_only_itself_back() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = open(directory.path());
    let (go, gate) = std::sync::mpsc::channel::<()>();
    let first = store.run(work(move |tx| {
        gate.recv().unwrap();
        put(tx, &user(1, 1))?;
        Err(Error::new(Code::Aborted, "NO", "no"))
    }));
    let second = store.run(insert(2, 1));
    go.send(()).unwrap();
    assert_eq!(wait(first).unwrap_err().code(), Code::Aborted);
    wait(second).unwrap();
    assert_eq!((version_of(&store, 1), version_of(&store, 2)), (None, Some(1)));
}

#[test]
fn the_index_that_a_duplicate_violates_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = open(directory.path());
    wait(store.run(insert(1, 1))).unwrap();
    let error = wait(store.run(insert(1, 1))).unwrap_err();
    assert_eq!(error.message(), "None", "the primary key");
    let mut same_email = user(2, 1);
    same_email.values[1] = Value::Text("u1@example.com".into());
    let error = wait(store.run(work(move |tx| put(tx, &same_email).map(|_| kept())))).unwrap_err();
    assert_eq!(error.message(), "Some(0)");
}

#[test]
fn numbers_are_counted_and_never_given_twice() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = open(directory.path());
    let add = |email: &'static str| {
        let (tell, told) = std::sync::mpsc::channel();
        wait(store.run(work(move |tx| {
            let mut row = user(0, 1);
            row.values[0] = Value::Null;
            row.values[1] = Value::Text(email.into());
            tell.send(put(tx, &row)?).unwrap();
            Ok(kept())
        })))
        .unwrap();
        told.recv().unwrap().unwrap()
    };
    assert_eq!((add("a"), add("b")), (1, 2));
    wait(store.run(work(|tx| {
        assert!(tx.delete(USERS, &key(2)).try_now().ok().unwrap()?);
        assert!(!tx.delete(USERS, &key(2)).try_now().ok().unwrap()?);
        Ok(kept())
    })))
    .unwrap();
    assert_eq!(add("c"), 3);
}

#[test]
fn large_unsigned_numbers_can_be_counted_too() {
    let directory = tempfile::tempdir().unwrap();
    let schema = schema(&[table("tickets").column("id", Storage::Uint64).counted()]);
    let store = start(directory.path(), &schema);
    let add = |value: Value| {
        let (tell, told) = std::sync::mpsc::channel();
        wait(store.run(work(move |tx| {
            tell.send(put(tx, &row(1, vec![value.clone()]))?).unwrap();
            Ok(kept())
        })))
        .unwrap();
        told.recv().unwrap()
    };
    assert_eq!(add(Value::Null), Some(1));
    assert_eq!(add(Value::Uint(40)), None);
    assert_eq!(add(Value::Null), Some(41));
}

#[test]
fn what_a_transaction_reads_is_what_was_stored() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = open(directory.path());
    let mut stored = user(1, 77);
    stored.values[3] = Value::Text("O'slo\0\"".into());
    let written = stored.clone();
    wait(store.run(work(move |tx| put(tx, &written).map(|_| kept())))).unwrap();
    wait(store.run(work(move |tx| {
        assert_eq!(tx.get(USERS, &key(1)).try_now().ok().unwrap()?.as_ref(), Some(&stored));
        let city = [ColumnId(3)];
        let found = tx.find(USERS, &city, &[Value::Text("O'slo\0\"".into())], 10).try_now().ok().unwrap()?;
        assert_eq!(found, [stored.clone()]);
        assert!(tx.find(USERS, &city, &[Value::Null], 10).try_now().ok().unwrap()?.is_empty());
        let mut changed = stored.clone();
        (changed.values[3], changed.version) = (Value::Null, 78);
        changed.values[1] = Value::Text("ignored".into());
        assert!(tx.update(USERS, &key(1), &city, &changed).try_now().ok().unwrap().is_ok());
        let found = tx.find(USERS, &city, &[Value::Null], 10).try_now().ok().unwrap()?;
        assert_eq!((found[0].version, &found[0].values[1]), (78, &stored.values[1]));
        Ok(kept())
    })))
    .unwrap();
}

#[test]
fn a_version_is_never_given_again_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let (store, schema) = open(directory.path());
    wait(store.run(insert(1, 5_000_000))).unwrap();
    // Killed: the next process finds the log and a floor above everything that was written.
    let copy = tempfile::tempdir().unwrap();
    for name in [FILE_NAME.to_owned(), format!("{FILE_NAME}-wal")] {
        std::fs::copy(directory.path().join(&name), copy.path().join(&name)).unwrap();
    }
    let restarted = start(copy.path(), &schema);
    assert!(restarted.version_floor() >= 5_000_000);
    let number = |store: &SqliteStore| store.position().unwrap().points()[0].number;
    assert!(number(&restarted) > number(&store) || number(&restarted) >= 5_000_000);
    assert_eq!(version_of(&restarted, 1), Some(5_000_000));
    drop(store);
    let database = Database::open(&OpenOptions::new(directory.path())).unwrap();
    assert!(!database.crashed(), "an orderly stop leaves nothing to check");
}

#[test]
fn a_load_reports_each_conflict_and_stores_all_or_the_rest() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = open(directory.path());
    let load = |ids: std::ops::Range<i64>, version, on_conflict, remember| {
        let rows = ids.map(|id| user(id, version)).collect();
        wait(store.load(LoadBatch { entity: USERS, rows, on_conflict, remember, more: false })).unwrap()
    };
    let remembered = Remembered { fingerprint: [7; 32], outcome: vec![1, 2], forget_at: 50 };
    let outcome = load(0..1000, 1, OnConflict::Fail, Some(("load".to_owned(), remembered.clone())));
    assert_eq!((outcome.stored, outcome.conflicts.len()), (1000, 0));
    assert_eq!(store.recall("load").try_now().ok().unwrap().unwrap(), Some(remembered));
    let outcome = load(998..1002, 2, OnConflict::Fail, None);
    assert_eq!((outcome.stored, outcome.conflicts.len()), (0, 2));
    assert_eq!(version_of(&store, 1001), None);
    let outcome = load(998..1002, 3, OnConflict::Skip, None);
    assert_eq!((outcome.stored, outcome.conflicts), (2, vec![(0, None), (1, None)]));
    let outcome = load(998..1002, 4, OnConflict::Replace, None);
    assert_eq!((outcome.stored, version_of(&store, 998)), (4, Some(4)));
    assert_eq!(wait(store.sweep(49)).unwrap(), 0);
    assert_eq!(wait(store.sweep(50)).unwrap(), 1);
    assert_eq!(store.recall("load").try_now().ok().unwrap().unwrap(), None);
}

#[test]
fn expired_and_deleted_rows_are_hidden_and_swept() {
    let directory = tempfile::tempdir().unwrap();
    let sessions = table("sessions")
        .column("id", Storage::Text)
        .column("until", Storage::Timestamp)
        .nullable()
        .soft_delete()
        .expire("until");
    let schema = schema(&[sessions]);
    let store = start(directory.path(), &schema);
    wait(store.run(work(|tx| {
        for (id, until, deleted_at) in [("a", Some(100), None), ("b", None, None), ("c", None, Some(5))] {
            let values = vec![Value::Text(id.into()), until.map_or(Value::Null, Value::Int)];
            put(tx, &Stored { values, version: 1, deleted_at })?;
        }
        let kept_time = tx.get(USERS, &Key::one(Value::Text("c".into()))).try_now().ok().unwrap()?;
        assert_eq!(kept_time.unwrap().deleted_at, Some(5));
        Ok(kept())
    })))
    .unwrap();
    let sees = |id: &str, now, deleted| {
        let key = Key::one(Value::Text(id.into()));
        store.get(USERS, &key, View { now, deleted }, &SERVER).try_now().ok().unwrap().unwrap().is_some()
    };
    assert!(sees("a", 99, false) && !sees("a", 100, false));
    assert!(sees("b", 100, false));
    assert!(!sees("c", 0, false) && sees("c", 0, true));
    let mut scan = scan_all(&[(0, false)], 10);
    scan.view = View { now: 100, deleted: false };
    assert_eq!(store.count(&scan, &SERVER).try_now().ok().unwrap().unwrap(), 1);
    assert_eq!(wait(store.sweep(100)).unwrap(), 1);
    assert!(!sees("a", 0, true));
}

#[test]
fn a_directory_serves_one_process() {
    let directory = tempfile::tempdir().unwrap();
    let (_store, _) = open(directory.path());
    let error = Database::open(&OpenOptions::new(directory.path())).unwrap_err();
    assert_eq!(error.reason(), "DATA_IN_USE");
    assert!(error.message().contains(&std::process::id().to_string()), "{error}");
}

#[test]
fn files_of_others_are_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(FILE_NAME);
    let open = || Database::open(&OpenOptions::new(directory.path())).unwrap_err();
    std::fs::write(&path, "a text, not a database, and longer than the header of one, which is one hundred bytes long")
        .unwrap();
    assert_eq!(open().reason(), "FOREIGN_FILE");
    std::fs::remove_file(&path).unwrap();
    let other = rusqlite::Connection::open(&path).unwrap();
    other.execute_batch("CREATE TABLE theirs (a)").unwrap();
    assert_eq!(open().reason(), "FOREIGN_FILE");
    other.execute_batch("PRAGMA application_id = 1").unwrap();
    assert_eq!(open().reason(), "FOREIGN_FILE");
    let application = super::meta::APPLICATION_ID;
    other.execute_batch(&format!("PRAGMA application_id = {application}; PRAGMA user_version = 99")).unwrap();
    assert!(open().message().contains("newer rowkeep"));
}

#[test]
fn a_directory_that_cannot_be_made_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, "").unwrap();
    let error = Database::open(&OpenOptions::new(file.join("data"))).unwrap_err();
    assert_eq!((error.code(), error.reason()), (Code::FailedPrecondition, "DATA_UNUSABLE"));
    assert!(error.message().contains("file/data"), "{error}");
}

#[test]
fn a_corrupt_file_is_found_after_a_crash_and_a_backup_helps() {
    let directory = tempfile::tempdir().unwrap();
    let (store, schema) = open(directory.path());
    let writes: Vec<_> = (0..=2000).map(|id| store.run(insert(id, 1))).collect();
    for write in writes {
        wait(write).unwrap();
    }
    let saved = directory.path().join("saved.sqlite");
    backup(store.path(), &saved, |_, _| {}).unwrap();
    assert_eq!(backup(store.path(), &saved, |_, _| {}).unwrap_err().code(), Code::AlreadyExists);
    let path = store.path().to_owned();
    drop(store);
    // As a crash leaves it, with a page that the disk lost.
    let connection = rusqlite::Connection::open(&path).unwrap();
    connection.execute_batch("INSERT INTO rowkeep_meta VALUES ('running', x'31')").unwrap();
    drop(connection);
    let mut bytes = std::fs::read(&path).unwrap();
    let middle = bytes.len() / 2 / 4096 * 4096;
    bytes[middle..middle + 4096].fill(0xAB);
    std::fs::write(&path, bytes).unwrap();
    let error = Database::open(&OpenOptions::new(directory.path())).unwrap_err();
    assert_eq!((error.code(), error.reason()), (Code::DataLoss, "STORAGE_CORRUPT"));
    assert!(error.message().contains("rowkeep backup"), "{error}");
    std::fs::rename(&saved, &path).unwrap();
    let restored = start(directory.path(), &schema);
    assert_eq!(restored.count(&scan_all(&[(0, false)], 1), &SERVER).try_now().ok().unwrap().unwrap(), 2001);
}

#[test]
fn a_full_disk_refuses_writes_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let schema = schema(&[users()]);
    let database = crate::testing::migrated(directory.path(), &schema);
    let connection = database.connection();
    let pages: i64 = connection.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
    connection.pragma_update_and_check(None, "max_page_count", pages + 5, |_| Ok(())).unwrap();
    let codecs = Arc::new(rowkeep_record::Codecs::new(&schema));
    let store = SqliteStore::start(database, Arc::clone(&schema), codecs).unwrap();
    let large = |id: i64| {
        let mut row = user(id, 1);
        row.values[3] = Value::Text("x".repeat(3000).into());
        store.run(work(move |tx| put(tx, &row).map(|_| kept())))
    };
    let mut stored = 0_i64;
    let error = loop {
        match wait(large(stored + 1)) {
            Ok(_) => stored += 1,
            Err(error) => break error,
        }
    };
    assert_eq!((error.code(), error.reason(), error.applied()), (Code::ResourceExhausted, "DISK_FULL", Applied::No));
    assert!((1..50).contains(&stored), "{stored}");
    assert_eq!(
        store.count(&scan_all(&[(0, false)], 1), &SERVER).try_now().ok().unwrap().unwrap(),
        stored.unsigned_abs()
    );
    // Space comes back.
    wait(store.run(work(move |tx| tx.delete(USERS, &key(stored)).try_now().ok().unwrap().map(|_| kept())))).unwrap();
    wait(large(stored)).unwrap();
    assert_eq!(version_of(&store, stored), Some(1));
}

#[test]
fn the_log_is_started_over_although_threads_hold_snapshots() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = open(directory.path());
    // Threads that read once and then do nothing.
    let (done, hold) = std::sync::mpsc::channel::<()>();
    let hold = Arc::new(std::sync::Mutex::new(hold));
    let idle: Vec<_> = (0..3)
        .map(|_| {
            let (store, hold) = (Arc::clone(&store), Arc::clone(&hold));
            std::thread::spawn(move || {
                assert_eq!(version_of(&store, 1), None);
                let _ = hold.lock().unwrap().recv();
            })
        })
        .collect();
    let mut id = 0;
    while store.stats().wal_bytes < 80 << 20 && id < 400_000 {
        let rows = (0..5000)
            .map(|_| {
                id += 1;
                user(id, 1)
            })
            .collect();
        let batch = LoadBatch { entity: USERS, rows, on_conflict: OnConflict::Fail, remember: None, more: false };
        wait(store.load(batch)).unwrap();
        assert!(version_of(&store, id).is_some());
    }
    assert!(store.stats().wal_bytes < 80 << 20, "{:?}", store.stats());
    assert!(store.stats().checkpoints > 0);
    drop(done);
    for thread in idle {
        thread.join().unwrap();
    }
}

#[test]
fn a_stopped_store_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = open(directory.path());
    let last = store.run(insert(1, 1));
    store.stop();
    wait(last).unwrap();
    assert_eq!(wait(store.run(insert(2, 1))).unwrap_err().reason(), "STOPPED");
    assert_eq!(store.shared().readers.count(), 0);
}

#[test]
fn a_store_whose_last_owner_is_a_program_stops_in_order() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = open(directory.path());
    let (go, gate) = std::sync::mpsc::channel::<()>();
    let owner = Arc::clone(&store);
    drop(store.run(work(|_| Ok(kept()))));
    let reply = store.run(work(move |tx| {
        gate.recv().unwrap();
        let _ = owner.position();
        put(tx, &user(1, 1)).map(|_| kept())
    }));
    drop(store);
    go.send(()).unwrap();
    wait(reply).unwrap();
    let started = std::time::Instant::now();
    let database = loop {
        match Database::open(&OpenOptions::new(directory.path())) {
            Ok(database) => break database,
            Err(error) => assert_eq!(error.reason(), "DATA_IN_USE"),
        }
        assert!(started.elapsed().as_secs() < 10, "the file is still in use");
        std::thread::yield_now();
    };
    assert!(!database.crashed(), "the writer ended in order");
}

#[test]
fn a_scan_that_takes_too_long_is_given_up_and_leaves_the_connection_usable() {
    let directory = tempfile::tempdir().unwrap();
    let (store, _) = open(directory.path());
    let rows = (0..20_000).map(|id| user(id, 1)).collect();
    let batch = LoadBatch { entity: USERS, rows, on_conflict: OnConflict::Fail, remember: None, more: false };
    wait(store.load(batch)).unwrap();
    let nothing = Filter::Column { column: ColumnId(2), compare: Compare::Equal, value: Value::Uint(1) };
    let mut scan = scan_all(&[(0, false)], 10);
    (scan.filter, scan.deadline) = (Some(Arc::new(nothing)), Some(std::time::Instant::now()));
    for _ in 0..3 {
        let error = store.scan(&scan, &SERVER).try_now().ok().unwrap().unwrap_err();
        assert_eq!((error.code(), error.reason()), (Code::DeadlineExceeded, "DEADLINE_EXCEEDED"));
        assert_eq!(store.count(&scan, &SERVER).try_now().ok().unwrap().unwrap_err().code(), Code::DeadlineExceeded);
        assert_eq!(version_of(&store, 1), Some(1));
    }
    scan.deadline = None;
    assert_eq!(store.count(&scan, &SERVER).try_now().ok().unwrap().unwrap(), 0);
    wait(store.run(insert(99_999, 7))).unwrap();
    assert_eq!(version_of(&store, 99_999), Some(7));
}
