//! Readers and writers of rows that have one writer each.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use rowkeep_mysql::{Address, Connection, Param};

use super::{
    client::Client,
    judge::{History, Tally},
};
use crate::Result;

/// One write in so many goes past the services, straight to the database.
const BEHIND: u64 = 10;
/// Of rows, the share that is read most.
const HOT: f64 = 0.05;

/// What is done, until it is stopped.
pub(crate) struct Workload {
    pub(crate) clients: Vec<Client>,
    pub(crate) database: Address,
    pub(crate) histories: Vec<History>,
    pub(crate) stopped: AtomicBool,
}

impl Workload {
    pub(crate) fn new(urls: &[&str], database: &str, rows: usize) -> Result<Arc<Self>> {
        Ok(Arc::new(Self {
            clients: urls.iter().map(|url| Client::connect(url)).collect::<Result<_>>()?,
            database: database.parse()?,
            histories: (0..rows).map(|_| History::default()).collect(),
            stopped: AtomicBool::new(false),
        }))
    }

    /// As many readers and writers. Ends once stopped, with what was read.
    pub(crate) async fn run(self: &Arc<Self>, readers: usize, writers: usize) -> Result<Tally> {
        let mut running = Vec::new();
        let writing: Vec<_> = (0..writers).map(|own| tokio::spawn(Arc::clone(self).write(own, writers))).collect();
        for _ in 0..readers {
            running.push(tokio::spawn(Arc::clone(self).read()));
        }
        let mut tally = Tally::default();
        for reader in running {
            tally.add(&reader.await.map_err(|error| error.to_string())?);
        }
        for writer in writing {
            writer.await.map_err(|error| error.to_string())??;
        }
        Ok(tally)
    }

    /// Writes that were answered.
    pub(crate) fn writes(&self) -> usize {
        self.histories.iter().map(History::len).sum()
    }

    fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Acquire)
    }

    fn client(&self) -> &Client {
        &self.clients[rand::random_range(0..self.clients.len())]
    }

    async fn read(self: Arc<Self>) -> Tally {
        let mut tally = Tally::default();
        let rows = self.histories.len();
        let hot = ((rows as f64 * HOT) as usize).max(1);
        while !self.is_stopped() {
            let row = rand::random_range(0..if rand::random_bool(0.8) { hot } else { rows });
            let began = Instant::now();
            match self.client().read(id(row)).await {
                Ok(shown) => tally.read(self.histories[row].staleness(shown.unwrap_or(0), began)),
                Err(_) => {
                    tally.failed += 1;
                    tokio::time::sleep(std::time::Duration::from_millis(1)).await;
                }
            }
        }
        tally
    }

    /// Writes every row whose place leaves this remainder.
    async fn write(self: Arc<Self>, own: usize, writers: usize) -> Result<()> {
        let mut behind = Connection::open(&self.database).await.map_err(|error| error.to_string())?;
        let mut number = 0;
        let mine: Vec<usize> = (own..self.histories.len()).step_by(writers).collect();
        while !self.is_stopped() {
            number += 1;
            // The rows that are read most are written most.
            let at = (mine.len() as f64 * rand::random_range(0.0_f64..1.0).powi(3)) as usize;
            let row = mine[at.min(mine.len() - 1)];
            let written = match number % BEHIND {
                0 => update(&mut behind, id(row), number).await,
                _ => self.client().write(id(row), number).await.is_ok(),
            };
            if written {
                self.histories[row].acknowledged(number);
            }
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
        Ok(())
    }
}

/// Rows are numbered from 1.
fn id(row: usize) -> i64 {
    i64::try_from(row).unwrap_or(i64::MAX - 1) + 1
}

/// A write as somebody makes it who knows of no service.
pub(crate) async fn update(connection: &mut Connection, id: i64, number: u64) -> bool {
    let name = format!("v{number}");
    let Ok(statement) = connection.prepare("UPDATE items SET name = ? WHERE id = ?").await else { return false };
    let params = [Param::Text(&name), Param::Int(id)];
    connection.send_execute(statement, &params).is_ok()
        && connection.flush().await.is_ok()
        && connection.receive(|_| Ok::<(), rowkeep_mysql::Error>(())).await.is_ok()
}
