//! The protocol against real servers: every test runs on both products.

#![allow(clippy::unwrap_used, reason = "clippy knows tests only by their attribute")]

use std::time::Duration;

use rowkeep_mysql::{Address, Connection, DateTime, Error, Param, Product, Raw};
use testkit::{DatabaseServer, Product as Tested};

testkit::on_both_products! {
    async
    a_server_says_what_it_is
    a_login_that_fails_says_why
    every_type_comes_back_as_it_went
    commands_sent_together_are_answered_in_order_and_fail_one_by_one
    a_changed_table_changes_what_a_prepared_statement_answers
    values_larger_than_a_packet_come_back
    an_error_over_a_row_is_answered_and_the_connection_goes_on
    a_call_that_is_given_up_makes_the_connection_useless_and_says_so
    a_commit_tells_its_gtid_where_the_session_tracks_it
    more_statements_than_are_kept_can_be_used
    a_server_that_dies_breaks_the_call_and_is_found_again
}

fn address(tested: Tested) -> Address {
    DatabaseServer::shared(tested).url().parse().unwrap()
}

async fn connect(tested: Tested) -> Connection {
    Connection::open(&address(tested)).await.unwrap()
}

/// An empty table, whatever was there.
async fn make_table(connection: &mut Connection, name: &str, columns: &str) {
    connection.command(&format!("DROP TABLE IF EXISTS {name}")).await.unwrap();
    connection.command(&format!("CREATE TABLE {name} ({columns})")).await.unwrap();
}

/// A value that borrows nothing.
#[derive(Debug, Clone, PartialEq)]
enum Owned {
    Null,
    Int(i64),
    Uint(u64),
    Float(f32),
    Double(f64),
    Text(String),
    DateTime(DateTime),
    Time(i64),
}

fn owned(raw: Raw<'_>) -> Owned {
    match raw {
        Raw::Null => Owned::Null,
        Raw::Int(number) => Owned::Int(number),
        Raw::Uint(number) => Owned::Uint(number),
        Raw::Float(number) => Owned::Float(number),
        Raw::Double(number) => Owned::Double(number),
        Raw::Bytes(bytes) => Owned::Text(String::from_utf8_lossy(bytes).into_owned()),
        Raw::DateTime(time) => Owned::DateTime(time),
        Raw::Time(micros) => Owned::Time(micros),
    }
}

/// Receives the answer to the oldest command, whose rows have this many columns.
async fn rows(connection: &mut Connection, columns: usize) -> Result<Vec<Vec<Owned>>, Error> {
    let mut rows = Vec::new();
    connection
        .receive(|row| {
            rows.push((0..columns).map(|_| row.value().map(owned)).collect::<Result<_, _>>()?);
            Ok::<(), Error>(())
        })
        .await?;
    Ok(rows)
}

