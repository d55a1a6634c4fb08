//! Migrations: in place, rebuilt, refused, drifted, killed.

use rowkeep_schema::{Schema, Storage};

use super::{Database, OpenOptions};
use crate::testing::{Table, migrated, schema, table};
use crate::{Allow, Plan};

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

fn plan(database: &Database, schema: &Schema) -> Plan {
    database.plan(schema).unwrap()
}

fn whats(plan: &Plan) -> Vec<&str> {
    plan.steps.iter().map(|step| step.what.as_str()).collect()
}

fn flags(plan: &Plan) -> Vec<&str> {
    plan.steps.iter().flat_map(|step| &step.needs).map(|need| need.flag.as_str()).collect()
}

/// Plans and applies with every flag that is needed.
fn apply(database: &Database, schema: &Schema) -> Plan {
    let plan = plan(database, schema);
    let allow: Allow = flags(&plan).into_iter().collect();
    database.apply(&plan, schema, b"new", &allow).unwrap();
    assert!(database.plan(schema).unwrap().is_empty(), "{}", database.plan(schema).unwrap());
    plan
}

fn text(database: &Database, sql: &str) -> String {
    let mut statement = database.connection().prepare(sql).unwrap();
    let columns = statement.column_count();
    let rows = statement.query_map([], |row| {
        let value = |at| format!("{:?}", row.get::<_, rusqlite::types::Value>(at).unwrap());
        Ok((0..columns).map(value).collect::<Vec<_>>().join(" "))
    });
    rows.unwrap().map(Result::unwrap).collect::<Vec<_>>().join("; ")
}

struct Given {
    _directory: tempfile::TempDir,
    database: Database,
}

/// A database with the users table and these rows: `(id, email, age, city, version)`.
fn given(rows: &str) -> Given {
    let directory = tempfile::tempdir().unwrap();
    let database = migrated(directory.path(), &schema(&[users()]));
    if !rows.is_empty() {
        database.connection().execute_batch(&format!("INSERT INTO users VALUES {rows}")).unwrap();
    }
    Given { _directory: directory, database }
}

#[test]
fn an_applied_schema_needs_nothing_more() {
    let given = given("");
    let plan = plan(&given.database, &schema(&[users()]));
    assert_eq!(plan, Plan::default());
    assert_eq!(plan.to_string(), "nothing to change\n");
    assert_eq!(given.database.applied_schema().unwrap().as_deref(), Some(&b"snapshot"[..]));
}

#[test]
fn a_plan_shows_its_statements() {
    let directory = tempfile::tempdir().unwrap();
    let database = Database::open(&OpenOptions::new(directory.path())).unwrap();
    let plan = plan(
        &database,
        &schema(&[
            users(),
            table("lines").column("order", Storage::Int64).column("line", Storage::Int32).key(&["order", "line"]),
        ]),
    );
    assert_eq!(
        plan.to_string(),
        r#"1. create table users
     CREATE TABLE "users" (
       "id" INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT,
       "email" TEXT NOT NULL,
       "age" INTEGER NOT NULL,
       "city" TEXT,
       "rowkeep_version" INTEGER NOT NULL
     )
     CREATE UNIQUE INDEX "users_email" ON "users" ("email")
     CREATE INDEX "users_city_age" ON "users" ("city", "age")
2. create table lines
     CREATE TABLE "lines" (
       "order" INTEGER NOT NULL,
       "line" INTEGER NOT NULL,
       "rowkeep_version" INTEGER NOT NULL,
       PRIMARY KEY ("order", "line")
     ) WITHOUT ROWID
"#
    );
    let json = serde_json::to_value(&plan).unwrap();
    assert_eq!(json["steps"][0]["what"], "create table users");
}

#[test]
fn columns_are_added_with_their_zero_and_renamed_and_dropped_with_consent() {
    let given = given("(1, 'a', 7, 'Oslo', 5)");
    let new = table("users")
        .column("id", Storage::Int64)
        .counted()
        .column("mail", Storage::Text)
        .formerly("email")
        .column("city", Storage::Text)
        .nullable()
        .column("big", Storage::Uint64)
        .column("seen", Storage::Timestamp)
        .nullable()
        .column("tags", Storage::Json)
        .unique(&["mail"]);
    let new = schema(&[new]);
    let found = plan(&given.database, &new);
    assert_eq!(flags(&found), ["drop-column:users.age"]);
    let error = given.database.apply(&found, &new, b"", &Allow::default()).unwrap_err();
    assert!(error.message().contains("--allow drop-column:users.age"), "{error}");
    let applied = apply(&given.database, &new);
    assert!(applied.steps.iter().any(|step| step.what == "rename column users.email to mail"));
    assert_eq!(
        text(&given.database, "SELECT id, mail, city, big, seen, tags, rowkeep_version FROM users"),
        "Integer(1) Text(\"a\") Text(\"Oslo\") Integer(-9223372036854775808) Null Text(\"[]\") Integer(5)"
    );
}

