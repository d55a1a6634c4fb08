//! Changes as the server's statements, with what each costs and loses.
//!
//! How a change is made (at once, in place, by copying the table) depends on product, version and table, so the server
//! is asked: each statement is tried on an empty copy of the table, from the cheapest way to the dearest. The plan's
//! statements name the way, so that the server refuses rather than take a dearer one.

use kit_core::Error;
use rowkeep_engine::{Capabilities, OnlineDdl};
use rowkeep_mysql::Connection;
use rowkeep_schema::Storage;

use super::catalogue::Catalogue;
use super::errors::classify;
use super::gateway;
use super::session::Connector;
use crate::ddl::mysql::{add_column, add_index, column_type, create_table, literal, modify_column};
use crate::ddl::{ColumnDef, IndexDef, TableDef};
use crate::dialect::{Dialect, push_names};
use crate::migrate::{Alter, ColumnChange, Drift, FoundTable, Need, Step, storage_text};

/// The empty copy. A name of the store's own, which the catalogue leaves out.
const TRIAL: &str = "rowkeep_trial";
/// Tables with more rows are not copied while their writers wait.
const LARGE: u64 = 100_000;
/// Bad values shown.
const EXAMPLES: u32 = 3;
/// From the cheapest to the dearest.
const WAYS: [(&str, &str); 4] = [
    ("INSTANT", ", ALGORITHM=INSTANT"),
    ("INPLACE", ", ALGORITHM=INPLACE, LOCK=NONE"),
    ("INPLACE, writes wait", ", ALGORITHM=INPLACE, LOCK=SHARED"),
    ("COPY, writes wait", ", ALGORITHM=COPY, LOCK=SHARED"),
];

/// The steps so far.
pub(super) struct Steps<'a> {
    control: &'a mut Connection,
    dialect: Dialect,
    capabilities: &'a Capabilities,
    catalogue: &'a Catalogue,
    drift: &'a [Drift],
    pub(super) done: Vec<Step>,
}

/// The table that is changed.
struct Changing<'a> {
    alter: &'a Alter<'a>,
    rows: u64,
    /// There is a copy to try on.
    trial: bool,
}

impl Changing<'_> {
    /// Whether it also changes if the column may be NULL.
    fn changes_absence(&self, column: &ColumnDef) -> bool {
        let of = |change: &ColumnChange<'_>| matches!(change, ColumnChange::Nullable(of) if of.name == column.name);
        self.alter.columns.iter().any(of)
    }
}

impl<'a> Steps<'a> {
    pub(super) fn new(
        control: &'a mut Connection,
        connector: &'a Connector,
        catalogue: &'a Catalogue,
        drift: &'a [Drift],
    ) -> Self {
        let (dialect, capabilities) = (connector.dialect, &*connector.capabilities);
        Self { control, dialect, capabilities, catalogue, drift, done: Vec::new() }
    }

    pub(super) fn create(&mut self, table: &TableDef) {
        let sql = vec![create_table(self.dialect, table)];
        let refused = table.columns.iter().filter_map(|column| table.unmakeable(column)).collect();
        self.add(&table.name, Step { what: format!("create table {}", table.name), sql, refused, ..Step::default() });
    }

    /// A statement more of the step that was added last.
    pub(super) fn also(&mut self, sql: String) {
        if let Some(step) = self.done.last_mut() {
            step.sql.push(sql);
        }
    }

    pub(super) fn refuse(&mut self, table: &TableDef, why: String) {
        let what = format!("change {}", table.name);
        self.add(&table.name, Step { what, refused: vec![why], ..Step::default() });
    }

    pub(super) fn unfit(&mut self, table: &TableDef, why: String) {
        let what = format!("read {}", table.name);
        self.add(&table.name, Step { what, refused: vec![why], ..Step::default() });
    }

