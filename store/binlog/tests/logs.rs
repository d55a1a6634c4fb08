//! Log files as bytes: the same as the server's stream, and never a panic, whatever they are changed to.

#![allow(clippy::unwrap_used, reason = "clippy knows tests only by their attribute")]

mod common;

use std::process::Command;

use common::{Event, copy};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use rowkeep_binlog::{Cell, Error, Item, LogFile};
use testkit::{DatabaseServer, Product};

testkit::on_both_products! {
    a_file_says_what_the_server_was_told
    files_that_were_changed_at_random_are_read_or_refused
    a_changed_byte_does_not_match_its_checksum
    places_are_found_where_transactions_do_not_say_them
}

const STATEMENTS: &str = "\
    SET sql_mode = ''; USE test; \
    CREATE TABLE t (id INT UNSIGNED PRIMARY KEY, a TINYINT, b BIGINT, c DECIMAL(20,5), d DOUBLE, e FLOAT, f DATE, g TIME(3), \
      h DATETIME(6), i TIMESTAMP(2) NULL, j YEAR, k CHAR(10), l VARCHAR(300), m TEXT, n LONGBLOB, o BIT(12), p ENUM('x','y'), \
      q SET('u','v','w'), r JSON, s POINT, u MEDIUMINT UNSIGNED); \
    INSERT INTO t VALUES (1, -1, -2, -3.5, 4.5, 5.5, '2024-02-29', '-12:34:56.789', '2024-02-29 23:59:59.999999', \
      '2024-02-29 23:59:59.99', 2024, 'char', 'varchar', 'text', X'00ff', b'101', 'y', 'u,w', \
      '{\"a\": [1, 2.5, \"s\", null, true, {\"k\": 70000}], \"b\": -1}', ST_GeomFromText('POINT(1 2)'), 7); \
    INSERT INTO t (id, l) SELECT id + 1, REPEAT('x', 290) FROM t; \
    UPDATE t SET r = JSON_SET(r, '$.b', 'other'), b = b + 1, l = REPEAT('z', 250); \
    DELETE FROM t WHERE id = 2; \
    BEGIN; INSERT INTO t (id) VALUES (3); SAVEPOINT s; INSERT INTO t (id) VALUES (4); COMMIT; \
    XA START 'x'; INSERT INTO t (id) VALUES (5); XA END 'x'; XA PREPARE 'x'; XA COMMIT 'x'; \
    DROP TABLE t; ";

/// A log with something of everything.
fn log(product: Product, options: &[&str]) -> Vec<u8> {
    let server = DatabaseServer::start_with(product, options);
    server.admin("FLUSH BINARY LOGS");
    server.admin(STATEMENTS);
    if product == Product::MySql {
        let settings = "SET SESSION binlog_row_value_options = PARTIAL_JSON, binlog_rows_query_log_events = ON; ";
        server.admin(&format!("{settings}{STATEMENTS}"));
        server.admin(&format!(
            "SET SESSION binlog_transaction_compression = ON, binlog_row_image = MINIMAL; {STATEMENTS}"
        ));
        server.admin("SET gtid_next = 'AUTOMATIC:tag'; CREATE DATABASE tagged");
    } else {
        server.admin(
            "USE test; CREATE TABLE c (id INT, v VARCHAR(500) COMPRESSED, b BLOB COMPRESSED, u UUID); \
             INSERT INTO c VALUES (1, REPEAT('x', 400), REPEAT('y', 4000), UUID())",
        );
        server.admin(&format!("SET GLOBAL log_bin_compress = ON; {STATEMENTS}"));
    }
    server.admin("FLUSH BINARY LOGS");
    let files = server.admin("SHOW BINARY LOGS");
    let name = files.lines().nth_back(1).unwrap().split('\t').next().unwrap().to_owned();
    std::fs::read(server.data_directory().join(name)).unwrap()
}

/// Reads everything that can be read of it; how many cells.
fn read(bytes: &[u8]) -> Result<usize, Error> {
    let mut log = LogFile::new("log", bytes)?;
    let mut cells = 0;
    while let Some(item) = log.next()? {
        let Item::Rows(mut rows) = item else { continue };
        while let Some(row) = rows.next()? {
            for cell in row.before.iter().chain(&row.after).flat_map(|image| image.cells()) {
                let (column, cell) = cell?;
                match cell {
                    Cell::Json(json) => drop(json.text()),
                    Cell::JsonPatch(patch) => {
                        if let Some(Ok(Some(Cell::Json(before)))) = row.before.map(|before| before.cell(column)) {
                            drop(patch.apply(&before));
                        }
                    }
                    Cell::Decimal(decimal) => drop((decimal.to_string(), decimal.unscaled())),
                    Cell::Timestamp(time) => drop(time.utc()),
                    Cell::Bytes(bytes) => drop(rowkeep_binlog::mariadb_uuid(bytes)),
                    cell => drop(cell.inflated()),
                }
                cells += 1;
            }
        }
    }
    Ok(cells)
}

