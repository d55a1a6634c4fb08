//! The two connections to one server: its log, and the gate beside it.

use std::time::{Duration, Instant};

use rowkeep_binlog::{Error, Gtid, Gtids, Item, Options, Reader, Start};
use rowkeep_mysql::Address;

use crate::gate::{Gate, Shown, number};
use crate::{Take, done};

/// Period of the server's signs of life. Twice as long without one, and the connection is held for lost.
const HEARTBEAT: Duration = Duration::from_secs(2);

/// Between two looks ahead.
const LOOKS: Duration = Duration::from_millis(100);

/// How a source reads: its number among the readers of a server stays, so that its next connection ends its last one.
pub(crate) fn options() -> Options {
    Options { heartbeat: HEARTBEAT, ..Options::new() }
}

/// A connected server.
#[derive(Debug)]
pub(crate) struct Link {
    pub(crate) reader: Reader,
    pub(crate) gate: Gate,
    /// What tells it from another server.
    pub(crate) identity: String,
    /// The number that its own commits have in their GTIDs, if it makes them visible in their order.
    pub(crate) acknowledges: Option<u32>,
    /// Before it was connected to.
    pub(crate) begun: Instant,
    /// The file that is read.
    pub(crate) file: u64,
    /// How long it was waited for something that did not come.
    silence: Duration,
    /// When the log was last looked into ahead of what is read.
    looked: Option<Instant>,
}

impl Link {
    /// Begins behind these transactions, or behind all that can be seen now. `Ok(Err(..))`: the server does not have them
    /// all, but these.
    pub(crate) async fn open(
        address: &Address,
        told: Option<&Gtids>,
        options: &Options,
    ) -> Result<Result<(Self, Gtids), Gtids>, Error> {
        let begun = Instant::now();
        let mut gate = Gate::open(address).await?;
        let identity = gate.identity().await?;
        let acknowledges = gate.acknowledges(&identity).await?;
        let told = match told {
            None => gate.visible(address, options).await?,
            Some(told) => {
                let history = gate.history().await?;
                if !told.is_subset_of(&history) {
                    return Ok(Err(history));
                }
                told.clone()
            }
        };
        let mut reader = Reader::open(address, Start::After(told.clone()), options).await?;
        // The file's name comes first, or the reason why there is nothing to read.
        let file = match reader.next().await? {
            Item::Rotate(position) => number(position.file.as_bytes()),
            _ => return Err(Error::Malformed("a log that does not begin with the name of its file")),
        };
        if gate.is_gateway() {
            // The log is the same server's that was asked for its history, because it still is who answers.
            gate.history().await?;
        }
        Ok(Ok((
            Self { reader, gate, identity, acknowledges, begun, file, silence: Duration::ZERO, looked: None },
            told,
        )))
    }

    /// Has whoever takes the rows ask what it wants to know.
    pub(crate) async fn introduce(&mut self, take: &mut impl Take) -> Result<(), Error> {
        self.gate.introduce(take, self.reader.hidden()).await
    }

    /// Something was received, or was waited for in vain for this long. Time in which nobody waited does not count, nor, behind
    /// a gateway, which passes on no signs of life, if nothing is known to be there. `is_awaited`: something is.
    ///
    /// # Errors
    /// Nothing was received for too long.
    pub(crate) fn waited(&mut self, in_vain: Option<Duration>, is_awaited: bool) -> Result<(), Error> {
        let in_vain = in_vain.filter(|_| is_awaited || !self.gate.is_gateway());
        self.silence = in_vain.map_or(Duration::ZERO, |time| self.silence + time);
        let patience = HEARTBEAT * 2;
        if self.silence > patience { Err(Error::Silent(patience)) } else { Ok(()) }
    }

    /// Nothing more is read before something of this file can be seen, and a snapshot lies in a later one: looks there whether
    /// the file is done with.
    pub(crate) async fn look_ahead(
        &mut self,
        address: &Address,
        options: &Options,
        shown: &Shown,
        held: u64,
    ) -> Result<(), Error> {
        let Shown::Upto { file, offset, .. } = *shown else { return Ok(()) };
        if held >= file || self.looked.is_some_and(|looked| looked.elapsed() < LOOKS) {
            return Ok(());
        }
        let name = self.gate.file().into_owned();
        let snapshot = done::Snapshot { name: &name, offset };
        let done = done::before(address, options, snapshot, held).await?;
        self.gate.checkpoint(done);
        self.looked = Some(Instant::now());
        Ok(())
    }

    /// The commit by which to name a place behind these: the server's own last one, or any if it has written none.
    pub(crate) async fn last_of(&mut self, told: &Gtids) -> Result<Option<Gtid>, Error> {
        Ok(match told {
            Gtids::MySql(told) => {
                let uuid = u128::from_str_radix(&self.identity.replace('-', ""), 16).unwrap_or(0);
                let last = told.iter().filter_map(|(source, runs)| {
                    let number = runs.last()?.1;
                    Some(rowkeep_binlog::MySqlGtid { source: *source, number })
                });
                last.max_by_key(|gtid| (gtid.source.uuid == uuid, gtid.source.tag.is_none(), gtid.number))
                    .map(Gtid::MySql)
            }
            Gtids::MariaDb(told) => {
                let domain = self.gate.domain().await?;
                told.iter().max_by_key(|gtid| (gtid.domain == domain, gtid.number)).copied().map(Gtid::MariaDb)
            }
        })
    }
}
