//! One row, compared wherever it is: in this process's cache, on each replica, on the primary. Of the rows only what tells them
//! apart is shown: version, size and a digest.

use std::sync::Arc;
use std::time::Duration;

use kit_core::{Code, Error, Reply};
use kit_telemetry::Page;
use rowkeep_cache::{Cached, InspectedEntry};
use rowkeep_engine::{Clock, Position, Rows, Session, View};
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
    let cache = storage.caches.near.as_deref();
    let entry = cache.and_then(|cache| cache.inspect(entity.id, &key));
    let copies = copies(&storage.store, entity, &key).await?;
    let main = copies.iter().find(|copy| copy.place == PRIMARY);
    let mut layers = Vec::new();
    let mut verdict = "no cache";
    if let Some(cache) = cache {
        let agrees = entry.as_ref().zip(main).and_then(|(entry, main)| agrees(entry.record(), main));
        verdict = match (&entry, main, agrees) {
            (None, ..) if !cache.keeps(entity.id) => "not cached",
            (None, ..) => "not kept",
            (Some(_), _, Some(true)) => "coherent",
            (Some(entry), Some(main), Some(false)) => settled(cache, entity, &key, entry, main).await,
            (Some(_), ..) => "unknown",
        };
        layers.push(near(cache, entry.as_ref(), agrees));
    }
    layers.extend(copies.iter().map(|copy| {
        let agrees = main.and_then(|main| agrees(copy.found.as_ref().ok()?.as_ref(), main));
        of_copy(copy, agrees)
    }));
    let audits = cache.map(|cache| {
        let stats = cache.stats();
        json!({
            "right": stats.audited_right,
            "stale": stats.audited_stale,
            "undecided": stats.audited_undecided,
            "stale_per_million": stats.stale_per_million(),
        })
    });
    Ok(
        json!({ "entity": entity.name, "key": path[name.len() + 1..], "verdict": verdict, "layers": layers, "audits": audits }),
    )
}

const PRIMARY: &str = "primary";

async fn copies(store: &Store, entity: &Entity, key: &Key) -> Result<Vec<Copy>, Error> {
    let now = rowkeep_engine::SystemClock.now_micros();
    let view = View { now, deleted: false };
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

/// An entry says something else than the primary: is it behind, or stale? Behind is what the log has not told yet.
async fn settled(cache: &Cached, entity: &Entity, key: &Key, entry: &InspectedEntry, main: &Copy) -> &'static str {
    let told = async {
        while !cache.is_told(&main.seen) {
            tokio::time::sleep(PAUSE).await;
        }
    };
    if tokio::time::timeout(PATIENCE, told).await.is_err() {
        return "behind";
    }
    match cache.inspect(entity.id, key) {
        Some(still) if still.is(entry) => "STALE",
        _ => "coherent",
    }
}

/// Whether a row says what the primary says; `None` if the primary says nothing.
fn agrees(record: Option<&Record>, main: &Copy) -> Option<bool> {
    let main = main.found.as_ref().ok()?.as_ref();
    Some(record.map(|record| record.wire()) == main.map(|record| record.wire()))
}

fn near(cache: &Cached, entry: Option<&InspectedEntry>, agrees: Option<bool>) -> Value {
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

fn wrong(message: &str) -> Error {
    Error::new(Code::InvalidArgument, "INVALID_REQUEST", message.to_owned())
}

fn unknown(schema: &Schema, name: &str) -> Error {
    let shown: String = name.chars().take(100).collect();
    let close = kit_core::nearest(name, schema.entities.iter().map(|entity| entity.name.as_str()));
    let hint = close.map(|close| format!("; did you mean {close}?")).unwrap_or_default();
    Error::new(Code::NotFound, "UNKNOWN_ENTITY", format!("there is no entity {shown}{hint}"))
}
