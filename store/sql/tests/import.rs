//! Databases that somebody else made: imported with nothing to change, read and written through the engine.
#![allow(clippy::unwrap_used, reason = "clippy knows tests only by their attribute")]

mod support;

use serde_json::{Value as Json, json};
use support::adopted::Adopted;
use testkit::Product;

const VALUES: &str = r#"INSERT INTO everything (tiny, tiny_u, small, small_u, medium, medium_u, whole, whole_u, filled, big, big_u,
  f, d, f73, d124, dec2, dec38, dec65, money, bit1, bit12, bit64, c, vc, vc_long, latin, tiny_text, plain_text, medium_text,
  long_text, bin, vb, tiny_blob, plain_blob, medium_blob, long_blob, da, dt, dt3, dt6, ts, ts6, tm, tm3, y, js, en, st, u, i4, i6,
  geo, place) VALUES (-128, 255, -32768, 65535, -8388608, 16777215, -2147483648, 4294967295, 42, -9223372036854775808,
  18446744073709551615, 1.5, 2.25, 1.125, 3.5, -12.34, 1234567890123456789012345678.0123456789,
  12345678901234567890123456789012345.123456789012345678901234567890, 9.99, b'1', b'101010101010', 18446744073709551615,
  'char', 'ünï', 'long', 'café', 'tiny', 'text', 'medium', 'long', 0x01020304, 0x00ff, 'a', 'b', 'c', 'd', '2024-02-29',
  '2024-01-31 12:34:56', '2024-01-31 12:34:56.789', '2024-01-31 12:34:56.789012', '2024-01-31 12:34:56',
  '2024-01-31 12:34:56.789012', '-838:59:59', '08:30:00.125', 2024, '{"a": [1, null, "x"]}', 'it''s', 'x,z',
  '123e4567-e89b-12d3-a456-426655440000', '192.168.0.1', '2001:db8::1', POINT(1, 2), POINT(3, 4))"#;

#[test]
fn every_type_is_read_as_sql_wrote_it() {
    let adopted = Adopted::new(Product::MariaDb, include_str!("import/types.sql"));
    assert!(adopted.imported.warnings.is_empty(), "{:?}", adopted.imported.warnings);
    adopted.sql(VALUES);
    let row = adopted.api.get("Everything", json!({"id": "1"}));
    let expected: Json = serde_json::from_str(include_str!("import/everything.json")).unwrap();
    for (field, value) in expected.as_object().unwrap() {
        assert_eq!(row[field], *value, "{field} of {row}");
    }
}

#[test]
fn every_type_is_written_as_it_was_read() {
    let adopted = Adopted::new(Product::MariaDb, include_str!("import/types.sql"));
    adopted.sql(VALUES);
    let mut row = adopted.api.get("Everything", json!({"id": "1"}));
    for kept in ["id", "computed", "kept", "u"] {
        row.as_object_mut().unwrap().remove(kept);
    }
    let created = adopted.api.create("Everything", row.clone());
    assert_eq!((&created["id"], &created["kept"]), (&json!("2"), &json!("ünï!")));
    let names = adopted.sql("SELECT COLUMN_NAME FROM information_schema.COLUMNS WHERE TABLE_NAME = 'everything' AND TABLE_SCHEMA = DATABASE()");
    assert!(names.len() > 50);
    for name in names.iter().filter(|name| !["id", "u", "js"].contains(&name.as_str())) {
        let same =
            format!("SELECT a.{name} <=> b.{name} FROM everything a JOIN everything b WHERE a.id = 1 AND b.id = 2");
        assert_eq!(adopted.sql(&same), ["1"], "{name}");
    }
    let again = adopted.api.get("Everything", json!({"id": "2"}));
    for (field, value) in row.as_object().unwrap() {
        assert_eq!(again[field], *value, "{field}");
    }
    adopted.api.update(
        "Everything",
        json!({"id": "2", "tm": "01:02:03", "st": "", "bit12": "7", "en": "D e"}),
        "tm,st,bit12,en",
    );
    assert_eq!(
        adopted.sql("SELECT CONCAT_WS('|', tm, st, bit12 + 0, en) FROM everything WHERE id = 2"),
        ["01:02:03||7|D e"]
    );
}

