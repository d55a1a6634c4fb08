//! The SQL form of filters and page starts against their meaning in memory, on random rows.

use std::cmp::Ordering;
use std::sync::Arc;

use proptest::prelude::*;
use rowkeep_engine::{Access, AccessPath, LoadBatch, OnConflict, Rows, Scan};
use rowkeep_record::Value;
use rowkeep_record::query::{Compare, Filter, JsonLiteral, JsonTest, OrderBy, matches};
use rowkeep_schema::{ColumnId, EntityId, Schema, Storage};

use super::SqliteStore;
use crate::testing::{ALL, SERVER, row, schema, start, table};

const ENTITY: EntityId = EntityId(0);

/// Column 0 is the key; the others are one of each kind, the odd ones nullable.
const STORAGES: [Storage; 12] = [
    Storage::Int64,
    Storage::Text,
    Storage::Text,
    Storage::Int64,
    Storage::Uint64,
    Storage::Uint64,
    Storage::Double,
    Storage::Double,
    Storage::Blob,
    Storage::Decimal { precision: 30, scale: 2 },
    Storage::Bool,
    Storage::Json,
];

fn nullable(column: usize) -> bool {
    column % 2 == 1
}

fn everything() -> Arc<Schema> {
    let names = ["id", "c1", "se\"lect", "c3", "c4", "c5", "c6", "c7", "c8", "c9", "c10", "c11"];
    let columns = names.iter().zip(STORAGES).enumerate();
    let table = columns.fold(table("ta\"ble; --"), |table, (at, (name, storage))| {
        let table = table.column(name, storage);
        if nullable(at) { table.nullable() } else { table }
    });
    // Random documents have no message that they could be read as.
    schema(&[table.secret()])
}

/// Few values, so that rows and literals meet; with what could break out of a text.
fn value(column: usize) -> BoxedStrategy<Value> {
    const TEXTS: &[&str] =
        &["", "a", "ab", "b", "a'b", "a\"b", "a%b", "a_b", "A", "'; DROP TABLE t; --", "\0", "é", "\u{10ffff}", "\\"];
    let values = match STORAGES[column] {
        Storage::Text => prop::sample::select(TEXTS).prop_map(|text| Value::Text(text.into())).boxed(),
        Storage::Uint64 => {
            prop::sample::select(&[0, 1, 1 << 63, (1 << 63) - 1, u64::MAX][..]).prop_map(Value::Uint).boxed()
        }
        Storage::Double => prop::sample::select(&[0.0, -0.5, 1.0, 1e300, 3.25][..]).prop_map(Value::Real).boxed(),
        Storage::Blob => {
            prop::sample::select(vec![&b""[..], b"a", b"a\0", b"\xff"]).prop_map(|b| Value::Blob(b.into())).boxed()
        }
        Storage::Decimal { .. } => prop::sample::select(&[0_i128, 5, -5, 1 << 90][..])
            .prop_map(|number| Value::Blob(Box::new((number ^ i128::MIN).to_be_bytes())))
            .boxed(),
        Storage::Bool => prop::sample::select(&[0, 1][..]).prop_map(Value::Int).boxed(),
        Storage::Json => {
            let documents = [
                "",
                "[]",
                "{}",
                r#"{"a":{"b":1}}"#,
                r#"{"a":"x","l":["x","y'"]}"#,
                r#"["x",2]"#,
                r#"{"a":null}"#,
                r#"{"a":"12","q\"k":"v"}"#,
                r#"{"a":true}"#,
            ];
            prop::sample::select(documents.to_vec()).prop_map(|text| Value::Text(text.into())).boxed()
        }
        _ => prop::sample::select(&[0, 1, -1, i64::MIN, i64::MAX][..]).prop_map(Value::Int).boxed(),
    };
    if nullable(column) { prop_oneof![4 => values, 1 => Just(Value::Null)].boxed() } else { values }
}

fn compare() -> impl Strategy<Value = Compare> {
    use Compare::{Equal, Greater, GreaterOrEqual, Less, LessOrEqual, NotEqual};
    prop::sample::select(vec![Equal, NotEqual, Less, LessOrEqual, Greater, GreaterOrEqual])
}

fn column_id(column: usize) -> ColumnId {
    ColumnId(u16::try_from(column).unwrap())
}

fn json() -> impl Strategy<Value = Filter> {
    let literal = prop_oneof![
        prop::sample::select(vec!["x", "y'", "v", "12"]).prop_map(|text| JsonLiteral::Text(text.into())),
        prop::sample::select(vec![1.0, 2.0]).prop_map(JsonLiteral::Number),
        Just(JsonLiteral::Integer(12)),
        any::<bool>().prop_map(JsonLiteral::Bool),
    ];
    let test = prop_oneof![
        Just(JsonTest::Present),
        literal.clone().prop_map(JsonTest::Has),
        (compare(), literal).prop_map(|(compare, literal)| JsonTest::Compare(compare, literal)),
    ];
    let path = prop::sample::select(vec![vec![], vec!["a"], vec!["a", "b"], vec!["l"], vec!["q\"k"], vec!["'] --"]]);
    (path, test).prop_map(|(path, test)| Filter::Json {
        column: column_id(11),
        path: path.into_iter().map(Into::into).collect(),
        test,
    })
}

