//! Reads and updates, 95 to 5, of 100,000 rows with a cache that has room for a tenth of them: CPU time of the service per
//! request, stale reads, and what the log costs the database meanwhile.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use rowkeep_mysql::{Address, Connection};
use testkit::{MariaDb, Redis};

use super::{
    client::Client,
    judge::{History, Tally},
    zipf::Zipf,
};
use crate::{
    ROUNDS, Result, figures, go_zero,
    host::{self, LOAD_CORE},
    results::Line,
    server::Server,
};

const ROWS: usize = 100_000;
/// Entries that a cache has room for.
const ROOM: usize = ROWS / 10;
const EXPONENT: f64 = 0.99;
const UPDATES: f64 = 0.05;
const CONNECTIONS: usize = 8;
/// Requests in flight.
const CLIENTS: usize = 128;
/// Until a cache holds what it has room for.
const WARM: i64 = 150_000;
const REQUESTS: i64 = 200_000;
/// Bytes of an entry of a row of the benchmark, with its key and its share of the table. Checked by what is kept.
const ENTRY: usize = 640;

/// What a service did.
struct Outcome {
    /// CPU time of the service per request, microseconds.
    cpu: f64,
    tally: Tally,
    /// Entries that the cache has at the end.
    entries: u64,
    log: Shares,
}

/// Of the database's CPU time.
#[derive(Clone, Copy, Default)]
struct Shares {
    /// What sends us the log.
    sends: f64,
    /// What answers us how much of it can be seen.
    answers: f64,
    /// What sends the same log to the server's own tool, which does nothing with it: no follower costs less.
    tool: f64,
}

pub(crate) fn run() -> Result<Vec<Line>> {
    let (mut theirs, mut ours) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        theirs.push(measure(false)?);
        ours.push(measure(true)?);
    }
    let (theirs, ours) = (middle(theirs)?, middle(ours)?);
    let less = theirs.cpu / ours.cpu;
    let [stale, ..] = ours.tally.per_million();
    let [their_stale, ..] = theirs.tally.per_million();
    let [sends, answers, tool] = [ours.log.sends, ours.log.answers, ours.log.tool].map(|share| share * 100.0);
    let log = ours.log.sends + ours.log.answers;
    Ok(vec![
        Line {
            figure: "95/5 reads and updates, Zipf 0.99 over 100,000 rows, room for 10 %",
            value: format!("{:.1} us, {stale:.0} stale per million, {} entries", ours.cpu, ours.entries),
            beside: format!(
                "go-zero's cached model: {:.1} us, {their_stale:.0} stale per million, {} entries",
                theirs.cpu, theirs.entries
            ),
            ratio: format!("{less:.1}x less"),
            bar: ">= 4x less, 0 stale",
            met: less >= 4.0 && ours.tally.stale[0] == 0,
        },
        Line {
            figure: "the log's share of the primary's CPU time, 95/5 reads and updates",
            value: format!("{:.1} %: sending it {:.1} %, saying what is visible {:.1} %", log * 100.0, sends, answers),
            beside: format!("sending it to mariadb-binlog: {tool:.1} %"),
            ratio: format!("{:.1}x", log * 100.0 / tool),
            bar: "<= 2 %",
            met: log <= 0.02,
        },
    ])
}

/// The one with the median of the CPU time, and what was shown in all.
fn middle(mut outcomes: Vec<Outcome>) -> Result<Outcome> {
    outcomes.sort_by(|one, other| one.cpu.total_cmp(&other.cpu));
    let mut tally = Tally::default();
    outcomes.iter().for_each(|outcome| tally.add(&outcome.tally));
    let middle = outcomes.into_iter().nth(ROUNDS / 2).ok_or("nothing was measured")?;
    Ok(Outcome { tally, ..middle })
}

fn measure(ours: bool) -> Result<Outcome> {
    let database = MariaDb::start_with(&["--innodb-buffer-pool-size=256M"]);
    host::pin(database.id(), LOAD_CORE)?;
    database.admin(crate::FOLLOW);
    figures::fill_items(&database.url(), ROWS as u64)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let admin = testkit::free_port();
    let redis = (!ours).then(go_zero::redis).transpose()?;
    let server = match &redis {
        Some(redis) => go_zero::start(&database.url(), redis, 0)?,
        None => Server::rowkeep_with_room(&database.url(), ROOM * ENTRY, admin)?,
    };
    let mix = {
        let _entered = runtime.enter();
        Mix::new(&server.url)?
    };
    if let Some(redis) = &redis {
        bound(redis, || runtime.block_on(mix.clone().read_first(1000)))?;
    }
    let followers = if ours { Some(runtime.block_on(Followers::find(&database))?) } else { None };
    runtime.block_on(Arc::clone(&mix).run(WARM))?;
    let before = host::cpu_micros(server.id())?;
    let spent = followers.as_ref().map(Followers::spent).transpose()?;
    let tally = runtime.block_on(Arc::clone(&mix).run(REQUESTS))?;
    let cpu = (host::cpu_micros(server.id())? - before) / REQUESTS as f64;
    let log = match (followers, spent) {
        (Some(followers), Some(spent)) => followers.end(&spent)?,
        _ => Shares::default(),
    };
    let entries = match &redis {
        Some(redis) => ask_redis(redis, "DBSIZE")?.trim_start_matches(':').trim().parse().unwrap_or(0),
        None => metric(admin, "rowkeep_cache_entries")?,
    };
    if tally.failed > 0 || entries < ROOM as u64 * 7 / 10 || entries > ROOM as u64 * 5 / 4 {
        return Err(format!("{} requests failed; {entries} entries, where {ROOM} are meant", tally.failed));
    }
    Ok(Outcome { cpu, tally, entries, log })
}

