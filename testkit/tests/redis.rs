//! Redis as one server, with Sentinels, and as a cluster.

use std::time::Instant;

use testkit::{Answer, Redis, RedisCluster, RedisSentinels, wait_until};

#[test]
fn a_server_answers_and_forgets_what_it_had_when_it_is_killed() {
    let server = Redis::start();
    assert_eq!(server.ask(&["SET", "key", "value"]), Answer::Text(b"OK".to_vec()));
    assert_eq!(
        server.ask(&["MGET", "key", "other"]),
        Answer::List(vec![Answer::Text(b"value".to_vec()), Answer::Nothing])
    );
    assert!(server.ask(&["NONSENSE"]).text().starts_with("ERR"));
    server.forget_commands();
    server.ask(&["GET", "key"]);
    assert_eq!((server.commands("get"), server.info("keyspace_hits")), (1, 1));
    server.kill9();
    assert!(server.try_ask(&["PING"]).is_err());
    server.restart();
    assert_eq!(server.ask(&["GET", "key"]), Answer::Nothing);
}

#[test]
fn sentinels_choose_another_primary_when_theirs_is_killed() {
    let all = RedisSentinels::start(1);
    assert_eq!(all.primary(), 0);
    all.server(0).kill9();
    wait_until("another primary", || all.primary() == 1);
    wait_until("it to take writes", || all.server(1).ask(&["SET", "key", "value"]).text() == "OK");
    all.server(0).restart();
    wait_until("the old one to follow", || all.server(0).info_text("role") == "slave");
    wait_until("its copy to be whole", || all.server(0).ask(&["GET", "key"]).text() == "value");
    wait_until("the Sentinels to know", || all.server(0).info_text("master_link_status") == "up");
    all.fail_over();
    assert_eq!(all.primary(), 0);
}

#[test]
fn a_cluster_moves_hash_slots_and_chooses_other_primaries() {
    let cluster = RedisCluster::start(3, 1);
    let slot = cluster.slot(b"{7}key");
    let from = cluster.owner(slot);
    let to = (0..3).find(|number| *number != from).unwrap();
    assert_eq!(cluster.server(from).ask(&["SET", "{7}key", "value"]).text(), "OK");
    assert!(cluster.server(to).ask(&["GET", "{7}key"]).text().starts_with("MOVED"));
    cluster.begin_to_move(slot, to);
    assert_eq!(cluster.move_keys(slot, to, 10), 0);
    assert!(cluster.server(from).ask(&["GET", "{7}key"]).text().starts_with("ASK"));
    cluster.end_move(slot, to);
    assert_eq!(cluster.server(to).ask(&["GET", "{7}key"]).text(), "value");
    let replica = cluster.replicas_of(to)[0];
    cluster.promote(replica);
    wait_until("all to know the new primary", || cluster.owner(slot) == replica);
    cluster.server(replica).kill9();
    wait_until("the old primary to be one again", || cluster.owner(slot) == to);
    assert_eq!(cluster.server(to).ask(&["GET", "{7}key"]).text(), "value");
}

#[test]
fn a_server_that_cuts_its_clients_is_asked_again_what_it_tells_of_itself() {
    let redis = Redis::start();
    std::thread::scope(|scope| {
        let cutting = scope.spawn(|| {
            let (mut cut, begun) = (0, Instant::now());
            while cut < 20 && begun.elapsed() < testkit::PATIENCE {
                if let Ok(Answer::Number(clients)) = redis.try_ask(&["CLIENT", "KILL", "TYPE", "normal"]) {
                    cut += clients;
                }
            }
            cut
        });
        while !cutting.is_finished() {
            assert_eq!(redis.info_text("role"), "master");
        }
        assert!(cutting.join().unwrap() >= 20);
    });
}
