//! Messages and enums as the codecs need them, reached from the entities and the derived services.

use std::collections::HashMap;

use prost_reflect::{EnumDescriptor, FieldDescriptor, Kind as ProtoKind, MessageDescriptor};

use crate::locate::{Element, Locator};
use crate::model::{Cardinality, EnumId, EnumType, Field, Kind, MapKey, MessageId, MessageType, WellKnown};
use crate::options::{self, ColumnOptions, GeneratedOption};

/// The tables of messages and enums while they grow.
pub(crate) struct Types<'a> {
    pub(crate) messages: Vec<MessageType>,
    pub(crate) enums: Vec<EnumType>,
    message_ids: HashMap<String, MessageId>,
    enum_ids: HashMap<String, EnumId>,
    locator: &'a Locator<'a>,
    /// A group was met: the field's full name.
    pub(crate) groups: Vec<FieldDescriptor>,
    /// More types than ids.
    pub(crate) overflow: bool,
}

impl<'a> Types<'a> {
    pub(crate) fn new(locator: &'a Locator<'a>) -> Self {
        Self {
            messages: Vec::new(),
            enums: Vec::new(),
            message_ids: HashMap::new(),
            enum_ids: HashMap::new(),
            locator,
            groups: Vec::new(),
            overflow: false,
        }
    }

    /// The id of a message, after it and all that it reaches are in the table.
    pub(crate) fn message(&mut self, message: &MessageDescriptor) -> MessageId {
        let mut open = Vec::new();
        let id = self.intern(message, &mut open);
        // A work list and no recursion: messages may be chained thousands deep.
        while let Some((id, message)) = open.pop() {
            let fields: Vec<Field> =
                declared_fields(&message).iter().map(|field| self.field(&message, field, &mut open)).collect();
            let mut by_number: Vec<u16> = (0..u16::try_from(fields.len()).unwrap_or(u16::MAX)).collect();
            by_number.sort_by_key(|i| fields[usize::from(*i)].number);
            let entry = &mut self.messages[id.index()];
            entry.fields = fields;
            entry.by_number = by_number;
        }
        id
    }

    fn intern(&mut self, message: &MessageDescriptor, open: &mut Vec<(MessageId, MessageDescriptor)>) -> MessageId {
        if let Some(id) = self.message_ids.get(message.full_name()) {
            return *id;
        }
        let Ok(index) = u16::try_from(self.messages.len()) else {
            self.overflow = true;
            return MessageId(0);
        };
        let id = MessageId(index);
        self.message_ids.insert(message.full_name().to_owned(), id);
        self.messages.push(MessageType {
            full_name: message.full_name().to_owned(),
            well_known: well_known(message.full_name()),
            fields: Vec::new(),
            by_number: Vec::new(),
            entity: None,
            comment: self.locator.comment(&Element::from(message)),
        });
        open.push((id, message.clone()));
        id
    }

    fn field(
        &mut self,
        message: &MessageDescriptor,
        field: &FieldDescriptor,
        open: &mut Vec<(MessageId, MessageDescriptor)>,
    ) -> Field {
        if field.is_group() {
            self.groups.push(field.clone());
        }
        let (kind, cardinality) = match map_parts(field) {
            Some((key, value)) => (self.kind(&value.kind(), open), Cardinality::Map(key)),
            None => (self.kind(&field.kind(), open), cardinality(field)),
        };
        let field_options = field.options();
        let column: ColumnOptions = options::decode(&field_options, options::COLUMN).unwrap_or_default();
        let behavior = options::field_behavior(&field_options);
        Field {
            name: field.name().to_owned(),
            json_name: field.json_name().to_owned(),
            number: field.number(),
            kind,
            cardinality,
            oneof: oneof_index(message, field),
            secret: column.secret || behavior.input_only,
            output_only: column.output_only
                || behavior.output_only
                || column.auto != 0
                || column.generated == GeneratedOption::Computed as i32,
            comment: self.locator.comment(&Element::from(field)),
        }
    }

    fn kind(&mut self, kind: &ProtoKind, open: &mut Vec<(MessageId, MessageDescriptor)>) -> Kind {
        match kind {
            ProtoKind::Double => Kind::Double,
            ProtoKind::Float => Kind::Float,
            ProtoKind::Int32 => Kind::Int32,
            ProtoKind::Int64 => Kind::Int64,
            ProtoKind::Uint32 => Kind::Uint32,
            ProtoKind::Uint64 => Kind::Uint64,
            ProtoKind::Sint32 => Kind::Sint32,
            ProtoKind::Sint64 => Kind::Sint64,
            ProtoKind::Fixed32 => Kind::Fixed32,
            ProtoKind::Fixed64 => Kind::Fixed64,
            ProtoKind::Sfixed32 => Kind::Sfixed32,
            ProtoKind::Sfixed64 => Kind::Sfixed64,
            ProtoKind::Bool => Kind::Bool,
            ProtoKind::String => Kind::String,
            ProtoKind::Bytes => Kind::Bytes,
            ProtoKind::Message(message) => Kind::Message(self.intern(message, open)),
            ProtoKind::Enum(enumeration) => Kind::Enum(self.enumeration(enumeration)),
        }
    }

