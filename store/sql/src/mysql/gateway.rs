//! What Vitess's gateway is asked before it is used, and what its errors leave open.

use kit_core::{Code, Error};
use rowkeep_mysql::{Address, Connection, Error as DriverError};

use super::errors::{Fate, classify, fate};
use crate::dialect::Dialect;

/// Refuses a keyspace of several shards. Unique indexes hold within a shard only, nothing counts keys over all of them,
/// and reads of several see each at another moment: of what the API promises, too much would not be true.
///
/// # Errors
/// `FAILED_PRECONDITION` with what to do.
pub(super) async fn check(connection: &mut Connection, address: &Address) -> Result<(), Error> {
    // `keyspace@replica` and `keyspace:-80` are ways to look at a keyspace.
    let wanted = address.database.as_deref().unwrap_or_default();
    let name = wanted.split(['@', ':']).next().unwrap_or_default();
    if name != wanted {
        let message = format!(
            "{address} names a part of the keyspace {name}, which is not written to as a whole: name the keyspace alone"
        );
        return Err(Error::new(Code::FailedPrecondition, "KEYSPACE_PART", message));
    }
    let keyspaces = connection.query("SHOW VSCHEMA KEYSPACES").await.map_err(classify)?;
    let is_sharded = keyspaces.iter().any(|row| {
        let column = |at: usize| row.get(at).and_then(Option::as_deref).unwrap_or_default();
        column(0) == name && column(1) == "true"
    });
    if !is_sharded {
        return Ok(());
    }
    let message = format!(
        "the keyspace {name} is sharded: unique indexes, counted keys and lists do not hold over several shards; name a \
         keyspace of one shard"
    );
    Err(Error::new(Code::FailedPrecondition, "KEYSPACE_SHARDED", message))
}

/// What an error that a gateway answers to `COMMIT` means. It may have lost the server behind it while that was
/// committing, and says so with one of many codes: only what the server itself says of a transaction that it rolled back
/// is certain.
pub(super) fn fate_of_commit(error: &DriverError, dialect: Dialect) -> Fate {
    match fate(error) {
        Fate::Refused | Fate::Moved if dialect.is_gateway() => Fate::Lost,
        fate => fate,
    }
}

/// What the server behind a gateway said, without the statement and its values, which the gateway repeats.
pub(super) fn said(message: &str) -> &str {
    let Some((said, _)) = message.split_once(" (errno ") else { return message };
    said.split_once(" desc = ").map_or(said, |(_, said)| said)
}

#[cfg(test)]
mod tests {
    use rowkeep_mysql::ServerError;

    use super::*;

    fn answer(code: u16) -> DriverError {
        ServerError { code, state: "HY000".to_owned(), message: String::new() }.into()
    }

    #[test]
    fn a_gateway_that_refuses_a_commit_does_not_know_what_became_of_it() {
        for code in [1105, 1317, 2013, 1290] {
            assert_eq!(fate_of_commit(&answer(code), Dialect::Vitess), Fate::Lost);
        }
        assert_eq!(fate_of_commit(&answer(1105), Dialect::MySql), Fate::Refused);
        assert_eq!(fate_of_commit(&answer(1213), Dialect::Vitess), Fate::Conflict, "the server has rolled it back");
    }

    #[test]
    fn callers_are_told_what_the_server_said_and_no_statement() {
        let long = "target: a.0.primary: vttablet: rpc error: code = FailedPrecondition desc = Out of range value for \
                    column 'x' at row 1 (errno 1264) (sqlstate 22003) (CallerID: u): Sql: \"insert into a\", BindVars: {}";
        assert_eq!(said(long), "Out of range value for column 'x' at row 1");
        assert_eq!(said("Data too long"), "Data too long");
    }
}
