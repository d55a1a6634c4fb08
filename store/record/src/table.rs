//! The schema's messages compiled for the codecs: fields by number, names by binary search, JSON keys ready to copy.

use std::collections::HashMap;

use rowkeep_schema::{Cardinality, EnumId, EnumType, Field, Kind, MapKey, MessageId, MessageType, Schema, WellKnown};

use crate::wire::wire_type;

/// All messages and enums of a schema.
#[derive(Debug)]
pub(crate) struct Tables {
    messages: Vec<Message>,
    enums: Vec<Enum>,
    /// Full names, and the bare names of entities where they are unambiguous.
    names: HashMap<Box<str>, MessageId>,
}

/// A message.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) full_name: Box<str>,
    pub(crate) well_known: Option<WellKnown>,
    /// By field number.
    pub(crate) fields: Vec<FieldTable>,
    /// Proto and JSON names, sorted, with the place in `fields`.
    by_name: Vec<(Box<str>, u16)>,
}

/// A field of a message.
#[derive(Debug)]
pub(crate) struct FieldTable {
    pub(crate) name: Box<str>,
    pub(crate) json_name: Box<str>,
    /// `"jsonName":`.
    pub(crate) json_key: Box<str>,
    pub(crate) number: u32,
    pub(crate) kind: Kind,
    pub(crate) cardinality: Cardinality,
    pub(crate) oneof: Option<u16>,
    pub(crate) secret: bool,
}

/// An enum.
#[derive(Debug)]
pub(crate) struct Enum {
    pub(crate) full_name: Box<str>,
    pub(crate) is_null_value: bool,
    by_number: Vec<(i32, Box<str>)>,
    by_name: Vec<(Box<str>, i32)>,
}

impl Tables {
    pub(crate) fn new(schema: &Schema) -> Self {
        let mut names = HashMap::new();
        for entity in &schema.entities {
            if schema.entity_by_name(&entity.name).is_some() {
                names.insert(entity.name.as_str().into(), entity.message);
            }
        }
        for (message, id) in schema.messages.iter().zip(0..) {
            names.insert(message.full_name.as_str().into(), MessageId(id));
        }
        Self {
            messages: schema.messages.iter().map(Message::new).collect(),
            enums: schema.enums.iter().map(Enum::new).collect(),
            names,
        }
    }

    #[inline]
    pub(crate) fn message(&self, id: MessageId) -> &Message {
        &self.messages[id.index()]
    }

    #[inline]
    pub(crate) fn enumeration(&self, id: EnumId) -> &Enum {
        &self.enums[id.index()]
    }

    pub(crate) fn find(&self, name: &str) -> Option<MessageId> {
        self.names.get(name).copied()
    }

    /// The message of an `Any`'s type URL; a bare name is fine.
    pub(crate) fn find_type_url(&self, url: &str) -> Option<MessageId> {
        self.find(url.rsplit('/').next().unwrap_or(url))
    }

    /// Whether JSON null is a value of this kind, not its absence.
    pub(crate) fn takes_null(&self, kind: Kind) -> bool {
        match kind {
            Kind::Message(id) => self.message(id).well_known == Some(WellKnown::Value),
            Kind::Enum(id) => self.enumeration(id).is_null_value,
            _ => false,
        }
    }
}

impl Message {
    fn new(message: &MessageType) -> Self {
        let mut fields: Vec<_> = message.fields.iter().map(FieldTable::new).collect();
        fields.sort_by_key(|field| field.number);
        let mut by_name = Vec::new();
        for (field, at) in fields.iter().zip(0..) {
            by_name.push((field.json_name.clone(), at));
            by_name.push((field.name.clone(), at));
        }
        by_name.sort();
        by_name.dedup();
        Self { full_name: message.full_name.as_str().into(), well_known: message.well_known, fields, by_name }
    }

    /// The place of a field number; most often it is at or right behind `hint`.
    #[inline]
    pub(crate) fn place(&self, number: u32, hint: usize) -> Option<usize> {
        match self.fields.get(hint) {
            Some(field) if field.number == number => Some(hint),
            _ => self.fields.binary_search_by_key(&number, |field| field.number).ok(),
        }
    }

