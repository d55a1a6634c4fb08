//! Tables that somebody else made: columns of types that the store itself does not use.

use std::sync::Arc;

use rowkeep_record::Codecs;
use rowkeep_schema::compile_str;
use rowkeep_sql::Allow;
use rowkeep_sql::mysql::{Database, ImportOptions, MySqlStore, Options, import};
use testkit::{DatabaseServer, Product};

use crate::support::mirror::{Mirror, allow, server};

testkit::on_both_products! {
    every_type_of_a_column_is_told_as_reads_answer_it
    what_is_logged_in_fewer_bytes_is_the_same
    what_the_database_computes_is_told_or_known_to_be_left_out
    a_view_is_rewritten_by_whatever_may_be_behind_it
}

const COMMON: &str = "CREATE TABLE kinds (
  id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
  truth TINYINT(1) NOT NULL DEFAULT 1, tiny TINYINT, tiny_u TINYINT UNSIGNED, small SMALLINT, small_u SMALLINT UNSIGNED,
  medium MEDIUMINT, medium_u MEDIUMINT UNSIGNED, whole INT, whole_u INT UNSIGNED, big BIGINT, big_u BIGINT UNSIGNED,
  f FLOAT, d DOUBLE, dec2 DECIMAL(10,2), dec38 DECIMAL(38,10), dec65 DECIMAL(65,30),
  bit1 BIT(1), bit12 BIT(12), bit64 BIT(64),
  c CHAR(10), vc VARCHAR(40), latin VARCHAR(20) CHARACTER SET latin1, plain_text TEXT, wide VARCHAR(400),
  bin BINARY(4), vb VARBINARY(10), plain_blob BLOB,
  da DATE, dt DATETIME, dt3 DATETIME(3), dt6 DATETIME(6), ts TIMESTAMP NULL, ts6 TIMESTAMP(6) NULL,
  tm TIME, tm3 TIME(3), y YEAR, js JSON,
  en ENUM('a', 'it''s', 'ä') CHARACTER SET latin1, st SET('x', 'y', 'z'), place POINT
)";

const MARIADB: &str = "CREATE TABLE own (id INT PRIMARY KEY, u UUID, i4 INET4, i6 INET6, long_text TEXT COMPRESSED)";

/// From MariaDB 11.8 on.
const VECTORS: &str =
    "CREATE TABLE vectors (id INT PRIMARY KEY, v VECTOR(3) NOT NULL, ts TIMESTAMP NULL, VECTOR KEY (v))";

const VECTOR_ROWS: [&str; 2] = [
    "INSERT INTO vectors VALUES (1, VEC_FromText('[1,-2.5,3e8]'), '2106-02-07 06:28:15'), (2, VEC_FromText('[0,0,0]'), NULL)",
    "UPDATE vectors SET ts = '2038-01-19 03:14:08' WHERE id = 2",
];

const ROWS: [&str; 5] = [
    "INSERT INTO kinds () VALUES ()",
    "INSERT INTO kinds (tiny, tiny_u, small, small_u, medium, medium_u, whole, whole_u, big, big_u, f, d, dec2, dec38, dec65)
     VALUES (-128, 255, -32768, 65535, -8388608, 16777215, -2147483648, 4294967295, -9223372036854775808,
     18446744073709551615, -1.5, 1e300, -0.05, 1234567890123456789012345678.0123456789, -1.000000000000000000000000000001)",
    "INSERT INTO kinds (truth, bit1, bit12, bit64, c, vc, latin, plain_text, wide, bin, vb, plain_blob)
     VALUES (0, b'1', b'101010101010', b'1000000000000000000000000000000000000000000000000000000000000001', 'pad  ',
     'end ', 'äö€', 'text', REPEAT('ü', 300), 'ab', X'0100', X'00FF00')",
    "INSERT INTO kinds (da, dt, dt3, dt6, ts, ts6, tm, tm3, y, js, en, st, place)
     VALUES ('2024-02-29', '1000-01-01 00:00:00', '9999-12-31 23:59:59.999', '2024-01-02 03:04:05.000006',
     '2038-01-19 03:14:07', '1970-01-01 00:00:01.5', '-838:59:59', '00:00:00.125', 2155,
     '{\"b\": [1, 2.5, null, \"x\"], \"a\": {}}', 'ä', 'x,z', POINT(1, -2))",
    "UPDATE kinds SET vc = 'other', big = 7, js = '[1]', en = 'it''s', dt6 = NULL WHERE id > 1",
];

