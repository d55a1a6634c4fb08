//! From events to what happened: a state machine that is given events one by one and knows no connection.
//!
//! An event may mean nothing (a table's description), one thing, several (a statement is a whole transaction) or very many
//! (a compressed transaction). So an event is given with [`Decoder::start`], [`Decoder::advance`] goes on to the next thing
//! in it, and [`Decoder::item`] shows that. What is shown borrows from the event, which stays where it lies.

mod group;
mod rows;
mod tables;

use std::{collections::VecDeque, ops::Range};

use crate::{
    Begin, End, Error, Gtids, Item, Outcome, Position, Statement, StatementKind,
    bytes::Bytes,
    event::{CHECKSUM, Format, HEADER, Header, Inflater, Payload, Rotate, gtid_list, is_sound, kind},
    rows::{Offsets, Rows},
};
use group::{Ended, Group};
use rows::FoundRows;
use tables::Tables;

/// Where bytes of an item lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    /// In the event.
    Event(Range<usize>),
    /// In what was inflated from it.
    Inflated(Range<usize>),
}

/// An item without its bytes.
#[derive(Debug)]
enum Step {
    Begin(Begin),
    Xa,
    Rows(FoundRows),
    Statement { kind: StatementKind, database: Place, text: Place, error: u16 },
    Annotation(Place),
    Savepoint(Place),
    RollbackTo(Place),
    End { ended: Ended, xid: Option<u64>, thread: Option<u32>, time: u32 },
    Incident(Place),
    Rotate,
    Checkpoint(Place),
    Heartbeat,
}

/// What of the event is to be read.
#[derive(Debug, Default)]
enum Phase {
    /// All of it.
    Fresh,
    /// What is compressed in it, which lies here.
    Payload(Range<usize>, Inflater),
    #[default]
    Done,
}

/// Reads events.
#[derive(Debug, Default)]
pub(crate) struct Decoder {
    /// Events end with a checksum. Not known before the first description of the format.
    checksum: bool,
    tables: Tables,
    group: Option<Group>,
    phase: Phase,
    steps: VecDeque<Step>,
    step: Option<Step>,
    /// Where reading is.
    offset: u64,
    /// Behind the last transaction that was handed out.
    position: Position,
    /// Transactions have no names here.
    anonymous: bool,
    buffer: Vec<u8>,
    offsets: Offsets,
}

impl Decoder {
    /// Reads what follows this position.
    pub(crate) fn new(position: Position, checksum: bool) -> Self {
        Self { checksum, offset: position.offset, position, ..Self::default() }
    }

    /// Behind the last transaction that was handed out.
    pub(crate) fn position(&self) -> &Position {
        &self.position
    }

    /// Where reading is: the file, and the place behind the event that was read last.
    pub(crate) fn place(&self) -> (&str, u64) {
        (&self.position.file, self.offset)
    }

    /// A new event is to be read.
    pub(crate) fn start(&mut self) {
        self.phase = Phase::Fresh;
    }

    /// Goes on to the next item in the event; false if there is none.
    #[inline]
    pub(crate) fn advance(&mut self, event: &[u8]) -> Result<bool, Error> {
        loop {
            if let Some(step) = self.steps.pop_front() {
                if let Step::End { .. } = step {
                    self.passed();
                }
                self.step = Some(step);
                return Ok(true);
            }
            match std::mem::take(&mut self.phase) {
                Phase::Done => return Ok(false),
                Phase::Fresh => self.outer(event)?,
                Phase::Payload(place, mut inflater) => {
                    let body = event.get(place.clone()).unwrap_or_default();
                    if let Some(inner) = inflater.next(body, &mut self.buffer)? {
                        self.phase = Phase::Payload(place, inflater);
                        self.inner(inner)?;
                    }
                }
            }
        }
    }

