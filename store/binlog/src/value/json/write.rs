//! From a tree to the server's text.

use std::io::Write as _;

use rowkeep_mysql::DateTime;

use super::read::Node;
use crate::value::temporal;

/// Types that the server writes as more than bytes.
mod kind {
    pub(super) const TIMESTAMP: u8 = 7;
    pub(super) const DATE: u8 = 10;
    pub(super) const TIME: u8 = 11;
    pub(super) const DATETIME: u8 = 12;
}

pub(super) fn write(node: &Node<'_>, text: &mut Vec<u8>) {
    match node {
        Node::Null => text.extend_from_slice(b"null"),
        Node::Bool(value) => text.extend_from_slice(if *value { b"true" } else { b"false" }),
        Node::Int(value) => display(value, text),
        Node::Uint(value) => display(value, text),
        Node::Double(value) => double(*value, text),
        Node::Text(value) => string(value, text),
        Node::Decimal(value) => value.write(text),
        Node::Opaque(kind, bytes) => opaque(*kind, bytes, text),
        Node::Array(elements) => {
            text.push(b'[');
            for (at, element) in elements.iter().enumerate() {
                separate(at, text);
                write(element, text);
            }
            text.push(b']');
        }
        Node::Object(members) => {
            text.push(b'{');
            for (at, (key, value)) in members.iter().enumerate() {
                separate(at, text);
                string(key, text);
                text.extend_from_slice(b": ");
                write(value, text);
            }
            text.push(b'}');
        }
    }
}

fn display(value: impl std::fmt::Display, text: &mut Vec<u8>) {
    // Writing to memory does not fail.
    let _ = write!(text, "{value}");
}

fn separate(at: usize, text: &mut Vec<u8>) {
    if at > 0 {
        text.extend_from_slice(b", ");
    }
}

fn string(value: &str, text: &mut Vec<u8>) {
    text.push(b'"');
    let mut from = 0;
    for (at, byte) in value.bytes().enumerate() {
        let short = match byte {
            b'"' | b'\\' => byte,
            8 => b'b',
            b'\t' => b't',
            b'\n' => b'n',
            12 => b'f',
            b'\r' => b'r',
            0..=31 => 0,
            _ => continue,
        };
        text.extend_from_slice(&value.as_bytes()[from..at]);
        if short == 0 {
            display(format_args!("\\u{byte:04x}"), text);
        } else {
            text.extend_from_slice(&[b'\\', short]);
        }
        from = at + 1;
    }
    text.extend_from_slice(&value.as_bytes()[from..]);
    text.push(b'"');
}

/// The shortest digits that are the number, with a point for up to 15 places on either side of it.
fn double(value: f64, text: &mut Vec<u8>) {
    const PLACES: i32 = 15;
    if !value.is_finite() {
        return text.extend_from_slice(b"null");
    }
    if value == 0.0 {
        return text.extend_from_slice(if value.is_sign_negative() { b"-0.0" } else { b"0.0" });
    }
    // `d.ddde-7` or `ddd.dd`: digits, and where the point is.
    let mut buffer = ryu::Buffer::new();
    let shortest = buffer.format_finite(value.abs());
    let (mantissa, exponent) = shortest.split_once('e').unwrap_or((shortest, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = format!("{whole}{fraction}");
    let digits = all.trim_start_matches('0');
    let mut point = whole.len() as i32 + exponent.parse::<i32>().unwrap_or(0) - (all.len() - digits.len()) as i32;
    let digits = digits.trim_end_matches('0');
    if value < 0.0 {
        text.push(b'-');
    }
    let count = digits.len() as i32;
    if (1 - PLACES..=PLACES).contains(&point) {
        if point <= 0 {
            text.extend_from_slice(b"0.");
            text.extend(std::iter::repeat_n(b'0', point.unsigned_abs() as usize));
            text.extend_from_slice(digits.as_bytes());
        } else if point >= count {
            text.extend_from_slice(digits.as_bytes());
            text.extend(std::iter::repeat_n(b'0', (point - count) as usize));
            text.extend_from_slice(b".0");
        } else {
            let (whole, fraction) = digits.split_at(point as usize);
            display(format_args!("{whole}.{fraction}"), text);
        }
        return;
    }
    point -= 1;
    let (first, rest) = digits.split_at(1);
    let dot = if rest.is_empty() { "" } else { "." };
    display(format_args!("{first}{dot}{rest}e{point}"), text);
}

fn opaque(kind: u8, bytes: &[u8], text: &mut Vec<u8>) {
    let packed = bytes.try_into().map(i64::from_le_bytes);
    text.push(b'"');
    match (kind, packed) {
        (kind::DATE, Ok(packed)) => date(&temporal::packed_date_time(packed.unsigned_abs()), text),
        (kind::DATETIME | kind::TIMESTAMP, Ok(packed)) => {
            let value = temporal::packed_date_time(packed.unsigned_abs());
            date(&value, text);
            let DateTime { hour, minute, second, micros, .. } = value;
            display(format_args!(" {hour:02}:{minute:02}:{second:02}.{micros:06}"), text);
        }
        (kind::TIME, Ok(packed)) => {
            let value = temporal::packed_time(packed);
            let (sign, micros) = (if value < 0 { "-" } else { "" }, value.unsigned_abs());
            let (seconds, micros) = (micros / 1_000_000, micros % 1_000_000);
            let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
            display(format_args!("{sign}{hours:02}:{minutes:02}:{:02}.{micros:06}", seconds % 60), text);
        }
        _ => {
            display(format_args!("base64:type{kind}:"), text);
            base64(bytes, text);
        }
    }
    text.push(b'"');
}

fn date(value: &DateTime, text: &mut Vec<u8>) {
    display(format_args!("{:04}-{:02}-{:02}", value.year, value.month, value.day), text);
}

fn base64(bytes: &[u8], text: &mut Vec<u8>) {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for group in bytes.chunks(3) {
        let bits = group.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - group.len()));
        for at in 0..4 {
            let digit = DIGITS[(bits >> (18 - 6 * at) & 63) as usize];
            text.push(if at <= group.len() { digit } else { b'=' });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_are_written_as_the_server_does() {
        for (value, expected) in [
            (0.0, "0.0"),
            (1.0, "1.0"),
            (-1.5, "-1.5"),
            (100.0, "100.0"),
            (123_456.789, "123456.789"),
            (0.1, "0.1"),
            (1e14, "100000000000000.0"),
            (1e15, "1e15"),
            (1.5e300, "1.5e300"),
            (1e-5, "0.00001"),
            (1e-20, "1e-20"),
        ] {
            let mut text = Vec::new();
            double(value, &mut text);
            assert_eq!(String::from_utf8(text).unwrap(), expected);
        }
    }

    #[test]
    fn bytes_are_written_in_base64() {
        for (bytes, expected) in [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg==")] {
            let mut text = Vec::new();
            base64(bytes.as_bytes(), &mut text);
            assert_eq!(String::from_utf8(text).unwrap(), expected);
        }
    }
}
