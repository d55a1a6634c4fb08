//! What is said of servers that cannot be used, and who may use them.

#![allow(clippy::unwrap_used, reason = "clippy knows tests only by their attribute")]

mod support;

use std::time::Duration;

use rowkeep_cache::remote::conformance::{Stage, name, telling};
use rowkeep_cache::remote::{Failed, Heard, Remote};
use rowkeep_redis::{RedisOptions, RedisRemote};
use testkit::{FaultProxy, Redis, RedisCluster, wait_until};

/// What a cache that cannot be connected says.
fn problem(address: &str) -> String {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let options = RedisOptions { connect_timeout: Duration::from_millis(500), ..support::PATIENT };
    runtime.block_on(async {
        let remote = RedisRemote::start(&support::address(address), "start", options, runtime.handle());
        let failed = remote.is_up(Duration::from_secs(2)).await.unwrap_err();
        // Nobody waits for it.
        let looked = support::at_once(remote.get(0, vec![name("row")]));
        assert!(matches!(looked, Some(Err(Failed::Gone(_)))), "{looked:?}");
        failed.to_string()
    })
}

#[test]
fn a_server_that_is_not_there_is_named() {
    let port = testkit::free_port();
    let said = problem(&format!("redis://:secret@127.0.0.1:{port}"));
    assert!(said.contains(&format!("127.0.0.1:{port}")) && said.contains("refused"), "{said}");
    assert!(!said.contains("secret"), "{said}");
    let said = problem(&format!("redis+sentinel://127.0.0.1:{port}/main"));
    assert!(said.contains(&format!("127.0.0.1:{port}")), "{said}");
    let said = problem(&format!("redis+cluster://127.0.0.1:{port}"));
    assert!(said.contains(&format!("127.0.0.1:{port}")), "{said}");
}

#[test]
fn a_server_that_does_not_answer_is_named() {
    let server = Redis::start();
    let proxy = FaultProxy::start(server.address());
    proxy.hold();
    let said = problem(&format!("redis://{}", proxy.address()));
    assert!(said.contains("no connection within 500ms"), "{said}");
}

#[test]
fn what_speaks_another_protocol_is_named() {
    let address = testkit::Process::start("python3", &["-m", "http.server", "--bind", "127.0.0.1", "0"], &[]);
    let mut port = None;
    wait_until("another server", || {
        let text = address.log().text();
        port = text.split(" port ").nth(1).and_then(|rest| rest.split_whitespace().next()?.parse::<u16>().ok());
        port.is_some()
    });
    let said = problem(&format!("redis://127.0.0.1:{}", port.unwrap()));
    assert!(said.contains("the cache server does not answer: 127.0.0.1:"), "{said}");
}

#[test]
fn a_wrong_password_is_said_and_not_shown() {
    let server = Redis::start_with(&["--requirepass", "right"]);
    let address = server.address();
    let said = problem(&format!("redis://{address}"));
    assert!(said.contains("NOAUTH") || said.contains("Authentication required"), "{said}");
    for login in [":wrong-secret", "ann:wrong-secret"] {
        let said = problem(&format!("redis://{login}@{address}"));
        assert!(said.contains("the log-in failed"), "{said}");
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
    let said = problem(&format!("redis://{}", replica.address()));
    assert!(said.contains(&format!("replica of 127.0.0.1:{port}")), "{said}");
}

#[test]
fn a_service_that_sentinels_do_not_know_is_named() {
    let all = testkit::RedisSentinels::start(0);
    let said = problem(&all.url().replace("/main", "/other"));
    assert!(said.contains("No such master"), "{said}");
}

#[test]
fn a_server_that_is_none_of_a_cluster_says_so() {
    let server = Redis::start();
    let said = problem(&format!("redis+cluster://{}", server.address()));
    assert!(said.contains("cluster support disabled"), "{said}");
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
