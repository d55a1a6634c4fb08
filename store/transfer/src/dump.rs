//! A table into a file.

use std::io::Write;

use kit_core::Error;
use rowkeep_engine::{Engine, ListRequest, Session};
use rowkeep_record::Record;
use rowkeep_record::csv::CsvWriter;
use rowkeep_record::json::WriteOptions;
use rowkeep_schema::EntityId;

use crate::input::Format;

/// Why an export stopped.
#[derive(Debug, thiserror::Error)]
pub enum DumpError {
    /// The file cannot be written.
    #[error("{0}")]
    File(#[from] std::io::Error),
    /// The store said no.
    #[error("{0}")]
    Store(#[from] Error),
}

/// Which rows of an entity are exported.
#[derive(Debug, Clone, Default)]
pub struct DumpOptions {
    /// A filter of the list language; empty: all.
    pub filter: String,
    /// Soft-deleted rows too.
    pub show_deleted: bool,
}

/// Writes rows of an entity page by page, in the order in which a list without `order_by` gives them: by primary key
/// unless the filter is served by an index. Rows written while it runs may or may not be in it; no row is in it twice. Answers how many.
///
/// # Errors
/// [`DumpError`].
pub async fn dump(
    engine: &Engine,
    entity: EntityId,
    options: &DumpOptions,
    format: Format,
    output: &mut dyn Write,
    progress: &mut dyn FnMut(u64),
) -> Result<u64, DumpError> {
    let mut buffer = Vec::new();
    let csv = CsvWriter::new(engine.codecs().row(entity));
    if format == Format::Csv {
        csv.header(&mut buffer);
    }
    let message = engine.schema().entity(entity).message;
    let DumpOptions { filter, show_deleted } = options.clone();
    let mut request = ListRequest { page_size: i32::MAX, filter, show_deleted, ..ListRequest::default() };
    let (mut written, session) = (0, Session::strong());
    loop {
        let page = engine.list(entity, request.clone(), &session).await?;
        for record in &page.records {
            match format {
                Format::Csv => csv.row(record.wire(), &mut buffer)?,
                Format::Ndjson => json_line(engine, message, record, &mut buffer)?,
            }
        }
        output.write_all(&buffer)?;
        buffer.clear();
        written += page.records.len() as u64;
        progress(written);
        if page.next_page_token.is_empty() {
            output.flush()?;
            return Ok(written);
        }
        request.page_token = page.next_page_token;
    }
}

fn json_line(
    engine: &Engine,
    message: rowkeep_schema::MessageId,
    record: &Record,
    out: &mut Vec<u8>,
) -> Result<(), Error> {
    engine.codecs().json.to_json(message, record.wire(), out, WriteOptions::default())?;
    out.push(b'\n');
    Ok(())
}
