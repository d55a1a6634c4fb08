//! Commits at `SERIALIZABLE`: what a client read and names by etag is part of them. A storage that cannot hold that says so
//! of every such commit.

use std::sync::Barrier;

use kit_core::{Applied, Code};
use serde_json::{Value as Json, json};

use super::subject::{Answer, Failure, Subject, row};

const ROUNDS: usize = 10;

fn serializable(store: &Subject, writes: &Json) -> Result<Answer, Box<Failure>> {
    store.try_call("Commit", &json!({ "writes": writes, "isolation": "SERIALIZABLE" }))
}

/// Whether there is anything to test; if not, the refusal was.
fn is_held(store: &Subject) -> bool {
    if store.promises().serializable {
        return true;
    }
    for writes in [json!([]), json!([{ "create": row("Counter", json!({ "id": "99" })) }])] {
        serializable(store, &writes).unwrap_err().is(Code::Unimplemented, "ISOLATION_UNSUPPORTED");
    }
    assert!(!store.exists("Counter", json!({ "id": "99" })));
    false
}

/// Two clients that have both read before either commits; what each is answered.
fn both<R>(
    read: impl Fn(usize) -> R + Sync,
    write: impl Fn(usize, R) -> Result<Answer, Box<Failure>> + Sync,
) -> Outcomes {
    let barrier = &Barrier::new(2);
    let (read, write) = (&read, &write);
    let work = |client: usize| {
        let seen = read(client);
        barrier.wait();
        write(client, seen)
    };
    std::thread::scope(|scope| {
        let clients = [0, 1].map(|client| scope.spawn(move || work(client)));
        clients.map(|client| client.join().expect("a client panicked"))
    })
}

type Outcomes = [Result<Answer, Box<Failure>>; 2];

/// One of them happened; why the other did not.
#[track_caller]
fn one_of(done: &Outcomes) -> &Failure {
    assert_eq!(done.iter().filter(|result| result.is_ok()).count(), 1, "{done:?}");
    done.iter().find_map(|result| result.as_ref().err()).expect("one was refused")
}

pub fn what_was_read_and_is_checked_by_etag_is_part_of_a_serializable_commit(store: &Subject) {
    if !is_held(store) {
        return;
    }
    // Write skew between reads and commits: each moves what it read in the other's row into its own.
    for round in 0..ROUNDS {
        let ids = [(2 * round + 1).to_string(), (2 * round + 2).to_string()];
        for id in &ids {
            store.create("Counter", json!({ "id": id, "stock": id }));
        }
        let read = |client: usize| store.answer("GetCounter", json!({ "id": ids[1 - client] }));
        let write = |client: usize, seen: Answer| {
            let mine = json!({ "id": ids[client], "stock": seen.body["stock"] });
            let writes = json!([
                { "check": row("Counter", json!({ "id": ids[1 - client] })), "precondition": { "etag": seen.etag } },
                { "update": { "row": row("Counter", mine) } },
            ]);
            serializable(store, &writes)
        };
        let done = both(read, write);
        one_of(&done).is(Code::Aborted, "ETAG_MISMATCH");
        let stocks = ids.each_ref().map(|id| store.get("Counter", json!({ "id": id }))["stock"].clone());
        assert_eq!(stocks[0], stocks[1], "one took over the other's: {stocks:?}");
    }
}

pub fn what_a_serializable_commit_saw_to_be_absent_is_absent_until_it_ends(store: &Subject) {
    if !is_held(store) {
        return;
    }
    for round in 0..ROUNDS {
        let ids = [format!("{round}-a"), format!("{round}-b")];
        let write = |client: usize, ()| {
            let writes = json!([
                { "check": row("Guarded", json!({ "name": ids[1 - client] })), "precondition": { "exists": false } },
                { "create": row("Guarded", json!({ "name": ids[client] })) },
            ]);
            serializable(store, &writes)
        };
        let done = both(|_| (), write);
        one_of(&done).is(Code::AlreadyExists, "ALREADY_EXISTS");
    }
    assert_eq!(store.list("Guarded", json!({})).len(), ROUNDS);
}

pub fn a_serializable_commit_is_repeated_and_validated_like_any_other(store: &Subject) {
    if !is_held(store) {
        return;
    }
    let create = |title: &str| json!([{ "create": row("Note", json!({ "title": title })) }]);
    let ask = |title: &str, id: &str, validate: bool| {
        let (writes, isolation) = (create(title), "SERIALIZABLE");
        json!({ "writes": writes, "isolation": isolation, "requestId": id, "validateOnly": validate })
    };
    store.call("Commit", ask("validated", "", true));
    assert!(store.list("Note", json!({})).is_empty());
    let first = store.call("Commit", ask("once", "s1", false));
    assert_eq!(store.call("Commit", ask("once", "s1", false)), first);
    store.fails("Commit", ask("other", "s1", false)).is(Code::AlreadyExists, "REQUEST_ID_REUSED");
    assert_eq!(store.list("Note", json!({})).len(), 1);
}

pub fn an_isolation_that_nobody_declared_is_refused(store: &Subject) {
    let create = json!([{ "create": row("Counter", json!({ "id": "1" })) }]);
    let failure = store.fails("Commit", json!({ "writes": create, "isolation": 3 }));
    assert_eq!((failure.code, failure.applied), (Code::InvalidArgument, Applied::No), "{failure:?}");
    assert_eq!(failure.fields, [("isolation".to_owned(), "UNKNOWN_ENUM_VALUE".to_owned())]);
    assert!(!store.exists("Counter", json!({ "id": "1" })));
    store.call("Commit", json!({ "writes": create, "isolation": "READ_COMMITTED" }));
}
