//! What of the log outlives what: runs, crashes, its bounds, copies and schemas.

use std::path::Path;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use kit_core::{Code, Error};
use rowkeep_engine::{ChangeStream, Changes, LoadBatch, OnConflict, Outcome, Place, Rows, Since, Stored, Told, Tx};
use rowkeep_record::{Key, Value};
use rowkeep_schema::{EntityId, Schema, Storage};

use super::ChangeOptions;
use crate::sqlite::tx::SqliteTx;
use crate::sqlite::writer::Work;
use crate::sqlite::{Database, FILE_NAME, OpenOptions, SqliteStore, backup};
use crate::testing::{row, schema, start, start_keeping, table, wait};

const NOTES: EntityId = EntityId(0);

fn notes() -> Arc<Schema> {
    schema(&[table("notes").column("id", Storage::Int64).column("text", Storage::Text)])
}

fn note(id: i64, text: &str) -> Stored {
    row(u64::try_from(id).unwrap(), vec![Value::Int(id), Value::Text(text.into())])
}

fn write(store: &SqliteStore, id: i64, text: &str) {
    let row = note(id, text);
    let work: Work = Box::new(move |tx: &mut SqliteTx<'_>| {
        assert!(tx.insert(NOTES, &row).try_now().ok().unwrap().is_ok());
        Poll::Ready(Ok(Outcome { results: Vec::new(), replayed: false, keep: true, position: None }))
    });
    wait(store.run(work)).unwrap();
}

fn follow(store: &SqliteStore, since: Since) -> Result<Box<dyn ChangeStream>, Error> {
    wait(store.changes().unwrap().follow(since))
}

fn next(stream: &mut Box<dyn ChangeStream>) -> Result<Vec<Told>, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(Duration::from_secs(20), stream.next()).await }).unwrap()
}

/// Ids of the rows that are told until all is told, and the place behind them.
fn told(stream: &mut Box<dyn ChangeStream>) -> (Vec<i64>, Place) {
    let mut ids = Vec::new();
    loop {
        for told in next(stream).unwrap() {
            match told {
                Told::Commit(commit) => ids.extend(commit.changes.iter().map(|change| {
                    match change.after.as_ref().or(change.before.as_ref()).unwrap().values[0] {
                        Value::Int(id) => id,
                        ref other => panic!("{other:?}"),
                    }
                })),
                Told::Current { place, .. } => return (ids, place),
                Told::Begin(_) => {}
                Told::Rewritten { .. } => panic!("rows are told one by one"),
            }
        }
    }
}

fn is_lost(store: &SqliteStore, place: &Place) -> bool {
    match follow(store, Since::Place(place.clone())) {
        Ok(_) => false,
        Err(error) => {
            assert_eq!((error.code(), error.reason()), (Code::DataLoss, "CHANGES_LOST"));
            true
        }
    }
}

/// What a killed process leaves.
fn crashed_copy(directory: &Path) -> tempfile::TempDir {
    let copy = tempfile::tempdir().unwrap();
    for name in [FILE_NAME.to_owned(), format!("{FILE_NAME}-wal")] {
        if let Err(error) = std::fs::copy(directory.join(&name), copy.path().join(&name)) {
            assert_eq!(error.kind(), std::io::ErrorKind::NotFound);
        }
    }
    copy
}

#[test]
fn a_follower_goes_on_over_stops_and_crashes_and_no_number_comes_again() {
    let (directory, schema) = (tempfile::tempdir().unwrap(), notes());
    let store = start(directory.path(), &schema);
    let mut stream = follow(&store, Since::Now).unwrap();
    write(&store, 1, "a");
    write(&store, 2, "b");
    let (ids, place) = told(&mut stream);
    assert_eq!(ids, [1, 2]);
    write(&store, 3, "c");
    let killed = crashed_copy(directory.path());
    drop(stream);
    store.stop();
    for directory in [directory.path(), killed.path()] {
        let store = start(directory, &schema);
        write(&store, 4, "d");
        let (ids, last) = told(&mut follow(&store, Since::Place(place.clone())).unwrap());
        assert_eq!(ids, [3, 4]);
        assert!(last.point.number > place.point.number + 1000, "counted on from a start of its own");
        store.stop();
    }
}

#[test]
fn a_stopped_store_ends_its_followers_and_leaves_one_file() {
    let (directory, schema) = (tempfile::tempdir().unwrap(), notes());
    let store = start(directory.path(), &schema);
    let mut stream = follow(&store, Since::Now).unwrap();
    write(&store, 1, "a");
    told(&mut stream);
    let waiting = std::thread::spawn(move || {
        loop {
            if let Err(error) = next(&mut stream) {
                return error;
            }
        }
    });
    store.stop();
    assert_eq!(waiting.join().unwrap().code(), Code::Unavailable);
    let log = directory.path().join(format!("{FILE_NAME}-wal"));
    assert_eq!(std::fs::metadata(log).map_or(0, |log| log.len()), 0);
    assert_eq!(follow(&store, Since::Now).err().unwrap().code(), Code::Unavailable);
}

