//! Schemas and stores for the tests of this crate.

use std::sync::Arc;

use rowkeep_engine::{Session, Stored, View};
use rowkeep_record::{Codecs, Value};
use rowkeep_schema::{
    CachePolicy, Cardinality, Column, ColumnId, Entity, EntityId, Field, Generated, Index, Kind, MessageId,
    MessageType, Schema, SoftDelete, Storage,
};

use crate::Allow;
use crate::sqlite::{ChangeOptions, Database, OpenOptions, SqliteStore};

/// Everything is seen.
pub(crate) const ALL: View = View { now: 0, deleted: true };
/// Whose reads the tests make.
pub(crate) static SERVER: Session = Session::strong();

/// A table under construction; the first column is the key unless [`Table::key`] says otherwise.
#[derive(Clone)]
pub(crate) struct Table {
    name: &'static str,
    columns: Vec<Column>,
    key: Vec<&'static str>,
    indexes: Vec<(&'static [&'static str], bool)>,
    soft_delete: bool,
    expire: Option<&'static str>,
    renamed_from: Option<&'static str>,
}

pub(crate) fn table(name: &'static str) -> Table {
    Table {
        name,
        columns: Vec::new(),
        key: Vec::new(),
        indexes: Vec::new(),
        soft_delete: false,
        expire: None,
        renamed_from: None,
    }
}

impl Table {
    pub(crate) fn column(mut self, name: &str, storage: Storage) -> Self {
        let id = ColumnId(u16::try_from(self.columns.len()).unwrap());
        self.columns.push(Column {
            id,
            field: name.to_owned(),
            name: name.to_owned(),
            renamed_from: None,
            storage,
            nullable: false,
            sql_type: None,
            default: None,
            generated: None,
            auto: None,
            unique: false,
            searchable: false,
            secret: false,
            immutable: false,
            output_only: false,
            references: None,
            rules: rowkeep_schema::Rules::default(),
            comment: String::new(),
            location: rowkeep_schema::Location::default(),
        });
        self
    }

    fn last(mut self, change: impl FnOnce(&mut Column)) -> Self {
        change(self.columns.last_mut().unwrap());
        self
    }

    /// Of the last column.
    pub(crate) fn nullable(self) -> Self {
        self.last(|column| column.nullable = true)
    }

    /// Of the last column: it is stored and filtered, but not read.
    pub(crate) fn secret(self) -> Self {
        self.last(|column| column.secret = true)
    }

    /// Of the last column.
    pub(crate) fn counted(self) -> Self {
        self.last(|column| column.generated = Some(Generated::AutoIncrement))
    }

    /// Of the last column.
    pub(crate) fn at_most(self, characters: u32) -> Self {
        self.last(|column| column.rules.max_length = Some(characters))
    }

    /// Of the last column.
    pub(crate) fn formerly(self, name: &str) -> Self {
        self.last(|column| column.renamed_from = Some(name.to_owned()))
    }

    pub(crate) fn table_formerly(mut self, name: &'static str) -> Self {
        self.renamed_from = Some(name);
        self
    }

    pub(crate) fn named(mut self, name: &'static str) -> Self {
        self.name = name;
        self
    }

    pub(crate) fn key(mut self, columns: &[&'static str]) -> Self {
        self.key = columns.to_vec();
        self
    }

    pub(crate) fn index(mut self, columns: &'static [&'static str]) -> Self {
        self.indexes.push((columns, false));
        self
    }

