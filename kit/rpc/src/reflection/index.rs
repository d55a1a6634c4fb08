//! Which file declares what.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use bytes::Bytes;
use kit_core::BoxError;
use prost::Message as _;
use prost_types::{DescriptorProto, EnumDescriptorProto, FieldDescriptorProto, FileDescriptorProto};

/// A `FileDescriptorSet` whose files stay bytes: decoding them into messages would lose their custom options.
#[derive(Clone, PartialEq, prost::Message)]
struct RawSet {
    #[prost(bytes = "bytes", repeated, tag = "1")]
    file: Vec<Bytes>,
}

#[derive(Debug, Default)]
pub(super) struct Index {
    files: HashMap<String, Bytes>,
    /// The file of every message, field, enum, value, service, method and extension.
    symbols: HashMap<String, String>,
    messages: BTreeSet<String>,
    extensions: HashMap<String, BTreeMap<i32, String>>,
    services: BTreeSet<String>,
}

impl Index {
    pub(super) fn add_set(&mut self, set: &[u8]) -> Result<(), BoxError> {
        for bytes in RawSet::decode(set)?.file {
            let file = FileDescriptorProto::decode(bytes.clone())?;
            if self.files.insert(file.name().to_owned(), bytes).is_none() {
                self.add_file(&file);
            }
        }
        Ok(())
    }

    pub(super) fn file(&self, name: &str) -> Option<&Bytes> {
        self.files.get(name)
    }

    pub(super) fn symbol(&self, name: &str) -> Option<&Bytes> {
        self.file(self.symbols.get(name.trim_start_matches('.'))?)
    }

    pub(super) fn extension(&self, message: &str, number: i32) -> Option<&Bytes> {
        self.file(self.extensions.get(message)?.get(&number)?)
    }

    /// The numbers of the extensions of a message; `None` if it is not known.
    pub(super) fn extension_numbers(&self, message: &str) -> Option<Vec<i32>> {
        match self.extensions.get(message) {
            Some(numbers) => Some(numbers.keys().copied().collect()),
            None => self.messages.contains(message).then(Vec::new),
        }
    }

    pub(super) fn services(&self) -> impl Iterator<Item = &str> {
        self.services.iter().map(String::as_str)
    }

    fn add_file(&mut self, file: &FileDescriptorProto) {
        let scope = Scope { file: file.name(), prefix: file.package().to_owned() };
        file.message_type.iter().for_each(|message| self.add_message(&scope, message));
        file.enum_type.iter().for_each(|kind| self.add_enum(&scope, kind));
        file.extension.iter().for_each(|extension| self.add_extension(&scope, extension));
        for service in &file.service {
            let inner = self.add_symbol(&scope, service.name());
            self.services.insert(inner.prefix.clone());
            for method in &service.method {
                self.add_symbol(&inner, method.name());
            }
        }
    }

    fn add_symbol<'f>(&mut self, scope: &Scope<'f>, name: &str) -> Scope<'f> {
        let inner = scope.inner(name);
        self.symbols.insert(inner.prefix.clone(), scope.file.to_owned());
        inner
    }

    fn add_message(&mut self, scope: &Scope<'_>, message: &DescriptorProto) {
        let inner = self.add_symbol(scope, message.name());
        self.messages.insert(inner.prefix.clone());
        for name in message.field.iter().map(FieldDescriptorProto::name) {
            self.add_symbol(&inner, name);
        }
        for oneof in &message.oneof_decl {
            self.add_symbol(&inner, oneof.name());
        }
        message.nested_type.iter().for_each(|nested| self.add_message(&inner, nested));
        message.enum_type.iter().for_each(|kind| self.add_enum(&inner, kind));
        message.extension.iter().for_each(|extension| self.add_extension(&inner, extension));
    }

    /// The values of an enum are named beside it, not within it.
    fn add_enum(&mut self, scope: &Scope<'_>, kind: &EnumDescriptorProto) {
        self.add_symbol(scope, kind.name());
        for value in &kind.value {
            self.add_symbol(scope, value.name());
        }
    }

    fn add_extension(&mut self, scope: &Scope<'_>, extension: &FieldDescriptorProto) {
        self.add_symbol(scope, extension.name());
        let extended = extension.extendee().trim_start_matches('.').to_owned();
        self.extensions.entry(extended).or_default().insert(extension.number(), scope.file.to_owned());
    }
}

