//! What servers answer instead of a result, as errors that callers understand, in one table.

use std::time::Duration;

use kit_core::{Code, Error};
use rowkeep_mysql::{Error as DriverError, ServerError};

use super::gateway::said;

/// Why a step of a transaction or a read failed.
#[derive(Debug)]
pub(super) enum Failed {
    /// The server's answer, or a broken connection.
    Driver(DriverError),
    /// Ours: a row that cannot be read, a program that refuses.
    Other(Error),
}

impl From<DriverError> for Failed {
    fn from(error: DriverError) -> Self {
        Self::Driver(error)
    }
}

impl From<Error> for Failed {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

impl From<Failed> for Error {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Driver(error) => classify(error),
            Failed::Other(error) => error,
        }
    }
}

/// What a failure means for the transaction it happened in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    /// Another transaction was in the way; run again, it may succeed.
    Conflict,
    /// The server takes no writes: it is not the primary, or not any more. Run on the one that is, it may succeed.
    Moved,
    /// The connection is lost, and with it the transaction unless it was being committed.
    Lost,
    /// Run again, it fails again.
    Refused,
}

mod code {
    pub(super) const DUPLICATE: u16 = 1062;
    pub(super) const LOCK_WAIT: u16 = 1205;
    pub(super) const DEADLOCK: u16 = 1213;
    /// There is no room for more locks; the transaction is rolled back, as after a deadlock.
    pub(super) const LOCKS_FULL: u16 = 1206;
    /// MariaDB: the row changed since the transaction's snapshot.
    pub(super) const CHANGED: u16 = 1020;
    /// MySQL: a statement has to be prepared again.
    pub(super) const REPREPARE: u16 = 1615;
    /// A member of a group: the others had committed something in its way, or it is no longer their primary.
    pub(super) const OVERRULED: u16 = 3101;
    pub(super) const SHUTDOWN: u16 = 1053;
    /// MariaDB.
    pub(super) const KILLED: u16 = 1927;
    /// MySQL: nothing was asked for so long that the server ended the connection.
    pub(super) const IDLE: u16 = 4031;
    /// MySQL: only administrators are served.
    pub(super) const OFFLINE: u16 = 3032;
    /// A gateway cannot reach the server behind it, or lost it: an error of its own, or those of a client.
    pub(super) const BEHIND: [u16; 5] = [1105, 2002, 2003, 2006, 2013];
    /// An option of the server forbids the statement: `--read-only`, `--super-read-only`.
    pub(super) const OPTION: u16 = 1290;
    pub(super) const READ_ONLY_MODE: u16 = 1836;
    pub(super) const READ_ONLY_TRANSACTION: u16 = 1792;
    /// Its group has refused a commit, or has no majority.
    pub(super) const HOOK: u16 = 3100;
}

pub(super) fn fate(error: &DriverError) -> Fate {
    match error {
        DriverError::Server(server) => match server.code {
            code::DEADLOCK | code::LOCKS_FULL | code::LOCK_WAIT | code::CHANGED | code::REPREPARE | code::OVERRULED => {
                Fate::Conflict
            }
            code::SHUTDOWN | code::KILLED | code::IDLE | code::OFFLINE => Fate::Lost,
            code if code::BEHIND.contains(&code) => Fate::Lost,
            code::OPTION | code::READ_ONLY_MODE | code::READ_ONLY_TRANSACTION | code::HOOK => Fate::Moved,
            _ => Fate::Refused,
        },
        _ => Fate::Lost,
    }
}

/// Whether a commit that is answered like this surely did not happen: it was refused, or lost against others, before
/// anything was written to the logs. After an error of the disk it may be in the logs all the same, and is there when the
/// server comes back.
pub(super) fn is_undone(error: &DriverError) -> bool {
    let DriverError::Server(server) = error else { return false };
    // Read-only in its spellings; a group that does not take it (3100, 3101).
    fate(error) == Fate::Conflict || matches!(server.code, 1290 | 1836 | 1792 | 3100 | 3101)
}

/// The name of the index in which a row clashes, if that is what the server says: `PRIMARY` for the key.
pub(super) fn violated(error: &DriverError) -> Option<&str> {
    let DriverError::Server(ServerError { code: code::DUPLICATE, message, .. }) = error else { return None };
    // `Duplicate entry '...' for key 'table.index'`; the entry may hold anything. Behind a gateway the statement follows.
    let message = message.split_once(" (errno 1062)").map_or(message.as_str(), |(said, _)| said);
    let name = message.trim_end_matches('\'').rsplit('\'').next()?;
    Some(name.rsplit_once('.').map_or(name, |(_, index)| index))
}

/// Whether the next number of this column is more than it holds.
pub(super) fn counts_no_further(error: &DriverError, column: &str) -> bool {
    let DriverError::Server(ServerError { code, message, .. }) = error else { return false };
    // A value that does not fit may be another column's.
    matches!(code, 167 | 1467) || (*code == 1264 && message.contains(&format!("'{column}'")))
}

/// What a failed call means for the request.
pub(super) fn classify(error: DriverError) -> Error {
    let answer = match &error {
        DriverError::Server(server) => return of_server(server.clone()),
        DriverError::Io(_) | DriverError::ConnectTimeout(_) | DriverError::Abandoned | DriverError::Tls(_) => {
            unreachable("the database cannot be reached")
        }
        DriverError::Authentication(_) => unreachable("the database does not let rowkeep in"),
        DriverError::Protocol(_) => return Error::internal(error),
    };
    answer.with_source(error)
}

