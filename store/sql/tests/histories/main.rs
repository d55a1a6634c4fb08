//! Histories of concurrent clients, held against what is promised, while the server is killed, connections are cut and the
//! answers to commits are lost.
//!
//! | workload | promise |
//! |---|---|
//! | [`register`] | reads and writes of one row are linearizable |
//! | [`bank`] | a commit happens as a whole; a list is of one moment |
//! | [`append`] | commits at `SERIALIZABLE` are strictly serializable, everything is at least read committed |
//! | [`set`] | no acknowledged row is lost, none is invented |
//! | [`idempotency`] | what is repeated under a request id happens once |
//!
//! [`shards`] runs those of them that hold over several shards.
//!
//! The rules of all: a client has one operation under way; what it writes is written by nobody else; an operation whose
//! outcome is not known may happen at any later time; one that is said not to have happened must leave no trace. A run in
//! which too little succeeds says nothing, and fails. Each checker has a test that shows it histories that are wrong.
#![allow(clippy::unwrap_used, reason = "clippy knows tests only by their attribute")]
#![allow(clippy::print_stderr, reason = "what a run was is shown with its failure")]

mod append;
mod append_order;
mod bank;
mod idempotency;
mod register;
mod set;
mod shards;
mod stage;

use std::time::Duration;

use testkit::Product;

use append::{Appends, Level};
use bank::Bank;
use idempotency::Requests;
use register::Registers;
use set::Set;
use stage::{Plan, Workload, run, run_embedded};

testkit::on_both_products! {
    what_is_promised_holds_while_the_server_fails
}

fn what_is_promised_holds_while_the_server_fails(product: Product) {
    side_by_side(|workloads| run(product, workloads, Plan::short()));
}

#[test]
fn what_is_promised_holds_on_the_embedded_store() {
    side_by_side(|workloads| run_embedded(workloads, Duration::from_secs(1)));
}

fn side_by_side(run: impl FnOnce(&[&dyn Workload])) {
    let (registers, bank, set, requests) = (Registers::new(3), Bank::new(3), Set::new(6), Requests::new(2));
    let (committed, serializable) = (Appends::new(Level::ReadCommitted, 3), Appends::new(Level::Serializable, 3));
    run(&[&registers, &bank, &set, &requests, &committed, &serializable]);
}

/// Each workload with the server for itself, for minutes.
mod alone {
    use super::*;

    macro_rules! alone {
        ($($name:ident $workload:expr;)*) => { $(
            mod $name {
                use super::*;

                #[test]
                #[ignore = "runs for a minute"]
                fn on_mariadb() {
                    alone(Product::MariaDb, &$workload);
                }

                #[test]
                #[ignore = "runs for a minute"]
                fn on_mysql() {
                    alone(Product::MySql, &$workload);
                }
            }
        )* };
    }

    alone! {
        registers Registers::new(8);
        bank Bank::new(8);
        set Set::new(8);
        requests Requests::new(6);
        appends_at_read_committed Appends::new(Level::ReadCommitted, 8);
        appends_at_serializable Appends::new(Level::Serializable, 8);
    }

    fn alone(product: Product, workload: &dyn Workload) {
        run(product, &[workload], Plan::long());
    }
}
