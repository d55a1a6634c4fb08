//! How transactions begin, end and are cut, on real servers.

#![allow(clippy::unwrap_used, reason = "clippy knows tests only by their attribute")]

mod common;

use common::{Event, Scene, Value};
use rowkeep_binlog::{Options, Xid};
use testkit::{DatabaseServer, Product};

testkit::on_both_products! {
    async
    rows_come_with_what_they_were_and_what_they_are
    transactions_are_in_the_order_of_commits_and_whole
    what_is_rolled_back_is_not_there
    statements_come_as_text_with_the_name_of_their_transaction
    a_table_made_from_rows_of_another_comes_with_its_rows
    partial_images_have_what_was_set
    xa_transactions_are_decided_after_their_rows
    a_savepoint_that_is_gone_back_to_undoes_its_rows
    what_a_table_without_transactions_got_stays
    data_that_is_logged_as_statements_is_said_to_be
    compressed_transactions_are_read_as_others_are
    rows_larger_than_a_packet_are_read
    columns_keep_what_the_log_says_of_them
    texts_of_statements_come_before_their_rows
}

fn server(product: Product) -> &'static DatabaseServer {
    DatabaseServer::shared(product)
}

fn int(value: i64) -> Option<Value> {
    Some(Value::Int(value))
}

fn bytes(value: &str) -> Option<Value> {
    Some(Value::Bytes(value.as_bytes().to_vec()))
}

/// Without the beginnings and ends.
fn inner(events: &[Event]) -> Vec<&Event> {
    let is_inner = |event: &&Event| !matches!(event, Event::Begin(_) | Event::Committed);
    events.iter().filter(is_inner).collect()
}

async fn rows_come_with_what_they_were_and_what_they_are(product: Product) {
    let mut scene = Scene::new(server(product)).await;
    scene
        .run(&[
            "CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(10))",
            "INSERT INTO t VALUES (1, 'a'), (2, NULL)",
            "UPDATE t SET v = 'b' WHERE id = 1",
            "DELETE FROM t WHERE id = 2",
        ])
        .await;
    let events = scene.events().await;
    let t = format!("{}.t", scene.database);
    assert_eq!(
        inner(&events)[1..],
        [
            &Event::Insert(t.clone(), vec![int(1), bytes("a")]),
            &Event::Insert(t.clone(), vec![int(2), Some(Value::Null)]),
            &Event::Update(t.clone(), vec![int(1), bytes("a")], vec![int(1), bytes("b")]),
            &Event::Delete(t, vec![int(2), Some(Value::Null)]),
        ]
    );
}

async fn transactions_are_in_the_order_of_commits_and_whole(product: Product) {
    let mut scene = Scene::new(server(product)).await;
    scene.run(&["CREATE TABLE t (id INT PRIMARY KEY)", "CREATE TABLE u (id INT PRIMARY KEY)"]).await;
    scene
        .run(&["BEGIN", "INSERT INTO t VALUES (1)", "INSERT INTO u VALUES (1)", "INSERT INTO t VALUES (2)", "COMMIT"])
        .await;
    let events = scene.events().await;
    let begins = events.iter().rposition(|event| matches!(event, Event::Begin(_))).unwrap();
    let row = |table: &str, id| Event::Insert(format!("{}.{table}", scene.database), vec![int(id)]);
    assert_eq!(events[begins + 1..], [row("t", 1), row("u", 1), row("t", 2), Event::Committed]);
}

async fn what_is_rolled_back_is_not_there(product: Product) {
    let mut scene = Scene::new(server(product)).await;
    scene.run(&["CREATE TABLE t (id INT PRIMARY KEY)", "BEGIN", "INSERT INTO t VALUES (1)", "ROLLBACK"]).await;
    scene
        .run(&[
            "BEGIN",
            "INSERT INTO t VALUES (2)",
            "SAVEPOINT s",
            "INSERT INTO t VALUES (3)",
            "ROLLBACK TO s",
            "COMMIT",
        ])
        .await;
    let events = scene.events().await;
    let rows = events.iter().filter(|event| matches!(event, Event::Insert(..))).collect::<Vec<_>>();
    assert_eq!(rows, [&Event::Insert(format!("{}.t", scene.database), vec![int(2)])]);
}

