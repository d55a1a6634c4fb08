//! Going on after whatever happened: nothing is missing, nothing comes twice, and what cannot go on says so.

#![allow(clippy::unwrap_used, reason = "clippy knows tests only by their attribute")]

mod common;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use common::{Event, Scene, Value, copy, reader_address, until};
use rowkeep_binlog::{Error, Gtids, Hidden, Item, LogFile, Options, Position, Reader, Start};
use rowkeep_mysql::{Address, Connection};
use testkit::{DatabaseServer, FaultProxy, Product};

testkit::on_both_products! {
    async
    every_position_is_one_to_go_on_from
    a_server_that_is_killed_is_read_on_from_where_it_was
    a_network_that_is_cut_anywhere_loses_and_repeats_nothing
    a_server_that_falls_silent_is_noticed
    a_server_with_nothing_to_tell_shows_that_it_lives
    a_log_goes_on_in_other_files
    a_transaction_that_is_a_file_of_its_own_is_read_and_gone_on_from
    a_position_that_was_purged_is_an_error_of_its_own
    a_position_that_the_server_never_had_is_an_error_of_its_own
    a_reader_with_the_same_number_takes_over
    a_place_in_a_file_is_one_to_begin_at
    a_call_that_is_given_up_loses_nothing
    what_the_server_does_not_log_is_said_before_anything_is_read
    a_user_without_rights_is_told_which
}

fn fast() -> Options {
    Options { heartbeat: Duration::from_millis(500), ..Options::new() }
}

async fn writer(server: &DatabaseServer) -> Connection {
    let mut writer = Connection::open(&server.url().parse().unwrap()).await.unwrap();
    writer.command("CREATE TABLE IF NOT EXISTS seq (id INT PRIMARY KEY, v VARCHAR(200))").await.unwrap();
    writer
}

async fn insert(writer: &mut Connection, ids: std::ops::Range<i64>) {
    for id in ids {
        writer.command(&format!("INSERT INTO seq VALUES ({id}, REPEAT('x', {}))", id % 200)).await.unwrap();
    }
}

/// The numbers in `test.seq` among the events.
fn numbers(events: &[Event]) -> Vec<i64> {
    let number = |event: &Event| match event {
        Event::Insert(name, cells) if name == "test.seq" => match cells[0] {
            Some(Value::Int(id)) => Some(id),
            _ => None,
        },
        _ => None,
    };
    events.iter().filter_map(number).collect()
}

/// Reads whole transactions up to the number, or as far as it goes. What they had is added, and where to go on.
async fn follow(
    reader: &mut Reader,
    last: i64,
    seen: &mut Vec<i64>,
    position: &mut Option<Position>,
) -> Result<(), Error> {
    let mut transaction = Vec::new();
    while seen.last() != Some(&last) {
        let item = reader.next().await?;
        if let Item::End(end) = &item {
            seen.append(&mut numbers(&transaction));
            transaction.clear();
            *position = Some(end.position.clone());
            continue;
        }
        copy(item, &mut transaction)?;
    }
    Ok(())
}

fn start(position: &Option<Position>, first: &Start) -> Start {
    position.as_ref().map_or(first.clone(), Start::from)
}

async fn now(server: &DatabaseServer) -> Start {
    let reader = Reader::open(&reader_address(server), Start::Now, &fast()).await.unwrap();
    Start::After(reader.position().gtids.clone().unwrap())
}

async fn every_position_is_one_to_go_on_from(product: Product) {
    let server = DatabaseServer::start(product);
    let mut writer = writer(&server).await;
    let first = now(&server).await;
    insert(&mut writer, 0..10).await;
    server.admin("FLUSH BINARY LOGS");
    insert(&mut writer, 10..20).await;
    let (mut seen, mut position) = (Vec::new(), None);
    for last in 0..20 {
        // A new reader for every transaction.
        let mut reader = Reader::open(&reader_address(&server), start(&position, &first), &fast()).await.unwrap();
        follow(&mut reader, last, &mut seen, &mut position).await.unwrap();
    }
    assert_eq!(seen, (0..20).collect::<Vec<_>>());
    // The position is what the server itself has done.
    let question = if product == Product::MySql { "SELECT @@gtid_executed" } else { "SELECT @@gtid_binlog_pos" };
    assert_eq!(position.unwrap().gtids.unwrap().to_string(), server.admin(question).replace('\n', ""));
}

