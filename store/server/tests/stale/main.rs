//! What leaves a row stale in caches that are filled by readers and emptied by writers: seventeen causes that go-zero's cached
//! model has, most of them for up to a week, each brought about before MySQL and MariaDB, with rows kept in memory and in Redis.
#![allow(clippy::unwrap_used, reason = "clippy knows tests only by their attribute")]

mod late;
mod node;

use std::sync::Arc;
use std::sync::atomic::Ordering;

use serde_json::json;
use testkit::{DatabaseServer, Product};

use node::{Lab, until};

testkit::on_both_products! {
    r01_a_row_that_was_read_before_a_write_and_arrives_after_it
    r02_a_row_that_was_found_missing_before_it_was_made
    r03_a_value_that_was_found_free_before_a_row_took_it
    r04_a_number_that_was_found_free_before_the_database_gave_it
    r05_a_row_that_is_read_while_its_transaction_has_yet_to_commit
    r06_a_writer_who_dies_after_its_commit
    r07_a_client_who_leaves_while_its_write_is_committed
    r08_a_replica_that_is_behind
    r09_a_writer_who_knows_of_no_cache
    r10_a_reader_after_the_write_and_a_read_from_before_it
    r11_a_value_that_goes_from_one_row_to_another
    r12_values_that_look_the_same_when_they_are_put_together
    r13_an_update_that_knows_the_row_as_it_was
    r14_a_process_that_was_away_and_comes_back
    r15_a_writer_who_cannot_reach_the_cache
    r16_a_row_that_everybody_wants_and_nobody_has
    r17_a_reader_who_leaves_while_others_wait_for_its_read
}

/// Lets the usual user follow a server's log. A replica takes no grants without being made to.
fn allow(server: &DatabaseServer) {
    let is_mysql = server.product() == Product::MySql;
    let was = server.admin("SELECT @@global.read_only");
    let set = |on: &str| match is_mysql {
        true if on == "OFF" => server.admin("SET GLOBAL super_read_only = OFF, GLOBAL read_only = OFF"),
        true => server.admin("SET GLOBAL super_read_only = ON"),
        false => server.admin(&format!("SET GLOBAL read_only = {on}")),
    };
    set("OFF");
    server.admin("SET sql_log_bin = 0; GRANT REPLICATION SLAVE ON *.* TO app@'127.0.0.1'");
    if was == "1" {
        set("ON");
    }
}

fn named(name: &str) -> serde_json::Value {
    json!({ "name": name })
}

fn r01_a_row_that_was_read_before_a_write_and_arrives_after_it(product: Product) {
    Lab::run(product, async |lab| {
        lab.one.put(1, named("old")).await;
        lab.are_told().await;
        lab.other.late.hold();
        let reader = Arc::clone(&lab.other);
        let reading = tokio::spawn(async move { reader.get(1).await });
        until("the row to be read", || lab.other.late.held.load(Ordering::SeqCst) == 1).await;
        lab.other.late.pass();
        lab.one.put(1, named("new")).await;
        lab.other.is_told().await;
        assert_eq!(lab.other.get(1).await.as_deref(), Some("new"), "nobody waits for the old row");
        lab.other.late.release();
        assert_eq!(reading.await.unwrap().as_deref(), Some("old"), "it was asked for before the write");
        assert_eq!(lab.other.get(1).await.as_deref(), Some("new"), "it is not kept");
    });
}

fn r02_a_row_that_was_found_missing_before_it_was_made(product: Product) {
    Lab::run(product, async |lab| {
        lab.other.late.hold();
        let reader = Arc::clone(&lab.other);
        let reading = tokio::spawn(async move { reader.get(1).await });
        until("the row to be looked for", || lab.other.late.held.load(Ordering::SeqCst) == 1).await;
        lab.other.late.pass();
        lab.one.put(1, named("new")).await;
        lab.other.is_told().await;
        lab.other.late.release();
        assert_eq!(reading.await.unwrap(), None);
        assert_eq!(lab.other.get(1).await.as_deref(), Some("new"));
    });
}

