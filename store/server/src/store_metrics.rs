//! The store's and the data plane's own numbers, read when they are scraped.

use std::sync::Arc;

use kit_net::NetStats;
use kit_telemetry::metrics::Registry;
use rowkeep_cache::{AuditStats, CacheStats, Cached, TierStats};
use rowkeep_sql::mysql::{self, MySqlStore, Role, ServerStatus};
use rowkeep_sql::sqlite::{GROUP_BOUNDS, SqliteStore, Stats};

use crate::storage::{Caches, SharedCache, Store};

/// Declares them.
pub(crate) fn declare(registry: &Registry, store: &Store, net: Arc<NetStats>) {
    match store {
        Store::Sqlite(store) => declare_sqlite(registry, store),
        Store::MySql(store) => declare_mysql(registry, store),
    }
    declare_net(registry, net);
}

/// Declares those of caches.
pub(crate) fn declare_caches(registry: &Registry, caches: &Caches) {
    if let Some(near) = &caches.near {
        declare_near(registry, near);
    }
    if let Some(shared) = &caches.shared {
        declare_shared(registry, shared);
    }
}

fn declare_shared(registry: &Registry, shared: &SharedCache) {
    let counter = |name: &str, help, read: fn(&TierStats) -> u64| {
        let tier = Arc::clone(&shared.tier);
        registry.counter_fn(&format!("rowkeep_cache_remote_{name}_total"), help, &[], move || read(&tier.stats()));
    };
    counter("hits", "Reads answered by the shared cache.", |stats| stats.hits);
    counter("negative_hits", "Those that found that there is no such row.", |stats| stats.negative_hits);
    counter("leases", "Reads of the database whose rows were to be kept in the shared cache.", |stats| stats.misses);
    counter("awaited", "Reads that waited for a row that another reader or another server was bringing.", |stats| {
        stats.awaited
    });
    counter("bypasses", "Reads that went past the shared cache.", |stats| stats.bypasses);
    counter("refused_fills", "Rows not kept because they changed meanwhile.", |stats| stats.refused);
    counter("unretracted", "Writers answered before slots were surely emptied.", |stats| stats.unretracted);
    counter("failures", "Requests to the shared cache that failed.", |stats| stats.failed);
    counter("requests", "Requests to the shared cache.", |stats| stats.trips);
    let tier = Arc::clone(&shared.tier);
    let (name, help) = ("rowkeep_cache_remote_request_microseconds_total", "How long they took together.");
    let read = move || u64::try_from(tier.stats().trip_time.as_micros()).unwrap_or(u64::MAX);
    registry.counter_fn(name, help, &[], read);
    let (tier, remote) = (Arc::clone(&shared.tier), Arc::clone(&shared.remote));
    let help = "Values found in the shared cache that nobody put there.";
    let read = move || tier.stats().unreadable + remote.stats().garbage;
    registry.counter_fn("rowkeep_cache_remote_garbage_total", help, &[], read);
    let gauge = |name: &str, help, read: fn(&TierStats) -> u64| {
        let tier = Arc::clone(&shared.tier);
        registry.gauge_fn(name, help, &[], move || read(&tier.stats()) as f64);
    };
    gauge("rowkeep_cache_remote_shards", "Parts of the shared cache.", |stats| stats.shards);
    gauge("rowkeep_cache_remote_shards_in_use", "Those that are not passed by.", |stats| stats.shards_on);
    let audited = Arc::clone(&shared.tier);
    declare_audits(registry, "shared", move || audited.stats().audits);
}

/// Those of one cache, by the place that `rowkeep cache inspect` calls it.
fn declare_audits(registry: &Registry, place: &str, audits: impl Fn() -> AuditStats + Clone + Send + Sync + 'static) {
    let counter = |result: &str, read: fn(&AuditStats) -> u64| {
        let (audits, labels) = (audits.clone(), [("place", place), ("result", result)]);
        let help = "Answers of a cache that were held against the database.";
        registry.counter_fn("rowkeep_cache_audits_total", help, &labels, move || read(&audits()));
    };
    counter("right", |audits| audits.right);
    counter("stale", |audits| audits.stale);
    counter("undecided", |audits| audits.undecided);
    let help = "Of the audited answers, those that lacked a change that was told.";
    let rate = move || audits().stale_per_million();
    registry.gauge_fn("rowkeep_cache_stale_per_million", help, &[("place", place)], rate);
}

