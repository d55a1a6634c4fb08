//! Values of every type at their bounds: what the log says is what `SELECT` answers on the same server.

#![allow(clippy::unwrap_used, reason = "clippy knows tests only by their attribute")]

mod common;

use common::types::{self, BOTH, MARIADB, MARIADB_11_8, MYSQL};
use common::{Scene, Value};
use rowkeep_mysql::{Connection, Raw};
use testkit::{DatabaseServer, Product};

testkit::on_both_products! {
    async
    every_type_is_what_select_answers
    every_width_of_a_decimal_is_what_select_answers
    every_width_of_a_member_is_what_select_answers
}

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
    let is_new = product == Product::MariaDb && scene.server.version() >= (11, 8);
    let newer = if is_new { MARIADB_11_8 } else { &[] };
    compare(&mut scene, BOTH.iter().chain(own).chain(newer).copied()).await;
}

async fn every_width_of_a_decimal_is_what_select_answers(product: Product) {
    let mut scene = Scene::new(DatabaseServer::shared(product)).await;
    let decimals: Vec<_> = types::decimals().collect();
    let spelled: Vec<_> = decimals.iter().map(|(kind, values)| (kind, values.each_ref().map(String::as_str))).collect();
    compare(&mut scene, spelled.iter().map(|(kind, values)| (kind.as_str(), values.as_slice()))).await;
}

async fn every_width_of_a_member_is_what_select_answers(product: Product) {
    let mut scene = Scene::new(DatabaseServer::shared(product)).await;
    let members = types::many_members();
    let spelled =
        members.each_ref().map(|(kind, values)| (kind, values.iter().map(String::as_str).collect::<Vec<_>>()));
    compare(&mut scene, spelled.iter().map(|(kind, values)| (kind.as_str(), values.as_slice()))).await;
}

/// Writes values of types, each type to a table of its own, and compares the log with what `SELECT` answers.
async fn compare<'t>(scene: &mut Scene<'_>, types: impl IntoIterator<Item = (&'t str, &'t [&'t str])>) {
    let mut expected = Vec::new();
    for (at, (kind, values)) in types.into_iter().enumerate() {
        let values = values.iter().chain(&["NULL"]).enumerate();
        let rows: Vec<String> = values.map(|(id, value)| format!("({id}, {value}, {id})")).collect();
        // A column behind it: a value of a wrong length would be noticed.
        scene.run(&[&format!("CREATE TABLE t{at} (id INT PRIMARY KEY, v {kind} NULL, behind INT UNSIGNED)")]).await;
        scene.run(&[&format!("INSERT INTO t{at} VALUES {}", rows.join(", "))]).await;
        expected.push((kind, select(&mut scene.writer, &format!("SELECT v FROM t{at} ORDER BY id"), kind).await));
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
