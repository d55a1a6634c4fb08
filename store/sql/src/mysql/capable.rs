//! The capability record of a database, from what its server says of itself.

use kit_core::Error;
use rowkeep_engine::{Atomicity, Capabilities, Changes, CountedKeys, OnlineDdl, Positions, UniqueIndexes};
use rowkeep_mysql::{Address, Connection, Server};

use super::errors::classify;
use super::gateway::{self, Keyspace};
use crate::dialect::Dialect;

/// A tablet ends a transaction after 30 seconds, unless it is told otherwise, and a row takes up to a millisecond.
const LOAD_ROWS: usize = 8_192;
/// A row is several statements there, which are made one by one and kept until the commit.
const LOAD_ROWS_OF_SHARDS: usize = 1_024;

/// A quarter of the connections that writes have.
const OWN_PROGRAMS: usize = 8;

/// What can be done with the database that an address names.
///
/// # Errors
/// `FAILED_PRECONDITION` with what to do if it cannot be used.
pub(super) async fn capabilities(
    connection: &mut Connection,
    address: &Address,
    dialect: Dialect,
) -> Result<Capabilities, Error> {
    let server = connection.server().clone();
    if dialect.is_gateway() {
        return Ok(of_keyspace(&server, gateway::keyspace(connection, address).await?));
    }
    let logs = connection.query("SELECT @@global.log_bin").await.map_err(classify)?;
    let has_log = logs.first().and_then(|row| row.first()?.as_deref()) == Some("1");
    Ok(Capabilities {
        own_programs: OWN_PROGRAMS,
        replicas: true,
        positions: if dialect == Dialect::MariaDb { Positions::GtidDomains } else { Positions::GtidSets },
        changes: if has_log { Changes::Log } else { Changes::None },
        online_ddl: OnlineDdl::Tools,
        ..Capabilities::local(dialect.product(), server.version)
    })
}

/// A sharded keyspace is one also while it has a single shard: it may be split while it is served.
fn of_keyspace(server: &Server, keyspace: Keyspace) -> Capabilities {
    let whole = Capabilities {
        load_rows: LOAD_ROWS,
        own_programs: OWN_PROGRAMS,
        // The gateway says of no answer where it was read.
        positions: Positions::Untold,
        changes: Changes::Log,
        online_ddl: OnlineDdl::Gateway,
        ..Capabilities::local(Dialect::Vitess.product(), server.version.as_str())
    };
    match keyspace {
        Keyspace::Whole => whole,
        Keyspace::Sharded(shards) => Capabilities {
            shards,
            load_rows: LOAD_ROWS_OF_SHARDS,
            changes: Changes::LogPerShard,
            // Each shard would be serializable, and not what is done over several.
            serializable: false,
            atomicity: Atomicity::TwoPhase,
            reads_one_moment: false,
            counted_keys: CountedKeys::CounterRow,
            unique_indexes: UniqueIndexes::TakenValues,
            ..whole
        },
    }
}
