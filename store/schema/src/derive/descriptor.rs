//! A derived file as an encoded `FileDescriptorProto`.
//!
//! `prost_types` has no room for the `google.api.http` extension in method options, so services are encoded through a
//! mirror of their descriptor messages that has. Field 6 of the file is appended to the rest: concatenation merges.

use prost::Message as _;
use prost_types::field_descriptor_proto::{Label as ProtoLabel, Type};
use prost_types::source_code_info::Location;
use prost_types::{DescriptorProto, FieldDescriptorProto, FileDescriptorProto, OneofDescriptorProto, SourceCodeInfo};

use super::file::{Field, FieldType, File, Label, Message, Rpc, Service, json_name};
use crate::HttpRule;

/// Encodes the file, comments included.
pub(super) fn encode(file: &File) -> Vec<u8> {
    let mut bytes = FileDescriptorProto {
        name: Some(file.path.clone()),
        package: (!file.package.is_empty()).then(|| file.package.clone()),
        dependency: file.imports.clone(),
        message_type: file.messages.iter().map(message).collect(),
        source_code_info: Some(comments(file)),
        syntax: Some("proto3".to_owned()),
        ..FileDescriptorProto::default()
    }
    .encode_to_vec();
    bytes.extend(mirror::Services { service: file.services.iter().map(service).collect() }.encode_to_vec());
    bytes
}

fn message(message: &Message) -> DescriptorProto {
    let oneofs = oneofs(message);
    let mut descriptor = DescriptorProto {
        name: Some(message.name.clone()),
        oneof_decl: oneofs.iter().copied().map(oneof).collect(),
        ..DescriptorProto::default()
    };
    for spec in &message.fields {
        let mut encoded = field(spec);
        match spec.label {
            Label::OneOf(name) => {
                let place = oneofs.iter().position(|other| *other == name);
                encoded.oneof_index = place.and_then(|place| i32::try_from(place).ok());
            }
            Label::Optional => {
                // proto3 `optional` is a oneof of one, by protoc's naming.
                encoded.oneof_index = i32::try_from(descriptor.oneof_decl.len()).ok();
                encoded.proto3_optional = Some(true);
                descriptor.oneof_decl.push(oneof(&format!("_{}", spec.name)));
            }
            Label::Singular | Label::Repeated => {}
        }
        descriptor.field.push(encoded);
    }
    descriptor
}

/// The oneofs that are no `optional`, in order: they come before those.
fn oneofs(message: &Message) -> Vec<&'static str> {
    let mut oneofs = Vec::new();
    for field in &message.fields {
        match field.label {
            Label::OneOf(name) if !oneofs.contains(&name) => oneofs.push(name),
            _ => {}
        }
    }
    oneofs
}

fn oneof(name: &str) -> OneofDescriptorProto {
    OneofDescriptorProto { name: Some(name.to_owned()), ..OneofDescriptorProto::default() }
}

fn field(field: &Field) -> FieldDescriptorProto {
    let (ty, type_name) = match &field.ty {
        FieldType::Scalar(scalar) => (*scalar, None),
        FieldType::Enum(name) => (Type::Enum, Some(format!(".{name}"))),
        FieldType::Message(name) => (Type::Message, Some(format!(".{name}"))),
    };
    let label = if field.label == Label::Repeated { ProtoLabel::Repeated } else { ProtoLabel::Optional };
    FieldDescriptorProto {
        name: Some(field.name.clone()),
        number: Some(field.number),
        label: Some(label.into()),
        r#type: Some(ty.into()),
        type_name,
        json_name: Some(json_name(&field.name)),
        ..FieldDescriptorProto::default()
    }
}

fn service(service: &Service) -> mirror::Service {
    mirror::Service { name: Some(service.name.clone()), method: service.methods.iter().map(rpc).collect() }
}

fn rpc(rpc: &Rpc) -> mirror::Method {
    mirror::Method {
        name: Some(rpc.name.clone()),
        input_type: Some(format!(".{}", rpc.input)),
        output_type: Some(format!(".{}", rpc.output)),
        options: Some(mirror::MethodOptions { http: Some(http(&rpc.http)) }),
        server_streaming: rpc.streams.then_some(true),
    }
}

