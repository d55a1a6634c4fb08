//! What reads of a server show, asked on a connection beside the one that its log comes over.
//!
//! A log runs ahead: a transaction is in it a moment before its rows can be seen, and with semi-synchronous replication until
//! a replica has received it. Told at once, it would make a cache drop a row that a reader brings back as it was. So a
//! transaction waits until the server, asked after the transaction has arrived, shows it.
//!
//! Behind a gateway the question goes to whoever is the primary by now, as reads do. So each answer says whose it is, and one
//! of another server than the log's ends the connection: what the two have in common is found out anew. And it must not be the
//! answer to a question that somebody asked before: gateways share answers among those who ask the same at the same time,
//! unless they are told not to.
//!
//! MySQL: its GTID is in `gtid_executed`. MariaDB has no such set (`gtid_binlog_pos` is ahead like the log itself), but says
//! where in the log a snapshot lies. Two things about that place are not what they seem:
//! - It is kept in one buffer for all sessions that ask. What another session put there is the place of a snapshot, too, so
//!   that it is as good here; but the file's name may be one answer's and the offset another's. So a file counts once it was
//!   answered twice.
//! - A transaction at which the log goes on in another file is passed over: the place is in the new file before that
//!   transaction can be seen. What is in an older file than the place counts only once the log itself says, by a checkpoint,
//!   that the file is done with.

use std::time::{Duration, Instant};

use rowkeep_binlog::{Error, Gtid, Gtids, Hidden, Options};
use rowkeep_mysql::{Address, Connection, Error as DriverError, Product, Raw};
use tokio::time::{sleep, timeout};

use crate::Take;
use crate::done::{self, Snapshot};
use crate::place::parse;

/// A server that takes longer to answer is given up, and asked over another connection.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two questions for what cannot be told yet.
const PAUSE: Duration = Duration::from_millis(20);
/// A question whose answer is not shared. To a server itself it is a remark.
macro_rules! own {
    ($what:literal) => {
        concat!("SELECT /*vt+ CONSOLIDATOR=disabled */ ", $what)
    };
}

const SNAPSHOT: &str = "SHOW STATUS LIKE 'binlog_snapshot_%'";
const EXECUTED: &str = own!("@@global.gtid_executed, @@global.server_uuid");

/// Asks one server.
#[derive(Debug)]
pub(crate) struct Gate {
    connection: Connection,
    is_mariadb: bool,
    /// Behind a gateway: who answers.
    of: Option<String>,
    /// The file in which the last answer lay.
    file: u64,
    /// Its name.
    name: Vec<u8>,
    /// All files before this one are done with.
    done_before: u64,
}

/// What can be seen.
#[derive(Debug)]
pub(crate) enum Shown {
    /// These transactions.
    Executed(Gtids),
    /// All up to this place, with what [`Gate`] says of other files.
    Upto { file: u64, offset: u64, done_before: u64 },
}

/// A transaction, as it is known again in an answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mark {
    pub(crate) gtid: Option<Gtid>,
    pub(crate) file: u64,
    /// Behind it; or somewhere inside of it.
    pub(crate) offset: u64,
    /// It goes on behind the offset.
    pub(crate) inside: bool,
}

impl Shown {
    /// Whether the transaction can be seen.
    pub(crate) fn has(&self, mark: &Mark) -> bool {
        match self {
            // One without a name is of a time before there were names.
            Self::Executed(gtids) => mark.gtid.is_none_or(|gtid| gtids.contains(&gtid)),
            Self::Upto { file, offset, done_before } => {
                let reached = if mark.inside { mark.offset < *offset } else { mark.offset <= *offset };
                mark.file < *done_before || (mark.file == *file && reached)
            }
        }
    }
}

impl Gate {
    pub(crate) async fn open(address: &Address) -> Result<Self, Error> {
        let connection = patiently(Connection::open(address)).await?;
        let product = connection.server().product;
        let is_mariadb = product == Product::MariaDb;
        let mut gate = Self { connection, is_mariadb, of: None, file: 0, name: Vec::new(), done_before: 0 };
        if product == Product::Vitess {
            gate.of = Some(gate.identity().await?);
        }
        if is_mariadb {
            // At a lower level there are no snapshots to begin a transaction with.
            patiently(gate.connection.command("SET SESSION tx_isolation = 'REPEATABLE-READ'")).await?;
            gate.file = patiently(gate.snapshot()).await?.0;
        }
        Ok(gate)
    }

