//! A copy of every row that is made of the log of changes alone, and held against what reads answer.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use rowkeep_engine::{
    Access, AccessPath, ChangeStream, Committed, Place, Rows, Scan, Session, Since, Stored, Told, View,
};
use rowkeep_mysql::Connection;
use rowkeep_record::{Codecs, Key};
use rowkeep_schema::{Entity, EntityId, Schema};
use rowkeep_sql::mysql::MySqlStore;
use testkit::{DatabaseServer, Product};

/// Everything is seen.
const ALL: View = View { now: 0, deleted: true };
/// What is written need not survive the server.
const FAST: [&str; 3] = ["--innodb-flush-log-at-trx-commit=0", "--sync-binlog=0", "--innodb-doublewrite=0"];

/// A server whose log the usual user may follow, for all tests of a process.
pub(crate) fn server(product: Product) -> &'static DatabaseServer {
    static MARIADB: OnceLock<DatabaseServer> = OnceLock::new();
    static MYSQL: OnceLock<DatabaseServer> = OnceLock::new();
    let server = match product {
        Product::MariaDb => &MARIADB,
        Product::MySql => &MYSQL,
    };
    server.get_or_init(|| {
        let server = DatabaseServer::start_with(product, &FAST);
        allow(&server);
        server
    })
}

/// Lets the usual user follow the log.
pub(crate) fn allow(server: &DatabaseServer) {
    server.admin("SET sql_log_bin = 0; GRANT REPLICATION SLAVE ON *.* TO app@'127.0.0.1'");
}

pub(crate) fn wait<T>(reply: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
        tokio::time::timeout(Duration::from_secs(60), reply).await.expect("an answer within a minute")
    })
}

/// What was told, and the rows that it makes.
pub(crate) struct Mirror {
    store: Arc<MySqlStore>,
    schema: Arc<Schema>,
    codecs: Codecs,
    stream: Box<dyn ChangeStream>,
    pub(crate) rows: BTreeMap<(EntityId, Key), Stored>,
    /// Entities whose rows may be others than those here.
    pub(crate) rewritten: Vec<Option<EntityId>>,
    pub(crate) commits: Vec<Arc<Committed>>,
    /// Behind the last whole commit.
    pub(crate) place: Option<Place>,
    pub(crate) histories: Vec<u128>,
    current: Option<Instant>,
}

impl Mirror {
    /// Of what is written from now on.
    pub(crate) fn now(store: &Arc<MySqlStore>, schema: &Arc<Schema>) -> Self {
        Self::since(store, schema, Since::Now).unwrap()
    }

    pub(crate) fn since(store: &Arc<MySqlStore>, schema: &Arc<Schema>, since: Since) -> Result<Self, kit_core::Error> {
        let log = store.changes().expect("a log that may be followed");
        Ok(Self {
            store: Arc::clone(store),
            schema: Arc::clone(schema),
            codecs: Codecs::new(schema),
            stream: wait(log.follow(since))?,
            rows: BTreeMap::new(),
            rewritten: Vec::new(),
            commits: Vec::new(),
            place: None,
            histories: Vec::new(),
            current: None,
        })
    }

    /// Goes on behind the last commit with a new follower.
    pub(crate) fn follow_again(&mut self) {
        let log = self.store.changes().unwrap();
        let place = self.place.clone().expect("something was told");
        self.stream = wait(log.follow(Since::Place(place))).unwrap();
        self.current = None;
    }

    /// Takes in what comes next.
    pub(crate) fn more(&mut self) -> Result<(), kit_core::Error> {
        for told in wait(self.stream.next())? {
            self.take(told);
        }
        Ok(())
    }

    fn take(&mut self, told: Told) {
        match told {
            Told::Begin(begin) => {
                self.histories.push(begin.history);
                self.place = Some(begin.place);
            }
            Told::Commit(commit) => {
                for change in &commit.changes {
                    let entity = self.schema.entity(change.entity);
                    if let Some(before) = &change.before {
                        let had = self.rows.remove(&(entity.id, key(entity, before)));
                        if !self.is_rewritten(entity.id) {
                            assert_eq!(had.as_ref(), Some(before), "{} before a change", entity.name);
                        }
                    }
                    if let Some(after) = &change.after {
                        let had = self.rows.insert((entity.id, key(entity, after)), after.clone());
                        assert!(had.is_none() || self.is_rewritten(entity.id), "{} was there already", entity.name);
                    }
                }
                if !commit.more {
                    self.place = Some(commit.place.clone());
                }
                self.commits.push(commit);
            }
            Told::Rewritten { entity, place, more } => {
                if !more {
                    self.place = Some(place);
                }
                self.rewritten.push(entity);
            }
            Told::Current { moment, .. } => self.current = Some(moment),
        }
    }

