//! A database, processes that follow its log and share a cache, and readers who check what they are shown.
//!
//! Each process has the rules of one that uses the cache: it tells a shard what the log has before it counts that as told; it
//! is off from the first failure until it has joined again; and what its readers find counts if it was on all the while, and
//! the shard is the one it joined and knows all that it has told.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use rowkeep_cache::remote::conformance::{HISTORY, place, telling};
use rowkeep_cache::remote::{Beginning, Entry, Heard, Horizon, Leased, Name, Remote};
use rowkeep_redis::RedisRemote;
use rowkeep_schema::EntityId;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

/// Rows of a shard. Commits change them in turn.
const ROWS: u64 = 4;
const READERS: usize = 2;
/// Between two commits.
const PACE: Duration = Duration::from_millis(1);

/// All of it.
pub(crate) struct World {
    runtime: Runtime,
    database: Arc<Database>,
    processes: Vec<Arc<Process>>,
    ended: Arc<AtomicBool>,
    tasks: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Database {
    /// The last commit. Row `r` was changed last by the last commit that leaves `r`, divided by the number of rows.
    commits: AtomicU64,
}

impl Database {
    /// The last commit that changed the row, of those up to this one.
    fn changed(row: u64, commits: u64) -> u64 {
        (commits.saturating_sub(ROWS - 1)..=commits).rev().find(|commit| commit % ROWS == row).unwrap_or(0)
    }

    fn last(&self) -> u64 {
        self.commits.load(Ordering::SeqCst)
    }
}

/// What one process knows of one shard.
pub(crate) struct Process {
    remote: Arc<RedisRemote>,
    shard: usize,
    database: Arc<Database>,
    state: Mutex<State>,
    hits: AtomicU64,
    /// Hits that did not count, because the shard had forgotten.
    forgotten: AtomicU64,
    joined: AtomicU64,
    wrong: Mutex<Option<String>>,
}

#[derive(Debug, Clone, Copy, Default)]
struct State {
    /// While it is on; what it joined.
    joined: Option<u64>,
    /// Grows whenever it goes off.
    offs: u64,
    told: u64,
}

impl World {
    /// Of these shards, with two processes, as `connect` connects them.
    pub(crate) fn start<F>(shards: &[usize], connect: impl Fn() -> F) -> Self
    where
        F: Future<Output = Arc<RedisRemote>>,
    {
        let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let remotes = runtime.block_on(async { [connect().await, connect().await] });
        let (database, ended) = (Arc::new(Database::default()), Arc::new(AtomicBool::new(false)));
        let process = |remote: &Arc<RedisRemote>, shard: usize| {
            Arc::new(Process {
                remote: Arc::clone(remote),
                shard,
                database: Arc::clone(&database),
                state: Mutex::default(),
                hits: AtomicU64::new(0),
                forgotten: AtomicU64::new(0),
                joined: AtomicU64::new(0),
                wrong: Mutex::default(),
            })
        };
        let processes: Vec<_> =
            shards.iter().flat_map(|shard| remotes.each_ref().map(|remote| process(remote, *shard))).collect();
        let mut tasks = vec![runtime.spawn(write(Arc::clone(&database), Arc::clone(&ended)))];
        for process in &processes {
            tasks.push(runtime.spawn(Arc::clone(process).follow(Arc::clone(&ended))));
            for _ in 0..READERS {
                tasks.push(runtime.spawn(Arc::clone(process).read(Arc::clone(&ended))));
            }
        }
        Self { runtime, database, processes, ended, tasks }
    }

    /// Waits until every process finds rows again, and nothing but what is right.
    pub(crate) fn finds_rows(&self) {
        let before: Vec<_> = self.processes.iter().map(|process| process.hits()).collect();
        testkit::wait_until("rows to be found in the cache", || {
            self.is_right();
            let now = self.processes.iter().map(|process| process.hits());
            now.zip(&before).all(|(now, before)| now > before + 50)
        });
    }

    /// Waits until every process has found out that something is wrong with the shard.
    pub(crate) fn is_off(&self, shard: usize) {
        testkit::wait_until("the cache to be off", || {
            self.is_right();
            let of_shard = self.processes.iter().filter(|process| process.shard == shard);
            of_shard.clone().count() > 0 && of_shard.clone().all(|process| process.state().joined.is_none())
        });
    }

    /// How often processes joined a shard.
    pub(crate) fn joined(&self) -> u64 {
        self.processes.iter().map(|process| process.joined.load(Ordering::SeqCst)).sum()
    }

    fn is_right(&self) {
        for process in &self.processes {
            if let Some(wrong) = &*process.wrong.lock().unwrap() {
                panic!("{wrong}");
            }
        }
    }

    /// Ends it, and answers how many rows were found and how many findings did not count.
    pub(crate) fn end(self) -> (u64, u64) {
        self.ended.store(true, Ordering::SeqCst);
        for task in self.tasks {
            self.runtime.block_on(task).unwrap();
        }
        let sum = |of: fn(&Process) -> &AtomicU64| {
            self.processes.iter().map(|process| of(process).load(Ordering::SeqCst)).sum()
        };
        for process in &self.processes {
            assert_eq!(*process.wrong.lock().unwrap(), None);
        }
        assert!(self.database.last() > 0);
        (sum(|process| &process.hits), sum(|process| &process.forgotten))
    }
}

/// Commits.
async fn write(database: Arc<Database>, ended: Arc<AtomicBool>) {
    while !ended.load(Ordering::SeqCst) {
        database.commits.fetch_add(1, Ordering::SeqCst);
        tokio::time::sleep(PACE).await;
    }
}

fn name_of(row: u64) -> Name {
    Name { entity: EntityId(1), bytes: Bytes::from(format!("row {row}")) }
}

impl Process {
    fn hits(&self) -> u64 {
        self.hits.load(Ordering::SeqCst)
    }

