//! A primary and a replica, their commits, and who has seen what.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use kit_core::{Code, Error, Reply};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rowkeep_engine::{
    Capabilities, ChangeLog, Freshness, LoadBatch, LoadOutcome, Outcome, Point, Position, Positions, Program,
    Remembered, RowChange, Rows, Scan, Session, Stored, View,
};
use rowkeep_record::{Key, Record, Value};
use rowkeep_schema::EntityId;

use crate::{Plan, fixture, log::Log, tx::SimTx};

pub(crate) type State = Arc<BTreeMap<i64, Stored>>;

/// A commit of the history that is true now.
pub(crate) struct Commit {
    pub(crate) point: Point,
    /// What there is after it.
    pub(crate) state: State,
    pub(crate) changes: Vec<RowChange>,
    /// When its writer was answered.
    pub(crate) answered: Option<(Instant, usize)>,
}

pub(crate) struct World {
    /// All commits; the first is the empty beginning.
    pub(crate) commits: Vec<Commit>,
    /// The last that the primary, and the replica, show.
    pub(crate) shown: usize,
    pub(crate) replicated: usize,
    /// Primaries so far, the last commit that each change of them left, and the states that it did not.
    pub(crate) epoch: usize,
    pub(crate) forks: Vec<usize>,
    pub(crate) lost: Vec<Vec<State>>,
    /// Of the last history that the cache of each process was told of.
    pub(crate) told_epochs: [Option<usize>; 2],
    /// It is told by another cache of the process.
    pub(crate) told_apart: [bool; 2],
    /// Writers that were answered.
    pub(crate) answers: usize,
    pub(crate) random: StdRng,
}

/// As one process has it.
pub(crate) struct Database {
    pub(crate) world: Arc<Mutex<World>>,
    pub(crate) process: usize,
    pub(crate) plan: Plan,
    capabilities: Capabilities,
    me: std::sync::Weak<Self>,
}

impl World {
    /// The point up to which a server with so many commits has seen each source.
    pub(crate) fn place(&self, at: usize) -> Position {
        let mut points: Vec<Point> = Vec::new();
        for commit in &self.commits[1..=at] {
            match points.iter_mut().find(|point| point.source == commit.point.source) {
                Some(point) => point.number = commit.point.number,
                None => points.push(commit.point),
            }
        }
        Position::of(&points)
    }

    fn contains(&self, at: usize, point: Point) -> bool {
        self.commits[1..=at].iter().any(|commit| commit.point == point)
    }

    /// Whether a point is of a commit that no server has.
    fn is_lost(&self, point: Point) -> bool {
        !self.contains(self.commits.len() - 1, point)
    }

    /// Somebody changes a row in SQL, and leaves its version as it is, or makes it smaller.
    fn change_by_hand(&mut self) -> bool {
        let Commit { point, state, .. } = &self.commits[self.last()];
        let (point, mut state) = (Point { number: point.number + 1, ..*point }, BTreeMap::clone(state));
        let at = self.random.random_range(0..state.len().max(1));
        let Some(row) = state.values_mut().nth(at) else { return false };
        let before = row.clone();
        row.values[2] = Value::Int(self.random.random_range(100..200));
        row.version -= u64::from(self.random.random_bool(0.3));
        let changes = vec![RowChange { entity: EntityId(0), before: Some(before), after: Some(row.clone()) }];
        self.commits.push(Commit { point, state: Arc::new(state), changes, answered: None });
        true
    }

    pub(crate) fn last(&self) -> usize {
        self.commits.len() - 1
    }
}

/// Lets others go first, a random number of times, and now and then for some time.
pub(crate) async fn pause(world: &Mutex<World>) {
    let (turns, time) = {
        let random = &mut world.lock().unwrap().random;
        (random.random_range(0..4), if random.random_ratio(1, 4) { random.random_range(1..8) } else { 0 })
    };
    for _ in 0..turns {
        tokio::task::yield_now().await;
    }
    if time > 0 {
        tokio::time::sleep(Duration::from_millis(time)).await;
    }
}

