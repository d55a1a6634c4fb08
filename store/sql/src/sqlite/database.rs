//! The data file, opened and checked.

use std::path::{Path, PathBuf};

use kit_core::Error;
use rusqlite::Connection;

use super::changes::ChangeOptions;
use super::connect::{DirectoryLock, MAPPED_BYTES, Role, check_header, check_owner, connect, file, lock, memory};
use super::errors::failed;
use super::{backup, left_out, meta};

/// How a data directory is opened.
#[derive(Debug, Clone)]
pub struct OpenOptions {
    /// The data directory; made if it is missing.
    pub directory: PathBuf,
    /// After a crash a file up to this size is checked before it is served.
    pub check_up_to: u64,
    /// Rows are about to be loaded: indexes that a broken-off load left out stay out until they are. Otherwise they are
    /// made first.
    pub to_load: bool,
    /// How much of the log of changes is kept.
    pub changes: ChangeOptions,
}

impl OpenOptions {
    /// With the defaults.
    pub fn new(directory: impl Into<PathBuf>) -> Self {
        Self { directory: directory.into(), check_up_to: 1 << 30, to_load: false, changes: ChangeOptions::default() }
    }
}

/// The data file of a directory, locked against other processes.
#[derive(Debug)]
pub struct Database {
    pub(super) lock: DirectoryLock,
    pub(super) connection: Connection,
    pub(super) path: PathBuf,
    pub(super) changes: ChangeOptions,
    crashed: bool,
}

impl Database {
    /// Takes the directory's lock and opens its file, making both if they are missing.
    ///
    /// # Errors
    /// `FAILED_PRECONDITION` if the directory cannot be used, is in use, or holds something else; `DATA_LOSS` if the
    /// file is corrupt.
    pub fn open(options: &OpenOptions) -> Result<Self, Error> {
        let lock = lock(&options.directory)?;
        let path = file(&options.directory);
        check_header(&path)?;
        let connection = connect(&path, Role::Writer).map_err(|error| name_file(error, &path))?;
        let opened = check(&connection, &path, options.check_up_to).and_then(|crashed| {
            if !options.to_load {
                left_out::make_each(&connection)?;
                memory(&connection, MAPPED_BYTES, Role::Writer.cache_kib()).map_err(failed)?;
            }
            Ok(crashed)
        });
        let crashed = opened.map_err(|error| name_file(error, &path))?;
        Ok(Self { lock, connection, path, changes: options.changes, crashed })
    }

    /// Whether the last process to use it was killed.
    pub fn crashed(&self) -> bool {
        self.crashed
    }

    /// Path of the data file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }
}

/// Recovers what a crash left, makes the store's own tables, and checks the pages where a crash gives reason to.
fn check(connection: &Connection, path: &Path, check_up_to: u64) -> Result<bool, Error> {
    // What the log holds may be newer than the header that was looked at before.
    let number = |sql: &str| connection.query_row(sql, [], |row| row.get::<_, i32>(0)).map_err(failed);
    if number("SELECT count(*) FROM sqlite_schema")? == 0 {
        meta::create(connection).map_err(failed)?;
    }
    check_owner(path, number("PRAGMA application_id")?, number("PRAGMA user_version")?)?;
    let crashed = meta::get(connection, meta::RUNNING).map_err(failed)?.is_some();
    if crashed {
        let size = std::fs::metadata(path).map_or(0, |metadata| metadata.len());
        if size <= check_up_to {
            backup::check(connection)?;
        }
        tracing::info!(checked = size <= check_up_to, "recovered after an unclean stop");
    }
    Ok(crashed)
}

/// An error that says which file is corrupt, and what to do.
pub(super) fn name_file(error: Error, path: &Path) -> Error {
    if error.reason() != "STORAGE_CORRUPT" {
        return error;
    }
    let message = format!(
        "{} is corrupt: put a backup in its place (`rowkeep backup` makes them) and remove the files beside it that end in -wal and -shm",
        path.display()
    );
    Error::new(error.code(), "STORAGE_CORRUPT", message).with_source(error)
}
