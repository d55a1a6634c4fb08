//! The commands of a page: a scratch directory, a shell, and at most one server at a time.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use rowkeep_sql::mysql::Address;
use testkit::{Cluster, DatabaseServer, MariaDb, Product, Redis, Rowkeep};

use crate::blocks::Block;
use crate::pattern;

/// What pages say, and a real port takes its place.
const SHOWN: &str = "127.0.0.1:8080";
const SHOWN_ADMIN: &str = "127.0.0.1:8081";
/// The password, the server and the database of the page that is about them.
const SHOWN_LOGIN: &str = ":secret@";
const SHOWN_DATABASES: [(&str, &str); 3] = [
    ("127.0.0.1:3306/shop", "127.0.0.1:3306"),
    ("127.0.0.1:3307/shop", "127.0.0.1:3307"),
    ("127.0.0.1:3308/shop", "127.0.0.1:3308"),
];
const SHOWN_REDIS: &str = "127.0.0.1:6379";
const DATABASE: &str = "ROWKEEP_DATABASE";
/// Ends the output of a command, with its exit code in between.
const MARK: char = '\u{1e}';
/// Commands that prepare a machine are read, not run.
const FOR_PEOPLE: [&str; 7] = [
    "export ROWKEEP_DATABASE=",
    "sudo apt-get install ",
    "git clone ",
    "cd ",
    "export PATH=",
    "python3 -m venv ",
    "pip install ",
];

/// Where a page keeps its data.
enum Database {
    Server(MariaDb),
    Cluster(Cluster),
}

impl Database {
    /// The primary, and its replicas.
    fn servers(&self) -> Vec<&DatabaseServer> {
        match self {
            Self::Server(server) => vec![server],
            Self::Cluster(cluster) => (0..=cluster.replicas().len()).map(|number| cluster.server(number)).collect(),
        }
    }

    fn url(&self) -> String {
        self.servers()[0].url()
    }
}

/// Where a page runs.
pub(crate) struct Session {
    server: Option<Rowkeep>,
    /// What every command finds in its environment.
    database: Option<Database>,
    /// For caches that are shared.
    redis: Option<Redis>,
    /// Every command finds its address in the environment; else the page says it where it is wanted.
    is_everywhere: bool,
    // Declared last: the server is gone before its directory.
    scratch: tempfile::TempDir,
}

/// A command with the lines that it should print.
struct Step<'a> {
    /// Line in the block, from 0.
    line: usize,
    command: String,
    expected: Vec<&'a str>,
}

impl Session {
    pub(crate) fn new() -> Self {
        let scratch = tempfile::tempdir().unwrap();
        symlink(testkit::workspace_root().join("examples"), scratch.path().join("examples")).unwrap();
        Self { server: None, database: None, redis: None, is_everywhere: false, scratch }
    }

    /// With a database server in which every command keeps its data.
    pub(crate) fn with_database() -> Self {
        Self { is_everywhere: true, ..Self::beside_database() }
    }

    /// The same, whose log of changes may be followed, and a Redis.
    pub(crate) fn with_log() -> Self {
        let session = Self { redis: Some(Redis::start()), ..Self::with_database() };
        if let Some(Database::Server(database)) = &session.database {
            database.admin("GRANT REPLICATION SLAVE ON *.* TO app@'127.0.0.1'");
        }
        session
    }

    /// With a database server. Its user may do what the page on MySQL says to grant, `reader` may look, and the client
    /// finds the login of one who may do everything.
    pub(crate) fn beside_database() -> Self {
        let database = MariaDb::start();
        database.admin(&format!("REVOKE ALL ON test.* FROM app@'127.0.0.1'; {}", documented_grant()));
        database.user("reader", "test", &["SELECT ON test.*"]);
        let owner = database.user("owner", "test", &["ALL ON test.*"]);
        let Address { host, port, user, password, .. } = owner.parse().unwrap();
        let login = format!("host={host}\nport={port}\nuser={user}\npassword={password}\n");
        let session = Self { database: Some(Database::Server(database)), ..Self::new() };
        session.save(".my.cnf", &format!("[client]\n{login}[mysql]\ndatabase=test\n"));
        session
    }

    /// With a primary in which every command keeps its data, and two replicas.
    pub(crate) fn with_replicas() -> Self {
        let cluster = Cluster::start(Product::MariaDb, 2);
        Self { database: Some(Database::Cluster(cluster)), is_everywhere: true, ..Self::new() }
    }

