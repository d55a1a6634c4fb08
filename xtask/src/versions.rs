//! Which tests run once more on other versions of a database server: those whose outcome is the server's to change. Its binary
//! log, its SQL, its catalogue and its replication are; the rest of Rowkeep does not see which version it is.

use std::process::Command;

use testkit::database::mariadb::ROOT_VARIABLE;

use crate::{
    Result,
    needs::mariadb::{SERIES, Series},
    shell,
};

/// Tests of a package.
#[derive(Debug, PartialEq, Eq)]
struct Suite {
    package: &'static str,
    /// Test executables, and `lib` for the package's own.
    tests: &'static [&'static str],
    /// What the names of tests have in them. Where it is nothing, all are on MariaDB.
    filter: &'static str,
}

const BOTH: &str = "mariadb";
const ALL: &str = "";

/// In the order of what they build on: what fails first says most.
const SUITES: [Suite; 11] = [
    Suite { package: "testkit", tests: &["database", "cluster"], filter: BOTH },
    Suite { package: "rowkeep-mysql", tests: &["server", "tls"], filter: BOTH },
    Suite { package: "rowkeep-binlog", tests: &["types", "transactions", "logs", "resume"], filter: BOTH },
    Suite { package: "rowkeep-binlog", tests: &["memory"], filter: ALL },
    Suite { package: "rowkeep-changes", tests: &["commits", "visible", "resume", "killed"], filter: BOTH },
    Suite { package: "rowkeep-sql", tests: &["mariadb", "import"], filter: ALL },
    Suite {
        package: "rowkeep-sql",
        tests: &["lib", "changes", "checks", "transactions", "groups", "model", "replicas", "histories", "faults"],
        filter: BOTH,
    },
    Suite { package: "rowkeep-server", tests: &["mariadb", "mariadb_cache", "mariadb_replicas"], filter: ALL },
    Suite { package: "rowkeep-server", tests: &["coherence"], filter: BOTH },
    Suite { package: "rowkeep", tests: &["database"], filter: BOTH },
    Suite { package: "rowkeep", tests: &["import"], filter: ALL },
];

/// A series that is called `mariadb-11.8` and the like.
pub(crate) fn series(name: &str) -> Result<&'static Series> {
    let found = SERIES.iter().find(|series| series.name() == name);
    found.ok_or_else(|| {
        let names: Vec<_> = SERIES.iter().map(Series::name).collect();
        format!("unknown version {name}; there are {}", names.join(" and "))
    })
}

/// What runs the tests, or those of one package.
pub(crate) fn commands(series: &Series, package: Option<&str>) -> Vec<Command> {
    let chosen = SUITES.iter().filter(|suite| package.is_none_or(|package| package == suite.package));
    chosen.map(|suite| suite.command(series)).collect()
}

impl Suite {
    fn command(&self, series: &Series) -> Command {
        let mut cargo = shell::cargo();
        cargo.args(["test", "--locked", "--no-fail-fast", "--package", self.package]);
        for test in self.tests {
            match *test {
                "lib" => cargo.arg("--lib"),
                name => cargo.args(["--test", name]),
            };
        }
        cargo.env(ROOT_VARIABLE, series.folder());
        if self.filter != ALL {
            cargo.arg(self.filter);
        }
        cargo
    }
}

#[cfg(test)]
mod tests {
    use super::{SUITES, commands, series};
    use crate::shell;

    #[test]
    fn every_test_that_is_named_is_there() {
        let cargo = shell::read(shell::root().join("Cargo.toml")).unwrap();
        for suite in &SUITES {
            let directory = match suite.package {
                "rowkeep" => "cli",
                "testkit" => "testkit",
                name => &format!("store/{}", name.trim_start_matches("rowkeep-")),
            };
            assert!(cargo.contains(&format!("\"{directory}\"")), "{directory} is no member");
            for test in suite.tests.iter().filter(|test| **test != "lib") {
                let tests = shell::root().join(directory).join("tests");
                let is_there = tests.join(format!("{test}.rs")).is_file() || tests.join(test).join("main.rs").is_file();
                assert!(is_there, "{} has no test {test}", suite.package);
            }
        }
    }

    #[test]
    fn a_version_is_chosen_by_its_name_and_a_package_narrows_it() {
        let series = series("mariadb-11.8").unwrap();
        assert_eq!(series.number, "11.8");
        assert_eq!(commands(series, None).len(), SUITES.len());
        assert_eq!(commands(series, Some("rowkeep-changes")).len(), 1);
        assert_eq!(commands(series, Some("rowkeep-schema")).len(), 0);
        assert!(super::series("mariadb-5.5").unwrap_err().ends_with("there are mariadb-11.4 and mariadb-11.8"));
    }
}
