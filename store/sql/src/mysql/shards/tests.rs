//! Plans and rows in keyspaces of two shards.

use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rowkeep_engine::{LoadBatch, LoadOutcome, OnConflict, Rows};
use rowkeep_mysql::Connection;
use rowkeep_record::{Codecs, Value};
use rowkeep_schema::{EntityId, Schema, Storage};
use testkit::Vitess;

use super::check;
use crate::mysql::{Database, MySqlStore, Options, meta};
use crate::testing::{Table, row, schema, table, wait};
use crate::{Allow, Plan};

/// One for each test.
const KEYSPACES: u32 = 8;

fn gateway() -> &'static Vitess {
    static GATEWAY: OnceLock<Vitess> = OnceLock::new();
    GATEWAY.get_or_init(|| Vitess::start(0, KEYSPACES))
}

fn users() -> Table {
    table("users")
        .column("id", Storage::Int64)
        .counted()
        .column("email", Storage::Text)
        .column("city", Storage::Text)
        .nullable()
        .unique(&["email"])
        .index(&["city"])
}

/// A keyspace of its own.
struct Given {
    options: Options,
    runtime: tokio::runtime::Runtime,
}

impl Given {
    fn new() -> Self {
        static KEYSPACE: AtomicU32 = AtomicU32::new(1);
        let name = format!("test_sharded_{}", KEYSPACE.fetch_add(1, Ordering::Relaxed));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Self { options: Options::new(gateway().url_of(&name).parse().unwrap()), runtime }
    }

    fn open(&self) -> Database {
        Database::open(&self.options).unwrap()
    }

    fn run(&self, sql: &str) -> Vec<String> {
        self.runtime.block_on(async {
            let mut connection = Connection::open(&self.options.address).await.unwrap();
            let rows = connection.query(sql).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
            rows.into_iter().map(|row| row.into_iter().flatten().collect::<Vec<_>>().join(" ")).collect()
        })
    }

    fn plan(&self, schema: &Schema) -> Plan {
        self.open().plan(schema).unwrap()
    }

    fn apply(&self, schema: &Schema) -> Plan {
        let database = self.open();
        let plan = database.plan(schema).unwrap();
        database.apply(&plan, schema, b"new", &Allow::default()).unwrap();
        let rest = database.plan(schema).unwrap();
        assert!(rest.is_empty() && rest.drift.is_empty(), "{rest}");
        plan
    }

    fn refusals(&self, schema: &Schema) -> String {
        let plan = self.plan(schema);
        plan.steps.iter().flat_map(|step| step.refused.clone()).collect::<Vec<_>>().join("\n")
    }

    fn start(&self, schema: &Arc<Schema>) -> Arc<MySqlStore> {
        MySqlStore::start(self.open(), Arc::clone(schema), Arc::new(Codecs::new(schema))).unwrap()
    }
}

fn whats(plan: &Plan) -> Vec<&str> {
    plan.steps.iter().map(|step| step.what.as_str()).collect()
}

fn load(store: &MySqlStore, rows: &[Vec<Value>], on_conflict: OnConflict) -> LoadOutcome {
    let rows = rows.iter().map(|values| row(1, values.clone())).collect();
    let batch = LoadBatch { entity: EntityId(0), rows, on_conflict, remember: None, more: false };
    wait(store.load(batch)).unwrap()
}

fn text(text: &str) -> Value {
    Value::Text(text.into())
}

#[test]
#[ignore = "needs Vitess, which takes minutes to build"]
fn tables_are_made_with_their_place_and_need_nothing_more() {
    let given = Given::new();
    let plan = given.apply(&schema(&[users()]));
    assert_eq!(whats(&plan), ["create table users", "keep the values of users(email) unique over all shards"]);
    let sql = plan.steps[0].sql.join("\n");
    assert!(sql.ends_with("ALTER VSCHEMA ON `users` ADD VINDEX rowkeep_hash(`id`) USING xxhash"), "{sql}");
    assert!(!sql.contains("AUTO_INCREMENT"), "{sql}");
    // A new column is known to the gateway by the time that an apply ends.
    let wider = schema(&[users().column("nick", Storage::Text).nullable()]);
    let plan = given.apply(&wider);
    assert_eq!(whats(&plan), ["add column users.nick"]);
    given.run("INSERT INTO users (id, email, nick, rowkeep_version) VALUES (1, 'a@x', 'n', 1)");
    assert_eq!(given.run("SELECT nick FROM users"), ["n"]);
}

