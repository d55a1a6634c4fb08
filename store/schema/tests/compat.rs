//! What a change of the file means for rows and clients.

use rowkeep_schema::{Change, ChangeKind, Schema, Verdict, compare, compile_str};

fn schema(body: &str) -> Schema {
    let text = format!(
        "syntax = \"proto3\";\npackage shop.v1;\nimport \"rowkeep/v1/options.proto\";\n\
         import \"google/protobuf/timestamp.proto\";\nimport \"google/type/decimal.proto\";\n{body}"
    );
    compile_str(&[("shop.proto", &text)]).unwrap_or_else(|e| panic!("{e}"))
}

fn user(fields: &str) -> Schema {
    entity("{}", &format!("int64 id = 1; {fields}"))
}

fn entity(options: &str, fields: &str) -> Schema {
    schema(&format!("message User {{ option (rowkeep.v1.entity) = {options}; {fields} }}"))
}

fn changes(old: &Schema, new: &Schema) -> Vec<(ChangeKind, String, Verdict)> {
    compare(old, new).into_iter().map(|change| (change.what, change.subject, change.verdict)).collect()
}

/// The only change.
fn only(old: &Schema, new: &Schema) -> Change {
    let mut changes = compare(old, new);
    assert_eq!(changes.len(), 1, "{changes:#?}");
    changes.remove(0)
}

fn verdict(old: &str, new: &str) -> (ChangeKind, Verdict) {
    let change = only(&user(old), &user(new));
    (change.what, change.verdict)
}

#[test]
fn the_same_schema_has_no_changes() {
    let text = "string city = 2; google.type.Decimal price = 3;";
    assert_eq!(compare(&user(text), &user(text)), []);
}

#[test]
fn columns_come_and_go() {
    assert_eq!(verdict("", "string city = 2;"), (ChangeKind::ColumnAdded, Verdict::NeedsMigration));
    assert_eq!(verdict("string city = 2;", ""), (ChangeKind::ColumnDropped, Verdict::LosesData));
}

#[test]
fn a_column_is_renamed_only_when_told() {
    let old = user("string city = 2;");
    let told = user("string town = 2 [(rowkeep.v1.column).renamed_from = \"city\"];");
    assert_eq!(
        changes(&old, &told),
        [
            (ChangeKind::FieldRenamed, "town".to_owned(), Verdict::Compatible),
            (ChangeKind::ColumnRenamed, "town".to_owned(), Verdict::NeedsMigration),
        ]
    );
    let untold = changes(&old, &user("string town = 2;"));
    assert!(untold.contains(&(ChangeKind::FieldNumber, "town".to_owned(), Verdict::Refused)), "{untold:?}");
}

#[test]
fn a_field_number_never_changes_its_meaning() {
    assert_eq!(verdict("string city = 2;", "string city = 3;"), (ChangeKind::FieldNumber, Verdict::Refused));
}

#[test]
fn types_widen_with_a_migration_and_narrow_with_a_loss() {
    let kind = ChangeKind::ColumnType;
    assert_eq!(verdict("int32 n = 2;", "int64 n = 2;"), (kind, Verdict::NeedsMigration));
    assert_eq!(verdict("int64 n = 2;", "int32 n = 2;"), (kind, Verdict::LosesData));
    assert_eq!(verdict("uint32 n = 2;", "int64 n = 2;"), (kind, Verdict::NeedsMigration));
    assert_eq!(verdict("string n = 2;", "bytes n = 2;"), (kind, Verdict::NeedsMigration));
    assert_eq!(verdict("bytes n = 2;", "string n = 2;"), (kind, Verdict::LosesData));
    assert_eq!(verdict("int64 n = 2;", "string n = 2;"), (kind, Verdict::Refused));
    assert_eq!(verdict("int64 n = 2;", "sint64 n = 2;"), (kind, Verdict::Refused));
    assert_eq!(verdict("float n = 2;", "double n = 2;"), (kind, Verdict::Refused));
    assert_eq!(verdict("string n = 2;", "repeated string n = 2;"), (kind, Verdict::Refused));
}

#[test]
fn decimals_may_grow() {
    let decimal =
        |p, s| user(&format!("string n = 2 [(rowkeep.v1.column).decimal = {{ precision: {p} scale: {s} }}];"));
    let verdict = |old: &Schema, new: &Schema| only(old, new).verdict;
    assert_eq!(verdict(&decimal(10, 2), &decimal(12, 4)), Verdict::NeedsMigration);
    assert_eq!(verdict(&decimal(10, 2), &decimal(10, 4)), Verdict::LosesData);
    assert_eq!(verdict(&decimal(10, 2), &decimal(10, 1)), Verdict::LosesData);
    assert_eq!(verdict(&user("string n = 2;"), &decimal(10, 2)), Verdict::LosesData);
}

#[test]
fn null_is_a_value_that_can_be_lost() {
    let kind = ChangeKind::Nullability;
    assert_eq!(verdict("string n = 2;", "optional string n = 2;"), (kind, Verdict::NeedsMigration));
    assert_eq!(verdict("optional string n = 2;", "string n = 2;"), (kind, Verdict::LosesData));
}

#[test]
fn indexes_are_built_dropped_and_renamed() {
    let plain = "int64 id = 1; string city = 2;";
    let index = |text: &str| entity(&format!("{{ index: [{{ fields: \"city\" {text} }}] }}"), plain);
    let none = entity("{}", plain);
    assert_eq!(only(&none, &index("")).what, ChangeKind::IndexAdded);
    assert_eq!(only(&index(""), &none).what, ChangeKind::IndexDropped);
    assert_eq!(only(&index(""), &index("name: \"by_city\"")).what, ChangeKind::IndexRenamed);
    let unique = changes(&index(""), &index("unique: true"));
    assert_eq!(
        unique.iter().map(|change| change.0).collect::<Vec<_>>(),
        [ChangeKind::IndexAdded, ChangeKind::IndexDropped]
    );
}

