//! Watching, over any storage that has a log of changes.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kit_core::{Code, Error};
use rowkeep_record::{Key, Value};
use serde_json::{Value as Json, json};

use super::lab::{Lab, NOW, SECOND};
use super::subject::{eventually, row};
use crate::{Changes, Engine, WatchEvent, WatchRequest, WatchSince, Watched, Watcher};

/// After which a test that waits has failed.
const PATIENCE: Duration = Duration::from_secs(30);

fn has_log(lab: &Lab) -> bool {
    lab.rows().capabilities().changes == Changes::Log
}

/// A watcher in a test's hands.
struct Watch<'a> {
    lab: &'a Lab,
    entity: &'static str,
    watcher: Watcher,
}

/// What a test sees of an event.
#[derive(Debug, Clone, PartialEq)]
enum Seen {
    Changed(Json),
    Deleted(String),
    Complete,
}

impl<'a> Watch<'a> {
    fn of(lab: &'a Lab, entity: &'static str, filter: &str, since: WatchSince) -> Self {
        Self::try_of(lab, &lab.engine, entity, filter, since).unwrap()
    }

    fn try_of(
        lab: &'a Lab,
        engine: &Engine,
        entity: &'static str,
        filter: &str,
        since: WatchSince,
    ) -> Result<Self, Error> {
        let request = WatchRequest { filter: filter.to_owned(), since };
        let watcher = lab.wait(engine.watch(lab.id(entity), request))?;
        Ok(Self { lab, entity, watcher })
    }

    fn try_next(&mut self) -> Result<Watched, Error> {
        let next = self.lab.wait(async { tokio::time::timeout(PATIENCE, self.watcher.next()).await });
        next.expect("something is told, be it a heartbeat")
    }

    /// The next event that is none of time.
    fn next(&mut self) -> (Seen, Option<String>) {
        loop {
            let Watched { event, token } = self.try_next().unwrap();
            if event != WatchEvent::Heartbeat {
                return (self.seen(event), token);
            }
        }
    }

    fn take(&mut self, count: usize) -> Vec<Seen> {
        (0..count).map(|_| self.next().0).collect()
    }

    fn fails(&mut self) -> Error {
        loop {
            if let Err(error) = self.try_next() {
                return error;
            }
        }
    }

    fn seen(&self, event: WatchEvent) -> Seen {
        let codecs = self.lab.engine.codecs();
        let schema = self.lab.engine.schema();
        let entity = schema.entity_by_name(self.entity).unwrap();
        match event {
            WatchEvent::Changed(record) => {
                let mut out = Vec::new();
                codecs.json.to_json(entity.message, record.wire(), &mut out, Default::default()).unwrap();
                Seen::Changed(serde_json::from_slice(&out).unwrap())
            }
            WatchEvent::Deleted(key) => Seen::Deleted(codecs.row(entity.id).key_text(&key)),
            WatchEvent::SnapshotComplete => Seen::Complete,
            WatchEvent::Heartbeat => unreachable!("left out before"),
        }
    }
}

fn line(order: u32, text: &str) -> Json {
    json!({ "orderId": order.to_string(), "line": 1, "text": text })
}

fn write(lab: &Lab, order: u32, text: &str) {
    lab.api().call("UpdateLine", json!({ "line": line(order, text), "allowMissing": true }));
}

fn delete(lab: &Lab, order: u32) {
    lab.api().delete("Line", json!({ "orderId": order.to_string(), "line": 1 }));
}

pub fn who_watches_is_told_of_every_change_from_then_on(lab: &Lab) {
    if !has_log(lab) {
        return;
    }
    write(lab, 1, "before");
    let mut watch = Watch::of(lab, "Line", "", WatchSince::Now);
    write(lab, 1, "a");
    write(lab, 2, "b");
    delete(lab, 1);
    write(lab, 1, "c");
    let expected = [
        Seen::Changed(line(1, "a")),
        Seen::Changed(line(2, "b")),
        Seen::Deleted("1/1".to_owned()),
        Seen::Changed(line(1, "c")),
    ];
    assert_eq!(watch.take(4), expected);
}

