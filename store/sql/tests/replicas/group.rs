//! The same where the servers choose their primary themselves.

use std::time::Duration;

use rowkeep_engine::Freshness;
use rowkeep_sql::mysql::Role;
use testkit::{DatabaseServer, Group};

use super::failover::with_writers;
use super::lab::{Lab, options};

fn roles(primary: usize) -> [Role; 3] {
    let mut roles = [Role::Replica; 3];
    roles[primary] = Role::Primary;
    roles
}

#[test]
fn writes_go_where_the_group_wants_them() {
    let group = Group::start();
    let servers: Vec<&DatabaseServer> = group.members().map(|number| group.server(number)).collect();
    let lab = Lab::open(&options(&servers)).unwrap();
    lab.settle(&roles(0));
    let client = lab.client(Freshness::Session);
    with_writers(&lab, |writers| {
        group.switch_to(1);
        let outage = writers.next_answer();
        assert!(outage < Duration::from_secs(1), "{outage:?}");
        lab.settle(&roles(1));
        client.put(-1, 1).unwrap();
        assert_eq!(client.get(-1).unwrap(), Some(1));
        group.kill9(1);
        let new = group.primary();
        let outage = writers.next_answer();
        assert!(outage < Duration::from_secs(1), "{outage:?}");
        client.put(-1, 2).unwrap();
        assert_eq!(client.get(-1).unwrap(), Some(2));
        group.restart(1);
        lab.settle(&roles(new));
        writers.next_answer();
    });
    let (primary, before) = (group.primary(), lab.reads());
    for _ in 0..100 {
        assert_eq!(client.get(-1).unwrap(), Some(2));
    }
    assert!(lab.reads()[primary] - before[primary] < 10, "the primary answers what others could");
}
