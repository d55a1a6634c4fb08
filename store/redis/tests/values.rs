//! What is on the server is not what was put there.

#![allow(clippy::unwrap_used, reason = "clippy knows tests only by their attribute")]

mod support;

use std::sync::Arc;
use std::time::Duration;

use rowkeep_cache::remote::conformance::{Client, HOUR, Stage, entry, name, place, telling};
use rowkeep_cache::remote::{Beginning, Entry, Failed, Heard, Leased, Name, Remote, Telling};
use rowkeep_redis::RedisRemote;
use testkit::{Answer, Redis, wait_until};

/// A server of its own, a shard that was begun and told something, and one entry.
struct Scene {
    stage: Stage,
    server: Arc<Redis>,
    remote: Arc<RedisRemote>,
    horizon_key: Vec<u8>,
    row: Name,
    kept: Entry,
}

impl Scene {
    fn start() -> Self {
        Self::with(&[])
    }

    fn with(options: &[&str]) -> Self {
        let server = Arc::new(Redis::start_with(options));
        let address = support::address(&format!("redis://{}", server.address()));
        let stage = support::stage_in(&address, "values", Arc::clone(&server));
        let remote = stage.wait(support::connect(&address, "values", support::PATIENT));
        let row = name("row");
        stage.one.begun(11, 5);
        let rewriting = Telling { rewritten: vec![row.entity], ..telling(11, 5, 6, &[]) };
        assert_eq!(stage.one.tell(&rewriting), Heard::Told);
        let kept = stage.one.bring(&row, 1, b"value of the row");
        Self { stage, server, remote, horizon_key: b"rowkeep:values/1{0}".to_vec(), row, kept }
    }

    fn one(&self) -> &Client {
        &self.stage.one
    }

    fn slot_key(&self) -> Vec<u8> {
        [&self.horizon_key[..], b":0:row"].concat()
    }

    fn kept_under(&self, key: &[u8]) -> Vec<u8> {
        match self.server.ask_bytes(&[b"GET", key]) {
            Answer::Text(bytes) => bytes,
            other => panic!("{other:?}"),
        }
    }

    fn put(&self, key: &[u8], value: &[u8]) {
        assert_eq!(self.server.ask_bytes(&[b"SET", key, value]).text(), "OK");
    }

    fn is_absent(&self, key: &[u8]) -> bool {
        self.server.ask_bytes(&[b"EXISTS", key]) == Answer::Number(0)
    }

    fn found(&self) -> Option<Entry> {
        // Through the client whose counts are looked at.
        let looked = self.stage.wait(self.remote.get(0, vec![self.row.clone()])).unwrap();
        looked.entries.into_iter().next().unwrap()
    }

    /// Whatever the slot holds is found to be nothing, is dropped, and is in nobody's way.
    fn counts_as_nothing(&self, value: &[u8], what: &str) {
        let key = self.slot_key();
        self.put(&key, value);
        assert_eq!(self.found(), None, "{what}");
        wait_until("garbage to be dropped", || self.is_absent(&key));
        self.put(&key, value);
        assert!(matches!(self.one().lease(&self.row, 77), Leased::Given(_)), "{what}");
        self.one().retract(std::slice::from_ref(&self.row));
    }
}

#[test]
fn a_look_up_is_one_command_and_so_is_each_step() {
    let scene = Scene::start();
    let one = scene.one();
    let (other, horizon) = (name("other"), one.horizon().unwrap());
    let counted = |step: &dyn Fn(), expected: &[(&str, u64)]| {
        scene.server.forget_commands();
        step();
        for command in ["mget", "evalsha", "eval", "get", "set", "unlink", "ping", "script|load"] {
            let wanted = expected.iter().find(|(name, _)| *name == command).map_or(0, |(_, count)| *count);
            assert_eq!(scene.server.commands(command), wanted, "{command} of {expected:?}");
        }
    };
    counted(&|| drop(one.get(&[scene.row.clone(), other.clone()])), &[("mget", 1)]);
    // What is run within a script is counted, too.
    counted(&|| drop(one.leased(&other, 2)), &[("evalsha", 1), ("mget", 2), ("set", 1)]);
    let brought = entry(&horizon, &other, b"value");
    counted(&|| assert!(one.fill(&other, 2, &brought)), &[("evalsha", 1), ("mget", 2), ("set", 1)]);
    counted(
        &|| assert_eq!(one.tell(&telling(11, 6, 7, &[&other, &scene.row])), Heard::Told),
        &[("evalsha", 1), ("mget", 1), ("unlink", 1), ("set", 1)],
    );
    counted(&|| assert_eq!(one.tell(&telling(11, 6, 7, &[&other])), Heard::Told), &[("evalsha", 1), ("mget", 1)]);
    // However many there are: only then no copy of the server was told a half.
    let many: Vec<_> = (0..12_000).map(|number| name(&format!("many-{number}"))).collect();
    let many: Vec<_> = many.iter().collect();
    counted(
        &|| assert_eq!(one.tell(&telling(11, 7, 8, &many)), Heard::Told),
        &[("evalsha", 1), ("mget", 1), ("unlink", 12), ("set", 1)],
    );
    counted(&|| one.retract(&[other.clone(), scene.row.clone()]), &[("unlink", 1)]);
    counted(&|| drop(one.begin(&place(8), None)), &[("evalsha", 1), ("mget", 1)]);
}