async fn statements_come_as_text_with_the_name_of_their_transaction(product: Product) {
    let mut scene = Scene::new(server(product)).await;
    scene.run(&["CREATE TABLE t (id INT)", "ALTER TABLE t ADD c INT", "TRUNCATE t", "DROP TABLE t"]).await;
    let events = scene.events().await;
    assert_eq!(events.len(), 12, "{events:?}");
    for (at, expected) in ["CREATE", "ALTER", "TRUNCATE", "DROP"].iter().enumerate() {
        let [Event::Begin(gtid), Event::Statement(_, text), Event::Committed] = &events[at * 3..at * 3 + 3] else {
            panic!("{events:?}")
        };
        assert!(text.starts_with(expected) && !gtid.is_empty(), "{text}");
    }
}

async fn a_table_made_from_rows_of_another_comes_with_its_rows(product: Product) {
    let mut scene = Scene::new(server(product)).await;
    scene.run(&["CREATE TABLE t (id INT)", "INSERT INTO t VALUES (7)", "CREATE TABLE u AS SELECT id FROM t"]).await;
    let events = scene.events().await;
    let row = Event::Insert(format!("{}.u", scene.database), vec![int(7)]);
    let [.., Event::Statement(_, text), last, Event::Committed] = events.as_slice() else { panic!("{events:?}") };
    assert!(text.starts_with("CREATE TABLE") && text.contains('u'), "{text}");
    assert_eq!(*last, row);
}

async fn partial_images_have_what_was_set(product: Product) {
    let mut scene = Scene::new(server(product)).await;
    scene.run(&["CREATE TABLE t (id INT PRIMARY KEY, a INT, b VARCHAR(9) DEFAULT 'x', c INT)"]).await;
    scene.run(&["INSERT INTO t VALUES (1, 2, 'y', 3)"]).await;
    for image in ["MINIMAL", "NOBLOB"] {
        // Setting it is the administrator's, in sessions too; a global setting would meet the other tests.
        let sql = format!(
            "USE {0}; SET SESSION binlog_row_image = {image}; UPDATE t SET c = c + 1 WHERE id = 1; \
             INSERT INTO t (id) VALUES (20); DELETE FROM t WHERE id = 20",
            scene.database
        );
        scene.server.admin(&sql);
    }
    let events = scene.events().await;
    let t = format!("{}.t", scene.database);
    let rows = inner(&events);
    assert_eq!(*rows[2], Event::Update(t.clone(), vec![int(1), None, None, None], vec![None, None, None, int(4)]));
    let Event::Insert(_, inserted) = rows[3] else { panic!("{rows:?}") };
    assert_eq!(inserted[0], int(20));
    assert_eq!(*rows[4], Event::Delete(t.clone(), vec![int(20), None, None, None]));
    let whole = |c| vec![int(1), int(2), bytes("y"), int(c)];
    assert_eq!(*rows[5], Event::Update(t, whole(4), whole(5)));
}

