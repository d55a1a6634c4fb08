//! A schema for tables that are there: what `rowkeep import` writes.
//!
//! The schema describes the tables as they are, so that the plan it makes has no step: nothing is added, and whoever
//! else uses the tables goes on as before. What a schema cannot say is left out, with a comment in its place; what is
//! left out of it stays in the database, untouched.

mod defaults;
mod draft;
mod keys;
mod names;
mod pattern;
mod print;
mod references;
mod source;
mod types;

use std::collections::{BTreeMap, BTreeSet};

use kit_core::{Code, Error};

use super::database::{Database, Options};
use crate::dialect::Dialect;
use draft::{Draft, Vouched};
pub use keys::GivenKey;
use names::{MessageName, Names};
use source::Table;

/// What of a database is imported, and under which name.
#[derive(Debug, Clone, Default)]
pub struct ImportOptions {
    /// Package of the schema. Default: the database's name and `v1`.
    pub package: Option<String>,
    /// Names of tables, in which `*` stands for anything and `?` for one character. None: all.
    pub tables: Vec<String>,
    /// Of views and of tables without a key, which are read and not written.
    pub keys: Vec<GivenKey>,
}

/// A schema for a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// The text of the `.proto`.
    pub proto: String,
    /// Tables in it.
    pub tables: usize,
    /// What was left out, and what was guessed, in words.
    pub warnings: Vec<String>,
}

/// Reads the tables of a database. Changes nothing.
///
/// # Errors
/// `FAILED_PRECONDITION` if the server cannot be used or no table is left; `INVALID_ARGUMENT` if the package is no name.
pub fn import(options: &Options, asked: &ImportOptions) -> Result<Imported, Error> {
    let database = Database::connect(options)?;
    let dialect = database.connector.dialect;
    let package = asked.package.clone().unwrap_or_else(|| names::package(database.name()));
    check_package(&package)?;
    let mut tables =
        database.background.wait(async { source::read(&mut *database.control.lock().await, dialect).await })?;
    tables.retain(|table| pattern::any(&asked.tables, &table.name));
    let vouched = keys::vouched(&tables, &asked.keys)?;
    let drafts = drafts(dialect, &tables, &vouched);
    if !drafts.iter().any(|(_, draft)| draft.is_ok()) {
        return Err(nothing(&drafts));
    }
    Ok(imported(&package, &drafts))
}

fn drafts<'a>(
    dialect: Dialect,
    tables: &'a [Table],
    vouched: &BTreeMap<String, Vouched>,
) -> Vec<(&'a Table, Result<Draft<'a>, String>)> {
    let mut seen = BTreeSet::new();
    let mut draft = |table: &'a Table| {
        if !seen.insert(table.name.to_lowercase()) {
            return Err("another table has its name but for the case; import each with `--table`".to_owned());
        }
        Draft::new(dialect, table, vouched.get(&table.name))
    };
    tables.iter().map(|table| (table, draft(table))).collect()
}

type Drafts<'a> = [(&'a Table, Result<Draft<'a>, String>)];

fn check_package(package: &str) -> Result<(), Error> {
    let is_name = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && part.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    if package.split('.').all(is_name) {
        return Ok(());
    }
    let message = format!("`{package}` is no package: write names with points between them, such as shop.v1");
    Err(Error::new(Code::InvalidArgument, "PACKAGE", message))
}

fn nothing(drafts: &Drafts<'_>) -> Error {
    let mut message = "no table can be imported".to_owned();
    for (table, draft) in drafts {
        if let Err(why) = draft {
            message.push_str(&format!("\ntable {}: {why}", table.name));
        }
    }
    Error::new(Code::FailedPrecondition, "NOTHING_TO_IMPORT", message)
}

fn imported(package: &str, drafts: &Drafts<'_>) -> Imported {
    let mut names = Names::default();
    let named: Vec<(&Draft<'_>, MessageName)> = drafts
        .iter()
        .filter_map(|(_, draft)| draft.as_ref().ok())
        .map(|draft| (draft, names.message(&draft.table.name)))
        .collect();
    let all: BTreeMap<&str, (&Draft<'_>, &str)> =
        named.iter().map(|(draft, name)| (draft.table.name.as_str(), (*draft, name.message.as_str()))).collect();
    let mut proto = print::header(package, &imports(&named));
    for (draft, name) in &named {
        proto.push_str(&print::message(draft, name, &references::references(draft, &all)));
    }
    for (table, draft) in drafts {
        if let Err(why) = draft {
            proto.push_str(&print::left_out(&table.name, why));
        }
    }
    Imported { proto, tables: named.len(), warnings: drafts.iter().flat_map(warnings).collect() }
}

fn warnings((table, draft): &(&Table, Result<Draft<'_>, String>)) -> Vec<String> {
    let name = &table.name;
    let draft = match draft {
        Ok(draft) => draft,
        Err(why) => return vec![format!("{name} is left out: {why}")],
    };
    let untransacted = table.untransacted.iter().filter(|_| draft.read_only.is_none()).map(|engine| {
        format!("{name} is kept by {engine}, which knows no transactions: a commit that fails leaves half of it behind")
    });
    let read_only = draft.read_only.iter().map(|why| format!("{name} ({}): {why}", draft.key.join(", ")));
    let column = |column: &draft::DraftColumn<'_>| {
        let why = column.field.as_ref().err()?;
        Some(format!("{name}.{} is left out: {why}", column.column.name))
    };
    untransacted.chain(read_only).chain(draft.columns.iter().filter_map(column)).collect()
}

/// The files that the fields' types are in, and the annotations.
fn imports(named: &[(&Draft<'_>, MessageName)]) -> Vec<&'static str> {
    const FILES: [(&str, &str); 3] = [
        ("google.protobuf.Value", "google/protobuf/struct.proto"),
        ("google.protobuf.Timestamp", "google/protobuf/timestamp.proto"),
        ("google.type.Date", "google/type/date.proto"),
    ];
    let fields = || named.iter().flat_map(|(draft, _)| &draft.columns).filter_map(|column| column.field.as_ref().ok());
    let used = FILES.iter().filter(|(name, _)| fields().any(|field| field.kind.proto == *name));
    used.map(|(_, file)| *file).chain(["rowkeep/v1/options.proto"]).collect()
}
