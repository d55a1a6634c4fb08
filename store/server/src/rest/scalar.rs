//! One value as text, from a path or a query, to a field on the wire.

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use kit_core::Error;
use rowkeep_record::json::{JsonCodec, ReadOptions};
use rowkeep_schema::{Kind, WellKnown};

use super::binding::Target;
use crate::wire::{put_bytes, put_key, put_number};

/// Appends a field. Numbers are canonical or not at all: `1` and not `01`, `+1` or `1.0`, so that a row has one URL.
pub(crate) fn put_text(json: &JsonCodec, target: &Target, text: &str, out: &mut Vec<u8>) -> Result<(), Error> {
    let number = target.number;
    match target.kind {
        Kind::Int32 => put_number(out, number, i64::from(integer::<i32>(target, text)?) as u64),
        Kind::Int64 => put_number(out, number, integer::<i64>(target, text)? as u64),
        Kind::Uint32 => put_number(out, number, u64::from(integer::<u32>(target, text)?)),
        Kind::Uint64 => put_number(out, number, integer(target, text)?),
        Kind::Sint32 => put_number(out, number, zigzag(i64::from(integer::<i32>(target, text)?))),
        Kind::Sint64 => put_number(out, number, zigzag(integer(target, text)?)),
        Kind::Fixed32 => put_fixed32(out, number, integer::<u32>(target, text)?.to_le_bytes()),
        Kind::Sfixed32 => put_fixed32(out, number, integer::<i32>(target, text)?.to_le_bytes()),
        Kind::Fixed64 => put_fixed64(out, number, integer::<u64>(target, text)?.to_le_bytes()),
        Kind::Sfixed64 => put_fixed64(out, number, integer::<i64>(target, text)?.to_le_bytes()),
        Kind::Float => put_fixed32(out, number, float::<f32>(target, text)?.to_le_bytes()),
        Kind::Double => put_fixed64(out, number, float::<f64>(target, text)?.to_le_bytes()),
        Kind::Bool => put_number(out, number, u64::from(boolean(target, text)?)),
        Kind::String => put_bytes(out, number, text.as_bytes()),
        Kind::Bytes => put_bytes(out, number, &bytes(target, text)?),
        Kind::Enum(_) => put_number(out, number, i64::from(enumeration(target, text)?) as u64),
        Kind::Message(_) if target.well_known == Some(WellKnown::FieldMask) => put_mask(out, number, text),
        Kind::Message(message) => {
            let parsed = json.from_json(message, &message_json(target, text)?, ReadOptions::default());
            put_bytes(out, number, &parsed.map_err(|error| error.under(&format!("{}.", target.name)))?.wire);
        }
    }
    Ok(())
}

fn integer<T: std::str::FromStr>(target: &Target, text: &str) -> Result<T, Error> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let canonical = digits == "0" && digits.len() == text.len()
        || digits.bytes().all(|byte| byte.is_ascii_digit()) && !digits.starts_with('0');
    if !canonical || digits.is_empty() {
        return Err(invalid(target, text, "an integer"));
    }
    text.parse().map_err(|_| Error::invalid_field(&target.name, "OUT_OF_RANGE", "is out of the range of its type"))
}

fn float<T: std::str::FromStr + Into<f64> + Copy>(target: &Target, text: &str) -> Result<T, Error> {
    let value: T = text.parse().map_err(|_| invalid(target, text, "a number"))?;
    if value.into().is_finite() { Ok(value) } else { Err(invalid(target, text, "a finite number")) }
}

fn boolean(target: &Target, text: &str) -> Result<bool, Error> {
    match text {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(invalid(target, text, "`true` or `false`")),
    }
}

/// Base64 in both alphabets, padded or not, as in JSON.
fn bytes(target: &Target, text: &str) -> Result<Vec<u8>, Error> {
    const EITHER: GeneralPurpose = GeneralPurpose::new(
        &URL_SAFE,
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
    );
    let text = text.replace('+', "-").replace('/', "_");
    EITHER.decode(&text).map_err(|_| invalid(target, &text, "base64url"))
}

fn enumeration(target: &Target, text: &str) -> Result<i32, Error> {
    let named = target.names.iter().find(|(name, _)| name == text).map(|(_, number)| *number);
    named.or_else(|| text.parse().ok()).ok_or_else(|| {
        let names: Vec<_> = target.names.iter().map(|(name, _)| name.as_str()).collect();
        invalid(target, text, &format!("one of {}", names.join(", ")))
    })
}

/// `a,bC` or `a,b_c`: paths of a field mask in JSON or proto names.
fn put_mask(out: &mut Vec<u8>, number: u32, text: &str) {
    let mut mask = Vec::new();
    for path in text.split(',').map(str::trim).filter(|path| !path.is_empty()) {
        put_bytes(&mut mask, 1, snake(path).as_bytes());
    }
    put_bytes(out, number, &mask);
}

fn snake(path: &str) -> String {
    let mut name = String::with_capacity(path.len() + 4);
    for letter in path.chars() {
        if letter.is_ascii_uppercase() {
            name.push('_');
        }
        name.push(letter.to_ascii_lowercase());
    }
    name
}

/// The JSON of a message given as text: an object as it is, a date and a decimal by their parts, the rest as a string.
fn message_json(target: &Target, text: &str) -> Result<Vec<u8>, Error> {
    if text.starts_with('{') {
        return Ok(text.as_bytes().to_vec());
    }
    let value = match target.well_known {
        Some(WellKnown::Date) => {
            let parts: Vec<Option<u32>> = text.splitn(3, '-').map(|part| part.parse().ok()).collect();
            let [Some(year), Some(month), Some(day)] = parts[..] else {
                return Err(invalid(target, text, "a date as in `2026-01-31`"));
            };
            serde_json::json!({"year": year, "month": month, "day": day})
        }
        Some(WellKnown::Decimal) => serde_json::json!({"value": text}),
        Some(WellKnown::Wrapper) if matches!(text, "true" | "false") => serde_json::json!(text == "true"),
        _ => serde_json::json!(text),
    };
    Ok(value.to_string().into_bytes())
}

fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

fn put_fixed32(out: &mut Vec<u8>, number: u32, value: [u8; 4]) {
    put_key(out, number, 5);
    out.extend_from_slice(&value);
}

fn put_fixed64(out: &mut Vec<u8>, number: u32, value: [u8; 8]) {
    put_key(out, number, 1);
    out.extend_from_slice(&value);
}

fn invalid(target: &Target, text: &str, expected: &str) -> Error {
    let shown: String = text.chars().take(60).collect();
    Error::invalid_field(&target.name, "WRONG_TYPE", format!("must be {expected}, not `{shown}`"))
}