async fn a_server_that_is_killed_is_read_on_from_where_it_was(product: Product) {
    let server = DatabaseServer::start(product);
    let mut to = writer(&server).await;
    let first = now(&server).await;
    let (mut seen, mut position) = (Vec::new(), None);
    for round in 0..3 {
        let mut reader = Reader::open(&reader_address(&server), start(&position, &first), &fast()).await.unwrap();
        insert(&mut to, round * 20..round * 20 + 20).await;
        // Some are read, some are not.
        follow(&mut reader, round * 20 + 10, &mut seen, &mut position).await.unwrap();
        // A transaction that is not committed when the server dies is never seen.
        to.command("BEGIN").await.unwrap();
        to.command(&format!("INSERT INTO seq VALUES ({}, 'lost')", 1000 + round)).await.unwrap();
        server.kill9();
        let error = follow(&mut reader, -1, &mut Vec::new(), &mut None).await.unwrap_err();
        assert!(error.is_transient(), "{error}");
        server.restart();
        to = writer(&server).await;
    }
    insert(&mut to, 60..61).await;
    let mut reader = Reader::open(&reader_address(&server), start(&position, &first), &fast()).await.unwrap();
    follow(&mut reader, 60, &mut seen, &mut position).await.unwrap();
    assert_eq!(seen, (0..61).collect::<Vec<_>>());
}

fn through(address: Address, proxy: &FaultProxy) -> Address {
    Address { port: proxy.address().port(), ..address }
}

async fn a_network_that_is_cut_anywhere_loses_and_repeats_nothing(product: Product) {
    let server = DatabaseServer::start(product);
    let proxy = FaultProxy::start(SocketAddr::from((Ipv4Addr::LOCALHOST, server.port())));
    let address = through(reader_address(&server), &proxy);
    let mut writer = writer(&server).await;
    let first = now(&server).await;
    insert(&mut writer, 0..200).await;
    let (mut seen, mut position) = (Vec::new(), None);
    let mut cuts = 0;
    for budget in (1..).map(|round| 7001 + round * 977) {
        proxy.heal();
        // The login is let through; the stream is not, beyond so many bytes.
        proxy.cut_after(budget);
        let opened = Reader::open(&address, start(&position, &first), &fast()).await;
        let outcome = match opened {
            Ok(mut reader) => follow(&mut reader, 199, &mut seen, &mut position).await,
            Err(error) => Err(error),
        };
        match outcome {
            Ok(()) => break,
            Err(error) => assert!(error.is_transient(), "{error}"),
        }
        cuts += 1;
    }
    assert!(cuts > 3, "{cuts}");
    assert_eq!(seen, (0..200).collect::<Vec<_>>());
}

async fn a_server_that_falls_silent_is_noticed(product: Product) {
    let server = DatabaseServer::shared(product);
    let proxy = FaultProxy::start(SocketAddr::from((Ipv4Addr::LOCALHOST, server.port())));
    let address = through(reader_address(server), &proxy);
    let options = Options { heartbeat: Duration::from_secs(1), ..Options::new() };
    let mut reader = Reader::open(&address, Start::Now, &options).await.unwrap();
    loop {
        if matches!(reader.next().await.unwrap(), Item::Heartbeat) {
            break;
        }
    }
    proxy.hold();
    let since = Instant::now();
    let error = loop {
        if let Err(error) = reader.next().await {
            break error;
        }
    };
    assert!(matches!(error, Error::Silent(_)) && error.is_transient(), "{error}");
    assert!(since.elapsed() < 3 * options.heartbeat, "{:?}", since.elapsed());
}