    pub(crate) fn unique(mut self, columns: &'static [&'static str]) -> Self {
        self.indexes.push((columns, true));
        self
    }

    pub(crate) fn soft_delete(mut self) -> Self {
        self.soft_delete = true;
        self
    }

    pub(crate) fn expire(mut self, column: &'static str) -> Self {
        self.expire = Some(column);
        self
    }

    fn build(&self, at: usize) -> (Entity, MessageType) {
        let id = |name: &str| self.columns.iter().find(|column| column.name == name).unwrap().id;
        let at = u16::try_from(at).unwrap();
        let primary_key =
            if self.key.is_empty() { vec![ColumnId(0)] } else { self.key.iter().map(|name| id(name)).collect() };
        let index = |(columns, unique): &(&'static [&'static str], bool)| Index {
            name: format!("{}_{}", self.name, columns.join("_")),
            renamed_from: None,
            columns: columns.iter().map(|name| (id(name), false)).collect(),
            unique: *unique,
            lookup: None,
        };
        let entity = Entity {
            id: EntityId(at),
            name: self.name.to_owned(),
            full_name: format!("test.{}", self.name),
            package: "test".to_owned(),
            singular: self.name.to_owned(),
            plural: self.name.to_owned(),
            plural_snake: self.name.to_owned(),
            rest_collection: format!("/v1/{}", self.name),
            table: self.name.to_owned(),
            renamed_from: self.renamed_from.map(str::to_owned),
            message: MessageId(at),
            columns: self.columns.clone(),
            primary_key,
            indexes: self.indexes.iter().map(index).collect(),
            versioned: true,
            soft_delete: self.soft_delete.then_some(SoftDelete { column: None }),
            expire: self.expire.map(id),
            allow_scan: true,
            read_only: false,
            require_etag: false,
            default_consistency: None,
            cache: CachePolicy::default(),
            search: None,
            access: Vec::new(),
            referenced_by: Vec::new(),
            comment: String::new(),
            location: rowkeep_schema::Location::default(),
        };
        let fields: Vec<Field> = self.columns.iter().map(field).collect();
        let message = MessageType {
            full_name: entity.full_name.clone(),
            well_known: None,
            by_number: (0..u16::try_from(fields.len()).unwrap()).collect(),
            fields,
            entity: Some(entity.id),
            comment: String::new(),
        };
        (entity, message)
    }
}

fn field(column: &Column) -> Field {
    let kind = match column.storage {
        Storage::Bool => Kind::Bool,
        Storage::Int32 => Kind::Int32,
        Storage::Uint32 => Kind::Uint32,
        Storage::Uint64 => Kind::Uint64,
        Storage::Float => Kind::Float,
        Storage::Double => Kind::Double,
        Storage::Text => Kind::String,
        Storage::Blob => Kind::Bytes,
        Storage::Json => Kind::String,
        _ => Kind::Int64,
    };
    let cardinality = match column.storage {
        _ if column.nullable => Cardinality::Explicit,
        Storage::Json => Cardinality::Repeated,
        _ => Cardinality::Implicit,
    };
    Field {
        name: column.field.clone(),
        json_name: column.field.clone(),
        number: u32::from(column.id.0) + 1,
        kind,
        cardinality,
        oneof: None,
        secret: column.secret,
        output_only: false,
        comment: String::new(),
    }
}

pub(crate) fn schema(tables: &[Table]) -> Arc<Schema> {
    let (entities, messages) = tables.iter().enumerate().map(|(at, table)| table.build(at)).unzip();
    Arc::new(Schema {
        entities,
        messages,
        enums: Vec::new(),
        methods: Vec::new(),
        descriptors: prost_reflect::DescriptorPool::new(),
        derived: Vec::new(),
        sources: Vec::new(),
        fingerprint: 0,
    })
}

/// A database in a directory, migrated.
pub(crate) fn migrated(directory: &std::path::Path, schema: &Schema) -> Database {
    let database = Database::open(&OpenOptions::new(directory)).unwrap();
    let plan = database.plan(schema).unwrap();
    database.apply(&plan, schema, b"snapshot", &Allow::default()).unwrap();
    database
}

pub(crate) fn start(directory: &std::path::Path, schema: &Arc<Schema>) -> Arc<SqliteStore> {
    let codecs = Arc::new(Codecs::new(schema));
    SqliteStore::start(migrated(directory, schema), Arc::clone(schema), codecs).unwrap()
}

/// The same, with so much of its log of changes.
pub(crate) fn start_keeping(
    directory: &std::path::Path,
    schema: &Arc<Schema>,
    changes: ChangeOptions,
) -> Arc<SqliteStore> {
    drop(migrated(directory, schema));
    let options = OpenOptions { changes, ..OpenOptions::new(directory) };
    let codecs = Arc::new(Codecs::new(schema));
    SqliteStore::start(Database::open(&options).unwrap(), Arc::clone(schema), codecs).unwrap()
}

/// A row with a version.
pub(crate) fn row(version: u64, values: Vec<Value>) -> Stored {
    Stored { values, version, deleted_at: None }
}

/// Waits for a reply.
pub(crate) fn wait<T>(reply: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(reply)
}
