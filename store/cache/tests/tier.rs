//! What a shared cache answers and what it does not, and how often it asks its storage and holds up commits.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

mod support;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use kit_core::Reply;
use rowkeep_cache::remote::{
    Beginning, Entry, Failed, Heard, Horizon, Leased, Looked, MemoryRemote, Name, Remote, Telling,
};
use rowkeep_cache::{Tier, TierOptions};
use rowkeep_engine::{
    Begin, Committed, Freshness, LoadBatch, MemoryRows, OnConflict, Place, Position, RowChange, Rows, Run, Session,
    Stored, Told, View,
};
use rowkeep_record::{Key, Value};
use rowkeep_schema::{EntityId, Schema, compile_str};
use support::{Script, Slow, background, tier, until};

const SCHEMA: &str = r#"
syntax = "proto3";
package tier.v1;
import "rowkeep/v1/options.proto";
message Item {
  option (rowkeep.v1.entity) = {};
  int64 id = 1;
  string code = 2 [(rowkeep.v1.column) = { unique: true max_length: 20 }];
}
message Loud {
  option (rowkeep.v1.entity) = { cache: { disabled: true } };
  int64 id = 1;
}
"#;
const ITEM: EntityId = EntityId(0);
const LOUD: EntityId = EntityId(1);
const VIEW: View = View { now: 0, deleted: true };
const LIVE: View = View { now: 0, deleted: false };

fn schema() -> Schema {
    compile_str(&[("tier/v1/tier.proto", SCHEMA)]).unwrap_or_else(|errors| panic!("{errors}"))
}

/// The server as one process reaches it, or not.
struct Reached {
    server: Arc<MemoryRemote>,
    is_silent: AtomicBool,
    /// How often it was asked for a lease.
    wishes: AtomicUsize,
}

impl Reached {
    fn new(server: &Arc<MemoryRemote>) -> Arc<Self> {
        let (is_silent, wishes) = (AtomicBool::new(false), AtomicUsize::new(0));
        Arc::new(Self { server: Arc::clone(server), is_silent, wishes })
    }

    fn ask<'a, T: Send + 'a>(&self, answer: Reply<'a, Result<T, Failed>>) -> Reply<'a, Result<T, Failed>> {
        match self.is_silent.load(Ordering::SeqCst) {
            true => Reply::later(std::future::pending()),
            false => answer,
        }
    }
}

impl Remote for Reached {
    fn shards(&self) -> usize {
        self.server.shards()
    }

    fn begin(&self, shard: usize, beginning: Beginning) -> Reply<'_, Result<Option<Horizon>, Failed>> {
        self.ask(self.server.begin(shard, beginning))
    }

    fn tell(&self, shard: usize, telling: Telling) -> Reply<'_, Result<Heard, Failed>> {
        self.ask(self.server.tell(shard, telling))
    }

    fn get(&self, shard: usize, names: Vec<Name>) -> Reply<'_, Result<Looked, Failed>> {
        self.ask(self.server.get(shard, names))
    }

    fn lease(&self, shard: usize, name: Name, token: u128, time: Duration) -> Reply<'_, Result<Leased, Failed>> {
        self.wishes.fetch_add(1, Ordering::SeqCst);
        self.ask(self.server.lease(shard, name, token, time))
    }

    fn fill(
        &self,
        shard: usize,
        name: Name,
        token: u128,
        entry: Entry,
        time: Duration,
    ) -> Reply<'_, Result<bool, Failed>> {
        self.ask(self.server.fill(shard, name, token, entry, time))
    }

    fn retract(&self, shard: usize, names: Vec<Name>) -> Reply<'_, Result<(), Failed>> {
        self.ask(self.server.retract(shard, names))
    }
}

/// A process.
struct Process {
    slow: Arc<Slow>,
    reached: Arc<Reached>,
    tier: Arc<Tier>,
}

impl Process {
    fn new(rows: &Arc<MemoryRows>, server: &Arc<MemoryRemote>, time: Duration) -> Self {
        Self::over(Slow::new(Arc::clone(rows) as _, time), server)
    }

    fn over(slow: Arc<Slow>, server: &Arc<MemoryRemote>) -> Self {
        // Nobody gives up waiting because the machine is busy.
        Self::with_patience(slow, server, Duration::from_secs(60))
    }

