//! Checks what is answered from memory, while it is: the promise of the [protocol](crate), held against the storage.
//!
//! A few times a second an entry that was just used is taken, the storage is asked for the row, strongly, and the log is waited
//! for until it has told everything that the storage's answer contains. If the entry is still there then and says something
//! else, it lacks a change that was told, which no entry may. It was read before the storage was asked, so it is not the newer of
//! the two. That no defect is known that would leave such an entry is no reason not to look: the idea is of Meta's *Polaris*
//! (*Cache made consistent*, 2022).

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use kit_core::Error;
use rowkeep_engine::{Position, Session, View};
use rowkeep_record::Record;
use tokio::time::sleep;

use super::Shared;
use crate::counts::Count;
use crate::near::{Held, Kept, Part, Probe, RowKey};
use crate::now;

/// A row that changes all the time is looked at as often, before it is left.
const ROUNDS: usize = 3;
/// How long the log is waited for.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two looks at the log.
const PAUSE: Duration = Duration::from_millis(2);

/// Takes an entry that is used, when one is wanted. For whoever uses entries that is one read of a flag.
#[derive(Debug, Default)]
pub(super) struct Sampler {
    wanted: AtomicBool,
    taken: Mutex<Option<RowKey>>,
}

impl Sampler {
    /// An entry is used.
    pub(super) fn offer(&self, probe: &Probe<'_>) {
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

/// What came of a look at one entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// It says what the storage says, or is gone.
    Right,
    /// It lacks a change that was told.
    Stale,
    /// It was another one each time, or the log was silent.
    Undecided,
}

/// Looks at an entry each time, until it is dropped.
pub(super) async fn run(shared: Arc<Shared>, every: Duration) {
    loop {
        sleep(every).await;
        let Some(key) = shared.sampler.next() else { continue };
        match shared.audit(&key).await {
            Ok(Verdict::Right) => shared.counts.add(Count::AuditedRight),
            Ok(Verdict::Undecided) => shared.counts.add(Count::AuditedUndecided),
            Ok(Verdict::Stale) => {
                shared.counts.add(Count::AuditedStale);
                shared.near.retract(&key.probe());
                let entity = shared.policy.of(key.entity).map_or("", |policy| policy.name());
                tracing::error!(
                    entity,
                    "an entry of the cache lacked a change that was told; it is dropped. Please report this"
                );
            }
            Err(error) => {
                shared.counts.add(Count::AuditedUndecided);
                tracing::debug!(%error, "an entry of the cache could not be held against the database");
            }
        }
    }
}

impl Shared {
    async fn audit(&self, key: &RowKey) -> Result<Verdict, Error> {
        let probe = key.probe();
        for _ in 0..ROUNDS {
            let Some(entry) = self.peek(&probe) else { return Ok(Verdict::Right) };
            let (found, place) = self.ask_storage(key).await?;
            if self.says(&entry, found.as_ref()) {
                return Ok(Verdict::Right);
            }
            if !self.is_told_of(&place).await {
                return Ok(Verdict::Undecided);
            }
            match self.peek(&probe) {
                None => return Ok(Verdict::Right),
                Some(still) if still.is(&entry) => return Ok(Verdict::Stale),
                // It was dropped, and brought again.
                Some(_) => {}
            }
        }
        Ok(Verdict::Undecided)
    }

    /// The entry that a reader would be answered from now.
    pub(super) fn peek(&self, probe: &Probe<'_>) -> Option<Kept> {
        let kept = self.near.get(probe)?;
        let is_used = kept.fresh.suits(View { now: micros(), deleted: false }) && now() < kept.until;
        is_used.then_some(kept)
    }

    /// What the storage has, and how far it was.
    async fn ask_storage(&self, key: &RowKey) -> Result<(Option<Record>, Position), Error> {
        let (session, view) = (Session::strong(), View { now: micros(), deleted: key.part == Part::Row });
        let found = match key.part {
            Part::Row | Part::Live => self.rows.get(key.entity, &key.key, view, &session).await?,
            Part::Index(index) => self.rows.lookup(key.entity, index, &key.key, view, &session).await?,
        };
        Ok((found, self.rows.position().unwrap_or_else(|| session.seen())))
    }

    /// Whether an entry says what the storage says. Values that lead to a row that is another by now do: that is found when they are
    /// followed.
    fn says(&self, entry: &Kept, found: Option<&Record>) -> bool {
        match (&entry.held, found) {
            (Held::Row(kept), Some(found)) => kept.wire() == found.wire(),
            (Held::Absent, None) | (Held::Pointer(..), _) => true,
            (Held::Row(_), None) | (Held::Absent, Some(_)) => false,
        }
    }

    /// Waits until the log has told all of this; not for ever.
    async fn is_told_of(&self, place: &Position) -> bool {
        let told = async {
            while !self.heard.contains(place) {
                sleep(PAUSE).await;
            }
        };
        tokio::time::timeout(PATIENCE, told).await.is_ok()
    }
}

/// The time, microseconds since 1970.
fn micros() -> i64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_micros()).unwrap_or(i64::MAX)
}