    /// Has whoever takes rows ask what it wants to know. `hidden`: what the log does not show.
    pub(crate) async fn introduce(&mut self, take: &mut impl Take, hidden: &[Hidden]) -> Result<(), Error> {
        // It may have to wait for tables that are being changed.
        let asked = timeout(PATIENCE, take.ask(&mut self.connection, hidden)).await;
        asked.unwrap_or(Err(Error::Silent(PATIENCE)))
    }

    /// Whether a gateway lies between.
    pub(crate) fn is_gateway(&self) -> bool {
        self.of.is_some()
    }

    /// The log said that files before this one are done with.
    pub(crate) fn checkpoint(&mut self, file: u64) {
        self.done_before = self.done_before.max(file);
    }

    /// The name of the file in which the last answer lay.
    pub(crate) fn file(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.name)
    }

    /// How long to leave the server alone between two questions. One takes a hundredth of a millisecond of MySQL, and a tenth
    /// of MariaDB, which goes through all that it counts.
    pub(crate) fn rest(&self) -> Duration {
        Duration::from_millis(if self.is_mariadb { 4 } else { 1 })
    }

    /// What can be seen now.
    pub(crate) async fn ask(&mut self) -> Result<Shown, Error> {
        if !self.is_mariadb {
            return self.gtids(EXECUTED).await.map(Shown::Executed);
        }
        let mut answer = patiently(self.snapshot()).await?;
        while answer.0 != self.file {
            self.file = answer.0;
            answer = patiently(self.snapshot()).await?;
        }
        Ok(Shown::Upto { file: answer.0, offset: answer.1, done_before: self.done_before })
    }

    /// All that was acknowledged by now, and perhaps a little more, as far as the log has it.
    pub(crate) async fn written(&mut self) -> Result<Gtids, Error> {
        // What was purged is taken off because a GTID may be put there that never was in the log.
        let question = match self.is_mariadb {
            true => "SELECT @@global.gtid_binlog_pos",
            false => own!("GTID_SUBTRACT(@@global.gtid_executed, @@global.gtid_purged), @@global.server_uuid"),
        };
        self.gtids(question).await
    }

    /// The server's whole history.
    pub(crate) async fn history(&mut self) -> Result<Gtids, Error> {
        self.gtids(if self.is_mariadb { "SELECT @@global.gtid_binlog_pos" } else { EXECUTED }).await
    }

    /// What can be seen now, as a set to begin behind. `options`: of whoever is going to read the log from there.
    pub(crate) async fn visible(&mut self, address: &Address, options: &Options) -> Result<Gtids, Error> {
        if !self.is_mariadb {
            return self.history().await;
        }
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            let Shown::Upto { file, offset, .. } = self.ask().await? else { continue };
            // A transaction at which the log has gone on in another file may lie before the place, and not be seen.
            let snapshot = Snapshot { name: &self.file(), offset };
            if done::before(address, options, snapshot, file.saturating_sub(1)).await? < file {
                sleep(PAUSE).await;
                continue;
            }
            let name = self.file().replace('\\', "\\\\").replace('\'', "\\'");
            let rows = patiently(self.connection.query(&format!("SELECT BINLOG_GTID_POS('{name}', {offset})"))).await?;
            // NULL: the file was purged meanwhile.
            if let Some(text) = rows.into_iter().flatten().flatten().next() {
                return self.parse(&text);
            }
        }
        Err(Error::Silent(PATIENCE))
    }

    /// What tells this server from another behind the same address, and the source that it numbers its own commits by.
    pub(crate) async fn identity(&mut self) -> Result<String, Error> {
        let question = if self.is_mariadb {
            "SELECT CONCAT(@@server_id, '@', @@hostname, ':', @@port)"
        } else {
            own!("@@global.server_uuid")
        };
        self.text(question, 0).await
    }

    /// Of MariaDB: the number that the server's own commits have in their GTIDs, if its acknowledgements say what is
    /// [visible](crate::Acked). `identity`: as it [says](Self::identity).
    pub(crate) async fn acknowledges(&mut self, identity: &str) -> Result<Option<u32>, Error> {
        let Some((number, _)) = identity.split_once('@').filter(|_| self.is_mariadb) else { return Ok(None) };
        let in_order = self.text("SELECT @@global.binlog_optimize_thread_scheduling", 0).await? == "1";
        Ok(number.parse().ok().filter(|_| in_order))
    }

    /// Of MariaDB: the domain of commits that ask for none.
    pub(crate) async fn domain(&mut self) -> Result<u32, Error> {
        let text = self.text("SELECT @@global.gtid_domain_id", 0).await?;
        text.parse().map_err(|_| Error::Malformed("a domain that is no number"))
    }

    /// A set, and behind a gateway in the second column whose it is.
    ///
    /// # Errors
    /// [`Error::Ended`]: it is another server's than it was.
    async fn gtids(&mut self, question: &str) -> Result<Gtids, Error> {
        let rows = patiently(self.connection.query(question)).await?;
        let mut values = rows.into_iter().next().into_iter().flatten();
        let text = values.next().flatten().unwrap_or_default();
        if self.of.is_some() && self.of != values.next().flatten() {
            return Err(Error::Ended);
        }
        self.parse(&text)
    }

    fn parse(&self, text: &str) -> Result<Gtids, Error> {
        parse(self.is_mariadb, text).ok_or(Error::Malformed("the server's own position cannot be read"))
    }

    /// A column of the first row.
    async fn text(&mut self, question: &str, column: usize) -> Result<String, Error> {
        let rows = patiently(self.connection.query(question)).await?;
        Ok(rows.into_iter().next().and_then(|row| row.into_iter().nth(column)?).unwrap_or_default())
    }

    /// Where a snapshot lies that is taken now: file and offset. One exchange with the server.
    async fn snapshot(&mut self) -> Result<(u64, u64), DriverError> {
        let status = self.connection.prepare(SNAPSHOT).await?;
        self.connection.send_command("START TRANSACTION WITH CONSISTENT SNAPSHOT");
        self.connection.send_execute(status, &[])?;
        self.connection.send_command("ROLLBACK");
        self.connection.flush().await?;
        let (mut file, mut offset, name) = (None, None, &mut self.name);
        self.connection.receive(|_| Ok::<(), DriverError>(())).await?;
        let status = self.connection.receive(|row| {
            let (Raw::Bytes(variable), Raw::Bytes(value)) = (row.value()?, row.value()?) else { return Ok(()) };
            if variable.eq_ignore_ascii_case(b"Binlog_snapshot_file") {
                file = Some(number(value));
                *name = value.to_vec();
            } else if variable.eq_ignore_ascii_case(b"Binlog_snapshot_position") {
                offset = std::str::from_utf8(value).ok().and_then(|value| value.parse().ok());
            }
            Ok::<(), DriverError>(())
        });
        status.await?;
        self.connection.receive(|_| Ok::<(), DriverError>(())).await?;
        match (file, offset) {
            (Some(file), Some(offset)) => Ok((file, offset)),
            _ => Err(DriverError::Protocol("the server does not say where in its log a snapshot lies")),
        }
    }
}

