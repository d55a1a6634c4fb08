//! Metrics in the text format of Prometheus.
//!
//! Every series is declared at start and handed out as a handle; nothing is looked up by name afterwards. What workers
//! count on every request lives in [`RequestMetrics`], in cells of each worker's own that are added up when scraped.

mod requests;
mod text;

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

pub use requests::{RequestMetrics, WorkerRequests};
pub use text::TextWriter;

/// A number that only grows. Clones count together.
#[derive(Debug, Clone, Default)]
pub struct Counter(Arc<AtomicU64>);

impl Counter {
    /// Counts `count` more.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// The number now.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number that goes up and down. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Gauge(Arc<AtomicI64>);

impl Gauge {
    /// Sets it.
    pub fn set(&self, value: i64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// Changes it.
    pub fn add(&self, change: i64) {
        self.0.fetch_add(change, Ordering::Relaxed);
    }

    /// The number now.
    pub fn get(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Observations sorted into buckets. Clones share it.
#[derive(Debug, Clone)]
pub struct Histogram(Arc<Buckets>);

#[derive(Debug)]
struct Buckets {
    bounds: Vec<u64>,
    /// One per bound, and one past the last.
    counts: Vec<AtomicU64>,
    sum: AtomicU64,
}

impl Histogram {
    fn new(bounds: &[u64]) -> Self {
        let counts = (0..=bounds.len()).map(|_| AtomicU64::new(0)).collect();
        Self(Arc::new(Buckets { bounds: bounds.to_vec(), counts, sum: AtomicU64::new(0) }))
    }

    /// Takes one observation, in the unit of the bounds.
    pub fn observe(&self, value: u64) {
        let bucket = self.0.bounds.iter().position(|bound| value <= *bound).unwrap_or(self.0.bounds.len());
        self.0.counts[bucket].fetch_add(1, Ordering::Relaxed);
        self.0.sum.fetch_add(value, Ordering::Relaxed);
    }
}

type Labels = Vec<(&'static str, String)>;
type Collect = Box<dyn Fn(&mut TextWriter) + Send + Sync>;

/// All metrics of a process. Clones share them.
#[derive(Clone, Default)]
pub struct Registry {
    families: Arc<Mutex<Vec<Family>>>,
}

struct Family {
    name: String,
    help: &'static str,
    kind: &'static str,
    collect: Vec<Collect>,
}

impl Registry {
    /// No metric.
    pub fn new() -> Self {
        Self::default()
    }

    /// Declares a counter; its name should end in `_total`.
    pub fn counter(&self, name: &str, help: &'static str, labels: &[(&'static str, &str)]) -> Counter {
        let counter = Counter::default();
        let shown = counter.clone();
        self.declare(name, help, "counter", labels, move |name, labels, out| {
            out.sample(name, labels, &[], shown.get() as f64);
        });
        counter
    }

    /// Declares a gauge.
    pub fn gauge(&self, name: &str, help: &'static str, labels: &[(&'static str, &str)]) -> Gauge {
        let gauge = Gauge::default();
        let shown = gauge.clone();
        self.gauge_fn(name, help, labels, move || shown.get() as f64);
        gauge
    }

    /// Declares a gauge that is read when scraped.
    pub fn gauge_fn(
        &self,
        name: &str,
        help: &'static str,
        labels: &[(&'static str, &str)],
        read: impl Fn() -> f64 + Send + Sync + 'static,
    ) {
        self.declare(name, help, "gauge", labels, move |name, labels, out| out.sample(name, labels, &[], read()));
    }

    /// Declares a counter that is read when scraped.
    pub fn counter_fn(
        &self,
        name: &str,
        help: &'static str,
        labels: &[(&'static str, &str)],
        read: impl Fn() -> u64 + Send + Sync + 'static,
    ) {
        self.declare(name, help, "counter", labels, move |name, labels, out| {
            out.sample(name, labels, &[], read() as f64);
        });
    }

    /// Declares a histogram; observations and `bounds` are whole numbers that are multiplied by `scale` when shown
    /// (microseconds with 1e-6 show as seconds).
    pub fn histogram(
        &self,
        name: &str,
        help: &'static str,
        labels: &[(&'static str, &str)],
        bounds: &[u64],
        scale: f64,
    ) -> Histogram {
        let histogram = Histogram::new(bounds);
        let shown = Arc::clone(&histogram.0);
        self.declare(name, help, "histogram", labels, move |name, labels, out| {
            let counts = shown.counts.iter().map(|count| count.load(Ordering::Relaxed));
            out.histogram(name, labels, &shown.bounds, counts, shown.sum.load(Ordering::Relaxed), scale);
        });
        histogram
    }

    /// Shows what another registry declares instead of what this one did.
    pub fn replace(&self, other: &Self) {
        let families = std::mem::take(&mut *other.families.lock().unwrap_or_else(PoisonError::into_inner));
        *self.families.lock().unwrap_or_else(PoisonError::into_inner) = families;
    }

    fn declare(
        &self,
        name: &str,
        help: &'static str,
        kind: &'static str,
        labels: &[(&'static str, &str)],
        show: impl Fn(&str, &Labels, &mut TextWriter) + Send + Sync + 'static,
    ) {
        let labels: Labels = labels.iter().map(|(key, value)| (*key, (*value).to_owned())).collect();
        let shown_name = name.to_owned();
        self.add_collector(name, help, kind, move |out| show(&shown_name, &labels, out));
    }

    fn add_collector(
        &self,
        name: &str,
        help: &'static str,
        kind: &'static str,
        collect: impl Fn(&mut TextWriter) + Send + Sync + 'static,
    ) {
        let mut families = self.families.lock().unwrap_or_else(PoisonError::into_inner);
        let collect: Collect = Box::new(collect);
        match families.iter_mut().find(|family| family.name == name) {
            Some(family) => family.collect.push(collect),
            None => families.push(Family { name: name.to_owned(), help, kind, collect: vec![collect] }),
        }
    }

    /// Everything, as Prometheus reads it.
    pub fn scrape(&self) -> String {
        let mut out = TextWriter::default();
        for family in &*self.families.lock().unwrap_or_else(PoisonError::into_inner) {
            out.family(&family.name, family.help, family.kind);
            for collect in &family.collect {
                collect(&mut out);
            }
        }
        out.into_text()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scrape_shows_each_family_once_with_all_its_series() {
        let registry = Registry::new();
        let rows = registry.counter("rows_total", "Rows.", &[("entity", "User")]);
        registry.counter("rows_total", "Rows.", &[("entity", "a\"b\\c\nd")]).add(1);
        registry.gauge("queue", "Waiting.", &[]).set(-3);
        let sizes = registry.histogram("batch", "Batch sizes.", &[], &[1, 8], 1.0);
        rows.add(5);
        for size in [1, 2, 100] {
            sizes.observe(size);
        }
        let wanted = concat!(
            "# HELP rows_total Rows.\n# TYPE rows_total counter\n",
            "rows_total{entity=\"User\"} 5\nrows_total{entity=\"a\\\"b\\\\c\\nd\"} 1\n",
            "# HELP queue Waiting.\n# TYPE queue gauge\nqueue -3\n",
            "# HELP batch Batch sizes.\n# TYPE batch histogram\n",
            "batch_bucket{le=\"1\"} 1\nbatch_bucket{le=\"8\"} 2\nbatch_bucket{le=\"+Inf\"} 3\n",
            "batch_sum 103\nbatch_count 3\n",
        );
        assert_eq!(registry.scrape(), wanted);
    }
}
