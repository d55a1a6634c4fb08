//! A store over a cluster, and clients of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use kit_core::Error;
use rowkeep_engine::{CommitRequest, Engine, EngineOptions, Freshness, Operation, Precondition, Session, Write};
use rowkeep_record::{Codecs, Key, Value};
use rowkeep_schema::{EntityId, Schema, compile_str};
use rowkeep_sql::Allow;
use rowkeep_sql::mysql::{Address, Database, MySqlStore, Options, Role};
use testkit::{Cluster, DatabaseServer, Product};

const ITEM: EntityId = EntityId(0);

const SCHEMA: &str = r#"
syntax = "proto3";
package lab.v1;
import "rowkeep/v1/options.proto";
message Item {
  option (rowkeep.v1.entity) = {};
  int64 id = 1;
  int64 value = 2;
}
"#;

/// A store whose primary is the first of these servers.
pub(crate) struct Lab {
    pub(crate) store: Arc<MySqlStore>,
    engine: Engine,
}

/// Sets a flag when it is dropped: also a test that fails ends its threads.
pub(crate) struct Stop<'a>(pub(crate) &'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

/// Somebody with a session.
pub(crate) struct Client {
    engine: Engine,
    runtime: tokio::runtime::Runtime,
    pub(crate) session: Session,
}

pub(crate) fn schema() -> Arc<Schema> {
    Arc::new(compile_str(&[("lab.proto", SCHEMA)]).unwrap())
}

pub(crate) fn options(servers: &[&DatabaseServer]) -> Options {
    let mut addresses = servers.iter().map(|server| server.url().parse::<Address>().unwrap());
    let address = addresses.next().unwrap();
    Options { replicas: addresses.collect(), ..Options::new(address) }
}

impl Lab {
    /// Over all servers of a cluster, named in their own order.
    pub(crate) fn over(cluster: &Cluster) -> Self {
        let servers: Vec<&DatabaseServer> =
            (0..=cluster.replicas().len()).map(|number| cluster.server(number)).collect();
        Self::open(&options(&servers)).unwrap()
    }

    pub(crate) fn open(options: &Options) -> Result<Self, Error> {
        let schema = schema();
        let database = Database::open(options)?;
        database.apply(&database.plan(&schema)?, &schema, &schema.snapshot(), &Allow::default())?;
        let store = MySqlStore::start(database, Arc::clone(&schema), Arc::new(Codecs::new(&schema)))?;
        let engine = Engine::new(schema, Arc::clone(&store) as _, EngineOptions::default())?;
        Ok(Self { store, engine })
    }

    /// Waits until every server is what these say.
    pub(crate) fn settle(&self, expected: &[Role]) {
        let roles = || self.store.servers().iter().map(|server| server.role).collect::<Vec<Role>>();
        let started = Instant::now();
        while roles() != expected {
            assert!(started.elapsed() < Duration::from_secs(30), "{:?} in place of {expected:?}", roles());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Until all replicas are known to contain what the primary does.
    pub(crate) fn settled(product: Product) -> (Cluster, Self) {
        let cluster = Cluster::start(product, 2);
        let lab = Self::over(&cluster);
        lab.settle(&[Role::Primary, Role::Replica, Role::Replica]);
        // One whose age is not known is not read from, whatever a read asks for.
        testkit::wait_until("the age of every server to be known", || {
            lab.store.servers().iter().all(|server| server.staleness.is_some())
        });
        (cluster, lab)
    }

    pub(crate) fn client(&self, freshness: Freshness) -> Client {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        Client {
            engine: self.engine.clone(),
            runtime,
            session: Session::new(freshness, rowkeep_engine::Position::default()),
        }
    }

    /// Reads by server, in the order of their names.
    pub(crate) fn reads(&self) -> Vec<u64> {
        self.store.servers().iter().map(|server| server.reads).collect()
    }
}

impl Client {
    pub(crate) fn put(&self, id: i64, value: i64) -> Result<(), Error> {
        self.put_as(None, id, value)
    }

    /// The same under a request id.
    pub(crate) fn put_as(&self, request_id: Option<&str>, id: i64, value: i64) -> Result<(), Error> {
        let codec = self.engine.codecs().row(ITEM);
        let row = codec.encode(&[Value::Int(id), Value::Int(value)], 0)?;
        let operation = Operation::Update {
            row: row.wire().to_vec().into(),
            mask: None,
            allow_missing: true,
            transforms: Vec::new(),
        };
        let write = Write { entity: ITEM, operation, precondition: Precondition::default(), path: String::new() };
        let deadline = Some(Instant::now() + Duration::from_secs(10));
        let request_id = request_id.map(str::to_owned);
        let request = CommitRequest { writes: vec![write], request_id, deadline, ..CommitRequest::default() };
        self.runtime.block_on(self.engine.commit(request, &self.session)).map(drop)
    }

    /// The value; `None` if there is no such row.
    pub(crate) fn get(&self, id: i64) -> Result<Option<i64>, Error> {
        let found = self.engine.batch_get(ITEM, &[Key::one(Value::Int(id))], &self.session);
        let record = self.runtime.block_on(found)?.pop().flatten();
        let value = |record: rowkeep_record::Record| self.engine.codecs().row(ITEM).decode(record.wire()).unwrap();
        Ok(record.map(|record| match value(record).values[1] {
            Value::Int(value) => value,
            _ => panic!("a value that is no number"),
        }))
    }

    /// The same client, reading otherwise.
    pub(crate) fn reading(mut self, freshness: Freshness) -> Self {
        self.session = Session::new(freshness, self.session.seen());
        self
    }
}
