//! Plans and applies. The server commits each statement by itself: a migration that is killed leaves what it had done,
//! is recognized by the next one, and is finished by it.

use kit_core::{Code, Error};
use rowkeep_engine::{Atomicity, Capabilities, CountedKeys};
use rowkeep_mysql::Connection;
use rowkeep_schema::Schema;

use super::catalogue::{self, Catalogue};
use super::checks::{self, Need};
use super::database::{Database, Options};
use super::errors::{Failed, classify};
use super::gateway;
use super::meta;
use super::session::Connector;
use super::shards::{self, Layout};
use super::steps::Steps;
use crate::ddl::mysql::{column_type, indexes, normal_type};
use crate::ddl::{ColumnDef, TableDef, tables};
use crate::dialect::Dialect;
use crate::migrate::{Allow, Applied, Change, Drift, FoundKey, Plan, Preview, Spelling, diff, drift};

/// A statement that waits this long for others to finish gives way, in seconds: while it waits, everything queues
/// behind it.
const LOCK_WAIT: u32 = 2;
/// How often it is tried.
const TRIES: u32 = 15;

/// Plans without the lock: a server may be running, and what is missing is not made.
///
/// # Errors
/// `FAILED_PRECONDITION` if the server cannot be used.
pub fn preview(options: &Options, schema: &Schema) -> Result<Preview, Error> {
    let database = Database::connect(options)?;
    let connector = &database.connector;
    database.background.wait(async {
        let mut control = database.control.lock().await;
        checks::check_binlog(&mut control, database.connector.address()).await?;
        checks::check_tables(&mut control, database.connector.address(), schema).await?;
        let own =
            "SELECT 1 FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME = 'rowkeep_meta'";
        let is_new = control.query(own).await.map_err(classify)?.is_empty();
        let applied_schema = if is_new { None } else { meta::get(&mut control, meta::SCHEMA).await? };
        let plan = plan(&mut control, connector, schema, is_new).await?;
        Ok(Preview { plan, applied_schema })
    })
}

impl Database {
    /// What has to change for the tables to fit the schema. Changes nothing that stays.
    ///
    /// # Errors
    /// What the server says.
    pub fn plan(&self, schema: &Schema) -> Result<Plan, Error> {
        let connector = &self.connector;
        self.background.wait(async {
            let mut control = self.control.lock().await;
            checks::check_tables(&mut control, self.connector.address(), schema).await?;
            plan(&mut control, connector, schema, false).await
        })
    }

    /// Makes the changes of a plan one after the other, and remembers `snapshot` as the schema they are for.
    ///
    /// # Errors
    /// `FAILED_PRECONDITION` naming every obstacle, with nothing changed; or the step that failed, with the ones before
    /// it done.
    pub fn apply(&self, plan: &Plan, schema: &Schema, snapshot: &[u8], allow: &Allow) -> Result<(), Error> {
        let obstacles = plan.obstacles(allow);
        if !obstacles.is_empty() {
            return Err(Error::new(Code::FailedPrecondition, "MIGRATION_NEEDS_CONSENT", obstacles.join("\n")));
        }
        let connector = &self.connector;
        self.background.wait(async {
            let mut control = self.control.lock().await;
            if !plan.is_empty() {
                checks::check_grants(&mut control, self.connector.address(), Need::Migrate).await?;
            }
            run(&mut control, connector, plan, schema, snapshot).await
        })
    }

    /// The snapshot given to the last [`apply`](Self::apply).
    ///
    /// # Errors
    /// What the server says.
    pub fn applied_schema(&self) -> Result<Option<Vec<u8>>, Error> {
        self.background
            .wait(async { meta::get(&mut *self.control.lock().await, meta::SCHEMA).await.map_err(Error::from) })
    }
}

/// The tables of a schema with the indexes that these products need.
fn desired(schema: &Schema, capabilities: &Capabilities) -> Vec<TableDef> {
    let mut desired = match capabilities.counted_keys {
        CountedKeys::Table => tables(schema),
        CountedKeys::CounterRow => shards::without_counting(tables(schema)),
    };
    for table in &mut desired {
        table.indexes = indexes(table);
    }
    desired
}