async fn xa_transactions_are_decided_after_their_rows(product: Product) {
    let mut scene = Scene::new(server(product)).await;
    scene.run(&["CREATE TABLE t (id INT PRIMARY KEY)"]).await;
    for (name, decision) in [("a','b',7", "COMMIT"), ("c'", "ROLLBACK"), ("d'", "COMMIT")] {
        let one_phase = name == "d'";
        let id = i32::from(name.as_bytes()[0]);
        scene
            .run(&[&format!("XA START '{name}"), &format!("INSERT INTO t VALUES ({id})"), &format!("XA END '{name}")])
            .await;
        if one_phase {
            scene.run(&[&format!("XA COMMIT '{name} ONE PHASE")]).await;
        } else {
            scene.run(&[&format!("XA PREPARE '{name}"), &format!("XA {decision} '{name}")]).await;
        }
    }
    let events = scene.events().await;
    let t = format!("{}.t", scene.database);
    let named = |format, global: &str, branch: &str| Xid { format, global: global.into(), branch: branch.into() };
    let (first, second) = (named(7, "a", "b"), named(1, "c", ""));
    let row = |id| Event::Insert(t.clone(), vec![int(id)]);
    let all: Vec<&Event> = events[3..].iter().filter(|event| !matches!(event, Event::Begin(_))).collect();
    assert_eq!(
        all,
        [
            &row(97),
            &Event::Prepared(first.clone()),
            &Event::Decided(first, true),
            &row(99),
            &Event::Prepared(second.clone()),
            &Event::Decided(second, false),
            &row(100),
            &Event::Committed
        ]
    );
}

async fn a_savepoint_that_is_gone_back_to_undoes_its_rows(product: Product) {
    let mut scene = Scene::new(common::anonymous(product)).await;
    scene.run(&["CREATE TABLE t (id INT) ENGINE=InnoDB", "CREATE TABLE m (id INT) ENGINE=MyISAM"]).await;
    scene
        .run(&[
            "BEGIN",
            "INSERT INTO t VALUES (1)",
            "SAVEPOINT `a point`",
            "INSERT INTO t VALUES (2)",
            // Reads one and writes the other: both are logged together.
            "INSERT INTO m SELECT id FROM t",
            "ROLLBACK TO `a point`",
            "COMMIT",
        ])
        .await;
    let events = scene.events().await;
    let (mut kept, mut mark) = (Vec::new(), 0);
    for event in &events {
        match event {
            Event::Insert(name, cells) if name.ends_with(".t") => kept.push(cells.clone()),
            Event::Savepoint(name) if name == "a point" => mark = kept.len(),
            Event::RollbackTo(name) if name == "a point" => kept.truncate(mark),
            _ => {}
        }
    }
    assert_eq!(kept, [vec![int(1)]], "{events:?}");
    let of_m = events.iter().filter(|event| matches!(event, Event::Insert(name, _) if name.ends_with(".m"))).count();
    assert_eq!(of_m, 2, "{events:?}");
}

async fn what_a_table_without_transactions_got_stays(product: Product) {
    let mut scene = Scene::new(common::anonymous(product)).await;
    scene.run(&["CREATE TABLE t (id INT) ENGINE=InnoDB", "CREATE TABLE m (id INT) ENGINE=MyISAM"]).await;
    scene
        .run(&["INSERT INTO m VALUES (7)", "BEGIN", "INSERT INTO t VALUES (1)", "INSERT INTO m VALUES (8)", "ROLLBACK"])
        .await;
    let events = scene.events().await;
    let rows = |table: &str| {
        let of = events.iter().filter(|event| matches!(event, Event::Insert(name, _) if name.ends_with(table)));
        of.count()
    };
    assert_eq!(rows(".m"), 2, "{events:?}");
    // Rows of the other, if they are logged at all, are in a transaction that says what became of it.
    if rows(".t") > 0 {
        assert!(events.contains(&Event::RolledBack), "{events:?}");
    }
}

async fn data_that_is_logged_as_statements_is_said_to_be(product: Product) {
    let mut scene = Scene::new(server(product)).await;
    scene.run(&["CREATE TABLE t (id INT PRIMARY KEY)"]).await;
    scene.server.admin(&format!(
        "USE {}; SET SESSION binlog_format = STATEMENT; SET @v = 5; INSERT INTO t VALUES (@v), (RAND() * 0 + 6)",
        scene.database
    ));
    let events = scene.events().await;
    let [.., Event::Begin(_), Event::Statement(_, text), Event::Committed] = events.as_slice() else {
        panic!("{events:?}")
    };
    assert_eq!(text, "INSERT INTO t VALUES (@v), (RAND() * 0 + 6)");
}

