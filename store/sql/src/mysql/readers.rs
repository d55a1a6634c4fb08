//! Who sends the reads: the lanes of the thread that asks, or the store's own.
//!
//! A read that is handed to another thread and back costs two wake-ups, which is more than the read itself. So threads that
//! read much are given lanes of their own ([`Readers::attach`]), which run beside what asks them. Everybody else shares
//! those on the store's runtime.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use kit_core::{Error, Reply};
use tokio::runtime::Handle;

use super::lanes::{Answer, Lanes};
use super::reads::Read;
use super::servers::Progress;
use super::session::Connector;

/// Reads by key that are sent together.
const POINTS_TOGETHER: usize = 64;
/// Lists that are sent together: those behind a long one would wait for it.
const SCANS_TOGETHER: usize = 1;
/// Connections for reads by key: two, so that one is sent to while the other is answered.
const POINT_LANES: usize = 2;
/// Connections for lists and counts, for all who have no lanes of their own.
const SHARED_SCAN_LANES: usize = 8;
/// The same for a thread: a server has as many threads as cores, and a database a limit of connections.
const OWN_SCAN_LANES: usize = 3;

/// Lanes by what they carry.
struct Set {
    points: Lanes,
    scans: Lanes,
}

/// All lanes to a server.
pub(super) struct Readers {
    /// Tells servers of stores apart.
    id: u64,
    connector: Connector,
    progress: Arc<Progress>,
    shared: Set,
    /// Those of threads, until the store stops.
    own: Mutex<Vec<Arc<Set>>>,
}

thread_local! {
    /// By server of a store.
    static MINE: RefCell<Vec<(u64, Weak<Set>)>> = const { RefCell::new(Vec::new()) };
}

static STORES: AtomicU64 = AtomicU64::new(0);

impl Readers {
    pub(super) fn new(runtime: &Handle, connector: &Connector, progress: &Arc<Progress>) -> Self {
        Self {
            id: STORES.fetch_add(1, Ordering::Relaxed),
            connector: connector.clone(),
            shared: Set::new(runtime, connector, progress, SHARED_SCAN_LANES),
            progress: Arc::clone(progress),
            own: Mutex::default(),
        }
    }

    /// Gives this thread lanes of its own, on the runtime it is in. Without one it goes on sharing.
    pub(super) fn attach(&self) {
        let Ok(runtime) = Handle::try_current() else { return };
        if self.mine().is_some() {
            return;
        }
        let set = Arc::new(Set::new(&runtime, &self.connector, &self.progress, OWN_SCAN_LANES));
        MINE.with_borrow_mut(|mine| {
            mine.retain(|(_, set)| set.strong_count() > 0);
            mine.push((self.id, Arc::downgrade(&set)));
        });
        self.list().push(set);
    }

    /// A read by key.
    pub(super) fn point(&self, read: Arc<Read>) -> Reply<'static, Result<Answer, Error>> {
        match self.mine() {
            Some(set) => set.points.ask(read),
            None => self.shared.points.ask(read),
        }
    }

    /// A list or a count.
    pub(super) fn scan(&self, read: Arc<Read>) -> Reply<'static, Result<Answer, Error>> {
        match self.mine() {
            Some(set) => set.scans.ask(read),
            None => self.shared.scans.ask(read),
        }
    }

    /// Reads that are not sent yet.
    pub(super) fn waiting(&self) -> u64 {
        let own: u64 = self.list().iter().map(|set| set.waiting()).sum();
        own + self.shared.waiting()
    }

    /// Takes the threads' lanes away; their tasks end with what they have begun.
    pub(super) fn close(&self) {
        self.list().clear();
    }

    fn mine(&self) -> Option<Arc<Set>> {
        MINE.with_borrow(|mine| mine.iter().find(|(id, _)| *id == self.id)?.1.upgrade())
    }

    fn list(&self) -> MutexGuard<'_, Vec<Arc<Set>>> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Set {
    fn new(runtime: &Handle, connector: &Connector, progress: &Arc<Progress>, scans: usize) -> Self {
        Self {
            points: Lanes::new(runtime, connector, progress, POINT_LANES, POINTS_TOGETHER),
            scans: Lanes::new(runtime, connector, progress, scans, SCANS_TOGETHER),
        }
    }

    fn waiting(&self) -> u64 {
        self.points.waiting() + self.scans.waiting()
    }
}
