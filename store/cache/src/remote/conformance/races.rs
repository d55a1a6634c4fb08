//! Many at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::watch;

use super::stage::{HISTORY, HOUR, Stage, entry, name, place, telling};
use crate::remote::{Beginning, Heard, Leased, Name, Remote};

pub fn of_many_who_want_a_lease_at_once_one_has_it(stage: &Stage) {
    let shard = stage.one.shard();
    stage.one.begun(11, 5);
    for round in 0..50_u128 {
        let row = name(&format!("{round}"));
        let wishes: Vec<_> = (0..16_u128)
            .map(|at| {
                let remote = Arc::clone(if at % 2 == 0 { &stage.one.remote } else { &stage.other.remote });
                let row = row.clone();
                stage.runtime().spawn(async move { remote.lease(shard, row, round << 8 | at, HOUR).await.unwrap() })
            })
            .collect();
        let answers: Vec<_> = wishes.into_iter().map(|wish| stage.wait(wish).unwrap()).collect();
        let given = answers.iter().filter(|answer| matches!(answer, Leased::Given(_))).count();
        assert_eq!(given, 1, "{answers:?}");
        assert_eq!(answers.iter().filter(|answer| **answer == Leased::Awaited).count(), 15, "{answers:?}");
    }
}

pub fn of_many_who_begin_at_once_one_makes_the_shard(stage: &Stage) {
    let shard = stage.one.shard();
    let beginnings: Vec<_> = (1..=16)
        .map(|incarnation| {
            let remote = Arc::clone(if incarnation % 2 == 0 { &stage.one.remote } else { &stage.other.remote });
            let beginning = Beginning { history: HISTORY, place: place(5), anew: Some(incarnation) };
            stage.runtime().spawn(async move { remote.begin(shard, beginning).await.unwrap().unwrap() })
        })
        .collect();
    let found: Vec<_> = beginnings.into_iter().map(|beginning| stage.wait(beginning).unwrap()).collect();
    assert!(found.iter().all(|horizon| *horizon == found[0]), "{found:?}");
}

/// A database of one row, whose value is the number of its last commit, two processes that follow its log, and readers.
pub fn what_was_told_is_never_shown_as_it_was_before(stage: &Stage) {
    const COMMITS: u64 = 300;
    let shard = stage.one.shard();
    let row = name("row");
    stage.one.begun(11, 0);
    let database = Arc::new(AtomicU64::new(0));
    let (commits, log) = watch::channel(0);
    let (one, other) = (&stage.one.remote, &stage.other.remote);
    let tellers: Vec<_> = [one, other]
        .map(|remote| {
            let told = Arc::new(AtomicU64::new(0));
            let teller = follow(Arc::clone(remote), shard, row.clone(), log.clone(), Arc::clone(&told));
            (stage.runtime().spawn(teller), told)
        })
        .into();
    let readers: Vec<_> = [one, other, one, other]
        .into_iter()
        .enumerate()
        .map(|(at, remote)| {
            // What a process has told counts for its own readers.
            let reader = Reader {
                remote: Arc::clone(remote),
                shard,
                row: row.clone(),
                database: Arc::clone(&database),
                told: Arc::clone(&tellers[at % 2].1),
                token: (at as u128 + 1) << 64,
            };
            stage.runtime().spawn(reader.read_until(COMMITS))
        })
        .collect();
    stage.wait(async {
        for number in 1..=COMMITS {
            database.store(number, Ordering::SeqCst);
            commits.send_replace(number);
            tokio::task::yield_now().await;
            // No faster than the slower one follows: so each commit meets readers.
            while tellers.iter().any(|(_, told)| told.load(Ordering::SeqCst) + 2 < number) {
                tokio::task::yield_now().await;
            }
        }
    });
    drop(commits);
    let hits: u64 = readers.into_iter().map(|reader| stage.wait(reader).unwrap()).sum();
    tellers.into_iter().for_each(|(teller, _)| stage.wait(teller).unwrap());
    assert!(hits > 0, "nothing was ever found");
}

/// Tells what the log has, as far as it goes at a time.
async fn follow(remote: Arc<dyn Remote>, shard: usize, row: Name, mut log: watch::Receiver<u64>, told: Arc<AtomicU64>) {
    while log.changed().await.is_ok() {
        let to = *log.borrow_and_update();
        let from = told.load(Ordering::SeqCst);
        let heard = remote.tell(shard, telling(11, from, to, &[&row])).await.unwrap();
        assert_eq!(heard, Heard::Told);
        told.store(to, Ordering::SeqCst);
    }
}

struct Reader {
    remote: Arc<dyn Remote>,
    shard: usize,
    row: Name,
    database: Arc<AtomicU64>,
    /// By its own process.
    told: Arc<AtomicU64>,
    token: u128,
}

impl Reader {
    /// Reads until the last commit was told, and answers how often it found something.
    async fn read_until(mut self, last: u64) -> u64 {
        let mut hits = 0;
        loop {
            let told = self.told.load(Ordering::SeqCst);
            let looked = self.remote.get(self.shard, vec![self.row.clone()]).await.unwrap();
            match looked.entries[0].as_ref() {
                Some(entry) => {
                    let shown: u64 = std::str::from_utf8(&entry.value).unwrap().parse().unwrap();
                    assert!(shown >= told, "{shown} is shown though {told} was told");
                    hits += 1;
                }
                None => self.bring().await,
            }
            if told == last && hits > 0 {
                return hits;
            }
            tokio::task::yield_now().await;
        }
    }

    async fn bring(&mut self) {
        self.token += 1;
        let (shard, token) = (self.shard, self.token);
        let leased = self.remote.lease(shard, self.row.clone(), token, HOUR).await.unwrap();
        let Leased::Given(horizon) = leased else { return };
        let value = self.database.load(Ordering::SeqCst).to_string();
        // Meanwhile it changes.
        tokio::task::yield_now().await;
        let brought = entry(&horizon, &self.row, value.as_bytes());
        self.remote.fill(shard, self.row.clone(), token, brought, HOUR).await.unwrap();
    }
}
