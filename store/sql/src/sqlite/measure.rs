//! What the adapter costs, in CPU time: `cargo test --release -p rowkeep-sql measure -- --ignored --nocapture`.

use std::sync::Arc;
use std::time::Instant;

use rowkeep_engine::{Access, AccessPath, LoadBatch, OnConflict, Outcome, Rows, Scan, Tx};
use rowkeep_record::query::{Compare, Filter};
use rowkeep_record::{Key, Value};
use rowkeep_schema::{ColumnId, EntityId, Storage};

use super::{ChangeOptions, SqliteStore};
use crate::testing::{ALL, SERVER, Table, row, schema, start, start_keeping, table, wait};

const ENTITY: EntityId = EntityId(0);
const ROWS: i64 = 200_000;

/// CPU time of the process in microseconds.
fn cpu() -> f64 {
    let text = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = text.rsplit(')').next().unwrap().split_whitespace().collect();
    let ticks = |at: usize| fields[at].parse::<f64>().unwrap();
    (ticks(11) + ticks(12)) * 10_000.0
}

fn measured(what: &str, count: i64, run: impl FnOnce()) {
    let (started, before) = (Instant::now(), cpu());
    run();
    let each = |total: f64| total / f64::from(i32::try_from(count).unwrap());
    let wall = each(started.elapsed().as_secs_f64() * 1e6);
    println!("{what}: {:.2} us CPU, {wall:.2} us wall, {:.0}/s", each(cpu() - before), 1e6 / wall);
}

fn users() -> Table {
    table("users")
        .column("id", Storage::Int64)
        .column("email", Storage::Text)
        .column("name", Storage::Text)
        .column("city", Storage::Text)
        .column("created_at", Storage::Timestamp)
        .column("updated_at", Storage::Timestamp)
        .column("age", Storage::Int32)
        .column("score", Storage::Double)
        .column("note", Storage::Text)
        .column("token", Storage::Blob)
        .index(&["city", "created_at"])
}

fn user(id: i64) -> Vec<Value> {
    let text = |text: String| Value::Text(text.into());
    vec![
        Value::Int(id),
        text(format!("user{id}@example.com")),
        text(format!("Name {id}")),
        text(format!("City {}", id % 1000)),
        Value::Int(1_700_000_000_000_000 + id),
        Value::Int(1_700_000_000_000_000 + id),
        Value::Int(id % 77),
        Value::Real(f64::from(i32::try_from(id).unwrap()) / 3.0),
        text("a longer note, so that a row has about two hundred bytes on the wire, as in the benchmark".to_owned()),
        Value::Blob(Box::new([7; 16])),
    ]
}

/// As wide as a flight: 19 columns, about 100 bytes.
fn flights() -> Table {
    let mut flights = table("flights").column("id", Storage::Int64);
    for name in ["year", "month", "day", "dep_time", "sched", "delay", "arr", "sched_arr", "arr_delay", "flight"] {
        flights = flights.column(name, Storage::Int32).nullable();
    }
    for name in ["carrier", "tailnum", "origin", "dest"] {
        flights = flights.column(name, Storage::Text);
    }
    for name in ["air_time", "distance", "hour", "hour_at"] {
        flights = flights.column(name, Storage::Int64).nullable();
    }
    flights.index(&["tailnum", "hour_at"]).index(&["carrier", "hour_at"])
}

fn flight(id: i64) -> Vec<Value> {
    let text = |text: String| Value::Text(text.into());
    let mut values = vec![Value::Int(id)];
    values.extend((0..10).map(|at| Value::Int((id * 7 + at * 13) % 2400)));
    values.extend([text("UA".into()), text(format!("N{}", id % 4000)), text("JFK".into()), text("LAX".into())]);
    values.extend([id % 600, id % 5000, id % 24, 1_357_000_000_000_000 + id / 40 * 3_600_000_000].map(Value::Int));
    values
}

fn load(store: &SqliteStore, make: fn(i64) -> Vec<Value>, size: i64) {
    for start in (0..ROWS).step_by(usize::try_from(size).unwrap()) {
        let rows = (start..(start + size).min(ROWS)).map(|id| row(1, make(id))).collect();
        let batch = LoadBatch { entity: ENTITY, rows, on_conflict: OnConflict::Fail, remember: None, more: false };
        wait(store.load(batch)).unwrap();
    }
}

