//! Transactions that were read and cannot be seen yet, in the order of the log.
//!
//! Memory is bounded: nothing more is read once this much is held. What is larger than that by itself is handed out in
//! parts as soon as it can be seen. Only a prepared transaction cannot, because whether it happens is decided later: of a
//! large one it is only kept which tables it concerns.

use std::collections::{HashMap, VecDeque};

use rowkeep_binlog::{Begin, Gtid, Item, MariaDbGtid, Outcome, Xid};

use crate::Take;
use crate::event::{Event, tell};
use crate::gate::{Mark, Shown};
use crate::place::Progress;
use crate::take::{Taken, Touched};
use crate::transaction::Open;

/// Bytes that are held at most, but for what one event brings.
pub(crate) const MOST_BYTES: usize = 4 << 20;
/// Rows.
pub(crate) const MOST_ROWS: usize = 10_000;
/// Transactions.
const MOST_WAITING: usize = 2_000;
/// Where so little waits, the server does not send so much at once that what arrives in some milliseconds would hold it up.
const FEW_ROWS: usize = 64;
/// Bytes.
const FEW_BYTES: usize = 64 << 10;

/// A transaction that has ended.
#[derive(Debug)]
struct Waiting<T, R> {
    mark: Mark,
    at: i64,
    rows: Vec<R>,
    bytes: usize,
    touched: Touched<T>,
    /// Parts of it were handed out.
    begun: bool,
    /// It decides one that was prepared.
    decides: Option<Xid>,
}

/// What a transaction that was prepared is going to be if it is committed.
#[derive(Debug)]
struct Prepared<T, R> {
    rows: Vec<R>,
    bytes: usize,
    touched: Touched<T>,
}

/// All that was read and not told.
#[derive(Debug)]
pub(crate) struct Queue<T, R> {
    open: Option<Open<T, R>>,
    waiting: VecDeque<Waiting<T, R>>,
    prepared: HashMap<Xid, Prepared<T, R>>,
    rows: usize,
    bytes: usize,
    prepared_bytes: usize,
    /// The transaction of which parts were handed out, and how many rows.
    partial: Option<(Gtid, usize)>,
    /// Rows and bytes that were held at most.
    most: (usize, usize),
}

impl<T: Copy + Ord, R> Queue<T, R> {
    pub(crate) fn new() -> Self {
        Self {
            open: None,
            waiting: VecDeque::new(),
            prepared: HashMap::new(),
            rows: 0,
            bytes: 0,
            prepared_bytes: 0,
            partial: None,
            most: (0, 0),
        }
    }

    /// The connection is lost: what was not told is read again. Transactions that are prepared are not.
    pub(crate) fn reset(&mut self) {
        self.open = None;
        for waiting in self.waiting.drain(..) {
            if let Some(xid) = waiting.decides {
                self.prepared_bytes += waiting.bytes;
                let Waiting { rows, bytes, touched, .. } = waiting;
                self.prepared.insert(xid, Prepared { rows, bytes, touched });
            }
        }
        (self.rows, self.bytes) = (0, 0);
    }

    /// Nothing waits to be told.
    pub(crate) fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Little waits, so that what arrives in a moment has room.
    pub(crate) fn is_short(&self) -> bool {
        let (rows, bytes) = self.held();
        !self.is_empty() && self.waiting.len() <= FEW_ROWS && rows <= FEW_ROWS && bytes <= FEW_BYTES
    }

    /// The file of the first transaction that waits.
    pub(crate) fn held_in(&self) -> Option<u64> {
        self.waiting.front().map(|waiting| waiting.mark.file)
    }

    /// Nothing more may be read.
    pub(crate) fn is_full(&self) -> bool {
        let (rows, bytes) = self.held();
        rows >= MOST_ROWS || bytes >= MOST_BYTES || self.waiting.len() >= MOST_WAITING
    }

    fn held(&self) -> (usize, usize) {
        let open = self.open.as_ref().map_or((0, 0), |open| (open.taken.rows.len(), open.taken.bytes));
        (self.rows + open.0, self.bytes + open.1)
    }

    /// The most rows and bytes that were ever held, for tests.
    pub(crate) fn most(&self) -> (usize, usize) {
        self.most
    }

