//! Why the log cannot be read, and what to do about it.

use std::time::Duration;

use crate::Gtids;

/// Why the log cannot be read. [`Error::code`] is for programs, the text says what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Bytes that no log should have.
    #[error("an event of the binary log is malformed: {0}; if the server is sound, this reader does not know its form")]
    Malformed(&'static str),
    /// An event was changed on its way or on the disk.
    #[error(
        "an event of the binary log at {file}:{offset} does not match its checksum; read again, then check the server's disk"
    )]
    Checksum {
        /// Name of the log file.
        file: String,
        /// Where the event ends, as far as it is known.
        offset: u64,
    },
    /// An event that must be understood and is not.
    #[error(
        "an event of the unknown type {0} in the binary log, which may not be skipped; a newer version of this program may know it"
    )]
    UnknownEvent(u8),
    /// Something that is known and not supported.
    #[error("{0}")]
    Unsupported(&'static str),
    /// The file is encrypted; servers decrypt what they send.
    #[error("the file of the binary log is encrypted; read it from the server, which decrypts it")]
    Encrypted,
    /// Rows of a table whose description is missing.
    #[error(
        "rows of table number {0} came without the table's description; reading has to begin at the start of a transaction"
    )]
    NoTable(u64),
    /// The server's configuration hides what is needed.
    #[error("the server does not log what is needed: {}", .0.join("; "))]
    Configuration(Vec<String>),
    /// The user may not read the log.
    #[error(
        "the user may not read the binary log: {0}; as an administrator: GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO the user"
    )]
    NotAllowed(String),
    /// What follows the position is not there any more. A new snapshot is needed: there is no way to know what changed.
    #[error("the binary log does not go back to the position any more: {0}; take a new snapshot and go on from there")]
    Purged(String),
    /// The position is not in this server's log: another server's, or the log lost its end.
    #[error(
        "the position is not in the server's log: {0}; the server lost the end of its log or has another history; take a new snapshot"
    )]
    Diverged(String),
    /// The position is of the other product.
    #[error("the position {0} is of another product than the server")]
    OtherDialect(Gtids),
    /// Another reader has this one's number.
    #[error("another reader with the server id {0} took over; each needs its own")]
    Replaced(u32),
    /// Nothing came, not even a sign of life.
    #[error("the server sent no sign of life for {0:?}; the connection is lost")]
    Silent(Duration),
    /// The server ended the stream.
    #[error("the server ended the stream of its log; it is shutting down, or was told to")]
    Ended,
    /// The connection, or what the server said over it.
    #[error(transparent)]
    MySql(#[from] rowkeep_mysql::Error),
}

impl Error {
    /// A word for the reason.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "BINLOG_MALFORMED",
            Self::Checksum { .. } => "BINLOG_CHECKSUM",
            Self::UnknownEvent(_) => "BINLOG_UNKNOWN_EVENT",
            Self::Unsupported(_) => "BINLOG_UNSUPPORTED",
            Self::Encrypted => "BINLOG_ENCRYPTED",
            Self::NoTable(_) => "BINLOG_NO_TABLE",
            Self::Configuration(_) => "BINLOG_CONFIGURATION",
            Self::NotAllowed(_) => "BINLOG_NOT_ALLOWED",
            Self::Purged(_) => "BINLOG_PURGED",
            Self::Diverged(_) => "BINLOG_DIVERGED",
            Self::OtherDialect(_) => "BINLOG_OTHER_DIALECT",
            Self::Replaced(_) => "BINLOG_REPLACED",
            Self::Silent(_) => "BINLOG_SILENT",
            Self::Ended => "BINLOG_ENDED",
            Self::MySql(_) => "BINLOG_CONNECTION",
        }
    }

    /// Whether connecting again and going on from the last position may help. False: it would end the same way.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Silent(_) | Self::Ended | Self::Checksum { .. } => true,
            Self::MySql(error) => match error {
                rowkeep_mysql::Error::Io(_)
                | rowkeep_mysql::Error::ConnectTimeout(_)
                | rowkeep_mysql::Error::Abandoned => true,
                // Too many connections, shutting down, killed, not yet ready; a gateway that does not reach its server.
                rowkeep_mysql::Error::Server(error) => {
                    matches!(error.code, 1040 | 1053 | 1077 | 1317 | 1927 | 3032 | 1105 | 2002 | 2003 | 2006 | 2013)
                }
                _ => false,
            },
            _ => false,
        }
    }
}
