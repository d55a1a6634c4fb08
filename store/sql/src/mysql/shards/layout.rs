//! Where the rows of tables lie, and the tables beside them; part of every plan.
//!
//! A row lies where the hash of its first key column with one spelling says: a whole number, a text or bytes. (A time or a
//! decimal can be written in several ways, and the gateway hashes what is written.) The gateway learns of tables and columns
//! a moment after they are made, so that an apply ends once it knows them.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use kit_core::{Code, Error};
use rowkeep_mysql::{Connection, Param};
use rowkeep_schema::{Column, ColumnId, Entity, Generated, Schema, Storage};

use super::names;
use super::numbers::{self, BEGIN};
use super::taken::{self, PREFIX};
use crate::ddl::TableDef;
use crate::dialect::{Dialect, push_names};
use crate::migrate::{Alter, Applied, ColumnChange, FoundTable, Plan, Step};
use crate::mysql::catalogue::{Catalogue, text};
use crate::mysql::errors::classify;
use crate::mysql::meta;

/// The vindex of all tables.
const HASH: &str = "rowkeep_hash";
/// How long the gateway may take to learn of a table.
const LEARNS: Duration = Duration::from_secs(60);
/// How long until it is told again.
const REPEATED: Duration = Duration::from_secs(3);
/// What is written down already is not written again, unless something else of the keyspace changes.
pub(super) const TOUCH: [&str; 2] =
    ["ALTER VSCHEMA CREATE VINDEX rowkeep_again USING xxhash", "ALTER VSCHEMA DROP VINDEX rowkeep_again"];
/// The pause between two questions.
const PAUSE: Duration = Duration::from_millis(50);
/// A table, a column or a place of rows that the gateway does not know yet.
const UNKNOWN: [u16; 4] = [1054, 1105, 1146, 1173];

/// The user may not change what the gateway knows of tables.
const DENIED: u16 = 1045;

/// The column that decides where rows of an entity lie.
fn deciding(entity: &Entity) -> Option<&Column> {
    entity.primary_key.iter().map(|id| entity.column(*id)).find(|column| has_one_spelling(column))
}

fn has_one_spelling(column: &Column) -> bool {
    match column.storage {
        Storage::Bool | Storage::Int32 | Storage::Int64 | Storage::Uint32 | Storage::Uint64 | Storage::Enum(_) => true,
        Storage::Duration => true,
        // Blanks, and what a collation takes for equal, are the type's own choice.
        Storage::Text | Storage::Blob => column.sql_type.is_none(),
        Storage::Float | Storage::Double | Storage::Timestamp | Storage::Date => false,
        Storage::Decimal { .. } | Storage::Json => false,
    }
}

/// Refuses a schema with what cannot be held over several shards.
///
/// # Errors
/// `FAILED_PRECONDITION` with all of it, and what to do.
pub(in crate::mysql) fn check(schema: &Schema) -> Result<(), Error> {
    let mut problems = Vec::new();
    for entity in schema.entities.iter().filter(|entity| !entity.read_only) {
        let name = &entity.full_name;
        if deciding(entity).is_none() {
            let key = names(entity, &entity.primary_key).collect::<Vec<_>>().join(", ");
            problems.push(format!(
                "{name}: which shard a row lies in is decided by a key column of whole numbers, texts or bytes without \
                 `sql_type`, and the key ({key}) has none; add one to `primary_key`, or use a keyspace of one shard"
            ));
        }
        for index in entity.indexes.iter().filter(|index| index.unique) {
            let columns = index.columns.iter().map(|(column, _)| entity.column(*column));
            let odd = columns.filter(|c| c.sql_type.is_some() || c.generated == Some(Generated::Computed));
            problems.extend(odd.map(|column| {
                format!(
                    "{name}.{}: what its `sql_type` takes for equal, or what the database computes, is not known \
                     outside of its shard, and the index {} is unique; leave one of the two out, or use a keyspace of \
                     one shard",
                    column.field, index.name
                )
            }));
        }
    }
    if problems.is_empty() {
        return Ok(());
    }
    let message =
        format!("the keyspace is sharded, and not all of the schema can be kept in it:\n{}", problems.join("\n"));
    Err(Error::new(Code::FailedPrecondition, "SHARDS_UNSUPPORTED", message))
}

/// No table counts.
pub(in crate::mysql) fn without_counting(mut tables: Vec<TableDef>) -> Vec<TableDef> {
    tables.iter_mut().for_each(|table| table.counted = None);
    tables
}

