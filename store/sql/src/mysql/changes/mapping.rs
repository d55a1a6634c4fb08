//! From a table as the log describes it to an entity: which column is where, and in which form.

use kit_core::Error;
use rowkeep_binlog::{Image, Row, Table};
use rowkeep_engine::{RowChange, Stored};
use rowkeep_record::Value;
use rowkeep_schema::{ColumnId, Entity, EntityId, Storage};

use super::cells::{Form, unknown, value};
use super::charset::Charset;
use crate::ddl::{DELETED_COLUMN, VERSION_COLUMN, is_stored};

/// How rows of one description of a table become rows of an entity.
#[derive(Debug)]
pub(super) struct Mapping {
    pub(super) entity: EntityId,
    /// Of the entity.
    width: usize,
    columns: Vec<Mapped>,
    version: Option<usize>,
    deleted: Deleted,
}

#[derive(Debug)]
struct Mapped {
    /// In the table.
    at: usize,
    column: ColumnId,
    storage: Storage,
    form: Form,
}

/// Where the time of a soft delete is.
#[derive(Debug, Clone, Copy)]
enum Deleted {
    Nowhere,
    Hidden(usize),
    Shown(ColumnId),
}

impl Mapping {
    /// `Err`: why rows of this table are none of the entity; a table that is being migrated may lack a column.
    pub(super) fn new(
        entity: &Entity,
        table: &Table,
        charset: impl Fn(Option<u16>) -> Charset,
    ) -> Result<Self, &'static str> {
        if !table.is_named() {
            return Err("the log has no names of columns");
        }
        let at = |name: &str| {
            let found = table.columns.iter().position(|column| column.name.eq_ignore_ascii_case(name));
            found.ok_or("a column is missing in the log")
        };
        let mut columns = Vec::with_capacity(entity.columns.len());
        for column in entity.columns.iter().filter(|column| is_stored(column)) {
            let at = at(&column.name)?;
            let found = &table.columns[at];
            let sql_type = column.sql_type.as_deref().map(str::to_ascii_lowercase);
            let form = Form::of(found, sql_type.as_deref(), column.storage, charset(found.collation));
            let form = form.ok_or("the character set of a column's members is not known here")?;
            columns.push(Mapped { at, column: column.id, storage: column.storage, form });
        }
        let deleted = match entity.soft_delete {
            None => Deleted::Nowhere,
            Some(soft) => match soft.column {
                Some(column) => Deleted::Shown(column),
                None => Deleted::Hidden(at(DELETED_COLUMN)?),
            },
        };
        let version = if entity.versioned { Some(at(VERSION_COLUMN)?) } else { None };
        Ok(Self { entity: entity.id, width: entity.columns.len(), columns, version, deleted })
    }

    /// A row before and after, and about as much memory as it takes.
    ///
    /// # Errors
    /// What cannot be told of it.
    pub(super) fn change(&self, row: &Row<'_>) -> Result<(RowChange, usize), Error> {
        let mut bytes = 0;
        let before = row.before.as_ref().map(|image| self.stored(image, None, &mut bytes)).transpose()?;
        let after = row.after.as_ref().map(|image| self.stored(image, row.before.as_ref(), &mut bytes)).transpose()?;
        Ok((RowChange { entity: self.entity, before, after }, bytes))
    }

    fn stored(&self, image: &Image<'_>, before: Option<&Image<'_>>, bytes: &mut usize) -> Result<Stored, Error> {
        let mut values = vec![Value::Null; self.width];
        *bytes += self.width * size_of::<Value>();
        for Mapped { at, column, storage, form } in &self.columns {
            let value = value(image, before, *at, form, *storage)?;
            *bytes += match &value {
                Value::Text(text) => text.len(),
                Value::Blob(blob) => blob.len(),
                _ => 0,
            };
            values[column.index()] = value;
        }
        let version = self.version.map(|at| number(image, at)).transpose()?.flatten();
        let deleted_at = match self.deleted {
            Deleted::Nowhere => None,
            Deleted::Hidden(at) => number(image, at)?,
            Deleted::Shown(column) => match values[column.index()] {
                Value::Int(at) => Some(at),
                _ => None,
            },
        };
        Ok(Stored { values, version: version.unwrap_or_default().unsigned_abs(), deleted_at })
    }
}

/// A number of the store's own.
fn number(image: &Image<'_>, at: usize) -> Result<Option<i64>, Error> {
    match value(image, None, at, &Form::Plain, Storage::Int64)? {
        Value::Int(number) => Ok(Some(number)),
        Value::Null => Ok(None),
        _ => Err(unknown("a number was expected")),
    }
}
