//! MySQL, run out of a folder that holds a small Debian with it.
//!
//! Distributions ship MariaDB in its place, and of Debian only the unstable release has it. So `cargo xtask test` puts that
//! release with the server in a folder of its own, once, and it is run from there. Data, socket and ports are the test's.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::folder::{self, cache};

/// Names another folder: the root of a system in which MySQL is installed.
pub const ROOT_VARIABLE: &str = "TESTKIT_MYSQL";

/// A data directory in the folder, made once and copied for each server: making one takes seconds.
pub const TEMPLATE: &str = "rowkeep-template";

const SERVER: &str = "usr/sbin/mysqld";

/// A server's own number, by which replicas know it. It is drawn at the start if it is missing.
const NUMBER: &str = "auto.cnf";

/// The folder.
pub fn root() -> PathBuf {
    env::var_os(ROOT_VARIABLE).map_or_else(|| cache().join("rowkeep/mysql-sid"), PathBuf::from)
}

/// Whether a folder has the server.
pub fn is_installed(root: &Path) -> bool {
    root.join(SERVER).is_file()
}

/// Makes a data directory with the system's own tables.
///
/// # Errors
/// What the server says.
pub fn initialize(root: &Path, data: &Path, options: &[String]) -> Result<(), String> {
    let (program, args) = program(root);
    let mut command = Command::new(program);
    command.args(args).arg(format!("--datadir={}", data.display())).args(options);
    command.args(["--initialize-insecure", "--skip-log-bin"]);
    let output = command.stdin(Stdio::null()).output().map_err(|error| format!("mysqld: {error}"))?;
    if !output.status.success() {
        return Err(format!("mysqld --initialize-insecure failed\n{}", String::from_utf8_lossy(&output.stderr)));
    }
    fs::remove_file(data.join(NUMBER)).map_err(|error| format!("{NUMBER}: {error}"))
}

pub(super) fn prepare(data: &Path, options: &[String]) {
    let root = root();
    assert!(
        is_installed(&root),
        "{} has no MySQL: `cargo xtask setup` puts it there, or {ROOT_VARIABLE} names another folder",
        root.display()
    );
    let template = root.join(TEMPLATE);
    // It is decided when a data directory is made, once and for all.
    let is_special = options.iter().any(|option| option.starts_with("--lower-case-table-names"));
    if template.is_dir() && !is_special {
        crate::scratch::copy(&template, data).expect("copy a data directory");
    } else {
        initialize(&root, data, options).unwrap_or_else(|error| panic!("{error}"));
    }
}

/// The server, and the options that are its own.
pub(super) fn program(root: &Path) -> (PathBuf, Vec<String>) {
    let (program, mut args) = folder::program(root, SERVER);
    let at = |path: &str| root.join(path).display().to_string();
    args.extend([
        "--no-defaults".to_owned(),
        "--user=root".to_owned(),
        format!("--lc-messages-dir={}", at("usr/share/mysql")),
        format!("--character-sets-dir={}", at("usr/share/mysql/charsets")),
        format!("--plugin-dir={}", at("usr/lib/mysql/plugin")),
        "--secure-file-priv=NULL".to_owned(),
        "--mysqlx=OFF".to_owned(),
        "--gtid-mode=ON".to_owned(),
        "--enforce-gtid-consistency=ON".to_owned(),
        "--innodb-redo-log-capacity=32M".to_owned(),
    ]);
    (program, args)
}

/// What prints a log, and how it is run.
pub(super) fn log_printer(root: &Path) -> (PathBuf, Vec<String>) {
    folder::program(root, "usr/bin/mysqlbinlog")
}
