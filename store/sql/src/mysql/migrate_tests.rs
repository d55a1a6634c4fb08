//! Migrations on a real MariaDB and MySQL: in place, refused, drifted, broken off, by many at once.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rowkeep_mysql::Connection;
use rowkeep_schema::{Schema, Storage};
use testkit::{DatabaseServer, Product};

use super::{Database, Options, meta, preview};
use crate::testing::{Table, schema, table};
use crate::{Allow, Plan};

testkit::on_both_products! {
    an_applied_schema_needs_nothing_more
    looking_makes_nothing
    rows_that_exist_get_an_empty_list
    the_server_itself_says_how_a_change_is_made
    what_loses_data_needs_a_flag_and_what_rewrites_the_table_says_so
    values_that_do_not_fit_are_shown
    a_unique_index_with_duplicates_is_refused
    what_somebody_else_changed_is_reported_and_kept
    a_migration_that_was_broken_off_is_finished_by_the_next
    of_ten_instances_that_start_together_one_migrates
    a_migration_gives_way_to_transactions_and_then_goes_on
}

/// The same behind Vitess's gateway, each in a keyspace of its own.
mod vitess {
    use std::sync::OnceLock;

    use testkit::Vitess;

    use super::Place;

    pub(super) fn gateway() -> &'static Vitess {
        static GATEWAY: OnceLock<Vitess> = OnceLock::new();
        GATEWAY.get_or_init(|| Vitess::start(13, 0))
    }

    macro_rules! tests {
        ($($name:ident)*) => { $(
            #[test]
            #[ignore = "needs Vitess, which takes minutes to build"]
            fn $name() {
                super::$name(Place::Vitess);
            }
        )* };
    }

    tests! {
        an_applied_schema_needs_nothing_more
        looking_makes_nothing
        rows_that_exist_get_an_empty_list
        the_server_itself_says_how_a_change_is_made
        what_loses_data_needs_a_flag_and_what_rewrites_the_table_says_so
        values_that_do_not_fit_are_shown
        a_unique_index_with_duplicates_is_refused
        what_somebody_else_changed_is_reported_and_kept
        a_migration_that_was_broken_off_is_finished_by_the_next
        of_ten_instances_that_start_together_one_migrates
        a_migration_gives_way_to_transactions_and_then_goes_on
    }
}

#[test]
#[ignore = "needs Vitess, which takes minutes to build"]
fn a_table_that_takes_long_to_change_is_left_to_the_gateways_own_migrations() {
    let given = Given::new(Place::Vitess, "(1, 'a@x', 30, 'Oslo', 1)");
    for _ in 0..14 {
        given.run("INSERT INTO users (email, age, city, rowkeep_version) SELECT UUID(), age, city, 1 FROM users");
    }
    given.run("ANALYZE TABLE users");
    let plan = given.plan(&schema(&[users().column("nick", Storage::Text).index(&["age"])]));
    assert!(plan.steps[0].refused.is_empty(), "{plan}");
    let refused = plan.steps[1].refused.join("\n");
    assert!(refused.contains("SET @@ddl_strategy = 'vitess'; ALTER TABLE `users` ADD KEY"), "{refused}");
}

#[test]
#[ignore = "needs Vitess, which takes minutes to build"]
fn keys_that_are_longer_than_what_is_sorted_by_are_refused() {
    let given = Given::new(Place::Vitess, "");
    let long = users().column("path", Storage::Text).at_most(300).index(&["path"]);
    let error = given.open().plan(&schema(&[long])).unwrap_err();
    assert_eq!(error.reason(), "SORTED_TOO_SHORT");
    assert!(error.message().contains("set max_sort_length = 1200"), "{}", error.message());
}

/// Where the tables are.
#[derive(Clone, Copy)]
enum Place {
    Server(Product),
    Vitess,
}

impl From<Product> for Place {
    fn from(product: Product) -> Self {
        Self::Server(product)
    }
}

fn users() -> Table {
    table("users")
        .column("id", Storage::Int64)
        .counted()
        .column("email", Storage::Text)
        .column("age", Storage::Int64)
        .column("city", Storage::Text)
        .nullable()
        .unique(&["email"])
        .index(&["city", "age"])
}