pub fn a_snapshot_is_every_row_there_is_and_then_the_changes(lab: &Lab) {
    if !has_log(lab) {
        return;
    }
    // More than a page.
    let create = |order: u32| json!({ "create": row("Line", line(order, "old")) });
    for piece in 0..3 {
        lab.api().commit((piece * 400..(piece + 1) * 400).map(create).collect());
    }
    let mut watch = Watch::of(lab, "Line", "", WatchSince::Snapshot);
    write(lab, 5000, "new");
    let mut rows = BTreeMap::new();
    let mut complete = 0;
    while complete == 0 || !rows.contains_key("\"5000\"") {
        let (seen, token) = watch.next();
        assert_eq!(token.is_some(), complete > 0 || seen == Seen::Complete, "{seen:?}");
        match seen {
            Seen::Changed(row) => {
                let before = rows.insert(row["orderId"].to_string(), row.clone());
                assert!(before.is_none(), "{row} was told twice");
            }
            Seen::Complete => complete += 1,
            Seen::Deleted(key) => panic!("{key} was never deleted"),
        }
    }
    assert_eq!((rows.len(), complete), (1201, 1));
}

/// The last state of each row, by its key, as a client keeps it that believes what it is told.
struct Copy {
    rows: BTreeMap<Key, u64>,
    /// The newest version that was told of a row, which stays when it goes.
    newest: BTreeMap<Key, u64>,
}

impl Copy {
    fn take(&mut self, lab: &Lab, entity: &str, event: WatchEvent) {
        match event {
            WatchEvent::Changed(record) => {
                let codec = lab.engine.codecs().row(lab.id(entity));
                let key = codec.key_of(&codec.decode(record.wire()).unwrap().values);
                let newest = self.newest.entry(key.clone()).or_default();
                assert!(*newest < record.version(), "{key:?} went from {newest} to {}", record.version());
                *newest = record.version();
                self.rows.insert(key, record.version());
            }
            WatchEvent::Deleted(key) => drop(self.rows.remove(&key)),
            WatchEvent::SnapshotComplete | WatchEvent::Heartbeat => {}
        }
    }
}

