//! Log files as bytes: the same as the server's stream, and never a panic, whatever they are changed to.

#![allow(clippy::unwrap_used, reason = "clippy knows tests only by their attribute")]

mod common;

use std::process::Command;

use common::files::{log, read};
use common::{Event, copy};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use rowkeep_binlog::{Error, Item, LogFile};
use testkit::Product;

testkit::on_both_products! {
    a_file_says_what_the_server_was_told
    files_that_were_changed_at_random_are_read_or_refused
    a_changed_byte_does_not_match_its_checksum
    places_are_found_where_transactions_do_not_say_them
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
