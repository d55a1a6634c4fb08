//! A connection: commands queued and sent, answers received in order.

use std::collections::VecDeque;

use crate::packets::{Packets, Place};
use crate::params::push_params;
use crate::row::{Layout, text_row};
use crate::statements::Statements;
use crate::stream::Stream;
use crate::values::Cursor;
use crate::{Done, Error, PacketStream, Param, Row, Server, ServerError, Statement, TextRow};

mod command {
    pub(super) const QUIT: u8 = 0x01;
    pub(super) const QUERY: u8 = 0x03;
    pub(super) const PREPARE: u8 = 0x16;
    pub(super) const EXECUTE: u8 = 0x17;
    pub(super) const CLOSE: u8 = 0x19;
}

/// What an answer is about.
#[derive(Debug, Clone, Copy)]
enum Awaited {
    Text,
    Execution(Statement),
}

/// A connection that is logged in.
///
/// Its methods may be given up half way (a dropped future): what was not answered then makes [`Connection::is_idle`]
/// false for good, and the connection is to be thrown away.
#[derive(Debug)]
pub struct Connection {
    packets: Packets<Stream>,
    server: Server,
    statements: Statements,
    awaited: VecDeque<Awaited>,
    in_transaction: bool,
    /// An answer is half read, or a packet half written.
    busy: bool,
}

impl Connection {
    pub(crate) fn new(packets: Packets<Stream>, server: Server) -> Self {
        Self {
            packets,
            server,
            statements: Statements::default(),
            awaited: VecDeque::new(),
            in_transaction: false,
            busy: false,
        }
    }

    /// What the server said of itself.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// Everything that was asked is answered, and no transaction is open: the next user may have it.
    pub fn is_idle(&self) -> bool {
        !self.busy && self.awaited.is_empty() && self.packets.queued() == 0 && !self.in_transaction
    }

    /// A transaction is open.
    pub fn in_transaction(&self) -> bool {
        self.in_transaction
    }

    /// Commands whose answers have not been received.
    pub fn awaited(&self) -> usize {
        self.awaited.len()
    }

    /// Bytes that are queued and not sent. Who queues much without receiving may wait for a server that waits for it.
    pub fn queued(&self) -> usize {
        self.packets.queued()
    }

    /// Queues a command as text.
    pub fn send_command(&mut self, sql: &str) {
        self.packets.command(|buffer| {
            buffer.push(command::QUERY);
            buffer.extend_from_slice(sql.as_bytes());
        });
        self.awaited.push_back(Awaited::Text);
    }

