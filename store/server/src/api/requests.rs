//! The fixed request messages, read off the wire.

use bytes::Bytes;
use kit_core::Error;
use rowkeep_engine::{Change, Isolation, ListRequest, Operation, Precondition, Transform, Write};
use rowkeep_record::{Key, RowCodec};
use rowkeep_schema::ColumnId;

use super::plan::EntityPlan;
use crate::wire::{Fields, Payload, merge};

/// Most rows a batch or a commit may name.
pub(crate) const MAX_BATCH: usize = 500;

/// Its number in every request that has one.
pub(crate) const READ_MASK: u32 = 16;

/// Get and lookups.
#[derive(Debug)]
pub(crate) struct GetRequest {
    pub(crate) key: Key,
    /// Empty: everything.
    pub(crate) read_mask: Vec<String>,
}

/// What every write can ask for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct WriteOptions {
    pub(crate) request_id: Option<String>,
    pub(crate) validate_only: bool,
    /// Of a commit only.
    pub(crate) isolation: Isolation,
}

/// Several rows by key.
#[derive(Debug)]
pub(crate) struct BatchGetRequest {
    pub(crate) keys: Vec<Key>,
    pub(crate) allow_missing: bool,
    pub(crate) read_mask: Vec<String>,
}

/// `GetUserRequest`.
pub(crate) fn get(plan: &EntityPlan, request: &[u8]) -> Result<GetRequest, Error> {
    Ok(GetRequest { key: plan.codec.decode_key(request)?, read_mask: read_mask(request)? })
}

/// `GetUserByEmailRequest`.
pub(crate) fn lookup(codec: &RowCodec, columns: &[ColumnId], request: &[u8]) -> Result<GetRequest, Error> {
    Ok(GetRequest { key: codec.decode_lookup(columns, request)?, read_mask: read_mask(request)? })
}

pub(crate) fn batch_get(plan: &EntityPlan, request: &[u8]) -> Result<BatchGetRequest, Error> {
    let keys = plan.codec.decode_keys(request, MAX_BATCH)?;
    let mut allow_missing = false;
    let mut fields = Fields::new(request);
    while let Some((number, payload)) = fields.next()? {
        if number == 2 {
            allow_missing = payload.boolean("allow_missing")?;
        }
    }
    Ok(BatchGetRequest { keys, allow_missing, read_mask: read_mask(request)? })
}

fn read_mask(request: &[u8]) -> Result<Vec<String>, Error> {
    let mut paths = Vec::new();
    let mut fields = Fields::new(request);
    while let Some((number, payload)) = fields.next()? {
        if number == READ_MASK {
            mask(&mut paths, payload, "read_mask")?;
        }
    }
    Ok(paths)
}

pub(crate) fn list(request: &[u8]) -> Result<(ListRequest, Vec<String>), Error> {
    let (mut list, mut read_mask) = (ListRequest::default(), Vec::new());
    let mut fields = Fields::new(request);
    while let Some((number, payload)) = fields.next()? {
        match number {
            1 => list.page_size = payload.int32("page_size")?,
            2 => payload.text("page_token")?.clone_into(&mut list.page_token),
            3 => payload.text("filter")?.clone_into(&mut list.filter),
            4 => payload.text("order_by")?.clone_into(&mut list.order_by),
            5 => list.show_deleted = payload.boolean("show_deleted")?,
            6 => list.include_total_size = payload.boolean("include_total_size")?,
            READ_MASK => mask(&mut read_mask, payload, "read_mask")?,
            _ => {}
        }
    }
    Ok((list, read_mask))
}

/// `CreateUserRequest`; `prefix` is where it is in its batch: `requests[3].`.
pub(crate) fn create(plan: &EntityPlan, request: &Bytes, prefix: &str) -> Result<(Write, WriteOptions), Error> {
    let (mut row, mut options) = (None, WriteOptions::default());
    let mut fields = Fields::new(request);
    while let Some((number, payload)) = fields.next()? {
        match number {
            1 => merge(&mut row, request, payload.bytes(&plan.singular)?),
            2 => options.request_id(payload)?,
            3 => options.validate_only(payload)?,
            _ => {}
        }
    }
    let row = row.ok_or_else(|| required(format!("{prefix}{}", plan.singular)))?;
    Ok((plan.write(Operation::Create { row }, Precondition::default(), plan.row_prefix(prefix)), options))
}

/// `UpdateUserRequest`.
pub(crate) fn update(plan: &EntityPlan, request: &Bytes, prefix: &str) -> Result<(Write, WriteOptions), Error> {
    let (mut row, mut paths, mut precondition) = (None, None, Precondition::default());
    let (mut allow_missing, mut transforms, mut options) = (false, Vec::new(), WriteOptions::default());
    let mut fields = Fields::new(request);
    while let Some((number, payload)) = fields.next()? {
        match number {
            1 => merge(&mut row, request, payload.bytes(&plan.singular)?),
            2 => mask(paths.get_or_insert_default(), payload, "update_mask")?,
            3 => precondition.etag = non_empty(payload.text("etag")?),
            4 => allow_missing = payload.boolean("allow_missing")?,
            5 => options.request_id(payload)?,
            6 => options.validate_only(payload)?,
            7 => transforms.push(transform(payload.bytes("transforms")?, prefix, transforms.len())?),
            _ => {}
        }
    }
    let row = row.ok_or_else(|| required(format!("{prefix}{}", plan.singular)))?;
    if precondition.etag.is_none() {
        precondition.etag = plan.etag_in(&row)?;
    }
    let operation = Operation::Update { row, mask: paths, allow_missing, transforms };
    Ok((plan.write(operation, precondition, plan.row_prefix(prefix)), options))
}

