//! The log of the simulated database: commits in order, each once the primary shows it, late and in portions.

use std::sync::Arc;
use std::time::Duration;

use kit_core::{Code, Error, Reply};
use rand::Rng;
use rowkeep_engine::{Begin, ChangeLog, ChangeStream, Committed, Place, Point, Since, Told};
use rowkeep_schema::EntityId;

use crate::database::{Database, World, pause};

pub(crate) struct Log(pub(crate) Arc<Database>);

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
        world.told_epochs[process] = Some(world.epoch);
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
                items.push(Told::Rewritten { entity, place });
                continue;
            }
            let part = |more, changes| Told::Commit(Arc::new(Committed { place: place.clone(), more, at: 0, changes }));
            if in_parts {
                // Some time passes before the rest is told.
                items.push(part(true, commit.changes.clone()));
                self.rest = Some(part(false, Vec::new()));
                self.at = Some((world.epoch, at));
                return items;
            }
            items.push(part(false, commit.changes.clone()));
        }
        self.at = Some((world.epoch, to));
        if to == world.shown {
            let moment = tokio::time::Instant::now().into_std();
            items.push(Told::Current { moment, place: place(world.commits[to].point) });
        }
        items
    }
}
