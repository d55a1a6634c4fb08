//! The engine's answers when something does not hold, worded once.

use std::fmt::Write as _;

use kit_core::{Code, Error, PreconditionViolation};
use rowkeep_record::{Key, RowCodec, Value, etag};
use rowkeep_schema::{ColumnId, Entity, EntityId};

use crate::engine::Shared;

impl Shared {
    pub(crate) fn key_text(&self, entity: EntityId, key: &Key) -> String {
        self.codec(entity).key_text(key)
    }

    /// `shop.v1.User/42`
    pub(crate) fn subject(&self, entity: EntityId, key: &Key) -> String {
        format!("{}/{}", self.entity(entity).full_name, self.key_text(entity, key))
    }

    fn about(&self, error: Error, entity: EntityId, key: &Key) -> Error {
        let (kind, name) = (&self.entity(entity).full_name, self.key_text(entity, key));
        error.with("entity", kind).with("key", &name).with_resource(kind, name)
    }

    #[cold]
    pub(crate) fn not_found(&self, entity: EntityId, key: &Key) -> Error {
        let message = format!("{} {} does not exist", self.entity(entity).name, self.key_text(entity, key));
        self.about(Error::new(Code::NotFound, "NOT_FOUND", message), entity, key)
    }

    #[cold]
    pub(crate) fn lookup_not_found(&self, id: EntityId, index: u16, values: &Key) -> Error {
        let entity = self.entity(id);
        let columns: Vec<_> = entity.indexes[usize::from(index)].columns.iter().map(|(column, _)| *column).collect();
        let shown = describe(entity, self.codec(id), &columns, values.values());
        Error::new(Code::NotFound, "NOT_FOUND", format!("no {} has {shown}", entity.name))
            .with("entity", &entity.full_name)
            .with("values", &shown)
            .with_resource(&entity.full_name, shown)
    }

    /// A write that needs a visible row found a soft-deleted one.
    #[cold]
    pub(crate) fn deleted(&self, entity: EntityId, key: &Key) -> Error {
        let name = &self.entity(entity).name;
        let message = format!("{name} {} is deleted; undelete it first", self.key_text(entity, key));
        self.about(Error::new(Code::NotFound, "NOT_FOUND", message), entity, key).with("deleted", "true")
    }

    #[cold]
    pub(crate) fn already_exists(&self, entity: EntityId, key: &Key, deleted: bool) -> Error {
        let mut message = format!("{} {} exists already", self.entity(entity).name, self.key_text(entity, key));
        if deleted {
            message.push_str(", soft-deleted; undelete it, or use another key");
        }
        let error = self.about(Error::new(Code::AlreadyExists, "ALREADY_EXISTS", message), entity, key);
        let error = error.with("fields", fields(self.entity(entity), &self.entity(entity).primary_key));
        if deleted { error.with("deleted", "true") } else { error }
    }

    #[cold]
    pub(crate) fn not_deleted(&self, entity: EntityId, key: &Key) -> Error {
        let message = format!("{} {} is not deleted", self.entity(entity).name, self.key_text(entity, key));
        self.about(Error::new(Code::AlreadyExists, "NOT_DELETED", message), entity, key)
    }

    /// Another row has the same values in a unique index.
    #[cold]
    pub(crate) fn duplicate(&self, id: EntityId, index: u16, row: &[Value], deleted: bool) -> Error {
        let entity = self.entity(id);
        let columns: Vec<_> = entity.indexes[usize::from(index)].columns.iter().map(|(column, _)| *column).collect();
        let values: Vec<_> = columns.iter().map(|column| row[column.index()].clone()).collect();
        let shown = describe(entity, self.codec(id), &columns, &values);
        let mut message = format!("another {} has {shown}", entity.name);
        if deleted {
            message.push_str("; it is soft-deleted, undelete it or use other values");
        }
        let error = Error::new(Code::AlreadyExists, "ALREADY_EXISTS", message)
            .with("entity", &entity.full_name)
            .with("fields", fields(entity, &columns))
            .with_resource(&entity.full_name, shown);
        if deleted { error.with("deleted", "true") } else { error }
    }

    /// The same where the values are not at hand.
    #[cold]
    pub(crate) fn clash(&self, id: EntityId, index: Option<u16>) -> Error {
        let entity = self.entity(id);
        let columns = match index {
            Some(index) => entity.indexes[usize::from(index)].columns.iter().map(|(column, _)| *column).collect(),
            None => entity.primary_key.clone(),
        };
        let fields = fields(entity, &columns);
        Error::new(Code::AlreadyExists, "ALREADY_EXISTS", format!("another {} has the same {fields}", entity.name))
            .with("entity", &entity.full_name)
            .with("fields", fields)
    }

    #[cold]
    pub(crate) fn etag_mismatch(&self, entity: EntityId, key: &Key, found: u64, wanted: &str) -> Error {
        let subject = self.subject(entity, key);
        let found = etag::format(found);
        let message = format!("{} was changed: it has etag {found}, not {wanted}; read it again", &subject);
        let violation = PreconditionViolation {
            kind: "ETAG",
            subject,
            description: format!("the row has etag {found}, the request names {wanted}"),
        };
        self.about(Error::new(Code::Aborted, "ETAG_MISMATCH", message), entity, key)
            .with("etag", found)
            .with("expected", wanted)
            .with_precondition(violation)
    }

