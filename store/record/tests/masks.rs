//! Read masks and update masks, by example.

#![allow(clippy::unwrap_used)] // a test that cannot go on fails

mod support;

use rowkeep_record::{ReadMask, UpdateMask, Value};
use serde_json::{Value as Json, json};
use support::fixture;

fn parse(paths: &[&str]) -> Result<Option<ReadMask>, kit_core::Error> {
    ReadMask::parse(&fixture().codecs.json, fixture().message(), paths)
}

fn shown(paths: &[&str], row: &Json) -> Json {
    let record = fixture().record(row);
    let projected = parse(paths).unwrap().map_or_else(|| record.clone(), |mask| mask.project(&record).unwrap());
    assert_eq!(projected.version(), record.version());
    fixture().json(projected.wire())
}

fn violations(error: &kit_core::Error) -> Vec<String> {
    error.fields().iter().map(|violation| format!("{} {}", violation.reason, violation.description)).collect()
}

fn row() -> Json {
    json!({
        "id": "7",
        "aString": "x",
        "aTime": "2024-05-01T12:00:00Z",
        "aDate": {"year": 2024, "month": 5},
        "aNested": {"text": "n", "numbers": [1, 2], "inner": {"text": "deep", "big": "9"}},
        "several": [{"text": "a", "big": "1"}, {}, {"text": "b"}],
        "byString": {"k": {"text": "v", "big": "2"}, "l": {}},
        "byBool": {"true": "yes"},
    })
}

#[test]
fn a_read_shows_the_masked_fields_in_either_name_style() {
    assert_eq!(shown(&["id", "a_string"], &row()), json!({"id": "7", "aString": "x"}));
    assert_eq!(shown(&["aString"], &row()), json!({"aString": "x"}));
    assert_eq!(shown(&["a_bool"], &row()), json!({}));
}

#[test]
fn no_path_and_a_star_show_everything() {
    assert_eq!(parse(&[]).unwrap(), None);
    assert_eq!(parse(&["id", "*"]).unwrap(), None);
    assert!(parse(&["*", "nope"]).is_err());
}

#[test]
fn a_read_goes_into_messages() {
    let expected = json!({"aNested": {"text": "n", "inner": {"big": "9"}}});
    assert_eq!(shown(&["a_nested.inner.big", "aNested.text"], &row()), expected);
    assert_eq!(shown(&["a_date.year"], &row()), json!({"aDate": {"year": 2024}}));
    assert_eq!(shown(&["a_nested.*"], &row()), shown(&["a_nested"], &row()));
    // There, though nothing of it is shown.
    assert_eq!(shown(&["a_nested.ratio"], &row()), json!({"aNested": {}}));
    assert_eq!(shown(&["choice_nested.text"], &row()), json!({}));
}

#[test]
fn a_read_goes_through_lists_and_with_a_star_through_maps() {
    let texts = json!({"several": [{"text": "a"}, {}, {"text": "b"}]});
    assert_eq!(shown(&["several.text"], &row()), texts);
    assert_eq!(shown(&["several.*.text"], &row()), texts);
    assert_eq!(shown(&["by_string.*.big"], &row()), json!({"byString": {"k": {"big": "2"}, "l": {}}}));
    assert_eq!(shown(&["by_bool.*"], &row()), json!({"byBool": {"true": "yes"}}));
}

#[test]
fn of_a_path_and_its_parent_the_parent_counts() {
    let whole = shown(&["a_nested"], &row());
    assert_eq!(shown(&["a_nested", "a_nested.text"], &row()), whole);
    assert_eq!(shown(&["a_nested.text", "a_nested.inner.big", "a_nested"], &row()), whole);
}

#[test]
fn every_path_that_cannot_be_read_is_named() {
    let paths =
        ["nope", "a_strng", "a_nested.txt", "a_time.seconds", "by_string.k", "a_nested.*.text", "", "a_nested..text"];
    let error = parse(&paths).unwrap_err();
    let found = violations(&error);
    assert_eq!(found.len(), paths.len(), "{found:?}");
    for (path, text) in paths.iter().zip(&found) {
        assert!(text.contains(&format!("`{path}`")), "{text}");
    }
    assert!(found[1].contains("did you mean a_string?"), "{}", found[1]);
    assert!(found[4].contains("`by_string.*.`"), "{}", found[4]);
    assert!(error.fields().iter().all(|violation| violation.field == "read_mask"));
}

#[test]
fn secret_fields_are_not_read_and_not_proposed() {
    assert_eq!(parse(&["a_secret"]).unwrap_err().fields()[0].reason, "SECRET_FIELD");
    let found = violations(&parse(&["a_secre"]).unwrap_err());
    assert!(!found[0].contains("did you mean a_secret"), "{found:?}");
}

#[test]
fn paths_without_end_are_refused() {
    let deep = vec!["a_nested"; 1].into_iter().chain(vec!["other"; 100_000]).collect::<Vec<_>>().join(".");
    assert_eq!(parse(&[&deep]).unwrap_err().fields()[0].reason, "TOO_DEEP");
    assert_eq!(update(&[&deep]).unwrap_err().fields()[0].reason, "TOO_DEEP");
    let long = "x".repeat(1 << 20);
    let many: Vec<&str> = std::iter::repeat_n(long.as_str(), 200).collect();
    assert!(parse(&many).unwrap_err().fields().len() <= 100);
}

fn update(paths: &[&str]) -> Result<UpdateMask, kit_core::Error> {
    fixture().row().update_mask(paths)
}

