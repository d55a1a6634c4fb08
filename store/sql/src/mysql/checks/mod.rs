//! What is looked at before a database is used: what would go wrong later, or silently, is refused at once with what to do.

mod grants;
mod server;
mod shown;
mod tables;
#[cfg(test)]
mod tests;

pub(super) use grants::{Need, check_grants, no_access};
pub(super) use server::{check_binlog, warn_of_group, warn_of_powers};
pub(super) use tables::check_tables;

use std::collections::BTreeMap;

use kit_core::{Code, Error};
use rowkeep_mysql::{Address, Connection};

use super::errors::classify;

/// Settings of the server by name. One that the server does not have is left out.
async fn settings(control: &mut Connection, names: &[&str]) -> Result<BTreeMap<String, String>, Error> {
    let names: Vec<String> = names.iter().map(|name| format!("'{name}'")).collect();
    let sql = format!("SHOW GLOBAL VARIABLES WHERE Variable_name IN ({})", names.join(", "));
    let rows = control.query(&sql).await.map_err(classify)?;
    let pair = |row: Vec<Option<String>>| {
        let mut row = row.into_iter().flatten();
        Some((row.next()?.to_ascii_lowercase(), row.next()?))
    };
    Ok(rows.into_iter().filter_map(pair).collect())
}

/// The user as statements spell it.
pub(super) async fn user(control: &mut Connection) -> Option<String> {
    shown::Shown::read(control).await.map(|shown| shown.user().to_owned())
}

fn refused(address: &Address, reason: &'static str, what: &str) -> Error {
    Error::new(Code::FailedPrecondition, reason, format!("{address}: {what}"))
}
