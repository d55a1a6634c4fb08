//! Changes as SQLite's statements, with what each costs and loses.
//!
//! SQLite renames tables and columns and adds and drops columns in place; anything else about a column or a key is a
//! rebuild: a new table, the rows copied through the conversions, the old table dropped, the new one renamed.

use kit_core::Error;
use rowkeep_record::Value;
use rowkeep_schema::Storage;
use rusqlite::Connection;
use rusqlite::types::ValueRef;

use super::errors::failed;
use crate::ddl::{ColumnDef, IndexDef, KeyKind, TableDef, add_column, create_index, create_table, literal};
use crate::dialect::{Dialect, push_names};
use crate::migrate::convert::{Conversion, conversion};
use crate::migrate::{Alter, ColumnChange, Drift, FoundTable, Need, Step};

const SQLITE: Dialect = Dialect::Sqlite;
/// A rebuild of more rows than this holds up the start so long that it has to be asked for.
const MANY_ROWS: u64 = 1_000_000;
/// Bad values shown.
const EXAMPLES: u32 = 3;

/// The steps so far.
pub(super) struct Steps<'a> {
    connection: &'a Connection,
    drift: &'a [Drift],
    pub(super) done: Vec<Step>,
}

impl<'a> Steps<'a> {
    pub(super) fn new(connection: &'a Connection, drift: &'a [Drift]) -> Self {
        Self { connection, drift, done: Vec::new() }
    }

    pub(super) fn create(&mut self, table: &TableDef) {
        let mut sql = vec![create_table(SQLITE, table, &table.name)];
        sql.extend(table.indexes.iter().map(|index| create_index(SQLITE, &table.name, index)));
        let refused = table.columns.iter().filter_map(|column| table.unmakeable(column)).collect();
        self.add(&table.name, Step { what: format!("create table {}", table.name), sql, refused, ..Step::default() });
    }

    pub(super) fn unfit(&mut self, table: &TableDef, why: String) {
        let what = format!("read {}", table.name);
        self.add(&table.name, Step { what, refused: vec![why], ..Step::default() });
    }

    pub(super) fn drop(&mut self, table: &FoundTable) -> Result<(), Error> {
        let rows = self.rows(&table.name)?;
        let name = &table.name;
        let needs =
            Need { flag: format!("drop-table:{name}"), why: format!("its {rows} rows are gone"), loses_data: true };
        let sql = vec![format!("DROP TABLE {}", SQLITE.name(name))];
        self.add(name, Step { what: format!("drop table {name}"), sql, rows, needs: vec![needs], ..Step::default() });
        Ok(())
    }

    pub(super) fn alter(&mut self, alter: &Alter<'_>) -> Result<(), Error> {
        let rows = self.rows(&alter.found.name)?;
        let name = &alter.table.name;
        if alter.rename {
            let from = &alter.found.name;
            let sql = vec![format!("ALTER TABLE {} RENAME TO {}", SQLITE.name(from), SQLITE.name(name))];
            self.add(from, Step { what: format!("rename table {from} to {name}"), sql, rows, ..Step::default() });
        }
        for index in &alter.drop_indexes {
            let sql = vec![format!("DROP INDEX {}", SQLITE.name(&index.name))];
            self.add(name, Step { what: format!("drop index {}", index.name), sql, rows, ..Step::default() });
        }
        if needs_rebuild(alter) {
            let step = self.rebuild(alter, rows)?;
            self.add(name, step);
            // The old table takes its indexes with it.
            let kept = alter.table.indexes.iter().filter(|index| !alter.create_indexes.contains(index));
            for index in kept {
                self.index(alter, index, rows)?;
            }
        } else {
            for change in &alter.columns {
                let step = self.column(alter, change, rows)?;
                self.add(name, step);
            }
        }
        for index in &alter.create_indexes {
            self.index(alter, index, rows)?;
        }
        Ok(())
    }

    fn column(&self, alter: &Alter<'_>, change: &ColumnChange<'_>, rows: u64) -> Result<Step, Error> {
        let table = &alter.table.name;
        let step = Step { rows, ..Step::default() };
        Ok(match change {
            ColumnChange::Add(column) => Step {
                what: format!("add column {table}.{}", column.name),
                sql: vec![add_column(SQLITE, table, column)],
                refused: alter.table.unmakeable(column).into_iter().collect(),
                ..step
            },
            ColumnChange::Rename { from, to } => Step {
                what: format!("rename column {table}.{from} to {}", to.name),
                sql: vec![format!(
                    "ALTER TABLE {} RENAME COLUMN {} TO {}",
                    SQLITE.name(table),
                    SQLITE.name(from),
                    SQLITE.name(&to.name)
                )],
                ..step
            },
            ColumnChange::Drop(column) => Step {
                what: format!("drop column {table}.{column}"),
                sql: vec![format!("ALTER TABLE {} DROP COLUMN {}", SQLITE.name(table), SQLITE.name(column))],
                rewrites_table: true,
                needs: vec![dropped(table, column, rows)],
                ..step
            },
            // In place: only the check matters.
            ColumnChange::Convert { column, from } => {
                let mut step = Step { what: format!("change type of {table}.{}", column.name), ..step };
                let conversion = self.conversion(alter, column, *from, &mut step)?;
                debug_assert!(conversion.is_none_or(|conversion| conversion.expression.is_none()));
                step
            }
            ColumnChange::Nullable(_) => step,
        })
    }