async fn compressed_transactions_are_read_as_others_are(product: Product) {
    let (own, setting, count) = match product {
        // Of MariaDB it is the server's; the events of a large update are compressed one by one.
        Product::MariaDb => (Some(DatabaseServer::start_with(product, &["--log-bin-compress=ON"])), "", 3000),
        Product::MySql => (None, "SET SESSION binlog_transaction_compression = ON; ", 3000),
    };
    let mut scene = Scene::new(own.as_ref().unwrap_or_else(|| server(product))).await;
    scene.run(&["CREATE TABLE t (id INT PRIMARY KEY, v VARCHAR(600))"]).await;
    let rows: Vec<String> = (0..count).map(|id| format!("({id}, REPEAT('{}', 500))", id % 10)).collect();
    let sql = format!(
        "USE {}; {setting}INSERT INTO t VALUES {}; UPDATE t SET v = CONCAT('new', v); DELETE FROM t; \
         CREATE TABLE {} (id INT)",
        scene.database,
        rows.join(","),
        "a_name_long_enough_to_be_compressed".to_owned() + &"x".repeat(20)
    );
    let file = std::env::temp_dir().join(format!("rowkeep-binlog-{}-{product:?}.sql", std::process::id()));
    std::fs::write(&file, sql).unwrap();
    scene.server.admin(&format!("source {}", file.display()));
    std::fs::remove_file(&file).unwrap();
    let events = scene.events().await;
    let counted = |is: fn(&Event) -> bool| events.iter().filter(|event| is(event)).count();
    assert_eq!(counted(|event| matches!(event, Event::Insert(..))), count);
    assert_eq!(counted(|event| matches!(event, Event::Delete(..))), count);
    let updates = events.iter().filter_map(|event| match event {
        Event::Update(_, before, after) => Some((before.clone(), after.clone())),
        _ => None,
    });
    for (id, (before, after)) in updates.enumerate() {
        let old = (id % 10).to_string().repeat(500);
        assert_eq!((before[0].clone(), after[0].clone()), (int(id as i64), int(id as i64)));
        assert_eq!((before[1].clone(), after[1].clone()), (bytes(&old), bytes(&format!("new{old}"))));
    }
    let [.., Event::Statement(_, text), Event::Committed] = events.as_slice() else { panic!("{:?}", events.last()) };
    assert!(text.starts_with("CREATE TABLE a_name_long"), "{text}");
}

async fn rows_larger_than_a_packet_are_read(product: Product) {
    let mut scene = Scene::new(server(product)).await;
    scene.run(&["CREATE TABLE t (id INT PRIMARY KEY, v LONGBLOB)"]).await;
    scene.run(&["INSERT INTO t VALUES (1, REPEAT('x', 20000000)), (2, 'y')"]).await;
    let rows = scene.inserted("t").await;
    let Some(Value::Bytes(value)) = &rows[0][1] else { panic!("{:?}", rows[0][0]) };
    assert!(value.len() == 20_000_000 && value.iter().all(|byte| *byte == b'x'));
    assert_eq!(rows[1], [int(2), bytes("y")]);
}

