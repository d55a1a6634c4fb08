//! Logs that servers wrote, changed at random event by event: whatever comes out is read or refused, in bounded time and memory.
//!
//! `ROWKEEP_FUZZ_SECONDS` says for how long, a few seconds unless set. What is found is left in a file, which belongs into
//! `tests/found` then: every file there is read by a test.

#![allow(clippy::unwrap_used, reason = "clippy knows tests only by their attribute")]
#![allow(clippy::print_stdout, reason = "how much was tried, where the test is run alone")]

mod common;

use std::alloc::System;
use std::panic::catch_unwind;
use std::path::Path;
use std::time::{Duration, Instant};

use common::files::{last_file, log, read};
use common::types::{BOTH, MARIADB, MYSQL};
use rand::{Rng as _, SeedableRng as _, rngs::StdRng};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use testkit::{DatabaseServer, Product};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Memory that reading may take, all allocations together. What is compressed grows by a factor of a thousand.
const MOST_BYTES: usize = 512 << 20;
/// Time that reading may take, on a machine that does much else.
const MOST_TIME: Duration = Duration::from_secs(20);
const HEADER: usize = 19;
const PAYLOAD: u8 = 40;

type Events = Vec<Vec<u8>>;

/// Every type at its bounds, but for what is long.
fn types(product: Product) -> Vec<u8> {
    let server = DatabaseServer::start_with(product, &["--binlog-checksum=NONE"]);
    let own = if product == Product::MariaDb { MARIADB } else { MYSQL };
    let mut sql = "SET sql_mode = ''; USE test; ".to_owned();
    for (at, (kind, values)) in BOTH.iter().chain(own).enumerate() {
        let is_short = |value: &&&str| {
            !value.contains("0000,") && !["0000)", "65535)", "30000)"].iter().any(|end| value.ends_with(end))
        };
        sql += &format!("CREATE TABLE t{at} (n INT, v {kind}); ");
        for value in values.iter().filter(is_short) {
            sql += &format!("INSERT IGNORE INTO t{at} VALUES (0, {value}); ");
        }
        sql += &format!("UPDATE t{at} SET n = 1; DELETE FROM t{at}; ");
    }
    server.admin("FLUSH BINARY LOGS");
    server.admin(&sql);
    last_file(&server)
}

fn events(bytes: &[u8]) -> Events {
    let (mut rest, mut events) = (bytes, Vec::new());
    while rest.len() >= HEADER {
        let size = u32::from_le_bytes(rest[9..13].try_into().unwrap()) as usize;
        let Some((event, behind)) = rest.split_at_checked(size.max(HEADER)) else { break };
        events.push(event.to_vec());
        rest = behind;
    }
    events
}

fn with_size(mut event: Vec<u8>) -> Vec<u8> {
    let size = u32::try_from(event.len()).unwrap();
    event[9..13].copy_from_slice(&size.to_le_bytes());
    event
}

/// The events in a compressed transaction, and what lies before them.
fn unpacked(event: &[u8]) -> Option<(Vec<u8>, Events)> {
    let at = event.windows(4).position(|magic| magic == [0x28, 0xb5, 0x2f, 0xfd])?;
    let plain = zstd::decode_all(&event[at..]).ok()?;
    Some((event[..HEADER].to_vec(), events(&plain)))
}

fn packed(head: &[u8], events: &Events) -> Vec<u8> {
    let plain = events.concat();
    let compressed = zstd::encode_all(&plain[..], 1).unwrap();
    let mut event = head.to_vec();
    let field = |out: &mut Vec<u8>, name: u8, value: u64| {
        out.extend([name, 9, 254]);
        out.extend(value.to_le_bytes());
    };
    field(&mut event, 2, 0);
    field(&mut event, 3, plain.len() as u64);
    field(&mut event, 1, compressed.len() as u64);
    event.push(0);
    event.extend(compressed);
    with_size(event)
}

struct Mutator<'a> {
    random: StdRng,
    /// Logs from which parts are taken.
    others: &'a [Events],
}