#[test]
fn an_entry_with_a_byte_turned_or_missing_is_nothing() {
    let scene = Scene::start();
    let text = scene.kept_under(&scene.slot_key());
    assert_eq!(scene.found(), Some(scene.kept.clone()));
    let mut turned = 0;
    for at in 0..text.len() {
        let mut other = text.clone();
        other[at] ^= 1 << (at % 8);
        scene.counts_as_nothing(&other, &format!("byte {at} turned"));
        scene.counts_as_nothing(&text[..at], &format!("cut at {at}"));
        turned += 1;
    }
    assert_eq!(turned, 1 + 8 + 8 + 4 + scene.kept.value.len());
    assert!(scene.remote.stats().garbage >= 2 * turned as u64);
    scene.put(&scene.slot_key(), &text);
    assert_eq!(scene.found(), Some(scene.kept.clone()), "as it was it counts");
}

#[test]
fn garbage_in_a_slot_is_nothing() {
    let scene = Scene::start();
    let entry = scene.kept_under(&scene.slot_key());
    let doubled = [&entry[..], &entry].concat();
    let values = [&b""[..], b"E", b"L", b"value", b"{\"id\":1}", &[0; 33], &[0xff; 4096], &doubled];
    for value in values {
        scene.counts_as_nothing(value, &format!("{} bytes", value.len()));
    }
    // Larger than anything that is put there: it is not looked at.
    let key = scene.slot_key();
    assert_eq!(scene.server.ask_bytes(&[b"SETRANGE", &key, b"67108864", b"x"]), Answer::Number(67_108_865));
    assert_eq!(scene.found(), None);
    wait_until("it to be dropped", || scene.is_absent(&key));
}

#[test]
fn what_was_put_under_another_key_is_nothing() {
    let scene = Scene::start();
    let elsewhere = scene.one().bring(&name("elsewhere"), 9, b"value of the row");
    assert_eq!(elsewhere, scene.kept);
    let text = scene.kept_under(&[&scene.horizon_key[..], b":0:elsewhere"].concat());
    scene.counts_as_nothing(&text, "another row's entry");
    // Names that are too long for a key are hashed: what is under the hash has to be of that name, too.
    let long = Name { bytes: vec![b'n'; 500].into(), ..name("") };
    scene.one().bring(&long, 10, b"value of the row");
    let keys = scene.server.ask(&["KEYS", "rowkeep:values/1{0}#*"]);
    let Answer::List(keys) = keys else { panic!("{keys:?}") };
    let [Answer::Text(key)] = &keys[..] else { panic!("{keys:?}") };
    let text = scene.kept_under(key);
    scene.counts_as_nothing(&text, "a long name's entry");
    scene.put(key, &scene.kept_under(&[&scene.horizon_key[..], b":0:elsewhere"].concat()));
    assert_eq!(scene.one().entry(&long), None);
}

#[test]
fn a_horizon_with_a_byte_turned_or_missing_is_none() {
    let scene = Scene::start();
    let text = scene.kept_under(&scene.horizon_key);
    let before = scene.one().horizon();
    assert!(before.is_some());
    let is_none = |value: &[u8], what: &str| {
        scene.put(&scene.horizon_key, value);
        let looked = scene.one().get(std::slice::from_ref(&scene.row));
        assert_eq!((looked.horizon, &looked.entries[..]), (None, &[None][..]), "{what}");
        assert_eq!(scene.one().tell(&telling(11, 6, 7, &[&scene.row])), Heard::Other, "{what}");
        assert_eq!(scene.one().lease(&scene.row, 5), Leased::Untold, "{what}");
        assert!(!scene.one().fill(&scene.row, 1, &scene.kept), "{what}");
        assert_eq!(scene.one().begin(&place(6), None), None, "{what}");
    };
    for at in 0..text.len() {
        let mut other = text.clone();
        other[at] ^= 1 << (at % 8);
        is_none(&other, &format!("byte {at} turned"));
        is_none(&text[..at], &format!("cut at {at}"));
    }
    is_none(&[&text[..], b"0"].concat(), "a byte more");
    is_none(b"", "empty");
    scene.put(&scene.horizon_key, &text);
    assert_eq!(scene.one().horizon(), before, "as it was it counts");
    assert_eq!(scene.found(), Some(scene.kept.clone()));
    scene.put(&scene.horizon_key, &text[1..]);
    let made = scene.one().begun(12, 9);
    assert_eq!(scene.one().horizon(), Some(made), "whoever begins makes it anew");
    assert_eq!(scene.found(), None);
}

