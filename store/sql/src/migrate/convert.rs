//! From one storage to another: the expression that converts a value, and the condition of values it cannot convert.

use rowkeep_schema::Storage;

/// How a column's values are converted. `{}` stands for the column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Conversion {
    /// `None`: values stay as they are.
    pub(crate) expression: Option<String>,
    /// True for values that do not fit.
    pub(crate) misfit: Option<String>,
    /// What is lost in values that do fit.
    pub(crate) loses: Option<&'static str>,
}

impl Conversion {
    const SAME: Self = Self { expression: None, misfit: None, loses: None };

    fn checked(misfit: impl Into<String>) -> Self {
        Self { misfit: Some(misfit.into()), ..Self::SAME }
    }

    fn by(expression: impl Into<String>) -> Self {
        Self { expression: Some(expression.into()), ..Self::SAME }
    }

    fn fits_unless(mut self, misfit: impl Into<String>) -> Self {
        self.misfit = Some(misfit.into());
        self
    }
}

/// The conversion, or why there is none. `from` is a storage's text as it was applied.
pub(crate) fn conversion(from: &str, to: Storage) -> Result<Conversion, String> {
    let target = super::applied::storage_text(to);
    if from == target {
        return Ok(Conversion::SAME);
    }
    let refused = || {
        Err(format!(
            "values stored as {from} have no exact form as {target}; add a column, copy what should stay, drop the old one"
        ))
    };
    match (class(from), to) {
        (Class::Whole, Storage::Double | Storage::Float) => {
            Ok(Conversion::by("CAST({} AS REAL)").fits_unless("abs({}) > 9007199254740992"))
        }
        (Class::Whole, Storage::Uint64) => Ok(Conversion::by("{} - 9223372036854775807 - 1").fits_unless("{} < 0")),
        (Class::Whole, Storage::Text) => Ok(Conversion::by("CAST({} AS TEXT)")),
        (Class::Whole, to) => match range(to) {
            Some((low, high)) => Ok(Conversion::checked(format!("{{}} NOT BETWEEN {low} AND {high}"))),
            None => refused(),
        },
        (Class::Uint64, Storage::Int64) => Ok(Conversion::by("{} + 9223372036854775807 + 1").fits_unless("{} >= 0")),
        (Class::Uint64, Storage::Int32 | Storage::Uint32) => {
            let high = range(to).map_or(0, |(_, high)| high);
            Ok(Conversion::by("{} + 9223372036854775807 + 1")
                .fits_unless(format!("{{}} >= 0 OR {{}} + 9223372036854775807 + 1 > {high}")))
        }
        (Class::Float, Storage::Double) => Ok(Conversion::SAME),
        (Class::Float, Storage::Float) => {
            Ok(Conversion { loses: Some("digits beyond 32-bit floating point"), ..Conversion::SAME })
        }
        (Class::Text, Storage::Blob) => Ok(Conversion::by("CAST({} AS BLOB)")),
        (Class::Text, to) => match range(to) {
            Some((low, high)) => Ok(Conversion::by("CAST({} AS INTEGER)").fits_unless(format!(
                "CAST(CAST({{}} AS INTEGER) AS TEXT) <> {{}} OR CAST({{}} AS INTEGER) NOT BETWEEN {low} AND {high}"
            ))),
            None => refused(),
        },
        (Class::Decimal(scale), Storage::Decimal { precision, scale: new }) if precision <= 18 => {
            Ok(decimal(scale, precision, new))
        }
        _ => refused(),
    }
}

/// Storages that convert alike.
enum Class {
    /// A number stored as it is.
    Whole,
    Uint64,
    Float,
    Text,
    /// Short decimals, with their scale.
    Decimal(u8),
    Other,
}

fn class(storage: &str) -> Class {
    match storage {
        "Bool" | "Int32" | "Int64" | "Uint32" | "Enum" => Class::Whole,
        "Uint64" => Class::Uint64,
        "Float" | "Double" => Class::Float,
        "Text" => Class::Text,
        _ => short_decimal(storage).map_or(Class::Other, Class::Decimal),
    }
}

fn short_decimal(storage: &str) -> Option<u8> {
    let (precision, scale) = storage.strip_prefix("Decimal(")?.strip_suffix(')')?.split_once(',')?;
    let precision: u8 = precision.parse().ok()?;
    (precision <= 18).then(|| scale.parse().ok()).flatten()
}

fn range(to: Storage) -> Option<(i64, i64)> {
    match to {
        Storage::Bool => Some((0, 1)),
        Storage::Int32 | Storage::Enum(_) => Some((i64::from(i32::MIN), i64::from(i32::MAX))),
        Storage::Uint32 => Some((0, i64::from(u32::MAX))),
        Storage::Int64 => Some((i64::MIN, i64::MAX)),
        _ => None,
    }
}

fn decimal(from: u8, precision: u8, to: u8) -> Conversion {
    let limit = 10_i64.pow(u32::from(precision));
    if to >= from {
        let factor = 10_i64.pow(u32::from(to - from));
        let conversion = if factor == 1 { Conversion::SAME } else { Conversion::by(format!("{{}} * {factor}")) };
        return conversion.fits_unless(format!("abs({{}}) >= {}", limit / factor));
    }
    let factor = 10_i64.pow(u32::from(from - to));
    Conversion::by(format!("{{}} / {factor}"))
        .fits_unless(format!("{{}} % {factor} <> 0 OR abs({{}} / {factor}) >= {limit}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_convert_where_every_value_has_an_exact_form() {
        assert_eq!(conversion("Int64", Storage::Int64), Ok(Conversion::SAME));
        assert_eq!(
            conversion("Int64", Storage::Int32).unwrap().misfit.as_deref(),
            Some("{} NOT BETWEEN -2147483648 AND 2147483647")
        );
        let decimal = conversion("Decimal(10,2)", Storage::Decimal { precision: 12, scale: 3 }).unwrap();
        assert_eq!(decimal.expression.as_deref(), Some("{} * 10"));
        assert!(conversion("Timestamp", Storage::Int64).is_err());
        assert!(conversion("Decimal(30,2)", Storage::Decimal { precision: 12, scale: 2 }).is_err());
    }
}
