//! Calls before, during and after a fault, and what has to be true of every one of them.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use kit_core::Applied;
use rowkeep_engine::conformance::{EngineSurface, Failure, Subject, schema};
use rowkeep_engine::{Engine, EngineOptions};
use rowkeep_sql::mysql::{Address, MySqlStore};
use serde_json::json;

/// How long callers wait.
pub(crate) const DEADLINE: Duration = Duration::from_secs(1);
/// An answer may be later than that by as much, on a machine that wakes who sleeps in time.
const GRACE: Duration = Duration::from_millis(50);
const WRITERS: usize = 8;
const READERS: usize = 2;
/// Calls that succeed make a state steady.
const STEADY: usize = 100;

/// A store whose callers are in a hurry.
pub(crate) struct Served {
    pub(crate) subject: Subject,
    pub(crate) store: Arc<MySqlStore>,
}

impl Served {
    pub(crate) fn new(address: Address) -> Self {
        let store = crate::store(address);
        let engine = Engine::new(schema(), Arc::clone(&store) as _, EngineOptions::default()).unwrap();
        let subject = Subject::new(EngineSurface::new(engine, ()).patient(DEADLINE));
        let served = Self { subject, store };
        served.write(0).unwrap();
        served
    }

    fn write(&self, id: u64) -> Result<(), Box<Failure>> {
        // Every second one can be looked up.
        let request_id = if id.is_multiple_of(2) { String::new() } else { format!("request-{id}") };
        let line = json!({ "line": { "order_id": id.to_string(), "line": 1 }, "requestId": request_id });
        self.subject.try_call("CreateLine", &line).map(drop)
    }

    pub(crate) fn read(&self, id: u64) -> Result<(), Box<Failure>> {
        self.subject.try_call("GetLine", &json!({ "orderId": id.to_string(), "line": 1 })).map(drop)
    }

    /// Nothing is in use any more.
    pub(crate) fn wait_until_idle(&self) {
        testkit::wait_until("connections to be given back", || {
            let stats = self.store.stats();
            stats.write_connections_used == 0 && stats.reads_waiting == 0
        });
    }
}

/// A call with its answer.
struct Call {
    is_write: bool,
    id: u64,
    /// What it ran into, by the times at which it began and ended.
    phases: (usize, usize),
    took: Duration,
    failure: Option<Failure>,
}

/// Calls that go on.
pub(crate) struct Running<'a> {
    served: &'a Served,
    phase: AtomicUsize,
    stop: AtomicBool,
    next: AtomicU64,
    calls: Mutex<Vec<Call>>,
    /// By how much somebody who slept was woken late.
    overslept: Mutex<Duration>,
}

/// All calls, once they have ended.
pub(crate) struct Calls {
    calls: Vec<Call>,
    overslept: Duration,
}

/// Before, during, after.
const BEFORE: usize = 0;
const DURING: usize = 1;
const HEALING: usize = 2;
const AFTER: usize = 3;

