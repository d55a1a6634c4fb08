//! `rowkeep dump`: the rows of an entity as a file.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use rowkeep_server::Storage;
use rowkeep_transfer::{DumpError, DumpOptions, Format, dump};

use super::block_on;
use super::load::by_extension;
use crate::args::{Dump, FileFormat};
use crate::failure::Failure;
use crate::progress::{Unit, bar, counted};
use crate::{output, schema, settings};

pub(crate) fn run(args: Dump) -> Result<ExitCode, Failure> {
    let config = settings::config(&args.settings)?;
    let schema = args.schema.compile()?;
    let entity = schema::entity(&schema, &args.entity)?.id;
    let format = format(&args)?;
    let mut output = Output::open(args.file.as_deref())?;
    let storage = Storage::open(&schema, &config.place()?, &settings::storage(&config, &settings::allow(&config)))?;
    let options = DumpOptions { filter: args.filter, show_deleted: args.show_deleted };
    let bar = bar(0, Unit::Rows);
    let dumped = block_on(async {
        let mut show = |rows| bar.set_position(rows);
        Ok(dump(&storage.engine, entity, &options, format, output.writer(), &mut show).await)
    });
    bar.finish_and_clear();
    storage.close();
    let rows = match dumped? {
        Ok(rows) => rows,
        // Whoever reads has seen enough: `rowkeep dump User | head`.
        Err(DumpError::File(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => return Ok(ExitCode::SUCCESS),
        Err(DumpError::File(error)) => return Err(output.failed(&error)),
        Err(DumpError::Store(error)) => return Err(error.into()),
    };
    if let Some(path) = output.finish()? {
        output::line(format_args!("{}: {}", path.display(), counted(rows, "row", "rows")));
    }
    Ok(ExitCode::SUCCESS)
}

fn format(args: &Dump) -> Result<Format, Failure> {
    match (args.format, &args.file) {
        (Some(FileFormat::Csv), _) => Ok(Format::Csv),
        (Some(FileFormat::Ndjson), _) | (None, None) => Ok(Format::Ndjson),
        (None, Some(path)) => by_extension(path),
    }
}

/// Where the rows go. A file is written under another name first: under its own it is always whole.
enum Output {
    Standard(BufWriter<std::io::Stdout>),
    File { writer: BufWriter<File>, part: PathBuf, path: PathBuf },
}

impl Output {
    fn open(path: Option<&Path>) -> Result<Self, Failure> {
        let Some(path) = path else { return Ok(Self::Standard(BufWriter::new(std::io::stdout()))) };
        if path.exists() {
            return Err(Failure::Input(format!("{} exists; a dump does not overwrite it", path.display())));
        }
        let mut part = path.as_os_str().to_owned();
        part.push(".part");
        let part = PathBuf::from(part);
        let writer = File::create(&part).map(BufWriter::new).map_err(|error| Failure::file(&part, &error))?;
        Ok(Self::File { writer, part, path: path.to_owned() })
    }

    fn writer(&mut self) -> &mut dyn Write {
        match self {
            Self::Standard(writer) => writer,
            Self::File { writer, .. } => writer,
        }
    }

    fn failed(&self, error: &std::io::Error) -> Failure {
        match self {
            Self::Standard(_) => Failure::Failed(format!("standard output: {error}")),
            Self::File { path, .. } => Failure::file(path, error),
        }
    }

    /// Gives a file its name.
    fn finish(self) -> Result<Option<PathBuf>, Failure> {
        let Self::File { writer, part, path } = self else { return Ok(None) };
        let written = writer.into_inner().map_err(std::io::IntoInnerError::into_error).and_then(|file| file.sync_all());
        written.and_then(|()| fs::rename(&part, &path)).map_err(|error| Failure::file(&path, &error))?;
        Ok(Some(path))
    }
}
