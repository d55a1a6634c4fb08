//! The benchmarks, each with its bar.

mod allocations;
mod binlog;
mod load;
mod mysql;
mod read;
mod rest;
mod scale;
mod write;

pub(crate) use mysql::fill as fill_items;

use crate::{Result, results::Line};

/// A benchmark: one or more figures from one set of servers.
pub(crate) struct Benchmark {
    pub(crate) name: &'static str,
    pub(crate) what: &'static str,
    pub(crate) run: fn() -> Result<Vec<Line>>,
}

/// In order of time they take.
pub(crate) const BENCHMARKS: &[Benchmark] = &[
    Benchmark { name: "rest", what: "size of the binary, memory at rest, time to the first answer", run: rest::run },
    Benchmark { name: "get-grpc", what: "gRPC Get by id beside hyper with constant bytes", run: read::get_grpc },
    Benchmark { name: "get-rest", what: "REST Get by id beside PocketBase", run: read::get_rest },
    Benchmark { name: "list", what: "REST list of 20 by an index beside PocketBase", run: read::list },
    Benchmark { name: "alloc", what: "heap allocations per Get", run: allocations::run },
    Benchmark { name: "log", what: "access log on against off", run: read::access_log },
    Benchmark { name: "create", what: "durable creates beside PocketBase and one fsync each", run: write::create },
    Benchmark { name: "mysql", what: "reads and creates on MariaDB beside tonic and sqlx", run: mysql::run },
    Benchmark { name: "mysql-session", what: "session beside eventual reads on a replica", run: mysql::session },
    Benchmark { name: "mysql-gozero", what: "Get on MariaDB beside go-zero's model on a miss", run: mysql::go_zero },
    Benchmark {
        name: "mysql-cached",
        what: "Get from the cache beside constant bytes and go-zero's hit",
        run: mysql::cached,
    },
    Benchmark { name: "mysql-commit", what: "Commit beside the same transaction in SQL", run: mysql::commit },
    Benchmark {
        name: "coherence",
        what: "stale reads per million under writes and faults",
        run: crate::coherence::run,
    },
    Benchmark {
        name: "mixed",
        what: "reads and updates, 95 to 5, beside go-zero's cached model",
        run: crate::coherence::mixed,
    },
    Benchmark {
        name: "missed",
        what: "Get of a row that is in no cache beside go-zero's cached model",
        run: crate::coherence::missed,
    },
    Benchmark {
        name: "seen",
        what: "how soon a change is seen everywhere; who reads a row that all want",
        run: crate::coherence::seen,
    },
    Benchmark { name: "load", what: "rowkeep load of the flights", run: load::flights },
    Benchmark { name: "binlog", what: "decoding the binary log beside mariadb-binlog", run: binlog::run },
    Benchmark { name: "scale", what: "10 million rows instead of 100 thousand", run: scale::run },
];
