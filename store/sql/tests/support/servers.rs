//! One server of a product for all tests of a process, and a database of its own for each.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use rowkeep_engine::conformance::schema;
use rowkeep_mysql::Connection;
use rowkeep_record::Codecs;
use rowkeep_sql::Allow;
use rowkeep_sql::mysql::{Database, MySqlStore, Options};
use testkit::{DatabaseServer, Product};

/// What is written need not survive the server.
const FAST: [&str; 4] =
    ["--innodb-flush-log-at-trx-commit=0", "--sync-binlog=0", "--innodb-doublewrite=0", "--skip-log-bin"];

/// The server that a test executable talks to: the first caller's product.
pub(crate) fn server(product: Product) -> &'static DatabaseServer {
    static SERVER: OnceLock<DatabaseServer> = OnceLock::new();
    let server = SERVER.get_or_init(|| DatabaseServer::start_with(product, &FAST));
    assert_eq!(server.product(), product, "a test executable has one server");
    server
}

/// An empty database with the tables of the suite's schema; emptied and used again by another test.
pub(crate) struct Lease {
    product: Product,
    name: String,
}

/// Databases that no test uses now.
static FREE: Mutex<Vec<String>> = Mutex::new(Vec::new());

impl Lease {
    pub(crate) fn new(product: Product) -> Self {
        let free = FREE.lock().unwrap_or_else(PoisonError::into_inner).pop();
        Self { product, name: free.unwrap_or_else(|| make(product)) }
    }

    pub(crate) fn url(&self) -> String {
        server(self.product).url_of(&self.name)
    }
}

/// An empty store of the suite's schema, and its database.
pub(crate) fn store(product: Product) -> (Arc<MySqlStore>, Lease) {
    let lease = Lease::new(product);
    let schema = schema();
    let database = Database::open(&options(&lease.url())).unwrap();
    let plan = database.plan(&schema).unwrap();
    database.apply(&plan, &schema, b"snapshot", &Allow::default()).unwrap();
    let store = MySqlStore::start(database, Arc::clone(&schema), Arc::new(Codecs::new(&schema))).unwrap();
    (store, lease)
}

pub(crate) fn options(url: &str) -> Options {
    let mut options = Options::new(url.parse().unwrap());
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
        let empty: Vec<String> = used.iter().map(|table| format!("TRUNCATE `{table}`")).collect();
        run(self.product, &self.name, &empty);
        FREE.lock().unwrap_or_else(PoisonError::into_inner).push(std::mem::take(&mut self.name));
    }
}
