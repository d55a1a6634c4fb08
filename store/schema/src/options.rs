//! The annotation grammar as Rust types, decoded from the options of descriptors.

use prost::Message;
use prost_reflect::{DynamicMessage, Value};

/// Number of the extension `(rowkeep.v1.entity)`.
pub(crate) const ENTITY: u32 = 50710;
/// Number of the extension `(rowkeep.v1.column)`.
pub(crate) const COLUMN: u32 = 50711;
/// Number of the extension `(google.api.field_behavior)`.
pub(crate) const FIELD_BEHAVIOR: u32 = 1052;
/// Number of the extension `(buf.validate.field)`.
pub(crate) const VALIDATE: u32 = 1159;

#[derive(Clone, PartialEq, Message)]
pub(crate) struct EntityOptions {
    #[prost(string, tag = "1")]
    pub(crate) table: String,
    #[prost(string, tag = "2")]
    pub(crate) plural: String,
    #[prost(string, tag = "3")]
    pub(crate) primary_key: String,
    #[prost(message, repeated, tag = "4")]
    pub(crate) index: Vec<IndexOptions>,
    #[prost(message, optional, tag = "5")]
    pub(crate) cache: Option<CacheOptions>,
    #[prost(message, optional, tag = "6")]
    pub(crate) search: Option<SearchOptions>,
    #[prost(bool, tag = "7")]
    pub(crate) soft_delete: bool,
    #[prost(string, tag = "8")]
    pub(crate) expire: String,
    #[prost(string, tag = "9")]
    pub(crate) renamed_from: String,
    #[prost(message, repeated, tag = "10")]
    pub(crate) access: Vec<AccessRule>,
    #[prost(bool, optional, tag = "11")]
    pub(crate) version: Option<bool>,
    #[prost(bool, tag = "12")]
    pub(crate) allow_scan: bool,
    #[prost(bool, tag = "13")]
    pub(crate) require_etag: bool,
    #[prost(string, tag = "14")]
    pub(crate) default_consistency: String,
    #[prost(bool, tag = "15")]
    pub(crate) read_only: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct IndexOptions {
    #[prost(string, tag = "1")]
    pub(crate) fields: String,
    #[prost(bool, tag = "2")]
    pub(crate) unique: bool,
    #[prost(string, tag = "3")]
    pub(crate) name: String,
    #[prost(string, tag = "4")]
    pub(crate) renamed_from: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct CacheOptions {
    #[prost(string, tag = "1")]
    pub(crate) ttl: String,
    #[prost(bool, tag = "2")]
    pub(crate) disabled: bool,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct SearchOptions {
    #[prost(string, tag = "1")]
    pub(crate) index: String,
    #[prost(string, tag = "2")]
    pub(crate) analyzer: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct AccessRule {
    #[prost(string, tag = "1")]
    pub(crate) roles: String,
    #[prost(string, tag = "2")]
    pub(crate) methods: String,
    #[prost(string, tag = "3")]
    pub(crate) r#where: String,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ColumnOptions {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(string, tag = "2")]
    pub(crate) sql_type: String,
    #[prost(uint32, tag = "3")]
    pub(crate) max_length: u32,
    #[prost(uint32, tag = "4")]
    pub(crate) min_length: u32,
    #[prost(bool, tag = "5")]
    pub(crate) unique: bool,
    #[prost(string, tag = "6")]
    pub(crate) default: String,
    #[prost(enumeration = "GeneratedOption", tag = "7")]
    pub(crate) generated: i32,
    #[prost(enumeration = "AutoOption", tag = "8")]
    pub(crate) auto: i32,
    #[prost(bool, tag = "9")]
    pub(crate) searchable: bool,
    #[prost(bool, tag = "10")]
    pub(crate) secret: bool,
    #[prost(message, optional, tag = "11")]
    pub(crate) references: Option<ReferenceOptions>,
    #[prost(string, tag = "12")]
    pub(crate) min: String,
    #[prost(string, tag = "13")]
    pub(crate) max: String,
    #[prost(string, tag = "14")]
    pub(crate) pattern: String,
    #[prost(string, repeated, tag = "15")]
    pub(crate) one_of: Vec<String>,
    #[prost(bool, tag = "16")]
    pub(crate) required: bool,
    #[prost(bool, tag = "17")]
    pub(crate) immutable: bool,
    #[prost(bool, tag = "18")]
    pub(crate) output_only: bool,
    #[prost(message, optional, tag = "19")]
    pub(crate) decimal: Option<DecimalOptions>,
    #[prost(string, tag = "20")]
    pub(crate) renamed_from: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub(crate) enum GeneratedOption {
    Unspecified = 0,
    AutoIncrement = 1,
    Snowflake = 2,
    UuidV7 = 3,
    Computed = 4,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub(crate) enum AutoOption {
    Unspecified = 0,
    CreateTime = 1,
    UpdateTime = 2,
    DeleteTime = 3,
    Etag = 4,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct DecimalOptions {
    #[prost(uint32, tag = "1")]
    pub(crate) precision: u32,
    #[prost(uint32, tag = "2")]
    pub(crate) scale: u32,
}

#[derive(Clone, PartialEq, Message)]
pub(crate) struct ReferenceOptions {
    #[prost(string, tag = "1")]
    pub(crate) entity: String,
    #[prost(enumeration = "OnDeleteOption", tag = "2")]
    pub(crate) on_delete: i32,
    #[prost(string, tag = "3")]
    pub(crate) field: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, prost::Enumeration)]
#[repr(i32)]
pub(crate) enum OnDeleteOption {
    Unspecified = 0,
    Restrict = 1,
    Cascade = 2,
    SetNull = 3,
}

/// Decodes the extension of that number, if the options set it.
pub(crate) fn decode<T: Message + Default>(options: &DynamicMessage, number: u32) -> Option<T> {
    let extension = options.descriptor_extension(number)?;
    match options.get_extension(&extension).as_ref() {
        Value::Message(message) => T::decode(message.encode_to_vec().as_slice()).ok(),
        _ => None,
    }
}

/// What `(google.api.field_behavior)` says.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct FieldBehavior {
    pub(crate) required: bool,
    pub(crate) output_only: bool,
    pub(crate) input_only: bool,
    pub(crate) immutable: bool,
}

pub(crate) fn field_behavior(options: &DynamicMessage) -> FieldBehavior {
    let mut behavior = FieldBehavior::default();
    let Some(extension) = options.descriptor_extension(FIELD_BEHAVIOR) else { return behavior };
    let value = options.get_extension(&extension);
    for item in value.as_list().unwrap_or_default() {
        match item.as_enum_number() {
            Some(2) => behavior.required = true,
            Some(3) => behavior.output_only = true,
            Some(4) => behavior.input_only = true,
            Some(5) => behavior.immutable = true,
            _ => {}
        }
    }
    behavior
}

/// The rules of `(buf.validate.field)`, if there are any.
pub(crate) fn validate_rules(options: &DynamicMessage) -> Option<DynamicMessage> {
    let extension = options.descriptor_extension(VALIDATE)?;
    options.get_extension(&extension).as_message().cloned()
}

trait SetExtension {
    fn descriptor_extension(&self, number: u32) -> Option<prost_reflect::ExtensionDescriptor>;
}

impl SetExtension for DynamicMessage {
    /// The extension of that number, if it is known and set.
    fn descriptor_extension(&self, number: u32) -> Option<prost_reflect::ExtensionDescriptor> {
        use prost_reflect::ReflectMessage as _;
        self.descriptor().get_extension(number).filter(|extension| self.has_extension(extension))
    }
}
