//! Follows a server's log.
//!
//! A [`Reader`] is one connection and one attempt: when it fails, the caller decides ([`Error::is_transient`]) whether to
//! open another at the [`Position`] it keeps with its own data. That position, not the reader's, says what was done.
//!
//! ## What is checked before the first event
//! That rows are logged, whole and with names; that the position is of this product. What the log cannot show at all is
//! listed in [`Reader::hidden`]: MariaDB logs no rows that a foreign key's cascade changes. Not seen by it: a session's own
//! settings. Where one logs statements, they come as [`Item::Statement`]; where it logs parts of rows,
//! [`Image::has`](crate::Image::has) says so; where it logs nothing (`sql_log_bin=0`), nobody can know.
//!
//! ## Half-open connections
//! The server sends a heartbeat when it has nothing else to send for a period. Twice the period without a packet is a lost
//! connection: [`Error::Silent`].
//!
//! ## Behind Vitess's gateway
//! An address whose database is `keyspace:shard` leads to the log of the server that is the shard's primary. The gateway passes
//! on that it is read, and from where; not that there are to be heartbeats, so that who reads has to find out otherwise
//! whether there is something to wait for. When the primary is another, it ends the stream.

mod checks;
mod dump;
mod refusal;

use std::time::Duration;

use rowkeep_mysql::{Address, Connection, PacketStream, Product};

use crate::{Error, Gtids, Item, Position, decoder::Decoder};
pub use checks::Hidden;

/// Nobody waits as long.
const FOREVER: Duration = Duration::from_secs(1 << 31);

/// How to read.
#[derive(Debug, Clone)]
pub struct Options {
    /// This reader's number among all replicas and readers of the server; it must be nobody else's. A new connection with
    /// the same number ends the old one.
    pub server_id: u32,
    /// Period of the signs of life.
    pub heartbeat: Duration,
    /// Ask MariaDB for the texts of statements ([`Item::Annotation`]). MySQL sends what it logs.
    pub annotations: bool,
    /// Refuse a server whose updates do not have all columns (`binlog_row_image` other than `FULL`).
    pub whole_rows: bool,
    /// Refuse a server that does not log names and keys (`binlog_row_metadata` other than `FULL`).
    pub names: bool,
}

impl Options {
    /// With a number that is random enough among a few hundred.
    pub fn new() -> Self {
        use std::hash::{BuildHasher, RandomState};
        let random = RandomState::new().hash_one(std::process::id());
        // Far from the numbers that people give by hand.
        let server_id = 0x4000_0000 | (random as u32 & 0x3fff_ffff);
        Self { server_id, heartbeat: Duration::from_secs(5), annotations: false, whole_rows: true, names: true }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self::new()
    }
}

/// Where to begin.
#[derive(Debug, Clone)]
pub enum Start {
    /// Behind all that the server has committed now. To read a snapshot without a gap, open the reader first.
    Now,
    /// Behind these transactions.
    After(Gtids),
    /// At a place in a file, as [`Position`] or the server's own status has it. Must be the start of a transaction.
    At {
        /// Name of the file.
        file: String,
        /// Place in it; 4 is the start.
        offset: u64,
    },
}

impl From<&Position> for Start {
    fn from(position: &Position) -> Self {
        match &position.gtids {
            Some(gtids) => Self::After(gtids.clone()),
            None => Self::At { file: position.file.clone(), offset: position.offset },
        }
    }
}

/// A server's log from a position on, without end.
#[derive(Debug)]
pub struct Reader {
    stream: PacketStream,
    decoder: Decoder,
    patience: Duration,
    hidden: Vec<Hidden>,
    server_id: u32,
    product: Product,
}

impl Reader {
    /// Connects, checks what the server logs, and begins.
    ///
    /// # Errors
    /// [`Error::Configuration`] with all that has to be set; [`Error::OtherDialect`], [`Error::MySql`]. That a position is
    /// not there is known at the first [`next`](Self::next) only.
    pub async fn open(address: &Address, start: Start, options: &Options) -> Result<Self, Error> {
        Self::begin(address, start, options).await.map_err(|error| match error {
            Error::MySql(error) => refusal::classify(error, options.server_id, options.heartbeat * 2),
            error => error,
        })
    }

    async fn begin(address: &Address, start: Start, options: &Options) -> Result<Self, Error> {
        let mut connection = Connection::open(address).await?;
        let product = connection.server().product;
        let settings = checks::settings(&mut connection).await?;
        checks::check(&settings, product, options)?;
        let hidden = checks::hidden(&mut connection, product).await?;
        let position = dump::position(&mut connection, start, &settings).await?;
        dump::prepare(&mut connection, &position, options).await?;
        let (code, arguments) = dump::command(product, &position, options)?;
        let stream = connection.stream(code, &arguments).await?;
        let decoder = Decoder::new(position, settings.checksum);
        let patience = if product == Product::Vitess { FOREVER } else { options.heartbeat * 2 };
        Ok(Self { stream, decoder, patience, hidden, server_id: options.server_id, product })
    }

    /// Whose server it is.
    pub fn product(&self) -> Product {
        self.product
    }

    /// Tables whose changes the log does not show in full.
    pub fn hidden(&self) -> &[Hidden] {
        &self.hidden
    }

    /// Behind the last transaction that was handed out.
    pub fn position(&self) -> &Position {
        self.decoder.position()
    }

    /// Where reading is: the file, and the place behind what was handed out last, inside of a transaction, too.
    pub fn place(&self) -> (&str, u64) {
        self.decoder.place()
    }

    /// What happened next. May be given up half way (a dropped future): nothing is lost.
    ///
    /// # Errors
    /// [`Error`]; the reader is of no use then.
    pub async fn next(&mut self) -> Result<Item<'_>, Error> {
        while !self.decoder.advance(event(self.stream.packet()))? {
            match self.stream.advance(self.patience).await {
                Ok(true) => self.decoder.start(),
                Ok(false) => return Err(Error::Ended),
                Err(error) => return Err(refusal::classify(error, self.server_id, self.patience)),
            }
        }
        self.decoder.item(event(self.stream.packet()))
    }
}

/// The event in a packet, behind the byte that says there is one.
#[inline]
fn event(packet: &[u8]) -> &[u8] {
    packet.get(1..).unwrap_or_default()
}
