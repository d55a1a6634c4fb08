//! Rate, errors and duration per method, counted without contention.
//!
//! Each worker has a table of its own; a cell is written by its worker only (a load and a store, no locked
//! instruction) and read when scraped.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use kit_core::Code;

use super::{Labels, Registry, TextWriter};

/// `OK` and every code.
const CODES: usize = 1 + Code::ALL.len();

/// Upper bounds of the durations, in microseconds.
const BOUNDS: [u64; 16] = [
    50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 2_500_000,
    10_000_000,
];

const BUCKETS: usize = BOUNDS.len() + 1;

/// The cells of one series: a count per code, a count per bucket, the sum of the durations.
struct Cells {
    codes: [AtomicU64; CODES],
    buckets: [AtomicU64; BUCKETS],
    micros: AtomicU64,
}

impl Default for Cells {
    fn default() -> Self {
        Self {
            codes: std::array::from_fn(|_| AtomicU64::new(0)),
            buckets: std::array::from_fn(|_| AtomicU64::new(0)),
            micros: AtomicU64::new(0),
        }
    }
}

type Table = Arc<[Cells]>;

/// The requests of a process, by series.
#[derive(Clone)]
pub struct RequestMetrics {
    workers: Arc<[Table]>,
}

impl RequestMetrics {
    /// Declares `{prefix}_requests_total` and `{prefix}_request_duration_seconds` with one series per entry of
    /// `series`, and a table for each of `workers` workers.
    pub fn new(registry: &Registry, prefix: &str, series: &[Vec<(&'static str, String)>], workers: usize) -> Self {
        let table = |_| (0..series.len()).map(|_| Cells::default()).collect::<Table>();
        let workers: Arc<[Table]> = (0..workers.max(1)).map(table).collect();
        let labels: Arc<[Labels]> = series.iter().cloned().collect();
        let (tables, shown) = (Arc::clone(&workers), Arc::clone(&labels));
        let name = format!("{prefix}_requests_total");
        registry.add_collector(&name.clone(), "Requests by method and code.", "counter", move |out| {
            show_codes(&name, &shown, &tables, out);
        });
        let tables = Arc::clone(&workers);
        let name = format!("{prefix}_request_duration_seconds");
        registry.add_collector(
            &name.clone(),
            "Time from the head of a request to its answer.",
            "histogram",
            move |out| {
                show_durations(&name, &labels, &tables, out);
            },
        );
        Self { workers }
    }

    /// The table of a worker. Only one thread may record through it, or counts get lost.
    pub fn worker(&self, index: usize) -> WorkerRequests {
        WorkerRequests { table: Arc::clone(&self.workers[index % self.workers.len()]) }
    }
}

fn sum(tables: &[Table], cell: impl Fn(&Table) -> &AtomicU64) -> u64 {
    tables.iter().map(|table| cell(table).load(Ordering::Relaxed)).sum()
}

fn show_codes(name: &str, labels: &[Labels], tables: &[Table], out: &mut TextWriter) {
    for (series, labels) in labels.iter().enumerate() {
        for code in 0..CODES {
            let count = sum(tables, |table| &table[series].codes[code]);
            let code_name = if code == 0 { "OK" } else { Code::ALL[code - 1].name() };
            // A series per code would be 17 per method, most of them never seen.
            if count > 0 || code == 0 {
                out.sample(name, labels, &[("code", code_name)], count as f64);
            }
        }
    }
}

fn show_durations(name: &str, labels: &[Labels], tables: &[Table], out: &mut TextWriter) {
    for (series, labels) in labels.iter().enumerate() {
        let counts = (0..BUCKETS).map(|bucket| sum(tables, |table| &table[series].buckets[bucket]));
        let micros = sum(tables, |table| &table[series].micros);
        out.histogram(name, labels, &BOUNDS, counts, micros, 1e-6);
    }
}

/// Where one worker counts its requests.
pub struct WorkerRequests {
    table: Table,
}

impl WorkerRequests {
    /// Counts one request of a series; an index past the last is not counted.
    pub fn record(&self, series: usize, code: Option<Code>, elapsed: Duration) {
        let Some(cells) = self.table.get(series) else { return };
        let micros = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
        let bucket = BOUNDS.iter().position(|bound| micros <= *bound).unwrap_or(BUCKETS - 1);
        let code = code.map_or(0, |code| usize::try_from(code.grpc()).unwrap_or(0));
        add(&cells.codes[code.min(CODES - 1)], 1);
        add(&cells.buckets[bucket], 1);
        add(&cells.micros, micros);
    }
}

fn add(cell: &AtomicU64, value: u64) {
    cell.store(cell.load(Ordering::Relaxed).wrapping_add(value), Ordering::Relaxed);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_workers_count_is_added_up() {
        let registry = Registry::new();
        let series = [vec![("method", "Get".to_owned())], vec![("method", "List".to_owned())]];
        let metrics = RequestMetrics::new(&registry, "kit", &series, 2);
        let workers = [metrics.worker(0), metrics.worker(1)];
        workers[0].record(0, None, Duration::from_micros(50));
        workers[1].record(0, None, Duration::from_micros(51));
        workers[1].record(0, Some(Code::NotFound), Duration::from_secs(60));
        workers[1].record(7, None, Duration::ZERO);
        let text = registry.scrape();
        for line in [
            "kit_requests_total{method=\"Get\",code=\"OK\"} 2",
            "kit_requests_total{method=\"Get\",code=\"NOT_FOUND\"} 1",
            "kit_requests_total{method=\"List\",code=\"OK\"} 0",
            "kit_request_duration_seconds_bucket{method=\"Get\",le=\"0.00005\"} 1",
            "kit_request_duration_seconds_bucket{method=\"Get\",le=\"0.0001\"} 2",
            "kit_request_duration_seconds_bucket{method=\"Get\",le=\"10\"} 2",
            "kit_request_duration_seconds_bucket{method=\"Get\",le=\"+Inf\"} 3",
            "kit_request_duration_seconds_sum{method=\"Get\"} 60.000101",
            "kit_request_duration_seconds_count{method=\"Get\"} 3",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is missing in\n{text}");
        }
    }

    #[test]
    fn the_number_of_a_code_is_its_place() {
        for (index, code) in Code::ALL.iter().enumerate() {
            assert_eq!(usize::try_from(code.grpc()).unwrap(), index + 1);
        }
    }
}
