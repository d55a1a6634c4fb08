//! `cargo xtask test`: every test, with one closing line.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Command, Stdio},
    time::Instant,
};

use crate::{
    Result,
    needs::{
        self,
        mariadb::{SERIES, Series},
    },
    shell, versions,
};

/// What was asked for.
#[derive(Debug, Default, PartialEq, Eq)]
struct Choice {
    package: Option<String>,
    nightly: bool,
    /// A version of a database server, on which nothing but its tests run.
    on: Option<&'static Series>,
}

impl Choice {
    /// The other versions that tests run on.
    fn versions(&self) -> &'static [Series] {
        match self.on {
            Some(series) => std::slice::from_ref(series),
            None if self.nightly => &SERIES,
            None => &[],
        }
    }

    /// Whether tests are among them that start Vitess, which takes minutes to build.
    fn starts_vitess(&self) -> bool {
        self.nightly
            && self.on.is_none()
            && matches!(
                self.package.as_deref(),
                None | Some("rowkeep-changes" | "rowkeep-sql" | "rowkeep-server" | "testkit")
            )
    }
}

/// What the test executables reported.
#[derive(Debug, Default, PartialEq, Eq)]
struct Tally {
    passed: u64,
    failed: u64,
    ignored: u64,
    names: Vec<String>,
    /// What the failed tests printed, to be said again at the end, where a reader of a long log looks first.
    told: Vec<String>,
    in_failures: bool,
}

/// Runs the tests and prints `N passed, N failed`.
pub(crate) fn run(args: &[&str]) -> Result<()> {
    let choice = parse(args)?;
    needs::install()?;
    if choice.starts_vitess() {
        needs::install_for_nightly()?;
    }
    crate::fetch::flights()?;
    let started = Instant::now();
    let mut tally = Tally::default();
    let mut completed = choice.on.is_some() || tally.run(&mut command(&choice))?;
    for series in choice.versions() {
        completed &= tally.run_on(series, choice.package.as_deref())?;
    }
    for line in &tally.told {
        println!("{line}");
    }
    for name in &tally.names {
        println!("failed: {name}");
    }
    if !choice.nightly && tally.ignored > 0 {
        println!("{} long tests were left to --nightly", tally.ignored);
    }
    println!("{} passed, {} failed ({:.0} s)", tally.passed, tally.failed, started.elapsed().as_secs_f32());
    match (completed, tally.failed, tally.passed) {
        (true, 0, 1..) => Ok(()),
        (_, 0, 0) => Err("no test ran".to_owned()),
        (false, 0, _) => Err("a test executable did not build or did not finish".to_owned()),
        _ => Err("tests failed".to_owned()),
    }
}

fn parse(args: &[&str]) -> Result<Choice> {
    let mut choice = Choice::default();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match *arg {
            "--nightly" => choice.nightly = true,
            "--crate" => {
                let name = args.next().ok_or("--crate needs a name")?;
                choice.package = Some((*name).to_owned());
            }
            "--on" => choice.on = Some(versions::series(args.next().ok_or("--on needs a version")?)?),
            other => {
                return Err(format!("unknown argument {other}; there are --crate NAME, --nightly and --on VERSION"));
            }
        }
    }
    Ok(choice)
}

fn command(choice: &Choice) -> Command {
    let mut cargo = shell::cargo();
    cargo.args(["test", "--locked", "--no-fail-fast"]);
    match &choice.package {
        Some(name) => cargo.args(["--package", name]),
        // All tests together build the binary before they run, so none of them needs to ask cargo for it.
        None => cargo.arg("--workspace").env("TESTKIT_ROWKEEP", shell::target().join("debug/rowkeep")),
    };
    cargo.env("TESTKIT_PYTHON", needs::python());
    if choice.nightly {
        cargo.args(["--", "--include-ignored"]);
    }
    cargo
}

