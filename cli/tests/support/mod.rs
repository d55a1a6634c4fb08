//! The command as a test runs it, and what several of its tests need.
#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(unreachable_pub, reason = "each test file is a crate of its own")]
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "clippy knows tests only by their attribute")]

pub mod kept;
pub mod python;

use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use serde_json::Value;
use testkit::http::Reply;
use testkit::{Rowkeep, http};

/// The shop of the examples.
pub const SHOP: &str = "examples/shop/shop.proto";

/// What a command that has ended left.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    pub fn new(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Self { code: output.status.code().unwrap(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "standard output:\n{}\nstandard error:\n{}", self.stdout, self.stderr);
        assert!(!self.stderr.contains("panicked"), "{}", self.stderr);
        self
    }

    /// The command must have failed with this code, results nowhere, and these words on standard error.
    #[track_caller]
    pub fn fails(self, code: i32, words: &[&str]) -> Self {
        let ran = self.expect(code);
        assert_eq!(ran.stdout, "", "a failure has no result\n{}", ran.stderr);
        for word in words {
            assert!(ran.stderr.contains(word), "`{word}` is missing in\n{}", ran.stderr);
        }
        ran
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}\n{}", self.stdout))
    }
}

/// `rowkeep ARGS`, from the repository's root and with an environment free of settings.
pub fn command(args: &[&str]) -> Command {
    let mut command = testkit::command(args);
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("ROWKEEP_")) {
            command.env_remove(name);
        }
    }
    command
}

pub fn rowkeep(args: &[&str]) -> Ran {
    Ran::new(command(args).output().unwrap())
}

/// The command with something on its standard input.
pub fn rowkeep_reading(args: &[&str], input: &str) -> Ran {
    let mut child = command(args).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    // A command that has read enough may end before everything is written.
    let writer = std::thread::spawn(move || drop(stdin.write_all(input.as_bytes())));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap();
    Ran::new(output)
}

/// A directory for a test's files, with their paths as arguments of a command.
pub struct Scratch(tempfile::TempDir);

impl Default for Scratch {
    fn default() -> Self {
        Self(tempfile::tempdir().unwrap())
    }
}

impl Scratch {
    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn arg(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    /// Writes a file; answers its path.
    pub fn write(&self, name: &str, text: impl AsRef<[u8]>) -> String {
        fs::write(self.path(name), text).unwrap();
        self.arg(name)
    }
}

/// Every file of a directory with a hash of its bytes, to see that nothing was changed. The lock names whoever came last.
pub fn contents(directory: &Path) -> Vec<(PathBuf, u64)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.file_name().is_some_and(|name| name != "rowkeep.lock") {
            let mut hasher = DefaultHasher::new();
            fs::read(&path).unwrap().hash(&mut hasher);
            found.push((path, hasher.finish()));
        }
    }
    found.sort();
    found
}

#[track_caller]
pub fn json_of(reply: &Reply, status: u16) -> Value {
    assert_eq!(reply.status, status, "{}", reply.text());
    serde_json::from_slice(&reply.body).unwrap_or_else(|error| panic!("{error}: {}", reply.text()))
}

#[track_caller]
pub fn get(server: &Rowkeep, target: &str) -> Value {
    json_of(&http::get(&format!("{}{target}", server.url())), 200)
}

#[track_caller]
pub fn post(server: &Rowkeep, target: &str, body: &Value) -> Value {
    let reply = http::json("POST", &format!("{}{target}", server.url()), &body.to_string());
    assert!(matches!(reply.status, 200 | 201), "{}", reply.text());
    serde_json::from_slice(&reply.body).unwrap()
}

/// The machine-readable reason of an error.
#[track_caller]
pub fn reason(reply: &Reply) -> String {
    let error: Value = serde_json::from_slice(&reply.body).unwrap();
    error["error"]["details"][0]["reason"].as_str().unwrap_or_default().to_owned()
}

/// Every row of a collection, page by page.
pub fn every_row(server: &Rowkeep, collection: &str) -> Vec<Value> {
    let plural = collection.rsplit('/').next().unwrap();
    let mut rows = Vec::new();
    let mut token = String::new();
    loop {
        let page = get(server, &format!("{collection}?page_size=1000&page_token={}", http::encode(&token)));
        rows.extend(page[plural].as_array().cloned().unwrap_or_default());
        token = page["nextPageToken"].as_str().unwrap_or_default().to_owned();
        if token.is_empty() {
            return rows;
        }
    }
}

/// Numbers that look random and are the same for the same seed (splitmix64).
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// From `TEST_SEED` if it is set, else from the clock; printed, so that a failure can be repeated.
    pub fn seeded(name: &str) -> Self {
        let given = std::env::var("TEST_SEED").ok().and_then(|seed| seed.parse().ok());
        let clock = std::time::UNIX_EPOCH.elapsed().unwrap().subsec_nanos();
        let seed = given.unwrap_or_else(|| u64::from(clock));
        println!("{name}: TEST_SEED={seed}");
        Self(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// Below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }
}
