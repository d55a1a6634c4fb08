//! What a session was told of its own writes is what the log tells of them.

use std::time::{Duration, Instant};

use rowkeep_engine::{
    Begin, CommitRequest, Engine, EngineOptions, Freshness, Operation, Point, Position, Precondition, Rows as _,
    Session, Since, Told, Write,
};
use rowkeep_record::Value;
use testkit::{Cluster, Product};

use super::failover::{allow, settle};
use super::lab::{self, ITEM, schema};
use crate::support::mirror;

testkit::on_both_products! {
    a_writer_knows_the_point_that_is_told
    what_is_committed_elsewhere_is_told_by_the_next_commit
}

fn a_writer_knows_the_point_that_is_told(product: Product) {
    let cluster = Cluster::start(product, 1);
    let servers = [cluster.server(0), cluster.server(1)];
    servers.into_iter().for_each(allow);
    let store = lab::store(&servers);
    settle(&store, 0);
    let engine = Engine::new(schema(), std::sync::Arc::clone(&store) as _, EngineOptions::default()).unwrap();
    let mut stream = mirror::wait(store.changes().unwrap().follow(Since::Now)).unwrap();
    let mut beginning = None;
    for id in 0..5 {
        let session = Session::new(Freshness::Session, Position::default());
        put(&engine, id, &session);
        let seen = session.seen();
        let point = loop {
            let mut told = mirror::wait(stream.next()).unwrap().into_iter();
            let commit = told.find_map(|told| match told {
                Told::Begin(begin) => {
                    beginning = Some(begin);
                    None
                }
                Told::Commit(commit) => Some(commit.place.point),
                _ => None,
            });
            if let Some(point) = commit {
                break point;
            }
        };
        assert_eq!(seen.points(), [point]);
        let begin: &Begin = beginning.as_ref().unwrap();
        assert!(begin.contained.contains(begin.place.point) && !begin.contained.contains(point));
    }
}

/// Commits that change no rows of the store are not told one by one, and a session may have seen no other.
fn what_is_committed_elsewhere_is_told_by_the_next_commit(product: Product) {
    let server = lab::server(product, &[]);
    let store = lab::store(&[&server]);
    let mut writer = lab::Writer::new(&server);
    writer.run(&["CREATE TABLE elsewhere (id INT PRIMARY KEY)"]);
    let mut stream = mirror::wait(store.changes().unwrap().follow(Since::Now)).unwrap();
    let begin = match mirror::wait(stream.next()).unwrap().remove(0) {
        Told::Begin(begin) => begin,
        other => panic!("{other:?}"),
    };
    writer.run(&["INSERT INTO elsewhere VALUES (1)", "INSERT INTO elsewhere VALUES (2)"]);
    writer.add(1).unwrap();
    let place = loop {
        let told = mirror::wait(stream.next()).unwrap();
        if let Some(place) = told.iter().find_map(|told| match told {
            Told::Commit(commit) => Some(commit.place.clone()),
            _ => None,
        }) {
            break place;
        }
    };
    let before = |number| Point { number: place.point.number - number, ..place.point };
    assert!(begin.contained.contains(before(3)) && !begin.contained.contains(before(2)), "{begin:?}, {place:?}");
    assert!(place.first <= before(2).number, "{place:?}");
}

fn put(engine: &Engine, id: i64, session: &Session) {
    let row = engine.codecs().row(ITEM).encode(&[Value::Int(id), Value::Int(id), Value::Text("".into())], 0).unwrap();
    let operation =
        Operation::Update { row: row.wire().to_vec().into(), mask: None, allow_missing: true, transforms: Vec::new() };
    let write = Write { entity: ITEM, operation, precondition: Precondition::default(), path: String::new() };
    let deadline = Some(Instant::now() + Duration::from_secs(10));
    let request = CommitRequest { writes: vec![write], deadline, ..CommitRequest::default() };
    mirror::wait(engine.commit(request, session)).unwrap();
}
