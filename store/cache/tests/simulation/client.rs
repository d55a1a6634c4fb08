//! A client that writes and reads, and checks what it is answered.

use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use rowkeep_engine::{CommitRequest, Engine, Freshness, Operation, Position, Precondition, Rows, Session, View, Write};
use rowkeep_record::{Key, Record, Value};
use rowkeep_schema::EntityId;

use crate::check::{Expected, Floor};
use crate::database::{Database, State, by_code, pause, record};

const ITEM: EntityId = EntityId(0);
const VIEW: View = View { now: 0, deleted: true };
const LIVE: View = View { now: 0, deleted: false };

/// A process that can be asked.
#[derive(Clone)]
pub(crate) struct Process {
    pub(crate) database: Arc<Database>,
    pub(crate) cached: Arc<dyn Rows>,
    pub(crate) engine: Engine,
}

pub(crate) struct Client {
    processes: Vec<Process>,
    /// The one that is asked now.
    asked: Process,
    random: StdRng,
    token: Position,
    floor: Floor,
}

impl Client {
    pub(crate) fn new(processes: &[Process], seed: u64) -> Self {
        Self {
            processes: processes.to_vec(),
            asked: processes[0].clone(),
            random: StdRng::seed_from_u64(seed),
            token: Position::default(),
            floor: Floor::default(),
        }
    }

    pub(crate) async fn run(mut self, operations: usize) {
        for _ in 0..operations {
            pause(&self.asked.database.world).await;
            let process = self.random.random_range(0..self.processes.len());
            self.asked = self.processes[process].clone();
            match self.random.random_range(0..10) {
                0..3 => self.write().await,
                3..7 => self.get().await,
                7 => self.get_many().await,
                8 => self.lookup().await,
                _ => self.rest().await,
            }
        }
    }

    /// Another client comes, or some time passes.
    async fn rest(&mut self) {
        if self.random.random_bool(0.3) {
            (self.token, self.floor) = (Position::default(), Floor::default());
        }
        // Long enough for a shard to be joined again.
        let is_long = self.asked.database.plan.shared && self.random.random_bool(0.3);
        let most = if is_long { 1500 } else { 40 };
        tokio::time::sleep(Duration::from_millis(self.random.random_range(1..most))).await;
    }

    fn session(&mut self) -> Session {
        let freshness = match self.random.random_range(0..10) {
            0 => Freshness::Strong,
            1 => Freshness::Eventual,
            2..4 => Freshness::MaxStaleness(Duration::from_millis(self.random.random_range(1..60))),
            _ => Freshness::Session,
        };
        Session::new(freshness, self.token.clone())
    }

    fn id(&mut self) -> i64 {
        self.random.random_range(1..4)
    }

    fn key(&mut self) -> Key {
        Key::one(Value::Int(self.id()))
    }

    async fn write(&mut self) {
        let id = self.id();
        let operation = if self.random.random_ratio(1, 4) {
            Operation::Delete { key: Key::one(Value::Int(id)), allow_missing: true }
        } else {
            let code = format!("c{}", self.random.random_range(0..4));
            let mut row = vec![0x08, u8::try_from(id).unwrap(), 0x12, u8::try_from(code.len()).unwrap()];
            row.extend_from_slice(code.as_bytes());
            row.extend_from_slice(&[0x18, self.random.random_range(1..100)]);
            Operation::Update { row: row.into(), mask: None, allow_missing: true, transforms: Vec::new() }
        };
        let write = Write { entity: ITEM, operation, precondition: Precondition::default(), path: String::new() };
        let session = Session::new(Freshness::Session, self.token.clone());
        let request = CommitRequest { writes: vec![write], ..CommitRequest::default() };
        // The code may be another's, and the primary may be gone.
        let Ok(outcome) = self.asked.engine.commit(request, &session).await else { return };
        self.token = session.seen();
        let database = Arc::clone(&self.asked.database);
        let world = database.world();
        let point = outcome.position.expect("commits are told").points()[0];
        if let Some(at) = world.commits.iter().position(|commit| commit.point == point) {
            self.floor = self.floor.max(Floor { epoch: world.epoch, at }, &world);
        }
    }

    fn expected(&self, session: &Session) -> Expected {
        let database = &self.asked.database;
        let is_alone = !database.plan.replicas && !database.plan.shared;
        Expected::of(&database.world(), database.process, session.freshness(), self.floor, is_alone)
    }

    /// Holds an answer against the states that it may be of.
    fn check(
        &mut self,
        expected: Expected,
        session: &Session,
        found: &Option<Record>,
        show: impl Fn(&State) -> Option<Record>,
    ) {
        let database = Arc::clone(&self.asked.database);
        let world = database.world();
        let matched = expected.matched(&world, found, show);
        let matched = matched.unwrap_or_else(|wrong| panic!("{found:?} to {session:?}: {wrong}; {expected:?}"));
        self.floor = self.floor.max(matched, &world);
        self.token = session.seen();
    }

    async fn get(&mut self) {
        let (key, session) = (self.key(), self.session());
        let expected = self.expected(&session);
        let Ok(found) = self.asked.cached.get(ITEM, &key, VIEW, &session).await else { return };
        self.check(expected, &session, &found, |state| at(state, &key));
    }

    async fn get_many(&mut self) {
        let (keys, session) = ([self.key(), self.key(), self.key()], self.session());
        let expected = self.expected(&session);
        let Ok(found) = self.asked.cached.get_many(ITEM, &keys, VIEW, &session).await else { return };
        for (key, found) in keys.iter().zip(&found) {
            self.check(expected, &session, found, |state| at(state, key));
        }
    }

    async fn lookup(&mut self) {
        let code = Key::one(Value::Text(format!("c{}", self.random.random_range(0..4)).into()));
        let session = self.session();
        let expected = self.expected(&session);
        let Ok(found) = self.asked.cached.lookup(ITEM, 0, &code, LIVE, &session).await else { return };
        self.check(expected, &session, &found, |state| by_code(state, &code));
    }
}

fn at(state: &State, key: &Key) -> Option<Record> {
    let [Value::Int(id)] = key.values() else { return None };
    state.get(id).map(record)
}
