//! Which changes something contains.

/// A place in the order in which a primary commits, and with it all changes up to there.
///
/// Ordered by epoch first. It is not comparable with what a database calls its position, which may be a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Version {
    /// One more with each change of the primary. What was numbered by the old one is below what the new one numbers, whatever
    /// the new one had not received.
    pub epoch: u64,
    /// Commits, in the order of the log.
    pub number: u64,
}

impl Version {
    /// Before every change.
    pub const ZERO: Self = Self { epoch: 0, number: 0 };
}
