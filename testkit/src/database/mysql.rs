//! MySQL, run out of a folder that holds a small Debian with it.
//!
//! Distributions ship MariaDB in its place, and of Debian only the unstable release has it. So `cargo xtask test` puts that
//! release with the server in a folder of its own, once. The server is started by the folder's own loader with the folder's
//! own libraries: that needs neither root nor a changed root, and data, socket and ports are the test's.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

/// Names another folder: the root of a system in which MySQL is installed.
pub const ROOT_VARIABLE: &str = "ROWKEEP_TEST_MYSQL";

/// A data directory in the folder, made once and copied for each server: making one takes seconds.
pub const TEMPLATE: &str = "rowkeep-template";

/// A server's own number, by which replicas know it. It is drawn at the start if it is missing.
const NUMBER: &str = "auto.cnf";

/// The folder.
pub fn root() -> PathBuf {
    env::var_os(ROOT_VARIABLE).map_or_else(|| cache().join("rowkeep/mysql-sid"), PathBuf::from)
}

/// Where programs keep what can be made again.
pub fn cache() -> PathBuf {
    let home = || Some(PathBuf::from(env::var_os("HOME")?).join(".cache"));
    // A relative one is to be ignored, says the specification.
    let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    cache.or_else(home).unwrap_or_else(env::temp_dir)
}

/// Whether a folder has the server.
pub fn is_installed(root: &Path) -> bool {
    server(root).is_file()
}

fn server(root: &Path) -> PathBuf {
    root.join("usr/sbin/mysqld")
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
    let libraries = libraries(root);
    let at = |path: &str| root.join(path).display().to_string();
    let args = vec![
        "--library-path".to_owned(),
        libraries.display().to_string(),
        server(root).display().to_string(),
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
    ];
    (loader(&libraries), args)
}

/// What prints a log, and how it is run.
pub(super) fn log_printer(root: &Path) -> (PathBuf, Vec<String>) {
    let libraries = libraries(root);
    let printer = root.join("usr/bin/mysqlbinlog").display().to_string();
    (loader(&libraries), vec!["--library-path".to_owned(), libraries.display().to_string(), printer])
}

/// `usr/lib/x86_64-linux-gnu`, or another machine's.
fn libraries(root: &Path) -> PathBuf {
    find(&root.join("usr/lib"), |name| name.contains("-linux-gnu"))
}

fn loader(libraries: &Path) -> PathBuf {
    find(libraries, |name| name.starts_with("ld-linux"))
}

fn find(directory: &Path, is_wanted: impl Fn(&str) -> bool) -> PathBuf {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let name = names.find(|name| is_wanted(name));
    directory.join(name.unwrap_or_else(|| panic!("{} is not of Debian", directory.display())))
}