    #[cold]
    pub(crate) fn condition_failed(&self, entity: EntityId, key: &Key, condition: &str) -> Error {
        let subject = self.subject(entity, key);
        let message = format!("{subject} does not fulfil the condition `{condition}`");
        let description = format!("`{condition}` does not hold");
        self.about(Error::new(Code::FailedPrecondition, "CONDITION_FAILED", message), entity, key)
            .with("condition", condition)
            .with_precondition(PreconditionViolation { kind: "CONDITION", subject, description })
    }

    #[cold]
    pub(crate) fn etag_required(&self, entity: EntityId, path: &str) -> Error {
        let name = &self.entity(entity).name;
        Error::new(Code::InvalidArgument, "ETAG_REQUIRED", format!("writes to {name} must carry the row's etag"))
            .with("entity", &self.entity(entity).full_name)
            .with("field", format!("{path}etag"))
    }

    /// A row refers to one that does not exist.
    #[cold]
    pub(crate) fn reference_not_found(&self, id: EntityId, column: ColumnId, value: &Value, path: &str) -> Error {
        let column = self.entity(id).column(column);
        let Some(reference) = column.references else {
            return Error::internal(format!("{} refers to nothing", column.field));
        };
        let target = self.entity(reference.entity);
        let value = self.codec(id).format_text(column.id, value);
        let (field, other) = (format!("{path}{}", column.field), &target.column(reference.column).field);
        let mut message = format!("{field}: there is no {} with {other} {value}", target.name);
        if !column.nullable {
            let _ = write!(message, " (declare the field `optional` if it may refer to nothing)");
        }
        let violation = PreconditionViolation {
            kind: "REFERENCE",
            subject: format!("{}/{value}", target.full_name),
            description: format!("{field} refers to a row that does not exist"),
        };
        Error::new(Code::FailedPrecondition, "REFERENCE_NOT_FOUND", message)
            .with("field", field)
            .with("entity", &target.full_name)
            .with("value", value)
            .with_precondition(violation)
    }

    /// A row cannot be deleted because another one refers to it. `expired`: no request asked for it, but the row's end.
    #[cold]
    pub(crate) fn referenced(
        &self,
        (entity, key): (EntityId, &Key),
        (child, child_key, column): (EntityId, &Key, ColumnId),
        expired: bool,
    ) -> Error {
        let (subject, by) = (self.subject(entity, key), self.subject(child, child_key));
        let field = &self.entity(child).column(column).field;
        let description = format!("{by} refers to it in {field}");
        let message = match expired {
            false => format!("{subject} cannot be deleted: {description}"),
            true => format!("{subject} has expired, but its key and unique values are not free yet: {description}"),
        };
        let error = self
            .about(Error::new(Code::FailedPrecondition, "REFERENCED", message), entity, key)
            .with("referenced_by", by)
            .with("field", field)
            .with_precondition(PreconditionViolation { kind: "REFERENCE", subject, description });
        if expired { error.with("expired", "true") } else { error }
    }

    #[cold]
    pub(crate) fn cascade_too_large(&self, entity: EntityId, key: &Key) -> Error {
        let max = self.options.max_cascade;
        let message = format!("deleting {} would change more than {max} rows", self.subject(entity, key));
        self.about(Error::new(Code::FailedPrecondition, "CASCADE_TOO_LARGE", message), entity, key)
            .with("max", max.to_string())
    }

    /// A transform's result is not a value the field may have.
    #[cold]
    pub(crate) fn transform_failed(&self, subject: String, field: &str, why: &str) -> Error {
        let message = format!("{field}: the result {why}");
        let violation = PreconditionViolation { kind: "TRANSFORM", subject, description: message.clone() };
        Error::new(Code::FailedPrecondition, "TRANSFORM_OUT_OF_RANGE", message)
            .with("field", field)
            .with_precondition(violation)
    }
}

pub(crate) fn batch_too_large(field: &str, count: usize, max: usize) -> Error {
    Error::invalid_field(field, "TOO_MANY", format!("has {count} entries; at most {max} are allowed"))
}

pub(crate) fn isolation_unsupported(storage: &str) -> Error {
    let message = format!("{storage} cannot hold SERIALIZABLE; leave the isolation out and compare etags instead");
    Error::new(Code::Unimplemented, "ISOLATION_UNSUPPORTED", message).with("storage", storage)
}

/// `city, created_at`
pub(crate) fn fields(entity: &Entity, columns: &[ColumnId]) -> String {
    let names: Vec<_> = columns.iter().map(|column| entity.column(*column).field.as_str()).collect();
    names.join(", ")
}

/// `city Oslo, name Ann`; values of secret columns are left out.
fn describe(entity: &Entity, codec: &RowCodec, columns: &[ColumnId], values: &[Value]) -> String {
    let mut text = String::new();
    for (id, value) in columns.iter().zip(values) {
        let column = entity.column(*id);
        let separator = if text.is_empty() { "" } else { ", " };
        let shown = if column.secret { "(secret)".to_owned() } else { codec.format_text(*id, value) };
        let _ = write!(text, "{separator}{} {shown}", column.field);
    }
    text
}
