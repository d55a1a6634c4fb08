//! `rowkeep status`: the database servers, looked at once.

use std::process::ExitCode;

use kit_core::config::HumanDuration;
use rowkeep_engine::Capabilities;
use rowkeep_server::Place;
use rowkeep_sql::mysql::{self, Sight, SightedServer};
use serde_json::json;

use crate::args::Status;
use crate::failure::Failure;
use crate::output;
use crate::settings;

/// Fails if no server takes writes, so that a script can ask.
pub(crate) fn run(args: Status) -> Result<ExitCode, Failure> {
    let config = settings::config(&args.settings)?;
    let Place::Server(options) = config.place()? else {
        let message = "the data is in a file of this machine, which has no servers; name one with --database";
        return Err(Failure::Input(message.to_owned()));
    };
    let servers = mysql::look(&options)?;
    if args.json {
        output::line(format_args!("{:#}", servers.iter().map(to_json).collect::<serde_json::Value>()));
    } else {
        servers.iter().for_each(line);
        if let Some(caching) = config.cache.caching() {
            if let Some((address, _)) = &caching.shared {
                output::line(format_args!("{:<8}  {address}  shared by all servers", "cache"));
            }
            if let Some(near) = &caching.near {
                output::line(format_args!(
                    "{:<8}  in each server's memory  {}, nothing that is {} behind the log",
                    "cache",
                    config.cache.memory,
                    HumanDuration(near.max_lag)
                ));
            }
        }
    }
    let is_writable = servers.iter().any(|server| server.state.as_ref().is_ok_and(|state| state.primary));
    Ok(if is_writable { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn line(server: &Sight) {
    match &server.state {
        Ok(state) => {
            let behind = match state.behind {
                Some(1..) if !state.primary => format!("  {} commits behind", state.behind.unwrap_or_default()),
                _ => String::new(),
            };
            output::line(format_args!(
                "{:<8}  {}  {}{behind}{}{}",
                role(state),
                server.address,
                state.capabilities.version,
                limits(&state.capabilities),
                advice(state)
            ));
        }
        Err(error) => output::line(format_args!("{:<8}  {}", "down", error.message())),
    }
}

fn role(state: &SightedServer) -> &'static str {
    match state {
        SightedServer { primary: true, .. } => "primary",
        SightedServer { diverged: true, .. } => "diverged",
        _ => "replica",
    }
}

fn advice(state: &SightedServer) -> &'static str {
    match state {
        SightedServer { primary: true, .. } => "",
        SightedServer { diverged: true, .. } => "  has writes that the primary does not have: rebuild it",
        SightedServer { writable: true, .. } => "  takes writes: SET GLOBAL read_only = ON there",
        _ => "",
    }
}

/// What it promises less than a single database.
fn limits(can: &Capabilities) -> String {
    let mut limits = String::new();
    if can.shards > 1 {
        limits.push_str(&format!("  {} shards", can.shards));
    }
    if !can.serializable {
        limits.push_str(", no SERIALIZABLE");
    }
    if !can.reads_one_moment {
        limits.push_str(", each shard is read at a moment of its own");
    }
    limits
}

fn capabilities(can: &Capabilities) -> serde_json::Value {
    json!({
        "product": can.name,
        "shards": can.shards,
        "serializable": can.serializable,
        "atomicity": can.atomicity.to_string(),
        "reads_one_moment": can.reads_one_moment,
        "counted_keys": can.counted_keys.to_string(),
        "unique_indexes": can.unique_indexes.to_string(),
        "replicas": can.replicas,
        "positions": can.positions.to_string(),
        "changes": can.changes.to_string(),
        "online_ddl": can.online_ddl.to_string(),
    })
}

fn to_json(server: &Sight) -> serde_json::Value {
    match &server.state {
        Ok(state) => json!({
            "address": server.address,
            "role": role(state),
            "version": state.capabilities.version,
            "writable": state.writable,
            "behind": state.behind,
            "capabilities": capabilities(&state.capabilities),
        }),
        Err(error) => json!({ "address": server.address, "role": "down", "error": error.message() }),
    }
}
