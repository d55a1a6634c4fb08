//! The checked schema: one immutable value from which tables, codecs, routes, RPCs and OpenAPI derive.
//!
//! Everything is addressed by small indices ([`EntityId`], [`MessageId`], [`EnumId`], [`ColumnId`]) so that hot paths
//! never look anything up by name.

use std::sync::Arc;

use prost_reflect::DescriptorPool;

/// Index into [`Schema::entities`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EntityId(pub u16);

/// Index into [`Schema::messages`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MessageId(pub u16);

/// Index into [`Schema::enums`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EnumId(pub u16);

/// Index into [`Entity::columns`], and into [`MessageType::fields`] of the entity's message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ColumnId(pub u16);

macro_rules! index {
    ($($id:ident),*) => {$(
        impl $id {
            /// As an index.
            pub const fn index(self) -> usize {
                self.0 as usize
            }
        }
    )*};
}
index!(EntityId, MessageId, EnumId, ColumnId);

/// A compiled and checked schema.
#[derive(Debug, Clone)]
pub struct Schema {
    /// Entities in order of file and declaration.
    pub entities: Vec<Entity>,
    /// Every message the entities and the derived services can carry, well-known types included.
    pub messages: Vec<MessageType>,
    /// Every enum they use.
    pub enums: Vec<EnumType>,
    /// The derived methods, `Commit` included.
    pub methods: Vec<Method>,
    /// User files, options, and the derived service files, linked.
    pub descriptors: DescriptorPool,
    /// The derived `.proto` files, by import path: `shop/v1/shop_rowkeep.proto`.
    pub derived: Vec<DerivedFile>,
    /// The files the schema was read from and those they import, but for `google/protobuf`, by import path.
    pub sources: Vec<SourceFile>,
    /// Changes whenever anything changes that a stored row, a page token or a cache entry depends on.
    pub fingerprint: u64,
}

/// A `.proto` file the schema derives: the services and their messages of one package.
#[derive(Debug, Clone)]
pub struct DerivedFile {
    /// Import path.
    pub path: String,
    /// Proto package.
    pub package: String,
    /// Its text.
    pub source: String,
}

/// A `.proto` file that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceFile {
    /// Import path.
    pub path: String,
    /// Its text.
    pub text: String,
}

/// A message with `option (rowkeep.v1.entity)`.
#[derive(Debug, Clone)]
pub struct Entity {
    /// Its place in the schema.
    pub id: EntityId,
    /// Message name: `OrderLine`.
    pub name: String,
    /// Message name with package: `shop.v1.OrderLine`.
    pub full_name: String,
    /// Proto package: `shop.v1`; may be empty.
    pub package: String,
    /// Field name of one entity in derived messages: `order_line`.
    pub singular: String,
    /// Plural in UpperCamelCase, as in method names: `OrderLines`.
    pub plural: String,
    /// Field name of several in derived messages: `order_lines`.
    pub plural_snake: String,
    /// REST collection with version: `/v1/orderLines`.
    pub rest_collection: String,
    /// Table name: `order_lines`.
    pub table: String,
    /// Former table name.
    pub renamed_from: Option<String>,
    /// The message of a row.
    pub message: MessageId,
    /// Columns, parallel to the message's fields.
    pub columns: Vec<Column>,
    /// The primary key, in order.
    pub primary_key: Vec<ColumnId>,
    /// Secondary indexes, unique columns included.
    pub indexes: Vec<Index>,
    /// Whether rows carry a version (optimistic locking, etag). Adopted tables may not.
    pub versioned: bool,
    /// Soft delete, if asked for.
    pub soft_delete: Option<SoftDelete>,
    /// Timestamp column from which on a row does not exist.
    pub expire: Option<ColumnId>,
    /// Scans are allowed.
    pub allow_scan: bool,
    /// Nobody writes through the store: a view, or a table of somebody else's.
    pub read_only: bool,
    /// Writes must name an etag.
    pub require_etag: bool,
    /// Default consistency of reads, if set.
    pub default_consistency: Option<String>,
    /// Cache policy.
    pub cache: CachePolicy,
    /// Search policy, if searchable.
    pub search: Option<SearchPolicy>,
    /// Access rules.
    pub access: Vec<AccessRule>,
    /// Columns elsewhere that refer to this entity.
    pub referenced_by: Vec<(EntityId, ColumnId)>,
    /// Leading comment of the message.
    pub comment: String,
    /// Where the message is declared.
    pub location: Location,
}

/// How deleted rows are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SoftDelete {
    /// The column that shows the time, if the message has one; else a hidden column does.
    pub column: Option<ColumnId>,
}

