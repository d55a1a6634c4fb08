//! What slots are found by.

use bytes::Bytes;
use rowkeep_schema::EntityId;

use super::stage::{Stage, name, telling};
use crate::remote::{Heard, Name};

/// Names that are easily taken for each other, or for something else.
fn unlike() -> Vec<Name> {
    let long = "n".repeat(200);
    let texts = ["", " ", "1", "01", "1\0", "\x001", "{1}", "}", "{", "*", "a:b", "a/b", "\r\n", "\u{fc}", &long];
    let mut names: Vec<_> = texts.iter().map(|text| name(text)).collect();
    for length in [31, 32, 33, 63, 64, 65, 255, 256, 70_000] {
        names.push(name(&"n".repeat(length)));
        names.push(Name { bytes: vec![0xff; length].into(), ..name("") });
    }
    names.push(name(&format!("{long}x")));
    names.push(name(&format!("x{long}")));
    names.push(Name { bytes: Bytes::from_iter(0..=255), ..name("") });
    let entities = [1, 255, 256, u16::MAX].map(EntityId);
    names.extend(entities.into_iter().flat_map(|entity| ["", "1"].map(|text| Name { entity, ..name(text) })));
    names
}

pub fn each_name_is_a_slot_of_its_own(stage: &Stage) {
    stage.one.begun(11, 5);
    let names = unlike();
    let entries: Vec<_> =
        (1..).zip(&names).map(|(token, name)| stage.one.bring(name, token, &token.to_be_bytes())).collect();
    let looked = stage.other.get(&names);
    for ((name, entry), found) in names.iter().zip(&entries).zip(looked.entries) {
        assert_eq!(found.as_ref(), Some(entry), "{name:?}");
    }
    for (at, name) in names.iter().enumerate() {
        stage.one.retract(std::slice::from_ref(name));
        assert_eq!(stage.one.entry(name), None, "{name:?}");
        if let Some(next) = names.get(at + 1) {
            assert_eq!(stage.one.entry(next).as_ref(), Some(&entries[at + 1]), "{next:?}");
        }
    }
}

pub fn each_name_can_be_told(stage: &Stage) {
    stage.one.begun(11, 5);
    let names = unlike();
    for (token, name) in (1..).zip(&names) {
        stage.one.bring(name, token, b"old");
    }
    let all: Vec<_> = names.iter().collect();
    assert_eq!(stage.one.tell(&telling(11, 5, 6, &all)), Heard::Told);
    assert_eq!(stage.one.get(&names).entries, vec![None; names.len()]);
}

pub fn entries_come_in_the_order_asked(stage: &Stage) {
    let (one, other, absent) = (name("one"), name("other"), name("absent"));
    stage.one.begun(11, 5);
    let first = stage.one.bring(&one, 1, b"1");
    let second = stage.one.bring(&other, 2, b"2");
    let asked = [other.clone(), absent.clone(), one.clone(), other, one, absent];
    let expected = [Some(&second), None, Some(&first), Some(&second), Some(&first), None].map(Option::<&_>::cloned);
    assert_eq!(stage.one.get(&asked).entries, expected);
    assert_eq!(stage.one.get(&[]).entries, []);
}

pub fn many_slots_are_asked_for_at_once(stage: &Stage) {
    stage.one.begun(11, 5);
    let names: Vec<_> = (0..2000).map(|number| name(&format!("row {number}"))).collect();
    let kept = stage.one.bring(&names[1999], 1, b"last");
    let looked = stage.one.get(&names);
    assert_eq!(looked.entries.iter().flatten().collect::<Vec<_>>(), [&kept]);
    assert_eq!(looked.entries[1999], Some(kept));
}
