//! MariaDB, as the distribution installs it.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// The server, and the options that are its own.
pub(super) fn program() -> (PathBuf, Vec<String>) {
    let options = ["--no-defaults", "--user=root", "--binlog-format=ROW", "--innodb-log-file-size=32M"];
    (path(), options.map(str::to_owned).into())
}

/// Debian keeps servers where a user's PATH does not look.
fn path() -> PathBuf {
    let usual = Path::new("/usr/sbin/mariadbd");
    if usual.is_file() { usual.to_owned() } else { PathBuf::from("mariadbd") }
}

/// Makes a data directory with the system's own tables. `scratch` is the caller's alone: a server that starts removes the
/// temporary tables it finds, also those of another that is starting.
pub(super) fn prepare(data: &Path, scratch: &Path) {
    let mut command = Command::new("mariadb-install-db");
    command.args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db", "--user=root"]);
    command.arg(format!("--datadir={}", data.display()));
    command.env("TMPDIR", scratch);
    let output = command.stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("mariadb-install-db (package mariadb-server): {error}"));
    let words = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "mariadb-install-db failed\n{words}");
}