#[test]
fn the_log_keeps_to_its_size_and_says_what_is_gone() {
    let (directory, schema) = (tempfile::tempdir().unwrap(), notes());
    let changes = ChangeOptions { max_bytes: 100_000, ..ChangeOptions::default() };
    let store = start_keeping(directory.path(), &schema, changes);
    let mut stream = follow(&store, Since::Now).unwrap();
    let mut places = Vec::new();
    for id in 1..=400 {
        write(&store, id, &"x".repeat(1000));
        if id % 50 == 0 {
            let (ids, place) = told(&mut stream);
            assert_eq!(ids.len(), 50);
            places.push(place);
        }
    }
    let lost: Vec<bool> = places.iter().map(|place| is_lost(&store, place)).collect();
    assert!(lost[0] && lost[4] && !lost[7] && lost.is_sorted_by(|one, other| one >= other), "{lost:?}");
    let kept = told(&mut follow(&store, Since::Place(places[6].clone())).unwrap()).0;
    assert_eq!(kept, (351..=400).collect::<Vec<_>>());
    drop(stream);
    store.stop();
    // It is remembered over a restart, and the size is still known.
    let store = start_keeping(directory.path(), &schema, changes);
    assert!(is_lost(&store, &places[0]) && !is_lost(&store, &places[7]));
    let bytes = "SELECT sum(length(changes)) FROM rowkeep_changes";
    let bytes: i64 = store
        .shared()
        .readers
        .read(0, |reader| Ok(reader.connection.query_row(bytes, [], |row| row.get(0)).unwrap()))
        .unwrap();
    assert!((80_000..120_000).contains(&bytes), "{bytes}");
}

#[test]
fn what_is_older_than_the_retention_goes_with_the_next_commits() {
    let (directory, schema) = (tempfile::tempdir().unwrap(), notes());
    let changes = ChangeOptions { retention: Duration::from_millis(20), ..ChangeOptions::default() };
    let store = start_keeping(directory.path(), &schema, changes);
    write(&store, 1, "a");
    let place = told(&mut follow(&store, Since::Now).unwrap()).1;
    write(&store, 2, "b");
    std::thread::sleep(Duration::from_millis(50));
    assert!(!is_lost(&store, &place), "nothing is done for it while nothing is written");
    write(&store, 3, "c");
    write(&store, 4, "d");
    assert!(is_lost(&store, &place));
}

#[test]
fn a_follower_that_is_overtaken_is_told_so() {
    let (directory, schema) = (tempfile::tempdir().unwrap(), notes());
    let changes = ChangeOptions { max_bytes: 10_000, ..ChangeOptions::default() };
    let store = start_keeping(directory.path(), &schema, changes);
    let mut stream = follow(&store, Since::Now).unwrap();
    assert_eq!(next(&mut stream).unwrap().len(), 1);
    (1..100).for_each(|id| write(&store, id, &"x".repeat(1000)));
    assert_eq!(next(&mut stream).unwrap_err().reason(), "CHANGES_LOST");
}

#[test]
fn a_transaction_that_changes_too_much_is_told_by_its_tables() {
    let (directory, schema) = (tempfile::tempdir().unwrap(), notes());
    let store = start(directory.path(), &schema);
    let mut stream = follow(&store, Since::Now).unwrap();
    assert_eq!(next(&mut stream).unwrap().len(), 1);
    let text = "x".repeat(1 << 20);
    let work: Work = Box::new(move |tx: &mut SqliteTx<'_>| {
        for id in 1..12 {
            assert!(tx.insert(NOTES, &note(id, &text)).try_now().ok().unwrap().is_ok());
        }
        Poll::Ready(Ok(Outcome { results: Vec::new(), replayed: false, keep: true, position: None }))
    });
    wait(store.run(work)).unwrap();
    write(&store, 20, "after");
    let mut all = Vec::new();
    while all.len() < 2 {
        all.extend(next(&mut stream).unwrap().into_iter().filter(|told| !matches!(told, Told::Current { .. })));
    }
    assert!(matches!(&all[0], Told::Rewritten { entity: Some(NOTES), more: false, .. }), "{:?}", all[0]);
    assert!(matches!(&all[1], Told::Commit(commit) if commit.changes.len() == 1));
}

#[test]
fn of_all_that_is_told_of_a_commit_only_the_last_item_ends_it() {
    const OTHERS: EntityId = EntityId(1);
    let directory = tempfile::tempdir().unwrap();
    let columns = |name| table(name).column("id", Storage::Int64).column("text", Storage::Text);
    let store = start(directory.path(), &schema(&[columns("notes"), columns("others")]));
    let mut stream = follow(&store, Since::Now).unwrap();
    next(&mut stream).unwrap();
    let text = "x".repeat(1 << 20);
    let work: Work = Box::new(move |tx: &mut SqliteTx<'_>| {
        for id in 1..12 {
            let entity = if id % 2 == 0 { NOTES } else { OTHERS };
            assert!(tx.insert(entity, &note(id, &text)).try_now().ok().unwrap().is_ok());
        }
        Poll::Ready(Ok(Outcome { results: Vec::new(), replayed: false, keep: true, position: None }))
    });
    wait(store.run(work)).unwrap();
    let all = next(&mut stream).unwrap();
    let rewritten: Vec<_> = all
        .iter()
        .filter_map(|told| if let Told::Rewritten { entity, more, .. } = told { Some((*entity, *more)) } else { None })
        .collect();
    assert_eq!(rewritten, [(Some(OTHERS), true), (Some(NOTES), false)], "{all:?}");
}