impl Tally {
    /// Runs tests once more on another version; whether all executables were built and ran to their end.
    fn run_on(&mut self, series: &Series, package: Option<&str>) -> Result<bool> {
        let mut commands = versions::commands(series, package);
        if commands.is_empty() {
            return Ok(true);
        }
        println!("\nonce more, on MariaDB {}", series.install()?);
        let failed = self.names.len();
        let mut completed = true;
        for command in &mut commands {
            completed &= self.run(command)?;
        }
        for name in self.names.iter_mut().skip(failed) {
            name.push_str(&format!(" on {}", series.name()));
        }
        Ok(completed)
    }

    /// Runs cargo and takes in what it says; whether it succeeded.
    fn run(&mut self, cargo: &mut Command) -> Result<bool> {
        let mut child = cargo.stdout(Stdio::piped()).spawn().map_err(|error| format!("cargo: {error}"))?;
        if let Some(stdout) = child.stdout.take() {
            let mut terminal = std::io::stdout();
            for line in BufReader::new(stdout).lines().map_while(std::result::Result::ok) {
                let _ = writeln!(terminal, "{line}");
                self.count(&line);
            }
        }
        Ok(child.wait().map_err(|error| format!("cargo: {error}"))?.success())
    }

    /// Takes in a line such as `test result: FAILED. 3 passed; 1 failed; 0 ignored; ...` or `test a::b ... FAILED`.
    fn count(&mut self, line: &str) {
        // What failed tests printed stands between two lines `failures:`, the second of which begins a list of names.
        if line == "failures:" {
            self.in_failures = !self.in_failures;
        } else if self.in_failures {
            self.told.push(line.to_owned());
        }
        if let Some(name) = line.strip_prefix("test ").and_then(|rest| rest.strip_suffix(" ... FAILED")) {
            self.names.push(name.to_owned());
        }
        let Some(result) = line.strip_prefix("test result: ") else { return };
        let counts = result.split_once(". ").map_or(result, |(_, counts)| counts);
        for part in counts.split("; ") {
            let Some((number, what)) = part.split_once(' ') else { continue };
            let number = number.parse().unwrap_or(0);
            match what {
                "passed" => self.passed += number,
                "failed" => self.failed += number,
                "ignored" => self.ignored += number,
                _ => (),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Choice, Tally, parse};

    #[test]
    fn counts_over_all_test_executables() {
        let mut tally = Tally::default();
        for line in [
            "test result: ok. 7 passed; 0 failed; 2 ignored; 0 measured; 0 filtered out; finished in 0.15s",
            "test reads::gives_up ... FAILED",
            "failures:",
            "---- reads::gives_up stdout ----",
            "failures:",
            "    reads::gives_up",
            "test result: FAILED. 3 passed; 1 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.00s",
        ] {
            tally.count(line);
        }
        let expected = Tally {
            passed: 10,
            failed: 1,
            ignored: 2,
            names: vec!["reads::gives_up".to_owned()],
            told: vec!["---- reads::gives_up stdout ----".to_owned()],
            in_failures: false,
        };
        assert_eq!(tally, expected);
    }

    #[test]
    fn other_versions_are_left_to_nightly_or_asked_for() {
        let numbers = |args: &[&str]| {
            let choice = parse(args).unwrap();
            choice.versions().iter().map(|series| series.number).collect::<Vec<_>>()
        };
        assert!(numbers(&[]).is_empty());
        assert_eq!(numbers(&["--nightly"]), ["11.4", "11.8"]);
        assert_eq!(numbers(&["--on", "mariadb-11.8"]), ["11.8"]);
    }

    #[test]
    fn takes_a_crate_and_nightly_and_nothing_else() {
        let expected = Choice { package: Some("rowkeep-sql".to_owned()), nightly: true, on: None };
        assert_eq!(parse(&["--crate", "rowkeep-sql", "--nightly"]), Ok(expected));
        assert!(parse(&["--on"]).is_err());
        assert!(parse(&["--crate"]).is_err());
        assert!(parse(&["--release"]).is_err());
    }
}
