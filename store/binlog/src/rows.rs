//! Rows as they lie in an event.
//!
//! A row is measured once, column by column, so that its end is known; a cell is decoded when it is asked for. Columns that
//! nobody asks for cost their length and nothing else.

use crate::{Cell, Error, Table, bytes::Bytes};

/// What happened to rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// New rows: an image after.
    Insert,
    /// Changed rows: an image before and one after.
    Update,
    /// Removed rows: an image before.
    Delete,
}

/// A value that is NULL, and one that the image does not have, in place of an offset. No event is that large.
const NULL: u32 = u32::MAX;
const ABSENT: u32 = u32::MAX - 1;

/// How a rows event is laid out, without its bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head {
    pub(crate) change: Change,
    /// An UPDATE that may have JSON in parts.
    pub(crate) partial: bool,
    /// The head is longer by what it says itself.
    pub(crate) extended: bool,
}

/// Offsets of a row's columns, before and after: kept from row to row and event to event.
#[derive(Debug, Default)]
pub(crate) struct Offsets {
    before: Vec<u32>,
    after: Vec<u32>,
}

/// Rows of one table, to be visited in order.
#[derive(Debug)]
pub struct Rows<'a> {
    table: &'a Table,
    head: Head,
    /// Columns that images have.
    present_before: &'a [u8],
    present_after: &'a [u8],
    data: &'a [u8],
    /// Where the next row begins.
    at: usize,
    offsets: &'a mut Offsets,
}

impl<'a> Rows<'a> {
    /// `body`: of the event, behind its header. `rows`: what follows the columns, if it lies elsewhere.
    pub(crate) fn new(
        table: &'a Table,
        head: Head,
        body: &'a [u8],
        rows: Option<&'a [u8]>,
        offsets: &'a mut Offsets,
    ) -> Result<Self, Error> {
        let columns = Columns::read(head, body)?;
        if columns.count != table.columns.len() {
            return Err(Error::Malformed("rows with another number of columns than their table"));
        }
        let (present_before, present_after) = (columns.before, columns.after);
        Ok(Self { table, head, present_before, present_after, data: rows.unwrap_or(columns.rest), at: 0, offsets })
    }

    /// Their table.
    pub fn table(&self) -> &'a Table {
        self.table
    }

    /// What happened to them.
    pub fn change(&self) -> Change {
        self.head.change
    }

    /// The next row.
    ///
    /// # Errors
    /// [`Error::Malformed`].
    #[expect(clippy::should_implement_trait, reason = "a row borrows what the next one is measured into")]
    pub fn next(&mut self) -> Result<Option<Row<'_>>, Error> {
        if self.at >= self.data.len() {
            return Ok(None);
        }
        let Self { table, head, data, offsets, .. } = self;
        let mut at = self.at;
        let (mut has_before, mut has_after, mut partial) = (false, false, &[][..]);
        if head.change != Change::Insert {
            has_before = true;
            at = measure(table, self.present_before, data, at, &mut offsets.before)?;
        }
        if head.change != Change::Delete {
            has_after = true;
            if head.partial {
                (partial, at) = partial_columns(table, data, at)?;
            }
            at = measure(table, self.present_after, data, at, &mut offsets.after)?;
        }
        if at == self.at {
            // A table without columns that anything is said of: the rows have no end.
            return Err(Error::Malformed("rows of no length"));
        }
        self.at = at;
        let image = |offsets, partial| Image { table, data, offsets, partial };
        Ok(Some(Row {
            before: has_before.then(|| image(self.offsets.before.as_slice(), &[][..])),
            after: has_after.then(|| image(self.offsets.after.as_slice(), partial)),
        }))
    }
}

/// The head of a rows event.
struct Columns<'a> {
    count: usize,
    before: &'a [u8],
    after: &'a [u8],
    rest: &'a [u8],
}

impl<'a> Columns<'a> {
    fn read(head: Head, body: &'a [u8]) -> Result<Self, Error> {
        let mut bytes = Bytes(body);
        bytes.take(8)?;
        if head.extended {
            let more = usize::from(bytes.u16()?);
            bytes.take(more.checked_sub(2).ok_or(Error::Malformed("a head of rows of no length"))?)?;
        }
        let count = bytes.length()?;
        let first = bytes.take(count.div_ceil(8))?;
        let second = if head.change == Change::Update { bytes.take(count.div_ceil(8))? } else { first };
        Ok(Self { count, before: first, after: second, rest: bytes.0 })
    }
}

