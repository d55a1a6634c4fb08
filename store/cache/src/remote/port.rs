//! What the cache asks of a server that several processes share.
//!
//! The server is divided into shards, each of which is lost, and comes back, as a whole: one for a single server, some for a
//! cluster. A shard has a [`Horizon`] and slots, which are found by names of bytes. A slot holds an entry, or the lease of who is
//! bringing one, or nothing. Every step here is one step for everybody who asks the shard, and one message to it and back.
//!
//! Every process tells a shard every commit, in the log's order, and only then its own readers. Who was the first drops the
//! slots of the commit; the others find it done, and go on. So no process depends on another that may be late, and what a
//! process has told counts for its own readers alone.
//!
//! A shard that has forgotten what it was told (a server that took another's place, or came back) is known by its numbers: whoever
//! told more than it knows finds that out with the next [`tell`](Remote::tell), by `behind`, or the next [`get`](Remote::get),
//! by the horizon, and [begins](Remote::begin) anew.

use std::time::Duration;

use bytes::Bytes;
use kit_core::Reply;
use rowkeep_engine::Runs;
use rowkeep_schema::EntityId;

/// A cache server, or several.
pub trait Remote: Send + Sync + 'static {
    /// How many shards there are; names are divided among them by their hash. At least one, and the same for all processes.
    fn shards(&self) -> usize;

    /// Called on a thread that will read much, inside its runtime, as [`Rows::attach`](rowkeep_engine::Rows::attach).
    fn attach(&self) {}

    /// A process joins a shard, or makes it anew.
    ///
    /// The shard is kept as it is if it is of this history and was told all of `place`; then its horizon is answered. Otherwise, if `anew` is given, all slots are dropped at once: the horizon becomes one with that
    /// incarnation, this history, `place` as told, and nothing rewritten. Else the horizon is answered as it is, `None`
    /// if there is none: whoever is ahead may be about to tell what is missing.
    fn begin(&self, shard: usize, beginning: Beginning) -> Reply<'_, Result<Option<Horizon>, Failed>>;

    /// Tells commits, in their order. See [`Telling`] and [`Heard`].
    fn tell(&self, shard: usize, telling: Telling) -> Reply<'_, Result<Heard, Failed>>;

    /// What slots hold, and the horizon, of one moment. A lease counts as nothing; so does an entry of another incarnation or
    /// generation than the horizon's, or one that cannot be read, which is dropped.
    fn get(&self, shard: usize, names: Vec<Name>) -> Reply<'_, Result<Looked, Failed>>;

    /// Gives a lease on a slot that holds nothing, for at most this long. `token` is of one wish, and never used for another by
    /// anybody: who asks with it again has the lease still, or is given it.
    fn lease(&self, shard: usize, name: Name, token: u128, time: Duration) -> Reply<'_, Result<Leased, Failed>>;

    /// Puts an entry in the place of its lease, for at most this long. Answers whether the lease was still there, which it is not
    /// once the shard is of another incarnation, or the entity of another generation, than the entry.
    fn fill(
        &self,
        shard: usize,
        name: Name,
        token: u128,
        entry: Entry,
        time: Duration,
    ) -> Reply<'_, Result<bool, Failed>>;

    /// Empties slots, leases included.
    fn retract(&self, shard: usize, names: Vec<Name>) -> Reply<'_, Result<(), Failed>>;
}

/// What a slot is found by, in the shard that is asked.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Name {
    /// Whose rows the slot is about: what drops all slots of an entity in one step has to know it.
    pub entity: EntityId,
    /// Any bytes, of any length. Slots of two entities are two, though they have the same bytes.
    pub bytes: Bytes,
}

/// What a shard knows that is not of one slot. Without it (it was lost, or nobody has begun) the shard answers nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Horizon {
    /// What the shard is since it was made anew; drawn at random. Entries of another one do not exist.
    pub incarnation: u64,
    /// Who commits: the primary, as its log names it. Processes that follow another primary leave the shard alone.
    pub history: u128,
    /// Every slot was told all of these commits; what is brought for a lease contains them.
    pub told: Runs,
    /// Entities whose rows changed in ways that no log shows, and how often. An entry has the number of its lease's moment.
    pub rewritten: Vec<(EntityId, u64)>,
}

/// How a process begins with a shard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Beginning {
    /// The history that the process follows.
    pub history: u128,
    /// All that its log told, and will not tell any more.
    pub place: Runs,
    /// The shard is made anew, as this incarnation, if it does not fit. Drawn at random: slots of one that was before would count
    /// again.
    pub anew: Option<u64>,
}

/// Commits that a shard is told, however many slots that concerns: in one step, so that no copy of the shard has been told a part of
/// them. A copy that takes the shard's place between two steps would lack the first, and nobody would see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Telling {
    /// Of the shard that the process has joined.
    pub incarnation: u64,
    /// What the process had told it before.
    pub from: Runs,
    /// The commits that are told of now. With each, what leads up to it in its source without a hole.
    pub to: Runs,
    /// Slots of the rows that changed. Dropped, with their leases, unless the shard was told all of `to` already.
    pub names: Vec<Name>,
    /// Entities whose slots are all dropped in one step, with their leases, unless the shard was told all of `to` already.
    pub rewritten: Vec<EntityId>,
}

/// What a shard makes of being told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heard {
    /// It has been told, now or by somebody else before.
    Told,
    /// It is not the incarnation that the process joined, or has no horizon. Nothing was done.
    Other,
    /// It was told less than `from` says: it has forgotten. Nothing was done.
    Behind,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Looked {
    /// `None`: the shard has none, and there are no entries.
    pub horizon: Option<Horizon>,
    /// In the order asked.
    pub entries: Vec<Option<Entry>>,
}

/// What a slot holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The shard's, when the lease was given.
    pub incarnation: u64,
    /// How often its entity had been rewritten then, as the horizon said.
    pub generation: u64,
    /// The cache's own bytes.
    pub value: Bytes,
}

/// What became of the wish for a lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Leased {
    /// It is given. What is brought has to contain all of `told`.
    Given(Horizon),
    /// There is an entry by now.
    Filled(Horizon, Entry),
    /// Somebody else has it.
    Awaited,
    /// The shard has no horizon.
    Untold,
}

/// Why a step was not made, or is not known to have been made. Slots may have been dropped, and nothing else is in doubt: an
/// entry that was put in is right, and commits may be told again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failed {
    /// There was no answer: no connection, or none in time.
    #[error("the cache server does not answer: {0}")]
    Gone(String),
    /// It has no room, and drops nothing to make some.
    #[error("the cache server is full: {0}")]
    Full(String),
    /// It answered something else: it may not be written to, does not know a command, or is moving the shard elsewhere.
    #[error("the cache server refuses: {0}")]
    Refused(String),
}