    pub(super) fn drop(&mut self, table: &FoundTable) {
        let (name, rows) = (&table.name, self.catalogue.rows(&table.name));
        let needs = Need {
            flag: format!("drop-table:{name}"),
            why: format!("its rows (about {rows}) are gone"),
            loses_data: true,
        };
        let sql = vec![format!("DROP TABLE {}", self.dialect.name(name))];
        self.add(name, Step { what: format!("drop table {name}"), sql, rows, needs: vec![needs], ..Step::default() });
    }

    pub(super) async fn alter(&mut self, alter: &Alter<'_>) -> Result<(), Error> {
        let rows = self.catalogue.rows(&alter.found.name);
        let trial = self.begin_trial(&alter.found.name).await?;
        let changing = Changing { alter, rows, trial };
        let planned = self.changes(&changing).await;
        self.end_trial().await?;
        planned
    }

    async fn begin_trial(&mut self, table: &str) -> Result<bool, Error> {
        self.end_trial().await?;
        let sql = format!("CREATE TABLE {TRIAL} LIKE {}", self.dialect.name(table));
        match self.control.command(&sql).await {
            Ok(_) => Ok(true),
            // Without the right to make tables there is nothing to try on; the plan says less.
            Err(error) if matches!(error.code(), Some(1142 | 1044 | 1290)) => Ok(false),
            Err(error) => Err(classify(error)),
        }
    }

    async fn end_trial(&mut self) -> Result<(), Error> {
        match self.control.command(&format!("DROP TABLE IF EXISTS {TRIAL}")).await {
            Ok(_) => Ok(()),
            Err(error) if matches!(error.code(), Some(1142 | 1044 | 1290)) => Ok(()),
            Err(error) => Err(classify(error)),
        }
    }

    async fn changes(&mut self, changing: &Changing<'_>) -> Result<(), Error> {
        let (alter, rows) = (changing.alter, changing.rows);
        let name = &alter.table.name;
        if alter.rename {
            let from = &alter.found.name;
            let sql = vec![format!("RENAME TABLE {} TO {}", self.dialect.name(from), self.dialect.name(name))];
            self.add(from, Step { what: format!("rename table {from} to {name}"), sql, rows, ..Step::default() });
        }
        for index in &alter.drop_indexes {
            let clause = format!("DROP INDEX {}", self.dialect.name(&index.name));
            self.change(changing, format!("drop index {}", index.name), &[clause], Step::default()).await?;
        }
        for change in &alter.columns {
            self.column(changing, change).await?;
        }
        if alter.key {
            self.key(changing).await?;
        }
        for index in &alter.create_indexes {
            self.index(changing, index).await?;
        }
        Ok(())
    }

    async fn column(&mut self, changing: &Changing<'_>, change: &ColumnChange<'_>) -> Result<(), Error> {
        let (table, rows) = (&changing.alter.table.name, changing.rows);
        let definition = changing.alter.table;
        match change {
            ColumnChange::Add(column) => {
                let clauses = add_column(self.dialect, definition, column);
                let refused = definition.unmakeable(column).into_iter().collect();
                let step = Step { refused, ..Step::default() };
                self.change(changing, format!("add column {table}.{}", column.name), &clauses, step).await
            }
            ColumnChange::Rename { from, to } => {
                let clause = format!("RENAME COLUMN {} TO {}", self.dialect.name(from), self.dialect.name(&to.name));
                let what = format!("rename column {table}.{from} to {}", to.name);
                self.change(changing, what, &[clause], Step::default()).await
            }
            ColumnChange::Drop(column) => {
                let why = format!("the values of about {rows} rows are gone");
                let needs = Need { flag: format!("drop-column:{table}.{column}"), why, loses_data: true };
                let clause = format!("DROP COLUMN {}", self.dialect.name(column));
                let step = Step { needs: vec![needs], ..Step::default() };
                self.change(changing, format!("drop column {table}.{column}"), &[clause], step).await
            }
            // Made with the other change: a column is defined anew as a whole.
            ColumnChange::Convert { column, .. } if changing.changes_absence(column) => Ok(()),
            ColumnChange::Convert { column, from } => {
                let mut step = Step::default();
                self.check_conversion(changing, column, *from, &mut step).await?;
                let clause = modify_column(self.dialect, definition, column);
                self.change(changing, format!("change type of {table}.{}", column.name), &[clause], step).await
            }
            ColumnChange::Nullable(column) => self.nullable(changing, column).await,
        }
    }