/// How an entity is cached.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CachePolicy {
    /// Not cached at all.
    pub disabled: bool,
    /// Upper bound of an entry's life.
    pub ttl: Option<std::time::Duration>,
}

/// How an entity is searched.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SearchPolicy {
    /// Index name.
    pub index: Option<String>,
    /// Analyzer.
    pub analyzer: Option<String>,
}

/// Who may do what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessRule {
    /// Roles; `*` for anyone authenticated.
    pub roles: Vec<String>,
    /// `read`, `create`, `update`, `delete`, `all`.
    pub methods: Vec<String>,
    /// Filter that the row must match.
    pub filter: Option<String>,
}

/// A field of an entity as it is stored.
#[derive(Debug, Clone)]
pub struct Column {
    /// Its place in the entity.
    pub id: ColumnId,
    /// Field name in proto: `created_at`.
    pub field: String,
    /// Column name in the table.
    pub name: String,
    /// Former column name.
    pub renamed_from: Option<String>,
    /// How values are stored.
    pub storage: Storage,
    /// Whether NULL is stored when the field is absent: `optional`, messages, members of a oneof.
    pub nullable: bool,
    /// Verbatim SQL type.
    pub sql_type: Option<String>,
    /// Value of a new row that does not set the field, as text to be parsed by its storage.
    pub default: Option<String>,
    /// Who makes the value of a new row.
    pub generated: Option<Generated>,
    /// Kept by the store.
    pub auto: Option<Auto>,
    /// Has a unique index of its own.
    pub unique: bool,
    /// In the full-text index.
    pub searchable: bool,
    /// Never returned, filtered or logged.
    pub secret: bool,
    /// Set on create, never changed. Primary key columns are.
    pub immutable: bool,
    /// Requests cannot set it.
    pub output_only: bool,
    /// Other entity's row this column names.
    pub references: Option<Reference>,
    /// Checks on every write.
    pub rules: Rules,
    /// Leading comment of the field.
    pub comment: String,
    /// Where the field is declared.
    pub location: Location,
}

/// The dialect-neutral form of a stored value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Storage {
    /// `Value::Int` 0 or 1.
    Bool,
    /// `Value::Int` in the range of 32 bits.
    Int32,
    /// `Value::Int`.
    Int64,
    /// `Value::Int` from 0 to 2^32 - 1.
    Uint32,
    /// `Value::Uint`.
    Uint64,
    /// `Value::Real`, rounded to 32 bits. NaN and infinities are refused.
    Float,
    /// `Value::Real`. NaN and infinities are refused.
    Double,
    /// `Value::Text`.
    Text,
    /// `Value::Blob`.
    Blob,
    /// `Value::Int`: the enum number.
    Enum(EnumId),
    /// `Value::Int`: microseconds since 1970 (`google.protobuf.Timestamp`; finer digits are cut off).
    Timestamp,
    /// `Value::Int`: microseconds (`google.protobuf.Duration`).
    Duration,
    /// `Value::Int`: `year * 10000 + month * 100 + day`, parts may be 0 (`google.type.Date`).
    Date,
    /// Exact decimal, precision at most 38. Precision <= 18: `Value::Int`, the unscaled number. Above: `Value::Blob` of 16 bytes,
    /// the unscaled number as big-endian i128 with the sign bit flipped, so that bytes compare as numbers.
    Decimal {
        /// Digits in all.
        precision: u8,
        /// Digits behind the point.
        scale: u8,
    },
    /// `Value::Text`: canonical proto3 JSON (nested messages, repeated fields, maps, Struct, Value, Any).
    Json,
}

/// Who makes a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Generated {
    /// The database counts.
    AutoIncrement,
    /// Time-ordered 64-bit number, made by the engine.
    Snowflake,
    /// UUID version 7, made by the engine; 36 characters in a string, 16 bytes in a bytes field.
    UuidV7,
    /// The database computes it from other columns; never written.
    Computed,
}

/// What the store keeps by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Auto {
    /// Time of the insert.
    CreateTime,
    /// Time of the last write.
    UpdateTime,
    /// Time of the soft delete.
    DeleteTime,
    /// The row's etag; computed, not stored.
    Etag,
}

/// A reference to another entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reference {
    /// The other entity.
    pub entity: EntityId,
    /// Its column, the single primary key or a unique one.
    pub column: ColumnId,
    /// What happens to this row when that one is deleted.
    pub on_delete: OnDelete,
}

/// What a delete does to rows that refer to the deleted one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnDelete {
    /// The delete is refused.
    Restrict,
    /// They are deleted.
    Cascade,
    /// Their column becomes null.
    SetNull,
}

