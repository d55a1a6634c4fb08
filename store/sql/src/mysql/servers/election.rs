//! Which server is the primary, from what servers were seen to be. Rowkeep does not make one: that is an operator's or
//! another tool's work, who takes writes away from one server and gives them to another. It follows.
//!
//! The rules, for whoever finds two servers that take writes:
//! - At the start, the one that contains everything the others contain; if none does, nobody can say, and none is taken.
//! - Later, the one that was last seen to begin to take writes. One that did all the time while another was the primary,
//!   or since it was restarted (an old primary that comes back, a replica that somebody forgot to set read-only), never
//!   becomes one by itself.

use std::sync::Arc;

use super::reached::Reached;

/// What is known of a server.
#[derive(Debug, Clone)]
pub(in crate::mysql) enum Seen {
    /// Nothing yet.
    Unknown,
    /// It could not be asked. What it was before is kept.
    Down(Option<bool>),
    /// It answered.
    Up(Arc<Reached>),
}

impl Seen {
    fn was_writable(&self) -> Option<bool> {
        match self {
            Self::Unknown => None,
            Self::Down(was) => *was,
            Self::Up(reached) => Some(reached.writable),
        }
    }
}

/// The servers by number, and who is the primary.
#[derive(Debug)]
pub(in crate::mysql) struct Election {
    servers: Vec<Seen>,
    primary: Option<usize>,
    /// What the last primary was last seen to contain.
    last: Option<Arc<Reached>>,
}

/// What an observation changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::mysql) enum Change {
    /// This server takes the writes now. `behind`: it lacks what the one before it was seen to contain.
    Promoted { server: usize, behind: bool },
    /// The primary takes no writes any more, and no other server was seen to.
    Demoted { server: usize },
    /// A server takes writes and is not the primary.
    Intruder { server: usize },
}

impl Election {
    /// Of servers of which nothing is known.
    pub(in crate::mysql) fn new(count: usize) -> Self {
        Self { servers: vec![Seen::Unknown; count], primary: None, last: None }
    }

    /// The first decision, when every server was asked. `Err`: those that take writes and contain what others do not.
    pub(in crate::mysql) fn begin(&mut self, seen: Vec<Seen>) -> Result<Option<usize>, Vec<usize>> {
        self.servers = seen;
        let writable: Vec<(usize, &Arc<Reached>)> = self.up().filter(|(_, reached)| reached.writable).collect();
        let ahead = |reached: &Reached| writable.iter().all(|(_, other)| reached.contains_all(other));
        let Some((first, reached)) = writable.iter().find(|(_, reached)| ahead(reached)) else {
            let those: Vec<usize> = writable.iter().map(|(number, _)| *number).collect();
            return if those.is_empty() { Ok(None) } else { Err(those) };
        };
        (self.primary, self.last) = (Some(*first), Some(Arc::clone(reached)));
        Ok(self.primary)
    }

    /// The primary, whether or not it answers.
    pub(in crate::mysql) fn primary(&self) -> Option<usize> {
        self.primary
    }

    /// The servers that answered when they were asked last.
    fn up(&self) -> impl Iterator<Item = (usize, &Arc<Reached>)> {
        self.servers.iter().enumerate().filter_map(|(number, seen)| match seen {
            Seen::Up(reached) => Some((number, reached)),
            Seen::Unknown | Seen::Down(_) => None,
        })
    }

    /// A server did not answer.
    pub(in crate::mysql) fn lost(&mut self, server: usize) {
        self.servers[server] = Seen::Down(self.servers[server].was_writable());
    }

