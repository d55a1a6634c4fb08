//! `rowkeep.v1.Store/Commit`: rows of several entities, packed in `google.protobuf.Any`.

use bytes::Bytes;
use kit_core::Error;
use rowkeep_engine::{Isolation, Operation, Precondition, Transform, Write};
use rowkeep_record::Key;

use super::plan::{EntityPlan, Plans};
use super::requests::{WriteOptions, limit, mask, non_empty, required, transform};
use crate::wire::{Fields, merge};

/// Reads `rowkeep.v1.CommitRequest`.
pub(crate) fn read(plans: &Plans, request: &Bytes) -> Result<(Vec<Write>, WriteOptions), Error> {
    let (mut writes, mut options) = (Vec::new(), WriteOptions::default());
    let mut fields = Fields::new(request);
    while let Some((number, payload)) = fields.next()? {
        match number {
            1 => {
                let prefix = format!("writes[{}].", writes.len());
                writes.push(write(plans, &request.slice_ref(payload.bytes("writes")?), &prefix)?);
                limit(writes.len(), "writes")?;
            }
            2 => options.request_id = non_empty(payload.text("request_id")?),
            3 => options.validate_only = payload.boolean("validate_only")?,
            4 => options.isolation = isolation(payload.int32("isolation")?)?,
            _ => {}
        }
    }
    Ok((writes, options))
}

fn isolation(number: i32) -> Result<Isolation, Error> {
    match number {
        0 | 1 => Ok(Isolation::ReadCommitted),
        2 => Ok(Isolation::Serializable),
        // Less than was asked for is not given in silence.
        _ => Err(Error::invalid_field("isolation", "UNKNOWN_ENUM_VALUE", "must be READ_COMMITTED or SERIALIZABLE")),
    }
}

/// The operation of a write as it is on the wire: which one, and its message.
struct Packed {
    name: &'static str,
    message: Bytes,
}

fn write(plans: &Plans, message: &Bytes, prefix: &str) -> Result<Write, Error> {
    let mut operation: Option<Packed> = None;
    let mut precondition = Precondition::default();
    let mut fields = Fields::new(message);
    while let Some((number, payload)) = fields.next()? {
        let name = match number {
            1 => "create",
            2 => "update",
            3 => "delete",
            4 => "check",
            5 => "undelete",
            10 => {
                read_precondition(&mut precondition, payload.bytes("precondition")?)?;
                continue;
            }
            _ => continue,
        };
        let mut merged = operation.take().filter(|packed| packed.name == name).map(|packed| packed.message);
        merge(&mut merged, message, payload.bytes(name)?);
        operation = merged.map(|message| Packed { name, message });
    }
    let Some(Packed { name, message }) = operation else {
        return Err(Error::invalid_field(
            prefix.trim_end_matches('.'),
            "REQUIRED",
            "must say one of create, update, delete, undelete, check",
        ));
    };
    let at = format!("{prefix}{name}");
    match name {
        "create" => {
            let (plan, row) = any(plans, &message, &at)?;
            Ok(plan.write(Operation::Create { row }, precondition, format!("{at}.")))
        }
        "update" => update(plans, &message, precondition, &at),
        "check" => {
            let (plan, row) = any(plans, &message, &at)?;
            let key = key(plan, &row, &at)?;
            Ok(plan.write(Operation::Check { key }, precondition, format!("{at}.")))
        }
        _ => delete(plans, &message, precondition, &at, name == "undelete"),
    }
}

fn update(plans: &Plans, message: &Bytes, mut precondition: Precondition, at: &str) -> Result<Write, Error> {
    let (mut row, mut paths, mut allow_missing) = (None, None, false);
    let mut transforms: Vec<Transform> = Vec::new();
    let mut fields = Fields::new(message);
    while let Some((number, payload)) = fields.next()? {
        match number {
            1 => merge(&mut row, message, payload.bytes("row")?),
            2 => mask(paths.get_or_insert_default(), payload, "update_mask")?,
            3 => allow_missing = payload.boolean("allow_missing")?,
            4 => transforms.push(transform(payload.bytes("transforms")?, &format!("{at}."), transforms.len())?),
            _ => {}
        }
    }
    let at = format!("{at}.row");
    let (plan, row) = any(plans, &row.ok_or_else(|| required(&at))?, &at)?;
    if precondition.etag.is_none() {
        precondition.etag = plan.etag_in(&row)?;
    }
    let operation = Operation::Update { row, mask: paths, allow_missing, transforms };
    Ok(plan.write(operation, precondition, format!("{at}.")))
}

fn delete(
    plans: &Plans,
    message: &Bytes,
    precondition: Precondition,
    at: &str,
    undelete: bool,
) -> Result<Write, Error> {
    let (mut row, mut allow_missing) = (None, false);
    let mut fields = Fields::new(message);
    while let Some((number, payload)) = fields.next()? {
        match number {
            1 => merge(&mut row, message, payload.bytes("row")?),
            2 => allow_missing = payload.boolean("allow_missing")?,
            _ => {}
        }
    }
    if undelete && allow_missing {
        let description = "does not apply to undelete";
        return Err(Error::invalid_field(format!("{at}.allow_missing"), "NOT_APPLICABLE", description));
    }
    let at = format!("{at}.row");
    let (plan, row) = any(plans, &row.ok_or_else(|| required(&at))?, &at)?;
    let key = key(plan, &row, &at)?;
    let operation = if undelete { Operation::Undelete { key } } else { Operation::Delete { key, allow_missing } };
    Ok(plan.write(operation, precondition, format!("{at}.")))
}

fn key(plan: &EntityPlan, row: &Bytes, at: &str) -> Result<Key, Error> {
    let row = plan.codec.decode(row).map_err(|error| error.under(&format!("{at}.")))?;
    Ok(plan.codec.key_of(&row.values))
}

/// The entity and the row of a `google.protobuf.Any`.
fn any<'a>(plans: &'a Plans, message: &Bytes, at: &str) -> Result<(&'a EntityPlan, Bytes), Error> {
    let (mut type_url, mut value) = (String::new(), Bytes::new());
    let mut fields = Fields::new(message);
    while let Some((number, payload)) = fields.next()? {
        match number {
            1 => payload.text("type_url")?.clone_into(&mut type_url),
            2 => value = message.slice_ref(payload.bytes("value")?),
            _ => {}
        }
    }
    let name = type_url.rsplit('/').next().unwrap_or_default();
    let plan = plans.by_message(name).ok_or_else(|| {
        let known: Vec<_> = plans.iter().map(|plan| plan.full_name.as_str()).take(8).collect();
        let description = format!(
            "must pack a row of an entity, as in `type.googleapis.com/{}`; `{}` is none of {}",
            known.first().copied().unwrap_or("shop.v1.User"),
            type_url.chars().take(100).collect::<String>(),
            known.join(", "),
        );
        Error::invalid_field(at, "UNKNOWN_ENTITY", description)
    })?;
    Ok((plan, value))
}

fn read_precondition(precondition: &mut Precondition, message: &[u8]) -> Result<(), Error> {
    let mut fields = Fields::new(message);
    while let Some((number, payload)) = fields.next()? {
        match number {
            1 => precondition.exists = Some(payload.boolean("precondition.exists")?),
            2 => precondition.etag = non_empty(payload.text("precondition.etag")?),
            3 => precondition.condition = non_empty(payload.text("precondition.condition")?),
            _ => {}
        }
    }
    Ok(())
}