fn a_file_says_what_the_server_was_told(product: Product) {
    let bytes = log(product, &[]);
    let (mut events, mut file) = (Vec::new(), LogFile::new("log", &bytes).unwrap());
    while let Some(item) = file.next().unwrap() {
        copy(item, &mut events).unwrap();
    }
    let count = |is: fn(&Event) -> bool| events.iter().filter(|event| is(event)).count();
    let rounds = if product == Product::MySql { 3 } else { 2 };
    let of_c = usize::from(product == Product::MariaDb);
    assert_eq!(count(|event| matches!(event, Event::Insert(..))), 5 * rounds + of_c);
    assert_eq!(count(|event| matches!(event, Event::Update(..))), 2 * rounds);
    assert_eq!(count(|event| matches!(event, Event::Delete(..))), rounds);
    assert_eq!(count(|event| matches!(event, Event::Decided(..))), rounds);
    // The server's own tool sees as many rows.
    if product == Product::MariaDb {
        let path = std::env::temp_dir().join(format!("rowkeep-binlog-{}.log", std::process::id()));
        std::fs::write(&path, &bytes).unwrap();
        let output =
            Command::new("mariadb-binlog").args(["--base64-output=DECODE-ROWS", "--verbose"]).arg(&path).output();
        std::fs::remove_file(&path).unwrap();
        let text = common::text(&output.unwrap().stdout);
        let lines = |start: &str| text.lines().filter(|line| line.starts_with(start)).count();
        assert_eq!(lines("### INSERT INTO"), 5 * rounds + of_c);
        assert_eq!((lines("### UPDATE"), lines("### DELETE")), (2 * rounds, rounds));
    }
}

fn files_that_were_changed_at_random_are_read_or_refused(product: Product) {
    // With checksums hardly a change would come further than those.
    let sound = log(product, &["--binlog-checksum=NONE"]);
    let expected = read(&sound).unwrap();
    assert!(expected > 150, "{expected}");
    let mut random = StdRng::seed_from_u64(7);
    let mut number = |below: usize| random.random_range(0..below);
    let mut refused = 0;
    for _ in 0..1500 {
        let mut bytes = sound.clone();
        for _ in 0..=number(4) {
            let at = 4 + number(bytes.len() - 4);
            match number(6) {
                0 => bytes.truncate(at),
                1 => drop(bytes.remove(at)),
                2 => bytes.insert(at, number(256) as u8),
                3 => bytes[at] = [0, 1, 0x7f, 0x80, 0xfb, 0xfc, 0xfd, 0xfe, 0xff][number(9)],
                _ => bytes[at] ^= 1 << number(8),
            }
            if bytes.len() < 5 {
                break;
            }
        }
        refused += usize::from(read(&bytes).is_err());
    }
    assert!(refused > 400, "{refused}");
}

fn a_changed_byte_does_not_match_its_checksum(product: Product) {
    let sound = log(product, &[]);
    let whole = read(&sound).unwrap();
    let mut random = StdRng::seed_from_u64(8);
    for _ in 0..200 {
        let mut bytes = sound.clone();
        // Behind the first event, whose checksum leaves one flag out.
        let at = random.random_range(300..bytes.len());
        bytes[at] ^= 1 << random.random_range(0..8);
        match read(&bytes) {
            Err(Error::Checksum { .. } | Error::Malformed(_)) => {}
            // A longer length than there are bytes: the file looks as if it was still being written, and ends there.
            Ok(cells) => assert!(cells < whole || at + 100 > sound.len(), "byte {at} of {}", sound.len()),
            Err(other) => panic!("byte {at}: {other}"),
        }
    }
}

/// As MariaDB 11.8 writes logs: only what is between transactions says where it is.
fn places_are_found_where_transactions_do_not_say_them(product: Product) {
    let mut bytes = log(product, &["--binlog-checksum=NONE"]);
    let places = |bytes: &[u8]| {
        let mut log = LogFile::new("log", bytes).unwrap();
        let mut places = Vec::new();
        while let Some(item) = log.next().unwrap() {
            if let Item::End(end) = item {
                places.push(end.position.offset);
            }
        }
        places
    };
    let expected = places(&bytes);
    let (mut at, mut hidden) = (4, 0);
    while at < bytes.len() {
        let size = u32::from_le_bytes(bytes[at + 9..at + 13].try_into().unwrap()) as usize;
        // Table descriptions, rows, ends.
        if matches!(bytes[at + 4], 16 | 19 | 23..=25 | 30..=32 | 166..=168) {
            bytes[at + 13..at + 17].fill(0);
            hidden += 1;
        }
        at += size;
    }
    assert!(hidden > 20, "{hidden}");
    assert_eq!(places(&bytes), expected);
}
