//! Events about the log itself, and the one that prepares XA.

use crate::{
    Error, Xid,
    bytes::{Bytes, text},
};

/// The only version of the log since MySQL 5.0.
const VERSION: u16 = 4;
const CHECKSUM_OFF: u8 = 0;
const CHECKSUM_CRC32: u8 = 1;
const UNDEFINED: u8 = 255;

/// FORMAT_DESCRIPTION: the first event of a file.
#[derive(Debug)]
pub(crate) struct Format {
    /// MariaDB wrote it.
    pub(crate) mariadb: bool,
    /// Events of this file end with a checksum.
    pub(crate) checksum: bool,
    /// Not 0 if the server was started with this file: what was open before is undone.
    pub(crate) created: u32,
}

impl Format {
    /// `body`: with its own checksum, which is always there.
    pub(crate) fn read(body: &[u8]) -> Result<Self, Error> {
        let mut bytes = Bytes(body);
        if bytes.u16()? != VERSION {
            return Err(Error::Unsupported(
                "the binary log has another version than 4, the one of MySQL 5.0 and later",
            ));
        }
        let version = bytes.take(50)?;
        let mariadb = version.windows(7).any(|part| part == b"MariaDB");
        let created = bytes.u32()?;
        if usize::from(bytes.u8()?) != super::HEADER {
            return Err(Error::Unsupported("events of the binary log have headers of another length than 19"));
        }
        let rest = bytes.0.split_last_chunk::<{ super::CHECKSUM }>().map_or(&[][..], |(rest, _)| rest);
        let checksum = match rest.last() {
            Some(&CHECKSUM_CRC32) => true,
            Some(&(CHECKSUM_OFF | UNDEFINED)) => false,
            _ => return Err(Error::Unsupported("events of the binary log have checksums of an unknown kind")),
        };
        Ok(Self { mariadb, checksum, created })
    }
}

/// ROTATE: the file that follows.
#[derive(Debug)]
pub(crate) struct Rotate {
    pub(crate) file: String,
    pub(crate) offset: u64,
}

/// Servers count places with a sign.
const LAST_PLACE: u64 = i64::MAX as u64;

impl Rotate {
    pub(crate) fn read(body: &[u8]) -> Result<Self, Error> {
        let mut bytes = Bytes(body);
        let offset = bytes.u64()?;
        // What is added to it later has to fit.
        if offset > LAST_PLACE {
            return Err(Error::Malformed("a place that no file has"));
        }
        Ok(Self { file: text(bytes.0), offset })
    }
}

/// XA_PREPARE: whether it is a commit in one phase, and the name.
pub(crate) fn xa_prepare(body: &[u8]) -> Result<(bool, Xid), Error> {
    let mut bytes = Bytes(body);
    let one_phase = bytes.u8()? != 0;
    let format = bytes.u32()?;
    let (global, branch) = (bytes.u32()? as usize, bytes.u32()? as usize);
    let (global, branch) = (bytes.take(global)?.to_vec(), bytes.take(branch)?.to_vec());
    Ok((one_phase, Xid { format, global, branch }))
}