#[test]
fn absent_values_are_null_on_both_sides() {
    let adopted = Adopted::new(Product::MariaDb, include_str!("import/types.sql"));
    adopted.sql("INSERT INTO everything (id) VALUES (7)");
    let row = adopted.api.get("Everything", json!({"id": "7"}));
    let set: Vec<_> =
        row.as_object().unwrap().iter().filter(|(_, value)| !value.is_null()).map(|(field, _)| field).collect();
    assert_eq!(set, ["id", "truth"], "{row}");
    adopted.api.create("Everything", json!({"truth": false}));
    let nulls = adopted.sql(
        "SELECT COUNT(*) FROM everything WHERE id = 8 AND tiny IS NULL AND js IS NULL AND geo IS NULL AND y IS NULL",
    );
    assert_eq!(nulls, ["1"]);
}

#[test]
fn what_a_column_cannot_hold_is_refused() {
    let adopted = Adopted::new(Product::MariaDb, include_str!("import/types.sql"));
    let refused = [
        json!({"tiny": 128}),
        json!({"tinyU": 256}),
        json!({"small": 40_000}),
        json!({"mediumU": 16_777_216}),
        json!({"money": "-1"}),
        json!({"money": "1234567.00"}),
        json!({"bit12": "4096"}),
        json!({"c": "longer than ten"}),
        json!({"latin": "表"}),
        json!({"bin": "AQ=="}),
        json!({"tm": "25 o'clock"}),
        json!({"y": 1900}),
        json!({"en": "b"}),
        json!({"st": "q"}),
        json!({"u": "no uuid"}),
        json!({"i6": "no address"}),
        json!({"geo": "AQ=="}),
        json!({"d124": -1.0}),
    ];
    for row in refused {
        let failure = adopted.api.create_fails("Everything", row.clone());
        assert_eq!(failure.code, kit_core::Code::InvalidArgument, "{row}: {failure:?}");
    }
}

#[test]
fn columns_that_are_never_null_are_asked_for() {
    let adopted = Adopted::new(Product::MariaDb, include_str!("import/types.sql"));
    let failure = adopted.api.create_fails("Strict", json!({"id": 1}));
    let mut asked: Vec<_> = failure.fields.iter().map(|(field, _)| field.rsplit('.').next().unwrap()).collect();
    asked.sort_unstable();
    assert_eq!(asked, ["bin", "da", "dt", "js", "tm", "u", "y"], "{failure:?}");
    let row = json!({
        "id": 1, "da": {"year": 2024, "month": 1, "day": 2}, "dt": "2024-01-02T03:04:05Z", "js": [1.0], "tm": "00:00:01", "y": 1999,
        "u": "123e4567-e89b-12d3-a456-426655440000", "bin": "AQI=", "place": "AAAAAAEBAAAAAAAAAAAA8D8AAAAAAAAAQA==",
    });
    adopted.api.create("Strict", row);
    let read = adopted.api.get("Strict", json!({"id": 1}));
    assert_eq!((&read["en"], &read["js"]), (&json!("first"), &json!([1.0])));
}

#[test]
fn the_database_s_defaults_are_the_api_s() {
    let adopted = Adopted::new(Product::MariaDb, include_str!("import/types.sql"));
    adopted.api.create("Default", json!({}));
    let read = &adopted.api.call("ListDefaults", json!({}))["defaults"][0];
    let expected = json!({
        "n": -5, "maybe": 7, "de": "1.50", "d": 2.5, "t": "it's \"so\"", "en": "b", "bits": "5", "yes": true,
        "da": {"year": 2024, "month": 2, "day": 29}, "dt": "1000-01-01T00:00:00Z", "tm": "08:30:00", "y": 2001,
    });
    for (field, value) in expected.as_object().unwrap() {
        assert_eq!(read[field], *value, "{field} of {read}");
    }
    assert_eq!(read["id"].as_str().unwrap().len(), 36);
    assert!(read["made"].is_string() && read["changed"].is_string(), "{read}");
    for unused in ["curdate()", "not used by the API: \"\"."] {
        assert!(adopted.imported.proto.contains(unused), "{unused}\n{}", adopted.imported.proto);
    }
}

