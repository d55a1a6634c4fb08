//! A database that somebody else made, imported and served.

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::sync::Arc;

use rowkeep_engine::conformance::{EngineSurface, Subject};
use rowkeep_engine::{Engine, EngineOptions};
use rowkeep_record::Codecs;
use rowkeep_schema::{Schema, compile_str};
use rowkeep_sql::Allow;
use rowkeep_sql::mysql::{Database, ImportOptions, Imported, MySqlStore, import, preview};

use super::servers::{self, Home};

/// The engine over a database that was imported, and the way around it.
pub(crate) struct Adopted {
    pub(crate) home: Home,
    pub(crate) name: String,
    pub(crate) imported: Imported,
    pub(crate) schema: Arc<Schema>,
    pub(crate) api: Subject,
}

impl Adopted {
    /// Makes a database by a script, imports it, and serves it: with nothing to change, before and after.
    pub(crate) fn new(home: impl Into<Home>, script: &str) -> Self {
        Self::with_keys(home, script, &[])
    }

    /// The same, with keys of what has none.
    pub(crate) fn with_keys(home: impl Into<Home>, script: &str, keys: &[&str]) -> Self {
        let home = home.into();
        let name = made(home, script);
        let keys = keys.iter().map(|key| key.parse().unwrap()).collect();
        let options = servers::options(&home.url_of(&name));
        let imported = import(&options, &ImportOptions { keys, ..ImportOptions::default() }).unwrap();
        let schema = compile_str(&[("import.proto", &imported.proto)]);
        let schema = Arc::new(schema.unwrap_or_else(|mistakes| panic!("{mistakes}\n{}", imported.proto)));
        let plan = || preview(&options, &schema).unwrap().plan;
        assert!(plan().is_empty(), "{}\n{}", plan(), imported.proto);
        let database = Database::open(&options).unwrap();
        database.apply(&database.plan(&schema).unwrap(), &schema, &schema.snapshot(), &Allow::default()).unwrap();
        assert!(plan().is_empty() && plan().drift.is_empty(), "{}", plan());
        let store = MySqlStore::start(database, Arc::clone(&schema), Arc::new(Codecs::new(&schema))).unwrap();
        let engine = Engine::new(Arc::clone(&schema), store, EngineOptions::default()).unwrap();
        Self { home, name, imported, schema, api: Subject::new(EngineSurface::new(engine, ())) }
    }

    /// Runs a statement past rowkeep; the first column of what it answers.
    pub(crate) fn sql(&self, statement: &str) -> Vec<String> {
        servers::run(
            self.home,
            &self.name,
            &["SET NAMES utf8mb4, time_zone = '+00:00'".to_owned(), statement.to_owned()],
        )
    }
}

/// A database that a script made.
pub(crate) fn made(home: impl Into<Home>, script: &str) -> String {
    let home = home.into();
    let name = servers::make(home);
    let address = servers::options(&home.url_of(&name)).address;
    let mut client = Command::new("mariadb");
    client.args(["--no-defaults", "--default-character-set=utf8mb4"]).env("MYSQL_PWD", &address.password);
    client.args([format!("--host={}", address.host), format!("--port={}", address.port)]);
    client.args([format!("--user={}", address.user), name.clone()]).stdin(Stdio::piped());
    let mut client = client.spawn().expect("mariadb (package mariadb-client)");
    client.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    assert!(client.wait().unwrap().success(), "the script failed");
    name
}
