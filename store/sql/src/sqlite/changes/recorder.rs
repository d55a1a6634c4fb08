//! What the open transaction has changed so far.

use rowkeep_engine::Stored;
use rowkeep_schema::{Entity, EntityId};
use rusqlite::{Connection, Result};

use super::encoding::{put_change, put_table};
use super::trim::Trim;
use super::{Log, table};

/// Bytes of a transaction's changes that are kept: of one that changes more, the log names the tables only. What it
/// changed has to fit into memory, here and at every follower.
pub(super) const MAX_BYTES: usize = 8 << 20;

/// Gathers the changes of the writer's transaction, and writes them with it.
pub(in crate::sqlite) struct Recorder {
    /// The changes, unless there were too many.
    bytes: Vec<u8>,
    /// Tables whose rows are not told. Those of a program that was undone may be among them: they are looked at in vain.
    tables: Vec<EntityId>,
    overflowed: bool,
    is_kept: bool,
    trim: Trim,
}

/// How much was gathered at a moment.
#[derive(Debug, Clone, Copy)]
pub(in crate::sqlite) struct Mark(usize);

impl Recorder {
    pub(in crate::sqlite) fn new(log: &Log, connection: &Connection) -> Result<Self> {
        let trim = Trim::new(connection)?;
        Ok(Self { bytes: Vec::new(), tables: Vec::new(), overflowed: false, is_kept: log.is_kept(), trim })
    }

    /// Whether changes are of interest at all.
    pub(in crate::sqlite) fn is_kept(&self) -> bool {
        self.is_kept
    }

    /// A row changed. The rows are as their table keeps them.
    pub(in crate::sqlite) fn row(&mut self, entity: &Entity, before: Option<&Stored>, after: Option<&Stored>) {
        if self.overflowed {
            return self.table(entity.id);
        }
        if !self.is_kept {
            return;
        }
        put_change(&mut self.bytes, entity.id, before, after);
        if !self.tables.contains(&entity.id) {
            // Remembered for the case that it becomes too much.
            self.tables.push(entity.id);
        }
        if self.bytes.len() > MAX_BYTES {
            self.overflowed = true;
            self.bytes = Vec::new();
        }
    }

    /// Any rows of a table changed.
    pub(in crate::sqlite) fn table(&mut self, entity: EntityId) {
        if !self.is_kept {
            return;
        }
        if !self.tables.contains(&entity) {
            self.tables.push(entity);
        }
        if !self.overflowed {
            put_table(&mut self.bytes, entity);
        }
    }

    /// Where it is, to come back to.
    pub(in crate::sqlite) fn mark(&self) -> Mark {
        Mark(self.bytes.len())
    }

    /// What came behind the mark was undone.
    pub(in crate::sqlite) fn back_to(&mut self, mark: Mark) {
        self.bytes.truncate(mark.0);
    }

    /// The transaction ended.
    pub(in crate::sqlite) fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(64 << 10);
        self.tables.clear();
        self.overflowed = false;
    }

    /// Writes what was gathered as the commit with this number, which is about to be made.
    pub(in crate::sqlite) fn write(&mut self, log: &Log, connection: &Connection, number: u64) -> Result<()> {
        if self.overflowed {
            for entity in &self.tables {
                put_table(&mut self.bytes, *entity);
            }
        }
        if self.bytes.is_empty() {
            return Ok(());
        }
        let now = table::now_micros();
        let behind = self.trim.grow(self.bytes.len(), now);
        table::insert(connection, number, now, behind, &self.bytes)?;
        self.trim.run(log, connection, now)
    }
}