impl Database {
    pub(crate) fn new(plan: Plan, seed: u64) -> Arc<Self> {
        let beginning = Commit {
            point: Point { source: 0, number: 0 },
            state: State::default(),
            changes: Vec::new(),
            answered: None,
        };
        let world = World {
            commits: vec![beginning],
            shown: 0,
            replicated: 0,
            epoch: 0,
            forks: Vec::new(),
            lost: Vec::new(),
            told_epochs: [None; 2],
            told_apart: [false; 2],
            answers: 0,
            random: StdRng::seed_from_u64(seed),
        };
        let positions = Positions::GtidSets;
        let local = Capabilities::local("simulation", "1");
        let capabilities = Capabilities { replicas: plan.replicas, positions, ..local };
        let world = Arc::new(Mutex::new(world));
        Arc::new_cyclic(|me| Self { world, process: 0, plan, capabilities, me: me.clone() })
    }

    /// The same as another process has it.
    pub(crate) fn of_another_process(&self) -> Arc<Self> {
        let (world, plan, capabilities) = (Arc::clone(&self.world), self.plan, self.capabilities.clone());
        Arc::new_cyclic(|me| Self { world, process: 1, plan, capabilities, me: me.clone() })
    }

    pub(crate) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    /// The replica takes the primary's place, without what it did not receive.
    pub(crate) fn fail_over(&self) {
        let mut world = self.world();
        let fork = world.replicated;
        let lost = world.commits.split_off(fork + 1).into_iter().map(|commit| commit.state).collect();
        world.lost.push(lost);
        world.forks.push(fork);
        world.epoch += 1;
        world.shown = fork;
    }

    /// Reads a state as a session asks, and tells it how far the server was afterwards.
    async fn read<T>(&self, session: &Session, read: impl Fn(&State) -> T) -> Result<T, Error> {
        pause(&self.world).await;
        let from_replica = self.choose(session).await;
        if from_replica {
            // It was asked, and is read later.
            pause(&self.world).await;
        }
        let found = {
            let world = self.world();
            let at = if from_replica { world.replicated } else { world.shown };
            read(&world.commits[at].state)
        };
        pause(&self.world).await;
        self.tell(session, from_replica);
        pause(&self.world).await;
        self.linger().await;
        Ok(found)
    }

    /// An answer is late, now and then, where that is planned.
    pub(crate) async fn linger(&self) {
        if !self.plan.late {
            return;
        }
        let time = {
            let random = &mut self.world().random;
            if random.random_ratio(1, 3) { random.random_range(5..40) } else { 0 }
        };
        tokio::time::sleep(Duration::from_millis(time)).await;
    }

    /// How far a server is, with what it has not shown yet.
    fn tell(&self, session: &Session, from_replica: bool) {
        let world = self.world();
        let at = if from_replica { world.replicated } else { world.last() };
        session.saw(&world.place(at), |point| !from_replica || world.contains(at, point));
    }

