//! A commit, prepared: run by an adapter inside its transaction.

use kit_core::Error;

use crate::{Tx, WriteResult};

/// A prepared commit. Cheap to move to another thread, may be run again after a conflict.
pub struct Program {
    _private: (),
}

/// What a program answers.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// One for each write, in order.
    pub results: Vec<WriteResult>,
    /// Answered from the memory of an earlier request with the same id.
    pub replayed: bool,
    /// Unset: the transaction is rolled back and the outcome answered all the same (`validate_only`).
    pub keep: bool,
}

impl Program {
    /// Reads, checks and writes through `tx`. Adapters whose replies are always ready may poll the future once.
    ///
    /// # Errors
    /// Anything that must undo what the program wrote.
    pub async fn run(&mut self, _tx: &mut dyn Tx) -> Result<Outcome, Error> {
        Ok(Outcome { results: Vec::new(), replayed: false, keep: true })
    }
}
