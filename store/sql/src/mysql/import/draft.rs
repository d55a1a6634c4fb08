//! A table as a message in the making: its key, its fields, its indexes.

use std::collections::BTreeSet;

use rowkeep_schema::Storage;

use super::defaults::{Default, annotated, is_zero};
use super::names;
use super::source::{Column, Table, TableKind};
use super::types::{FieldType, field_type, quoted};
use crate::dialect::Dialect;
use crate::migrate::FoundIndex;

/// Columns of keys and indexes that a request can number.
const MAX_KEY_COLUMNS: usize = 15;
/// Fields of an entity at most.
const MAX_FIELDS: usize = 1000;
/// Beginnings of names that are kept.
const KEPT: [&str; 2] = ["rowkeep_", "sqlite_"];

/// A table with what of it goes into the schema.
#[derive(Debug)]
pub(super) struct Draft<'a> {
    pub(super) table: &'a Table,
    /// Names of columns.
    pub(super) key: Vec<String>,
    /// Why its rows are read and not written, if they are.
    pub(super) read_only: Option<String>,
    pub(super) columns: Vec<DraftColumn<'a>>,
    pub(super) indexes: Vec<&'a FoundIndex>,
}

/// A column, or why it is left out.
#[derive(Debug)]
pub(super) struct DraftColumn<'a> {
    pub(super) column: &'a Column,
    pub(super) number: usize,
    pub(super) field: Result<Field, String>,
}

#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) kind: FieldType,
    pub(super) optional: bool,
    /// Of the annotation, in order.
    pub(super) options: Vec<String>,
    /// Comments.
    pub(super) notes: Vec<String>,
}

impl Field {
    pub(super) fn storage(&self) -> Storage {
        self.kind.storage
    }
}

/// The key of a table or view that has none of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Vouched {
    /// Names of columns.
    pub(super) key: Vec<String>,
    /// Whose word it is.
    pub(super) why: String,
}

impl<'a> Draft<'a> {
    /// `Err` says why the table is left out.
    pub(super) fn new(dialect: Dialect, table: &'a Table, vouched: Option<&Vouched>) -> Result<Self, String> {
        check_name(table)?;
        let (key, read_only) = match (own_key(table)?, vouched) {
            (Some(key), _) => (key, None),
            (None, Some(vouched)) => (vouched.key.clone(), Some(vouched.why.clone())),
            (None, None) => return Err(no_key(table)),
        };
        let kinds = table.columns.iter().map(|column| kind(table, &key, column));
        let mut columns: Vec<DraftColumn<'a>> = Vec::new();
        let mut taken = BTreeSet::new();
        for ((column, kind), number) in table.columns.iter().zip(kinds).zip(1..) {
            let keyed = key.contains(&column.name);
            let named = keyed || table.indexes.iter().any(|index| index.unique && has(index, &column.name));
            let field = kind.map(|kind| Field {
                name: names::field(&column.name, named, &mut taken),
                optional: column.nullable && !keyed && !kind.is_message,
                kind,
                options: Vec::new(),
                notes: Vec::new(),
            });
            let field = field.and_then(|field| if number > MAX_FIELDS { Err(TOO_MANY.to_owned()) } else { Ok(field) });
            columns.push(DraftColumn { column, number, field });
        }
        let mut draft = Self { table, key, read_only, columns, indexes: Vec::new() };
        draft.check_key()?;
        draft.choose_indexes();
        draft.annotate(dialect);
        Ok(draft)
    }

    fn check_key(&self) -> Result<(), String> {
        for name in &self.key {
            if let Some(DraftColumn { field: Err(why), .. }) = self.columns.iter().find(|c| c.column.name == *name) {
                return Err(format!("its key cannot be one: {name}: {why}"));
            }
        }
        Ok(())
    }

    pub(super) fn field(&self, column: &str) -> Option<&Field> {
        self.columns.iter().find(|of| of.column.name == column)?.field.as_ref().ok()
    }

    /// What an index of the schema can say of those that are there. The others stay as they are.
    fn choose_indexes(&mut self) {
        let mut lookups = BTreeSet::new();
        let mut chosen: Vec<&'a FoundIndex> = Vec::new();
        for index in &self.table.indexes {
            let twice = chosen.iter().any(|other| other.columns == index.columns);
            let names = || index.columns.iter().map(|(name, _)| name);
            let is_key = index.unique && names().eq(&self.key);
            if twice || is_key || !self.can_index(index) {
                continue;
            }
            let lookup: Vec<String> =
                names().filter_map(|name| self.field(name)).map(|field| field.name.replace('_', "")).collect();
            if !index.unique || lookups.insert(lookup) {
                chosen.push(index);
            }
        }
        self.indexes = chosen;
    }

    fn can_index(&self, index: &FoundIndex) -> bool {
        let takes = |name: &str| self.field(name).is_some_and(|field| field.storage() != Storage::Json);
        !index.special
            && unnameable(&index.name).is_none()
            && index.columns.len() <= MAX_KEY_COLUMNS
            && index.columns.iter().all(|(name, _)| takes(name))
    }

    fn annotate(&mut self, dialect: Dialect) {
        let (key, indexes) = (&self.key, &self.indexes);
        for DraftColumn { column, field, .. } in &mut self.columns {
            let Ok(field) = field else { continue };
            let indexed = key.contains(&column.name) || indexes.iter().any(|index| has(index, &column.name));
            annotate(dialect, column, key, indexed, field);
        }
    }