/// Where the rows begin in the body.
pub(crate) fn rows_start(head: Head, body: &[u8]) -> Result<usize, Error> {
    Ok(body.len() - Columns::read(head, body)?.rest.len())
}

/// Which columns of JSON are in parts; where the image begins.
fn partial_columns<'a>(table: &Table, data: &'a [u8], at: usize) -> Result<(&'a [u8], usize), Error> {
    let mut bytes = Bytes(data.get(at..).unwrap_or_default());
    let options = bytes.packed()?;
    let partial = if options & 1 == 0 { &[] } else { bytes.take(table.json_columns().div_ceil(8))? };
    Ok((partial, data.len() - bytes.0.len()))
}

/// Finds the columns of an image; where it ends.
#[inline]
fn measure(table: &Table, present: &[u8], data: &[u8], at: usize, offsets: &mut Vec<u32>) -> Result<usize, Error> {
    let mut bytes = Bytes(data.get(at..).unwrap_or_default());
    let count: u32 = present_columns(present, table.columns.len());
    let nulls = bytes.take((count as usize).div_ceil(8))?;
    offsets.clear();
    let is_full = count as usize == table.columns.len();
    let mut bit = 0;
    for column in 0..table.columns.len() {
        if !is_full && present[column / 8] & 1 << (column % 8) == 0 {
            offsets.push(ABSENT);
            continue;
        }
        let is_null = nulls[bit / 8] & 1 << (bit % 8) != 0;
        bit += 1;
        if is_null {
            offsets.push(NULL);
            continue;
        }
        // An event has less than 2^32 bytes.
        offsets.push((data.len() - bytes.0.len()) as u32);
        table.skip(column, &mut bytes)?;
    }
    Ok(data.len() - bytes.0.len())
}

/// How many of the columns are there. Bits beyond the last column mean nothing.
#[inline]
fn present_columns(present: &[u8], columns: usize) -> u32 {
    let ones: u32 = present.iter().map(|byte| byte.count_ones()).sum();
    match (columns % 8, present.last()) {
        (odd @ 1.., Some(last)) => ones - (last >> odd).count_ones(),
        _ => ones,
    }
}

/// A row.
#[derive(Debug, Clone, Copy)]
pub struct Row<'a> {
    /// As it was; not of an insert.
    pub before: Option<Image<'a>>,
    /// As it is; not of a delete.
    pub after: Option<Image<'a>>,
}

/// A row at one time: all its columns, or with `binlog_row_image=MINIMAL` the key before, and what was set after.
#[derive(Debug, Clone, Copy)]
pub struct Image<'a> {
    table: &'a Table,
    data: &'a [u8],
    offsets: &'a [u32],
    partial: &'a [u8],
}

impl<'a> Image<'a> {
    /// Its table.
    pub fn table(&self) -> &'a Table {
        self.table
    }

    /// Whether the column is there.
    pub fn has(&self, column: usize) -> bool {
        self.offsets.get(column).is_some_and(|offset| *offset != ABSENT)
    }

    /// A column's value; `None` if the image does not have it.
    ///
    /// # Errors
    /// [`Error::Malformed`].
    #[inline]
    pub fn cell(&self, column: usize) -> Result<Option<Cell<'a>>, Error> {
        let (Some(offset), Some(description)) = (self.offsets.get(column), self.table.columns.get(column)) else {
            return Ok(None);
        };
        match *offset {
            ABSENT => Ok(None),
            NULL => Ok(Some(Cell::Null)),
            offset => {
                let bytes = Bytes(self.data.get(offset as usize..).unwrap_or_default());
                let is_partial = !self.partial.is_empty()
                    && description.json().is_some_and(|at| self.partial[at / 8] & 1 << (at % 8) != 0);
                description.cell(bytes, is_partial).map(Some)
            }
        }
    }

    /// All values that are there, each with the place of its column.
    pub fn cells(&self) -> impl Iterator<Item = Result<(usize, Cell<'a>), Error>> {
        (0..self.offsets.len()).filter_map(|column| Some(self.cell(column).transpose()?.map(|cell| (column, cell))))
    }
}
