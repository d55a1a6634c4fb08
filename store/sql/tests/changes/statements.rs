//! What the log does not show row by row is told as such, of the tables concerned and at its place.

use rowkeep_engine::{Rows as _, Since, Told};
use testkit::Product;

use super::lab::{self, ITEM, NOTE, Writer, insert};
use crate::support::mirror;

testkit::on_both_products! {
    a_table_that_is_emptied_or_changed_is_rewritten_at_that_point
    other_tables_and_databases_are_left_alone
    a_statement_that_is_logged_as_text_may_have_changed_anything
    rows_that_a_foreign_key_changes_are_not_believed_to_be_told
    what_the_server_could_not_log_may_have_changed_anything
    columns_in_another_order_are_found_by_their_names
}

/// What was told between commits, as a line: `+1` adds, `!0` rewrites.
fn story(product: Product, statements: impl FnOnce(&mut Writer, &testkit::DatabaseServer)) -> String {
    let server = lab::server(product, &[]);
    let store = lab::store(&[&server]);
    let mut writer = Writer::new(&server);
    let mut stream = mirror::wait(store.changes().unwrap().follow(Since::Now)).unwrap();
    statements(&mut writer, &server);
    writer.run(&[&insert(999, "")]);
    let mut story = Vec::new();
    while story.last().is_none_or(|last| last != "+999") {
        for told in mirror::wait(stream.next()).unwrap() {
            match told {
                Told::Commit(commit) => {
                    for change in &commit.changes {
                        let sign = if change.after.is_some() { "+" } else { "-" };
                        let row = change.after.as_ref().or(change.before.as_ref()).unwrap();
                        let rowkeep_record::Value::Int(id) = row.values[0] else { panic!("{row:?}") };
                        story.push(format!("{sign}{id}"));
                    }
                }
                Told::Rewritten { entity, .. } => {
                    story.push(entity.map_or("!all".to_owned(), |entity| format!("!{}", entity.0)));
                }
                Told::Begin(_) | Told::Current { .. } => {}
            }
        }
    }
    story.pop();
    story.join(" ")
}

fn a_table_that_is_emptied_or_changed_is_rewritten_at_that_point(product: Product) {
    let told = story(product, |writer, _| {
        writer.run(&[&insert(1, ""), "TRUNCATE items", &insert(2, "")]);
        writer.run(&["ALTER TABLE items ADD COLUMN more INT NOT NULL DEFAULT 5 FIRST", &insert(3, "")]);
        writer.run(&["RENAME TABLE notes TO others, others TO notes", &insert(4, "")]);
    });
    assert_eq!(told, format!("+1 !{0} +2 !{0} +3 !{1} +4", ITEM.0, NOTE.0));
}

fn other_tables_and_databases_are_left_alone(product: Product) {
    let told = story(product, |writer, server| {
        writer.run(&["CREATE TABLE apart (id INT PRIMARY KEY)", "INSERT INTO apart VALUES (1)", "TRUNCATE apart"]);
        server.admin("CREATE DATABASE elsewhere; CREATE TABLE elsewhere.items (id INT); TRUNCATE elsewhere.items");
        server.admin("INSERT INTO elsewhere.items VALUES (7); GRANT SELECT ON elsewhere.* TO app@'127.0.0.1'");
    });
    assert_eq!(told, "");
}

fn a_statement_that_is_logged_as_text_may_have_changed_anything(product: Product) {
    let told = story(product, |_, server| {
        server.admin(&format!("USE test; SET SESSION binlog_format = STATEMENT; {}", insert(5, "")));
    });
    assert_eq!(told, "!all");
}

/// A statement that cannot be undone, and is too large for the log: the server writes an incident in its place.
fn what_the_server_could_not_log_may_have_changed_anything(product: Product) {
    let told = story(product, |writer, server| {
        server.admin("SET GLOBAL max_binlog_stmt_cache_size = 4096, GLOBAL binlog_stmt_cache_size = 4096");
        server.admin("CREATE TABLE test.apart (id INT PRIMARY KEY, words VARCHAR(1000)) ENGINE = MyISAM");
        // With the sizes of now.
        let mut other = Writer::new(server);
        writer.run(&[&insert(1, "")]);
        let values: Vec<String> = (0..50).map(|id| format!("({id}, REPEAT('x', 1000))")).collect();
        let refused = other.try_run(&format!("INSERT INTO apart VALUES {}", values.join(", "))).unwrap_err();
        assert_eq!(refused.code(), Some(1705), "{refused}");
        writer.run(&[&insert(2, "")]);
    });
    assert_eq!(told, "+1 !all +2");
}

fn rows_that_a_foreign_key_changes_are_not_believed_to_be_told(product: Product) {
    let told = story(product, |writer, _| {
        writer.run(&["ALTER TABLE notes ADD FOREIGN KEY (item) REFERENCES items (id) ON DELETE CASCADE"]);
        writer.run(&[&insert(1, ""), "INSERT INTO notes (id, item, rowkeep_version) VALUES (10, 1, 1)"]);
        writer.run(&["DELETE FROM items WHERE id = 1"]);
    });
    let (items, notes) = (ITEM.0, NOTE.0);
    match product {
        Product::MariaDb => assert_eq!(told, format!("!{items} !{notes} +1 +10 -1 !{notes}")),
        // It logs them.
        Product::MySql => {
            let (before, after) = told.split_once("+1 +10 ").unwrap_or_else(|| panic!("{told}"));
            assert_eq!(before, format!("!{items} !{notes} "));
            assert!(after == "-1 -10" || after == "-10 -1", "{told}");
        }
    }
}

fn columns_in_another_order_are_found_by_their_names(product: Product) {
    let server = lab::server(product, &[]);
    let store = lab::store(&[&server]);
    let mut writer = Writer::new(&server);
    writer.run(&["ALTER TABLE items MODIFY words LONGTEXT NOT NULL FIRST, ADD more INT NULL AFTER words"]);
    let mut mirror = lab::mirror(&store);
    writer.run(&[&insert(1, "a"), &insert(2, "b"), "UPDATE items SET words = 'c' WHERE id = 2"]);
    assert_eq!(mirror.check(), 2);
    assert!(mirror.rewritten.is_empty());
}
