//! The log of the simulated database: commits in order, each once the primary shows it, late and in portions.

use std::sync::Arc;
use std::time::Duration;

use kit_core::{Code, Error, Reply};
use rand::Rng;
use rand::rngs::StdRng;
use rowkeep_engine::{Begin, ChangeLog, ChangeStream, Committed, Place, Point, RowChange, Since, Stored, Told};
use rowkeep_record::Value;
use rowkeep_schema::EntityId;

use crate::database::{Database, World, pause};

pub(crate) struct Log(pub(crate) Arc<Database>);

/// A log that is passed on by a cache to the one before it, which is told of a new primary later.
pub(crate) struct Apart(pub(crate) Arc<Database>, pub(crate) Arc<dyn ChangeLog>);

struct StreamApart(Arc<Database>, Box<dyn ChangeStream>);

impl ChangeLog for Apart {
    fn follow(&self, since: Since) -> Reply<'static, Result<Box<dyn ChangeStream>, Error>> {
        let (database, stream) = (Arc::clone(&self.0), self.1.follow(since));
        database.world().told_apart[database.process] = true;
        Reply::later(async move { Ok(Box::new(StreamApart(database, stream.await?)) as Box<dyn ChangeStream>) })
    }
}

impl ChangeStream for StreamApart {
    fn next(&mut self) -> Reply<'_, Result<Vec<Told>, Error>> {
        Reply::later(async move {
            let told = self.1.next().await?;
            for begin in told.iter().filter_map(|told| if let Told::Begin(begin) = told { Some(begin) } else { None }) {
                // It is taken in before anybody else goes on.
                self.0.world().told_epochs[self.0.process] = usize::try_from(begin.history - 1).ok();
            }
            Ok(told)
        })
    }
}

struct Stream {
    database: Arc<Database>,
    /// Of which primary, and how far: none before the beginning was told.
    at: Option<(usize, usize)>,
    /// The end of a commit whose beginning was told.
    rest: Option<Told>,
    /// Much is shown that was not told.
    slow: bool,
}

impl ChangeLog for Log {
    fn follow(&self, _: Since) -> Reply<'static, Result<Box<dyn ChangeStream>, Error>> {
        let database = Arc::clone(&self.0);
        Reply::later(async move {
            pause(&database.world).await;
            let slow = database.world().random.random_bool(0.5);
            Ok(Box::new(Stream { database, at: None, rest: None, slow }) as Box<dyn ChangeStream>)
        })
    }
}

fn place(point: Point) -> Place {
    Place { base: Arc::from([]), point, first: 0 }
}

/// A change as it is told: now and then in two steps, of which nobody is ever shown what lies between.
fn steps(change: &RowChange, random: &mut StdRng) -> Vec<RowChange> {
    let (Some(before), Some(after)) = (&change.before, &change.after) else { return vec![change.clone()] };
    if random.random_bool(0.8) {
        return vec![change.clone()];
    }
    let mut between = after.clone();
    between.values[2] = Value::Int(-1);
    between.version = random.random_range(before.version.min(after.version)..=after.version);
    let step = |before: &Stored, after: &Stored| RowChange {
        before: Some(before.clone()),
        after: Some(after.clone()),
        ..*change
    };
    vec![step(before, &between), step(&between, after)]
}

impl ChangeStream for Stream {
    fn next(&mut self) -> Reply<'_, Result<Vec<Told>, Error>> {
        Reply::later(async move {
            pause(&self.database.world).await;
            if self.database.plan.shared {
                // More happens, and takes longer.
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            if self.slow && self.at.is_some() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            let database = Arc::clone(&self.database);
            let mut world = database.world();
            if database.plan.faults && world.random.random_ratio(1, 20) {
                let reason = if world.random.random_bool(0.5) { "CHANGES_LOST" } else { "LOG_LOST" };
                return Err(Error::new(Code::Unavailable, reason, "the log ended"));
            }
            match self.at {
                Some((epoch, told)) if epoch == world.epoch => Ok(self.go_on(&mut world, told)),
                _ => Ok(vec![self.begin(&mut world)]),
            }
        })
    }
}

impl Stream {
    fn begin(&mut self, world: &mut World) -> Told {
        let process = self.database.process;
        let at = world.shown;
        self.at = Some((world.epoch, at));
        self.rest = None;
        if !world.told_apart[process] {
            world.told_epochs[process] = Some(world.epoch);
        }
        let contained = world.commits[1..=at].iter().map(|commit| place(commit.point).run()).collect();
        Told::Begin(Begin { place: place(world.commits[at].point), contained, history: world.epoch as u128 + 1 })
    }

    /// The next commits, some of them in parts, and that these were all.
    fn go_on(&mut self, world: &mut World, told: usize) -> Vec<Told> {
        let to = world.shown.min(told + world.random.random_range(0..3));
        let mut items: Vec<Told> = self.rest.take().into_iter().collect();
        for at in told + 1..=to {
            let rewritten = world.random.random_ratio(1, 30);
            let in_parts = world.random.random_ratio(1, 5);
            let commit = &world.commits[at];
            let place = place(commit.point);
            if rewritten {
                let entity = world.random.random_bool(0.5).then_some(EntityId(0));
                items.push(Told::Rewritten { entity, place, more: false });
                continue;
            }
            let part = |more, changes| Told::Commit(Arc::new(Committed { place: place.clone(), more, at: 0, changes }));
            let mut changes: Vec<_> =
                commit.changes.iter().flat_map(|change| steps(change, &mut world.random)).collect();
            if in_parts {
                // Some time passes before the rest is told.
                let rest = changes.split_off(world.random.random_range(0..=changes.len()));
                items.push(part(true, changes));
                if world.random.random_bool(0.3) {
                    // Of the table itself, or of one whose rows nobody reads.
                    let entity = EntityId(world.random.random_range(0..2));
                    items.push(Told::Rewritten { entity: Some(entity), place: place.clone(), more: true });
                }
                let nobodys = || Told::Rewritten { entity: Some(EntityId(1)), place: place.clone(), more: false };
                self.rest = Some(if rest.is_empty() { nobodys() } else { part(false, rest) });
                self.at = Some((world.epoch, at));
                return items;
            }
            items.push(part(false, changes));
        }
        self.at = Some((world.epoch, to));
        if to == world.shown {
            let moment = tokio::time::Instant::now().into_std();
            items.push(Told::Current { moment, place: place(world.commits[to].point) });
        }
        items
    }
}
