//! What a method answers, before a surface gives it a form.

use bytes::Bytes;
use rowkeep_engine::{ListPage, WriteResult};
use rowkeep_record::{Key, Record, etag};
use rowkeep_schema::EntityId;

use super::missing::put_missing;
use super::plan::Plans;
use crate::wire::{put_bytes, put_number};

/// The rows of an answer, in the shape of its response message.
#[derive(Debug)]
pub(crate) enum Answer {
    /// One row: `User`.
    Row {
        record: Record,
        /// It did not exist before.
        created: bool,
    },
    /// `ListUsersResponse`.
    Page(ListPage),
    /// `BatchGetUsersResponse`.
    Found { entity: EntityId, records: Vec<Record>, missing: Vec<Key> },
    /// `BatchCreateUsersResponse` and its kin.
    Rows(Vec<Record>),
    /// `google.protobuf.Empty`.
    Empty,
    /// `rowkeep.v1.CommitResponse`: the entity and the outcome of each write.
    Committed(Vec<(EntityId, WriteResult)>),
}

impl Answer {
    /// The response message behind its length prefix. A single row is not copied.
    pub(crate) fn framed(&self, plans: &Plans) -> Bytes {
        if let Self::Row { record, .. } = self {
            return record.framed().clone();
        }
        let mut out = Record::reserve(self.size_hint());
        self.put(plans, &mut out);
        Record::from_reserved(out, 0).framed().clone()
    }

    /// The response message.
    pub(crate) fn message(&self, plans: &Plans) -> Bytes {
        self.framed(plans).slice(rowkeep_record::PREFIX..)
    }

    /// The version of the one row it is about.
    pub(crate) fn version(&self) -> Option<u64> {
        match self {
            Self::Row { record, .. } => Some(record.version()).filter(|version| *version > 0),
            _ => None,
        }
    }

    fn size_hint(&self) -> usize {
        let rows = |records: &[Record]| records.iter().map(|record| record.wire().len() + 6).sum::<usize>() + 64;
        match self {
            Self::Page(page) => rows(&page.records) + page.next_page_token.len(),
            Self::Found { records, .. } | Self::Rows(records) => rows(records),
            Self::Row { .. } | Self::Empty => 0,
            Self::Committed(results) => results.len() * 128,
        }
    }

    fn put(&self, plans: &Plans, out: &mut Vec<u8>) {
        match self {
            Self::Row { record, .. } => out.extend_from_slice(record.wire()),
            Self::Page(page) => put_page(page, out),
            Self::Found { entity, records, missing } => {
                put_rows(records, out);
                put_missing(plans.get(*entity), missing, out);
            }
            Self::Rows(records) => put_rows(records, out),
            Self::Empty => {}
            Self::Committed(results) => {
                for (entity, result) in results {
                    put_bytes(out, 1, &write_result(&plans.get(*entity).full_name, result));
                }
            }
        }
    }
}

fn put_rows(records: &[Record], out: &mut Vec<u8>) {
    for record in records {
        put_bytes(out, 1, record.wire());
    }
}

fn put_page(page: &ListPage, out: &mut Vec<u8>) {
    put_rows(&page.records, out);
    if !page.next_page_token.is_empty() {
        put_bytes(out, 2, page.next_page_token.as_bytes());
    }
    if let Some(total) = page.total_size {
        put_number(out, 3, total);
    }
}

/// `rowkeep.v1.WriteResult`.
fn write_result(full_name: &str, result: &WriteResult) -> Vec<u8> {
    let mut message = Vec::new();
    let Some(record) = &result.record else { return message };
    let mut any = Vec::with_capacity(record.wire().len() + full_name.len() + 32);
    put_bytes(&mut any, 1, format!("type.googleapis.com/{full_name}").as_bytes());
    put_bytes(&mut any, 2, record.wire());
    put_bytes(&mut message, 1, &any);
    if record.version() > 0 {
        put_bytes(&mut message, 2, &etag::bytes(record.version()));
    }
    message
}
