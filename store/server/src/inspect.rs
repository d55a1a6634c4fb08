//! One row, compared wherever it is: in this process's cache, in the one that processes share, on each replica, on the primary. Of the rows only what tells them
//! apart is shown: version, size and a digest.

use std::sync::Arc;
use std::time::Duration;

use kit_core::{Code, Error, Reply};
use kit_telemetry::Page;
use rowkeep_cache::{AuditStats, Cached, InspectedEntry, InspectedSlot};
use rowkeep_engine::{Clock, Position, Rows, Session, SystemClock, View};
use rowkeep_record::{Key, Record, etag};
use rowkeep_schema::{Entity, Schema};
use rowkeep_sql::mysql::Role;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::generation::Generation;
use crate::live::Live;
use crate::storage::Store;

/// How long the log may take to tell what the primary has, before an entry that says something else is only behind.
const PATIENCE: Duration = Duration::from_secs(2);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(5);

/// The page `/cache/ENTITY/KEY` of the admin listener.
pub(crate) struct Inspector(pub(crate) Arc<Live>);

impl Page for Inspector {
    fn prefix(&self) -> &'static str {
        "/cache/"
    }

    fn get(&self, rest: &str) -> Reply<'static, Result<String, Error>> {
        let (generation, rest) = (self.0.generation(), rest.to_owned());
        Reply::later(async move { inspect(&generation, &rest).await.map(|found| format!("{found:#}")) })
    }
}

/// A row as it is in one place.
struct Copy {
    place: &'static str,
    server: Option<String>,
    found: Result<Option<Record>, Error>,
    seen: Position,
}

async fn inspect(generation: &Generation, path: &str) -> Result<Value, Error> {
    let schema = generation.schema();
    let (name, key) = path.split_once('/').ok_or_else(|| wrong("ask for /cache/ENTITY/KEY, such as /cache/User/42"))?;
    let entity = schema.entity_by_name(name).ok_or_else(|| unknown(schema, name))?;
    let storage = &generation.storage;
    let segments: Vec<&str> = key.split('/').collect();
    if segments.len() != entity.primary_key.len() {
        let fields: Vec<&str> = entity.primary_key.iter().map(|id| entity.column(*id).name.as_str()).collect();
        return Err(wrong(&format!("the key of {name} is {}", fields.join("/"))));
    }
    let key = storage.engine.codecs().row(entity.id).parse_key_segments(&segments)?;
    let (near, shared) = (storage.caches.near.as_deref(), storage.caches.shared.as_ref());
    // Before the primary is asked: what the caches have is then not the newer.
    let entry = near.and_then(|near| near.inspect(entity.id, &key));
    let slot = match shared {
        Some(shared) => Some(shared.tier.inspect(entity.id, &key, micros()).await),
        None => None,
    };
    let copies = copies(&storage.store, entity, &key).await?;
    let main = copies.iter().find(|copy| copy.place == PRIMARY);
    let (mut layers, mut verdicts) = (Vec::new(), Vec::new());
    if let Some(near) = near {
        let agrees = entry.as_ref().zip(main).and_then(|(entry, main)| agrees(entry.record(), main));
        verdicts.push(match (&entry, main, agrees) {
            (None, ..) if !near.keeps(entity.id) => Verdict::NotCached,
            (None, ..) => Verdict::NotKept,
            (Some(_), _, Some(true)) => Verdict::Coherent,
            (Some(entry), Some(main), Some(false)) => {
                let is_told = told(|| near.is_told(&main.seen)).await;
                let still = near.inspect(entity.id, &key);
                Verdict::of(is_told, still.is_some_and(|still| still.is(entry)))
            }
            (Some(_), ..) => Verdict::Unknown,
        });
        layers.push(in_memory(near, entry.as_ref(), agrees));
    }
    if let (Some(shared), Some(slot)) = (shared, &slot) {
        let kept = if let InspectedSlot::Kept(record) = slot { Some(record.as_ref()) } else { None };
        let agrees = kept.zip(main).and_then(|(record, main)| agrees(record, main));
        verdicts.push(match (kept, main, agrees) {
            (None, ..) => Verdict::NotKept,
            (Some(_), _, Some(true)) => Verdict::Coherent,
            (Some(record), Some(main), Some(false)) => {
                let is_told = told(|| shared.tier.is_told(&main.seen)).await;
                let still = shared.tier.inspect(entity.id, &key, micros()).await;
                Verdict::of(is_told, matches!(still, InspectedSlot::Kept(still) if same(still.as_ref(), record)))
            }
            (Some(_), ..) => Verdict::Unknown,
        });
        layers.push(in_shared(slot, agrees));
    }
    layers.extend(copies.iter().map(|copy| {
        let agrees = main.and_then(|main| agrees(copy.found.as_ref().ok()?.as_ref(), main));
        of_copy(copy, agrees)
    }));
    let audits = json!({
        "memory": near.map(|near| audited(near.stats().audits)),
        "shared": shared.map(|shared| audited(shared.tier.stats().audits)),
    });
    let verdict = verdicts.into_iter().max().unwrap_or(Verdict::NoCache).as_str();
    let key = &path[name.len() + 1..];
    Ok(json!({ "entity": entity.name, "key": key, "verdict": verdict, "layers": layers, "audits": audits }))
}

