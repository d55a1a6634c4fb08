//! The servers of a store: who is the primary, who may answer a read, and what is known of each.

mod choice;
mod copies;
mod election;
mod reached;
mod routes;
mod server;
mod status;
mod watch;

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use kit_core::{Code, Error};
use rowkeep_changes::Acked;
use rowkeep_engine::Point;
use tokio::runtime::Handle;
use tokio::time::timeout_at;

pub use copies::RowCopy;
pub(super) use copies::copies;
use election::Change;
pub(super) use election::{Election, Seen};
pub(super) use reached::{Reached, hashed, question, written};
pub(super) use routes::{Kind, ask};
pub(super) use server::{Progress, Server, ask as ask_position};
pub use status::{Role, ServerStatus};

use super::session::Connector;
use crate::dialect::Dialect;
use watch::Look;

/// Moments at which the primary's position is remembered: at five a second, ten minutes.
const MOMENTS: usize = 3000;
/// No server is the primary.
const NONE: usize = usize::MAX;

/// All of them. The one that is given as the database is number 0.
pub(super) struct Servers {
    servers: Vec<Arc<Server>>,
    /// [`NONE`], or who takes writes.
    primary: AtomicUsize,
    state: Mutex<State>,
    changed: tokio::sync::watch::Sender<u64>,
    /// How often a server was made the primary.
    promotions: AtomicU64,
    /// When the primary was last asked, as [`Progress`] counts.
    latest: AtomicU64,
    /// Commits that were acknowledged, for whoever follows the log.
    pub(super) acked: Arc<Acked>,
    /// Connections that broke.
    pub(super) lost: Arc<AtomicU64>,
    /// Reads that asked for less than the primary and were sent there.
    pub(super) fallbacks: AtomicU64,
}

struct State {
    election: Election,
    /// What the primary contained, and when it was last seen to contain no more.
    moments: VecDeque<(Instant, Arc<Reached>)>,
    /// Who is the primary, or was until there was none.
    last_primary: Option<usize>,
    /// What each server contained, and when that was known.
    observed: Vec<Option<(Instant, Arc<Reached>)>>,
}

impl Servers {
    /// Begins to watch. `election`: who was found to be the primary. `reports`: sessions are told where they were answered from
    /// even if there is only one server.
    pub(super) fn start(
        runtime: &Handle,
        connectors: Vec<Connector>,
        election: Election,
        writers: u32,
        reports: bool,
    ) -> Arc<Self> {
        let (changed, epoch, lost) = (tokio::sync::watch::Sender::new(0), Instant::now(), Arc::<AtomicU64>::default());
        let reports = reports || connectors.len() > 1;
        let server = |(number, connector): (usize, Connector)| {
            let progress = Progress::new(connector.dialect, reports, epoch, changed.clone(), Arc::clone(&lost));
            Arc::new(Server::new(runtime, number, connector, writers, progress))
        };
        let servers: Vec<Arc<Server>> = connectors.into_iter().enumerate().map(server).collect();
        let primary = AtomicUsize::new(election.primary().unwrap_or(NONE));
        let state = Mutex::new(State {
            last_primary: election.primary(),
            election,
            moments: VecDeque::new(),
            observed: vec![None; servers.len()],
        });
        let all = Arc::new(Self {
            servers,
            primary,
            state,
            changed,
            promotions: AtomicU64::new(0),
            latest: AtomicU64::new(0),
            acked: Arc::default(),
            lost,
            fallbacks: AtomicU64::new(0),
        });
        for number in 0..all.servers.len() {
            runtime.spawn(watch::run(Arc::downgrade(&all), number));
        }
        all
    }

    /// A commit was acknowledged under this name: its point.
    pub(super) fn acknowledged(&self, dialect: Dialect, gtid: &str) -> Option<Point> {
        if dialect == Dialect::MariaDb
            && let Ok(gtid) = gtid.parse()
        {
            self.acked.note(gtid);
        }
        written(dialect, gtid)
    }