async fn columns_keep_what_the_log_says_of_them(product: Product) {
    let server = server(product);
    let mut scene = Scene::new(server).await;
    let own = match product {
        Product::MariaDb => "x1 UUID, x2 INET6, x3 VARCHAR(50) COMPRESSED CHARACTER SET latin1, x4 TEXT COMPRESSED",
        Product::MySql => "x1 JSON, x2 VECTOR(3), x3 VARCHAR(50) CHARACTER SET latin1, x4 TEXT CHARACTER SET utf8mb4",
    };
    scene
        .run(&[
            &format!(
                "CREATE TABLE t (a TINYINT UNSIGNED, y YEAR, b BIGINT UNSIGNED, c INT, d DECIMAL(5,2) UNSIGNED, f FLOAT, \
                 g BIT(3), e ENUM('ä','b') CHARACTER SET latin1, s SET('x','y') CHARACTER SET utf8mb4, {own}, \
                 p POINT, k VARCHAR(99) CHARACTER SET ascii NOT NULL, l VARBINARY(9), n INT UNSIGNED NOT NULL, h INT INVISIBLE, \
                 PRIMARY KEY (n, k(7)))"
            ),
            "INSERT INTO t (a, k, n) VALUES (1, 'k', 2)",
            "DELETE FROM marks",
            "INSERT INTO marks VALUES (2)",
        ])
        .await;
    let wanted = scene.database.clone();
    let table = loop {
        if let rowkeep_binlog::Item::Rows(rows) = scene.reader.next().await.unwrap()
            && rows.table().database == wanted
        {
            break rows.table().clone();
        }
    };
    use rowkeep_binlog::ColumnType;
    let column = |name: &str| &table.columns[table.column(name).unwrap_or_else(|| panic!("{name}: {table:?}"))];
    let unsigned = |name: &str| match column(name).kind {
        ColumnType::Int { unsigned, .. } | ColumnType::Decimal { unsigned, .. } => unsigned,
        other => panic!("{other:?}"),
    };
    assert!(table.is_named());
    assert_eq!(["a", "b", "c", "d", "n"].map(unsigned), [true, true, false, true, true]);
    // 11 is ascii's, 8 latin1's, 63 binary's.
    assert_eq!(["k", "l", "e", "x3"].map(|name| column(name).collation), [Some(11), Some(63), Some(8), Some(8)]);
    assert!(column("x4").collation.is_some_and(|collation| collation > 11 && collation != 63), "{:?}", column("x4"));
    assert!(column("s").collation.is_some_and(|collation| collation != 8 && collation != 63));
    assert_eq!(column("e").members, [vec![0xe4], b"b".to_vec()]);
    assert_eq!(column("s").members, [b"x", b"y"]);
    assert_eq!(table.key, [(table.column("n").unwrap(), 0), (table.column("k").unwrap(), 7)]);
    assert!(column("a").nullable && !column("n").nullable);
    assert!(matches!(column("p").kind, ColumnType::Geometry { kind: Some(1), .. }), "{:?}", column("p").kind);
    if product == Product::MySql {
        assert!(!column("h").visible && column("n").visible);
        assert!(matches!(column("x2").kind, ColumnType::Vector { .. }));
    }
}

async fn texts_of_statements_come_before_their_rows(product: Product) {
    let options = Options { annotations: true, ..Options::new() };
    let mut scene = Scene::with(server(product), &options).await;
    scene.run(&["CREATE TABLE t (id INT)"]).await;
    let logs = if product == Product::MySql { "SET binlog_rows_query_log_events = ON; " } else { "" };
    let long = format!("/*{}*/", "x".repeat(400));
    scene.server.admin(&format!("USE {}; {logs}INSERT {long} INTO t VALUES (1)", scene.database));
    let events = scene.events().await;
    let [.., Event::Annotation(text), Event::Insert(..), Event::Committed] = events.as_slice() else {
        panic!("{events:?}")
    };
    assert!(text.starts_with("INSERT ") && text.ends_with("INTO t VALUES (1)"), "{text}");
}