impl Mutator<'_> {
    fn number(&mut self, below: usize) -> usize {
        self.random.random_range(0..below.max(1))
    }

    /// The first event, which says how the others are to be read, and some of them; now and then all.
    fn piece(&mut self, log: &Events) -> Events {
        let (first, rest) = log.split_first().unwrap();
        let from = self.number(rest.len());
        let many = if self.number(50) == 0 { rest.len() } else { self.number(24) };
        let from = if many == rest.len() { 0 } else { from };
        let piece = &rest[from..(from + many).min(rest.len())];
        std::iter::once(first).chain(piece).cloned().collect()
    }

    fn change(&mut self, events: &mut Events) {
        for _ in 0..=self.number(4) {
            let at = self.number(events.len());
            match self.number(16) {
                0 => drop(events.remove(at)),
                1 => events.insert(at, events[at].clone()),
                2 => {
                    let other = self.number(events.len());
                    events.swap(at, other);
                }
                3 => {
                    let from = &self.others[self.random.random_range(0..self.others.len())];
                    events.insert(at, from[self.random.random_range(0..from.len())].clone());
                }
                _ => events[at] = self.changed(&events[at]),
            }
            if events.is_empty() {
                break;
            }
        }
    }

    fn changed(&mut self, event: &[u8]) -> Vec<u8> {
        if event[4] == PAYLOAD
            && self.number(4) > 0
            && let Some((head, mut inner)) = unpacked(event)
            && !inner.is_empty()
        {
            self.change(&mut inner);
            return packed(&head, &inner);
        }
        let mut event = event.to_vec();
        for _ in 0..=self.number(3) {
            self.change_bytes(&mut event);
        }
        // Now and then it says that it is longer or shorter than it is.
        if self.number(8) > 0 { with_size(event) } else { event }
    }

    fn change_bytes(&mut self, event: &mut Vec<u8>) {
        // The header is a small part, and soon refused.
        let first = if self.number(10) > 0 { HEADER.min(event.len() - 1) } else { 0 };
        let at = first + self.number(event.len() - first);
        match self.number(8) {
            0 => event.truncate(at.max(HEADER)),
            1 => drop(
                event.drain(at.max(HEADER).min(event.len())..(at + 1 + self.number(8)).max(HEADER).min(event.len())),
            ),
            2 => {
                let more: Vec<u8> = (0..=self.number(8)).map(|_| self.random.random()).collect();
                event.splice(at.max(HEADER)..at.max(HEADER), more);
            }
            3 => event[at] = [0, 1, 0x7f, 0x80, 0xfb, 0xfc, 0xfd, 0xfe, 0xff][self.number(9)],
            4 => {
                let width = [2, 3, 4, 8][self.number(4)].min(event.len() - at);
                let value = [0, 1, u64::MAX, u64::MAX >> 1, 1 << 63, 1 << 31, 0xffff, 0x0001_0000][self.number(8)];
                event[at..at + width].copy_from_slice(&value.to_le_bytes()[..width]);
            }
            5 => {
                let from = self.number(event.len());
                let width = self.number(16).min(event.len() - from.max(at));
                event.copy_within(from..from + width, at);
            }
            _ => event[at] ^= 1 << self.number(8),
        }
    }
}

/// Why a log is not read as it should be, if so.
fn judge(bytes: &[u8]) -> Result<bool, String> {
    let (region, began) = (Region::new(ALLOCATOR), Instant::now());
    let answer = catch_unwind(|| read(bytes)).map_err(|_| "it panics".to_owned())?;
    let (taken, took) = (region.change().bytes_allocated, began.elapsed());
    if taken > MOST_BYTES {
        return Err(format!("it takes {taken} bytes"));
    }
    if took > MOST_TIME {
        return Err(format!("it takes {took:?}"));
    }
    Ok(answer.is_ok())
}

#[test]
fn logs_that_were_changed_event_by_event_are_read_or_refused() {
    let seconds = std::env::var("ROWKEEP_FUZZ_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(5);
    let plain = ["--binlog-checksum=NONE"];
    let products = [Product::MariaDb, Product::MySql];
    let logs: Vec<Vec<u8>> = products.into_iter().flat_map(|product| [log(product, &plain), types(product)]).collect();
    logs.iter().for_each(|log| assert!(read(log).unwrap() > 150));
    let logs: Vec<Events> = logs.iter().map(|log| events(&log[4..])).collect();
    let (began, first) = (Instant::now(), rand::random::<u64>() >> 1);
    let (mut tried, mut whole) = (0_u64, 0_u64);
    while began.elapsed() < Duration::from_secs(seconds) {
        let mut mutator = Mutator { random: StdRng::seed_from_u64(first + tried), others: &logs };
        let from = mutator.number(logs.len());
        let mut events = mutator.piece(&logs[from]);
        mutator.change(&mut events);
        let bytes = [&b"\xfebin"[..], &events.concat()].concat();
        match judge(&bytes) {
            Ok(is_whole) => whole += u64::from(is_whole),
            Err(why) => {
                let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("binlog-{}", first + tried));
                std::fs::write(&path, &bytes).unwrap();
                panic!("{why}: {}", path.display());
            }
        }
        tried += 1;
    }
    println!("{tried} logs in {:?}, of which {whole} were read to their end", began.elapsed());
    assert!(whole > 0 && whole < tried);
}

#[test]
fn what_was_found_is_read_or_refused() {
    let found = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/found");
    for file in std::fs::read_dir(found).into_iter().flatten() {
        let path = file.unwrap().path();
        if let Err(why) = judge(&std::fs::read(&path).unwrap()) {
            panic!("{why}: {}", path.display());
        }
    }
}
