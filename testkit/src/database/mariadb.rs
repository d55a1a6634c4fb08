//! MariaDB, as the distribution installs it, or out of a folder that holds another version.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
};

use tempfile::TempDir;

use super::folder;
use crate::scratch;

/// Names a folder whose server is started in place of the distribution's: the root of a Debian in which MariaDB is installed,
/// or what MariaDB's own archives hold.
pub const ROOT_VARIABLE: &str = "TESTKIT_MARIADB";

/// Without the kernel's asynchronous requests, whose memory a machine limits for all servers together.
const AIO: &str = "--innodb-use-native-aio=0";

/// What makes the system's own tables, in this order, as `mariadb-install-db` has it. The texts of `HELP` are left out.
const SCRIPTS: [&str; 5] = [
    "mariadb_system_tables.sql",
    "mariadb_performance_tables.sql",
    "mariadb_system_tables_data.sql",
    "maria_add_gis_sp_bootstrap.sql",
    "mariadb_sys_schema.sql",
];

/// How a folder is laid out.
#[derive(Debug, Clone, Copy)]
struct Layout {
    server: &'static str,
    log_printer: &'static str,
    /// Messages, character sets and the scripts.
    share: &'static str,
    plugins: &'static str,
    /// Whether it has the libraries of its programs, and what loads them.
    has_libraries: bool,
}

const LAYOUTS: [Layout; 2] = [
    Layout {
        server: "usr/sbin/mariadbd",
        log_printer: "usr/bin/mariadb-binlog",
        share: "usr/share/mariadb",
        plugins: "usr/lib/mysql/plugin",
        has_libraries: true,
    },
    Layout {
        server: "bin/mariadbd",
        log_printer: "bin/mariadb-binlog",
        share: "share",
        plugins: "lib/plugin",
        has_libraries: false,
    },
];

/// A folder and how it is laid out.
struct Folder {
    root: PathBuf,
    layout: Layout,
}

impl Folder {
    /// The one that is named, if one is.
    fn named() -> Option<Self> {
        let root = PathBuf::from(env::var_os(ROOT_VARIABLE)?);
        let found = Self::of(&root);
        Some(found.unwrap_or_else(|| panic!("{ROOT_VARIABLE} names {}, which has no mariadbd", root.display())))
    }

    fn of(root: &Path) -> Option<Self> {
        let layout = LAYOUTS.into_iter().find(|layout| root.join(layout.server).is_file())?;
        Some(Self { root: root.to_owned(), layout })
    }

    fn program(&self, path: &str) -> (PathBuf, Vec<String>) {
        if self.layout.has_libraries { folder::program(&self.root, path) } else { (self.root.join(path), Vec::new()) }
    }

    fn share(&self) -> PathBuf {
        self.root.join(self.layout.share)
    }

    fn server(&self) -> (PathBuf, Vec<String>) {
        let (program, mut args) = self.program(self.layout.server);
        let share = self.share();
        args.extend([
            "--no-defaults".to_owned(),
            "--user=root".to_owned(),
            format!("--basedir={}", self.root.display()),
            format!("--lc-messages-dir={}", share.display()),
            format!("--character-sets-dir={}", share.join("charsets").display()),
            format!("--plugin-dir={}", self.root.join(self.layout.plugins).display()),
        ]);
        // The archives' own library takes half a minute for the certificate that a server makes for itself. One that is
        // given a certificate encrypts all the same.
        if !self.layout.has_libraries {
            args.push("--skip-ssl".to_owned());
        }
        (program, args)
    }

    /// Makes a data directory as `mariadb-install-db` does, whose paths to programs are those of an installed system.
    fn initialize(&self, data: &Path, temporary: &Path) -> Result<(), String> {
        let scripts = temporary.join("bootstrap.sql");
        fs::write(&scripts, self.scripts()?).map_err(|error| format!("{}: {error}", scripts.display()))?;
        let input = fs::File::open(&scripts).map_err(|error| format!("{}: {error}", scripts.display()))?;
        fs::create_dir(data).map_err(|error| format!("{}: {error}", data.display()))?;
        let (program, args) = self.server();
        let mut command = Command::new(program);
        command.args(args).arg("--bootstrap").arg(format!("--datadir={}", data.display()));
        command.arg(format!("--tmpdir={}", temporary.display())).arg(AIO);
        command.args(["--log-warnings=0", "--enforce-storage-engine=", "--max-allowed-packet=8M"]);
        let output = command.stdin(Stdio::from(input)).output().map_err(|error| format!("mariadbd: {error}"))?;
        if output.status.success() {
            return Ok(());
        }
        Err(format!("mariadbd --bootstrap failed\n{}", String::from_utf8_lossy(&output.stderr)))
    }

    fn scripts(&self) -> Result<Vec<u8>, String> {
        let mut all = b"CREATE DATABASE mysql;\nUSE mysql;\nSET @auth_root_socket = NULL;\n".to_vec();
        for name in SCRIPTS {
            let path = self.share().join(name);
            all.extend(fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?);
        }
        Ok(all)
    }
}

/// What the server of a folder says of its version, such as `11.8.9-MariaDB-deb13`.
///
/// # Errors
/// If there is none, or it does not run here.
pub fn version(root: &Path) -> Result<String, String> {
    let folder = Folder::of(root).ok_or_else(|| format!("{} has no mariadbd", root.display()))?;
    let (program, args) = folder.server();
    let output = Command::new(program).args(args).arg("--version").stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("mariadbd: {error}"))?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let version = said.split_once(" Ver ").and_then(|(_, rest)| rest.split_whitespace().next());
    version.map(str::to_owned).ok_or_else(|| {
        format!("{}: mariadbd --version: {said}{}", root.display(), String::from_utf8_lossy(&output.stderr))
    })
}

/// The server, and the options that are its own.
pub(super) fn program() -> (PathBuf, Vec<String>) {
    let installed = || (path(), vec!["--no-defaults".to_owned(), "--user=root".to_owned()]);
    let (program, mut args) = Folder::named().map_or_else(installed, |folder| folder.server());
    args.extend(["--binlog-format=ROW", "--innodb-log-file-size=32M", AIO].map(str::to_owned));
    (program, args)
}

/// What prints a log, and how it is run. A folder without one leaves it to the distribution's.
pub(super) fn log_printer() -> (PathBuf, Vec<String>) {
    let own = Folder::named().filter(|folder| folder.root.join(folder.layout.log_printer).is_file());
    own.map_or_else(|| ("mariadb-binlog".into(), Vec::new()), |folder| folder.program(folder.layout.log_printer))
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
        let (data, temporary) = (directory.path().join("data"), directory.path());
        let made = match Folder::named() {
            Some(folder) => folder.initialize(&data, temporary),
            None => install(&data, temporary),
        };
        made.unwrap_or_else(|error| panic!("{error}"));
        directory
    });
    scratch::copy(&template.path().join("data"), data).expect("copy a data directory");
}

/// Temporary tables of several servers in one place remove each other, so this one's lie in a directory of its own.
fn install(data: &Path, temporary: &Path) -> Result<(), String> {
    let mut command = Command::new("mariadb-install-db");
    command.args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db", "--user=root"]);
    command.arg(format!("--datadir={}", data.display())).arg(AIO);
    let output = command.env("TMPDIR", temporary).stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("mariadb-install-db (package mariadb-server): {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    Err(format!("mariadb-install-db failed\n{words}"))
}