/// Puts something that is no text under a key.
type Make<'a> = &'a dyn Fn(&[u8]) -> Answer;

#[test]
fn values_of_other_types_are_nothing() {
    let scene = Scene::start();
    let (slot, horizon) = (scene.slot_key(), scene.horizon_key.clone());
    let make: [Make<'_>; 4] = [
        &|key| scene.server.ask_bytes(&[b"RPUSH", key, b"a", b"b"]),
        &|key| scene.server.ask_bytes(&[b"HSET", key, b"a", b"b"]),
        &|key| scene.server.ask_bytes(&[b"SADD", key, b"a"]),
        &|key| scene.server.ask_bytes(&[b"XADD", key, b"*", b"a", b"b"]),
    ];
    for (token, make) in (100..).zip(make) {
        scene.server.ask_bytes(&[b"DEL", &slot]);
        assert!(!matches!(make(&slot), Answer::Error(_)));
        assert_eq!(scene.found(), None);
        scene.one().bring(&scene.row, token, b"in its place");
        assert!(!matches!(make(&name_key(&scene, "told")), Answer::Error(_)));
        let told = u64::try_from(token).unwrap();
        assert_eq!(scene.one().tell(&telling(11, 6, told, &[&name("told")])), Heard::Told);
    }
    for (incarnation, make) in (200..).zip(make) {
        scene.server.ask_bytes(&[b"DEL", &horizon]);
        assert!(!matches!(make(&horizon), Answer::Error(_)));
        assert_eq!(scene.one().horizon(), None);
        assert_eq!(scene.one().tell(&telling(11, 6, 7, &[])), Heard::Other);
        assert_eq!(scene.one().lease(&scene.row, 7), Leased::Untold);
        scene.one().begun(incarnation, 9);
    }
}

fn name_key(scene: &Scene, text: &str) -> Vec<u8> {
    [&scene.horizon_key[..], b":0:", text.as_bytes()].concat()
}

#[test]
fn a_server_that_was_emptied_is_found_so() {
    let scene = Scene::start();
    scene.one().leased(&name("leased"), 2);
    scene.server.ask(&["FLUSHALL"]);
    assert_eq!(scene.found(), None);
    assert_eq!(scene.one().horizon(), None);
    assert_eq!(scene.one().tell(&telling(11, 6, 7, &[])), Heard::Other);
    assert!(!scene.one().fill(&name("leased"), 2, &scene.kept));
    scene.one().begun(12, 7);
    scene.one().bring(&scene.row, 3, b"new");
}

#[test]
fn a_horizon_that_was_dropped_takes_its_entries_with_it() {
    let scene = Scene::start();
    scene.server.ask_bytes(&[b"DEL", &scene.horizon_key]);
    assert_eq!(scene.found(), None);
    assert_eq!(scene.one().lease(&scene.row, 2), Leased::Untold);
    scene.one().begun(12, 6);
    assert_eq!(scene.found(), None, "it is of what the shard was");
    assert!(matches!(scene.one().lease(&scene.row, 3), Leased::Given(_)));
}

#[test]
fn scripts_that_the_server_forgot_are_sent_whole() {
    let scene = Scene::start();
    let forget = || assert_eq!(scene.server.ask(&["SCRIPT", "FLUSH"]).text(), "OK");
    let (one, row) = (scene.one(), name("row 2"));
    forget();
    let horizon = one.begin(&place(6), None).unwrap();
    forget();
    assert_eq!(one.lease(&row, 2), Leased::Given(horizon.clone()));
    forget();
    assert!(one.fill(&row, 2, &entry(&horizon, &row, b"value")));
    forget();
    assert_eq!(one.tell(&telling(11, 6, 7, &[&row])), Heard::Told);
    assert_eq!(one.entry(&row), None);
    scene.server.forget_commands();
    one.tell(&telling(11, 7, 8, &[]));
    assert_eq!((scene.server.commands("evalsha"), scene.server.commands("eval")), (1, 0), "it has it now");
}

