//! The filter language: generated filters mean in memory what was meant, and no text is too much for the parser.

#![allow(clippy::unwrap_used)] // a test that cannot go on fails

mod support;

use std::cmp::Ordering;

use proptest::prelude::*;
use rowkeep_record::Value;
use rowkeep_record::query::{matches, parse_filter, parse_order_by};
use support::entropy::Entropy;
use support::fixture;

/// Few texts, so that rows and literals meet, with what has a meaning in filters, SQL and LIKE.
const TEXTS: [&str; 14] =
    ["", "a", "ab", "A", "a'b", "a\"b", "a\\", "*", "a*", "%", "_", "'; DROP TABLE t; --", "é\n", "NOT (null) AND"];

/// A row, as whoever writes the filter thinks of it.
struct Row {
    id: i64,
    maybe_int32: Option<i64>,
    a_double: f64,
    a_string: &'static str,
    maybe_string: Option<&'static str>,
    a_bool: bool,
    a_colour: i64,
    a_time: Option<i64>,
    strings: Vec<&'static str>,
    nested: Option<Nested>,
}

/// A message; its fields have no presence.
struct Nested {
    text: &'static str,
    big: i64,
    colour: i64,
}

impl Row {
    fn random(entropy: &mut Entropy<'_>) -> Self {
        let text = |entropy: &mut Entropy<'_>| entropy.pick(&TEXTS);
        Self {
            id: small(entropy),
            maybe_int32: entropy.chance(2).then(|| small(entropy)),
            a_double: f64::from(entropy.byte() % 5) / 2.0 - 1.0,
            a_string: text(entropy),
            maybe_string: entropy.chance(2).then(|| text(entropy)),
            a_bool: entropy.chance(2),
            a_colour: entropy.pick(&[0, 1, 2]),
            a_time: entropy.chance(2).then(|| small(entropy)),
            strings: (0..entropy.below(3)).map(|_| text(entropy)).collect(),
            nested: entropy.chance(2).then(|| Nested {
                text: text(entropy),
                big: small(entropy).abs(),
                colour: entropy.pick(&[0, 2]),
            }),
        }
    }

    fn values(&self) -> Vec<Value> {
        let json = |value: serde_json::Value| Value::Text(value.to_string().into());
        let int = |value: Option<i64>| value.map_or(Value::Null, Value::Int);
        let mut values = fixture().row().empty();
        let columns = [
            ("id", Value::Int(self.id)),
            ("maybe_int32", int(self.maybe_int32)),
            ("a_double", Value::Real(self.a_double)),
            ("a_string", Value::Text(self.a_string.into())),
            ("maybe_string", self.maybe_string.map_or(Value::Null, |text| Value::Text(text.into()))),
            ("a_bool", Value::Int(self.a_bool.into())),
            ("a_colour", Value::Int(self.a_colour)),
            ("a_time", int(self.a_time.map(|seconds| seconds * 1_000_000))),
            ("strings", json(self.strings.clone().into())),
            ("a_nested", self.nested.as_ref().map_or(Value::Null, Nested::value)),
        ];
        for (name, value) in columns {
            values[fixture().entity().column_by_field(name).unwrap().id.index()] = value;
        }
        values
    }
}

impl Nested {
    fn value(&self) -> Value {
        let json = serde_json::json!({"text": self.text, "big": self.big, "colour": self.colour});
        let column = fixture().entity().column_by_field("a_nested").unwrap();
        fixture().row().parse_text(column.id, &json.to_string()).unwrap()
    }
}

fn small(entropy: &mut Entropy<'_>) -> i64 {
    i64::from(entropy.byte() % 5) - 2
}

/// A text in quotes of either kind, with escapes where they are needed and sometimes where they are not.
fn quoted(entropy: &mut Entropy<'_>, text: &str) -> String {
    let quote = entropy.pick(&['"', '\'']);
    let mut out = String::from(quote);
    for c in text.chars() {
        match c {
            '\n' if entropy.chance(2) => out.push_str("\\n"),
            '\\' | '*' => out.extend(['\\', c]),
            c if c == quote || matches!(c, '"' | '\'') && entropy.chance(2) => out.extend(['\\', c]),
            c => out.push(c),
        }
    }
    out.push(quote);
    out
}

/// A comparison and whether a value passes it.
fn compared<T>(entropy: &mut Entropy<'_>, found: Option<T>, order: impl Fn(T) -> Ordering) -> (&'static str, bool) {
    let operator = entropy.pick(&["=", "!=", "<", "<=", ">", ">="]);
    let Some(order) = found.map(order) else { return (operator, operator == "!=") };
    let holds = match operator {
        "=" => order.is_eq(),
        "!=" => order.is_ne(),
        "<" => order.is_lt(),
        "<=" => order.is_le(),
        ">" => order.is_gt(),
        _ => order.is_ge(),
    };
    (operator, holds)
}