#[test]
fn keys_of_every_type_name_rows_in_pages_too() {
    let adopted = Adopted::new(Product::MariaDb, include_str!("import/keys.sql"));
    let keys = [
        ("by_char", "'a','b','c'", json!("b")),
        ("by_ci", "'a','B','c'", json!("B")),
        ("by_binary", "0x010203,0x010204,0x020000", json!("AQIE")),
        ("by_date", "'2024-01-01','2024-01-02','2024-01-10'", json!("2024-01-02")),
        ("by_moment", "'2024-01-01 00:00:00.5','2024-01-02','2024-01-10'", json!("2024-01-02T00:00:00Z")),
        ("by_time", "'-01:00:00','09:00:00','100:00:00'", json!("09:00:00")),
        ("by_year", "1999,2000,2001", json!(2000)),
        ("by_decimal", "-1.5,9.25,10.00", json!("9.25")),
        ("by_enum", "'a','b','c'", json!("b")),
        ("by_bits", "1,255,256", json!("255")),
        (
            "by_uuid",
            "'00000000-0000-1000-8000-000000000001','00000000-0000-1000-8000-000000000002','10000000-0000-1000-8000-000000000002'",
            json!("00000000-0000-1000-8000-000000000002"),
        ),
        ("by_inet", "'::1','::9','::10'", json!("::9")),
        ("by_part", "'a','b','c'", json!("b")),
    ];
    for (table, values, second) in keys {
        for (value, number) in values.split(',').zip(1..) {
            adopted.sql(&format!("INSERT INTO {table} VALUES ({value}, {number})"));
        }
        let entity = adopted.schema.entities.iter().find(|entity| entity.table == table).unwrap();
        let row = adopted.api.get(&entity.name, json!({"k": second}));
        assert_eq!((&row["k"], &row["v"]), (&second, &json!(2)), "{table}");
        assert_eq!(paged(&adopted, table), [1, 2, 3], "{table}");
        adopted.api.update(&entity.name, json!({"k": second, "v": 20}), "v");
        assert_eq!(adopted.sql(&format!("SELECT COUNT(*) FROM {table} WHERE v = 20")), ["1"]);
        adopted.api.delete(&entity.name, json!({"k": second}));
        assert_eq!(adopted.sql(&format!("SELECT COUNT(*) FROM {table}")), ["2"]);
        adopted.api.create(&entity.name, json!({"k": second, "v": 2}));
        assert_eq!(paged(&adopted, table), [1, 2, 3], "{table}");
    }
}

/// The column `v` of every row, read in pages of one.
fn paged(adopted: &Adopted, table: &str) -> Vec<i64> {
    let entity = adopted.schema.entities.iter().find(|entity| entity.table == table).unwrap();
    let (mut seen, mut token) = (Vec::new(), Json::Null);
    loop {
        let mut request = json!({"pageSize": 1});
        if let Some(token) = token.as_str() {
            request["pageToken"] = json!(token);
        }
        let page = adopted.api.call(&format!("List{}", entity.plural), request);
        let rows = page[format!("{}{}", entity.plural[..1].to_lowercase(), &entity.plural[1..])].as_array().cloned();
        seen.extend(rows.unwrap_or_default().iter().filter_map(|row| row["v"].as_i64()));
        token = page["nextPageToken"].clone();
        if token.as_str().is_none_or(str::is_empty) {
            return seen;
        }
    }
}

#[test]
fn what_has_no_key_is_named_and_left_out() {
    let adopted = Adopted::new(Product::MariaDb, include_str!("import/keys.sql"));
    let left_out: Vec<&str> = adopted
        .imported
        .warnings
        .iter()
        .filter_map(|what| what.split_once(" is left out: "))
        .map(|(name, _)| name)
        .collect();
    assert_eq!(left_out, ["by_double", "counted", "no_key", "numbers", "twice"]);
    for table in ["no_key", "counted"] {
        assert!(
            adopted.imported.proto.contains(&format!("// Table {table} is not here: ")),
            "{}",
            adopted.imported.proto
        );
    }
    // A unique index without NULL is as good as a key; a table that counts beside its key goes on counting.
    adopted.api.create("ByUnique", json!({"b": 5, "v": 1}));
    assert_eq!(adopted.api.get("ByUnique", json!({"b": 5}))["v"], 1);
    adopted.sql("INSERT INTO counts_beside (k, v) VALUES ('x', 1)");
    assert_eq!(adopted.api.get("CountsBeside", json!({"k": "x"}))["n"], 1);
    adopted.api.create("BySeveral", json!({"a": 1, "b": "x", "c": "2024-01-02", "v": 3}));
    assert_eq!(adopted.sql("SELECT v FROM by_several WHERE c = '2024-01-02'"), ["3"]);
    adopted.api.create("Remembered", json!({"k": 1, "v": 1}));
}

