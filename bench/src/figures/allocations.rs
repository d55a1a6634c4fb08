//! Heap allocations per Get, counted by the `allocations` program.

use std::process::Command;

use crate::{Result, results::Line, server::sibling};

pub(crate) fn run() -> Result<Vec<Line>> {
    let output = Command::new(sibling("allocations")?).output().map_err(|error| format!("allocations: {error}"))?;
    if !output.status.success() {
        return Err(format!("allocations: {}", String::from_utf8_lossy(&output.stderr)));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    let lines: Vec<Line> = text.lines().filter_map(line).collect();
    if lines.len() == 2 { Ok(lines) } else { Err(format!("allocations printed:\n{text}")) }
}

fn line(text: &str) -> Option<Line> {
    let words: Vec<&str> = text.split(' ').collect();
    let (kind, count, bytes) = (words.first()?, words.get(1)?, words.get(2)?);
    let figure = match *kind {
        "gRPC" => "heap allocations per gRPC Get",
        "REST" => "heap allocations per REST Get",
        _ => return None,
    };
    Some(Line {
        figure,
        value: format!("{count} ({bytes} B)"),
        beside: "whole server, connection handling included".to_owned(),
        ratio: "-".to_owned(),
        bar: "counted",
        met: true,
    })
}
