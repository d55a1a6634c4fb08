//! What the tests share: tables of two numbers, and a follower that takes them.
#![allow(dead_code, reason = "every test file uses a part")]
#![allow(clippy::unwrap_used, reason = "clippy knows tests only by their attribute")]

use std::time::{Duration, Instant};

use rowkeep_binlog::{Cell, Error, Hidden, Image, Rows, Statement};
use rowkeep_changes::{Event, Place, Source, Take, Taken, Touched, resume};
use rowkeep_mysql::{Address, Connection};
use testkit::{DatabaseServer, Product};

/// Before and after: the numbers of the first two columns.
pub(crate) type Change = (&'static str, Option<(i64, i64)>, Option<(i64, i64)>);

/// Takes the tables `a` and `b` of the database `test`.
#[derive(Debug)]
pub(crate) struct Pairs;

impl Take for Pairs {
    type Table = &'static str;
    type Row = Change;

    async fn ask(&mut self, _: &mut Connection, _: &[Hidden]) -> Result<(), Error> {
        Ok(())
    }

    fn rows(&mut self, mut rows: Rows<'_>, into: &mut Taken<&'static str, Change>) -> Result<(), Error> {
        let Some(name) = ["a", "b"].into_iter().find(|name| rows.table().name == *name) else { return Ok(()) };
        while let Some(row) = rows.next()? {
            into.push(name, (name, row.before.map(pair), row.after.map(pair)), 16);
        }
        Ok(())
    }

    fn statement(&mut self, statement: &Statement<'_>) -> Touched<&'static str> {
        let text = String::from_utf8_lossy(statement.text).into_owned();
        let named = ["a", "b"].into_iter().filter(|name| text.ends_with(&format!(" {name}")));
        Touched::Some(named.collect())
    }
}

fn pair(image: Image<'_>) -> (i64, i64) {
    let number = |column| match image.cell(column).unwrap().unwrap() {
        Cell::Int(number) => number,
        other => panic!("{other:?}"),
    };
    (number(0), number(1))
}

pub(crate) fn address(server: &DatabaseServer) -> Address {
    server.url().parse().unwrap()
}

/// A server with the tables, whose usual user may follow its log.
pub(crate) async fn server(product: Product, options: &[&str]) -> DatabaseServer {
    let server = DatabaseServer::start_with(product, options);
    prepare(&server).await;
    server
}

pub(crate) async fn prepare(server: &DatabaseServer) {
    server.admin("GRANT REPLICATION SLAVE ON *.* TO app@'127.0.0.1'");
    let mut writer = writer(server).await;
    for table in ["a", "b"] {
        writer.command(&format!("CREATE TABLE {table} (id INT PRIMARY KEY, v INT NOT NULL, t TEXT)")).await.unwrap();
    }
}

pub(crate) async fn writer(server: &DatabaseServer) -> Connection {
    Connection::open(&address(server)).await.unwrap()
}

pub(crate) async fn run(writer: &mut Connection, statements: &[&str]) {
    for statement in statements {
        let done = writer.command(statement).await;
        done.unwrap_or_else(|error| panic!("{statement}: {error}"));
    }
}

/// What was told, without places.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Told {
    Begin,
    Rows(Vec<Change>),
    Part(Vec<Change>),
    Rewritten(Option<&'static str>),
}

pub(crate) struct Follower {
    pub(crate) source: Source<Pairs>,
    pub(crate) told: Vec<Told>,
    /// Behind the last commit.
    pub(crate) place: Option<Place>,
    /// Behind the first.
    pub(crate) first: Option<Place>,
    /// The last moment by which all was told.
    pub(crate) current: Option<Instant>,
}

impl Follower {
    /// From now on.
    pub(crate) async fn now(address: Address) -> Self {
        Self::from(address, None).await.unwrap()
    }

    pub(crate) async fn from(address: Address, place: Option<&Place>) -> Result<Self, Error> {
        let progress = place.map(|place| {
            let (mariadb, number) = match place.commit.unwrap() {
                rowkeep_binlog::Gtid::MySql(gtid) => (false, gtid.number),
                rowkeep_binlog::Gtid::MariaDb(gtid) => (true, gtid.number),
            };
            resume(mariadb, &place.base, number).unwrap()
        });
        let mut source = Source::new(address, progress, Pairs);
        source.connect().await?;
        Ok(Self { source, told: Vec::new(), place: None, first: None, current: None })
    }

    /// What comes next.
    pub(crate) async fn more(&mut self) -> Result<(), Error> {
        let next = tokio::time::timeout(Duration::from_secs(60), self.source.next());
        for event in next.await.expect("something within a minute")? {
            match event {
                Event::Begin { place, .. } => {
                    self.place = Some(place);
                    self.told.push(Told::Begin);
                }
                Event::Commit { place, more, rows, .. } => {
                    if !more {
                        self.first.get_or_insert_with(|| place.clone());
                        self.place = Some(place);
                    }
                    self.told.push(if more { Told::Part(rows) } else { Told::Rows(rows) });
                }
                Event::Rewritten { table, place, more } => {
                    if !more {
                        self.place = Some(place);
                    }
                    self.told.push(Told::Rewritten(table));
                }
                Event::Current { moment, .. } => self.current = Some(moment),
            }
        }
        Ok(())
    }

    /// Follows until everything that was acknowledged by now is told.
    pub(crate) async fn catch_up(&mut self) {
        let now = Instant::now();
        while self.current.is_none_or(|current| current < now) {
            self.more().await.unwrap();
        }
    }

    /// All rows in order.
    pub(crate) fn rows(&self) -> Vec<Change> {
        let rows = |told: &Told| match told {
            Told::Rows(rows) | Told::Part(rows) => rows.clone(),
            Told::Begin | Told::Rewritten(_) => Vec::new(),
        };
        self.told.iter().flat_map(rows).collect()
    }

    /// The numbers of rows that were added.
    pub(crate) fn added(&self) -> Vec<i64> {
        self.rows().iter().filter_map(|(_, _, after)| after.map(|(id, _)| id)).collect()
    }
}

pub(crate) fn added(table: &'static str, id: i64, v: i64) -> Change {
    (table, None, Some((id, v)))
}
