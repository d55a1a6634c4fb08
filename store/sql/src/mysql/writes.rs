//! Transactions from their begin to an answer that is true.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use kit_core::{Applied, Code, Error};
use rowkeep_engine::{Atomicity, Isolation, Outcome, Position, Program};
use rowkeep_mysql::{Connection, Done, Error as DriverError, Param};

use super::errors::{Fate, classify, fate as fate_of, is_undone};
use super::meta;
use super::pool::Held;
use super::servers::{self, Server, no_primary};
use super::session::patiently;
use super::store::Shared;
use super::tx::{Ended, MySqlTx};
use super::watch::{Before, Watch, late};

/// Runs of one program that meets others: with jittered pauses between them, about two seconds in all.
const ATTEMPTS: u32 = 12;
/// How long a program is run again while the primary is gone and another one may be made.
const FAILOVER: Duration = Duration::from_secs(2);
/// The pause between these runs, at most.
const FAILOVER_PAUSE: Duration = Duration::from_millis(50);
/// Versions are reserved in steps: 10 minutes of microseconds.
const FLOOR_STEP: u64 = 600_000_000;

/// What came of one run.
enum Run {
    /// The program's own answer.
    Answer(Result<Outcome, Error>),
    /// It did not happen. Run again, it may.
    Failed(Error, Fate),
    /// A write failed that the program was told was made. It did not happen.
    Void,
    /// Nobody knows whether it happened, or it did and cannot be answered.
    Unknown(Error),
}

/// How a program is run.
#[derive(Clone, Copy, Default)]
struct Way {
    /// On a new connection.
    fresh: bool,
    /// Each write is made before the next.
    in_order: bool,
    /// Another run may have been told what this one looks for.
    again: bool,
}

/// Runs a program until it has an answer.
pub(super) async fn transact(shared: Arc<Shared>, mut program: Program, watch: &Watch) -> Result<Outcome, Error> {
    // Set once an earlier run may have happened: no error says then that nothing was written, unless the program itself
    // found that it had not.
    let (mut in_doubt, mut looked_again, mut way, mut attempt) = (false, false, Way::default(), 0);
    let give_up = give_up(watch.deadline());
    loop {
        attempt += 1;
        let (error, fate) = match run(&shared, &mut program, watch, way, give_up).await {
            // It may have been refused for what the earlier run was about to commit; now that one has ended.
            Run::Answer(Err(error)) if in_doubt && !looked_again => {
                (looked_again, way.again) = (true, true);
                (error, Fate::Conflict)
            }
            Run::Answer(Err(error)) if in_doubt && !is_verdict(&error) => (error, Fate::Refused),
            // The same request may have been answered while this one waited for its rows, and its answer is for both.
            Run::Answer(Err(error)) if program.is_remembered() && !looked_again && is_verdict(&error) => {
                (looked_again, way.again) = (true, true);
                continue;
            }
            Run::Answer(answer) => return answer,
            Run::Failed(error, fate) => (error, fate),
            Run::Void => {
                way.in_order = true;
                continue;
            }
            // Run again, it finds its own answer, or that there is none.
            Run::Unknown(error) => {
                in_doubt = true;
                (unknown().with_source(error), if program.is_remembered() { Fate::Lost } else { Fate::Refused })
            }
        };
        let is_over = match fate {
            Fate::Refused => true,
            Fate::Conflict => attempt >= ATTEMPTS,
            Fate::Moved | Fate::Lost => Instant::now() >= give_up,
        };
        if is_over {
            // Whoever stops waiting at the deadline is answered alike, whichever of the two is first.
            let is_late = fate == Fate::Lost && watch.deadline().is_some_and(|deadline| Instant::now() >= deadline);
            return Err(match (in_doubt, is_late) {
                (true, _) => unknown().with_source(error),
                (false, true) => late().with_source(error),
                (false, false) => error,
            });
        }
        shared.count(fate);
        way.fresh |= fate == Fate::Lost;
        let pause = pause(attempt);
        tokio::time::sleep(if fate == Fate::Conflict { pause } else { pause.min(FAILOVER_PAUSE) }).await;
    }
}

/// Until when a primary is waited for: who has a deadline is told before it that there is none.
fn give_up(deadline: Option<Instant>) -> Instant {
    let (now, longest) = (Instant::now(), Instant::now() + FAILOVER);
    deadline.map_or(longest, |deadline| longest.min(now + deadline.saturating_duration_since(now) * 4 / 5))
}

