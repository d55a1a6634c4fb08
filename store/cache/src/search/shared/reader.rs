//! A client that reads a row by either process, and never wants to go back.

use super::shard::{Fill, Slot};
use super::world::{At, Change, Rule, World};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Reader {
    /// Reads that are left.
    left: u8,
    /// What it has seen, as it was told.
    seen: At,
    /// And the latest row that it was shown.
    shown: At,
    does: Does,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Does {
    Nothing,
    /// It goes past the shard.
    Bypasses(At),
    /// It asks the shard that its process has joined.
    Looks(At, Joined),
    /// It has a lease for what it must see, and goes to a server.
    Goes(Lease, At, Option<Source>),
    /// The replica said that it contains the lease.
    Asked(Lease, At),
    /// It has read a row.
    Has(Lease, At, At),
}

/// What its process knows of the shard as it asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Joined {
    history: u8,
    incarnation: u8,
    told: At,
    heard: At,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Lease {
    token: u8,
    incarnation: u8,
    asked: At,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Source {
    Primary,
    Replica,
}

impl Reader {
    pub(super) fn new(reads: u8) -> Self {
        Self { left: reads, seen: At::ZERO, shown: At::ZERO, does: Does::Nothing }
    }

    /// The primary is gone, and with it who was about to read there.
    pub(super) fn lose_primary(&mut self) {
        if matches!(self.does, Does::Goes(_, _, Some(Source::Primary))) {
            self.does = Does::Nothing;
        }
    }

    pub(super) fn steps(world: &World, at: usize, without: Option<Rule>, step: &mut dyn FnMut(String, Change<'_>)) {
        let reader = world.readers[at];
        match reader.does {
            Does::Nothing if reader.left > 0 => {
                for process in 0..world.size.processes {
                    step(format!("reader {at} asks process {process}"), &|world| {
                        Self::ask(world, at, process, reader.seen, without);
                        Ok(())
                    });
                }
                let own = world.value(world.shown);
                if !world.covers(reader.seen, own) {
                    step(format!("reader {at} wrote {own:?}"), &|world| {
                        world.readers[at].seen = own;
                        Ok(())
                    });
                }
            }
            Does::Nothing => {}
            Does::Bypasses(least) => Self::bypass(world, at, least, step),
            Does::Looks(least, joined) => Self::look(world, at, least, joined, without, step),
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
            Does::Goes(lease, least, Some(Source::Replica)) => {
                step(format!("reader {at} asks the replica"), &|world| {
                    let contains = world.replica_contains(lease.asked);
                    world.readers[at].does = match contains {
                        true => Does::Asked(lease, least),
                        false => Does::Goes(lease, least, Some(Source::Primary)),
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
            Does::Has(lease, least, value) => {
                step(format!("reader {at} is answered {value:?}, which is brought"), &|world| {
                    let Lease { token, incarnation, .. } = lease;
                    world.fills[at] = Some(Fill { token, incarnation, value });
                    Self::answer(world, at, least, value)
                });
            }
        }
    }

    fn ask(world: &mut World, at: usize, process: usize, least: At, without: Option<Rule>) {
        let process = world.processes[process];
        let is_told = world.is_told(&process, least);
        world.readers[at].does = match process.joined(without).filter(|_| is_told) {
            Some((incarnation, told)) => {
                Does::Looks(least, Joined { history: process.history, incarnation, told, heard: process.heard })
            }
            None => Does::Bypasses(least),
        };
    }

    fn look(
        world: &World,
        at: usize,
        least: At,
        joined: Joined,
        without: Option<Rule>,
        step: &mut dyn FnMut(String, Change<'_>),
    ) {
        let is_joined = |horizon: super::shard::Horizon| {
            horizon.incarnation == joined.incarnation
                && (horizon.history == joined.history || without == Some(Rule::History))
        };
        let suits = |horizon| {
            is_joined(horizon) && (world.covers(horizon.told, joined.told) || without == Some(Rule::Watermark))
        };
        if let Some((_, value)) = world.shard.entry(without).filter(|(horizon, _)| suits(*horizon)) {
            step(format!("reader {at} finds {value:?}"), &|world| {
                if value.row() < world.left_of(joined.heard).row() {
                    return Err("an answer lacks what its process was told".to_owned());
                }
                if world.is_lost(value) && joined.history == world.epoch() {
                    return Err("an answer has a change that its process knows to be lost".to_owned());
                }
                Self::answer(world, at, least, value)
            });
        }
        let free = matches!(world.shard.slot, Slot::Empty) || world.shard.entry(without).is_none();
        let is_leased = matches!(world.shard.slot, Slot::Lease(_));
        match world.shard.horizon.filter(|horizon| is_joined(*horizon) && free && !is_leased) {
            Some(horizon) => step(format!("reader {at} gets the lease"), &|world| {
                let ahead = if world.covers(horizon.told, joined.heard) { horizon.told } else { joined.heard };
                let asked = if without == Some(Rule::Asked) { joined.heard } else { ahead };
                let token = 4 * u8::try_from(at).unwrap_or(0) + world.readers[at].left;
                world.shard.slot = Slot::Lease(token);
                world.readers[at].does =
                    Does::Goes(Lease { token, incarnation: horizon.incarnation, asked }, least, None);
                Ok(())
            }),
            None => step(format!("reader {at} goes past the shard"), &|world| {
                world.readers[at].does = Does::Bypasses(least);
                Ok(())
            }),
        }
    }

    /// It reads a server that contains what it has seen, be it the primary: a replica may show a change before it does.
    fn bypass(world: &World, at: usize, least: At, step: &mut dyn FnMut(String, Change<'_>)) {
        if world.shown >= world.left_of(least).number {
            step(format!("reader {at} reads the primary past the shard"), &|world| {
                Self::answer(world, at, least, world.value(world.shown))
            });
        }
        if world.size.replicas && world.replica_contains(least) {
            step(format!("reader {at} reads the replica past the shard"), &|world| {
                Self::answer(world, at, least, world.value(world.replicated))
            });
        }
    }

    /// The reader has its answer, and what it knows of it.
    fn answer(world: &mut World, at: usize, least: At, value: At) -> Result<(), String> {
        if value.row() < world.left_of(least).row() {
            return Err("an answer lacks what its reader has seen".to_owned());
        }
        if value.row() < world.left_of(world.readers[at].shown).row() {
            return Err("a reader was shown an older row than before".to_owned());
        }
        let newer = |one: At, other: At| if world.covers(one, other) { one } else { other };
        let reader = world.readers[at];
        let (shown, seen) = (newer(reader.shown, value), newer(reader.seen, value));
        world.readers[at] = Self { left: reader.left - 1, seen, shown, does: Does::Nothing };
        Ok(())
    }
}