fn declare_near(registry: &Registry, cache: &Arc<Cached>) {
    let counter = |name: &str, help, read: fn(&CacheStats) -> u64| {
        let cache = Arc::clone(cache);
        registry.counter_fn(name, help, &[], move || read(&cache.stats()));
    };
    counter("rowkeep_cache_hits_total", "Reads answered from memory.", |stats| stats.hits);
    counter("rowkeep_cache_negative_hits_total", "Those that found that there is no such row.", |stats| {
        stats.negative_hits
    });
    counter("rowkeep_cache_misses_total", "Reads of the database whose rows were to be kept.", |stats| stats.misses);
    counter("rowkeep_cache_joined_total", "Reads that waited for one of those.", |stats| stats.joined);
    counter("rowkeep_cache_bypasses_total", "Reads that went past the cache.", |stats| stats.bypasses);
    counter("rowkeep_cache_refused_fills_total", "Rows not kept because they changed meanwhile.", |stats| {
        stats.refused
    });
    counter("rowkeep_cache_evictions_total", "Entries that made room for others.", |stats| stats.evictions);
    let audited = Arc::clone(cache);
    declare_audits(registry, "memory", move || audited.stats().audits);
    let gauge = |name: &str, help, read: fn(&CacheStats) -> f64| {
        let cache = Arc::clone(cache);
        registry.gauge_fn(name, help, &[], move || read(&cache.stats()));
    };
    gauge("rowkeep_cache_entries", "Entries.", |stats| stats.entries as f64);
    gauge("rowkeep_cache_bytes", "Bytes of entries.", |stats| stats.bytes as f64);
    let lag = "How long ago the cache had been told of everything, in seconds; -1 if that is not known.";
    let behind = "Commits that sessions had seen and the cache has not been told of.";
    gauge("rowkeep_cache_lag_commits", behind, |stats| stats.behind as f64);
    gauge("rowkeep_cache_lag_seconds", lag, |stats| stats.lag.map_or(-1.0, |lag| lag.as_secs_f64()));
}

fn declare_mysql(registry: &Registry, store: &Arc<MySqlStore>) {
    type Numbers = mysql::Stats;
    let gauge = |name: &str, help, read: fn(&Numbers) -> u64| {
        let store = Arc::clone(store);
        registry.gauge_fn(name, help, &[], move || read(&store.stats()) as f64);
    };
    gauge("rowkeep_write_connections", "Connections that transactions may use.", |stats| stats.write_connections);
    gauge("rowkeep_write_connections_used", "Connections with a transaction.", |stats| stats.write_connections_used);
    gauge("rowkeep_reads_waiting", "Reads that are not sent yet.", |stats| stats.reads_waiting);
    let counter = |name: &str, help, read: fn(&Numbers) -> u64| {
        let store = Arc::clone(store);
        registry.counter_fn(name, help, &[], move || read(&store.stats()));
    };
    counter("rowkeep_commits_total", "Transactions committed.", |stats| stats.commits);
    counter("rowkeep_write_conflicts_total", "Transactions run again because others were in their way.", |stats| {
        stats.conflicts
    });
    counter("rowkeep_connections_lost_total", "Connections to the database that broke in use.", |stats| stats.lost);
    counter(
        "rowkeep_replica_fallbacks_total",
        "Reads that no replica could answer, answered by the primary.",
        |stats| stats.fallbacks,
    );
    for (number, server) in store.servers().iter().enumerate() {
        declare_server(registry, store, number, &server.address);
    }
}