fn names(mask: &UpdateMask) -> Vec<&str> {
    mask.columns.iter().map(|id| fixture().entity().column(id).field.as_str()).collect()
}

/// What `a_nested` is when the parts of `paths` are taken from `new`.
fn merged(paths: &[&str], old: &Json, new: &Json) -> Json {
    let codec = fixture().row();
    let mask = update(paths).unwrap();
    let column = fixture().entity().column_by_field("a_nested").unwrap().id;
    let stored = |json: &Json| match json {
        Json::Null => Value::Null,
        json => codec.parse_text(column, &json.to_string()).unwrap(),
    };
    let mut value = stored(old);
    for (id, path) in &mask.nested {
        assert_eq!(*id, column);
        value = codec.merge_nested(column, path, &value, &stored(new)).unwrap();
    }
    match value {
        Value::Text(text) => {
            assert_eq!(codec.parse_text(column, &text).unwrap(), Value::Text(text.clone()), "canonical");
            serde_json::from_str(&text).unwrap()
        }
        _ => Json::Null,
    }
}

#[test]
fn an_update_names_columns_and_parts_of_messages() {
    let mask = update(&["a_string", "aNested.inner.text", "id"]).unwrap();
    assert_eq!(names(&mask), ["id", "a_string"]);
    assert_eq!(mask.nested.len(), 1);
    let mask = update(&["*"]).unwrap();
    assert_eq!(mask.columns.len(), fixture().entity().columns.len());
    assert_eq!(update(&[]).unwrap(), UpdateMask::default());
    assert_eq!(names(&update(&["a_secret"]).unwrap()), ["a_secret"]);
}

#[test]
fn an_update_does_not_name_the_same_thing_twice() {
    let mask = update(&["a_nested.text", "a_nested"]).unwrap();
    assert_eq!((names(&mask), mask.nested.len()), (vec!["a_nested"], 0));
    let mask = update(&["a_nested.inner.text", "a_nested.inner", "a_nested.inner", "a_nested.inner.big"]).unwrap();
    assert_eq!(mask, update(&["a_nested.inner"]).unwrap());
}

#[test]
fn every_path_that_cannot_be_updated_is_named() {
    let paths = [
        "nope",
        "a_nested.nope",
        "a_time.seconds",
        "a_struct.key",
        "several.text",
        "several.*.text",
        "by_string.k",
        "a_nested.children.k",
        "a_wrapped_bool.value",
        "a_nested.*",
        "*",
        "",
    ];
    let error = update(&paths).unwrap_err();
    let found = violations(&error);
    assert_eq!(found.len(), paths.len(), "{found:?}");
    for (path, text) in paths.iter().zip(&found) {
        assert!(text.contains(&format!("`{path}`")), "{text}");
    }
    assert!(error.fields().iter().all(|violation| violation.field == "update_mask"));
}

#[test]
fn a_part_is_set_and_the_rest_left_alone() {
    let old = json!({"text": "old", "numbers": [1], "ratio": 0.5});
    let new = json!({"text": "new", "numbers": [2]});
    assert_eq!(merged(&["a_nested.text"], &old, &new), json!({"text": "new", "numbers": [1], "ratio": 0.5}));
    assert_eq!(merged(&["a_nested.ratio"], &old, &new), json!({"text": "old", "numbers": [1]}));
    assert_eq!(merged(&["a_nested.big"], &old, &json!({"big": "5"}))["big"], "5");
}

#[test]
fn the_messages_around_a_part_come_with_it() {
    let new = json!({"other": {"inner": {"text": "x"}, "big": "1"}});
    let expected = json!({"other": {"inner": {"text": "x"}}});
    assert_eq!(merged(&["a_nested.other.inner.text"], &Json::Null, &new), expected);
    assert_eq!(merged(&["a_nested.other.inner.text"], &json!({"big": "3"}), &new)["big"], "3");
    // Nothing to set, nothing around it.
    assert_eq!(merged(&["a_nested.other.ratio"], &Json::Null, &new), Json::Null);
    assert_eq!(merged(&["a_nested.other.ratio"], &json!({}), &new), json!({}));
    // What is around stays when the part goes.
    assert_eq!(merged(&["a_nested.other.big"], &json!({"other": {"big": "1"}}), &Json::Null), json!({"other": {}}));
}

#[test]
fn setting_a_member_of_a_oneof_unsets_the_others() {
    let old = json!({"data": "AQ==", "ratio": 1.0});
    assert_eq!(merged(&["a_nested.flag"], &old, &json!({"flag": true})), json!({"flag": true, "ratio": 1.0}));
    let new = json!({"inner": {"text": "x"}});
    assert_eq!(merged(&["a_nested.inner.text"], &old, &new), json!({"inner": {"text": "x"}, "ratio": 1.0}));
    // A member that is not set in the new value leaves the set one alone.
    assert_eq!(merged(&["a_nested.flag"], &old, &new), old);
    assert_eq!(
        merged(&["a_nested.flag", "a_nested.data"], &old, &json!({"flag": false})),
        json!({"flag": false, "ratio": 1.0})
    );
}

#[test]
fn a_stored_text_that_is_not_the_codecs_own_is_an_internal_error() {
    let column = fixture().entity().column_by_field("a_nested").unwrap().id;
    let path = &update(&["a_nested.text"]).unwrap().nested[0].1;
    for text in ["", "[]", "{", "{\"nope\":1}", "{\"text\":"] {
        let error = fixture().row().merge_nested(column, path, &Value::Text(text.into()), &Value::Null).unwrap_err();
        assert_eq!(error.code(), kit_core::Code::Internal, "{text}");
    }
}
