//! Which crate may know which: arrows point down the floors, never up or sideways.

use crate::{
    Result,
    check::report,
    metadata::{self, Kind, Package},
    shell,
};

/// A crate and its floor; it may depend on crates of lower floors only.
struct Floor {
    level: u8,
    crates: &'static [&'static str],
    /// Why it stands here.
    reason: &'static str,
}

const FLOORS: &[Floor] = &[
    Floor {
        level: 0,
        crates: &["shop-client"],
        reason: "a client as anybody writes one: all it knows of the store is the definition it was generated from",
    },
    Floor { level: 0, crates: &["kit-core"], reason: "codes, errors, lifecycle: what everything stands on" },
    Floor { level: 1, crates: &["kit-net"], reason: "sockets, runtimes and bodies: under every surface" },
    Floor {
        level: 2,
        crates: &["kit-resilience", "kit-telemetry", "kit-discovery", "kit-auth", "kit-rpc", "kit-web", "kit-build"],
        reason: "the service framework: knows nothing of the store, its parts nothing of each other",
    },
    Floor { level: 3, crates: &["rowkeep-schema"], reason: "the schema is what everything in the store derives from" },
    Floor { level: 4, crates: &["rowkeep-record"], reason: "codecs and the filter language follow from the schema" },
    Floor {
        level: 5,
        crates: &["rowkeep-mysql"],
        reason: "a wire protocol, for the adapters that speak it: knows nothing of rows, schema or engine",
    },
    Floor { level: 5, crates: &["rowkeep-engine"], reason: "the domain, over ports; adapters know it, not it them" },
    Floor {
        level: 6,
        crates: &["rowkeep-binlog"],
        reason: "the log as it is, over the wire protocol: what its changes mean to entities is decided above",
    },
    Floor {
        level: 7,
        crates: &["rowkeep-changes"],
        reason: "one server's log as commits that can be seen: knows tables, and neither entities nor who the primary is",
    },
    Floor {
        level: 8,
        crates: &["rowkeep-sql", "rowkeep-cache", "rowkeep-search"],
        reason: "adapters behind the engine's ports: they do not know each other",
    },
    Floor {
        level: 9,
        crates: &["rowkeep-redis"],
        reason: "an adapter behind the cache's port, as which it is chosen by the composition alone",
    },
    Floor {
        level: 8,
        crates: &["rowkeep-transfer"],
        reason: "a use of the engine: works over every adapter, so it knows none",
    },
    Floor { level: 10, crates: &["rowkeep-server", "rowkeep-client"], reason: "the composition and its surfaces" },
    Floor { level: 11, crates: &["rowkeep"], reason: "parses arguments, calls the library, prints" },
    Floor { level: 12, crates: &["bench"], reason: "measures everything, is used by nothing" },
    Floor { level: 13, crates: &["xtask"], reason: "runs everything, is used by nothing" },
];

/// Test support: a dev-dependency of any crate, a dependency of the benchmarks; itself knows no crate of ours.
const TESTKIT: &str = "testkit";

/// Arrows to other people's crates that would break a border.
struct Ban {
    from: &'static [&'static str],
    to: &'static [&'static str],
    reason: &'static str,
}

