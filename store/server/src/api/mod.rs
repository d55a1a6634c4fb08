//! The methods, between wire bytes and the engine. Both surfaces call [`Api::call`].
//!
//! A request is the wire form of the method's request message, whichever surface it came through; an answer is rows,
//! so that REST can choose a representation, and gRPC frames them without a copy where there is one row.

mod answer;
mod commit;
mod missing;
mod plan;
mod requests;
mod watch;

use std::sync::Arc;

use bytes::Bytes;
use kit_core::{Applied, Deadline, Error, Reply};
use rowkeep_engine::{CommitRequest, Engine, Freshness, ListRequest, Outcome, Session, Write};
use rowkeep_record::json::JsonCodec;
use rowkeep_record::{ReadMask, Record};
use rowkeep_schema::{EntityId, MessageId, MethodKind, Schema};
use sha2::{Digest, Sha256};

pub(crate) use answer::Answer;
pub(crate) use plan::{EntityPlan, Plans};
use requests::WriteOptions;
pub(crate) use watch::{Event, EventKind, Watch};

/// What the caller said beside the request message.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call<'a> {
    /// How fresh the answer must be, and how far the caller has seen.
    pub(crate) session: &'a Session,
    /// When the caller stops waiting.
    pub(crate) deadline: Deadline,
    /// The row must not exist (`If-None-Match: *`).
    pub(crate) if_absent: bool,
}

/// Every method of a schema over one engine.
#[derive(Clone)]
pub(crate) struct Api {
    pub(crate) schema: Arc<Schema>,
    pub(crate) engine: Engine,
    pub(crate) plans: Arc<Plans>,
}

/// A method, as both surfaces look it up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MethodRef {
    pub(crate) kind: MethodKind,
    /// Meaningless for `Commit`.
    pub(crate) entity: EntityId,
    /// Place in `Schema::methods`.
    pub(crate) index: usize,
}

type Answered<'a> = Reply<'a, Result<Answer, Error>>;

impl Api {
    pub(crate) fn new(engine: Engine) -> Self {
        let schema = Arc::clone(engine.schema());
        let plans = Arc::new(Plans::new(&schema, engine.codecs()));
        Self { schema, engine, plans }
    }