/// One server of the database. Their number and addresses do not change.
fn declare_server(registry: &Registry, store: &Arc<MySqlStore>, number: usize, address: &str) {
    let labels = [("server", address)];
    let gauge = |name: &str, help, read: fn(&ServerStatus) -> f64| {
        let store = Arc::clone(store);
        registry.gauge_fn(name, help, &labels, move || store.servers().get(number).map_or(0.0, read));
    };
    let seconds = "How old what a database server shows may be, in seconds; -1 if that is not known.";
    gauge("rowkeep_database_staleness_seconds", seconds, |server| {
        server.staleness.map_or(-1.0, |age| age.as_secs_f64())
    });
    gauge("rowkeep_database_latency_seconds", "Mean time of reads lately.", |server| server.latency.as_secs_f64());
    gauge("rowkeep_database_reads_in_flight", "Reads that a server has not answered.", |server| {
        server.in_flight.into()
    });
    gauge("rowkeep_database_write_connections_used", "Connections with a transaction, by server.", |server| {
        server.write_connections.1 as f64
    });
    let counter = |name: &str, help, read: fn(&ServerStatus) -> u64| {
        let store = Arc::clone(store);
        registry.counter_fn(name, help, &labels, move || store.servers().get(number).map_or(0, read));
    };
    counter("rowkeep_database_reads_total", "Reads sent to a server, where there are replicas.", |server| server.reads);
    counter("rowkeep_database_ejections_total", "How often a server was found not to answer.", |server| {
        server.ejections
    });
    for role in Role::ALL {
        let store = Arc::clone(store);
        let labels = [("server", address), ("role", role.as_str())];
        let read = move || f64::from(store.servers().get(number).is_some_and(|server| server.role == role));
        registry.gauge_fn("rowkeep_database_role", "1 for what a database server is.", &labels, read);
    }
}

fn declare_sqlite(registry: &Registry, store: &Arc<SqliteStore>) {
    gauge(registry, store, "rowkeep_write_queue_depth", "Writes that wait.", |stats| stats.queue_depth);
    gauge(registry, store, "rowkeep_write_queue_capacity", "Writes that may wait.", |stats| stats.queue_capacity);
    gauge(registry, store, "rowkeep_wal_pages", "Pages in the write-ahead log.", |stats| stats.wal_pages);
    gauge(registry, store, "rowkeep_wal_bytes", "Size of the write-ahead log.", |stats| stats.wal_bytes);
    gauge(registry, store, "rowkeep_data_bytes", "Size of the data file.", |stats| stats.file_bytes);
    gauge(registry, store, "rowkeep_read_connections", "Connections open for reading.", |stats| stats.readers);
    counter(registry, store, "rowkeep_commits_total", "Transactions committed.", |stats| stats.commits);
    counter(registry, store, "rowkeep_committed_requests_total", "Writes they held.", |stats| stats.programs);
    counter(registry, store, "rowkeep_checkpoints_total", "Checkpoints of the log.", |stats| stats.checkpoints);
    for index in 0..=GROUP_BOUNDS.len() {
        let bound = GROUP_BOUNDS.get(index).map_or("more".to_owned(), u64::to_string);
        let store = Arc::clone(store);
        let help = "Transactions by how many writes they held, up to.";
        let read = move || store.stats().group_sizes[index];
        registry.counter_fn("rowkeep_commit_groups_total", help, &[("writes", &bound)], read);
    }
}

fn declare_net(registry: &Registry, net: Arc<NetStats>) {
    let connections = Arc::clone(&net);
    registry.gauge_fn("rowkeep_connections", "Open connections.", &[], move || connections.open() as f64);
    let accepted = Arc::clone(&net);
    registry
        .counter_fn("rowkeep_connections_accepted_total", "Connections accepted.", &[], move || accepted.accepted());
    let refused = Arc::clone(&net);
    registry.counter_fn("rowkeep_connections_refused_total", "Connections refused.", &[], move || refused.refused());
    registry.counter_fn("rowkeep_panics_total", "Requests whose handler panicked.", &[], move || net.panics());
}

fn gauge(registry: &Registry, store: &Arc<SqliteStore>, name: &str, help: &'static str, read: fn(&Stats) -> u64) {
    let store = Arc::clone(store);
    registry.gauge_fn(name, help, &[], move || read(&store.stats()) as f64);
}

fn counter(registry: &Registry, store: &Arc<SqliteStore>, name: &str, help: &'static str, read: fn(&Stats) -> u64) {
    let store = Arc::clone(store);
    registry.counter_fn(name, help, &[], move || read(&store.stats()));
}
