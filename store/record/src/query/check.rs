//! From names and literals to columns and stored values.

use std::borrow::Cow;

use kit_core::{Error, nearest};
use rowkeep_schema::{Auto, Cardinality, Column, ColumnId, Entity, Kind, MessageId, Schema, Storage, WellKnown};

use super::matches::literal_passes;
use super::syntax::{self, Literal, Node, Operator, Restriction};
use super::{Compare, Filter, JsonLiteral, JsonTest, OrderBy, QueryError};
use crate::Value;

/// Columns in an `order_by` at most.
const MAX_ORDER_COLUMNS: usize = 8;

/// Parses and checks a filter; `None` if it is empty.
///
/// # Errors
/// [`QueryError`] with the place of the mistake.
pub fn parse_filter(schema: &Schema, entity: &Entity, text: &str) -> Result<Option<Filter>, QueryError> {
    let checker = Checker { schema, entity };
    syntax::parse(text)?.map(|node| checker.node(node)).transpose()
}

/// Like [`parse_filter`], with the mistake as an answer about `field`.
///
/// # Errors
/// `INVALID_ARGUMENT` with one violation.
pub fn filter(schema: &Schema, entity: &Entity, text: &str, field: &str) -> Result<Option<Filter>, Error> {
    parse_filter(schema, entity, text).map_err(|error| error.into_error(field, "INVALID_FILTER"))
}

/// Parses and checks an `order_by`: `city, created_at desc`. Empty text is an empty order.
///
/// # Errors
/// [`QueryError`] with the place of the mistake.
pub fn parse_order_by(entity: &Entity, text: &str) -> Result<OrderBy, QueryError> {
    let mut order = OrderBy::new();
    if text.trim().is_empty() {
        return Ok(order);
    }
    let mut at = 0;
    for part in text.split(',') {
        let (column, descending) = order_column(entity, part, at)?;
        if order.iter().any(|(known, _)| *known == column) {
            return Err(QueryError::new(at, "the field is named twice"));
        }
        order.push((column, descending));
        at += part.len() + 1;
    }
    if order.len() > MAX_ORDER_COLUMNS {
        return Err(QueryError::new(0, format!("at most {MAX_ORDER_COLUMNS} fields are allowed")));
    }
    Ok(order)
}

fn order_column(entity: &Entity, part: &str, at: usize) -> Result<(ColumnId, bool), QueryError> {
    let mut words = part.split_whitespace();
    let name = words.next().ok_or_else(|| QueryError::new(at, "expected the name of a field"))?;
    let at = at + part.find(name).unwrap_or(0);
    let descending = match words.next() {
        None | Some("asc") => false,
        Some("desc") => true,
        Some(_) => return Err(QueryError::new(at, "a name is followed by nothing, asc or desc")),
    };
    if words.next().is_some() {
        return Err(QueryError::new(at, "fields are separated by commas"));
    }
    let column = usable_column(entity, name, at)?;
    if column.storage == Storage::Json {
        return Err(QueryError::new(at, format!("rows cannot be sorted by {name}, which holds a structure")));
    }
    Ok((column.id, descending))
}

/// A column that queries may name, by proto or JSON name.
fn usable_column<'a>(entity: &'a Entity, name: &str, at: usize) -> Result<&'a Column, QueryError> {
    let Some(column) = entity.column_by_field(name).or_else(|| by_camel_case(entity, name)) else {
        let known = entity.columns.iter().filter(|column| is_usable(column)).map(|column| column.field.as_str());
        let hint = nearest(name, known).map_or_else(String::new, |near| format!("; did you mean {near}?"));
        return Err(QueryError::new(at, format!("{} has no field {name}{hint}", entity.name)));
    };
    if is_usable(column) {
        return Ok(column);
    }
    let why = if column.secret { "secret" } else { "the etag, which is not stored" };
    Err(QueryError::new(at, format!("{name} cannot be used here: it is {why}")))
}

fn is_usable(column: &Column) -> bool {
    !column.secret && column.auto != Some(Auto::Etag)
}

fn by_camel_case<'a>(entity: &'a Entity, name: &str) -> Option<&'a Column> {
    let same = |field: &str| field.bytes().filter(|b| *b != b'_').eq(name.bytes().map(|b| b.to_ascii_lowercase()));
    if name.contains('_') {
        return None;
    }
    entity.columns.iter().find(|column| same(&column.field))
}

