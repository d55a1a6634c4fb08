//! `RESULTS.md`: one line per figure, the last measurement of each.

use std::{fmt, fs};

use crate::{Result, host};

/// A line of the table.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    /// What is measured; also identifies the line.
    pub(crate) figure: &'static str,
    /// Rowkeep's value with its unit.
    pub(crate) value: String,
    /// The peer or limit with its value.
    pub(crate) beside: String,
    /// Ratio between the two.
    pub(crate) ratio: String,
    /// What it should be.
    pub(crate) bar: &'static str,
    pub(crate) met: bool,
}

impl Line {
    /// The line as a table row, without date and commit.
    fn row(&self) -> String {
        let met = if self.met { "yes" } else { "**no**" };
        format!("| {} | {} | {} | {} | {} | {met} |", self.figure, self.value, self.beside, self.ratio, self.bar)
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.row())
    }
}

const HEAD: &str = "\
# Measured

Written by `cargo xtask bench`; each figure stands beside its peer or limit, measured in the same run. The server is pinned to
one core, the load generator to another. us are microseconds of the server's CPU time per request (user and system), medians
of three rounds. Absolute values belong to the machine named in the line, ratios travel.

| figure | Rowkeep | beside | ratio | bar | met | when, commit, machine |
|---|---|---|---|---|---|---|
";

/// Replaces the lines of these figures.
pub(crate) fn keep(lines: &[Line]) -> Result<()> {
    let path = host::directory().join("RESULTS.md");
    let old = fs::read_to_string(&path).unwrap_or_default();
    let mut rows: Vec<String> = old.lines().filter(|line| is_row(line)).map(str::to_owned).collect();
    let origin = format!("{}, {}, {}", host::today(), host::commit(), host::describe());
    for line in lines {
        let row = format!("{} {origin} |", line.row());
        let start = format!("| {} |", line.figure);
        match rows.iter_mut().find(|row| row.starts_with(&start)) {
            Some(existing) => *existing = row,
            None => rows.push(row),
        }
    }
    let text = format!("{HEAD}{}\n{}", rows.join("\n"), after_table(&old));
    fs::write(&path, text).map_err(|error| format!("{}: {error}", path.display()))
}

fn is_row(line: &str) -> bool {
    line.starts_with("| ") && !line.starts_with("| figure")
}

/// What people wrote below the table stays.
fn after_table(old: &str) -> String {
    let lines: Vec<&str> = old.lines().collect();
    let end = lines.iter().rposition(|line| line.starts_with('|')).map_or(lines.len(), |last| last + 1);
    lines[end..].iter().map(|line| format!("{line}\n")).collect()
}