    /// An event of the log: checks it, follows the place, takes the checksum off.
    fn outer(&mut self, event: &[u8]) -> Result<(), Error> {
        let header = Header::read(event)?;
        if header.size as usize != event.len() {
            return Err(Error::Malformed("an event of another size than it says"));
        }
        let end = match header.kind {
            // The one in front of another file's is not of any file: whether it has a checksum is up to the server.
            kind::ROTATE if header.is_artificial() && is_sound(event) => event.len() - CHECKSUM,
            kind::ROTATE if header.is_artificial() => event.len(),
            kind::FORMAT_DESCRIPTION => event.len(),
            _ if self.checksum => {
                if !is_sound(event) {
                    return Err(Error::Checksum { file: self.position.file.clone(), offset: header.end.into() });
                }
                event.len() - CHECKSUM
            }
            _ => event.len(),
        };
        if end < HEADER {
            return Err(Error::Malformed("an event shorter than its header"));
        }
        self.follow(&header);
        let body = Bytes(&event[HEADER..end]).0;
        match header.kind {
            kind::FORMAT_DESCRIPTION => self.format(&header, body),
            kind::ROTATE => self.rotate(&header, body),
            kind::TRANSACTION_PAYLOAD => {
                self.buffer.clear();
                self.phase = Phase::Payload(HEADER..end, Inflater::new(Payload::read(body)?)?);
                Ok(())
            }
            _ => self.event(&header, event, HEADER..end, Place::Event),
        }
    }

    /// An event of a compressed transaction: no checksum, no place.
    fn inner(&mut self, place: Range<usize>) -> Result<(), Error> {
        // Taken out while it is read from; an event in it is never compressed itself.
        let buffer = std::mem::take(&mut self.buffer);
        let event = buffer.get(place.clone()).unwrap_or_default();
        let read = Header::read(event).and_then(|header| match header.kind {
            kind::TRANSACTION_PAYLOAD | kind::FORMAT_DESCRIPTION | kind::ROTATE | kind::QUERY_COMPRESSED.. => {
                Err(Error::Malformed("an event inside a compressed transaction that does not belong there"))
            }
            _ => self.event(&header, &buffer, place.start + HEADER..place.end, Place::Inflated),
        });
        self.buffer = buffer;
        read
    }

    /// Any event but those about the file. `at`: where its body lies in `bytes`; `place`: which bytes these are.
    fn event(
        &mut self,
        header: &Header,
        bytes: &[u8],
        at: Range<usize>,
        place: fn(Range<usize>) -> Place,
    ) -> Result<(), Error> {
        let body = bytes.get(at.clone()).ok_or(Error::Malformed("an event shorter than its header"))?;
        let whole = |from: usize| place(at.start + from.min(body.len())..at.end);
        match header.kind {
            kind::TABLE_MAP => self.tables.describe(body),
            kind::WRITE_ROWS_V1..=kind::DELETE_ROWS_V1
            | kind::WRITE_ROWS..=kind::DELETE_ROWS
            | kind::PARTIAL_UPDATE_ROWS
            | kind::WRITE_ROWS_COMPRESSED_V1..=kind::DELETE_ROWS_COMPRESSED => {
                self.rows(header.kind, body, at.clone(), place)
            }
            kind::QUERY => self.query(header, body, at.start, place, 0),
            kind::EXECUTE_LOAD_QUERY => self.query(header, body, at.start, place, 13),
            kind::QUERY_COMPRESSED => self.compressed_query(header, body),
            kind::XID => {
                let xid = Bytes(body).u64()?;
                self.end(header, Ended::Committed, Some(xid));
                Ok(())
            }
            kind::XA_PREPARE => self.xa_prepare(header, body),
            kind::GTID | kind::ANONYMOUS_GTID | kind::GTID_TAGGED | kind::MARIADB_GTID => self.gtid(header, body),
            kind::PREVIOUS_GTIDS => self.known(Gtids::MySql(crate::MySqlGtids::read(&mut Bytes(body))?)),
            kind::GTID_LIST if !header.is_artificial() => self.known(Gtids::MariaDb(gtid_list(body)?)),
            kind::ROWS_QUERY => {
                // A length of one byte that is not kept for longer texts.
                self.steps.push_back(Step::Annotation(whole(1)));
                Ok(())
            }
            kind::ANNOTATE_ROWS => {
                self.steps.push_back(Step::Annotation(whole(0)));
                Ok(())
            }
            kind::INCIDENT => {
                self.steps.push_back(Step::Incident(whole(3)));
                if self.group.as_ref().is_some_and(|group| !group.begun) {
                    self.end(header, Ended::Committed, None);
                }
                Ok(())
            }
            kind::HEARTBEAT | kind::HEARTBEAT_V2 => {
                self.steps.push_back(Step::Heartbeat);
                Ok(())
            }
            kind::START_ENCRYPTION => Err(Error::Encrypted),
            kind::BINLOG_CHECKPOINT => {
                // Behind the length of the name.
                self.steps.push_back(Step::Checkpoint(whole(4)));
                Ok(())
            }
            kind::STOP | kind::GTID_LIST | kind::IGNORABLE | kind::TRANSACTION_CONTEXT | kind::VIEW_CHANGE => Ok(()),
            // They belong to a statement that follows.
            kind::INTVAR
            | kind::RAND
            | kind::USER_VAR
            | kind::BEGIN_LOAD_QUERY
            | kind::APPEND_BLOCK
            | kind::DELETE_FILE => Ok(()),
            _ if header.may_be_ignored() => Ok(()),
            other => Err(Error::UnknownEvent(other)),
        }
    }