struct Checker<'s> {
    schema: &'s Schema,
    entity: &'s Entity,
}

impl Checker<'_> {
    fn node(&self, node: Node<'_>) -> Result<Filter, QueryError> {
        let all = |nodes: Vec<Node<'_>>| nodes.into_iter().map(|node| self.node(node)).collect::<Result<Vec<_>, _>>();
        Ok(match node {
            Node::And(nodes) => Filter::And(all(nodes)?),
            Node::Or(nodes) => Filter::Or(all(nodes)?),
            Node::Not(node) => Filter::Not(Box::new(self.node(*node)?)),
            Node::Restriction(restriction) => self.restriction(&restriction)?,
        })
    }

    fn restriction(&self, restriction: &Restriction<'_>) -> Result<Filter, QueryError> {
        let column = usable_column(self.entity, &restriction.path[0], restriction.at)?;
        if column.storage == Storage::Json {
            return self.json(column, restriction);
        }
        if restriction.path.len() > 1 {
            return Err(QueryError::new(restriction.at, format!("{} has no fields of its own", column.field)));
        }
        self.scalar(column, restriction)
    }

    fn scalar(&self, column: &Column, restriction: &Restriction<'_>) -> Result<Filter, QueryError> {
        let Some(compare) = comparison(restriction.operator) else {
            if restriction.literal == Literal::Star {
                return Ok(Filter::Present { column: column.id });
            }
            let message =
                format!("{} is a single value: compare it with =, or ask whether it is set with :*", column.field);
            return Err(QueryError::new(restriction.at, message));
        };
        match &restriction.literal {
            Literal::Star => Err(QueryError::new(restriction.literal_at, "* stands behind : only, or ends a string")),
            Literal::Word("null") if column.nullable => null_test(column, compare, restriction.literal_at),
            Literal::String { text, prefix: true } => prefix_test(column, compare, text, restriction.literal_at),
            Literal::String { text, prefix: false } => self.compare(column, compare, text, restriction),
            Literal::Word(word) if matches!(column.storage, Storage::Text | Storage::Blob) => {
                Err(QueryError::new(restriction.literal_at, format!("put the text in double quotes: \"{word}\"")))
            }
            Literal::Word(word) => self.compare(column, compare, word, restriction),
        }
    }

    fn compare(
        &self,
        column: &Column,
        compare: Compare,
        text: &str,
        restriction: &Restriction<'_>,
    ) -> Result<Filter, QueryError> {
        let ordered = !matches!(column.storage, Storage::Bool | Storage::Enum(_) | Storage::Blob);
        if !ordered && !matches!(compare, Compare::Equal | Compare::NotEqual) {
            let message = format!("{} has no order: use = or !=", column.field);
            return Err(QueryError::new(restriction.at, message));
        }
        let value = crate::text::parse(&self.schema.enums, column.storage, text)
            .map_err(|message| QueryError::new(restriction.literal_at, format!("{}: {message}", column.field)))?;
        Ok(Filter::Column { column: column.id, compare, value })
    }

    fn json(&self, column: &Column, restriction: &Restriction<'_>) -> Result<Filter, QueryError> {
        let field = &self.schema.message(self.entity.message).fields[column.id.index()];
        let mut place = Place { kind: field.kind, cardinality: field.cardinality };
        let mut path: Vec<Box<str>> = Vec::new();
        for name in &restriction.path[1..] {
            let (step, next) = self.step(place, name).map_err(|message| QueryError::new(restriction.at, message))?;
            path.push(step);
            place = next;
        }
        let test = self.json_test(place, &mut path, restriction)?;
        Ok(Filter::Json { column: column.id, path, test })
    }

    /// One name further down: its form in JSON, and what is there.
    fn step(&self, place: Place, name: &str) -> Result<(Box<str>, Place), String> {
        if matches!(place.cardinality, Cardinality::Map(_)) {
            return Ok((name.into(), Place { kind: place.kind, cardinality: Cardinality::Explicit }));
        }
        if place.cardinality == Cardinality::Repeated {
            return Err(format!("a repeated field is asked with :, as in tags:\"new\", not with .{name}"));
        }
        let Kind::Message(id) = place.kind else {
            return Err(format!("there is no field {name}: it is a single value"));
        };
        let message = self.schema.message(id);
        match message.well_known {
            Some(WellKnown::Struct | WellKnown::Value) => {
                Ok((name.into(), Place { kind: place.kind, cardinality: Cardinality::Explicit }))
            }
            Some(known) if known != WellKnown::Date && known != WellKnown::Decimal => {
                Err(format!("{} has no fields to filter by", message.full_name))
            }
            _ => self.step_into(id, name),
        }
    }

    fn step_into(&self, id: MessageId, name: &str) -> Result<(Box<str>, Place), String> {
        let message = self.schema.message(id);
        let found = message.fields.iter().find(|field| field.name == name || field.json_name == name);
        let Some(field) = found.filter(|field| !field.secret) else {
            let hint = nearest(name, message.fields.iter().map(|field| field.name.as_str()))
                .map_or_else(String::new, |near| format!("; did you mean {near}?"));
            return Err(format!("{} has no field {name}{hint}", message.full_name));
        };
        Ok((field.json_name.as_str().into(), Place { kind: field.kind, cardinality: field.cardinality }))
    }

    fn json_test(
        &self,
        place: Place,
        path: &mut Vec<Box<str>>,
        restriction: &Restriction<'_>,
    ) -> Result<JsonTest, QueryError> {
        let Some(compare) = comparison(restriction.operator) else {
            return match (&restriction.literal, place.cardinality) {
                (Literal::Star, _) => Ok(JsonTest::Present),
                (literal, Cardinality::Map(_)) => {
                    path.push(plain_text(literal, restriction.literal_at)?.into());
                    Ok(JsonTest::Present)
                }
                (literal, Cardinality::Repeated) => {
                    let item = Place { kind: place.kind, cardinality: Cardinality::Explicit };
                    self.json_literal(item, literal, restriction.literal_at).map(JsonTest::Has)
                }
                _ => Err(QueryError::new(restriction.at, "is a single value: compare it with =, or ask with :*")),
            };
        };
        if !matches!(place.cardinality, Cardinality::Explicit | Cardinality::Implicit) {
            return Err(QueryError::new(restriction.at, "holds many values: ask with :, as in tags:\"new\""));
        }
        let literal = self.json_literal(place, &restriction.literal, restriction.literal_at)?;
        let ordered = matches!(literal, JsonLiteral::Number(_) | JsonLiteral::Integer(_))
            || matches!(place.kind, Kind::String | Kind::Message(_)) && matches!(literal, JsonLiteral::Text(_));
        if !ordered && !matches!(compare, Compare::Equal | Compare::NotEqual) {
            return Err(QueryError::new(restriction.at, "has no order: use = or !="));
        }
        Ok(match self.left_out(place) {
            Some(zero) => {
                let zero_passes = literal_passes(compare, &zero, &literal);
                JsonTest::CompareImplicit { compare, literal, zero_passes }
            }
            None => JsonTest::Compare(compare, literal),
        })
    }

    /// The value that JSON leaves out.
    fn left_out(&self, place: Place) -> Option<JsonLiteral> {
        if place.cardinality != Cardinality::Implicit {
            return None;
        }
        Some(match place.kind {
            Kind::Bool => JsonLiteral::Bool(false),
            Kind::String => JsonLiteral::Text("".into()),
            Kind::Float | Kind::Double => JsonLiteral::Number(0.0),
            Kind::Enum(id) => JsonLiteral::Text(self.schema.enumeration(id).name_of(0)?.into()),
            Kind::Bytes | Kind::Message(_) => return None,
            _ => JsonLiteral::Integer(0),
        })
    }

    fn json_literal(&self, place: Place, literal: &Literal<'_>, at: usize) -> Result<JsonLiteral, QueryError> {
        let quoted = matches!(literal, Literal::String { .. });
        let text = plain_text(literal, at)?;
        let bad = |expected: &str| QueryError::new(at, format!("\"{text}\" is not {expected}"));
        let integer = || text.parse::<i128>().map(JsonLiteral::Integer).map_err(|_| bad("a whole number"));
        match place.kind {
            Kind::Bool => text.parse().map(JsonLiteral::Bool).map_err(|_| bad("true or false")),
            Kind::String => Ok(JsonLiteral::Text(text.into())),
            Kind::Float | Kind::Double => finite(&text).map(JsonLiteral::Number).ok_or_else(|| bad("a number")),
            Kind::Enum(id) => {
                let known = self.schema.enumeration(id);
                known
                    .number_of(&text)
                    .map(|_| JsonLiteral::Text(text.as_ref().into()))
                    .ok_or_else(|| bad(&format!("a value of {}", known.full_name)))
            }
            Kind::Bytes => Err(QueryError::new(at, "bytes inside a structure cannot be filtered by")),
            Kind::Message(id) => match self.schema.message(id).well_known {
                Some(WellKnown::Struct | WellKnown::Value) => Ok(untyped(&text, quoted)),
                Some(WellKnown::Wrapper) => {
                    let value = &self.schema.message(id).fields[0];
                    self.json_literal(Place { kind: value.kind, cardinality: Cardinality::Explicit }, literal, at)
                }
                _ => Err(QueryError::new(at, "a structure cannot be compared: name one of its fields")),
            },
            _ => integer(),
        }
    }
}

