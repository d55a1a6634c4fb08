//! From a database driver's columns straight to wire bytes.

use kit_core::Error;
use rowkeep_schema::ColumnId;

use super::RowCodec;
use crate::{ValueRef, etag, wire};

/// Appends one row in canonical wire form, column by column.
#[derive(Debug)]
pub struct RowWriter<'a> {
    codec: &'a RowCodec,
    out: &'a mut Vec<u8>,
    version: u64,
    /// Where the row begins.
    start: usize,
    /// The etag column, until it is written at its place in the order.
    etag: Option<ColumnId>,
}

impl<'a> RowWriter<'a> {
    pub(super) fn new(codec: &'a RowCodec, out: &'a mut Vec<u8>, version: u64) -> Self {
        let start = out.len();
        Self { codec, out, version, start, etag: codec.etag.filter(|_| version != 0) }
    }

    /// The next column of [`RowCodec::columns_in_wire_order`].
    ///
    /// # Errors
    /// `INTERNAL` if the value does not fit the column, as in a table that somebody else filled.
    #[inline]
    pub fn column(&mut self, id: ColumnId, value: ValueRef<'_>) -> Result<(), Error> {
        let column = self.codec.column(id);
        if self.etag.is_some_and(|etag| self.codec.column(etag).place < column.place) {
            self.put_etag();
        }
        let written = column.write(&self.codec.json, self.codec.message, value, self.out);
        written.map_err(|fault| fault.field(&column.name).into_internal())
    }

    /// Ends the row and tells its version: that of its content where the table keeps none.
    pub fn finish(mut self) -> u64 {
        self.put_etag();
        if self.codec.versioned { self.version } else { etag::of_content(&self.out[self.start..]) }
    }

    fn put_etag(&mut self) {
        if let Some(column) = self.etag.take() {
            wire::put_bytes(self.out, self.codec.column(column).number, &etag::bytes(self.version));
        }
    }
}
