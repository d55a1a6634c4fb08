//! QUERY: what is logged as text, which is also how most transactions begin and some end.

use crate::{Error, StatementKind, Xid, bytes::Bytes};

/// A QUERY event.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Query<'a> {
    pub(crate) thread: u32,
    pub(crate) error: u16,
    pub(crate) database: &'a [u8],
    /// Compressed, in an event that says so.
    pub(crate) text: &'a [u8],
}

/// Reads one. `more`: fixed bytes between those of a query and what varies, as an EXECUTE_LOAD_QUERY has.
pub(crate) fn read_query(body: &[u8], more: usize) -> Result<Query<'_>, Error> {
    let mut bytes = Bytes(body);
    let thread = bytes.u32()?;
    bytes.u32()?;
    let database = usize::from(bytes.u8()?);
    let error = bytes.u16()?;
    let status = usize::from(bytes.u16()?);
    bytes.take(more)?;
    bytes.take(status)?;
    let database = bytes.take(database)?;
    bytes.u8()?;
    Ok(Query { thread, error, database, text: bytes.0 })
}

/// What a statement says to who follows transactions.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Said<'a> {
    Begin,
    Commit,
    Rollback,
    Savepoint(&'a [u8]),
    RollbackTo(&'a [u8]),
    XaStart(Xid),
    XaDecided(Xid, bool),
    Nothing,
    Statement(StatementKind),
}

/// Reads the first words.
pub(crate) fn said(text: &[u8]) -> Result<Said<'_>, Error> {
    let mut words = Words(text);
    let first = words.next();
    Ok(match first.to_ascii_uppercase().as_slice() {
        b"BEGIN" => Said::Begin,
        b"COMMIT" => Said::Commit,
        b"SAVEPOINT" => Said::Savepoint(name(words.0)),
        b"ROLLBACK" => match words.next().to_ascii_uppercase().as_slice() {
            b"TO" => {
                let rest = words.0;
                let is_word = words.next().eq_ignore_ascii_case(b"SAVEPOINT");
                Said::RollbackTo(name(if is_word { words.0 } else { rest }))
            }
            _ => Said::Rollback,
        },
        b"XA" => match words.next().to_ascii_uppercase().as_slice() {
            b"START" | b"BEGIN" => Said::XaStart(xid(words.0)?),
            b"COMMIT" => Said::XaDecided(xid(words.0)?, true),
            b"ROLLBACK" => Said::XaDecided(xid(words.0)?, false),
            _ => Said::Nothing,
        },
        // What MariaDB sends in place of what it thinks is not understood.
        b"RELEASE" | b"#" => Said::Nothing,
        b"CREATE" | b"ALTER" | b"DROP" | b"RENAME" | b"TRUNCATE" => Said::Statement(of_schema(words)),
        b"INSERT" | b"UPDATE" | b"DELETE" | b"REPLACE" | b"LOAD" | b"CALL" | b"WITH" | b"DO" | b"SELECT" | b"SET"
        | b"MERGE" | b"(" | b"IMPORT" | b"EXECUTE" => Said::Statement(StatementKind::Data),
        _ => Said::Statement(StatementKind::Other),
    })
}

/// Whether what is created or dropped concerns data.
fn of_schema(mut words: Words<'_>) -> StatementKind {
    let second = words.next().to_ascii_uppercase();
    match second.as_slice() {
        b"USER" | b"ROLE" | b"SERVER" | b"RESOURCE" | b"INSTANCE" => StatementKind::Other,
        _ => StatementKind::Schema,
    }
}

/// Words, without what is between them; comments that the server executes are no comments.
struct Words<'a>(&'a [u8]);

impl<'a> Words<'a> {
    fn next(&mut self) -> &'a [u8] {
        self.skip();
        let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_' || *byte >= 0x80;
        let length = self.0.iter().take_while(|byte| is_word(byte)).count();
        let (word, rest) = self.0.split_at(length.max(1).min(self.0.len()));
        self.0 = rest;
        word
    }

    fn skip(&mut self) {
        loop {
            self.0 = self.0.trim_ascii_start();
            self.0 = match self.0 {
                // `/*!80013 ...` and `/*M!100300 ...`
                [b'/', b'*', b'!', rest @ ..] | [b'/', b'*', b'M', b'!', rest @ ..] => {
                    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
                    &rest[digits..]
                }
                [b'/', b'*', rest @ ..] => {
                    let end = rest.windows(2).position(|pair| pair == b"*/").map_or(rest.len(), |at| at + 2);
                    &rest[end..]
                }
                [b'-', b'-', rest @ ..] => {
                    let end = rest.iter().position(|byte| *byte == b'\n').unwrap_or(rest.len());
                    &rest[end..]
                }
                [b'*', b'/', rest @ ..] => rest,
                _ => return,
            };
        }
    }
}

