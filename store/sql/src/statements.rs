//! The statements of an entity, made once at start.
//!
//! A read by key is one statement run per key, also for many keys: on a local file a run costs less than the sorting
//! and matching that an `IN` list needs afterwards.

use rowkeep_record::{RowCodec, Value};
use rowkeep_schema::{ColumnId, Entity, Storage};

use crate::ddl::{DELETED_COLUMN, VERSION_COLUMN};
use crate::dialect::{Dialect, push_names};

/// A read in two forms: what a view shows.
#[derive(Debug)]
pub(crate) struct ByVisibility {
    live: String,
    all: String,
}

impl ByVisibility {
    /// The text for a view. With an expiry column the last parameter is the view's time.
    pub(crate) fn text(&self, deleted: bool) -> &str {
        if deleted { &self.all } else { &self.live }
    }
}

/// A column of a result.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Selected {
    pub(crate) column: ColumnId,
    pub(crate) storage: Storage,
}

/// Texts and shapes of one entity.
#[derive(Debug)]
pub(crate) struct EntitySql {
    pub(crate) dialect: Dialect,
    /// Quoted.
    pub(crate) table: String,
    /// `SELECT` list and table of rows on their way out: the version, which an etag among the columns is made of, then
    /// the columns in wire order.
    pub(crate) select_wire: String,
    pub(crate) wire: Vec<Selected>,
    /// Conditions of a view, with `AND` in front; the expiry's takes a parameter.
    visible: ByVisibility,
    pub(crate) has_expiry: bool,
    pub(crate) get: ByVisibility,
    /// By unique index, in the order of the entity's indexes; `None` where it is not unique.
    pub(crate) lookups: Vec<Option<ByVisibility>>,
    /// All stored columns, version and time of deletion, for transactions.
    pub(crate) select_stored: String,
    /// What it selects.
    pub(crate) stored_names: String,
    pub(crate) stored: Vec<Selected>,
    pub(crate) get_stored: String,
    /// The same for a row that is not going to be written.
    pub(crate) get_shared: String,
    /// The stored columns that statements set: all but those the database computes.
    pub(crate) written: Vec<Selected>,
    /// Parameters: [`Self::written`], the version if there is one, the time of deletion if it is hidden.
    pub(crate) insert: String,
    /// The same, replacing the row with this key; where that cannot be said of the key alone, an update that takes every
    /// column, the version, the hidden time of deletion and then the key.
    pub(crate) upsert: String,
    pub(crate) delete: String,
    pub(crate) versioned: bool,
    pub(crate) deleted: Deleted,
    key_condition: String,
    /// Quoted, if the key is one column.
    single_key: Option<String>,
}

/// Where the time of a soft delete is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Deleted {
    Nowhere,
    Hidden,
    Shown(ColumnId),
}

impl EntitySql {
    pub(crate) fn new(dialect: Dialect, entity: &Entity, codec: &RowCodec) -> Self {
        let deleted = match entity.soft_delete {
            None => Deleted::Nowhere,
            Some(soft) => soft.column.map_or(Deleted::Hidden, Deleted::Shown),
        };
        let selected = |id: ColumnId| Selected { column: id, storage: entity.column(id).storage };
        let wire: Vec<_> = codec.columns_in_wire_order().iter().copied().map(selected).collect();
        let stored = entity.columns.iter().filter(|column| crate::ddl::is_stored(column));
        let stored: Vec<_> = stored.map(|column| selected(column.id)).collect();
        let written = entity.columns.iter().filter(|column| crate::ddl::is_written(column));
        let written: Vec<_> = written.map(|column| selected(column.id)).collect();
        let texts = Texts { dialect, entity, deleted };
        let table = dialect.name(&entity.table);
        let select_wire = texts.select_wire(&wire);
        let stored_names = texts.stored_names(&stored);
        let select_stored = texts.select_stored(&stored_names);
        let key_condition = texts.equal(&entity.primary_key);
        let visible = ByVisibility { live: texts.visible(false), all: texts.visible(true) };
        let read = |condition: &str| ByVisibility {
            live: format!("{select_wire} WHERE {condition}{}", visible.live),
            all: format!("{select_wire} WHERE {condition}{}", visible.all),
        };
        let lookup = |index: &rowkeep_schema::Index| {
            let columns: Vec<ColumnId> = index.columns.iter().map(|(id, _)| *id).collect();
            index.unique.then(|| read(&texts.equal(&columns)))
        };
        Self {
            get: read(&key_condition),
            lookups: entity.indexes.iter().map(lookup).collect(),
            get_stored: format!("{select_stored} WHERE {key_condition}{}", dialect.for_update()),
            get_shared: format!("{select_stored} WHERE {key_condition}{}", dialect.in_share_mode()),
            insert: texts.insert(&written),
            upsert: texts.upsert(&written),
            delete: format!("DELETE FROM {table} WHERE {key_condition}"),
            dialect,
            table,
            select_wire,
            wire,
            visible,
            has_expiry: entity.expire.is_some(),
            select_stored,
            stored_names,
            stored,
            written,
            versioned: entity.versioned,
            deleted,
            key_condition,
            single_key: match entity.primary_key.as_slice() {
                [key] => Some(dialect.name(&entity.column(*key).name)),
                _ => None,
            },
        }
    }

