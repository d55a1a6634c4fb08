//! Which servers there are at the start, and which of them is the primary.

use std::sync::Arc;

use kit_core::{Code, Error};
use rowkeep_engine::Capabilities;
use rowkeep_mysql::{Address, Connection};

use super::database::{Background, Options};
use super::errors::classify;
use super::gateway;
use super::servers::{Election, Reached, Seen, question};
use super::session::Connector;

/// What was found.
pub(super) struct Discovered {
    /// To all servers, in the order they are named in.
    pub(super) connectors: Vec<Connector>,
    pub(super) election: Election,
    /// Which of them.
    pub(super) primary: usize,
    /// To it.
    pub(super) control: Connection,
}

/// A server that answers.
struct Found {
    connector: Connector,
    connection: Connection,
    reached: Arc<Reached>,
}

/// Asks all servers at once. Replicas need not be there; the primary must.
///
/// # Errors
/// `FAILED_PRECONDITION` with what to do if no server can be used as the primary, or more than one.
pub(super) async fn find(options: &Options, database: &str) -> Result<Discovered, Error> {
    let addresses = addresses(options, database)?;
    let mut found = ask_all(&addresses).await?;
    let alone = found.iter().flatten().find(|found| !found.connector.capabilities.replicas);
    if let Some(alone) = alone.filter(|_| found.len() > 1) {
        return Err(gateway::not_alone(alone.connector.address()));
    }
    let Some(known) = found.iter().flatten().next().map(|found| found.connector.clone()) else {
        // The first is the one that is named as the primary.
        return Err(found.swap_remove(0).err().unwrap_or_else(|| Error::internal("no server and no error")));
    };
    if let Some(server) = found.iter().flatten().find(|server| server.connector.dialect != known.dialect) {
        let message = format!(
            "{} and {} are of different products: replicas are of their primary's",
            known.address(),
            server.connector.address()
        );
        return Err(Error::new(Code::FailedPrecondition, "DATABASE_REFUSED", message));
    }
    let seen = |found: &Result<Found, Error>| match found {
        Ok(found) => Seen::Up(Arc::clone(&found.reached)),
        Err(_) => Seen::Down(None),
    };
    let mut election = Election::new(found.len());
    let elected = if let [one] = found.as_slice() {
        // Whoever plans only may look at a replica.
        election.begin(vec![seen(one)]).map(|_| Some(0))
    } else {
        election.begin(found.iter().map(seen).collect())
    };
    let primary = match elected {
        Ok(Some(primary)) => primary,
        Ok(None) => return Err(no_primary(&addresses, &found)),
        Err(those) => return Err(two_primaries(&addresses, &those)),
    };
    let connectors = found.iter().zip(addresses).map(|(found, address)| match found {
        Ok(found) => found.connector.clone(),
        Err(_) => Connector::presumed(address, &known),
    });
    let connectors = connectors.collect();
    for error in found.iter().filter_map(|found| found.as_ref().err()) {
        tracing::warn!(error = error as &dyn std::error::Error, "a server cannot be used now; it is tried again");
    }
    let control = found.swap_remove(primary)?.connection;
    Ok(Discovered { connectors, election, primary, control })
}

/// A server as it is found by whoever looks once.
#[derive(Debug)]
pub struct Sight {
    /// Without a password.
    pub address: String,
    /// What it is, or why that is not known.
    pub state: Result<SightedServer, Error>,
}

/// A server that answers.
#[derive(Debug, Clone)]
pub struct SightedServer {
    /// What it can do.
    pub capabilities: Arc<Capabilities>,
    /// It would be taken for the primary by a store that is started now.
    pub primary: bool,
    /// It takes writes.
    pub writable: bool,
    /// Commits of the primary that it does not contain; `None` without a primary.
    pub behind: Option<u64>,
    /// It contains what the primary does not.
    pub diverged: bool,
}

