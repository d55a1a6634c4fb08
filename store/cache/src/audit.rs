//! Checks what a cache answers, while it does: the promise of the [protocol](crate), held against the storage.
//!
//! A few times a second an entry that was just used is taken, the storage is asked for the row, strongly, and the log is waited
//! for until it has told everything that the storage's answer contains. If the entry is still there then and says something
//! else, it lacks a change that was told, which no entry may. It was read before the storage was asked, so it is not the newer of
//! the two. That no defect is known that would leave such an entry is no reason not to look: the idea is of Meta's *Polaris*
//! (*Cache made consistent*, 2022).
//!
//! Each cache is audited by itself: one that is asked where another has no answer is held against the storage all the same.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use kit_core::Error;
use rowkeep_engine::{Position, Rows, Session, View};
use rowkeep_record::Record;
use tokio::time::sleep;

use crate::counts::{Count, Counts};
use crate::heard::Heard;
use crate::near::{Held, Part, Probe, RowKey};
use crate::policy::Policy;

/// A row that changes all the time is looked at as often, before it is left.
const ROUNDS: usize = 3;
/// How long the log is waited for.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two looks at the log.
const PAUSE: Duration = Duration::from_millis(2);

/// A cache whose answers can be held against the storage.
pub(crate) trait Audited: Send + Sync + 'static {
    /// What is kept of a row.
    type Entry: Send + Sync;

    /// What it is called where a defect is told of.
    const NAME: &'static str;

    fn parts(&self) -> Parts<'_>;

    /// What a reader would be answered from as of this time. Counts as no read.
    fn peek(&self, key: &RowKey, view: View) -> impl Future<Output = Peeked<Self::Entry>> + Send;

    fn held(entry: &Self::Entry) -> &Held;

    /// Whether it is the same entry, and not another one of the same row.
    fn is_same(entry: &Self::Entry, other: &Self::Entry) -> bool;

    /// Nobody is to be answered from an entry any more.
    fn drop_entry(&self, key: RowKey) -> impl Future<Output = ()> + Send;
}

/// What an auditor uses of a cache.
pub(crate) struct Parts<'a> {
    pub(crate) sampler: &'a Sampler,
    pub(crate) counts: &'a Counts,
    pub(crate) policy: &'a Policy,
    pub(crate) heard: &'a Heard,
    /// The storage, or what asks it for whoever reads strongly.
    pub(crate) rows: &'a dyn Rows,
}

/// What a look at a cache finds.
pub(crate) enum Peeked<E> {
    Entry(E),
    /// Nothing that readers would be answered.
    Gone,
    /// It cannot be looked at, and readers pass it by.
    Away,
}

/// Takes an entry that is used, when one is wanted. For whoever uses entries that is one read of a flag.
#[derive(Debug, Default)]
pub(crate) struct Sampler {
    wanted: AtomicBool,
    taken: Mutex<Option<RowKey>>,
}

impl Sampler {
    /// An entry is used.
    pub(crate) fn offer(&self, probe: &Probe<'_>) {
        if self.wanted.load(Ordering::Relaxed) {
            self.take(probe);
        }
    }

    #[cold]
    fn take(&self, probe: &Probe<'_>) {
        if self.wanted.swap(false, Ordering::AcqRel) {
            *self.taken.lock().unwrap_or_else(PoisonError::into_inner) = Some(probe.to_key());
        }
    }

    /// What was taken since the last time; another is wanted.
    fn next(&self) -> Option<RowKey> {
        let taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner).take();
        self.wanted.store(true, Ordering::Release);
        taken
    }
}

/// What came of the looks at entries while they were used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AuditStats {
    /// Entries that were held against the storage, and were right.
    pub right: u64,
    /// Those that lacked a change that was told. There is none, or there is a defect.
    pub stale: u64,
    /// Those that changed all the time, or whose row could not be read.
    pub undecided: u64,
}

impl AuditStats {
    pub(crate) fn of(counts: &Counts) -> Self {
        Self {
            right: counts.sum(Count::AuditedRight),
            stale: counts.sum(Count::AuditedStale),
            undecided: counts.sum(Count::AuditedUndecided),
        }
    }

