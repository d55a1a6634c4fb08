//! Removing from disk what no read sees any more and no row can refer to.

use kit_core::Error;

use super::errors::failed;
use super::tx::stored;
use super::writer::Writer;

/// Rows per call and table: a sweep must not hold up writes.
const BATCH: u32 = 1000;

pub(super) fn run(writer: &mut Writer, now: i64) -> Result<u64, Error> {
    let (shared, connection, recorder) = writer.parts();
    let mut removed = 0;
    for (entity, text) in &shared.sweeps {
        let (sql, entity) = (shared.sql(*entity), shared.schema.entity(*entity));
        let mut statement = connection.prepare_cached(text).map_err(failed)?;
        let mut rows = statement.query((now, BATCH)).map_err(failed)?;
        while let Some(row) = rows.next().map_err(failed)? {
            removed += 1;
            if recorder.is_kept() {
                let row = stored(row, sql, entity.columns.len())?;
                recorder.row(entity, Some(&row), None);
            }
        }
    }
    let mut statement = connection.prepare_cached(REQUESTS).map_err(failed)?;
    Ok(removed + statement.execute((now, BATCH)).map_err(failed)? as u64)
}

const REQUESTS: &str = "DELETE FROM rowkeep_requests WHERE request_id IN
    (SELECT request_id FROM rowkeep_requests WHERE forget_at <= ? LIMIT ?)";
