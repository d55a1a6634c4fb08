//! Who makes something of the rows: only it knows which tables matter, and decodes no more than it needs.

use std::collections::BTreeSet;
use std::fmt::Debug;

use rowkeep_binlog::{Error, Hidden, Rows, Statement};
use rowkeep_mysql::Connection;

/// Takes rows out of the log, as they lie there, into a form of its own.
pub trait Take: Send {
    /// A name for a table that is followed.
    type Table: Copy + Ord + Debug + Send;
    /// A row that was changed.
    type Row: Send;

    /// Asks the server what is to be known of it before its log is read on: when a connection was made, and when
    /// [`asks`](Self::asks) says so. `hidden`: what its log does not show, as it was when the connection was made.
    ///
    /// # Errors
    /// What the server says.
    fn ask(&mut self, server: &mut Connection, hidden: &[Hidden]) -> impl Future<Output = Result<(), Error>> + Send;

    /// Whether what was read last changed what [`ask`](Self::ask) is to find out.
    fn asks(&self) -> bool {
        false
    }

    /// Rows of a table; those of one that is not followed are best not looked at. What is taken goes to `into`.
    ///
    /// # Errors
    /// [`Error::Malformed`] and its like: the log cannot be read on.
    fn rows(&mut self, rows: Rows<'_>, into: &mut Taken<Self::Table, Self::Row>) -> Result<(), Error>;

    /// Which tables a statement that was logged as text may have changed. In doubt, all.
    fn statement(&mut self, statement: &Statement<'_>) -> Touched<Self::Table>;
}

/// Tables that something was done to which the log does not show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Touched<T> {
    /// These; often none.
    Some(BTreeSet<T>),
    /// All.
    All,
}

impl<T> Default for Touched<T> {
    fn default() -> Self {
        Self::Some(BTreeSet::new())
    }
}

impl<T: Ord> Touched<T> {
    /// Whether there is none.
    pub fn is_none(&self) -> bool {
        matches!(self, Self::Some(tables) if tables.is_empty())
    }

    /// Adds a table.
    pub fn add(&mut self, table: T) {
        if let Self::Some(tables) = self {
            tables.insert(table);
        }
    }

    /// Adds others.
    pub fn join(&mut self, other: Self) {
        match (self, other) {
            (Self::All, _) => {}
            (Self::Some(tables), Self::Some(others)) => tables.extend(others),
            (own, Self::All) => *own = Self::All,
        }
    }
}

/// What was taken of one transaction so far.
#[derive(Debug)]
pub struct Taken<T, R> {
    pub(crate) rows: Vec<R>,
    /// About as much memory.
    pub(crate) bytes: usize,
    /// Whose rows they are, and were before some were handed out or left.
    pub(crate) tables: BTreeSet<T>,
    pub(crate) touched: Touched<T>,
    /// So many rows are not taken: they were handed out before the connection was lost.
    pub(crate) skip: usize,
    /// No rows are taken: there are too many.
    pub(crate) is_closed: bool,
}

impl<T, R> Default for Taken<T, R> {
    fn default() -> Self {
        Self {
            rows: Vec::new(),
            bytes: 0,
            tables: BTreeSet::new(),
            touched: Touched::default(),
            skip: 0,
            is_closed: false,
        }
    }
}

impl<T: Copy + Ord, R> Taken<T, R> {
    /// A row, and how much memory it takes, about.
    pub fn push(&mut self, table: T, row: R, bytes: usize) {
        self.tables.insert(table);
        if self.skip > 0 {
            self.skip -= 1;
        } else if !self.is_closed {
            self.bytes += bytes + size_of::<R>();
            self.rows.push(row);
        }
    }

    /// Rows of this table changed that cannot be told.
    pub fn touch(&mut self, table: T) {
        self.touched.add(table);
    }

    /// Gives up the rows: their tables changed, and how is not told.
    pub(crate) fn close(&mut self) {
        self.is_closed = true;
        (self.rows, self.bytes) = (Vec::new(), 0);
    }

    /// All tables that rows were taken of changed in ways that are not known.
    pub(crate) fn doubt(&mut self) {
        self.touched.join(Touched::Some(self.tables.clone()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_joined_until_all_are_meant() {
        let mut touched = Touched::default();
        assert!(touched.is_none());
        touched.add(2);
        touched.join(Touched::Some([1, 2].into()));
        assert_eq!(touched, Touched::Some([1, 2].into()));
        touched.join(Touched::All);
        touched.add(5);
        assert_eq!(touched, Touched::All);
    }

    #[test]
    fn rows_that_were_handed_out_before_are_counted_and_not_kept() {
        let mut taken = Taken { skip: 2, ..Taken::default() };
        (0..5).for_each(|row| taken.push(1, row, 10));
        assert_eq!((taken.rows.clone(), taken.skip), (vec![2, 3, 4], 0));
        taken.close();
        taken.push(2, 9, 10);
        taken.doubt();
        assert_eq!((taken.rows.len(), taken.bytes), (0, 0));
        assert_eq!(taken.touched, Touched::Some([1, 2].into()));
    }
}