/// Whether an error says what the program found in the rows, for which it waited until an earlier run of its own had ended.
/// Others say nothing of that run: the deadline passed, the server takes no more writes, its disk is full.
fn is_verdict(error: &Error) -> bool {
    matches!(
        error.code(),
        Code::InvalidArgument | Code::NotFound | Code::AlreadyExists | Code::Aborted | Code::FailedPrecondition
    )
}

/// Full jitter: those that were in each other's way do not meet again.
fn pause(attempt: u32) -> Duration {
    let most = 1_u64 << attempt.min(8);
    Duration::from_micros(rand::random_range(0..=most * 1000))
}

async fn run(shared: &Arc<Shared>, program: &mut Program, watch: &Watch, way: Way, give_up: Instant) -> Run {
    let server = match shared.servers.await_writer(give_up).await {
        Ok(server) => server,
        Err(error) => return Run::Failed(error, Fate::Moved),
    };
    let run = run_on(shared, server, program, watch, way).await;
    // A statement that was given up because its caller has no time left says nothing of the server.
    let is_late = watch.deadline().is_some_and(|deadline| Instant::now() >= deadline);
    if let Run::Failed(_, Fate::Moved | Fate::Lost) | Run::Unknown(_) = run
        && !is_late
    {
        shared.servers.doubt(server);
    }
    run
}

async fn run_on(shared: &Arc<Shared>, server: &Server, program: &mut Program, watch: &Watch, way: Way) -> Run {
    let mut held = match server.pool.take(way.fresh, watch.deadline()).await {
        Ok(held) => held,
        Err(error) => {
            let fate = fate_of_opening(&error);
            return Run::Failed(error, fate);
        }
    };
    let is_gateway = server.connector.dialect.is_gateway();
    // A gateway takes the level of the next transaction for that of all that follow.
    if is_gateway && program.isolation() == Isolation::Serializable {
        held.only_once();
    }
    let mut tx = MySqlTx::new(shared, held.connection(), program.isolation(), program.needs(), watch.deadline());
    tx.defers = !way.in_order && !is_gateway && program.changes() > 1;
    tx.recalls_settled = way.again && shared.shards().is_some();
    let is_local = shared.capabilities.atomicity == Atomicity::Local;
    tx.closes = !way.in_order && !is_gateway && program.changes() == 1 && is_local;
    let mut result = program.run(&mut tx).await;
    // The write is still to be sent, and the commit may go with it.
    if tx.is_one_write()
        && result.as_ref().is_ok_and(|outcome| outcome.keep)
        && tx.version() <= shared.reserved.load(Ordering::Acquire)
        && shared.servers.is_primary(server)
        && let Some(before) = watch.commits()
    {
        let (ended, committed) = tx.end_with_commit().await;
        let connection = held.connection();
        return match committed {
            Some(committed) => answer(shared, server, connection, result, committed, watch, &before).await,
            None if ended.fate == Some(Fate::Lost) || ended.silent => {
                clean_up(held, true, ended.fate, ended.silent).await;
                Run::Unknown(conflict(ended.error, Fate::Lost))
            }
            None => {
                watch.undone(&before);
                clean_up(held, true, ended.fate, false).await;
                ended.fate.map_or(Run::Void, |fate| Run::Failed(conflict(ended.error, fate), fate))
            }
        };
    }
    let Ended { begun, version, fate, is_false, silent, error } = tx.end().await;
    result = error.map_or(result, Err);
    if fate.is_some() || is_false || silent {
        clean_up(held, begun, fate, silent).await;
        return match fate {
            Some(fate) => Run::Failed(conflict(result.err(), fate), fate),
            None if is_false => Run::Void,
            None => Run::Answer(result),
        };
    }
    let connection = held.connection();
    if !begun || !result.as_ref().is_ok_and(|outcome| outcome.keep) {
        if begun {
            roll_back(connection).await;
        }
        if let Ok(outcome) = &mut result
            && outcome.replayed
            && shared.servers.reports()
        {
            // What was written then must be seen by whoever reads next.
            match seen_place(server, connection).await {
                Ok(place) => outcome.position = Some(place),
                Err(error) => return Run::Unknown(error),
            }
        }
        return Run::Answer(result);
    }
    if let Err(error) = reserve(shared, server, version).await {
        roll_back(connection).await;
        let fate = fate_of_opening(&error);
        return Run::Failed(error, fate);
    }
    if !shared.servers.is_primary(server) {
        roll_back(connection).await;
        return Run::Failed(no_primary(), Fate::Moved);
    }
    let Some(before) = watch.commits() else {
        roll_back(connection).await;
        return Run::Answer(Err(late()));
    };
    let committed = patiently(connection.command("COMMIT")).await;
    answer(shared, server, connection, result, committed, watch, &before).await
}