#[test]
fn views_and_tables_without_a_key_are_read_and_not_written() {
    let adopted = Adopted::with_keys(Product::MariaDb, include_str!("import/keys.sql"), &["counted=v", "no_key=a,b"]);
    assert!(
        adopted
            .imported
            .warnings
            .iter()
            .any(|what| what == "seen (k): Read-only, and the key is a guess: that of by_char.")
    );
    adopted.sql("INSERT INTO by_char VALUES ('a', 1), ('b', 1), ('c', 2)");
    adopted.sql("INSERT INTO no_key VALUES (1, 2), (1, 1)");
    assert_eq!(adopted.api.get("Seen", json!({"k": "b"}))["v"], 1);
    assert_eq!(paged(&adopted, "seen"), [1, 1, 2]);
    assert_eq!(adopted.api.get("Counted", json!({"v": 1}))["n"], "2");
    assert_eq!(adopted.api.call("ListCounteds", json!({"filter": "n > 1"}))["counteds"][0]["v"], 1);
    assert_eq!(adopted.api.call("ListNoKeys", json!({"orderBy": "b desc"}))["noKeys"][0]["b"], 2);
    let methods: Vec<&str> = adopted.schema.methods.iter().map(|method| method.name.as_str()).collect();
    assert!(methods.contains(&"ListSeens") && !methods.contains(&"CreateSeen"), "{methods:?}");
    let row = json!({"@type": format!("type.googleapis.com/{}", adopted.schema.entity_by_name("Seen").unwrap().full_name), "k": "z"});
    let failure = adopted.api.fails("Commit", json!({"writes": [{"create": row}]}));
    assert_eq!(failure.fields[0].1, "READ_ONLY", "{failure:?}");
}

#[test]
fn a_row_is_found_by_another_spelling_of_its_key_if_the_column_says_so() {
    let adopted = Adopted::new(Product::MariaDb, include_str!("import/keys.sql"));
    adopted.sql("INSERT INTO by_ci VALUES ('Ann', 1)");
    adopted.sql("INSERT INTO by_decimal VALUES (9.5, 1)");
    assert_eq!(adopted.api.get("ByCi", json!({"k": "ANN"}))["k"], "Ann");
    assert_eq!(adopted.api.call("BatchGetByCis", json!({"ks": ["ANN"]}))["byCis"][0]["k"], "Ann");
    assert_eq!(adopted.api.call("BatchGetByDecimals", json!({"ks": ["9.5"]}))["byDecimals"][0]["k"], "9.50");
    let failure = adopted.api.create_fails("ByCi", json!({"k": "ANN"}));
    assert_eq!(failure.code, kit_core::Code::AlreadyExists);
}

#[test]
fn what_cannot_be_named_or_rolled_back_is_said() {
    let script = "CREATE TABLE old (id INT PRIMARY KEY, `a\tb` INT, rowkeep_version INT) ENGINE=MyISAM; \
                  CREATE TABLE `new\nline` (id INT PRIMARY KEY); CREATE TABLE sqlite_x (id INT PRIMARY KEY);";
    let warned = Adopted::new(Product::MariaDb, script).imported.warnings;
    let expected = [
        "new\nline is left out: there is a control character in its name",
        "old is kept by MyISAM, which knows no transactions: a commit that fails leaves half of it behind",
        "old.a\tb is left out: there is a control character in its name",
        "old.rowkeep_version is left out: its name begins with what is kept for the store",
        "sqlite_x is left out: its name begins with what is kept for the store",
    ];
    assert_eq!(warned, expected);
}