/// Looks at all servers, once.
///
/// # Errors
/// `INVALID_ARGUMENT` if the addresses do not go together. What is wrong with a server is said of it.
pub fn look(options: &Options) -> Result<Vec<Sight>, Error> {
    let background = Background::new()?;
    let database = options.address.database.as_deref().unwrap_or_default();
    let addresses = addresses(options, database)?;
    let found = background.wait(ask_all(&addresses))?;
    let seen = found.iter().map(|found| match found {
        Ok(found) => Seen::Up(Arc::clone(&found.reached)),
        Err(_) => Seen::Down(None),
    });
    let primary = Election::new(found.len()).begin(seen.collect()).ok().flatten();
    let leader = primary.and_then(|number| found[number].as_ref().ok()).map(|found| Arc::clone(&found.reached));
    let sight = |(number, (address, found)): (usize, (Address, Result<Found, Error>))| Sight {
        address: address.to_string(),
        state: found.map(|Found { connector, reached, .. }| SightedServer {
            capabilities: connector.capabilities,
            primary: primary == Some(number),
            writable: reached.writable,
            behind: leader.as_ref().map(|leader| reached.lacks(leader)),
            // The primary may have been asked a moment before.
            diverged: leader.as_ref().is_some_and(|leader| !leader.knows_all(&reached) && leader.lacks(&reached) > 0),
        }),
    };
    Ok(addresses.into_iter().zip(found).enumerate().map(sight).collect())
}

async fn ask_all(addresses: &[Address]) -> Result<Vec<Result<Found, Error>>, Error> {
    let asked: Vec<_> = addresses.iter().cloned().map(|address| tokio::spawn(ask(address))).collect();
    let mut found = Vec::with_capacity(asked.len());
    for answer in asked {
        found.push(answer.await.map_err(Error::internal)?);
    }
    Ok(found)
}

fn addresses(options: &Options, database: &str) -> Result<Vec<Address>, Error> {
    let mut addresses = vec![options.address.clone()];
    for replica in &options.replicas {
        let mut replica = replica.clone();
        if replica.database.get_or_insert_with(|| database.to_owned()) != database {
            let message = format!("the replica {replica} is of another database than {database}");
            return Err(Error::new(Code::InvalidArgument, "INVALID_REPLICA", message));
        }
        if addresses.iter().any(|other| (&other.host, other.port) == (&replica.host, replica.port)) {
            let message = format!("{replica} is named twice");
            return Err(Error::new(Code::InvalidArgument, "INVALID_REPLICA", message));
        }
        addresses.push(replica);
    }
    Ok(addresses)
}

async fn ask(address: Address) -> Result<Found, Error> {
    let connector = Connector::find(address).await?;
    let mut connection = connector.open().await.map_err(classify)?;
    let rows = connection.query(question(connector.dialect)).await.map_err(classify)?;
    let text = |at: usize| rows.first().and_then(|row| row.get(at)?.as_deref()).unwrap_or_default();
    let reached = Reached::read(connector.dialect, text(0) == "0", text(1).as_bytes(), text(2).as_bytes());
    Ok(Found { connector, connection, reached: Arc::new(reached) })
}

fn no_primary(addresses: &[Address], found: &[Result<Found, Error>]) -> Error {
    let mut message = "none of the database servers takes writes:".to_owned();
    for (address, found) in addresses.iter().zip(found) {
        let what = match found {
            Ok(_) => "is read-only".to_owned(),
            Err(error) => error.message().to_owned(),
        };
        message.push_str(&format!("\n  {address}: {what}"));
    }
    message.push_str("\nmake one of them the primary (SET GLOBAL read_only = OFF there, and replication from it)");
    Error::new(Code::FailedPrecondition, "NO_PRIMARY", message)
}

fn two_primaries(addresses: &[Address], those: &[usize]) -> Error {
    let names: Vec<String> = those.iter().map(|number| addresses[*number].to_string()).collect();
    let message = format!(
        "{} take writes, and each has some that the other has not: nobody can say which is the primary. Find out, and \
         rebuild the other as its replica",
        names.join(" and ")
    );
    Error::new(Code::FailedPrecondition, "TWO_PRIMARIES", message)
}
