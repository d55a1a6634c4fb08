//! Writers of all kinds.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use rand::{Rng as _, rngs::ThreadRng};
use rowkeep_mysql::{Address, Connection};
use testkit::{DatabaseServer, Product};

const WRITERS: i64 = 3;

pub(crate) fn prepare(server: &DatabaseServer) {
    for table in 0..2 {
        server.admin(&format!("CREATE TABLE test.w{table} (id INT PRIMARY KEY, v INT, t LONGTEXT)"));
    }
}

/// They write until they are stopped.
pub(crate) struct Writers {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Writers {
    /// `part`: of numbers that no others have.
    pub(crate) fn start(server: &DatabaseServer, part: i64) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let writer = |number: i64| {
            let (stop, address) = (Arc::clone(&stop), server.url().parse().unwrap());
            let first = (part * WRITERS + number) * 10_000_000;
            let is_mysql = server.product() == Product::MySql;
            std::thread::spawn(move || write(&address, is_mysql, first, &stop))
        };
        let threads = (0..WRITERS).map(writer).collect();
        Self { stop, threads }
    }

    pub(crate) fn stop(&mut self) {
        self.stop.store(true, Ordering::Release);
        self.threads.drain(..).for_each(|thread| thread.join().unwrap());
    }
}

impl Drop for Writers {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
    }
}

fn write(address: &Address, is_mysql: bool, first: i64, stop: &AtomicBool) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let connection = Connection::open(address).await.unwrap();
        let mut writer = Writer { connection, is_mysql, first, next: first, random: rand::rng() };
        while !stop.load(Ordering::Acquire) {
            writer.step().await;
        }
    });
}

struct Writer {
    connection: Connection,
    is_mysql: bool,
    first: i64,
    /// The number of the next new row.
    next: i64,
    random: ThreadRng,
}

impl Writer {
    /// What another has locked, or a table that has changed, may refuse it: then it did not happen.
    async fn run(&mut self, statements: &[String]) -> bool {
        for statement in statements {
            if self.connection.command(statement).await.is_err() {
                let _ = self.connection.command("ROLLBACK").await;
                return false;
            }
        }
        true
    }

    fn table(&mut self) -> String {
        format!("w{}", self.random.random_range(0..2))
    }

    fn old(&mut self) -> i64 {
        self.random.random_range(self.first..=self.next)
    }

    fn insert(&mut self, rows: i64, bytes: usize) -> String {
        let from = self.next;
        self.next += rows;
        let letter = self.random.random_range('a'..='z').to_string();
        let row = |id| format!("({id}, {}, REPEAT('{letter}', {bytes}))", id % 7);
        let rows: Vec<String> = (from..from + rows).map(row).collect();
        format!("INSERT INTO {} (id, v, t) VALUES {}", self.table(), rows.join(", "))
    }

    fn update(&mut self) -> String {
        format!("UPDATE {} SET v = v + 1 WHERE id = {}", self.table(), self.old())
    }

    fn delete(&mut self) -> String {
        format!("DELETE FROM {} WHERE id = {}", self.table(), self.old())
    }

    async fn step(&mut self) {
        let of = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        let statements = match self.random.random_range(0..40) {
            0 => vec![self.insert(1, 1 << 20)],
            1 => vec![format!(
                "UPDATE {} SET t = REPEAT('y', 1000) WHERE v = 3 AND id >= {}",
                self.table(),
                self.next - 50
            )],
            2..5 => vec![self.insert(20, 100)],
            5..8 => {
                let (kept, undone, last) = (self.insert(2, 10), self.insert(3, 10), self.update());
                let mut all = of(&["BEGIN", "SAVEPOINT a", "SAVEPOINT b", "ROLLBACK TO b", "COMMIT"]);
                all.splice(1..1, [kept]);
                all.splice(4..4, [undone]);
                all.splice(6..6, [last]);
                all
            }
            8..10 => vec!["BEGIN".to_owned(), self.insert(3, 10), self.delete(), "ROLLBACK".to_owned()],
            10..14 => return self.prepare().await,
            14 if self.first % 20_000_000 == 0 => vec![self.alter()],
            15 if self.is_mysql => {
                let on = if self.random.random_bool(0.5) { "ON" } else { "OFF" };
                vec![format!("SET SESSION binlog_transaction_compression = {on}")]
            }
            16..26 => vec![self.update()],
            26..32 => vec![self.delete()],
            _ => vec![self.insert(1, 20)],
        };
        self.run(&statements).await;
    }

    fn alter(&mut self) -> String {
        let (table, column) = (self.table(), self.random.random_range(0..3));
        match self.random.random_bool(0.5) {
            true => format!("ALTER TABLE {table} ADD COLUMN x{column} INT DEFAULT {column}"),
            false => format!("ALTER TABLE {table} DROP COLUMN x{column}"),
        }
    }

    /// A transaction of XA, which is decided on a while after it was prepared, or at once.
    async fn prepare(&mut self) {
        let id = format!("x{}", self.next);
        let (insert, update) = (self.insert(2, 30), self.update());
        let mut all = vec![format!("XA START '{id}'"), insert, update, format!("XA END '{id}'")];
        let one = self.random.random_bool(0.2);
        if !one {
            all.push(format!("XA PREPARE '{id}'"));
        }
        let mut is_prepared = true;
        for statement in &all {
            is_prepared &= self.connection.command(statement).await.is_ok();
        }
        let decision = match (is_prepared, one) {
            (true, true) => format!("XA COMMIT '{id}' ONE PHASE"),
            (true, false) if self.random.random_bool(0.8) => format!("XA COMMIT '{id}'"),
            _ => format!("XA ROLLBACK '{id}'"),
        };
        let _ = self.connection.command(&decision).await;
    }
}
