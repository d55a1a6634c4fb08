//! The engine as a surface: the API's request messages read by reflection, so that no code is shared with the server
//! whose reading of the same messages is tested by the same suite.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::{Duration, Instant};

use kit_core::{Deadline, Error};
use prost_reflect::prost::Message as _;
use prost_reflect::{DynamicMessage, MessageDescriptor, ReflectMessage as _, Value};
use rowkeep_record::{Key, ReadMask, Record, etag};
use rowkeep_schema::{Entity, Method, MethodKind, Schema};
use serde_json::Value as Json;

use super::fields::{Fields, descriptor};
use super::{Answer, Failure, Surface, requests};
use crate::{CommitRequest, Engine, ListRequest, Outcome, Session, Write, WriteResult};

/// See the [module](self).
pub struct EngineSurface {
    engine: Engine,
    runtime: tokio::runtime::Runtime,
    patience: Duration,
    /// Kept until the store is closed.
    _data: Box<dyn Send + Sync>,
}

impl EngineSurface {
    /// The engine, and what must live as long as it does (a directory).
    pub fn new(engine: Engine, data: impl Send + Sync + 'static) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        Self { engine, runtime, patience: Duration::from_secs(60), _data: Box::new(data) }
    }

    /// Callers wait so long for an answer.
    #[must_use]
    pub fn patient(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    pub fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Waits for what the engine answers.
    pub fn wait<T>(&self, reply: impl Future<Output = T>) -> T {
        self.runtime.block_on(reply)
    }

    /// Waits for a read no longer than its caller, as a server does.
    fn read<T>(&self, reply: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        self.wait(Deadline::after(self.patience).run(reply)).and_then(|answer| answer)
    }

    fn answer(&self, method: &Method, request: &Json) -> Result<Answer, Error> {
        let schema = self.schema();
        let input = descriptor(schema, &schema.message(method.input).full_name);
        let output = descriptor(schema, &schema.message(method.output).full_name);
        let message = Fields(DynamicMessage::deserialize(input, request.clone()).unwrap());
        let Some(entity) = method.entity.map(|id| schema.entity(id)) else {
            let writes = requests::commit_writes(&self.engine, &message)?;
            let names: Vec<_> = writes.iter().map(|write| schema.entity(write.entity).full_name.as_str()).collect();
            let done = self.commit(method, &message, writes)?;
            return Ok(committed(schema, &output, &names, &done));
        };
        let call = Call { surface: self, method, entity, message: &message, output: &output };
        match method.kind {
            MethodKind::Get => call.get(),
            MethodKind::Lookup(index) => call.lookup(index),
            MethodKind::BatchGet => call.batch_get(),
            MethodKind::List => call.list(),
            MethodKind::Watch => panic!("the tests of watching hold the engine"),
            MethodKind::BatchCreate | MethodKind::BatchUpdate | MethodKind::BatchDelete => call.batch(),
            _ => call.single(),
        }
    }

    fn commit(&self, method: &Method, message: &Fields, writes: Vec<Write>) -> Result<Outcome, Error> {
        let mut hash = DefaultHasher::new();
        (&method.service, &method.name, message.0.encode_to_vec()).hash(&mut hash);
        let mut fingerprint = [0; 32];
        fingerprint[..8].copy_from_slice(&hash.finish().to_be_bytes());
        let request = CommitRequest {
            writes,
            request_id: message.text("request_id"),
            fingerprint,
            validate_only: message.flag("validate_only"),
            isolation: requests::isolation(message)?,
            deadline: Some(Instant::now() + self.patience),
        };
        self.wait(self.engine.commit(request, &Session::strong()))
    }
}

impl Surface for EngineSurface {
    fn schema(&self) -> &Schema {
        self.engine.schema()
    }

