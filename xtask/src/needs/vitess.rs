//! Vitess's `vtcombo`, which `testkit::Vitess` starts: built from the module, because no distribution has it. It takes minutes
//! and a recent Go, so only the long tests ask for it.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use testkit::database::vitess::{MODULE_VERSION, PROGRAM_VARIABLE, program};

use crate::{Result, shell};

const MODULE: &str = "vitess.io/vitess";
const PACKAGE: &str = "vitess.io/vitess/go/cmd/vtcombo";
/// What the module asks for.
const GO: &str = "1.26";

/// Builds the program unless it is there.
pub(super) fn install() -> Result<()> {
    let program = program();
    if program.is_file() {
        return Ok(());
    }
    if env::var_os(PROGRAM_VARIABLE).is_some() {
        return Err(format!("{PROGRAM_VARIABLE} names {}, which is not there", program.display()));
    }
    let go = go().ok_or_else(|| {
        format!("the long tests build Vitess with Go {GO} or newer: install it, or set {PROGRAM_VARIABLE} to a vtcombo")
    })?;
    let directory = program.parent().ok_or("the program has no directory")?;
    fs::create_dir_all(directory).map_err(|error| format!("{}: {error}", directory.display()))?;
    build(&go, directory, &program)
}

/// Where distributions and Go's own archive put it.
fn go() -> Option<PathBuf> {
    let usual = PathBuf::from("/usr/local/go/bin/go");
    if shell::is_installed("go") { Some(PathBuf::from("go")) } else { usual.is_file().then_some(usual) }
}

/// Builds under another name and renames: whoever finds the program finds it whole. Others who want it meanwhile wait.
fn build(go: &Path, directory: &Path, program: &Path) -> Result<()> {
    let failed = |error| format!("{}: {error}", directory.display());
    let lock = fs::File::create(directory.join("lock")).map_err(failed)?;
    lock.lock().map_err(failed)?;
    if program.is_file() {
        return Ok(());
    }
    println!("building Vitess in {}, which takes minutes", directory.display());
    shell::write(
        directory.join("go.mod"),
        format!("module rowkeep.test/vitess\n\ngo {GO}\n\nrequire {MODULE} {MODULE_VERSION}\n"),
    )?;
    let new = program.with_extension("new");
    let mut command = shell::program(go);
    command.current_dir(directory).args(["build", "-mod=mod", "-trimpath", "-buildvcs=false", "-ldflags=-s -w", "-o"]);
    shell::run_quietly(command.arg(&new).arg(PACKAGE))?;
    fs::rename(&new, program).map_err(failed)
}