    /// The conversion of a column, with what is wrong or lost added to the step.
    fn conversion(
        &self,
        alter: &Alter<'_>,
        column: &ColumnDef,
        from: Option<&str>,
        step: &mut Step,
    ) -> Result<Option<Conversion>, Error> {
        let place = format!("{}.{}", alter.table.name, column.name);
        let Some(from) = from else {
            step.refused.push(format!("{place} has another type, and rowkeep did not make it"));
            return Ok(None);
        };
        let conversion = match conversion(from, column.storage) {
            Ok(conversion) => conversion,
            Err(why) => {
                step.refused.push(format!("{place}: {why}"));
                return Ok(None);
            }
        };
        let found = SQLITE.name(found_name(alter, column));
        if let Some(misfit) = &conversion.misfit {
            let condition = misfit.replace("{}", &found);
            let examples = self.examples(alter, &found, &condition)?;
            if !examples.is_empty() {
                step.refused.push(format!("{place}: values do not fit: {}", examples.join(", ")));
            }
        }
        if let Some(lost) = conversion.loses {
            step.needs.push(Need {
                flag: format!("change-type:{place}"),
                why: format!("{lost} are lost"),
                loses_data: true,
            });
        }
        Ok(Some(conversion))
    }

    fn rebuild(&self, alter: &Alter<'_>, rows: u64) -> Result<Step, Error> {
        let table = &alter.table.name;
        let mut step = Step { what: format!("rebuild table {table}"), rewrites_table: true, rows, ..Step::default() };
        let mut expressions = Vec::new();
        for column in &alter.table.columns {
            let expression = self.expression(alter, column, &mut step, rows)?;
            expressions.push(expression);
        }
        for change in &alter.columns {
            if let ColumnChange::Drop(column) = change {
                step.needs.push(dropped(table, column, rows));
            }
        }
        if alter.key {
            self.check_key(alter, &mut step)?;
        }
        if rows > MANY_ROWS {
            let why = format!("{rows} rows are copied while nothing is served");
            step.needs.push(Need { flag: format!("rebuild-table:{table}"), why, loses_data: false });
        }
        step.refused.extend(foreign_columns(alter));
        step.sql = rebuild_statements(alter, &expressions);
        for (kind, name, sql) in self.attached(alter)? {
            match kind.as_str() {
                "index" => step.sql.push(sql),
                _ => step.refused.push(format!("{kind} {name} is not rowkeep's and would be lost; drop it first")),
            }
        }
        Ok(step)
    }

