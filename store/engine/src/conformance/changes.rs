//! What a log of changes tells, and when. For storages that have one; where the record says that there is none, none is
//! given out.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rowkeep_schema::EntityId;
use serde_json::{Value as Json, json};

use super::lab::{Lab, SECOND};
use super::subject::row;
use super::{NOW, Subject};
use crate::{
    ChangeLog, ChangeStream, Changes, Committed, Place, Positions, RowChange, Session, Since, Stored, Told, View,
};

/// After which a test that waits has failed.
const PATIENCE: Duration = Duration::from_secs(30);

/// The log, unless the storage says that there is none.
fn log(lab: &Lab) -> Option<Arc<dyn ChangeLog>> {
    let log = lab.rows().changes();
    let is_declared = lab.rows().capabilities().changes != Changes::None;
    assert_eq!(log.is_some(), is_declared, "there is a log exactly where the record says so");
    log
}

/// In the order of the log; by themselves where the log leaves that of different rows open.
fn in_order<T: Ord>(lab: &Lab, mut all: Vec<T>) -> Vec<T> {
    if lab.rows().capabilities().changes == Changes::LogPerShard {
        all.sort();
    }
    all
}

/// As many commits at most are told of one.
fn parts(lab: &Lab) -> usize {
    let can = lab.rows().capabilities();
    if can.changes == Changes::LogPerShard { can.shards as usize } else { 1 }
}

/// A follower of the log.
struct Follower<'a> {
    lab: &'a Lab,
    stream: Box<dyn ChangeStream>,
}

impl<'a> Follower<'a> {
    fn new(lab: &'a Lab, log: &dyn ChangeLog, since: Since) -> Self {
        let stream = lab.wait(log.follow(since)).unwrap();
        let mut follower = Self { lab, stream };
        let first = follower.next();
        assert!(matches!(first.first(), Some(Told::Begin(_))), "a stream begins with its history: {first:?}");
        assert_eq!(first.len(), 1, "and goes on in another piece: {first:?}");
        follower
    }

    fn next(&mut self) -> Vec<Told> {
        let told = self.lab.wait(async { tokio::time::timeout(PATIENCE, self.stream.next()).await });
        let told = told.expect("something is told within a second or so").unwrap();
        assert!(!told.is_empty());
        told
    }

    /// Everything that was acknowledged before now.
    fn rest(&mut self) -> Vec<Told> {
        let now = Instant::now();
        let mut all = Vec::new();
        loop {
            for told in self.next() {
                match told {
                    Told::Current { moment, .. } if moment >= now => return all,
                    Told::Current { .. } => {}
                    other => all.push(other),
                }
            }
        }
    }

    /// The commits of the rest.
    fn commits(&mut self) -> Vec<Arc<Committed>> {
        let commit = |told| match told {
            Told::Commit(commit) => commit,
            other => panic!("{other:?}"),
        };
        self.rest().into_iter().map(commit).collect()
    }

    fn changes(&mut self) -> Vec<RowChange> {
        self.commits().iter().flat_map(|commit| commit.changes.clone()).collect()
    }
}

/// A row as its entity shows it, without what it does not: secrets, and times that a test does not know.
fn shown(lab: &Lab, entity: EntityId, row: &Stored) -> Json {
    let record = lab.engine.codecs().row(entity).encode(&row.values, row.version).unwrap();
    let schema = lab.engine.schema();
    let mut out = Vec::new();
    let json = &lab.engine.codecs().json;
    json.to_json(schema.entity(entity).message, record.wire(), &mut out, Default::default()).unwrap();
    serde_json::from_slice(&out).unwrap()
}

/// Entity, before and after of changes, as their rows are shown.
fn told(lab: &Lab, changes: &[RowChange]) -> Vec<(String, Json, Json)> {
    let row = |entity, row: &Option<Stored>| row.as_ref().map_or(Json::Null, |row| shown(lab, entity, row));
    let name = |entity| lab.engine.schema().entity(entity).name.clone();
    let told = |change: &RowChange| {
        (name(change.entity), row(change.entity, &change.before), row(change.entity, &change.after))
    };
    changes.iter().map(told).collect()
}

fn line(order: u32, text: &str) -> Json {
    json!({ "orderId": order.to_string(), "line": 1, "text": text })
}

fn write_line(api: &Subject, order: u32, text: &str) {
    api.call("UpdateLine", json!({ "line": line(order, text), "allowMissing": true }));
}