/// Where a path has arrived inside a JSON column.
#[derive(Clone, Copy)]
struct Place {
    kind: Kind,
    cardinality: Cardinality,
}

fn comparison(operator: Operator) -> Option<Compare> {
    Some(match operator {
        Operator::Equal => Compare::Equal,
        Operator::NotEqual => Compare::NotEqual,
        Operator::Less => Compare::Less,
        Operator::LessOrEqual => Compare::LessOrEqual,
        Operator::Greater => Compare::Greater,
        Operator::GreaterOrEqual => Compare::GreaterOrEqual,
        Operator::Has => return None,
    })
}

fn null_test(column: &Column, compare: Compare, at: usize) -> Result<Filter, QueryError> {
    let present = Filter::Present { column: column.id };
    match compare {
        Compare::Equal => Ok(Filter::Not(Box::new(present))),
        Compare::NotEqual => Ok(present),
        _ => Err(QueryError::new(at, "null is compared with = or !=")),
    }
}

fn prefix_test(column: &Column, compare: Compare, text: &str, at: usize) -> Result<Filter, QueryError> {
    if column.storage != Storage::Text {
        return Err(QueryError::new(at, format!("{} is not text: * cannot be used", column.field)));
    }
    if text.is_empty() {
        return Err(QueryError::new(at, format!("ask whether {0} is set with {0}:*", column.field)));
    }
    let prefix = Filter::Prefix { column: column.id, prefix: text.into() };
    match compare {
        Compare::Equal => Ok(prefix),
        Compare::NotEqual => Ok(Filter::Not(Box::new(prefix))),
        _ => Err(QueryError::new(at, "a string that ends in * is compared with = or !=")),
    }
}