fn filter() -> impl Strategy<Value = Filter> {
    let comparison = (1..11_usize).prop_flat_map(|column| {
        let literal = value(column).prop_filter("literals have a value", |value| !value.is_null());
        (compare(), literal).prop_map(move |(compare, value)| Filter::Column {
            column: column_id(column),
            compare,
            value,
        })
    });
    let prefix = (1..3_usize, prop::sample::select(vec!["a", "a'", "'", "\\", "\u{10ffff}", "a%", "é"]))
        .prop_map(|(column, prefix)| Filter::Prefix { column: column_id(column), prefix: prefix.into() });
    let present = (1..12_usize).prop_map(|column| Filter::Present { column: column_id(column) });
    let leaf = prop_oneof![6 => comparison, 1 => prefix, 1 => present, 2 => json()];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..4).prop_map(Filter::And),
            prop::collection::vec(inner.clone(), 1..4).prop_map(Filter::Or),
            inner.prop_map(|filter| Filter::Not(Box::new(filter))),
        ]
    })
}

fn rows() -> impl Strategy<Value = Vec<Vec<Value>>> {
    let row = (1..12).map(value).collect::<Vec<_>>();
    prop::collection::vec(row, 1..30).prop_map(|rows| {
        let keyed = |(id, mut row): (usize, Vec<Value>)| {
            row.insert(0, Value::Int(i64::try_from(id).unwrap()));
            row
        };
        rows.into_iter().enumerate().map(keyed).collect()
    })
}

/// A store whose rows have their place as version.
fn filled(schema: &Arc<Schema>, rows: &[Vec<Value>]) -> (tempfile::TempDir, Arc<SqliteStore>) {
    let directory = tempfile::tempdir().unwrap();
    let store = start(directory.path(), schema);
    let rows = rows.iter().enumerate().map(|(at, values)| row(at as u64, values.clone())).collect();
    let batch = LoadBatch { entity: ENTITY, rows, on_conflict: OnConflict::Fail, remember: None, more: false };
    crate::testing::wait(store.load(batch)).unwrap();
    (directory, store)
}

fn scan(filter: Option<Filter>, order: OrderBy, after: Option<Vec<Value>>, limit: u32) -> Scan {
    Scan {
        entity: ENTITY,
        filter: filter.map(Arc::new),
        order: Arc::new(order),
        after,
        limit,
        max_bytes: usize::MAX,
        access: Access { path: AccessPath::Primary, bound: 0, sorted: true, backward: false },
        view: ALL,
        deadline: None,
    }
}

fn found(store: &SqliteStore, scan: &Scan) -> Vec<u64> {
    let records = store.scan(scan, &SERVER).try_now().ok().unwrap().unwrap();
    records.iter().map(|record| record.version()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn sql_finds_the_rows_that_match_in_memory(rows in rows(), filters in prop::collection::vec(filter(), 20)) {
        let schema = everything();
        let (_directory, store) = filled(&schema, &rows);
        for filter in filters {
            let matching = |(_, row): &(usize, &Vec<Value>)| matches(&filter, &schema.entities[0], row);
            let expected: Vec<u64> = rows.iter().enumerate().filter(matching).map(|(at, _)| at as u64).collect();
            let scan = scan(Some(filter.clone()), vec![(ColumnId(0), false)], None, 100);
            prop_assert_eq!(&found(&store, &scan), &expected, "{:?}", filter);
            prop_assert_eq!(store.count(&scan, &SERVER).try_now().ok().unwrap().unwrap(), expected.len() as u64);
        }
    }

    #[test]
    fn pages_in_any_order_give_every_row_once(
        rows in rows(),
        order in prop::collection::vec((1..11_usize, any::<bool>()), 0..3),
        last in any::<bool>(),
    ) {
        let schema = everything();
        let (_directory, store) = filled(&schema, &rows);
        let mut order: OrderBy = order.into_iter().map(|(column, down)| (column_id(column), down)).collect();
        order.push((ColumnId(0), last));
        let mut expected: Vec<usize> = (0..rows.len()).collect();
        expected.sort_by(|a, b| in_order(&order, &rows[*a], &rows[*b]));
        let mut seen: Vec<u64> = Vec::new();
        loop {
            let after = seen.last().map(|last| {
                let row = &rows[usize::try_from(*last).unwrap()];
                order.iter().map(|(column, _)| row[column.index()].clone()).collect()
            });
            let page = found(&store, &scan(None, order.clone(), after, 4));
            if page.is_empty() {
                break;
            }
            seen.extend(page);
            prop_assert!(seen.len() <= rows.len(), "a row came twice");
        }
        prop_assert_eq!(seen, expected.into_iter().map(|at| at as u64).collect::<Vec<_>>());
    }

    #[test]
    fn every_value_comes_back_as_it_was(rows in rows()) {
        let schema = everything();
        let (_directory, store) = filled(&schema, &rows);
        let codecs = rowkeep_record::Codecs::new(&schema);
        let records = store.scan(&scan(None, vec![(ColumnId(0), false)], None, 100), &SERVER).try_now().ok().unwrap().unwrap();
        for (record, row) in records.iter().zip(&rows) {
            let expected = codecs.row(ENTITY).encode(row, record.version()).unwrap();
            prop_assert_eq!(record.wire(), expected.wire());
        }
    }
}

fn in_order(order: &OrderBy, a: &[Value], b: &[Value]) -> Ordering {
    let compare = |(column, down): &(ColumnId, bool)| {
        let ordering = a[column.index()].as_ref().compare(&b[column.index()].as_ref());
        if *down { ordering.reverse() } else { ordering }
    };
    order.iter().map(compare).find(|ordering| ordering.is_ne()).unwrap_or(Ordering::Equal)
}