    fn with_patience(slow: Arc<Slow>, server: &Arc<MemoryRemote>, patience: Duration) -> Self {
        let reached = Reached::new(server);
        let options = TierOptions { patience, ..TierOptions::default() };
        let tier = tier(Arc::clone(&slow) as _, Arc::clone(&reached) as _, &schema(), options);
        drop(background().spawn(Arc::clone(&tier).follow()));
        Self { slow, reached, tier }
    }

    /// Waits until everything was told, and the server is used.
    async fn told(&self) {
        let position = self.slow.position().unwrap();
        until("the log is told", || self.tier.is_on() && self.tier.is_told(&position)).await;
    }

    async fn has(&self, entity: EntityId, id: i64, freshness: Freshness) -> bool {
        let session = Session::new(freshness, Position::default());
        self.tier.get(entity, &Key::one(Value::Int(id)), VIEW, &session).await.unwrap().is_some()
    }

    /// How often the storage is read by a read.
    async fn reads(&self, entity: EntityId, id: i64) -> usize {
        let before = self.slow.reads();
        self.has(entity, id, Freshness::Eventual).await;
        self.slow.reads() - before
    }

    async fn put(&self, entity: EntityId, values: Vec<Value>) {
        let rows = vec![Stored { values, version: 1, deleted_at: None }];
        let batch = LoadBatch { entity, rows, on_conflict: OnConflict::Replace, remember: None, more: false };
        assert_eq!(self.tier.load(batch).await.unwrap().stored, 1);
    }

    async fn put_item(&self, id: i64, code: &str) {
        self.put(ITEM, vec![Value::Int(id), Value::Text(code.into())]).await;
    }

    async fn code_leads_to(&self, code: &str) -> bool {
        let session = Session::new(Freshness::Session, Position::default());
        let values = Key::one(Value::Text(code.into()));
        self.tier.lookup(ITEM, 0, &values, LIVE, &session).await.unwrap().is_some()
    }
}

/// Two processes before one database, which share a server of three shards.
async fn two(time: Duration) -> (Arc<MemoryRemote>, [Process; 2]) {
    let (rows, server) = (MemoryRows::new(&Arc::new(schema())), Arc::new(MemoryRemote::new(3)));
    let processes = [Process::new(&rows, &server, time), Process::new(&rows, &server, time)];
    for process in &processes {
        process.told().await;
    }
    (server, processes)
}

#[tokio::test]
async fn what_one_process_has_read_another_finds() {
    let (_, [one, other]) = two(Duration::ZERO).await;
    one.put_item(1, "a").await;
    for process in [&one, &other] {
        process.told().await;
    }
    for id in 1..20 {
        assert_eq!(one.reads(ITEM, id).await, 1);
        // Of a fill nobody is told.
        until("it is there", || other.reached.server.horizon(0).is_some()).await;
    }
    let mut left: Vec<i64> = (1..20).collect();
    for _ in 0..1000 {
        let mut still = Vec::new();
        for id in left {
            if other.reads(ITEM, id).await > 0 {
                still.push(id);
            }
        }
        left = still;
        if left.is_empty() {
            break;
        }
    }
    assert!(left.is_empty() && other.tier.stats().misses == 0, "{left:?} {:?}", other.tier.stats());
    assert_eq!(one.reads(LOUD, 1).await + one.reads(LOUD, 1).await, 2, "it is not to be cached");
}

#[tokio::test]
async fn a_write_is_seen_by_both_once_it_is_told() {
    let (_, [one, other]) = two(Duration::ZERO).await;
    for round in 0..100 {
        let (old, new) = if round % 2 == 0 { ("a", "b") } else { ("b", "a") };
        one.put_item(7, new).await;
        // Its writer's process shows it at once.
        assert!(one.code_leads_to(new).await && !one.code_leads_to(old).await, "{round}");
        other.told().await;
        assert!(other.code_leads_to(new).await && !other.code_leads_to(old).await, "{round}");
    }
    assert!(one.tier.stats().hits + other.tier.stats().hits > 0);
}