/// What the answer to a commit means.
async fn answer(
    shared: &Shared,
    server: &Server,
    connection: &mut Connection,
    mut result: Result<Outcome, Error>,
    committed: Result<Done, DriverError>,
    watch: &Watch,
    before: &Before,
) -> Run {
    match committed {
        Ok(done) => {
            shared.commits.fetch_add(1, Ordering::Relaxed);
            if let Ok(outcome) = &mut result {
                outcome.position = place(shared, server, connection, done).await;
            }
            Run::Answer(result)
        }
        // It has been rolled back, or is now.
        // In shards a decision may have been made before the error, and is then carried out later.
        Err(error) if is_undone(&error) && shared.capabilities.atomicity == Atomicity::Local => {
            let fate = fate_of(&error);
            watch.undone(before);
            roll_back(connection).await;
            Run::Failed(classify(error), fate)
        }
        Err(error) => {
            // What the server still knows of it is not for the next.
            roll_back(connection).await;
            Run::Unknown(classify(error))
        }
    }
}

/// What it means for a write that no connection could be opened.
fn fate_of_opening(error: &Error) -> Fate {
    match error.reason() {
        "STORAGE_UNREACHABLE" => Fate::Lost,
        "STORAGE_READ_ONLY" => Fate::Moved,
        _ => Fate::Refused,
    }
}

/// Where a session has got that has seen what the server shows.
async fn seen_place(server: &Server, connection: &mut Connection) -> Result<Position, Error> {
    let reached = patiently(servers::ask_position(connection, &server.progress)).await?;
    Ok(reached.place.clone())
}

/// Where a session has got that made this commit. One that changed nothing has none of its own, and has seen what the
/// server shows.
pub(super) async fn place(
    shared: &Shared,
    server: &Server,
    connection: &mut Connection,
    done: Done,
) -> Option<Position> {
    let dialect = server.connector.dialect;
    if let Some(point) = done.gtid.and_then(|gtid| shared.servers.acknowledged(dialect, &gtid)) {
        return Some(point.into());
    }
    if !shared.servers.reports() {
        return None;
    }
    seen_place(server, connection).await.ok()
}

/// Undoes what was begun, if the connection can still be used.
pub(super) async fn clean_up(mut held: Held<'_>, begun: bool, fate: Option<Fate>, silent: bool) {
    if silent {
        held.abandon();
    } else if fate == Some(Fate::Lost) {
        held.only_once();
    } else if begun {
        roll_back(held.connection()).await;
    }
}

/// A connection on which that fails is closed, which comes to the same.
pub(super) async fn roll_back(connection: &mut Connection) {
    if let Err(error) = patiently(connection.command("ROLLBACK")).await {
        tracing::debug!(%error, "a transaction was not rolled back by hand; its connection is closed");
    }
}

/// What stopped a program, in the words of the table where the engine has wrapped it.
fn conflict(error: Option<Error>, fate: Fate) -> Error {
    match error {
        Some(error) if fate != Fate::Conflict || error.code() == Code::Aborted => error,
        error => {
            let source = error.unwrap_or_else(|| Error::internal("a program went on in a transaction that had ended"));
            Error::new(Code::Aborted, "CONFLICT", "other writes of the same rows were in the way each time; try again")
                .with_retry_after(Duration::from_millis(50))
                .with_source(source)
        }
    }
}

pub(super) fn unknown() -> Error {
    let message = "the database failed, or the connection to it, while the write was committed; whether it happened is \
         not known: read, or send the request again with the request id it had";
    Error::new(Code::Unavailable, "COMMIT_UNKNOWN", message).with_applied(Applied::Unknown)
}

/// Makes sure that no later start of any instance gives a version up to this one again.
pub(super) async fn reserve(shared: &Shared, server: &Server, version: u64) -> Result<(), Error> {
    if version <= shared.reserved.load(Ordering::Acquire) {
        return Ok(());
    }
    let _one_at_a_time = shared.reserving.lock().await;
    if version <= shared.reserved.load(Ordering::Acquire) {
        return Ok(());
    }
    let reserved = version.saturating_add(FLOOR_STEP);
    // On a connection of its own: the row would else be locked until the transaction ends.
    let mut connection = server.connector.open_to_write().await?;
    let floor = reserved.to_be_bytes();
    patiently(meta::run(&mut connection, meta::RAISE_FLOOR, &[Param::Bytes(&floor)])).await?;
    connection.close().await;
    shared.reserved.store(reserved, Ordering::Release);
    Ok(())
}