fn plain_text<'a>(literal: &'a Literal<'_>, at: usize) -> Result<Cow<'a, str>, QueryError> {
    match literal {
        Literal::Word(word) => Ok(Cow::Borrowed(word)),
        Literal::String { text, prefix: false } => Ok(Cow::Borrowed(text)),
        Literal::String { .. } | Literal::Star => Err(QueryError::new(at, "* cannot be used inside a structure")),
    }
}

/// A literal whose type only its spelling tells (Struct, Value).
fn untyped(text: &str, quoted: bool) -> JsonLiteral {
    match text {
        "true" if !quoted => JsonLiteral::Bool(true),
        "false" if !quoted => JsonLiteral::Bool(false),
        _ => match finite(text).filter(|_| !quoted) {
            Some(number) => JsonLiteral::Number(number),
            None => JsonLiteral::Text(text.into()),
        },
    }
}

fn finite(text: &str) -> Option<f64> {
    text.parse::<f64>().ok().filter(|number| number.is_finite())
}

/// The value of a column that is not set.
pub fn zero(storage: Storage) -> Value {
    match storage {
        Storage::Uint64 => Value::Uint(0),
        Storage::Float | Storage::Double => Value::Real(0.0),
        Storage::Text | Storage::Json => Value::Text("".into()),
        Storage::Blob => Value::Blob(Box::default()),
        Storage::Decimal { precision, .. } if precision > 18 => Value::Blob((1_u128 << 127).to_be_bytes().into()),
        _ => Value::Int(0),
    }
}