#[test]
#[ignore = "needs Vitess, which takes minutes to build"]
fn what_would_move_rows_or_lose_what_is_taken_is_refused() {
    let given = Given::new();
    let made = schema(&[users()]);
    given.apply(&made);
    let renamed = schema(&[users().named("people").table_formerly("users")]);
    assert!(
        given.refusals(&renamed).contains("people is spread over shards under its name"),
        "{}",
        given.refusals(&renamed)
    );
    let other_key = schema(&[users().key(&["id", "email"])]);
    assert!(given.refusals(&other_key).contains("the key of users decides where its rows lie"));
    let store = given.start(&made);
    load(&store, &[vec![Value::Int(1), text("a@x"), text("Oslo")]], OnConflict::Fail);
    store.stop();
    let stricter = schema(&[users().unique(&["city"])]);
    let refused = given.refusals(&stricter);
    assert!(refused.contains("the table has rows, or is somebody else's"), "{refused}");
    let database = given.open();
    let plan = database.plan(&stricter).unwrap();
    let error = database.apply(&plan, &stricter, b"new", &Allow::default()).unwrap_err();
    assert_eq!(error.reason(), "MIGRATION_NEEDS_CONSENT");
    drop(database);
    given.run("DELETE FROM users");
    let plan = given.apply(&stricter);
    assert!(whats(&plan).contains(&"keep the values of users(city) unique over all shards"), "{plan}");
    // Values of an index that is gone are not kept.
    let dropped = given.apply(&made);
    assert!(whats(&dropped).iter().any(|what| what.starts_with("drop rowkeep_unique_")), "{dropped}");
}

#[test]
#[ignore = "needs Vitess, which takes minutes to build"]
fn a_migration_that_was_broken_off_is_finished_by_the_next() {
    let given = Given::new();
    let database = given.open();
    let wanted = schema(&[users()]);
    let first = database.plan(&wanted).unwrap().steps[0].sql[0].clone();
    database.background.wait(async {
        let mut control = database.control.lock().await;
        meta::set(&mut control, meta::MIGRATING, b"new").await.unwrap();
        control.command(&first).await.unwrap();
    });
    drop(database);
    let plan = given.apply(&wanted);
    assert_eq!(
        whats(&plan),
        ["spread users over the shards", "keep the values of users(email) unique over all shards"]
    );
    // The gateway takes what makes it write down again what it forgot.
    super::layout::TOUCH.iter().for_each(|sql| drop(given.run(sql)));
    assert!(given.plan(&wanted).is_empty());
}

#[test]
#[ignore = "needs Vitess, which takes minutes to build"]
fn of_instances_that_start_together_one_migrates() {
    let given = Given::new();
    let wanted = schema(&[users()]);
    let steps = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for _ in 0..5 {
            scope.spawn(|| {
                let database = given.open();
                let plan = database.plan(&wanted).unwrap();
                steps.fetch_add(u32::try_from(plan.steps.len()).unwrap(), Ordering::Relaxed);
                database.apply(&plan, &wanted, b"new", &Allow::default()).unwrap();
            });
        }
    });
    assert_eq!(steps.into_inner(), 2);
}

#[test]
#[ignore = "needs Vitess, which takes minutes to build"]
fn tables_of_others_are_taken_only_with_what_can_be_kept() {
    let given = Given::new();
    let plain = |name| table(name).column("id", Storage::Int64).column("tag", Storage::Text);
    for name in ["known", "unknown", "elsewhere", "strict", "counted"] {
        given.run(&format!(
            "CREATE TABLE {name} (id BIGINT PRIMARY KEY, tag VARCHAR(255) COLLATE utf8mb4_0900_bin NOT NULL, \
             rowkeep_version BIGINT NOT NULL, UNIQUE KEY {name}_tag (tag))"
        ));
        let column = if name == "elsewhere" { "tag" } else { "id" };
        if name != "unknown" {
            given.run(&format!("ALTER VSCHEMA ON {name} ADD VINDEX theirs({column}) USING xxhash"));
        }
    }
    let refused = |table: Table| given.refusals(&schema(&[table]));
    assert_eq!(refused(plain("known").index(&["tag"]).named("known")).as_str(), "");
    assert!(refused(plain("unknown")).contains("the gateway does not know where its rows lie"));
    assert!(refused(plain("elsewhere")).contains("its rows lie where (tag) says"));
    assert!(refused(plain("strict").unique(&["tag"])).contains("is somebody else's"));
    let counted = table("counted").column("id", Storage::Int64).counted().column("tag", Storage::Text);
    assert!(refused(counted).contains("is counted by its owner's sequence"));
}

