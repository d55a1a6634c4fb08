//! A row that is in no cache is read, and kept: CPU time of the service per request, beside go-zero's generated model, which
//! asks Redis, then the database, then tells Redis.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use testkit::MariaDb;
use tokio::runtime::Runtime;

use super::client::Client;
use crate::{
    ROUNDS, Result, figures, go_zero,
    host::{self, LOAD_CORE, median},
    results::Line,
    server::Server,
};

const ROWS: u64 = 100_000;
/// In each round of each service, after a tenth as many. All of them together are fewer than there are rows.
const REQUESTS: i64 = 25_000;
const CONNECTIONS: usize = 8;
/// Requests in flight.
const CLIENTS: usize = 128;

/// Reads of one row after the other.
struct Reads {
    clients: Vec<Client>,
    /// The row that was read last.
    last: AtomicI64,
    until: AtomicI64,
}

pub(crate) fn run() -> Result<Vec<Line>> {
    let database = MariaDb::start_with(&["--innodb-buffer-pool-size=256M"]);
    host::pin(database.id(), LOAD_CORE)?;
    database.admin(crate::FOLLOW);
    figures::fill_items(&database.url(), ROWS)?;
    let (redis, peers) = (go_zero::redis()?, go_zero::redis()?);
    let servers = [
        Server::rowkeep_cached_on(&database.url())?,
        Server::rowkeep_shared_on(&database.url(), redis.address(), 64 << 20)?,
        go_zero::start(&database.url(), &peers, 0)?,
    ];
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let reads = {
        let _entered = runtime.enter();
        servers.iter().map(|server| Reads::new(&server.url)).collect::<Result<Vec<_>>>()?
    };
    let mut micros: Vec<Vec<f64>> = servers.iter().map(|_| Vec::new()).collect();
    for _ in 0..ROUNDS {
        for ((server, reads), micros) in servers.iter().zip(&reads).zip(&mut micros) {
            micros.push(reads.measure(&runtime, server.id())?);
        }
    }
    let (hits, misses) = (peers.info("keyspace_hits"), peers.info("keyspace_misses"));
    if hits > 0 || misses < u64::try_from(REQUESTS).unwrap_or(0) * ROUNDS as u64 {
        return Err(format!("go-zero's cache had {hits} rows and lacked {misses}: that is no miss each"));
    }
    let micros: Vec<f64> = micros.into_iter().map(median).collect();
    let (ours, shared, theirs) = (micros[0], micros[1], micros[2]);
    let (less, shared_less) = (theirs / ours, theirs / shared);
    Ok(vec![Line {
        figure: "a miss that is kept, gRPC Get by id, 128 in flight",
        value: format!("{ours:.1} us; with Redis behind it {shared:.1} us"),
        beside: format!("goctl's cached model on a miss, default middleware: {theirs:.1} us"),
        ratio: format!("{less:.1}x less; with Redis {shared_less:.1}x"),
        bar: ">= 5.5x less",
        met: less >= 5.5,
    }])
}

impl Reads {
    fn new(url: &str) -> Result<Arc<Self>> {
        let clients = (0..CONNECTIONS).map(|_| Client::connect(url)).collect::<Result<_>>()?;
        Ok(Arc::new(Self { clients, last: AtomicI64::new(0), until: AtomicI64::new(0) }))
    }

    /// CPU time of the service per request, microseconds.
    fn measure(self: &Arc<Self>, runtime: &Runtime, server: u32) -> Result<f64> {
        runtime.block_on(self.read(REQUESTS / 10))?;
        let before = host::cpu_micros(server)?;
        runtime.block_on(self.read(REQUESTS))?;
        Ok((host::cpu_micros(server)? - before) / REQUESTS as f64)
    }

    /// The next so many rows, each once.
    async fn read(self: &Arc<Self>, rows: i64) -> Result<()> {
        self.until.fetch_add(rows, Ordering::AcqRel);
        let readers: Vec<_> = (0..CLIENTS).map(|own| tokio::spawn(Arc::clone(self).read_on(own))).collect();
        for reader in readers {
            reader.await.map_err(|error| error.to_string())??;
        }
        // Each reader has gone one further.
        self.last.store(self.until.load(Ordering::Acquire), Ordering::Release);
        Ok(())
    }

    async fn read_on(self: Arc<Self>, own: usize) -> Result<()> {
        let client = &self.clients[own % CONNECTIONS];
        loop {
            let id = self.last.fetch_add(1, Ordering::AcqRel) + 1;
            if id > self.until.load(Ordering::Acquire) {
                return Ok(());
            }
            client.read(id).await.map_err(|status| status.to_string())?;
        }
    }
}
