//! Messages read by reflection.

use prost_reflect::prost::Message as _;
use prost_reflect::{DynamicMessage, MessageDescriptor, Value};
use rowkeep_schema::Schema;

pub(super) fn descriptor(schema: &Schema, name: &str) -> MessageDescriptor {
    schema.descriptors.get_message_by_name(name).unwrap_or_else(|| panic!("no message {name}"))
}

/// Access to the fields of a message by name; what is absent is empty.
pub(super) struct Fields(pub(super) DynamicMessage);

impl Fields {
    pub(super) fn get(&self, name: &str) -> Option<Value> {
        self.0.get_field_by_name(name).map(std::borrow::Cow::into_owned)
    }

    pub(super) fn text(&self, name: &str) -> Option<String> {
        self.get(name)?.as_str().filter(|text| !text.is_empty()).map(str::to_owned)
    }

    pub(super) fn flag(&self, name: &str) -> bool {
        self.get(name).and_then(|value| value.as_bool()).unwrap_or_default()
    }

    pub(super) fn message(&self, name: &str) -> Option<Self> {
        if !self.0.has_field_by_name(name) {
            return None;
        }
        self.get(name)?.as_message().cloned().map(Self)
    }

    pub(super) fn messages(&self, name: &str) -> Vec<Self> {
        let Some(value) = self.get(name) else { return Vec::new() };
        value.as_list().unwrap().iter().map(|item| Self(item.as_message().unwrap().clone())).collect()
    }

    pub(super) fn bytes(&self) -> bytes::Bytes {
        self.0.encode_to_vec().into()
    }

    /// The paths of a mask; `None` where there is none.
    pub(super) fn paths(&self, name: &str) -> Option<Vec<String>> {
        let mask = self.message(name)?;
        let paths = mask.get("paths").unwrap();
        Some(paths.as_list().unwrap().iter().map(|path| path.as_str().unwrap().to_owned()).collect())
    }
}
