//! Gated floors: a cache in front of a database with replicas that never keeps a stale row.
//!
//! A cache is filled by its readers, and emptied by a log of changes. Between the two lie all the ways to be wrong: a row that
//! was read before a change is put into the cache after the change was told of; a change is told of before the database
//! shows it, and a reader brings the old row back; a replica does not have it yet. Leases and deletes on a change close
//! some of them (Nishtala et al., *Scaling Memcache at Facebook*, NSDI 2013). This protocol closes all, by
//! [versions](Version) that say what a row that was read contains:
//!
//! - A reader that finds nothing gets a [`Lease`], stamped with a version that its source must contain when it reads. The
//!   primary contains what was told, because nothing is told before the primary shows it (the *gate*, which is the sender's);
//!   a replica has to be asked first, then read, on one connection.
//! - A row that changed has a *floor*: its last change that was told. A row read for a lease below the floor is not taken.
//! - A reader that must see some change says so, and finds an entry only if it contains that change.
//!
//! The invariant is that an entry contains every change to its row that the cache was told of. It holds over lost caches
//! ([`Horizon::untold`]), forgotten rows ([`Slot::forget`]) and a new primary ([`Version::epoch`], [`Horizon::begin`]).
//! What is not promised is that a hit contains a change that was not told yet and that its reader does not know of either, nor
//! that two rows are of one moment.
//!
//! ## In the process
//! [`Cached`] is the cache of one process, over the storage's port and its log. Its readers' places are not comparable with
//! versions, so it asks of them only whether they were told, and whoever has seen more goes past it. What it is told of its own
//! writes has no version yet ([`Fills::retract`]). What the log tells of a row [takes the place](Has) of what lacks it. And what its hits have shown may be newer than their version says: each
//! entry tells its readers how far the read was that brought it, so that nobody is shown an older row afterwards.
//!
//! ## Proof
//! The protocol does no input or output. What is shared in a server of its own has other states, and a search of its own.
//! The tests of `search` try every order of events there is, at a small size, and find the order that goes wrong once any of the
//! rules is left out.

mod admission;
mod audit;
mod cached;
mod counts;
mod fills;
mod follow;
mod heard;
mod horizon;
mod near;
mod noted;
mod policy;
pub mod remote;
mod renewal;
#[cfg(test)]
mod search;
mod slot;
mod tier;
mod version;

pub use audit::AuditStats;
pub use cached::{CacheOptions, Cached, InspectedEntry};
pub use counts::CacheStats;
pub use fills::{Fills, Lease, Refused};
pub use horizon::Horizon;
pub use renewal::Has;
pub use slot::{Answer, Entry, Slot};
pub use tier::{InspectedSlot, Tier, TierOptions, TierStats, namespace};
pub use version::Version;

/// The time. Tests may stop it.
fn now() -> std::time::Instant {
    tokio::time::Instant::now().into_std()
}
