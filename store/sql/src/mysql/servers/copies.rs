//! One row on every server, for whoever wants to know where it is another.

use std::sync::Arc;
use std::time::Duration;

use kit_core::{Code, Error};
use rowkeep_engine::{Position, Session};
use rowkeep_record::Record;

use super::Role;
use super::status::ServerStatus;
use crate::mysql::reads::Read;
use crate::mysql::store::Shared;

/// How long a server may take.
const PATIENCE: Duration = Duration::from_secs(2);

/// A row as one server has it.
#[derive(Debug)]
pub struct RowCopy {
    /// Which server, without a password.
    pub address: String,
    /// What it is to the store.
    pub role: Role,
    /// What it answered.
    pub found: Result<Option<Record>, Error>,
    /// How far it was then; nothing if that is not known.
    pub seen: Position,
}

/// Asks all servers, one after the other, in the order they are named in.
pub(in crate::mysql) async fn copies(shared: &Arc<Shared>, read: Read) -> Vec<RowCopy> {
    let read = Arc::new(read);
    let mut copies = Vec::new();
    for (server, status) in shared.servers.iter().zip(shared.servers.status()) {
        let ServerStatus { address, role, .. } = status;
        let session = Session::strong();
        let found = match tokio::time::timeout(PATIENCE, server.readers.point(Arc::clone(&read))).await {
            Ok(Ok(answer)) => {
                answer.tell(&session, true);
                Ok(answer.found.record())
            }
            Ok(Err(error)) => Err(error),
            Err(_) => Err(silent()),
        };
        copies.push(RowCopy { address, role, found, seen: session.seen() });
    }
    copies
}

fn silent() -> Error {
    Error::new(Code::Unavailable, "STORAGE_UNREACHABLE", format!("no answer within {} s", PATIENCE.as_secs()))
}