fn r03_a_value_that_was_found_free_before_a_row_took_it(product: Product) {
    Lab::run(product, async |lab| {
        lab.one.put(1, json!({ "name": "a", "code": "old" })).await;
        lab.are_told().await;
        for _ in 0..2 {
            assert_eq!((lab.one.lookup("new").await, lab.other.lookup("new").await), (None, None));
        }
        lab.one.put(1, json!({ "code": "new" })).await;
        assert_eq!(
            (lab.one.lookup("new").await, lab.one.lookup("old").await),
            (Some(1), None),
            "at once, where it was written"
        );
        lab.are_told().await;
        assert_eq!((lab.other.lookup("new").await, lab.other.lookup("old").await), (Some(1), None));
    });
}

fn r04_a_number_that_was_found_free_before_the_database_gave_it(product: Product) {
    Lab::run(product, async |lab| {
        let next = lab.one.create("first").await + 1;
        lab.are_told().await;
        for node in [&lab.one, &lab.other] {
            node.keeps(next).await;
            assert_eq!(node.get(next).await, None);
        }
        assert_eq!(lab.one.create("second").await, next);
        assert_eq!(lab.one.get(next).await.as_deref(), Some("second"), "at once, where it was written");
        lab.are_told().await;
        assert_eq!(lab.other.get(next).await.as_deref(), Some("second"));
    });
}

fn r05_a_row_that_is_read_while_its_transaction_has_yet_to_commit(product: Product) {
    Lab::run(product, async |lab| {
        lab.one.put(1, named("old")).await;
        lab.are_told().await;
        let mut console = lab.console().await;
        console.command("BEGIN").await.unwrap();
        console.command("UPDATE items SET name = 'new' WHERE id = 1").await.unwrap();
        for node in [&lab.one, &lab.other] {
            node.keeps(1).await;
            assert_eq!(node.get(1).await.as_deref(), Some("old"));
        }
        console.command("COMMIT").await.unwrap();
        lab.are_told().await;
        for node in [&lab.one, &lab.other] {
            assert_eq!(node.get(1).await.as_deref(), Some("new"));
        }
    });
}

fn r06_a_writer_who_dies_after_its_commit(product: Product) {
    Lab::run(product, async |lab| {
        lab.one.put(1, named("old")).await;
        lab.are_told().await;
        lab.other.keeps(1).await;
        // Whatever the writer was to do after its commit, it does not: nothing of it is left but the commit.
        let writing = tokio::spawn(lab.one.write(1, named("new")));
        lab.one.cache.stop();
        writing.await.unwrap().unwrap();
        lab.other.is_told().await;
        assert_eq!(lab.other.get(1).await.as_deref(), Some("new"));
    });
}

fn r07_a_client_who_leaves_while_its_write_is_committed(product: Product) {
    Lab::run(product, async |lab| {
        lab.one.put(1, named("old")).await;
        for number in 0..50 {
            lab.are_told().await;
            lab.one.keeps(1).await;
            lab.other.keeps(1).await;
            let name = format!("new {number}");
            let writing = tokio::spawn(lab.one.write(1, named(&name)));
            tokio::time::sleep(std::time::Duration::from_micros(number * 100)).await;
            writing.abort();
            // It may have been committed or not; what is kept has to be what is so.
            let _ = writing.await;
            let mut console = lab.console().await;
            let mut truth = async || console.query("SELECT name FROM items WHERE id = 1").await.unwrap()[0][0].clone();
            let begun = std::time::Instant::now();
            loop {
                let before = truth().await;
                lab.are_told().await;
                let shown = [lab.one.get(1).await, lab.other.get(1).await];
                // Writes that go on without their clients may end in between, and in any order. Each has a name of its own:
                // what is so before and after was so all the while.
                if truth().await == before {
                    assert_eq!(shown, [before.clone(), before]);
                    break;
                }
                assert!(begun.elapsed() < testkit::PATIENCE, "nothing stays so: {shown:?}");
            }
        }
    });
}