    /// The entity of a table.
    pub(crate) fn entity(&self, table: &str) -> EntityId {
        let found = self.schema.entities.iter().find(|entity| entity.table == table);
        found.expect("a table of the schema").id
    }

    fn is_rewritten(&self, entity: EntityId) -> bool {
        self.rewritten.iter().any(|rewritten| rewritten.is_none_or(|rewritten| rewritten == entity))
    }

    /// Until everything that was acknowledged by now is told.
    pub(crate) fn catch_up(&mut self) {
        let now = Instant::now();
        while self.current.is_none_or(|current| current < now) {
            self.more().unwrap();
        }
    }

    /// Compares with what reads answer; how many rows there are.
    pub(crate) fn check(&mut self) -> usize {
        self.catch_up();
        let schema = Arc::clone(&self.schema);
        schema.entities.iter().map(|entity| self.check_entity(entity)).sum()
    }

    fn check_entity(&self, entity: &Entity) -> usize {
        let read = wait(self.store.scan(&everything(entity), &Session::strong())).unwrap();
        if self.is_rewritten(entity.id) {
            return read.len();
        }
        let codec = self.codecs.row(entity.id);
        let mirrored = self.rows.iter().filter(|((of, _), _)| *of == entity.id);
        let mut mirrored: Vec<(u64, Vec<u8>)> = mirrored
            .map(|(_, row)| (row.version, codec.encode(&row.values, row.version).unwrap().wire().to_vec()))
            .collect();
        let mut found: Vec<(u64, Vec<u8>)> =
            read.iter().map(|record| (record.version(), record.wire().to_vec())).collect();
        if !entity.versioned {
            // What a read answers is made of the row's content.
            mirrored.iter_mut().chain(&mut found).for_each(|(version, _)| *version = 0);
        }
        mirrored.sort();
        found.sort();
        assert_eq!(mirrored, found, "{}: the log on the left, reads on the right", entity.name);
        found.len()
    }
}

fn key(entity: &Entity, row: &Stored) -> Key {
    entity.primary_key.iter().map(|column| row.values[column.index()].clone()).collect()
}

fn everything(entity: &Entity) -> Scan {
    Scan {
        entity: entity.id,
        filter: None,
        order: Arc::new(entity.primary_key.iter().map(|column| (*column, false)).collect()),
        after: None,
        limit: 1_000_000,
        max_bytes: usize::MAX,
        access: Access { path: AccessPath::Primary, bound: 0, sorted: true, backward: false },
        view: ALL,
        deadline: None,
    }
}

/// A mirror that is compared with the store when the test is over.
pub(crate) struct Held {
    mirror: Mutex<Mirror>,
    database: (Product, String),
}

/// Databases that no test uses now.
static FREE: Mutex<Vec<(Product, String)>> = Mutex::new(Vec::new());

/// An empty store of the suite's schema with a mirror of it.
pub(crate) fn store(product: Product) -> (Arc<MySqlStore>, Held) {
    let name = database(product);
    let store = super::servers::open(server(product).url_of(&name).parse().unwrap());
    let mirror = Mirror::now(&store, &rowkeep_engine::conformance::schema());
    (store, Held { mirror: Mutex::new(mirror), database: (product, name) })
}

fn database(product: Product) -> String {
    static MADE: Mutex<u32> = Mutex::new(0);
    let mut free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(at) = free.iter().position(|(of, _)| *of == product) {
        return free.swap_remove(at).1;
    }
    drop(free);
    let mut made = MADE.lock().unwrap();
    *made += 1;
    let name = format!("test_mirror_{made}");
    server(product).admin(&format!("CREATE DATABASE {name} CHARACTER SET utf8mb4"));
    name
}

impl Drop for Held {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        self.mirror.get_mut().unwrap_or_else(PoisonError::into_inner).check();
        empty(self.database.0, &self.database.1);
        FREE.lock().unwrap_or_else(PoisonError::into_inner).push(self.database.clone());
    }
}

/// Removes all rows, and what else of one test another would notice.
fn empty(product: Product, name: &str) {
    let address = server(product).url_of(name).parse().unwrap();
    wait(async {
        let mut connection = Connection::open(&address).await.unwrap();
        let list = "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() \
                    AND TABLE_NAME NOT IN ('rowkeep_meta')";
        let tables = connection.query(list).await.unwrap();
        for table in tables.into_iter().flatten().flatten() {
            connection.command(&format!("TRUNCATE `{table}`")).await.unwrap();
        }
        connection.command("DELETE FROM rowkeep_meta WHERE name = 'version_floor'").await.unwrap();
    });
}
