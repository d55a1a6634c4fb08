//! Real data: the flights of New York City in 2013, loaded from their files and asked what the files can answer, too.

#![allow(clippy::unwrap_used, reason = "clippy knows tests only by their attribute")]

mod support;

use std::collections::BTreeSet;
use std::fs;

use serde_json::{Value, json};
use support::{Scratch, get, json_of, post, reason, rowkeep};
use testkit::http::{self, encode};
use testkit::{Rowkeep, Table, workspace_root};

const SCHEMA: &str = "examples/flights/flights.proto";
/// How the files write an absent value.
const ABSENT: &str = "NA";
/// Files and their entities, in an order in which references hold.
const FILES: [(&str, &str); 5] = [
    ("airlines", "Airline"),
    ("airports", "Airport"),
    ("planes", "Plane"),
    ("flights", "Flight"),
    ("weather", "Weather"),
];

/// Loads the files, of each the first rows, and compares what a dump gives with them. Answers the flights.
fn load(scratch: &Scratch, rows: usize) -> Table {
    let data = scratch.arg("data");
    let mut flights = None;
    for (file, entity) in FILES {
        let path = workspace_root().join(format!("examples/flights/data/{file}.csv"));
        let text = fs::read_to_string(&path).expect("the flights; `cargo xtask fetch flights` fetches them");
        let part: String = text.split_inclusive('\n').take(rows + 1).collect();
        let csv = scratch.write(&format!("{file}.csv"), &part);
        let args = ["load", entity, &csv, "--schema", SCHEMA, "--null", ABSENT, "--data", &data, "--json"];
        let table = Table::parse(&part, ABSENT);
        assert_eq!(rowkeep(&args).expect(0).json()["stored"], table.sum().rows, "{file}");
        let dump = rowkeep(&["dump", entity, "--schema", SCHEMA, "--data", &data]).expect(0).stdout;
        assert_eq!(table.sum_of_ndjson(&dump).unwrap(), table.sum(), "{file}");
        if file == "flights" {
            flights = Some(table);
        }
    }
    flights.unwrap()
}

/// The flights of the file as columns.
struct Flights(Table);

impl Flights {
    /// The rows for which `wanted` says yes, each with these columns.
    fn select(&self, columns: &[&str], wanted: impl Fn(&dyn Fn(&str) -> String) -> bool) -> Vec<Vec<String>> {
        let place = |name: &str| self.0.columns.iter().position(|column| column == name).unwrap();
        let places: Vec<_> = columns.iter().map(|name| place(name)).collect();
        let rows = self.0.rows.iter().filter(|row| wanted(&|name| row[place(name)].clone()));
        rows.map(|row| places.iter().map(|place| row[*place].clone()).collect()).collect()
    }
}