/// A name, without what quotes it.
fn name(text: &[u8]) -> &[u8] {
    let text = text.trim_ascii();
    match text {
        [b'`', inner @ .., b'`'] | [b'"', inner @ .., b'"'] => inner,
        text => text,
    }
}

/// `X'6162',X'',1`, as both products write it.
fn xid(text: &[u8]) -> Result<Xid, Error> {
    const NONE: Error = Error::Malformed("the name of an XA transaction that is none");
    let mut parts = text.split(|byte| *byte == b',').map(<[u8]>::trim_ascii);
    let mut bytes = || {
        let part = parts.next().ok_or(NONE)?;
        let digits = match part {
            [b'X' | b'x', b'\'', digits @ .., b'\''] => digits,
            _ => return Err(NONE),
        };
        let digit = |byte: u8| char::from(byte).to_digit(16);
        let byte = |pair: &[u8]| match pair {
            [high, low] => Some(digit(*high)? as u8 * 16 + digit(*low)? as u8),
            _ => None,
        };
        digits.chunks(2).map(byte).collect::<Option<Vec<u8>>>().ok_or(NONE)
    };
    let (global, branch) = (bytes()?, bytes()?);
    let format = parts.next().map_or(&b"1"[..], |format| format.split(|byte| *byte == b' ').next().unwrap_or_default());
    let format = std::str::from_utf8(format).ok().and_then(|format| format.parse().ok()).ok_or(NONE)?;
    Ok(Xid { format, global, branch })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_known_by_their_first_words() {
        use StatementKind::{Data, Other, Schema};
        for (text, expected) in [
            ("BEGIN", Said::Begin),
            ("COMMIT", Said::Commit),
            ("ROLLBACK", Said::Rollback),
            ("ROLLBACK TO `a`", Said::RollbackTo(b"a")),
            ("ROLLBACK TO SAVEPOINT a", Said::RollbackTo(b"a")),
            ("SAVEPOINT `my point`", Said::Savepoint(b"my point")),
            ("# Dummy event replacing event type 160", Said::Nothing),
            ("XA END X'61',X'',1", Said::Nothing),
            ("create table t (a int)", Said::Statement(Schema)),
            ("/* an application */ -- x\n CREATE TABLE t (a int)", Said::Statement(Schema)),
            ("/*!40000 ALTER TABLE t DISABLE KEYS */", Said::Statement(Schema)),
            ("TRUNCATE t", Said::Statement(Schema)),
            ("CREATE USER u", Said::Statement(Other)),
            ("GRANT ALL ON *.* TO u", Said::Statement(Other)),
            ("INSERT INTO t VALUES (1)", Said::Statement(Data)),
            ("/* x", Said::Statement(Other)),
            ("", Said::Statement(Other)),
        ] {
            assert_eq!(said(text.as_bytes()).unwrap(), expected, "{text}");
        }
    }

    #[test]
    fn names_of_xa_transactions_are_read() {
        let name = Xid { format: 7, global: b"ab".to_vec(), branch: b"c".to_vec() };
        assert_eq!(said(b"XA START X'6162',X'63',7").unwrap(), Said::XaStart(name.clone()));
        assert_eq!(said(b"XA COMMIT X'6162',X'63',7").unwrap(), Said::XaDecided(name.clone(), true));
        assert_eq!(said(b"XA ROLLBACK X'6162',X'63',7").unwrap(), Said::XaDecided(name, false));
        for text in ["XA START", "XA COMMIT X'6',X'',1", "XA COMMIT X'zz',X'',1", "XA COMMIT X'61',X'',x"] {
            assert!(said(text.as_bytes()).is_err(), "{text}");
        }
    }
}
