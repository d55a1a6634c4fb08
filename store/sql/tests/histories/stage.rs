//! A server that fails on schedule, and clients that work meanwhile.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use kit_core::Applied;
use rand::rngs::StdRng;
use rand::seq::SliceRandom as _;
use rand::{Rng as _, SeedableRng as _};
use rowkeep_engine::conformance::{Answer, EngineSurface, Failure, Subject};
use rowkeep_engine::{Engine, EngineOptions};
use rowkeep_mysql::{Tls, TlsMode};
use rowkeep_record::Codecs;
use rowkeep_schema::{Schema, compile_str};
use rowkeep_sql::Allow;
use rowkeep_sql::mysql::{Address, Database, MySqlStore, Options};
use rowkeep_sql::sqlite::{self, SqliteStore};
use serde_json::{Value as Json, json};
use testkit::{DatabaseServer, FaultProxy, Product};

/// What clients do, and whether what they saw could be.
pub(crate) trait Workload: Sync {
    /// Its name in messages.
    fn name(&self) -> &'static str;

    /// How many clients. Each has one operation under way at a time.
    fn clients(&self) -> usize;

    /// Makes the rows that are there from the start.
    fn prepare(&self, store: &Subject);

    /// One operation of a client. Answers whether it succeeded.
    fn step(&self, store: &Subject, client: usize, random: &mut StdRng) -> bool;

    /// Reads what is left and holds it against the history.
    ///
    /// # Errors
    /// The first contradiction.
    fn check(&self, store: &Subject) -> Result<(), String>;
}

/// What became of a write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    Done,
    /// It never happens.
    Refused,
    /// It may happen, now or later.
    Unknown,
}

impl Ending {
    pub(crate) fn of(answer: &Result<Answer, Box<Failure>>) -> Self {
        match answer {
            Ok(_) => Self::Done,
            Err(failure) if failure.applied == Applied::No => Self::Refused,
            Err(_) => Self::Unknown,
        }
    }
}

/// What the server, or the way to it, does.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fault {
    /// `SIGKILL`, and a new start.
    Kill,
    /// Every connection ends, new ones too for a while.
    Cut,
    /// All answers stop in the middle.
    CutAnswers,
    /// Commits happen and nobody is told, or nobody is told that they do not happen.
    LoseCommits,
    /// It keeps its connections and says nothing for a while.
    Hang,
}

/// How long, and how badly.
pub(crate) struct Plan {
    pub(crate) calm: Duration,
    pub(crate) faults: Vec<Fault>,
}

impl Plan {
    /// Seconds; each fault that matters.
    pub(crate) fn short() -> Self {
        use Fault::{Cut, CutAnswers, Kill, LoseCommits};
        Self { calm: Duration::from_millis(350), faults: vec![LoseCommits, Kill, Cut, LoseCommits, CutAnswers, Kill] }
    }

    /// Minutes; all of them many times.
    pub(crate) fn long() -> Self {
        use Fault::{Cut, CutAnswers, Hang, Kill, LoseCommits};
        let round = [LoseCommits, Kill, Cut, LoseCommits, CutAnswers, Hang];
        Self { calm: Duration::from_secs(1), faults: round.into_iter().cycle().take(30).collect() }
    }
}

/// Runs workloads side by side on one server of their own, through all faults, and checks each.
///
/// # Panics
/// If a history contradicts what is promised, or says too little.
pub(crate) fn run(product: Product, workloads: &[&dyn Workload], mut plan: Plan) {
    let stage = Stage::start(product);
    play(&format!("{product:?}"), &stage.store, workloads, |done, random| {
        plan.faults.shuffle(random);
        stage.suffer(&plan, random, done);
    });
}

/// The same on the embedded store, for a while, without faults: clients are in each other's way there too.
pub(crate) fn run_embedded(workloads: &[&dyn Workload], time: Duration) {
    play("SQLite", &embedded(), workloads, |done, _| {
        std::thread::sleep(time);
        flow("on the embedded store", done);
    });
}

/// Operations of a workload that must succeed before the first fault and after the last: with less a run says nothing.
const LEAST: u64 = 20;

/// Operations that have succeeded, of each workload.
pub(crate) type Done<'a> = &'a dyn Fn() -> Vec<u64>;

/// Waits until clients of every workload are answered, again and again.
pub(crate) fn flow(when: &str, done: Done<'_>) {
    let before = done();
    let flows = || done().iter().zip(&before).all(|(now, before)| *now >= before + LEAST);
    testkit::wait_until(&format!("operations to succeed {when}"), flows);
}