    /// Takes in what was read. `file`: in which it lies.
    pub(crate) fn item<K>(&mut self, item: Item<'_>, file: u64, take: &mut K) -> Result<(), rowkeep_binlog::Error>
    where
        K: Take<Table = T, Row = R>,
    {
        match item {
            Item::Begin(begin) => self.open = Some(self.begin(begin)),
            Item::Xa => self.with(|open| open.is_xa = true),
            Item::Rows(rows) => {
                if let Some(open) = &mut self.open {
                    take.rows(rows, &mut open.taken)?;
                    let held = self.held();
                    self.most = (self.most.0.max(held.0), self.most.1.max(held.1));
                }
            }
            Item::Statement(statement) => {
                let touched = take.statement(&statement);
                self.with(|open| open.taken.touched.join(touched));
            }
            Item::Savepoint(name) => self.with(|open| open.savepoint(name)),
            Item::RollbackTo(name) => self.with(|open| open.roll_back_to(name)),
            Item::Incident(_) => {
                tracing::warn!("the server lost something that it should have logged: all rows are to be read again");
                self.incident(file);
            }
            Item::End(end) => {
                let mark = Mark { gtid: None, file, offset: end.position.offset, inside: false };
                self.end(end.outcome, mark, end.time);
            }
            Item::Annotation(_) | Item::Rotate(_) | Item::Checkpoint(_) | Item::Heartbeat => {}
        }
        Ok(())
    }

    fn with(&mut self, change: impl FnOnce(&mut Open<T, R>)) {
        if let Some(open) = &mut self.open {
            change(open);
        }
    }

    fn begin(&mut self, begin: Begin) -> Open<T, R> {
        let told = match self.partial {
            Some((gtid, rows)) if begin.gtid == Some(gtid) => rows,
            _ => 0,
        };
        Open::new(begin, told)
    }

    fn incident(&mut self, file: u64) {
        if let Some(open) = &mut self.open {
            open.taken.touched = Touched::All;
            return;
        }
        let mark = Mark { gtid: None, file, offset: 0, inside: false };
        self.wait(mark, 0, Taken { touched: Touched::All, ..Taken::default() }, false, None);
    }

    fn end(&mut self, outcome: Outcome<'_>, mark: Mark, time: u32) {
        let Some(mut open) = self.open.take() else { return };
        let (mark, at, begun) = (Mark { gtid: open.gtid(), ..mark }, open.time(time), open.told > 0);
        if open.taken.is_closed {
            open.taken.doubt();
        }
        match outcome {
            Outcome::Committed => self.wait(mark, at, open.taken, begun, None),
            Outcome::RolledBack => {
                open.roll_back();
                self.wait(mark, at, open.taken, begun, None);
            }
            Outcome::Prepared(xid) => {
                self.prepare(xid, open.taken);
                self.wait(mark, at, Taken::default(), begun, None);
            }
            Outcome::Decided { xid, committed } => {
                let taken = self.decide(xid, committed);
                self.wait(mark, at, taken, false, Some(xid.clone()));
            }
        }
    }

    fn prepare(&mut self, xid: &Xid, mut taken: Taken<T, R>) {
        if self.prepared_bytes + taken.bytes > MOST_BYTES {
            taken.close();
            taken.doubt();
        }
        let Taken { rows, bytes, touched, .. } = taken;
        self.prepared_bytes += bytes;
        if let Some(old) = self.prepared.insert(xid.clone(), Prepared { rows, bytes, touched }) {
            self.prepared_bytes -= old.bytes;
        }
    }

    fn decide(&mut self, xid: &Xid, committed: bool) -> Taken<T, R> {
        match self.prepared.remove(xid) {
            Some(Prepared { rows, bytes, touched }) => {
                self.prepared_bytes -= bytes;
                if committed { Taken { rows, bytes, touched, ..Taken::default() } } else { Taken::default() }
            }
            // It was prepared before reading began.
            None if committed => Taken { touched: Touched::All, ..Taken::default() },
            None => Taken::default(),
        }
    }

    fn wait(&mut self, mark: Mark, at: i64, taken: Taken<T, R>, begun: bool, decides: Option<Xid>) {
        let Taken { rows, bytes, touched, .. } = taken;
        self.rows += rows.len();
        self.bytes += bytes;
        self.waiting.push_back(Waiting { mark, at, rows, bytes, touched, begun, decides });
    }

    /// Tells what can be seen. Whether that is anything.
    pub(crate) fn release(&mut self, shown: &Shown, progress: &mut Progress, out: &mut Vec<Event<T, R>>) -> bool {
        let count = self.waiting.iter().take_while(|waiting| shown.has(&waiting.mark)).count();
        self.hand_out(count, progress, out)
    }

    /// The same, because one of these commits was acknowledged: it is visible, and the transactions before it are.
    pub(crate) fn release_acked(
        &mut self,
        acked: &[MariaDbGtid],
        progress: &mut Progress,
        out: &mut Vec<Event<T, R>>,
    ) -> bool {
        let is_acked =
            |waiting: &Waiting<T, R>| matches!(waiting.mark.gtid, Some(Gtid::MariaDb(gtid)) if acked.contains(&gtid));
        let until = self.waiting.iter().rposition(is_acked).map_or(0, |at| at + 1);
        let is_plain = |waiting: &&Waiting<T, R>| waiting.decides.is_none() && waiting.touched.is_none();
        let count = self.waiting.iter().take(until).take_while(is_plain).count();
        self.hand_out(count, progress, out)
    }

    fn hand_out(&mut self, count: usize, progress: &mut Progress, out: &mut Vec<Event<T, R>>) -> bool {
        for waiting in self.waiting.drain(..count) {
            self.rows -= waiting.rows.len();
            self.bytes -= waiting.bytes;
            if let Some(gtid) = waiting.mark.gtid {
                progress.passed(gtid);
                if self.partial.is_some_and(|(partial, _)| partial == gtid) {
                    self.partial = None;
                }
            }
            if waiting.begun || !waiting.rows.is_empty() || !waiting.touched.is_none() {
                tell(progress.place(), waiting.at, waiting.rows, waiting.touched, out);
            }
        }
        count > 0
    }

    /// What of the transaction that is read now can be told before its end, if it is too large to be held. Whether anything
    /// was done about it.
    pub(crate) fn part(
        &mut self,
        shown: &Shown,
        (file, offset): (u64, u64),
        progress: &Progress,
        out: &mut Vec<Event<T, R>>,
    ) -> bool {
        if !self.waiting.is_empty() || !self.is_full() {
            return false;
        }
        let Some(open) = &mut self.open else { return false };
        if open.is_xa {
            open.taken.close();
            return true;
        }
        // Nobody could say where one without a name goes on.
        let Some(gtid) = open.gtid() else {
            open.taken.close();
            return true;
        };
        if !shown.has(&Mark { gtid: Some(gtid), file, offset, inside: true }) {
            return false;
        }
        let (at, rows) = (open.time(open.begin.time), open.part());
        self.partial = Some((gtid, open.told));
        out.push(Event::Commit { place: progress.behind(&gtid), more: true, at, rows });
        true
    }
}