fn r08_a_replica_that_is_behind(product: Product) {
    Lab::with_replica(product, async |lab| {
        lab.one.put(1, named("old")).await;
        lab.are_told().await;
        lab.cluster.catch_up();
        lab.cluster.stop_sql_thread(1);
        lab.one.put(1, named("new")).await;
        lab.are_told().await;
        // What is missing is read, and may not come from the replica.
        for node in [&lab.one, &lab.other] {
            for _ in 0..20 {
                assert_eq!(node.get(1).await.as_deref(), Some("new"));
            }
        }
        lab.cluster.start_sql_thread(1);
    });
}

fn r09_a_writer_who_knows_of_no_cache(product: Product) {
    Lab::run(product, async |lab| {
        lab.one.put(1, json!({ "name": "old", "code": "a" })).await;
        lab.one.put(2, named("old")).await;
        lab.are_told().await;
        for node in [&lab.one, &lab.other] {
            node.keeps(1).await;
            node.keeps(2).await;
            assert_eq!(node.lookup("a").await, Some(1));
        }
        lab.sql(&["UPDATE items SET name = 'new', code = 'b' WHERE id = 1", "DELETE FROM items WHERE id = 2"]).await;
        lab.are_told().await;
        for node in [&lab.one, &lab.other] {
            assert_eq!((node.get(1).await.as_deref(), node.get(2).await), (Some("new"), None));
            assert_eq!((node.lookup("a").await, node.lookup("b").await), (None, Some(1)));
        }
        lab.sql(&["TRUNCATE TABLE items"]).await;
        lab.are_told().await;
        assert_eq!((lab.one.get(1).await, lab.other.get(1).await), (None, None));
    });
}

fn r10_a_reader_after_the_write_and_a_read_from_before_it(product: Product) {
    Lab::run(product, async |lab| {
        lab.one.put(1, named("old")).await;
        lab.are_told().await;
        lab.one.late.hold();
        let early = Arc::clone(&lab.one);
        let reading = tokio::spawn(async move { early.get(1).await });
        until("the row to be read", || lab.one.late.held.load(Ordering::SeqCst) == 1).await;
        lab.one.late.pass();
        lab.one.put(1, named("new")).await;
        assert_eq!(lab.one.get(1).await.as_deref(), Some("new"), "its own write, while the early read is under way");
        lab.one.late.release();
        reading.await.unwrap();
        assert_eq!(lab.one.get(1).await.as_deref(), Some("new"));
    });
}

fn r11_a_value_that_goes_from_one_row_to_another(product: Product) {
    Lab::run(product, async |lab| {
        lab.one.put(1, json!({ "name": "one", "code": "a" })).await;
        lab.one.put(2, json!({ "name": "two", "code": "b" })).await;
        lab.are_told().await;
        for node in [&lab.one, &lab.other] {
            for _ in 0..3 {
                assert_eq!((node.lookup("a").await, node.lookup("b").await), (Some(1), Some(2)));
            }
        }
        lab.sql(&["UPDATE items SET code = 'c' WHERE id = 1", "UPDATE items SET code = 'a' WHERE id = 2"]).await;
        lab.are_told().await;
        for node in [&lab.one, &lab.other] {
            for _ in 0..3 {
                let found = (node.lookup("a").await, node.lookup("b").await, node.lookup("c").await);
                assert_eq!(found, (Some(2), None, Some(1)));
            }
        }
    });
}

fn r12_values_that_look_the_same_when_they_are_put_together(product: Product) {
    Lab::run(product, async |lab| {
        lab.one.put(1, json!({ "name": "one", "street": "a:b", "house": "c" })).await;
        lab.one.put(2, json!({ "name": "two", "street": "a", "house": "b:c" })).await;
        lab.are_told().await;
        for _ in 0..3 {
            let found = (lab.one.at("a:b", "c").await, lab.one.at("a", "b:c").await, lab.one.at("a:b:c", "").await);
            assert_eq!(found, (Some(1), Some(2), None));
        }
    });
}

