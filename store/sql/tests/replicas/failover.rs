//! Writes while the primary changes.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use kit_core::Applied;
use rowkeep_engine::Freshness;
use rowkeep_sql::mysql::Role;
use testkit::{Cluster, FaultProxy, Product};

use super::lab::{Lab, Stop, options};

testkit::on_both_products! {
    no_answered_write_is_lost_when_the_primary_dies
    writes_move_with_a_planned_switch_and_never_reach_the_old_primary
    an_address_that_leads_to_another_server_is_followed
}

/// Clients that add rows without end.
pub(crate) struct Writers<'a> {
    lab: &'a Lab,
    next: AtomicI64,
    stop: AtomicBool,
    /// When each row that was written was answered.
    kept: Mutex<BTreeMap<i64, Instant>>,
    /// Rows that were surely not written.
    refused: Mutex<Vec<i64>>,
}

impl<'a> Writers<'a> {
    fn new(lab: &'a Lab) -> Self {
        Self {
            lab,
            next: AtomicI64::new(1),
            stop: AtomicBool::new(false),
            kept: Mutex::default(),
            refused: Mutex::default(),
        }
    }

    fn run(&self) {
        let client = self.lab.client(Freshness::Session);
        while !self.stop.load(Ordering::Acquire) {
            let id = self.next.fetch_add(1, Ordering::Relaxed);
            match client.put(id, id) {
                Ok(()) => drop(self.kept.lock().unwrap_or_else(PoisonError::into_inner).insert(id, Instant::now())),
                Err(error) if error.applied() == Applied::No => self.refused.lock().unwrap().push(id),
                Err(error) => assert_eq!(error.reason(), "COMMIT_UNKNOWN", "{error}"),
            }
        }
    }

    fn last(&self) -> Option<Instant> {
        self.kept.lock().unwrap().values().max().copied()
    }

    /// Waits for a write that is answered from now on; how long that took.
    pub(crate) fn next_answer(&self) -> Duration {
        let since = Instant::now();
        testkit::wait_until("a write to be answered", || self.last().is_some_and(|last| last > since));
        since.elapsed()
    }

    /// Checks all that was answered against the store.
    fn check(&self) {
        let reader = self.lab.client(Freshness::Strong);
        let kept = self.kept.lock().unwrap();
        assert!(kept.len() > 50, "{} writes only", kept.len());
        for id in kept.keys() {
            assert_eq!(reader.get(*id).unwrap(), Some(*id), "an answered write is gone");
        }
        for id in self.refused.lock().unwrap().iter() {
            assert_eq!(reader.get(*id).unwrap(), None, "a write that was said not to have happened did");
        }
    }
}

pub(crate) fn with_writers(lab: &Lab, faults: impl FnOnce(&Writers<'_>)) {
    let writers = Writers::new(lab);
    std::thread::scope(|scope| {
        let stop = Stop(&writers.stop);
        let running: Vec<_> = (0..4).map(|_| scope.spawn(|| writers.run())).collect();
        writers.next_answer();
        faults(&writers);
        drop(stop);
        running.into_iter().for_each(|writer| writer.join().unwrap());
    });
    writers.check();
}

fn no_answered_write_is_lost_when_the_primary_dies(product: Product) {
    let (cluster, lab) = Lab::settled(product);
    with_writers(&lab, |writers| {
        cluster.kill9(0);
        std::thread::sleep(Duration::from_millis(500));
        let new = cluster.most_advanced();
        cluster.promote(new);
        let outage = writers.next_answer();
        assert!(outage < Duration::from_secs(1), "{outage:?}");
        let mut roles = [Role::Down, Role::Replica, Role::Replica];
        roles[new] = Role::Primary;
        lab.settle(&roles);
        // It comes back as it was, taking writes, perhaps with some that it never answered.
        let from = writers.next.load(Ordering::Relaxed);
        cluster.server(0).restart();
        testkit::wait_until("the old primary to be seen", || lab.store.servers()[0].role != Role::Down);
        for _ in 0..20 {
            writers.next_answer();
        }
        let strays = format!("SELECT COUNT(*) FROM test.items WHERE id >= {from}");
        assert_eq!(cluster.server(0).admin(&strays), "0", "the old primary was written to");
        assert_eq!(lab.store.servers()[new].role, Role::Primary);
    });
}

fn writes_move_with_a_planned_switch_and_never_reach_the_old_primary(product: Product) {
    let (cluster, lab) = Lab::settled(product);
    with_writers(&lab, |writers| {
        for new in [1, 0, 2] {
            cluster.promote(new);
            let outage = writers.next_answer();
            assert!(outage < Duration::from_secs(1), "{outage:?}");
            let mut roles = [Role::Replica; 3];
            roles[new] = Role::Primary;
            lab.settle(&roles);
            for _ in 0..20 {
                writers.next_answer();
            }
        }
    });
    // A write to an old primary would have made it a server with a history of its own.
    lab.settle(&[Role::Replica, Role::Replica, Role::Primary]);
}

/// As a name or an address does that is moved with the primary, while the server it led to goes on as a replica.
fn an_address_that_leads_to_another_server_is_followed(product: Product) {
    let cluster = Cluster::start(product, 1);
    let to = |number: usize| SocketAddr::from((Ipv4Addr::LOCALHOST, cluster.server(number).port()));
    let proxy = FaultProxy::start(to(0));
    let mut options = options(&[cluster.server(0)]);
    options.address.port = proxy.address().port();
    let lab = Lab::open(&options).unwrap();
    with_writers(&lab, |writers| {
        cluster.promote(1);
        std::thread::sleep(Duration::from_millis(300));
        proxy.redirect(to(1));
        let outage = writers.next_answer();
        assert!(outage < Duration::from_secs(1), "{outage:?}");
        for _ in 0..50 {
            writers.next_answer();
        }
    });
}
