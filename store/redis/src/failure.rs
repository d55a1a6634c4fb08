//! What went wrong with a request, and what it means to who asked.

use redis::{ErrorKind, RedisError, ServerErrorKind};
use rowkeep_cache::remote::Failed;

use crate::Host;

/// Why a server did not do what it was asked for.
#[derive(Debug)]
pub(crate) enum Problem {
    /// It did not answer, or what it said could not be understood. The connection is of no use any more.
    Gone(String),
    /// The hash slot is served by this other server; `None` for a host without a name, which is the same one.
    Moved(Host),
    /// This request is to be made of another server; the hash slot is on its way there.
    Ask(Host),
    /// It does not have the script.
    Unknown,
    /// It has no memory left.
    Full(String),
    /// It takes no writes, or has no state yet: another one should be asked.
    Elsewhere(String),
    /// Anything else.
    Refused(String),
}

impl Problem {
    /// Of the answer of this server.
    pub(crate) fn of(error: &RedisError, server: &Host) -> Self {
        if error.is_unrecoverable_error() || error.is_io_error() || error.kind() == ErrorKind::Parse {
            return Self::Gone(text(error));
        }
        match error.kind() {
            ErrorKind::Server(ServerErrorKind::Moved) => {
                redirect(error, server).map_or_else(|| Self::refused(error), Self::Moved)
            }
            ErrorKind::Server(ServerErrorKind::Ask) => {
                redirect(error, server).map_or_else(|| Self::refused(error), Self::Ask)
            }
            ErrorKind::Server(ServerErrorKind::NoScript) => Self::Unknown,
            ErrorKind::Server(
                ServerErrorKind::ReadOnly
                | ServerErrorKind::MasterDown
                | ServerErrorKind::ClusterDown
                | ServerErrorKind::BusyLoading,
            ) => Self::Elsewhere(text(error)),
            // A script passes errors of its commands on, with their code in front or behind another one.
            _ if error.code() == Some("OOM")
                || error.detail().is_some_and(|detail| detail.contains("OOM command not allowed")) =>
            {
                Self::Full(text(error))
            }
            _ => Self::refused(error),
        }
    }

    fn refused(error: &RedisError) -> Self {
        Self::Refused(text(error))
    }
}

/// What the server said, without what the library says around it.
pub(crate) fn text(error: &RedisError) -> String {
    if error.kind() == ErrorKind::Parse {
        return "it does not speak the protocol of Redis".to_owned();
    }
    match (error.code(), error.detail()) {
        (Some(code), Some(detail)) => format!("{code} {detail}"),
        (Some(code), None) => code.to_owned(),
        (None, _) => error.to_string(),
    }
}

fn redirect(error: &RedisError, server: &Host) -> Option<Host> {
    let (address, _) = error.redirect_node()?;
    let (name, port) = address.rsplit_once(':')?;
    let name = if name.is_empty() || name == "?" { &server.name } else { name };
    Some(Host { name: name.to_owned(), port: port.parse().ok()? })
}

impl From<Problem> for Failed {
    fn from(problem: Problem) -> Self {
        match problem {
            Problem::Gone(why) => Self::Gone(why),
            Problem::Full(why) => Self::Full(why),
            Problem::Elsewhere(why) | Problem::Refused(why) => Self::Refused(why),
            Problem::Moved(to) | Problem::Ask(to) => Self::Refused(format!("the shard is moving to {to}")),
            Problem::Unknown => Self::Refused("the server does not keep scripts".to_owned()),
        }
    }
}
