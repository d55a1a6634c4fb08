//! Migrations: what would change, what it costs, what it loses; and the change itself.
//!
//! A plan goes from the tables that are really there to those the schema asks for. What the last apply left is kept in
//! the database beside them: it tells what somebody else changed since ([`Drift`]) and what is rowkeep's to drop.

mod applied;
pub(crate) mod convert;
mod diff;
mod drift;
mod found;
mod show;

use std::collections::BTreeSet;

use serde::Serialize;

pub(crate) use applied::{Applied, storage_text};
pub(crate) use diff::{Alter, Change, ColumnChange, Spelling, diff};
pub(crate) use drift::drift;
pub(crate) use found::{FoundColumn, FoundIndex, FoundKey, FoundTable};

/// What an apply would do, and what it found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Plan {
    /// In order.
    pub steps: Vec<Step>,
    /// Changes by somebody else since the last apply.
    pub drift: Vec<Drift>,
}

/// What a schema would change in a database.
#[derive(Debug, Clone)]
pub struct Preview {
    /// The changes.
    pub plan: Plan,
    /// The snapshot of the schema that was applied last, if any was.
    pub applied_schema: Option<Vec<u8>>,
}

/// One change. In SQLite it is made with the others or not at all.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Step {
    /// The table.
    pub table: String,
    /// In words: `add column users.city`.
    pub what: String,
    /// The statements.
    pub sql: Vec<String>,
    /// Every row is written anew.
    pub rewrites_table: bool,
    /// How the server makes the change, as it said itself: `INSTANT`, `INPLACE`, `COPY`, and whether writes wait.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub algorithm: Option<String>,
    /// Rows of the table now.
    pub rows: u64,
    /// Flags without which the step is not done, each with the reason.
    pub needs: Vec<Need>,
    /// Why it cannot be done as the data is now; with examples.
    pub refused: Vec<String>,
}

/// A flag that a step needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Need {
    /// What to pass: `drop-column:users.city`.
    pub flag: String,
    /// What it accepts.
    pub why: String,
    /// Data is lost.
    pub loses_data: bool,
}

/// A change that somebody else made to a managed table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Drift {
    /// The table.
    pub table: String,
    /// What changed.
    pub what: String,
}

impl Drift {
    fn new(table: &str, what: impl Into<String>) -> Self {
        Self { table: table.to_owned(), what: what.into() }
    }
}

/// The flags an operator gave.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Allow(BTreeSet<String>);

impl Allow {
    /// Whether the flag was given.
    pub fn has(&self, flag: &str) -> bool {
        self.0.contains(flag)
    }
}

impl<S: Into<String>> FromIterator<S> for Allow {
    fn from_iter<I: IntoIterator<Item = S>>(flags: I) -> Self {
        Self(flags.into_iter().map(Into::into).collect())
    }
}

impl Plan {
    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.steps.is_empty()
    }

    /// What keeps the plan from being applied: refusals, and flags that were not given.
    pub fn obstacles(&self, allow: &Allow) -> Vec<String> {
        let mut obstacles = Vec::new();
        for step in &self.steps {
            obstacles.extend(step.refused.iter().map(|why| format!("{}: {why}", step.what)));
            for need in step.needs.iter().filter(|need| !allow.has(&need.flag)) {
                obstacles.push(format!("{}: {}; pass --allow {} if that is meant", step.what, need.why, need.flag));
            }
        }
        obstacles
    }
}
