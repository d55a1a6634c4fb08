//! What a server has to log, and what it cannot.

use std::fmt;

use rowkeep_mysql::{Connection, Product};

use super::Options;
use crate::Error;

/// What the server says of its log.
#[derive(Debug, Default)]
pub(super) struct Settings {
    log_bin: String,
    format: String,
    image: String,
    metadata: Option<String>,
    gtid_mode: Option<String>,
    pub(super) checksum: bool,
}

impl Settings {
    /// Transactions have names: always on MariaDB.
    pub(super) fn has_gtids(&self) -> bool {
        self.gtid_mode.as_deref().is_none_or(|mode| mode.starts_with("ON"))
    }
}

pub(super) async fn settings(connection: &mut Connection) -> Result<Settings, Error> {
    let rows = connection
        .query(
            "SHOW GLOBAL VARIABLES WHERE Variable_name IN ('log_bin', 'binlog_format', 'binlog_row_image', \
             'binlog_row_metadata', 'gtid_mode', 'binlog_checksum')",
        )
        .await?;
    let mut settings = Settings::default();
    for row in rows {
        let mut values = row.into_iter().map(Option::unwrap_or_default);
        let (Some(name), Some(value)) = (values.next(), values.next()) else { continue };
        match name.to_ascii_lowercase().as_str() {
            "log_bin" => settings.log_bin = value,
            "binlog_format" => settings.format = value,
            "binlog_row_image" => settings.image = value,
            "binlog_row_metadata" => settings.metadata = Some(value),
            "gtid_mode" => settings.gtid_mode = Some(value),
            "binlog_checksum" => settings.checksum = !value.eq_ignore_ascii_case("NONE"),
            _ => {}
        }
    }
    Ok(settings)
}

/// Everything that is wrong at once, each with what sets it right.
pub(super) fn check(settings: &Settings, product: Product, options: &Options) -> Result<(), Error> {
    let mut wrong = Vec::new();
    let mut expect = |is: bool, problem: &str| {
        if !is {
            wrong.push(problem.to_owned());
        }
    };
    expect(
        settings.log_bin.eq_ignore_ascii_case("ON"),
        "log_bin is OFF: start the server with --log-bin and a --server-id of its own",
    );
    expect(
        settings.format.is_empty() || settings.format.eq_ignore_ascii_case("ROW"),
        &format!("binlog_format is {}: SET GLOBAL binlog_format=ROW, and let clients connect anew", settings.format),
    );
    expect(
        !options.whole_rows || settings.image.eq_ignore_ascii_case("FULL"),
        &format!(
            "binlog_row_image is {}: SET GLOBAL binlog_row_image=FULL, and let clients connect anew",
            settings.image
        ),
    );
    let least = if product == Product::MariaDb { "MariaDB 10.5" } else { "MySQL 8.0.1" };
    match &settings.metadata {
        Some(metadata) => expect(
            !options.names || metadata.eq_ignore_ascii_case("FULL"),
            &format!("binlog_row_metadata is {metadata}: SET GLOBAL binlog_row_metadata=FULL"),
        ),
        None => expect(!options.names, &format!("it logs no names of columns: {least} is the first that does")),
    }
    if wrong.is_empty() { Ok(()) } else { Err(Error::Configuration(wrong)) }
}

/// Changes that the log does not show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hidden {
    /// Rows of `table` change by a foreign key when rows of `parent` do, and the server does not log it.
    Cascade {
        /// Database and name of the table.
        table: (String, String),
        /// Database and name of the table that it refers to.
        parent: (String, String),
        /// Name of the foreign key.
        constraint: String,
    },
    /// Whether there are such foreign keys is not known: the user lacks the right `PROCESS`.
    NotKnown,
    /// A column whose form the log does not describe; its rows cannot be read.
    OldTemporal {
        /// Database and name of the table.
        table: (String, String),
        /// Name of the column.
        column: String,
    },
}