#[tokio::test]
async fn a_thousand_readers_of_two_processes_are_one_read_of_a_cold_row() {
    let (_, processes) = two(Duration::from_millis(200)).await;
    processes[0].put_item(1, "a").await;
    for process in &processes {
        process.told().await;
    }
    let processes = Arc::new(processes);
    let mut readers = tokio::task::JoinSet::new();
    for at in 0..1000 {
        let processes = Arc::clone(&processes);
        readers.spawn(async move { processes[at % 2].has(ITEM, 1, Freshness::Session).await });
    }
    while let Some(found) = readers.join_next().await {
        assert!(found.unwrap());
    }
    assert_eq!(processes[0].slow.reads() + processes[1].slow.reads(), 1);
}

/// So many readers at once, of several processes in turn. Answers what each found.
async fn crowd<T: Send + 'static, F: Future<Output = T> + Send + 'static>(
    processes: &Arc<[Process; 2]>,
    readers: usize,
    read: impl Fn(Arc<[Process; 2]>, usize) -> F,
) -> Vec<T> {
    let mut running = tokio::task::JoinSet::new();
    for at in 0..readers {
        running.spawn(read(Arc::clone(processes), at));
    }
    running.join_all().await
}

#[tokio::test]
async fn a_thousand_readers_of_a_process_are_one_wish_for_a_lease() {
    let (_, processes) = two(Duration::from_millis(200)).await;
    processes[0].put_item(1, "a").await;
    processes[0].told().await;
    let processes = Arc::new(processes);
    let found =
        crowd(&processes, 1000, |processes, _| async move { processes[0].has(ITEM, 1, Freshness::Session).await });
    assert!(found.await.into_iter().all(|found| found));
    let [one, _] = &*processes;
    assert_eq!((one.slow.reads(), one.reached.wishes.load(Ordering::SeqCst)), (1, 1));
    assert_eq!(one.tier.stats().awaited, 999);
}

#[tokio::test]
async fn a_thousand_lookups_of_two_processes_are_one_read_of_the_values_and_one_of_the_row() {
    let (_, processes) = two(Duration::from_millis(200)).await;
    processes[0].put_item(1, "a").await;
    for process in &processes {
        process.told().await;
    }
    let processes = Arc::new(processes);
    let found = crowd(&processes, 1000, |processes, at| async move { processes[at % 2].code_leads_to("a").await });
    assert!(found.await.into_iter().all(|found| found));
    let reads = processes[0].slow.reads() + processes[1].slow.reads();
    assert!(reads <= 2, "{reads}");
}

#[tokio::test]
async fn a_process_that_does_not_bring_what_it_has_the_lease_for_is_waited_for_by_one() {
    let (rows, server) = (MemoryRows::new(&Arc::new(schema())), Arc::new(MemoryRemote::new(1)));
    let stuck = Process::new(&rows, &server, Duration::ZERO);
    let slow = Slow::new(Arc::clone(&rows) as _, Duration::ZERO);
    let processes = Arc::new([Process::with_patience(slow, &server, Duration::from_millis(300)), stuck]);
    for process in &*processes {
        process.told().await;
    }
    let [one, stuck] = &*processes;
    stuck.slow.is_held.store(true, Ordering::SeqCst);
    let bringing = Arc::clone(&processes);
    let bringing = tokio::spawn(async move { bringing[1].has(ITEM, 1, Freshness::Session).await });
    until("it has the lease", || stuck.slow.reads() == 1).await;
    let found =
        crowd(&processes, 1000, |processes, _| async move { processes[0].has(ITEM, 1, Freshness::Session).await });
    assert!(found.await.into_iter().all(|found| !found));
    assert_eq!(one.slow.reads(), 1);
    bringing.abort();
}

#[tokio::test]
async fn who_gives_up_leaves_the_row_to_others() {
    // The other process brings it, and takes so long.
    let (_, [one, other]) = two(Duration::from_millis(300)).await;
    let (one, other) = (Arc::new(one), Arc::new(other));
    let read = |process: &Arc<Process>| {
        let process = Arc::clone(process);
        tokio::spawn(async move { process.has(ITEM, 1, Freshness::Session).await })
    };
    let bringing = read(&other);
    until("it is brought", || other.slow.reads() == 1).await;
    let leading = read(&one);
    until("it is wished for", || one.reached.wishes.load(Ordering::SeqCst) > 0).await;
    let joining = read(&one);
    until("somebody has joined", || one.tier.stats().awaited > 1).await;
    leading.abort();
    assert!(!joining.await.unwrap() && !bringing.await.unwrap());
    assert_eq!((one.slow.reads(), other.slow.reads()), (0, 1));
}