    /// Indexes and triggers that somebody else put on the table: kind, name, statement.
    fn attached(&self, alter: &Alter<'_>) -> Result<Vec<(String, String, String)>, Error> {
        let sql =
            "SELECT type, name, sql FROM sqlite_schema WHERE tbl_name = ? AND type <> 'table' AND sql IS NOT NULL";
        let mut statement = self.connection.prepare(sql).map_err(failed)?;
        let row = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?, row.get(2)?));
        let found = statement.query_map([&alter.found.name], row).map_err(failed)?;
        let mut found: Vec<(String, String, String)> = found.collect::<rusqlite::Result<_>>().map_err(failed)?;
        let ours = |name: &str| {
            alter.table.indexes.iter().any(|index| index.name == name)
                || alter.drop_indexes.iter().any(|index| index.name == name)
        };
        found.retain(|(_, name, _)| !ours(name));
        Ok(found)
    }

    /// What a column of the new table gets.
    fn expression(&self, alter: &Alter<'_>, column: &ColumnDef, step: &mut Step, rows: u64) -> Result<String, Error> {
        let fill = literal(SQLITE, &column.fill, column.storage);
        let changes = |change: &&ColumnChange<'_>| match change {
            ColumnChange::Add(of) | ColumnChange::Nullable(of) => of.name == column.name,
            ColumnChange::Convert { column: of, .. } => of.name == column.name,
            ColumnChange::Rename { .. } | ColumnChange::Drop(_) => false,
        };
        let mut expression = SQLITE.name(found_name(alter, column));
        for change in alter.columns.iter().filter(changes) {
            match change {
                ColumnChange::Add(_) => return Ok(fill),
                ColumnChange::Convert { from, .. } => {
                    let conversion = self.conversion(alter, column, *from, step)?;
                    if let Some(by) = conversion.and_then(|conversion| conversion.expression) {
                        expression = by.replace("{}", &expression);
                    }
                }
                _ if column.not_null => {
                    let found = SQLITE.name(found_name(alter, column));
                    let absent = self.count(alter, &format!("{found} IS NULL"))?;
                    if absent > 0 {
                        let flag = format!("set-not-null:{}.{}", alter.table.name, column.name);
                        let why = format!("{absent} of {rows} rows have no value and get {}", shown(&column.fill));
                        step.needs.push(Need { flag, why, loses_data: true });
                    }
                    expression = format!("coalesce({expression}, {fill})");
                }
                _ => {}
            }
        }
        Ok(expression)
    }

    fn check_key(&self, alter: &Alter<'_>, step: &mut Step) -> Result<(), Error> {
        let columns: Vec<&ColumnDef> = alter
            .table
            .primary_key
            .iter()
            .filter_map(|name| alter.table.columns.iter().find(|column| column.name == *name))
            .collect();
        let is_new = |column: &&ColumnDef| {
            alter.columns.iter().any(|change| matches!(change, ColumnChange::Add(new) if new.name == column.name))
        };
        if let Some(new) = columns.iter().copied().find(is_new).filter(|_| step.rows > 0) {
            step.refused.push(format!("the new key column {} has no values for the rows that exist", new.name));
            return Ok(());
        }
        let names: Vec<&str> = columns.iter().map(|column| found_name(alter, column)).collect();
        self.check_duplicates(alter, &names, "primary key", step)
    }

    fn index(&mut self, alter: &Alter<'_>, index: &IndexDef, rows: u64) -> Result<(), Error> {
        let mut step = Step {
            what: format!("create index {} on {}", index.name, alter.table.name),
            sql: vec![create_index(SQLITE, &alter.table.name, index)],
            rows,
            ..Step::default()
        };
        let exists = |name: &str| alter.found.column(name).is_some();
        if index.unique {
            let columns = index.columns.iter().map(|(name, _)| {
                let column = alter.table.columns.iter().find(|column| column.name == *name);
                column.map_or(name.as_str(), |column| found_name(alter, column))
            });
            let columns: Vec<&str> = columns.collect();
            if columns.iter().all(|name| exists(name)) {
                self.check_duplicates(alter, &columns, "unique index", &mut step)?;
            }
        }
        self.add(&alter.table.name, step);
        Ok(())
    }

    fn check_duplicates(&self, alter: &Alter<'_>, columns: &[&str], what: &str, step: &mut Step) -> Result<(), Error> {
        let mut names = String::new();
        push_names(SQLITE, &mut names, columns.iter().copied());
        let set: Vec<_> = columns.iter().map(|name| format!("{} IS NOT NULL", SQLITE.name(name))).collect();
        let sql = format!(
            "SELECT {names}, count(*) FROM {} WHERE {} GROUP BY {names} HAVING count(*) > 1 LIMIT {EXAMPLES}",
            SQLITE.name(&alter.found.name),
            set.join(" AND ")
        );
        let mut statement = self.connection.prepare(&sql).map_err(failed)?;
        let mut rows = statement.query([]).map_err(failed)?;
        let mut examples = Vec::new();
        while let Some(row) = rows.next().map_err(failed)? {
            let mut values = Vec::new();
            for (at, column) in columns.iter().enumerate() {
                values.push(format!("{column}={}", text(row.get_ref(at).map_err(failed)?)));
            }
            let count: i64 = row.get(columns.len()).map_err(failed)?;
            examples.push(format!("{} ({count} rows)", values.join(", ")));
        }
        if !examples.is_empty() {
            step.refused.push(format!("the {what} would have duplicates: {}", examples.join("; ")));
        }
        Ok(())
    }

    fn examples(&self, alter: &Alter<'_>, column: &str, condition: &str) -> Result<Vec<String>, Error> {
        let table = SQLITE.name(&alter.found.name);
        let sql = format!("SELECT DISTINCT {column} FROM {table} WHERE {condition} LIMIT {EXAMPLES}");
        let mut statement = self.connection.prepare(&sql).map_err(failed)?;
        let mut rows = statement.query([]).map_err(failed)?;
        let mut examples = Vec::new();
        while let Some(row) = rows.next().map_err(failed)? {
            examples.push(text(row.get_ref(0).map_err(failed)?));
        }
        Ok(examples)
    }

    fn rows(&self, table: &str) -> Result<u64, Error> {
        self.number(&format!("SELECT count(*) FROM {}", SQLITE.name(table)))
    }

    fn count(&self, alter: &Alter<'_>, condition: &str) -> Result<u64, Error> {
        self.number(&format!("SELECT count(*) FROM {} WHERE {condition}", SQLITE.name(&alter.found.name)))
    }

    fn number(&self, sql: &str) -> Result<u64, Error> {
        let count: i64 = self.connection.query_row(sql, [], |row| row.get(0)).map_err(failed)?;
        Ok(count.unsigned_abs())
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

fn dropped(table: &str, column: &str, rows: u64) -> Need {
    let why = format!("the values of {rows} rows are gone");
    Need { flag: format!("drop-column:{table}.{column}"), why, loses_data: true }
}

fn needs_rebuild(alter: &Alter<'_>) -> bool {
    alter.key
        || alter.columns.iter().any(|change| match change {
            ColumnChange::Nullable(_) => true,
            ColumnChange::Convert { column, from } => {
                let same = |from: &str| conversion(from, column.storage).is_ok_and(|by| by.expression.is_none());
                let affinity = |name: &str| crate::ddl::sqlite_affinity(name);
                let found = alter.found.column(found_name(alter, column)).map(|found| affinity(&found.sql_type));
                !from.is_some_and(same) || found != Some(affinity(crate::ddl::sqlite_type(column)))
            }
            _ => false,
        })
}

/// The name of a column before the change.
fn found_name<'a>(alter: &'a Alter<'_>, column: &'a ColumnDef) -> &'a str {
    let renamed = alter.columns.iter().find_map(|change| match change {
        ColumnChange::Rename { from, to } if to.name == column.name => Some(*from),
        _ => None,
    });
    renamed.unwrap_or(&column.name)
}