async fn plan(control: &mut Connection, connector: &Connector, schema: &Schema, is_new: bool) -> Result<Plan, Error> {
    let dialect = connector.dialect;
    let desired = desired(schema, &connector.capabilities);
    let layout = (connector.capabilities.atomicity == Atomicity::TwoPhase).then(|| Layout::new(schema, &desired));
    if layout.is_some() {
        shards::check(schema)?;
    }
    if dialect.is_gateway() {
        gateway::check_order(control, &desired).await?;
    }
    let mut catalogue = catalogue::read(control, dialect).await?;
    // What one shard says of itself.
    catalogue.rows.values_mut().for_each(|rows| *rows *= u64::from(connector.capabilities.shards));
    catalogue.keep_views(|name| desired.iter().any(|table| table.read_only && table.name == name));
    let (applied, broken_off) = match is_new {
        true => (Applied::default(), false),
        false => (applied(control).await?, meta::get(control, meta::MIGRATING).await?.is_some()),
    };
    // What a broken-off migration did is not somebody else's doing.
    let drift: Vec<Drift> = if broken_off { Vec::new() } else { drift(&applied, &catalogue.tables) };
    if broken_off {
        tracing::warn!("a migration was broken off; the plan holds what it had not done");
    }
    let mut steps = Steps::new(control, connector, &catalogue, &drift);
    for change in diff(&desired, &catalogue.tables, &applied, &MySqlSpelling(dialect)) {
        match change {
            Change::Create(table) => {
                steps.create(table);
                layout.iter().filter_map(|layout| layout.spread(table)).for_each(|sql| steps.also(sql));
            }
            Change::Alter(alter) => match layout.as_ref().and_then(|layout| layout.refuses(&alter)) {
                None => steps.alter(&alter).await?,
                Some(why) => steps.refuse(alter.table, why),
            },
            Change::Unfit(table, why) => steps.unfit(table, why),
            Change::Drop(table) => {
                steps.drop(table);
                layout.iter().for_each(|layout| steps.also(layout.forget(&table.name)));
            }
        }
    }
    let mut steps = steps.done;
    if let Some(layout) = layout {
        steps.extend(layout.rest(control, &catalogue, &applied, broken_off).await?);
    }
    Ok(Plan { steps, drift })
}

struct MySqlSpelling(Dialect);

impl Spelling for MySqlSpelling {
    fn same_type(&self, table: &TableDef, column: &ColumnDef, found: &str) -> bool {
        normal_type(&column_type(self.0, table, column)) == normal_type(found)
    }

    /// A column may go on counting for others.
    fn same_key(&self, table: &TableDef, found: FoundKey) -> bool {
        table.counted.is_none() || found == FoundKey::Counted
    }
}

async fn applied(control: &mut Connection) -> Result<Applied, Error> {
    match meta::get(control, meta::CATALOGUE).await? {
        None => Ok(Applied::default()),
        Some(bytes) => serde_json::from_slice(&bytes).map_err(Error::internal),
    }
}

async fn run(
    control: &mut Connection,
    connector: &Connector,
    plan: &Plan,
    schema: &Schema,
    snapshot: &[u8],
) -> Result<(), Error> {
    let dialect = connector.dialect;
    if !plan.is_empty() {
        meta::set(control, meta::MIGRATING, snapshot).await?;
        control.command(&give_way_after(dialect, LOCK_WAIT)).await.map_err(classify)?;
    }
    for step in &plan.steps {
        for sql in &step.sql {
            statement(control, sql).await.map_err(|failed| step_failed(&step.what, failed))?;
        }
    }
    if dialect.is_gateway() {
        control.command(&give_way_after(dialect, 0)).await.map_err(classify)?;
    }
    let desired = desired(schema, &connector.capabilities);
    if connector.capabilities.atomicity == Atomicity::TwoPhase {
        shards::settle(control, schema, &desired, plan).await?;
    }
    let Catalogue { tables, .. } = catalogue::read(control, dialect).await?;
    let applied = serde_json::to_vec(&Applied::new(&desired, &tables)).map_err(Error::internal)?;
    control.command("START TRANSACTION").await.map_err(classify)?;
    meta::set(control, meta::CATALOGUE, &applied).await?;
    meta::set(control, meta::SCHEMA, snapshot).await?;
    meta::remove(control, meta::MIGRATING).await?;
    control.command("COMMIT").await.map_err(classify)?;
    Ok(())
}

/// How long statements wait for a table, in seconds. A gateway sets no bound to that, but to a statement as a whole.
fn give_way_after(dialect: Dialect, seconds: u32) -> String {
    match dialect.is_gateway() {
        true => format!("SET SESSION query_timeout = {}", seconds * 1000),
        false => format!("SET SESSION lock_wait_timeout = {seconds}"),
    }
}

/// Runs a statement, giving way to transactions that use the table.
async fn statement(control: &mut Connection, sql: &str) -> Result<(), Failed> {
    for _ in 1..TRIES {
        match control.command(sql).await {
            Err(error) if matches!(error.code(), Some(1205 | 3024)) => {
                tokio::time::sleep(std::time::Duration::from_millis(200)).await
            }
            // Somebody else told the gateway something at the same time.
            Err(error) if error.code() == Some(1105) && sql.starts_with("ALTER VSCHEMA") => {
                tokio::time::sleep(std::time::Duration::from_millis(200)).await
            }
            // A statement about the gateway's own tables that a broken-off migration has run already.
            Err(error) if error.code() == Some(1815) && sql.starts_with("ALTER VSCHEMA") => return Ok(()),
            other => return other.map(drop).map_err(Failed::from),
        }
    }
    control.command(sql).await.map(drop).map_err(Failed::from)
}

fn step_failed(what: &str, failed: Failed) -> Error {
    let said = match &failed {
        Failed::Driver(error) => error.to_string(),
        Failed::Other(error) => error.to_string(),
    };
    let known = Error::from(failed);
    let message = format!("{what} failed, the steps before it are done and the next start goes on from here: {said}");
    match known.code() {
        Code::Unavailable | Code::ResourceExhausted => known,
        _ => Error::new(Code::FailedPrecondition, "MIGRATION_FAILED", message).with_source(known),
    }
}
