//! `rowkeep backup`: a copy of the data, also of a running server.

use std::process::ExitCode;

use rowkeep_server::Place;
use rowkeep_sql::sqlite;

use crate::args::Backup;
use crate::failure::Failure;
use crate::output;
use crate::progress::{Unit, bar};
use crate::settings;

pub(crate) fn run(args: Backup) -> Result<ExitCode, Failure> {
    let config = settings::config(&args.settings)?;
    let place = config.place()?;
    if let Place::Server(_) = place {
        let message = format!(
            "the data is in {place}: copy it with the server's own tools (mariadb-backup, mysqldump --single-transaction)"
        );
        return Err(Failure::Input(message));
    }
    let from = config.data.join(sqlite::FILE_NAME);
    if !from.is_file() {
        let message = format!("{} holds no data; name its directory with --data", config.data.display());
        return Err(Failure::Input(message));
    }
    let bar = bar(0, Unit::Pages);
    let copied = sqlite::backup(&from, &args.file, |left, all| {
        bar.set_length(all);
        bar.set_position(all.saturating_sub(left));
    });
    bar.finish_and_clear();
    copied?;
    let bytes = std::fs::metadata(&args.file).map_or(0, |metadata| metadata.len());
    output::line(format_args!("{}: {}", args.file.display(), indicatif::HumanBytes(bytes)));
    Ok(ExitCode::SUCCESS)
}
