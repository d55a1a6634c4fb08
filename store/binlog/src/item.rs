//! What is handed out.

use std::fmt;

use crate::{Gtid, Gtids, rows::Rows};

/// Where reading may go on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Position {
    /// Name of the server's log file.
    pub file: String,
    /// Place in the file. May be above 4 GB.
    pub offset: u64,
    /// All transactions so far. `None` if the log has none, or was entered at a file and the set is not known.
    pub gtids: Option<Gtids>,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.offset)?;
        match &self.gtids {
            Some(gtids) => write!(f, " ({gtids})"),
            None => Ok(()),
        }
    }
}

/// What happened next.
#[derive(Debug)]
pub enum Item<'a> {
    /// A transaction begins.
    Begin(Begin),
    /// The transaction is one of XA: it is going to end as [`Outcome::Prepared`], unless it is committed in one phase.
    Xa,
    /// Rows of one table.
    Rows(Rows<'a>),
    /// A statement as text.
    Statement(Statement<'a>),
    /// The text of the statement whose rows follow, if the server logs it.
    Annotation(&'a [u8]),
    /// A place to which [`Item::RollbackTo`] may go back.
    Savepoint(&'a [u8]),
    /// What transactional tables got since this savepoint is undone. Comes only when others got something, too.
    RollbackTo(&'a [u8]),
    /// The transaction ends.
    End(End<'a>),
    /// The server lost something that it should have logged: what is kept of its data must be read again.
    Incident(&'a [u8]),
    /// The log goes on in another file.
    Rotate(&'a Position),
    /// MariaDB: what is in files before this one is committed in the storage engines, too.
    Checkpoint(&'a [u8]),
    /// The server lives and has nothing to tell.
    Heartbeat,
}

/// The beginning of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Begin {
    /// Its name, if the log has names.
    pub gtid: Option<Gtid>,
    /// When it was written: seconds since 1970, by the clock of the server that wrote it first.
    pub time: u32,
    /// When it was committed there: microseconds since 1970. MySQL only.
    pub committed: Option<u64>,
    /// Number of the server that wrote it first.
    pub server: u32,
    /// Bytes in the log. MySQL only.
    pub bytes: Option<u64>,
}

/// The end of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End<'a> {
    /// What became of it.
    pub outcome: Outcome<'a>,
    /// The storage engine's number, if it was the one to commit.
    pub xid: Option<u64>,
    /// Number of the connection that wrote it. Not on MariaDB.
    pub thread: Option<u32>,
    /// When the end was written: seconds since 1970.
    pub time: u32,
    /// From where to go on.
    pub position: &'a Position,
}

/// What became of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome<'a> {
    /// Its rows happened.
    Committed,
    /// What transactional tables got did not happen; what others got did.
    RolledBack,
    /// XA: its rows happen if it is decided so, at an [`Outcome::Decided`] of the same name.
    Prepared(&'a Xid),
    /// XA: one that was prepared is committed, or not. Has no rows of its own.
    Decided {
        /// Which one.
        xid: &'a Xid,
        /// Committed.
        committed: bool,
    },
}

/// The name of an XA transaction.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub struct Xid {
    /// Form of the other two.
    pub format: u32,
    /// Of the global transaction.
    pub global: Vec<u8>,
    /// Of this branch.
    pub branch: Vec<u8>,
}

/// A statement as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Statement<'a> {
    /// Judged by its first words.
    pub kind: StatementKind,
    /// The default database it ran in, empty for none.
    pub database: &'a [u8],
    /// In the character set of its client.
    pub text: &'a [u8],
    /// The server's error number: above 0 it failed half way.
    pub error: u16,
}

/// What a statement may have done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatementKind {
    /// Changed the schema, or emptied a table.
    Schema,
    /// Changed data that the log does not show: it was logged as a statement.
    Data,
    /// Users, rights, maintenance: no data.
    Other,
}
