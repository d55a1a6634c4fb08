//! Whether the user may do what has to be done, found out by trying: the server refuses a statement for a missing right
//! before it looks whether there is such a table.

use kit_core::Error;
use rowkeep_mysql::{Address, Connection, Error as DriverError};

use super::refused;
use super::shown::{Shown, quoted_name};
use crate::mysql::errors::classify;

/// What the user is needed for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::mysql) enum Need {
    /// Rows.
    Serve,
    /// Tables, and rows.
    Migrate,
}

/// How a right shows.
enum Trial {
    /// The statement is prepared and not run.
    Prepared(&'static str),
    /// The statement cannot succeed: there is no such table.
    Run(&'static str),
}

/// Rows of what may be there: rights may have been given table by table.
const SERVE: [(&str, Trial); 4] = [
    ("SELECT", Trial::Prepared("SELECT 1 FROM rowkeep_requests")),
    ("INSERT", Trial::Prepared("INSERT INTO rowkeep_requests VALUES ()")),
    ("UPDATE", Trial::Prepared("UPDATE rowkeep_requests SET forget_at = 0")),
    ("DELETE", Trial::Prepared("DELETE FROM rowkeep_requests")),
];
const MIGRATE: [(&str, Trial); 3] = [
    ("CREATE", Trial::Prepared("CREATE TABLE rowkeep_nothing (a INT)")),
    ("ALTER", Trial::Run("ALTER TABLE rowkeep_nothing DROP COLUMN a")),
    ("DROP", Trial::Run("DROP TABLE rowkeep_nothing")),
];

impl Need {
    fn rights(self) -> impl Iterator<Item = &'static (&'static str, Trial)> {
        SERVE.iter().chain(MIGRATE.iter().filter(move |_| self == Self::Migrate))
    }
}

/// Refuses a user who lacks rights, with the statements that give them.
///
/// # Errors
/// `FAILED_PRECONDITION`.
pub(in crate::mysql) async fn check_grants(
    control: &mut Connection,
    address: &Address,
    need: Need,
) -> Result<(), Error> {
    let mut missing = Vec::new();
    for (right, trial) in need.rights() {
        if is_denied(control, trial).await? {
            missing.push(*right);
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let shown = Shown::read(control).await;
    let database = address.database.as_deref().unwrap_or_default();
    let needed: Vec<&str> = need.rights().map(|(right, _)| *right).collect();
    let statements = statements(shown.as_ref(), address, database, &missing, &needed);
    Err(lacking(address, &missing, &statements))
}

async fn is_denied(control: &mut Connection, trial: &Trial) -> Result<bool, Error> {
    let tried = match trial {
        Trial::Prepared(sql) => control.prepare(sql).await.map(drop),
        Trial::Run(sql) => control.command(sql).await.map(drop),
    };
    match tried {
        Err(DriverError::Server(error)) => Ok(matches!(error.code, 1044 | 1142 | 1143 | 1227)),
        other => other.map(|()| false).map_err(classify),
    }
}

/// What an administrator runs.
fn statements(
    shown: Option<&Shown>,
    address: &Address,
    database: &str,
    missing: &[&str],
    needed: &[&str],
) -> Vec<String> {
    let Some(shown) = shown else {
        return vec![format!(
            "GRANT {} ON {}.* TO {}",
            missing.join(", "),
            quoted_name(database),
            quoted_name(&address.user)
        )];
    };
    let spelling = shown.spelling(database);
    // A grant for the database hides those for patterns that fit it, so that it has to give what they gave.
    let given = |right: &&str| shown.gives(right, &spelling);
    let mut rights: Vec<&str> = needed.iter().filter(|right| !given(right)).copied().collect();
    if rights.is_empty() {
        rights = missing.to_vec();
    }
    let mut statements =
        vec![format!("GRANT {} ON {}.* TO {}", rights.join(", "), quoted_name(&spelling), shown.user())];
    statements
        .extend(shown.idle_roles().iter().map(|roles| format!("or, if that is enough, make {roles} default roles")));
    statements
}

fn lacking(address: &Address, missing: &[&str], statements: &[String]) -> Error {
    let what = format!(
        "the database user lacks {}; run, as an administrator of the server: {}",
        missing.join(", "),
        statements.join("; ")
    );
    refused(address, "GRANTS_MISSING", &what)
}

/// What to do for a user who may log in and has no right on the database. Nothing else tells whether it exists.
pub(in crate::mysql) async fn no_access(address: &Address) -> String {
    let database = address.database.clone().unwrap_or_default();
    let anywhere = Address { database: None, ..address.clone() };
    let shown = match Connection::open(&anywhere).await {
        Ok(mut connection) => Shown::read(&mut connection).await,
        Err(_) => None,
    };
    let needed: Vec<&str> = Need::Migrate.rights().map(|(right, _)| *right).collect();
    let statements = statements(shown.as_ref(), address, &database, &needed, &needed);
    format!("; check the database's name, or run, as an administrator of the server: {}", statements.join("; "))
}