    /// Where the event ends. The header has 32 bits of it, or nothing (MariaDB 11.8, inside of transactions).
    fn follow(&mut self, header: &Header) {
        let is_of_file = !header.is_artificial() && !matches!(header.kind, kind::HEARTBEAT | kind::HEARTBEAT_V2);
        if !is_of_file {
            return;
        }
        if header.end == 0 {
            // The first event of a file is sent again to who begins in its middle.
            if header.kind != kind::FORMAT_DESCRIPTION {
                self.offset += u64::from(header.size);
            }
            return;
        }
        let high = self.offset & !u64::from(u32::MAX);
        let offset = high | u64::from(header.end);
        self.offset = if offset < self.offset { offset + (1 << 32) } else { offset };
    }

    fn format(&mut self, header: &Header, body: &[u8]) -> Result<(), Error> {
        let format = Format::read(body)?;
        self.checksum = format.checksum;
        self.tables.are_of_mariadb(format.mariadb);
        // The server was started anew: it undid what it had not committed, and numbers tables from the start.
        if format.created != 0 && !header.is_artificial() && header.end != 0 {
            self.tables.clear();
            if self.group.is_some() {
                self.end(header, Ended::RolledBack, None);
            }
        }
        Ok(())
    }

    fn rotate(&mut self, header: &Header, body: &[u8]) -> Result<(), Error> {
        let Rotate { file, offset } = Rotate::read(body)?;
        let is_new = self.position.file != file;
        if is_new && !header.is_artificial() {
            self.tables.clear();
        }
        self.offset = offset;
        // Between transactions the end of one file is the start of the next.
        if self.group.is_none() {
            self.position.offset = offset;
        }
        if is_new {
            self.position.file = file;
            self.steps.push_back(Step::Rotate);
        }
        Ok(())
    }

    /// What a file says of the transactions before it, for who began without a set.
    fn known(&mut self, gtids: Gtids) -> Result<(), Error> {
        if self.position.gtids.is_none() && !self.anonymous {
            self.position.gtids = Some(gtids);
        }
        Ok(())
    }

    /// The end of a transaction is handed out.
    fn passed(&mut self) {
        self.position.offset = self.offset;
        let gtid = self.group.take().and_then(|group| group.gtid);
        match gtid {
            Some(gtid) => {
                if let Some(gtids) = &mut self.position.gtids {
                    gtids.follow(&gtid);
                }
            }
            None => {
                self.anonymous = true;
                self.position.gtids = None;
            }
        }
    }

