//! What a commit of several writes asks of the server, how often it waits for an answer, and what happens to the
//! statements behind one that fails.
#![allow(clippy::unwrap_used, reason = "clippy knows tests only by their attribute")]

mod support;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use kit_core::{Applied, Code};
use rowkeep_engine::conformance::Subject;
use rowkeep_mysql::{Address, Connection, Tls, TlsMode};
use serde_json::{Value as Json, json};
use support::servers;
use testkit::{DatabaseServer, FaultProxy, Product};

testkit::on_both_products! {
    a_commit_reads_each_row_once_and_waits_three_times
    an_update_of_one_row_waits_twice
    a_commit_behind_a_refused_update_commits_nothing
    statements_behind_the_victim_of_a_deadlock_leave_nothing
}

fn row(entity: &str, mut row: Json) -> Json {
    row["@type"] = format!("type.googleapis.com/conformance.v1.{entity}").into();
    row
}

/// Two comments on a draft, the draft, and a counter for each comment: five writes over three tables.
fn writes(number: u32) -> Json {
    let comment = |id: u32| json!({ "create": row("Comment", json!({ "id": id.to_string(), "draft": "a" })) });
    let counter = |id: u32| {
        let one_more = json!([{ "field": "stock", "increment": "1" }]);
        let counted = row("Counter", json!({ "id": id.to_string() }));
        json!({ "update": { "row": counted, "updateMask": "", "transforms": one_more } })
    };
    let text = row("Draft", json!({ "name": "a", "text": number.to_string() }));
    json!([
        comment(2 * number),
        counter(1),
        comment(2 * number + 1),
        counter(2),
        { "update": { "row": text, "updateMask": "text" } },
    ])
}

fn a_commit_reads_each_row_once_and_waits_three_times(product: Product) {
    let server = DatabaseServer::start(product);
    let (proxy, subject) = behind_proxy(&server);
    subject.create("Draft", json!({ "name": "a" }));
    subject.create("Counter", json!({ "id": "1" }));
    subject.create("Counter", json!({ "id": "2" }));
    // What is prepared once is behind us.
    subject.commit(writes(1));

    server.admin("SET GLOBAL log_output = 'TABLE'; SET GLOBAL general_log = ON");
    subject.commit(writes(2));
    server.admin("SET GLOBAL general_log = OFF");
    let logged = "SELECT CONVERT(argument USING utf8mb4) FROM mysql.general_log \
                  WHERE command_type IN ('Execute', 'Query') AND argument NOT LIKE '%general_log%' ORDER BY event_time";
    let logged = server.admin(logged);
    let asked: Vec<&str> = logged.lines().filter(|line| !line.contains("@@")).collect();
    let expected = [
        ("SELECT", "`counters`", "FOR UPDATE"),
        ("SELECT", "`counters`", "FOR UPDATE"),
        ("SELECT", "`drafts`", "FOR UPDATE"),
        ("INSERT", "`comments`", ""),
        ("UPDATE", "`counters`", ""),
        ("INSERT", "`comments`", ""),
        ("UPDATE", "`counters`", ""),
        ("UPDATE", "`drafts`", ""),
        ("COMMIT", "", ""),
    ];
    assert_eq!(asked.len(), expected.len(), "{logged}");
    for (asked, (verb, table, end)) in asked.iter().zip(expected) {
        assert!(
            asked.starts_with(verb) && asked.contains(table) && asked.ends_with(end),
            "{asked}: {verb} {table} {end}"
        );
    }

    let waits = waits(&proxy, |number| drop(subject.commit(writes(number + 3))));
    assert_eq!(waits, 3, "for the rows, the writes and the commit");
    assert_eq!(subject.get("Counter", json!({ "id": "2" }))["stock"], "7");
}

/// The only write is sent with the commit, unless something may be in its way that is not locked yet.
fn an_update_of_one_row_waits_twice(product: Product) {
    let server = DatabaseServer::start(product);
    let (proxy, subject) = behind_proxy(&server);
    subject.create("Draft", json!({ "name": "a" }));
    subject.create("Member", json!({ "code": "a", "email": "a@example.com" }));
    let draft = |number: u32| drop(subject.update("Draft", json!({ "name": "a", "text": number.to_string() }), "text"));
    let email = |number: u32| {
        let member = json!({ "code": "a", "email": format!("{number}@example.com") });
        drop(subject.update("Member", member, "email"));
    };
    draft(100);
    email(100);
    assert_eq!(waits(&proxy, draft), 2, "for the row, and the write with the commit");
    assert_eq!(waits(&proxy, email), 3, "another may have the email");
    assert_eq!(subject.get("Draft", json!({ "name": "a" }))["text"], "4");
    assert_eq!(subject.get("Member", json!({ "code": "a" }))["email"], "4@example.com");
}

