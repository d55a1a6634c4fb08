//! The text format of Prometheus.

use std::fmt::Write;

/// Writes families and samples.
#[derive(Debug, Default)]
pub struct TextWriter(String);

impl TextWriter {
    pub(super) fn family(&mut self, name: &str, help: &str, kind: &str) {
        // Writing to a String cannot fail; so below.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    /// One sample; `more` are labels besides those of the series.
    pub(super) fn sample(&mut self, name: &str, labels: &[(&'static str, String)], more: &[(&str, &str)], value: f64) {
        self.0.push_str(name);
        let all = labels.iter().map(|(key, value)| (*key, value.as_str())).chain(more.iter().copied());
        let mut is_first = true;
        for (key, value) in all {
            self.0.push(if is_first { '{' } else { ',' });
            is_first = false;
            self.label(key, value);
        }
        if !is_first {
            self.0.push('}');
        }
        let _ = writeln!(self.0, " {value}");
    }

    fn label(&mut self, key: &str, value: &str) {
        let _ = write!(self.0, "{key}=\"");
        for character in value.chars() {
            match character {
                '\\' => self.0.push_str("\\\\"),
                '"' => self.0.push_str("\\\""),
                '\n' => self.0.push_str("\\n"),
                other => self.0.push(other),
            }
        }
        self.0.push('"');
    }

    /// A histogram from the counts of its buckets, one past the last bound.
    pub(super) fn histogram(
        &mut self,
        name: &str,
        labels: &[(&'static str, String)],
        bounds: &[u64],
        counts: impl Iterator<Item = u64>,
        sum: u64,
        scale: f64,
    ) {
        let bucket_name = format!("{name}_bucket");
        let mut total = 0;
        for (index, count) in counts.enumerate() {
            total += count;
            let bound = bounds.get(index).map_or("+Inf".to_owned(), |bound| scaled(*bound, scale).to_string());
            self.sample(&bucket_name, labels, &[("le", &bound)], total as f64);
        }
        self.sample(&format!("{name}_sum"), labels, &[], scaled(sum, scale));
        self.sample(&format!("{name}_count"), labels, &[], total as f64);
    }

    pub(super) fn into_text(self) -> String {
        self.0
    }
}

/// Divides where that is exact in decimal, so that a microsecond shows as 0.000001 and not as its nearest neighbour.
fn scaled(value: u64, scale: f64) -> f64 {
    if scale < 1.0 { value as f64 / (1.0 / scale).round() } else { value as f64 * scale }
}
