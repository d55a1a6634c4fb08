//! A process that follows the log and tells the shard.

use super::shard::{Horizon, Telling};
use super::world::{At, Change, Rule, World};
use crate::remote::Heard;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Process {
    /// Whose log it follows.
    pub(super) history: u8,
    /// What its readers know to be told.
    pub(super) heard: At,
    does: Does,
    /// What it has given up on, and may yet arrive.
    late: Option<Telling>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Does {
    /// It goes past the shard.
    Off,
    /// The shard, of this incarnation, was found or made to have all of this place.
    Begun(u8, At),
    /// It has joined the shard, which has heard this much from it, or of it when it joined.
    On(u8, At),
    /// And is telling it more.
    Tells(Telling),
    /// And has yet to hear whether the shard was told.
    Told(Telling, bool),
}

impl Process {
    pub(super) const NEW: Self = Self { history: 0, heard: At::ZERO, does: Does::Off, late: None };

    /// For readers: the incarnation that is joined, and what it was told.
    pub(super) fn joined(&self, without: Option<Rule>) -> Option<(u8, At)> {
        let (incarnation, told) = match self.does {
            Does::Off | Does::Begun(..) => return None,
            Does::On(incarnation, told) => (incarnation, told),
            Does::Tells(telling) | Does::Told(telling, _) => (telling.incarnation, telling.from),
        };
        (told == self.heard || without == Some(Rule::Order)).then_some((incarnation, told))
    }

    pub(super) fn steps(world: &World, at: usize, without: Option<Rule>, step: &mut dyn FnMut(String, Change<'_>)) {
        let process = world.processes[at];
        let next = world.next_change(process.history, process.heard);
        match process.does {
            Does::Off | Does::Begun(..) => {
                if let Some(next) = next {
                    step(format!("process {at} is told {next:?}, and passes the shard by"), &|world| {
                        world.processes[at].heard = next;
                        Ok(())
                    });
                }
            }
            Does::On(incarnation, from) => {
                let behind = (from != process.heard).then_some(process.heard);
                if let Some(to) = behind.or(next) {
                    step(format!("process {at} tells {to:?}"), &|world| {
                        let process = &mut world.processes[at];
                        process.does = Does::Tells(Telling { incarnation, from, to });
                        if without == Some(Rule::Order) {
                            process.heard = to;
                        }
                        Ok(())
                    });
                }
            }
            Does::Tells(telling) => {
                step(format!("the shard is told {:?} by process {at}", telling.to), &|world| {
                    let heard = world.tell(telling, without);
                    world.processes[at].does = Does::Told(telling, heard == Heard::Told);
                    Ok(())
                });
                step(format!("process {at} gives up on {:?}", telling.to), &|world| {
                    world.processes[at].give_up();
                    Ok(())
                });
            }
            Does::Told(telling, is_told) => {
                step(format!("process {at} hears that the shard was told: {is_told}"), &|world| {
                    let process = &mut world.processes[at];
                    process.heard = telling.to;
                    process.does = match is_told {
                        true => Does::On(telling.incarnation, telling.to),
                        false => Does::Off,
                    };
                    Ok(())
                });
            }
        }
        Self::join(world, at, without, step);
        if let Some(late) = process.late {
            step(format!("the shard is told {:?} late by process {at}", late.to), &|world| {
                world.processes[at].late = None;
                world.tell(late, without);
                Ok(())
            });
        }
        if process.history < world.epoch() {
            step(format!("process {at} reads the log of the new primary"), &|world| {
                let heard = world.forked();
                let process = &mut world.processes[at];
                process.give_up();
                (process.history, process.heard, process.does) = (1, heard, Does::Off);
                Ok(())
            });
        }
        if world.size.restarts > 0 && process.history == world.epoch() {
            step(format!("process {at} starts again"), &|world| {
                world.size.restarts -= 1;
                let heard = world.value(world.shown);
                let process = &mut world.processes[at];
                process.give_up();
                (process.heard, process.does) = (heard, Does::Off);
                Ok(())
            });
        }
    }

    fn join(world: &World, at: usize, without: Option<Rule>, step: &mut dyn FnMut(String, Change<'_>)) {
        let process = world.processes[at];
        match process.does {
            Does::Off if world.size.joins > 0 => {
                let place = process.heard;
                let fits = |horizon: &Horizon| {
                    (horizon.history == process.history || without == Some(Rule::History))
                        && world.covers(horizon.told, place)
                };
                let fitting = world.shard.horizon.filter(fits).map(|horizon| horizon.incarnation);
                let what = if fitting.is_some() { "begins with the shard" } else { "makes the shard anew" };
                step(format!("process {at} {what} at {place:?}"), &|world| {
                    world.size.joins -= 1;
                    let incarnation = fitting.unwrap_or_else(|| world.make_anew(process.history, place));
                    world.processes[at].does = Does::Begun(incarnation, place);
                    Ok(())
                });
            }
            Does::Begun(incarnation, place) => {
                step(format!("process {at} has joined"), &|world| {
                    // What came meanwhile is told next, and before that nobody is answered.
                    world.processes[at].does = Does::On(incarnation, place);
                    Ok(())
                });
            }
            _ => {}
        }
    }

    /// Readers must not wait for the shard for ever.
    fn give_up(&mut self) {
        match self.does {
            Does::Tells(telling) => {
                self.late = Some(telling);
                self.heard = telling.to;
            }
            Does::Told(telling, _) => self.heard = telling.to,
            Does::Off | Does::Begun(..) | Does::On(..) => {}
        }
        self.does = Does::Off;
    }
}
