//! A store over one server or several, and rows that are written past it.

use std::sync::Arc;

use rowkeep_engine::{Session, View};
use rowkeep_mysql::Connection;
use rowkeep_record::{Codecs, Key, Value};
use rowkeep_schema::{EntityId, Schema, compile_str};
use rowkeep_sql::Allow;
use rowkeep_sql::mysql::{Address, Database, MySqlStore, Options};
use testkit::{DatabaseServer, Product};

use crate::support::mirror::{self, Mirror, wait};

pub(crate) const ITEM: EntityId = EntityId(0);
pub(crate) const NOTE: EntityId = EntityId(1);

const SCHEMA: &str = r#"
syntax = "proto3";
package lab.v1;
import "rowkeep/v1/options.proto";
message Item {
  option (rowkeep.v1.entity) = {};
  int64 id = 1;
  int64 value = 2;
  string words = 3;
}
message Note {
  option (rowkeep.v1.entity) = {};
  int64 id = 1;
  int64 item = 2;
}
"#;

pub(crate) fn schema() -> Arc<Schema> {
    Arc::new(compile_str(&[("lab.proto", SCHEMA)]).unwrap())
}

/// A server of a test's own, whose log may be followed.
pub(crate) fn server(product: Product, options: &[&str]) -> DatabaseServer {
    let server = DatabaseServer::start_with(product, options);
    mirror::allow(&server);
    server
}

/// A store whose database is these servers', the primary first.
pub(crate) fn store(servers: &[&DatabaseServer]) -> Arc<MySqlStore> {
    store_at(servers.iter().map(|server| server.url().parse().unwrap()).collect())
}

pub(crate) fn store_at(mut addresses: Vec<Address>) -> Arc<MySqlStore> {
    let address = addresses.remove(0);
    let options = Options { replicas: addresses, ..Options::new(address) };
    let (schema, database) = (schema(), Database::open(&options).unwrap());
    database.apply(&database.plan(&schema).unwrap(), &schema, &schema.snapshot(), &Allow::default()).unwrap();
    MySqlStore::start(database, Arc::clone(&schema), Arc::new(Codecs::new(&schema))).unwrap()
}

pub(crate) fn mirror(store: &Arc<MySqlStore>) -> Mirror {
    Mirror::now(store, &schema())
}

/// Writes past the store, as anybody may.
pub(crate) struct Writer {
    connection: Connection,
    runtime: tokio::runtime::Runtime,
}

impl Writer {
    pub(crate) fn new(server: &DatabaseServer) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let address = server.url().parse().unwrap();
        let connection = runtime.block_on(Connection::open(&address)).unwrap();
        Self { connection, runtime }
    }

    pub(crate) fn try_run(&mut self, statement: &str) -> Result<(), rowkeep_mysql::Error> {
        self.runtime.block_on(self.connection.command(statement)).map(drop)
    }

    pub(crate) fn run(&mut self, statements: &[&str]) {
        for statement in statements {
            self.try_run(statement).unwrap_or_else(|error| panic!("{statement}: {error}"));
        }
    }

    /// Adds an item.
    pub(crate) fn add(&mut self, id: i64) -> Result<(), rowkeep_mysql::Error> {
        self.try_run(&insert(id, ""))
    }
}

/// Adds an item.
pub(crate) fn insert(id: i64, words: &str) -> String {
    format!("INSERT INTO items (id, value, words, rowkeep_version) VALUES ({id}, {id}, '{words}', 1)")
}

/// The value of an item, if there is one.
pub(crate) fn value(store: &MySqlStore, id: i64) -> Option<i64> {
    use rowkeep_engine::Rows as _;
    let (view, session) = (View { now: 0, deleted: true }, Session::strong());
    let record = wait(store.get(ITEM, &Key::one(Value::Int(id)), view, &session)).unwrap()?;
    let row = Codecs::new(&schema()).row(ITEM).decode(record.wire()).unwrap();
    match row.values[1] {
        Value::Int(value) => Some(value),
        _ => None,
    }
}

/// The numbers of items that were told to be added, in order.
pub(crate) fn added(mirror: &Mirror) -> Vec<i64> {
    let changes = mirror.commits.iter().flat_map(|commit| &commit.changes);
    let added = changes.filter(|change| change.entity == ITEM && change.before.is_none());
    added
        .filter_map(|change| match change.after.as_ref()?.values[0] {
            Value::Int(id) => Some(id),
            _ => None,
        })
        .collect()
}
