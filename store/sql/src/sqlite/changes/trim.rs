//! Cutting off the log's beginning.
//!
//! It is done by the transaction that is about to commit, so that it costs no flush of its own, and in strides: a log that
//! is always at its bound would otherwise remove a row, and write the page it lay on, with every commit.

use std::sync::atomic::Ordering;

use rusqlite::{Connection, Result};

use super::table::{self, Edge};
use super::{ChangeOptions, Log};
use crate::sqlite::meta;

/// The log grows past its bounds by a part of so many before it is cut.
const STRIDE: u64 = 16;
/// Rows removed by one transaction.
const BATCH: u32 = 256;

/// What is known of the log's size.
#[derive(Debug)]
pub(super) struct Trim {
    /// Bytes of all rows there ever were.
    written: u64,
    /// The first row that is kept.
    first: Option<Edge>,
}

impl Trim {
    pub(super) fn new(connection: &Connection) -> Result<Self> {
        Ok(Self { written: table::last(connection)?.map_or(0, |last| last.behind), first: table::first(connection)? })
    }

    /// One more row. Answers the bytes with it.
    pub(super) fn grow(&mut self, bytes: usize, now: i64) -> u64 {
        self.written += bytes as u64 + table::ROW_BYTES;
        self.first.get_or_insert(Edge { number: 0, at: now, behind: self.written });
        self.written
    }

    /// Removes what is too old or too much, if it is worth it.
    pub(super) fn run(&mut self, log: &Log, connection: &Connection, now: i64) -> Result<()> {
        let Some(first) = self.first.filter(|first| Bounds::loose(&log.options).is_past(first, self.written, now))
        else {
            return Ok(());
        };
        let bounds = Bounds::tight(&log.options);
        let past = |edge: &Edge| bounds.is_past(edge, self.written, now);
        let Some(last) = table::last_where(connection, BATCH, past)? else {
            self.first = table::first(connection)?.or(Some(first));
            return Ok(());
        };
        // Said before it is done: whoever reads meanwhile and finds it done sees that it was said.
        log.forgotten.fetch_max(last.number, Ordering::AcqRel);
        table::remove_until(connection, last.number)?;
        meta::set_number(connection, meta::CHANGES_FORGOTTEN, last.number)?;
        self.first = table::first(connection)?;
        Ok(())
    }
}

/// When a row is to go.
struct Bounds {
    micros: i64,
    bytes: u64,
}

impl Bounds {
    fn tight(options: &ChangeOptions) -> Self {
        let micros = i64::try_from(options.retention.as_micros()).unwrap_or(i64::MAX);
        Self { micros, bytes: options.max_bytes }
    }

    fn loose(options: &ChangeOptions) -> Self {
        let Self { micros, bytes } = Self::tight(options);
        let stride = i64::try_from(STRIDE).unwrap_or(1);
        Self { micros: micros.saturating_add(micros / stride), bytes: bytes.saturating_add(bytes / STRIDE) }
    }

    fn is_past(&self, edge: &Edge, written: u64, now: i64) -> bool {
        now.saturating_sub(edge.at) > self.micros || written.saturating_sub(edge.behind) > self.bytes
    }
}
