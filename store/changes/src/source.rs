//! Follows the log of whichever server it is told to.
//!
//! A lost connection is made again at what was told last, for as long as it takes. What was told is told once: of a large
//! transaction that was told in part, the rest.

use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

use rowkeep_binlog::{Error, Gtids, Item, Options};
use rowkeep_mysql::Address;
use tokio::time::{sleep, sleep_until};

use crate::event::Event;
use crate::gate::number;
use crate::link::{Link, options};
use crate::place::Progress;
use crate::queue::Queue;
use crate::{Acked, Place, Take};

/// Between two questions how far the server is, if nothing else is to be asked.
const PERIOD: Duration = Duration::from_millis(400);
/// Between two questions what can be seen, if the last one brought nothing: the first, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_micros(500), Duration::from_millis(10));
/// Between two attempts to connect: the first, and the longest.
const RETRIES: (Duration, Duration) = (Duration::from_millis(20), Duration::from_secs(1));
/// A new primary may still be at work on what it received. What it lacks for longer is lost; until then it may be read from
/// what was derived, the cache among it.
const CATCH_UP: Duration = Duration::from_secs(3);

/// What happens in a server's log, once it can be seen.
#[derive(Debug)]
pub struct Source<K: Take> {
    take: K,
    /// Of a shard behind Vitess's gateway, the database is `keyspace:shard@primary`.
    address: Address,
    options: Options,
    link: Option<Link>,
    /// The server that was begun with; `None` if a beginning is to be told.
    identity: Option<String>,
    progress: Option<Progress>,
    queue: Queue<K::Table, K::Row>,
    out: Vec<Event<K::Table, K::Row>>,
    /// What was written by a moment and is not all told yet.
    awaited: Option<(Instant, Gtids)>,
    /// When to ask next how far the server is.
    due: Instant,
    /// When to ask next what can be seen, unless there is no room for more.
    ask_at: Instant,
    pause: Duration,
    retry: Duration,
    /// Since when the server lacks something that was told.
    behind: Option<Instant>,
    /// What was acknowledged to this process, if anybody says so.
    acked: Option<Arc<Acked>>,
}

impl<K: Take> Source<K> {
    /// Of the server at this address, behind what was told already; behind what can be seen once
    /// [`connect`](Self::connect) has succeeded, if that is `None`.
    pub fn new(address: Address, told: Option<Progress>, take: K) -> Self {
        Self {
            take,
            address,
            options: options(),
            link: None,
            identity: None,
            progress: told,
            queue: Queue::new(),
            out: Vec::new(),
            awaited: None,
            due: Instant::now(),
            ask_at: Instant::now(),
            pause: PAUSES.0,
            retry: RETRIES.0,
            behind: None,
            acked: None,
        }
    }

    /// Somebody notes here which commits servers have acknowledged to this process, and spares them many questions.
    #[must_use]
    pub fn with_acked(self, acked: Arc<Acked>) -> Self {
        Self { acked: Some(acked), ..self }
    }

    /// Goes on with another server.
    pub fn go_on_at(&mut self, address: Address) {
        self.address = address;
        self.identity = None;
        self.behind = None;
        self.disconnect();
    }

    /// The most rows and the most bytes that were ever held back.
    pub fn most_held(&self) -> (usize, usize) {
        self.queue.most()
    }

    /// Whether there is a connection.
    pub fn is_connected(&self) -> bool {
        self.link.is_some()
    }

    /// Behind what was told last; nothing before [`connect`](Self::connect).
    pub fn place(&self) -> Option<&Place> {
        self.progress.as_ref().map(Progress::place)
    }

    /// What happened next: one event or more. May be given up half way: nothing is lost.
    ///
    /// # Errors
    /// What connecting again would not help against. [`Error::Purged`] and [`Error::Diverged`]: something is missing between
    /// what was told and what there is.
    pub async fn next(&mut self) -> Result<Vec<Event<K::Table, K::Row>>, Error> {
        loop {
            if !self.out.is_empty() {
                return Ok(std::mem::take(&mut self.out));
            }
            match self.step().await {
                Ok(()) => {}
                Err(error) if error.is_transient() => {
                    tracing::debug!(%error, server = %self.address, "the connection to the log is made again");
                    self.disconnect();
                    sleep(self.retry).await;
                    self.retry = (self.retry * 2).min(RETRIES.1);
                }
                Err(error) => return Err(error),
            }
        }
    }

    async fn step(&mut self) -> Result<(), Error> {
        if self.link.is_none() {
            return self.connect().await;
        }
        self.read().await?;
        self.release().await?;
        self.look().await
    }

    fn disconnect(&mut self) {
        self.link = None;
        self.queue.reset();
        self.awaited = None;
    }