    /// Whether a delete of the row that the column refers to finds this one without reading the table.
    pub(super) fn is_found_by(&self, column: &str) -> bool {
        let first = |index: &&FoundIndex| index.columns.first().is_some_and(|(name, _)| name == column);
        self.key.first().is_some_and(|first| first == column) || self.indexes.iter().any(first)
    }

    /// Whether the column alone names a row.
    pub(super) fn is_named_by(&self, column: &str) -> bool {
        let alone = |index: &&FoundIndex| index.unique && index.columns.len() == 1 && index.columns[0].0 == column;
        self.key == [column] || self.indexes.iter().any(alone)
    }
}

const TOO_MANY: &str = "an entity has 1,000 fields at most";

fn has(index: &FoundIndex, column: &str) -> bool {
    index.columns.iter().any(|(name, _)| name == column)
}

/// Why a schema cannot name what is called so.
fn unnameable(name: &str) -> Option<String> {
    if KEPT.iter().any(|kept| name.to_ascii_lowercase().starts_with(kept)) {
        return Some("its name begins with what is kept for the store".to_owned());
    }
    name.chars().any(char::is_control).then(|| "there is a control character in its name".to_owned())
}

fn kind(table: &Table, key: &[String], column: &Column) -> Result<FieldType, String> {
    let keyed = key.contains(&column.name);
    if let Some(why) = unnameable(&column.name) {
        return Err(why);
    }
    if keyed && column.computed {
        return Err(format!("{} is computed", table.name));
    }
    field_type(column, keyed)
}

fn check_name(table: &Table) -> Result<(), String> {
    if table.kind == TableKind::Other {
        return Err("it is no table".to_owned());
    }
    unnameable(&table.name).map_or(Ok(()), Err)
}

/// Why nothing tells the rows of a table apart, and what to do.
fn no_key(table: &Table) -> String {
    let what = match table.kind {
        TableKind::View => "it is a view, and nothing says which of its columns tell rows apart",
        _ => "it has no key: neither a primary key nor a unique index over columns that are never NULL",
    };
    format!("{what}; `--key {}=COLUMN` says so, for reading", table.name)
}

/// What tells rows apart: the primary key, or the shortest unique index that always does.
fn own_key(table: &Table) -> Result<Option<Vec<String>>, String> {
    let names = |index: &FoundIndex| -> Vec<String> { index.columns.iter().map(|(name, _)| name.clone()).collect() };
    let set = |name: &String| table.column(name).is_some_and(|column| !column.nullable && !column.computed);
    let unique = table.indexes.iter().filter(|index| index.unique && !index.special).map(names);
    let unique = unique.filter(|columns| columns.iter().all(set)).min_by_key(Vec::len);
    let key = if table.primary_key.is_empty() { unique } else { Some(table.primary_key.clone()) };
    match key {
        Some(key) if key.len() > MAX_KEY_COLUMNS => Err(format!("its key has more than {MAX_KEY_COLUMNS} columns")),
        key => Ok(key),
    }
}

fn annotate(dialect: Dialect, column: &Column, key: &[String], indexed: bool, field: &mut Field) {
    let keyed = key.contains(&column.name);
    if field.name != column.name {
        field.options.push(format!("name: {}", quoted(&column.name)));
    }
    let kept = source(column, key, field);
    if !kept && !keyed && !column.nullable && field.kind.is_message {
        field.options.push("required: true".to_owned());
    }
    let kind = std::mem::replace(&mut field.kind, FieldType::none());
    field.kind = kind.keeping(dialect, &column.column_type, indexed);
    field.options.append(&mut field.kind.options);
    field.notes.extend(field.kind.note.map(str::to_owned));
}

/// Says where a new row's value comes from; whether nobody else can set it.
fn source(column: &Column, key: &[String], field: &mut Field) -> bool {
    let keyed = key.contains(&column.name);
    let is_moment = field.storage() == Storage::Timestamp && !keyed;
    let option = match &column.default {
        _ if column.computed => "generated: COMPUTED",
        _ if column.counted && key == [column.name.as_str()] => "generated: AUTO_INCREMENT",
        _ if column.on_update && is_moment => "auto: UPDATE_TIME",
        Default::Now if is_moment => "auto: CREATE_TIME",
        Default::Uuid if field.storage() == Storage::Text && !column.nullable => "generated: UUIDV7",
        _ => {
            set_default(column, keyed, field);
            return false;
        }
    };
    field.options.push(option.to_owned());
    true
}

fn set_default(column: &Column, keyed: bool, field: &mut Field) {
    let storage = field.storage();
    if column.counted {
        field.notes.push("The database counts it for others; through the API it has to be given.".to_owned());
    }
    let literal = match &column.default {
        Default::None if column.nullable || keyed => return,
        Default::None => match &field.kind.first {
            Some(first) => first,
            None => return,
        },
        Default::Literal(literal) => literal,
        Default::Now => return field.notes.push(unused("the current time")),
        Default::Uuid => return field.notes.push(unused("uuid()")),
        Default::Expression(expression) => return field.notes.push(unused(expression)),
    };
    let is_year_zero = column.data_type == "year" && literal.parse() == Ok(0);
    match annotated(literal, storage).filter(|_| !is_year_zero) {
        Some(value) if !field.optional && is_zero(&value, storage) => {}
        Some(value) if !value.is_empty() => field.options.push(format!("default: {}", quoted(&value))),
        _ => field.notes.push(unused(&quoted(literal))),
    }
}

fn unused(default: &str) -> String {
    format!("The database's default is not used by the API: {default}.")
}