    /// Conditions of a view, each with `AND` in front.
    pub(crate) fn visible(&self, deleted: bool) -> &str {
        self.visible.text(deleted)
    }

    /// Rows with any of this many keys. Parameters: the keys, and the view's time with an expiry column.
    pub(crate) fn many(&self, keys: usize, deleted: bool) -> String {
        let mut sql = format!("{} WHERE ", self.select_wire);
        match &self.single_key {
            Some(name) => {
                sql.push_str(name);
                sql.push_str(" IN (?");
                sql.push_str(&", ?".repeat(keys.saturating_sub(1)));
            }
            // Both products read this along the key, which `(a, b) IN (...)` is not always.
            None => {
                sql.push_str("((");
                sql.push_str(&self.key_condition);
                for _ in 1..keys {
                    sql.push_str(") OR (");
                    sql.push_str(&self.key_condition);
                }
                sql.push(')');
            }
        }
        sql.push(')');
        sql.push_str(self.visible(deleted));
        sql
    }

    /// Rows whose columns have values, or are NULL where `nulls` says so.
    pub(crate) fn find(&self, entity: &Entity, columns: &[ColumnId], null: impl Fn(usize) -> bool) -> String {
        let mut sql = self.select_stored.clone();
        for (at, column) in columns.iter().enumerate() {
            sql.push_str(if at == 0 { " WHERE " } else { " AND " });
            self.dialect.push_name(&mut sql, &entity.column(*column).name);
            sql.push_str(if null(at) { " IS NULL" } else { " = ?" });
        }
        sql.push_str(" LIMIT ?");
        sql.push_str(self.dialect.for_update());
        sql
    }

    /// Whether an update may list the column: it is stored, and not bound as the time of deletion anyway.
    pub(crate) fn is_settable(&self, column: ColumnId) -> bool {
        self.deleted != Deleted::Shown(column) && self.written.iter().any(|selected| selected.column == column)
    }

    /// Parameters: the columns, the version if there is one, the time of deletion if there is one, the key.
    pub(crate) fn update(&self, entity: &Entity, columns: impl Iterator<Item = ColumnId>) -> String {
        let mut sql = format!("UPDATE {} SET ", self.table);
        let hidden = self.versioned.then_some(VERSION_COLUMN);
        let deleted = match self.deleted {
            Deleted::Nowhere => None,
            Deleted::Hidden => Some(DELETED_COLUMN),
            Deleted::Shown(column) => Some(entity.column(column).name.as_str()),
        };
        let names = columns.map(|id| entity.column(id).name.as_str()).chain(hidden).chain(deleted);
        for (at, name) in names.enumerate() {
            if at > 0 {
                sql.push_str(", ");
            }
            self.dialect.push_name(&mut sql, name);
            sql.push_str(" = ?");
        }
        sql.push_str(" WHERE ");
        sql.push_str(&self.key_condition);
        sql
    }
}

/// The pieces statements are made of.
struct Texts<'a> {
    dialect: Dialect,
    entity: &'a Entity,
    deleted: Deleted,
}

