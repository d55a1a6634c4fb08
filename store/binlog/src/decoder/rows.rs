//! Rows events of all versions.

use std::ops::Range;

use super::{Decoder, Place, Step};
use crate::{
    Error,
    event::{inflate, kind},
    rows::{Change, Head, rows_start},
    table::table_number,
};

/// A rows event, without its bytes.
#[derive(Debug)]
pub(super) struct FoundRows {
    pub(super) table: u64,
    pub(super) head: Head,
    pub(super) body: Place,
    /// The rows, if they were compressed.
    pub(super) rows: Option<Place>,
}

/// What the last event of a statement has in place of a table, when it has no rows.
const NO_TABLE: u64 = 0xff_ffff;
const NO_TABLE_EITHER: u64 = 0xffff_ffff_ffff;

impl Decoder {
    pub(super) fn rows(
        &mut self,
        kind: u8,
        body: &[u8],
        at: Range<usize>,
        place: fn(Range<usize>) -> Place,
    ) -> Result<(), Error> {
        let table = table_number(body)?;
        if table == NO_TABLE || table == NO_TABLE_EITHER {
            return Ok(());
        }
        if self.tables.get(table).is_none() {
            return Err(Error::NoTable(table));
        }
        if self.group.is_none() {
            return Err(Error::Malformed("rows outside of a transaction"));
        }
        let (head, compressed) = head(kind);
        let rows = if compressed {
            let start = rows_start(head, body)?;
            self.buffer.clear();
            inflate(body.get(start..).unwrap_or_default(), &mut self.buffer)?;
            Some(Place::Inflated(0..self.buffer.len()))
        } else {
            None
        };
        self.steps.push_back(Step::Rows(FoundRows { table, head, body: place(at), rows }));
        Ok(())
    }
}

/// How an event of this type is laid out, and whether its rows are compressed.
fn head(kind: u8) -> (Head, bool) {
    let change = match kind {
        kind::WRITE_ROWS_V1 | kind::WRITE_ROWS | kind::WRITE_ROWS_COMPRESSED_V1 | kind::WRITE_ROWS_COMPRESSED => {
            Change::Insert
        }
        kind::DELETE_ROWS_V1 | kind::DELETE_ROWS | kind::DELETE_ROWS_COMPRESSED_V1 | kind::DELETE_ROWS_COMPRESSED => {
            Change::Delete
        }
        _ => Change::Update,
    };
    let extended = matches!(
        kind,
        kind::WRITE_ROWS..=kind::DELETE_ROWS
            | kind::PARTIAL_UPDATE_ROWS
            | kind::WRITE_ROWS_COMPRESSED..=kind::DELETE_ROWS_COMPRESSED
    );
    let head = Head { change, partial: kind == kind::PARTIAL_UPDATE_ROWS, extended };
    (head, matches!(kind, kind::WRITE_ROWS_COMPRESSED_V1..=kind::DELETE_ROWS_COMPRESSED))
}
