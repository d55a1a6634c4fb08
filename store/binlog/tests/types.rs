//! Values of every type at their bounds: what the log says is what `SELECT` answers on the same server.

#![allow(clippy::unwrap_used, reason = "clippy knows tests only by their attribute")]

mod common;

use common::{Scene, Value};
use rowkeep_mysql::{Connection, Raw};
use testkit::{DatabaseServer, Product};

testkit::on_both_products! {
    async
    every_type_is_what_select_answers
}

/// Types and their values.
const BOTH: &[(&str, &[&str])] = &[
    ("TINYINT", &["-128", "-1", "0", "127"]),
    ("TINYINT UNSIGNED", &["0", "128", "255"]),
    ("BOOL", &["TRUE", "FALSE"]),
    ("SMALLINT", &["-32768", "-1", "32767"]),
    ("SMALLINT UNSIGNED", &["0", "65535"]),
    ("MEDIUMINT", &["-8388608", "-1", "0", "8388607"]),
    ("MEDIUMINT UNSIGNED", &["0", "16777215"]),
    ("INT", &["-2147483648", "-1", "2147483647"]),
    ("INT UNSIGNED ZEROFILL", &["0", "4294967295"]),
    ("BIGINT", &["-9223372036854775808", "-1", "9223372036854775807"]),
    ("BIGINT UNSIGNED", &["0", "9223372036854775808", "18446744073709551615"]),
    ("FLOAT", &["-3.4e38", "0", "1.17e-38", "3.4e38", "0.1"]),
    ("FLOAT UNSIGNED", &["0", "1.5"]),
    ("DOUBLE", &["-1.7976931348623157e308", "2.2250738585072014e-308", "0.1", "0"]),
    ("DECIMAL(10,2)", &["-99999999.99", "-0.01", "0", "0.01", "99999999.99"]),
    (
        "DECIMAL(65,30)",
        &[
            "-99999999999999999999999999999999999.999999999999999999999999999999",
            "0.000000000000000000000000000001",
            "1",
        ],
    ),
    ("DECIMAL(30,30)", &["-0.999999999999999999999999999999", "0"]),
    ("DECIMAL(65,0)", &["-99999999999999999999999999999999999999999999999999999999999999999", "0"]),
    ("DECIMAL(1,0) UNSIGNED", &["9", "0"]),
    ("YEAR", &["0", "1901", "2155", "1970"]),
    ("DATE", &["'1000-01-01'", "'9999-12-31'", "'0000-00-00'", "'2024-02-00'", "'2024-02-29'"]),
    ("TIME", &["'-838:59:59'", "'838:59:59'", "'00:00:00'", "'-00:00:01'"]),
    ("TIME(1)", &["'-838:59:58.9'", "'-00:00:00.1'", "'00:00:00.9'"]),
    ("TIME(3)", &["'-00:00:00.001'", "'-00:00:01.999'", "'12:34:56.789'"]),
    ("TIME(4)", &["'-00:00:00.0001'", "'12:34:56.7891'"]),
    ("TIME(6)", &["'-838:59:58.999999'", "'-00:00:00.000001'", "'838:59:58.999999'", "'00:00:00.000001'"]),
    ("DATETIME", &["'1000-01-01 00:00:00'", "'9999-12-31 23:59:59'", "'0000-00-00 00:00:00'", "'0003-00-00 00:00:01'"]),
    ("DATETIME(1)", &["'2024-02-29 23:59:59.9'"]),
    ("DATETIME(3)", &["'2024-02-29 23:59:59.999'", "'2024-02-29 23:59:59.001'"]),
    ("DATETIME(6)", &["'9999-12-31 23:59:59.999999'", "'2024-02-29 00:00:00.000001'"]),
    ("TIMESTAMP NULL", &["'1970-01-01 00:00:01'", "'2038-01-19 03:14:07'", "'0000-00-00 00:00:00'"]),
    ("TIMESTAMP(2) NULL", &["'1970-01-01 00:00:01.01'", "'2024-02-29 23:59:59.99'"]),
    ("TIMESTAMP(6) NULL", &["'2024-02-29 23:59:59.000001'", "'2038-01-19 03:14:07.999999'"]),
    ("CHAR(5)", &["''", "'abc'", "'ab  '", "'日本語日本'"]),
    ("CHAR(255)", &["''", "REPEAT('日', 255)"]),
    ("VARCHAR(10)", &["''", "'  x  '", "'😀'"]),
    ("VARCHAR(255)", &["REPEAT('x', 255)"]),
    ("VARCHAR(256) CHARACTER SET ascii", &["REPEAT('x', 256)", "''"]),
    ("VARCHAR(16000)", &["REPEAT('x', 16000)"]),
    ("BINARY(4)", &["X'00000000'", "X'01020300'", "X'ffffffff'"]),
    ("VARBINARY(300)", &["X''", "X'00ff00'", "REPEAT('x', 300)"]),
    ("TINYBLOB", &["''", "REPEAT('x', 255)"]),
    ("BLOB", &["X'00'", "REPEAT('x', 65535)"]),
    ("MEDIUMBLOB", &["REPEAT('x', 70000)"]),
    ("LONGTEXT", &["''", "REPEAT('日', 100000)"]),
    ("TINYTEXT", &["'x'"]),
    ("TEXT", &["'x'", "REPEAT('y', 256)"]),
    ("BIT(1)", &["b'0'", "b'1'"]),
    ("BIT(9)", &["b'100000001'", "b'0'"]),
    ("BIT(64)", &["0xffffffffffffffff", "0x8000000000000001", "0x7fffffff"]),
    ("ENUM('a','b''c','ü')", &["'a'", "'b''c'", "'ü'", "'wrong'"]),
    ("SET('a','b','ü')", &["''", "'a'", "'a,b,ü'", "'ü'"]),
    ("POINT", &["ST_GeomFromText('POINT(1 -2.5)')"]),
    ("GEOMETRY", &["ST_GeomFromText('POLYGON((0 0,1 0,1 1,0 0))')", "ST_GeomFromText('LINESTRING(0 0,1 1)', 4326)"]),
    ("GEOMETRYCOLLECTION", &["ST_GeomFromText('GEOMETRYCOLLECTION(POINT(1 1),LINESTRING(0 0,1 1))')"]),
    ("JSON", &["'{\"a\": 1, \"bb\": [1, 2.5, null, true, \"x\\\\n\"]}'", "'[]'", "'{}'", "'1'", "'\"\"'", "'null'"]),
];

