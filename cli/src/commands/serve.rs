//! `rowkeep serve`: the server in the foreground, until a signal ends it.

use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use kit_core::{Error, Shutdown};
use kit_telemetry::init_logs;
use rowkeep_schema::Schema;
use rowkeep_server::Server;

use super::block_on;
use super::reload::Reload;
use crate::args::Serve;
use crate::failure::Failure;
use crate::progress::counted;
use crate::settings;

pub(crate) fn run(args: Serve) -> Result<ExitCode, Failure> {
    let config = settings::load(&args.settings, settings::of_serve(&args)?)?.config;
    let schema = args.schema.compile()?;
    let logs = init_logs(&config.log).map_err(|error| Failure::Input(format!("log.level: {error}")))?;
    block_on(async move {
        let shutdown = Shutdown::new();
        let signals = shutdown.on_signals().map_err(|error| Failure::Failed(format!("signals: {error}")))?;
        let insecure = config.insecure;
        let server = Server::open(Arc::clone(&schema), config, logs)?;
        for line in greeting(&server, &schema, insecure)? {
            say(&line);
        }
        let reload = Reload::new(server.reloader(), args.schema)?;
        let lost = reload.lost();
        tokio::spawn(signals);
        tokio::spawn(reload.run(shutdown.clone()));
        let outcome = server.run(shutdown.watch()).await?;
        tracing::info!(?outcome, "stopped");
        Ok(if lost.load(Ordering::Acquire) { ExitCode::FAILURE } else { ExitCode::SUCCESS })
    })
}

/// What is served, where the data lies, and a line to paste that works.
fn greeting(server: &Server, schema: &Schema, insecure: bool) -> Result<Vec<String>, Error> {
    let address = server.address()?;
    let entities: Vec<_> = schema.entities.iter().map(|entity| entity.name.as_str()).collect();
    let steps = server.migration().plan.steps.len() as u64;
    let changed =
        if steps == 0 { "up to date".to_owned() } else { format!("{} made", counted(steps, "change", "changes")) };
    let mut lines = vec![
        format!("serving {}", entities.join(", ")),
        format!("data in {}, {changed}", server.place()?),
        format!("listening on http://{address} (gRPC and REST, docs at /docs)"),
    ];
    if let Some(admin) = server.admin_address() {
        lines.push(format!("metrics and health on http://{admin}"));
    }
    lines.push(if insecure && !address.ip().is_loopback() {
        "anyone who reaches this address may read and write: nobody is asked who they are".to_owned()
    } else {
        "open to everyone on this machine: nobody is asked who they are".to_owned()
    });
    if let Some(first) = schema.entities.first() {
        lines.push(format!("try: curl http://{address}{}", first.rest_collection));
    }
    Ok(lines)
}

/// For people on a terminal as plain lines, for everything else as the log.
fn say(line: &str) {
    if std::io::stderr().is_terminal() {
        eprintln!("{line}");
    } else {
        tracing::info!("{line}");
    }
}
