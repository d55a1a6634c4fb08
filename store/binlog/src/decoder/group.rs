//! How transactions begin and end.

use std::ops::Range;

use super::{Decoder, Place, Step};
use crate::{
    Begin, Error, Gtid, StatementKind, Xid,
    event::{
        Header, Query, Said, Started, inflate, kind, mariadb_gtid, mysql_gtid, read_query, said, tagged_gtid,
        xa_prepare,
    },
};

/// A transaction that began and did not end.
#[derive(Debug, Default)]
pub(super) struct Group {
    pub(super) gtid: Option<Gtid>,
    /// It goes on to an end of its own. Otherwise its first statement is all of it.
    pub(super) begun: bool,
    thread: Option<u32>,
}

/// What became of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ended {
    Committed,
    RolledBack,
    Prepared(Xid),
    Decided(Xid, bool),
}

impl Decoder {
    /// The name of a transaction, which begins it.
    pub(super) fn gtid(&mut self, header: &Header, body: &[u8]) -> Result<(), Error> {
        match &self.group {
            Some(group) if group.begun => return Err(Error::Malformed("a transaction that begins inside another")),
            // Nothing that is of interest, or nothing at all.
            Some(_) => self.end(header, Ended::Committed, None),
            None => {}
        }
        let started = match header.kind {
            kind::MARIADB_GTID => mariadb_gtid(body, header.server)?,
            kind::GTID_TAGGED => tagged_gtid(body)?,
            other => mysql_gtid(body, other == kind::ANONYMOUS_GTID)?,
        };
        self.begin(header, started);
        Ok(())
    }

    fn begin(&mut self, header: &Header, started: Started) {
        let Started { gtid, begun, committed, bytes, xa } = started;
        self.steps.push_back(Step::Begin(Begin { gtid, time: header.time, committed, server: header.server, bytes }));
        if xa {
            self.steps.push_back(Step::Xa);
        }
        self.group = Some(Group { gtid, begun, thread: None });
    }

    /// The transaction ends, if there is one.
    pub(super) fn end(&mut self, header: &Header, ended: Ended, xid: Option<u64>) {
        if self.group.is_none() {
            self.begin(header, Started::default());
        }
        let thread = self.group.as_ref().and_then(|group| group.thread);
        self.steps.push_back(Step::End { ended, xid, thread, time: header.time });
    }

    pub(super) fn xa_prepare(&mut self, header: &Header, body: &[u8]) -> Result<(), Error> {
        let (one_phase, xid) = xa_prepare(body)?;
        self.end(header, if one_phase { Ended::Committed } else { Ended::Prepared(xid) }, None);
        Ok(())
    }

    /// A statement. `more`: see [`read_query`].
    pub(super) fn query(
        &mut self,
        header: &Header,
        body: &[u8],
        start: usize,
        place: fn(Range<usize>) -> Place,
        more: usize,
    ) -> Result<(), Error> {
        let query = read_query(body, more)?;
        let text = start + body.len() - query.text.len()..start + body.len();
        // Between the two stands a zero.
        let database = text.start - 1 - query.database.len()..text.start - 1;
        self.say(header, &query, query.text, place(database), text.start, place)
    }

    /// The same with its text compressed: MariaDB's.
    pub(super) fn compressed_query(&mut self, header: &Header, body: &[u8]) -> Result<(), Error> {
        let query = read_query(body, 0)?;
        let mut buffer = std::mem::take(&mut self.buffer);
        buffer.clear();
        buffer.extend_from_slice(query.database);
        let read = inflate(query.text, &mut buffer).and_then(|()| {
            let start = query.database.len();
            let text = buffer.get(start..).unwrap_or_default();
            self.say(header, &query, text, Place::Inflated(0..start), start, Place::Inflated)
        });
        self.buffer = buffer;
        read
    }

    /// `start`: where the text lies in what `place` means.
    fn say(
        &mut self,
        header: &Header,
        query: &Query<'_>,
        text: &[u8],
        database: Place,
        start: usize,
        place: fn(Range<usize>) -> Place,
    ) -> Result<(), Error> {
        let all = start..start + text.len();
        let part = |name: &[u8]| {
            // The name is a part of the text.
            let at = start + (name.as_ptr() as usize).saturating_sub(text.as_ptr() as usize);
            place(at..at + name.len())
        };
        let said = said(text)?;
        if self.group.is_none() && said != Said::Nothing {
            self.begin(header, Started::default());
        }
        if let Some(group) = &mut self.group {
            group.thread = Some(query.thread);
        }
        match said {
            Said::Begin | Said::XaStart(_) => {
                if let Said::XaStart(_) = said {
                    self.steps.push_back(Step::Xa);
                }
                if let Some(group) = &mut self.group {
                    group.begun = true;
                }
            }
            Said::Commit => self.end(header, Ended::Committed, None),
            Said::Rollback => self.end(header, Ended::RolledBack, None),
            Said::XaDecided(xid, committed) => self.end(header, Ended::Decided(xid, committed), None),
            Said::Savepoint(name) => self.steps.push_back(Step::Savepoint(part(name))),
            Said::RollbackTo(name) => self.steps.push_back(Step::RollbackTo(part(name))),
            Said::Nothing => {}
            Said::Statement(kind) => self.statement(header, kind, database, place(all), query.error),
        }
        Ok(())
    }

    fn statement(&mut self, header: &Header, kind: StatementKind, database: Place, text: Place, error: u16) {
        self.steps.push_back(Step::Statement { kind, database, text, error });
        if self.group.as_ref().is_some_and(|group| !group.begun) {
            self.end(header, Ended::Committed, None);
        }
    }
}
