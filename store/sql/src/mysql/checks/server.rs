//! Settings of the server, and rights of the user, that are dangerous rather than missing.

use kit_core::Error;
use rowkeep_mysql::{Address, Connection};

use super::{refused, settings, shown};

/// Replicas that are told statements do again what the primary did, and not always the same: rows that a `LIMIT` leaves
/// out, for one, are the server's choice. `MIXED` tells them rows wherever that can happen, and is let pass: MariaDB
/// begins with it.
pub(in crate::mysql) async fn check_binlog(control: &mut Connection, address: &Address) -> Result<(), Error> {
    let found = settings(control, &["log_bin", "binlog_format"]).await?;
    let is = |name: &str, value: &str| found.get(name).is_some_and(|found| found.eq_ignore_ascii_case(value));
    if !is("log_bin", "ON") && !is("log_bin", "1") {
        return Ok(());
    }
    if is("binlog_format", "MIXED") {
        tracing::warn!(
            "the server's binlog_format is MIXED: what follows its changes needs SET GLOBAL binlog_format = 'ROW', and \
             binlog_format = ROW in its configuration"
        );
    }
    if !is("binlog_format", "STATEMENT") {
        return Ok(());
    }
    let what = "the server's binlog_format is STATEMENT: replicas would not become equal to it; run, as an \
                administrator, SET GLOBAL binlog_format = 'ROW', and put binlog_format = ROW into its configuration";
    Err(refused(address, "BINLOG_STATEMENT", what))
}

/// Rights with which a user writes to a server that is `read_only`: to a primary, that is, that is one no more. They are
/// no reason not to begin, because a database that has no replicas cannot be demoted.
const POWERS: [&str; 3] = ["SUPER", "CONNECTION_ADMIN", "READ_ONLY ADMIN"];

pub(in crate::mysql) async fn warn_of_powers(control: &mut Connection) {
    if let Some((found, user)) = powers(control).await {
        tracing::warn!(
            "the database user {user} has {found} and may write where read_only is set: a primary that was demoted would \
             take its writes unless super_read_only is set there, too; use a user with fewer rights, or REVOKE {found} ON \
             *.* FROM {user}"
        );
    }
}

/// Which of them the user has, and who that is.
pub(super) async fn powers(control: &mut Connection) -> Option<(String, String)> {
    let shown = shown::Shown::read(control).await?;
    let is_mysql = control.server().product == rowkeep_mysql::Product::MySql;
    // MariaDB's SUPER is not among them, and its ALL PRIVILEGES is not spelled out.
    let has = |power: &&&str| shown.globally(power) && (is_mysql || **power != "SUPER");
    let found: Vec<&str> = POWERS.iter().filter(has).copied().collect();
    (!found.is_empty()).then(|| (found.join(", "), shown.user().to_owned()))
}

/// Who is the primary of a group is asked of a table that users may not read by themselves.
pub(in crate::mysql) async fn warn_of_group(control: &mut Connection) {
    let plugin =
        "SELECT 1 FROM information_schema.PLUGINS WHERE PLUGIN_NAME = 'group_replication' AND PLUGIN_STATUS = 'ACTIVE'";
    if !control.query(plugin).await.is_ok_and(|rows| !rows.is_empty()) {
        return;
    }
    let members = control.query("SELECT 1 FROM performance_schema.replication_group_members LIMIT 1").await;
    if members.is_err_and(|error| error.code() == Some(1142))
        && let Some(shown) = shown::Shown::read(control).await
    {
        let grant = format!("GRANT SELECT ON performance_schema.replication_group_members TO {}", shown.user());
        tracing::warn!("the database user cannot see who belongs to the server's group; {grant}");
    }
}
