//! A read on its way to a server that may answer it, and to another if that one fails.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kit_core::{Code, Error, Reply};
use rowkeep_engine::{Freshness, Session};
use tokio::time::sleep;

use super::Server;
use super::choice::Avoided;
use crate::mysql::lanes::Answer;
use crate::mysql::reads::{Found, Read};
use crate::mysql::store::Shared;

/// How long a read that only the primary can answer is asked again while there is none.
const PATIENCE: Duration = Duration::from_secs(2);
/// Between two of these.
const PAUSE: Duration = Duration::from_millis(20);

/// Which lanes a read takes.
#[derive(Debug, Clone, Copy)]
pub(in crate::mysql) enum Kind {
    /// By key.
    Point,
    /// A list or a count.
    Scan,
}

/// Asks a server that may answer.
pub(in crate::mysql) fn ask<'a>(
    shared: &Arc<Shared>,
    kind: Kind,
    read: Read,
    session: &'a Session,
) -> Reply<'a, Result<Found, Error>> {
    let read = Arc::new(read);
    if shared.servers.is_single() {
        let answer = send(shared.servers.server(0), kind, &read);
        return answer.map(|answer| {
            answer.map(|answer| {
                answer.tell(session, true);
                answer.found
            })
        });
    }
    Reply::later(routed(Arc::clone(shared), kind, read, session))
}

fn send(server: &Server, kind: Kind, read: &Arc<Read>) -> Reply<'static, Result<Answer, Error>> {
    match kind {
        Kind::Point => server.readers.point(Arc::clone(read)),
        Kind::Scan => server.readers.scan(Arc::clone(read)),
    }
}

async fn routed(shared: Arc<Shared>, kind: Kind, read: Arc<Read>, session: &Session) -> Result<Found, Error> {
    let (servers, give_up, mut avoided) = (&shared.servers, Instant::now() + PATIENCE, Avoided::default());
    loop {
        let (freshness, seen) = (session.freshness(), session.seen());
        let failed = match servers.choose(freshness, &seen, avoided).await {
            Err(error) => error,
            Ok((server, regressions)) => {
                let in_flight = server.progress.begin();
                let answered = send(server, kind, &read).await;
                let is_primary = servers.is_primary(server);
                match answered {
                    Ok(answer) if is_primary => {
                        // It was the primary when it was asked, and may not have been when it answered.
                        let strict = matches!(freshness, Freshness::Strong | Freshness::Session);
                        // A new primary may still do what it received. What it lacks for long is lost.
                        let behind = freshness == Freshness::Session && !answer.contains(&seen);
                        if (!strict || answer.is_from_primary()) && (!behind || Instant::now() >= give_up) {
                            in_flight.answered();
                            answer.tell(session, true);
                            return Ok(answer.found);
                        }
                        if !behind {
                            servers.doubt(server);
                        }
                        demoted()
                    }
                    Ok(_) if freshness == Freshness::Strong => {
                        servers.doubt(server);
                        demoted()
                    }
                    // What it contained when it was chosen it may have lost since.
                    Ok(_) if server.progress.regressions() != regressions => continue,
                    Ok(answer) => {
                        in_flight.answered();
                        answer.tell(session, false);
                        return Ok(answer.found);
                    }
                    Err(error) if error.code() != Code::Unavailable => return Err(error),
                    Err(error) if is_primary => {
                        servers.doubt(server);
                        error
                    }
                    Err(_) => {
                        server.progress.suspect();
                        avoided.add(server);
                        continue;
                    }
                }
            }
        };
        if Instant::now() >= give_up {
            return Err(failed);
        }
        sleep(PAUSE).await;
    }
}

fn demoted() -> Error {
    Error::new(Code::Unavailable, "NO_PRIMARY", "the database's primary has changed; try again")
        .with_retry_after(Duration::from_millis(500))
}
