//! One server of each kind for all tests of a process, and a database of its own for each.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rowkeep_engine::conformance::schema;
use rowkeep_mysql::Connection;
use rowkeep_record::Codecs;
use rowkeep_sql::Allow;
use rowkeep_sql::mysql::{Address, Database, MySqlStore, Options};
use testkit::{Cluster, DatabaseServer, Group, Product, Vitess};

/// What is written need not survive the server.
const FAST: [&str; 4] =
    ["--innodb-flush-log-at-trx-commit=0", "--sync-binlog=0", "--innodb-doublewrite=0", "--skip-log-bin"];

pub(crate) fn server(product: Product) -> &'static DatabaseServer {
    static MARIADB: OnceLock<DatabaseServer> = OnceLock::new();
    static MYSQL: OnceLock<DatabaseServer> = OnceLock::new();
    let server = match product {
        Product::MariaDb => &MARIADB,
        Product::MySql => &MYSQL,
    };
    server.get_or_init(|| DatabaseServer::start_with(product, &FAST))
}

/// Where a test's database lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Home {
    /// In a single server.
    Server(Product),
    /// In a primary of this product with two replicas.
    Cluster(Product),
    /// In three members of MySQL's Group Replication.
    Group,
    /// In a keyspace of Vitess that has one shard.
    Vitess,
    /// In one of two shards.
    Shards,
}

/// Keyspaces of a kind: as many as tests run at once on a large machine, because they are made with the gateway.
const KEYSPACES: u32 = 4;

impl From<Product> for Home {
    fn from(product: Product) -> Self {
        Self::Server(product)
    }
}

impl Home {
    /// Whether there are only as many databases as were made at the start.
    fn is_counted(self) -> bool {
        matches!(self, Self::Vitess | Self::Shards)
    }

    pub(crate) fn url_of(self, database: &str) -> String {
        self.primary().map_or_else(|| vitess().url_of(database), |server| server.url_of(database))
    }

    /// For a user who may do what the docs say is needed, where there are users.
    fn least_url_of(self, database: &str) -> String {
        self.primary().map_or_else(|| vitess().url_of(database), |server| server.least_url_of(database))
    }

    fn primary(self) -> Option<&'static DatabaseServer> {
        match self {
            Self::Server(product) => Some(server(product)),
            Self::Cluster(product) => Some(cluster(product).server(0)),
            Self::Group => Some(group().server(group().primary())),
            Self::Vitess | Self::Shards => None,
        }
    }
}

pub(crate) fn vitess() -> &'static Vitess {
    static VITESS: OnceLock<Vitess> = OnceLock::new();
    VITESS.get_or_init(|| Vitess::start(KEYSPACES, KEYSPACES))
}

pub(crate) fn cluster(product: Product) -> &'static Cluster {
    static MARIADB: OnceLock<Cluster> = OnceLock::new();
    static MYSQL: OnceLock<Cluster> = OnceLock::new();
    let cluster = match product {
        Product::MariaDb => &MARIADB,
        Product::MySql => &MYSQL,
    };
    cluster.get_or_init(|| Cluster::start(product, 2))
}

pub(crate) fn group() -> &'static Group {
    static GROUP: OnceLock<Group> = OnceLock::new();
    GROUP.get_or_init(Group::start)
}

/// An empty database with the tables of the suite's schema; emptied and used again by another test.
pub(crate) struct Lease {
    home: Home,
    name: String,
}

/// Databases that no test uses now.
static FREE: Mutex<Vec<(Home, String)>> = Mutex::new(Vec::new());

fn free(home: Home) -> Option<String> {
    let mut free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
    let at = free.iter().position(|(of, _)| *of == home)?;
    Some(free.swap_remove(at).1)
}

impl Lease {
    pub(crate) fn new(home: impl Into<Home>) -> Self {
        let home = home.into();
        Self { home, name: free(home).unwrap_or_else(|| make(home)) }
    }

    pub(crate) fn url(&self) -> String {
        self.home.least_url_of(&self.name)
    }

