//! Stored values: what a column holds between the wire and a database.

use std::hash::{Hash, Hasher};

use smallvec::SmallVec;

/// A stored value. Its meaning is given by the column's [`Storage`](rowkeep_schema::Storage).
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Value {
    /// Absent.
    #[default]
    Null,
    /// Signed numbers, booleans, enums, times, dates, decimals of up to 18 digits.
    Int(i64),
    /// `uint64` and `fixed64`.
    Uint(u64),
    /// Finite floating point; zero is positive.
    Real(f64),
    /// UTF-8 text, JSON.
    Text(Box<str>),
    /// Bytes, decimals of more than 18 digits.
    Blob(Box<[u8]>),
}

/// A borrowed [`Value`], as a driver hands it out.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ValueRef<'a> {
    /// Absent.
    Null,
    /// See [`Value::Int`].
    Int(i64),
    /// See [`Value::Uint`].
    Uint(u64),
    /// See [`Value::Real`].
    Real(f64),
    /// See [`Value::Text`].
    Text(&'a str),
    /// See [`Value::Blob`].
    Blob(&'a [u8]),
}

impl Value {
    /// Borrows.
    pub fn as_ref(&self) -> ValueRef<'_> {
        match self {
            Self::Null => ValueRef::Null,
            Self::Int(value) => ValueRef::Int(*value),
            Self::Uint(value) => ValueRef::Uint(*value),
            Self::Real(value) => ValueRef::Real(*value),
            Self::Text(value) => ValueRef::Text(value),
            Self::Blob(value) => ValueRef::Blob(value),
        }
    }

    /// Whether it is absent.
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }
}

impl ValueRef<'_> {
    /// Copies.
    pub fn to_value(self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Int(value) => Value::Int(value),
            Self::Uint(value) => Value::Uint(value),
            Self::Real(value) => Value::Real(value),
            Self::Text(value) => Value::Text(value.into()),
            Self::Blob(value) => Value::Blob(value.into()),
        }
    }

    /// The order of an index: NULL first, numbers by value, text and bytes by their bytes.
    /// Values of one column are of one variant (or NULL), so the order across variants is only a tie-break.
    pub fn compare(&self, other: &Self) -> std::cmp::Ordering {
        use ValueRef::{Blob, Int, Null, Real, Text, Uint};
        match (self, other) {
            (Int(a), Int(b)) => a.cmp(b),
            (Uint(a), Uint(b)) => a.cmp(b),
            // Stored numbers are finite. Both zeros are equal, as they are for every database.
            (Real(a), Real(b)) => a.partial_cmp(b).unwrap_or_else(|| a.total_cmp(b)),
            (Text(a), Text(b)) => a.as_bytes().cmp(b.as_bytes()),
            (Blob(a), Blob(b)) => a.cmp(b),
            (Null, Null) => std::cmp::Ordering::Equal,
            (a, b) => a.rank().cmp(&b.rank()),
        }
    }

    const fn rank(&self) -> u8 {
        match self {
            Self::Null => 0,
            Self::Int(_) => 1,
            Self::Uint(_) => 2,
            Self::Real(_) => 3,
            Self::Text(_) => 4,
            Self::Blob(_) => 5,
        }
    }
}

/// The values of a primary key or of an index lookup, in the order of the key. Never contains NULL for a primary key.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Key(pub SmallVec<[Value; 2]>);

impl Key {
    /// A key of one column.
    pub fn one(value: Value) -> Self {
        Self(smallvec::smallvec![value])
    }

    /// The values.
    pub fn values(&self) -> &[Value] {
        &self.0
    }
}

impl FromIterator<Value> for Key {
    fn from_iter<I: IntoIterator<Item = Value>>(values: I) -> Self {
        Self(values.into_iter().collect())
    }
}

impl Eq for Key {}

/// Equal keys hash alike.
impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for value in &self.0 {
            match value {
                Value::Null => state.write_u8(0),
                Value::Int(number) => state.write_i64(*number),
                Value::Uint(number) => state.write_u64(*number),
                // Both zeros are equal.
                Value::Real(number) => state.write_u64((number + 0.0).to_bits()),
                Value::Text(text) => text.hash(state),
                Value::Blob(bytes) => bytes.hash(state),
            }
        }
    }
}

impl PartialOrd for Key {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Key {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        let mut pairs = self.0.iter().zip(&other.0);
        pairs
            .find_map(|(a, b)| Some(a.as_ref().compare(&b.as_ref())).filter(|order| order.is_ne()))
            .unwrap_or_else(|| self.0.len().cmp(&other.0.len()))
    }
}
