//! Pages.

use kit_core::Code;
use serde_json::{Value as Json, json};

use super::Subject;
use super::subject::column;

const CITIES: [&str; 4] = ["Oslo", "Rome", "", "Bari"];

/// Rows with few different values, so that every order has ties, and with absent ones.
fn ranked(store: &Subject, count: u32) {
    let row = |id: u32| {
        let mut row = json!({
            "id": id.to_string(), "city": CITIES[id as usize % 4],
            "name": format!("n{}", id % 3), "weight": f64::from(id % 5) - 2.0,
        });
        if !id.is_multiple_of(7) {
            row["rank"] = json!(i64::from(id % 6) - 3);
        }
        json!({ "ranked": row })
    };
    let rows: Vec<Json> = (1..=count).map(row).collect();
    store.call("BatchCreateRankeds", json!({ "requests": rows }));
}

/// All rows of a list, by pages of a size.
#[track_caller]
fn all(store: &Subject, request: &Json, size: u32) -> Vec<Json> {
    all_of(store, "Ranked", request, size)
}

#[track_caller]
fn all_of(store: &Subject, entity: &str, request: &Json, size: u32) -> Vec<Json> {
    let mut rows = Vec::new();
    let mut token = String::new();
    for _ in 0..500 {
        let mut request = request.clone();
        request["pageSize"] = json!(size);
        request["pageToken"] = json!(token);
        let (page, next) = store.page(entity, request);
        assert!(page.len() <= size as usize);
        rows.extend(page);
        if next.is_empty() {
            return rows;
        }
        token = next;
    }
    panic!("pages without end");
}

fn number(row: &Json, field: &str) -> Option<i64> {
    match &row[field] {
        Json::String(text) => text.parse().ok(),
        value => value.as_i64(),
    }
}

pub fn pages_give_every_row_once_in_every_order(store: &Subject) {
    ranked(store, 60);
    let requests = [
        json!({}),
        json!({ "orderBy": "id desc" }),
        json!({ "orderBy": "rank" }),
        json!({ "orderBy": "rank desc" }),
        json!({ "orderBy": "city, rank desc" }),
        json!({ "orderBy": "city desc, rank" }),
        json!({ "orderBy": "name, city, id desc" }),
        json!({ "orderBy": "name desc" }),
    ];
    for request in requests {
        let whole = all(store, &request, 1000);
        let mut ids: Vec<_> = whole.iter().map(|row| number(row, "id")).collect();
        for size in [1, 7] {
            assert_eq!(all(store, &request, size), whole, "{request} by {size}");
        }
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), 60, "{request}");
    }
}

pub fn pages_of_a_filtered_list_end_where_it_ends(store: &Subject) {
    ranked(store, 60);
    for request in [
        json!({ "filter": "city = \"Oslo\"" }),
        json!({ "filter": "city = \"Oslo\"", "orderBy": "rank desc" }),
        json!({ "filter": "city = \"Oslo\"", "orderBy": "rank" }),
        json!({ "filter": "city = \"Oslo\" OR city = \"Rome\"", "orderBy": "city, rank desc" }),
        json!({ "filter": "rank > 0", "orderBy": "rank desc" }),
        json!({ "filter": "city = \"Oslo\" AND name = \"n1\"" }),
        json!({ "filter": "city = \"nowhere\"" }),
    ] {
        let whole = all(store, &request, 1000);
        assert_eq!(all(store, &request, 2), whole, "{request}");
    }
}

pub fn absent_values_come_first_and_ties_are_in_key_order(store: &Subject) {
    ranked(store, 30);
    let up = all(store, &json!({ "orderBy": "rank" }), 4);
    let keys: Vec<_> = up.iter().map(|row| (number(row, "rank"), number(row, "id"))).collect();
    assert!(keys.windows(2).all(|pair| pair[0] < pair[1]), "{keys:?}");
    assert_eq!(keys[0].0, None);
    let down = all(store, &json!({ "orderBy": "rank desc" }), 4);
    let ranks: Vec<_> = down.iter().map(|row| number(row, "rank")).collect();
    assert!(ranks.windows(2).all(|pair| pair[0] >= pair[1]), "{ranks:?}");
    assert_eq!(ranks.last(), Some(&None));
}

pub fn rows_without_a_unique_value_are_on_every_page(store: &Subject) {
    let session = |n: u32| match n % 3 {
        0 => json!({ "session": { "token": format!("t{n}"), "device": format!("d{n}") } }),
        _ => json!({ "session": { "token": format!("t{n}") } }),
    };
    store.call("BatchCreateSessions", json!({ "requests": (10..30).map(session).collect::<Vec<_>>() }));
    for order in ["device", "device desc"] {
        let request = json!({ "orderBy": order });
        let whole = all_of(store, "Session", &request, 1000);
        assert_eq!(whole.len(), 20);
        for size in [1, 3] {
            assert_eq!(all_of(store, "Session", &request, size), whole, "{order} by {size}");
        }
    }
}

