//! One server of each product for all tests of a process, and a database of its own for each.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rowkeep_engine::conformance::schema;
use rowkeep_mysql::Connection;
use rowkeep_record::Codecs;
use rowkeep_sql::Allow;
use rowkeep_sql::mysql::{Address, Database, MySqlStore, Options};
use testkit::{DatabaseServer, Product};

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

/// An empty database with the tables of the suite's schema; emptied and used again by another test.
pub(crate) struct Lease {
    product: Product,
    name: String,
}

/// Databases that no test uses now.
static FREE: Mutex<Vec<(Product, String)>> = Mutex::new(Vec::new());

fn free(product: Product) -> Option<String> {
    let mut free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
    let at = free.iter().position(|(of, _)| *of == product)?;
    Some(free.swap_remove(at).1)
}

impl Lease {
    pub(crate) fn new(product: Product) -> Self {
        Self { product, name: free(product).unwrap_or_else(|| make(product)) }
    }

    pub(crate) fn url(&self) -> String {
        server(self.product).url_of(&self.name)
    }
}

/// An empty store of the suite's schema, and its database.
pub(crate) fn store(product: Product) -> (Arc<MySqlStore>, Lease) {
    let lease = Lease::new(product);
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

pub(crate) fn make(product: Product) -> String {
    static MADE: Mutex<u32> = Mutex::new(0);
    let mut made = MADE.lock().unwrap();
    *made += 1;
    let name = format!("test_{made}");
    run(product, "test", &[format!("CREATE DATABASE {name} CHARACTER SET utf8mb4")]);
    name
}

/// Runs statements on a connection of their own; the first column of what they answer.
pub(crate) fn run(product: Product, database: &str, statements: &[String]) -> Vec<String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut connection = Connection::open(&server(product).url_of(database).parse().unwrap()).await.unwrap();
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
        // A test that failed may have left anything; nobody else gets it.
        if std::thread::panicking() {
            return;
        }
        let list = "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() \
                    AND TABLE_NAME NOT IN ('rowkeep_meta')";
        let tables = run(self.product, &self.name, &[list.to_owned()]);
        let used: Vec<String> = tables.iter().map(|t| format!("SELECT '{t}' FROM `{t}` LIMIT 1")).collect();
        let counted = schema();
        let counted = counted.entities.iter().filter(|entity| {
            entity.columns.iter().any(|column| column.generated == Some(rowkeep_schema::Generated::AutoIncrement))
        });
        let mut used = run(self.product, &self.name, &used);
        used.extend(counted.map(|entity| entity.table.clone()));
        let mut empty: Vec<String> = used.iter().map(|table| format!("TRUNCATE `{table}`")).collect();
        empty.push("DELETE FROM rowkeep_meta WHERE name = 'version_floor'".to_owned());
        run(self.product, &self.name, &empty);
        let name = std::mem::take(&mut self.name);
        FREE.lock().unwrap_or_else(PoisonError::into_inner).push((self.product, name));
    }
}