/// Lets clients work until the disturbance is over.
pub(crate) fn play(
    name: &str,
    store: &Subject,
    workloads: &[&dyn Workload],
    disturb: impl FnOnce(Done<'_>, &mut StdRng),
) {
    let seed = seed();
    for workload in workloads {
        workload.prepare(store);
    }
    let done: Vec<AtomicU64> = workloads.iter().map(|_| AtomicU64::new(0)).collect();
    let (stop, began) = (AtomicBool::new(false), Instant::now());
    std::thread::scope(|scope| {
        for (place, workload) in workloads.iter().enumerate() {
            for client in 0..workload.clients() {
                let (stop, done) = (&stop, &done[place]);
                let mut random = StdRng::seed_from_u64(seed ^ ((place as u64) << 32) ^ client as u64);
                scope.spawn(move || {
                    while !stop.load(Ordering::Acquire) {
                        done.fetch_add(workload.step(store, client, &mut random).into(), Ordering::Relaxed);
                    }
                });
            }
        }
        let _ending = Stop(&stop);
        let done = || done.iter().map(|done| done.load(Ordering::Relaxed)).collect();
        disturb(&done, &mut StdRng::seed_from_u64(seed));
    });
    let took = began.elapsed();
    let mut contradictions = String::new();
    for (workload, done) in workloads.iter().zip(&done) {
        let (what, done) = (workload.name(), done.load(Ordering::Relaxed));
        eprintln!("{name} {what}: {done} operations in {took:.1?}");
        if let Err(contradiction) = workload.check(store) {
            contradictions += &format!("{name} {what}: {contradiction}\n");
        }
    }
    assert!(contradictions.is_empty(), "{contradictions}(TEST_SEED={seed} repeats the choices, not the timing)");
}

/// Clients end also when the test panics.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

fn seed() -> u64 {
    let seed = std::env::var("TEST_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(rand::random);
    eprintln!("TEST_SEED={seed}");
    seed
}

/// A store whose server can be broken.
struct Stage {
    server: Arc<DatabaseServer>,
    proxy: FaultProxy,
    store: Subject,
}

impl Stage {
    fn start(product: Product) -> Self {
        let server = Arc::new(DatabaseServer::start(product));
        let proxy = FaultProxy::start(SocketAddr::from((Ipv4Addr::LOCALHOST, server.port())));
        let address: Address = server.url().parse().unwrap();
        // The proxy has to read what passes.
        let tls = Tls { mode: Some(TlsMode::Off), ..Tls::default() };
        let store = open(Address { port: proxy.address().port(), tls, ..address }, Arc::clone(&server));
        Self { server, proxy, store }
    }

    /// Lets faults and calm follow each other.
    fn suffer(&self, plan: &Plan, random: &mut StdRng, done: Done<'_>) {
        std::thread::sleep(plan.calm);
        flow("before the first fault", done);
        for fault in &plan.faults {
            self.inflict(*fault, random);
            std::thread::sleep(plan.calm);
        }
        flow("after the last fault", done);
    }

    fn inflict(&self, fault: Fault, random: &mut StdRng) {
        let a_while = Duration::from_millis(random.random_range(10..150));
        match fault {
            Fault::Kill => {
                self.server.kill9();
                self.server.restart();
            }
            Fault::Cut => {
                self.proxy.cut();
                std::thread::sleep(a_while);
                self.proxy.heal();
            }
            Fault::CutAnswers => {
                self.proxy.cut_after(random.random_range(0..20_000));
                std::thread::sleep(a_while);
                self.proxy.heal();
            }
            Fault::LoseCommits => lose_commits(&self.proxy, random),
            Fault::Hang => {
                self.server.suspend();
                std::thread::sleep(5 * a_while);
                self.server.resume();
            }
        }
    }
}

/// Some of them happen and nobody is told, and of the others nobody is told that they do not happen.
pub(crate) fn lose_commits(proxy: &FaultProxy, random: &mut StdRng) {
    for _ in 0..20 {
        match random.random_bool(0.5) {
            true => proxy.lose_answer_to(b"COMMIT"),
            false => proxy.lose_request(b"COMMIT"),
        }
        testkit::wait_until("a commit", || !proxy.is_waiting_to_lose());
    }
}

fn schema() -> Arc<Schema> {
    let compiled = compile_str(&[("histories/v1/histories.proto", include_str!("histories.proto"))]);
    Arc::new(compiled.unwrap_or_else(|diagnostics| panic!("{diagnostics}")))
}

/// A store at an address, and what must live as long as it does.
pub(crate) fn open(address: Address, server: impl Send + Sync + 'static) -> Subject {
    let schema = schema();
    let database = Database::open(&Options::new(address)).unwrap();
    let plan = database.plan(&schema).unwrap();
    database.apply(&plan, &schema, b"snapshot", &Allow::default()).unwrap();
    let store = MySqlStore::start(database, Arc::clone(&schema), Arc::new(Codecs::new(&schema))).unwrap();
    let engine = Engine::new(schema, store, EngineOptions::default()).unwrap();
    let promises = engine.capabilities().into();
    Subject::new(EngineSurface::new(engine, server)).promising(promises)
}

fn embedded() -> Subject {
    let (schema, directory) = (schema(), tempfile::tempdir().unwrap());
    let database = sqlite::Database::open(&sqlite::OpenOptions::new(directory.path())).unwrap();
    let plan = database.plan(&schema).unwrap();
    database.apply(&plan, &schema, b"snapshot", &Allow::default()).unwrap();
    let store = SqliteStore::start(database, Arc::clone(&schema), Arc::new(Codecs::new(&schema))).unwrap();
    Subject::new(EngineSurface::new(Engine::new(schema, store, EngineOptions::default()).unwrap(), directory))
}

/// Asks again until there is an answer: for what is read when all is over.
pub(crate) fn read(store: &Subject, method: &str, request: &Json) -> Answer {
    let mut answer = None;
    testkit::wait_until("a read after the last fault", || {
        answer = store.try_call(method, request).ok();
        answer.is_some()
    });
    answer.unwrap()
}

/// All rows of an entity, page by page.
pub(crate) fn rows(store: &Subject, entity: &str, method: &str) -> Vec<Json> {
    let (mut all, mut token) = (Vec::new(), String::new());
    loop {
        let answer = read(store, method, &json!({ "pageSize": 1000, "pageToken": token }));
        all.extend(store.rows(entity, &answer.body));
        match answer.body["nextPageToken"].as_str() {
            Some(next) if !next.is_empty() => token = next.to_owned(),
            _ => return all,
        }
    }
}

/// A row of an entity packed for a commit.
pub(crate) fn packed(entity: &str, mut fields: Json) -> Json {
    fields["@type"] = json!(format!("type.googleapis.com/histories.v1.{entity}"));
    fields
}

/// An `int64` in JSON: a text, or absent for 0.
pub(crate) fn number(value: &Json) -> i64 {
    value.as_str().map_or(0, |text| text.parse().unwrap())
}