/// Makes calls all the time while `fault` begins and ends something in between.
pub(crate) fn around(served: &Served, fault: impl FnOnce(&Running<'_>)) -> Calls {
    let running = Running {
        served,
        phase: AtomicUsize::new(BEFORE),
        stop: AtomicBool::new(false),
        next: AtomicU64::new(1),
        calls: Mutex::default(),
        overslept: Mutex::default(),
    };
    std::thread::scope(|scope| {
        let stop = Stop(&running.stop);
        for worker in 0..WRITERS + READERS {
            let running = &running;
            scope.spawn(move || running.work(worker < WRITERS));
        }
        scope.spawn(|| running.sleep());
        running.wait_for_success(BEFORE);
        running.phase.store(DURING, Ordering::SeqCst);
        fault(&running);
        running.phase.store(HEALING, Ordering::SeqCst);
        running.wait_for_success(HEALING);
        running.phase.store(AFTER, Ordering::SeqCst);
        running.wait_for_success(AFTER);
        drop(stop);
    });
    let calls =
        Calls { calls: running.calls.into_inner().unwrap(), overslept: running.overslept.into_inner().unwrap() };
    calls.check(served);
    calls
}

/// Ends the workers, also when the test fails.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

impl Running<'_> {
    fn work(&self, is_write: bool) {
        while !self.stop.load(Ordering::SeqCst) {
            let id = if is_write { self.next.fetch_add(1, Ordering::SeqCst) } else { 0 };
            let (began, phase) = (Instant::now(), self.phase.load(Ordering::SeqCst));
            let answer = if is_write { self.served.write(id) } else { self.served.read(id) };
            let (took, phases) = (began.elapsed(), (phase, self.phase.load(Ordering::SeqCst)));
            let failure = answer.err().map(|failure| *failure);
            if failure.is_some() {
                // As callers do, instead of as many requests as fail.
                std::thread::sleep(Duration::from_millis(5));
            }
            self.calls.lock().unwrap().push(Call { is_write, id, phases, took, failure });
        }
    }

    fn sleep(&self) {
        const NAP: Duration = Duration::from_millis(5);
        while !self.stop.load(Ordering::SeqCst) {
            let began = Instant::now();
            std::thread::sleep(NAP);
            let late = began.elapsed().saturating_sub(NAP);
            let mut overslept = self.overslept.lock().unwrap();
            *overslept = late.max(*overslept);
        }
    }

    fn wait_for_success(&self, phase: usize) {
        testkit::wait_until("calls that succeed", || {
            let calls = self.calls.lock().unwrap();
            let good = |is_write| {
                let counts = |call: &&Call| call.phases == (phase, phase) && call.failure.is_none();
                calls.iter().filter(counts).filter(|call| call.is_write == is_write).count()
            };
            good(true) >= STEADY && good(false) >= STEADY
        });
    }

    /// Waits until as many writes have begun in the fault and were answered.
    pub(crate) fn wait_for_writes(&self, count: usize) {
        self.wait_for(count, |_| true);
    }

    /// The same for writes that failed.
    pub(crate) fn wait_for_failures(&self, count: usize) {
        self.wait_for(count, |call| call.failure.is_some());
    }

    fn wait_for(&self, count: usize, counts: impl Fn(&Call) -> bool) {
        testkit::wait_until("writes to be answered", || {
            let calls = self.calls.lock().unwrap();
            let during = calls.iter().filter(|call| call.is_write && call.phases.0 == DURING);
            during.filter(|call| counts(call)).count() >= count
        });
    }
}

impl Calls {
    /// Holds for every fault.
    fn check(&self, served: &Served) {
        println!("{}", self.summary());
        for steady in [BEFORE, AFTER] {
            let failed =
                self.calls.iter().filter(|call| call.phases == (steady, steady)).find_map(|c| c.failure.as_ref());
            assert!(failed.is_none(), "in the steady state {steady}: {failed:?}");
        }
        let slowest = self.calls.iter().max_by_key(|call| call.took).unwrap();
        // An answer wakes two, one after the other.
        let most = DEADLINE + GRACE + 2 * self.overslept;
        assert!(slowest.took <= most, "{:?}, more than {most:?}: {:?}", slowest.took, slowest.failure);
        served.wait_until_idle();
        let is_there = |call: &&Call| served.read(call.id).is_ok();
        let writes = || self.calls.iter().filter(|call| call.is_write);
        let lost = writes().filter(|call| call.failure.is_none()).filter(|call| !is_there(call)).count();
        assert_eq!(lost, 0, "acknowledged and gone");
        let refused = writes().filter(|call| call.failure.as_ref().is_some_and(|f| f.applied == Applied::No));
        let ghosts: Vec<_> = refused.filter(is_there).map(|call| (call.id, call.failure.clone())).collect();
        assert!(ghosts.is_empty(), "said not to be applied and there: {ghosts:?}");
    }

    /// Why calls that ran into the fault failed, and how many; under `""` those that did not.
    pub(crate) fn during(&self, is_write: bool) -> BTreeMap<&str, usize> {
        self.reasons(is_write, |call| call.phases == (DURING, DURING))
    }

    fn reasons(&self, is_write: bool, counts: impl Fn(&Call) -> bool) -> BTreeMap<&str, usize> {
        let mut reasons = BTreeMap::new();
        for call in self.calls.iter().filter(|call| call.is_write == is_write && counts(call)) {
            *reasons.entry(call.failure.as_ref().map_or("", |failure| &failure.reason)).or_default() += 1;
        }
        reasons
    }

    fn summary(&self) -> String {
        let mut lines = Vec::new();
        for (is_write, name) in [(true, "writes"), (false, "reads")] {
            let slowest = self.calls.iter().filter(|call| call.is_write == is_write).map(|call| call.took).max();
            let (during, all) = (self.during(is_write), self.reasons(is_write, |_| true));
            lines.push(format!("{name}: slowest {slowest:?}, in the fault {during:?}, in all {all:?}"));
        }
        lines.push(format!("overslept {:?}", self.overslept));
        lines.join("\n")
    }
}