impl Texts<'_> {
    fn name(&self, column: ColumnId) -> &str {
        &self.entity.column(column).name
    }

    fn select_wire(&self, columns: &[Selected]) -> String {
        let mut sql = String::from(self.dialect.select());
        self.push_version(&mut sql);
        sql.push_str(if columns.is_empty() { "" } else { ", " });
        push_names(self.dialect, &mut sql, columns.iter().map(|selected| self.name(selected.column)));
        self.push_from(&mut sql);
        sql
    }

    fn select_stored(&self, names: &str) -> String {
        let mut sql = format!("{}{names}", self.dialect.select());
        self.push_from(&mut sql);
        sql
    }

    fn stored_names(&self, columns: &[Selected]) -> String {
        let mut sql = String::new();
        push_names(self.dialect, &mut sql, columns.iter().map(|selected| self.name(selected.column)));
        sql.push_str(if columns.is_empty() { "" } else { ", " });
        self.push_version(&mut sql);
        if let Some(name) = self.deleted_name() {
            sql.push_str(", ");
            self.dialect.push_name(&mut sql, name);
        }
        sql
    }

    fn push_version(&self, sql: &mut String) {
        match self.entity.versioned {
            true => self.dialect.push_name(sql, VERSION_COLUMN),
            false => sql.push('0'),
        }
    }

    fn push_from(&self, sql: &mut String) {
        sql.push_str(" FROM ");
        self.dialect.push_name(sql, &self.entity.table);
    }

    fn deleted_name(&self) -> Option<&str> {
        match self.deleted {
            Deleted::Nowhere => None,
            Deleted::Hidden => Some(DELETED_COLUMN),
            Deleted::Shown(column) => Some(self.name(column)),
        }
    }

    fn equal(&self, columns: &[ColumnId]) -> String {
        let mut sql = String::new();
        for (at, column) in columns.iter().enumerate() {
            sql.push_str(if at == 0 { "" } else { " AND " });
            self.dialect.push_name(&mut sql, self.name(*column));
            sql.push_str(" = ?");
        }
        sql
    }

    fn visible(&self, deleted: bool) -> String {
        let mut sql = String::new();
        if !deleted && let Some(name) = self.deleted_name() {
            sql.push_str(" AND ");
            self.dialect.push_name(&mut sql, name);
            sql.push_str(" IS NULL");
        }
        if let Some(expire) = self.entity.expire {
            let name = self.dialect.name(self.name(expire));
            let nullable = self.entity.column(expire).nullable;
            let zero = || crate::ddl::literal(self.dialect, &Value::Int(0), Storage::Timestamp);
            let never = if nullable { format!("{name} IS NULL") } else { format!("{name} = {}", zero()) };
            sql.push_str(&format!(" AND ({never} OR {name} > ?)"));
        }
        sql
    }

    /// Names of all columns that an insert sets.
    fn names_of<'b>(&'b self, written: &'b [Selected]) -> Vec<&'b str> {
        let mut names: Vec<&str> = written.iter().map(|selected| self.name(selected.column)).collect();
        if self.entity.versioned {
            names.push(VERSION_COLUMN);
        }
        if self.deleted == Deleted::Hidden {
            names.push(DELETED_COLUMN);
        }
        names
    }

    fn insert(&self, written: &[Selected]) -> String {
        let names = self.names_of(written);
        let mut sql = String::from("INSERT INTO ");
        self.dialect.push_name(&mut sql, &self.entity.table);
        sql.push_str(" (");
        push_names(self.dialect, &mut sql, names.iter().copied());
        sql.push_str(") VALUES (");
        sql.push_str(&vec!["?"; names.len()].join(", "));
        sql.push(')');
        sql
    }

    fn upsert(&self, written: &[Selected]) -> String {
        let key: Vec<&str> = self.entity.primary_key.iter().map(|id| self.name(*id)).collect();
        let names = self.names_of(written);
        match self.dialect {
            // Their own upsert replaces a row that clashes in any unique index.
            Dialect::MySql | Dialect::MariaDb | Dialect::Vitess => self.replace(&names),
            Dialect::Sqlite => {
                let others: Vec<&str> = names.into_iter().filter(|name| !key.contains(name)).collect();
                let mut sql = self.insert(written);
                sql.push_str(" ON CONFLICT (");
                push_names(self.dialect, &mut sql, key.iter().copied());
                sql.push_str(if others.is_empty() { ") DO NOTHING" } else { ") DO UPDATE SET " });
                for (at, other) in others.iter().enumerate() {
                    let name = self.dialect.name(other);
                    sql.push_str(if at == 0 { "" } else { ", " });
                    // A load may carry a version from before the row's last change; versions never go back.
                    let is_version = *other == VERSION_COLUMN;
                    sql.push_str(&match is_version {
                        true => format!(
                            "{name} = max(excluded.{name}, {}.{name} + 1)",
                            self.dialect.name(&self.entity.table)
                        ),
                        false => format!("{name} = excluded.{name}"),
                    });
                }
                sql
            }
        }
    }

    fn replace(&self, names: &[&str]) -> String {
        let mut sql = format!("UPDATE {} SET ", self.dialect.name(&self.entity.table));
        for (at, name) in names.iter().enumerate() {
            let quoted = self.dialect.name(name);
            sql.push_str(if at == 0 { "" } else { ", " });
            sql.push_str(&match *name == VERSION_COLUMN {
                true => format!("{quoted} = GREATEST(?, {quoted} + 1)"),
                false => format!("{quoted} = ?"),
            });
        }
        sql.push_str(" WHERE ");
        sql.push_str(&self.equal(&self.entity.primary_key));
        sql
    }
}
