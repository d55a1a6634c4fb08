//! What a storage can do: one record, filled when it is connected to, from what it says of itself.
//!
//! Code asks the record, not which product it has before it. A schema or a request that needs what a storage lacks is
//! refused with the reason; nothing is done by halves. A field is here because something acts on it, or because an operator
//! who compares two databases has to know it.

use std::fmt;

/// What a storage can do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capabilities {
    /// The product: `memory`, `sqlite`, ...
    pub name: &'static str,
    /// As the product says it.
    pub version: String,
    /// A commit that was acknowledged survives a crash.
    pub durable: bool,
    /// Most rows one transaction may write.
    pub max_writes: usize,
    /// Rows that a load puts into one transaction. A batch changes a good part of the table's pages wherever its rows lie, so
    /// few large ones write far less than many small ones, where nothing ends a transaction that takes long.
    pub load_rows: usize,
    /// Programs of the engine's own to have under way at a time: more would only stand in the way of those of clients.
    pub own_programs: usize,
    /// Programs that ask for it are [`Isolation::Serializable`](crate::Isolation::Serializable); if unset, none that asks
    /// for it reaches the storage.
    pub serializable: bool,
    /// Parts that the rows of each table are spread over.
    pub shards: u32,
    /// How the writes of a commit happen together.
    pub atomicity: Atomicity,
    /// A list, or any other read of several rows, is of one moment; if unset, each shard is read at a moment of its own, and
    /// a commit to two of them can be seen in one and not yet in the other.
    pub reads_one_moment: bool,
    /// Who gives a row the next number.
    pub counted_keys: CountedKeys,
    /// What keeps the values of a unique index apart.
    pub unique_indexes: UniqueIndexes,
    /// Reads may be sent to copies of the primary.
    pub replicas: bool,
    /// How it is told where a read or a commit stands in the history of commits.
    pub positions: Positions,
    /// Where what was committed can be followed.
    pub changes: Changes,
    /// What changes a large table that the storage would hold up for too long.
    pub online_ddl: OnlineDdl,
}

/// How the writes of a commit happen together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Atomicity {
    /// One transaction of one database.
    Local,
    /// A transaction in each shard that is written to, which are prepared, decided on and then committed. A commit that
    /// fails may yet happen; and it is dearer, so that writes that do not belong together do not share one.
    TwoPhase,
}

/// Who gives a row the next number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CountedKeys {
    /// The table, at the insert.
    Table,
    /// A row of a table of the adapter's own, before the insert.
    CounterRow,
}

/// What keeps the values of a unique index apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UniqueIndexes {
    /// The index.
    Index,
    /// An index sees one shard: a row for each value that is taken, in a table of the adapter's own, written in the same
    /// transaction.
    TakenValues,
}

/// How a place in the history of commits is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Positions {
    /// Nowhere: there is one copy, and everything is read from it.
    None,
    /// Nowhere, though copies of rows may be kept beside the storage: whoever keeps some cannot know what a session has seen.
    Untold,
    /// As sets of intervals, by the server that began them.
    GtidSets,
    /// As the last number of each domain.
    GtidDomains,
}

/// Where what was committed can be followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Changes {
    /// Nowhere.
    None,
    /// In one log.
    Log,
    /// In a log for each shard, which are told as one: commits of a shard in their order, those of several in any. What one
    /// commit wrote to several is told as several. A place leads back to all that was told before it, but not to what was told
    /// next: who has taken a part of that cannot go on behind the part.
    LogPerShard,
}

/// What changes a large table while it is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnlineDdl {
    /// Nothing: tables are changed at once.
    None,
    /// Tools that copy the table and follow its changes, which are run beside the storage.
    Tools,
    /// The gateway before the storage.
    Gateway,
}

impl Capabilities {
    /// Of one database on its own, which keeps what it is told and has no copies.
    pub fn local(name: &'static str, version: impl Into<String>) -> Self {
        Self {
            name,
            version: version.into(),
            durable: true,
            max_writes: 10_000,
            load_rows: 32_768,
            // They wait for one writer, who takes together what waits.
            own_programs: 512,
            serializable: true,
            shards: 1,
            atomicity: Atomicity::Local,
            reads_one_moment: true,
            counted_keys: CountedKeys::Table,
            unique_indexes: UniqueIndexes::Index,
            replicas: false,
            positions: Positions::None,
            changes: Changes::None,
            online_ddl: OnlineDdl::None,
        }
    }
}

impl fmt::Display for Atomicity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Local => "local",
            Self::TwoPhase => "two-phase",
        })
    }
}

impl fmt::Display for CountedKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Table => "table",
            Self::CounterRow => "counter-row",
        })
    }
}

impl fmt::Display for UniqueIndexes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Index => "index",
            Self::TakenValues => "taken-values",
        })
    }
}

impl fmt::Display for Positions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::None => "none",
            Self::Untold => "untold",
            Self::GtidSets => "gtid-sets",
            Self::GtidDomains => "gtid-domains",
        })
    }
}

impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::None => "none",
            Self::Log => "binlog",
            Self::LogPerShard => "binlog-per-shard",
        })
    }
}

impl fmt::Display for OnlineDdl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::None => "none",
            Self::Tools => "tools",
            Self::Gateway => "gateway",
        })
    }
}