/// Where names are declared.
struct Scope<'f> {
    file: &'f str,
    prefix: String,
}

impl<'f> Scope<'f> {
    fn inner(&self, name: &str) -> Self {
        let prefix = if self.prefix.is_empty() { name.to_owned() } else { format!("{}.{name}", self.prefix) };
        Self { file: self.file, prefix }
    }
}

#[cfg(test)]
mod tests {
    use prost_types::{EnumValueDescriptorProto, FileDescriptorSet, ServiceDescriptorProto};

    use super::*;

    fn name(name: &str) -> Option<String> {
        Some(name.to_owned())
    }

    fn index() -> Index {
        let kind = EnumDescriptorProto {
            name: name("Kind"),
            value: vec![EnumValueDescriptorProto { name: name("BIG"), ..Default::default() }],
            ..Default::default()
        };
        let nested = DescriptorProto { name: name("Inner"), enum_type: vec![kind], ..Default::default() };
        let message = DescriptorProto { name: name("User"), nested_type: vec![nested], ..Default::default() };
        let extension = FieldDescriptorProto {
            name: name("entity"),
            extendee: name(".google.protobuf.MessageOptions"),
            number: Some(50_000),
            ..Default::default()
        };
        let file = FileDescriptorProto {
            name: name("shop.proto"),
            package: name("shop.v1"),
            message_type: vec![message],
            extension: vec![extension],
            service: vec![ServiceDescriptorProto { name: name("Users"), ..Default::default() }],
            ..Default::default()
        };
        let mut index = Index::default();
        index.add_set(&FileDescriptorSet { file: vec![file] }.encode_to_vec()).unwrap();
        index
    }

    #[test]
    fn every_kind_of_symbol_leads_to_its_file() {
        let index = index();
        for symbol in
            ["shop.v1.User", "shop.v1.User.Inner.Kind", "shop.v1.User.Inner.BIG", "shop.v1.Users", ".shop.v1.entity"]
        {
            assert!(index.symbol(symbol).is_some(), "{symbol}");
        }
        assert!(index.symbol("shop.v1.Nobody").is_none());
        assert_eq!(index.services().collect::<Vec<_>>(), ["shop.v1.Users"]);
    }

    #[test]
    fn extensions_are_found_by_what_they_extend() {
        let index = index();
        assert!(index.extension("google.protobuf.MessageOptions", 50_000).is_some());
        assert!(index.extension("google.protobuf.MessageOptions", 1).is_none());
        assert_eq!(index.extension_numbers("google.protobuf.MessageOptions"), Some(vec![50_000]));
        assert_eq!(index.extension_numbers("shop.v1.User"), Some(vec![]));
        assert_eq!(index.extension_numbers("nobody"), None);
    }

    #[test]
    fn the_bytes_of_a_file_are_served_as_they_came() {
        let mut file = FileDescriptorProto { name: name("x.proto"), ..Default::default() }.encode_to_vec();
        // options { 50000: "hi" }, which prost's FileOptions does not know.
        let option = [0x42, 6, 0x82, 0xb5, 0x18, 2, b'h', b'i'];
        file.extend_from_slice(&option);
        let set = RawSet { file: vec![file.clone().into()] }.encode_to_vec();
        let mut index = Index::default();
        index.add_set(&set).unwrap();
        assert_eq!(index.file("x.proto").unwrap(), &file);
    }
}
