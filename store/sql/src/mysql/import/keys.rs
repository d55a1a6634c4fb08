//! Keys of tables and views that have none of their own: on the word of whoever imports, or on that of a table.

use std::collections::BTreeMap;

use kit_core::{Code, Error};

use super::draft::Vouched;
use super::source::{Table, TableKind};

/// A key that was given: a table and its columns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GivenKey {
    /// Of a table without a key, or a view.
    pub table: String,
    /// Names of columns.
    pub columns: Vec<String>,
}

/// `table=column,column`.
impl std::str::FromStr for GivenKey {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}`: write TABLE=COLUMN, with commas between columns");
        let (table, columns) = text.split_once('=').ok_or_else(wrong)?;
        let columns: Vec<String> = columns.split(',').map(|column| column.trim().to_owned()).collect();
        if table.is_empty() || columns.iter().any(String::is_empty) {
            return Err(wrong());
        }
        Ok(Self { table: table.to_owned(), columns })
    }
}

/// The keys that are given or guessed, by table.
///
/// # Errors
/// `INVALID_ARGUMENT` if a key is given for what is not there or has one.
pub(super) fn vouched(tables: &[Table], given: &[GivenKey]) -> Result<BTreeMap<String, Vouched>, Error> {
    let mut vouched = BTreeMap::new();
    for view in tables.iter().filter(|table| table.kind == TableKind::View) {
        vouched.extend(guess(view, tables).map(|key| (view.name.clone(), key)));
    }
    for key in given {
        check(tables, key)?;
        let why = "Read-only: the key is taken on trust.".to_owned();
        vouched.insert(key.table.clone(), Vouched { key: key.columns.clone(), why });
    }
    Ok(vouched)
}

fn check(tables: &[Table], given: &GivenKey) -> Result<(), Error> {
    let wrong = |message: String| Err(Error::new(Code::InvalidArgument, "KEY", message));
    let Some(table) = tables.iter().find(|table| table.name == given.table) else {
        return wrong(format!("there is no table or view {} among those that are imported", given.table));
    };
    if let Some(column) = given.columns.iter().find(|column| table.column(column).is_none()) {
        return wrong(format!("{} has no column {column}", given.table));
    }
    if !table.primary_key.is_empty() {
        return wrong(format!("{} has a primary key", given.table));
    }
    Ok(())
}

/// A view that shows the whole key of a table most often has its rows. The first such column decides.
fn guess(view: &Table, tables: &[Table]) -> Option<Vouched> {
    let place = |name: &String, table: &Table| {
        let (here, there) = (view.column(name)?, table.column(name)?);
        let same = here.column_type == there.column_type && !here.nullable;
        same.then(|| view.columns.iter().position(|column| column.name == *name))?
    };
    let shown = |table: &Table| {
        let places: Option<Vec<usize>> = table.primary_key.iter().map(|name| place(name, table)).collect();
        places?.into_iter().min()
    };
    let candidates = tables.iter().filter(|table| !table.primary_key.is_empty());
    let (_, table) = candidates.filter_map(|table| Some((shown(table)?, table))).min_by_key(|(place, _)| *place)?;
    let why = format!("Read-only, and the key is a guess: that of {}.", table.name);
    Some(Vouched { key: table.primary_key.clone(), why })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_given_as_table_and_columns() {
        let key = |text: &str| text.parse::<GivenKey>();
        let columns = vec!["a".to_owned(), "b".to_owned()];
        assert_eq!(key("seen=a, b"), Ok(GivenKey { table: "seen".to_owned(), columns }));
        assert!(key("seen").is_err() && key("seen=").is_err() && key("=a").is_err());
    }
}