#[test]
fn tables_are_renamed_and_dropped_with_consent() {
    let given = given("(1, 'a', 7, 'Oslo', 5)");
    let renamed = schema(&[users().table_formerly("users").named("people")]);
    let applied = apply(&given.database, &renamed);
    assert_eq!(applied.steps[0].what, "rename table users to people");
    assert_eq!(text(&given.database, "SELECT id FROM people"), "Integer(1)");
    let other = schema(&[table("other").column("id", Storage::Int64)]);
    assert_eq!(flags(&plan(&given.database, &other)), ["drop-table:people"]);
    apply(&given.database, &other);
}

#[test]
fn a_type_or_null_change_rebuilds_the_table_and_keeps_its_numbers() {
    let given = given("(1, 'a', 7, 'Oslo', 5), (2, 'b', 8, NULL, 6), (9, 'c', 9, 'x', 7)");
    given.database.connection().execute_batch("DELETE FROM users WHERE id = 9").unwrap();
    let new = table("users")
        .column("id", Storage::Int64)
        .counted()
        .column("email", Storage::Text)
        .column("age", Storage::Uint64)
        .column("city", Storage::Text)
        .unique(&["email"])
        .index(&["city", "age"]);
    let new = schema(&[new]);
    let found = plan(&given.database, &new);
    assert_eq!(flags(&found), ["set-not-null:users.city"]);
    assert!(found.steps[0].rewrites_table && found.steps[0].rows == 2);
    apply(&given.database, &new);
    assert_eq!(
        text(&given.database, "SELECT id, age + 9223372036854775807 + 1, city FROM users ORDER BY id"),
        "Integer(1) Integer(7) Text(\"Oslo\"); Integer(2) Integer(8) Text(\"\")"
    );
    given.database.connection().execute_batch("INSERT INTO users VALUES (NULL, 'd', 1, 'y', 8)").unwrap();
    assert_eq!(text(&given.database, "SELECT max(id) FROM users"), "Integer(10)", "9 was given before");
    assert_eq!(
        text(&given.database, "SELECT count(*) FROM sqlite_schema WHERE name LIKE 'rowkeep_new%'"),
        "Integer(0)"
    );
}

#[test]
fn values_that_do_not_fit_are_shown_and_nothing_is_changed() {
    let given = given("(1, 'a', 7, 'Oslo', 5), (2, 'b', 3000000000, NULL, 6), (3, 'c', -4, 'x', 7)");
    let with_age = |storage| {
        schema(&[table("users")
            .column("id", Storage::Int64)
            .counted()
            .column("email", Storage::Text)
            .column("age", storage)
            .column("city", Storage::Text)
            .nullable()
            .unique(&["email"])
            .index(&["city", "age"])])
    };
    let found = plan(&given.database, &with_age(Storage::Int32));
    assert_eq!(found.steps[0].refused, ["users.age: values do not fit: 3000000000"]);
    assert!(!found.steps[0].rewrites_table, "only a check");
    let error = given.database.apply(&found, &with_age(Storage::Int32), b"", &Allow::default()).unwrap_err();
    assert!(error.message().contains("3000000000"), "{error}");
    let found = plan(&given.database, &with_age(Storage::Uint64));
    assert_eq!(found.steps[0].refused, ["users.age: values do not fit: -4"]);
    let found = plan(&given.database, &with_age(Storage::Timestamp));
    assert!(found.steps[0].refused[0].contains("no exact form"), "{found}");
    assert!(plan(&given.database, &schema(&[users()])).is_empty());
}

#[test]
fn a_unique_index_over_duplicates_is_refused_with_examples() {
    let given = given("(1, 'a', 7, 'Oslo', 5), (2, 'b', 8, 'Oslo', 6), (3, 'c', 8, NULL, 6), (4, 'd', 8, NULL, 6)");
    let found = plan(&given.database, &schema(&[users().unique(&["city"])]));
    assert_eq!(whats(&found), ["create index users_city on users"]);
    assert_eq!(found.steps[0].refused, ["the unique index would have duplicates: city=\"Oslo\" (2 rows)"]);
}

