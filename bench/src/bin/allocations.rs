//! Counts heap allocations per Get: the server in this process under an allocator that counts, the load from another.
//!
//! Prints one line per kind of request: `gRPC 12.00 1234` (allocations and bytes per request). `long` is a row of 20 kB, `hit`
//! what comes from the cache in memory.

#![allow(clippy::print_stdout, reason = "the result")]

use std::{
    alloc::System,
    error::Error,
    fs,
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
};

use kit_core::Shutdown;
use kit_telemetry::{LogConfig, LogControl, init_logs};
use rowkeep_schema::{CompileOptions, compile};
use rowkeep_server::{Server, ServerConfig};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const REQUESTS: usize = 20_000;
/// Bytes of the text in the long row.
const LONG: usize = 20_000;

fn main() -> Result<(), Box<dyn Error>> {
    let logs = init_logs(&LogConfig { level: "warn".to_owned(), ..LogConfig::default() })?;
    for line in served("none", &logs, uncached)?.into_iter().chain(served("memory", &logs, cached)?) {
        println!("{line}");
    }
    Ok(())
}

type Measure = fn(&str, &Path) -> Result<Vec<String>, Box<dyn Error>>;

/// What is measured on a new server with such a cache.
fn served(cache: &str, logs: &LogControl, measure: Measure) -> Result<Vec<String>, Box<dyn Error>> {
    let directory = tempfile::tempdir()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let shutdown = Shutdown::new();
    let schema = testkit::workspace_root().join("bench/schema.proto");
    let options = CompileOptions { files: vec![schema], ..CompileOptions::default() };
    let schema = compile(&options).map_err(|diagnostics| diagnostics.to_string())?;
    let mut config = ServerConfig { data: directory.path().join("data"), ..ServerConfig::default() };
    config.listen.set_port(0);
    config.admin_listen = String::new();
    config.http.workers = 1;
    config.cache.kind = cache.into();
    let server = runtime.block_on(async { Server::open(Arc::new(schema), config, logs.clone()) })?;
    let url = format!("http://{}", server.address()?);
    let stop = shutdown.watch();
    let measuring = std::thread::spawn(move || {
        let outcome = measure(&url, directory.path()).map_err(|error| error.to_string());
        shutdown.drain();
        outcome
    });
    runtime.block_on(server.run(stop))?;
    Ok(measuring.join().map_err(|_| "the measuring thread panicked")??)
}

fn uncached(url: &str, scratch: &Path) -> Result<Vec<String>, Box<dyn Error>> {
    create(url, 20)?;
    create(url, LONG)?;
    Ok(vec![
        grpc("gRPC", url, scratch, 1)?,
        line("REST", &["--h1", "-H", "accept: application/json"], &format!("{url}/v1/items/1"))?,
        grpc("long", url, scratch, 2)?,
    ])
}

fn cached(url: &str, scratch: &Path) -> Result<Vec<String>, Box<dyn Error>> {
    create(url, 20)?;
    create(url, LONG)?;
    Ok(vec![grpc("hit", url, scratch, 1)?, grpc("long-hit", url, scratch, 2)?])
}

/// A row with a description of so many bytes.
fn create(url: &str, length: usize) -> Result<(), Box<dyn Error>> {
    let row = format!(r#"{{"name":"thing","email":"a@b.example","description":"{}"}}"#, "x".repeat(length));
    let created = testkit::http::json("POST", &format!("{url}/v1/items"), &row);
    if created.status / 100 != 2 {
        return Err(format!("cannot create an item: {}", created.text()).into());
    }
    Ok(())
}

fn grpc(name: &str, url: &str, scratch: &Path, id: u8) -> Result<String, Box<dyn Error>> {
    let request = scratch.join("request");
    fs::write(&request, [0, 0, 0, 0, 2, 0x08, id])?;
    let request = request.display().to_string();
    let headers = ["-H", "content-type: application/grpc", "-H", "te: trailers", "-m", "16", "-d", &request];
    line(name, &headers, &format!("{url}/bench.v1.ItemService/GetItem"))
}

fn line(name: &str, args: &[&str], url: &str) -> Result<String, Box<dyn Error>> {
    h2load(args, url)?;
    let region = Region::new(ALLOCATOR);
    h2load(args, url)?;
    let change = region.change();
    let per_request = |count: usize| count as f64 / REQUESTS as f64;
    let allocations = per_request(change.allocations + change.reallocations);
    Ok(format!("{name} {allocations:.2} {:.0}", per_request(change.bytes_allocated)))
}

fn h2load(args: &[&str], url: &str) -> Result<(), Box<dyn Error>> {
    let count = REQUESTS.to_string();
    let mut command = Command::new("h2load");
    let output = command.args(["-t1", "-c8", "-n", &count]).args(args).arg(url).stderr(Stdio::inherit()).output()?;
    let report = String::from_utf8_lossy(&output.stdout);
    if !report.contains(&format!(" {REQUESTS} succeeded")) || !report.contains(&format!("{REQUESTS} 2xx")) {
        return Err(format!("not every request was answered:\n{report}").into());
    }
    Ok(())
}
