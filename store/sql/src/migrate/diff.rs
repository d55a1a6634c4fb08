//! From the tables that are there to those a schema asks for, as changes without a dialect's spelling.
//!
//! Only what an apply made is ever dropped: a column or an index that somebody else added stays where it is.

use super::applied::{Applied, AppliedTable, storage_text};
use super::found::{FoundColumn, FoundIndex, FoundKey, FoundTable};
use crate::ddl::{ColumnDef, IndexDef, KeyKind, TableDef};

/// A change of the database.
#[derive(Debug)]
pub(crate) enum Change<'a> {
    Create(&'a TableDef),
    Alter(Alter<'a>),
    /// A table or view that is only read, and why it cannot be.
    Unfit(&'a TableDef, String),
    /// A managed table that no entity asks for any more.
    Drop(&'a FoundTable),
}

/// The changes of one table, in the order they are made.
#[derive(Debug)]
pub(crate) struct Alter<'a> {
    pub(crate) table: &'a TableDef,
    pub(crate) found: &'a FoundTable,
    /// From the found name.
    pub(crate) rename: bool,
    pub(crate) drop_indexes: Vec<&'a FoundIndex>,
    pub(crate) columns: Vec<ColumnChange<'a>>,
    pub(crate) key: bool,
    pub(crate) create_indexes: Vec<&'a IndexDef>,
}

/// A change of one column.
#[derive(Debug)]
pub(crate) enum ColumnChange<'a> {
    Add(&'a ColumnDef),
    Rename {
        from: &'a str,
        to: &'a ColumnDef,
    },
    /// Its values are stored in another way. `from` is the storage's text where it is known.
    Convert {
        column: &'a ColumnDef,
        from: Option<&'a str>,
    },
    /// Whether it may be NULL.
    Nullable(&'a ColumnDef),
    Drop(&'a str),
}

/// How a database shows what a schema asks for.
pub(crate) trait Spelling {
    /// Whether a column of this found type holds what the wanted one does.
    fn same_type(&self, table: &TableDef, column: &ColumnDef, found: &str) -> bool;

    /// Whether the catalogue shows the table's key like this.
    fn same_key(&self, table: &TableDef, found: FoundKey) -> bool;
}

/// The changes, tables in the order of the schema.
pub(crate) fn diff<'a>(
    desired: &'a [TableDef],
    found: &'a [FoundTable],
    applied: &'a Applied,
    spelling: &dyn Spelling,
) -> Vec<Change<'a>> {
    let by_name = |name: &str| found.iter().find(|table| table.name == name);
    let mut used = Vec::new();
    let mut changes = Vec::new();
    for table in desired {
        if table.read_only {
            used.push(table.name.as_str());
            let unfit = unfit(table, by_name(&table.name), spelling);
            changes.extend(unfit.map(|why| Change::Unfit(table, why)));
            continue;
        }
        let former = table.renamed_from.as_deref().and_then(by_name).filter(|_| by_name(&table.name).is_none());
        match former.or_else(|| by_name(&table.name)) {
            None => changes.push(Change::Create(table)),
            Some(found) => {
                used.push(found.name.as_str());
                let applied = applied.tables.get(&found.name);
                let alter = Differ { table, found, applied, spelling }.alter(former.is_some());
                changes.extend(alter.map(Change::Alter));
            }
        }
    }
    let managed = applied.tables.keys().filter(|name| !used.contains(&name.as_str()));
    changes.extend(managed.filter_map(|name| by_name(name)).map(Change::Drop));
    changes
}

/// Why what was found does not hold the rows that are to be read.
fn unfit(table: &TableDef, found: Option<&FoundTable>, spelling: &dyn Spelling) -> Option<String> {
    let Some(found) = found else { return Some("it is not there, and only its owner makes it".to_owned()) };
    let problem = |column: &ColumnDef| match found.column(&column.name) {
        None => Some(format!("it has no column {}", column.name)),
        Some(is) if !spelling.same_type(table, column, &is.sql_type) => {
            Some(format!("its column {} is {}; write `sql_type` if that is meant", column.name, is.sql_type))
        }
        Some(_) => None,
    };
    let problems: Vec<String> = table.columns.iter().filter_map(problem).collect();
    (!problems.is_empty()).then(|| problems.join("; "))
}

struct Differ<'a, 'f> {
    table: &'a TableDef,
    found: &'a FoundTable,
    applied: Option<&'a AppliedTable>,
    spelling: &'f dyn Spelling,
}

impl<'a> Differ<'a, '_> {
    fn alter(&self, rename: bool) -> Option<Alter<'a>> {
        let columns = self.columns();
        let key = self.key_differs();
        let gone =
            |name: &str| columns.iter().any(|change| matches!(change, ColumnChange::Drop(gone) if *gone == name));
        let (drop_indexes, create_indexes) = self.indexes(&gone);
        let nothing = !rename && !key && columns.is_empty() && drop_indexes.is_empty() && create_indexes.is_empty();
        (!nothing).then_some(Alter {
            table: self.table,
            found: self.found,
            rename,
            drop_indexes,
            columns,
            key,
            create_indexes,
        })
    }

    /// The name under which a column is found.
    fn found_name(&self, column: &'a ColumnDef) -> Option<&'a str> {
        if self.found.column(&column.name).is_some() {
            return Some(&column.name);
        }
        column.renamed_from.as_deref().filter(|former| self.found.column(former).is_some())
    }

    fn columns(&self) -> Vec<ColumnChange<'a>> {
        let mut changes = Vec::new();
        for column in &self.table.columns {
            let Some(found) = self.found_name(column).and_then(|name| self.found.column(name)) else {
                changes.push(ColumnChange::Add(column));
                continue;
            };
            if found.name != column.name {
                changes.push(ColumnChange::Rename { from: &found.name, to: column });
            }
            let was = self.applied.and_then(|applied| applied.storages.get(&found.name)).map(String::as_str);
            let same_storage = was.is_none_or(|was| was == storage_text(column.storage));
            if !same_storage || !self.spelling.same_type(self.table, column, &found.sql_type) {
                changes.push(ColumnChange::Convert { column, from: was });
            }
            if !self.same_nullability(column, found) {
                changes.push(ColumnChange::Nullable(column));
            }
        }
        let managed = |name: &str| self.applied.is_some_and(|applied| applied.storages.contains_key(name));
        let kept: Vec<_> = self.table.columns.iter().filter_map(|column| self.found_name(column)).collect();
        let dropped =
            self.found.columns.iter().filter(|found| !kept.contains(&found.name.as_str()) && managed(&found.name));
        changes.extend(dropped.map(|found| ColumnChange::Drop(&found.name)));
        changes
    }

    fn same_nullability(&self, column: &ColumnDef, found: &FoundColumn) -> bool {
        let stricter = found.not_null && column.always_set;
        found.not_null == column.not_null || stricter || column.computed || self.is_integer_key(column)
    }

    /// Such a key is never NULL, whatever the catalogue says.
    fn is_integer_key(&self, column: &ColumnDef) -> bool {
        self.table.key != KeyKind::Plain && self.table.primary_key.contains(&column.name)
    }

    fn key_differs(&self) -> bool {
        let named = |name: &String| {
            let column = self.table.columns.iter().find(|column| column.name == *name);
            column.and_then(|column| self.found_name(column)).unwrap_or_default().to_owned()
        };
        let wanted: Vec<String> = self.table.primary_key.iter().map(named).collect();
        let same_columns = wanted == self.found.primary_key || self.found.is_keyed_by(&wanted);
        !same_columns || !self.spelling.same_key(self.table, self.found.key)
    }

    fn indexes(&self, gone: &dyn Fn(&str) -> bool) -> (Vec<&'a FoundIndex>, Vec<&'a IndexDef>) {
        let managed = |index: &FoundIndex| self.applied.is_some_and(|applied| applied.indexes.contains(&index.name));
        let (mut drop, mut kept) = (Vec::new(), Vec::new());
        for index in &self.found.indexes {
            let wanted = self.table.indexes.iter().find(|wanted| wanted.name == index.name);
            match wanted {
                Some(wanted) if self.fits(wanted, index) => kept.push(wanted.name.as_str()),
                Some(_) => drop.push(index),
                None if managed(index) || index.columns.iter().any(|(column, _)| gone(column)) => drop.push(index),
                None => {}
            }
        }
        let create = self.table.indexes.iter().filter(|wanted| !kept.contains(&wanted.name.as_str())).collect();
        (drop, create)
    }

    fn fits(&self, wanted: &IndexDef, found: &FoundIndex) -> bool {
        let column = |name: &str| {
            let column = self.table.columns.iter().find(|column| column.name == name);
            column.and_then(|column| self.found_name(column))
        };
        let same = |((wanted, down), (found, found_down)): (&(String, bool), &(String, bool))| {
            column(wanted) == Some(found.as_str()) && down == found_down
        };
        let columns =
            wanted.columns.len() == found.columns.len() && wanted.columns.iter().zip(&found.columns).all(same);
        columns && wanted.unique == found.unique && !found.special
    }
}