#[test]
fn a_new_key_rebuilds_the_table_if_it_is_one() {
    let given = given("(1, 'a', 7, 'Oslo', 5), (2, 'b', 8, 'Oslo', 6)");
    let keyed = |key: &'static str| {
        schema(&[table("users")
            .column("id", Storage::Int64)
            .column("email", Storage::Text)
            .column("age", Storage::Int64)
            .column("city", Storage::Text)
            .nullable()
            .key(&[key])
            .unique(&["email"])
            .index(&["city", "age"])])
    };
    let found = plan(&given.database, &keyed("city"));
    assert!(found.steps[0].refused[0].contains("primary key would have duplicates"), "{found}");
    apply(&given.database, &keyed("email"));
    assert_eq!(text(&given.database, "SELECT name FROM pragma_table_xinfo('users') WHERE pk > 0"), "Text(\"email\")");
}

#[test]
fn what_somebody_else_changed_is_reported_and_left_alone() {
    let given = given("(1, 'a', 7, 'Oslo', 5)");
    let theirs = "CREATE INDEX theirs ON users (age); ALTER TABLE users ADD COLUMN extra TEXT; CREATE TABLE notes (a);";
    given.database.connection().execute_batch(theirs).unwrap();
    let found = plan(&given.database, &schema(&[users()]));
    assert!(found.steps.is_empty(), "{found}");
    let drift: Vec<_> = found.drift.iter().map(|drift| drift.what.as_str()).collect();
    assert_eq!(drift, ["column extra was added", "index theirs (age) was added"]);
    // A wanted change of a table that drifted has to be asked for.
    let more = schema(&[users().column("more", Storage::Text)]);
    let found = plan(&given.database, &more);
    assert_eq!(flags(&found), ["drift:users"]);
    apply(&given.database, &more);
    assert_eq!(
        text(&given.database, "SELECT count(*) FROM sqlite_schema WHERE name IN ('theirs', 'notes')"),
        "Integer(2)"
    );
    assert!(plan(&given.database, &more).drift.is_empty(), "what was accepted is not reported again");
    // A rebuild would lose the column.
    let rebuilt = schema(&[users().column("more", Storage::Text).nullable()]);
    let found = plan(&given.database, &rebuilt);
    assert!(found.steps[0].refused[0].contains("column extra is not rowkeep's"), "{found}");
}

#[test]
fn what_is_gone_is_not_silently_made_again() {
    let given = given("(1, 'a', 7, 'Oslo', 5)");
    given.database.connection().execute_batch("DROP INDEX users_city_age").unwrap();
    let found = plan(&given.database, &schema(&[users()]));
    assert_eq!(found.drift[0].what, "index users_city_age is gone");
    assert_eq!((whats(&found), flags(&found)), (vec!["create index users_city_age on users"], vec!["drift:users"]));
}

#[test]
fn a_migration_that_fails_half_way_has_not_happened() {
    let given = given("(1, 'a', 7, 'Oslo', 5), (2, 'b', 7, 'Oslo', 5)");
    let new = schema(&[users().column("more", Storage::Text)]);
    let mut found = plan(&given.database, &new);
    found.steps.push(crate::Step {
        what: "fail".to_owned(),
        sql: vec!["CREATE UNIQUE INDEX bad ON users (age)".to_owned()],
        ..crate::Step::default()
    });
    let error = given.database.apply(&found, &new, b"", &Allow::default()).unwrap_err();
    assert_eq!(error.reason(), "MIGRATION_FAILED");
    assert!(plan(&given.database, &schema(&[users()])).is_empty());
    assert_eq!(given.database.applied_schema().unwrap().as_deref(), Some(&b"snapshot"[..]));
}

#[test]
fn a_name_that_a_table_and_an_index_share_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let database = Database::open(&OpenOptions::new(directory.path())).unwrap();
    let first = table("a").column("id", Storage::Int64).column("b", Storage::Text).index(&["b"]);
    let second = table("a_b").column("id", Storage::Int64);
    let refused = database.plan(&schema(&[first, second])).unwrap_err();
    assert!(refused.message().contains("index a_b of a is taken"), "{refused}");
}