async fn a_server_with_nothing_to_tell_shows_that_it_lives(product: Product) {
    let server = DatabaseServer::start(product);
    let mut reader = Reader::open(&reader_address(&server), Start::Now, &fast()).await.unwrap();
    let before = reader.position().clone();
    let mut beats = 0;
    let since = Instant::now();
    while beats < 4 {
        if matches!(reader.next().await.unwrap(), Item::Heartbeat) {
            beats += 1;
        }
    }
    assert!(since.elapsed() > Duration::from_secs(1), "they come every half second");
    assert_eq!(reader.position().gtids, before.gtids);
}

async fn a_log_goes_on_in_other_files(product: Product) {
    let server = DatabaseServer::start_with(product, &["--max-binlog-size=4096"]);
    let mut writer = writer(&server).await;
    let first = now(&server).await;
    let mut reader = Reader::open(&reader_address(&server), first, &fast()).await.unwrap();
    insert(&mut writer, 0..100).await;
    let events = until(&mut reader, |event| numbers(std::slice::from_ref(event)) == [99]).await;
    assert_eq!(numbers(&events), (0..100).collect::<Vec<_>>());
    let files = events.iter().filter(|event| matches!(event, Event::Rotate(_))).count();
    assert!(files > 3, "{files}");
    let status = server.admin(if product == Product::MySql { "SHOW BINARY LOG STATUS" } else { "SHOW MASTER STATUS" });
    let mut fields = status.split('\t');
    let position = reader.position();
    assert_eq!(fields.next(), Some(position.file.as_str()));
    assert_eq!(fields.next(), Some(position.offset.to_string().as_str()));
}

/// MariaDB 11.7 and newer make a large transaction's cache the next file of the log: its first event is filled up with
/// thousands of zeros, and what follows does not say where it is.
async fn a_transaction_that_is_a_file_of_its_own_is_read_and_gone_on_from(product: Product) {
    let options = ["--loose-binlog-large-commit-threshold=10M", "--max-binlog-cache-size=1G"];
    let server = DatabaseServer::start_with(product, &options);
    let mut writer = writer(&server).await;
    writer.command("CREATE TABLE large (id INT PRIMARY KEY, v LONGTEXT)").await.unwrap();
    let first = now(&server).await;
    insert(&mut writer, 0..3).await;
    writer.command("BEGIN").await.unwrap();
    insert(&mut writer, 3..5).await;
    for id in 0..12 {
        writer.command(&format!("INSERT INTO large VALUES ({id}, REPEAT('x', 1000000))")).await.unwrap();
    }
    insert(&mut writer, 5..7).await;
    writer.command("COMMIT").await.unwrap();
    insert(&mut writer, 7..10).await;
    let files = server.admin("SHOW BINARY LOGS").lines().count();
    let is_own = product == Product::MariaDb && server.version() >= (11, 7);
    assert_eq!(files, if is_own { 2 } else { 1 });

    let (mut seen, mut position) = (Vec::new(), None);
    for last in [0, 1, 2, 6, 7, 8, 9] {
        let mut reader = Reader::open(&reader_address(&server), start(&position, &first), &fast()).await.unwrap();
        follow(&mut reader, last, &mut seen, &mut position).await.unwrap();
    }
    assert_eq!(seen, (0..10).collect::<Vec<_>>());
    // By places in files as well, which it has counted.
    let position = position.unwrap();
    let size = server.admin("SHOW BINARY LOGS").lines().last().and_then(|file| file.split('\t').nth(1)?.parse().ok());
    assert_eq!(size, Some(position.offset), "{position}");
    let bytes = std::fs::read(server.data_directory().join(&position.file)).unwrap();
    let (mut events, mut file) = (Vec::new(), LogFile::new(&position.file, &bytes).unwrap());
    while let Some(item) = file.next().unwrap() {
        copy(item, &mut events).unwrap();
    }
    assert_eq!(numbers(&events), if is_own { (3..10).collect::<Vec<_>>() } else { (0..10).collect() });
    assert_eq!(file.position().offset, position.offset);
}

