//! Reading the binary log of MariaDB: a file in memory beside the server's own tool, and the stream of a server.
//!
//! Everything runs in this process, on the load generator's core, with the server on the other; the tool is a child on
//! this core. What counts is CPU time, which other work on the machine changes little. Every cell of every row is decoded.

use std::{
    fs,
    hint::black_box,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use rowkeep_binlog::{Item, LogFile, Options, Reader, Start};
use testkit::MariaDb;

use crate::{
    ROUNDS, Result,
    host::{self, SERVER_CORE, median},
    results::Line,
};

const ROWS: u64 = 2_000_000;
const TRANSACTIONS: u64 = 200_000;

const SETTINGS: &[&str] = &["--max-binlog-size=1G", "--sync-binlog=0", "--innodb-flush-log-at-trx-commit=0"];

/// A row has about 200 bytes.
const TABLE: &str = "\
    (id BIGINT PRIMARY KEY, customer INT UNSIGNED, email VARCHAR(100), name VARCHAR(100), \
    amount DECIMAL(12,2), created DATETIME(3), active TINYINT, note VARCHAR(255))";
const VALUES: &str = "\
    seq, seq % 50000, CONCAT('customer', seq, '@example.com'), CONCAT('Name of customer ', seq), \
    seq / 7, '2024-02-29 12:34:56.789', seq % 2, REPEAT(CHAR(97 + seq % 26), 100)";

pub(crate) fn run() -> Result<Vec<Line>> {
    let database = MariaDb::start_with(SETTINGS);
    host::pin(database.id(), SERVER_CORE)?;
    database.admin(&format!("CREATE TABLE test.bulk {TABLE}; CREATE TABLE test.single {TABLE}"));
    let bulk = written(&database, &format!("USE test; INSERT INTO bulk SELECT {VALUES} FROM seq_1_to_{ROWS}"))?;
    let values = VALUES.replace("seq", "n");
    let single = written(
        &database,
        &format!(
            "USE test;\nDELIMITER //\nBEGIN NOT ATOMIC DECLARE n INT DEFAULT 0; WHILE n < {TRANSACTIONS} DO SET n = n + 1; \
             INSERT INTO single VALUES ({values}); END WHILE; END//"
        ),
    )?;
    let reader = database.user("follower", "test", &["REPLICATION SLAVE, REPLICATION CLIENT, PROCESS, SELECT ON *.*"]);
    let mut lines = vec![file_of_rows(&bulk)?, file_of_transactions(&single)?];
    lines.push(stream(&reader, &single)?);
    Ok(lines)
}

/// Runs statements; the file of the log that has them and nothing else.
fn written(database: &MariaDb, statements: &str) -> Result<PathBuf> {
    database.admin("FLUSH BINARY LOGS");
    let files = database.admin("SHOW BINARY LOGS");
    database.admin(statements);
    database.admin("FLUSH BINARY LOGS");
    let name = files.lines().last().and_then(|line| line.split('\t').next()).ok_or("no binary log")?;
    Ok(database.data_directory().join(name))
}

/// What was read.
#[derive(Debug, Default, Clone, Copy)]
struct Read {
    rows: u64,
    transactions: u64,
}

impl Read {
    fn take(&mut self, item: Item<'_>) -> std::result::Result<(), rowkeep_binlog::Error> {
        match item {
            Item::Rows(mut rows) => {
                while let Some(row) = rows.next()? {
                    self.rows += 1;
                    for image in row.before.iter().chain(&row.after) {
                        for cell in image.cells() {
                            black_box(cell?);
                        }
                    }
                }
            }
            Item::End(_) => self.transactions += 1,
            _ => {}
        }
        Ok(())
    }
}

fn read(bytes: &[u8]) -> Result<Read> {
    let go = || {
        let (mut read, mut log) = (Read::default(), LogFile::new("log", bytes)?);
        while let Some(item) = log.next()? {
            read.take(item)?;
        }
        Ok(read)
    };
    go().map_err(|error: rowkeep_binlog::Error| error.to_string())
}

/// CPU seconds of this process and of its children that have ended.
fn cpu_seconds() -> Result<(f64, f64)> {
    let stat = fs::read_to_string("/proc/self/stat").map_err(|error| error.to_string())?;
    let fields: Vec<&str> = stat.rsplit(") ").next().unwrap_or_default().split(' ').collect();
    let ticks =
        |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok()).ok_or("/proc/self/stat is short");
    Ok(((ticks(11)? + ticks(12)?) / 100.0, (ticks(13)? + ticks(14)?) / 100.0))
}