#[tokio::test]
async fn a_server_that_is_silent_holds_up_commits_once() {
    let (_, [one, other]) = two(Duration::ZERO).await;
    one.reached.is_silent.store(true, Ordering::SeqCst);
    let begun = Instant::now();
    for id in 0..200 {
        other.put_item(id, &format!("c{id}")).await;
        let position = one.slow.position().unwrap();
        until("it is told past the server", || one.tier.is_told(&position)).await;
    }
    assert!(!one.tier.is_on() && begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    // The database is asked, without waiting for the server.
    assert_eq!(one.reads(ITEM, 1).await, 1);
    assert!(one.has(ITEM, 49, Freshness::Session).await);
    one.reached.is_silent.store(false, Ordering::SeqCst);
    one.told().await;
    assert!(one.has(ITEM, 49, Freshness::Session).await);
}

#[tokio::test]
async fn a_process_that_starts_finds_what_others_have_kept() {
    let (server, [one, _other]) = two(Duration::ZERO).await;
    one.put_item(1, "a").await;
    one.told().await;
    one.has(ITEM, 1, Freshness::Session).await;
    let incarnations =
        || (0..3).map(|shard| server.horizon(shard).map(|horizon| horizon.incarnation)).collect::<Vec<_>>();
    let before = incarnations();
    let rows = Slow::new(Arc::clone(&one.slow) as _, Duration::ZERO);
    let reached = Reached::new(&server);
    let third = tier(Arc::clone(&rows) as _, reached, &schema(), TierOptions::default());
    drop(background().spawn(Arc::clone(&third).follow()));
    until("it has joined", || third.is_on()).await;
    assert_eq!(incarnations(), before);
    let session = Session::new(Freshness::Eventual, Position::default());
    assert!(third.get(ITEM, &Key::one(Value::Int(1)), VIEW, &session).await.unwrap().is_some());
    assert_eq!((rows.reads(), third.stats().hits), (0, 1));
}

#[tokio::test]
async fn a_server_that_went_back_answers_nobody_who_told_it_more() {
    let (server, [one, other]) = two(Duration::ZERO).await;
    one.put_item(1, "old").await;
    for process in [&one, &other] {
        process.told().await;
        process.has(ITEM, 1, Freshness::Session).await;
        assert!(process.code_leads_to("old").await && process.code_leads_to("old").await);
    }
    let saved: Vec<_> = (0..3).map(|shard| server.save(shard)).collect();
    one.put_item(1, "new").await;
    for process in [&one, &other] {
        process.told().await;
    }
    saved.iter().enumerate().for_each(|(shard, saved)| server.restore(shard, saved));
    for process in [&one, &other] {
        for _ in 0..10 {
            assert!(process.code_leads_to("new").await && !process.code_leads_to("old").await);
        }
    }
    // It is found out by that, and used again.
    for process in [&one, &other] {
        process.told().await;
    }
}

#[tokio::test]
async fn a_server_that_lost_everything_is_used_again() {
    let (server, [one, other]) = two(Duration::ZERO).await;
    for lose in [MemoryRemote::lose, MemoryRemote::evict_horizon] {
        (0..3).for_each(|shard| lose(&server, shard));
        for process in [&one, &other] {
            // Reads find out; nobody writes.
            until("it is found out and joined again", || {
                read_some(process);
                (0..3).all(|shard| server.horizon(shard).is_some())
            })
            .await;
            process.told().await;
        }
    }
}

/// Reads some rows, and does not wait for them.
fn read_some(process: &Process) {
    let tier = Arc::clone(&process.tier);
    drop(background().spawn(async move {
        for id in 0..20 {
            let session = Session::new(Freshness::Eventual, Position::default());
            drop(tier.get(ITEM, &Key::one(Value::Int(id)), VIEW, &session).await);
        }
    }));
}

/// A process before a log that a test tells what to say, with the server in use.
async fn scripted() -> (Process, Script) {
    let (script, rows) = (Script::default(), MemoryRows::new(&Arc::new(schema())));
    let slow = Slow::with_log(rows, Duration::ZERO, Some(Arc::new(script.clone())));
    let process = Process::over(slow, &Arc::new(MemoryRemote::new(1)));
    script.begin();
    script.is_heard().await;
    until("the server is used", || process.tier.is_on()).await;
    (process, script)
}

fn commit(number: u64, more: bool, ids: &[i64]) -> Told {
    let row =
        |id: &i64| Stored { values: vec![Value::Int(*id), Value::Text("a".into())], version: 1, deleted_at: None };
    let change = |id| RowChange { entity: ITEM, before: None, after: Some(row(id)) };
    let changes = ids.iter().map(change).collect();
    Told::Commit(Arc::new(Committed { place: Script::place(number), more, at: 0, changes }))
}

impl Process {
    /// How many of the first ten items are found in the server, after they were all read.
    async fn kept(&self) -> usize {
        for id in 0..10 {
            self.reads(ITEM, id).await;
        }
        let mut kept = 0;
        for id in 0..10 {
            kept += 1 - self.reads(ITEM, id).await;
        }
        kept
    }

    async fn found(&self) -> Vec<i64> {
        let mut found = Vec::new();
        for id in 0..10 {
            if self.reads(ITEM, id).await == 0 {
                found.push(id);
            }
        }
        found
    }
}

#[tokio::test]
async fn a_commit_in_parts_is_told_as_a_whole() {
    let (process, script) = scripted().await;
    assert_eq!(process.kept().await, 10);
    script.say(Ok(vec![commit(101, true, &[1, 2])]));
    script.is_heard().await;
    assert_eq!(process.found().await.len(), 10, "its place is not told before its end");
    script.say(Ok(vec![commit(101, true, &[3]), commit(101, false, &[4])]));
    script.is_heard().await;
    assert_eq!(process.found().await, [0, 5, 6, 7, 8, 9]);
}

#[tokio::test]
async fn a_commit_of_very_many_rows_drops_all_rows_of_its_entity() {
    let (process, script) = scripted().await;
    assert_eq!(process.kept().await, 10);
    let many: Vec<i64> = (100..20_000).collect();
    script.say(Ok(vec![commit(101, true, &many), commit(101, false, &[])]));
    script.is_heard().await;
    assert!(process.found().await.is_empty());
    assert_eq!(process.kept().await, 10);
}

#[tokio::test]
async fn what_is_rewritten_is_dropped_whether_or_not_it_has_a_place_of_its_own() {
    let (process, script) = scripted().await;
    for (number, entity, kept) in
        [(101, Some(ITEM), 0), (102, None, 0), (103, Some(LOUD), 10), (103, Some(ITEM), 0), (103, None, 0)]
    {
        assert_eq!(process.kept().await, 10);
        script.say(Ok(vec![Told::Rewritten { entity, place: Script::place(number), more: false }]));
        script.is_heard().await;
        until("the server is used", || process.tier.is_on()).await;
        assert_eq!(process.found().await.len(), kept, "{number} {entity:?}");
    }
}

#[tokio::test]
async fn a_server_is_passed_by_while_commits_are_not_numbered_in_their_order() {
    let (process, script) = scripted().await;
    script.say(Ok(vec![commit(103, false, &[1])]));
    script.is_heard().await;
    assert_eq!(process.kept().await, 10);
    script.say(Ok(vec![commit(102, false, &[2])]));
    script.is_heard().await;
    assert!(!process.tier.is_on() && process.kept().await == 0);
    script.say(Ok(vec![commit(104, false, &[3])]));
    script.is_heard().await;
    assert!(!process.tier.is_on());
    // Another history may be.
    script.begin();
    script.is_heard().await;
    until("the server is used", || process.tier.is_on()).await;
    assert!(process.found().await.is_empty(), "what was kept before is gone");
}

/// As the members of a replication group number theirs.
#[tokio::test]
async fn commits_that_fill_holes_are_told_like_others() {
    let (process, script) = scripted().await;
    let run = |first, last| Run { source: 0, first, last };
    let contained = [run(1, 50), run(100, 100)].into_iter().collect();
    script.say(Ok(vec![Told::Begin(Begin { place: Script::place(100), contained, history: 2 })]));
    script.current();
    script.is_heard().await;
    for (number, first, id) in [(52, 52, 1), (51, 1, 2), (102, 102, 3), (101, 100, 4), (53, 1, 5)] {
        until("the server is used", || process.tier.is_on()).await;
        assert_eq!(process.kept().await, 10);
        let Told::Commit(committed) = commit(number, false, &[id]) else { panic!("it is a commit") };
        let place = Place { first, ..committed.place.clone() };
        script.say(Ok(vec![Told::Commit(Arc::new(Committed { place, ..(*committed).clone() }))]));
        script.is_heard().await;
        assert!(process.tier.is_on(), "{number}");
        assert_eq!(process.found().await, (0..10).filter(|other| *other != id).collect::<Vec<_>>(), "{number}");
    }
}

/// Whether a reader who comes when something was done takes what another one goes for since before.
async fn joins(process: &Arc<Process>, wanted: Wanted, done: impl Future<Output = ()>) -> bool {
    let read = || {
        let process = Arc::clone(process);
        tokio::spawn(async move {
            match wanted {
                Wanted::Item(id) => process.has(ITEM, id, Freshness::Eventual).await,
                Wanted::Code(code) => process.code_leads_to(code).await,
            }
        })
    };
    let wishes = || process.reached.wishes.load(Ordering::SeqCst);
    let before = process.slow.reads();
    process.slow.is_held.store(true, Ordering::SeqCst);
    let first = read();
    until("it is on its way", || process.slow.reads() > before).await;
    done.await;
    let (wished, awaited) = (wishes(), process.tier.stats().awaited);
    let second = read();
    until("it is waited for", || wishes() > wished || process.tier.stats().awaited > awaited).await;
    let joined = wishes() == wished;
    process.slow.is_held.store(false, Ordering::SeqCst);
    first.await.unwrap();
    second.await.unwrap();
    joined
}

#[derive(Debug, Clone, Copy)]
enum Wanted {
    Item(i64),
    Code(&'static str),
}

#[tokio::test]
async fn who_was_told_a_change_does_not_join_who_goes_for_the_row_since_before() {
    let (process, script) = scripted().await;
    let process = Arc::new(process);
    let say = async |told: Vec<Told>| {
        script.say(Ok(told));
        script.current();
        script.is_heard().await;
        until("the server is used", || process.tier.is_on()).await;
    };
    assert!(joins(&process, Wanted::Item(0), async {}).await);
    let rewritten = |number, entity| vec![Told::Rewritten { entity, place: Script::place(number), more: false }];
    let place = Script::place(100);
    let begin = vec![Told::Begin(Begin { contained: place.run().into(), place, history: 2 })];
    let parts = vec![commit(103, true, &[3]), commit(103, false, &[])];
    // Each time another item, which nobody has read before.
    for (id, told, joined) in [
        (1, vec![commit(101, false, &[1])], false),
        (2, vec![commit(102, false, &[99])], true),
        (3, parts, false),
        (4, rewritten(104, Some(LOUD)), true),
        (5, rewritten(105, Some(ITEM)), false),
        (6, rewritten(106, None), false),
        // Of no place of its own.
        (7, rewritten(106, Some(ITEM)), false),
        (8, begin, false),
    ] {
        let found = joins(&process, Wanted::Item(id), say(told.clone())).await;
        assert_eq!(found, joined, "{told:?}");
    }
}

#[tokio::test]
async fn who_comes_after_a_write_does_not_join_who_goes_for_the_row_since_before() {
    let (process, _script) = scripted().await;
    let process = Arc::new(process);
    assert!(!joins(&process, Wanted::Item(1), process.put_item(1, "a")).await);
    assert!(joins(&process, Wanted::Item(2), process.put_item(3, "c")).await);
    // It may have led to the row that was written.
    assert!(!joins(&process, Wanted::Code("x"), process.put_item(4, "d")).await);
    assert!(joins(&process, Wanted::Code("y"), process.put(LOUD, vec![Value::Int(1)])).await);
}