async fn a_position_that_was_purged_is_an_error_of_its_own(product: Product) {
    let server = DatabaseServer::start(product);
    let mut writer = writer(&server).await;
    let address = reader_address(&server);
    let mut reader = Reader::open(&address, Start::Now, &fast()).await.unwrap();
    insert(&mut writer, 0..1).await;
    until(&mut reader, |event| numbers(std::slice::from_ref(event)) == [0]).await;
    let old = reader.position().clone();
    drop(reader);
    insert(&mut writer, 1..5).await;
    server.admin("FLUSH BINARY LOGS");
    insert(&mut writer, 5..6).await;
    server.admin("FLUSH BINARY LOGS");
    let last = server.admin("SHOW BINARY LOGS").lines().last().unwrap().split('\t').next().unwrap().to_owned();
    testkit::wait_until("the old files to be gone", || {
        // MariaDB keeps what a reader that has just gone was reading.
        server.admin(&format!("PURGE BINARY LOGS TO '{last}'"));
        server.admin("SHOW BINARY LOGS").lines().count() == 1
    });
    let by_file = Start::At { file: old.file.clone(), offset: old.offset };
    for start in [Start::from(&old), by_file] {
        let error = match Reader::open(&address, start.clone(), &fast()).await {
            Ok(mut reader) => loop {
                if let Err(error) = reader.next().await {
                    break error;
                }
            },
            Err(error) => error,
        };
        assert!(matches!(error, Error::Purged(_)) && !error.is_transient(), "{start:?}: {error}");
    }
}

async fn a_position_that_the_server_never_had_is_an_error_of_its_own(product: Product) {
    let server = DatabaseServer::shared(product);
    let address = reader_address(server);
    let (ahead, other): (Gtids, Gtids) = match product {
        Product::MariaDb => (
            Gtids::MariaDb("0-1-99999999".parse().unwrap()),
            Gtids::MySql("3e11fa47-71ca-11e1-9e33-c80aa9429562:1".parse().unwrap()),
        ),
        Product::MySql => {
            let uuid = server.admin("SELECT @@server_uuid");
            (Gtids::MySql(format!("{uuid}:1-99999999").parse().unwrap()), Gtids::MariaDb("0-1-1".parse().unwrap()))
        }
    };
    let mut reader = Reader::open(&address, Start::After(ahead), &fast()).await.unwrap();
    let error = loop {
        if let Err(error) = reader.next().await {
            break error;
        }
    };
    assert!(matches!(error, Error::Diverged(_)) && !error.is_transient(), "{error}");
    let error = Reader::open(&address, Start::After(other), &fast()).await.unwrap_err();
    assert!(matches!(error, Error::OtherDialect(_)), "{error}");
}

async fn a_reader_with_the_same_number_takes_over(product: Product) {
    let server = DatabaseServer::shared(product);
    let options = fast();
    let mut first = Reader::open(&reader_address(server), Start::Now, &options).await.unwrap();
    first.next().await.unwrap();
    let mut second = Reader::open(&reader_address(server), Start::Now, &options).await.unwrap();
    second.next().await.unwrap();
    let error = loop {
        if let Err(error) = first.next().await {
            break error;
        }
    };
    assert!(matches!(error, Error::Replaced(_)), "{error:?}");
    second.next().await.unwrap();
}

async fn a_place_in_a_file_is_one_to_begin_at(product: Product) {
    let mut scene = Scene::new(common::anonymous(product)).await;
    scene.run(&["CREATE TABLE t (id INT)", "INSERT INTO t VALUES (1)"]).await;
    scene.events().await;
    let position = scene.reader.position().clone();
    assert_eq!(position.gtids.is_none(), product == Product::MySql, "{position}");
    scene.run(&["INSERT INTO t VALUES (2)"]).await;
    let start = Start::At { file: position.file.clone(), offset: position.offset };
    scene.reader = Reader::open(&reader_address(scene.server), start, &fast()).await.unwrap();
    let rows = scene.inserted("t").await;
    assert_eq!(rows, [vec![Some(Value::Int(2))]]);
    if product == Product::MariaDb {
        let gtids = scene.reader.position().gtids.clone().unwrap();
        assert!(position.gtids.unwrap().is_subset_of(&gtids) && !gtids.is_empty());
    }
    // From the beginning, where a file says what was before it.
    let start = Start::At { file: position.file.clone(), offset: 4 };
    let mut reader = Reader::open(&reader_address(scene.server), start, &fast()).await.unwrap();
    reader.next().await.unwrap();
}

