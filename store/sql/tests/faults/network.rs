//! Partitions.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use rowkeep_mysql::{Tls, TlsMode};
use rowkeep_sql::mysql::Address;
use testkit::{DatabaseServer, FaultProxy, Product};

use super::calls::{Served, around};

testkit::on_both_products! {
    a_network_that_cuts_is_said_to
    a_network_that_says_nothing_is_given_up_at_the_deadline
}

pub(crate) fn behind_proxy(server: &DatabaseServer) -> (FaultProxy, Served) {
    let proxy = FaultProxy::start(SocketAddr::from((Ipv4Addr::LOCALHOST, server.port())));
    let tls = Tls { mode: Some(TlsMode::Off), ..Tls::default() };
    let served = Served::new(Address { port: proxy.address().port(), tls, ..super::address(server) });
    (proxy, served)
}

fn a_network_that_cuts_is_said_to(product: Product) {
    let server = DatabaseServer::start(product);
    let (proxy, served) = behind_proxy(&server);
    let calls = around(&served, |running| {
        proxy.cut();
        running.wait_for_writes(50);
        proxy.heal();
    });
    let writes = calls.during(true);
    let known = ["STORAGE_UNREACHABLE", "COMMIT_UNKNOWN", "DEADLINE_EXCEEDED"];
    assert!(writes.keys().all(|reason| known.contains(reason)), "{writes:?}");
    assert!(calls.during(false).contains_key("STORAGE_UNREACHABLE"));
}

fn a_network_that_says_nothing_is_given_up_at_the_deadline(product: Product) {
    let server = DatabaseServer::start(product);
    let (proxy, served) = behind_proxy(&server);
    let calls = around(&served, |running| {
        proxy.hold();
        running.wait_for_writes(16);
        std::thread::sleep(Duration::from_millis(200));
        proxy.heal();
    });
    let writes = calls.during(true);
    assert!(writes.keys().all(|reason| ["COMMIT_UNKNOWN", "DEADLINE_EXCEEDED"].contains(reason)), "{writes:?}");
    assert!(calls.during(false).keys().all(|reason| *reason == "DEADLINE_EXCEEDED"));
}
