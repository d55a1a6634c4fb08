//! MariaDB, as the distribution installs it.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
};

use tempfile::TempDir;

use crate::scratch;

/// Without the kernel's asynchronous requests, whose memory a machine limits for all servers together.
const AIO: &str = "--innodb-use-native-aio=0";

/// The server, and the options that are its own.
pub(super) fn program() -> (PathBuf, Vec<String>) {
    let options = ["--no-defaults", "--user=root", "--binlog-format=ROW", "--innodb-log-file-size=32M", AIO];
    (path(), options.map(str::to_owned).into())
}

/// Debian keeps servers where a user's PATH does not look.
fn path() -> PathBuf {
    let usual = Path::new("/usr/sbin/mariadbd");
    if usual.is_file() { usual.to_owned() } else { PathBuf::from("mariadbd") }
}

/// Copies a data directory that is made once in a process: making one takes seconds.
pub(super) fn prepare(data: &Path) {
    static TEMPLATE: OnceLock<TempDir> = OnceLock::new();
    let template = TEMPLATE.get_or_init(|| {
        let directory = scratch::directory();
        install(directory.path());
        directory
    });
    scratch::copy(&template.path().join("data"), data).expect("copy a data directory");
}

/// Temporary tables of several servers in one place remove each other, so this one's lie in its own directory.
fn install(directory: &Path) {
    let mut command = Command::new("mariadb-install-db");
    command.args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db", "--user=root"]);
    command.arg(format!("--datadir={}", directory.join("data").display())).arg(AIO);
    let output = command.env("TMPDIR", directory).stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("mariadb-install-db (package mariadb-server): {error}"));
    let words = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "mariadb-install-db failed\n{words}");
}