/// Per CPU second: ours, and the server's own tool, in turns.
fn beside_the_tool(file: &Path, count: fn(&Read) -> u64) -> Result<(f64, f64)> {
    let bytes = fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let (mut ours, mut tool) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let before = cpu_seconds()?;
        let read = read(&bytes)?;
        let between = cpu_seconds()?;
        let status = Command::new("mariadb-binlog").arg(file).stdout(Stdio::null()).status();
        if !status.is_ok_and(|status| status.success()) {
            return Err("mariadb-binlog (package mariadb-server) failed".to_owned());
        }
        let after = cpu_seconds()?;
        let count = count(&read) as f64;
        ours.push(count / (between.0 - before.0));
        tool.push(count / (after.1 - between.1));
    }
    Ok((median(ours), median(tool)))
}

fn file_of_rows(file: &Path) -> Result<Line> {
    let (ours, tool) = beside_the_tool(file, |read| read.rows)?;
    Ok(Line {
        figure: "binary log, rows of 200 B in bulk, every cell decoded",
        value: format!("{:.2} M rows per CPU second", ours / 1e6),
        beside: format!("mariadb-binlog to nowhere: {:.2} M", tool / 1e6),
        ratio: format!("{:.2}x", ours / tool),
        bar: ">= 2 M and >= 0.8x",
        met: ours >= 2e6 && ours >= 0.8 * tool,
    })
}

fn file_of_transactions(file: &Path) -> Result<Line> {
    let (ours, tool) = beside_the_tool(file, |read| read.transactions)?;
    Ok(Line {
        figure: "binary log, transactions of one row",
        value: format!("{:.0} k per CPU second", ours / 1e3),
        beside: format!("mariadb-binlog to nowhere: {:.0} k", tool / 1e3),
        ratio: format!("{:.2}x", ours / tool),
        bar: ">= 140 k",
        met: ours >= 140e3,
    })
}

/// The same transactions from the server, which has them in its cache.
fn stream(address: &str, file: &Path) -> Result<Line> {
    let address = address.parse()?;
    let name = file.file_name().and_then(|name| name.to_str()).ok_or("a log without a name")?;
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| error.to_string())?;
    let (mut per_cpu, mut per_second) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let (before, since) = (cpu_seconds()?, std::time::Instant::now());
        let read = runtime.block_on(async {
            let start = Start::At { file: name.to_owned(), offset: 4 };
            let mut reader = Reader::open(&address, start, &Options::new()).await?;
            let mut read = Read::default();
            while read.transactions < TRANSACTIONS {
                read.take(reader.next().await?)?;
            }
            Ok::<_, rowkeep_binlog::Error>(read)
        });
        let read = read.map_err(|error| error.to_string())?;
        per_cpu.push(read.transactions as f64 / (cpu_seconds()?.0 - before.0));
        per_second.push(read.transactions as f64 / since.elapsed().as_secs_f64());
    }
    let (ours, rate) = (median(per_cpu), median(per_second));
    Ok(Line {
        figure: "binary log from MariaDB, transactions of one row",
        value: format!("{:.0} k per CPU second", ours / 1e3),
        beside: format!("as the server sends them: {:.0} k/s", rate / 1e3),
        ratio: "-".to_owned(),
        bar: ">= 140 k",
        met: ours >= 140e3,
    })
}