#[test]
#[ignore = "needs Vitess, which takes minutes to build"]
fn values_are_taken_over_all_shards_and_let_go_of_with_their_rows() {
    let given = Given::new();
    let codes = table("codes")
        .column("id", Storage::Int64)
        .column("code", Storage::Text)
        .nullable()
        .column("ends", Storage::Timestamp)
        .unique(&["code"])
        .expire("ends");
    let made = schema(&[codes]);
    given.apply(&made);
    let store = given.start(&made);
    let code = |id: i64, code: Value, ends: i64| vec![Value::Int(id), code, Value::Int(ends)];
    let rows: Vec<Vec<Value>> = (1..=20).map(|id| code(id, text(&format!("c{}", id % 10)), 1_000_000)).collect();
    let outcome = load(&store, &rows, OnConflict::Skip);
    assert_eq!((outcome.stored, outcome.conflicts.len()), (10, 10));
    assert!(outcome.conflicts.iter().all(|(at, index)| *at >= 10 && *index == Some(0)), "{outcome:?}");
    let spread = given.run("SELECT COUNT(*) FROM codes");
    assert_eq!(spread, ["10"]);
    let taken = given.run("SHOW TABLES LIKE 'rowkeep\\_unique\\_%'").remove(0);
    let count = || given.run(&format!("SELECT COUNT(*) FROM {taken}")).remove(0);
    assert_eq!(count(), "10");
    // One that clashes in its value leaves neither row nor value; absent values take none.
    assert_eq!(load(&store, &[code(90, Value::Null, 0), code(91, Value::Null, 0)], OnConflict::Fail).stored, 2);
    // Replaced, a row lets go of what it had.
    assert_eq!(load(&store, &[code(1, text("new"), 1_000_000)], OnConflict::Replace).stored, 1);
    assert_eq!(load(&store, &[code(50, text("c1"), 0)], OnConflict::Fail).stored, 1);
    assert_eq!(count(), "11");
    let mut swept = 0;
    loop {
        match wait(store.sweep(2_000_000)).unwrap() {
            0 => break,
            some => swept += some,
        }
    }
    assert_eq!(swept, 10);
    assert_eq!((count().as_str(), given.run("SELECT COUNT(*) FROM codes").as_slice()), ("1", &["3".to_owned()][..]));
    assert_eq!(load(&store, &[code(2, text("c2"), 0)], OnConflict::Fail).stored, 1);
    store.stop();
}

#[test]
#[ignore = "needs Vitess, which takes minutes to build"]
fn a_load_is_of_as_many_rows_as_a_transaction_takes() {
    let given = Given::new();
    let made = schema(&[users()]);
    given.apply(&made);
    let store = given.start(&made);
    let most = i64::try_from(store.capabilities().load_rows).unwrap();
    let rows: Vec<Vec<Value>> = (0..most).map(|at| vec![Value::Null, text(&format!("{at}@x")), text("Oslo")]).collect();
    let began = Instant::now();
    assert_eq!(load(&store, &rows, OnConflict::Fail).stored, rows.len() as u64);
    assert!(began.elapsed() < Duration::from_secs(15), "half of what a tablet allows: {:?}", began.elapsed());
    assert_eq!(given.run("SELECT COUNT(*), MAX(id) FROM users"), [format!("{most} {most}")]);
    store.stop();
}

#[test]
#[ignore = "needs Vitess, which takes minutes to build"]
fn numbers_that_others_gave_are_passed() {
    let given = Given::new();
    let made = schema(&[users()]);
    given.apply(&made);
    let store = given.start(&made);
    let new = |email: &str| vec![Value::Null, text(email), Value::Null];
    assert_eq!(load(&store, &[new("a"), new("b")], OnConflict::Fail).stored, 2);
    assert_eq!(given.run("SELECT id FROM users ORDER BY id"), ["1", "2"]);
    given.run("INSERT INTO users (id, email, rowkeep_version) VALUES (3, 'x', 1), (40, 'y', 1)");
    assert_eq!(load(&store, &[new("c")], OnConflict::Fail).stored, 1);
    assert_eq!(given.run("SELECT id FROM users WHERE email = 'c'"), ["41"]);
    store.stop();
}

#[test]
#[ignore = "needs Vitess, which takes minutes to build"]
fn a_user_who_may_not_place_tables_is_told_so() {
    let vitess = Vitess::start_with(0, 1, &["--vschema-ddl-authorized-users=nobody"]);
    let error = Database::open(&Options::new(vitess.url_of("test_sharded_1").parse().unwrap())).unwrap_err();
    assert_eq!(error.reason(), "VSCHEMA_DENIED", "{error}");
}

#[test]
fn a_key_that_can_be_spelled_in_several_ways_places_no_row() {
    let times = table("events").column("at", Storage::Timestamp).column("name", Storage::Text);
    let error = check(&schema(std::slice::from_ref(&times))).unwrap_err();
    assert_eq!(error.reason(), "SHARDS_UNSUPPORTED");
    assert!(error.message().contains("the key (at) has none"), "{}", error.message());
    check(&schema(&[times.key(&["at", "name"])])).unwrap();
}
