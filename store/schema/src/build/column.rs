//! One field of an entity as a column.

use prost_reflect::FieldDescriptor;

use super::context::Context;
use super::rules;
use super::types::Types;
use crate::locate::Element;
use crate::model::{
    Auto, Cardinality, Column, ColumnId, EnumType, Field, Generated, Kind, MessageType, Rules, Storage, WellKnown,
};
use crate::names;
use crate::options::{self, AutoOption, ColumnOptions, GeneratedOption};

/// Digits of a `google.type.Decimal` without the `decimal` option.
const DEFAULT_DECIMAL: Storage = Storage::Decimal { precision: 38, scale: 9 };

/// Identifiers longer than this are refused by MySQL.
pub(crate) const MAX_IDENTIFIER: usize = 64;

pub(crate) fn column(
    ctx: &mut Context<'_>,
    id: ColumnId,
    descriptor: &FieldDescriptor,
    field: &Field,
    types: &Types<'_>,
) -> (Column, ColumnOptions) {
    let field_options = descriptor.options();
    let column_options: ColumnOptions = options::decode(&field_options, options::COLUMN).unwrap_or_default();
    let behavior = options::field_behavior(&field_options);
    let storage = storage(ctx, descriptor, field, &column_options, &types.messages);
    let generated = generated(ctx, descriptor, storage, &column_options);
    let auto = auto(ctx, descriptor, storage, field, &column_options);
    let mut column = Column {
        id,
        field: field.name.clone(),
        name: column_name(ctx, descriptor, &column_options),
        renamed_from: some(&column_options.renamed_from),
        storage,
        nullable: field.cardinality == Cardinality::Explicit && !descriptor.is_required(),
        sql_type: some(&column_options.sql_type),
        default: some(&column_options.default).or_else(|| proto2_default(descriptor)),
        generated,
        auto,
        unique: column_options.unique,
        searchable: column_options.searchable,
        secret: field.secret,
        immutable: column_options.immutable || behavior.immutable,
        output_only: field.output_only || generated == Some(Generated::Computed),
        references: None,
        rules: Rules::default(),
        comment: field.comment.clone(),
        location: ctx.locator.location(&Element::from(descriptor)),
    };
    column.rules = rules::rules(ctx, descriptor, &column, &column_options, behavior.required, &types.enums);
    check_uses(ctx, descriptor, &column, &types.enums);
    (column, column_options)
}