#[test]
fn a_load_takes_one_row_of_the_log() {
    let (directory, schema) = (tempfile::tempdir().unwrap(), notes());
    let store = start(directory.path(), &schema);
    let rows = (1..5000).map(|id| note(id, "loaded")).collect();
    let batch = LoadBatch { entity: NOTES, rows, on_conflict: OnConflict::Fail, remember: None, more: false };
    assert_eq!(wait(store.load(batch)).unwrap().stored, 4999);
    let size = "SELECT count(*), sum(length(changes)) FROM rowkeep_changes";
    let read = |reader: &crate::sqlite::reader::Reader| {
        Ok(reader.connection.query_row(size, [], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, i64>(1)?))).unwrap())
    };
    let (rows, bytes) = store.shared().readers.read(u64::MAX, read).unwrap();
    assert!(rows == 1 && bytes < 10, "{rows} rows, {bytes} bytes");
}

#[test]
fn a_copy_goes_on_differently_and_another_schema_has_other_columns() {
    let (directory, schema) = (tempfile::tempdir().unwrap(), notes());
    let store = start(directory.path(), &schema);
    let place = told(&mut follow(&store, Since::Now).unwrap()).1;
    write(&store, 1, "a");
    let restored = tempfile::tempdir().unwrap();
    backup(store.path(), &restored.path().join(FILE_NAME), |_, _| {}).unwrap();
    assert!(!is_lost(&store, &place));
    store.stop();
    assert!(is_lost(&start(restored.path(), &schema), &place));
    let wider = table("notes").column("id", Storage::Int64).column("text", Storage::Text);
    let mut wider = Arc::unwrap_or_clone(crate::testing::schema(&[wider.column("mood", Storage::Text)]));
    wider.fingerprint = 77;
    let store = start(directory.path(), &Arc::new(wider));
    assert!(is_lost(&store, &place));
}

#[test]
fn without_a_log_nothing_is_written_to_it_and_a_later_one_begins_anew() {
    let (directory, schema) = (tempfile::tempdir().unwrap(), notes());
    let store = start(directory.path(), &schema);
    let place = told(&mut follow(&store, Since::Now).unwrap()).1;
    store.stop();
    let without = ChangeOptions { max_bytes: 0, ..ChangeOptions::default() };
    let store = start_keeping(directory.path(), &schema, without);
    assert!(store.changes().is_none() && store.capabilities().changes == Changes::None);
    write(&store, 1, "untold");
    store.stop();
    let store = start(directory.path(), &schema);
    assert!(is_lost(&store, &place));
    let mut stream = follow(&store, Since::Now).unwrap();
    write(&store, 2, "told");
    assert_eq!(told(&mut stream).0, [2]);
    let database_is_locked = Database::open(&OpenOptions::new(directory.path())).is_err();
    assert!(database_is_locked);
}

#[test]
fn a_row_is_told_with_what_it_was_however_it_is_written() {
    let (directory, schema) = (tempfile::tempdir().unwrap(), notes());
    let store = start(directory.path(), &schema);
    write(&store, 1, "a");
    let mut stream = follow(&store, Since::Now).unwrap();
    assert_eq!(next(&mut stream).unwrap().len(), 1);
    let key = Key::one(Value::Int(1));
    let work: Work = Box::new(move |tx: &mut SqliteTx<'_>| {
        // Read, written twice, removed without a look, and put back.
        let read = tx.get(NOTES, &key).try_now().ok().unwrap().unwrap().unwrap();
        let changed = [rowkeep_schema::ColumnId(1)];
        for text in ["b", "c"] {
            let row = Stored { values: note(1, text).values, version: read.version + 1, deleted_at: None };
            assert!(tx.update(NOTES, &key, &changed, &row).try_now().ok().unwrap().is_ok());
        }
        assert!(tx.delete(NOTES, &key).try_now().ok().unwrap().unwrap());
        assert!(!tx.delete(NOTES, &key).try_now().ok().unwrap().unwrap());
        assert!(tx.insert(NOTES, &note(1, "d")).try_now().ok().unwrap().is_ok());
        Poll::Ready(Ok(Outcome { results: Vec::new(), replayed: false, keep: true, position: None }))
    });
    wait(store.run(work)).unwrap();
    let Told::Commit(commit) = next(&mut stream).unwrap().remove(0) else { panic!("it is a commit") };
    let text = |row: &Option<Stored>| row.as_ref().map(|row| row.values[1].clone());
    let told: Vec<_> = commit.changes.iter().map(|change| (text(&change.before), text(&change.after))).collect();
    let value = |text: &str| Some(Value::Text(text.into()));
    let expected = [(value("a"), value("b")), (value("b"), value("c")), (value("c"), None), (None, value("d"))];
    assert_eq!(told, expected);
}
