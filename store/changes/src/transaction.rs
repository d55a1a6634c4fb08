//! A transaction while it is read: rows count only at its end, which may say that some of them did not happen.

use rowkeep_binlog::{Begin, Gtid};

use crate::take::Taken;

/// A transaction that has begun.
#[derive(Debug)]
pub(crate) struct Open<T, R> {
    pub(crate) begin: Begin,
    pub(crate) taken: Taken<T, R>,
    /// It is to be prepared: whether its rows count is decided later.
    pub(crate) is_xa: bool,
    /// Rows that were handed out already.
    pub(crate) told: usize,
    /// Names of savepoints, with the number of rows before them.
    savepoints: Vec<(Vec<u8>, usize)>,
}

impl<T: Copy + Ord, R> Open<T, R> {
    /// `told`: rows of it that were handed out over another connection.
    pub(crate) fn new(begin: Begin, told: usize) -> Self {
        let taken = Taken { skip: told, ..Taken::default() };
        Self { begin, taken, is_xa: false, told, savepoints: Vec::new() }
    }

    pub(crate) fn gtid(&self) -> Option<Gtid> {
        self.begin.gtid
    }

    pub(crate) fn savepoint(&mut self, name: &[u8]) {
        self.savepoints.retain(|(other, _)| !other.eq_ignore_ascii_case(name));
        self.savepoints.push((name.to_vec(), self.told + self.taken.rows.len()));
    }

    /// What transactional tables got since then is undone, what others got is not, and the log does not say which table is
    /// which.
    pub(crate) fn roll_back_to(&mut self, name: &[u8]) {
        let at = self.savepoints.iter().position(|(other, _)| other.eq_ignore_ascii_case(name));
        let rows = at.map_or(0, |at| self.savepoints[at].1);
        if let Some(at) = at {
            self.savepoints.truncate(at + 1);
        }
        self.taken.doubt();
        self.taken.rows.truncate(rows.saturating_sub(self.told));
    }

    /// Takes the rows out that are there, to be handed out.
    pub(crate) fn part(&mut self) -> Vec<R> {
        let rows = std::mem::take(&mut self.taken.rows);
        self.told += rows.len();
        self.taken.bytes = 0;
        rows
    }

    /// What transactional tables got did not happen; what others got did.
    pub(crate) fn roll_back(&mut self) {
        self.taken.doubt();
        self.taken.rows.clear();
    }

    /// When it was committed: microseconds since 1970. `ended`: seconds, if nothing more exact is known.
    pub(crate) fn time(&self, ended: u32) -> i64 {
        let exact = self.begin.committed.and_then(|micros| i64::try_from(micros).ok());
        exact.unwrap_or(i64::from(ended) * 1_000_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::take::Touched;

    fn open(told: usize) -> Open<u8, u32> {
        Open::new(Begin { gtid: None, time: 0, committed: None, server: 1, bytes: None }, told)
    }

    fn push(open: &mut Open<u8, u32>, rows: std::ops::Range<u32>) {
        rows.for_each(|row| open.taken.push(1, row, 8));
    }

    #[test]
    fn what_is_rolled_back_to_a_savepoint_is_not_told() {
        let mut open = open(0);
        push(&mut open, 0..3);
        open.savepoint(b"a");
        push(&mut open, 3..5);
        open.savepoint(b"b");
        push(&mut open, 5..6);
        open.roll_back_to(b"A");
        push(&mut open, 6..7);
        assert_eq!(open.taken.rows, [0, 1, 2, 6]);
        assert_eq!(open.taken.touched, Touched::Some([1].into()));
    }

    #[test]
    fn a_savepoint_before_what_was_handed_out_leaves_nothing_of_the_rest() {
        let mut open = open(0);
        push(&mut open, 0..2);
        open.savepoint(b"a");
        push(&mut open, 2..6);
        assert_eq!(open.part().len(), 6);
        push(&mut open, 6..8);
        open.roll_back_to(b"a");
        assert!(open.taken.rows.is_empty() && !open.taken.touched.is_none());
    }

    #[test]
    fn one_that_is_read_again_goes_on_behind_what_was_handed_out() {
        let mut open = open(4);
        push(&mut open, 0..6);
        assert_eq!(open.part(), [4, 5]);
        assert_eq!(open.told, 6);
    }
}