    fn call(&self, method: &Method, request: &Json) -> Result<Answer, Box<Failure>> {
        self.answer(method, request).map_err(|error| Box::new(Failure::from(&error)))
    }
}

impl From<&Error> for Failure {
    fn from(error: &Error) -> Self {
        let fields = error.fields().iter().map(|field| (field.field.clone(), field.reason.to_owned()));
        let preconditions = error.preconditions().iter().map(|one| (one.kind.to_owned(), one.subject.clone()));
        Self {
            code: error.code(),
            reason: error.reason().to_owned(),
            message: error.message().to_owned(),
            applied: error.applied(),
            fields: fields.collect(),
            preconditions: preconditions.collect(),
            metadata: error.metadata().iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect(),
        }
    }
}

/// A call of an entity's method.
struct Call<'a> {
    surface: &'a EngineSurface,
    method: &'a Method,
    entity: &'a Entity,
    message: &'a Fields,
    output: &'a MessageDescriptor,
}

impl Call<'_> {
    fn engine(&self) -> &Engine {
        &self.surface.engine
    }

    fn mask(&self) -> Result<Option<ReadMask>, Error> {
        let paths = self.message.paths("read_mask").filter(|paths| !paths.is_empty());
        let parse = |paths: Vec<String>| ReadMask::parse(&self.engine().codecs().json, self.entity.message, &paths);
        paths.map_or(Ok(None), parse)
    }

    fn masked(&self, record: &Record) -> Result<Record, Error> {
        self.mask()?.map_or_else(|| Ok(record.clone()), |mask| mask.project(record))
    }

    fn row(&self, record: &Record) -> Result<Answer, Error> {
        let version = Some(record.version()).filter(|version| *version > 0);
        let body = to_json(&decode(self.output, self.masked(record)?.wire()));
        Ok(Answer { body, etag: version.map(etag::format) })
    }

    fn get(&self) -> Result<Answer, Error> {
        let key = requests::key_of(self.engine(), self.entity, &self.entity.primary_key, self.message);
        self.row(&self.surface.read(self.engine().get(self.entity.id, &key, &Session::strong()))?)
    }

    fn lookup(&self, index: u16) -> Result<Answer, Error> {
        let columns: Vec<_> = self.entity.indexes[usize::from(index)].columns.iter().map(|(id, _)| *id).collect();
        let values = requests::key_of(self.engine(), self.entity, &columns, self.message);
        self.row(&self.surface.read(self.engine().lookup(self.entity.id, index, &values, &Session::strong()))?)
    }

    fn batch_get(&self) -> Result<Answer, Error> {
        let field = self.message.0.descriptor().get_field(1).unwrap();
        let asked = self.message.0.get_field(&field).as_list().unwrap().to_vec();
        let key = |value: &Value| match value.as_message() {
            Some(message) if self.entity.primary_key.len() > 1 => {
                requests::key_of(self.engine(), self.entity, &self.entity.primary_key, &Fields(message.clone()))
            }
            _ => requests::single_key(self.engine(), self.entity, value),
        };
        let keys: Vec<Key> = asked.iter().map(key).collect();
        let found = self.surface.read(self.engine().batch_get(self.entity.id, &keys, &Session::strong()))?;
        let (mut rows, mut missing) = (Vec::new(), Vec::new());
        for ((record, key), asked) in found.into_iter().zip(&keys).zip(asked) {
            match record {
                Some(record) => rows.push(self.masked(&record)?),
                None if self.message.flag("allow_missing") => missing.push(asked),
                None => return Err(self.engine().not_found(self.entity.id, key)),
            }
        }
        let mut answer = self.rows(&rows);
        answer.set_field(&self.output.get_field(2).unwrap(), Value::List(missing));
        Ok(Answer { body: to_json(&answer), etag: None })
    }

    fn list(&self) -> Result<Answer, Error> {
        let page_size = self.message.get("page_size").and_then(|size| size.as_i32());
        let request = ListRequest {
            page_size: page_size.unwrap_or_default(),
            page_token: self.message.text("page_token").unwrap_or_default(),
            filter: self.message.text("filter").unwrap_or_default(),
            order_by: self.message.text("order_by").unwrap_or_default(),
            show_deleted: self.message.flag("show_deleted"),
            include_total_size: self.message.flag("include_total_size"),
            deadline: Some(Instant::now() + self.surface.patience),
        };
        self.mask()?;
        let page = self.surface.read(self.engine().list(self.entity.id, request, &Session::strong()))?;
        let rows = page.records.iter().map(|record| self.masked(record)).collect::<Result<Vec<_>, _>>()?;
        let mut answer = self.rows(&rows);
        answer.set_field_by_name("next_page_token", Value::String(page.next_page_token));
        if let Some(total) = page.total_size {
            answer.set_field_by_name("total_size", Value::I64(total.cast_signed()));
        }
        Ok(Answer { body: to_json(&answer), etag: None })
    }

    fn rows(&self, records: &[Record]) -> DynamicMessage {
        let row = descriptor(self.surface.schema(), &self.entity.full_name);
        let rows = records.iter().map(|record| Value::Message(decode(&row, record.wire()))).collect();
        let mut answer = DynamicMessage::new(self.output.clone());
        answer.set_field_by_name(&self.entity.plural_snake, Value::List(rows));
        answer
    }

    fn single(&self) -> Result<Answer, Error> {
        let write = requests::write(self.engine(), self.entity, self.method.kind, self.message, "")?;
        let done = self.surface.commit(self.method, self.message, vec![write])?;
        match &done.results[0].record {
            Some(record) => self.row(record),
            None => Ok(Answer { body: to_json(&DynamicMessage::new(self.output.clone())), etag: None }),
        }
    }

    fn batch(&self) -> Result<Answer, Error> {
        let kind = match self.method.kind {
            MethodKind::BatchCreate => MethodKind::Create,
            MethodKind::BatchUpdate => MethodKind::Update,
            _ => MethodKind::Delete,
        };
        let requests = self.message.messages("requests");
        let writes = requests.iter().enumerate().map(|(at, request)| {
            let prefix = format!("requests[{at}].");
            for field in ["request_id", "validate_only"] {
                if request.0.has_field_by_name(field) {
                    return Err(Error::invalid_field(format!("{prefix}{field}"), "NOT_IN_BATCH", "is of the batch"));
                }
            }
            requests::write(self.engine(), self.entity, kind, request, &prefix)
        });
        let writes = writes.collect::<Result<Vec<_>, _>>()?;
        let done = self.surface.commit(self.method, self.message, writes)?;
        let rows: Vec<_> = done.results.into_iter().filter_map(|result| result.record).collect();
        let is_empty = self.output.full_name() == "google.protobuf.Empty";
        let answer = if is_empty { DynamicMessage::new(self.output.clone()) } else { self.rows(&rows) };
        Ok(Answer { body: to_json(&answer), etag: None })
    }
}