    /// Runs a command that answers no rows.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn command(&mut self, sql: &str) -> Result<Done, Error> {
        self.send_command(sql);
        self.flush().await?;
        self.receive(|_| Ok(())).await
    }

    /// Runs a query whose rows are few. For control, not for data.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn query(&mut self, sql: &str) -> Result<Vec<TextRow>, Error> {
        self.send_command(sql);
        self.flush().await?;
        let mut rows = Vec::new();
        self.answer(&mut |received| {
            if let Received::Text(packet, columns) = received {
                rows.push(text_row(packet, columns)?);
            }
            Ok::<(), Error>(())
        })
        .await?;
        Ok(rows)
    }

    /// A statement for this text, if it is prepared.
    pub fn prepared(&mut self, sql: &str) -> Option<Statement> {
        self.statements.find(sql)
    }

    /// A statement for this text, prepared now if it is not yet. Nothing may be awaited meanwhile.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn prepare(&mut self, sql: &str) -> Result<Statement, Error> {
        if let Some(statement) = self.prepared(sql) {
            return Ok(statement);
        }
        if self.busy || !self.awaited.is_empty() {
            return Err(Error::Abandoned);
        }
        self.packets.command(|buffer| {
            buffer.push(command::PREPARE);
            buffer.extend_from_slice(sql.as_bytes());
        });
        self.busy = true;
        self.packets.flush().await?;
        let place = self.packets.next().await?;
        let packet = self.packets.payload(&place);
        if packet.first() == Some(&0xff) {
            self.busy = false;
            return Err(ServerError::read(packet).into());
        }
        let mut cursor = Cursor(packet);
        cursor.byte()?;
        let (id, columns, params) = (cursor.u32()?, cursor.u16()?, cursor.u16()?);
        for _ in 0..usize::from(columns) + usize::from(params) {
            self.packets.next().await?;
        }
        self.busy = false;
        let (statement, closed) = self.statements.keep(sql, id, params.into());
        if let Some(closed) = closed {
            // Goes out with the next command; is not answered.
            self.packets.command(|buffer| {
                buffer.push(command::CLOSE);
                buffer.extend_from_slice(&closed.to_le_bytes());
            });
        }
        Ok(statement)
    }

    /// Queues an execution.
    ///
    /// # Errors
    /// [`Error::Protocol`] if the statement is not this connection's, or takes another number of parameters.
    pub fn send_execute(&mut self, statement: Statement, params: &[Param<'_>]) -> Result<(), Error> {
        let prepared =
            self.statements.get(statement).ok_or(Error::Protocol("a statement that is not prepared here"))?;
        if prepared.params != params.len() {
            return Err(Error::Protocol("a wrong number of parameters"));
        }
        let product = self.server.product;
        self.packets.command(|buffer| {
            buffer.push(command::EXECUTE);
            buffer.extend_from_slice(&statement.id.to_le_bytes());
            buffer.extend_from_slice(&[0, 1, 0, 0, 0]);
            push_params(buffer, params, product);
        });
        self.awaited.push_back(Awaited::Execution(statement));
        Ok(())
    }

    /// Sends what was queued.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub async fn flush(&mut self) -> Result<(), Error> {
        if self.busy {
            return Err(Error::Abandoned);
        }
        self.busy = true;
        self.packets.flush().await?;
        self.busy = false;
        Ok(())
    }

    /// Receives the answer to the oldest command that has none yet. Its rows, if it has any, are handed to `row`; an
    /// error of `row` is answered once the rest of the answer is read over.
    ///
    /// # Errors
    /// The server's, `row`'s, or a broken connection's.
    pub async fn receive<E: From<Error>>(
        &mut self,
        mut row: impl FnMut(&mut Row<'_>) -> Result<(), E>,
    ) -> Result<Done, E> {
        self.answer(&mut |received| match received {
            Received::Binary(mut received) => row(&mut received),
            Received::Text(..) => Ok(()),
        })
        .await
    }

    async fn answer<E: From<Error>>(
        &mut self,
        row: &mut (impl FnMut(Received<'_>) -> Result<(), E> + ?Sized),
    ) -> Result<Done, E> {
        let awaited = self.awaited.front().copied().ok_or(Error::Protocol("an answer without a question"))?;
        if std::mem::replace(&mut self.busy, true) {
            return Err(Error::Abandoned.into());
        }
        let mut outcome = Ok(());
        let done = loop {
            match self.one_result(awaited, row, &mut outcome).await {
                Ok(done) if done.more => {}
                other => break other,
            }
        };
        let done = match done {
            Err(error @ Error::Server(_)) => {
                self.busy = false;
                self.awaited.pop_front();
                return Err(error.into());
            }
            other => other?,
        };
        self.busy = false;
        self.awaited.pop_front();
        self.in_transaction = done.in_transaction;
        outcome.map(|()| done)
    }

    async fn one_result<E>(
        &mut self,
        awaited: Awaited,
        row: &mut (impl FnMut(Received<'_>) -> Result<(), E> + ?Sized),
        outcome: &mut Result<(), E>,
    ) -> Result<Done, Error> {
        let place = self.packets.next().await?;
        let packet = self.packets.payload(&place);
        let columns = match packet.first() {
            Some(0x00) => return Done::read(packet),
            Some(0xff) => return Err(ServerError::read(packet).into()),
            Some(0xfb) => return Err(Error::Protocol("the server asks for a local file")),
            _ => usize::try_from(Cursor(packet).length()?).map_err(|_| Error::Protocol("too many columns"))?,
        };
        self.definitions(awaited, columns).await?;
        loop {
            // Most rows came with the one before; asking for them step by step costs as much as decoding them.
            let place = match self.packets.next_received() {
                Some(place) => place,
                None => self.packets.next().await?,
            };
            let packet = self.packets.payload(&place);
            match packet.first() {
                Some(0xff) => return Err(ServerError::read(packet).into()),
                // A row of texts can begin like this, but is then longer than any packet that ends rows.
                Some(0xfe) if packet.len() < 0xff_ffff => return Done::read(packet),
                _ if outcome.is_err() => {}
                _ => match self.received(awaited, &place, columns)? {
                    Some(received) => *outcome = row(received),
                    None => return Err(Error::Protocol("rows of a statement that is gone")),
                },
            }
        }
    }

    fn received(&mut self, awaited: Awaited, place: &Place, columns: usize) -> Result<Option<Received<'_>>, Error> {
        let packet = self.packets.payload(place);
        match awaited {
            Awaited::Text => Ok(Some(Received::Text(packet, columns))),
            Awaited::Execution(statement) => match self.statements.get(statement) {
                Some(prepared) => Ok(Some(Received::Binary(Row::new(packet, &prepared.layouts)?))),
                None => Ok(None),
            },
        }
    }

    /// Reads the definitions of columns. They are the same as last time, nearly always, and then mean the same.
    async fn definitions(&mut self, awaited: Awaited, columns: usize) -> Result<(), Error> {
        let (mut at, mut same) = (0, true);
        for column in 0..columns {
            let place = self.packets.next().await?;
            let Awaited::Execution(statement) = awaited else { continue };
            let definition = self.packets.payload(&place);
            let prepared =
                self.statements.get(statement).ok_or(Error::Protocol("columns of a statement that is gone"))?;
            let end = at + definition.len();
            same = same && prepared.definitions.get(at..end) == Some(definition);
            if !same {
                prepared.definitions.truncate(at);
                prepared.definitions.extend_from_slice(definition);
                prepared.layouts.truncate(column);
                prepared.layouts.push(Layout::read(definition)?);
            }
            at = end;
        }
        if let Awaited::Execution(statement) = awaited
            && let Some(prepared) = self.statements.get(statement)
        {
            prepared.definitions.truncate(at);
            prepared.layouts.truncate(columns);
        }
        Ok(())
    }

    /// Sends a command whose answer has no end, such as `COM_BINLOG_DUMP`: its code and what it carries. The connection is
    /// for nothing else from then on.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Abandoned`] if anything is awaited.
    pub async fn stream(mut self, code: u8, arguments: &[u8]) -> Result<PacketStream, Error> {
        if !self.is_idle() {
            return Err(Error::Abandoned);
        }
        self.packets.command(|buffer| {
            buffer.push(code);
            buffer.extend_from_slice(arguments);
        });
        self.packets.flush().await?;
        Ok(PacketStream::new(self.packets))
    }

    /// Says goodbye. A connection that is merely dropped is noticed by the server, too.
    pub async fn close(mut self) {
        self.packets.command(|buffer| buffer.push(command::QUIT));
        let _ = self.packets.flush().await;
    }
}

/// A row on its way to whoever asked.
enum Received<'a> {
    Text(&'a [u8], usize),
    Binary(Row<'a>),
}