#[test]
fn a_full_server_is_told_and_takes_nothing_more() {
    let scene = Scene::start();
    let one = scene.one();
    let horizon = one.horizon().unwrap();
    let leased = name("leased");
    one.leased(&leased, 2);
    fill_up(&scene.server);
    let failed = |answer: Result<String, Failed>| match answer {
        Err(Failed::Full(_)) => {}
        other => panic!("{other:?}"),
    };
    let wait = |reply| scene.stage.wait(reply);
    let more = one.remote.lease(0, name("more"), 3, HOUR);
    failed(scene.stage.wait(more).map(|leased| format!("{leased:?}")));
    let brought = entry(&horizon, &leased, b"value");
    failed(wait(one.remote.fill(0, leased.clone(), 2, brought, HOUR)).map(|filled| filled.to_string()));
    assert_eq!(scene.found(), Some(scene.kept.clone()), "it answers what it has");
    assert_eq!(one.tell(&telling(11, 6, 7, &[])), Heard::Told);
    assert_eq!(one.tell(&telling(11, 7, 8, &[&scene.row])), Heard::Told);
    assert_eq!(scene.found(), None);
    one.retract(std::slice::from_ref(&leased));
    assert_eq!(one.begin(&place(9), Some(12)).unwrap().incarnation, 12);
    scene.server.ask(&["CONFIG", "SET", "maxmemory", "0"]);
    one.bring(&leased, 4, b"new");
}

/// As one whose memory is used up: it has more than it may.
fn fill_up(server: &Redis) {
    server.ask(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]);
    server.ask(&["CONFIG", "SET", "maxmemory", "1"]);
    assert!(server.ask(&["SET", "junk", "junk"]).text().starts_with("OOM"));
}

/// A user without the right to ask what the server is: so it is treated as one that is old.
#[test]
fn a_full_server_of_unknown_version_is_told_or_says_that_it_is_full() {
    let scene = Scene::start();
    let commands = ["+mget", "+set", "+unlink", "+eval", "+evalsha", "+ping", "+role"];
    let user = ["ACL", "SETUSER", "ann", "on", ">secret", "~rowkeep:*", "-@all"];
    assert_eq!(scene.server.ask(&[&user[..], &commands].concat()).text(), "OK");
    let address = support::address(&format!("redis://ann:secret@{}", scene.server.address()));
    let stage = support::stage_in(&address, "values", ());
    let one = &stage.one;
    assert_eq!(one.tell(&telling(11, 6, 7, &[])), Heard::Told);
    fill_up(&scene.server);
    let told = stage.wait(one.remote.tell(0, telling(11, 7, 8, &[])));
    assert!(matches!(told, Err(Failed::Full(_))), "{told:?}");
    assert_eq!(one.horizon().unwrap().told, place(7));
    // What is dropped first makes room, as far as the server is concerned.
    assert_eq!(one.tell(&telling(11, 7, 8, &[&scene.row])), Heard::Told);
    assert_eq!(one.get(std::slice::from_ref(&scene.row)).entries, [None]);
    let begun = stage.wait(one.remote.begin(0, Beginning { history: 0, place: place(9), anew: Some(12) }));
    assert!(matches!(begun, Err(Failed::Full(_))), "{begun:?}");
}

#[test]
fn a_server_that_drops_what_is_used_least_never_answers_wrongly() {
    let scene = Scene::with(&["--maxmemory", "4mb", "--maxmemory-policy", "allkeys-lru"]);
    let one = scene.one();
    let mut incarnation = 11;
    let value = |number: u128| [number.to_string().as_bytes(), &[b'x'; 2000]].concat();
    let (mut hits, mut lost) = (0, 0);
    for number in 0..4000_u128 {
        let row = name(&format!("row {number}"));
        match one.lease(&row, number + 1) {
            Leased::Given(horizon) => {
                one.fill(&row, number + 1, &entry(&horizon, &row, &value(number)));
            }
            Leased::Untold => {
                lost += 1;
                incarnation += 1;
                one.begun(incarnation, 9);
            }
            other => panic!("{other:?}"),
        }
        let earlier = number - number.min(u128::from(number.trailing_zeros()) * 200);
        let found = one.entry(&name(&format!("row {earlier}")));
        if let Some(found) = found {
            assert!(found.value == value(earlier), "row {earlier}");
            hits += 1;
        }
    }
    assert!(hits > 1000, "{hits} hits, {lost} horizons lost");
    assert!(scene.server.info("evicted_keys") > 100);
}

#[test]
fn times_are_the_servers() {
    let scene = Scene::start();
    let (row, other) = (name("row 2"), name("row 3"));
    assert!(matches!(scene.one().lease_for(&row, 2, Duration::from_secs(100)), Leased::Given(_)));
    let left = |key: &[u8]| match scene.server.ask_bytes(&[b"PTTL", key]) {
        Answer::Number(left) => left,
        other => panic!("{other:?}"),
    };
    assert!((1..=100_000).contains(&left(&name_key(&scene, "row 2"))));
    assert!(matches!(scene.one().lease_for(&other, 3, Duration::MAX), Leased::Given(_)));
    assert!(left(&name_key(&scene, "row 3")) > 100_000);
    assert_eq!(left(&scene.horizon_key), -1, "a horizon has no end");
}