/// Checks on a column's value.
#[derive(Debug, Clone, Default)]
pub struct Rules {
    /// Must be set and not empty.
    pub required: bool,
    /// Characters, bytes or items at most.
    pub max_length: Option<u32>,
    /// Characters, bytes or items at least.
    pub min_length: Option<u32>,
    /// Lower bound and whether it is itself allowed, as text in the storage's form.
    pub min: Option<Bound>,
    /// Upper bound.
    pub max: Option<Bound>,
    /// The whole string must match.
    pub pattern: Option<Arc<Pattern>>,
    /// The only values allowed, as text.
    pub one_of: Vec<String>,
    /// Values not allowed, as text.
    pub not_in: Vec<String>,
    /// A known string format (`buf.validate`): `email`, `uri`, `uuid`, `hostname`, `ip`, `ipv4`, `ipv6`.
    pub format: Option<&'static str>,
    /// Enum values must be declared.
    pub defined_only: bool,
    /// Items of a repeated field must differ.
    pub unique_items: bool,
}

/// One end of a range.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound {
    /// The value as text: a number, an RFC 3339 time, `90s`, a decimal.
    pub text: String,
    /// Whether the value itself is allowed.
    pub inclusive: bool,
}

/// A compiled regular expression with its source.
#[derive(Debug)]
pub struct Pattern {
    /// As written.
    pub source: String,
    /// Anchored at both ends.
    pub regex: regex_lite::Regex,
}

/// A secondary index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    /// Name in the database.
    pub name: String,
    /// Former name.
    pub renamed_from: Option<String>,
    /// Columns with their direction (`true` = descending).
    pub columns: Vec<(ColumnId, bool)>,
    /// Whether it is unique (NULLs differ).
    pub unique: bool,
    /// Name part of the lookup method of a unique index: `Email` in `GetUserByEmail`, `CityAndName` for two columns.
    pub lookup: Option<String>,
}

/// A message as the codecs need it.
#[derive(Debug, Clone)]
pub struct MessageType {
    /// Full name: `shop.v1.User`.
    pub full_name: String,
    /// Set if JSON has a special form for it.
    pub well_known: Option<WellKnown>,
    /// Fields in order of declaration.
    pub fields: Vec<Field>,
    /// Indices into `fields`, ordered by field number: the order of canonical wire form.
    pub by_number: Vec<u16>,
    /// The entity whose row this is.
    pub entity: Option<EntityId>,
    /// Leading comment.
    pub comment: String,
}

/// A field of a message as the codecs need it.
#[derive(Debug, Clone)]
pub struct Field {
    /// Name in proto: `created_at`.
    pub name: String,
    /// Name in JSON: `createdAt`.
    pub json_name: String,
    /// Field number.
    pub number: u32,
    /// Type of one value.
    pub kind: Kind,
    /// How many values there are.
    pub cardinality: Cardinality,
    /// Index of the oneof it is a member of (synthetic ones of `optional` left out).
    pub oneof: Option<u16>,
    /// Never rendered (a secret column).
    pub secret: bool,
    /// Requests cannot set it.
    pub output_only: bool,
    /// Leading comment.
    pub comment: String,
}

/// The type of one value on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // the names of proto3's own types
pub enum Kind {
    Bool,
    Int32,
    Int64,
    Sint32,
    Sint64,
    Uint32,
    Uint64,
    Fixed32,
    Fixed64,
    Sfixed32,
    Sfixed64,
    Float,
    Double,
    String,
    Bytes,
    Enum(EnumId),
    Message(MessageId),
}

/// How many values a field has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cardinality {
    /// One, the zero value when absent.
    Implicit,
    /// One or none: `optional`, message fields, members of a oneof.
    Explicit,
    /// Any number; scalars are packed when written.
    Repeated,
    /// A map; `kind` is the value's type.
    Map(MapKey),
}

/// The type of a map's keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // the names of proto3's own types
pub enum MapKey {
    Bool,
    Int32,
    Int64,
    Sint32,
    Sint64,
    Uint32,
    Uint64,
    Fixed32,
    Fixed64,
    Sfixed32,
    Sfixed64,
    String,
}

/// Messages with a JSON or storage form of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // the names of the messages
pub enum WellKnown {
    Timestamp,
    Duration,
    FieldMask,
    Struct,
    Value,
    ListValue,
    Any,
    Empty,
    /// `google.protobuf.Int64Value` and its kin: field 1 is the value.
    Wrapper,
    /// `google.type.Date`; JSON is an ordinary object.
    Date,
    /// `google.type.Decimal`; JSON is an ordinary object.
    Decimal,
}