fn http(rule: &HttpRule) -> mirror::HttpRule {
    let path = rule.path.clone();
    let pattern = match rule.verb {
        "GET" => mirror::Pattern::Get(path),
        "POST" => mirror::Pattern::Post(path),
        "DELETE" => mirror::Pattern::Delete(path),
        "PATCH" => mirror::Pattern::Patch(path),
        _ => mirror::Pattern::Put(path),
    };
    mirror::HttpRule { pattern: Some(pattern), body: rule.body.clone().unwrap_or_default() }
}

// Field numbers of `descriptor.proto` that paths of comments are made of.
const FILE_MESSAGES: i32 = 4;
const FILE_SERVICES: i32 = 6;
const FILE_SYNTAX: i32 = 12;
const SERVICE_METHODS: i32 = 2;
const MESSAGE_FIELDS: i32 = 2;

fn comments(file: &File) -> SourceCodeInfo {
    let mut info = Comments::default();
    info.add(&[FILE_SYNTAX], &file.comment);
    for (service, i) in file.services.iter().zip(0..) {
        info.add(&[FILE_SERVICES, i], &service.comment);
        for (rpc, j) in service.methods.iter().zip(0..) {
            info.add(&[FILE_SERVICES, i, SERVICE_METHODS, j], &rpc.comment);
        }
    }
    for (message, i) in file.messages.iter().zip(0..) {
        info.add(&[FILE_MESSAGES, i], &message.comment);
        for (field, j) in message.fields.iter().zip(0..) {
            info.add(&[FILE_MESSAGES, i, MESSAGE_FIELDS, j], &field.comment);
        }
    }
    SourceCodeInfo { location: info.locations }
}

#[derive(Default)]
struct Comments {
    locations: Vec<Location>,
}

impl Comments {
    /// The comment as protoc records it: every line with the space after `//` and its end. The span is empty, as no
    /// reader has the derived text at hand.
    fn add(&mut self, path: &[i32], comment: &str) {
        if comment.is_empty() {
            return;
        }
        let text: String = comment.lines().map(|line| format!(" {line}\n")).collect();
        self.locations.push(Location {
            path: path.to_vec(),
            span: vec![0, 0, 0],
            leading_comments: Some(text),
            ..Location::default()
        });
    }
}

/// The parts of `descriptor.proto` and `google/api/http.proto` that methods need.
mod mirror {
    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Services {
        #[prost(message, repeated, tag = "6")]
        pub(super) service: Vec<Service>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Service {
        #[prost(string, optional, tag = "1")]
        pub(super) name: Option<String>,
        #[prost(message, repeated, tag = "2")]
        pub(super) method: Vec<Method>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct Method {
        #[prost(string, optional, tag = "1")]
        pub(super) name: Option<String>,
        #[prost(string, optional, tag = "2")]
        pub(super) input_type: Option<String>,
        #[prost(string, optional, tag = "3")]
        pub(super) output_type: Option<String>,
        #[prost(message, optional, tag = "4")]
        pub(super) options: Option<MethodOptions>,
        #[prost(bool, optional, tag = "6")]
        pub(super) server_streaming: Option<bool>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct MethodOptions {
        #[prost(message, optional, tag = "72295728")]
        pub(super) http: Option<HttpRule>,
    }

    #[derive(Clone, PartialEq, prost::Message)]
    pub(super) struct HttpRule {
        #[prost(oneof = "Pattern", tags = "2, 3, 4, 5, 6")]
        pub(super) pattern: Option<Pattern>,
        #[prost(string, tag = "7")]
        pub(super) body: String,
    }

    #[derive(Clone, PartialEq, prost::Oneof)]
    pub(super) enum Pattern {
        #[prost(string, tag = "2")]
        Get(String),
        #[prost(string, tag = "3")]
        Put(String),
        #[prost(string, tag = "4")]
        Post(String),
        #[prost(string, tag = "5")]
        Delete(String),
        #[prost(string, tag = "6")]
        Patch(String),
    }
}
