//! The same over two shards behind Vitess's gateway, while the way to it fails.
//!
//! A list is of a moment for each shard there, so that the bank is not among the workloads, and nothing is `SERIALIZABLE`. The
//! gateway finishes what it had decided when its client was lost.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use rand::Rng as _;
use rand::rngs::StdRng;
use rowkeep_mysql::{Tls, TlsMode};
use rowkeep_sql::mysql::Address;
use testkit::{FaultProxy, Vitess};

use crate::append::{Appends, Level};
use crate::idempotency::Requests;
use crate::register::Registers;
use crate::set::Set;
use crate::stage::{Done, flow, lose_commits, open, play};

const ROUNDS: u32 = 3;

#[test]
#[ignore = "needs Vitess, which takes minutes to build"]
fn what_is_promised_over_shards_holds_while_the_way_to_them_fails() {
    let vitess = Vitess::start_with(0, 1, &["--twopc-abandon-age=1s"]);
    let proxy = FaultProxy::start(SocketAddr::from((Ipv4Addr::LOCALHOST, vitess.port())));
    let address: Address = vitess.url_of("test_sharded_1").parse().unwrap();
    let tls = Tls { mode: Some(TlsMode::Off), ..Tls::default() };
    let store = open(Address { port: proxy.address().port(), tls, ..address }, vitess);
    let (registers, set, requests) = (Registers::new(3), Set::new(6), Requests::new(2));
    let committed = Appends::new(Level::ReadCommitted, 3);
    play("two shards", &store, &[&registers, &set, &requests, &committed], |done, random| {
        suffer(&proxy, random, done);
    });
}

fn suffer(proxy: &FaultProxy, random: &mut StdRng, done: Done<'_>) {
    flow("before the first fault", done);
    for _ in 0..ROUNDS {
        lose_commits(proxy, random);
        flow("after lost commits", done);
        proxy.cut();
        std::thread::sleep(Duration::from_millis(random.random_range(10..150)));
        proxy.heal();
        flow("after a cut", done);
        proxy.cut_after(random.random_range(0..20_000));
        std::thread::sleep(Duration::from_millis(random.random_range(10..150)));
        proxy.heal();
        flow("after cut answers", done);
    }
}
