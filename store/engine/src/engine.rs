//! The engine: one per store, shared by all surfaces.

use std::sync::Arc;
use std::time::Duration;

use kit_core::{Code, Error, Reply};
use rowkeep_record::query::PageTokens;
use rowkeep_record::{Codecs, Key, Record, RowCodec};
use rowkeep_schema::{Entity, EntityId, Schema};

use crate::clock::Versions;
use crate::ids::Ids;
use crate::watch::Hub;
use crate::{
    Capabilities, Clock, CommitRequest, ListPage, ListRequest, LoadReport, LoadRequest, Outcome, Position, Rows,
    Session, Sweep, SystemClock, View, WatchOptions, list, load, prepare,
};

/// Limits and sources of an [`Engine`]. The default is what `serve` uses, but for the key of the page tokens.
#[derive(Clone)]
pub struct EngineOptions {
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
    /// Page tokens open only under the key they were sealed with. All instances of a store share it.
    pub token_key: [u8; 32],
    /// This instance, for snowflake ids; 0 to 1023.
    pub instance: u16,
    /// Rows of a page that names no size.
    pub default_page_size: u32,
    /// Rows of a page at most.
    pub max_page_size: u32,
    /// A page ends early when its rows reach this many bytes.
    pub max_page_bytes: usize,
    /// Writes of a commit, keys of a batch at most.
    pub max_batch: usize,
    /// Rows that one delete may take with it by `on_delete`.
    pub max_cascade: usize,
    /// How long the answer to a request id is remembered.
    pub request_id_retention: Duration,
    /// Limits of watching.
    pub watch: WatchOptions,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            clock: Arc::new(SystemClock),
            token_key: rand::random(),
            instance: 0,
            default_page_size: 50,
            max_page_size: 1000,
            max_page_bytes: 4 << 20,
            max_batch: 500,
            max_cascade: 10_000,
            request_id_retention: Duration::from_secs(24 * 3600),
            watch: WatchOptions::default(),
        }
    }
}

/// Reads, lists and writes the entities of a schema in a storage.
#[derive(Clone)]
pub struct Engine {
    pub(crate) shared: Arc<Shared>,
}

/// What every call needs, made once at start.
pub(crate) struct Shared {
    pub(crate) schema: Arc<Schema>,
    pub(crate) rows: Arc<dyn Rows>,
    pub(crate) codecs: Codecs,
    pub(crate) plans: Vec<prepare::EntityPlan>,
    pub(crate) options: EngineOptions,
    pub(crate) tokens: PageTokens,
    pub(crate) versions: Versions,
    pub(crate) ids: Ids,
    pub(crate) hub: Hub,
}

impl Shared {
    pub(crate) fn entity(&self, id: EntityId) -> &Entity {
        self.schema.entity(id)
    }

    pub(crate) fn codec(&self, id: EntityId) -> &RowCodec {
        self.codecs.row(id)
    }

    pub(crate) fn plan(&self, id: EntityId) -> &prepare::EntityPlan {
        &self.plans[id.index()]
    }

    pub(crate) fn now(&self) -> i64 {
        self.options.clock.now_micros()
    }

    pub(crate) fn view(&self, entity: &Entity, deleted: bool) -> View {
        // Asking the clock costs more than the rest; only expiry needs it.
        let now = if entity.expire.is_some() { self.now() } else { 0 };
        View { now, deleted }
    }

    pub(crate) fn seen_version(&self, version: u64) {
        self.versions.seen(version);
    }

    pub(crate) fn next_version(&self, now: i64) -> u64 {
        self.versions.next(now, self.rows.version_floor())
    }
}

impl Engine {
    /// Tells the storage that this thread will read much; see [`Rows::attach`].
    pub fn attach(&self) {
        self.shared.rows.attach();
    }

    /// An engine over a storage that holds the schema's tables.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` if an option or a default value in the schema cannot be used.
    pub fn new(schema: Arc<Schema>, rows: Arc<dyn Rows>, options: EngineOptions) -> Result<Self, Error> {
        check_options(&options)?;
        let codecs = Codecs::new(&schema);
        let plans = prepare::plans(&schema, &codecs)?;
        let ids = Ids::new(options.instance, rows.version_floor() / 1000);
        let tokens = PageTokens::new(&options.token_key);
        let versions = Versions::default();
        let hub = Hub::new(schema.entities.len(), &options.watch);
        Ok(Self { shared: Arc::new(Shared { schema, rows, codecs, plans, options, tokens, versions, ids, hub }) })
    }

    /// The schema it serves.
    pub fn schema(&self) -> &Arc<Schema> {
        &self.shared.schema
    }

    /// The codecs of its rows and messages.
    pub fn codecs(&self) -> &Codecs {
        &self.shared.codecs
    }

    /// The limits it keeps.
    pub fn options(&self) -> &EngineOptions {
        &self.shared.options
    }

    /// What the storage can do.
    pub fn capabilities(&self) -> &Capabilities {
        self.shared.rows.capabilities()
    }

    /// How far the client of a session has seen.
    pub fn seen(&self, session: &Session) -> Position {
        self.shared.rows.position().unwrap_or_else(|| session.seen())
    }

