//! A schema for tables that are there: what `rowkeep import` writes.
//!
//! The schema describes the tables as they are, so that the plan it makes has no step: nothing is added, and whoever
//! else uses the tables goes on as before. What a schema cannot say is left out, with a comment in its place; what is
//! left out of it stays in the database, untouched.

mod defaults;
mod draft;
mod names;
mod pattern;
mod print;
mod references;
mod source;
mod types;

use std::collections::BTreeMap;

use kit_core::{Code, Error};

use super::database::{Database, Options};
use draft::Draft;
use names::{MessageName, Names};
use source::Table;

/// What of a database is imported, and under which name.
#[derive(Debug, Clone, Default)]
pub struct ImportOptions {
    /// Package of the schema. Default: the database's name and `v1`.
    pub package: Option<String>,
    /// Names of tables, in which `*` stands for anything and `?` for one character. None: all.
    pub tables: Vec<String>,
}

/// A schema for a database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// The text of the `.proto`.
    pub proto: String,
    /// Tables in it.
    pub tables: usize,
    /// What was left out, in words.
    pub left_out: Vec<String>,
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
    let drafts: Vec<_> = tables.iter().map(|table| (table, Draft::new(dialect, table))).collect();
    if !drafts.iter().any(|(_, draft)| draft.is_ok()) {
        return Err(nothing(&drafts));
    }
    Ok(imported(&package, &drafts))
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
    let mut left_out = Vec::new();
    for (table, draft) in drafts {
        match draft {
            Ok(draft) => left_out.extend(left_out_columns(draft)),
            Err(why) => {
                proto.push_str(&print::left_out(&table.name, why));
                left_out.push(format!("table {}: {why}", table.name));
            }
        }
    }
    Imported { proto, tables: named.len(), left_out }
}

fn left_out_columns<'a>(draft: &'a Draft<'_>) -> impl Iterator<Item = String> + 'a {
    let why = |column: &draft::DraftColumn<'_>| {
        let why = column.field.as_ref().err()?;
        Some(format!("column {}.{}: {why}", draft.table.name, column.column.name))
    };
    draft.columns.iter().filter_map(why)
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