    async fn nullable(&mut self, changing: &Changing<'_>, column: &ColumnDef) -> Result<(), Error> {
        let table = &changing.alter.table.name;
        let mut step = Step::default();
        for change in &changing.alter.columns {
            if let ColumnChange::Convert { column: converted, from } = change
                && converted.name == column.name
            {
                self.check_conversion(changing, column, *from, &mut step).await?;
            }
        }
        if column.not_null {
            let (found, name) = (self.found_name(changing, column), self.dialect.name(&column.name));
            let absent = self.count(changing, &format!("{found} IS NULL")).await?;
            if absent > 0 {
                let fill = literal(&column.fill, column.storage);
                let why = format!("{absent} rows have no value and get {fill}");
                let flag = format!("set-not-null:{table}.{}", column.name);
                step.needs.push(Need { flag, why, loses_data: true });
                let quoted = self.dialect.name(table);
                step.sql.push(format!("UPDATE {quoted} SET {name} = {fill} WHERE {name} IS NULL"));
            }
        }
        let clause = modify_column(self.dialect, changing.alter.table, column);
        let what = format!("{} {table}.{}", if column.not_null { "require" } else { "let be absent" }, column.name);
        self.change(changing, what, &[clause], step).await
    }

    /// What is wrong with values of another type, or another length.
    async fn check_conversion(
        &mut self,
        changing: &Changing<'_>,
        column: &ColumnDef,
        from: Option<&str>,
        step: &mut Step,
    ) -> Result<(), Error> {
        let place = format!("{}.{}", changing.alter.table.name, column.name);
        let to = storage_text(column.storage);
        let Some(from) = from else {
            step.refused.push(format!("{place} has another type, and rowkeep did not make it"));
            return Ok(());
        };
        if from != to && !(is_whole(from) && is_whole(&to)) {
            step.refused.push(format!(
                "{place}: values stored as {from} are not changed to {to}; add a column, copy what should stay, drop the old one"
            ));
            return Ok(());
        }
        let found = self.found_name(changing, column);
        let wanted = column_type(self.dialect, changing.alter.table, column);
        let Some(misfit) = misfit(&found, column.storage, &wanted) else { return Ok(()) };
        let table = self.dialect.name(&changing.alter.found.name);
        let sql = format!("SELECT DISTINCT LEFT({found}, 40) FROM {table} WHERE {misfit} LIMIT {EXAMPLES}");
        let rows = self.control.query(&sql).await.map_err(classify)?;
        let examples: Vec<String> = rows.into_iter().flatten().flatten().collect();
        if !examples.is_empty() {
            step.refused.push(format!("{place}: values do not fit: {}", examples.join(", ")));
        }
        Ok(())
    }

    async fn key(&mut self, changing: &Changing<'_>) -> Result<(), Error> {
        let table = changing.alter.table;
        let mut names = String::new();
        push_names(self.dialect, &mut names, table.primary_key.iter().map(String::as_str));
        let drop = if changing.alter.found.primary_key.is_empty() { "" } else { "DROP PRIMARY KEY, " };
        let clause = format!("{drop}ADD PRIMARY KEY ({names})");
        let mut step = Step::default();
        let columns: Vec<&ColumnDef> = table.columns.iter().filter(|c| table.primary_key.contains(&c.name)).collect();
        let is_new = |column: &&&ColumnDef| {
            let added = |change: &ColumnChange<'_>| matches!(change, ColumnChange::Add(new) if new.name == column.name);
            changing.alter.columns.iter().any(added)
        };
        match columns.iter().find(is_new).filter(|_| changing.rows > 0) {
            Some(new) => {
                step.refused.push(format!("the new key column {} has no values for the rows that exist", new.name));
            }
            None => {
                let found: Vec<String> = columns.iter().map(|column| self.found_name(changing, column)).collect();
                self.check_duplicates(changing, &found, "primary key", &mut step).await?;
            }
        }
        self.change(changing, format!("change the primary key of {}", table.name), &[clause], step).await
    }

