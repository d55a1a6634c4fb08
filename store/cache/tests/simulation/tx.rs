//! A transaction on a copy of the state, and what it changed.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use kit_core::{Error, Reply};
use rowkeep_engine::{Outcome, Program, Remembered, RowChange, Stored, Tx, WriteError};
use rowkeep_record::{Key, Value};
use rowkeep_schema::{ColumnId, EntityId};

use crate::database::State;

pub(crate) struct SimTx {
    before: State,
    state: BTreeMap<i64, Stored>,
}

impl SimTx {
    pub(crate) fn new(before: State) -> Self {
        Self { state: BTreeMap::clone(&before), before }
    }

    /// Its replies are always ready, so one poll runs a program to its end.
    pub(crate) fn run(&mut self, program: &mut Program) -> Result<Outcome, Error> {
        match pin!(program.run(self)).poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(done) => done,
            Poll::Pending => unreachable!("a program waited for a reply that was there"),
        }
    }

    pub(crate) fn state(&self) -> State {
        Arc::new(self.state.clone())
    }

    pub(crate) fn changes(&self) -> Vec<RowChange> {
        let ids: std::collections::BTreeSet<_> = self.before.keys().chain(self.state.keys()).collect();
        let change = |id: &&i64| {
            let (before, after) = (self.before.get(id).cloned(), self.state.get(id).cloned());
            (before != after).then_some(RowChange { entity: EntityId(0), before, after })
        };
        ids.iter().filter_map(change).collect()
    }

    fn put(&mut self, id: i64, row: Stored) -> Result<(), WriteError> {
        if self.state.iter().any(|(other, there)| *other != id && there.values[1] == row.values[1]) {
            return Err(WriteError::Duplicate(Some(0)));
        }
        self.state.insert(id, row);
        Ok(())
    }
}

fn id(key: &Key) -> i64 {
    match key.values() {
        [Value::Int(id)] => *id,
        other => unreachable!("{other:?}"),
    }
}

impl Tx for SimTx {
    fn get<'a>(&'a mut self, _: EntityId, key: &'a Key) -> Reply<'a, Result<Option<Stored>, Error>> {
        Reply::ready(Ok(self.state.get(&id(key)).cloned()))
    }

    fn find<'a>(
        &'a mut self,
        _: EntityId,
        columns: &'a [ColumnId],
        values: &'a [Value],
        limit: u32,
    ) -> Reply<'a, Result<Vec<Stored>, Error>> {
        let fits =
            |row: &&Stored| columns.iter().zip(values).all(|(column, value)| row.values[column.index()] == *value);
        Reply::ready(Ok(self.state.values().filter(fits).take(limit as usize).cloned().collect()))
    }

    fn insert<'a>(&'a mut self, _: EntityId, row: &'a Stored) -> Reply<'a, Result<Option<i64>, WriteError>> {
        let Value::Int(id) = row.values[0] else { unreachable!("{row:?}") };
        if self.state.contains_key(&id) {
            return Reply::ready(Err(WriteError::Duplicate(None)));
        }
        Reply::ready(self.put(id, row.clone()).map(|()| None))
    }

    fn update<'a>(
        &'a mut self,
        _: EntityId,
        key: &'a Key,
        changed: &'a [ColumnId],
        row: &'a Stored,
    ) -> Reply<'a, Result<(), WriteError>> {
        let mut next = self.state[&id(key)].clone();
        next.version = row.version;
        for column in changed {
            next.values[column.index()].clone_from(&row.values[column.index()]);
        }
        Reply::ready(self.put(id(key), next))
    }

    fn delete<'a>(&'a mut self, _: EntityId, key: &'a Key) -> Reply<'a, Result<bool, Error>> {
        Reply::ready(Ok(self.state.remove(&id(key)).is_some()))
    }

    fn recall<'a>(&'a mut self, _: &'a str) -> Reply<'a, Result<Option<Remembered>, Error>> {
        Reply::ready(Ok(None))
    }

    fn remember<'a>(&'a mut self, _: &'a str, _: &'a Remembered) -> Reply<'a, Result<(), Error>> {
        Reply::ready(Ok(()))
    }
}