/// What a plan has to see to.
pub(in crate::mysql) struct Layout<'a> {
    schema: &'a Schema,
    desired: &'a [TableDef],
}

impl<'a> Layout<'a> {
    /// `desired`: the tables of the schema.
    pub(in crate::mysql) fn new(schema: &'a Schema, desired: &'a [TableDef]) -> Self {
        Self { schema, desired }
    }

    fn tables(&self) -> impl Iterator<Item = (&'a Entity, &'a TableDef)> {
        self.schema.entities.iter().zip(self.desired).filter(|(entity, _)| !entity.read_only)
    }

    /// Tells the gateway where the rows of a new table lie.
    pub(in crate::mysql) fn spread(&self, table: &TableDef) -> Option<String> {
        let (entity, _) = self.tables().find(|(_, other)| other.name == table.name)?;
        Some(add_vindex(&table.name, &deciding(entity)?.name))
    }

    /// Tells the gateway that a table is gone.
    pub(in crate::mysql) fn forget(&self, table: &str) -> String {
        format!("ALTER VSCHEMA DROP TABLE {}", Dialect::Vitess.name(table))
    }

    /// Why a change is not made here: where rows lie, and what is taken, hangs on these names.
    pub(in crate::mysql) fn refuses(&self, alter: &Alter<'_>) -> Option<String> {
        let table = &alter.table.name;
        if alter.rename {
            return Some(format!(
                "{table} is spread over shards under its name: make a new table, and load the rows into it"
            ));
        }
        if alter.key {
            return Some(format!(
                "the key of {table} decides where its rows lie: make a new table, and load the rows into it"
            ));
        }
        let bound = |name: &String| {
            let unique = alter.table.indexes.iter().filter(|index| index.unique);
            alter.table.primary_key.contains(name) || unique.flat_map(|index| &index.columns).any(|(of, _)| of == name)
        };
        alter.columns.iter().find_map(|change| match change {
            ColumnChange::Rename { to, .. } if bound(&to.name) => Some(format!(
                "{table}.{} is part of the key or of a unique index, whose values are kept under its name: add a column",
                to.name
            )),
            _ => None,
        })
    }

    /// What is missing beside tables: their place in the gateway, and tables for the values of their unique indexes.
    pub(in crate::mysql) async fn rest(
        &self,
        control: &mut Connection,
        catalogue: &Catalogue,
        applied: &Applied,
        broken_off: bool,
    ) -> Result<Vec<Step>, Error> {
        let mut steps = Vec::new();
        for (entity, table) in self.tables() {
            let Some(found) = catalogue.tables.iter().find(|found| found.name == table.name) else { continue };
            steps.extend(self.place(control, entity, found, broken_off).await?);
            let is_ours = broken_off || applied.tables.contains_key(&found.name);
            steps.extend(
                crate::ddl::counted(entity).filter(|_| !is_ours).map(|column| counted_by_others(entity, column)),
            );
        }
        let there = taken_tables(control).await?;
        let mut wanted = BTreeSet::new();
        for (_, table) in self.tables() {
            let found = catalogue.tables.iter().find(|found| found.name == table.name);
            for index in table.indexes.iter().filter(|index| index.unique) {
                let columns = || index.columns.iter().map(|(column, _)| column.as_str());
                let name = taken::table_of(&table.name, columns());
                let is_there = there.contains(&name) && !vindexes(control, &name).await?.is_empty();
                if is_there || !wanted.insert(name.clone()) {
                    wanted.insert(name);
                    continue;
                }
                let refused = match found {
                    Some(found) => has_rows(control, found, applied, broken_off).await?,
                    None => false,
                };
                steps.push(keep_apart(&name, &taken::described(&table.name, columns()), &table.name, refused));
            }
        }
        for name in there.difference(&wanted) {
            let what = format!("drop {name}, which no unique index needs any more");
            let sql = vec![format!("DROP TABLE {name}"), self.forget(name)];
            steps.push(Step { table: name.clone(), what, sql, ..Step::default() });
        }
        Ok(steps)
    }

