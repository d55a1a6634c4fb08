//! Progress on standard error: only on a terminal, and gone when the work is done.

use std::io::IsTerminal as _;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// What the position counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    Bytes,
    Pages,
    /// Of which nobody knows how many there are.
    Rows,
}

/// A bar of so many units; hidden where nobody watches.
pub(crate) fn bar(total: u64, unit: Unit) -> ProgressBar {
    let target =
        if std::io::stderr().is_terminal() { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let bar = if unit == Unit::Rows { ProgressBar::no_length() } else { ProgressBar::new(total) };
    bar.set_draw_target(target);
    // The templates are constants, and a test parses them.
    bar.set_style(ProgressStyle::with_template(unit.template()).unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}

impl Unit {
    const fn template(self) -> &'static str {
        match self {
            Self::Bytes => "{bar:30} {bytes}/{total_bytes}  {msg}  {eta} left",
            Self::Pages => "{bar:30} {percent}%  {eta} left",
            Self::Rows => "{spinner} {human_pos} rows  {per_sec}",
        }
    }
}

/// A count with its noun: `1 row`, `336,776 rows`.
pub(crate) fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", indicatif::HumanCount(number), if number == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use indicatif::ProgressStyle;

    use super::*;

    #[test]
    fn every_bar_has_a_template_that_parses() {
        for unit in [Unit::Bytes, Unit::Pages, Unit::Rows] {
            assert!(ProgressStyle::with_template(unit.template()).is_ok(), "{unit:?}");
        }
    }

    #[test]
    fn counts_are_read_by_people() {
        assert_eq!(counted(1, "row", "rows"), "1 row");
        assert_eq!(counted(336_776, "row", "rows"), "336,776 rows");
    }
}