/// The number of a log file: what stands behind the last point of its name.
pub(crate) fn number(file: &[u8]) -> u64 {
    let digits = file.rsplit(|byte| *byte == b'.').next().unwrap_or_default();
    std::str::from_utf8(digits).ok().and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

async fn patiently<T>(answer: impl Future<Output = Result<T, DriverError>>) -> Result<T, Error> {
    match timeout(PATIENCE, answer).await {
        Ok(answer) => answer.map_err(Error::MySql),
        Err(_) => Err(Error::Silent(PATIENCE)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_of_an_older_file_is_seen_once_the_file_is_done_with() {
        let shown = |done_before| Shown::Upto { file: 7, offset: 400, done_before };
        let mark = |file, offset, inside| Mark { gtid: None, file, offset, inside };
        assert!(shown(0).has(&mark(7, 400, false)) && !shown(0).has(&mark(7, 401, false)));
        assert!(!shown(0).has(&mark(7, 400, true)) && shown(0).has(&mark(7, 399, true)));
        assert!(!shown(6).has(&mark(6, 100, false)) && shown(7).has(&mark(6, 100, false)));
        assert!(!shown(7).has(&mark(8, 4, false)));
    }

    #[test]
    fn files_are_in_the_order_of_their_numbers() {
        assert_eq!((number(b"binlog.000012"), number(b"a.b.1000000"), number(b"none")), (12, 1_000_000, 0));
    }
}
