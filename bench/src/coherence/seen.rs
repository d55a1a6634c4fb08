//! How soon a row that was changed behind the services is seen to be changed, and how often a row that everybody wants is read.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use rowkeep_mysql::{Address, Connection};
use testkit::{DatabaseServer, Product};

use super::{client::Client, workload::update};
use crate::{
    Result, figures,
    host::{self, LOAD_CORE},
    results::Line,
    server::Server,
};

const ROWS: u64 = 1000;
const INSTANCES: usize = 2;
const ROUNDS: u64 = 1000;
/// Who want the same row at once.
const CROWD: usize = 1000;

pub(crate) fn run() -> Result<Vec<Line>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let mut lines = Vec::new();
    for (product, figure) in [
        (Product::MariaDb, "a change made in SQL is seen by both instances, MariaDB"),
        (Product::MySql, "a change made in SQL is seen by both instances, MySQL"),
    ] {
        let lab = Lab::start(product)?;
        lines.push(runtime.block_on(lab.seen(figure))?);
        if product == Product::MariaDb {
            lines.push(runtime.block_on(lab.crowd())?);
        }
    }
    Ok(lines)
}

/// A database with services over it.
struct Lab {
    database: DatabaseServer,
    servers: Vec<Server>,
}

impl Lab {
    fn start(product: Product) -> Result<Self> {
        let database = DatabaseServer::start_with(product, &["--innodb-buffer-pool-size=256M"]);
        host::pin(database.id(), LOAD_CORE)?;
        database.admin(crate::FOLLOW);
        figures::fill_items(&database.url(), ROWS)?;
        let servers =
            (0..INSTANCES).map(|_| Server::rowkeep_cached_unaudited_on(&database.url())).collect::<Result<_>>()?;
        Ok(Self { database, servers })
    }

    async fn connection(&self) -> Result<Connection> {
        let address: Address = self.database.url().parse()?;
        Connection::open(&address).await.map_err(|error| error.to_string())
    }

    async fn seen(&self, figure: &'static str) -> Result<Line> {
        let clients = self.servers.iter().map(|server| Client::connect(&server.url)).collect::<Result<Vec<_>>>()?;
        let mut connection = self.connection().await?;
        let mut times = Vec::new();
        for number in 1..=ROUNDS {
            let id = i64::try_from(number % ROWS).unwrap_or(0) + 1;
            for client in &clients {
                client.read(id).await.map_err(|status| status.to_string())?;
            }
            if !update(&mut connection, id, number).await {
                return Err("an UPDATE failed".to_owned());
            }
            let written = Instant::now();
            let mut last = Duration::ZERO;
            for client in &clients {
                while client.read(id).await.map_err(|status| status.to_string())? != Some(number) {
                    if written.elapsed() > Duration::from_secs(10) {
                        return Err(format!("change {number} is not seen"));
                    }
                }
                last = last.max(written.elapsed());
            }
            times.push(last.as_secs_f64() * 1e3);
            // Not in step with whatever looks at the log from time to time.
            tokio::time::sleep(Duration::from_micros(rand::random_range(0..20_000))).await;
        }
        times.sort_by(f64::total_cmp);
        let at = |share: f64| times[(times.len() as f64 * share) as usize];
        let (p50, p99) = (at(0.5), at(0.99));
        Ok(Line {
            figure,
            value: format!("p50 {p50:.1} ms, p99 {p99:.1} ms"),
            beside: format!("{ROUNDS} changes, {INSTANCES} instances"),
            ratio: "-".to_owned(),
            bar: "p50 <= 3 ms, p99 <= 20 ms",
            met: p50 <= 3.0 && p99 <= 20.0,
        })
    }

    async fn crowd(&self) -> Result<Line> {
        let client = Client::connect(&self.servers[0].url)?;
        let mut connection = self.connection().await?;
        let mut most = 0;
        for round in 0..10 {
            let id = 500 + round;
            client.read(id).await.map_err(|status| status.to_string())?;
            if !update(&mut connection, id, 1).await {
                return Err("an UPDATE failed".to_owned());
            }
            // By then the row is told, and dropped; nobody has asked for it.
            tokio::time::sleep(Duration::from_millis(500)).await;
            let before = self.rows_read(&mut connection).await?;
            let crowd = Arc::new(client.clone());
            let asked = (0..CROWD).map(|_| {
                let client = Arc::clone(&crowd);
                tokio::task::spawn(async move { client.read(id).await })
            });
            for answer in asked.collect::<Vec<_>>() {
                let read = answer.await.map_err(|error| error.to_string())?.map_err(|status| status.to_string())?;
                if read != Some(1) {
                    return Err(format!("somebody was shown {read:?}"));
                }
            }
            most = most.max(self.rows_read(&mut connection).await? - before);
        }
        Ok(Line {
            figure: "rows read by the database when 1,000 clients want a row that was just changed",
            value: most.to_string(),
            beside: "the most of 10 rounds".to_owned(),
            ratio: "-".to_owned(),
            bar: "1",
            met: most == 1,
        })
    }

    async fn rows_read(&self, connection: &mut Connection) -> Result<u64> {
        let rows = connection.query("SHOW GLOBAL STATUS LIKE 'Handler_read_key'").await;
        let rows = rows.map_err(|error| error.to_string())?;
        let value = rows.first().and_then(|row| row.get(1)?.as_ref()?.parse().ok());
        value.ok_or_else(|| "the database does not say how many rows it has read".to_owned())
    }
}