    pub(crate) fn save(&self, name: &str, text: &str) {
        let path = self.scratch.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, self.real(text)).unwrap();
    }

    /// Runs `rowkeep` to its end.
    pub(crate) fn rowkeep(&self, args: &[&str]) -> Output {
        self.command(testkit::binary()).args(args).output().unwrap()
    }

    pub(crate) fn console(&mut self, block: &Block) -> Result<(), String> {
        let steps = steps(block)?;
        let mut rest = steps.as_slice();
        while let Some(step) = rest.first() {
            if let Some(words) = serve(&step.command) {
                self.start(block, step, &words)?;
            } else if step.command == "^C" {
                self.stop(block, step)?;
            } else {
                // A shell keeps its variables up to the next command that is not for it.
                let length = rest.iter().take_while(|step| is_for_shell(&step.command)).count();
                self.shell(block, &rest[..length])?;
                rest = &rest[length..];
                continue;
            }
            rest = &rest[1..];
        }
        Ok(())
    }

    /// Starts a server and compares the messages of its log with what a terminal shows.
    fn start(&mut self, block: &Block, step: &Step<'_>, words: &[String]) -> Result<(), String> {
        self.server = None;
        let mut builder = Rowkeep::builder();
        let (mut data, mut in_database) = ("rowkeep-data", false);
        let mut words = words.iter().map(String::as_str);
        while let Some(word) = words.next() {
            let here = self.scratch.path().join(word);
            builder = match word {
                "--database" => {
                    words.next();
                    in_database = true;
                    builder
                }
                "--data" => {
                    data = words.next().unwrap_or_default();
                    builder
                }
                _ if word.ends_with(".proto") => builder.schema(here),
                _ if here.exists() => builder.arg(here),
                _ => builder.arg(self.real(word)),
            };
        }
        builder = match &self.database {
            Some(database) if self.is_everywhere || in_database => builder.env(DATABASE, &database.url()),
            _ => builder.data(self.scratch.path().join(data)),
        };
        let server = builder.start();
        // The last line of the greeting.
        let greeted = |line: &str| line.contains("try: curl").then_some(());
        server.log().wait_for(0, testkit::PATIENCE, greeted);
        let said = messages(&server.log().text());
        self.server = Some(server);
        self.compare(block, step, &said)
    }

    fn stop(&mut self, block: &Block, step: &Step<'_>) -> Result<(), String> {
        let Some(server) = self.server.take() else { return Err(block.problem(step.line, "no server is running")) };
        let lines = server.log().len();
        server.terminate();
        let log = server.log().text();
        let said: Vec<&str> = log.lines().skip(lines).collect();
        self.compare(block, step, &messages(&said.join("\n")))
    }

    fn shell(&self, block: &Block, steps: &[Step<'_>]) -> Result<(), String> {
        let mut script = String::from("exec 2>&1\n");
        for step in steps {
            let command = runnable(&step.command).map_err(|problem| block.problem(step.line, &problem))?;
            let command = self.real(&command);
            script.push_str(&format!("{command}\nstatus=$?; printf '{MARK}%s{MARK}' $status; (exit $status)\n"));
        }
        self.save(".script", &script);
        let output = self.command(Path::new("bash")).arg(".script").output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let mut parts = text.split(MARK);
        for step in steps {
            let said = parts.next().unwrap_or_default();
            let code = parts.next().unwrap_or("none: the shell ended");
            self.compare(block, step, said)?;
            if step.expected.is_empty() && code != "0" {
                return Err(block.problem(step.line, &format!("exit code {code}: $ {}", step.command)));
            }
        }
        Ok(())
    }

    fn compare(&self, block: &Block, step: &Step<'_>, said: &str) -> Result<(), String> {
        // What a server says at its start is worth a look only where the page shows it.
        if step.expected.is_empty() && (serve(&step.command).is_some() || step.command == "^C") {
            return Ok(());
        }
        let said = self.shown(said);
        let Some(at) = pattern::mismatch(&step.expected, said.trim_end()) else { return Ok(()) };
        let wanted = step.expected.get(at).map_or("the end of the output", |line| line);
        Err(block.problem(
            step.line + step.command.lines().count() + at,
            &format!(
                "the output differs\n$ {}\n--- expected here\n{wanted}\n--- printed\n{}\n--- expected in all\n{}",
                step.command,
                said.trim_end(),
                step.expected.join("\n")
            ),
        ))
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command
            .current_dir(self.scratch.path())
            .stdin(Stdio::null())
            .env("PATH", path())
            .env("HOME", self.scratch.path());
        if let Some(database) = self.database.as_ref().filter(|_| self.is_everywhere) {
            command.env(DATABASE, database.url());
        }
        command
    }

    /// A text of the page with the real addresses.
    fn real(&self, text: &str) -> String {
        self.addresses().iter().fold(text.to_owned(), |text, (shown, real)| text.replace(shown, real))
    }

    /// An output with the addresses and paths of the page.
    fn shown(&self, text: &str) -> String {
        let here = format!("{}/", self.scratch.path().display());
        let text = text.replace(&here, "");
        self.addresses().iter().fold(text, |text, (shown, real)| text.replace(real, shown))
    }

    fn addresses(&self) -> Vec<(&'static str, String)> {
        let mut addresses = Vec::new();
        if let Some(server) = &self.server {
            let admin = server.admin_url().replace("http://", "");
            addresses.extend([(SHOWN, server.address().to_string()), (SHOWN_ADMIN, admin)]);
        }
        if let Some(redis) = &self.redis {
            addresses.push((SHOWN_REDIS, redis.address().to_string()));
        }
        if let Some(url) = self.database.as_ref().map(|database| database.url()) {
            let (login, _) = url.split_once('@').unwrap();
            let (_, password) = login.rsplit_once(':').unwrap();
            addresses.push((SHOWN_LOGIN, format!(":{password}@")));
            for (server, (shown, shown_server)) in self.database.iter().flat_map(Database::servers).zip(SHOWN_DATABASES)
            {
                addresses.push((shown, format!("127.0.0.1:{}/test", server.port())));
                addresses.push((shown_server, format!("127.0.0.1:{}", server.port())));
            }
        }
        addresses
    }
}