#[test]
fn texts_are_compared_as_their_column_says() {
    let adopted = Adopted::new(
        Product::MariaDb,
        "CREATE TABLE people (id INT PRIMARY KEY, name VARCHAR(20) COLLATE utf8mb4_unicode_ci, kind ENUM('z', 'a', 'm'), \
         KEY (name), KEY (kind)); \
         INSERT INTO people VALUES (1, 'anna', 'z'), (2, 'Bert', 'a'), (3, 'BERTA', 'm'), (4, 'z%', 'a'), (5, 'Émile', 'z');",
    );
    let names = |request: Json| -> Vec<i64> {
        let page = adopted.api.call("ListPeople", request);
        page["people"].as_array().unwrap().iter().map(|row| row["id"].as_i64().unwrap()).collect()
    };
    assert_eq!(names(json!({"filter": "name = \"bert\""})), [2]);
    assert_eq!(names(json!({"filter": "name = \"bert*\""})), [2, 3]);
    assert_eq!(names(json!({"filter": "name = \"z%*\""})), [4]);
    assert_eq!(names(json!({"orderBy": "name"})), [1, 2, 3, 5, 4]);
    assert_eq!(names(json!({"orderBy": "kind, id"})), [2, 4, 3, 1, 5]);
    let first = adopted.api.call("ListPeople", json!({"orderBy": "kind, id", "pageSize": 3}));
    assert_eq!(names(json!({"orderBy": "kind, id", "pageSize": 3, "pageToken": first["nextPageToken"]})), [1, 5]);
}

#[test]
fn a_day_that_is_none_is_read_as_absent() {
    let adopted = Adopted::new(
        Product::MariaDb,
        "SET sql_mode = ''; CREATE TABLE old (id INT PRIMARY KEY, dt DATETIME NOT NULL DEFAULT '0000-00-00 00:00:00', da DATE); \
         INSERT INTO old (id, da) VALUES (1, '0000-00-00');",
    );
    let row = adopted.api.get("Old", json!({"id": 1}));
    assert_eq!((&row["dt"], &row["da"]), (&Json::Null, &json!({})), "{row}");
}

#[test]
fn odd_names_are_served_under_safe_ones() {
    let adopted = Adopted::new(Product::MariaDb, include_str!("import/odd.sql"));
    assert!(adopted.imported.warnings.is_empty(), "{:?}", adopted.imported.warnings);
    for entity in &adopted.schema.entities {
        let key: Vec<String> = entity.primary_key.iter().map(|id| entity.column(*id).field.clone()).collect();
        let row: serde_json::Map<String, Json> =
            entity.columns.iter().zip(1..).map(|(column, number)| (column.field.clone(), json!(number))).collect();
        adopted.api.create(&entity.name, Json::Object(row.clone()));
        let named = key.iter().map(|field| (field.clone(), row[field].clone())).collect();
        let read = adopted.api.get(&entity.name, Json::Object(named));
        assert_eq!(read.as_object().unwrap().len(), entity.columns.len(), "{}", entity.table);
        for (column, number) in entity.columns.iter().zip(1..) {
            let (table, name) = (entity.table.replace('`', "``"), column.name.replace('`', "``"));
            assert_eq!(
                adopted.sql(&format!("SELECT `{name}` FROM `{table}`")),
                [format!("{number}")],
                "{table}.{name}"
            );
        }
    }
}

#[test]
fn references_and_foreign_keys_agree() {
    let adopted = Adopted::new(Product::MariaDb, include_str!("import/references.sql"));
    let failure = adopted.api.create_fails("Player", json!({"team": 9}));
    assert_eq!(failure.reason, "REFERENCE_NOT_FOUND");
    adopted.sql("INSERT INTO teams (id, code) VALUES (1, 'abc'), (2, 'def')");
    adopted.api.create("Player", json!({"team": 1, "club": "def", "guest": 2}));
    adopted.api.create("Profile", json!({"player": 1}));
    assert_eq!(adopted.api.create_fails("Goal", json!({"id": 1, "a": 1, "b": 1})).reason, "REFERENCE_NOT_FOUND");
    let delete = |id: i32| adopted.api.fails("DeleteTeam", json!({"id": id}));
    assert_eq!(delete(2).reason, "REFERENCED");
    adopted.api.update("Player", json!({"id": 1}), "club");
    adopted.api.delete("Team", json!({"id": 2}));
    assert_eq!(adopted.api.get("Player", json!({"id": 1}))["guest"], Json::Null);
    adopted.api.delete("Team", json!({"id": 1}));
    assert_eq!(adopted.sql("SELECT COUNT(*) FROM players"), ["0"]);
    assert_eq!(adopted.sql("SELECT COUNT(*) FROM profiles"), ["0"]);
}