    /// Of a million answers of the cache, how many lack a change that was told, as far as the audited ones tell.
    pub fn stale_per_million(&self) -> f64 {
        let decided = self.right + self.stale;
        if decided == 0 { 0.0 } else { self.stale as f64 * 1e6 / decided as f64 }
    }
}

/// What came of a look at one entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// It says what the storage says, or is gone.
    Right,
    /// It lacks a change that was told.
    Stale,
    /// It was another one each time, the log was silent, or the cache was.
    Undecided,
}

/// Looks at an entry each time, until it is dropped.
pub(crate) async fn run<C: Audited>(cache: Arc<C>, every: Duration) {
    loop {
        sleep(every).await;
        let Parts { sampler, counts, policy, .. } = cache.parts();
        let Some(key) = sampler.next() else { continue };
        match audit(&*cache, &key).await {
            Ok(Verdict::Right) => counts.add(Count::AuditedRight),
            Ok(Verdict::Undecided) => counts.add(Count::AuditedUndecided),
            Ok(Verdict::Stale) => {
                counts.add(Count::AuditedStale);
                let entity = policy.of(key.entity).map_or("", |policy| policy.name());
                tracing::error!(
                    entity,
                    cache = C::NAME,
                    "an entry of the cache lacked a change that was told; it is dropped. Please report this"
                );
                cache.drop_entry(key).await;
            }
            Err(error) => {
                counts.add(Count::AuditedUndecided);
                tracing::debug!(%error, cache = C::NAME, "an entry of the cache could not be held against the database");
            }
        }
    }
}

async fn audit<C: Audited>(cache: &C, key: &RowKey) -> Result<Verdict, Error> {
    let Parts { rows, heard, .. } = cache.parts();
    for _ in 0..ROUNDS {
        let entry = match cache.peek(key, view()).await {
            Peeked::Entry(entry) => entry,
            Peeked::Gone => return Ok(Verdict::Right),
            Peeked::Away => return Ok(Verdict::Undecided),
        };
        let (found, place) = ask_storage(rows, key).await?;
        if says(C::held(&entry), found.as_ref()) {
            return Ok(Verdict::Right);
        }
        if !is_told_of(heard, &place).await {
            return Ok(Verdict::Undecided);
        }
        match cache.peek(key, view()).await {
            Peeked::Gone => return Ok(Verdict::Right),
            Peeked::Away => return Ok(Verdict::Undecided),
            Peeked::Entry(still) if C::is_same(&still, &entry) => return Ok(Verdict::Stale),
            // It was dropped, and brought again.
            Peeked::Entry(_) => {}
        }
    }
    Ok(Verdict::Undecided)
}

/// What the storage has, and how far it was.
async fn ask_storage(rows: &dyn Rows, key: &RowKey) -> Result<(Option<Record>, Position), Error> {
    let (session, view) = (Session::strong(), View { deleted: key.part == Part::Row, ..view() });
    let found = match key.part {
        Part::Row | Part::Live => rows.get(key.entity, &key.key, view, &session).await?,
        Part::Index(index) => rows.lookup(key.entity, index, &key.key, view, &session).await?,
    };
    Ok((found, rows.position().unwrap_or_else(|| session.seen())))
}

/// Whether an entry says what the storage says. Values that lead to a row that is another by now do: that is found when they are
/// followed.
fn says(held: &Held, found: Option<&Record>) -> bool {
    match (held, found) {
        (Held::Row(kept), Some(found)) => kept.wire() == found.wire(),
        (Held::Absent, None) | (Held::Pointer(..), _) => true,
        (Held::Row(_), None) | (Held::Absent, Some(_)) => false,
    }
}

/// Waits until the log has told all of this; not for ever.
async fn is_told_of(heard: &Heard, place: &Position) -> bool {
    let told = async {
        while !heard.contains(place) {
            sleep(PAUSE).await;
        }
    };
    tokio::time::timeout(PATIENCE, told).await.is_ok()
}

