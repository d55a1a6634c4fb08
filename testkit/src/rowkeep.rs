//! `rowkeep serve` as a test's server.

use std::{
    env,
    ffi::{OsStr, OsString},
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
    time::{Duration, Instant},
};

use tempfile::TempDir;

use crate::{Log, PATIENCE, Process, workspace_root};

/// A running `rowkeep serve` on loopback.
#[derive(Debug)]
pub struct Rowkeep {
    launch: Launch,
    running: Mutex<Running>,
    log: Log,
    // Declared last: the process is gone before its directory.
    _scratch: Option<TempDir>,
}

#[derive(Debug)]
struct Launch {
    schema: Vec<PathBuf>,
    data: PathBuf,
    args: Vec<OsString>,
    env: Vec<(String, String)>,
}

#[derive(Debug)]
struct Running {
    process: Process,
    address: SocketAddr,
    /// Where this run's lines start in the log.
    log_start: usize,
}

/// How to start a server that differs from the usual one.
#[derive(Debug, Default)]
pub struct Builder {
    schema: Vec<PathBuf>,
    source: Option<String>,
    data: Option<PathBuf>,
    args: Vec<OsString>,
    env: Vec<(String, String)>,
}

impl Builder {
    /// Adds a schema file; relative paths count from the repository's root.
    #[must_use]
    pub fn schema(mut self, path: impl AsRef<Path>) -> Self {
        self.schema.push(workspace_root().join(path));
        self
    }

    /// Takes the text of a schema instead of a file.
    #[must_use]
    pub fn source(mut self, proto: &str) -> Self {
        self.source = Some(proto.to_owned());
        self
    }

    /// Uses a data directory that outlives the server.
    #[must_use]
    pub fn data(mut self, directory: impl AsRef<Path>) -> Self {
        self.data = Some(directory.as_ref().to_owned());
        self
    }

    /// Adds an argument of `serve`.
    #[must_use]
    pub fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.args.push(arg.as_ref().to_owned());
        self
    }

    /// Adds an environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Starts the server and waits until it answers.
    ///
    /// # Panics
    /// If it does not, with its log.
    pub fn start(mut self) -> Rowkeep {
        let scratch = tempfile::tempdir().expect("a temporary directory");
        if let Some(source) = &self.source {
            let path = scratch.path().join("schema.proto");
            fs::write(&path, source).expect("write the schema");
            self.schema.push(path);
        }
        let data = self.data.unwrap_or_else(|| scratch.path().join("data"));
        let launch = Launch { schema: self.schema, data, args: self.args, env: self.env };
        let log = Log::default();
        // Its own: a port of the system's choice could be somebody else's when the server starts again.
        let running = launch.start(&format!("127.0.0.1:{}", crate::free_port()), &log);
        Rowkeep { launch, running: Mutex::new(running), log, _scratch: Some(scratch) }
    }
}

impl Launch {
    fn start(&self, listen: &str, log: &Log) -> Running {
        let mut args = vec![OsString::from("serve")];
        args.extend(self.schema.iter().map(|path| path.clone().into_os_string()));
        args.extend(["--data".into(), self.data.clone().into_os_string(), "--listen".into(), listen.into()]);
        args.extend(self.args.iter().cloned());
        // The usual admin port would be taken by the first of several servers.
        let mut env = vec![("ROWKEEP_ADMIN_LISTEN", "127.0.0.1:0")];
        env.extend(self.env.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        let mark = log.len();
        let process = Process::start_with_log(binary(), &args, &env, log.clone());
        let address = wait_for_address(&process, mark);
        wait_for_answer(&process, address);
        Running { process, address, log_start: mark }
    }
}

impl Rowkeep {
    /// Serves a schema file (relative to the repository's root) with further arguments of `serve`.
    ///
    /// # Panics
    /// If the server does not start, with its log.
    pub fn start(schema: impl AsRef<Path>, args: &[&str]) -> Self {
        args.iter().fold(Builder::default().schema(schema), Builder::arg).start()
    }

    /// Serves the text of a schema.
    ///
    /// # Panics
    /// If the server does not start, with its log.
    pub fn start_source(proto: &str, args: &[&str]) -> Self {
        args.iter().fold(Builder::default().source(proto), Builder::arg).start()
    }

    /// For everything else.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address())
    }

    /// `http://127.0.0.1:PORT` of the admin listener, as its log says.
    ///
    /// # Panics
    /// If it does not say.
    pub fn admin_url(&self) -> String {
        let said = |line: &str| address_behind("metrics and health on http://", line);
        let address = self.log.wait_for(self.running().log_start, PATIENCE, said);
        format!("http://{}", address.unwrap_or_else(|| panic!("no admin listener\n{}", self.log.text())))
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.running().address
    }

    /// The data directory.
    pub fn data(&self) -> &Path {
        &self.launch.data
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.running().process.id()
    }