/// Columns that somebody else added would be lost in a rebuild.
fn foreign_columns<'a>(alter: &'a Alter<'_>) -> impl Iterator<Item = String> + 'a {
    let known = |name: &str| {
        alter.table.columns.iter().any(|column| found_name(alter, column) == name)
            || alter.columns.iter().any(|change| matches!(change, ColumnChange::Drop(dropped) if *dropped == name))
    };
    let foreign = alter.found.columns.iter().filter(move |column| !known(&column.name));
    foreign.map(|column| {
        format!("column {} is not rowkeep's and would be lost; move it to another table first", column.name)
    })
}

fn rebuild_statements(alter: &Alter<'_>, expressions: &[String]) -> Vec<String> {
    let table = alter.table;
    let new = format!("rowkeep_new_{}", table.name);
    let mut names = String::new();
    push_names(SQLITE, &mut names, table.columns.iter().map(|column| column.name.as_str()));
    let (quoted_new, quoted_old) = (SQLITE.name(&new), SQLITE.name(&table.name));
    let mut sql = vec![
        create_table(SQLITE, table, &new),
        format!("INSERT INTO {quoted_new} ({names})\nSELECT {} FROM {quoted_old}", expressions.join(", ")),
    ];
    if table.key == KeyKind::Counted {
        // Numbers of deleted rows are not given again.
        let text = |name: &str| literal(SQLITE, &Value::Text(name.into()), Storage::Text);
        sql.push(format!("DELETE FROM sqlite_sequence WHERE name = {}", text(&new)));
        sql.push(format!(
            "INSERT INTO sqlite_sequence (name, seq) SELECT {}, max((SELECT coalesce(max(seq), 0) FROM sqlite_sequence WHERE name = {}), (SELECT coalesce(max(rowid), 0) FROM {quoted_new}))",
            text(&new),
            text(&table.name)
        ));
    }
    sql.push(format!("DROP TABLE {quoted_old}"));
    sql.push(format!("ALTER TABLE {quoted_new} RENAME TO {quoted_old}"));
    sql
}

fn text(value: ValueRef<'_>) -> String {
    match value {
        ValueRef::Null => "NULL".to_owned(),
        ValueRef::Integer(number) => number.to_string(),
        ValueRef::Real(number) => number.to_string(),
        ValueRef::Text(bytes) => {
            let text: String = String::from_utf8_lossy(bytes).chars().take(40).collect();
            format!("{text:?}")
        }
        ValueRef::Blob(bytes) => format!("{} bytes", bytes.len()),
    }
}

fn shown(value: &Value) -> String {
    match value {
        Value::Uint(number) => number.to_string(),
        other => literal(SQLITE, other, Storage::Text),
    }
}
