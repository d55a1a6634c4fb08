//! However many follow, the primary has two connections more.

use rowkeep_engine::{ChangeStream, Place, Rows as _, Since, Told};
use testkit::{DatabaseServer, Product};

use super::lab::{self, Writer};
use crate::support::mirror::wait;

testkit::on_both_products! {
    all_who_follow_have_two_connections_to_the_primary
    one_that_goes_on_from_a_place_of_an_earlier_process_meets_the_others
}

/// Connections of the store's user: all, and those that read the log.
fn connections(server: &DatabaseServer) -> (u32, u32) {
    let sql = "SELECT CONCAT(COUNT(*), ' ', COALESCE(SUM(COMMAND LIKE 'Binlog Dump%'), 0)) \
               FROM information_schema.PROCESSLIST WHERE USER = 'app'";
    let answer = server.admin(sql);
    let (all, dumps) = answer.trim().split_once(' ').unwrap();
    (all.parse().unwrap(), dumps.parse().unwrap())
}

/// Takes so many rows. Answers the place behind them.
fn take(stream: &mut dyn ChangeStream, rows: usize) -> Place {
    let (mut taken, mut place) = (0, None);
    while taken < rows {
        for told in wait(stream.next()).unwrap() {
            let Told::Commit(commit) = told else { continue };
            taken += commit.changes.len();
            place = Some(commit.place.clone());
        }
    }
    assert_eq!(taken, rows);
    place.unwrap()
}

fn all_who_follow_have_two_connections_to_the_primary(product: Product) {
    let server = lab::server(product, &[]);
    let store = lab::store(&[&server]);
    let log = store.changes().unwrap();
    let mut writer = Writer::new(&server);
    // That it can be followed was tried, and a server notices late that whoever read its log is gone.
    testkit::wait_until("nobody reads the log", || connections(&server).1 == 0);
    let (before, _) = connections(&server);
    let mut streams: Vec<_> = (0..3).map(|_| wait(log.follow(Since::Now)).unwrap()).collect();
    (0..100).for_each(|id| writer.add(id).unwrap());
    let places: Vec<Place> = streams.iter_mut().map(|stream| take(&mut **stream, 100)).collect();
    assert!(places.windows(2).all(|pair| pair[0] == pair[1]));
    testkit::wait_until("two connections are left", || connections(&server) == (before + 2, 1));
    // One that comes with a place reads by itself, and then with the others.
    (100..200).for_each(|id| writer.add(id).unwrap());
    let mut resumed = wait(log.follow(Since::Place(places[0].clone()))).unwrap();
    assert_eq!(take(&mut *resumed, 100), take(&mut *streams[0], 100));
    testkit::wait_until("it follows with the others", || {
        wait(resumed.next()).unwrap();
        connections(&server) == (before + 2, 1)
    });
    writer.add(200).unwrap();
    assert_eq!(take(&mut *resumed, 1), take(&mut *streams[0], 1));
    drop((streams, resumed));
    testkit::wait_until("nobody follows any more", || connections(&server) == (before, 0));
}

/// What a place needs to lead back is written down where a stretch of commits begins, and that is another one in each process.
fn one_that_goes_on_from_a_place_of_an_earlier_process_meets_the_others(product: Product) {
    let server = lab::server(product, &[]);
    let mut writer = Writer::new(&server);
    let earlier = lab::store(&[&server]);
    let mut stream = wait(earlier.changes().unwrap().follow(Since::Now)).unwrap();
    (0..10).for_each(|id| writer.add(id).unwrap());
    let place = take(&mut *stream, 10);
    drop((stream, earlier));
    (10..20).for_each(|id| writer.add(id).unwrap());
    let store = lab::store(&[&server]);
    let log = store.changes().unwrap();
    testkit::wait_until("nobody reads the log", || connections(&server).1 == 0);
    let (before, _) = connections(&server);
    let mut first = wait(log.follow(Since::Now)).unwrap();
    let mut resumed = wait(log.follow(Since::Place(place))).unwrap();
    writer.add(20).unwrap();
    assert!(take(&mut *first, 1).meets(&take(&mut *resumed, 11)));
    testkit::wait_until("it follows with the others", || {
        wait(resumed.next()).unwrap();
        connections(&server) == (before + 2, 1)
    });
    writer.add(21).unwrap();
    assert_eq!(take(&mut *resumed, 1), take(&mut *first, 1));
}