    /// What [`advance`](Self::advance) went to, of the same event.
    pub(crate) fn item<'a>(&'a mut self, event: &'a [u8]) -> Result<Item<'a>, Error> {
        let buffer = self.buffer.as_slice();
        let bytes = |place: &Place| match place {
            Place::Event(range) => event.get(range.clone()).unwrap_or_default(),
            Place::Inflated(range) => buffer.get(range.clone()).unwrap_or_default(),
        };
        Ok(match self.step.as_ref().ok_or(Error::Malformed("nothing was read yet"))? {
            Step::Begin(begin) => Item::Begin(*begin),
            Step::Xa => Item::Xa,
            Step::Rows(found) => {
                let table = self.tables.get(found.table).ok_or(Error::NoTable(found.table))?;
                let rows = found.rows.as_ref().map(bytes);
                Item::Rows(Rows::new(table, found.head, bytes(&found.body), rows, &mut self.offsets)?)
            }
            Step::Statement { kind, database, text, error } => {
                let (database, text) = (bytes(database), bytes(text));
                Item::Statement(Statement { kind: *kind, database, text, error: *error })
            }
            Step::Annotation(text) => Item::Annotation(bytes(text)),
            Step::Savepoint(name) => Item::Savepoint(bytes(name)),
            Step::RollbackTo(name) => Item::RollbackTo(bytes(name)),
            Step::End { ended, xid, thread, time } => Item::End(End {
                outcome: match ended {
                    Ended::Committed => Outcome::Committed,
                    Ended::RolledBack => Outcome::RolledBack,
                    Ended::Prepared(xid) => Outcome::Prepared(xid),
                    Ended::Decided(xid, committed) => Outcome::Decided { xid, committed: *committed },
                },
                xid: *xid,
                thread: *thread,
                time: *time,
                position: &self.position,
            }),
            Step::Incident(text) => Item::Incident(bytes(text)),
            Step::Rotate => Item::Rotate(&self.position),
            Step::Checkpoint(file) => Item::Checkpoint(bytes(file)),
            Step::Heartbeat => Item::Heartbeat,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(kind: u8, size: u32, end: u32, flags: u16) -> Header {
        let mut bytes = vec![0; 4];
        bytes.push(kind);
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&size.to_le_bytes());
        bytes.extend_from_slice(&end.to_le_bytes());
        bytes.extend_from_slice(&flags.to_le_bytes());
        Header::read(&bytes).unwrap()
    }

    #[test]
    fn places_go_on_beyond_four_gigabytes_and_where_the_server_does_not_say_them() {
        let mut decoder = Decoder::default();
        let mut after = |kind, size, end, flags| {
            decoder.follow(&header(kind, size, end, flags));
            decoder.offset
        };
        assert_eq!(after(kind::FORMAT_DESCRIPTION, 120, 0, 0), 0, "sent again");
        assert_eq!(after(kind::MARIADB_GTID, 40, 1000, 0), 1000);
        assert_eq!(after(kind::WRITE_ROWS, 500, 0, 0), 1500, "not said");
        assert_eq!(after(kind::XID, 31, 1531, 0), 1531);
        assert_eq!(after(kind::HEARTBEAT, 40, 9999, 0), 1531, "not of the file");
        assert_eq!(after(kind::GTID_LIST, 40, 0, 0x20), 1531, "made for the stream");
        assert_eq!(after(kind::WRITE_ROWS, 500, u32::MAX - 9, 0), u64::from(u32::MAX) - 9);
        assert_eq!(after(kind::WRITE_ROWS, 500, 490, 0), (1 << 32) + 490);
        assert_eq!(after(kind::XID, 31, 521, 0), (1 << 32) + 521);
    }
}