    /// The methods, in the order of the schema.
    pub(crate) fn methods(&self) -> impl Iterator<Item = MethodRef> + '_ {
        self.schema.methods.iter().enumerate().map(|(index, method)| MethodRef {
            kind: method.kind,
            entity: method.entity.unwrap_or(EntityId(0)),
            index,
        })
    }

    /// How fresh a method's answers are for those who do not say.
    pub(crate) fn default_freshness(&self, method: MethodRef) -> Freshness {
        if let MethodKind::Commit = method.kind { Freshness::Session } else { self.plans.get(method.entity).freshness }
    }

    /// Answers a request within its deadline. A write that had to be given up may have happened.
    pub(crate) async fn answer(&self, method: MethodRef, request: &Bytes, call: Call<'_>) -> Result<Answer, Error> {
        let answered = call.deadline.run(self.call(method, request, call)).await;
        answered
            .unwrap_or_else(|late| Err(if method.kind.writes() { late.with_applied(Applied::Unknown) } else { late }))
    }

    /// Answers a request. Ready at once where the storage is.
    pub(crate) fn call<'a>(&'a self, method: MethodRef, request: &Bytes, call: Call<'a>) -> Answered<'a> {
        self.dispatch(method, request, call).unwrap_or_else(|error| Reply::ready(Err(error)))
    }

    fn dispatch<'a>(&'a self, method: MethodRef, request: &Bytes, call: Call<'a>) -> Result<Answered<'a>, Error> {
        if let MethodKind::Commit = method.kind {
            let (writes, options) = commit::read(&self.plans, request)?;
            return Ok(self.commit(method, request, writes, options, call, Shape::Committed));
        }
        let plan = self.plans.get(method.entity);
        let single = |(write, options): (Write, WriteOptions), shape| {
            self.commit(method, request, vec![write], options, call, shape)
        };
        let batch = |(writes, options): (Vec<Write>, WriteOptions), shape| {
            self.commit(method, request, writes, options, call, shape)
        };
        let deleted = |rows| if plan.soft_delete { rows } else { Shape::Empty };
        Ok(match method.kind {
            MethodKind::Get => self.get(plan, request, call)?,
            MethodKind::Lookup(index) => self.lookup(plan, index, request, call)?,
            MethodKind::BatchGet => self.batch_get(plan, request, call)?,
            MethodKind::List => self.list(plan, request, call)?,
            MethodKind::Watch => return Err(Error::internal("a stream was asked for as one answer")),
            MethodKind::Create => single(requests::create(plan, request, "")?, Shape::Row),
            MethodKind::Update => single(requests::update(plan, request, "")?, Shape::Row),
            MethodKind::Delete => single(requests::delete(plan, request, "", false)?, deleted(Shape::Row)),
            MethodKind::Undelete => single(requests::delete(plan, request, "", true)?, Shape::Row),
            MethodKind::BatchCreate => {
                batch(requests::batch(request, |r, at| requests::create(plan, r, at))?, Shape::Rows)
            }
            MethodKind::BatchUpdate => {
                batch(requests::batch(request, |r, at| requests::update(plan, r, at))?, Shape::Rows)
            }
            MethodKind::BatchDelete => {
                let read = requests::batch(request, |r, at| requests::delete(plan, r, at, false))?;
                batch(read, deleted(Shape::Rows))
            }
            MethodKind::Commit => unreachable!("answered above"),
        })
    }

    fn get<'a>(&'a self, plan: &EntityPlan, request: &[u8], call: Call<'a>) -> Result<Answered<'a>, Error> {
        let request = requests::get(plan, request)?;
        let mask = self.mask(plan, &request.read_mask)?;
        Ok(self.engine.get(plan.id, &request.key, call.session).map(move |found| row(found?, mask.as_ref())))
    }

    fn lookup<'a>(
        &'a self,
        plan: &EntityPlan,
        index: u16,
        request: &[u8],
        call: Call<'a>,
    ) -> Result<Answered<'a>, Error> {
        let request = requests::lookup(&plan.codec, &plan.lookups[usize::from(index)], request)?;
        let mask = self.mask(plan, &request.read_mask)?;
        Ok(self.engine.lookup(plan.id, index, &request.key, call.session).map(move |found| row(found?, mask.as_ref())))
    }

    fn batch_get<'a>(&'a self, plan: &EntityPlan, request: &[u8], call: Call<'a>) -> Result<Answered<'a>, Error> {
        let request = requests::batch_get(plan, request)?;
        let mask = self.mask(plan, &request.read_mask)?;
        let entity = plan.id;
        let found = self.engine.batch_get(entity, &request.keys, call.session);
        Ok(found.map(move |found| {
            let mut records = Vec::with_capacity(request.keys.len());
            let mut missing = Vec::new();
            for (record, key) in found?.into_iter().zip(request.keys) {
                match record {
                    Some(record) => records.push(record),
                    None if request.allow_missing => missing.push(key),
                    None => return Err(self.engine.not_found(entity, &key)),
                }
            }
            project(&mut records, mask.as_ref())?;
            Ok(Answer::Found { entity, records, missing })
        }))
    }

    fn list<'a>(&'a self, plan: &EntityPlan, request: &[u8], call: Call<'a>) -> Result<Answered<'a>, Error> {
        let (mut request, mask) = self.read_list_of(plan, request)?;
        request.deadline = call.deadline.instant();
        Ok(self.engine.list(plan.id, request, call.session).map(move |page| {
            let mut page = page?;
            project(&mut page.records, mask.as_ref())?;
            Ok(Answer::Page(page))
        }))
    }

    /// A list's request and its read mask, for exports that read page by page.
    pub(crate) fn read_list(
        &self,
        method: MethodRef,
        request: &[u8],
    ) -> Result<(ListRequest, Option<ReadMask>), Error> {
        self.read_list_of(self.plans.get(method.entity), request)
    }

    fn read_list_of(&self, plan: &EntityPlan, request: &[u8]) -> Result<(ListRequest, Option<ReadMask>), Error> {
        let (request, paths) = requests::list(request)?;
        let mask = self.mask(plan, &paths)?;
        Ok((request, mask))
    }

    fn mask(&self, plan: &EntityPlan, paths: &[String]) -> Result<Option<ReadMask>, Error> {
        if paths.is_empty() {
            return Ok(None);
        }
        ReadMask::parse(&self.engine.codecs().json, plan.message, paths)
    }

    fn commit<'a>(
        &'a self,
        method: MethodRef,
        request: &Bytes,
        mut writes: Vec<Write>,
        options: WriteOptions,
        call: Call<'a>,
        shape: Shape,
    ) -> Answered<'a> {
        if call.if_absent {
            writes.iter_mut().for_each(|write| write.precondition.exists = Some(false));
        }
        let validate_only = options.validate_only;
        let entities: Vec<_> = writes.iter().map(|write| write.entity).collect();
        let fingerprint = options.request_id.as_ref().map_or([0; 32], |_| self.fingerprint(method, request));
        let commit = CommitRequest {
            writes,
            request_id: options.request_id,
            fingerprint,
            validate_only,
            isolation: options.isolation,
            deadline: call.deadline.instant(),
        };
        self.engine.commit(commit, call.session).map(move |done| shape.answer(entities, done?, validate_only))
    }

    /// What a repetition under the same request id is compared by: the method and the request.
    fn fingerprint(&self, method: MethodRef, request: &[u8]) -> [u8; 32] {
        let method = &self.schema.methods[method.index];
        let mut hash = Sha256::new();
        for part in [method.service.as_bytes(), b"/", method.name.as_bytes(), b"\0", request] {
            hash.update(part);
        }
        hash.finalize().into()
    }

    /// The message of a method's response.
    pub(crate) fn output(&self, method: MethodRef) -> MessageId {
        self.schema.methods[method.index].output
    }

    pub(crate) fn json(&self) -> &JsonCodec {
        &self.engine.codecs().json
    }
}

