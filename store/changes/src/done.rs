//! MariaDB: which files of the log are done with, where reading on would say it too late.
//!
//! What an older file has counts as seen once a checkpoint in a later one says that the file is done with. But nothing more is
//! read while too much is held, and what is held may be what that file has. So its successor is looked into from the beginning,
//! over a connection of its own: up to the checkpoint, or the first transaction. Commits are made visible in the order of the
//! log, so that where that one can be seen, all before it can.

use std::time::Duration;

use rowkeep_binlog::{Error, Item, Options, Reader, Start};
use rowkeep_mysql::Address;

use crate::gate::number;

/// After so long without anything new there is nothing more in the file.
const HEARTBEAT: Duration = Duration::from_millis(500);

/// Where a snapshot lies.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Snapshot<'a> {
    /// The name of the file.
    pub(crate) name: &'a str,
    pub(crate) offset: u64,
}

/// All files before the one that is answered are done with. `wanted`: no more has to be found out than that this one is.
pub(crate) async fn before(
    address: &Address,
    options: &Options,
    snapshot: Snapshot<'_>,
    wanted: u64,
) -> Result<u64, Error> {
    let file = number(snapshot.name.as_bytes());
    let start = Start::At { file: snapshot.name.to_owned(), offset: 4 };
    // Not the number of the reader that goes on meanwhile.
    let options = Options { heartbeat: HEARTBEAT, server_id: options.server_id ^ 1, ..options.clone() };
    let mut reader = Reader::open(address, start, &options).await?;
    let mut done = 0;
    while done <= wanted {
        match reader.next().await? {
            Item::Checkpoint(name) => done = done.max(number(name)),
            Item::Rotate(position) if number(position.file.as_bytes()) == file => {}
            Item::Begin(_) => {
                let (_, begins) = reader.place();
                return Ok(if begins < snapshot.offset { file } else { done });
            }
            Item::Heartbeat | Item::Rotate(_) => return Ok(done),
            _ => {}
        }
    }
    Ok(done)
}
