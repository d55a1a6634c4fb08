//! Tables as the log describes them, compiled once to what decodes their rows.
//!
//! A TABLE_MAP comes before the rows of every statement and is nearly always the one of last time: its bytes are compared,
//! and only another one is read.

mod cell;
mod metadata;
mod read;

pub(crate) use read::{read_table, table_number};

use crate::{Cell, Error, bytes::Bytes};

/// A table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Its number until the schema changes or the server restarts.
    pub number: u64,
    /// Name of the database.
    pub database: String,
    /// Name.
    pub name: String,
    /// Columns in the order of the table.
    pub columns: Vec<Column>,
    /// Positions of the primary key's columns, each with the number of characters that count, 0 for all. Empty if there is
    /// no key, or the log does not say ([`Table::is_named`]).
    pub key: Vec<(usize, u32)>,
    layouts: Vec<Layout>,
    /// Columns of JSON, which partial updates count.
    json_columns: usize,
}

/// A column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Name; empty if the server logs none (`binlog_row_metadata` is not `FULL`).
    pub name: String,
    /// Type.
    pub kind: ColumnType,
    /// Whether it may be NULL.
    pub nullable: bool,
    /// Number of the collation of texts, `ENUM` and `SET`: 63 is `binary`. `None` if the server does not log it.
    pub collation: Option<u16>,
    /// Names of an `ENUM` or a `SET` in the column's character set, if the server logs them.
    pub members: Vec<Vec<u8>>,
    /// Whether `SELECT *` shows it.
    pub visible: bool,
    /// Which of the table's columns of JSON it is.
    json: Option<usize>,
}

/// Type of a column, as the log has it.
///
/// MariaDB's JSON is [`Blob`](Self::Blob), its INET6 and UUID are [`Char`](Self::Char) of 16 bytes (see
/// [`mariadb_uuid`](crate::mariadb_uuid)), its INET4 of 4: the log does not tell more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names of SQL")]
pub enum ColumnType {
    Int {
        bytes: u8,
        unsigned: bool,
    },
    Float,
    Double,
    Decimal {
        precision: u8,
        scale: u8,
        unsigned: bool,
    },
    Year,
    Date,
    /// Digits of fractional seconds, 0 to 6.
    Time {
        digits: u8,
    },
    DateTime {
        digits: u8,
    },
    Timestamp {
        digits: u8,
    },
    /// Of MySQL before 5.6, and of MariaDB without `mysql56_temporal_format`: whole seconds.
    OldTime,
    OldDateTime,
    OldTimestamp,
    /// `bytes`: at most.
    Char {
        bytes: u16,
    },
    VarChar {
        bytes: u16,
    },
    /// `TEXT` and `BLOB` of all sizes. `length`: bytes of the length.
    Blob {
        length: u8,
    },
    Bit {
        bits: u8,
    },
    Enum {
        bytes: u8,
    },
    Set {
        bytes: u8,
    },
    Json {
        length: u8,
    },
    /// `kind`: the server's number of the type, such as 1 for `POINT`, if it is logged.
    Geometry {
        length: u8,
        kind: Option<u8>,
    },
    /// `dimensions`: at most, if it is logged.
    Vector {
        length: u8,
        dimensions: Option<u32>,
    },
    /// MariaDB's `VARCHAR ... COMPRESSED`.
    CompressedVarChar {
        bytes: u16,
    },
    /// MariaDB's `BLOB ... COMPRESSED`.
    CompressedBlob {
        length: u8,
    },
    Null,
}

/// How much room a value takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Layout {
    /// Always this much.
    Fixed(u8),
    /// As much as these bytes before it say.
    Behind(u8),
}

impl Table {
    /// Whether the server logs names and keys.
    pub fn is_named(&self) -> bool {
        self.columns.iter().all(|column| !column.name.is_empty())
    }

    /// The place of a column.
    pub fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.name == name)
    }

    pub(crate) fn json_columns(&self) -> usize {
        self.json_columns
    }

    /// Goes over the value of a column.
    #[inline]
    pub(crate) fn skip(&self, column: usize, bytes: &mut Bytes<'_>) -> Result<(), Error> {
        let size = match self.layouts.get(column) {
            Some(Layout::Fixed(size)) => usize::from(*size),
            Some(Layout::Behind(1)) => usize::from(bytes.u8()?),
            Some(Layout::Behind(2)) => usize::from(bytes.u16()?),
            Some(Layout::Behind(width)) => usize::try_from(bytes.uint(usize::from(*width))?).unwrap_or(usize::MAX),
            None => return Err(Error::Malformed("a row with more columns than its table")),
        };
        bytes.take(size)?;
        Ok(())
    }
}

impl Column {
    pub(crate) fn json(&self) -> Option<usize> {
        self.json
    }

    /// Reads a value, which begins here.
    #[inline]
    pub(crate) fn cell<'a>(&self, bytes: Bytes<'a>, partial: bool) -> Result<Cell<'a>, Error> {
        cell::read(self.kind, bytes, partial)
    }
}

impl ColumnType {
    fn layout(self) -> Layout {
        let fraction = |digits: u8| digits.div_ceil(2);
        match self {
            Self::Int { bytes, .. } | Self::Enum { bytes } | Self::Set { bytes } => Layout::Fixed(bytes),
            Self::Float | Self::OldTimestamp => Layout::Fixed(4),
            Self::Double | Self::OldDateTime => Layout::Fixed(8),
            Self::Decimal { precision, scale, .. } => Layout::Fixed(crate::value::decimal_size(precision, scale)),
            Self::Year => Layout::Fixed(1),
            Self::Date | Self::OldTime => Layout::Fixed(3),
            Self::Time { digits } => Layout::Fixed(3 + fraction(digits)),
            Self::DateTime { digits } => Layout::Fixed(5 + fraction(digits)),
            Self::Timestamp { digits } => Layout::Fixed(4 + fraction(digits)),
            Self::Bit { bits } => Layout::Fixed(bits.div_ceil(8)),
            Self::Null => Layout::Fixed(0),
            Self::Char { bytes } | Self::VarChar { bytes } | Self::CompressedVarChar { bytes } => {
                Layout::Behind(if bytes > 255 { 2 } else { 1 })
            }
            Self::Blob { length }
            | Self::Json { length }
            | Self::Geometry { length, .. }
            | Self::Vector { length, .. }
            | Self::CompressedBlob { length } => Layout::Behind(length),
        }
    }

    /// Texts and bytes, which the log lists collations for. MySQL counts vectors to them, MariaDB what is spatial.
    fn is_character(self, mariadb: bool) -> bool {
        mariadb && matches!(self, Self::Geometry { .. })
            || matches!(
                self,
                Self::Char { .. }
                    | Self::VarChar { .. }
                    | Self::Blob { .. }
                    | Self::CompressedVarChar { .. }
                    | Self::CompressedBlob { .. }
                    | Self::Vector { .. }
            )
    }
}
