//! Removing from disk what no read sees any more and no row can refer to.

use kit_core::Error;

use super::errors::failed;
use super::writer::Writer;

/// Rows per call and table: a sweep must not hold up writes.
const BATCH: u32 = 1000;

pub(super) fn run(writer: &mut Writer, now: i64) -> Result<u64, Error> {
    let (shared, connection) = writer.parts();
    let mut removed = 0;
    for sql in shared.sweeps.iter().map(String::as_str).chain([REQUESTS]) {
        let mut statement = connection.prepare_cached(sql).map_err(failed)?;
        removed += statement.execute((now, BATCH)).map_err(failed)? as u64;
    }
    Ok(removed)
}

const REQUESTS: &str = "DELETE FROM rowkeep_requests WHERE request_id IN
    (SELECT request_id FROM rowkeep_requests WHERE forget_at <= ? LIMIT ?)";