pub(crate) fn some(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

fn storage(
    ctx: &mut Context<'_>,
    descriptor: &FieldDescriptor,
    field: &Field,
    column_options: &ColumnOptions,
    messages: &[MessageType],
) -> Storage {
    let natural = match field.cardinality {
        Cardinality::Repeated | Cardinality::Map(_) => Storage::Json,
        Cardinality::Implicit | Cardinality::Explicit => storage_of(field.kind, messages),
    };
    let Some(decimal) = &column_options.decimal else { return natural };
    if !matches!(natural, Storage::Text | Storage::Decimal { .. }) {
        let help = "declare the field as `string` or `google.type.Decimal`, or drop `decimal`";
        ctx.column_error(descriptor, ("decimal", ""), format!("`{}` cannot hold a decimal number", field.name), help);
        return natural;
    }
    let (precision, scale) = (decimal.precision, decimal.scale);
    if !(1..=38).contains(&precision) {
        let message = format!("decimal precision {precision} is out of range");
        ctx.column_error(descriptor, ("decimal.precision", ""), message, "write `precision` from 1 to 38");
        return natural;
    }
    if scale > precision {
        let message = format!("decimal scale {scale} is more than the precision {precision}");
        let help = format!("write `scale` from 0 to {precision}");
        ctx.column_error(descriptor, ("decimal.scale", ""), message, help);
        return natural;
    }
    match (u8::try_from(precision), u8::try_from(scale)) {
        (Ok(precision), Ok(scale)) => Storage::Decimal { precision, scale },
        _ => natural,
    }
}

fn storage_of(kind: Kind, messages: &[MessageType]) -> Storage {
    match kind {
        Kind::Bool => Storage::Bool,
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => Storage::Int32,
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => Storage::Int64,
        Kind::Uint32 | Kind::Fixed32 => Storage::Uint32,
        Kind::Uint64 | Kind::Fixed64 => Storage::Uint64,
        Kind::Float => Storage::Float,
        Kind::Double => Storage::Double,
        Kind::String => Storage::Text,
        Kind::Bytes => Storage::Blob,
        Kind::Enum(id) => Storage::Enum(id),
        Kind::Message(id) => {
            let message = &messages[id.index()];
            match (message.well_known, message.fields.first()) {
                (Some(WellKnown::Timestamp), _) => Storage::Timestamp,
                (Some(WellKnown::Duration), _) => Storage::Duration,
                (Some(WellKnown::Date), _) => Storage::Date,
                (Some(WellKnown::Decimal), _) => DEFAULT_DECIMAL,
                (Some(WellKnown::Wrapper), Some(value)) => storage_of(value.kind, messages),
                _ => Storage::Json,
            }
        }
    }
}

fn column_name(ctx: &mut Context<'_>, descriptor: &FieldDescriptor, column_options: &ColumnOptions) -> String {
    let chosen = !column_options.name.is_empty();
    let name = if chosen { column_options.name.clone() } else { descriptor.name().to_owned() };
    if let Some(problem) = identifier_problem(&name) {
        let help =
            if chosen { problem.help.to_owned() } else { format!("{}; set `(rowkeep.v1.column).name`", problem.help) };
        ctx.column_error(descriptor, ("name", &name), format!("column name `{name}` {}", problem.what), help);
    }
    name
}

pub(crate) struct IdentifierProblem {
    pub(crate) what: &'static str,
    pub(crate) help: &'static str,
}

/// Why a database would not take the name, or the store needs it for itself.
pub(crate) fn identifier_problem(name: &str) -> Option<IdentifierProblem> {
    let (what, help) = if !names::is_storable(name) {
        ("is not one that databases take", "use printable characters, and no blank at the end")
    } else if name.chars().count() > MAX_IDENTIFIER {
        ("is longer than 64 characters", "write a shorter name")
    } else if name.to_ascii_lowercase().starts_with("rowkeep_") {
        ("starts with `rowkeep_`, which is kept for hidden columns and tables", "write another name")
    } else if name.to_ascii_lowercase().starts_with("sqlite_") {
        ("starts with `sqlite_`, which SQLite keeps for itself", "write another name")
    } else {
        return None;
    };
    Some(IdentifierProblem { what, help })
}

fn generated(
    ctx: &mut Context<'_>,
    descriptor: &FieldDescriptor,
    storage: Storage,
    column_options: &ColumnOptions,
) -> Option<Generated> {
    let (generated, fits, help) = match GeneratedOption::try_from(column_options.generated).ok()? {
        GeneratedOption::Unspecified => return None,
        GeneratedOption::AutoIncrement => (
            Generated::AutoIncrement,
            matches!(storage, Storage::Int32 | Storage::Int64 | Storage::Uint32 | Storage::Uint64),
            "AUTO_INCREMENT needs an integer field: declare it as `int64`",
        ),
        GeneratedOption::Snowflake => (
            Generated::Snowflake,
            matches!(storage, Storage::Int64 | Storage::Uint64),
            "SNOWFLAKE needs 64 bits: declare the field as `int64`",
        ),
        GeneratedOption::UuidV7 => (
            Generated::UuidV7,
            matches!(storage, Storage::Text | Storage::Blob),
            "UUIDV7 needs text or bytes: declare the field as `string`",
        ),
        GeneratedOption::Computed => (Generated::Computed, true, ""),
    };
    if !fits {
        let message = format!("`{}` cannot be generated this way", descriptor.name());
        ctx.column_error(descriptor, ("generated", ""), message, help);
        return None;
    }
    if column_options.references.is_some() {
        let message = format!("`{}` is generated and refers to another entity", descriptor.name());
        ctx.column_error(descriptor, ("generated", ""), message, "drop `generated` or `references`");
    }
    Some(generated)
}

fn auto(
    ctx: &mut Context<'_>,
    descriptor: &FieldDescriptor,
    storage: Storage,
    field: &Field,
    column_options: &ColumnOptions,
) -> Option<Auto> {
    let auto = match AutoOption::try_from(column_options.auto).ok()? {
        AutoOption::Unspecified => return None,
        AutoOption::CreateTime => Auto::CreateTime,
        AutoOption::UpdateTime => Auto::UpdateTime,
        AutoOption::DeleteTime => Auto::DeleteTime,
        AutoOption::Etag => Auto::Etag,
    };
    let (fits, needed) = match auto {
        Auto::Etag => (storage == Storage::Text && field.kind == Kind::String, "string"),
        Auto::CreateTime | Auto::UpdateTime | Auto::DeleteTime => {
            (storage == Storage::Timestamp, "google.protobuf.Timestamp")
        }
    };
    if fits {
        return Some(auto);
    }
    let message = format!("`{}` cannot be kept this way", field.name);
    ctx.column_error(descriptor, ("auto", ""), message, format!("declare the field as `{needed}`"));
    None
}

/// A default that proto2 declares in the field itself.
fn proto2_default(descriptor: &FieldDescriptor) -> Option<String> {
    descriptor.field_descriptor_proto().default_value.clone()
}

/// Combinations that make no sense.
fn check_uses(ctx: &mut Context<'_>, descriptor: &FieldDescriptor, column: &Column, enums: &[EnumType]) {
    let name = &column.field;
    if column.searchable && column.storage != Storage::Text {
        let message = format!("`{name}` is not text and cannot be searched");
        ctx.column_error(
            descriptor,
            ("searchable", ""),
            message,
            "drop `searchable`, or declare the field as `string`",
        );
    }
    if column.secret && (column.searchable || column.unique) {
        let message = format!("`{name}` is secret and cannot be looked up");
        ctx.column_error(descriptor, ("secret", ""), message, "drop `secret`, or `unique` and `searchable`");
    }
    if column.auto.is_some() {
        for (set, option) in [
            (column.default.is_some(), "default"),
            (column.generated.is_some(), "generated"),
            (column.auto == Some(Auto::Etag) && column.unique, "unique"),
        ] {
            if set {
                let message = format!("`{name}` is kept by the store and has `{option}` as well");
                ctx.column_error(descriptor, (option, ""), message, format!("drop `{option}` or `auto`"));
            }
        }
    }
    if column.unique && !indexable(column.storage) {
        let message = format!("`{name}` holds {} and cannot be unique", describe(column.storage));
        ctx.column_error(descriptor, ("unique", ""), message, "drop `unique`");
    }
    check_default(ctx, descriptor, column, enums);
}

fn check_default(ctx: &mut Context<'_>, descriptor: &FieldDescriptor, column: &Column, enums: &[EnumType]) {
    let Some(default) = &column.default else { return };
    if column.generated.is_some() {
        let message = format!("`{}` is generated and has a default as well", column.field);
        ctx.column_error(descriptor, ("default", ""), message, "drop `default` or `generated`");
        return;
    }
    let problem = match crate::literal::parse(column.storage, default, enums) {
        Ok(value) => rules::broken(&column.rules, column.storage, default, &value, enums),
        Err(expected) => Some(expected),
    };
    if let Some(expected) = problem {
        let message = format!("default `{default}` does not fit `{}`", column.field);
        ctx.column_error(descriptor, ("default", default), message, expected);
    }
}

/// Whether a database can index the values.
pub(crate) const fn indexable(storage: Storage) -> bool {
    !matches!(storage, Storage::Json)
}

/// The storage in words.
pub(crate) const fn describe(storage: Storage) -> &'static str {
    match storage {
        Storage::Bool => "a bool",
        Storage::Int32 | Storage::Int64 | Storage::Uint32 | Storage::Uint64 => "a whole number",
        Storage::Float | Storage::Double => "a floating-point number",
        Storage::Text => "text",
        Storage::Blob => "bytes",
        Storage::Enum(_) => "an enum",
        Storage::Timestamp => "a timestamp",
        Storage::Duration => "a duration",
        Storage::Date => "a date",
        Storage::Decimal { .. } => "a decimal number",
        Storage::Json => "JSON (a message, a map or a repeated field)",
    }
}