/// How often a call waits for the server: the least of five calls, because the machine may be busy.
fn waits(proxy: &FaultProxy, call: impl Fn(u32)) -> u128 {
    const DELAY: Duration = Duration::from_millis(75);
    proxy.delay(DELAY);
    let took = |number: u32| {
        let started = Instant::now();
        call(number);
        started.elapsed()
    };
    let best = (0..5).map(took).min().unwrap();
    best.as_millis() / (2 * DELAY).as_millis()
}

fn behind_proxy(server: &DatabaseServer) -> (FaultProxy, Subject) {
    let proxy = FaultProxy::start(SocketAddr::from((Ipv4Addr::LOCALHOST, server.port())));
    let tls = Tls { mode: Some(TlsMode::Off), ..Tls::default() };
    let address: Address = server.url().parse().unwrap();
    let store = servers::open(Address { port: proxy.address().port(), tls, ..address });
    (proxy, Subject::over(store, ()))
}

/// The commit is on its way already when the server refuses the write.
fn a_commit_behind_a_refused_update_commits_nothing(product: Product) {
    let server = DatabaseServer::start(product);
    let subject = Subject::over(servers::open(server.url().parse().unwrap()), ());
    subject.create("Draft", json!({ "name": "a", "text": "before" }));
    let (url, admin) = (server.url(), |sql: &str| server.admin(sql));
    let database = url.rsplit('/').next().unwrap().split('?').next().unwrap();
    admin("SET GLOBAL log_bin_trust_function_creators = ON");
    admin(&format!(
        "CREATE TRIGGER {database}.refuses BEFORE UPDATE ON {database}.drafts FOR EACH ROW \
         SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'not today'"
    ));
    let update = |text: &str| json!([{ "update": { "row": row("Draft", json!({ "name": "a", "text": text })), "updateMask": "text" } }]);
    let commits = || admin("SHOW GLOBAL STATUS LIKE 'Com_commit'");
    let before = commits();
    let failure = subject.commit_fails(update("refused"));
    assert_eq!(failure.applied, Applied::No, "{failure:?}");
    assert_ne!(commits(), before, "it was sent");
    assert_eq!(subject.get("Draft", json!({ "name": "a" }))["text"], "before");
    admin(&format!("DROP TRIGGER {database}.refuses"));
    subject.commit(update("after"));
    assert_eq!(subject.get("Draft", json!({ "name": "a" }))["text"], "after");
}

/// The server goes on with what it has received of a transaction that it has ended.
fn statements_behind_the_victim_of_a_deadlock_leave_nothing(product: Product) {
    let (store, database) = servers::store(product);
    let url = database.url();
    let subject = &Subject::over(store, database);
    subject.create("Counter", json!({ "id": "1" }));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let open = || runtime.block_on(Connection::open(&url.parse::<Address>().unwrap())).unwrap();
    let (mut other, mut looking) = (open(), open());
    let mut run = |sql: &str| runtime.block_on(other.query(sql)).unwrap();
    run("BEGIN");
    // Who has written more is not chosen.
    for line in 0..50 {
        run(&format!("INSERT INTO `lines` (order_id, line, text, rowkeep_version) VALUES (9, {line}, '', 1)"));
    }
    run("INSERT INTO `lines` (order_id, line, text, rowkeep_version) VALUES (1, 2, 'other', 1)");
    let line = |line: u32| json!({ "create": row("Line", json!({ "orderId": "1", "line": line })) });
    let counter =
        json!({ "update": { "row": row("Counter", json!({ "id": "1", "small": 5 })), "updateMask": "small" } });
    std::thread::scope(|scope| {
        let refused = scope.spawn(|| subject.commit_fails(json!([counter, line(1), line(2), line(3)])));
        wait_for_one_that_waits(product, "INSERT");
        run("SELECT id FROM counters WHERE id = 1 FOR UPDATE");
        // It was the victim, and waits for the counter to be run again.
        wait_for_one_that_waits(product, "SELECT");
        let left = runtime.block_on(looking.query("SELECT line FROM `lines` WHERE order_id = 1")).unwrap();
        assert_eq!(left, Vec::<Vec<Option<String>>>::new());
        run("COMMIT");
        refused.join().unwrap().is(Code::AlreadyExists, "ALREADY_EXISTS").has("key", "1/2");
    });
    let left = subject.list("Line", json!({ "filter": "order_id = 1" }));
    assert_eq!(left.iter().map(|line| line["text"].as_str().unwrap()).collect::<Vec<_>>(), ["other"]);
    assert_eq!(subject.get("Counter", json!({ "id": "1" }))["small"], Json::Null);
    runtime.block_on(other.close());
    runtime.block_on(looking.close());
}

fn wait_for_one_that_waits(product: Product, verb: &str) {
    let waiting = format!(
        "SELECT COUNT(*) FROM information_schema.INNODB_TRX WHERE trx_state = 'LOCK WAIT' AND trx_query LIKE '{verb}%'"
    );
    testkit::wait_until("a statement that waits", || {
        // InnoDB shows what it showed before until nobody has asked for a tenth of a second.
        std::thread::sleep(Duration::from_millis(150));
        servers::server(product).admin(&waiting) != "0"
    });
}
