//! A release of Debian in a folder of its own, for a server that the release of this machine does not have. Made once, by
//! `debootstrap`, in the user's cache directory.

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::Need;
use crate::{Result, shell};

const MAKER: &[Need] =
    &[Need { program: "debootstrap", package: "debootstrap", reason: "puts a server in a folder of its own" }];

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

/// Puts a release with these packages in a folder, as root on Debian.
pub(super) fn make(release: &str, packages: &str, folder: &Path) -> Result<()> {
    super::programs(MAKER)?;
    shell::run_quietly(
        shell::program("debootstrap")
            .args(["--variant=minbase", "--include", packages, release])
            .arg(folder)
            .arg(mirror()?),
    )?;
    for path in NEEDLESS {
        let _ = fs::remove_dir_all(folder.join(path));
    }
    Ok(())
}

/// Where this machine has its own packages from.
fn mirror() -> Result<String> {
    let mut files = shell::files(Path::new("/etc/apt/sources.list.d"), "sources");
    files.extend(shell::files(Path::new("/etc/apt/sources.list.d"), "list"));
    files.push(PathBuf::from("/etc/apt/sources.list"));
    let found = files.iter().filter_map(|file| fs::read_to_string(file).ok()).find_map(|text| mirror_in(&text));
    found.ok_or_else(|| "no package source here is a mirror of Debian".to_owned())
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