const MARIADB: &[(&str, &[&str])] = &[
    ("INET6", &["'::'", "'2001:db8::ff00:42:8329'", "'::ffff:1.2.3.4'"]),
    ("INET4", &["'0.0.0.0'", "'255.1.2.0'"]),
    (
        "UUID",
        &[
            "'123e4567-e89b-12d3-a456-426655440000'",
            "'123e4567-e89b-42d3-a456-426655440000'",
            "'00000000-0000-0000-0000-000000000000'",
            "'ffffffff-ffff-ffff-ffff-ffffffffffff'",
            "'018e4567-e89b-72d3-a456-426655440000'",
            "'123e4567-e89b-12d3-0456-426655440000'",
        ],
    ),
    ("VARCHAR(100) COMPRESSED", &["''", "'x'", "REPEAT('ab', 50)"]),
    ("VARCHAR(1000) COMPRESSED", &["''", "'short'", "REPEAT('ab', 500)"]),
    ("TEXT COMPRESSED", &["''", "'short'", "REPEAT('ab', 30000)"]),
    ("LONGBLOB COMPRESSED", &["REPEAT('日', 100000)"]),
];

const MYSQL: &[(&str, &[&str])] = &[
    ("VECTOR(3)", &["STRING_TO_VECTOR('[1,-2.5,3e38]')"]),
    (
        "JSON",
        &[
            "JSON_OBJECT('d', CAST('2024-02-29' AS DATE), 't', CAST('-12:34:56.5' AS TIME(6)), 'ts', CAST('2024-02-29 23:59:59.25' AS DATETIME(6)))",
            "JSON_ARRAY(CAST('1.50' AS DECIMAL(10,2)), CAST('-0.05' AS DECIMAL(4,2)), X'00ff', CAST('x' AS BINARY(3)), b'101')",
            "JSON_ARRAY(1e0, -0.5e0, 1e15, 1e14, 123456789012345678e0, 1e-5, 1e-20, 1.5e300, 0e0, 100e0)",
            "JSON_ARRAY(-32768, 32767, 65535, -2147483648, 4294967295, -9223372036854775808, 18446744073709551615)",
            "JSON_OBJECT('b', 1, 'aa', 2, 'a', 3, '', 4, 'ü', 5)",
            "JSON_ARRAY('q\"\\\\/', CONCAT('c', CHAR(1), CHAR(31), CHAR(127)), '日本😀')",
            "JSON_OBJECT('big', REPEAT('x', 70000), 'n', 1, 'm', 70000, 'k', JSON_ARRAY(1, 2))",
            "CAST(CONCAT('[', REPEAT('1,', 20000), '1]') AS JSON)",
            "CAST(CONCAT(REPEAT('[', 90), REPEAT(']', 90)) AS JSON)",
        ],
    ),
];

