//! Asks for the log, in either dialect.

use rowkeep_mysql::{Connection, Product};

use super::{Options, Start, checks::Settings};
use crate::{Error, Gtids, Position};

const BINLOG_DUMP: u8 = 0x12;
const BINLOG_DUMP_GTID: u8 = 0x1e;
/// MariaDB: send the texts of statements.
const SEND_ANNOTATIONS: u16 = 2;
/// MySQL: the set of transactions counts, and not a place in a file.
const THROUGH_GTID: u16 = 4;
/// Where events begin in a file.
const FIRST: u64 = 4;

/// The position to begin at.
pub(super) async fn position(
    connection: &mut Connection,
    start: Start,
    settings: &Settings,
) -> Result<Position, Error> {
    let is_mariadb = connection.server().product == Product::MariaDb;
    match start {
        Start::Now if settings.has_gtids() => {
            // Of MariaDB, what its log holds: a position from elsewhere may name domains that this log never saw.
            let question = if is_mariadb { "SELECT @@global.gtid_binlog_pos" } else { "SELECT @@global.gtid_executed" };
            let text = first_value(connection, question).await?;
            Ok(Position { gtids: Some(parse(&text, is_mariadb)?), ..Position::default() })
        }
        Start::Now => {
            // Renamed in MySQL 8.2, and the old name is gone in 8.4.
            let row = match connection.query("SHOW BINARY LOG STATUS").await {
                Ok(rows) => rows,
                Err(rowkeep_mysql::Error::Server(error)) if error.code == SYNTAX => {
                    connection.query("SHOW MASTER STATUS").await?
                }
                Err(error) => return Err(error.into()),
            };
            let mut values = row.into_iter().flatten().flatten();
            match (values.next(), values.next().and_then(|offset| offset.parse().ok())) {
                (Some(file), Some(offset)) => Ok(Position { file, offset, gtids: None }),
                _ => Err(Error::Malformed("the server does not say where its log ends")),
            }
        }
        Start::After(gtids) => match (&gtids, is_mariadb) {
            (Gtids::MySql(_), false) | (Gtids::MariaDb(_), true) => {
                Ok(Position { gtids: Some(gtids), ..Position::default() })
            }
            _ => Err(Error::OtherDialect(gtids)),
        },
        // MariaDB knows the transactions before any place that is the end of one.
        Start::At { file, offset } if is_mariadb => {
            let quoted = file.replace('\\', "\\\\").replace('\'', "\\'");
            let text = first_value(connection, &format!("SELECT BINLOG_GTID_POS('{quoted}', {offset})")).await?;
            let gtids = if text.is_empty() { None } else { Some(parse(&text, true)?) };
            Ok(Position { file, offset, gtids })
        }
        Start::At { file, offset } => Ok(Position { file, offset, gtids: None }),
    }
}

/// A statement that the server does not know.
const SYNTAX: u16 = 1064;

async fn first_value(connection: &mut Connection, question: &str) -> Result<String, Error> {
    let rows = connection.query(question).await?;
    Ok(rows.into_iter().flatten().flatten().next().unwrap_or_default())
}

fn parse(text: &str, is_mariadb: bool) -> Result<Gtids, Error> {
    const BAD: Error = Error::Malformed("the server's own position cannot be read");
    if is_mariadb {
        text.parse().map(Gtids::MariaDb).map_err(|_| BAD)
    } else {
        text.parse().map(Gtids::MySql).map_err(|_| BAD)
    }
}

/// Says what this reader understands. Old names and new: a server takes those it knows.
pub(super) async fn prepare(connection: &mut Connection, position: &Position, options: &Options) -> Result<(), Error> {
    let period = options.heartbeat.as_nanos();
    connection
        .command(&format!(
            "SET @master_heartbeat_period = {period}, @source_heartbeat_period = {period}, \
             @master_binlog_checksum = @@global.binlog_checksum, @source_binlog_checksum = @@global.binlog_checksum"
        ))
        .await?;
    if connection.server().product == Product::MariaDb {
        // 4: GTIDs and everything else up to today. Less, and the server would hide events.
        connection.command("SET @mariadb_slave_capability = 4").await?;
        if let Some(gtids) = position.gtids.as_ref().filter(|_| position.file.is_empty()) {
            connection
                .command(&format!(
                    "SET @slave_connect_state = '{gtids}', @slave_gtid_strict_mode = 1, @slave_gtid_ignore_duplicates = 0"
                ))
                .await?;
        }
    }
    Ok(())
}

/// The command and what it carries.
pub(super) fn command(product: Product, position: &Position, options: &Options) -> Result<(u8, Vec<u8>), Error> {
    let mut arguments = Vec::new();
    if let (Some(Gtids::MySql(gtids)), true) = (&position.gtids, product != Product::MariaDb) {
        arguments.extend_from_slice(&THROUGH_GTID.to_le_bytes());
        arguments.extend_from_slice(&options.server_id.to_le_bytes());
        arguments.extend_from_slice(&0_u32.to_le_bytes());
        arguments.extend_from_slice(&FIRST.to_le_bytes());
        let mut set = Vec::new();
        gtids.write(&mut set);
        arguments.extend_from_slice(&u32::try_from(set.len()).unwrap_or(u32::MAX).to_le_bytes());
        arguments.extend_from_slice(&set);
        return Ok((BINLOG_DUMP_GTID, arguments));
    }
    let offset = u32::try_from(position.offset.max(FIRST)).map_err(|_| {
        Error::Unsupported("a place above 4 GB in a file, which this protocol cannot ask for; begin at the next file")
    })?;
    let flags = if options.annotations && product == Product::MariaDb { SEND_ANNOTATIONS } else { 0 };
    arguments.extend_from_slice(&offset.to_le_bytes());
    arguments.extend_from_slice(&flags.to_le_bytes());
    arguments.extend_from_slice(&options.server_id.to_le_bytes());
    arguments.extend_from_slice(position.file.as_bytes());
    Ok((BINLOG_DUMP, arguments))
}