    async fn index(&mut self, changing: &Changing<'_>, index: &IndexDef) -> Result<(), Error> {
        let mut step = Step::default();
        let table = changing.alter.table;
        if index.unique {
            let of = |name: &String| table.columns.iter().find(|column| column.name == *name);
            let columns = index.columns.iter().filter_map(|(name, _)| of(name));
            let found: Vec<String> = columns.map(|column| self.found_name(changing, column)).collect();
            let exists =
                |name: &String| changing.alter.found.columns.iter().any(|c| self.dialect.name(&c.name) == *name);
            if found.iter().all(exists) {
                self.check_duplicates(changing, &found, "unique index", &mut step).await?;
            }
        }
        let what = format!("create index {} on {}", index.name, table.name);
        self.change(changing, what, &[add_index(self.dialect, index)], step).await
    }

    async fn check_duplicates(
        &mut self,
        changing: &Changing<'_>,
        columns: &[String],
        what: &str,
        step: &mut Step,
    ) -> Result<(), Error> {
        let names = columns.join(", ");
        let set: Vec<_> = columns.iter().map(|name| format!("{name} IS NOT NULL")).collect();
        let table = self.dialect.name(&changing.alter.found.name);
        let sql = format!(
            "SELECT CONCAT_WS(', ', {names}), count(*) FROM {table} WHERE {} GROUP BY {names} HAVING count(*) > 1 LIMIT {EXAMPLES}",
            set.join(" AND ")
        );
        let rows = self.control.query(&sql).await.map_err(classify)?;
        let example = |row: Vec<Option<String>>| {
            let mut row = row.into_iter().flatten();
            format!("{} ({} rows)", row.next().unwrap_or_default(), row.next().unwrap_or_default())
        };
        let examples: Vec<String> = rows.into_iter().map(example).collect();
        if !examples.is_empty() {
            step.refused.push(format!("the {what} would have duplicates: {}", examples.join("; ")));
        }
        Ok(())
    }

    /// A change of the table, in the cheapest way the server takes for each of its clauses.
    async fn change(
        &mut self,
        changing: &Changing<'_>,
        what: String,
        clauses: &[String],
        step: Step,
    ) -> Result<(), Error> {
        let mut step = Step { what, rows: changing.rows, ..step };
        for clause in clauses {
            self.clause(changing, clause, &mut step).await?;
        }
        self.add(&changing.alter.table.name, step);
        Ok(())
    }

    async fn clause(&mut self, changing: &Changing<'_>, clause: &str, step: &mut Step) -> Result<(), Error> {
        let (name, rows) = (&changing.alter.table.name, changing.rows);
        let (way, suffix) = self.way(changing, clause, step).await?;
        let copies = way.starts_with("COPY");
        step.rewrites_table |= copies;
        if self.capabilities.online_ddl == OnlineDdl::Gateway {
            step.refused.extend(gateway::too_long(way, rows, &self.dialect.name(name), clause));
        } else if copies && rows > LARGE {
            let database = self.control.query("SELECT DATABASE()").await.map_err(classify)?;
            let database = database.into_iter().flatten().flatten().next().unwrap_or_default();
            step.refused.push(format!(
                "the server copies about {rows} rows for it while writes wait; change the table online with\n     \
                 pt-online-schema-change --execute --alter \"{clause}\" D={database},t={name}\n     \
                 or gh-ost --execute --database={database} --table={name} --alter=\"{clause}\"\n     \
                 and plan again"
            ));
        }
        if !way.is_empty() {
            // The first clause is the one that may touch rows.
            step.algorithm.get_or_insert_with(|| way.to_owned());
        }
        step.sql.push(format!("ALTER TABLE {} {clause}{suffix}", self.dialect.name(name)));
        Ok(())
    }

