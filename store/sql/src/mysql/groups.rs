//! New rows that arrive together share a transaction: the server's work for a commit, and its flush to disk, is then done
//! once for many. Each has its own answer.
//!
//! Only programs that add one row and read nothing on their way are put together ([`Program::only_adds`]). They need no
//! savepoints, because a statement that fails has done nothing, and lock nothing that others want, so that those who share
//! a transaction do not wait for each other's neighbours. Whatever goes wrong with the transaction itself, each program is
//! then run alone, as if there had been no group.

use std::collections::{BTreeMap, VecDeque};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use kit_core::{Error, Reply};
use rowkeep_engine::{Outcome, Program};
use rowkeep_schema::EntityId;
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::adding;
use super::errors::{Fate, classify, is_undone};
use super::servers::no_primary;
use super::session::patiently;
use super::store::Shared;
use super::tx::Ended;
use super::watch::{Before, Watch, late};
use super::writes::{clean_up, place, reserve, roll_back, transact, unknown};

/// Groups of a table that run at the same time: while one is flushed, others are filled.
const AT_ONCE: usize = 3;
/// Programs of a group.
const MOST: usize = 64;

/// Programs that wait for a group, by table: while one is locked, or slow, rows of the others go on.
#[derive(Default)]
pub(super) struct Groups(Mutex<BTreeMap<EntityId, Waiting>>);

#[derive(Default)]
struct Waiting {
    programs: VecDeque<Member>,
    /// Groups.
    running: usize,
}

struct Member {
    program: Program,
    answer: oneshot::Sender<Result<Outcome, Error>>,
    watch: Arc<Watch>,
}

impl Groups {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<EntityId, Waiting>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The next group, or none: whoever asks then stops.
    fn next(&self, entity: EntityId) -> Option<Vec<Member>> {
        let mut tables = self.lock();
        let waiting = tables.get_mut(&entity)?;
        let count = waiting.programs.len().min(MOST);
        if count == 0 {
            waiting.running -= 1;
            return None;
        }
        Some(waiting.programs.drain(..count).collect())
    }
}

/// Runs a program with others.
pub(super) fn join(
    shared: &Arc<Shared>,
    runtime: &Handle,
    entity: EntityId,
    program: Program,
) -> Reply<'static, Result<Outcome, Error>> {
    let (answer, answered) = oneshot::channel();
    let watch = Arc::new(Watch::until(program.deadline()));
    let mut tables = shared.groups.lock();
    let waiting = tables.entry(entity).or_default();
    waiting.programs.push_back(Member { program, answer, watch: Arc::clone(&watch) });
    let starts = waiting.running < AT_ONCE;
    waiting.running += usize::from(starts);
    drop(tables);
    if starts {
        runtime.spawn(work(Arc::clone(shared), entity));
    }
    let answered = async { answered.await.unwrap_or_else(|_| Err(Error::internal("a write panicked"))) };
    Reply::later(async move { watch.wait(answered).await })
}

async fn work(shared: Arc<Shared>, entity: EntityId) {
    while let Some(mut members) = shared.groups.next(entity) {
        // A caller who went away before anything was done wants nothing done.
        members.retain(|member| !member.answer.is_closed());
        let group = tokio::spawn(run(Arc::clone(&shared), entity, members)).await;
        if let Err(error) = group {
            tracing::error!(%error, "a group of writes panicked");
        }
    }
}

async fn run(shared: Arc<Shared>, entity: EntityId, mut members: Vec<Member>) {
    match together(&shared, entity, &mut members).await {
        Ok(results) => {
            for (member, result) in members.into_iter().zip(results) {
                match result {
                    Some(result) => drop(member.answer.send(result)),
                    None => alone(&shared, member),
                }
            }
        }
        Err(error) => {
            tracing::debug!(error = &error as &dyn std::error::Error, "a group of writes is run one by one");
            let awaited = members.into_iter().filter(|member| !member.answer.is_closed());
            awaited.for_each(|member| alone(&shared, member));
        }
    }
}

fn alone(shared: &Arc<Shared>, Member { program, answer, watch }: Member) {
    let shared = Arc::clone(shared);
    tokio::spawn(async move { drop(answer.send(transact(shared, program, &watch).await)) });
}

/// What each program answers, once what they wrote is durable; `None` if it has to be run again. An error means that
/// nothing was written.
async fn together(
    shared: &Arc<Shared>,
    entity: EntityId,
    members: &mut [Member],
) -> Result<Vec<Option<Result<Outcome, Error>>>, Error> {
    let server = shared.servers.writer()?;
    let deadline = members.iter().filter_map(|member| member.watch.deadline()).min();
    let mut held = server.pool.take(false, deadline).await?;
    let programs = members.iter_mut().map(|member| &mut member.program).collect();
    let (mut results, ended) = adding::add(shared, held.connection(), entity, programs, deadline).await;
    let Ended { begun, version, fate, silent, error, .. } = ended;
    if let Some(error) = error {
        if let Some(fate) = fate {
            shared.count(fate);
        }
        if fate == Some(Fate::Lost) && deadline.is_none_or(|deadline| Instant::now() < deadline) {
            shared.servers.doubt(server);
        }
        clean_up(held, begun, fate, silent).await;
        return Err(error);
    }
    let connection = held.connection();
    if !begun {
        return Ok(results.into_iter().map(Some).collect());
    }
    if let Err(error) = reserve(shared, server, version).await {
        roll_back(connection).await;
        return Err(error);
    }
    if !shared.servers.is_primary(server) {
        roll_back(connection).await;
        return Err(no_primary());
    }
    let Some(before) = commits(members) else {
        roll_back(connection).await;
        return Err(late());
    };
    match patiently(connection.command("COMMIT")).await {
        Ok(done) => {
            shared.commits.fetch_add(1, Ordering::Relaxed);
            let place = place(shared, server, connection, done).await;
            for outcome in results.iter_mut().flatten() {
                outcome.position.clone_from(&place);
            }
            Ok(results.into_iter().map(Some).collect())
        }
        Err(error) if !is_undone(&error) => {
            roll_back(connection).await;
            shared.count(Fate::Lost);
            shared.servers.doubt(server);
            // One that was refused wrote nothing; the row that was in its way may be another member's, and never have been.
            let doubt = |result: Result<Outcome, Error>| result.is_ok().then(|| Err(unknown()));
            tracing::warn!(%error, "writes were being committed, and whether they were is not known");
            Ok(results.into_iter().map(doubt).collect())
        }
        Err(error) => {
            undone(members, &before);
            roll_back(connection).await;
            Err(classify(error))
        }
    }
}

/// Whether all members may be committed; if one may not, none is.
fn commits(members: &[Member]) -> Option<Vec<Before>> {
    let before: Vec<Before> = members.iter().map_while(|member| member.watch.commits()).collect();
    if before.len() == members.len() {
        return Some(before);
    }
    undone(members, &before);
    None
}

fn undone(members: &[Member], before: &[Before]) {
    members.iter().zip(before).for_each(|(member, before)| member.watch.undone(before));
}
