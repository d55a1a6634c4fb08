//! A file into a table.

use std::io::{self, BufRead, Write};
use std::time::Duration;

use kit_core::{Code, Error};
use rowkeep_engine::{Engine, LoadReport, LoadRequest, OnConflict};
use rowkeep_record::Value;
use rowkeep_record::csv::CsvOptions;
use rowkeep_schema::{ColumnId, EntityId};
use tokio::task::JoinHandle;

use crate::checkpoint::Checkpoint;
use crate::input::{Format, Input, Item, Rejected};

/// Values of one transaction, which bounds the rows of wide tables: each is 24 bytes and its text, so a batch is some
/// twenty MB at most.
const BATCH_VALUES: usize = 20 * 32_768;
/// Bytes of the file from which on a batch takes no further row, however few it has: memory is bound for long rows, too.
const BATCH_BYTES: u64 = 8 << 20;
/// Reasons kept for the summary; a file of rejects holds them all.
const KEPT_REASONS: usize = 20;
/// How long a checkpoint is kept.
const CHECKPOINT_LIFE: Duration = Duration::from_secs(30 * 24 * 3600);

/// How a file is loaded.
#[derive(Debug, Clone)]
pub struct LoadOptions {
    /// How it is written.
    pub format: Format,
    /// Details of CSV.
    pub csv: CsvOptions,
    /// What to do with rows that exist.
    pub on_conflict: OnConflict,
    /// Go on after bad rows, leaving them out, instead of stopping at the first.
    pub skip_bad: bool,
    /// What identifies the file to a later run (its path, size and time of change); `None`: the load cannot be resumed.
    pub resume_id: Option<String>,
    /// Begin at the start although an earlier run was broken off.
    pub restart: bool,
}

/// How far a load is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Progress {
    /// Bytes of the file behind which everything is stored or rejected.
    pub offset: u64,
    /// Rows stored.
    pub stored: u64,
    /// Rows left out, for whatever reason.
    pub left_out: u64,
}

/// What a load did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// Rows stored by this run.
    pub stored: u64,
    /// Rows this run left out because they exist, as was asked for.
    pub skipped: u64,
    /// Rows this run left out because something is wrong with them.
    pub rejected: u64,
    /// The first of them, with their reasons.
    pub reasons: Vec<Rejected>,
    /// The last line of an earlier run whose row is stored; 0 if there was none.
    pub resumed_behind: u64,
}

/// Why a load stopped. The rows stored before stay stored.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// A line is not a row, or a row breaks a rule or exists, and leaving it out was not asked for.
    #[error("{0}")]
    Row(Rejected),
    /// The header is wrong, so nothing was read.
    #[error("line {}: {}", .0.line, .0.message)]
    Header(Rejected),
    /// The file cannot be read to its end. Loaded again, it goes on where it was broken off.
    #[error("{0}")]
    Unreadable(io::Error),
    /// The file of rejects cannot be written.
    #[error("{0}")]
    Rejects(#[from] io::Error),
    /// The store said no.
    #[error("{0}")]
    Store(#[from] Error),
    /// The load was broken off inside the process.
    #[error("the load was broken off")]
    Stopped,
}

/// The file of rejects.
pub struct Rejects<'a> {
    /// Where they go.
    pub file: Box<dyn Write + 'a>,
    /// No row is in it yet.
    pub is_empty: bool,
}

/// Opens the file of rejects. Told `true`, it keeps what is in it: the load goes on where an earlier run was broken off.
pub type OpenRejects<'a> = Box<dyn FnOnce(bool) -> io::Result<Rejects<'a>> + 'a>;

/// Loads a file. Lines that an earlier run of the same `resume_id` has stored are read over.
///
/// `rejects` gets the text of rows that are left out, as soon as that is known. If the process is killed, rows that
/// were no rows may be in it twice after the next run; rows that the store refused in its last batch may be missing.
///
/// # Errors
/// [`LoadError`]; the summary so far is lost, but not the rows: a later run with the same `resume_id` goes on.
pub async fn load<'a, R: BufRead>(
    engine: &'a Engine,
    entity: EntityId,
    input: R,
    options: &'a LoadOptions,
    rejects: Option<OpenRejects<'a>>,
    progress: &'a mut (dyn FnMut(Progress) + 'a),
) -> Result<Summary, LoadError> {
    let described = engine.schema().entity(entity);
    let codec = engine.codecs().row(entity);
    let checkpoint_id = options.resume_id.as_deref().map(|file| Checkpoint::id(described, file));
    let done = match &checkpoint_id {
        Some(id) if !options.restart => {
            engine.checkpoint(id).await?.as_deref().and_then(Checkpoint::decode).unwrap_or_default()
        }
        _ => Checkpoint::default(),
    };
    let mut input = match options.format {
        Format::Csv => Input::csv(codec, input, options.csv.clone()).map_err(LoadError::Header)?,
        Format::Ndjson => Input::ndjson(codec, &engine.codecs().json, described.message, input),
    };
    let rejects = rejects.map(|open| open(done.offset > 0)).transpose()?;
    // So that what is rejected can be corrected and loaded.
    let needs_header = options.format == Format::Csv && rejects.as_ref().is_some_and(|rejects| rejects.is_empty);
    let header = needs_header.then(|| input.raw().to_vec());
    while input.offset() < done.offset && input.next().is_some() {}
    let summary = Summary { resumed_behind: done.line, ..Summary::default() };
    let columns = input.columns().to_vec();
    let loader =
        Loader { engine, entity, columns, options, checkpoint_id, rejects, header, progress, summary, in_flight: None };
    loader.run(&mut input).await
}