    /// Tries the change on the empty copy.
    async fn way(
        &mut self,
        changing: &Changing<'_>,
        clause: &str,
        step: &mut Step,
    ) -> Result<(&'static str, &'static str), Error> {
        if !changing.trial || !step.refused.is_empty() {
            return Ok(("", ""));
        }
        let mut last = None;
        for (way, suffix) in WAYS {
            match self.control.command(&format!("ALTER TABLE {TRIAL} {clause}{suffix}")).await {
                Ok(_) => return Ok((way, suffix)),
                Err(error) if error.code().is_some() => last = Some(error),
                Err(error) => return Err(classify(error)),
            }
        }
        if let Some(error) = last {
            step.refused.push(format!("the server does not do it: {error}"));
        }
        Ok(("", ""))
    }

    async fn count(&mut self, changing: &Changing<'_>, condition: &str) -> Result<u64, Error> {
        let table = self.dialect.name(&changing.alter.found.name);
        let rows =
            self.control.query(&format!("SELECT count(*) FROM {table} WHERE {condition}")).await.map_err(classify)?;
        Ok(rows.into_iter().flatten().flatten().next().and_then(|count| count.parse().ok()).unwrap_or_default())
    }

    /// The quoted name of a column before the change.
    fn found_name(&self, changing: &Changing<'_>, column: &ColumnDef) -> String {
        let renamed = changing.alter.columns.iter().find_map(|change| match change {
            ColumnChange::Rename { from, to } if to.name == column.name => Some(*from),
            _ => None,
        });
        self.dialect.name(renamed.unwrap_or(&column.name))
    }

    /// Adds a step. One that touches a table somebody else changed has to be asked for.
    fn add(&mut self, table: &str, mut step: Step) {
        step.table = table.to_owned();
        if self.drift.iter().any(|drift| drift.table == table) {
            let why = format!("somebody else changed {table} since the last apply");
            step.needs.push(Need { flag: format!("drift:{table}"), why, loses_data: false });
        }
        self.done.push(step);
    }
}

fn is_whole(storage: &str) -> bool {
    matches!(storage, "Bool" | "Int32" | "Int64" | "Uint32" | "Uint64" | "Enum")
}

/// True for values that a column of the wanted type cannot hold.
fn misfit(found: &str, storage: Storage, wanted: &str) -> Option<String> {
    let length = || wanted.split_once('(')?.1.split_once(')').map(|(length, _)| length.to_owned());
    let range = |low: i128, high: i128| Some(format!("{found} NOT BETWEEN {low} AND {high}"));
    match storage {
        Storage::Text => length().map(|length| format!("CHAR_LENGTH({found}) > {length}")),
        Storage::Blob => length().map(|length| format!("LENGTH({found}) > {length}")),
        Storage::Bool => range(0, 1),
        Storage::Int32 | Storage::Enum(_) => range(i32::MIN.into(), i32::MAX.into()),
        Storage::Uint32 => range(0, u32::MAX.into()),
        Storage::Int64 => range(i64::MIN.into(), i64::MAX.into()),
        Storage::Uint64 => range(0, u64::MAX.into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_asked_for_by_length_and_range() {
        assert_eq!(misfit("`a`", Storage::Text, "varchar(20)").as_deref(), Some("CHAR_LENGTH(`a`) > 20"));
        assert_eq!(misfit("`a`", Storage::Text, "longtext"), None);
        assert_eq!(misfit("`a`", Storage::Uint32, "int unsigned").as_deref(), Some("`a` NOT BETWEEN 0 AND 4294967295"));
    }
}
