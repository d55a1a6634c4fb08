//! Statements that a connection has prepared.

use std::collections::HashMap;

use crate::row::Layout;

/// Statements that one connection keeps: a few hundred cost the server little, and its limit over all connections
/// (`max_prepared_stmt_count`) is 16,382.
const KEPT: usize = 256;

/// A prepared statement of one connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Statement {
    pub(crate) place: usize,
    /// Tells a statement from the one that was at its place before.
    pub(crate) id: u32,
}

/// A statement as the server knows it.
#[derive(Debug, Default)]
pub(crate) struct Prepared {
    pub(crate) id: u32,
    pub(crate) params: usize,
    /// The definitions of the last result's columns, one behind the other, and what they say.
    pub(crate) definitions: Vec<u8>,
    pub(crate) layouts: Vec<Layout>,
    text: Box<str>,
    used: u64,
}

/// All of them.
#[derive(Debug, Default)]
pub(crate) struct Statements {
    by_text: HashMap<Box<str>, usize>,
    prepared: Vec<Prepared>,
    clock: u64,
}

impl Statements {
    pub(crate) fn find(&mut self, text: &str) -> Option<Statement> {
        let place = *self.by_text.get(text)?;
        self.clock += 1;
        let prepared = self.prepared.get_mut(place)?;
        prepared.used = self.clock;
        Some(Statement { place, id: prepared.id })
    }

    pub(crate) fn get(&mut self, statement: Statement) -> Option<&mut Prepared> {
        self.prepared.get_mut(statement.place).filter(|prepared| prepared.id == statement.id)
    }

    /// Keeps a new one. Answers it, and the server's number of one that has to be closed for it.
    pub(crate) fn keep(&mut self, text: &str, id: u32, params: usize) -> (Statement, Option<u32>) {
        self.clock += 1;
        let new = Prepared { id, params, text: text.into(), used: self.clock, ..Prepared::default() };
        let (place, closed) = if self.prepared.len() < KEPT {
            self.prepared.push(new);
            (self.prepared.len() - 1, None)
        } else {
            let oldest = self.prepared.iter().enumerate().min_by_key(|(_, prepared)| prepared.used);
            let place = oldest.map_or(0, |(place, _)| place);
            let old = std::mem::replace(&mut self.prepared[place], new);
            self.by_text.remove(&old.text);
            (place, Some(old.id))
        };
        self.by_text.insert(text.into(), place);
        (Statement { place, id }, closed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_statement_that_was_not_used_for_longest_makes_room() {
        let mut statements = Statements::default();
        let kept = u32::try_from(KEPT).unwrap();
        for id in 0..kept {
            assert_eq!(statements.keep(&format!("SELECT {id}"), id, 0).1, None);
        }
        assert!(statements.find("SELECT 0").is_some());
        let (new, closed) = statements.keep("SELECT new", kept, 1);
        assert_eq!(closed, Some(1));
        assert!(statements.find("SELECT 1").is_none() && statements.find("SELECT 0").is_some());
        assert_eq!(statements.get(new).unwrap().params, 1);
        assert!(statements.get(Statement { place: new.place, id: 1 }).is_none());
    }
}