/// Requests that are made, until so many were.
struct Mix {
    clients: Vec<Client>,
    rows: Vec<Row>,
    zipf: Zipf,
    left: AtomicI64,
}

/// What is known of a row.
#[derive(Default)]
struct Row {
    history: History,
    last: AtomicU64,
    /// Somebody is writing it: a row has one writer at a time.
    written: AtomicBool,
}

impl Mix {
    fn new(url: &str) -> Result<Arc<Self>> {
        Ok(Arc::new(Self {
            clients: (0..CONNECTIONS).map(|_| Client::connect(url)).collect::<Result<_>>()?,
            rows: (0..ROWS).map(|_| Row::default()).collect(),
            zipf: Zipf::new(ROWS, EXPONENT),
            left: AtomicI64::new(0),
        }))
    }

    /// So many requests.
    async fn run(self: Arc<Self>, requests: i64) -> Result<Tally> {
        self.left.store(requests, Ordering::Release);
        let running: Vec<_> = (0..CLIENTS).map(|own| tokio::spawn(Arc::clone(&self).ask(own))).collect();
        let mut tally = Tally::default();
        for client in running {
            tally.add(&client.await.map_err(|error| error.to_string())?);
        }
        Ok(tally)
    }

    async fn ask(self: Arc<Self>, own: usize) -> Tally {
        let mut tally = Tally::default();
        let client = &self.clients[own % CONNECTIONS];
        while self.left.fetch_sub(1, Ordering::AcqRel) > 0 {
            let place = self.zipf.next();
            let row = &self.rows[place];
            if rand::random_bool(UPDATES) && !row.written.swap(true, Ordering::AcqRel) {
                let number = row.last.fetch_add(1, Ordering::AcqRel) + 1;
                match client.write(id(place), number).await {
                    Ok(()) => row.history.acknowledged(number),
                    Err(_) => tally.failed += 1,
                }
                row.written.store(false, Ordering::Release);
                continue;
            }
            let began = Instant::now();
            match client.read(id(place)).await {
                Ok(shown) => tally.read(row.history.staleness(shown.unwrap_or(0), began)),
                Err(_) => tally.failed += 1,
            }
        }
        tally
    }

    /// Reads the first rows once.
    async fn read_first(self: Arc<Self>, rows: usize) -> Result<()> {
        for place in 0..rows {
            self.clients[0].read(id(place)).await.map_err(|status| status.to_string())?;
        }
        Ok(())
    }
}

/// Rows are numbered from 1.
fn id(place: usize) -> i64 {
    i64::try_from(place).unwrap_or(i64::MAX - 1) + 1
}

/// Gives Redis room for as many rows as are meant, by what some take.
fn bound(redis: &Redis, read_some: impl FnOnce() -> Result<()>) -> Result<()> {
    let before = redis.info("used_memory");
    read_some()?;
    let keys: u64 = ask_redis(redis, "DBSIZE")?.trim_start_matches(':').trim().parse().unwrap_or(0);
    let each = (redis.info("used_memory") - before) / keys.max(1);
    let room = redis.info("used_memory") + each * (ROOM as u64 - keys);
    for setting in [format!("maxmemory {room}"), "maxmemory-policy allkeys-lru".to_owned()] {
        let answer = ask_redis(redis, &format!("CONFIG SET {setting}"))?;
        if !answer.starts_with("+OK") {
            return Err(format!("CONFIG SET {setting}: {answer}"));
        }
    }
    Ok(())
}

fn ask_redis(redis: &Redis, command: &str) -> Result<String> {
    let asked = TcpStream::connect(redis.address()).and_then(|mut stream| {
        stream.write_all(format!("{command}\r\nQUIT\r\n").as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    });
    let answer = asked.map_err(|error| format!("redis: {error}"))?;
    Ok(answer.lines().next().unwrap_or_default().to_owned())
}

fn metric(admin: u16, name: &str) -> Result<u64> {
    let text = testkit::http::get(&format!("http://127.0.0.1:{admin}/metrics")).text();
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse::<f64>().ok());
    value.map(|value| value as u64).ok_or_else(|| format!("there is no metric {name}"))
}