/// Which response message the rows of a commit fill.
#[derive(Debug, Clone, Copy)]
enum Shape {
    Row,
    Rows,
    Empty,
    Committed,
}

impl Shape {
    fn answer(self, entities: Vec<EntityId>, done: Outcome, validate_only: bool) -> Result<Answer, Error> {
        Ok(match self {
            Self::Empty => Answer::Empty,
            Self::Committed => Answer::Committed(entities.into_iter().zip(done.results).collect()),
            Self::Rows => Answer::Rows(done.results.into_iter().filter_map(|result| result.record).collect()),
            Self::Row => match done.results.into_iter().next() {
                Some(result) => match result.record {
                    Some(record) => Answer::Row { record, created: result.created && !validate_only },
                    // A delete of a missing row, allowed by `allow_missing`.
                    None => Answer::Empty,
                },
                None => return Err(Error::internal("a commit of one write answered none")),
            },
        })
    }
}

fn row(record: Record, mask: Option<&ReadMask>) -> Result<Answer, Error> {
    let record = match mask {
        Some(mask) => mask.project(&record)?,
        None => record,
    };
    Ok(Answer::Row { record, created: false })
}

fn project(records: &mut [Record], mask: Option<&ReadMask>) -> Result<(), Error> {
    if let Some(mask) = mask {
        for record in records {
            *record = mask.project(record)?;
        }
    }
    Ok(())
}