fn unreachable(message: &'static str) -> Error {
    Error::new(Code::Unavailable, "STORAGE_UNREACHABLE", message).with_retry_after(Duration::from_millis(500))
}

fn of_server(server: ServerError) -> Error {
    let answer = match server.code {
        code::LOCK_WAIT | code::DEADLOCK | code::CHANGED | code::REPREPARE | code::OVERRULED => {
            Error::new(Code::Aborted, "CONFLICT", "other writes of the same rows were in the way each time; try again")
                .with_retry_after(Duration::from_millis(50))
        }
        // Too many connections: of the server, of the user.
        1040 | 1203 | 1226 => Error::new(Code::Unavailable, "STORAGE_BUSY", "the database takes no more connections")
            .with_retry_after(Duration::from_millis(500)),
        code::SHUTDOWN | code::KILLED | code::IDLE | code::OFFLINE | 1129 | 1130 => {
            unreachable("the database is shutting down or refuses this host")
        }
        behind if code::BEHIND.contains(&behind) => unreachable("the gateway does not reach the database"),
        // Read-only, in its several spellings: a replica, or a primary no more, or one that its group left alone.
        code::OPTION | code::READ_ONLY_MODE | code::READ_ONLY_TRANSACTION | code::HOOK => {
            Error::new(Code::Unavailable, "STORAGE_READ_ONLY", "the database takes no writes: it is not the primary")
                .with_retry_after(Duration::from_millis(500))
        }
        1044 | 1045 | 1142 | 1143 | 1227 | 1370 | 1820 | 1862 | 3118 => {
            Error::new(Code::Unavailable, "STORAGE_DENIED", "the database user lacks a right; see the server's log")
        }
        // The disk, or a table that has a limit.
        3 | 28 | 1021 | 1026 | 1114 => Error::new(
            Code::ResourceExhausted,
            "DISK_FULL",
            "the disk that holds the database is full; nothing was written",
        ),
        1153 | 1118 | 1301 => Error::new(Code::InvalidArgument, "ROW_TOO_LARGE", "the row is too large to store"),
        1048 | 1264 | 1265 | 1292 | 1365 | 1366 | 1406 | 1411 | 1416 | 1525 | 3037 | 3055 | 3140 | 3819 | 4025 => {
            let message = format!("the database refuses a value: {}", said(&server.message));
            Error::new(Code::InvalidArgument, "VALUE_REFUSED", message)
        }
        1216 | 1452 => {
            let message = "the row refers to one that does not exist, and a foreign key of the database wants it";
            Error::new(Code::FailedPrecondition, "REFERENCE_NOT_FOUND", message)
        }
        1217 | 1451 => {
            let message = "other rows refer to the row, and a foreign key of the database keeps it";
            Error::new(Code::FailedPrecondition, "REFERENCED", message)
        }
        3098 => {
            let message = "the database is a group of servers, which takes rows only for InnoDB tables with a primary key: \
                           ALTER TABLE ... ENGINE = InnoDB, or ADD PRIMARY KEY";
            Error::new(Code::FailedPrecondition, "TABLE_UNFIT_FOR_GROUP", message)
        }
        // A trigger's own word.
        1644 => {
            let message = format!("the database refuses the write: {}", said(&server.message));
            Error::new(Code::FailedPrecondition, "WRITE_REFUSED", message)
        }
        1317 | 1969 | 3024 => Error::new(
            Code::DeadlineExceeded,
            "DEADLINE_EXCEEDED",
            "the deadline passed before all rows were looked at",
        ),
        1146 | 1054 | 1072 | 1364 => {
            let message =
                format!("the tables are not as the schema says: {}; see `rowkeep plan`", said(&server.message));
            Error::new(Code::FailedPrecondition, "STORAGE_DRIFT", message)
        }
        _ => return Error::internal(server),
    };
    answer.with_source(server)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn duplicate(message: &str) -> DriverError {
        ServerError { code: code::DUPLICATE, state: "23000".to_owned(), message: message.to_owned() }.into()
    }

    #[test]
    fn the_violated_index_is_named_last_and_by_both_products() {
        let of = |message: &str| violated(&duplicate(message)).map(str::to_owned);
        assert_eq!(of("Duplicate entry '5' for key 'PRIMARY'").as_deref(), Some("PRIMARY"));
        assert_eq!(of("Duplicate entry '5' for key 'users.by_email'").as_deref(), Some("by_email"));
        assert_eq!(of("Duplicate entry 'x' for key 'a' y' for key 'by_name'").as_deref(), Some("by_name"));
        let gateway = "target: a.0.primary: vttablet: rpc error: code = AlreadyExists desc = Duplicate entry '5' for key \
                       'users.by_email' (errno 1062) (sqlstate 23000) (CallerID: u): Sql: \"insert into users(`id`) values \
                       (:v1)\", BindVars: {v1: \"type:VARCHAR value:\\\"'x'\\\"\"}";
        assert_eq!(of(gateway).as_deref(), Some("by_email"));
    }
}
