//! `cargo xtask bench`: builds the release binary and the benchmark runner, then runs it.

use crate::{Result, needs, shell};

pub(crate) fn run(names: &[&str]) -> Result<()> {
    needs::install_for_benchmarks()?;
    shell::run(shell::cargo().args(["build", "--release", "--locked", "--package", "rowkeep", "--package", "bench"]))?;
    let bin = shell::target().join("release");
    shell::run(shell::program(bin.join("bench")).args(names).env("ROWKEEP_BIN", bin.join("rowkeep")))
}
