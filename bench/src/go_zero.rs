//! go-zero's own way to the same rows: the cached model and the service that its generator makes of a table and a `.proto`,
//! with the few lines that it leaves to be written (`peers/go-zero`).

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
    time::SystemTime,
};

use percent_encoding::percent_decode_str;
use testkit::Redis;

use crate::{
    Result, host,
    server::{self, Server},
};

/// The service with gRPC, and the one with REST.
const RPC: &str = "go-zero";
const REST: &str = "go-zero-rest";
/// What generates them.
const TOOLS: [&str; 3] = [
    "github.com/zeromicro/go-zero/tools/goctl",
    "google.golang.org/protobuf/cmd/protoc-gen-go",
    "google.golang.org/grpc/cmd/protoc-gen-go-grpc",
];

/// The service on this database, with Redis as its cache. If `rows` is not 0, each request reads the next of so many rows,
/// whatever it asks for.
///
/// Its shedder is off: it looks at the whole machine, whose other core is busy with load.
pub(crate) fn start(database: &str, redis: &Redis, rows: u64) -> Result<Server> {
    start_at(database, redis.address(), rows)
}

/// The same, with Redis behind this address.
pub(crate) fn start_at(database: &str, redis: SocketAddr, rows: u64) -> Result<Server> {
    let port = testkit::free_port();
    let text = format!("Name: item.rpc\nListenOn: 127.0.0.1:{port}\nRows: {rows}\n");
    run_program(RPC, port, &text, database, redis)
}

/// The REST service that its generator makes, over the same model. Its shedder is off, too. By itself it writes a line for every
/// request.
pub(crate) fn start_rest(database: &str, redis: &Redis, logs: bool) -> Result<Server> {
    let port = testkit::free_port();
    let text = format!("Name: item\nHost: 127.0.0.1\nPort: {port}\nMiddlewares:\n  Log: {logs}\n");
    run_program(REST, port, &text, database, redis.address())
}

fn run_program(name: &str, port: u16, text: &str, database: &str, redis: SocketAddr) -> Result<Server> {
    let program = binaries()?.join(name);
    let data = host::scratch().map_err(|error| error.to_string())?;
    let config = data.path().join("item.yaml");
    let source = source(database)?;
    let text = format!("{text}CpuThreshold: 0\nDataSource: {source}\nCache:\n- Host: {redis}\n");
    fs::write(&config, text).map_err(|error| format!("{}: {error}", config.display()))?;
    let args = ["-f".to_owned(), config.display().to_string()];
    let url = format!("http://127.0.0.1:{port}");
    let mut server = server::pinned(&program, &args, &[("GOMAXPROCS", "1")], Some(url))?;
    server._data = Some(data);
    Ok(server)
}

/// `mysql://USER:PASSWORD@HOST:PORT/NAME` as the Go driver takes it. With parameters put into the text, which spares it to
/// prepare and close a statement for each query.
fn source(database: &str) -> Result<String> {
    let wrong = || format!("not the address of a database: {database}");
    let rest = database.strip_prefix("mysql://").ok_or_else(wrong)?;
    let (user, rest) = rest.split_once('@').ok_or_else(wrong)?;
    let (host, name) = rest.split_once('/').ok_or_else(wrong)?;
    let name = name.split('?').next().unwrap_or(name);
    let user = percent_decode_str(user).decode_utf8().map_err(|_| wrong())?;
    Ok(format!("{user}@tcp({host})/{name}?parseTime=true&interpolateParams=true"))
}

/// Generates and builds both services, once, and again when what they are made of has changed: where they are.
fn binaries() -> Result<PathBuf> {
    let cache = host::cache().map_err(|error| error.to_string())?;
    let peer = host::directory().join("peers/go-zero");
    let is_new = |name| changed(&cache.join(name)).is_some_and(|built| newest(&peer).is_some_and(|made| made < built));
    if is_new(RPC) && is_new(REST) {
        return Ok(cache);
    }
    let tools = cache.join("go-zero-tools");
    let mut build = Command::new("go");
    // With a slash at its end it is a directory for several programs.
    build.args(["build", "-o"]).arg(tools.join("")).args(TOOLS).current_dir(peer.join("tools"));
    run(&mut build)?;
    let made = host::scratch().map_err(|error| error.to_string())?;
    let source = made.path();
    for file in ["items.sql", "item.proto", "item.api", "service/go.mod", "service/go.sum"] {
        let name = Path::new(file).file_name().unwrap_or_default();
        fs::copy(peer.join(file), source.join(name)).map_err(|error| format!("{file}: {error}"))?;
    }
    let model = ["model", "mysql", "ddl", "--src", "items.sql", "--dir", "model", "--cache"];
    let service = ["rpc", "protoc", "item.proto", "--go_out=.", "--go-grpc_out=.", "--zrpc_out=."];
    let rest = ["api", "go", "--api", "item.api", "--dir", "rest"];
    for args in [&model[..], &service[..], &rest[..]] {
        let path = std::env::var("PATH").unwrap_or_default();
        let path = format!("{}:{path}", tools.display());
        run(Command::new(tools.join("goctl")).args(args).env("PATH", path).current_dir(source))?;
    }
    for (name, below) in [(RPC, "."), (REST, "./rest")] {
        run(Command::new("cp")
            .arg("-r")
            .arg(peer.join("service").join(below).join("internal"))
            .arg(source.join(below)))?;
        run(Command::new("go").args(["build", "-o"]).arg(cache.join(name)).arg(below).current_dir(source))?;
    }
    Ok(cache)
}

/// When a file was last changed; `None` if it is not there.
fn changed(file: &Path) -> Option<SystemTime> {
    file.metadata().and_then(|file| file.modified()).ok()
}

/// When a file below a directory was last changed.
fn newest(directory: &Path) -> Option<SystemTime> {
    let entries = fs::read_dir(directory).ok()?.flatten().map(|entry| entry.path());
    entries.filter_map(|path| if path.is_dir() { newest(&path) } else { changed(&path) }).max()
}

fn run(command: &mut Command) -> Result<()> {
    let output = command.output().map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let words = [output.stdout, output.stderr].concat();
    Err(format!("{command:?} failed\n{}", String::from_utf8_lossy(&words)))
}

/// Redis, on the core of the load.
pub(crate) fn redis() -> Result<Redis> {
    let redis = Redis::start();
    host::pin(redis.id(), host::LOAD_CORE)?;
    Ok(redis)
}
