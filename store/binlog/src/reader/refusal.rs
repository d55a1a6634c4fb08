//! What a server means when it ends the stream with an error.
//!
//! All of it has one number, 1236, and a text for people. The texts have been the same for a decade, with `master` and
//! `slave` renamed in MySQL; what is not recognised stays as the server said it.

use std::{io::ErrorKind, time::Duration};

use rowkeep_mysql::Error as MySqlError;

use crate::Error;

const FATAL_READING_LOG: u16 = 1236;
const PURGED_GTIDS: u16 = 1789;
const GTID_NOT_FOUND: u16 = 1955;
const ACCESS_DENIED: [u16; 2] = [1142, 1227];
const NO_LOG: u16 = 1381;
/// MariaDB's own.
const SAME_NUMBER: u16 = 4052;

pub(super) fn classify(error: MySqlError, server_id: u32, patience: Duration) -> Error {
    let error = match error {
        MySqlError::Server(error) => error,
        MySqlError::Io(error) if error.kind() == ErrorKind::TimedOut => return Error::Silent(patience),
        other => return other.into(),
    };
    let text = error.message.to_ascii_lowercase();
    let says = |part: &str| text.contains(part);
    if says("binlog dump is disabled") {
        let what = "the gateway hands on no log: start it with --enable-binlog-dump";
        return Error::Configuration(vec![what.to_owned()]);
    }
    if says("not authorized to perform binlog dump") {
        return Error::NotAllowed(format!(
            "{}; --binlog-dump-authorized-users of the gateway names who is",
            error.message
        ));
    }
    match error.code {
        code if ACCESS_DENIED.contains(&code) => Error::NotAllowed(error.message),
        PURGED_GTIDS => Error::Purged(error.message),
        NO_LOG => Error::Configuration(vec![error.message]),
        FATAL_READING_LOG | SAME_NUMBER if says("same server_uuid") || says("same server_id") => {
            Error::Replaced(server_id)
        }
        // Not in the log, which may have lost its beginning or never have had it.
        GTID_NOT_FOUND if says("diverged") || says("not in the master's binlog") => Error::Diverged(error.message),
        FATAL_READING_LOG | GTID_NOT_FOUND => {
            if says("purged") || says("could not find first log file") || says("could not find gtid state") {
                Error::Purged(error.message)
            } else if says("has more gtids than")
                || says("diverged")
                || says("not in the master's binlog")
                || says("> file size")
                || says("impossible position")
                || says("position >")
            {
                Error::Diverged(error.message)
            } else {
                MySqlError::Server(error).into()
            }
        }
        _ => MySqlError::Server(error).into(),
    }
}

#[cfg(test)]
mod tests {
    use rowkeep_mysql::ServerError;

    use super::*;

    #[test]
    fn what_a_gateway_says_is_refused_or_goes_by() {
        for (code, message, expected, transient) in [
            (1105, "binlog dump is disabled", "BINLOG_CONFIGURATION", false),
            (1045, "User 'a' is not authorized to perform binlog dump operations", "BINLOG_NOT_ALLOWED", false),
            (1105, "target: shop.-80.primary: BinlogDumpEngine is closed", "BINLOG_CONNECTION", true),
        ] {
            let error = ServerError { code, state: "HY000".to_owned(), message: message.to_owned() };
            let error = classify(MySqlError::Server(error), 1, Duration::ZERO);
            assert_eq!((error.code(), error.is_transient()), (expected, transient), "{message}");
        }
    }

    #[test]
    fn what_servers_say_is_understood() {
        for (code, message, expected) in [
            (4052, "A slave with the same server_uuid/server_id is already connected", "BINLOG_REPLACED"),
            (1236, "Could not find first log file name in binary log index file", "BINLOG_PURGED"),
            (
                1236,
                "Cannot replicate because the source purged required binary logs. Replicate the missing transactions",
                "BINLOG_PURGED",
            ),
            (
                1236,
                "Could not find GTID state requested by slave in any binlog files. Probably the slave state is too old and \
                 required binlog files have been purged.",
                "BINLOG_PURGED",
            ),
            (
                1236,
                "Error: connecting slave requested to start from GTID 0-1-99, which is not in the master's binlog",
                "BINLOG_DIVERGED",
            ),
            (1236, "Slave has more GTIDs than the master has, using the master's SERVER_UUID.", "BINLOG_DIVERGED"),
            (1236, "Client requested source to start replication from position > file size", "BINLOG_DIVERGED"),
            (1236, "A slave with the same server_uuid/server_id as this slave has connected", "BINLOG_REPLACED"),
            (
                1227,
                "Access denied; you need (at least one of) the REPLICATION SLAVE privilege(s)",
                "BINLOG_NOT_ALLOWED",
            ),
            (1236, "log event entry exceeded max_allowed_packet", "BINLOG_CONNECTION"),
        ] {
            let error = ServerError { code, state: "HY000".to_owned(), message: message.to_owned() };
            assert_eq!(classify(MySqlError::Server(error), 1, Duration::ZERO).code(), expected, "{message}");
        }
    }
}
