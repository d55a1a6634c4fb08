//! What the tests share: a place of their own on a server, and the log as values that borrow nothing.

#![allow(dead_code, reason = "every test file uses a part")]
#![allow(clippy::unwrap_used, reason = "clippy knows tests only by their attribute")]

pub(crate) mod files;
pub(crate) mod types;

use std::sync::{
    Mutex, OnceLock,
    atomic::{AtomicUsize, Ordering},
};
use std::time::Duration;

use rowkeep_binlog::{Cell, Change, Error, Item, Options, Outcome, Reader, Start, Xid};
use rowkeep_mysql::{Address, Connection, DateTime};
use testkit::{DatabaseServer, Product};

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Value {
    Null,
    Int(i64),
    Uint(u64),
    Float(f32),
    Double(f64),
    Bytes(Vec<u8>),
    DateTime(DateTime),
    Time(i64),
    Patch,
}

pub(crate) type Cells = Vec<Option<Value>>;

/// What happened, with a table's name in front of its rows.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Event {
    Begin(String),
    Insert(String, Cells),
    Update(String, Cells, Cells),
    Delete(String, Cells),
    /// Default database and text.
    Statement(String, String),
    Annotation(String),
    Savepoint(String),
    RollbackTo(String),
    Committed,
    RolledBack,
    Prepared(Xid),
    Decided(Xid, bool),
    Incident,
    Rotate(String),
    Heartbeat,
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// As `SELECT` answers it over the binary protocol. `members`: of an ENUM or SET.
pub(crate) fn value(cell: Cell<'_>, members: &[Vec<u8>]) -> Value {
    match cell {
        Cell::Null => Value::Null,
        Cell::Int(value) => Value::Int(value),
        Cell::Uint(value) => Value::Uint(value),
        Cell::Year(value) => Value::Uint(value.into()),
        Cell::Float(value) => Value::Float(value),
        Cell::Double(value) => Value::Double(value),
        Cell::Decimal(value) => Value::Bytes(value.to_string().into_bytes()),
        Cell::Date(value) | Cell::DateTime(value) => Value::DateTime(value),
        Cell::Timestamp(value) => Value::DateTime(value.utc()),
        Cell::Time(value) => Value::Time(value),
        Cell::Bytes(value) | Cell::Geometry(value) | Cell::Vector(value) => Value::Bytes(value.to_vec()),
        Cell::Bit(value) => Value::Uint(value),
        Cell::Enum(0) => Value::Bytes(Vec::new()),
        Cell::Enum(at) => Value::Bytes(members[usize::from(at) - 1].clone()),
        Cell::Set(bits) => {
            let set = members.iter().enumerate().filter(|(at, _)| bits & 1 << at != 0).map(|(_, name)| name.clone());
            Value::Bytes(set.collect::<Vec<_>>().join(&b','))
        }
        Cell::Json(json) => Value::Bytes(json.text().unwrap().into_bytes()),
        Cell::JsonPatch(_) => Value::Patch,
        Cell::Compressed(_) => Value::Bytes(cell.inflated().unwrap().unwrap()),
    }
}

/// Copies an item; rows become one event each.
pub(crate) fn copy(item: Item<'_>, into: &mut Vec<Event>) -> Result<(), Error> {
    into.push(match item {
        Item::Begin(begin) => Event::Begin(begin.gtid.map(|gtid| gtid.to_string()).unwrap_or_default()),
        Item::Rows(mut rows) => {
            let table = rows.table();
            let name = format!("{}.{}", table.database, table.name);
            let change = rows.change();
            let cells = |image: Option<rowkeep_binlog::Image<'_>>| -> Result<Cells, Error> {
                let image = image.unwrap();
                let cell = |at: usize| Ok(image.cell(at)?.map(|cell| value(cell, &table.columns[at].members)));
                (0..table.columns.len()).map(cell).collect()
            };
            while let Some(row) = rows.next()? {
                into.push(match change {
                    Change::Insert => Event::Insert(name.clone(), cells(row.after)?),
                    Change::Update => Event::Update(name.clone(), cells(row.before)?, cells(row.after)?),
                    Change::Delete => Event::Delete(name.clone(), cells(row.before)?),
                });
            }
            return Ok(());
        }
        Item::Statement(statement) => Event::Statement(text(statement.database), text(statement.text)),
        Item::Annotation(statement) => Event::Annotation(text(statement)),
        Item::Savepoint(name) => Event::Savepoint(text(name)),
        Item::RollbackTo(name) => Event::RollbackTo(text(name)),
        Item::End(end) => match end.outcome {
            Outcome::Committed => Event::Committed,
            Outcome::RolledBack => Event::RolledBack,
            Outcome::Prepared(xid) => Event::Prepared(xid.clone()),
            Outcome::Decided { xid, committed } => Event::Decided(xid.clone(), committed),
        },
        Item::Incident(_) => Event::Incident,
        Item::Rotate(position) => Event::Rotate(position.file.clone()),
        Item::Xa | Item::Checkpoint(_) => return Ok(()),
        Item::Heartbeat => Event::Heartbeat,
    });
    Ok(())
}

