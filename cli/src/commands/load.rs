//! `rowkeep load`: a file into a table.

use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Instant, UNIX_EPOCH};

use indicatif::ProgressBar;
use rowkeep_engine::OnConflict;
use rowkeep_record::csv::CsvOptions;
use rowkeep_server::Storage;
use rowkeep_transfer::{Format, LoadError, LoadOptions, OpenRejects, Progress, Rejects, Summary, load};
use serde_json::json;

use super::block_on;
use crate::args::{self, FileFormat, Load};
use crate::failure::Failure;
use crate::progress::{Unit, bar, counted};
use crate::{output, schema, settings};

/// A load reads in large steps: one system call for some thousand rows.
const READ_BUFFER: usize = 256 << 10;

pub(crate) fn run(args: Load) -> Result<ExitCode, Failure> {
    let config = settings::config(&args.settings)?;
    let schema = args.schema.compile()?;
    let entity = schema::entity(&schema, &args.entity)?.id;
    let options = options(&args)?;
    let input = Input::open(&args.file)?;
    let allow = settings::allow(&config);
    let storage = Storage::open_to_load(&schema, &config.place()?, &settings::storage(&config, &allow))?;
    let bar = bar(input.length.unwrap_or(0), if input.length.is_some() { Unit::Bytes } else { Unit::Rows });
    let started = Instant::now();
    let loaded = block_on(async {
        let mut show = |progress: Progress| draw(&bar, progress, input.length.is_some(), started);
        let rejects = args.rejects.as_deref().map(open_rejects);
        Ok(load(&storage.engine, entity, input.reader, &options, rejects, &mut show).await)
    });
    bar.finish_and_clear();
    storage.close();
    match loaded? {
        Ok(summary) => Ok(report(&args, &summary, started.elapsed().as_secs_f64())),
        Err(error) => Err(failure(&args, error)),
    }
}

fn draw(bar: &ProgressBar, progress: Progress, has_length: bool, started: Instant) {
    bar.set_position(if has_length { progress.offset } else { progress.stored });
    let rate = progress.stored as f64 / started.elapsed().as_secs_f64().max(0.001);
    bar.set_message(format!("{}  {rate:.0}/s", counted(progress.stored, "row", "rows")));
}

/// What is read, and how long it is if that can be known.
struct Input {
    reader: Box<dyn BufRead>,
    length: Option<u64>,
}

impl Input {
    fn open(path: &Path) -> Result<Self, Failure> {
        if path == Path::new("-") {
            return Ok(Self {
                reader: Box::new(BufReader::with_capacity(READ_BUFFER, std::io::stdin())),
                length: None,
            });
        }
        let refused = |error: std::io::Error| Failure::Input(format!("{}: {error}", path.display()));
        let file = File::open(path).map_err(refused)?;
        let metadata = file.metadata().map_err(refused)?;
        if metadata.is_dir() {
            return Err(Failure::Input(format!("{} is a directory", path.display())));
        }
        let length = metadata.is_file().then_some(metadata.len());
        Ok(Self { reader: Box::new(BufReader::with_capacity(READ_BUFFER, file)), length })
    }
}

fn open_rejects(path: &Path) -> OpenRejects<'_> {
    Box::new(move |keep| {
        let mut options = File::options();
        options.create(true).write(true).truncate(!keep).append(keep);
        let file = options.open(path)?;
        let is_empty = file.metadata()?.len() == 0;
        Ok(Rejects { file: Box::new(BufWriter::new(file)), is_empty })
    })
}

fn options(args: &Load) -> Result<LoadOptions, Failure> {
    let format = match args.format {
        Some(FileFormat::Csv) => Format::Csv,
        Some(FileFormat::Ndjson) => Format::Ndjson,
        None => by_extension(&args.file)?,
    };
    Ok(LoadOptions {
        format,
        csv: CsvOptions { delimiter: args.delimiter, null: args.null.clone() },
        on_conflict: match args.on_conflict {
            args::OnConflict::Fail => OnConflict::Fail,
            args::OnConflict::Skip => OnConflict::Skip,
            args::OnConflict::Replace => OnConflict::Replace,
        },
        skip_bad: args.rejects.is_some(),
        resume_id: identity(&args.file),
        restart: args.restart,
    })
}

pub(super) fn by_extension(path: &Path) -> Result<Format, Failure> {
    let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
    Format::of_extension(extension).ok_or_else(|| {
        Failure::Input(format!("{}: name its format with --format csv or --format ndjson", path.display()))
    })
}

/// What tells a file from another and from its own later self. Standard input cannot be read again.
fn identity(path: &Path) -> Option<String> {
    let metadata = std::fs::metadata(path).ok().filter(std::fs::Metadata::is_file)?;
    let modified = metadata.modified().ok()?.duration_since(UNIX_EPOCH).ok()?.as_nanos();
    let path = path.canonicalize().ok()?;
    Some(format!("{}:{}:{modified}", path.display(), metadata.len()))
}

/// Fails if rows were left out that nobody asked to leave out, so that a script notices.
fn report(args: &Load, summary: &Summary, seconds: f64) -> ExitCode {
    let Summary { stored, skipped, rejected, reasons, resumed_behind } = summary;
    if args.json {
        let reason = |reason: &rowkeep_transfer::Rejected| json!({"line": reason.line, "message": reason.message});
        let reasons: Vec<_> = reasons.iter().map(reason).collect();
        output::line(format_args!(
            "{:#}",
            json!({"stored": stored, "skipped": skipped, "rejected": rejected, "reasons": reasons, "seconds": seconds,
                   "resumed_behind_line": resumed_behind})
        ));
    } else {
        if *resumed_behind > 0 {
            output::line(format_args!("went on behind line {resumed_behind}, where an earlier load was broken off"));
        }
        let rate = *stored as f64 / seconds.max(0.001);
        output::line(format_args!("{} stored in {seconds:.1} s ({rate:.0}/s)", counted(*stored, "row", "rows")));
        if *skipped > 0 {
            output::line(format_args!("{} left out: already there", counted(*skipped, "row", "rows")));
        }
        if *rejected > 0 {
            report_rejected(args, summary);
        }
    }
    if *rejected == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn report_rejected(args: &Load, summary: &Summary) {
    let rejects = args.rejects.as_deref().unwrap_or(Path::new("")).display();
    eprintln!("{} rejected, written to {rejects}:", counted(summary.rejected, "row", "rows"));
    for reason in &summary.reasons {
        eprintln!("  line {}: {}", reason.line, reason.message);
    }
    let more = summary.rejected.saturating_sub(summary.reasons.len() as u64);
    if more > 0 {
        eprintln!("  and {more} more");
    }
}

fn failure(args: &Load, error: LoadError) -> Failure {
    match error {
        LoadError::Row(rejected) => Failure::Input(format!(
            "{}:{}: {}\nthe rows of earlier batches are stored; correct the line and load again with --on-conflict skip, or \
             leave bad rows out with --rejects FILE",
            args.file.display(),
            rejected.line,
            rejected.message
        )),
        LoadError::Header(rejected) => {
            Failure::Input(format!("{}:{}: {}", args.file.display(), rejected.line, rejected.message))
        }
        LoadError::Rejects(error) => Failure::file(args.rejects.as_deref().unwrap_or(&args.file), &error),
        LoadError::Unreadable(error) => Failure::file(&args.file, &error),
        LoadError::Store(error) => error.into(),
        LoadError::Stopped => Failure::Failed(error.to_string()),
    }
}