/// A field of a row in JSON, as the file writes it.
fn text(row: &Value, name: &str) -> String {
    match &row[name] {
        Value::Null => ABSENT.to_owned(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The pages of a list, one after the other.
fn pages(server: &Rowkeep, query: &str) -> Vec<Vec<Value>> {
    let (mut pages, mut token) = (Vec::new(), String::new());
    loop {
        let page = get(server, &format!("/v1/flights?{query}&page_token={}", encode(&token)));
        pages.push(page["flights"].as_array().cloned().unwrap_or_default());
        token = page["nextPageToken"].as_str().unwrap_or_default().to_owned();
        if token.is_empty() {
            return pages;
        }
    }
}

fn path(flight: &[String]) -> String {
    format!("/v1/flights/{}/{}/{}", flight[0], flight[1], encode(&flight[2]))
}

const KEY: [&str; 3] = ["carrier", "flight", "time_hour"];

fn the_flights_of_a_plane_in_time_order(server: &Rowkeep, flights: &Flights) {
    let tail = "N14228";
    let plane = get(server, &format!("/v1/planes/{tail}"));
    assert_eq!((&plane["manufacturer"], &plane["seats"]), (&"BOEING".into(), &149.into()));
    let filter = encode(&format!("tailnum = \"{tail}\""));
    let found = pages(server, &format!("filter={filter}&order_by=time_hour&page_size=1000")).concat();
    let found: Vec<_> = found.iter().map(|row| [text(row, "timeHour"), text(row, "flight")]).collect();
    let mut expected = flights.select(&["time_hour", "flight"], |value| value("tailnum") == tail);
    expected.sort();
    assert!(!expected.is_empty() && found.is_sorted_by_key(|row| row[0].clone()));
    let mut found: Vec<_> = found.into_iter().map(Vec::from).collect();
    found.sort();
    assert_eq!(found, expected);
}

fn the_worst_delays_of_a_day(server: &Rowkeep, flights: &Flights) {
    let filter = encode("year = 2013 AND month = 1 AND day = 1");
    let page = get(server, &format!("/v1/flights?filter={filter}&order_by=dep_delay%20desc&page_size=10"));
    let worst: Vec<_> =
        page["flights"].as_array().unwrap().iter().map(|row| row["depDelay"].as_i64().unwrap()).collect();
    let day = |value: &dyn Fn(&str) -> String| value("month") == "1" && value("day") == "1";
    let mut delays: Vec<i64> =
        flights.select(&["dep_delay"], day).iter().filter_map(|row| row[0].parse().ok()).collect();
    delays.sort_unstable_by_key(|delay| -delay);
    assert_eq!(worst, delays[..10]);
    let refused = http::get(&format!("{}/v1/flights?filter={}", server.url(), encode("distance > 1000")));
    assert_eq!(refused.status, 400);
    assert!(refused.text().contains("index"), "{}", refused.text());
}

fn pages_over_the_flights_of_a_carrier(server: &Rowkeep, flights: &Flights) {
    let filter = encode("carrier = \"AA\"");
    let pages = pages(server, &format!("filter={filter}&page_size=500&fields=carrier,flight,timeHour"));
    assert!(pages.iter().rev().skip(1).all(|page| page.len() == 500));
    let rows = pages.concat();
    let keys: BTreeSet<_> = rows.iter().map(|row| vec![text(row, "flight"), text(row, "timeHour")]).collect();
    assert_eq!(keys.len(), rows.len(), "a row is on two pages");
    let expected = flights.select(&["flight", "time_hour"], |value| value("carrier") == "AA");
    assert_eq!(keys, expected.into_iter().collect());
    let total = get(server, &format!("/v1/flights?filter={filter}&page_size=1&include_total_size=true"));
    assert_eq!(text(&total, "totalSize"), rows.len().to_string());
}

fn an_update_with_its_etag(server: &Rowkeep, flights: &Flights) {
    let flight = flights.select(&KEY, |value| value("carrier") == "UA" && value("flight") == "1545").remove(0);
    let url = format!("{}{}", server.url(), path(&flight));
    let etag = http::get(&url).header("etag").unwrap().to_owned();
    let patch = |etag: &str, delay: i32| {
        let headers = [("content-type", "application/json"), ("if-match", etag)];
        http::request("PATCH", &url, &headers, json!({"depDelay": delay}).to_string().as_bytes())
    };
    assert_eq!(json_of(&patch(&etag, 99), 200)["depDelay"], 99);
    let stale = patch(&etag, 100);
    assert_eq!((stale.status, reason(&stale).as_str()), (412, "ETAG_MISMATCH"));
    assert_eq!(get(server, &path(&flight))["depDelay"], 99);
}

/// Two flights swap their planes, or neither does.
fn a_commit_that_rebooks(server: &Rowkeep, flights: &Flights) {
    let day = |value: &dyn Fn(&str) -> String| value("carrier") == "UA" && value("tailnum") != ABSENT;
    let with_plane = flights.select(&["carrier", "flight", "time_hour", "tailnum"], day);
    let first = with_plane[0].clone();
    let second = with_plane.iter().find(|flight| flight[3] != first[3]).unwrap().clone();
    let rebook = |flight: &[String], from: &str, to: &str| {
        json!({
            "update": {"row": {"@type": "type.googleapis.com/flights.v1.Flight", "carrier": flight[0],
                               "flight": flight[1].parse::<i32>().unwrap(), "timeHour": flight[2], "tailnum": to}},
            "precondition": {"condition": format!("tailnum = \"{from}\"")},
        })
    };
    let swap = json!({"requestId": "swap-1", "writes": [
        rebook(&first, &first[3], &second[3]),
        rebook(&second, &second[3], &first[3]),
    ]});
    let done = post(server, "/v1:commit", &swap);
    assert_eq!(done["results"][0]["row"]["tailnum"], second[3]);
    let planes = |server: &Rowkeep| [&first, &second].map(|flight| text(&get(server, &path(flight)), "tailnum"));
    assert_eq!(planes(server), [second[3].clone(), first[3].clone()]);
    assert_eq!(post(server, "/v1:commit", &swap), done, "the same request again");
    // The second condition no longer holds, so the first write is not made.
    let half = json!({"writes": [rebook(&first, &second[3], &first[3]), rebook(&second, &second[3], "N99999")]});
    let refused = http::json("POST", &format!("{}/v1:commit", server.url()), &half.to_string());
    assert_eq!(reason(&refused), "CONDITION_FAILED", "{}", refused.text());
    assert_eq!(planes(server), [second[3].clone(), first[3].clone()]);
}

fn answers(rows: usize) {
    let scratch = Scratch::default();
    let flights = Flights(load(&scratch, rows));
    let server = Rowkeep::builder().schema(SCHEMA).data(scratch.path("data")).start();
    the_flights_of_a_plane_in_time_order(&server, &flights);
    the_worst_delays_of_a_day(&server, &flights);
    pages_over_the_flights_of_a_carrier(&server, &flights);
    an_update_with_its_etag(&server, &flights);
    a_commit_that_rebooks(&server, &flights);
    assert!(server.terminate().success());
}

#[test]
fn the_first_flights_answer_as_their_files_do() {
    answers(20_000);
}

#[test]
#[ignore = "long"]
fn all_flights_answer_as_their_files_do() {
    answers(usize::MAX - 1);
}
