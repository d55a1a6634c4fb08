//! Checked queries: columns and stored values, no names and no text left.

use rowkeep_schema::ColumnId;

use crate::Value;

/// A checked filter (AIP-160 subset).
#[derive(Debug, Clone, PartialEq)]
pub enum Filter {
    /// All hold. Never empty.
    And(Vec<Filter>),
    /// One holds. Never empty.
    Or(Vec<Filter>),
    /// It does not hold. A comparison with an absent value does not hold, so its negation does.
    Not(Box<Filter>),
    /// A column against a literal. Absent values never match (except with [`Compare::NotEqual`], which they do match, as in AIP-160:
    /// `a != 1` is `NOT a = 1`).
    Column {
        /// The column.
        column: ColumnId,
        /// How.
        compare: Compare,
        /// In the column's storage form.
        value: Value,
    },
    /// The string starts with this (`name = "Ann*"`).
    Prefix {
        /// A text column.
        column: ColumnId,
        /// Not empty.
        prefix: Box<str>,
    },
    /// The column has a value (`name:*`): not NULL; for columns without NULL, not the zero value.
    Present {
        /// The column.
        column: ColumnId,
    },
    /// A place inside a JSON column against a literal (`address.city = "Oslo"`, `tags:"new"`, `labels.env = "prod"`).
    Json {
        /// The column.
        column: ColumnId,
        /// Names (JSON names, map keys) from the top of the column's value; empty for the column itself.
        path: Vec<Box<str>>,
        /// What is asked of the place.
        test: JsonTest,
    },
}

/// How a value is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Compare {
    /// `=`
    Equal,
    /// `!=`
    NotEqual,
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

/// What is asked of a place in a JSON column.
#[derive(Debug, Clone, PartialEq)]
pub enum JsonTest {
    /// The place is there, not null and not an empty list or object (`address.city:*`, `labels:env`).
    Present,
    /// A repeated field has an equal item (`tags:"new"`).
    Has(JsonLiteral),
    /// A single value compares so.
    Compare(Compare, JsonLiteral),
    /// The same of a field without presence, which JSON leaves out when it is zero.
    CompareImplicit {
        /// How.
        compare: Compare,
        /// With what.
        literal: JsonLiteral,
        /// Whether zero compares so.
        zero_passes: bool,
    },
}

/// A literal in the form canonical JSON gives it.
#[derive(Debug, Clone, PartialEq)]
pub enum JsonLiteral {
    /// `true`, `false`.
    Bool(bool),
    /// A number that JSON writes as a number (32-bit integers, floats).
    Number(f64),
    /// Numbers that JSON writes as strings (64-bit integers); compared as numbers.
    Integer(i128),
    /// Strings, enum names, times (RFC 3339).
    Text(Box<str>),
}

/// A checked `order_by`: columns with their direction (`true` = descending).
pub type OrderBy = Vec<(ColumnId, bool)>;