fn r13_an_update_that_knows_the_row_as_it_was(product: Product) {
    Lab::run(product, async |lab| {
        lab.one.put(1, json!({ "name": "one", "code": "a" })).await;
        lab.are_told().await;
        for node in [&lab.one, &lab.other] {
            node.keeps(1).await;
            assert_eq!((node.lookup("a").await, node.lookup("b").await), (Some(1), None));
        }
        // What the process keeps of the row is old when it writes it, and it does not know of `b`.
        lab.sql(&["UPDATE items SET code = 'b' WHERE id = 1"]).await;
        lab.one.put(1, json!({ "code": "c" })).await;
        lab.are_told().await;
        for node in [&lab.one, &lab.other] {
            let found = (node.lookup("a").await, node.lookup("b").await, node.lookup("c").await);
            assert_eq!(found, (None, None, Some(1)));
        }
    });
}

fn r14_a_process_that_was_away_and_comes_back(product: Product) {
    Lab::run(product, async |lab| {
        for name in ["A", "B"] {
            lab.one.put(1, named(name)).await;
            lab.are_told().await;
            lab.other.keeps(1).await;
            lab.other.proxy.cut();
            lab.one.put(1, named("meanwhile")).await;
            lab.other.proxy.heal();
            until("the other to find its way back", || lab.other.cache.follows()).await;
            lab.other.is_told().await;
            assert_eq!(lab.other.get(1).await.as_deref(), Some("meanwhile"));
        }
    });
}

fn r15_a_writer_who_cannot_reach_the_cache(product: Product) {
    Lab::run(product, async |lab| {
        lab.one.put(1, named("old")).await;
        lab.are_told().await;
        lab.other.keeps(1).await;
        // Its own cache is gone, and it never had a way to the other's.
        lab.one.cache.stop();
        lab.one.put(1, named("new")).await;
        lab.other.is_told().await;
        assert_eq!(lab.other.get(1).await.as_deref(), Some("new"));
        assert_eq!(lab.one.get(1).await.as_deref(), Some("new"));
    });
}

/// W11: a thousand readers of a row that is not kept are one read of the database by each process, and by both together where
/// they share a cache.
fn r16_a_row_that_everybody_wants_and_nobody_has(product: Product) {
    Lab::run(product, async |lab| {
        lab.one.put(1, named("hot")).await;
        lab.are_told().await;
        let mut all = 0;
        for node in [&lab.one, &lab.other] {
            let before = node.late.reads.load(Ordering::SeqCst);
            let readers = (0..1000).map(|_| {
                let node = Arc::clone(node);
                tokio::spawn(async move { node.get(1).await })
            });
            for reader in readers.collect::<Vec<_>>() {
                assert_eq!(reader.await.unwrap().as_deref(), Some("hot"));
            }
            all += node.late.reads.load(Ordering::SeqCst) - before;
        }
        assert_eq!(all, if lab.is_shared { 1 } else { 2 }, "reads of the database");
    });
}

fn r17_a_reader_who_leaves_while_others_wait_for_its_read(product: Product) {
    Lab::run(product, async |lab| {
        lab.one.put(1, named("there")).await;
        lab.are_told().await;
        lab.one.late.hold();
        let reader = || {
            let node = Arc::clone(&lab.one);
            tokio::spawn(async move { node.get(1).await })
        };
        let first = reader();
        until("the row to be read", || lab.one.late.held.load(Ordering::SeqCst) == 1).await;
        let others: Vec<_> = (0..20).map(|_| reader()).collect();
        until("the others to wait", || lab.one.cache.joined() >= 20).await;
        first.abort();
        assert!(first.await.unwrap_err().is_cancelled());
        lab.one.late.release();
        for other in others {
            assert_eq!(other.await.unwrap().as_deref(), Some("there"));
        }
    });
}
