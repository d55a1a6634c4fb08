//! Transactions from their begin to an answer that is true.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use kit_core::{Applied, Code, Error};
use rowkeep_engine::{Outcome, Program};
use rowkeep_mysql::{Connection, Error as DriverError, Param};

use super::errors::{Fate, classify, fate as fate_of};
use super::meta;
use super::session::patiently;
use super::store::Shared;
use super::tx::MySqlTx;

/// Runs of one program: with jittered pauses between them, about two seconds in all.
const ATTEMPTS: u32 = 12;
/// Versions are reserved in steps: 10 minutes of microseconds.
const FLOOR_STEP: u64 = 600_000_000;

/// What came of one run.
enum Run {
    /// The program's own answer.
    Answer(Result<Outcome, Error>),
    /// It did not happen. Run again, it may.
    Failed(Error, Fate),
    /// Nobody knows whether it happened.
    Unknown(DriverError),
}

/// Runs a program until it has an answer.
pub(super) async fn transact(shared: Arc<Shared>, mut program: Program) -> Result<Outcome, Error> {
    // Set once an earlier run may have happened: no error says then that nothing was written, unless the program itself
    // found that it had not.
    let (mut in_doubt, mut looked_again, mut fresh) = (false, false, false);
    for attempt in 1..=ATTEMPTS {
        let (error, fate) = match run(&shared, &mut program, fresh).await {
            // It may have been refused for what the earlier run was about to commit; now that one has ended.
            Run::Answer(Err(error)) if in_doubt && !looked_again => {
                looked_again = true;
                (error, Fate::Conflict)
            }
            Run::Answer(Err(error)) if in_doubt && !is_verdict(&error) => (error, Fate::Refused),
            Run::Answer(answer) => return answer,
            Run::Failed(error, fate) => (error, fate),
            // Run again, it finds its own answer, or that there is none.
            Run::Unknown(error) => {
                in_doubt = true;
                (unknown().with_source(error), if program.is_remembered() { Fate::Lost } else { Fate::Refused })
            }
        };
        if fate == Fate::Refused || attempt == ATTEMPTS {
            return Err(if in_doubt { unknown().with_source(error) } else { error });
        }
        shared.count(fate);
        if fate == Fate::Lost {
            fresh = true;
            shared.writers.forget();
        }
        tokio::time::sleep(pause(attempt)).await;
    }
    Err(Error::internal("a transaction without an end"))
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

async fn run(shared: &Arc<Shared>, program: &mut Program, fresh: bool) -> Run {
    let mut held = match shared.writers.take(fresh).await {
        Ok(held) => held,
        Err(error) => {
            let fate = if error.reason() == "STORAGE_UNREACHABLE" { Fate::Lost } else { Fate::Refused };
            return Run::Failed(error, fate);
        }
    };
    let connection = held.connection();
    let mut tx = MySqlTx::new(shared, connection, program.isolation());
    let result = program.run(&mut tx).await;
    let (begun, version, fate) = (tx.has_begun(), tx.version, tx.fate);
    if let Some(fate) = fate {
        if fate == Fate::Conflict {
            roll_back(connection).await;
        }
        return Run::Failed(conflict(result.err(), fate), fate);
    }
    if !begun || !result.as_ref().is_ok_and(|outcome| outcome.keep) {
        if begun {
            roll_back(connection).await;
        }
        return Run::Answer(result);
    }
    if let Err(error) = reserve(shared, version).await {
        roll_back(connection).await;
        return Run::Failed(error, Fate::Refused);
    }
    match patiently(connection.command("COMMIT")).await {
        Ok(_) => {
            shared.position.fetch_add(1, Ordering::Release);
            Run::Answer(result)
        }
        Err(error) => match fate_of(&error) {
            Fate::Lost => Run::Unknown(error),
            // A commit that is refused has been rolled back, or is now.
            fate => {
                roll_back(connection).await;
                Run::Failed(classify(error), fate)
            }
        },
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
    let message = "the connection to the database was lost while the write was committed; whether it happened is not \
         known: read, or send the request again with the request id it had";
    Error::new(Code::Unavailable, "COMMIT_UNKNOWN", message).with_applied(Applied::Unknown)
}

/// Makes sure that no later start of any instance gives a version up to this one again.
pub(super) async fn reserve(shared: &Shared, version: u64) -> Result<(), Error> {
    if version <= shared.reserved.load(Ordering::Acquire) {
        return Ok(());
    }
    let _one_at_a_time = shared.reserving.lock().await;
    if version <= shared.reserved.load(Ordering::Acquire) {
        return Ok(());
    }
    let reserved = version.saturating_add(FLOOR_STEP);
    // On a connection of its own: the row would else be locked until the transaction ends.
    let mut connection = shared.writers.connector.open().await.map_err(classify)?;
    let floor = reserved.to_be_bytes();
    patiently(meta::run(&mut connection, meta::RAISE_FLOOR, &[Param::Bytes(&floor)])).await?;
    connection.close().await;
    shared.reserved.store(reserved, Ordering::Release);
    Ok(())
}
