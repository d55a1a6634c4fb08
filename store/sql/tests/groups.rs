//! New rows that arrive together: one transaction for many, an answer for each.
#![allow(clippy::unwrap_used, reason = "clippy knows tests only by their attribute")]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use kit_core::Code;
use rowkeep_engine::conformance::Subject;
use serde_json::json;
use testkit::Product;

const CLIENTS: u64 = 32;
const ROUNDS: u64 = 20;

testkit::on_both_products! {
    of_rows_with_one_key_one_is_stored_and_the_others_are_told
}

fn of_rows_with_one_key_one_is_stored_and_the_others_are_told(product: Product) {
    let (store, database) = support::servers::store(product);
    let subject = Subject::over(Arc::clone(&store) as _, database);
    let (stored, refused) = (AtomicU64::new(0), AtomicU64::new(0));
    let work = |client: u64| {
        for round in 0..ROUNDS {
            // Of four clients two want the same code, and the others the same email.
            let code = format!("{round}-{}", if client.is_multiple_of(4) { client + 1 } else { client });
            let email = format!("{round}-{}", if client % 4 == 2 { client + 1 } else { client });
            let member =
                json!({ "member": { "code": code, "email": email, "team": "t", "seat": round * 100 + client } });
            match subject.try_call("CreateMember", &member) {
                Ok(_) => stored.fetch_add(1, Ordering::Relaxed),
                Err(failure) => {
                    assert_eq!(failure.code, Code::AlreadyExists, "{failure:?}");
                    refused.fetch_add(1, Ordering::Relaxed)
                }
            };
        }
    };
    std::thread::scope(|scope| {
        for client in 0..CLIENTS {
            scope.spawn(move || work(client));
        }
    });
    let all = CLIENTS * ROUNDS;
    assert_eq!((stored.into_inner(), refused.into_inner()), (all / 2, all / 2));
    let listed = subject.call("ListMembers", json!({ "includeTotalSize": true, "pageSize": 1 }));
    assert_eq!(listed["totalSize"], (all / 2).to_string());
    let commits = store.stats().commits;
    assert!(commits < all / 2, "{commits} transactions for {} rows share nothing", all / 2);
}
