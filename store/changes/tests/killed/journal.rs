//! What the follower keeps, a line for each thing, and the check of it.
//!
//! `R` a row, `A` that anything may have changed, `P` a place behind all before it, `~` a place that was lost, `F` the place from
//! which a process went on, `!` why it ended.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use crate::printed::Printed;

pub(crate) struct Journal {
    path: PathBuf,
    _directory: tempfile::TempDir,
}

/// What was compared.
#[derive(Debug, Default)]
pub(crate) struct Checked {
    /// Rows that were told, each once, with those of which it was said that anything may have changed.
    pub(crate) rows: usize,
    pub(crate) printed: usize,
    /// Rows of transactions that were prepared before a process began, and so are not told one by one.
    pub(crate) decided: usize,
    /// Rows that were told again, behind an older place.
    pub(crate) again: usize,
    pub(crate) processes: usize,
}

impl Journal {
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("journal");
        std::fs::write(&path, "").unwrap();
        Self { path, _directory: directory }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    fn text(&self) -> String {
        String::from_utf8(std::fs::read(&self.path).unwrap()).unwrap()
    }

    pub(crate) fn len(&self) -> u64 {
        std::fs::metadata(&self.path).unwrap().len()
    }

    pub(crate) fn places(&self) -> usize {
        self.text().lines().filter(|line| line.starts_with("P ")).count()
    }

    pub(crate) fn has(&self, text: &str) -> bool {
        self.text().contains(text)
    }

    /// As after a crash of the machine: the last bytes are not there, whatever they are.
    pub(crate) fn lose_the_end(&mut self, random: &mut impl rand::Rng) {
        let mut text = self.text();
        // The first place stays: without one a process would begin anew.
        let first = text.find('\n').unwrap() + 1;
        text.truncate(first.max(text.len().saturating_sub(random.random_range(0..4096))));
        std::fs::write(&self.path, text).unwrap();
    }

    /// The last places are not there, and what was derived is: as if they were kept apart, and less often.
    pub(crate) fn lose_places(&mut self, many: usize) {
        let text = self.text();
        let places = text.lines().filter(|line| line.starts_with("P ")).count();
        let kept = places.saturating_sub(many).max(1);
        let mut seen = 0;
        let lines = text.split_inclusive('\n').map(|line| {
            seen += usize::from(line.starts_with("P "));
            if line.starts_with("P ") && seen > kept { line.replacen('P', "~", 1) } else { line.to_owned() }
        });
        std::fs::write(&self.path, lines.collect::<String>()).unwrap();
    }

    /// Cuts off what is not whole. The place to go on from, if there is one: number and base.
    pub(crate) fn place_in(path: &Path) -> Option<(u64, String)> {
        let text = String::from_utf8(std::fs::read(path).unwrap()).unwrap();
        let (mut end, mut at, mut place) = (0, 0, None);
        for line in text.split_inclusive('\n') {
            at += line.len();
            if !line.ends_with('\n') || !line.starts_with(['P', '~', 'F']) {
                continue;
            }
            end = at;
            if line.starts_with('P') {
                let (number, base) = line[2..].trim_end().split_once(' ').unwrap_or((line[2..].trim_end(), ""));
                place = Some((number.parse().unwrap(), base.to_owned()));
            }
        }
        std::fs::File::options().write(true).open(path).unwrap().set_len(end as u64).unwrap();
        place
    }

    /// Holds what was told against what the server's tool prints, row by row in the order of commits.
    pub(crate) fn check(&self, printed: &[Printed]) -> Checked {
        let text = self.text();
        let (mut at, mut furthest, mut checked) = (0, 0, Checked { printed: printed.len(), ..Checked::default() });
        let mut places: HashMap<&str, usize> = HashMap::new();
        for line in text.lines() {
            let (kind, rest) = line.split_at(1);
            match kind {
                "R" => {
                    let expected = printed.get(at).map(|printed| printed.row.as_str());
                    assert_eq!(Some(rest.trim_start()), expected, "row {at} of {}", printed.len());
                    at += 1;
                    checked.again += usize::from(at <= furthest);
                }
                // Rows that were decided on here, and prepared before the process began, are not told otherwise.
                "A" => {
                    let transaction = printed.get(at).and_then(|printed| printed.xa);
                    assert!(transaction.is_some(), "row {at}: anything may have changed, and nothing was decided");
                    while printed.get(at).is_some_and(|printed| printed.xa == transaction) {
                        at += 1;
                        checked.decided += 1;
                    }
                }
                "P" | "~" => drop(places.insert(rest, at)),
                "F" => {
                    checked.processes += 1;
                    at = places[rest];
                }
                _ => panic!("{line}"),
            }
            furthest = furthest.max(at);
        }
        checked.rows = furthest;
        checked
    }
}