pub fn rows_are_told_as_they_were_and_as_they_are_in_the_order_of_commits(lab: &Lab) {
    let Some(log) = log(lab) else { return };
    let api = lab.api();
    write_line(&api, 1, "before");
    let mut follower = Follower::new(lab, log.as_ref(), Since::Now);
    write_line(&api, 1, "a");
    write_line(&api, 2, "b");
    api.delete("Line", json!({ "orderId": "1", "line": 1 }));
    write_line(&api, 1, "c");
    let changes = follower.changes();
    let order = |change: &RowChange| {
        let row = change.before.as_ref().or(change.after.as_ref()).unwrap();
        shown(lab, change.entity, row)["orderId"].as_str().unwrap().to_owned()
    };
    let orders = changes.iter().map(order).collect();
    assert_eq!(in_order(lab, orders), in_order(lab, ["1", "2", "1", "1"].map(str::to_owned).into()));
    let of = |of: &str| changes.iter().filter(|change| order(change) == of).cloned().collect::<Vec<_>>();
    let name = || "Line".to_owned();
    let first = of("1");
    let expected = [
        (name(), line(1, "before"), line(1, "a")),
        (name(), line(1, "a"), Json::Null),
        (name(), Json::Null, line(1, "c")),
    ];
    assert_eq!(told(lab, &first), expected);
    assert_eq!(told(lab, &of("2")), [(name(), Json::Null, line(2, "b"))]);
    let versions: Vec<u64> = first.iter().filter_map(|change| Some(change.after.as_ref()?.version)).collect();
    assert!(versions.is_sorted() && versions[0] > first[0].before.as_ref().unwrap().version, "{versions:?}");
}

pub fn what_is_told_of_a_row_is_what_a_read_shows(lab: &Lab) {
    let Some(log) = log(lab) else { return };
    let api = lab.api();
    let mut follower = Follower::new(lab, log.as_ref(), Since::Now);
    api.create(
        "Note",
        json!({ "title": "t", "rank": -3, "author": "me", "password": "p", "address": { "city": "Oslo" } }),
    );
    api.create("Ticket", json!({ "text": "counted" }));
    api.create("Flake", json!({}));
    api.create("Document", json!({ "sku": "s" }));
    api.create("Plain", json!({ "id": "7", "value": "no version" }));
    api.create("Counter", json!({ "id": "1", "unsignedWide": u64::MAX.to_string(), "real": 0.1, "longPrice": "1.50" }));
    api.call(
        "UpdateCounter",
        json!({ "counter": { "id": "1", "single": 1.5, "day": { "year": 2024, "month": 2, "day": 29 } } }),
    );
    let changes = follower.changes();
    let mut seen = 0;
    for change in changes.iter().rev().filter(|change| change.before.is_some() || change.entity != lab.id("Counter")) {
        let row = change.after.as_ref().unwrap();
        let codec = lab.engine.codecs().row(change.entity);
        let read = lab.wait(lab.engine.get(change.entity, &codec.key_of(&row.values), &Session::strong())).unwrap();
        let told = codec.encode(&row.values, row.version).unwrap();
        assert_eq!(told, read, "{}", lab.engine.schema().entity(change.entity).name);
        seen += 1;
    }
    assert_eq!(seen, 6);
}

pub fn the_writes_of_a_commit_are_told_together(lab: &Lab) {
    let Some(log) = log(lab) else { return };
    let api = lab.api();
    let mut follower = Follower::new(lab, log.as_ref(), Since::Now);
    let create = |id: u32| json!({ "create": row("Line", line(id, "x")) });
    api.commit((0..5).map(create).collect());
    let commits = follower.commits();
    assert!((1..=parts(lab)).contains(&commits.len()) && commits.iter().all(|commit| !commit.more), "{commits:?}");
    assert_eq!(commits.iter().map(|commit| commit.changes.len()).sum::<usize>(), 5);
}

pub fn a_large_commit_is_whole_and_its_parts_say_that_more_follows(lab: &Lab) {
    let Some(log) = log(lab) else { return };
    let api = lab.api();
    api.create("Player", json!({ "id": "1", "teamId": api.create("Team", json!({ "id": "1", "name": "t" }))["id"] }));
    for piece in 0..6_u32 {
        let badge = |id: u32| json!({ "create": row("Badge", json!({ "id": id.to_string(), "playerId": "1" })) });
        api.commit((piece * 400..(piece + 1) * 400).map(badge).collect());
    }
    let mut follower = Follower::new(lab, log.as_ref(), Since::Now);
    api.delete("Player", json!({ "id": "1" }));
    let commits = follower.commits();
    assert_eq!(commits.iter().map(|commit| commit.changes.len()).sum::<usize>(), 2401);
    assert!((1..=parts(lab)).contains(&commits.iter().filter(|commit| !commit.more).count()));
    assert!(!commits.last().unwrap().more);
    assert!(commits.windows(2).all(|pair| !pair[0].more || pair[0].place == pair[1].place));
}

