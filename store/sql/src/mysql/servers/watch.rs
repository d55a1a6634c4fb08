//! Looks at every server again and again: whether it answers, takes writes, and how far it is.
//!
//! How old a replica's rows may be is measured without clocks of other machines: the primary's position, asked for at a
//! moment, holds everything that was acknowledged by then; a replica that contains it is at least that fresh.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rowkeep_mysql::Connection;
use tokio::time::{sleep, sleep_until, timeout};

use super::election::Change;
use super::server::{Server, ask};
use super::{Reached, Servers};
use crate::mysql::errors::Failed;

/// Between two looks.
const INTERVAL: Duration = Duration::from_millis(200);
/// The same while reads wait for a replica to get further.
const HURRY: Duration = Duration::from_millis(1);
/// Between two looks that others ask for.
const LEAST: Duration = Duration::from_millis(10);
/// A server that takes longer to say how far it is is not used.
const PATIENCE: Duration = Duration::from_millis(700);

/// Goes on until the store is gone.
pub(super) async fn run(servers: std::sync::Weak<Servers>, number: usize) {
    let mut watch = Watch::default();
    loop {
        let Some(all) = servers.upgrade() else { return };
        let server = Arc::clone(all.server(number));
        let asked = Instant::now();
        if watch.generation != server.progress.generation() {
            (watch.connection, watch.generation) = (None, server.progress.generation());
        }
        match timeout(PATIENCE, watch.look(&server)).await {
            Ok(Ok(look)) => {
                watch.last = Some(asked);
                all.seen(number, asked, look);
            }
            Ok(Err(failed)) => {
                watch.connection = None;
                all.lost(number, &failed.into());
            }
            Err(_) => {
                watch.connection = None;
                all.lost(number, &silent());
            }
        }
        drop(all);
        let pause = if server.progress.awaited.load(Ordering::Acquire) > 0 { HURRY } else { INTERVAL };
        tokio::select! {
            () = sleep(pause) => {}
            // Many may want to know at once, again and again.
            () = server.progress.look.notified() => sleep_until((asked + LEAST).into()).await,
        }
    }
}

fn silent() -> kit_core::Error {
    kit_core::Error::new(kit_core::Code::Unavailable, "STORAGE_UNREACHABLE", "the server does not answer")
}

/// What was seen of a server.
pub(super) struct Look {
    pub(super) reached: Arc<Reached>,
    /// It was restarted since it was seen last.
    pub(super) restarted: bool,
}

#[derive(Default)]
struct Watch {
    connection: Option<Connection>,
    /// Of the connection.
    generation: u64,
    /// When the server was last asked and answered.
    last: Option<Instant>,
}

impl Watch {
    async fn look(&mut self, server: &Server) -> Result<Look, Failed> {
        let (connection, restarted) = match &mut self.connection {
            Some(connection) => (connection, false),
            None => {
                let mut connection = server.connector.open().await?;
                let uptime = uptime(&mut connection).await?;
                let restarted = self.last.is_some_and(|last| uptime < last.elapsed());
                (self.connection.insert(connection), restarted)
            }
        };
        Ok(Look { reached: ask(connection, &server.progress).await?, restarted })
    }
}

/// How long a server runs, in whole seconds.
async fn uptime(connection: &mut Connection) -> Result<Duration, Failed> {
    let rows = connection.query("SHOW GLOBAL STATUS LIKE 'Uptime'").await?;
    let seconds = rows.first().and_then(|row| row.get(1)?.as_deref()?.parse().ok());
    Ok(Duration::from_secs(seconds.unwrap_or(0)))
}

/// Tells an operator what happened.
pub(super) fn tell(servers: &Servers, change: &Change) {
    let address = |number: usize| servers.server(number).connector.address().to_string();
    match change {
        Change::Promoted { server, behind: false } => {
            tracing::warn!(server = address(*server), "this server is the primary now: writes go there");
        }
        Change::Promoted { server, behind: true } => {
            tracing::error!(
                server = address(*server),
                "this server is the primary now, and lacks writes that the one before it had: they are lost unless they \
                 are brought over; replicate semi-synchronously to be spared this"
            );
        }
        Change::Demoted { server } => {
            tracing::warn!(server = address(*server), "the primary takes no writes any more; waiting for another one");
        }
        Change::Intruder { server } => {
            tracing::error!(
                server = address(*server),
                "this server takes writes though it is not the primary: SET GLOBAL read_only = ON there, or rebuild it if \
                 it was the primary before"
            );
        }
    }
}