/// A database of its own, with the users table.
struct Given {
    options: Options,
    /// Of somebody else.
    other: Options,
    runtime: tokio::runtime::Runtime,
}

impl Given {
    fn new(place: Place, rows: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(1);
        static KEYSPACE: AtomicU32 = AtomicU32::new(1);
        let number = if matches!(place, Place::Vitess) { &KEYSPACE } else { &NUMBER };
        let name = format!("test_{}", number.fetch_add(1, Ordering::Relaxed));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let options = |url: String| Options::new(url.parse().unwrap());
        let (least, other) = match place {
            Place::Server(product) => {
                let server = DatabaseServer::shared(product);
                (server.least_url_of(&name), server.url_of(&name))
            }
            // Users are the gateway's.
            Place::Vitess => (vitess::gateway().url_of(&name), vitess::gateway().url_of(&name)),
        };
        let given = Self { options: options(least), other: options(other), runtime };
        if let Place::Server(product) = place {
            let base = options(DatabaseServer::shared(product).url());
            given.run_at(&base, &format!("CREATE DATABASE {name} CHARACTER SET utf8mb4"));
        }
        let (schema, database) = (schema(&[users()]), given.open());
        database.apply(&database.plan(&schema).unwrap(), &schema, b"snapshot", &Allow::default()).unwrap();
        if !rows.is_empty() {
            given.run(&format!("INSERT INTO users VALUES {rows}"));
            given.run("ANALYZE TABLE users");
        }
        given
    }

    fn open(&self) -> Database {
        Database::open(&self.options).unwrap()
    }

    /// Runs a statement as somebody else would; the values it answers, row by row.
    fn run(&self, sql: &str) -> Vec<String> {
        self.run_at(&self.other, sql)
    }

    fn run_at(&self, options: &Options, sql: &str) -> Vec<String> {
        self.runtime.block_on(async {
            let mut connection = Connection::open(&options.address).await.unwrap();
            let rows = connection.query(sql).await.unwrap();
            let show = |row: Vec<Option<String>>| {
                row.into_iter().map(|v| v.unwrap_or_else(|| "NULL".into())).collect::<Vec<_>>().join(" ")
            };
            rows.into_iter().map(show).collect()
        })
    }

    fn plan(&self, schema: &Schema) -> Plan {
        self.open().plan(schema).unwrap()
    }

    /// Plans and applies with every flag that is needed.
    fn apply(&self, schema: &Schema) -> Plan {
        let database = self.open();
        let plan = database.plan(schema).unwrap();
        let allow: Allow = flags(&plan).into_iter().collect();
        database.apply(&plan, schema, b"new", &allow).unwrap();
        let rest = database.plan(schema).unwrap();
        assert!(rest.is_empty() && rest.drift.is_empty(), "{rest}");
        plan
    }
}

fn flags(plan: &Plan) -> Vec<&str> {
    plan.steps.iter().flat_map(|step| &step.needs).map(|need| need.flag.as_str()).collect()
}

fn whats(plan: &Plan) -> Vec<String> {
    let what = |step: &crate::Step| format!("{} [{}]", step.what, step.algorithm.as_deref().unwrap_or_default());
    plan.steps.iter().map(what).collect()
}

fn an_applied_schema_needs_nothing_more(place: impl Into<Place>) {
    let given = Given::new(place.into(), "");
    let plan = given.plan(&schema(&[users()]));
    assert_eq!(plan, Plan::default());
    assert_eq!(given.open().applied_schema().unwrap().as_deref(), Some(&b"snapshot"[..]));
}

fn looking_makes_nothing(place: impl Into<Place>) {
    let given = Given::new(place.into(), "");
    given.run("DROP TABLE users, rowkeep_meta, rowkeep_requests");
    let looked = preview(&given.options, &schema(&[users()])).unwrap();
    assert_eq!((looked.plan.steps.len(), looked.applied_schema), (1, None));
    assert!(given.run("SHOW TABLES").is_empty());
}