#[test]
#[ignore = "a measurement"]
fn measure() {
    let directory = tempfile::tempdir_in(std::env::var("MEASURE_IN").unwrap_or("/tmp".to_owned())).unwrap();
    let store = start(directory.path(), &schema(&[users()]));
    measured("load user rows, one index", ROWS, || load(&store, user, 5000));
    println!("{:?}", store.stats());
    let mut seed = 12345_i64;
    let mut next = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 20).rem_euclid(ROWS)
    };
    let get = |id: i64| store.get(ENTITY, &Key::one(Value::Int(id)), ALL, &SERVER).try_now().ok().unwrap().unwrap();
    println!("a row is {} bytes", get(17).unwrap().wire().len());
    measured("get", 1_000_000, || (0..1_000_000).for_each(|_| assert!(get(next()).is_some())));
    let missing = Key::one(Value::Int(-1));
    measured("get of nothing", 1_000_000, || {
        (0..1_000_000).for_each(|_| {
            assert!(store.get(ENTITY, &missing, ALL, &SERVER).try_now().ok().unwrap().unwrap().is_none())
        });
    });
    let keys: Vec<Key> = (0..100).map(|_| Key::one(Value::Int(next()))).collect();
    measured("get_many of 100, per row", 1_000_000, || {
        (0..10_000).for_each(|_| {
            assert_eq!(store.get_many(ENTITY, &keys, ALL, &SERVER).try_now().ok().unwrap().unwrap().len(), 100)
        });
    });
    let scan = |city: String| Scan {
        entity: ENTITY,
        filter: Some(Arc::new(Filter::Column {
            column: ColumnId(3),
            compare: Compare::Equal,
            value: Value::Text(city.into()),
        })),
        order: Arc::new(vec![(ColumnId(4), false), (ColumnId(0), false)]),
        after: None,
        limit: 20,
        max_bytes: usize::MAX,
        access: Access { path: AccessPath::Index(0), bound: 1, sorted: true, backward: false },
        view: ALL,
        deadline: None,
    };
    let scans: Vec<Scan> = (0..1000).map(|at| scan(format!("City {at}"))).collect();
    measured("list of 20 by index", 50_000, || {
        for at in 0..50_000 {
            let found = store.scan(&scans[at % 1000], &SERVER).try_now().ok().unwrap().unwrap();
            assert_eq!(found.len(), 20);
        }
    });
    for clients in [1, 8, 64] {
        writes(&store, clients, 20_000 / 64);
    }
    drop(store);
    let directory = tempfile::tempdir_in("/tmp").unwrap();
    let store = start(directory.path(), &schema(&[flights()]));
    measured("load flights, two indexes", ROWS, || load(&store, flight, 5000));
    println!("{:?}", store.stats());
}

/// What the log of changes costs, alternating with none.
#[test]
#[ignore = "a measurement"]
fn measure_changes() {
    let without = ChangeOptions { max_bytes: 0, ..ChangeOptions::default() };
    for round in 0..3 {
        for (what, changes) in [("with the log", ChangeOptions::default()), ("without", without)] {
            println!("round {round}, {what}");
            let directory = tempfile::tempdir_in(std::env::var("MEASURE_IN").unwrap_or("/tmp".to_owned())).unwrap();
            let store = start_keeping(directory.path(), &schema(&[users()]), changes);
            // Ticks of the CPU's time are coarse: many commits each.
            for (clients, each) in [(1, 4000), (64, 1000)] {
                writes(&store, clients, each);
            }
            println!("   wal {} KiB", store.stats().wal_bytes >> 10);
            measured("load user rows, one index", ROWS, || load(&store, user, 5000));
        }
    }
}

fn writes(store: &Arc<SqliteStore>, clients: i64, each: i64) {
    let before = store.stats();
    let count = clients * each;
    measured(&format!("durable create, {clients} clients"), count, || {
        let threads = (0..clients).map(|client| {
            let store = Arc::clone(store);
            std::thread::spawn(move || {
                for at in 0..each {
                    let mut values = user(at);
                    values[0] = Value::Int(1_000_000_000 + clients * 10_000_000 + client * 100_000 + at);
                    let row = row(2, values);
                    let work: super::writer::Work = Box::new(move |tx| {
                        assert!(tx.insert(ENTITY, &row).try_now().ok().unwrap().is_ok());
                        std::task::Poll::Ready(Ok(Outcome {
                            results: Vec::new(),
                            replayed: false,
                            keep: true,
                            position: None,
                        }))
                    });
                    wait(store.run(work)).unwrap();
                }
            })
        });
        threads.collect::<Vec<_>>().into_iter().for_each(|thread| thread.join().unwrap());
    });
    let after = store.stats();
    println!("   {} commits", after.commits - before.commits);
}
