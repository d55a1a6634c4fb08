//! The servers under load: Rowkeep and its peers, each pinned to one core.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    time::{Duration, Instant},
};

use testkit::{Process, Signal};

use crate::{
    Result,
    host::{self, SERVER_CORE},
    items,
};

/// A running server. Ends when dropped.
pub(crate) struct Server {
    process: Process,
    /// `http://127.0.0.1:PORT`.
    pub(crate) url: String,
    /// From start to the first answer.
    pub(crate) start: Duration,
    pub(crate) _data: Option<tempfile::TempDir>,
}

impl Server {
    /// The process id.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// Stands still.
    pub(crate) fn suspend(&self) {
        self.process.signal(Signal::STOP);
    }

    /// Goes on.
    pub(crate) fn resume(&self) {
        self.process.signal(Signal::CONT);
    }

    /// The constant gRPC reply.
    pub(crate) fn hyper_const() -> Result<Self> {
        let program = sibling("hyper_const")?;
        pinned(&program, &["200".to_owned()], &[], None)
    }

    /// The same over HTTP/1.1, with about as many bytes as the row has as JSON.
    pub(crate) fn hyper_const_get() -> Result<Self> {
        let program = sibling("hyper_const")?;
        pinned(&program, &["330".to_owned(), "h1".to_owned()], &[], None)
    }

    /// `rowkeep serve` on this data directory, as it ships.
    pub(crate) fn rowkeep(data: &Path) -> Result<Self> {
        Self::rowkeep_with(data, &[])
    }

    /// With a line for every request.
    pub(crate) fn rowkeep_logging(data: &Path) -> Result<Self> {
        Self::rowkeep_with(data, &[("ROWKEEP_ACCESS_MODE", "all")])
    }

    fn rowkeep_with(data: &Path, env: &[(&str, &str)]) -> Result<Self> {
        let schema = schema().display().to_string();
        let data = data.display().to_string();
        let args = ["serve", &schema, "--data", &data, "--listen", "127.0.0.1:0"].map(str::to_owned);
        let mut all = vec![("ROWKEEP_ADMIN_LISTEN", "127.0.0.1:0")];
        all.extend(env);
        pinned(testkit::binary(), &args, &all, None)
    }

    /// `rowkeep serve` over a MySQL or MariaDB server.
    pub(crate) fn rowkeep_on(database: &str) -> Result<Self> {
        Self::rowkeep_over(&schema(), &[("ROWKEEP_DATABASE", database)])
    }

    /// With its cache in the process.
    pub(crate) fn rowkeep_cached_on(database: &str) -> Result<Self> {
        Self::rowkeep_over(&schema(), &[("ROWKEEP_DATABASE", database), ("ROWKEEP_CACHE_KIND", "memory")])
    }

    /// With its cache in Redis, and so many bytes of its own before it.
    pub(crate) fn rowkeep_shared_on(database: &str, redis: SocketAddr, bytes: usize) -> Result<Self> {
        let (redis, bytes) = (format!("redis://{redis}"), bytes.to_string());
        let cache = [("ROWKEEP_CACHE_KIND", redis.as_str()), ("ROWKEEP_CACHE_MEMORY", &bytes)];
        Self::rowkeep_over(&schema(), &[&[("ROWKEEP_DATABASE", database)][..], &cache].concat())
    }

    /// With so many bytes for its cache, and its metrics on this port.
    pub(crate) fn rowkeep_with_room(database: &str, bytes: usize, admin: u16) -> Result<Self> {
        let (bytes, admin) = (bytes.to_string(), format!("127.0.0.1:{admin}"));
        let cache = [("ROWKEEP_CACHE_KIND", "memory"), ("ROWKEEP_CACHE_MEMORY", &bytes)];
        let env = [&[("ROWKEEP_DATABASE", database), ("ROWKEEP_ADMIN_LISTEN", &admin)][..], &cache].concat();
        Self::rowkeep_over(&schema(), &env)
    }

    /// With its cache, and nobody who holds it against the database: the reads of it are the only ones.
    pub(crate) fn rowkeep_cached_unaudited_on(database: &str) -> Result<Self> {
        let cache = [("ROWKEEP_CACHE_KIND", "memory"), ("ROWKEEP_CACHE_AUDIT", "0s")];
        Self::rowkeep_over(&schema(), &[&[("ROWKEEP_DATABASE", database)][..], &cache].concat())
    }

    /// With a replica.
    pub(crate) fn rowkeep_with_replica(database: &str, replica: &str) -> Result<Self> {
        Self::rowkeep_over(&schema(), &[("ROWKEEP_DATABASE", database), ("ROWKEEP_REPLICAS", replica)])
    }

    /// Any schema, over the servers of the environment.
    pub(crate) fn rowkeep_over(schema: &Path, databases: &[(&str, &str)]) -> Result<Self> {
        let args = ["serve", &schema.display().to_string(), "--listen", "127.0.0.1:0"].map(str::to_owned);
        let mut env = vec![("ROWKEEP_ADMIN_LISTEN", "127.0.0.1:0")];
        env.extend(databases);
        pinned(testkit::binary(), &args, &env, None)
    }

    /// The same service written by hand on tonic and sqlx.
    pub(crate) fn tonic_sqlx(database: &str) -> Result<Self> {
        pinned(&sibling("tonic_sqlx")?, &[database.to_owned()], &[], None)
    }

