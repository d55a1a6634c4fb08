//! What the tests need beside a Rust toolchain: programs of the distribution, a MySQL server and a Python environment.
//!
//! On Debian and Ubuntu, as root, missing packages are installed. Anywhere else they are named, with the command that
//! installs them, and nothing runs: a test whose server or tool is missing must not pass by being left out.

mod debian;
mod folder;
pub(crate) mod mariadb;
mod mysql;
mod vitess;

use std::path::PathBuf;

use crate::{Result, shell};

/// A program, or a file by its path, and the Debian package that has it.
struct Need {
    program: &'static str,
    package: &'static str,
    reason: &'static str,
}

const FOR_TESTS: &[Need] = &[
    Need { program: "cc", package: "build-essential", reason: "compiles the embedded SQLite" },
    Need { program: "python3", package: "python3", reason: "clients in another language" },
    Need { program: "protoc", package: "protobuf-compiler", reason: "accepts what `rowkeep proto` prints" },
    Need {
        program: "/usr/include/google/protobuf/descriptor.proto",
        package: "libprotobuf-dev",
        reason: "what protoc's own files import",
    },
    Need { program: "curl", package: "curl", reason: "the commands in README" },
    Need {
        program: "mariadb-install-db",
        package: "mariadb-server",
        reason: "one of the servers that MySQL clients talk to",
    },
    Need { program: "redis-server", package: "redis-server", reason: "the cache that processes share; its Sentinels" },
    Need { program: "redis-cli", package: "redis-tools", reason: "makes a cluster of servers" },
    Need { program: "strace", package: "strace", reason: "makes a database's disk slow, and fail" },
    Need { program: "setpriv", package: "util-linux", reason: "ends servers with their test" },
];

const FOR_BENCHMARKS: &[Need] = &[
    Need { program: "h2load", package: "nghttp2-client", reason: "load over HTTP/1.1 and HTTP/2" },
    Need { program: "taskset", package: "util-linux", reason: "one core for the server, one for the load" },
    Need { program: "go", package: "golang-go", reason: "builds the peers PocketBase and go-zero" },
    Need { program: "redis-server", package: "redis-server", reason: "go-zero's cache" },
];

/// What the tests need.
pub(crate) fn install() -> Result<()> {
    programs(FOR_TESTS)?;
    mysql::install()?;
    python_environment()
}

/// What the long tests of the database adapters need beside.
pub(crate) fn install_for_nightly() -> Result<()> {
    vitess::install()
}

/// What the benchmarks need.
pub(crate) fn install_for_benchmarks() -> Result<()> {
    programs(FOR_BENCHMARKS)
}

/// The interpreter of the tests' own environment.
pub(crate) fn python() -> PathBuf {
    shell::target().join("py/bin/python")
}

fn missing(needs: &'static [Need]) -> Vec<&'static Need> {
    needs.iter().filter(|need| !shell::is_installed(need.program)).collect()
}

fn programs(needs: &'static [Need]) -> Result<()> {
    let absent = missing(needs);
    if absent.is_empty() {
        return Ok(());
    }
    if may_install() {
        let packages: Vec<_> = absent.iter().map(|need| need.package).collect();
        apt_install(&packages)?;
    }
    let absent = missing(needs);
    if absent.is_empty() {
        return Ok(());
    }
    let mut message = String::from("these are missing:\n");
    for need in &absent {
        message.push_str(&format!("  {:<10} {} (package {})\n", need.program, need.reason, need.package));
    }
    let packages: Vec<_> = absent.iter().map(|need| need.package).collect();
    Err(format!("{message}on Debian or Ubuntu: sudo apt-get install {}", packages.join(" ")))
}

fn may_install() -> bool {
    let id = shell::output(shell::program("id").arg("-u")).unwrap_or_default();
    id.trim() == "0" && shell::is_installed("apt-get")
}

fn apt_install(packages: &[&str]) -> Result<()> {
    println!("installing {}", packages.join(", "));
    let apt = || {
        let mut apt = shell::program("apt-get");
        apt.env("DEBIAN_FRONTEND", "noninteractive").arg("-qq");
        apt
    };
    let install = || shell::run(apt().args(["install", "-y", "--no-install-recommends"]).args(packages));
    // Package lists of a fresh machine may be absent or old.
    if install().is_err() {
        shell::run(apt().arg("update"))?;
        install()?;
    }
    Ok(())
}

/// Makes `TARGET/py` with the pinned packages, once per change of the pins.
fn python_environment() -> Result<()> {
    let pins = shell::root().join("xtask/requirements.txt");
    let directory = shell::target().join("py");
    let stamp = directory.join("requirements.txt");
    let wanted = shell::read(&pins)?;
    if python().is_file() && shell::read(&stamp).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    println!("making the Python environment of the tests");
    let make = || shell::run(shell::program("python3").args(["-m", "venv", "--clear"]).arg(&directory));
    if make().is_err() {
        if !may_install() {
            return Err("python3 has no venv module: sudo apt-get install python3-venv".to_owned());
        }
        apt_install(&["python3-venv"])?;
        make()?;
    }
    let mut pip = shell::program(python());
    pip.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"]).arg(&pins);
    shell::run(&mut pip)?;
    shell::write(&stamp, wanted)
}