const OWN_ROWS: [&str; 2] = [
    "INSERT INTO own VALUES (1, '123e4567-e89b-12d3-a456-426655440000', '192.0.2.1', '2001:db8::1', REPEAT('long ', 100)),
     (2, '00000000-0000-0000-0000-000000000000', '10.0.0.0', '::ffff:192.0.2.0', ''), (3, NULL, NULL, '::', NULL),
     (4, 'ffffffff-ffff-ffff-ffff-ffffffffffff', '255.255.255.255', '1:0:0:2::', 'x'), (5, NULL, NULL, '::1.2.3.0', NULL)",
    "UPDATE own SET i6 = '::1', u = '01890a5d-ac96-774b-bcce-b302099a8057' WHERE id = 3",
];

fn every_type_of_a_column_is_told_as_reads_answer_it(product: Product) {
    let server = server(product);
    let database = "test_adopted";
    let run = |sql: &str| server.admin(&format!("SET NAMES utf8mb4, time_zone = '+00:00'; USE {database}; {sql}"));
    server.admin(&format!("CREATE DATABASE {database} CHARACTER SET utf8mb4"));
    run(COMMON);
    if product == Product::MariaDb {
        run(MARIADB);
    }
    let has_vectors = product == Product::MariaDb && server.version() >= (11, 8);
    if has_vectors {
        run(VECTORS);
    }
    let (store, mut mirror) = adopt(server, database);
    ROWS.into_iter().for_each(|row| drop(run(row)));
    if product == Product::MariaDb {
        OWN_ROWS.into_iter().for_each(|row| drop(run(row)));
    }
    if has_vectors {
        VECTOR_ROWS.into_iter().for_each(|row| drop(run(row)));
    }
    let rows = mirror.check();
    assert_eq!(rows, if product == Product::MariaDb { 9 } else { 4 } + if has_vectors { 2 } else { 0 });
    assert!(mirror.rewritten.is_empty(), "{:?}", mirror.rewritten);
    drop(store);
}

fn adopt(server: &DatabaseServer, database: &str) -> (Arc<MySqlStore>, Mirror) {
    let options = Options::new(server.url_of(database).parse().unwrap());
    let imported = import(&options, &ImportOptions::default()).unwrap();
    serve(&options, &imported.proto)
}

fn serve(options: &Options, proto: &str) -> (Arc<MySqlStore>, Mirror) {
    let schema = compile_str(&[("import.proto", proto)]);
    let schema = Arc::new(schema.unwrap_or_else(|mistakes| panic!("{mistakes}\n{proto}")));
    let database = Database::open(options).unwrap();
    database.apply(&database.plan(&schema).unwrap(), &schema, &schema.snapshot(), &Allow::default()).unwrap();
    let store = MySqlStore::start(database, Arc::clone(&schema), Arc::new(Codecs::new(&schema))).unwrap();
    let mirror = Mirror::now(&store, &schema);
    (store, mirror)
}

