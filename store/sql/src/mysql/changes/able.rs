//! Whether a server's log can be followed: found out by following it for a moment.

use std::time::Duration;

use rowkeep_binlog::{Error, Options, Reader, Start};
use rowkeep_mysql::{Address, Connection, Product};
use tokio::time::timeout;

use super::shards::of_shard;
use crate::mysql::{checks, gateway};

/// What takes longer is no refusal.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why the log cannot be followed, and what to do about it; `None` if it can, or if the server does not answer now.
pub(super) async fn refusal(address: &Address) -> Option<String> {
    match timeout(PATIENCE, try_it(address)).await {
        Ok(Err(error)) if !error.is_transient() => Some(said(address, error).await),
        _ => None,
    }
}

async fn try_it(address: &Address) -> Result<(), Error> {
    let mut connection = Connection::open(address).await?;
    if connection.server().product == Product::Vitess {
        let keyspace = address.database.as_deref().unwrap_or_default();
        for shard in gateway::shards_of(&mut connection, keyspace).await? {
            Box::pin(try_server(&of_shard(address, &shard))).await?;
        }
        return Ok(());
    }
    connection.close().await;
    try_server(address).await
}

async fn try_server(address: &Address) -> Result<(), Error> {
    let mut connection = Connection::open(address).await?;
    if connection.server().product != Product::MariaDb {
        let rows = connection.query("SELECT @@global.gtid_mode").await?;
        let mode = rows.into_iter().flatten().flatten().next().unwrap_or_default();
        if mode != "ON" {
            let what = format!(
                "gtid_mode is {mode}: SET GLOBAL enforce_gtid_consistency = ON, then gtid_mode = OFF_PERMISSIVE, \
                 ON_PERMISSIVE and ON one after the other, and put both into the server's configuration"
            );
            return Err(Error::Configuration(vec![what]));
        }
    }
    connection.close().await;
    Reader::open(address, Start::Now, &Options::new()).await?.next().await.map(drop)
}

async fn said(address: &Address, error: Error) -> String {
    let Error::NotAllowed(message) = &error else { return error.to_string() };
    let user = match Connection::open(address).await {
        Ok(mut connection) => checks::user(&mut connection).await,
        Err(_) => None,
    };
    match user {
        Some(user) => format!("{message}; run, as an administrator: GRANT REPLICATION SLAVE ON *.* TO {user}"),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use testkit::DatabaseServer;

    use super::*;

    testkit::on_both_products! { async
        what_is_missing_is_said_with_what_to_do
    }

    async fn what_is_missing_is_said_with_what_to_do(product: testkit::Product) {
        let server = DatabaseServer::start(product);
        let address: Address = server.least_url_of("test").parse().unwrap();
        let said = refusal(&address).await.unwrap();
        let grant = "GRANT REPLICATION SLAVE ON *.* TO `least`@`127.0.0.1`";
        assert!(said.contains(grant), "{said}");
        server.admin(grant);
        assert_eq!(refusal(&address).await, None);
        server.admin("SET GLOBAL binlog_row_metadata = MINIMAL, GLOBAL binlog_row_image = NOBLOB");
        let said = refusal(&address).await.unwrap();
        for setting in ["SET GLOBAL binlog_row_metadata=FULL", "SET GLOBAL binlog_row_image=FULL"] {
            assert!(said.contains(setting), "{said}");
        }
        server.kill9();
        assert_eq!(refusal(&address).await, None, "one that does not answer may be followed later");
    }
}