fn the_server_itself_says_how_a_change_is_made(place: impl Into<Place>) {
    let given = Given::new(place.into(), "(1, 'a@x', 30, 'Oslo', 1)");
    let changed = users().column("nick", Storage::Text).column("score", Storage::Double).nullable().index(&["age"]);
    let plan = given.apply(&schema(&[changed]));
    assert_eq!(
        whats(&plan),
        [
            "add column users.nick [INSTANT]",
            "add column users.score [INSTANT]",
            "create index users_age on users [INPLACE]"
        ]
    );
    assert!(plan.steps.iter().all(|step| !step.rewrites_table));
    assert_eq!(given.run("SELECT email, nick, score FROM users"), ["a@x  NULL"]);
    given.run("INSERT INTO users (email, age, city, rowkeep_version) VALUES ('b@x', 1, NULL, 1)");
    assert_eq!(given.run("SELECT nick FROM users"), ["", ""], "an instance of the schema before leaves it out");
    assert!(given.run("SHOW TABLES LIKE 'rowkeep_trial'").is_empty());
}

fn rows_that_exist_get_an_empty_list(place: impl Into<Place>) {
    let place = place.into();
    let given = Given::new(place, "(1, 'a@x', 30, 'Oslo', 1)");
    let plan = given.apply(&schema(&[users().column("tags", Storage::Json)]));
    assert_eq!(whats(&plan), ["add column users.tags [INSTANT]"]);
    given.run("INSERT INTO users (email, age, city, rowkeep_version) VALUES ('b@x', 1, NULL, 1)");
    let filled = if matches!(place, Place::Server(Product::MySql) | Place::Vitess) { "null" } else { "[]" };
    assert_eq!(given.run("SELECT tags FROM users ORDER BY id"), [filled, "[]"]);
}

fn what_loses_data_needs_a_flag_and_what_rewrites_the_table_says_so(place: impl Into<Place>) {
    let given = Given::new(place.into(), "(1, 'a@x', 30, 'Oslo', 1), (2, 'b@x', 31, NULL, 1)");
    let without_age = table("users")
        .column("id", Storage::Int64)
        .counted()
        .column("email", Storage::Text)
        .column("city", Storage::Text)
        .unique(&["email"]);
    let schema = schema(&[without_age]);
    let database = given.open();
    let plan = database.plan(&schema).unwrap();
    assert_eq!(flags(&plan), ["set-not-null:users.city", "drop-column:users.age"]);
    let refused = database.apply(&plan, &schema, b"new", &Allow::default()).unwrap_err();
    assert_eq!(refused.reason(), "MIGRATION_NEEDS_CONSENT");
    assert_eq!(given.run("SELECT count(age) FROM users"), ["2"], "nothing was done");
    drop(database);
    given.apply(&schema);
    assert_eq!(given.run("SELECT id, city FROM users ORDER BY id"), ["1 Oslo", "2 "]);
}

fn values_that_do_not_fit_are_shown(place: impl Into<Place>) {
    let given = Given::new(place.into(), "(1, 'a@x', 5000000000, 'Oslo', 1)");
    let small = table("users")
        .column("id", Storage::Int64)
        .counted()
        .column("email", Storage::Text)
        .column("age", Storage::Int32)
        .column("city", Storage::Text)
        .nullable()
        .unique(&["email"])
        .index(&["city", "age"]);
    let plan = given.plan(&schema(std::slice::from_ref(&small)));
    let refused: Vec<_> = plan.steps.iter().flat_map(|step| &step.refused).collect();
    assert_eq!(refused, ["users.age: values do not fit: 5000000000"]);
    given.run("UPDATE users SET age = 50");
    let plan = given.apply(&schema(&[small]));
    assert_eq!(whats(&plan), ["change type of users.age [COPY, writes wait]"]);
    assert!(plan.steps[0].rewrites_table);
    assert_eq!(given.run("SELECT age FROM users"), ["50"]);
}

