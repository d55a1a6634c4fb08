//! Nothing is told before whoever reads can see it, though the log has it before: also where the log goes on in another file,
//! as it does all the while here.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "clippy knows tests only by their attribute")]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use common::{Pairs, address, prepare, run, server, writer};
use rowkeep_binlog::{Cell, Item, Options, Reader, Start};
use rowkeep_changes::{Acked, Event, Source};
use rowkeep_mysql::{Connection, Param, Raw};
use testkit::{Cluster, DatabaseServer, Product};

testkit::on_both_products! {
    async
    what_is_told_can_be_seen_and_the_log_alone_is_ahead
}

/// The transaction that fills a file of MariaDB's log lies before the place of every snapshot, and cannot be seen yet.
#[tokio::test]
async fn who_begins_where_the_log_goes_on_is_told_what_could_not_be_seen() {
    let cluster = tokio::task::spawn_blocking(|| Cluster::start(Product::MariaDb, 1)).await.unwrap();
    let primary = cluster.server(0);
    prepare(primary).await;
    primary.admin("SET GLOBAL rpl_semi_sync_master_wait_point = AFTER_SYNC, GLOBAL max_binlog_size = 4096");
    cluster.catch_up();
    cluster.server(1).suspend();
    let mut waiting = writer(primary).await;
    let writing =
        tokio::spawn(async move { run(&mut waiting, &["INSERT INTO a VALUES (7, 0, REPEAT('x', 10000))"]).await });
    while primary.admin("SHOW GLOBAL STATUS LIKE 'Rpl_semi_sync_master_wait_sessions'").ends_with("\t0") {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let mut eye = Eye(writer(primary).await);
    assert!(!eye.sees((7, 0)).await, "it waits");
    let mut source = Source::new(address(primary), None, Pairs);
    let began = tokio::time::timeout(Duration::from_secs(2), source.connect()).await;
    let is_seen = eye.sees((7, 0)).await;
    assert!(!is_seen && began.is_err(), "{began:?}: nobody begins behind what cannot be seen");
    cluster.server(1).resume();
    writing.await.unwrap();
    let mut source = Source::new(address(primary), None, Pairs);
    source.connect().await.unwrap();
    assert!(eye.sees((7, 0)).await);
}

/// Whatever way MariaDB makes groups of commits visible; one of them says nothing. Half of the writers are of other processes.
#[tokio::test]
async fn what_was_acknowledged_can_be_seen_with_all_that_is_before_it() {
    let groups = ["--binlog-commit-wait-count=3", "--binlog-commit-wait-usec=3000"];
    let one_by_one = ["--binlog-optimize-thread-scheduling=OFF"];
    for options in [&[][..], &groups, &one_by_one] {
        let options = [&["--max-binlog-size=65536"], options].concat();
        let server = Arc::new(server(Product::MariaDb, &options).await);
        let mut eye = Eye(writer(&server).await);
        begin(&mut eye).await;
        let acked = Arc::new(Acked::default());
        let writers = Writers::noting(&server, &acked);
        let asked = |server: &DatabaseServer| {
            let line = server.admin("SHOW GLOBAL STATUS LIKE 'Com_show_status'");
            line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap()
        };
        let mut questions = Vec::new();
        for source in [source(&server), source(&server).with_acked(Arc::clone(&acked))] {
            let (before, begun) = (asked(&server), Instant::now());
            let (told, unseen) = follow(source, &mut eye).await;
            assert_eq!(
                unseen, 0,
                "of {told} commits that many could not be seen when they were told, with {options:?}"
            );
            questions.push((asked(&server) - before) as f64 / begun.elapsed().as_secs_f64());
        }
        println!("{options:?}: {questions:.0?} questions a second");
        if !options.ends_with(&one_by_one) {
            assert!(questions[1] < questions[0] / 2.0, "{options:?}: {questions:?}");
        }
        drop(writers);
    }
}

/// Commits that are looked at.
const COMMITS: usize = 5_000;
const WRITERS: i64 = 6;
/// How long the log alone is looked at, at most.
const LOOK: Duration = Duration::from_secs(60);

/// Threads that change a row each, until this is dropped.
struct Writers(Arc<AtomicBool>);

impl Writers {
    fn start(server: &Arc<DatabaseServer>) -> Self {
        Self::with(server, &Arc::default(), Duration::ZERO)
    }

    /// Every other one notes what is acknowledged to it. They rest now and then, so that who follows has time to ask.
    fn noting(server: &Arc<DatabaseServer>, acked: &Arc<Acked>) -> Self {
        Self::with(server, acked, Duration::from_millis(2))
    }

    fn with(server: &Arc<DatabaseServer>, acked: &Arc<Acked>, rest: Duration) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        for id in 0..WRITERS {
            let (server, stop) = (Arc::clone(server), Arc::clone(&stop));
            let acked = Arc::clone(acked);
            std::thread::spawn(move || write(&server, id, (id % 2 == 0).then_some(&*acked), rest, &stop));
        }
        Self(stop)
    }
}