    pub(super) fn server(&self, number: usize) -> &Arc<Server> {
        &self.servers[number]
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Server>> {
        self.servers.iter()
    }

    /// Whether there is only one: it is as fresh as anybody can ask.
    pub(super) fn is_single(&self) -> bool {
        self.servers.len() == 1
    }

    /// Whether sessions are told where they were answered from.
    pub(super) fn reports(&self) -> bool {
        self.server(0).progress.reports()
    }

    /// Who takes writes, if anybody does.
    pub(super) fn primary(&self) -> Option<&Arc<Server>> {
        self.servers.get(self.primary.load(Ordering::Acquire))
    }

    /// The same, or an error.
    pub(super) fn writer(&self) -> Result<&Arc<Server>, Error> {
        self.primary().ok_or_else(no_primary)
    }

    /// Waits for a primary until a moment.
    pub(super) async fn await_writer(&self, until: Instant) -> Result<&Arc<Server>, Error> {
        let mut changes = self.changed.subscribe();
        loop {
            if let Some(primary) = self.primary() {
                return Ok(primary);
            }
            if timeout_at(until.into(), changes.changed()).await.is_err() {
                return Err(no_primary());
            }
        }
    }

    /// Whether a server still takes the writes.
    pub(super) fn is_primary(&self, server: &Server) -> bool {
        self.primary.load(Ordering::Acquire) == server.number
    }

    /// Waits until another server is the primary than the one that was at this number of promotions; which, and their number.
    pub(super) async fn promoted(&self, since: u64) -> (&Arc<Server>, u64) {
        let mut changes = self.changed.subscribe();
        loop {
            let promotions = self.promotions();
            if let Some(primary) = self.primary().filter(|_| promotions != since) {
                return (primary, promotions);
            }
            if changes.changed().await.is_err() {
                // Never: the other end is ours.
                std::future::pending::<()>().await;
            }
        }
    }

    /// How often a server was made the primary since the start.
    pub(super) fn promotions(&self) -> u64 {
        self.promotions.load(Ordering::Acquire)
    }

    /// A server refused a write because it is not the primary, or could not be reached: everybody looks at once.
    pub(super) fn doubt(&self, server: &Server) {
        server.pool.forget();
        for other in &self.servers {
            other.progress.look.notify_one();
        }
    }

    /// For a thread that reads much.
    pub(super) fn attach(&self) {
        self.servers.iter().for_each(|server| server.readers.attach());
    }

    /// Takes what was seen of a server in. `asked`: when it was asked.
    fn seen(&self, number: usize, asked: Instant, Look { reached, restarted }: Look) {
        let server = &self.servers[number];
        let mut state = self.state();
        let change = state.election.observe(number, Arc::clone(&reached), restarted);
        self.follow(&mut state, change.as_ref());
        if self.primary().is_none() && state.last_primary == Some(number) {
            // Its address may lead to another server by now.
            server.renew();
        }
        if self.is_single() {
            server.progress.set_usable(true);
            return;
        }
        if state.election.primary() == Some(number) {
            match state.moments.back_mut() {
                Some((moment, last)) if last.contains_place_of(&reached) && reached.contains_place_of(last) => {
                    *moment = asked
                }
                _ => state.moments.push_back((asked, Arc::clone(&reached))),
            }
            if state.moments.len() > MOMENTS {
                state.moments.pop_front();
            }
            self.latest.fetch_max(server.progress.micros(asked), Ordering::AcqRel);
            server.progress.set_fresh_as_of(asked);
            server.progress.set_diverged(false);
            for other in self.servers.iter().filter(|other| other.number != number) {
                let contained = other.progress.reached();
                if !contained.writable {
                    refresh(&state.moments, other, &contained);
                }
                if let Some((known, contained)) = &state.observed[other.number]
                    && *known < asked
                {
                    note_divergence(other, !reached.knows_all(contained));
                }
            }
        } else if !reached.writable {
            refresh(&state.moments, server, &reached);
        }
        state.observed[number] = Some((Instant::now(), reached));
        drop(state);
        if server.progress.set_usable(true) && server.progress.ejections.load(Ordering::Relaxed) > 0 {
            tracing::info!(server = %server.connector.address(), "this server answers again");
        }
    }

    /// A server could not be asked.
    fn lost(&self, number: usize, error: &Error) {
        let server = &self.servers[number];
        let mut state = self.state();
        state.election.lost(number);
        state.observed[number] = None;
        drop(state);
        // It may come back as it was long ago.
        server.progress.forget_freshness();
        if !self.is_single() && !self.is_primary(server) {
            server.progress.recall();
        }
        if server.progress.set_usable(false) {
            tracing::warn!(server = %server.connector.address(), error = error as &dyn std::error::Error, "this server does not answer");
        }
    }

    /// Makes a change of the primary known.
    fn follow(&self, state: &mut State, change: Option<&Change>) {
        let Some(change) = change else { return };
        if let Change::Promoted { server, .. } = change {
            // An old primary may show what was never answered until it has followed this one.
            state.last_primary = Some(*server);
            self.promotions.fetch_add(1, Ordering::AcqRel);
            state.moments.clear();
            let others = self.servers.iter().filter(|other| other.number != *server);
            others.for_each(|other| other.progress.forget_freshness());
        }
        self.primary.store(state.election.primary().unwrap_or(NONE), Ordering::Release);
        self.changed.send_modify(|count| *count = count.wrapping_add(1));
        watch::tell(self, change);
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A replica that contained what the primary does not contain later has a history of its own.
fn note_divergence(server: &Server, diverged: bool) {
    if server.progress.set_diverged(diverged) {
        let server = server.connector.address();
        if diverged {
            tracing::error!(%server, "this replica has writes that the primary does not have: rebuild it; it is not read from");
        } else {
            tracing::info!(%server, "this replica has the history of the primary again");
        }
    }
}

/// Finds the latest moment up to which a server contains everything.
fn refresh(moments: &VecDeque<(Instant, Arc<Reached>)>, server: &Server, reached: &Reached) {
    if let Some((moment, _)) = moments.iter().rev().find(|(_, moment)| reached.contains_place_of(moment)) {
        server.progress.set_fresh_as_of(*moment);
    }
}

pub(super) fn no_primary() -> Error {
    let message = "no database server takes writes at the moment: the primary is gone or was made read-only, and no other \
         was made the primary; see `rowkeep status`";
    Error::new(Code::Unavailable, "NO_PRIMARY", message).with_retry_after(Duration::from_millis(500))
}