pub fn what_was_undone_or_only_tried_is_not_told(lab: &Lab) {
    let Some(log) = log(lab) else { return };
    let api = lab.api();
    let mut follower = Follower::new(lab, log.as_ref(), Since::Now);
    api.call("CreateLine", json!({ "line": line(1, "tried"), "validateOnly": true }));
    api.create("Member", json!({ "code": "a", "email": "a" }));
    let clash = ["b", "a"].map(|email| json!({ "create": row("Member", json!({ "code": email, "email": email })) }));
    api.try_call("Commit", &json!({ "writes": clash })).expect_err("one of the values is taken");
    api.create("Member", json!({ "code": "c", "email": "c" }));
    let changes = follower.changes();
    let codes: Vec<_> = told(lab, &changes).into_iter().map(|(_, _, after)| after["code"].to_string()).collect();
    assert_eq!(in_order(lab, codes), ["\"a\"", "\"c\""]);
}

pub fn one_of_many_that_fails_is_not_told_and_all_others_are(lab: &Lab) {
    let Some(log) = log(lab) else { return };
    let mut follower = Follower::new(lab, log.as_ref(), Since::Now);
    let created: usize = std::thread::scope(|scope| {
        let worker = |worker: u32| {
            let api = lab.api();
            move || {
                // Every third value is one that others want as well.
                let email = |at: u32| if at.is_multiple_of(3) { format!("same{at}") } else { format!("{worker}-{at}") };
                let member = |at: u32| json!({ "code": format!("{worker}-{at}"), "email": email(at) });
                (0..40).filter(|at| api.try_call("CreateMember", &json!({ "member": member(*at) })).is_ok()).count()
            }
        };
        let workers: Vec<_> = (0..6).map(|number| scope.spawn(worker(number))).collect();
        workers.into_iter().map(|worker| worker.join().unwrap()).sum()
    });
    let changes = follower.changes();
    assert_eq!(changes.len(), created);
    let mut codes: Vec<_> = told(lab, &changes).into_iter().map(|(_, _, after)| after["code"].to_string()).collect();
    let mut stored: Vec<_> =
        lab.api().list("Member", json!({ "pageSize": 1000 })).iter().map(|row| row["code"].to_string()).collect();
    codes.sort();
    stored.sort();
    assert_eq!(codes, stored);
}

pub fn rows_that_go_with_another_are_told_too(lab: &Lab) {
    let Some(log) = log(lab) else { return };
    let api = lab.api();
    api.create("Team", json!({ "id": "1", "name": "t" }));
    api.create("Player", json!({ "id": "1", "teamId": "1" }));
    api.create("Badge", json!({ "id": "1", "playerId": "1" }));
    api.create("Locker", json!({ "id": "1", "playerId": "1" }));
    api.create("Report", json!({ "id": "1", "playerId": "1" }));
    let mut follower = Follower::new(lab, log.as_ref(), Since::Now);
    api.delete("Player", json!({ "id": "1" }));
    let changes = follower.changes();
    let find = |name: &str| changes.iter().find(|change| change.entity == lab.id(name)).unwrap();
    assert!(find("Player").after.is_none() && find("Badge").after.is_none());
    assert!(find("Badge").before.is_some());
    let locker = find("Locker").after.as_ref().unwrap();
    assert_eq!(shown(lab, lab.id("Locker"), locker).get("playerId"), None, "it let go");
    let report = find("Report");
    assert_eq!(report.before.as_ref().unwrap().deleted_at, None);
    assert!(report.after.as_ref().unwrap().deleted_at.is_some(), "hidden, not gone");
    assert_eq!(changes.len(), 4);
}