struct Loader<'a> {
    engine: &'a Engine,
    entity: EntityId,
    columns: Vec<ColumnId>,
    options: &'a LoadOptions,
    checkpoint_id: Option<String>,
    rejects: Option<Rejects<'a>>,
    /// The line of names of CSV, until it stands above the rejects.
    header: Option<Vec<u8>>,
    progress: &'a mut (dyn FnMut(Progress) + 'a),
    summary: Summary,
    in_flight: Option<InFlight>,
}

/// Rows read, not yet handed over. The text is kept only where a file of rejects may need it.
#[derive(Default)]
struct Batch {
    rows: Vec<Vec<Value>>,
    lines: Vec<u64>,
    raw: Vec<Box<[u8]>>,
    rejected: u64,
}

/// A batch on its way to the store.
struct InFlight {
    answer: JoinHandle<Result<LoadReport, Error>>,
    lines: Vec<u64>,
    raw: Vec<Box<[u8]>>,
    offset: u64,
}

impl Loader<'_> {
    async fn run<R: BufRead>(mut self, input: &mut Input<'_, R>) -> Result<Summary, LoadError> {
        loop {
            let (batch, more) = self.read(input)?;
            let offset = input.offset();
            self.settle().await?;
            self.hand_over(batch, offset, more);
            if !more {
                self.settle().await?;
                return Ok(self.summary);
            }
        }
    }

    /// Reads one batch; whether there is more.
    fn read<R: BufRead>(&mut self, input: &mut Input<'_, R>) -> Result<(Batch, bool), LoadError> {
        let mut batch = Batch::default();
        let width = self.engine.schema().entity(self.entity).columns.len();
        let most = (BATCH_VALUES / width.max(1)).clamp(1, self.engine.capabilities().load_rows.max(1));
        batch.rows.reserve(most);
        let start = input.offset();
        while batch.rows.len() < most && input.offset() - start < BATCH_BYTES {
            match input.next() {
                None => return Ok((batch, false)),
                Some(Item::Row(line, values)) => {
                    batch.rows.push(values);
                    batch.lines.push(line);
                    if self.rejects.is_some() {
                        batch.raw.push(input.raw().into());
                    }
                }
                Some(Item::Broken(error)) => return Err(LoadError::Unreadable(error)),
                Some(Item::Bad(rejected)) => {
                    batch.rejected += 1;
                    self.reject(rejected, input.raw())?;
                }
            }
        }
        Ok((batch, true))
    }

    /// Gives a batch to the store. The last one also forgets where the load is up to: the same file can be loaded anew.
    fn hand_over(&mut self, batch: Batch, offset: u64, more: bool) {
        self.summary.rejected += batch.rejected;
        let line = batch.lines.last().copied().unwrap_or_default();
        let reached = if more { Checkpoint { offset, line } } else { Checkpoint::default() };
        let checkpoint = self.checkpoint_id.clone().map(|id| rowkeep_engine::LoadCheckpoint {
            id,
            state: reached.encode(),
            keep_for: CHECKPOINT_LIFE,
        });
        let request = LoadRequest {
            entity: self.entity,
            rows: batch.rows,
            columns: self.columns.clone(),
            on_conflict: self.options.on_conflict,
            all_or_none: !self.options.skip_bad,
            checkpoint,
            more,
        };
        let answer = tokio::spawn(self.engine.load(request));
        self.in_flight = Some(InFlight { answer, lines: batch.lines, raw: batch.raw, offset });
    }

    /// Waits for the batch on its way and reports what became of it. All rejects so far are then in their file.
    async fn settle(&mut self) -> Result<(), LoadError> {
        self.report().await?;
        if let Some(rejects) = &mut self.rejects {
            rejects.file.flush()?;
        }
        Ok(())
    }

    async fn report(&mut self) -> Result<(), LoadError> {
        let Some(batch) = self.in_flight.take() else { return Ok(()) };
        let report = batch.answer.await.map_err(|_| LoadError::Stopped)??;
        self.summary.stored += report.stored;
        for (place, error) in report.rejected {
            let line = batch.lines.get(place).copied().unwrap_or_default();
            let message = reasons(&error);
            if error.code() == Code::AlreadyExists {
                match self.options.on_conflict {
                    // Nothing of the batch is stored then, so going on would lose its good rows.
                    OnConflict::Fail => return Err(LoadError::Row(Rejected { line, message })),
                    OnConflict::Skip => {
                        self.summary.skipped += 1;
                        continue;
                    }
                    OnConflict::Replace => {}
                }
            }
            self.summary.rejected += 1;
            let raw = batch.raw.get(place).cloned().unwrap_or_default();
            self.reject(Rejected { line, message }, &raw)?;
        }
        (self.progress)(Progress {
            offset: batch.offset,
            stored: self.summary.stored,
            left_out: self.summary.skipped + self.summary.rejected,
        });
        Ok(())
    }

    fn reject(&mut self, rejected: Rejected, raw: &[u8]) -> Result<(), LoadError> {
        if !self.options.skip_bad {
            return Err(LoadError::Row(rejected));
        }
        if let Some(rejects) = &mut self.rejects {
            for text in self.header.take().as_deref().into_iter().chain([raw]) {
                rejects.file.write_all(text)?;
                if !text.ends_with(b"\n") {
                    rejects.file.write_all(b"\n")?;
                }
            }
        }
        if self.summary.reasons.len() < KEPT_REASONS {
            self.summary.reasons.push(rejected);
        }
        Ok(())
    }
}

/// All violations of a row in one line.
fn reasons(error: &Error) -> String {
    if error.fields().is_empty() {
        return error.message().to_owned();
    }
    let each = error.fields().iter().map(|violation| format!("{}: {}", violation.field, violation.description));
    each.collect::<Vec<_>>().join("; ")
}
