//! A look into the cache of a running server.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "clippy knows tests only by their attribute")]

mod support;

use serde_json::{Value, json};
use support::{Ran, SHOP, post, rowkeep};
use testkit::{Cluster, Product, Redis, Rowkeep, http, wait_until};

testkit::on_both_products! {
    what_redis_answers_is_audited_where_there_is_no_memory_before_it
    a_row_is_compared_in_memory_on_each_replica_and_on_the_primary
    a_row_is_compared_in_redis_and_redis_is_said_to_be_gone
    readers_share_few_connections_while_redis_is_gone
}

fn inspect(server: &Rowkeep, args: &[&str]) -> Ran {
    let admin = server.admin_url().trim_start_matches("http://").to_owned();
    rowkeep(&[&["cache", "inspect", "--admin", &admin], args].concat())
}

fn name(server: &Rowkeep, id: u32) -> String {
    let reply = http::get(&format!("http://{}/v1/users/{id}", server.address()));
    let user: Value = serde_json::from_str(&reply.text()).unwrap();
    user["name"].as_str().unwrap_or_default().to_owned()
}

/// Reads a row until memory has it.
fn keep(server: &Rowkeep, id: u32) -> Value {
    let mut found = Value::Null;
    wait_until("the row to be kept", || {
        name(server, id);
        found = inspect(server, &["User", &id.to_string(), "--json"]).expect(0).json();
        found["layers"][0]["state"] != "not kept"
    });
    found
}

#[test]
fn what_memory_has_is_shown_and_what_was_asked_wrongly_is_said() {
    let server = Rowkeep::start(SHOP, &["--cache", "memory"]);
    post(&server, "/v1/users", &json!({"email": "a@example.com", "name": "Ann"}));
    assert!(inspect(&server, &["User", "1"]).expect(0).stdout.contains("no cache has this row"));
    let found = keep(&server, 1);
    let layers = found["layers"].as_array().unwrap();
    assert_eq!((&found["verdict"], layers.len()), (&json!("coherent"), 2), "{found:#}");
    assert_eq!((&layers[0]["place"], &layers[1]["place"]), (&json!("memory"), &json!("primary")));
    for field in ["state", "etag", "bytes", "digest"] {
        assert!(!layers[0][field].is_null() && layers[0][field] == layers[1][field], "{found:#}");
    }
    let shown = inspect(&server, &["User", "1"]).expect(0).stdout;
    assert!(shown.lines().count() == 3 && shown.contains("coherent"), "{shown}");
    assert!(!shown.contains("Ann") && !found.to_string().contains("Ann"), "rows are not shown");
    assert_eq!(keep(&server, 99)["layers"][0]["state"], "no such row");

    inspect(&server, &["user", "1"]).fails(2, &["no entity user", "did you mean User?"]);
    inspect(&server, &["User", "one"]).fails(2, &["id"]);
    inspect(&server, &["User", "1/2"]).fails(2, &["the key of User is id"]);
    inspect(&server, &["User", "a b"]).fails(2, &["percent-encoded"]);
    let nobody = format!("127.0.0.1:{}", testkit::free_port());
    rowkeep(&["cache", "inspect", "User", "1", "--admin", &nobody]).fails(1, &[&nobody, "--admin"]);
}

fn a_row_is_compared_in_memory_on_each_replica_and_on_the_primary(product: Product) {
    let cluster = Cluster::start(product, 1);
    let url = cluster.server(0).user("follower", "test", &["ALL ON test.*", "REPLICATION SLAVE ON *.*"]);
    cluster.catch_up();
    let replica = url.replace(&cluster.server(0).port().to_string(), &cluster.server(1).port().to_string());
    let server = Rowkeep::builder().schema(SHOP).env("ROWKEEP_DATABASE", &url).env("ROWKEEP_REPLICAS", &replica);
    let server = server.arg("--cache").arg("memory").start();
    post(&server, "/v1/users", &json!({"email": "a@example.com", "name": "Ann"}));
    cluster.catch_up();
    assert_eq!(keep(&server, 1)["verdict"], "coherent");
    cluster.stop_sql_thread(1);
    cluster.server(0).admin("UPDATE test.users SET name = 'by SQL'");
    // Told, and brought again.
    wait_until("the change to be seen", || name(&server, 1) == "by SQL");
    let found = keep(&server, 1);
    let layers = found["layers"].as_array().unwrap();
    let agrees: Vec<&Value> = layers.iter().map(|layer| &layer["agrees"]).collect();
    assert_eq!(agrees, [&json!(true), &json!(true), &json!(false)], "{found:#}");
    assert_eq!((&found["verdict"], &layers[2]["place"]), (&json!("coherent"), &json!("replica")));
    let shown = inspect(&server, &["User", "1"]).expect(0).stdout;
    assert!(shown.contains("another than the primary's") && !shown.contains("secret"), "{shown}");
    // A server that is gone is said to be.
    cluster.kill9(1);
    let found = inspect(&server, &["User", "1", "--json"]).expect(0).json();
    assert_eq!(found["layers"][2]["state"], "unknown", "{found:#}");
}