    /// PocketBase with as many items.
    pub(crate) fn pocketbase(options: &PocketBase) -> Result<Self> {
        let program = pocketbase_binary()?;
        let data = host::scratch().map_err(|error| error.to_string())?;
        let port = testkit::free_port();
        let address = format!("127.0.0.1:{port}");
        let directory = data.path().display().to_string();
        let args = ["serve", "--http", &address, "--dir", &directory].map(str::to_owned);
        let env = [
            ("PEER_ROWS", options.rows.to_string()),
            ("PEER_LOGS", if options.log { "1" } else { "0" }.to_owned()),
            ("PEER_SYNC", if options.durable { "FULL" } else { "NORMAL" }.to_owned()),
            ("GOMAXPROCS", "1".to_owned()),
        ];
        let env: Vec<_> = env.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let mut server = pinned(&program, &args, &env, Some(format!("http://{address}")))?;
        server._data = Some(data);
        Ok(server)
    }
}

/// The table of the benchmarks.
pub(crate) fn schema() -> PathBuf {
    host::directory().join("schema.proto")
}

/// How PocketBase runs.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PocketBase {
    pub(crate) rows: u64,
    /// Its request log, on as it ships.
    pub(crate) log: bool,
    /// `synchronous=FULL`: a 200 means on disk. It ships with NORMAL.
    pub(crate) durable: bool,
}

/// A program beside this one.
pub(crate) fn sibling(name: &str) -> Result<PathBuf> {
    let this = std::env::current_exe().map_err(|error| error.to_string())?;
    Ok(this.with_file_name(name))
}

/// Starts a program on the server's core and waits until it answers, at `url` or where it says it listens.
pub(crate) fn pinned(program: &Path, args: &[String], env: &[(&str, &str)], url: Option<String>) -> Result<Server> {
    let mut all = vec!["-c".to_owned(), SERVER_CORE.to_owned(), program.display().to_string()];
    all.extend_from_slice(args);
    let started = Instant::now();
    let process = Process::start("taskset", &all, env);
    let url = match url {
        Some(url) => url,
        None => {
            let said = process.log().wait_for(0, testkit::PATIENCE, testkit::listening_address);
            let said = said.map(|address| format!("http://{address}"));
            said.ok_or_else(|| format!("{} does not start\n{}", program.display(), process.log().text()))?
        }
    };
    wait_for_answer(&process, &url)?;
    Ok(Server { process, url, start: started.elapsed(), _data: None })
}

fn wait_for_answer(process: &Process, url: &str) -> Result<()> {
    let authority = url.trim_start_matches("http://");
    let started = Instant::now();
    // Filling a peer takes longer than starting a server in a test.
    while started.elapsed() < 20 * testkit::PATIENCE {
        if testkit::http::send(authority, b"").is_ok() {
            return Ok(());
        }
        if let Some(status) = process.exited() {
            return Err(format!("the server ended with {status}\n{}", process.log().text()));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Err(format!("the server does not answer\n{}", process.log().text()))
}

/// Builds PocketBase from its module, once.
fn pocketbase_binary() -> Result<PathBuf> {
    let binary = host::cache().map_err(|error| error.to_string())?.join("pocketbase");
    if !binary.is_file() {
        let mut go = Command::new("go");
        go.args(["build", "-trimpath", "-ldflags=-s -w", "-o"]).arg(&binary).arg(".");
        let status = go.current_dir(host::directory().join("peers/pocketbase")).status();
        if !status.map_err(|error| format!("go: {error}"))?.success() {
            return Err("PocketBase does not build".to_owned());
        }
    }
    Ok(binary)
}

/// A data directory with as many items, loaded by `rowkeep load`.
pub(crate) fn store_with_items(rows: u64) -> Result<tempfile::TempDir> {
    let data = host::scratch().map_err(|error| error.to_string())?;
    let csv = data.path().join("items.csv");
    items::write_csv(&csv, rows).map_err(|error| format!("{}: {error}", csv.display()))?;
    load("Item", &csv, &schema(), data.path(), &[])?;
    fs::remove_file(&csv).map_err(|error| error.to_string())?;
    Ok(data)
}

/// What a `rowkeep load` cost.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Loaded {
    pub(crate) seconds: f64,
    pub(crate) peak_mib: f64,
}

/// `rowkeep load ENTITY FILE`, on the server's core, from start to end.
pub(crate) fn load(entity: &str, file: &Path, schema: &Path, data: &Path, args: &[&str]) -> Result<Loaded> {
    let data = data.display().to_string();
    load_into(entity, file, schema, &[&["--data", &data], args].concat())
}

/// The same, wherever the arguments say.
pub(crate) fn load_into(entity: &str, file: &Path, schema: &Path, args: &[&str]) -> Result<Loaded> {
    let path = |path: &Path| path.display().to_string();
    let mut all = ["-c", SERVER_CORE].map(str::to_owned).to_vec();
    all.extend([path(testkit::binary()), "load".to_owned(), entity.to_owned(), path(file)]);
    all.extend(["--schema".to_owned(), path(schema)]);
    all.extend(args.iter().map(|arg| (*arg).to_owned()));
    let started = Instant::now();
    let process = Process::start("taskset", &all, &[]);
    let mut peak_mib = 0.0;
    let status = loop {
        if let Some(status) = process.wait(Duration::from_millis(20)) {
            break status;
        }
        peak_mib = host::memory_mib(process.id(), "VmHWM").unwrap_or(peak_mib);
    };
    if !status.success() {
        return Err(format!("rowkeep load {entity} ended with {status}\n{}", process.log().text()));
    }
    Ok(Loaded { seconds: started.elapsed().as_secs_f64(), peak_mib })
}