impl Drop for Writers {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

fn write(server: &DatabaseServer, id: i64, acked: Option<&Acked>, rest: Duration, stop: &AtomicBool) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let mut writer = writer(server).await;
        if server.product() == Product::MariaDb {
            run(&mut writer, &["SET SESSION session_track_system_variables = 'last_gtid'"]).await;
        }
        while !stop.load(Ordering::Acquire) {
            let done = writer.command(&format!("UPDATE a SET v = v + 1 WHERE id = {id}")).await.unwrap();
            if let (Some(acked), Some(gtid)) = (acked, done.gtid.and_then(|gtid| gtid.parse().ok())) {
                acked.note(gtid);
            }
            if !rest.is_zero() {
                tokio::time::sleep(rest).await;
            }
        }
    });
}

/// Followers beside the one that is looked at, and somebody whose snapshots grow old before he asks where they lie: what
/// MariaDB answers to one, another may read.
struct Others(Arc<AtomicBool>);

impl Others {
    fn start(server: &Arc<DatabaseServer>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        for number in 0..3 {
            let (server, stop) = (Arc::clone(server), Arc::clone(&stop));
            let ask = move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(async {
                    if number == 0 {
                        grow_old(&server, &stop).await;
                    } else {
                        follow_along(&server, &stop).await;
                    }
                });
            };
            std::thread::spawn(ask);
        }
        Self(stop)
    }
}

impl Drop for Others {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

async fn follow_along(server: &DatabaseServer, stop: &AtomicBool) {
    let mut source = Source::new(address(server), None, Pairs);
    while !stop.load(Ordering::Acquire) {
        source.next().await.unwrap();
    }
}

async fn grow_old(server: &DatabaseServer, stop: &AtomicBool) {
    let mut asker = writer(server).await;
    while !stop.load(Ordering::Acquire) {
        run(&mut asker, &["START TRANSACTION WITH CONSISTENT SNAPSHOT"]).await;
        for _ in 0..20 {
            asker.query("SHOW STATUS LIKE 'binlog_snapshot_%'").await.unwrap();
        }
        run(&mut asker, &["ROLLBACK"]).await;
    }
}

/// Whoever reads.
struct Eye(Connection);

impl Eye {
    /// Whether the row is as it was told, or newer.
    async fn sees(&mut self, (id, told): (i64, i64)) -> bool {
        let statement = self.0.prepare("SELECT v FROM a WHERE id = ?").await.unwrap();
        self.0.send_execute(statement, &[Param::Int(id)]).unwrap();
        self.0.flush().await.unwrap();
        let mut seen = None;
        let answer = self.0.receive(|row| {
            if let Raw::Int(value) = row.value()? {
                seen = Some(value);
            }
            Ok::<(), rowkeep_mysql::Error>(())
        });
        answer.await.unwrap();
        seen.is_some_and(|seen| seen >= told)
    }
}

fn source(server: &DatabaseServer) -> Source<Pairs> {
    Source::new(address(server), None, Pairs)
}

/// A row for each writer.
async fn begin(eye: &mut Eye) {
    for id in 0..WRITERS {
        run(&mut eye.0, &[&format!("INSERT INTO a VALUES ({id}, 0, '')")]).await;
    }
}

async fn what_is_told_can_be_seen_and_the_log_alone_is_ahead(product: Product) {
    let server = Arc::new(server(product, &["--max-binlog-size=65536"]).await);
    let mut eye = Eye(writer(&server).await);
    begin(&mut eye).await;
    let writers = Writers::start(&server);
    let alone = look_at_the_log(&server, &mut eye).await;
    assert!(alone.1 > 0, "the log was never ahead, so that this shows nothing");
    let others = Others::start(&server);
    let gated = follow(source(&server), &mut eye).await;
    drop(others);
    println!("{product:?}: not seen when read: {} of {}, when told: {} of {}", alone.1, alone.0, gated.1, gated.0);
    assert_eq!(gated.1, 0, "of {} commits that many could not be seen when they were told", gated.0);
    drop(writers);
}

/// How many rows were read from the log, and how many of them could not be seen then.
async fn look_at_the_log(server: &DatabaseServer, eye: &mut Eye) -> (usize, usize) {
    let mut reader = Reader::open(&address(server), Start::Now, &Options::new()).await.unwrap();
    let (until, mut looked_at, mut unseen) = (Instant::now() + LOOK, 0, 0);
    let mut changed = None;
    while (looked_at < COMMITS || unseen == 0) && Instant::now() < until {
        match reader.next().await.unwrap() {
            Item::Rows(mut rows) => {
                let number = |cell: Option<Cell<'_>>| if let Some(Cell::Int(number)) = cell { number } else { 0 };
                let row = rows.next().unwrap().unwrap().after.unwrap();
                changed = Some((number(row.cell(0).unwrap()), number(row.cell(1).unwrap())));
            }
            Item::End(_) => {
                if let Some(row) = changed.take() {
                    looked_at += 1;
                    unseen += usize::from(!eye.sees(row).await);
                }
            }
            _ => {}
        }
    }
    (looked_at, unseen)
}

/// The same of what is told.
async fn follow(mut source: Source<Pairs>, eye: &mut Eye) -> (usize, usize) {
    let (mut looked_at, mut unseen) = (0, 0);
    while looked_at < COMMITS {
        for event in source.next().await.unwrap() {
            let Event::Commit { rows, .. } = event else { continue };
            for row in rows.iter().filter_map(|(_, _, after)| *after) {
                looked_at += 1;
                unseen += usize::from(!eye.sees(row).await);
            }
        }
    }
    (looked_at, unseen)
}