impl fmt::Display for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cascade { table: (database, table), parent: (other, parent), constraint } => write!(
                f,
                "changes of {database}.{table} by its foreign key {constraint} to {other}.{parent} are not in the binary log \
                 of this server"
            ),
            Self::NotKnown => f.write_str(
                "this server does not log what cascades of foreign keys change, and the user may not see whether there are \
                 any: GRANT PROCESS ON *.* TO the user",
            ),
            Self::OldTemporal { table: (database, table), column } => write!(
                f,
                "{database}.{table}.{column} has fractional seconds in a form that the binary log does not describe; \
                 ALTER TABLE ... FORCE with mysql56_temporal_format=ON stores it in another"
            ),
        }
    }
}

/// MySQL logs what cascades do since 9.6.
const CASCADES_LOGGED: (u16, u16, u16) = (9, 6, 0);

/// Looks for tables whose changes are not logged, among those that the user may see.
pub(super) async fn hidden(connection: &mut Connection, product: Product) -> Result<Vec<Hidden>, Error> {
    let mut hidden = Vec::new();
    // Behind a gateway, tables refer to others of their keyspace only, and who knows the keyspace can ask for those.
    if product == Product::Vitess {
        return Ok(hidden);
    }
    let is_mysql = product == Product::MySql;
    if !is_mysql || connection.server().numbers() < CASCADES_LOGGED {
        hidden.extend(cascades(connection, is_mysql).await?);
    }
    if !is_mysql {
        let rows = connection
            .query(
                "SELECT TABLE_SCHEMA, TABLE_NAME, COLUMN_NAME FROM information_schema.COLUMNS \
                 WHERE DATETIME_PRECISION > 0 AND COLUMN_TYPE LIKE '%mariadb-5.3%' ORDER BY 1, 2, 3",
            )
            .await?;
        hidden.extend(rows.into_iter().filter_map(|row| {
            let mut values = row.into_iter().flatten();
            let table = (values.next()?, values.next()?);
            Some(Hidden::OldTemporal { table, column: values.next()? })
        }));
    }
    Ok(hidden)
}

/// Bits of a foreign key that changes rows: on delete and on update, to follow or to be NULL.
const ACTS: u32 = 0b1111;
const NEEDS_A_RIGHT: u16 = 1227;

/// Foreign keys that change rows, from the storage engine: the list for everybody leaves out what one may only read.
async fn cascades(connection: &mut Connection, is_mysql: bool) -> Result<Vec<Hidden>, Error> {
    let list = if is_mysql { "INNODB_FOREIGN" } else { "INNODB_SYS_FOREIGN" };
    let question = format!(
        "SELECT FOR_NAME, REF_NAME, ID FROM information_schema.{list} WHERE (TYPE & {ACTS}) <> 0 ORDER BY FOR_NAME, ID"
    );
    let rows = match connection.query(&question).await {
        Err(rowkeep_mysql::Error::Server(error)) if error.code == NEEDS_A_RIGHT => return Ok(vec![Hidden::NotKnown]),
        rows => rows?,
    };
    let cascade = |row: rowkeep_mysql::TextRow| {
        let mut names = row.into_iter().flatten().map(|name| {
            let (database, name) = name.split_once('/')?;
            Some((plain(database), plain(name)))
        });
        let (table, parent, constraint) = (names.next()??, names.next()??, names.next()??);
        Some(Hidden::Cascade { table, parent, constraint: constraint.1 })
    };
    Ok(rows.into_iter().filter_map(cascade).collect())
}

/// A name from the form it has in files: `@0020` is a blank. Letters with a shorter form of their own stay as they are.
fn plain(name: &str) -> String {
    let mut parts = name.split('@');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let character = part.get(..4).and_then(|digits| char::from_u32(u32::from_str_radix(digits, 16).ok()?));
        match character {
            Some(character) => {
                plain.push(character);
                plain.push_str(&part[4..]);
            }
            None => {
                plain.push('@');
                plain.push_str(part);
            }
        }
    }
    plain
}