/// Whoever follows the log: three threads of the database, and the tool.
struct Followers {
    process: u32,
    /// Those that send us the log, that answer us what can be seen, and that send the log to the tool.
    threads: [u32; 3],
    tool: Child,
}

/// CPU time so far, microseconds: of all of the database, and of the three threads.
struct Spent(f64, [f64; 3]);

impl Followers {
    async fn find(database: &MariaDb) -> Result<Self> {
        let tool = follow_with_the_tool(database)?;
        let address: Address = database.url().parse()?;
        let mut connection = Connection::open(&address).await.map_err(|error| error.to_string())?;
        let (mut threads, until) = ([None; 3], Instant::now() + Duration::from_secs(20));
        while threads.iter().any(Option::is_none) {
            if Instant::now() > until {
                return Err(format!("not all that follow the log were seen: {threads:?}"));
            }
            // What nobody else acknowledges has to be asked for, which takes a tenth of a millisecond.
            let commit = "CREATE OR REPLACE TABLE noise AS SELECT 1 AS n";
            connection.command(commit).await.map_err(|error| format!("{commit}: {error}"))?;
            for _ in 0..20 {
                for (at, thread) in followers(&mut connection).await? {
                    threads[at] = Some(thread);
                }
            }
        }
        Ok(Self { process: database.id(), threads: threads.map(Option::unwrap_or_default), tool })
    }

    fn spent(&self) -> Result<Spent> {
        let mut own = [0.0; 3];
        for (spent, thread) in own.iter_mut().zip(self.threads) {
            *spent = thread_micros(self.process, thread)?;
        }
        Ok(Spent(host::cpu_micros(self.process)?, own))
    }

    /// What they cost since then.
    fn end(mut self, since: &Spent) -> Result<Shares> {
        let Spent(all, own) = self.spent()?;
        self.tool.kill().and_then(|()| self.tool.wait()).map_err(|error| format!("mariadb-binlog: {error}"))?;
        let share = |at: usize| (own[at] - since.1[at]) / (all - since.0);
        Ok(Shares { sends: share(0), answers: share(1), tool: share(2) })
    }
}

/// The threads of the database that send us the log, that answer us what can be seen, and that send the log to the tool, as
/// far as they are met, each with its place among the three.
async fn followers(connection: &mut Connection) -> Result<Vec<(usize, u32)>> {
    let rows =
        connection.query("SELECT TID, USER, COMMAND, IFNULL(INFO, '') FROM information_schema.PROCESSLIST").await;
    let mut found = Vec::new();
    for row in rows.map_err(|error| error.to_string())? {
        let [thread, user, command, text] = &row.into_iter().map(Option::unwrap_or_default).collect::<Vec<_>>()[..]
        else {
            continue;
        };
        let asks = text.starts_with("START TRANSACTION WITH CONSISTENT") || text.contains("binlog_snapshot_");
        let at = match command.starts_with("Binlog Dump") {
            true if user == TOOL => 2,
            true => 0,
            false if asks => 1,
            false => continue,
        };
        found.push((at, thread.parse().map_err(|_| format!("a thread without a number: {thread}"))?));
    }
    Ok(found)
}

/// Whom the tool follows as.
const TOOL: &str = "tool";

/// The server's own tool, from the end of the log on.
fn follow_with_the_tool(database: &MariaDb) -> Result<Child> {
    database.admin(&format!(
        "CREATE USER {TOOL} IDENTIFIED BY '{TOOL}'; GRANT REPLICATION SLAVE, BINLOG MONITOR ON *.* TO {TOOL}; \
         GRANT PROCESS ON *.* TO app@'127.0.0.1'"
    ));
    let at = database.admin("SHOW MASTER STATUS");
    let mut at = at.split_whitespace();
    let (Some(file), Some(place)) = (at.next(), at.next()) else { return Err("no place in the binary log".to_owned()) };
    let mut tool = Command::new("mariadb-binlog");
    tool.args(["--no-defaults", "--protocol=tcp", "--host=127.0.0.1", &format!("--port={}", database.port())]);
    tool.args(["--user", TOOL, &format!("--password={TOOL}"), "--read-from-remote-server", "--stop-never", "--ssl=0"]);
    tool.arg(format!("--start-position={place}")).arg(file).stdout(Stdio::null());
    tool.spawn().map_err(|error| format!("mariadb-binlog (package mariadb-server): {error}"))
}

/// CPU time of a thread so far, microseconds.
fn thread_micros(process: u32, thread: u32) -> Result<f64> {
    let path = format!("/proc/{process}/task/{thread}/schedstat");
    let text = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    let nanos = text.split(' ').next().and_then(|field| field.parse::<f64>().ok());
    nanos.map(|nanos| nanos / 1e3).ok_or_else(|| format!("{path} has no time"))
}