/// What docs/mysql.md says to grant, for the user and the database of tests.
fn documented_grant() -> String {
    let page = fs::read_to_string(testkit::workspace_root().join("docs/mysql.md")).unwrap();
    let grant = page.lines().find(|line| line.starts_with("GRANT ")).unwrap();
    grant.replace("shop.*", "test.*").replace("10.%", "127.0.0.1")
}

/// `rowkeep` and the tests' Python before everything else.
fn path() -> OsString {
    let binary = testkit::binary().parent().unwrap().to_owned();
    let python = testkit::python().parent().unwrap().to_owned();
    let rest = env::var_os("PATH").unwrap_or_default();
    env::join_paths([binary, python].into_iter().chain(env::split_paths(&rest))).unwrap()
}

/// Commands start with `$ `. One goes on while a line ends in a backslash, a quote is open or a here-document has no end.
fn steps(block: &Block) -> Result<Vec<Step<'_>>, String> {
    let mut steps: Vec<Step<'_>> = Vec::new();
    let mut lines = block.text.lines().enumerate();
    while let Some((line, text)) = lines.next() {
        if text == "^C" {
            steps.push(Step { line, command: text.to_owned(), expected: Vec::new() });
        } else if let Some(first) = text.strip_prefix("$ ") {
            let mut command = first.to_owned();
            while is_open(&command) {
                let Some((_, more)) = lines.next() else { return Err(block.problem(line, "this command has no end")) };
                command.push('\n');
                command.push_str(more);
            }
            steps.push(Step { line, command, expected: Vec::new() });
        } else if let Some(step) = steps.last_mut() {
            step.expected.push(text);
        } else {
            return Err(block.problem(line, "output before the first `$ command`"));
        }
    }
    Ok(steps)
}

fn is_open(command: &str) -> bool {
    let here_document = command.split_once("<<'").and_then(|(_, rest)| rest.split_once('\''));
    match here_document {
        Some((end, _)) => command.lines().last() != Some(end),
        None => command.ends_with('\\') || command.matches('\'').count() % 2 == 1,
    }
}

/// The arguments of `serve`, if that is the command.
fn serve(command: &str) -> Option<Vec<String>> {
    let rest =
        command.strip_prefix("cargo run --release -- serve ").or_else(|| command.strip_prefix("rowkeep serve "))?;
    // A shell is left out where it would say that serving failed.
    (!rest.contains(['|', ';', '&'])).then(|| rest.replace('\\', " ").split_whitespace().map(str::to_owned).collect())
}

fn is_for_shell(command: &str) -> bool {
    serve(command).is_none() && command != "^C"
}

/// What bash is given: as it stands, `rowkeep` for cargo's way to it, nothing for what a machine is prepared with.
fn runnable(command: &str) -> Result<String, String> {
    if let Some(args) = command.strip_prefix("cargo run --release -- ") {
        return Ok(format!("rowkeep {args}"));
    }
    if let Some(subcommand) = command.strip_prefix("cargo xtask ") {
        return known_to_xtask(subcommand).then(|| ":".to_owned()).ok_or_else(|| format!("no such command: {command}"));
    }
    if command.starts_with("cargo build --release") || FOR_PEOPLE.iter().any(|start| command.starts_with(start)) {
        return Ok(":".to_owned());
    }
    Ok(command.to_owned())
}

fn known_to_xtask(command: &str) -> bool {
    let source = fs::read_to_string(testkit::workspace_root().join("xtask/src/main.rs")).unwrap();
    let words: Vec<String> = command.split_whitespace().map(|word| format!("{word:?}")).collect();
    source.contains(&format!("[{}]", words.join(", ")))
        || source.contains(&format!("[{}, rest @ ..]", words.join(", ")))
}

/// The messages of a JSON log.
fn messages(log: &str) -> String {
    let message = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).ok()?;
        Some(format!("{}\n", line["message"].as_str()?))
    };
    log.lines().filter_map(message).collect()
}
