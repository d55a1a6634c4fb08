//! Counter rows: the numbers of counted keys, for which no table counts over all shards.
//!
//! A number is taken by a transaction of its own, before the row is written, on a connection that the store keeps for it: the
//! counter is not locked until the row's transaction ends, and a number is never given twice, whatever becomes of the row.

use std::sync::atomic::{AtomicU64, Ordering};

use kit_core::Error;
use rowkeep_mysql::{Connection, Done, Error as DriverError, Param, Row};
use rowkeep_record::Value;
use rowkeep_schema::{ColumnId, EntityId, Schema};
use tokio::sync::Mutex;

use super::number_of;
use crate::dialect::Dialect;
use crate::mysql::errors::Failed;
use crate::mysql::session::patiently;
use crate::mysql::tx::MySqlTx;
use crate::mysql::values::read_owned;

/// The table, by name.
pub(super) const TABLE: (&str, &str) = (
    "rowkeep_numbers",
    "CREATE TABLE IF NOT EXISTS rowkeep_numbers (name VARCHAR(64) CHARACTER SET utf8mb4 COLLATE utf8mb4_0900_bin PRIMARY KEY, \
     last BIGINT UNSIGNED NOT NULL) ENGINE=InnoDB",
);

const NEXT: &str = "UPDATE rowkeep_numbers SET last = LAST_INSERT_ID(last + ?) WHERE name = ?";
const PASS: &str = "UPDATE rowkeep_numbers SET last = ? WHERE name = ? AND last < ?";
/// Of a table that has rows, or none, already.
pub(super) const BEGIN: &str = "INSERT IGNORE INTO rowkeep_numbers (name, last) VALUES (?, ?)";

/// A number is more than the counter holds.
const OUT_OF_RANGE: u16 = 1690;

pub(super) struct Numbers {
    connection: Mutex<Option<Connection>>,
    /// By entity: the counter is at least there.
    reached: Vec<AtomicU64>,
}

impl Numbers {
    pub(super) fn new(schema: &Schema) -> Self {
        Self { connection: Mutex::default(), reached: schema.entities.iter().map(|_| AtomicU64::new(0)).collect() }
    }

    /// The last of as many next numbers.
    pub(super) async fn next(&self, tx: &mut MySqlTx<'_>, id: EntityId, count: u64) -> Result<u64, Error> {
        let name = &tx.shared().schema.entity(id).table;
        let done = match self.count(tx, NEXT, &[Param::Uint(count), Param::Text(name)]).await {
            Err(Failed::Driver(DriverError::Server(error))) if error.code == OUT_OF_RANGE => {
                return Err(tx.shared().used_up(id));
            }
            done => done?,
        };
        if done.affected == 0 {
            return Err(Error::internal(format!("rowkeep_numbers has no row for {name}: apply the schema again")));
        }
        self.reached[id.index()].fetch_max(done.last_insert_id, Ordering::AcqRel);
        Ok(done.last_insert_id)
    }

    /// No number up to this one is given any more: a client has given it.
    pub(super) async fn pass(&self, tx: &mut MySqlTx<'_>, id: EntityId, number: u64) -> Result<(), Error> {
        let reached = &self.reached[id.index()];
        if number <= reached.load(Ordering::Acquire) {
            return Ok(());
        }
        let name = &tx.shared().schema.entity(id).table;
        self.count(tx, PASS, &[Param::Uint(number), Param::Text(name), Param::Uint(number)]).await?;
        reached.fetch_max(number, Ordering::AcqRel);
        Ok(())
    }

    /// The same of the highest number in the table.
    pub(super) async fn catch_up(&self, tx: &mut MySqlTx<'_>, id: EntityId, column: ColumnId) -> Result<(), Error> {
        let (sql, column) = (tx.shared().sql(id), tx.shared().schema.entity(id).column(column));
        let text = format!("SELECT MAX({}) FROM {}", Dialect::Vitess.name(&column.name), sql.table);
        let (storage, mut highest) = (column.storage, Value::Null);
        let read = |row: &mut Row<'_>| {
            highest = read_owned(row.value()?, storage)?;
            Ok(())
        };
        tx.execute(&text, &[], read).await?;
        self.pass(tx, id, number_of(&highest)).await
    }

    async fn count(&self, tx: &mut MySqlTx<'_>, sql: &str, params: &[Param<'_>]) -> Result<Done, Failed> {
        let done = self.try_count(tx, sql, params).await;
        tx.heed_other(&done);
        done
    }

    async fn try_count(&self, tx: &MySqlTx<'_>, sql: &str, params: &[Param<'_>]) -> Result<Done, Failed> {
        let mut held = self.connection.lock().await;
        // Taken out: one that breaks, or whose caller goes away in the middle, is not used again.
        let mut connection = match held.take() {
            Some(connection) => connection,
            None => tx.shared().servers.writer()?.connector.open().await?,
        };
        let done = patiently(run(&mut connection, sql, params)).await;
        if matches!(&done, Ok(_) | Err(Failed::Driver(DriverError::Server(_)))) {
            *held = Some(connection);
        }
        done
    }
}

async fn run(connection: &mut Connection, sql: &str, params: &[Param<'_>]) -> Result<Done, Failed> {
    let statement = connection.prepare(sql).await?;
    connection.send_execute(statement, params)?;
    connection.flush().await?;
    connection.receive(|_| Ok::<(), Failed>(())).await
}
