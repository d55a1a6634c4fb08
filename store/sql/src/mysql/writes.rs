//! Transactions from their begin to an answer that is true.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use kit_core::{Applied, Code, Error};
use rowkeep_engine::{Outcome, Program};
use rowkeep_mysql::{Error as DriverError, Param};

use super::errors::{Failed, Fate, classify, fate};
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
    /// The answer, whatever it is.
    Answer(Result<Outcome, Error>),
    /// It did not happen, and may be tried again.
    Again(Error, Fate),
    /// Nobody knows whether it happened.
    Unknown(DriverError),
}

/// Runs a program until it has an answer.
pub(super) async fn transact(shared: Arc<Shared>, mut program: Program) -> Result<Outcome, Error> {
    let mut fresh = false;
    for attempt in 1.. {
        let (error, fate) = match run(&shared, &mut program, fresh).await {
            Run::Answer(answer) => return answer,
            Run::Again(error, fate) => (error, fate),
            // Run again, it finds its own answer, or that there is none.
            Run::Unknown(error) if program.is_remembered() => (unknown().with_source(error), Fate::Lost),
            Run::Unknown(error) => return Err(unknown().with_source(error)),
        };
        if attempt >= ATTEMPTS {
            return Err(error);
        }
        if fate == Fate::Conflict {
            shared.conflicts.fetch_add(1, Ordering::Relaxed);
        } else {
            fresh = true;
            shared.lost.fetch_add(1, Ordering::Relaxed);
            shared.writers.forget();
        }
        tokio::time::sleep(pause(attempt)).await;
    }
    Err(Error::internal("a transaction without an end"))
}

/// Full jitter: those that were in each other's way do not meet again.
fn pause(attempt: u32) -> Duration {
    let most = 1_u64 << attempt.min(8);
    Duration::from_micros(rand::random_range(0..=most * 1000))
}

async fn run(shared: &Arc<Shared>, program: &mut Program, fresh: bool) -> Run {
    let mut held = match shared.writers.take(fresh).await {
        Ok(held) => held,
        Err(error) if error.reason() == "STORAGE_UNREACHABLE" => return Run::Again(error, Fate::Lost),
        Err(error) => return Run::Answer(Err(error)),
    };
    let connection = held.connection();
    let mut tx = MySqlTx::new(shared, connection);
    let result = program.run(&mut tx).await;
    let (begun, version, fate) = (tx.has_begun(), tx.version, tx.fate);
    let result = match result {
        Ok(outcome) if outcome.keep && begun => Ok(outcome),
        other => {
            if begun && fate != Some(Fate::Lost) && patiently(connection.command("ROLLBACK")).await.is_err() {
                tracing::debug!("a transaction was not rolled back by hand; its connection is closed");
            }
            return match (other, fate) {
                (Err(error), Some(fate)) => {
                    Run::Again(if fate == Fate::Conflict { conflict(error) } else { error }, fate)
                }
                (answer, _) => Run::Answer(answer),
            };
        }
    };
    if let Err(error) = reserve(shared, version).await {
        let _ = patiently(connection.command("ROLLBACK")).await;
        return Run::Answer(Err(error));
    }
    match patiently(connection.command("COMMIT")).await {
        Ok(_) => {
            shared.position.fetch_add(1, Ordering::Release);
            Run::Answer(result)
        }
        Err(error) => match super::errors::fate(&error) {
            Fate::Conflict => Run::Again(classify(error), Fate::Conflict),
            Fate::Lost => Run::Unknown(error),
            // A commit that is refused has been rolled back.
            Fate::Refused => {
                let _ = patiently(connection.command("ROLLBACK")).await;
                Run::Answer(Err(classify(error)))
            }
        },
    }
}

/// A conflict that the engine wrapped, in the words of the table.
fn conflict(error: Error) -> Error {
    if error.code() == Code::Aborted {
        return error;
    }
    Error::new(Code::Aborted, "CONFLICT", "other writes of the same rows were in the way each time; try again")
        .with_retry_after(Duration::from_millis(50))
        .with_source(error)
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
    let raised = meta::run(&mut connection, meta::RAISE_FLOOR, &[Param::Bytes(&reserved.to_be_bytes())]).await;
    raised.map_err(|failed| match failed {
        Failed::Driver(error) => {
            debug_assert!(fate(&error) != Fate::Conflict || error.code().is_some());
            classify(error)
        }
        Failed::Other(error) => error,
    })?;
    connection.close().await;
    shared.reserved.store(reserved, Ordering::Release);
    Ok(())
}