    /// A table that is there must have a place in which its key names one row.
    async fn place(
        &self,
        control: &mut Connection,
        entity: &Entity,
        found: &FoundTable,
        broken_off: bool,
    ) -> Result<Option<Step>, Error> {
        let step = |sql, refused| {
            let what = format!("spread {} over the shards", found.name);
            Some(Step { table: found.name.clone(), what, sql, refused, ..Step::default() })
        };
        let Some(column) = deciding(entity) else { return Ok(None) };
        let sql = add_vindex(&found.name, &column.name);
        match vindexes(control, &found.name).await?.first() {
            None if broken_off => Ok(step(vec![sql], Vec::new())),
            None => {
                let why = format!("the gateway does not know where its rows lie; if it has none, run {sql}");
                Ok(step(Vec::new(), vec![why]))
            }
            Some(columns) if columns.iter().all(|column| found.primary_key.contains(column)) => Ok(None),
            Some(columns) => {
                let why = format!(
                    "its rows lie where ({}) says, which is not part of its key: rows with one key could be in several \
                     shards",
                    columns.join(", ")
                );
                Ok(step(Vec::new(), vec![why]))
            }
        }
    }
}

fn counted_by_others(entity: &Entity, column: ColumnId) -> Step {
    let why = format!(
        "{}.{} is counted by its owner's sequence, which knows nothing of the numbers given here: let it be made by \
         SNOWFLAKE or UUIDV7, or give it",
        entity.full_name,
        entity.column(column).field
    );
    let what = format!("count keys of {}", entity.table);
    Step { table: entity.table.clone(), what, refused: vec![why], ..Step::default() }
}

fn add_vindex(table: &str, column: &str) -> String {
    let (table, column) = (Dialect::Vitess.name(table), Dialect::Vitess.name(column));
    format!("ALTER VSCHEMA ON {table} ADD VINDEX {HASH}({column}) USING xxhash")
}

/// The table for the values of an index. Rows that are there have values that nobody has written down.
fn keep_apart(name: &str, of: &str, table: &str, has_rows: bool) -> Step {
    let comment = crate::ddl::mysql::literal(&rowkeep_record::Value::Text(of.into()), Storage::Text);
    let sql = vec![
        format!("CREATE TABLE IF NOT EXISTS {name} (value BINARY(32) PRIMARY KEY) ENGINE=InnoDB COMMENT={comment}"),
        add_vindex(name, "value"),
    ];
    let why = "the table has rows, or is somebody else's, and their values are not known to be unique over all shards: \
               make a new table with the unique index, and load the rows into it";
    let refused = has_rows.then(|| why.to_owned()).into_iter().collect();
    Step {
        table: table.to_owned(),
        what: format!("keep the values of {of} unique over all shards"),
        sql,
        refused,
        ..Step::default()
    }
}

async fn has_rows(
    control: &mut Connection,
    found: &FoundTable,
    applied: &Applied,
    broken_off: bool,
) -> Result<bool, Error> {
    if !broken_off && !applied.tables.contains_key(&found.name) {
        return Ok(true);
    }
    let sql = format!("SELECT 1 FROM {} LIMIT 1", Dialect::Vitess.name(&found.name));
    match control.query(&sql).await {
        Ok(rows) => Ok(!rows.is_empty()),
        // Nobody could have written to it through the gateway.
        Err(error) if error.code().is_some_and(|code| UNKNOWN.contains(&code)) => Ok(false),
        Err(error) => Err(classify(error)),
    }
}

async fn taken_tables(control: &mut Connection) -> Result<BTreeSet<String>, Error> {
    let sql = "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() \
               AND TABLE_NAME LIKE 'rowkeep\\_unique\\_%'";
    let rows = control.query(sql).await.map_err(classify)?;
    Ok(rows.iter().map(|row| text(row, 0)).filter(|name| name.starts_with(PREFIX)).collect())
}

/// The columns of each vindex of a table, the one that decides first. None if the gateway does not know the table.
async fn vindexes(control: &mut Connection, table: &str) -> Result<Vec<Vec<String>>, Error> {
    let sql = format!("SHOW VSCHEMA VINDEXES ON {}", Dialect::Vitess.name(table));
    match control.query(&sql).await {
        Ok(rows) => Ok(rows.iter().map(|row| text(row, 0).split(", ").map(str::to_owned).collect()).collect()),
        Err(error) if error.code() == Some(1146) => Ok(Vec::new()),
        Err(error) => Err(classify(error)),
    }
}

