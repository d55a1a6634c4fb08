//! Events: a header of 19 bytes, a body, four bytes of checksum if the file has them.

mod control;
mod gtid;
mod payload;
mod query;

pub(crate) use control::{Format, Rotate, xa_prepare};
pub(crate) use gtid::{Started, gtid_list, mariadb_gtid, mysql_gtid, tagged_gtid};
pub(crate) use payload::{Inflater, Payload, inflate, inflate_column};
pub(crate) use query::{Query, Said, read_query, said};

use crate::{Error, bytes::Bytes};

/// Bytes of a header.
pub(crate) const HEADER: usize = 19;
/// Bytes of a checksum.
pub(crate) const CHECKSUM: usize = 4;

/// Types of events.
pub(crate) mod kind {
    pub(crate) const QUERY: u8 = 2;
    pub(crate) const STOP: u8 = 3;
    pub(crate) const ROTATE: u8 = 4;
    pub(crate) const INTVAR: u8 = 5;
    pub(crate) const APPEND_BLOCK: u8 = 9;
    pub(crate) const DELETE_FILE: u8 = 11;
    pub(crate) const RAND: u8 = 13;
    pub(crate) const USER_VAR: u8 = 14;
    pub(crate) const FORMAT_DESCRIPTION: u8 = 15;
    pub(crate) const XID: u8 = 16;
    pub(crate) const BEGIN_LOAD_QUERY: u8 = 17;
    pub(crate) const EXECUTE_LOAD_QUERY: u8 = 18;
    pub(crate) const TABLE_MAP: u8 = 19;
    pub(crate) const WRITE_ROWS_V1: u8 = 23;
    pub(crate) const DELETE_ROWS_V1: u8 = 25;
    pub(crate) const INCIDENT: u8 = 26;
    pub(crate) const HEARTBEAT: u8 = 27;
    pub(crate) const IGNORABLE: u8 = 28;
    pub(crate) const ROWS_QUERY: u8 = 29;
    pub(crate) const WRITE_ROWS: u8 = 30;
    pub(crate) const DELETE_ROWS: u8 = 32;
    pub(crate) const GTID: u8 = 33;
    pub(crate) const ANONYMOUS_GTID: u8 = 34;
    pub(crate) const PREVIOUS_GTIDS: u8 = 35;
    pub(crate) const TRANSACTION_CONTEXT: u8 = 36;
    pub(crate) const VIEW_CHANGE: u8 = 37;
    pub(crate) const XA_PREPARE: u8 = 38;
    pub(crate) const PARTIAL_UPDATE_ROWS: u8 = 39;
    pub(crate) const TRANSACTION_PAYLOAD: u8 = 40;
    pub(crate) const HEARTBEAT_V2: u8 = 41;
    pub(crate) const GTID_TAGGED: u8 = 42;
    pub(crate) const ANNOTATE_ROWS: u8 = 160;
    pub(crate) const BINLOG_CHECKPOINT: u8 = 161;
    pub(crate) const MARIADB_GTID: u8 = 162;
    pub(crate) const GTID_LIST: u8 = 163;
    pub(crate) const START_ENCRYPTION: u8 = 164;
    pub(crate) const QUERY_COMPRESSED: u8 = 165;
    pub(crate) const WRITE_ROWS_COMPRESSED_V1: u8 = 166;
    pub(crate) const DELETE_ROWS_COMPRESSED_V1: u8 = 168;
    pub(crate) const WRITE_ROWS_COMPRESSED: u8 = 169;
    pub(crate) const DELETE_ROWS_COMPRESSED: u8 = 171;
}

/// Made for the stream, is not in the file.
const ARTIFICIAL: u16 = 0x20;
/// May be skipped by who does not know it.
const MAY_BE_IGNORED: u16 = 0x80;

/// What every event begins with.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Header {
    /// Seconds since 1970.
    pub(crate) time: u32,
    pub(crate) kind: u8,
    pub(crate) server: u32,
    pub(crate) size: u32,
    /// Where the event ends, modulo 2^32; 0 if the server does not say.
    pub(crate) end: u32,
    flags: u16,
}

impl Header {
    #[inline]
    pub(crate) fn read(event: &[u8]) -> Result<Self, Error> {
        let mut bytes = Bytes(event);
        Ok(Self {
            time: bytes.u32()?,
            kind: bytes.u8()?,
            server: bytes.u32()?,
            size: bytes.u32()?,
            end: bytes.u32()?,
            flags: bytes.u16()?,
        })
    }

    pub(crate) fn is_artificial(&self) -> bool {
        self.flags & ARTIFICIAL != 0
    }

    pub(crate) fn may_be_ignored(&self) -> bool {
        self.flags & MAY_BE_IGNORED != 0
    }
}

/// Whether the last four bytes are the checksum of those before.
#[inline]
pub(crate) fn is_sound(event: &[u8]) -> bool {
    let Some((body, sum)) = event.split_last_chunk::<CHECKSUM>() else { return false };
    crc32fast::hash(body) == u32::from_le_bytes(*sum)
}