async fn a_call_that_is_given_up_loses_nothing(product: Product) {
    let server = DatabaseServer::start(product);
    let mut writer = writer(&server).await;
    let mut reader = Reader::open(&reader_address(&server), Start::Now, &fast()).await.unwrap();
    let writing = tokio::spawn(async move { insert(&mut writer, 0..300).await });
    let (mut events, mut given_up) = (Vec::new(), 0);
    while numbers(&events).len() < 300 {
        match tokio::time::timeout(Duration::from_micros(100), reader.next()).await {
            Ok(item) => copy(item.unwrap(), &mut events).unwrap(),
            Err(_) => given_up += 1,
        }
    }
    writing.await.unwrap();
    assert_eq!(numbers(&events), (0..300).collect::<Vec<_>>());
    assert!(given_up > 0);
}

async fn what_the_server_does_not_log_is_said_before_anything_is_read(product: Product) {
    let server = DatabaseServer::start_with(
        product,
        &["--binlog-format=MIXED", "--binlog-row-image=MINIMAL", "--binlog-row-metadata=MINIMAL"],
    );
    let address = reader_address(&server);
    let error = Reader::open(&address, Start::Now, &fast()).await.unwrap_err();
    let Error::Configuration(wrong) = &error else { panic!("{error}") };
    for (problem, setting) in
        wrong.iter().zip(["binlog_format=ROW", "binlog_row_image=FULL", "binlog_row_metadata=FULL"])
    {
        assert!(problem.contains(setting), "{problem}");
    }
    assert_eq!(wrong.len(), 3, "{error}");
    for setting in ["binlog_format=ROW", "binlog_row_image=FULL", "binlog_row_metadata=FULL"] {
        server.admin(&format!("SET GLOBAL {setting}"));
    }
    server.admin(
        "CREATE TABLE test.parent (id INT PRIMARY KEY); \
         CREATE TABLE test.`a child` (id INT, p INT, CONSTRAINT goes FOREIGN KEY (p) REFERENCES test.parent (id) ON DELETE CASCADE)",
    );
    let reader = Reader::open(&address, Start::Now, &fast()).await.unwrap();
    let hidden: Vec<String> = reader.hidden().iter().map(ToString::to_string).collect();
    match product {
        Product::MariaDb => {
            assert!(hidden.len() == 1 && hidden[0].contains("GRANT PROCESS"), "{hidden:?}");
            server.admin("GRANT PROCESS ON *.* TO follower@'127.0.0.1'");
            let reader = Reader::open(&address, Start::Now, &fast()).await.unwrap();
            let [Hidden::Cascade { table, parent, constraint }] = reader.hidden() else {
                panic!("{:?}", reader.hidden())
            };
            let named = |name: &(String, String)| format!("{}.{}", name.0, name.1);
            assert_eq!([named(table), named(parent), constraint.clone()], ["test.a child", "test.parent", "goes"]);
        }
        // Cascades are logged as other changes are.
        Product::MySql => assert!(hidden.is_empty(), "{hidden:?}"),
    }
}

async fn a_user_without_rights_is_told_which(product: Product) {
    let server = DatabaseServer::shared(product);
    let address: Address = server.user(&format!("nobody_{product:?}"), "test", &["SELECT ON test.*"]).parse().unwrap();
    let error = match Reader::open(&address, Start::Now, &fast()).await {
        Ok(mut reader) => reader.next().await.unwrap_err(),
        Err(error) => error,
    };
    assert!(matches!(error, Error::NotAllowed(_)), "{error:?}");
    assert!(error.to_string().contains("GRANT REPLICATION SLAVE"), "{error}");
}