/// A user who may follow the log and look at what all may.
pub(crate) fn reader_url(server: &DatabaseServer) -> String {
    static MADE: OnceLock<Mutex<Vec<(u16, String)>>> = OnceLock::new();
    let mut made = MADE.get_or_init(Mutex::default).lock().unwrap();
    if let Some((_, url)) = made.iter().find(|(port, _)| *port == server.port()) {
        return url.clone();
    }
    let url = server.user("follower", "test", &["REPLICATION SLAVE, REPLICATION CLIENT, SELECT ON *.*"]);
    made.push((server.port(), url.clone()));
    url
}

pub(crate) fn reader_address(server: &DatabaseServer) -> Address {
    reader_url(server).parse().unwrap()
}

/// MySQL without names of transactions, which allows what it does not with them.
pub(crate) fn anonymous(product: Product) -> &'static DatabaseServer {
    static MYSQL: OnceLock<DatabaseServer> = OnceLock::new();
    let options = ["--gtid-mode=OFF", "--enforce-gtid-consistency=OFF"];
    match product {
        Product::MariaDb => DatabaseServer::shared(product),
        Product::MySql => MYSQL.get_or_init(|| DatabaseServer::start_with(product, &options)),
    }
}

/// A database of the test's own, and a reader that begins now.
pub(crate) struct Scene<'s> {
    pub(crate) server: &'s DatabaseServer,
    pub(crate) database: String,
    pub(crate) writer: Connection,
    pub(crate) reader: Reader,
}

impl<'s> Scene<'s> {
    pub(crate) async fn new(server: &'s DatabaseServer) -> Self {
        Self::with(server, &Options::new()).await
    }

    pub(crate) async fn with(server: &'s DatabaseServer, options: &Options) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let database = format!("test_binlog_{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let mut writer = Connection::open(&server.url().parse().unwrap()).await.unwrap();
        writer.command(&format!("CREATE DATABASE {database} CHARACTER SET utf8mb4")).await.unwrap();
        writer.command(&format!("USE {database}")).await.unwrap();
        for setting in ["time_zone = '+00:00'", "sql_mode = ''", "NAMES utf8mb4"] {
            writer.command(&format!("SET {setting}")).await.unwrap();
        }
        writer.command("CREATE TABLE marks (id INT PRIMARY KEY)").await.unwrap();
        let reader = Reader::open(&reader_address(server), Start::Now, options).await.unwrap();
        Self { server, database, writer, reader }
    }

    pub(crate) async fn run(&mut self, statements: &[&str]) {
        for statement in statements {
            let done = self.writer.command(statement).await;
            done.unwrap_or_else(|error| panic!("{statement}: {error}"));
        }
    }

    /// What happened in this database until now, without heartbeats.
    pub(crate) async fn events(&mut self) -> Vec<Event> {
        self.run(&["DELETE FROM marks", "INSERT INTO marks VALUES (1)"]).await;
        let marks = format!("{}.marks", self.database);
        let all = until(&mut self.reader, |event| matches!(event, Event::Insert(name, _) if *name == marks)).await;
        let mut events = Vec::new();
        let mut transaction = Vec::new();
        for event in all {
            let ends = matches!(event, Event::Committed | Event::RolledBack | Event::Prepared(_) | Event::Decided(..));
            transaction.push(event);
            if ends {
                let foreign = |event: &Event| match event {
                    Event::Insert(name, _) | Event::Update(name, ..) | Event::Delete(name, _) => {
                        !name.starts_with(&format!("{}.", self.database)) || *name == marks
                    }
                    Event::Statement(database, _) => *database != self.database,
                    _ => false,
                };
                if !transaction.iter().any(foreign) {
                    events.append(&mut transaction);
                }
                transaction.clear();
            }
        }
        events.retain(|event| !matches!(event, Event::Heartbeat | Event::Rotate(_)));
        events
    }

    /// Rows of one table as the log tells their inserts.
    pub(crate) async fn inserted(&mut self, table: &str) -> Vec<Cells> {
        let table = format!("{}.{table}", self.database);
        let events = self.events().await;
        let of_table = |event| match event {
            Event::Insert(name, cells) if name == table => Some(cells),
            _ => None,
        };
        events.into_iter().filter_map(of_table).collect()
    }
}

/// Reads until the transaction with this event is over.
pub(crate) async fn until(reader: &mut Reader, mut is_it: impl FnMut(&Event) -> bool) -> Vec<Event> {
    let mut events = Vec::new();
    let mut found = false;
    let reading = async {
        loop {
            let from = events.len();
            copy(reader.next().await.unwrap(), &mut events).unwrap();
            found |= events[from..].iter().any(&mut is_it);
            if found && matches!(events.last(), Some(Event::Committed)) {
                return;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(60), reading).await.expect("the event that is waited for");
    events
}
