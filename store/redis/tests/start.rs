//! What is said of servers that cannot be used, and who may use them.

#![allow(clippy::unwrap_used, reason = "clippy knows tests only by their attribute")]

mod support;

use rowkeep_cache::remote::conformance::{Stage, name, telling};
use rowkeep_cache::remote::{Failed, Heard};
use support::problem;
use testkit::{FaultProxy, Redis, RedisCluster, wait_until};

#[test]
fn a_server_that_is_not_there_is_named() {
    let port = testkit::free_port();
    let host = format!("127.0.0.1:{port}");
    let said = problem(&format!("redis://:secret@{host}"), "refused");
    assert!(said.contains(&host) && !said.contains("secret"), "{said}");
    for address in [format!("redis+sentinel://{host}/main"), format!("redis+cluster://{host}")] {
        let said = problem(&address, "refused");
        assert!(said.contains(&host), "{said}");
    }
}

#[test]
fn a_server_that_does_not_answer_is_named() {
    let server = Redis::start();
    let proxy = FaultProxy::start(server.address());
    proxy.hold();
    let said = problem(&format!("redis://{}", proxy.address()), "no connection within 500ms");
    assert!(said.contains(&proxy.address().to_string()), "{said}");
}

#[test]
fn what_speaks_another_protocol_is_named() {
    let other = testkit::Process::start("python3", &["-um", "http.server", "--bind", "127.0.0.1", "0"], &[]);
    let mut port = None;
    wait_until("another server", || {
        let text = other.log().text();
        port = text.split(" port ").nth(1).and_then(|rest| rest.split_whitespace().next()?.parse::<u16>().ok());
        port.is_some()
    });
    problem(&format!("redis://127.0.0.1:{}", port.unwrap()), "does not speak the protocol of Redis");
}

#[test]
fn a_wrong_password_is_said_and_not_shown() {
    let server = Redis::start_with(&["--requirepass", "right"]);
    let address = server.address();
    problem(&format!("redis://{address}"), "uthentication required");
    for login in [":wrong-secret", "ann:wrong-secret"] {
        let said = problem(&format!("redis://{login}@{address}"), "the log-in failed");
        assert!(!said.contains("secret"), "{said}");
    }
    support::stage_in(&support::address(&format!("redis://:right@{address}")), "start", ()).one.begun(11, 5);
    support::stage_in(&support::address(&format!("redis://default:right@{address}")), "start", ());
}

#[test]
fn a_replica_names_who_is_to_be_asked() {
    let primary = Redis::start();
    let port = primary.address().port().to_string();
    let replica = Redis::start_with(&["--replicaof", "127.0.0.1", &port]);
    problem(&format!("redis://{}", replica.address()), &format!("replica of 127.0.0.1:{port}"));
}

#[test]
fn a_server_that_becomes_a_replica_is_given_up() {
    let (server, other) = (Redis::start(), Redis::start());
    let stage = support::stage_in(&support::address(&format!("redis://{}", server.address())), "start", ());
    stage.one.begun(11, 5);
    let port = other.address().port().to_string();
    server.ask(&["REPLICAOF", "127.0.0.1", &port]);
    wait_until("a telling to be refused, and then not to be sent", || {
        let told = stage.wait(stage.one.remote.tell(0, telling(11, 5, 6, &[])));
        matches!(told, Err(Failed::Gone(why)) if why.contains("replica of"))
    });
    server.ask(&["REPLICAOF", "NO", "ONE"]);
    wait_until("it to be used again", || stage.wait(stage.one.remote.tell(0, telling(11, 5, 6, &[]))).is_ok());
}

#[test]
fn a_service_that_sentinels_do_not_know_is_named() {
    let all = testkit::RedisSentinels::start(0);
    problem(&all.url().replace("/main", "/other"), "No such master");
}

#[test]
fn a_server_that_is_none_of_a_cluster_says_so() {
    let server = Redis::start();
    problem(&format!("redis+cluster://{}", server.address()), "cluster support disabled");
}

/// The rights that the documentation names.
fn user(server: &Redis) {
    let text = include_str!("../src/lib.rs").replace("//!", " ");
    let command = text.split("```text").nth(1).and_then(|text| text.split("```").next()).unwrap();
    let words: Vec<_> = command.split_whitespace().collect();
    assert_eq!(words[..2], ["ACL", "SETUSER"]);
    assert_eq!(server.ask(&words).text(), "OK");
}

/// Every step, once.
fn works(stage: &Stage) {
    let row = name("row");
    stage.one.begun(11, 5);
    stage.one.bring(&row, 1, b"value");
    assert!(stage.one.entry(&row).is_some());
    assert_eq!(stage.one.tell(&telling(11, 5, 6, &[&row])), Heard::Told);
    stage.one.retract(&[row]);
}

#[test]
fn the_rights_that_the_documentation_names_are_enough() {
    let server = Redis::start();
    user(&server);
    let address = format!("redis://rowkeep:PASSWORD@{}/3", server.address());
    works(&support::stage_in(&support::address(&address), "start", ()));
    assert_eq!(server.ask(&["ACL", "LOG"]).text(), "");
    assert!(server.ask(&["INFO", "keyspace"]).text().contains("db3:keys="));
}

#[test]
fn the_rights_that_the_documentation_names_are_enough_on_a_cluster() {
    let cluster = RedisCluster::start(3, 0);
    (0..3).for_each(|number| user(cluster.server(number)));
    let address = cluster.url().replace("://", "://rowkeep:PASSWORD@");
    works(&support::stage_in(&support::address(&address), "start", ()));
}

/// Sentinels have users of their own.
#[test]
fn sentinels_are_told_another_password_than_servers() {
    let all = testkit::RedisSentinels::start(0);
    user(all.server(0));
    let enough = ["ACL", "SETUSER", "watcher", "on", ">SENTINELS", "-@all", "+ping", "+sentinel|master"];
    for number in 0..3 {
        assert_eq!(all.ask_sentinel(number, &enough).text(), "OK");
        assert_eq!(all.ask_sentinel(number, &["ACL", "SETUSER", "default", "off"]).text(), "OK");
    }
    let address = all.url().replace("://", "://rowkeep:PASSWORD@");
    problem(&address, "uthentication required");
    let address = address + "?sentinel_user=watcher&sentinel_password=SENTINELS";
    works(&support::stage_in(&support::address(&address), "start", ()));
}

#[test]
fn each_shard_of_a_cluster_is_asked_of_who_has_it() {
    let cluster = RedisCluster::start(3, 0);
    let stage = support::stage_in(&support::address(&cluster.url()), "start", ());
    let shards = stage.one.remote.shards();
    for shard in 0..shards {
        stage.one.at(shard).begun(11, 5);
    }
    for number in 0..3 {
        let server = cluster.server(number);
        assert_eq!(server.info_text("errorstat_MOVED"), "", "its hash slots were computed otherwise");
        assert!(server.commands("evalsha") > 5, "it has some of the {shards} shards");
    }
}
