//! A plan for people. For machines it serializes as JSON.

use std::fmt::{Display, Formatter, Result};

use super::{Plan, Step};

impl Display for Plan {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        for drift in &self.drift {
            writeln!(f, "drift: {}: {} (not by rowkeep)", drift.table, drift.what)?;
        }
        if self.steps.is_empty() {
            return writeln!(f, "nothing to change");
        }
        for (at, step) in self.steps.iter().enumerate() {
            write!(f, "{}. {step}", at + 1)?;
        }
        Ok(())
    }
}

impl Display for Step {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "{}", self.what)?;
        if let Some(algorithm) = &self.algorithm {
            write!(f, " [{algorithm}]")?;
        }
        match (self.rewrites_table, self.rows) {
            (_, 0) => writeln!(f)?,
            (true, rows) => writeln!(f, " (rewrites {rows} rows)")?,
            (false, rows) => writeln!(f, " ({rows} rows stay as they are)")?,
        }
        for sql in &self.sql {
            for line in sql.lines() {
                writeln!(f, "     {line}")?;
            }
        }
        for need in &self.needs {
            let kind = if need.loses_data { "loses data" } else { "needs consent" };
            writeln!(f, "   ! {kind}: {}; needs --allow {}", need.why, need.flag)?;
        }
        for why in &self.refused {
            writeln!(f, "   x refused: {why}")?;
        }
        Ok(())
    }
}
