//! The names of transactions, which come before them.

use crate::{Error, Gtid, MariaDbGtid, MariaDbGtids, MySqlGtid, Source, Tag, bytes::Bytes};

/// What stands before a transaction.
#[derive(Debug, Default)]
pub(crate) struct Started {
    pub(crate) gtid: Option<Gtid>,
    /// More events follow, up to one that ends it. MySQL says so with a BEGIN.
    pub(crate) begun: bool,
    pub(crate) committed: Option<u64>,
    pub(crate) bytes: Option<u64>,
    /// It is going to be prepared. MySQL says so behind.
    pub(crate) xa: bool,
}

/// In the first commit time: another follows, of the server that wrote it first.
const HAS_ORIGINAL: u64 = 1 << 55;

/// GTID and ANONYMOUS_GTID of MySQL.
pub(crate) fn mysql_gtid(body: &[u8], anonymous: bool) -> Result<Started, Error> {
    let mut bytes = Bytes(body);
    bytes.u8()?;
    let source = Source { uuid: u128::from_be_bytes(bytes.array()?), tag: Tag::default() };
    let number = bytes.u64()?;
    let gtid = (!anonymous).then_some(Gtid::MySql(MySqlGtid { source, number }));
    let mut started = Started { gtid, ..Started::default() };
    // Type of logical time, and two of them; then what came with MySQL 8.0.
    if bytes.is_empty() || bytes.u8()? != 2 {
        return Ok(started);
    }
    bytes.take(16)?;
    if bytes.0.len() >= 7 {
        let immediate = bytes.uint(7)?;
        let committed = if immediate & HAS_ORIGINAL == 0 { immediate } else { bytes.uint(7)? };
        started.committed = Some(committed);
    }
    if !bytes.is_empty() {
        started.bytes = Some(bytes.packed()?);
    }
    Ok(started)
}

/// Numbers of the fields of a tagged GTID.
mod field {
    pub(super) const FLAGS: u64 = 0;
    pub(super) const UUID: u64 = 1;
    pub(super) const NUMBER: u64 = 2;
    pub(super) const TAG: u64 = 3;
    pub(super) const LAST_COMMITTED: u64 = 4;
    pub(super) const SEQUENCE: u64 = 5;
    pub(super) const IMMEDIATE_TIME: u64 = 6;
    pub(super) const ORIGINAL_TIME: u64 = 7;
    pub(super) const LENGTH: u64 = 8;
    pub(super) const IMMEDIATE_VERSION: u64 = 9;
    pub(super) const ORIGINAL_VERSION: u64 = 10;
    pub(super) const TICKET: u64 = 11;
}

/// GTID_TAGGED: fields with numbers, in the form of MySQL's serialization library.
pub(crate) fn tagged_gtid(body: &[u8]) -> Result<Started, Error> {
    const UNKNOWN: Error = Error::Unsupported("a tagged GTID has a field that this reader does not know");
    let mut bytes = Bytes(body);
    let version = bytes.varlen()?;
    let size = usize::try_from(bytes.varlen()?).unwrap_or(usize::MAX);
    let last_needed = bytes.varlen()?;
    if version != 1 || size > body.len() {
        return Err(Error::Unsupported("a tagged GTID has a form that this reader does not know"));
    }
    bytes.0 = &bytes.0[..bytes.0.len() - (body.len() - size).min(bytes.0.len())];
    let (mut uuid, mut number, mut tag) = (None, None, Tag::default());
    let (mut immediate, mut original, mut length) = (None, None, None);
    while !bytes.is_empty() {
        match bytes.varlen()? {
            field::UUID => {
                // Byte by byte, each a number of its own.
                let mut value = 0_u128;
                for _ in 0..16 {
                    value = value << 8 | u128::from(bytes.varlen()? & 0xff);
                }
                uuid = Some(value);
            }
            field::NUMBER => number = Some(positive(&mut bytes)?),
            field::TAG => {
                let length = usize::try_from(bytes.varlen()?).unwrap_or(usize::MAX);
                tag = Tag::read(bytes.take(length)?).ok_or(Error::Malformed("a tag of a GTID that is none"))?;
            }
            field::IMMEDIATE_TIME => immediate = Some(bytes.varlen()?),
            field::ORIGINAL_TIME => original = Some(bytes.varlen()?),
            field::LENGTH => length = Some(bytes.varlen()?),
            field::FLAGS
            | field::LAST_COMMITTED
            | field::SEQUENCE
            | field::IMMEDIATE_VERSION
            | field::ORIGINAL_VERSION
            | field::TICKET => {
                bytes.varlen()?;
            }
            other if other <= last_needed => return Err(UNKNOWN),
            _ => break,
        }
    }
    let (Some(uuid), Some(number)) = (uuid, number) else { return Err(Error::Malformed("a GTID without a number")) };
    let gtid = Gtid::MySql(MySqlGtid { source: Source { uuid, tag }, number });
    Ok(Started { gtid: Some(gtid), committed: original.or(immediate), bytes: length, ..Started::default() })
}

/// A signed number of the serialization library, whose sign is its lowest bit.
fn positive(bytes: &mut Bytes<'_>) -> Result<u64, Error> {
    let number = bytes.varlen()?;
    if number & 1 == 0 { Ok(number >> 1) } else { Err(Error::Malformed("a negative number of a GTID")) }
}

mod flag {
    pub(super) const STANDALONE: u8 = 1;
    pub(super) const PREPARED_XA: u8 = 0x40;
    pub(super) const COMPLETED_XA: u8 = 0x80;
}

/// GTID of MariaDB. What follows (a group commit's number, an XA name) comes again where it counts, or is of no use.
pub(crate) fn mariadb_gtid(body: &[u8], server: u32) -> Result<Started, Error> {
    let mut bytes = Bytes(body);
    let number = bytes.u64()?;
    let domain = bytes.u32()?;
    let flags = bytes.u8()?;
    let gtid = Some(Gtid::MariaDb(MariaDbGtid { domain, server, number }));
    let begun = flags & (flag::STANDALONE | flag::COMPLETED_XA) == 0;
    let xa = flags & flag::PREPARED_XA != 0;
    Ok(Started { gtid, begun, xa, ..Started::default() })
}

/// GTID_LIST of MariaDB: the state at the beginning of a file.
pub(crate) fn gtid_list(body: &[u8]) -> Result<MariaDbGtids, Error> {
    let mut bytes = Bytes(body);
    let count = bytes.u32()? & 0x0fff_ffff;
    let mut gtids = MariaDbGtids::default();
    for _ in 0..count {
        let (domain, server, number) = (bytes.u32()?, bytes.u32()?, bytes.u64()?);
        gtids.add(&MariaDbGtid { domain, server, number });
    }
    Ok(gtids)
}