#[tokio::test]
async fn json_that_changed_in_parts_is_put_together() {
    let mut scene = Scene::new(server(Product::MySql)).await;
    scene.run(&["CREATE TABLE t (id INT PRIMARY KEY, a JSON, v INT, b JSON)"]).await;
    let filler = "x".repeat(200);
    scene
        .run(&[&format!(
            "INSERT INTO t VALUES (1, '{{\"a\": 1, \"list\": [1, [2, 3], \"{filler}\"], \"o\": {{\"k\": \"{filler}\", \"m n\": 2}}}}', 5, \
             '[1, 2, \"{filler}\"]')"
        )])
        .await;
    let changes = [
        "a = JSON_SET(a, '$.a', 12345678901)",
        "a = JSON_REPLACE(a, '$.list[1][0]', 'text', '$.o.\"m n\"', CAST('2024-02-29' AS DATE))",
        "b = JSON_REMOVE(b, '$[0]')",
        "a = JSON_SET(a, '$.o.new', 1, '$.o.c', TRUE), v = 6",
        "a = JSON_REMOVE(a, '$.o.\"m n\"', '$.list[1]'), b = JSON_SET(b, '$[5]', 'end')",
        "b = NULL",
    ];
    let mut expected = Vec::new();
    for change in changes {
        // Without the setting's right for the test's own user it is the administrator's.
        scene.server.admin(&format!(
            "USE {}; SET SESSION binlog_row_value_options = PARTIAL_JSON; UPDATE t SET {change} WHERE id = 1",
            scene.database
        ));
        expected.push(scene.writer.query("SELECT a, b FROM t").await.unwrap().remove(0));
    }
    scene.run(&["INSERT INTO marks VALUES (3)"]).await;
    let (mut shown, mut patches) = (Vec::new(), 0);
    while shown.len() < changes.len() {
        let rowkeep_binlog::Item::Rows(mut rows) = scene.reader.next().await.unwrap() else { continue };
        if rows.table().name != "t" || rows.table().database != scene.database {
            continue;
        }
        while let Some(row) = rows.next().unwrap() {
            let (Some(before), Some(after)) = (row.before, row.after) else { continue };
            let mut text = |column| match (before.cell(column).unwrap(), after.cell(column).unwrap()) {
                (_, Some(rowkeep_binlog::Cell::Json(json))) => Some(json.text().unwrap()),
                (Some(rowkeep_binlog::Cell::Json(before)), Some(rowkeep_binlog::Cell::JsonPatch(patch))) => {
                    patches += 1;
                    Some(patch.apply(&before).unwrap())
                }
                (_, Some(rowkeep_binlog::Cell::Null)) => None,
                other => panic!("{other:?}"),
            };
            shown.push(vec![text(1), text(3)]);
        }
    }
    assert_eq!(shown, expected);
    assert!(patches >= 5, "{patches}");
}

#[tokio::test]
async fn transactions_with_tags_have_names_and_positions_of_their_own() {
    let server = DatabaseServer::start(Product::MySql);
    let mut scene = Scene::new(&server).await;
    scene.run(&["CREATE TABLE t (id INT PRIMARY KEY)"]).await;
    scene.events().await;
    let insert =
        |id: i32| format!("SET gtid_next = 'AUTOMATIC:blue'; INSERT INTO {}.t VALUES ({id}); ", scene.database);
    server.admin(&(1..=300).map(insert).collect::<String>());
    let uuid = server.admin("SELECT @@server_uuid");
    let events = scene.events().await;
    let [Event::Begin(gtid), Event::Insert(..), Event::Committed] = &events[..3] else { panic!("{:?}", &events[..3]) };
    assert_eq!(*gtid, format!("{uuid}:blue:1"));
    let position = scene.reader.position().clone();
    assert_eq!(position.gtids.clone().unwrap().to_string(), server.admin("SELECT @@gtid_executed").replace('\n', ""));
    scene.run(&["INSERT INTO t VALUES (1000)"]).await;
    scene.reader = rowkeep_binlog::Reader::open(&common::reader_address(&server), (&position).into(), &Options::new())
        .await
        .unwrap();
    let rows = scene.inserted("t").await;
    assert_eq!(rows, [vec![int(1000)]]);
}
