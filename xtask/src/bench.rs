//! `cargo xtask bench`: builds the release binary and the benchmark runner, then runs it.

use crate::{Result, needs, shell};

pub(crate) fn run(names: &[&str]) -> Result<()> {
    needs::install_for_benchmarks()?;
    shell::run(shell::cargo().args(["build", "--release", "--locked", "--package", "rowkeep", "--package", "bench"]))?;
    let bin = shell::target().join("release");
    // On the core of the load generator: nothing but the server runs on the server's.
    shell::run(
        shell::program("taskset")
            .args(["-c", "1"])
            .arg(bin.join("bench"))
            .args(names)
            .env("TESTKIT_ROWKEEP", bin.join("rowkeep")),
    )
}
