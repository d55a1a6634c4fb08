//! Online backup: a consistent copy while the store works.

use std::path::Path;
use std::time::Duration;

use kit_core::{Code, Error};
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};

use super::changes::forget_log;
use super::connect::{Role, check_header, connect};
use super::database::name_file;
use super::errors::failed;
use super::meta;

/// Pages copied at once: 4 MiB, between which others work.
const STEP: i32 = 1024;

/// Copies the data file at `from` to a new file at `to`, telling how much is left of how many pages.
///
/// The copy is one state of the data, checked, and can be put in place of the data file as it is. It is written under
/// another name first, so that a file at `to` is always whole.
///
/// # Errors
/// `ALREADY_EXISTS` if there is a file at `to`; what the disk says.
pub fn backup(from: &Path, to: &Path, mut progress: impl FnMut(u64, u64)) -> Result<(), Error> {
    if to.exists() {
        let message = format!("{} exists; a backup does not overwrite it", to.display());
        return Err(Error::new(Code::AlreadyExists, "FILE_EXISTS", message));
    }
    let mut name = to.as_os_str().to_owned();
    name.push(".part");
    let part = std::path::PathBuf::from(name);
    let copied = check_header(from)
        .and_then(|()| copy(from, &part, &mut progress))
        .map_err(|error| name_file(error, from))
        .and_then(|()| {
            std::fs::File::open(&part).and_then(|file| file.sync_all()).map_err(|error| unwritable(&part, &error))
        })
        .and_then(|()| std::fs::rename(&part, to).map_err(|error| unwritable(to, &error)));
    if copied.is_err() {
        // What is left of a failed copy is of no use, and its absence no further failure.
        let _ = std::fs::remove_file(&part);
    }
    copied
}

fn copy(from: &Path, to: &Path, progress: &mut impl FnMut(u64, u64)) -> Result<(), Error> {
    if to.exists() {
        std::fs::remove_file(to).map_err(|error| unwritable(to, &error))?;
    }
    let source = connect(from, Role::Reader)?;
    // One snapshot for the whole copy: otherwise every commit would start it over.
    source.execute_batch("BEGIN; SELECT count(*) FROM rowkeep_meta").map_err(failed)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut target = Connection::open_with_flags(to, flags).map_err(failed)?;
    {
        let backup = Backup::new(&source, &mut target).map_err(failed)?;
        loop {
            let step = backup.step(STEP).map_err(failed)?;
            let now = backup.progress();
            progress(u64::try_from(now.remaining).unwrap_or(0), u64::try_from(now.pagecount).unwrap_or(0));
            match step {
                StepResult::Done => break,
                StepResult::More => {}
                _ => std::thread::sleep(Duration::from_millis(10)),
            }
        }
    }
    target.pragma_update(None, "journal_mode", "delete").map_err(failed)?;
    meta::remove(&target, meta::RUNNING).map_err(failed)?;
    // Whoever followed the original would miss what was written to it since.
    forget_log(&target).map_err(failed)?;
    check(&target)
}

/// Whether every page of a file is sound.
pub(super) fn check(connection: &Connection) -> Result<(), Error> {
    let answer: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0)).map_err(failed)?;
    if answer == "ok" {
        return Ok(());
    }
    let message = format!("the data file is corrupt ({answer}); restore it from a backup");
    Err(Error::new(Code::DataLoss, "STORAGE_CORRUPT", message))
}

fn unwritable(path: &Path, error: &std::io::Error) -> Error {
    Error::new(Code::FailedPrecondition, "BACKUP_UNWRITABLE", format!("{}: {error}", path.display()))
}