    fn enumeration(&mut self, enumeration: &EnumDescriptor) -> EnumId {
        if let Some(id) = self.enum_ids.get(enumeration.full_name()) {
            return *id;
        }
        let Ok(index) = u16::try_from(self.enums.len()) else {
            self.overflow = true;
            return EnumId(0);
        };
        let declared = enumeration.enum_descriptor_proto().value.iter();
        self.enums.push(EnumType {
            full_name: enumeration.full_name().to_owned(),
            values: declared.map(|value| (value.name().to_owned(), value.number())).collect(),
            comment: self.locator.comment(&Element::from(enumeration)),
            is_null_value: enumeration.full_name() == "google.protobuf.NullValue",
        });
        self.enum_ids.insert(enumeration.full_name().to_owned(), EnumId(index));
        EnumId(index)
    }
}

/// Fields in the order of the text; descriptors give them by number.
pub(crate) fn declared_fields(message: &MessageDescriptor) -> Vec<FieldDescriptor> {
    let numbers = message.descriptor_proto().field.iter().filter_map(|field| u32::try_from(field.number()).ok());
    numbers.filter_map(|number| message.get_field(number)).collect()
}

/// Place of the field's oneof among the real ones of the message.
pub(crate) fn oneof_index(message: &MessageDescriptor, field: &FieldDescriptor) -> Option<u16> {
    let oneof = field.containing_oneof().filter(|oneof| !oneof.is_synthetic())?;
    let mut real = message.oneofs().filter(|oneof| !oneof.is_synthetic());
    real.position(|other| other == oneof).and_then(|index| u16::try_from(index).ok())
}

fn cardinality(field: &FieldDescriptor) -> Cardinality {
    if field.is_list() {
        Cardinality::Repeated
    } else if field.supports_presence() {
        Cardinality::Explicit
    } else {
        Cardinality::Implicit
    }
}

fn map_parts(field: &FieldDescriptor) -> Option<(MapKey, FieldDescriptor)> {
    if !field.is_map() {
        return None;
    }
    let kind = field.kind();
    let entry = kind.as_message()?;
    Some((map_key(&entry.map_entry_key_field().kind())?, entry.map_entry_value_field()))
}

fn map_key(kind: &ProtoKind) -> Option<MapKey> {
    Some(match kind {
        ProtoKind::Bool => MapKey::Bool,
        ProtoKind::Int32 => MapKey::Int32,
        ProtoKind::Int64 => MapKey::Int64,
        ProtoKind::Sint32 => MapKey::Sint32,
        ProtoKind::Sint64 => MapKey::Sint64,
        ProtoKind::Uint32 => MapKey::Uint32,
        ProtoKind::Uint64 => MapKey::Uint64,
        ProtoKind::Fixed32 => MapKey::Fixed32,
        ProtoKind::Fixed64 => MapKey::Fixed64,
        ProtoKind::Sfixed32 => MapKey::Sfixed32,
        ProtoKind::Sfixed64 => MapKey::Sfixed64,
        ProtoKind::String => MapKey::String,
        _ => return None,
    })
}

pub(crate) fn well_known(full_name: &str) -> Option<WellKnown> {
    Some(match full_name {
        "google.protobuf.Timestamp" => WellKnown::Timestamp,
        "google.protobuf.Duration" => WellKnown::Duration,
        "google.protobuf.FieldMask" => WellKnown::FieldMask,
        "google.protobuf.Struct" => WellKnown::Struct,
        "google.protobuf.Value" => WellKnown::Value,
        "google.protobuf.ListValue" => WellKnown::ListValue,
        "google.protobuf.Any" => WellKnown::Any,
        "google.protobuf.Empty" => WellKnown::Empty,
        "google.protobuf.DoubleValue"
        | "google.protobuf.FloatValue"
        | "google.protobuf.Int64Value"
        | "google.protobuf.UInt64Value"
        | "google.protobuf.Int32Value"
        | "google.protobuf.UInt32Value"
        | "google.protobuf.BoolValue"
        | "google.protobuf.StringValue"
        | "google.protobuf.BytesValue" => WellKnown::Wrapper,
        "google.type.Date" => WellKnown::Date,
        "google.type.Decimal" => WellKnown::Decimal,
        _ => return None,
    })
}
