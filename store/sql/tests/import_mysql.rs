//! What MySQL has of its own, imported.
#![allow(clippy::unwrap_used, reason = "clippy knows tests only by their attribute")]

mod support;

use serde_json::{Value as Json, json};
use support::adopted::Adopted;
use testkit::Product;

fn adopted() -> Adopted {
    Adopted::new(Product::MySql, include_str!("import/mysql.sql"))
}

#[test]
fn every_type_is_read_and_written_as_sql_does() {
    let adopted = adopted();
    let mut row = adopted.api.get("Everything", json!({"id": "1"}));
    let all: Json = serde_json::from_str(include_str!("import/everything.json")).unwrap();
    let mine = [
        "tiny", "smallU", "whole", "big", "bigU", "dec2", "dec65", "bit1", "bit12", "c", "vc", "latin", "bin", "da",
        "dt", "dt3", "ts", "y", "js", "en", "st", "geo", "computed", "kept",
    ];
    for field in mine {
        assert_eq!(row[field], if field == "smallU" { json!(65535) } else { all[field].clone() }, "{field} of {row}");
    }
    assert_eq!((&row["tm"], &row["sure"], &row["hidden"]), (&json!("-08:30:00.125"), &json!(1), &json!(5)));
    for kept in ["id", "computed", "kept", "sure", "vc"] {
        row.as_object_mut().unwrap().remove(kept);
    }
    let created = adopted.api.create("Everything", row.clone());
    assert_eq!((&created["id"], &created["computed"]), (&json!("2"), &json!(-2_147_483_647)));
    let names = adopted.sql("SELECT COLUMN_NAME FROM information_schema.COLUMNS WHERE TABLE_NAME = 'everything' AND TABLE_SCHEMA = DATABASE()");
    for name in names.iter().filter(|name| !["id", "vc", "kept"].contains(&name.as_str())) {
        let same =
            format!("SELECT a.{name} <=> b.{name} FROM everything a JOIN everything b WHERE a.id = 1 AND b.id = 2");
        assert_eq!(adopted.sql(&same), ["1"], "{name}");
    }
}

#[test]
fn the_database_s_defaults_are_the_api_s() {
    let adopted = adopted();
    let made = adopted.api.create("Default", json!({}));
    let expected = json!({"n": -5, "t": "it's \"so\"", "nullText": "NULL", "en": "b", "bits": "5", "de": "1.50",
        "dt": "1000-01-01T00:00:00Z"});
    for (field, value) in expected.as_object().unwrap() {
        assert_eq!(made[field], *value, "{field} of {made}");
    }
    assert_eq!(made["id"].as_str().unwrap().len(), 36);
    // What a column keeps of a time is answered, and not what was given.
    assert_eq!(made["made"].as_str().unwrap().len(), "2024-01-31T12:34:56Z".len(), "{made}");
    assert_eq!(adopted.api.call("ListDefaults", json!({}))["defaults"][0], made);
}

#[test]
fn names_that_differ_in_case_alone_are_one_too_many() {
    let adopted = adopted();
    let warned = &adopted.imported.warnings;
    assert!(warned.iter().any(|what| what.starts_with("cased is left out: ")), "{warned:?}");
    adopted.api.create("Cased", json!({"id": 1}));
    assert_eq!(adopted.sql("SELECT COUNT(*) FROM Cased"), ["1"]);
}

#[test]
fn a_view_is_read() {
    let adopted = adopted();
    assert_eq!(adopted.api.get("Seen", json!({"id": "1"}))["dec2"], "-12.34");
}
