//! A client that reads a row, again and again, and never wants to go back.

use super::world::{Change, Got, Rule, Value, World};
use crate::{Lease, Refused, Version};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Reader {
    /// Reads that are left.
    left: u8,
    /// What it has seen, as it was told.
    seen: Version,
    /// And the latest row that it was shown.
    shown: Version,
    does: Does,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Does {
    Nothing,
    /// It goes past the cache.
    Bypasses(Version),
    /// It has a lease for what it must see, and goes to a server.
    Goes(Lease, Version, Option<Source>),
    /// The replica said that it contains the lease.
    Asked(Lease, Version),
    /// It has read a row.
    Has(Lease, Version, Value),
    /// And has yet to ask.
    HasUnasked(Lease, Version, Value),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Source {
    Primary,
    Replica,
}

impl Reader {
    pub(super) fn new(reads: u8) -> Self {
        Self { left: reads, seen: Version::ZERO, shown: Version::ZERO, does: Does::Nothing }
    }

    /// A server is gone, and with it who was about to read there.
    pub(super) fn lose(&mut self, source: Source) {
        if matches!(self.does, Does::Goes(_, _, Some(gone)) if gone == source) {
            self.does = Does::Nothing;
        }
    }

    pub(super) fn steps(world: &World, at: usize, without: Option<Rule>, step: &mut dyn FnMut(String, Change<'_>)) {
        let reader = world.readers[at];
        match reader.does {
            Does::Nothing if reader.left > 0 => {
                step(format!("reader {at} asks"), &|world| Self::ask(world, at, world.readers[at].seen, without));
                let own = world.acknowledged();
                if own > reader.seen {
                    step(format!("reader {at} wrote {own:?} and asks"), &|world| Self::ask(world, at, own, without));
                }
            }
            Does::Nothing => {}
            Does::Bypasses(least) => Self::bypass(world, at, least, step),
            Does::Goes(lease, least, None) => {
                let sources = [Source::Primary, Source::Replica];
                for source in sources.into_iter().take(if world.size.replicas { 2 } else { 1 }) {
                    step(format!("reader {at} goes to the {source:?}"), &|world| {
                        world.readers[at].does = Does::Goes(lease, least, Some(source));
                        Ok(())
                    });
                }
            }
            Does::Goes(lease, least, Some(Source::Primary)) => {
                step(format!("reader {at} reads the primary"), &|world| {
                    world.readers[at].does = Does::Has(lease, least, world.value(world.shown));
                    Ok(())
                });
            }
            Does::Goes(lease, least, Some(Source::Replica)) if without == Some(Rule::Order) => {
                step(format!("reader {at} reads the replica"), &|world| {
                    world.readers[at].does = Does::HasUnasked(lease, least, world.value(world.replicated));
                    Ok(())
                });
            }
            Does::Goes(lease, least, Some(Source::Replica)) => {
                step(format!("reader {at} asks the replica"), &|world| {
                    let contains = world.replica_contains(lease.at) || without == Some(Rule::Ask);
                    world.readers[at].does = if contains {
                        Does::Asked(lease, least)
                    } else {
                        Does::Goes(lease, least, Some(Source::Primary))
                    };
                    Ok(())
                });
            }
            Does::Asked(lease, least) => {
                step(format!("reader {at} reads the replica"), &|world| {
                    world.readers[at].does = Does::Has(lease, least, world.value(world.replicated));
                    Ok(())
                });
            }
            Does::HasUnasked(lease, least, value) => {
                step(format!("reader {at} asks the replica"), &|world| {
                    let contains = world.replica_contains(lease.at);
                    world.readers[at].does = match contains {
                        true => Does::Has(lease, least, value),
                        false => Does::Goes(lease, least, Some(Source::Primary)),
                    };
                    Ok(())
                });
            }
            Does::Has(lease, least, value) => {
                step(format!("reader {at} brings {value:?}"), &|world| {
                    Self::bring(world, at, lease, least, value, without)
                });
                step(format!("the lease of reader {at} expires"), &|world| {
                    world.slot.expire(lease.token);
                    Ok(())
                });
            }
        }
    }

    /// It reads a server that contains what it has seen, be it the primary: a replica may show a change before it does.
    fn bypass(world: &World, at: usize, least: Version, step: &mut dyn FnMut(String, Change<'_>)) {
        if world.shown >= world.changes_until(least) {
            step(format!("reader {at} reads the primary past the cache"), &|world| {
                let value = world.value(world.shown);
                Self::answer(world, at, least, value, value.version())
            });
        }
        if world.size.replicas && world.replica_contains(least) {
            step(format!("reader {at} reads the replica past the cache"), &|world| {
                let value = world.value(world.replicated);
                Self::answer(world, at, least, value, value.version())
            });
        }
    }

    fn ask(world: &mut World, at: usize, least: Version, without: Option<Rule>) -> Result<(), String> {
        if world.size.near && !world.is_told(least) && without != Some(Rule::Bypass) {
            world.readers[at].does = Does::Bypasses(least);
            return Ok(());
        }
        match world.get(at, least, without) {
            Got::Hit(value, seen) => Self::answer(world, at, least, value, seen),
            Got::Miss(lease) => {
                world.readers[at].does = Does::Goes(lease, least, None);
                Ok(())
            }
            Got::Nothing => Ok(()),
        }
    }

    fn bring(
        world: &mut World,
        at: usize,
        lease: Lease,
        least: Version,
        value: Value,
        without: Option<Rule>,
    ) -> Result<(), String> {
        let filled = world.slot.fill(&world.horizon, lease, value);
        if filled == Err(Refused::Changed) && without == Some(Rule::Floor) {
            world.slot.set(crate::Entry { value, version: lease.at });
        }
        let seen = if world.size.near { value.version() } else { lease.at };
        Self::answer(world, at, least, value, seen)
    }

    /// The reader has its answer, and what it knows of it.
    fn answer(world: &mut World, at: usize, least: Version, value: Value, seen: Version) -> Result<(), String> {
        if value.changes < world.changes_until(least) {
            return Err("an answer lacks what its reader has seen".to_owned());
        }
        if world.size.near && value.changes < world.changes_until(world.readers[at].shown) {
            return Err("a reader was shown an older row than before".to_owned());
        }
        let reader = &mut world.readers[at];
        reader.shown = reader.shown.max(value.version());
        (reader.seen, reader.does) = (reader.seen.max(seen), Does::Nothing);
        reader.left -= 1;
        Ok(())
    }
}