/// Compressed transactions and JSON in parts; compressed rows.
fn what_is_logged_in_fewer_bytes_is_the_same(product: Product) {
    let options: &[&str] = match product {
        Product::MySql => &["--binlog-transaction-compression=ON", "--binlog-row-value-options=PARTIAL_JSON"],
        Product::MariaDb => &["--log-bin-compress=ON", "--log-bin-compress-min-len=10"],
    };
    let server = DatabaseServer::start_with(product, options);
    allow(&server);
    let run = |sql: &str| server.admin(&format!("USE test; {sql}"));
    run("CREATE TABLE docs (id INT PRIMARY KEY, js JSON, words TEXT)");
    let (store, mut mirror) = adopt(&server, "test");
    run(
        "INSERT INTO docs VALUES (1, JSON_OBJECT('a', 1, 'b', REPEAT('x', 500), 'c', JSON_ARRAY(1, 2, 3)), REPEAT('y', 5000))",
    );
    run("UPDATE docs SET js = JSON_SET(js, '$.a', 'two', '$.c[1]', 7), words = CONCAT(words, 'z')");
    run("UPDATE docs SET js = JSON_REMOVE(js, '$.c[0]')");
    assert_eq!(mirror.check(), 1);
    assert_eq!(mirror.commits.iter().map(|commit| commit.changes.len()).sum::<usize>(), 3);
    assert!(mirror.rewritten.is_empty());
    drop(store);
}

/// MariaDB 11.8 logs no computed columns when a row is changed or removed, nor when it is put in place of another.
fn what_the_database_computes_is_told_or_known_to_be_left_out(product: Product) {
    let server = DatabaseServer::start(product);
    allow(&server);
    let run = |sql: &str| server.admin(&format!("USE test; {sql}"));
    let columns = "id INT PRIMARY KEY, a INT NOT NULL";
    run(&format!(
        "CREATE TABLE kept ({columns}, twice INT AS (a * 2) STORED, KEY (twice));
         CREATE TABLE shown ({columns}, twice INT AS (a * 2) VIRTUAL);
         CREATE TABLE plain ({columns});"
    ));
    for (table, changed) in [
        ("plain", "UPDATE plain SET a = 3"),
        ("kept", "UPDATE kept SET a = 3"),
        ("kept", "DELETE FROM kept WHERE id = 1"),
        ("kept", "REPLACE INTO kept (id, a) VALUES (2, 7)"),
        ("shown", "UPDATE shown SET a = 3"),
        ("shown", "DELETE FROM shown WHERE id = 1"),
    ] {
        let (store, mut mirror) = adopt(&server, "test");
        run(&format!("INSERT INTO {table} (id, a) VALUES (1, 1), (2, 2)"));
        assert_eq!(mirror.check(), 2, "{table}");
        assert!(mirror.rewritten.is_empty(), "{table} by inserts");
        run(changed);
        mirror.check();
        let is_left_out = product == Product::MariaDb && server.version() >= (11, 8) && table != "plain";
        assert_eq!(mirror.rewritten.is_empty(), !is_left_out, "{changed}");
        assert!(mirror.rewritten.iter().all(|entity| *entity == Some(mirror.entity(table))), "{changed}");
        run(&format!("DELETE FROM {table}"));
        drop(store);
    }
}

fn a_view_is_rewritten_by_whatever_may_be_behind_it(product: Product) {
    let server = DatabaseServer::start(product);
    allow(&server);
    let run = |sql: &str| server.admin(&format!("USE test; {sql}"));
    run("CREATE TABLE plain (id INT PRIMARY KEY, n INT); CREATE VIEW doubled AS SELECT id, n * 2 AS m FROM plain");
    let options = Options::new(server.url().parse().unwrap());
    let keys = vec!["doubled=id".parse().unwrap()];
    let imported = import(&options, &ImportOptions { keys, ..ImportOptions::default() }).unwrap();
    let (store, mut mirror) = serve(&options, &imported.proto);
    run("INSERT INTO plain VALUES (1, 5)");
    mirror.check();
    assert_eq!(mirror.rewritten.len(), 1, "{}", imported.proto);
    assert_eq!(mirror.commits.iter().map(|commit| commit.changes.len()).sum::<usize>(), 1);
    drop(store);
}
