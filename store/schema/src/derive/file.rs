//! A derived file before it is written: as a descriptor ([`descriptor`](super::descriptor)) or as text
//! ([`print`](super::print)). Both come from this one value, so they cannot disagree.

use prost_types::field_descriptor_proto::Type;

use crate::HttpRule;

/// One derived `.proto` file.
#[derive(Debug)]
pub(super) struct File {
    pub(super) path: String,
    pub(super) package: String,
    pub(super) comment: String,
    pub(super) imports: Vec<String>,
    pub(super) services: Vec<Service>,
    pub(super) messages: Vec<Message>,
}

#[derive(Debug)]
pub(super) struct Service {
    pub(super) name: String,
    pub(super) comment: String,
    pub(super) methods: Vec<Rpc>,
}

#[derive(Debug)]
pub(super) struct Rpc {
    pub(super) name: String,
    pub(super) comment: String,
    /// Full names, without a leading dot.
    pub(super) input: String,
    pub(super) output: String,
    /// It answers with a stream of its output.
    pub(super) streams: bool,
    pub(super) http: HttpRule,
}

#[derive(Debug)]
pub(super) struct Message {
    pub(super) name: String,
    pub(super) comment: String,
    pub(super) fields: Vec<Field>,
}

#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: String,
    pub(super) number: i32,
    pub(super) ty: FieldType,
    pub(super) label: Label,
    pub(super) comment: String,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum FieldType {
    Scalar(Type),
    /// Full name, without a leading dot.
    Enum(String),
    /// Full name, without a leading dot.
    Message(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Label {
    Singular,
    Optional,
    Repeated,
    /// A member of the oneof of this name; members follow each other.
    OneOf(&'static str),
}

impl Message {
    pub(super) fn new(name: String, comment: String) -> Self {
        Self { name, comment, fields: Vec::new() }
    }

    /// Adds a field. The checks of a schema see to it that no key field is called like an option.
    pub(super) fn field(mut self, number: i32, name: &str, ty: FieldType, comment: &str) -> Self {
        self.push(number, name, ty, Label::Singular, comment);
        self
    }

    pub(super) fn repeated(mut self, number: i32, name: &str, ty: FieldType, comment: &str) -> Self {
        self.push(number, name, ty, Label::Repeated, comment);
        self
    }

    pub(super) fn optional(mut self, number: i32, name: &str, ty: FieldType, comment: &str) -> Self {
        self.push(number, name, ty, Label::Optional, comment);
        self
    }

    pub(super) fn one_of(mut self, oneof: &'static str, number: i32, name: &str, ty: FieldType, comment: &str) -> Self {
        self.push(number, name, ty, Label::OneOf(oneof), comment);
        self
    }

    fn push(&mut self, number: i32, name: &str, ty: FieldType, label: Label, comment: &str) {
        self.fields.push(Field { name: name.to_owned(), number, ty, label, comment: comment.to_owned() });
    }
}

impl Label {
    pub(super) const fn keyword(self) -> &'static str {
        match self {
            Self::Singular | Self::OneOf(_) => "",
            Self::Optional => "optional ",
            Self::Repeated => "repeated ",
        }
    }
}

/// protoc's own rule for the JSON name: underscores go, the letter after one is upper case.
pub(super) fn json_name(name: &str) -> String {
    let mut json = String::with_capacity(name.len());
    let mut upper = false;
    for c in name.chars() {
        if c == '_' {
            upper = true;
        } else if std::mem::take(&mut upper) {
            json.push(c.to_ascii_uppercase());
        } else {
            json.push(c);
        }
    }
    json
}

/// The keyword of a scalar type.
pub(super) const fn scalar_keyword(scalar: Type) -> &'static str {
    match scalar {
        Type::Double => "double",
        Type::Float => "float",
        Type::Int64 => "int64",
        Type::Uint64 => "uint64",
        Type::Int32 => "int32",
        Type::Fixed64 => "fixed64",
        Type::Fixed32 => "fixed32",
        Type::Bool => "bool",
        Type::String => "string",
        Type::Bytes => "bytes",
        Type::Uint32 => "uint32",
        Type::Sfixed32 => "sfixed32",
        Type::Sfixed64 => "sfixed64",
        Type::Sint32 => "sint32",
        Type::Sint64 => "sint64",
        Type::Group | Type::Message | Type::Enum => "",
    }
}
