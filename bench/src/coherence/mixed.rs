//! Reads and updates, 95 to 5, of 100,000 rows with a cache that has room for a tenth of them: CPU time of the service per
//! request, stale reads, and what the log costs the database meanwhile.

use std::{
    fs,
    io::{Read, Write},
    net::TcpStream,
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
    Result, figures, go_zero,
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
    /// Of the database's CPU time, the share of the log and of what is asked for it.
    log: f64,
}

pub(crate) fn run() -> Result<Vec<Line>> {
    let theirs = measure(false)?;
    let ours = measure(true)?;
    let less = theirs.cpu / ours.cpu;
    let [stale, ..] = ours.tally.per_million();
    let [their_stale, ..] = theirs.tally.per_million();
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
            value: format!("{:.1} %", ours.log * 100.0),
            beside: "-".to_owned(),
            ratio: "-".to_owned(),
            bar: "<= 2 %",
            met: ours.log <= 0.02,
        },
    ])
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
    runtime.block_on(Arc::clone(&mix).run(WARM))?;
    let before = host::cpu_micros(server.id())?;
    let watching = ours.then(|| runtime.spawn(of_the_log(database.url(), database.id(), Arc::clone(&mix))));
    let tally = runtime.block_on(Arc::clone(&mix).run(REQUESTS))?;
    let cpu = (host::cpu_micros(server.id())? - before) / REQUESTS as f64;
    mix.ended.store(true, Ordering::Release);
    let log = match watching {
        Some(watching) => runtime.block_on(watching).map_err(|error| error.to_string())??,
        None => 0.0,
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
    ended: AtomicBool,
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
            ended: AtomicBool::new(false),
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

/// The share of the database's CPU time that goes to who follows its log, on both connections, while requests are made.
async fn of_the_log(database: String, process: u32, mix: Arc<Mix>) -> Result<f64> {
    let address: Address = database.parse()?;
    let mut connection = Connection::open(&address).await.map_err(|error| error.to_string())?;
    let mut followers = Vec::new();
    let (start, mut used) = (host::cpu_micros(process)?, Vec::new());
    while !mix.ended.load(Ordering::Acquire) {
        let rows = connection.query("SELECT TID, COMMAND, IFNULL(INFO, '') FROM information_schema.PROCESSLIST").await;
        for row in rows.map_err(|error| error.to_string())? {
            let mut cells = row.into_iter().map(Option::unwrap_or_default);
            let (thread, command, text) = (cells.next(), cells.next(), cells.next().unwrap_or_default());
            let follows = command.is_some_and(|command| command.starts_with("Binlog Dump"));
            let asks = text.starts_with("START TRANSACTION WITH CONSISTENT") || text.contains("binlog_snapshot_");
            let thread = thread.and_then(|thread| thread.parse::<u32>().ok());
            if let Some(thread) = thread.filter(|thread| (follows || asks) && !followers.contains(thread)) {
                followers.push(thread);
                used.push(thread_micros(process, thread)?);
            }
        }
        // What is asked takes a tenth of a millisecond, in which it has to be met once.
        let pause = if followers.len() < 2 { 1 } else { 20 };
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
    if followers.len() < 2 {
        return Err(format!("{} connections of the log were seen", followers.len()));
    }
    let spent = followers.iter().zip(used).map(|(thread, used)| Ok(thread_micros(process, *thread)? - used));
    let spent: f64 = spent.collect::<Result<Vec<_>>>()?.iter().sum();
    Ok(spent / (host::cpu_micros(process)? - start))
}

/// CPU time of a thread so far, microseconds.
fn thread_micros(process: u32, thread: u32) -> Result<f64> {
    let path = format!("/proc/{process}/task/{thread}/schedstat");
    let text = fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"))?;
    let nanos = text.split(' ').next().and_then(|field| field.parse::<f64>().ok());
    nanos.map(|nanos| nanos / 1e3).ok_or_else(|| format!("{path} has no time"))
}
