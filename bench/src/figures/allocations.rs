//! Heap allocations per Get, counted by the `allocations` program.

use std::process::Command;

use crate::{Result, results::Line, server::sibling};

pub(crate) fn run() -> Result<Vec<Line>> {
    let output = Command::new(sibling("allocations")?).output().map_err(|error| format!("allocations: {error}"))?;
    if !output.status.success() {
        return Err(format!("allocations: {}", String::from_utf8_lossy(&output.stderr)));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let counted = |kind: &str| {
        let found = text.lines().find_map(|line| Counted::read(line, kind));
        found.ok_or_else(|| format!("allocations printed no {kind}:\n{text}"))
    };
    let line = |figure, counted: Counted| Line {
        figure,
        value: format!("{:.2} ({} B)", counted.allocations, counted.bytes),
        beside: "whole server, connection handling included".to_owned(),
        ratio: "-".to_owned(),
        bar: "counted",
        met: true,
    };
    let copied = counted("long-hit")?.bytes - counted("hit")?.bytes;
    let read = counted("long")?.bytes - counted("gRPC")?.bytes;
    if read < LONGER / 10 * 9 {
        return Err(format!("{read} B more are too few for a row of {LONGER} B more from storage: nothing is shown"));
    }
    Ok(vec![
        line("heap allocations per gRPC Get", counted("gRPC")?),
        line("heap allocations per REST Get", counted("REST")?),
        Line {
            figure: "near-cache hit, gRPC Get: heap of a row of 20 kB beyond that of a short one",
            value: format!("{copied} B"),
            beside: format!("read from the embedded store: {read} B"),
            ratio: "-".to_owned(),
            bar: "no copy of the row",
            met: copied < LONGER / 10,
        },
    ])
}

/// So many bytes more does the long row have, about.
const LONGER: i64 = 19_980;

/// Per request.
struct Counted {
    allocations: f64,
    bytes: i64,
}

impl Counted {
    /// From a line of the program, if it is about this kind of request.
    fn read(line: &str, kind: &str) -> Option<Self> {
        let mut words = line.split(' ');
        let is_it = words.next()? == kind;
        let (allocations, bytes) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        is_it.then_some(Self { allocations, bytes })
    }
}
