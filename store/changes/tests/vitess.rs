//! The log of a shard, read through Vitess's gateway.
#![allow(clippy::unwrap_used, reason = "clippy knows tests only by their attribute")]

mod common;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use common::{Change, Pairs, run};
use rowkeep_binlog::{Error, Hidden, Rows, Statement};
use rowkeep_changes::{Event, Source, Take, Taken, Touched};
use rowkeep_mysql::{Address, Connection};
use testkit::Vitess;

const KEYSPACE: &str = "test_sharded_1";
/// Rows that lie in both shards.
const ROWS: i64 = 24;

/// Takes the tables of one shard: several may lie in one server.
struct OfShard(&'static str);

impl Take for OfShard {
    type Table = &'static str;
    type Row = Change;

    async fn ask(&mut self, _: &mut Connection, _: &[Hidden]) -> Result<(), Error> {
        Ok(())
    }

    fn rows(&mut self, rows: Rows<'_>, into: &mut Taken<&'static str, Change>) -> Result<(), Error> {
        if rows.table().database == format!("vt_{KEYSPACE}_{}", self.0) { Pairs.rows(rows, into) } else { Ok(()) }
    }

    fn statement(&mut self, statement: &Statement<'_>) -> Touched<&'static str> {
        Pairs.statement(statement)
    }
}

async fn gateway() -> Arc<Vitess> {
    let vitess = tokio::task::spawn_blocking(|| Vitess::start(0, 1)).await.unwrap();
    let mut gateway = Connection::open(&address(&vitess)).await.unwrap();
    let table = "CREATE TABLE a (id BIGINT PRIMARY KEY, v BIGINT NOT NULL)";
    let shards = format!("ALTER VSCHEMA ON {KEYSPACE}.a ADD VINDEX xxhash(id) USING xxhash");
    run(&mut gateway, &[table, &shards]).await;
    Arc::new(vitess)
}

fn address(vitess: &Vitess) -> Address {
    vitess.url_of(KEYSPACE).parse().unwrap()
}

fn of_shard(vitess: &Vitess, shard: &str) -> Address {
    Address { database: Some(format!("{KEYSPACE}:{shard}@primary")), ..address(vitess) }
}

async fn numbers(connection: &mut Connection, sql: &str) -> BTreeSet<i64> {
    let rows = connection.query(sql).await.unwrap();
    rows.into_iter().map(|row| row[0].as_ref().unwrap().parse().unwrap()).collect()
}

/// What is told until everything is that was acknowledged by now.
async fn catch_up(source: &mut Source<OfShard>, told: &mut Vec<Change>) {
    let now = Instant::now();
    loop {
        let events = tokio::time::timeout(Duration::from_secs(60), source.next()).await.unwrap().unwrap();
        for event in events {
            match event {
                Event::Commit { rows, more: false, .. } => told.extend(rows),
                Event::Current { moment, .. } if moment >= now => return,
                Event::Begin { .. } | Event::Current { .. } => {}
                other => panic!("{other:?}"),
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Vitess, which takes minutes to build"]
async fn the_log_of_each_shard_is_read_and_goes_on_when_the_machine_was_lost() {
    let vitess = gateway().await;
    let mut sources = ["-80", "80-"].map(|shard| Source::new(of_shard(&vitess, shard), None, OfShard(shard)));
    for source in &mut sources {
        source.connect().await.unwrap();
    }
    let mut gateway = Connection::open(&address(&vitess)).await.unwrap();
    for id in 0..ROWS {
        run(&mut gateway, &[&format!("INSERT INTO a (id, v) VALUES ({id}, 1)")]).await;
    }
    run(&mut gateway, &["UPDATE a SET v = 2 WHERE id = 3", "DELETE FROM a WHERE id = 4"]).await;
    let mut told = [Vec::new(), Vec::new()];
    for (source, told) in sources.iter_mut().zip(&mut told) {
        catch_up(source, told).await;
    }
    let lost = Arc::clone(&vitess);
    tokio::task::spawn_blocking(move || lost.lose_machine()).await.unwrap();
    let mut gateway = Connection::open(&address(&vitess)).await.unwrap();
    for id in ROWS..2 * ROWS {
        run(&mut gateway, &[&format!("INSERT INTO a (id, v) VALUES ({id}, 1)")]).await;
    }
    for ((source, told), shard) in sources.iter_mut().zip(&mut told).zip(["-80", "80-"]) {
        catch_up(source, told).await;
        let mut there = Connection::open(&of_shard(&vitess, shard)).await.unwrap();
        let mut stored = numbers(&mut there, "SELECT id FROM a").await;
        let deleted = told.iter().filter(|(_, _, after)| after.is_none());
        stored.extend(deleted.map(|(_, before, _)| before.unwrap().0));
        let added: Vec<i64> =
            told.iter().filter(|(_, before, _)| before.is_none()).map(|(_, _, after)| after.unwrap().0).collect();
        assert!(added.is_sorted() && !added.is_empty(), "in the order of commits: {added:?}");
        assert_eq!(added.len(), stored.len(), "none twice");
        assert_eq!(added.into_iter().collect::<BTreeSet<_>>(), stored, "those of {shard}, and no others");
    }
    let changed: Vec<&Change> = told.iter().flatten().filter(|(_, before, _)| before.is_some()).collect();
    let mut changed: Vec<_> = changed.into_iter().map(|(_, before, after)| (*before, *after)).collect();
    changed.sort_unstable();
    assert_eq!(changed, [(Some((3, 1)), Some((3, 2))), (Some((4, 1)), None)]);
}

/// Changes a row each until told to stop.
fn write(vitess: &Arc<Vitess>, id: i64, stop: &Arc<AtomicBool>) -> std::thread::JoinHandle<()> {
    let (address, stop) = (address(vitess), Arc::clone(stop));
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let mut writer = Connection::open(&address).await.unwrap();
            while !stop.load(Ordering::Acquire) {
                run(&mut writer, &[&format!("UPDATE a SET v = v + 1 WHERE id = {id}")]).await;
            }
        });
    })
}

/// Whether a read through the gateway shows a row as it was told, or newer.
async fn sees(gateway: &mut Connection, (id, v): (i64, i64)) -> bool {
    let sql = format!("SELECT /*vt+ CONSOLIDATOR=disabled */ v FROM a WHERE id = {id}");
    numbers(gateway, &sql).await.first().is_some_and(|seen| *seen >= v)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Vitess, which takes minutes to build"]
async fn what_is_told_of_a_shard_can_be_seen_through_the_gateway() {
    const COMMITS: usize = 4_000;
    let vitess = gateway().await;
    let mut eye = Connection::open(&address(&vitess)).await.unwrap();
    for id in 0..6 {
        run(&mut eye, &[&format!("INSERT INTO a (id, v) VALUES ({id}, 0)")]).await;
    }
    let stop = Arc::<AtomicBool>::default();
    let writers: Vec<_> = (0..6).map(|id| write(&vitess, id, &stop)).collect();
    // In which the first numbers lie.
    let shard = of_shard(&vitess, "80-");
    let began = Instant::now();
    let mut source = Source::new(shard, None, OfShard("80-"));
    let (mut told, mut unseen) = (0, 0);
    while told < COMMITS && began.elapsed() < Duration::from_secs(180) {
        let events = tokio::time::timeout(Duration::from_secs(60), source.next()).await.unwrap().unwrap();
        for event in events {
            let Event::Commit { rows, .. } = event else { continue };
            for row in rows.iter().filter_map(|(_, _, after)| *after) {
                told += 1;
                unseen += usize::from(!sees(&mut eye, row).await);
            }
        }
    }
    stop.store(true, Ordering::Release);
    writers.into_iter().for_each(|writer| writer.join().unwrap());
    assert!(told >= COMMITS, "{told} were told");
    assert_eq!(unseen, 0, "of {told} commits that many could not be seen when they were told");
}