fn decode(message: &MessageDescriptor, wire: &[u8]) -> DynamicMessage {
    DynamicMessage::decode(message.clone(), wire).unwrap()
}

fn to_json(message: &DynamicMessage) -> Json {
    serde_json::to_value(message).unwrap()
}

fn committed(schema: &Schema, output: &MessageDescriptor, names: &[&str], done: &Outcome) -> Answer {
    let result = output.get_field_by_name("results").unwrap().kind();
    let result = result.as_message().unwrap();
    let results = names.iter().zip(&done.results);
    let results = results.map(|(name, done)| Value::Message(write_result(schema, result, name, done))).collect();
    let mut answer = DynamicMessage::new(output.clone());
    answer.set_field_by_name("results", Value::List(results));
    Answer { body: to_json(&answer), etag: None }
}

fn write_result(schema: &Schema, of: &MessageDescriptor, entity: &str, done: &WriteResult) -> DynamicMessage {
    let mut result = DynamicMessage::new(of.clone());
    let Some(record) = &done.record else { return result };
    let mut any = DynamicMessage::new(descriptor(schema, "google.protobuf.Any"));
    any.set_field_by_name("type_url", Value::String(format!("type.googleapis.com/{entity}")));
    any.set_field_by_name("value", Value::Bytes(record.wire().to_vec().into()));
    result.set_field_by_name("row", Value::Message(any));
    if record.version() > 0 {
        result.set_field_by_name("etag", Value::String(etag::format(record.version())));
    }
    result
}