fn what_redis_answers_is_audited_where_there_is_no_memory_before_it(product: Product) {
    let (cluster, redis) = (Cluster::start(product, 0), Redis::start());
    let url = cluster.server(0).user("follower", "test", &["ALL ON test.*", "REPLICATION SLAVE ON *.*"]);
    let server = Rowkeep::builder().schema(SHOP).env("ROWKEEP_DATABASE", &url).env("ROWKEEP_CACHE_MEMORY", "0");
    let server =
        server.env("ROWKEEP_CACHE_AUDIT", "5ms").arg("--cache").arg(format!("redis://{}", redis.address())).start();
    post(&server, "/v1/users", &json!({"email": "a@example.com", "name": "Ann"}));
    let mut audits = Value::Null;
    wait_until("answers of Redis to be held against the database", || {
        assert_eq!(name(&server, 1), "Ann");
        let page = http::get(&format!("{}/cache/User/1", server.admin_url())).text();
        audits = serde_json::from_str::<Value>(&page).unwrap()["audits"].take();
        audits["shared"]["right"].as_u64().is_some_and(|right| right > 5)
    });
    assert_eq!((&audits["shared"]["stale"], &audits["memory"]), (&json!(0), &Value::Null), "{audits}");
    let metrics = http::get(&format!("{}/metrics", server.admin_url())).text();
    let series = |name: &str| {
        let value = metrics.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<f64>().ok());
        value.unwrap_or_else(|| panic!("no {name} in {metrics}"))
    };
    assert!(series(r#"rowkeep_cache_audits_total{place="shared",result="right"}"#) > 5.0, "{metrics}");
    assert!(series(r#"rowkeep_cache_stale_per_million{place="shared"}"#).abs() < f64::EPSILON, "{metrics}");
    assert!(!metrics.contains(r#"place="memory""#), "{metrics}");
}

/// A server whose rows are kept in Redis, and in so much memory.
fn shared(database: &Cluster, redis: &Redis, memory: &str) -> Rowkeep {
    let url = database.server(0).user("follower", "test", &["ALL ON test.*", "REPLICATION SLAVE ON *.*"]);
    let server = Rowkeep::builder().schema(SHOP).env("ROWKEEP_DATABASE", &url).env("ROWKEEP_CACHE_MEMORY", memory);
    server.arg("--cache").arg(format!("redis://{}", redis.address())).start()
}

fn a_row_is_compared_in_redis_and_redis_is_said_to_be_gone(product: Product) {
    let (cluster, redis) = (Cluster::start(product, 0), Redis::start());
    let server = shared(&cluster, &redis, "0");
    post(&server, "/v1/users", &json!({"email": "a@example.com", "name": "Ann"}));
    let look = || {
        name(&server, 1);
        inspect(&server, &["User", "1", "--json"]).expect(0).json()
    };
    let layer = |found: &Value| found["layers"].as_array().unwrap().iter().find(|it| it["place"] == "shared").cloned();
    let mut found = Value::Null;
    wait_until("Redis to keep the row", || {
        found = look();
        layer(&found).is_some_and(|shared| shared["agrees"] == true)
    });
    assert_eq!(found["verdict"], "coherent", "{found:#}");
    let shared = layer(&found).unwrap();
    assert_eq!(shared["digest"], found["layers"].as_array().unwrap().last().unwrap()["digest"], "{found:#}");
    redis.kill9();
    wait_until("Redis to be passed by", || layer(&look()).unwrap()["state"] == "passed by");
}

fn readers_share_few_connections_while_redis_is_gone(product: Product) {
    let (cluster, redis) = (Cluster::start(product, 0), Redis::start());
    let server = shared(&cluster, &redis, "0");
    post(&server, "/v1/users", &json!({"email": "a@example.com", "name": "Ann"}));
    redis.kill9();
    wait_until("the database to answer", || name(&server, 1) == "Ann");
    let database = cluster.server(0);
    let status = |name: &str| {
        let line = database.admin(&format!("SHOW GLOBAL STATUS LIKE '{name}'"));
        line.split_whitespace().nth(1).unwrap_or_else(|| panic!("{line}")).parse::<u64>().unwrap()
    };
    let (connected, executed) = (status("Threads_connected"), status("Com_stmt_execute"));
    database.admin("FLUSH STATUS");
    std::thread::scope(|scope| {
        for _ in 0..64 {
            scope.spawn(|| (0..20).for_each(|_| assert_eq!(name(&server, 1), "Ann")));
        }
    });
    assert!(status("Com_stmt_execute") >= executed + 64 * 20, "the database answers all of them");
    let most = status("Max_used_connections");
    assert!(most <= connected + 8, "{most} connections at once, where there were {connected} before");
}