pub fn a_copy_that_follows_a_snapshot_is_right_whatever_is_written_meanwhile(lab: &Lab) {
    if !has_log(lab) {
        return;
    }
    let create = |order: u32| json!({ "create": row("Line", line(order, "old")) });
    for piece in 0..4 {
        lab.api().commit((piece * 400..(piece + 1) * 400).map(create).collect());
    }
    let (done, written) = (AtomicBool::new(false), std::sync::atomic::AtomicU32::new(0));
    let mut copy = Copy { rows: BTreeMap::new(), newest: BTreeMap::new() };
    std::thread::scope(|scope| {
        for worker in 0..3_u32 {
            let (done, written, api) = (&done, &written, lab.api());
            scope.spawn(move || {
                let mut state = 7 + worker;
                while !done.load(Ordering::Relaxed) {
                    state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    let order = (state >> 8) % 2000;
                    let key = json!({ "orderId": order.to_string(), "line": 1, "allowMissing": true });
                    match (state >> 24) % 4 {
                        0 => drop(api.try_call("DeleteLine", &key)),
                        _ => drop(api.try_call(
                            "UpdateLine",
                            &json!({ "line": line(order, &state.to_string()), "allowMissing": true }),
                        )),
                    }
                    written.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let mut watch = Watch::of(lab, "Line", "", WatchSince::Snapshot);
        let mut is_complete = false;
        while !is_complete || written.load(Ordering::Relaxed) < 1500 {
            let event = watch.try_next().unwrap().event;
            is_complete |= event == WatchEvent::SnapshotComplete;
            copy.take(lab, "Line", event);
        }
        done.store(true, Ordering::Relaxed);
        // The last write of all.
        eventually("the writers' end", || {
            let before = written.load(Ordering::Relaxed);
            std::thread::sleep(Duration::from_millis(50));
            written.load(Ordering::Relaxed) == before
        });
        write(lab, 9999, "last");
        loop {
            let event = watch.try_next().unwrap().event;
            copy.take(lab, "Line", event);
            if copy.rows.keys().any(|key| *key.values() == [Value::Int(9999), Value::Int(1)]) {
                break;
            }
        }
    });
    let stored = stored_versions(lab);
    assert_eq!(copy.rows.len(), stored.len());
    assert_eq!(copy.rows, stored);
}

fn stored_versions(lab: &Lab) -> BTreeMap<Key, u64> {
    let entity = lab.id("Line");
    let codec = lab.engine.codecs().row(entity);
    let mut versions = BTreeMap::new();
    let mut request = crate::ListRequest { page_size: 1000, ..Default::default() };
    loop {
        let page = lab.wait(lab.engine.list(entity, request.clone(), &crate::Session::strong())).unwrap();
        for record in &page.records {
            let key = codec.key_of(&codec.decode(record.wire()).unwrap().values);
            versions.insert(key, record.version());
        }
        if page.next_page_token.is_empty() {
            return versions;
        }
        request.page_token = page.next_page_token;
    }
}

pub fn a_row_that_comes_to_match_is_told_and_one_that_stops_is_told_as_deleted(lab: &Lab) {
    if !has_log(lab) {
        return;
    }
    write(lab, 1, "in");
    write(lab, 2, "out");
    let mut watch = Watch::of(lab, "Line", "text = \"in\"", WatchSince::Snapshot);
    assert_eq!(watch.take(2), [Seen::Changed(line(1, "in")), Seen::Complete]);
    write(lab, 2, "out still");
    write(lab, 2, "in");
    write(lab, 1, "out");
    write(lab, 1, "out again");
    delete(lab, 1);
    delete(lab, 2);
    let expected = [Seen::Changed(line(2, "in")), Seen::Deleted("1/1".to_owned()), Seen::Deleted("2/1".to_owned())];
    assert_eq!(watch.take(3), expected);
}

pub fn a_soft_deleted_row_counts_as_deleted_until_it_is_brought_back(lab: &Lab) {
    if !has_log(lab) {
        return;
    }
    let api = lab.api();
    api.create("Draft", json!({ "name": "hidden" }));
    api.delete("Draft", json!({ "name": "hidden" }));
    let mut watch = Watch::of(lab, "Draft", "", WatchSince::Snapshot);
    assert_eq!(watch.take(1), [Seen::Complete]);
    api.create("Draft", json!({ "name": "d", "text": "t" }));
    api.delete("Draft", json!({ "name": "d" }));
    api.call("UndeleteDraft", json!({ "name": "d" }));
    let shown = Seen::Changed(json!({ "name": "d", "text": "t" }));
    assert_eq!(watch.take(3), [shown.clone(), Seen::Deleted("d".to_owned()), shown]);
}

pub fn a_row_that_expires_is_told_as_deleted_once_it_is_removed(lab: &Lab) {
    if !has_log(lab) {
        return;
    }
    lab.api().create("Code", json!({ "text": "c", "expiresAt": "2026-01-02T03:04:06Z" }));
    let mut watch = Watch::of(lab, "Code", "", WatchSince::Snapshot);
    assert!(matches!(watch.take(2).as_slice(), [Seen::Changed(_), Seen::Complete]));
    lab.clock.set(NOW + SECOND);
    lab.sweep();
    assert_eq!(watch.take(1), [Seen::Deleted("c".to_owned())]);
}

pub fn rows_that_go_with_another_are_told_to_their_own_watchers(lab: &Lab) {
    if !has_log(lab) {
        return;
    }
    let api = lab.api();
    api.create("Team", json!({ "id": "1", "name": "t" }));
    api.create("Player", json!({ "id": "1", "teamId": "1" }));
    api.create("Badge", json!({ "id": "7", "playerId": "1" }));
    let mut watch = Watch::of(lab, "Badge", "", WatchSince::Now);
    api.delete("Player", json!({ "id": "1" }));
    assert_eq!(watch.take(1), [Seen::Deleted("7".to_owned())]);
}

pub fn every_token_goes_on_exactly_behind_its_event(lab: &Lab) {
    if !has_log(lab) {
        return;
    }
    let mut watch = Watch::of(lab, "Line", "", WatchSince::Now);
    // In the middle of a commit too, and over changes of other entities.
    let create = |order: u32| json!({ "create": row("Line", line(order, "x")) });
    lab.api().commit((1..5).map(create).collect());
    lab.api().create("Team", json!({ "id": "1", "name": "t" }));
    write(lab, 5, "x");
    lab.api().commit((6..9).map(create).collect());
    let told: Vec<(Seen, Option<String>)> = (0..8).map(|_| watch.next()).collect();
    let expected = |from: usize| told[from..].iter().map(|(seen, _)| seen.clone()).collect::<Vec<_>>();
    for (at, (_, token)) in told.iter().enumerate() {
        let token = token.clone().expect("there is no snapshot");
        let mut resumed = Watch::of(lab, "Line", "", WatchSince::Token(token));
        assert_eq!(resumed.take(7 - at), expected(at + 1), "behind event {at}");
        // Another engine has told nothing yet, and reads the log.
        let fresh = lab.engine_with(|_| {});
        let token = told[at].1.clone().unwrap();
        let mut resumed = Watch::try_of(lab, &fresh, "Line", "", WatchSince::Token(token)).unwrap();
        assert_eq!(resumed.take(7 - at), expected(at + 1), "behind event {at}, read anew");
    }
}

pub fn a_heartbeat_says_how_far_it_is_although_nothing_changes(lab: &Lab) {
    if !has_log(lab) {
        return;
    }
    let engine = lab.engine_with(|options| options.watch.heartbeat = Duration::from_millis(50));
    let mut watch = Watch::try_of(lab, &engine, "Line", "", WatchSince::Now).unwrap();
    write(lab, 1, "a");
    assert_eq!(watch.take(1), [Seen::Changed(line(1, "a"))]);
    // Changes of others move it on.
    lab.api().create("Team", json!({ "id": "1", "name": "t" }));
    let beats: Vec<Watched> = (0..3).map(|_| watch.try_next().unwrap()).collect();
    assert!(beats.iter().all(|beat| beat.event == WatchEvent::Heartbeat && beat.token.is_some()));
    write(lab, 2, "b");
    let token = beats[2].token.clone().unwrap();
    let mut resumed = Watch::try_of(lab, &engine, "Line", "", WatchSince::Token(token)).unwrap();
    assert_eq!(resumed.take(1), [Seen::Changed(line(2, "b"))]);
}

pub fn a_token_is_good_for_its_own_watch_only(lab: &Lab) {
    if !has_log(lab) {
        return;
    }
    let mut watch = Watch::of(lab, "Line", "text = \"x\"", WatchSince::Now);
    write(lab, 1, "x");
    let token = watch.next().1.unwrap();
    let open = |entity, filter, token: &str| {
        let since = WatchSince::Token(token.to_owned());
        Watch::try_of(lab, &lab.engine, entity, filter, since).map(drop)
    };
    open("Line", "text = \"x\"", &token).unwrap();
    let mut forged = token.clone().into_bytes();
    let last = forged.len() - 1;
    forged[last / 2] ^= 1;
    let forged = String::from_utf8(forged).unwrap();
    for (entity, filter, token) in
        [("Line", "", token.as_str()), ("Draft", "", &token), ("Line", "text = \"x\"", &forged), ("Line", "", "x")]
    {
        let error = open(entity, filter, token).unwrap_err();
        assert_eq!((error.code(), error.fields()[0].reason), (Code::InvalidArgument, "INVALID_RESUME_TOKEN"));
    }
}

pub fn a_filter_that_is_none_is_refused(lab: &Lab) {
    if !has_log(lab) {
        return;
    }
    let refused = |entity, filter| Watch::try_of(lab, &lab.engine, entity, filter, WatchSince::Snapshot).map(drop);
    assert_eq!(refused("Line", "nonsense").unwrap_err().code(), Code::InvalidArgument);
    assert_eq!(refused("Ranked", "name != \"x\"").unwrap_err().reason(), "NO_INDEX");
    Watch::of(lab, "Ranked", "name != \"x\"", WatchSince::Now);
}

pub fn what_the_log_does_not_tell_ends_the_watch(lab: &Lab) {
    if !has_log(lab) {
        return;
    }
    let mut watch = Watch::of(lab, "Line", "", WatchSince::Now);
    let mut other = Watch::of(lab, "Team", "", WatchSince::Now);
    lab.put("Line", &line(1, "loaded"));
    lab.api().create("Team", json!({ "id": "1", "name": "t" }));
    // A storage may tell the rows of a load.
    match watch.try_next() {
        Err(error) => assert_eq!((error.code(), error.reason()), (Code::Aborted, "CHANGES_LOST")),
        Ok(watched) => assert_eq!(watch.seen(watched.event), Seen::Changed(line(1, "loaded"))),
    }
    assert!(matches!(other.take(1).as_slice(), [Seen::Changed(_)]), "others are not concerned");
    let mut anew = Watch::of(lab, "Line", "", WatchSince::Snapshot);
    assert_eq!(anew.take(2), [Seen::Changed(line(1, "loaded")), Seen::Complete]);
}

pub fn a_slow_watcher_misses_nothing_and_comes_up_with_the_others(lab: &Lab) {
    if !has_log(lab) {
        return;
    }
    let engine = lab.engine_with(|options| options.watch.kept_bytes = 2000);
    let mut slow = Watch::try_of(lab, &engine, "Line", "", WatchSince::Now).unwrap();
    let mut fast = Watch::try_of(lab, &engine, "Line", "", WatchSince::Now).unwrap();
    for order in 1..=200 {
        write(lab, order, "x");
        assert_eq!(fast.take(1), [Seen::Changed(line(order, "x"))], "it is not held up");
    }
    let expected: Vec<_> = (1..=200).map(|order| Seen::Changed(line(order, "x"))).collect();
    assert_eq!(slow.take(200), expected);
    write(lab, 300, "y");
    assert_eq!(
        (slow.take(1), fast.take(1)),
        (vec![Seen::Changed(line(300, "y"))], vec![Seen::Changed(line(300, "y"))])
    );
    let stats = engine.watch_stats();
    assert_eq!((stats.fell_behind, stats.too_slow, stats.runs, stats.watchers), (1, 0, 1, 2));
}

pub fn a_watcher_that_does_not_come_up_is_ended_with_the_token_to_go_on_with(lab: &Lab) {
    if !has_log(lab) {
        return;
    }
    let engine = lab.engine_with(|options| {
        options.watch.kept_bytes = 2000;
        options.watch.patience = Duration::ZERO;
    });
    let mut slow = Watch::try_of(lab, &engine, "Line", "", WatchSince::Now).unwrap();
    let mut fast = Watch::try_of(lab, &engine, "Line", "", WatchSince::Now).unwrap();
    for order in 1..=200 {
        write(lab, order, "x");
        // So it is known that the follower has told it, and dropped what was before.
        assert_eq!(fast.take(1), [Seen::Changed(line(order, "x"))]);
    }
    let mut told = 0;
    let error = loop {
        match slow.try_next() {
            Ok(_) => told += 1,
            Err(error) => break error,
        }
    };
    assert_eq!((error.code(), error.reason()), (Code::ResourceExhausted, "WATCHER_TOO_SLOW"));
    assert_eq!(engine.watch_stats().too_slow, 1);
    let token = error.metadata().iter().find(|(key, _)| *key == "resume_token").unwrap().1.clone();
    let mut resumed = Watch::of(lab, "Line", "", WatchSince::Token(token));
    let expected: Vec<_> = (told + 1..=200).map(|order| Seen::Changed(line(order, "x"))).collect();
    assert_eq!(resumed.take(200 - told as usize), expected);
}

pub fn watchers_are_limited_and_their_places_are_given_back(lab: &Lab) {
    if !has_log(lab) {
        return;
    }
    let engine = lab.engine_with(|options| options.watch.max_watchers = 2);
    let open = || Watch::try_of(lab, &engine, "Line", "", WatchSince::Now);
    let (one, _two) = (open().unwrap(), open().unwrap());
    let Err(error) = open() else { panic!("one too many") };
    assert_eq!((error.code(), error.reason()), (Code::ResourceExhausted, "TOO_MANY_WATCHERS"));
    drop(one);
    let mut again = open().unwrap();
    write(lab, 1, "a");
    assert_eq!(again.take(1), [Seen::Changed(line(1, "a"))]);
    assert_eq!(engine.watch_stats().watchers, 2);
}

pub fn all_watchers_share_one_follower(lab: &Lab) {
    if !has_log(lab) {
        return;
    }
    let engine = lab.engine_with(|_| {});
    let open = |_| Watch::try_of(lab, &engine, "Line", "", WatchSince::Now).unwrap();
    let mut watches: Vec<_> = (0..50).map(open).collect();
    write(lab, 1, "a");
    assert!(watches.iter_mut().all(|watch| watch.take(1) == [Seen::Changed(line(1, "a"))]));
    let stats = engine.watch_stats();
    assert_eq!((stats.watchers, stats.followers, stats.runs, stats.events), (50, 1, 1, 50));
}

pub fn watches_that_are_ended_say_so_and_none_begins_anew(lab: &Lab) {
    if !has_log(lab) {
        return;
    }
    let engine = lab.engine_with(|_| {});
    let mut watch = Watch::try_of(lab, &engine, "Line", "", WatchSince::Now).unwrap();
    let token = {
        write(lab, 1, "a");
        watch.next().1.unwrap()
    };
    engine.end_watches();
    assert_eq!((watch.fails().code(), watch.fails().reason()), (Code::Unavailable, "WATCHES_ENDED"));
    assert!(Watch::try_of(lab, &engine, "Line", "", WatchSince::Now).is_err());
    write(lab, 2, "b");
    let mut resumed = Watch::of(lab, "Line", "", WatchSince::Token(token));
    assert_eq!(resumed.take(1), [Seen::Changed(line(2, "b"))]);
}
