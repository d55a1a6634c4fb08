//! Watches: the request, and each event as a response message.

use std::sync::Arc;

use bytes::Bytes;
use kit_core::{Deadline, Error};
use rowkeep_engine::{WatchEvent, WatchRequest, WatchSince, Watched, Watcher};
use rowkeep_record::{Key, ReadMask, Record};

use super::missing::put_payload;
use super::plan::EntityPlan;
use super::requests::{mask, non_empty};
use super::{Api, MethodRef};
use crate::wire::{Fields, put_bytes, put_number};

/// Numbers of the response's fields.
const CHANGED: u32 = 1;
const DELETED: u32 = 2;
const SNAPSHOT_COMPLETE: u32 = 3;
const HEARTBEAT: u32 = 4;
const RESUME_TOKEN: u32 = 5;

/// A watch under way, for one caller.
pub(crate) struct Watch {
    api: Arc<Api>,
    method: MethodRef,
    mask: Option<ReadMask>,
    /// Boxed: it is handed from one event to the next.
    watcher: Box<Watcher>,
    deadline: Deadline,
}

/// An event on its way out.
#[derive(Debug)]
pub(crate) struct Event {
    /// What happened, without the token.
    pub(crate) kind: EventKind,
    /// The response message without its token.
    message: Vec<u8>,
    pub(crate) token: Option<String>,
}

/// The kinds of events, as server-sent events name them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EventKind {
    Changed,
    Deleted,
    SnapshotComplete,
    Heartbeat,
}

impl EventKind {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Deleted => "deleted",
            Self::SnapshotComplete => "snapshot_complete",
            Self::Heartbeat => "heartbeat",
        }
    }
}

impl Event {
    /// The response message but for its token.
    pub(crate) fn message(&self) -> &[u8] {
        &self.message
    }

    /// The response message behind its length prefix.
    pub(crate) fn framed(&self) -> Bytes {
        let token = self.token.as_deref().unwrap_or_default();
        let mut out = Record::reserve(self.message.len() + token.len() + 4);
        out.extend_from_slice(&self.message);
        if !token.is_empty() {
            put_bytes(&mut out, RESUME_TOKEN, token.as_bytes());
        }
        Record::from_reserved(out, 0).framed().clone()
    }
}

impl Watch {
    /// Begins a watch. `resume`: a token that was said beside the request, and counts before what the request says.
    ///
    /// # Errors
    /// As [`Engine::watch`](rowkeep_engine::Engine::watch), and for a malformed request.
    pub(crate) async fn begin(
        api: &Arc<Api>,
        method: MethodRef,
        request: &[u8],
        resume: Option<String>,
        deadline: Deadline,
    ) -> Result<Self, Error> {
        let plan = api.plans.get(method.entity);
        let (mut request, paths) = read(request)?;
        if let Some(token) = resume {
            request.since = WatchSince::Token(token);
        }
        let mask = api.mask(plan, &paths)?;
        let watcher = Box::new(api.engine.watch(method.entity, request).await?);
        Ok(Self { api: Arc::clone(api), method, mask, watcher, deadline })
    }

    /// The next event.
    ///
    /// # Errors
    /// Why the watch ends.
    pub(crate) async fn next(&mut self) -> Result<Event, Error> {
        let Watched { event, token } = self.deadline.run(self.watcher.next()).await??;
        let mut message = Vec::new();
        let kind = match event {
            WatchEvent::Changed(record) => {
                self.put_row(&record, &mut message)?;
                EventKind::Changed
            }
            WatchEvent::Deleted(key) => {
                put_key_row(self.api.plans.get(self.method.entity), &key, &mut message)?;
                EventKind::Deleted
            }
            WatchEvent::SnapshotComplete => {
                put_number(&mut message, SNAPSHOT_COMPLETE, 1);
                EventKind::SnapshotComplete
            }
            WatchEvent::Heartbeat => {
                put_number(&mut message, HEARTBEAT, 1);
                EventKind::Heartbeat
            }
        };
        Ok(Event { kind, message, token })
    }

    fn put_row(&self, record: &Record, out: &mut Vec<u8>) -> Result<(), Error> {
        out.reserve(record.wire().len() + 200);
        match &self.mask {
            None => put_bytes(out, CHANGED, record.wire()),
            Some(mask) => put_bytes(out, CHANGED, mask.project(record)?.wire()),
        }
        Ok(())
    }
}

/// `WatchUsersRequest`, and the paths of its read mask.
fn read(request: &[u8]) -> Result<(WatchRequest, Vec<String>), Error> {
    let (mut watch, mut paths) = (WatchRequest::default(), Vec::new());
    let (mut token, mut snapshot) = (None, false);
    let mut fields = Fields::new(request);
    while let Some((number, payload)) = fields.next()? {
        match number {
            1 => payload.text("filter")?.clone_into(&mut watch.filter),
            2 => token = non_empty(payload.text("resume_token")?),
            3 => snapshot = payload.boolean("snapshot")?,
            super::requests::READ_MASK => mask(&mut paths, payload, "read_mask")?,
            _ => {}
        }
    }
    watch.since = match token {
        Some(token) => WatchSince::Token(token),
        None if snapshot => WatchSince::Snapshot,
        None => WatchSince::Now,
    };
    Ok((watch, paths))
}

/// Appends a row that has nothing but its key.
fn put_key_row(plan: &EntityPlan, key: &Key, out: &mut Vec<u8>) -> Result<(), Error> {
    let mut values = plan.codec.empty();
    for (field, value) in plan.key.iter().zip(key.values()) {
        values[field.column.index()] = value.clone();
    }
    let row = plan.codec.encode(&values, 0)?;
    let mut only_key = Vec::new();
    let mut fields = Fields::new(row.wire());
    while let Some((number, payload)) = fields.next()? {
        if plan.key.iter().any(|field| field.row_number == number) {
            put_payload(&mut only_key, number, payload);
        }
    }
    put_bytes(out, DELETED, &only_key);
    Ok(())
}
