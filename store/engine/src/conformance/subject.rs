//! What the tests of the API are run on.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use kit_core::{Applied, Code};
use rowkeep_schema::{Entity, Method, MethodKind, Schema};
use serde_json::{Value as Json, json};

use super::EngineSurface;
use crate::{Capabilities, Engine, EngineOptions, Rows};

/// A door to a store over [`schema`](super::schema). Requests and answers are the API's own messages as JSON, so that
/// a test reads the same whichever way they take.
pub trait Surface: Send + Sync {
    /// The schema that is served.
    fn schema(&self) -> &Schema;

    /// Calls a method with its request message.
    ///
    /// # Errors
    /// What the store answers.
    fn call(&self, method: &Method, request: &Json) -> Result<Answer, Box<Failure>>;
}

/// What a call answers.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The response message.
    pub body: Json,
    /// The row's etag, where the answer is one row.
    pub etag: Option<String>,
}

/// Why a call failed, as far as clients may build on it.
#[derive(Debug, Clone, PartialEq)]
pub struct Failure {
    pub code: Code,
    pub reason: String,
    pub message: String,
    pub applied: Applied,
    /// Path and reason of each field that is wrong.
    pub fields: Vec<(String, String)>,
    /// Kind and subject of each condition that did not hold.
    pub preconditions: Vec<(String, String)>,
    pub metadata: BTreeMap<String, String>,
}

/// A surface with what tests say often.
pub struct Subject {
    surface: Box<dyn Surface>,
    promises: Promises,
}

/// What not every storage can do, and what a test has to know beforehand: whether it is refused as declared, or held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Promises {
    pub serializable: bool,
    pub reads_one_moment: bool,
}

impl Promises {
    /// Of a storage that can do everything.
    pub const ALL: Self = Self { serializable: true, reads_one_moment: true };
    /// Of one whose tables are spread over shards.
    pub const OF_SHARDS: Self = Self { serializable: false, reads_one_moment: false };
}

impl From<&Capabilities> for Promises {
    fn from(can: &Capabilities) -> Self {
        Self { serializable: can.serializable, reads_one_moment: can.reads_one_moment }
    }
}

impl Subject {
    /// A door to a storage that can do everything, unless [`promising`](Self::promising) says otherwise.
    pub fn new(surface: impl Surface + 'static) -> Self {
        Self { surface: Box::new(surface), promises: Promises::ALL }
    }

    #[must_use]
    pub fn promising(self, promises: Promises) -> Self {
        Self { promises, ..self }
    }

    pub fn promises(&self) -> Promises {
        self.promises
    }

    /// The engine over an empty storage, and what must live as long as it does (a directory).
    pub fn over(rows: Arc<dyn Rows>, data: impl Send + Sync + 'static) -> Self {
        let engine = Engine::new(super::schema(), rows, EngineOptions::default()).unwrap();
        let promises = engine.capabilities().into();
        Self::new(EngineSurface::new(engine, data)).promising(promises)
    }

    pub fn schema(&self) -> &Schema {
        self.surface.schema()
    }

    pub fn entity(&self, name: &str) -> &Entity {
        self.schema().entity_by_name(name).unwrap_or_else(|| panic!("no entity {name}"))
    }

    /// Calls a method by its name, which is unique in the schema.
    pub fn try_call(&self, method: &str, request: &Json) -> Result<Answer, Box<Failure>> {
        let found = self.schema().methods.iter().find(|found| found.name == method);
        self.surface.call(found.unwrap_or_else(|| panic!("no method {method}")), request)
    }

    #[track_caller]
    pub fn call(&self, method: &str, request: Json) -> Json {
        self.answer(method, request).body
    }

    #[track_caller]
    pub fn answer(&self, method: &str, request: Json) -> Answer {
        self.try_call(method, &request).unwrap_or_else(|failure| panic!("{method} {request}: {failure:?}"))
    }

    #[track_caller]
    pub fn fails(&self, method: &str, request: Json) -> Failure {
        match self.try_call(method, &request) {
            Err(failure) => *failure,
            Ok(answer) => panic!("{method} {request} answered {}", answer.body),
        }
    }

    /// The name of a method of an entity, and the JSON name of its row in requests.
    fn names(&self, entity: &str, is_wanted: impl Fn(MethodKind) -> bool) -> (String, String) {
        let entity = self.entity(entity);
        let methods = &self.schema().methods;
        let method = methods.iter().find(|method| method.entity == Some(entity.id) && is_wanted(method.kind));
        (method.expect("the method exists").name.clone(), camel(&entity.singular))
    }

    #[track_caller]
    pub fn create(&self, entity: &str, row: Json) -> Json {
        let (method, singular) = self.names(entity, |kind| kind == MethodKind::Create);
        self.call(&method, json!({ singular: row }))
    }

    #[track_caller]
    pub fn create_fails(&self, entity: &str, row: Json) -> Failure {
        let (method, singular) = self.names(entity, |kind| kind == MethodKind::Create);
        self.fails(&method, json!({ singular: row }))
    }

