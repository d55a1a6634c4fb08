//! Reader of the binary logs of MySQL and MariaDB.
//!
//! [`Reader`] follows a server's log over one connection and hands out what happened, transaction by transaction and row
//! by row, in the order of commits. [`LogFile`] does the same with a file in memory. Both stand on one decoder, which keeps
//! nothing but the tables' descriptions: a transaction of any size is read in the memory of its largest event.
//!
//! Rows are visited where they lie in the event ([`Rows`], [`Image`]); a cell is decoded when it is asked for. Names,
//! signs, character sets and keys come with the log itself (`binlog_row_metadata=FULL`), so no schema is tracked.
//!
//! ## What a consumer has to know
//! - The log runs ahead of what can be read: a transaction may be here before its rows are visible on the server.
//! - Rows count only at their [`Item::End`]: it may say that they were rolled back, or only prepared (XA, whose decision
//!   comes as an [`End`] of its own, perhaps much later).
//! - [`Item::Statement`] is for whatever is no row: changes of the schema, and changes of data that were logged as text.
//! - [`Position`] of an [`End`] is what to keep. Going on from it repeats nothing and leaves out nothing, or fails with
//!   [`Error::Purged`].

mod bytes;
mod decoder;
mod error;
mod event;
mod file;
mod gtid;
mod item;
mod reader;
mod rows;
mod table;
mod value;

pub use error::Error;
pub use file::LogFile;
pub use gtid::{Gtid, GtidError, Gtids, MariaDbGtid, MariaDbGtids, MySqlGtid, MySqlGtids, Source, Tag};
pub use item::{Begin, End, Item, Outcome, Position, Statement, StatementKind, Xid};
pub use reader::{Hidden, Options, Reader, Start};
pub use rows::{Change, Image, Row, Rows};
pub use table::{Column, ColumnType, Table};
pub use value::{Cell, Decimal, Json, JsonError, JsonPatch, Timestamp, mariadb_uuid};
