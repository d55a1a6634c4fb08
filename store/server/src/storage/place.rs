//! Where data lies, and the store that serves it.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use kit_core::Error;
use rowkeep_engine::Rows;
use rowkeep_record::Codecs;
use rowkeep_schema::Schema;
use rowkeep_sql::mysql::{self, MySqlStore};
use rowkeep_sql::sqlite::{self, ChangeOptions, OpenOptions, SqliteStore};
use rowkeep_sql::{Allow, Plan, Preview};

use crate::keys::Secret;

/// Where data lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In a file in this directory, with so much of its log of changes.
    Directory(PathBuf, ChangeOptions),
    /// In a database of this MySQL or MariaDB server, and its replicas.
    Server(Box<mysql::Options>),
}

/// For people; never with a password.
impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(directory, _) => directory.join(sqlite::FILE_NAME).display().fmt(f),
            Self::Server(options) => options.address.fmt(f),
        }
    }
}

impl Place {
    /// What a schema would change; changes nothing.
    pub(super) fn preview(&self, schema: &Schema) -> Result<Preview, Error> {
        match self {
            Self::Directory(directory, _) => sqlite::preview(directory, schema),
            Self::Server(options) => mysql::preview(options, schema),
        }
    }

    /// Opens it for this process alone, or, on a server, for its migration alone. `to_load`: for a load that may go on.
    pub(super) fn open(&self, to_load: bool) -> Result<Database, Error> {
        Ok(match self {
            Self::Directory(directory, changes) => {
                let options = OpenOptions { to_load, changes: *changes, ..OpenOptions::new(directory) };
                Database::Sqlite(sqlite::Database::open(&options)?, directory.clone())
            }
            Self::Server(options) => Database::MySql(Box::new(mysql::Database::open(options)?)),
        })
    }
}

/// Opened data that is not served yet.
pub(super) enum Database {
    Sqlite(sqlite::Database, PathBuf),
    MySql(Box<mysql::Database>),
}

impl Database {
    pub(super) fn applied_schema(&self) -> Result<Option<Vec<u8>>, Error> {
        match self {
            Self::Sqlite(database, _) => database.applied_schema(),
            Self::MySql(database) => database.applied_schema(),
        }
    }

    pub(super) fn plan(&self, schema: &Schema) -> Result<Plan, Error> {
        match self {
            Self::Sqlite(database, _) => database.plan(schema),
            Self::MySql(database) => database.plan(schema),
        }
    }

    pub(super) fn apply(&self, plan: &Plan, schema: &Schema, snapshot: &[u8], allow: &Allow) -> Result<(), Error> {
        match self {
            Self::Sqlite(database, _) => database.apply(plan, schema, snapshot, allow),
            Self::MySql(database) => database.apply(plan, schema, snapshot, allow),
        }
    }

    /// What page tokens and sessions are authenticated with.
    pub(super) fn secret(&self) -> Result<Secret, Error> {
        match self {
            Self::Sqlite(_, directory) => Secret::of(directory),
            Self::MySql(database) => database.secret().map(Secret::from),
        }
    }

    pub(super) fn serve(self, schema: &Arc<Schema>) -> Result<Store, Error> {
        let codecs = Arc::new(Codecs::new(schema));
        Ok(match self {
            Self::Sqlite(database, _) => Store::Sqlite(SqliteStore::start(database, Arc::clone(schema), codecs)?),
            Self::MySql(database) => Store::MySql(MySqlStore::start(*database, Arc::clone(schema), codecs)?),
        })
    }
}

/// A store that serves.
#[derive(Debug, Clone)]
pub(crate) enum Store {
    Sqlite(Arc<SqliteStore>),
    MySql(Arc<MySqlStore>),
}

impl Store {
    pub(super) fn rows(&self) -> Arc<dyn Rows> {
        match self {
            Self::Sqlite(store) => Arc::clone(store) as _,
            Self::MySql(store) => Arc::clone(store) as _,
        }
    }

    pub(super) fn stop(&self) {
        match self {
            Self::Sqlite(store) => store.stop(),
            Self::MySql(store) => store.stop(),
        }
    }
}