    /// Writes the fields that are named by the mask.
    #[track_caller]
    pub fn update(&self, entity: &str, row: Json, mask: &str) -> Json {
        let (method, singular) = self.names(entity, |kind| kind == MethodKind::Update);
        self.call(&method, json!({ singular: row, "updateMask": mask }))
    }

    #[track_caller]
    pub fn update_fails(&self, entity: &str, row: Json, mask: &str) -> Failure {
        let (method, singular) = self.names(entity, |kind| kind == MethodKind::Update);
        self.fails(&method, json!({ singular: row, "updateMask": mask }))
    }

    #[track_caller]
    pub fn get(&self, entity: &str, key: Json) -> Json {
        let (method, _) = self.names(entity, |kind| kind == MethodKind::Get);
        self.call(&method, key)
    }

    #[track_caller]
    pub fn delete(&self, entity: &str, key: Json) -> Json {
        let (method, _) = self.names(entity, |kind| kind == MethodKind::Delete);
        self.call(&method, key)
    }

    pub fn exists(&self, entity: &str, key: Json) -> bool {
        let (method, _) = self.names(entity, |kind| kind == MethodKind::Get);
        match self.try_call(&method, &key) {
            Ok(_) => true,
            Err(failure) if failure.reason == "NOT_FOUND" => false,
            Err(failure) => panic!("{failure:?}"),
        }
    }

    /// The rows of the first page.
    #[track_caller]
    pub fn list(&self, entity: &str, request: Json) -> Vec<Json> {
        let (method, _) = self.names(entity, |kind| kind == MethodKind::List);
        let answer = self.call(&method, request);
        self.rows(entity, &answer)
    }

    #[track_caller]
    pub fn list_fails(&self, entity: &str, request: Json) -> Failure {
        let (method, _) = self.names(entity, |kind| kind == MethodKind::List);
        self.fails(&method, request)
    }

    /// A page: its rows and the token of the next one.
    #[track_caller]
    pub fn page(&self, entity: &str, request: Json) -> (Vec<Json>, String) {
        let (method, _) = self.names(entity, |kind| kind == MethodKind::List);
        let answer = self.call(&method, request);
        (self.rows(entity, &answer), answer["nextPageToken"].as_str().unwrap_or_default().to_owned())
    }

    /// The rows of a response.
    pub fn rows(&self, entity: &str, answer: &Json) -> Vec<Json> {
        let plural = camel(&self.entity(entity).plural_snake);
        answer[plural.as_str()].as_array().cloned().unwrap_or_default()
    }

    /// Commits writes; the results.
    #[track_caller]
    pub fn commit(&self, writes: Json) -> Vec<Json> {
        let answer = self.call("Commit", json!({ "writes": writes }));
        answer["results"].as_array().cloned().unwrap_or_default()
    }

    #[track_caller]
    pub fn commit_fails(&self, writes: Json) -> Failure {
        self.fails("Commit", json!({ "writes": writes }))
    }
}

impl Failure {
    /// Checks the parts that clients branch on; that a refused write was not applied is one of them.
    #[track_caller]
    pub fn is(&self, code: Code, reason: &str) -> &Self {
        assert_eq!((self.code, self.reason.as_str(), self.applied), (code, reason, Applied::No), "{self:?}");
        self
    }

    /// `INVALID_ARGUMENT` about exactly these fields, each with its reason.
    #[track_caller]
    pub fn is_about(&self, fields: &[(&str, &str)]) -> &Self {
        self.is(Code::InvalidArgument, "INVALID_FIELDS");
        let found: Vec<_> = self.fields.iter().map(|(field, reason)| (field.as_str(), reason.as_str())).collect();
        assert_eq!(found, fields, "{self:?}");
        self
    }

    #[track_caller]
    pub fn has(&self, key: &str, value: &str) -> &Self {
        assert_eq!(self.metadata.get(key).map(String::as_str), Some(value), "{self:?}");
        self
    }
}

/// A row of an entity packed for a commit.
pub(super) fn row(entity: &str, mut fields: Json) -> Json {
    fields["@type"] = json!(format!("type.googleapis.com/conformance.v1.{entity}"));
    fields
}

/// Values of a field of each row.
pub(super) fn column(rows: &[Json], field: &str) -> Vec<Json> {
    rows.iter().map(|row| row[field].clone()).collect()
}

/// Waits for something that time brings about.
#[track_caller]
pub(super) fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let started = Instant::now();
    while !holds() {
        assert!(started.elapsed() < Duration::from_secs(10), "{what} did not come about");
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn camel(snake: &str) -> String {
    let mut out = String::new();
    for (at, word) in snake.split('_').enumerate() {
        let mut letters = word.chars();
        let first = letters.next().map(|c| if at == 0 { c } else { c.to_ascii_uppercase() });
        out.extend(first);
        out.extend(letters);
    }
    out
}