pub fn what_a_sweep_removes_is_told(lab: &Lab) {
    let Some(log) = log(lab) else { return };
    let api = lab.api();
    let soon = "2026-01-02T03:04:06Z";
    api.create("Code", json!({ "text": "c", "expiresAt": soon }));
    api.create("Session", json!({ "token": "s", "expiresAt": soon }));
    api.create("Basket", json!({ "id": "1", "session": "s" }));
    let mut follower = Follower::new(lab, log.as_ref(), Since::Now);
    lab.clock.set(NOW + SECOND);
    assert_eq!(lab.sweep(), 2);
    let mut names: Vec<_> =
        told(lab, &follower.changes()).into_iter().filter(|(_, _, after)| after.is_null()).collect();
    names.sort_by(|one, other| one.0.cmp(&other.0));
    let names: Vec<_> = names.into_iter().map(|(name, before, _)| (name, before.is_null())).collect();
    let expected = ["Basket", "Code", "Session"].map(|name| (name.to_owned(), false));
    assert_eq!(names, expected);
}

pub fn of_a_load_either_every_row_is_told_or_that_its_table_changed(lab: &Lab) {
    let Some(log) = log(lab) else { return };
    let mut follower = Follower::new(lab, log.as_ref(), Since::Now);
    lab.put("Line", &line(1, "loaded"));
    write_line(&lab.api(), 1, "after");
    let rest = follower.rest();
    let Some((last, first)) = rest.split_last() else { panic!("nothing is told") };
    match first {
        [Told::Rewritten { entity, .. }] => assert!(entity.is_none_or(|entity| entity == lab.id("Line"))),
        [Told::Commit(commit)] => assert_eq!(told(lab, &commit.changes)[0].2, line(1, "loaded")),
        other => panic!("{other:?}"),
    }
    assert!(matches!(last, Told::Commit(_)), "what comes behind it is told as ever: {last:?}");
}

pub fn a_follower_goes_on_behind_any_place_without_a_gap_or_a_duplicate(lab: &Lab) {
    let Some(log) = log(lab) else { return };
    let api = lab.api();
    let mut follower = Follower::new(lab, log.as_ref(), Since::Now);
    for order in 1..=12 {
        write_line(&api, order, "x");
    }
    let commits = follower.commits();
    assert_eq!(commits.len(), 12);
    drop(follower);
    write_line(&api, 13, "x");
    let order = |commit: &Arc<Committed>| told(lab, &commit.changes)[0].2["orderId"].as_str().unwrap().to_owned();
    let orders: Vec<String> = commits.iter().map(order).chain(["13".to_owned()]).collect();
    assert_eq!(in_order(lab, orders.clone()), in_order(lab, (1..=13).map(|order| order.to_string()).collect()));
    for (at, commit) in commits.iter().enumerate() {
        let mut resumed = Follower::new(lab, log.as_ref(), Since::Place(commit.place.clone()));
        let rest: Vec<String> = resumed.commits().iter().map(order).collect();
        assert_eq!(in_order(lab, rest), in_order(lab, orders[at + 1..].to_vec()));
    }
}

pub fn a_follower_goes_on_where_it_was_said_to_be_current(lab: &Lab) {
    let Some(log) = log(lab) else { return };
    let mut follower = Follower::new(lab, log.as_ref(), Since::Now);
    write_line(&lab.api(), 1, "told");
    let place = loop {
        let current = follower.next().into_iter().rev().find_map(|told| match told {
            Told::Current { place, .. } => Some(place),
            _ => None,
        });
        if let Some(place) = current {
            break place;
        }
    };
    write_line(&lab.api(), 1, "behind");
    let mut resumed = Follower::new(lab, log.as_ref(), Since::Place(place));
    let texts: Vec<_> = told(lab, &resumed.changes()).into_iter().map(|(_, _, after)| after["text"].clone()).collect();
    let (last, before) = texts.split_last().unwrap();
    assert_eq!(*last, "behind");
    // It may have been current before the first commit.
    assert!(before.is_empty() || before == ["told"]);
}

pub fn a_place_of_another_log_is_refused(lab: &Lab) {
    let Some(log) = log(lab) else { return };
    let mut follower = Follower::new(lab, log.as_ref(), Since::Now);
    write_line(&lab.api(), 1, "x");
    let place = follower.commits()[0].place.clone();
    let foreign = Place { base: Arc::from(*b"of no log at all"), ..place };
    let Err(error) = lab.wait(log.follow(Since::Place(foreign))) else { panic!("it was taken") };
    assert_eq!(error.reason(), "CHANGES_LOST");
}