/// What it comes to; of several caches the worst counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    NoCache,
    NotCached,
    NotKept,
    Coherent,
    Unknown,
    Behind,
    Stale,
}

impl Verdict {
    /// Of what says something else than the primary did after it. What the log has not told yet is only behind.
    fn of(is_told: bool, is_there: bool) -> Self {
        match (is_told, is_there) {
            (false, _) => Self::Behind,
            (true, true) => Self::Stale,
            (true, false) => Self::Coherent,
        }
    }

    fn as_str(self) -> &'static str {
        match self {
            Self::NoCache => "no cache",
            Self::NotCached => "not cached",
            Self::NotKept => "not kept",
            Self::Coherent => "coherent",
            Self::Unknown => "unknown",
            Self::Behind => "behind",
            Self::Stale => "STALE",
        }
    }
}

const PRIMARY: &str = "primary";

async fn copies(store: &Store, entity: &Entity, key: &Key) -> Result<Vec<Copy>, Error> {
    let view = View { now: micros(), deleted: false };
    match store {
        Store::Sqlite(store) => {
            let session = Session::strong();
            let found = store.get(entity.id, key, view, &session).await;
            let seen = store.position().unwrap_or_default();
            Ok(vec![Copy { place: PRIMARY, server: None, found, seen }])
        }
        Store::MySql(store) => {
            let copies = store.copies(entity.id, key, view).await;
            let copy = |copy: rowkeep_sql::mysql::RowCopy| {
                let place = if copy.role == Role::Primary { PRIMARY } else { copy.role.as_str() };
                Copy { place, server: Some(copy.address), found: copy.found, seen: copy.seen }
            };
            Ok(copies.into_iter().map(copy).collect())
        }
    }
}

/// Waits until the log has told all that the primary had; not for ever.
async fn told(is_told: impl Fn() -> bool) -> bool {
    let told = async {
        while !is_told() {
            tokio::time::sleep(PAUSE).await;
        }
    };
    tokio::time::timeout(PATIENCE, told).await.is_ok()
}

/// Whether a row says what the primary says; `None` if the primary says nothing.
fn agrees(record: Option<&Record>, main: &Copy) -> Option<bool> {
    let main = main.found.as_ref().ok()?.as_ref();
    Some(same(record, main))
}

fn same(one: Option<&Record>, other: Option<&Record>) -> bool {
    one.map(Record::wire) == other.map(Record::wire)
}

fn in_memory(cache: &Cached, entry: Option<&InspectedEntry>, agrees: Option<bool>) -> Value {
    let lag = cache.lag().map(|lag| lag.as_secs_f64());
    let mut layer = match entry {
        None => json!({ "place": "memory", "state": "not kept" }),
        Some(entry) => {
            let mut layer = described("memory", entry.record(), agrees);
            layer["seconds_left"] = json!(entry.left().as_secs());
            layer
        }
    };
    layer["lag_seconds"] = json!(lag);
    layer
}

fn in_shared(slot: &InspectedSlot, agrees: Option<bool>) -> Value {
    match slot {
        InspectedSlot::Kept(record) => described("shared", record.as_ref(), agrees),
        InspectedSlot::Nothing => json!({ "place": "shared", "state": "not kept" }),
        InspectedSlot::Away => json!({ "place": "shared", "state": "passed by" }),
    }
}

fn audited(audits: AuditStats) -> Value {
    let AuditStats { right, stale, undecided } = audits;
    json!({ "right": right, "stale": stale, "undecided": undecided, "stale_per_million": audits.stale_per_million() })
}

fn of_copy(copy: &Copy, agrees: Option<bool>) -> Value {
    let mut layer = match &copy.found {
        Ok(found) => described(copy.place, found.as_ref(), agrees),
        Err(error) => json!({ "place": copy.place, "state": "unknown", "error": error.message() }),
    };
    if let Some(server) = &copy.server {
        layer["server"] = json!(server);
    }
    layer
}

fn described(place: &str, record: Option<&Record>, agrees: Option<bool>) -> Value {
    let Some(record) = record else { return json!({ "place": place, "state": "no such row", "agrees": agrees }) };
    let digest = Sha256::digest(record.wire());
    let digest: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    let mut layer =
        json!({ "place": place, "state": "row", "bytes": record.wire().len(), "digest": digest, "agrees": agrees });
    if record.version() > 0 {
        layer["etag"] = json!(String::from_utf8_lossy(&etag::bytes(record.version())));
    }
    layer
}

/// The time, microseconds since 1970.
fn micros() -> i64 {
    SystemClock.now_micros()
}

fn wrong(message: &str) -> Error {
    Error::new(Code::InvalidArgument, "INVALID_REQUEST", message.to_owned())
}

fn unknown(schema: &Schema, name: &str) -> Error {
    let shown: String = name.chars().take(100).collect();
    let close = kit_core::nearest(name, schema.entities.iter().map(|entity| entity.name.as_str()));
    let hint = close.map(|close| format!("; did you mean {close}?")).unwrap_or_default();
    Error::new(Code::NotFound, "UNKNOWN_ENTITY", format!("there is no entity {shown}{hint}"))
}