const BANS: &[Ban] = &[
    Ban {
        from: &["rowkeep-schema", "rowkeep-record", "rowkeep-engine"],
        to: &["rusqlite", "mysql_async", "mysql_common", "redis", "tonic", "hyper", "hyper-util", "axum", "http"],
        reason: "the domain knows neither databases nor wires",
    },
    Ban {
        from: &["kit-core"],
        to: &["tonic", "hyper", "hyper-util", "axum", "tower"],
        reason: "error and configuration types must be usable without any framework",
    },
    Ban {
        from: &["rowkeep-sql"],
        to: &["tonic", "hyper", "hyper-util", "axum", "http"],
        reason: "a storage adapter answers the engine, not a client",
    },
    Ban {
        from: &["rowkeep-mysql"],
        to: &["kit-core", "rowkeep-schema", "rowkeep-record"],
        reason: "a wire protocol stands on its own",
    },
    Ban {
        from: &["rowkeep-binlog"],
        to: &["kit-core", "rowkeep-schema", "rowkeep-record", "rowkeep-engine", "mysql_async"],
        reason: "a reader of another product's log stands on its own",
    },
    Ban {
        from: &["rowkeep-changes"],
        to: &["rowkeep-schema", "rowkeep-record", "rowkeep-engine"],
        reason: "what rows mean to entities is the adapter's matter",
    },
    Ban {
        from: &["rowkeep-cache"],
        to: &["redis"],
        reason: "the cache asks a server through its port, and does not know which",
    },
    Ban { from: &["rowkeep-server"], to: &["rusqlite", "redis"], reason: "only adapters speak to servers" },
];

/// Words that a crate's sources must not contain, in code or comments that pretend to be code.
const BANNED_PATHS: &[(&str, &[&str])] =
    &[("store/engine/src", &["rusqlite::", "tonic::", "hyper::", "axum::", "mysql_async::", "redis::"])];

pub(crate) fn check() -> Result<()> {
    let members = metadata::members()?;
    let mut findings = Vec::new();
    for member in &members {
        check_floors(member, &members, &mut findings);
        check_bans(member, &mut findings);
    }
    check_paths(&mut findings)?;
    report(&findings)
}

fn floor_of(name: &str) -> Option<&'static Floor> {
    FLOORS.iter().find(|floor| floor.crates.contains(&name))
}

fn check_floors(member: &Package, members: &[Package], findings: &mut Vec<String>) {
    let ours = |name: &str| members.iter().any(|member| member.name == name);
    let used = member.dependencies.iter().filter(|dependency| ours(&dependency.package));
    if member.name == TESTKIT {
        findings
            .extend(used.map(|dependency| format!("testkit depends on {}: it serves every crate", dependency.package)));
        return;
    }
    let Some(floor) = floor_of(&member.name) else {
        findings.push(format!("{}: no floor is given to this crate in {}", member.name, file!()));
        return;
    };
    for dependency in used {
        if let Some(problem) = problem_of(member, floor, &dependency.package, dependency.kind) {
            findings.push(problem);
        }
    }
}

fn problem_of(member: &Package, floor: &Floor, to: &str, kind: Kind) -> Option<String> {
    let is_tool = member.name == "bench" || member.name == "xtask";
    if to == TESTKIT {
        return (kind != Kind::Dev && !is_tool)
            .then(|| format!("{} depends on testkit outside of its tests", member.name));
    }
    let below = floor_of(to).is_some_and(|other| other.level < floor.level);
    // A crate names itself in its dev-dependencies to switch a feature on for its tests.
    let own = to == member.name && kind == Kind::Dev;
    (!below && !own).then(|| {
        format!(
            "{} -> {to}: the arrow does not point down. {} stands where it does because: {}",
            member.name, member.name, floor.reason
        )
    })
}

fn check_bans(member: &Package, findings: &mut Vec<String>) {
    for ban in BANS.iter().filter(|ban| ban.from.contains(&member.name.as_str())) {
        let named = member.dependencies.iter().filter(|dependency| dependency.kind != Kind::Dev);
        for dependency in named.filter(|dependency| ban.to.contains(&dependency.package.as_str())) {
            findings.push(format!("{} -> {}: {}", member.name, dependency.package, ban.reason));
        }
    }
}

fn check_paths(findings: &mut Vec<String>) -> Result<()> {
    for (directory, words) in BANNED_PATHS {
        for file in shell::files(&shell::root().join(directory), "rs") {
            let text = shell::read(&file)?;
            for word in words.iter().filter(|word| text.contains(**word)) {
                findings.push(format!("{}: names {word}", shell::relative(&file)));
            }
        }
    }
    Ok(())
}