async fn run(connection: &mut Connection, sql: &str, params: &[Param<'_>], columns: usize) -> Vec<Vec<Owned>> {
    let statement = connection.prepare(sql).await.unwrap();
    connection.send_execute(statement, params).unwrap();
    connection.flush().await.unwrap();
    rows(connection, columns).await.unwrap()
}

async fn a_server_says_what_it_is(tested: Tested) {
    let mut connection = connect(tested).await;
    let server = connection.server().clone();
    let (product, least) = match tested {
        Tested::MariaDb => (Product::MariaDb, (10, 6, 0)),
        Tested::MySql => (Product::MySql, (9, 0, 0)),
    };
    assert_eq!(server.product, product);
    assert!(server.numbers() >= least, "{server:?}");
    let found = connection.query("SELECT CONNECTION_ID(), NULL, ''").await.unwrap();
    assert_eq!(found, [vec![Some(server.connection.to_string()), None, Some(String::new())]]);
    connection.close().await;
}

async fn a_login_that_fails_says_why(tested: Tested) {
    let wrong = |change: fn(&mut Address)| async move {
        let mut address = address(tested);
        change(&mut address);
        Connection::open(&address).await.unwrap_err()
    };
    assert_eq!(wrong(|address| address.password = "wrong".into()).await.code(), Some(1045));
    assert_eq!(wrong(|address| address.database = Some("nowhere".into())).await.code(), Some(1044));
    let port = testkit::free_port();
    let mut nobody = address(tested);
    nobody.port = port;
    assert!(matches!(Connection::open(&nobody).await, Err(Error::Io(_))));
    // It takes connections and says nothing.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut address = address(tested);
    address.port = silent.local_addr().unwrap().port();
    address.connect_timeout = Duration::from_millis(50);
    assert!(matches!(Connection::open(&address).await, Err(Error::ConnectTimeout(_))));
}

const TYPES: &str = "
    a TINYINT, b SMALLINT UNSIGNED, c MEDIUMINT, d INT UNSIGNED, e BIGINT, f BIGINT UNSIGNED, g FLOAT, h DOUBLE,
    i DECIMAL(38, 4), j VARCHAR(40), k LONGBLOB, l DATE, m DATETIME(6), n TIME(6), o YEAR, p BIT(9), q ENUM('x', 'y'), r JSON";

async fn every_type_comes_back_as_it_went(tested: Tested) {
    let mut connection = connect(tested).await;
    make_table(&mut connection, "types", TYPES).await;
    let day = DateTime { year: 9999, month: 12, day: 31, ..DateTime::default() };
    let moment = DateTime { hour: 23, minute: 59, second: 59, micros: 999_999, ..day };
    let insert = format!("INSERT INTO types VALUES ({})", ["?"; 18].join(", "));
    let low = [
        Param::Int(-128),
        Param::Uint(65535),
        Param::Int(-8_388_608),
        Param::Uint(u32::MAX.into()),
        Param::Int(i64::MIN),
        Param::Uint(u64::MAX),
        Param::Double(0.1_f32.into()),
        Param::Double(f64::MIN_POSITIVE),
        Param::Decimal(-99_999_999_999_999_999_999_999_999_999_999_999_999, 4),
        Param::Text("żółw 🐢"),
        Param::Bytes(b"\x00'\\\""),
        Param::Date(day),
        Param::DateTime(moment),
        Param::Text("-838:59:58.000001"),
        Param::Int(2155),
        Param::Int(257),
        Param::Text("y"),
        Param::Text("{\"a\": [1, 2.5]}"),
    ];
    assert!(run(&mut connection, &insert, &low, 0).await.is_empty());
    assert!(run(&mut connection, &insert, &[Param::Null; 18], 0).await.is_empty());
    let found = run(&mut connection, "SELECT * FROM types ORDER BY a DESC", &[], 18).await;
    let text = |text: &str| Owned::Text(text.to_owned());
    let expected = [
        Owned::Int(-128),
        Owned::Uint(65535),
        Owned::Int(-8_388_608),
        Owned::Uint(u32::MAX.into()),
        Owned::Int(i64::MIN),
        Owned::Uint(u64::MAX),
        Owned::Float(0.1),
        Owned::Double(f64::MIN_POSITIVE),
        text("-9999999999999999999999999999999999.9999"),
        text("żółw 🐢"),
        text("\0'\\\""),
        Owned::DateTime(day),
        Owned::DateTime(moment),
        Owned::Time(-(((838 * 60 + 59) * 60 + 58) * 1_000_000 + 1)),
        Owned::Uint(2155),
        text("\u{1}\u{1}"),
        text("y"),
        text("{\"a\": [1, 2.5]}"),
    ];
    assert_eq!(found[0], expected);
    assert_eq!(found[1], vec![Owned::Null; 18]);
    // A decimal is compared as one: as floating point these two are equal.
    let sql = "SELECT COUNT(*) FROM types WHERE i = ?";
    let other = [Param::Decimal(-99_999_999_999_999_999_999_999_999_999_999_999_998, 4)];
    assert_eq!(run(&mut connection, sql, &other, 1).await, [[Owned::Int(0)]]);
    assert_eq!(run(&mut connection, sql, &[low[8]], 1).await, [[Owned::Int(1)]]);
}

async fn commands_sent_together_are_answered_in_order_and_fail_one_by_one(tested: Tested) {
    let mut connection = connect(tested).await;
    make_table(&mut connection, "pipe", "id BIGINT AUTO_INCREMENT PRIMARY KEY, n INT").await;
    let insert = connection.prepare("INSERT INTO pipe (id, n) VALUES (?, ?)").await.unwrap();
    connection.send_command("START TRANSACTION");
    for id in [Param::Null, Param::Int(1), Param::Null] {
        connection.send_execute(insert, &[id, Param::Int(7)]).unwrap();
    }
    connection.send_command("SELECT 1");
    assert_eq!(connection.awaited(), 5);
    assert!(!connection.is_idle());
    connection.flush().await.unwrap();
    let mut results = Vec::new();
    while connection.awaited() > 0 {
        let done = connection.receive(|_| Ok::<(), Error>(())).await;
        results.push(done.map(|done| done.last_insert_id).map_err(|error| error.code()));
    }
    assert_eq!(results, [Ok(0), Ok(1), Err(Some(1062)), Ok(2), Ok(0)]);
    assert!(connection.in_transaction() && !connection.is_idle());
    assert_eq!(connection.command("COMMIT").await.unwrap().affected, 0);
    assert!(connection.is_idle());
    assert!(connection.send_execute(insert, &[]).is_err(), "a wrong number of parameters is not sent");
    let update = connection.command("UPDATE pipe SET n = 7").await.unwrap();
    assert_eq!(update.affected, 2, "rows found count, changed or not");
}

async fn a_changed_table_changes_what_a_prepared_statement_answers(tested: Tested) {
    let mut connection = connect(tested).await;
    make_table(&mut connection, "changing", "a INT").await;
    connection.command("INSERT INTO changing VALUES (5)").await.unwrap();
    let sql = "SELECT * FROM changing";
    assert_eq!(run(&mut connection, sql, &[], 1).await, [[Owned::Int(5)]]);
    assert_eq!(run(&mut connection, sql, &[], 1).await, [[Owned::Int(5)]]);
    connection.command("ALTER TABLE changing MODIFY a VARCHAR(10), ADD b DOUBLE DEFAULT 0.5").await.unwrap();
    let expected = [[Owned::Text("5".to_owned()), Owned::Double(0.5)]];
    assert_eq!(run(&mut connection, sql, &[], 2).await, expected);
    connection.command("ALTER TABLE changing DROP b").await.unwrap();
    assert_eq!(run(&mut connection, sql, &[], 1).await, [[Owned::Text("5".to_owned())]]);
}

async fn values_larger_than_a_packet_come_back(tested: Tested) {
    let mut connection = connect(tested).await;
    make_table(&mut connection, "large", "a LONGBLOB").await;
    for size in [(1 << 24) - 20, 1 << 24, 40_000_000] {
        let value: Vec<u8> = (0..size).map(|at| (at % 253) as u8).collect();
        run(&mut connection, "INSERT INTO large VALUES (?)", &[Param::Bytes(&value)], 0).await;
        let statement = connection.prepare("SELECT a FROM large").await.unwrap();
        connection.send_execute(statement, &[]).unwrap();
        connection.flush().await.unwrap();
        let mut seen = 0;
        let same = |row: &mut rowkeep_mysql::Row<'_>| {
            seen += usize::from(row.value()? == Raw::Bytes(&value));
            Ok::<(), Error>(())
        };
        connection.receive(same).await.unwrap();
        assert_eq!(seen, 1, "{size} bytes");
        connection.command("TRUNCATE large").await.unwrap();
    }
}