    /// What it wrote so far, over all restarts.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Ends it as a power cut would: no handler runs.
    pub fn kill9(&self) {
        self.running().process.kill9();
    }

    /// `SIGTERM`, and waits for the end.
    ///
    /// # Panics
    /// If it does not end.
    pub fn terminate(&self) -> ExitStatus {
        self.running().process.terminate()
    }

    /// `SIGTERM` without waiting.
    pub fn ask_to_stop(&self) {
        self.running().process.signal(rustix::process::Signal::TERM);
    }

    /// `SIGHUP`: it reads its schema again.
    pub fn hang_up(&self) {
        self.running().process.signal(rustix::process::Signal::HUP);
    }

    /// Waits for the end, however it comes.
    pub fn wait(&self, limit: Duration) -> Option<ExitStatus> {
        self.running().process.wait(limit)
    }

    /// Starts it again on the same port and data; kills it first if it still runs.
    ///
    /// # Panics
    /// If it does not come up, with its log.
    pub fn restart(&self) {
        let mut running = self.running();
        running.process.kill9();
        *running = self.launch.start(&running.address.to_string(), &self.log);
    }

    fn running(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn wait_for_address(process: &Process, mark: usize) -> SocketAddr {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(address) = process.log().wait_for(mark, Duration::from_millis(50), listening_address) {
            return address;
        }
        if let Some(status) = process.exited() {
            panic!("rowkeep serve ended with {status}\n{}", process.log().text());
        }
        assert!(Instant::now() < deadline, "rowkeep serve does not say where it listens\n{}", process.log().text());
    }
}

/// The address in a line of a log that says `listening on http://ADDRESS`, in whatever format the log has.
pub fn listening_address(line: &str) -> Option<SocketAddr> {
    address_behind("listening on http://", line)
}

fn address_behind(words: &str, line: &str) -> Option<SocketAddr> {
    let rest = line.split_once(words)?.1;
    let end = rest.find(|c: char| !(c.is_ascii_digit() || c == '.' || c == ':')).unwrap_or(rest.len());
    rest[..end].trim_end_matches([':', '.']).parse().ok()
}

fn wait_for_answer(process: &Process, address: SocketAddr) {
    let deadline = Instant::now() + PATIENCE;
    while let Err(error) = crate::http::try_request("GET", &format!("http://{address}/"), &[], b"") {
        let log = process.log();
        assert!(process.exited().is_none(), "rowkeep serve ended before it answered\n{}", log.text());
        assert!(Instant::now() < deadline, "rowkeep serve does not answer: {error}\n{}", log.text());
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// `rowkeep ARGS`, to be run to its end.
pub fn command(args: &[impl AsRef<OsStr>]) -> Command {
    let mut command = Command::new(binary());
    command.args(args).current_dir(workspace_root()).stdin(Stdio::null());
    command
}

/// The `rowkeep` binary that belongs to this test: the one named by `TESTKIT_ROWKEEP`, the one cargo built for the test, or
/// the one in the test's own target directory, brought up to date first.
///
/// # Panics
/// If it does not build.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        let given = env::var_os("TESTKIT_ROWKEEP").or_else(|| env::var_os("CARGO_BIN_EXE_rowkeep"));
        given.map(PathBuf::from).unwrap_or_else(build)
    })
}

/// Test executables lie in `TARGET/PROFILE/deps/`; the binary lies in `TARGET/PROFILE/`.
fn build() -> PathBuf {
    let this = env::current_exe().expect("the path of the test executable");
    let profile_directory = this.ancestors().nth(2).expect("a target directory").to_owned();
    let target = profile_directory.parent().expect("a target directory");
    let profile = match profile_directory.file_name().and_then(OsStr::to_str) {
        Some("debug") | None => "dev",
        Some(profile) => profile,
    };
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["build", "--quiet", "--package", "rowkeep", "--bin", "rowkeep", "--profile", profile, "--target-dir"])
        .arg(target)
        .current_dir(workspace_root())
        .output()
        .expect("cargo");
    assert!(output.status.success(), "rowkeep does not build\n{}", String::from_utf8_lossy(&output.stderr));
    profile_directory.join("rowkeep")
}

#[cfg(test)]
mod tests {
    use super::listening_address;

    #[test]
    fn finds_the_address_in_plain_and_in_json_logs() {
        let expected = Some(([127, 0, 0, 1], 4321).into());
        assert_eq!(listening_address("listening on http://127.0.0.1:4321"), expected);
        assert_eq!(listening_address("  listening on http://127.0.0.1:4321/ (docs: /docs)"), expected);
        assert_eq!(listening_address(r#"{"message":"listening on http://127.0.0.1:4321","level":"info"}"#), expected);
        assert_eq!(listening_address("metrics and health on http://127.0.0.1:9"), None);
    }
}
