//! What every part of the build shares: the linked files, and where to report.

use prost_reflect::{DescriptorPool, FieldDescriptor, Kind, MessageDescriptor};

use crate::diagnostics::{Diagnostics, Place};
use crate::locate::{Element, Locator, OptionPath};
use crate::options;

pub(crate) struct Context<'a> {
    pub(crate) pool: &'a DescriptorPool,
    pub(crate) locator: &'a Locator<'a>,
    pub(crate) out: Diagnostics,
}

impl Context<'_> {
    /// Place of `needle` in an entity option (`index.fields`), of the option, or of the message's name.
    pub(crate) fn entity_place(&self, message: &MessageDescriptor, option: &str, needle: &str) -> Option<Place> {
        let path = self.option_path(options::ENTITY, "rowkeep.v1.EntityOptions", option);
        self.locator.option(&Element::from(message), &path, needle)
    }

    /// Place of `needle` in a column option (`decimal.scale`), of the option, or of the field's name.
    pub(crate) fn column_place(&self, field: &FieldDescriptor, option: &str, needle: &str) -> Option<Place> {
        let path = self.option_path(options::COLUMN, "rowkeep.v1.ColumnOptions", option);
        self.locator.option(&Element::from(field), &path, needle)
    }

    /// Place of a `(buf.validate.field)` rule.
    pub(crate) fn rule_place(&self, field: &FieldDescriptor, rule: &str) -> Option<Place> {
        let path = self.option_path(options::VALIDATE, "buf.validate.FieldRules", rule);
        self.locator.option(&Element::from(field), &path, "")
    }

    /// Place of a field's name.
    pub(crate) fn field_place(&self, field: &FieldDescriptor) -> Option<Place> {
        self.locator.name(&Element::from(field))
    }

    /// Place of a message's name.
    pub(crate) fn message_place(&self, message: &MessageDescriptor) -> Option<Place> {
        self.locator.name(&Element::from(message))
    }

    pub(crate) fn entity_error(
        &mut self,
        message: &MessageDescriptor,
        (option, needle): (&str, &str),
        text: impl Into<String>,
        help: impl Into<String>,
    ) {
        let place = self.entity_place(message, option, needle);
        self.out.error(place, text, help);
    }

    pub(crate) fn column_error(
        &mut self,
        field: &FieldDescriptor,
        (option, needle): (&str, &str),
        text: impl Into<String>,
        help: impl Into<String>,
    ) {
        let place = self.column_place(field, option, needle);
        self.out.error(place, text, help);
    }

    fn option_path(&self, extension: u32, message: &str, dotted: &str) -> OptionPath {
        let mut current = self.pool.get_message_by_name(message);
        let mut steps = Vec::new();
        for name in dotted.split('.').filter(|name| !name.is_empty()) {
            let field = current.as_ref().and_then(|message| message.get_field_by_name(name));
            steps.push((name.to_owned(), field.as_ref().map_or(0, FieldDescriptor::number)));
            current = field.and_then(|field| match field.kind() {
                Kind::Message(message) => Some(message),
                _ => None,
            });
        }
        OptionPath { extension, steps }
    }
}