const THOUSAND: &str = "WITH RECURSIVE numbers AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM numbers WHERE n < 1000) SELECT n FROM numbers";

async fn an_error_over_a_row_is_answered_and_the_connection_goes_on(tested: Tested) {
    let mut connection = connect(tested).await;
    let statement = connection.prepare(THOUSAND).await.unwrap();
    connection.send_execute(statement, &[]).unwrap();
    connection.flush().await.unwrap();
    let mut seen = 0;
    let outcome = connection
        .receive(|_| {
            seen += 1;
            if seen == 3 { Err(Error::Protocol("enough")) } else { Ok(()) }
        })
        .await;
    assert!(matches!(outcome, Err(Error::Protocol("enough"))));
    assert_eq!(seen, 3);
    assert!(connection.is_idle());
    assert_eq!(connection.query("SELECT 2").await.unwrap(), [[Some("2".to_owned())]]);
}

async fn a_call_that_is_given_up_makes_the_connection_useless_and_says_so(tested: Tested) {
    let mut connection = connect(tested).await;
    let sleeping = connection.command("SELECT SLEEP(5)");
    assert!(tokio::time::timeout(Duration::from_millis(50), sleeping).await.is_err());
    assert!(!connection.is_idle());
    assert!(matches!(connection.command("SELECT 1").await, Err(Error::Abandoned)));
}

async fn a_commit_tells_its_gtid_where_the_session_tracks_it(tested: Tested) {
    let mut connection = connect(tested).await;
    let track = match tested {
        Tested::MariaDb => "session_track_system_variables = 'last_gtid'",
        Tested::MySql => "session_track_gtids = 'OWN_GTID'",
    };
    connection.command(&format!("SET SESSION {track}")).await.unwrap();
    make_table(&mut connection, "tracked", "a INT").await;
    let done = connection.command("INSERT INTO tracked VALUES (1)").await.unwrap();
    let gtid = done.gtid.unwrap();
    let known = match tested {
        Tested::MariaDb => format!("SELECT @@last_gtid = '{gtid}'"),
        Tested::MySql => format!("SELECT GTID_SUBSET('{gtid}', @@global.gtid_executed)"),
    };
    assert_eq!(connection.query(&known).await.unwrap(), [[Some("1".to_owned())]]);
}

async fn more_statements_than_are_kept_can_be_used(tested: Tested) {
    let mut connection = connect(tested).await;
    for round in 0..2 {
        for number in 0..300 {
            let sql = format!("SELECT {number} + ?");
            let found = run(&mut connection, &sql, &[Param::Int(round)], 1).await;
            assert_eq!(found, [[Owned::Int(number + round)]]);
        }
    }
    let open = connection.query("SHOW SESSION STATUS LIKE 'Com_stmt_close'").await.unwrap();
    assert!(open[0][1].as_deref().is_some_and(|closed| closed != "0"), "{open:?}");
}

async fn a_server_that_dies_breaks_the_call_and_is_found_again(tested: Tested) {
    let server = DatabaseServer::start(tested);
    let address: Address = server.url().parse().unwrap();
    let mut connection = Connection::open(&address).await.unwrap();
    connection.command("CREATE TABLE kept (a INT)").await.unwrap();
    connection.command("INSERT INTO kept VALUES (1)").await.unwrap();
    server.kill9();
    assert!(matches!(connection.command("SELECT 1").await, Err(Error::Io(_))));
    assert!(!connection.is_idle());
    server.restart();
    let mut connection = Connection::open(&address).await.unwrap();
    assert_eq!(connection.query("SELECT a FROM kept").await.unwrap(), [[Some("1".to_owned())]]);
}
