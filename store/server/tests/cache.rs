//! A server with a cache in memory: the conformance suite through its public API, by a client with a session, and what it says
//! of the cache.
#![allow(clippy::unwrap_used, reason = "clippy knows tests only by their attribute")]

mod support;

use rowkeep_engine::conformance::Subject;
use rowkeep_mysql as _;
use support::{Shop, config};

fn start() -> Subject {
    let directory = tempfile::tempdir().unwrap();
    let mut config = config(directory.path());
    config.cache.kind = "memory".into();
    support::surface::subject(config, directory)
}

rowkeep_engine::api_conformance!(crate::start);

fn metric(shop: &Shop, name: &str) -> f64 {
    let page = support::http::get(shop.admin, "/metrics").expect(200).text();
    let line =
        page.lines().find(|line| line.starts_with(&format!("{name} "))).unwrap_or_else(|| panic!("{name}: {page}"));
    line.rsplit(' ').next().unwrap().parse().unwrap()
}

#[test]
fn what_the_cache_does_is_counted() {
    let shop = Shop::start_with(|config| config.cache.kind = "memory".into());
    testkit::wait_until("the cache answers", || {
        support::http::get(shop.address, "/v1/users/1").expect(404);
        metric(&shop, "rowkeep_cache_negative_hits_total") > 0.0
    });
    support::http::ask(shop.address, "GET", "/v1/users/1").header("rowkeep-consistency", "strong").send().expect(404);
    for name in ["hits", "misses", "bypasses"] {
        assert!(metric(&shop, &format!("rowkeep_cache_{name}_total")) > 0.0, "{name}");
    }
    for name in ["joined", "refused_fills", "evictions"] {
        assert!(metric(&shop, &format!("rowkeep_cache_{name}_total")) >= 0.0, "{name}");
    }
    assert!(metric(&shop, "rowkeep_cache_entries") >= 1.0 && metric(&shop, "rowkeep_cache_bytes") > 0.0);
    let lag = metric(&shop, "rowkeep_cache_lag_seconds");
    assert!((0.0..10.0).contains(&lag), "{lag}");
    testkit::wait_until("all is told", || metric(&shop, "rowkeep_cache_lag_commits") == 0.0);
}

#[test]
fn another_schema_begins_with_an_empty_cache() {
    let shop = Shop::start_with(|config| config.cache.kind = "memory".into());
    let entries = || metric(&shop, "rowkeep_cache_entries");
    let ask = || support::http::get(shop.address, "/v1/users/1").expect(404);
    testkit::wait_until("something is kept", || {
        ask();
        entries() >= 1.0
    });
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(shop.reloader.reload(support::shop_schema())).unwrap();
    assert_eq!(entries(), 0.0);
    let before = metric(&shop, "rowkeep_cache_hits_total");
    testkit::wait_until("the new one answers", || {
        ask();
        metric(&shop, "rowkeep_cache_hits_total") > before
    });
}

#[test]
fn a_shared_cache_of_the_embedded_store_is_refused_with_what_to_write_instead() {
    let mut config = config(std::path::Path::new("nowhere"));
    config.cache.kind = "redis://127.0.0.1:6379".into();
    let refused = config.check().unwrap_err();
    assert!(refused.message().contains("`memory`"), "{refused:?}");
}
