//! How sources look: no unfinished business, subtle modules open with their reasons, files stay short.
//!
//! Files above [`LONG`] lines are listed in `xtask/long-files.txt` with their length: a ratchet. A listed file may only
//! shrink; when it does, its line must follow, so that it cannot grow back.

use std::{collections::BTreeMap, path::PathBuf};

use crate::{Result, check::report, shell};

/// Lines from which on a file must be on the list.
const LONG: usize = 700;
/// Lines from which on a file must open with `//!`: what it promises and why it is made this way.
const NEEDS_A_DOC: usize = 150;

/// Words that mean somebody meant to come back.
const LEFTOVERS: &[&str] = &[concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X:"), concat!("HA", "CK:")];

pub(crate) fn check() -> Result<()> {
    let mut findings = Vec::new();
    let mut ratchet = Ratchet::read()?;
    for file in sources() {
        let name = shell::relative(&file);
        let text = shell::read(&file)?;
        let lines = text.lines().count();
        if lines > NEEDS_A_DOC && !text.starts_with("//!") {
            findings.push(format!("{name}: {lines} lines and no `//!` that says what it is for"));
        }
        for leftover in LEFTOVERS.iter().filter(|word| text.contains(**word)) {
            findings.push(format!("{name}: {leftover}: finish it or leave it out"));
        }
        ratchet.check(&name, lines, &mut findings);
    }
    ratchet.check_leftovers(&mut findings);
    report(&findings)
}

fn sources() -> Vec<PathBuf> {
    let generated = |path: &PathBuf| path.components().any(|part| part.as_os_str() == "generated");
    shell::files(&shell::root(), "rs").into_iter().filter(|path| !generated(path)).collect()
}

/// The long files that are allowed, and how long they may be.
struct Ratchet {
    allowed: BTreeMap<String, usize>,
}

impl Ratchet {
    const FILE: &str = "xtask/long-files.txt";

    fn read() -> Result<Self> {
        let text = shell::read(shell::root().join(Self::FILE))?;
        let entries = text.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
        let allowed = entries.map(|line| {
            let entry = line.rsplit_once(' ').and_then(|(name, lines)| Some((name.to_owned(), lines.parse().ok()?)));
            entry.ok_or_else(|| format!("{}: not `PATH LINES`: {line}", Self::FILE))
        });
        Ok(Self { allowed: allowed.collect::<Result<_>>()? })
    }

    fn check(&mut self, name: &str, lines: usize, findings: &mut Vec<String>) {
        match self.allowed.remove(name) {
            None if lines > LONG => findings.push(format!("{name}: {lines} lines; split it (the limit is {LONG})")),
            Some(allowed) if lines > allowed => {
                findings.push(format!("{name}: grew from {allowed} to {lines} lines; split it"));
            }
            Some(allowed) if lines < allowed => {
                findings.push(format!("{name}: shrank to {lines} lines; say so in {}", Self::FILE));
            }
            _ => (),
        }
    }

    fn check_leftovers(&self, findings: &mut Vec<String>) {
        findings.extend(self.allowed.keys().map(|name| format!("{}: {name} is gone", Self::FILE)));
    }
}