/// Spreads the store's own tables, and makes the counters.
pub(in crate::mysql) async fn prepare(control: &mut Connection) -> Result<(), Error> {
    let keys = [("rowkeep_meta", "name"), ("rowkeep_requests", "request_id"), (numbers::TABLE.0, "name")];
    for (table, key) in keys {
        if !vindexes(control, table).await?.is_empty() {
            continue;
        }
        if table == numbers::TABLE.0 {
            control.command(numbers::TABLE.1).await.map_err(classify)?;
        }
        match control.command(&add_vindex(table, key)).await {
            Ok(_) => {}
            Err(error) if error.code() == Some(DENIED) => return Err(denied(&error.to_string())),
            Err(error) => return Err(classify(error)),
        }
    }
    for (table, key) in keys {
        await_knowledge(control, table, &[], &[add_vindex(table, key)]).await?;
    }
    Ok(())
}

fn denied(said: &str) -> Error {
    let message = format!(
        "the gateway lets the user not say where tables of a sharded keyspace lie; start every vtgate with \
         --vschema-ddl-authorized-users naming the user: {said}"
    );
    Error::new(Code::FailedPrecondition, "VSCHEMA_DENIED", message)
}

/// Waits until the gateway knows what a plan made, and begins to count.
pub(in crate::mysql) async fn settle(
    control: &mut Connection,
    schema: &Schema,
    desired: &[TableDef],
    plan: &Plan,
) -> Result<(), Error> {
    let statements = plan.steps.iter().flat_map(|step| &step.sql);
    let told: Vec<String> = statements.filter(|sql| sql.starts_with("ALTER VSCHEMA ON")).cloned().collect();
    for table in desired.iter().filter(|table| !table.read_only) {
        let columns: Vec<&str> = table.columns.iter().map(|column| column.name.as_str()).collect();
        await_knowledge(control, &table.name, &columns, &told).await?;
    }
    for name in taken_tables(control).await? {
        await_knowledge(control, &name, &[], &told).await?;
    }
    let begun = control.query("SELECT name FROM rowkeep_numbers").await.map_err(classify)?;
    let begun: BTreeSet<String> = begun.iter().map(|row| text(row, 0)).collect();
    for entity in schema.entities.iter().filter(|entity| !begun.contains(&entity.table)) {
        let Some(counted) = crate::ddl::counted(entity) else { continue };
        let (table, column) = (Dialect::Vitess.name(&entity.table), Dialect::Vitess.name(&entity.column(counted).name));
        let highest = control.query(&format!("SELECT MAX({column}) FROM {table}")).await.map_err(classify)?;
        let highest = highest.first().and_then(|row| row.first()?.as_deref()?.parse::<u64>().ok()).unwrap_or_default();
        meta::run(control, BEGIN, &[Param::Text(&entity.table), Param::Uint(highest)]).await?;
    }
    Ok(())
}

/// Until the gateway knows these columns, and the key, without which it cannot plan a bounded delete in several shards.
///
/// What it was told of a table is lost if it is told something of another keyspace at the same time: it writes down all
/// keyspaces as it knew them. So it is told again.
async fn await_knowledge(
    control: &mut Connection,
    table: &str,
    columns: &[&str],
    told: &[String],
) -> Result<(), Error> {
    let quoted = Dialect::Vitess.name(table);
    let mut reads = String::from("SELECT 1");
    reads.push_str(if columns.is_empty() { "" } else { ", " });
    push_names(Dialect::Vitess, &mut reads, columns.iter().copied());
    reads.push_str(&format!(" FROM {quoted} LIMIT 0"));
    let (until, mut again) = (Instant::now() + LEARNS, Instant::now() + REPEATED);
    for sql in [reads, format!("VEXPLAIN PLAN DELETE FROM {quoted} LIMIT 1")] {
        while let Err(error) = control.query(&sql).await {
            if !error.code().is_some_and(|code| UNKNOWN.contains(&code)) {
                return Err(classify(error));
            }
            if Instant::now() >= until {
                let message = format!(
                    "the gateway does not know the table {table} as it is since {} seconds; start every vtgate with \
                     --schema-change-signal, and every vttablet with it",
                    LEARNS.as_secs()
                );
                return Err(Error::new(Code::FailedPrecondition, "GATEWAY_BEHIND", message).with_source(error));
            }
            tokio::time::sleep(PAUSE).await;
            if Instant::now() >= again {
                again = Instant::now() + REPEATED + Duration::from_millis(rand::random_range(0..2000));
                for sql in told.iter().map(String::as_str).chain(TOUCH) {
                    if let Err(error) = control.command(sql).await {
                        tracing::debug!(%error, "where rows lie was told again");
                    }
                }
            }
        }
    }
    Ok(())
}