/// What a reader is shown who does not ask for deleted rows.
pub(crate) fn view() -> View {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    View { now: i64::try_from(since.as_micros()).unwrap_or(i64::MAX), deleted: false }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use rowkeep_engine::{MemoryRows, Since, Told};
    use rowkeep_record::{Codecs, Key, Value};
    use rowkeep_schema::{EntityId, compile_str};

    use super::*;

    /// A cache that a test tells what looks find. Entries with one number are the same.
    struct Scripted {
        sampler: Sampler,
        counts: Counts,
        policy: Policy,
        heard: Heard,
        rows: Arc<MemoryRows>,
        peeks: Mutex<VecDeque<Peeked<(Held, u32)>>>,
    }

    impl Audited for Scripted {
        type Entry = (Held, u32);

        const NAME: &'static str = "scripted";

        fn parts(&self) -> Parts<'_> {
            let Self { sampler, counts, policy, heard, rows, .. } = self;
            Parts { sampler, counts, policy, heard, rows: &**rows }
        }

        async fn peek(&self, _: &RowKey, _: View) -> Peeked<Self::Entry> {
            self.peeks.lock().unwrap().pop_front().expect("no more looks than these")
        }

        fn held(entry: &Self::Entry) -> &Held {
            &entry.0
        }

        fn is_same(entry: &Self::Entry, other: &Self::Entry) -> bool {
            entry.1 == other.1
        }

        async fn drop_entry(&self, _: RowKey) {}
    }

    /// What comes of these looks, before a storage without the row and a log that has told everything.
    async fn verdict(peeks: impl IntoIterator<Item = Peeked<(Held, u32)>>) -> Verdict {
        let schema = "syntax = \"proto3\"; package a.v1; import \"rowkeep/v1/options.proto\";
                      message Item { option (rowkeep.v1.entity) = {}; int64 id = 1; }";
        let schema = Arc::new(compile_str(&[("a/v1/a.proto", schema)]).unwrap_or_else(|errors| panic!("{errors}")));
        let (heard, rows) = (Heard::default(), MemoryRows::new(&schema));
        let mut log = rows.changes().unwrap().follow(Since::Now).await.unwrap();
        while !heard.contains(&rows.position().unwrap()) {
            for told in log.next().await.unwrap() {
                if let Told::Begin(begin) = told {
                    heard.begin(begin);
                }
            }
        }
        let cache = Scripted {
            sampler: Sampler::default(),
            counts: Counts::default(),
            policy: Policy::new(&schema, &Codecs::new(&schema)),
            heard,
            rows,
            peeks: Mutex::new(peeks.into_iter().collect()),
        };
        let key = RowKey { entity: EntityId(0), part: Part::Row, key: Key::one(Value::Int(1)) };
        let verdict = audit(&cache, &key).await.unwrap();
        assert!(cache.peeks.lock().unwrap().is_empty(), "it is looked at as often");
        verdict
    }

    fn absent() -> Peeked<(Held, u32)> {
        Peeked::Entry((Held::Absent, 0))
    }

    fn row(number: u32) -> Peeked<(Held, u32)> {
        Peeked::Entry((Held::Row(Record::from_reserved(Record::reserve(0), 1)), number))
    }

    #[tokio::test]
    async fn what_says_the_same_or_is_gone_is_right() {
        assert_eq!(verdict([absent()]).await, Verdict::Right);
        assert_eq!(verdict([Peeked::Gone]).await, Verdict::Right);
        assert_eq!(verdict([row(1), Peeked::Gone]).await, Verdict::Right);
        assert_eq!(verdict([row(1), row(2), absent()]).await, Verdict::Right);
    }

    #[tokio::test]
    async fn what_says_something_else_and_is_there_once_the_log_has_told_is_stale() {
        assert_eq!(verdict([row(1), row(1)]).await, Verdict::Stale);
        assert_eq!(verdict([row(1), row(2), row(2), row(2)]).await, Verdict::Stale);
    }

    #[tokio::test]
    async fn what_cannot_be_looked_at_or_is_another_each_time_is_undecided() {
        assert_eq!(verdict([Peeked::Away]).await, Verdict::Undecided);
        assert_eq!(verdict([row(1), Peeked::Away]).await, Verdict::Undecided);
        assert_eq!(verdict([row(1), row(2), row(3), row(4), row(5), row(6)]).await, Verdict::Undecided);
    }
}
