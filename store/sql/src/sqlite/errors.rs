//! SQLite's result codes as errors that callers understand, in one table.

use std::time::Duration;

use kit_core::{Applied, Code, Error};
use rusqlite::ErrorCode;

/// Where a call failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum During {
    /// Before the commit: what the transaction wrote is rolled back.
    Statement,
    /// In the commit itself.
    Commit,
}

/// What a failed call means for the request.
pub(crate) fn classify(error: rusqlite::Error, during: During) -> Error {
    let Some(code) = error.sqlite_error_code() else { return Error::internal(error) };
    let answer = match code {
        // A commit that did not fit has no commit record on disk, so it did not happen.
        ErrorCode::DiskFull => Error::new(
            Code::ResourceExhausted,
            "DISK_FULL",
            "the disk that holds the data is full; nothing was written",
        ),
        ErrorCode::SystemIoFailure => {
            let error = Error::new(Code::Unavailable, "STORAGE_IO", "the disk that holds the data failed");
            // The record may be on disk although its flush failed: a crash before the next commit would bring it back.
            if during == During::Commit { error.with_applied(Applied::Unknown) } else { error }
        }
        // Nothing that a caller could do better: the operator has to.
        ErrorCode::ReadOnly | ErrorCode::PermissionDenied => {
            Error::new(Code::Unavailable, "STORAGE_READ_ONLY", "the data directory cannot be written to")
        }
        ErrorCode::CannotOpen => Error::new(Code::Unavailable, "STORAGE_UNREACHABLE", "the data file cannot be opened"),
        ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => {
            Error::new(Code::DataLoss, "STORAGE_CORRUPT", "the data file is corrupt; restore it from a backup")
        }
        ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => {
            Error::new(Code::Unavailable, "STORAGE_BUSY", "another program holds the data file")
                .with_retry_after(Duration::from_millis(100))
        }
        ErrorCode::OutOfMemory => Error::new(Code::ResourceExhausted, "OUT_OF_MEMORY", "not enough memory"),
        ErrorCode::TooBig => Error::new(Code::InvalidArgument, "ROW_TOO_LARGE", "the row is too large to store"),
        // Only a deadline interrupts.
        ErrorCode::OperationInterrupted => Error::new(
            Code::DeadlineExceeded,
            "DEADLINE_EXCEEDED",
            "the deadline passed before all rows were looked at",
        ),
        _ => return Error::internal(error),
    };
    answer.with_source(error)
}

/// A failed read or statement.
pub(crate) fn failed(error: rusqlite::Error) -> Error {
    classify(error, During::Statement)
}

/// The text by which SQLite names a violated unique constraint, if the error is one.
pub(crate) fn violated(error: &rusqlite::Error) -> Option<&str> {
    match error {
        rusqlite::Error::SqliteFailure(failure, Some(text)) => {
            let unique = [
                rusqlite::ffi::SQLITE_CONSTRAINT_UNIQUE,
                rusqlite::ffi::SQLITE_CONSTRAINT_PRIMARYKEY,
                rusqlite::ffi::SQLITE_CONSTRAINT_ROWID,
            ];
            unique.contains(&failure.extended_code).then_some(text)
        }
        _ => None,
    }
}