    /// Connects once, if it is not connected.
    ///
    /// # Errors
    /// As of [`next`](Self::next), and those that may go by.
    pub async fn connect(&mut self) -> Result<(), Error> {
        if self.link.is_some() {
            return Ok(());
        }
        let told = self.progress.as_ref().map(Progress::told);
        let (mut link, told) = match Link::open(&self.address, told, &self.options).await? {
            Ok(opened) => opened,
            Err(history) => return self.lacks(&history).await,
        };
        link.introduce(&mut self.take).await?;
        let last = link.last_of(&told).await?;
        // Not taken out before: what fails or is given up above must leave it as it is.
        let progress = match self.progress.take() {
            Some(progress) if progress.place().commit.is_some() => progress,
            _ => Progress::new(told.clone(), last),
        };
        if self.identity.as_ref() != Some(&link.identity) {
            self.identity = Some(link.identity.clone());
            self.out.push(Event::Begin { place: progress.place().clone(), told, server: link.identity.clone() });
        }
        (self.progress, self.link, self.behind, self.retry) = (Some(progress), Some(link), None, RETRIES.0);
        self.due = Instant::now();
        Ok(())
    }

    /// The server does not have all that was told: waits for a while, in case it is about to.
    async fn lacks(&mut self, history: &Gtids) -> Result<(), Error> {
        let since = *self.behind.get_or_insert_with(Instant::now);
        if since.elapsed() < CATCH_UP {
            sleep(RETRIES.0 * 5).await;
            return Ok(());
        }
        Err(Error::Diverged(format!("{} has {history} only", self.address)))
    }

    /// Takes in what there is, and waits for more until there is something to ask.
    async fn read(&mut self) -> Result<(), Error> {
        let Self { take, link: Some(link), queue, due, ask_at, awaited, .. } = self else { return Ok(()) };
        let began = Instant::now();
        let mut received = false;
        while !queue.is_full() {
            let until = if queue.is_empty() { *due } else { *ask_at };
            let item = if queue.is_short() {
                // Nothing of it can be told before the next question: what arrives meanwhile need not wake anybody.
                match at_once(link.reader.next()) {
                    Some(item) => item?,
                    None if Instant::now() < until => {
                        sleep_until(until.into()).await;
                        continue;
                    }
                    None => break,
                }
            } else {
                tokio::select! {
                    biased;
                    item = link.reader.next() => item?,
                    () = until_moment(until) => break,
                }
            };
            match &item {
                Item::Rotate(position) => link.file = number(position.file.as_bytes()),
                Item::Checkpoint(file) => link.gate.checkpoint(number(file)),
                _ => {}
            }
            queue.item(item, link.file, take)?;
            received = true;
            if take.asks() {
                link.introduce(take).await?;
            }
        }
        let in_vain = (!received && !queue.is_full()).then(|| began.elapsed());
        link.waited(in_vain, awaited.is_some())
    }

    /// Tells what can be seen of what was read.
    async fn release(&mut self) -> Result<(), Error> {
        let Self {
            address, options, link: Some(link), queue, progress: Some(progress), out, ask_at, pause, acked, ..
        } = self
        else {
            return Ok(());
        };
        let is_full = queue.is_full();
        if !is_full && (queue.is_empty() || Instant::now() < *ask_at) {
            return Ok(());
        }
        let acked = acked.as_ref().zip(link.acknowledges).map(|(acked, server)| acked.by(server, link.begun));
        if !is_full && acked.is_some_and(|acked| queue.release_acked(&acked, progress, out)) {
            (*pause, *ask_at) = (PAUSES.0, Instant::now() + link.gate.rest());
            return Ok(());
        }
        if is_full && *pause > PAUSES.0 {
            // The last answer made no room.
            until_moment(*ask_at).await;
        }
        let shown = link.gate.ask().await?;
        let mut moved = queue.release(&shown, progress, out);
        let (file, offset) = link.reader.place();
        let at = (number(file.as_bytes()), offset);
        moved |= queue.part(&shown, at, progress, out);
        if is_full && !moved {
            link.look_ahead(address, options, &shown, queue.held_in().unwrap_or(at.0)).await?;
        }
        let wait = if moved { link.gate.rest() } else { *pause };
        *pause = if moved { PAUSES.0 } else { (*pause * 2).min(PAUSES.1) };
        *ask_at = Instant::now() + wait;
        Ok(())
    }

    /// Now and then asks how far the server is, and tells once all of that was told.
    async fn look(&mut self) -> Result<(), Error> {
        let Self { link: Some(link), progress: Some(progress), out, awaited, due, .. } = self else { return Ok(()) };
        let moment = Instant::now();
        if moment >= *due {
            *due = moment + PERIOD;
            if awaited.is_none() {
                *awaited = Some((moment, link.gate.written().await?));
            }
        }
        if let Some((moment, _)) = awaited.take_if(|(_, written)| written.is_subset_of(progress.told())) {
            out.push(Event::Current { moment, place: progress.place().clone() });
        }
        Ok(())
    }
}

/// What is ready now. Nobody is woken by what comes later.
fn at_once<T>(future: impl Future<Output = T>) -> Option<T> {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(ready) => Some(ready),
        Poll::Pending => None,
    }
}

/// Without a timer if the moment has passed.
async fn until_moment(moment: Instant) {
    if moment > Instant::now() {
        sleep_until(moment.into()).await;
    }
}