    fn state(&self) -> State {
        *self.state.lock().unwrap()
    }

    /// Follows the log, and tells the shard.
    async fn follow(self: Arc<Self>, ended: Arc<AtomicBool>) {
        let mut refused = 0;
        while !ended.load(Ordering::SeqCst) {
            let state = self.state();
            let went_on = match state.joined {
                Some(incarnation) => self.tell(incarnation, state.told).await,
                None => self.join(&mut refused).await,
            };
            if !went_on {
                let mut state = self.state.lock().unwrap();
                state.joined = None;
                state.offs += 1;
            }
            tokio::time::sleep(PACE).await;
        }
    }

    async fn tell(&self, incarnation: u64, told: u64) -> bool {
        let to = self.database.last();
        if to == told {
            return true;
        }
        let rows: Vec<_> = (told + 1..=to).take(ROWS as usize).map(|commit| name_of(commit % ROWS)).collect();
        let telling = telling(incarnation, told, to, &rows.iter().collect::<Vec<_>>());
        let heard = self.remote.tell(self.shard, telling).await;
        if heard != Ok(Heard::Told) {
            return false;
        }
        self.state.lock().unwrap().told = to;
        true
    }

    async fn join(&self, refused: &mut u32) -> bool {
        let to = self.database.last();
        // Another process may be about to tell what is missing.
        *refused += 1;
        let anew = (*refused > 3).then(rand::random);
        let beginning = Beginning { history: HISTORY, place: place(to), anew };
        let fits = |horizon: &Horizon| horizon.history == HISTORY && horizon.told.contains_all(&place(to));
        match self.remote.begin(self.shard, beginning).await {
            Ok(Some(horizon)) if fits(&horizon) => {
                *refused = 0;
                self.joined.fetch_add(1, Ordering::SeqCst);
                let mut state = self.state.lock().unwrap();
                (state.joined, state.told) = (Some(horizon.incarnation), to);
                true
            }
            Ok(_) | Err(_) => false,
        }
    }

    /// Reads rows in turn.
    async fn read(self: Arc<Self>, ended: Arc<AtomicBool>) {
        let mut row = 0;
        while !ended.load(Ordering::SeqCst) {
            row = (row + 1) % ROWS;
            self.look(row).await;
            tokio::time::sleep(PACE / 4).await;
        }
    }

    async fn look(&self, row: u64) {
        let before = self.state();
        let Some(joined) = before.joined else { return };
        let looked = self.remote.get(self.shard, vec![name_of(row)]).await;
        let after = self.state();
        let Ok(looked) = looked else {
            // As from a telling that failed.
            let mut state = self.state.lock().unwrap();
            if state.offs == before.offs {
                state.joined = None;
                state.offs += 1;
            }
            return;
        };
        let Some(entry) = looked.entries.into_iter().next().flatten() else {
            return self.bring(row).await;
        };
        let horizon = looked.horizon.expect("entries have a horizon");
        let is_on = after.offs == before.offs && horizon.incarnation == joined && horizon.history == HISTORY;
        if !is_on || !horizon.told.contains_all(&place(before.told)) {
            self.forgotten.fetch_add(1, Ordering::SeqCst);
            return;
        }
        self.check(row, &entry, before.told);
    }

    fn check(&self, row: u64, entry: &Entry, told: u64) {
        let shown = std::str::from_utf8(&entry.value).ok().and_then(|text| text.split_once('/'));
        let number = |text: &str| text.parse::<u64>().ok();
        let shown = shown.and_then(|(shown_row, commit)| Some((number(shown_row)?, number(commit)?)));
        let needed = Database::changed(row, told);
        match shown {
            Some((shown_row, commit)) if row == shown_row && commit >= needed && commit <= self.database.last() => {
                self.hits.fetch_add(1, Ordering::SeqCst);
            }
            _ => {
                let wrong = format!("shard {}, row {row} of commit {needed}: {entry:?}", self.shard);
                self.wrong.lock().unwrap().get_or_insert(wrong);
            }
        }
    }

    async fn bring(&self, row: u64) {
        let (name, token) = (name_of(row), rand::random());
        let leased = self.remote.lease(self.shard, name.clone(), token, Duration::from_secs(5)).await;
        let Ok(Leased::Given(horizon)) = leased else { return };
        let told = horizon.told.as_slice().first().map_or(0, |run| run.last);
        let commits = self.database.last();
        assert!(commits >= told, "{told} was told, and {commits} is the last commit");
        let value = format!("{row}/{}", Database::changed(row, commits)).into();
        // Meanwhile it may change.
        tokio::time::sleep(PACE / 2).await;
        let entry = Entry { incarnation: horizon.incarnation, generation: 0, value };
        // Whether it was put there shows when somebody looks.
        let _ = self.remote.fill(self.shard, name, token, entry, Duration::from_secs(600)).await;
    }
}