    /// The addresses of the replicas, if there are any.
    pub(crate) fn replicas(&self) -> Vec<String> {
        match self.home {
            Home::Cluster(product) => {
                let cluster = cluster(product);
                cluster.replicas().into_iter().map(|number| cluster.server(number).least_url_of(&self.name)).collect()
            }
            Home::Group => {
                let group = group();
                group.secondaries().into_iter().map(|number| group.server(number).url_of(&self.name)).collect()
            }
            _ => Vec::new(),
        }
    }
}

/// An empty store of the suite's schema, and its database.
pub(crate) fn store(home: impl Into<Home>) -> (Arc<MySqlStore>, Lease) {
    let lease = Lease::new(home);
    (open(lease.url().parse().unwrap()), lease)
}

/// A store of the suite's schema in a database, which is migrated if it has to be.
pub(crate) fn open(address: Address) -> Arc<MySqlStore> {
    let schema = schema();
    let database = Database::open(&of(address)).unwrap();
    let plan = database.plan(&schema).unwrap();
    database.apply(&plan, &schema, b"snapshot", &Allow::default()).unwrap();
    MySqlStore::start(database, Arc::clone(&schema), Arc::new(Codecs::new(&schema))).unwrap()
}

pub(crate) fn options(url: &str) -> Options {
    of(url.parse().unwrap())
}

fn of(address: Address) -> Options {
    let mut options = Options::new(address);
    options.write_connections = 8;
    options
}

pub(crate) fn make(home: impl Into<Home>) -> String {
    static MADE: Mutex<u32> = Mutex::new(0);
    let home = home.into();
    let number = {
        let mut made = MADE.lock().unwrap();
        *made += 1;
        *made
    };
    let name = match home {
        Home::Shards => format!("test_sharded_{number}"),
        _ => format!("test_{number}"),
    };
    if home.is_counted() {
        assert!(number <= KEYSPACES, "run with --test-threads={KEYSPACES}");
        return name;
    }
    run(home, "test", &[format!("CREATE DATABASE {name} CHARACTER SET utf8mb4")]);
    name
}

/// Runs statements on a connection of their own; the first column of what they answer.
pub(crate) fn run(home: impl Into<Home>, database: &str, statements: &[String]) -> Vec<String> {
    let address = home.into().url_of(database).parse().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut connection = Connection::open(&address).await.unwrap();
        let mut answered = Vec::new();
        for sql in statements {
            let rows = connection.query(sql).await.unwrap();
            answered.extend(rows.into_iter().filter_map(|row| row.into_iter().next().flatten()));
        }
        connection.close().await;
        answered
    })
}

impl Drop for Lease {
    fn drop(&mut self) {
        // A test that failed may have left anything; nobody else gets it, unless there are no more.
        if std::thread::panicking() && !self.home.is_counted() {
            return;
        }
        let list = "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() \
                    AND TABLE_NAME NOT IN ('rowkeep_meta')";
        let tables = run(self.home, &self.name, &[list.to_owned()]);
        let used: Vec<String> = tables.iter().map(|t| format!("SELECT '{t}' FROM `{t}` LIMIT 1")).collect();
        let counted = schema();
        let counted = counted.entities.iter().filter(|entity| {
            entity.columns.iter().any(|column| column.generated == Some(rowkeep_schema::Generated::AutoIncrement))
        });
        let mut used = run(self.home, &self.name, &used);
        used.extend(counted.map(|entity| entity.table.clone()));
        let mut empty: Vec<String> = used.iter().map(|table| format!("TRUNCATE `{table}`")).collect();
        empty.push("DELETE FROM rowkeep_meta WHERE name = 'version_floor'".to_owned());
        run(self.home, &self.name, &empty);
        if let Home::Cluster(product) = self.home {
            // Whoever is next has no session yet that would ask for it.
            cluster(product).catch_up();
        }
        let name = std::mem::take(&mut self.name);
        FREE.lock().unwrap_or_else(PoisonError::into_inner).push((self.home, name));
    }
}