pub fn that_all_was_told_is_said_every_second_although_nothing_changes(lab: &Lab) {
    let Some(log) = log(lab) else { return };
    let mut follower = Follower::new(lab, log.as_ref(), Since::Now);
    let started = Instant::now();
    let mut moments = Vec::new();
    while moments.len() < 3 {
        moments.extend(follower.next().into_iter().filter_map(|told| match told {
            Told::Current { moment, .. } => Some(moment),
            _ => None,
        }));
    }
    assert!(moments.is_sorted() && moments[2] > started);
    assert!(started.elapsed() < Duration::from_secs(10), "{:?} for three", started.elapsed());
}

pub fn nothing_is_told_before_it_can_be_read(lab: &Lab) {
    let Some(log) = log(lab) else { return };
    let entity = lab.id("Line");
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for worker in 0..3_u32 {
            let (api, done) = (lab.api(), &done);
            scope.spawn(move || {
                let mut number = 0_u32;
                while !done.load(Ordering::Relaxed) {
                    number += 1;
                    write_line(&api, worker, &number.to_string());
                }
            });
        }
        let mut follower = Follower::new(lab, log.as_ref(), Since::Now);
        let mut seen = 0;
        while seen < 300 {
            for change in follower.next().iter().flat_map(rows_of) {
                let row = change.after.as_ref().unwrap();
                let key = lab.engine.codecs().row(entity).key_of(&row.values);
                let view = View { now: 0, deleted: true };
                let read = lab.wait(lab.rows().get(entity, &key, view, &Session::strong())).unwrap().unwrap();
                if read.version() < row.version {
                    done.store(true, Ordering::Relaxed);
                    panic!("version {} was told and {} is read", row.version, read.version());
                }
                seen += 1;
            }
        }
        done.store(true, Ordering::Relaxed);
    });
}

fn rows_of(told: &Told) -> Vec<RowChange> {
    match told {
        Told::Commit(commit) => commit.changes.clone(),
        _ => Vec::new(),
    }
}

pub fn several_followers_are_told_the_same(lab: &Lab) {
    let Some(log) = log(lab) else { return };
    let api = lab.api();
    let mut followers = [(); 3].map(|()| Follower::new(lab, log.as_ref(), Since::Now));
    for order in 0..5 {
        write_line(&api, order, "x");
    }
    let all = followers.each_mut().map(Follower::commits);
    assert_eq!(all[0].len(), 5);
    if lab.rows().capabilities().changes == Changes::Log {
        assert!(all[0] == all[1] && all[1] == all[2]);
    }
    let changes = |commit: &Arc<Committed>| format!("{:?}", commit.changes);
    let [one, two, three] = all.map(|commits| in_order(lab, commits.iter().map(changes).collect()));
    assert!(one == two && two == three);
}

pub fn a_history_contains_what_was_seen_before_it_began_and_not_what_comes(lab: &Lab) {
    let Some(log) = log(lab) else { return };
    write_line(&lab.api(), 1, "before");
    let mut stream = lab.wait(log.follow(Since::Now)).unwrap();
    let first = lab.wait(stream.next()).unwrap();
    let [Told::Begin(begin)] = first.as_slice() else { panic!("{first:?}") };
    let position = begin.contained.position();
    let beginning = position.points();
    assert!(
        beginning.contains(&begin.place.point) && beginning.iter().all(|point| begin.contained.contains(*point)),
        "{begin:?}"
    );
    let mut follower = Follower { lab, stream };
    let seen = |text: &str| {
        let session = Session::strong();
        let write = json!({ "line": line(1, text), "allowMissing": true });
        lab.api().call("UpdateLine", write);
        drop(lab.wait(lab.engine.list(lab.id("Line"), Default::default(), &session)).unwrap());
        lab.engine.seen(&session)
    };
    let after = seen("after");
    let commits = follower.commits();
    let place = &commits.last().unwrap().place;
    assert!(!begin.contained.contains(place.point), "it was told afterwards");
    let is_told = lab.rows().capabilities().positions != Positions::Untold;
    assert_eq!(is_told, after.points().iter().any(|point| !begin.contained.contains(*point)));
}

pub fn whoever_follows_knows_the_history_by_the_same_number(lab: &Lab) {
    let Some(log) = log(lab) else { return };
    let history = |since| {
        let mut stream = lab.wait(log.follow(since)).unwrap();
        match lab.wait(stream.next()).unwrap().as_slice() {
            [Told::Begin(begin)] => (begin.history, begin.place.clone()),
            other => panic!("{other:?}"),
        }
    };
    let (one, place) = history(Since::Now);
    write_line(&lab.api(), 1, "x");
    assert_eq!((history(Since::Now).0, history(Since::Place(place)).0), (one, one));
}