    /// Whether the replica answers. Waits for the primary to show what a session has seen.
    async fn choose(&self, session: &Session) -> bool {
        loop {
            {
                let mut world = self.world();
                let seen = session.seen();
                let contains = |at: usize| seen.points().iter().all(|point| world.contains(at, *point));
                let fits = match session.freshness() {
                    Freshness::Session => contains(world.replicated),
                    Freshness::Eventual => true,
                    Freshness::Strong | Freshness::MaxStaleness(_) => false,
                };
                let shows = |point: &Point| world.contains(world.shown, *point) || world.is_lost(*point);
                let may_primary = session.freshness() != Freshness::Session || seen.points().iter().all(shows);
                if self.plan.replicas && fits && world.random.random_bool(0.6) {
                    return true;
                }
                if may_primary {
                    return false;
                }
            }
            // The clock goes on only while nobody is busy.
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    /// A commit is in the log, then on the servers, then its writer is told.
    async fn commit(&self, mut program: Program) -> Result<Outcome, Error> {
        pause(&self.world).await;
        let (outcome, point, behind) = {
            let mut world = self.world();
            let (epoch, last) = (world.epoch, world.last());
            let mut tx = SimTx::new(Arc::clone(&world.commits[last].state));
            let mut outcome = tx.run(&mut program)?;
            let number =
                world.commits.iter().filter(|commit| commit.point.source == epoch as u128 + 1).count() as u64 + 1;
            let point = Point { source: epoch as u128 + 1, number };
            outcome.position = Some(point.into());
            world.commits.push(Commit { point, state: tx.state(), changes: tx.changes(), answered: None });
            let behind = usize::from(world.random.random_ratio(1, 8) && world.change_by_hand());
            (outcome, point, behind)
        };
        (0..=behind).for_each(|_| self.replicate());
        pause(&self.world).await;
        {
            let mut world = self.world();
            let at = world.commits.iter().position(|commit| commit.point == point).ok_or_else(unknown)?;
            world.shown = world.shown.max((at + behind).min(world.last()));
        }
        pause(&self.world).await;
        let mut world = self.world();
        world.answers += 1;
        let answers = world.answers;
        let commit = world.commits.iter_mut().find(|commit| commit.point == point).ok_or_else(unknown)?;
        commit.answered = Some((tokio::time::Instant::now().into_std(), answers));
        Ok(outcome)
    }

    /// The replica takes in the next commits, some time.
    fn replicate(&self) {
        let Some(me) = self.me.upgrade() else { return };
        tokio::spawn(async move {
            pause(&me.world).await;
            pause(&me.world).await;
            let mut world = me.world();
            let to = world.last().min(world.replicated + 1 + usize::from(world.random.random_bool(0.3)));
            world.replicated = to;
        });
    }
}

fn unknown() -> Error {
    Error::new(Code::Unavailable, "LOST", "the primary is gone")
}

fn find(state: &State, key: &Key) -> Option<Record> {
    let [Value::Int(id)] = key.values() else { return None };
    state.get(id).map(record)
}

pub(crate) fn record(row: &Stored) -> Record {
    fixture().codecs.row(EntityId(0)).encode(&row.values, row.version).unwrap()
}

pub(crate) fn by_code(state: &State, code: &Key) -> Option<Record> {
    state.values().find(|row| row.values[1] == code.values()[0]).map(record)
}

impl Rows for Database {
    fn capabilities(&self) -> &Capabilities {
        &self.capabilities
    }

    fn get<'a>(
        &'a self,
        _: EntityId,
        key: &Key,
        _: View,
        session: &'a Session,
    ) -> Reply<'a, Result<Option<Record>, Error>> {
        let key = key.clone();
        Reply::later(async move { self.read(session, |state| find(state, &key)).await })
    }

    fn get_many<'a>(
        &'a self,
        _: EntityId,
        keys: &[Key],
        _: View,
        session: &'a Session,
    ) -> Reply<'a, Result<Vec<Option<Record>>, Error>> {
        let keys = keys.to_vec();
        Reply::later(async move { self.read(session, |state| keys.iter().map(|key| find(state, key)).collect()).await })
    }

    fn lookup<'a>(
        &'a self,
        _: EntityId,
        _: u16,
        values: &Key,
        _: View,
        session: &'a Session,
    ) -> Reply<'a, Result<Option<Record>, Error>> {
        let values = values.clone();
        Reply::later(async move { self.read(session, |state| by_code(state, &values)).await })
    }

    fn scan<'a>(&'a self, _: &Scan, _: &'a Session) -> Reply<'a, Result<Vec<Record>, Error>> {
        Reply::ready(Ok(Vec::new()))
    }

    fn count<'a>(&'a self, _: &Scan, _: &'a Session) -> Reply<'a, Result<u64, Error>> {
        Reply::ready(Ok(0))
    }

    fn transact(&self, program: Program) -> Reply<'static, Result<Outcome, Error>> {
        let Some(me) = self.me.upgrade() else { return Reply::ready(Err(unknown())) };
        Reply::later(async move { me.commit(program).await })
    }

    fn load(&self, _: LoadBatch) -> Reply<'static, Result<LoadOutcome, Error>> {
        Reply::ready(Ok(LoadOutcome::default()))
    }

    fn recall(&self, _: &str) -> Reply<'_, Result<Option<Remembered>, Error>> {
        Reply::ready(Ok(None))
    }

    fn sweep(&self, _: i64) -> Reply<'static, Result<u64, Error>> {
        Reply::ready(Ok(0))
    }

    fn version_floor(&self) -> u64 {
        0
    }

    fn position(&self) -> Option<Position> {
        None
    }

    fn changes(&self) -> Option<Arc<dyn ChangeLog>> {
        self.me.upgrade().map(|database| Arc::new(Log(database)) as _)
    }
}