/// `DeleteUserRequest` and, with `undelete`, `UndeleteUserRequest`.
pub(crate) fn delete(
    plan: &EntityPlan,
    request: &[u8],
    prefix: &str,
    undelete: bool,
) -> Result<(Write, WriteOptions), Error> {
    let (mut allow_missing, mut precondition, mut options) = (false, Precondition::default(), WriteOptions::default());
    let key = plan.codec.decode_key(request).map_err(|error| error.under(prefix))?;
    let mut fields = Fields::new(request);
    while let Some((number, payload)) = fields.next()? {
        match number {
            16 => precondition.etag = non_empty(payload.text("etag")?),
            17 => allow_missing = payload.boolean("allow_missing")?,
            18 => options.request_id(payload)?,
            19 => options.validate_only(payload)?,
            _ => {}
        }
    }
    let operation = if undelete { Operation::Undelete { key } } else { Operation::Delete { key, allow_missing } };
    Ok((plan.write(operation, precondition, prefix.to_owned()), options))
}

/// `BatchCreateUsersRequest` and its kin: `each` reads one request.
pub(crate) fn batch(
    request: &Bytes,
    each: impl Fn(&Bytes, &str) -> Result<(Write, WriteOptions), Error>,
) -> Result<(Vec<Write>, WriteOptions), Error> {
    let (mut writes, mut options) = (Vec::new(), WriteOptions::default());
    let mut fields = Fields::new(request);
    while let Some((number, payload)) = fields.next()? {
        match number {
            1 => {
                let prefix = format!("requests[{}].", writes.len());
                let (write, inner) = each(&request.slice_ref(payload.bytes("requests")?), &prefix)?;
                inner.refuse_in_batch(&prefix)?;
                writes.push(write);
                limit(writes.len(), "requests")?;
            }
            2 => options.request_id(payload)?,
            3 => options.validate_only(payload)?,
            _ => {}
        }
    }
    Ok((writes, options))
}

/// `rowkeep.v1.Transform`.
pub(crate) fn transform(message: &[u8], prefix: &str, place: usize) -> Result<Transform, Error> {
    let (mut field, mut change) = (String::new(), None);
    let mut fields = Fields::new(message);
    while let Some((number, payload)) = fields.next()? {
        let text = |name| payload.text(name).map(str::to_owned);
        change = Some(match number {
            1 => {
                field = text("transforms.field")?;
                continue;
            }
            2 => Change::Increment(text("transforms.increment")?),
            3 => Change::Maximum(text("transforms.maximum")?),
            4 => Change::Minimum(text("transforms.minimum")?),
            5 if payload.boolean("transforms.set_to_commit_time")? => Change::CommitTime,
            6 => Change::AppendMissing(text("transforms.append_missing")?),
            7 => Change::RemoveAll(text("transforms.remove_all")?),
            _ => continue,
        });
    }
    let at = || format!("{prefix}transforms[{place}]");
    let change = change.ok_or_else(|| {
        Error::invalid_field(
            at(),
            "REQUIRED",
            "must say one of increment, maximum, minimum, set_to_commit_time, append_missing, remove_all",
        )
    })?;
    if field.is_empty() {
        return Err(required(format!("{}.field", at())));
    }
    Ok(Transform { field, change })
}

/// Appends the paths of a `google.protobuf.FieldMask`.
pub(crate) fn mask(paths: &mut Vec<String>, payload: Payload<'_>, field: &str) -> Result<(), Error> {
    let mut fields = Fields::new(payload.bytes(field)?);
    while let Some((number, payload)) = fields.next()? {
        if number == 1 {
            paths.push(payload.text(field)?.to_owned());
        }
    }
    Ok(())
}

impl WriteOptions {
    fn request_id(&mut self, payload: Payload<'_>) -> Result<(), Error> {
        self.request_id = non_empty(payload.text("request_id")?);
        Ok(())
    }

    fn validate_only(&mut self, payload: Payload<'_>) -> Result<(), Error> {
        self.validate_only = payload.boolean("validate_only")?;
        Ok(())
    }

    /// A batch is one unit: what belongs to the whole cannot be said of a part.
    fn refuse_in_batch(&self, prefix: &str) -> Result<(), Error> {
        let field = match self {
            Self { request_id: Some(_), .. } => "request_id",
            Self { validate_only: true, .. } => "validate_only",
            _ => return Ok(()),
        };
        Err(Error::invalid_field(
            format!("{prefix}{field}"),
            "NOT_IN_BATCH",
            format!("belongs to the whole batch: set `{field}` beside `requests`"),
        ))
    }
}

pub(crate) fn non_empty(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

pub(crate) fn required(field: impl Into<String>) -> Error {
    Error::invalid_field(field, "REQUIRED", "must be set")
}

pub(crate) fn limit(count: usize, field: &str) -> Result<(), Error> {
    if count <= MAX_BATCH {
        return Ok(());
    }
    Err(Error::invalid_field(field, "TOO_MANY", format!("must have at most {MAX_BATCH} items")))
}