    /// A row by primary key, also if it is soft-deleted (AIP-164).
    ///
    /// # Errors
    /// `NOT_FOUND`; what the storage says.
    pub fn get<'a>(&'a self, entity: EntityId, key: &Key, session: &'a Session) -> Reply<'a, Result<Record, Error>> {
        let view = self.shared.view(self.shared.entity(entity), true);
        let found = self.shared.rows.get(entity, key, view, session);
        match found.try_now() {
            Ok(Ok(Some(record))) => Reply::ready(Ok(record)),
            Ok(Ok(None)) => Reply::ready(Err(self.shared.not_found(entity, key))),
            Ok(Err(error)) => Reply::ready(Err(error)),
            Err(later) => {
                let key = key.clone();
                Reply::later(async move { later.await?.ok_or_else(|| self.shared.not_found(entity, &key)) })
            }
        }
    }

    /// A row by the unique index at this place in `Entity::indexes`; soft-deleted rows are not found.
    ///
    /// # Errors
    /// `NOT_FOUND`; what the storage says.
    pub fn lookup<'a>(
        &'a self,
        entity: EntityId,
        index: u16,
        values: &Key,
        session: &'a Session,
    ) -> Reply<'a, Result<Record, Error>> {
        let view = self.shared.view(self.shared.entity(entity), false);
        let found = self.shared.rows.lookup(entity, index, values, view, session);
        match found.try_now() {
            Ok(Ok(Some(record))) => Reply::ready(Ok(record)),
            Ok(Ok(None)) => Reply::ready(Err(self.shared.lookup_not_found(entity, index, values))),
            Ok(Err(error)) => Reply::ready(Err(error)),
            Err(later) => {
                let values = values.clone();
                Reply::later(
                    async move { later.await?.ok_or_else(|| self.shared.lookup_not_found(entity, index, &values)) },
                )
            }
        }
    }

    /// Rows by primary key, in the order asked; `None` for a key without a row. Soft-deleted rows are found.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` for too many keys; what the storage says.
    pub fn batch_get<'a>(
        &'a self,
        entity: EntityId,
        keys: &[Key],
        session: &'a Session,
    ) -> Reply<'a, Result<Vec<Option<Record>>, Error>> {
        let max = self.shared.options.max_batch;
        if keys.len() > max {
            return Reply::ready(Err(crate::errors::batch_too_large("keys", keys.len(), max)));
        }
        self.shared.rows.get_many(entity, keys, self.shared.view(self.shared.entity(entity), true), session)
    }

    /// `NOT_FOUND` about a key, as [`Self::get`] answers it: for the rows a batch misses.
    pub fn not_found(&self, entity: EntityId, key: &Key) -> Error {
        self.shared.not_found(entity, key)
    }

    /// A page of rows.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` for a bad filter, order, size or token; `FAILED_PRECONDITION` `NO_INDEX` when no index serves
    /// filter and order; what the storage says.
    pub fn list<'a>(
        &'a self,
        entity: EntityId,
        request: ListRequest,
        session: &'a Session,
    ) -> Reply<'a, Result<ListPage, Error>> {
        list::list(&self.shared, entity, request, session)
    }

    /// Applies a list of writes, all or none, and answers when they are durable.
    ///
    /// # Errors
    /// What is wrong with the request, which condition does not hold, or what the storage says; `Error::applied` tells
    /// whether the commit may have happened all the same.
    pub fn commit<'a>(&self, request: CommitRequest, session: &'a Session) -> Reply<'a, Result<Outcome, Error>> {
        let program = match prepare::program(&self.shared, request) {
            Ok(program) => program,
            Err(error) => return Reply::ready(Err(error)),
        };
        self.shared.rows.transact(program).map(|done| {
            // What it wrote comes after everything that could be seen before.
            if let Ok(Outcome { position: Some(position), .. }) = &done {
                session.saw(position, |_| true);
            }
            done
        })
    }

    /// Stores many rows fast.
    ///
    /// # Errors
    /// What the storage says; rows that cannot be stored are named in the report.
    pub fn load(&self, request: LoadRequest) -> Reply<'static, Result<LoadReport, Error>> {
        let shared = Arc::clone(&self.shared);
        Reply::later(async move { load::load(&shared, request).await })
    }

    /// Where a load is up to.
    ///
    /// # Errors
    /// What the storage says.
    pub async fn checkpoint(&self, id: &str) -> Result<Option<Vec<u8>>, Error> {
        let remembered = self.shared.rows.recall(&load::checkpoint_id(id)).await?;
        let now = self.shared.now();
        Ok(remembered.filter(|remembered| remembered.forget_at > now).map(|remembered| remembered.outcome))
    }

    /// A walk that removes from disk what no read sees any more: expired rows, forgotten request ids.
    pub fn sweep(&self) -> Sweep {
        Sweep::new(&self.shared)
    }
}

fn check_options(options: &EngineOptions) -> Result<(), Error> {
    let refuse = |what: &'static str| Err(Error::new(Code::InvalidArgument, "INVALID_OPTION", what));
    if options.default_page_size == 0 || options.max_page_size < options.default_page_size {
        return refuse("page sizes: the default must be at least 1 and at most the maximum");
    }
    if options.max_batch == 0 || options.max_page_bytes == 0 {
        return refuse("max_batch and max_page_bytes must be at least 1");
    }
    if options.instance > crate::ids::MAX_INSTANCE {
        return refuse("instance must be 0 to 1023");
    }
    Ok(())
}