    /// The place of a proto or JSON name; most often it is `hint`.
    pub(crate) fn place_by_name(&self, name: &str, hint: usize) -> Option<usize> {
        if self.fields.get(hint).is_some_and(|field| *field.json_name == *name) {
            return Some(hint);
        }
        let at = self.by_name.binary_search_by(|(candidate, _)| (**candidate).cmp(name)).ok()?;
        Some(usize::from(self.by_name[at].1))
    }

    /// Whether JSON shows the message as an object of its fields.
    pub(crate) fn is_plain(&self) -> bool {
        matches!(self.well_known, None | Some(WellKnown::Date | WellKnown::Decimal))
    }
}

impl FieldTable {
    fn new(field: &Field) -> Self {
        let mut json_key = Vec::new();
        crate::json::write_string(&mut json_key, &field.json_name);
        json_key.push(b':');
        let json_key = String::from_utf8_lossy(&json_key);
        Self {
            name: field.name.as_str().into(),
            json_name: field.json_name.as_str().into(),
            json_key: json_key.into(),
            number: field.number,
            kind: field.kind,
            cardinality: field.cardinality,
            oneof: field.oneof,
            secret: field.secret,
        }
    }

    pub(crate) fn is_message(&self) -> bool {
        matches!(self.kind, Kind::Message(_))
    }

    pub(crate) fn is_singular(&self) -> bool {
        matches!(self.cardinality, Cardinality::Implicit | Cardinality::Explicit)
    }
}

impl Enum {
    fn new(enumeration: &EnumType) -> Self {
        let mut by_name: Vec<_> = enumeration.values.iter().map(|(name, n)| (name.as_str().into(), *n)).collect();
        by_name.sort();
        let mut by_number: Vec<(i32, Box<str>)> =
            enumeration.values.iter().map(|(name, n)| (*n, name.as_str().into())).collect();
        // Stable, so that the first of several names of a number is kept.
        by_number.sort_by_key(|(number, _)| *number);
        by_number.dedup_by_key(|(number, _)| *number);
        Self {
            full_name: enumeration.full_name.as_str().into(),
            is_null_value: enumeration.is_null_value,
            by_number,
            by_name,
        }
    }

    pub(crate) fn name(&self, number: i32) -> Option<&str> {
        let at = self.by_number.binary_search_by_key(&number, |(n, _)| *n).ok()?;
        Some(&self.by_number[at].1)
    }

    pub(crate) fn number(&self, name: &str) -> Option<i32> {
        let at = self.by_name.binary_search_by(|(candidate, _)| (**candidate).cmp(name)).ok()?;
        Some(self.by_name[at].1)
    }

    /// The names, for a message of what was expected.
    pub(crate) fn choices(&self) -> String {
        const MOST: usize = 12;
        let names: Vec<_> = self.by_number.iter().take(MOST).map(|(_, name)| &**name).collect();
        let more = if self.by_number.len() > MOST { ", ..." } else { "" };
        format!("{}{more}", names.join(", "))
    }
}

/// The wire type of one value.
pub(crate) const fn wire_type_of(kind: Kind) -> u32 {
    match kind {
        Kind::Bool
        | Kind::Int32
        | Kind::Int64
        | Kind::Sint32
        | Kind::Sint64
        | Kind::Uint32
        | Kind::Uint64
        | Kind::Enum(_) => wire_type::VARINT,
        Kind::Fixed32 | Kind::Sfixed32 | Kind::Float => wire_type::FIXED32,
        Kind::Fixed64 | Kind::Sfixed64 | Kind::Double => wire_type::FIXED64,
        Kind::String | Kind::Bytes | Kind::Message(_) => wire_type::LENGTH,
    }
}

/// The kind of a map's key.
pub(crate) const fn key_kind(key: MapKey) -> Kind {
    match key {
        MapKey::Bool => Kind::Bool,
        MapKey::Int32 => Kind::Int32,
        MapKey::Int64 => Kind::Int64,
        MapKey::Sint32 => Kind::Sint32,
        MapKey::Sint64 => Kind::Sint64,
        MapKey::Uint32 => Kind::Uint32,
        MapKey::Uint64 => Kind::Uint64,
        MapKey::Fixed32 => Kind::Fixed32,
        MapKey::Fixed64 => Kind::Fixed64,
        MapKey::Sfixed32 => Kind::Sfixed32,
        MapKey::Sfixed64 => Kind::Sfixed64,
        MapKey::String => Kind::String,
    }
}
