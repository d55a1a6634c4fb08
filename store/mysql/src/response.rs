//! What ends an answer.

use crate::Error;
use crate::values::Cursor;

/// A command that was carried out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Done {
    /// Rows inserted, deleted, or found by an update.
    pub affected: u64,
    /// The first number that `AUTO_INCREMENT` gave; 0 for none.
    pub last_insert_id: u64,
    /// The GTID of what was committed, if the session tracks it: MySQL's `session_track_gtids`, or MariaDB's `last_gtid`
    /// in `session_track_system_variables`.
    pub gtid: Option<String>,
    /// A transaction is open.
    pub(crate) in_transaction: bool,
    /// Another result follows.
    pub(crate) more: bool,
}

const IN_TRANSACTION: u16 = 0x0001;
const MORE_RESULTS: u16 = 0x0008;
const STATE_CHANGED: u16 = 0x4000;
const TRACK_VARIABLE: u8 = 0;
const TRACK_GTIDS: u8 = 3;

impl Done {
    /// Reads an OK packet, also the one that ends rows.
    pub(crate) fn read(packet: &[u8]) -> Result<Self, Error> {
        let mut cursor = Cursor(packet);
        cursor.byte()?;
        let (affected, last_insert_id) = (cursor.length()?, cursor.length()?);
        let status = cursor.u16()?;
        cursor.u16()?;
        let mut done = Self {
            affected,
            last_insert_id,
            gtid: None,
            in_transaction: status & IN_TRANSACTION != 0,
            more: status & MORE_RESULTS != 0,
        };
        // Words for people come first; without changes behind them they may go on to the end of the packet.
        if status & STATE_CHANGED != 0 {
            cursor.bytes()?;
            done.gtid = gtid(Cursor(cursor.bytes()?))?;
        }
        Ok(done)
    }
}

/// Looks through the changes of the session.
fn gtid(mut changes: Cursor<'_>) -> Result<Option<String>, Error> {
    let mut found = None;
    while !changes.0.is_empty() {
        let kind = changes.byte()?;
        let mut change = Cursor(changes.bytes()?);
        let value = match kind {
            TRACK_GTIDS => {
                change.byte()?;
                change.bytes()?
            }
            TRACK_VARIABLE if change.bytes()? == b"last_gtid" => change.bytes()?,
            _ => continue,
        };
        found = Some(String::from_utf8_lossy(value).into_owned()).filter(|gtid| !gtid.is_empty());
    }
    Ok(found)
}