/// An enum.
#[derive(Debug, Clone)]
pub struct EnumType {
    /// Full name.
    pub full_name: String,
    /// Names and numbers in order of declaration; aliases follow their first name.
    pub values: Vec<(String, i32)>,
    /// Leading comment.
    pub comment: String,
    /// Whether it is `google.protobuf.NullValue`.
    pub is_null_value: bool,
}

/// A derived RPC.
#[derive(Debug, Clone)]
pub struct Method {
    /// What it does.
    pub kind: MethodKind,
    /// The entity; `None` for `Commit`.
    pub entity: Option<EntityId>,
    /// Method name: `GetUserByEmail`.
    pub name: String,
    /// Full service name: `shop.v1.UserService`.
    pub service: String,
    /// Request message.
    pub input: MessageId,
    /// Response message.
    pub output: MessageId,
    /// REST binding.
    pub http: HttpRule,
    /// One sentence for docs.
    pub comment: String,
}

/// What a derived RPC does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // the names of the standard methods
pub enum MethodKind {
    Get,
    BatchGet,
    List,
    /// A stream of answers.
    Watch,
    Create,
    BatchCreate,
    Update,
    BatchUpdate,
    Delete,
    BatchDelete,
    Undelete,
    /// Lookup by the unique index at this place in [`Entity::indexes`].
    Lookup(u16),
    Commit,
}

impl MethodKind {
    /// Whether it answers with a stream of messages.
    pub const fn is_stream(self) -> bool {
        matches!(self, Self::Watch)
    }

    /// Whether it changes rows.
    pub const fn writes(self) -> bool {
        !matches!(self, Self::Get | Self::Lookup(_) | Self::BatchGet | Self::List | Self::Watch)
    }
}

/// Where a method is in REST (`google.api.http`, one binding).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpRule {
    /// `GET`, `POST`, `PATCH`, `DELETE`.
    pub verb: &'static str,
    /// Path with variables: `/v1/users/{id}`, `/v1/users/{user.id}`, `/v1/users:batchGet`.
    pub path: String,
    /// `None`: no body. `Some("*")`: the whole request. `Some("user")`: that field.
    pub body: Option<String>,
}

/// A place in a schema file, from 1.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Location {
    /// File as given.
    pub file: String,
    /// Line.
    pub line: u32,
    /// Column.
    pub column: u32,
}

impl Schema {
    /// The entity.
    pub fn entity(&self, id: EntityId) -> &Entity {
        &self.entities[id.index()]
    }

    /// The message.
    pub fn message(&self, id: MessageId) -> &MessageType {
        &self.messages[id.index()]
    }

    /// The enum.
    pub fn enumeration(&self, id: EnumId) -> &EnumType {
        &self.enums[id.index()]
    }

    /// The entity of a message name, full or (if it is unambiguous) bare.
    pub fn entity_by_name(&self, name: &str) -> Option<&Entity> {
        self.entities.iter().find(|entity| entity.full_name == name).or_else(|| {
            let mut found = self.entities.iter().filter(|entity| entity.name == name);
            found.next().filter(|_| found.next().is_none())
        })
    }

    /// The files that a client needs to generate code: those read, and those derived. `google/protobuf/*.proto` comes
    /// with every compiler.
    pub fn client_files(&self) -> Vec<(&str, &str)> {
        let sources = self.sources.iter().map(|file| (file.path.as_str(), file.text.as_str()));
        sources.chain(self.derived.iter().map(|file| (file.path.as_str(), file.source.as_str()))).collect()
    }

    /// The message of a full name.
    pub fn message_by_name(&self, full_name: &str) -> Option<MessageId> {
        let index = self.messages.iter().position(|message| message.full_name == full_name)?;
        u16::try_from(index).ok().map(MessageId)
    }
}

impl Entity {
    /// The column.
    pub fn column(&self, id: ColumnId) -> &Column {
        &self.columns[id.index()]
    }

    /// The column of a proto field name.
    pub fn column_by_field(&self, field: &str) -> Option<&Column> {
        self.columns.iter().find(|column| column.field == field)
    }

    /// Whether the column is part of the primary key.
    pub fn is_key(&self, id: ColumnId) -> bool {
        self.primary_key.contains(&id)
    }
}

impl EnumType {
    /// First name of a number.
    pub fn name_of(&self, number: i32) -> Option<&str> {
        self.values.iter().find(|(_, n)| *n == number).map(|(name, _)| name.as_str())
    }

    /// Number of a name.
    pub fn number_of(&self, name: &str) -> Option<i32> {
        self.values.iter().find(|(n, _)| n == name).map(|(_, number)| *number)
    }
}