fn a_unique_index_with_duplicates_is_refused(place: impl Into<Place>) {
    let given = Given::new(place.into(), "(1, 'a@x', 30, 'Oslo', 1), (2, 'b@x', 31, 'Oslo', 1)");
    let plan = given.plan(&schema(&[users().unique(&["city"])]));
    let refused: Vec<_> = plan.steps.iter().flat_map(|step| &step.refused).collect();
    assert_eq!(refused, ["the unique index would have duplicates: Oslo (2 rows)"]);
}

fn what_somebody_else_changed_is_reported_and_kept(place: impl Into<Place>) {
    let given = Given::new(place.into(), "");
    given.run("ALTER TABLE users ADD COLUMN theirs INT, DROP INDEX users_city_age");
    let plan = given.plan(&schema(&[users()]));
    let drift: Vec<_> = plan.drift.iter().map(|drift| drift.what.as_str()).collect();
    assert_eq!(drift, ["column theirs was added", "index users_city_age is gone"]);
    assert_eq!(flags(&plan), ["drift:users"]);
    given.apply(&schema(&[users()]));
    assert_eq!(given.run("SELECT count(theirs) FROM users"), ["0"]);
}

fn a_migration_that_was_broken_off_is_finished_by_the_next(place: impl Into<Place>) {
    let given = Given::new(place.into(), "(1, 'a@x', 30, 'Oslo', 1)");
    let wanted = schema(&[users().column("nick", Storage::Text).column("score", Storage::Int64)]);
    let database = given.open();
    database.background.wait(async {
        let mut control = database.control.lock().await;
        meta::set(&mut control, meta::MIGRATING, b"new").await.unwrap();
        control.command("ALTER TABLE users ADD COLUMN nick LONGTEXT NOT NULL DEFAULT ('')").await.unwrap();
    });
    drop(database);
    let plan = given.apply(&wanted);
    assert_eq!(whats(&plan), ["add column users.score [INSTANT]"]);
    assert!(given.run("SELECT 1 FROM rowkeep_meta WHERE name = 'migrating'").is_empty());
}

fn of_ten_instances_that_start_together_one_migrates(place: impl Into<Place>) {
    let given = Given::new(place.into(), "");
    let wanted = schema(&[users().column("nick", Storage::Text)]);
    let steps = AtomicU32::new(0);
    std::thread::scope(|scope| {
        for _ in 0..10 {
            scope.spawn(|| {
                let database = given.open();
                let plan = database.plan(&wanted).unwrap();
                steps.fetch_add(u32::try_from(plan.steps.len()).unwrap(), Ordering::Relaxed);
                database.apply(&plan, &wanted, b"new", &Allow::default()).unwrap();
            });
        }
    });
    assert_eq!(steps.into_inner(), 1);
}

fn a_migration_gives_way_to_transactions_and_then_goes_on(place: impl Into<Place>) {
    let given = Given::new(place.into(), "(1, 'a@x', 30, 'Oslo', 1)");
    let wanted = schema(&[users().column("nick", Storage::Text)]);
    let holder = std::thread::spawn({
        let address = given.options.address.clone();
        move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let mut connection = Connection::open(&address).await.unwrap();
                connection.command("START TRANSACTION").await.unwrap();
                connection.query("SELECT * FROM users").await.unwrap();
                tokio::time::sleep(Duration::from_secs(4)).await;
                connection.command("COMMIT").await.unwrap();
            });
        }
    });
    std::thread::sleep(Duration::from_millis(300));
    let migration = std::thread::spawn({
        let options = given.options.clone();
        move || {
            let database = Database::open(&options).unwrap();
            let plan = database.plan(&wanted).unwrap();
            database.apply(&plan, &wanted, b"new", &Allow::default()).unwrap();
        }
    });
    std::thread::sleep(Duration::from_millis(300));
    // Behind a statement that waits for the table, everything else waits, but never long.
    let mut longest = Duration::ZERO;
    while !migration.is_finished() {
        let started = Instant::now();
        given.run("SELECT count(*) FROM users");
        longest = longest.max(started.elapsed());
    }
    assert!(longest < Duration::from_millis(2600), "{longest:?}");
    holder.join().unwrap();
    migration.join().unwrap();
    assert_eq!(given.run("SELECT nick FROM users"), [""]);
}