#[test]
fn the_primary_key_stays() {
    let fields = "int64 id = 1; string city = 2;";
    let changed = changes(&entity("{}", fields), &entity("{ primary_key: \"id, city\" }", fields));
    assert_eq!(changed[0], (ChangeKind::PrimaryKey, String::new(), Verdict::Refused));
}

#[test]
fn entities_come_go_and_move() {
    let one = user("");
    let named = |name: &str, options: &str| {
        schema(&format!("message {name} {{ option (rowkeep.v1.entity) = {options}; int64 id = 1; }}"))
    };
    let renamed = changes(&one, &named("Person", "{ renamed_from: \"users\" }"));
    let kinds: Vec<ChangeKind> = renamed.iter().map(|change| change.0).collect();
    assert_eq!(kinds, [ChangeKind::MessageRenamed, ChangeKind::PathChanged, ChangeKind::TableRenamed]);
    assert!(renamed.iter().all(|change| change.2 <= Verdict::NeedsMigration), "{renamed:?}");
    let replaced = changes(&one, &named("Person", "{}"));
    assert_eq!(replaced[0].0, ChangeKind::EntityAdded);
    assert_eq!((replaced[1].0, replaced[1].2), (ChangeKind::EntityDropped, Verdict::LosesData));
    let moved = changes(&one, &named("User", "{ table: \"people\" }"));
    assert_eq!(moved, [(ChangeKind::TableRenamed, String::new(), Verdict::Refused)]);
}

#[test]
fn enum_values_are_kept() {
    let with = |values: &str| {
        schema(&format!(
            "enum Status {{ UNKNOWN = 0; {values} }} message User {{ option (rowkeep.v1.entity) = {{}}; int64 id = 1; Status s = 2; }}"
        ))
    };
    let old = with("OPEN = 1; PAID = 2;");
    assert_eq!(only(&old, &with("OPEN = 1;")).verdict, Verdict::LosesData);
    assert_eq!(only(&old, &with("OPEN = 1; PAID = 2; SENT = 3;")).verdict, Verdict::Compatible);
    assert_eq!(only(&old, &with("OPEN = 1; SETTLED = 2;")).verdict, Verdict::Compatible);
    assert_eq!(only(&old, &with("OPEN = 3; PAID = 2;")).verdict, Verdict::Refused);
}

#[test]
fn messages_inside_json_columns_are_compared_too() {
    let with = |fields: &str| {
        schema(&format!(
            "message Address {{ {fields} }} message User {{ option (rowkeep.v1.entity) = {{}}; int64 id = 1; Address a = 2; }}"
        ))
    };
    let old = with("string street = 1; int32 number = 2;");
    assert_eq!(compare(&old, &with("string street = 1; int64 number = 2; string zip = 3;")), []);
    let dropped = only(&old, &with("string street = 1;"));
    assert_eq!((dropped.subject.as_str(), dropped.verdict), ("number", Verdict::LosesData));
    assert_eq!(only(&old, &with("string road = 1; int32 number = 2;")).verdict, Verdict::Refused);
}

#[test]
fn tighter_rules_are_named() {
    let rule = |text: &str| user(&format!("string n = 2 [(rowkeep.v1.column) = {{ {text} }}];"));
    let change = only(&rule("max_length: 10"), &rule("max_length: 5 required: true"));
    assert_eq!((change.what, change.verdict), (ChangeKind::Rule, Verdict::Compatible));
    assert!(change.reason.starts_with("required, max_length refuses more"), "{}", change.reason);
    assert!(only(&rule("max_length: 10"), &rule("max_length: 50")).reason.contains("less"));
}

#[test]
fn soft_delete_and_versions_have_columns() {
    let fields = "int64 id = 1;";
    let soft = entity("{ soft_delete: true }", fields);
    let plain = entity("{}", fields);
    assert_eq!(only(&plain, &soft).verdict, Verdict::NeedsMigration);
    assert_eq!(only(&soft, &plain).verdict, Verdict::LosesData);
    assert_eq!(only(&plain, &entity("{ version: false }", fields)).what, ChangeKind::Versioned);
}

#[test]
fn a_snapshot_is_the_same_schema() {
    let path = std::path::PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../examples/shop/shop.proto");
    let options = rowkeep_schema::CompileOptions { files: vec![path], includes: Vec::new() };
    let schema = rowkeep_schema::compile(&options).unwrap_or_else(|e| panic!("{e}"));
    let bytes = schema.snapshot();
    assert!(bytes.len() < 64 << 10, "{} bytes", bytes.len());
    let stored = Schema::from_snapshot(&bytes).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(stored.fingerprint, schema.fingerprint);
    assert_eq!(compare(&stored, &schema), []);
    assert_eq!(stored.snapshot(), bytes);
}

#[test]
fn bytes_that_are_no_snapshot_are_refused() {
    assert!(Schema::from_snapshot(b"\xff\xff\xff").is_err());
    assert!(Schema::from_snapshot(b"").is_err());
}

#[test]
fn the_fingerprint_follows_what_is_stored_and_nothing_else() {
    let plain = user("string city = 2;");
    assert_eq!(
        plain.fingerprint,
        user("// The town.\n string city = 2 [(rowkeep.v1.column).max_length = 9];").fingerprint
    );
    assert_ne!(plain.fingerprint, user("optional string city = 2;").fingerprint);
    assert_ne!(plain.fingerprint, user("string city = 3;").fingerprint);
}