pub fn rows_written_between_pages_shift_nothing(store: &Subject) {
    ranked(store, 20);
    let request = |token: &str| json!({ "pageSize": 5, "orderBy": "id", "pageToken": token });
    let (first, token) = store.page("Ranked", request(""));
    assert_eq!(number(&first[4], "id"), Some(5));
    for id in ["1", "5"] {
        store.delete("Ranked", json!({ "id": id }));
    }
    store.create("Ranked", json!({ "id": "0" }));
    let (second, _) = store.page("Ranked", request(&token));
    assert_eq!(column(&second, "id"), ["6", "7", "8", "9", "10"]);
}

pub fn a_token_belongs_to_its_query_but_not_to_its_size(store: &Subject) {
    ranked(store, 20);
    let query = json!({ "filter": "city = \"Oslo\"", "orderBy": "rank desc" });
    let with = |changes: &[(&str, Json)]| {
        let mut request = query.clone();
        for (name, value) in changes {
            request[*name] = value.clone();
        }
        request
    };
    let (_, token) = store.page("Ranked", with(&[("pageSize", json!(2))]));
    let next = ("pageToken", json!(token));
    assert_eq!(store.page("Ranked", with(&[next.clone(), ("pageSize", json!(3))])).0.len(), 3);
    for change in [("filter", json!("city = \"Rome\"")), ("filter", json!("")), ("orderBy", json!("rank"))] {
        let failure = store.list_fails("Ranked", with(&[next.clone(), change]));
        failure.is_about(&[("page_token", "INVALID_PAGE_TOKEN")]);
    }
    let failure = store.list_fails("Everything", with(&[next]));
    assert_eq!(failure.code, Code::InvalidArgument, "{failure:?}");
    let (_, deleted) = {
        store.create("Draft", json!({ "name": "a" }));
        store.create("Draft", json!({ "name": "b" }));
        store.page("Draft", json!({ "pageSize": 1, "showDeleted": true }))
    };
    store.list_fails("Draft", json!({ "pageToken": deleted })).is_about(&[("page_token", "INVALID_PAGE_TOKEN")]);
    store.list_fails("Plain", json!({ "pageToken": deleted })).is_about(&[("page_token", "INVALID_PAGE_TOKEN")]);
}

pub fn a_token_that_was_tampered_with_is_refused(store: &Subject) {
    ranked(store, 5);
    let (_, token) = store.page("Ranked", json!({ "pageSize": 2 }));
    let mut forged: Vec<String> = vec!["x".to_owned(), token[1..].to_owned(), format!("{token}A"), token.repeat(2)];
    for at in [0, token.len() / 2, token.len() - 3] {
        let mut letters: Vec<char> = token.chars().collect();
        letters[at] = if letters[at] == 'A' { 'B' } else { 'A' };
        forged.push(letters.into_iter().collect());
    }
    for token in forged {
        let failure = store.list_fails("Ranked", json!({ "pageSize": 2, "pageToken": token }));
        failure.is_about(&[("page_token", "INVALID_PAGE_TOKEN")]);
    }
}

pub fn sizes_have_a_default_a_maximum_and_no_negative(store: &Subject) {
    for _ in 0..3 {
        let tickets: Vec<Json> = (0..400).map(|_| json!({ "ticket": {} })).collect();
        store.call("BatchCreateTickets", json!({ "requests": tickets }));
    }
    assert_eq!(store.page("Ticket", json!({})).0.len(), 50);
    let (rows, token) = store.page("Ticket", json!({ "pageSize": i32::MAX }));
    assert_eq!(rows.len(), 1000);
    let (rest, end) = store.page("Ticket", json!({ "pageSize": 1000, "pageToken": token }));
    assert_eq!((rest.len(), end.as_str()), (200, ""));
    let (exact, end) = store.page("Ticket", json!({ "pageSize": 200, "filter": "id <= 200", "orderBy": "id" }));
    assert_eq!((exact.len(), end.as_str()), (200, ""), "a page that ends with the list has no next one");
    store.list_fails("Ticket", json!({ "pageSize": -1 })).is_about(&[("page_size", "OUT_OF_RANGE")]);
}

pub fn the_total_counts_all_pages_and_only_if_asked_for(store: &Subject) {
    ranked(store, 20);
    let list = |request: Json| store.call("ListRankeds", request);
    let query = json!({ "filter": "city = \"Oslo\"", "pageSize": 2, "includeTotalSize": true });
    let first = list(query.clone());
    assert_eq!(first["totalSize"], "5");
    let mut second = query;
    second["pageToken"] = first["nextPageToken"].clone();
    assert_eq!(list(second)["totalSize"], "5");
    assert_eq!(list(json!({ "pageSize": 1 })).get("totalSize"), None);
    assert_eq!(list(json!({ "includeTotalSize": true, "filter": "city = \"x\"" })), json!({ "totalSize": "0" }));
}
