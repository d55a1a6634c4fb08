//! One row of every table there and back, whatever the schema is.

use rowkeep_schema::{Column, Entity, Storage};
use serde_json::{Map, Value as Json, json};

use super::adopted::Adopted;

/// Rows written by SQL are read, rows written by the engine are found by SQL, changed and deleted; how many tables.
pub(crate) fn round_trip(adopted: &Adopted) -> usize {
    for entity in &adopted.schema.entities {
        read_what_sql_wrote(adopted, entity);
    }
    let created = create_each(adopted);
    for entity in &created {
        change(adopted, entity);
    }
    // Those that refer to others were made later.
    for entity in created.iter().rev() {
        adopted.api.delete(&entity.name, key(entity, 2));
        assert_eq!(count(adopted, entity, "TRUE"), "1", "{}", entity.table);
    }
    created.len()
}

fn read_what_sql_wrote(adopted: &Adopted, entity: &Entity) {
    let names: Vec<String> = entity.columns.iter().map(quoted).collect();
    let values: Vec<String> = entity.columns.iter().map(|column| literal(column, 1)).collect();
    let (names, values) = (names.join(", "), values.join(", "));
    let insert = format!("INSERT INTO `{}` ({names}) VALUES ({values})", entity.table);
    super::servers::run(adopted.home, &adopted.name, &["SET foreign_key_checks = 0".to_owned(), insert]);
    let row = adopted.api.get(&entity.name, key(entity, 1));
    for column in &entity.columns {
        assert_eq!(row[camel(&column.field)], value(column, 1), "{}.{}", entity.table, column.name);
    }
}

/// In an order in which what a row refers to is there; every entity is in it in the end.
fn create_each(adopted: &Adopted) -> Vec<&Entity> {
    let mut created: Vec<&Entity> = Vec::new();
    let mut waiting: Vec<&Entity> = adopted.schema.entities.iter().collect();
    while !waiting.is_empty() {
        let before = waiting.len();
        waiting.retain(|entity| match create(adopted, entity) {
            true => {
                created.push(entity);
                false
            }
            false => true,
        });
        assert!(waiting.len() < before, "{:?}", waiting.iter().map(|entity| &entity.table).collect::<Vec<_>>());
    }
    created
}

/// False if a row that it refers to is not there yet.
fn create(adopted: &Adopted, entity: &Entity) -> bool {
    let given: Vec<&Column> = entity.columns.iter().filter(|c| c.references.is_none() || !c.nullable).collect();
    let row: Map<String, Json> = given.iter().map(|column| (column.field.clone(), value(column, 2))).collect();
    let method = format!("Create{}", entity.name);
    let request = json!({ camel(&entity.singular): row });
    match adopted.api.try_call(&method, &request) {
        Ok(_) => {}
        Err(failure) if failure.reason == "REFERENCE_NOT_FOUND" => return false,
        Err(failure) => panic!("{request}: {failure:?}"),
    }
    let same: Vec<String> =
        given.iter().map(|column| format!("{} <=> {}", quoted(column), literal(column, 2))).collect();
    assert_eq!(count(adopted, entity, &same.join(" AND ")), "1", "{}", entity.table);
    true
}

fn change(adopted: &Adopted, entity: &Entity) {
    let free = |column: &&Column| !column.immutable && column.references.is_none() && column.storage != Storage::Bool;
    let Some(column) = entity.columns.iter().find(free) else { return };
    let mut row = key(entity, 2);
    row[&column.field] = value(column, 3);
    adopted.api.update(&entity.name, row, &camel(&column.field));
    let changed = format!("{} = {}", quoted(column), literal(column, 3));
    assert_eq!(count(adopted, entity, &changed), "1", "{}", entity.table);
}

fn count(adopted: &Adopted, entity: &Entity, condition: &str) -> String {
    adopted.sql(&format!("SELECT COUNT(*) FROM `{}` WHERE {condition}", entity.table)).remove(0)
}

fn key(entity: &Entity, number: u8) -> Json {
    let columns = entity.primary_key.iter().map(|id| entity.column(*id));
    Json::Object(columns.map(|column| (column.field.clone(), value(column, number))).collect())
}

fn quoted(column: &Column) -> String {
    format!("`{}`", column.name)
}

/// The field's value of a row of this number.
fn value(column: &Column, number: u8) -> Json {
    match column.storage {
        Storage::Bool => json!(number == 1),
        Storage::Int32 | Storage::Uint32 => json!(number),
        Storage::Int64 | Storage::Uint64 => json!(number.to_string()),
        Storage::Float | Storage::Double => json!(f64::from(number)),
        Storage::Blob => json!(["", "YQ==", "Yg==", "Yw=="][usize::from(number)]),
        Storage::Timestamp => json!(format!("2024-01-0{number}T00:00:00Z")),
        Storage::Text => json!(number.to_string()),
        other => panic!("{}: no rows of {other:?} are made here", column.name),
    }
}

/// The same in SQL.
fn literal(column: &Column, number: u8) -> String {
    match column.storage {
        Storage::Bool => u8::from(number == 1).to_string(),
        Storage::Blob => format!("'{}'", ["", "a", "b", "c"][usize::from(number)]),
        Storage::Timestamp => format!("'2024-01-0{number}'"),
        Storage::Text => format!("'{number}'"),
        _ => number.to_string(),
    }
}

/// As JSON has it.
pub(crate) fn camel(field: &str) -> String {
    let mut camel = String::new();
    let mut parts = field.split('_');
    camel.push_str(parts.next().unwrap_or_default());
    for part in parts {
        camel.extend(part.chars().next().map(|first| first.to_ascii_uppercase()));
        camel.push_str(part.get(1..).unwrap_or_default());
    }
    camel
}
