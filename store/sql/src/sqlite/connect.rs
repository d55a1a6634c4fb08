//! Opening the data directory: the lock, the checks, the settings of a connection.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use kit_core::{Code, Error};
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};

use super::errors::failed;
use super::meta;

/// Name of the data file in the data directory.
pub const FILE_NAME: &str = "rowkeep.sqlite";
const LOCK_NAME: &str = "rowkeep.lock";

/// Pages are read where the file lies in memory: no copy and no system call per page, also for files larger than any
/// cache. The price is that a disk that fails during a read ends the process.
pub(super) const MAPPED_BYTES: i64 = 1 << 40;

/// The pages of a mapped file count as the process's own once they were read. Who goes through a whole file does not map
/// it, so that memory stays flat however long the file is.
pub(super) const UNMAPPED: i64 = 0;

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Writer,
    Reader,
    Checkpointer,
}

impl Role {
    /// KiB. Readers work on mapped pages; their own cache holds what is still in the write-ahead log.
    pub(super) const fn cache_kib(self) -> i64 {
        match self {
            Self::Writer => 16 * 1024,
            Self::Reader => 2 * 1024,
            Self::Checkpointer => 64,
        }
    }
}

/// The right to use a data directory; released when dropped, also by a crash.
#[derive(Debug)]
pub(crate) struct DirectoryLock {
    _file: File,
}

/// Makes the directory if it is missing and takes its lock.
pub(crate) fn lock(directory: &Path) -> Result<DirectoryLock, Error> {
    std::fs::create_dir_all(directory).map_err(|error| unusable(directory, &error))?;
    let path = directory.join(LOCK_NAME);
    let mut options = OpenOptions::new();
    let mut file = options
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(|error| unusable(directory, &error))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(in_use(directory, &mut file)),
        Err(TryLockError::Error(error)) => return Err(unusable(directory, &error)),
    }
    // Only for the message of the one who comes second: the lock is the file's, not its text's.
    let written = file.set_len(0).and_then(|()| write!(file, "{}", std::process::id()));
    written.map_err(|error| unusable(directory, &error))?;
    Ok(DirectoryLock { _file: file })
}

fn in_use(directory: &Path, file: &mut File) -> Error {
    let mut holder = String::new();
    let read = file.rewind().and_then(|()| file.read_to_string(&mut holder));
    let holder = match read {
        Ok(_) if !holder.is_empty() => format!(" (process {holder})"),
        _ => String::new(),
    };
    let message = format!(
        "{} is in use by another rowkeep{holder}; stop it, or choose another directory with --data",
        directory.display()
    );
    Error::new(Code::FailedPrecondition, "DATA_IN_USE", message)
}

fn unusable(directory: &Path, error: &std::io::Error) -> Error {
    use std::io::ErrorKind;
    let directory = directory.display();
    let (reason, message) = match error.kind() {
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => (
            "DATA_READ_ONLY",
            format!("{directory} cannot be written to ({error}); choose another directory with --data"),
        ),
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => ("DISK_FULL", format!("the disk of {directory} is full")),
        _ => ("DATA_UNUSABLE", format!("{directory} cannot be used: {error}")),
    };
    Error::new(Code::FailedPrecondition, reason, message)
}

/// Path of the data file.
pub(crate) fn file(directory: &Path) -> PathBuf {
    directory.join(FILE_NAME)
}

/// Refuses files that are not the store's, before SQLite changes anything in them.
pub(crate) fn check_header(path: &Path) -> Result<(), Error> {
    let mut header = [0; 100];
    match File::open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(unusable(path, &error)),
        Ok(mut file) => {
            let length = file.metadata().map_err(|error| unusable(path, &error))?.len();
            if length == 0 {
                return Ok(());
            }
            if file.read_exact(&mut header).is_err() {
                return Err(foreign(path, "is not an SQLite file"));
            }
        }
    }
    if &header[..16] != b"SQLite format 3\0" {
        return Err(foreign(path, "is not an SQLite file, or its first page is lost; restore it from a backup"));
    }
    let number = |at: usize| i32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
    let (changes, format, application) = (number(40), number(60), number(68));
    // A new file that was not finished has none of them yet.
    if (application, format, changes) == (0, 0, 0) { Ok(()) } else { check_owner(path, application, format) }
}

/// Refuses files of other programs and of newer versions.
pub(crate) fn check_owner(path: &Path, application: i32, format: i32) -> Result<(), Error> {
    if application != meta::APPLICATION_ID {
        return Err(foreign(path, "belongs to another program"));
    }
    if format > meta::FORMAT {
        let why = format!("has format {format}, which a newer rowkeep wrote; this one reads up to {}", meta::FORMAT);
        return Err(foreign(path, &why));
    }
    Ok(())
}

fn foreign(path: &Path, why: &str) -> Error {
    Error::new(Code::FailedPrecondition, "FOREIGN_FILE", format!("{} {why}", path.display()))
}

/// A connection with its settings.
pub(crate) fn connect(path: &Path, role: Role) -> Result<Connection, Error> {
    let mut flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    if role == Role::Writer {
        flags |= OpenFlags::SQLITE_OPEN_CREATE;
    }
    let connection = Connection::open_with_flags(path, flags).map_err(failed)?;
    settings(&connection, role).map_err(failed)?;
    Ok(connection)
}

/// How much of the file a connection maps, and how much it copies into its own cache.
pub(super) fn memory(connection: &Connection, mapped_bytes: i64, cache_kib: i64) -> rusqlite::Result<()> {
    connection.pragma_update(None, "mmap_size", mapped_bytes)?;
    connection.pragma_update(None, "cache_size", -cache_kib)
}

fn settings(connection: &Connection, role: Role) -> rusqlite::Result<()> {
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    connection.set_prepared_statement_cache_capacity(4096);
    let set = |name: &str, value: i64| connection.pragma_update(None, name, value);
    if role == Role::Writer {
        let mode: String = connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))?;
        debug_assert_eq!(mode, "wal");
        // A commit is acknowledged once the log is flushed.
        connection.pragma_update(None, "synchronous", "full")?;
        set("journal_size_limit", 64 << 20)?;
    }
    if role == Role::Reader {
        set("query_only", 1)?;
    }
    set("wal_autocheckpoint", 0)?;
    set("foreign_keys", 0)?;
    memory(connection, MAPPED_BYTES, role.cache_kib())?;
    // Rows that are sorted for an index may be too many for memory, where they would all be kept. Reads sort pages.
    set("temp_store", if role == Role::Writer { 1 } else { 2 })?;
    // A schema that was tampered with cannot run functions with side effects.
    set("trusted_schema", 0)?;
    // Plans follow from the text alone: otherwise a statement is compiled anew for each value that is bound to it.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    // Before a damaged page is written back it is found out. Reading would pay a quarter of its time for the same.
    set("cell_size_check", i64::from(role != Role::Reader))
}
