//! MySQL in a folder of its own, which `testkit::database::mysql` starts it from: Debian's unstable release, the only one
//! that has it, made once by `debootstrap` in the user's cache directory.

use std::{
    fs,
    path::{Path, PathBuf},
};

use testkit::database::mysql::{ROOT_VARIABLE, TEMPLATE, initialize, is_installed, root};

use super::Need;
use crate::{Result, shell};

const RELEASE: &str = "sid";
const PACKAGES: &str = "mysql-server-core,mysql-client-core";
const MAKER: &[Need] =
    &[Need { program: "debootstrap", package: "debootstrap", reason: "puts MySQL in a folder of its own" }];
/// What no server reads.
const NEEDLESS: [&str; 8] = [
    "var/cache/apt",
    "var/lib/apt/lists",
    "usr/share/doc",
    "usr/share/info",
    "usr/share/locale",
    "usr/share/man",
    "usr/share/perl",
    "usr/share/zoneinfo",
];

/// Makes the folder unless it is there.
pub(super) fn install() -> Result<()> {
    let root = root();
    if is_installed(&root) {
        return Ok(());
    }
    if std::env::var_os(ROOT_VARIABLE).is_some() {
        return Err(format!("{ROOT_VARIABLE} names {}, which has no usr/sbin/mysqld", root.display()));
    }
    if !super::may_install() {
        return Err(format!(
            "MySQL is missing: run `cargo xtask setup` as root on Debian, or set {ROOT_VARIABLE} to a root that has it"
        ));
    }
    super::programs(MAKER)?;
    make(&root)
}

/// Builds beside and moves: whoever finds the folder finds it whole. Others who want it meanwhile wait.
fn make(root: &Path) -> Result<()> {
    let directory = root.parent().ok_or("the folder of MySQL has no parent")?;
    let failed = |error| format!("{}: {error}", directory.display());
    fs::create_dir_all(directory).map_err(failed)?;
    let lock = fs::File::create(directory.join("mysql.lock")).map_err(failed)?;
    lock.lock().map_err(failed)?;
    if is_installed(root) {
        return Ok(());
    }
    let new = root.with_extension("new");
    // Of one that was broken off.
    let _ = fs::remove_dir_all(&new);
    println!("putting MySQL in {}", root.display());
    shell::run_quietly(
        shell::program("debootstrap")
            .args(["--variant=minbase", "--include", PACKAGES, RELEASE])
            .arg(&new)
            .arg(mirror()?),
    )?;
    for path in NEEDLESS {
        let _ = fs::remove_dir_all(new.join(path));
    }
    initialize(&new, &new.join(TEMPLATE), &[])?;
    fs::rename(&new, root).map_err(failed)
}

/// Where this machine has its own packages from.
fn mirror() -> Result<String> {
    let mut files = shell::files(Path::new("/etc/apt/sources.list.d"), "sources");
    files.extend(shell::files(Path::new("/etc/apt/sources.list.d"), "list"));
    files.push(PathBuf::from("/etc/apt/sources.list"));
    let found = files.iter().filter_map(|file| fs::read_to_string(file).ok()).find_map(|text| mirror_in(&text));
    found.ok_or_else(|| format!("no package source here is a mirror of Debian; set {ROOT_VARIABLE}"))
}

/// The first address of Debian's main archive in either format of sources.
fn mirror_in(text: &str) -> Option<String> {
    let lines = text.lines().map(str::trim).filter(|line| line.starts_with("deb ") || line.starts_with("URIs:"));
    let words = lines.flat_map(str::split_whitespace);
    let mut mirrors = words.filter(|word| word.contains("://") && word.trim_end_matches('/').ends_with("/debian"));
    mirrors.next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::mirror_in;

    #[test]
    fn the_main_archive_is_found_in_both_formats() {
        let found = Some("http://mirror.example/debian".to_owned());
        let lines = "# deb http://old.example/debian x main\n\
                     deb http://mirror.example/debian-security x-security main\n\
                     deb [arch=amd64] http://mirror.example/debian x main\n";
        assert_eq!(mirror_in(lines), found);
        assert_eq!(mirror_in("Types: deb\nURIs: http://mirror.example/debian\nSuites: x\n"), found);
        assert_eq!(mirror_in("deb http://other.example/ubuntu x main\n"), None);
    }
}