fn compared_text(entropy: &mut Entropy<'_>, name: &str, found: Option<&str>) -> (String, bool) {
    let wanted = entropy.pick(&TEXTS);
    let (operator, holds) = compared(entropy, found, |found| found.as_bytes().cmp(wanted.as_bytes()));
    let literal = quoted(entropy, wanted);
    (format!("{name}{}{operator}{}{literal}", space(entropy), space(entropy)), holds)
}

fn space(entropy: &mut Entropy<'_>) -> &'static str {
    entropy.pick(&["", " ", "\n\t"])
}

/// One restriction in text, and whether the row passes it.
fn restriction(entropy: &mut Entropy<'_>, row: &Row) -> (String, bool) {
    match entropy.below(14) {
        0 => {
            let wanted = small(entropy);
            let (operator, holds) = compared(entropy, Some(row.id), |id| id.cmp(&wanted));
            (format!("id {operator} {wanted}"), holds)
        }
        1 => {
            let wanted = small(entropy);
            let (operator, holds) = compared(entropy, row.maybe_int32, |found| found.cmp(&wanted));
            (format!("maybeInt32{operator}{wanted}"), holds)
        }
        2 => {
            let (text, wanted) = entropy.pick(&[("0.5", 0.5), ("-1", -1.0), ("5e-1", 0.5), ("0", 0.0)]);
            let (operator, holds) = compared(entropy, Some(row.a_double), |found: f64| found.total_cmp(&wanted));
            (format!("a_double {operator} {text}"), holds)
        }
        3 => compared_text(entropy, "a_string", Some(row.a_string)),
        4 => compared_text(entropy, "maybe_string", row.maybe_string),
        5 => compared_text(entropy, "a_nested.text", row.nested.as_ref().map(|nested| nested.text)),
        6 => {
            let prefix = entropy.pick(&["a", "a'", "%", "_"]);
            let literal = quoted(entropy, prefix);
            let (head, quote) = literal.split_at(literal.len() - 1);
            (format!("a_string = {head}*{quote}"), row.a_string.starts_with(prefix))
        }
        7 => {
            let (name, holds) = entropy.pick(&[
                ("maybe_string", row.maybe_string.is_some()),
                ("a_string", !row.a_string.is_empty()),
                ("strings", !row.strings.is_empty()),
                ("a_time", row.a_time.is_some()),
                ("a_nested.text", row.nested.as_ref().is_some_and(|nested| !nested.text.is_empty())),
            ]);
            (format!("{name}:*"), holds)
        }
        8 => {
            let wanted = entropy.pick(&TEXTS);
            (format!("strings:{}", quoted(entropy, wanted)), row.strings.contains(&wanted))
        }
        9 => {
            let (name, number) = entropy.pick(&[("COLOUR_UNSPECIFIED", 0), ("COLOUR_BLUE", 2)]);
            if entropy.chance(2) {
                (format!("a_colour != {name}"), row.a_colour != number)
            } else {
                (format!("a_colour = {name}"), row.a_colour == number)
            }
        }
        10 => {
            let (text, wanted) = entropy.pick(&[("1970-01-01T00:00:00Z", 0), ("1970-01-01T01:00:01+01:00", 1)]);
            let (operator, holds) = compared(entropy, row.a_time, |found| found.cmp(&wanted));
            (format!("a_time {operator} {text}"), holds)
        }
        11 => {
            let wanted = small(entropy);
            let big = row.nested.as_ref().map(|nested| nested.big);
            let (operator, holds) = compared(entropy, big, |found| found.cmp(&wanted));
            (format!("a_nested.big {operator} {wanted}"), holds)
        }
        12 => {
            let colour = row.nested.as_ref().map(|nested| nested.colour);
            let (name, wanted) = entropy.pick(&[("COLOUR_UNSPECIFIED", 0), ("COLOUR_BLUE", 2)]);
            if entropy.chance(2) {
                (format!("a_nested.colour = {name}"), colour == Some(wanted))
            } else {
                (format!("a_nested.colour != {name}"), colour != Some(wanted))
            }
        }
        _ => {
            if entropy.chance(2) {
                ("maybe_string = null".to_owned(), row.maybe_string.is_none())
            } else {
                ("aBool = true".to_owned(), row.a_bool)
            }
        }
    }
}

/// A whole filter in text, and whether the row passes it. Of at most eight restrictions.
fn condition(entropy: &mut Entropy<'_>, row: &Row, depth: usize) -> (String, bool) {
    let pair = |entropy: &mut Entropy<'_>| (condition(entropy, row, depth + 1), condition(entropy, row, depth + 1));
    match if depth < 3 { entropy.below(5) } else { 0 } {
        1 => {
            let ((a, x), (b, y)) = pair(entropy);
            (format!("({a} AND {b})"), x && y)
        }
        2 => {
            let ((a, x), (b, y)) = pair(entropy);
            (format!("({a}{}OR {b} )", entropy.pick(&[" ", "\n"])), x || y)
        }
        3 => {
            let (a, x) = condition(entropy, row, depth + 1);
            (format!("{}({a})", entropy.pick(&["NOT ", "-", "NOT - NOT "])), !x)
        }
        // OR binds tighter than AND.
        4 => {
            let (a, x) = restriction(entropy, row);
            let (b, y) = restriction(entropy, row);
            let (c, z) = restriction(entropy, row);
            (format!("({a} AND {b} OR {c})"), x && (y || z))
        }
        _ => restriction(entropy, row),
    }
}

fn many(cases: u32) -> ProptestConfig {
    ProptestConfig { failure_persistence: None, cases, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(many(20_000))]

    #[test]
    fn a_filter_means_what_was_meant(seed in proptest::collection::vec(any::<u8>(), 0..120)) {
        let mut entropy = Entropy::new(&seed);
        let row = Row::random(&mut entropy);
        let (text, expected) = condition(&mut entropy, &row, 0);
        let filter = parse_filter(&fixture().schema, fixture().entity(), &text);
        let filter = filter.unwrap_or_else(|error| panic!("{text}: {error:?}")).unwrap();
        prop_assert_eq!(matches(&filter, fixture().entity(), &row.values()), expected, "{}", text);
    }
}

proptest! {
    #![proptest_config(many(100_000))]

    #[test]
    fn no_text_is_too_much_for_the_parser(seed in proptest::collection::vec(any::<u8>(), 0..60)) {
        const TOKENS: [&str; 40] = [
            "id", "a_string", "maybe_string", "strings", "a_nested", "a_nested.text", "by_string.k", "a_struct.x.y",
            "a_secret", "a_time", "a_decimal", "a_bytes", "a_colour", "nope", "=", "!=", "<=", ">", ":", "*", "\"a\"",
            "'b*'", "\"\\", "\"", "'", "(", ")", "AND", "OR", "NOT", "-", ".", " ", "null", "1", "-0.5e9",
            "2024-01-01T00:00:00Z", "'; DROP TABLE t; --", "\u{0}é", "COLOUR_RED",
        ];
        let mut entropy = Entropy::new(&seed);
        let mut text = String::new();
        for _ in 0..entropy.below(24) {
            text.push_str(entropy.pick(&TOKENS));
            text.push_str(entropy.pick(&["", " "]));
        }
        match parse_filter(&fixture().schema, fixture().entity(), &text) {
            Ok(Some(filter)) => _ = matches(&filter, fixture().entity(), &fixture().row().empty()),
            Ok(None) => prop_assert!(text.trim().is_empty()),
            Err(error) => prop_assert!(error.at <= text.len() && !error.message.is_empty(), "{:?} in {:?}", error, text),
        }
        let _ = parse_order_by(fixture().entity(), &text);
    }
}

#[test]
fn a_zero_inside_a_message_is_compared_as_zero() {
    // JSON leaves zeros out, so they are not in the stored text.
    let passes = |filter: &str, nested: Value| {
        let filter = parse_filter(&fixture().schema, fixture().entity(), filter).unwrap().unwrap();
        let mut row = fixture().row().empty();
        row[fixture().entity().column_by_field("a_nested").unwrap().id.index()] = nested;
        matches(&filter, fixture().entity(), &row)
    };
    let empty = || Value::Text("{}".into());
    for filter in ["a_nested.big = 0", "a_nested.big < 5", "a_nested.text = \"\"", "a_nested.flag != true"] {
        assert!(passes(filter, empty()), "{filter}");
    }
    for filter in ["a_nested.big != 0", "a_nested.big > 0", "a_nested.big:*", "a_nested.flag = false"] {
        assert!(!passes(filter, empty()), "{filter}");
    }
    // Without the message there is nothing to compare.
    assert!(!passes("a_nested.big = 0", Value::Null));
    assert!(passes("a_nested.big != 0", Value::Null));
}