/// What `SELECT` answers, by type where it is shown otherwise than it is.
fn selected(raw: Raw<'_>, kind: &str) -> Value {
    match raw {
        Raw::Null => Value::Null,
        Raw::Int(value) => Value::Int(value),
        Raw::Uint(value) => Value::Uint(value),
        Raw::Float(value) => Value::Float(value),
        Raw::Double(value) => Value::Double(value),
        Raw::DateTime(value) => Value::DateTime(value),
        Raw::Time(value) => Value::Time(value),
        Raw::Bytes(bytes) if kind.starts_with("BIT") => {
            Value::Uint(bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
        }
        Raw::Bytes(bytes) => Value::Bytes(bytes.to_vec()),
    }
}

async fn select(connection: &mut Connection, sql: &str, kind: &str) -> Vec<Value> {
    let statement = connection.prepare(sql).await.unwrap();
    connection.send_execute(statement, &[]).unwrap();
    connection.flush().await.unwrap();
    let mut values = Vec::new();
    connection
        .receive(|row| {
            values.push(selected(row.value()?, kind));
            Ok::<(), rowkeep_mysql::Error>(())
        })
        .await
        .unwrap();
    values
}

/// What the log has, where it cannot know how it is shown.
fn as_shown(value: Value, kind: &str) -> Value {
    let Value::Bytes(mut bytes) = value else { return value };
    match kind {
        "BINARY(4)" => bytes.resize(4, 0),
        "INET4" => {
            bytes.resize(4, 0);
            let [a, b, c, d] = bytes.as_slice() else { panic!("{bytes:?}") };
            bytes = format!("{a}.{b}.{c}.{d}").into_bytes();
        }
        "INET6" => {
            bytes.resize(16, 0);
            let bytes_16: [u8; 16] = bytes.try_into().unwrap();
            bytes = std::net::Ipv6Addr::from(bytes_16).to_string().into_bytes();
        }
        "UUID" => {
            let digits = format!("{:032x}", u128::from_be_bytes(rowkeep_binlog::mariadb_uuid(&bytes).unwrap()));
            let parts = [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]];
            bytes = parts.join("-").into_bytes();
        }
        _ => {}
    }
    Value::Bytes(bytes)
}

async fn every_type_is_what_select_answers(product: Product) {
    let mut scene = Scene::new(DatabaseServer::shared(product)).await;
    let own = if product == Product::MariaDb { MARIADB } else { MYSQL };
    let mut expected = Vec::new();
    for (at, (kind, values)) in BOTH.iter().chain(own).enumerate() {
        let rows: Vec<String> =
            values.iter().chain(&["NULL"]).enumerate().map(|(id, value)| format!("({id}, {value}, {id})")).collect();
        // A column behind it: a value of a wrong length would be noticed.
        scene.run(&[&format!("CREATE TABLE t{at} (id INT PRIMARY KEY, v {kind} NULL, behind INT UNSIGNED)")]).await;
        scene.run(&[&format!("INSERT INTO t{at} VALUES {}", rows.join(", "))]).await;
        expected.push((*kind, select(&mut scene.writer, &format!("SELECT v FROM t{at} ORDER BY id"), kind).await));
    }
    let events = scene.events().await;
    for (at, (kind, expected)) in expected.into_iter().enumerate() {
        let table = format!("{}.t{at}", scene.database);
        let of_table = events.iter().filter_map(|event| match event {
            common::Event::Insert(name, cells) if *name == table => Some(cells.clone()),
            _ => None,
        });
        let mut logged = Vec::new();
        for (id, cells) in of_table.enumerate() {
            let [Some(_), Some(value), Some(behind)] = cells.as_slice() else { panic!("{kind}: {cells:?}") };
            assert_eq!(*behind, Value::Uint(id as u64), "{kind}");
            logged.push(as_shown(value.clone(), kind));
        }
        assert_eq!(logged.len(), expected.len(), "{kind}");
        for (at, (logged, expected)) in logged.iter().zip(&expected).enumerate() {
            if let (Value::Bytes(logged), Value::Bytes(expected)) = (logged, expected) {
                assert!(logged == expected, "{kind}, value {at}: {} is {}", short(logged), short(expected));
            } else {
                assert_eq!(logged, expected, "{kind}, value {at}");
            }
        }
    }
}

fn short(bytes: &[u8]) -> String {
    let text = common::text(&bytes[..bytes.len().min(300)]);
    format!("{text:?} {:02x?} ({} bytes)", &bytes[..bytes.len().min(24)], bytes.len())
}