    /// A server answered. `restarted`: since it did so last. What it is then says its configuration, and nobody made it
    /// the primary.
    pub(in crate::mysql) fn observe(
        &mut self,
        server: usize,
        reached: Arc<Reached>,
        restarted: bool,
    ) -> Option<Change> {
        let before = self.servers[server].was_writable().filter(|_| !restarted);
        let writable = reached.writable;
        self.servers[server] = Seen::Up(Arc::clone(&reached));
        let begins = writable && before == Some(false);
        if self.primary == Some(server) {
            if writable {
                self.last = Some(reached);
                return None;
            }
            self.primary = None;
            return Some(Change::Demoted { server });
        }
        if begins || (writable && self.primary.is_none() && self.last.is_none()) {
            let behind = self.last.as_ref().is_some_and(|last| !reached.contains_all(last));
            (self.primary, self.last) = (Some(server), Some(reached));
            return Some(Change::Promoted { server, behind });
        }
        (writable && before != Some(true)).then_some(Change::Intruder { server })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dialect::Dialect;

    const UUID: &str = "3E11FA47-71CA-11E1-9E33-C80AA9429562";
    const OTHER: &str = "4E11FA47-71CA-11E1-9E33-C80AA9429562";

    fn server(writable: bool, executed: &str) -> Arc<Reached> {
        Arc::new(Reached::read(Dialect::MySql, writable, b"", executed.as_bytes()))
    }

    fn to(number: u64) -> String {
        format!("{UUID}:1-{number}")
    }

    /// Two servers, the first the primary.
    fn begun() -> Election {
        let mut election = Election::new(2);
        let seen = vec![Seen::Up(server(true, &to(9))), Seen::Up(server(false, &to(8)))];
        assert_eq!(election.begin(seen), Ok(Some(0)));
        election
    }

    #[test]
    fn who_begins_to_take_writes_is_the_primary() {
        let mut election = begun();
        assert_eq!(election.observe(0, server(false, &to(9)), false), Some(Change::Demoted { server: 0 }));
        assert_eq!(election.primary(), None);
        assert_eq!(
            election.observe(1, server(true, &to(9)), false),
            Some(Change::Promoted { server: 1, behind: false })
        );
        assert_eq!(election.primary(), Some(1));
    }

    #[test]
    fn a_promotion_is_seen_before_the_old_primary_is_known_to_be_none() {
        let mut election = begun();
        election.lost(0);
        assert_eq!(election.primary(), Some(0));
        assert_eq!(
            election.observe(1, server(true, &to(9)), false),
            Some(Change::Promoted { server: 1, behind: false })
        );
        // It comes back as it was, with a commit that nobody else has.
        assert_eq!(election.observe(0, server(true, &to(10)), false), None);
        assert_eq!(election.primary(), Some(1));
        election.lost(1);
        assert_eq!(election.observe(0, server(true, &to(10)), false), None);
        assert_eq!(election.primary(), Some(1), "it lacks what the primary took meanwhile");
    }

    #[test]
    fn a_primary_that_restarts_is_still_the_primary() {
        let mut election = begun();
        election.lost(0);
        assert_eq!(election.observe(0, server(true, &to(9)), false), None);
        assert_eq!(election.primary(), Some(0));
    }

    #[test]
    fn a_primary_that_comes_back_read_only_may_be_made_primary_again() {
        let mut election = begun();
        election.lost(0);
        assert_eq!(election.observe(0, server(false, &to(9)), false), Some(Change::Demoted { server: 0 }));
        assert_eq!(
            election.observe(0, server(true, &to(9)), false),
            Some(Change::Promoted { server: 0, behind: false })
        );
    }

    #[test]
    fn a_replica_that_is_restarted_and_takes_writes_is_not_the_primary_until_it_is_made_so() {
        let mut election = begun();
        election.lost(0);
        election.lost(1);
        assert_eq!(election.observe(1, server(true, &to(8)), true), Some(Change::Intruder { server: 1 }));
        assert_eq!(election.observe(1, server(false, &to(8)), false), None);
        assert_eq!(election.primary(), Some(0));
        assert_eq!(
            election.observe(1, server(true, &to(9)), false),
            Some(Change::Promoted { server: 1, behind: false })
        );
    }

    #[test]
    fn a_new_primary_that_lacks_something_is_told_of() {
        let mut election = begun();
        election.lost(0);
        assert_eq!(
            election.observe(1, server(true, &to(8)), false),
            Some(Change::Promoted { server: 1, behind: true })
        );
    }

    #[test]
    fn a_replica_that_takes_writes_all_along_is_an_intruder_once() {
        let mut election = Election::new(2);
        let seen = vec![Seen::Up(server(true, &to(9))), Seen::Down(None)];
        assert_eq!(election.begin(seen), Ok(Some(0)));
        assert_eq!(election.observe(1, server(true, &to(9)), false), Some(Change::Intruder { server: 1 }));
        assert_eq!(election.observe(1, server(true, &to(9)), false), None);
        election.lost(0);
        assert_eq!(election.observe(1, server(true, &to(9)), false), None);
        assert_eq!(election.primary(), Some(0));
    }

    #[test]
    fn at_the_start_the_one_that_contains_the_others_is_taken_or_none() {
        let mut election = Election::new(2);
        let newer = server(true, &format!("{},{OTHER}:1-4", to(9)));
        assert_eq!(election.begin(vec![Seen::Up(server(true, &to(9))), Seen::Up(Arc::clone(&newer))]), Ok(Some(1)));
        assert_eq!(election.begin(vec![Seen::Up(server(true, &to(10))), Seen::Up(newer)]), Err(vec![0, 1]));
        let mut election = Election::new(2);
        assert_eq!(election.begin(vec![Seen::Down(None), Seen::Up(server(false, &to(9)))]), Ok(None));
        // None was there to take writes; the first that does is taken.
        assert_eq!(
            election.observe(0, server(true, &to(9)), false),
            Some(Change::Promoted { server: 0, behind: false })
        );
    }
}
