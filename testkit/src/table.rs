//! Whether a store holds what a CSV file holds: row counts and a checksum of every value.
//!
//! The checksum does not depend on the order of rows: each row becomes one line of its values in the file's column order,
//! with numbers in one form; the lines' hashes are added up. JSON leaves out absent values and zeros alike; a column that
//! is absent anywhere in the file is one whose absence in JSON means so, in every other absence means zero.

use std::collections::BTreeMap;

use serde_json::Value;

/// Rows and the sum of their hashes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sum {
    /// Number of rows.
    pub rows: u64,
    /// Sum of the rows' hashes.
    pub hash: u64,
}

impl Sum {
    fn add(&mut self, values: impl Iterator<Item = String>) {
        let line = values.collect::<Vec<_>>().join("\u{1f}");
        self.rows += 1;
        self.hash = self.hash.wrapping_add(fnv1a(line.as_bytes()));
    }
}

fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// A CSV file.
#[derive(Debug, Clone)]
pub struct Table {
    /// Names in the header.
    pub columns: Vec<String>,
    /// Whether a column has absent values, by column.
    optional: Vec<bool>,
    /// Values as written.
    pub rows: Vec<Vec<String>>,
    /// How the file writes an absent value.
    absent: String,
}

impl Table {
    /// Parses a file in which `absent` stands for an absent value.
    pub fn parse(text: &str, absent: &str) -> Self {
        let mut lines = text.lines();
        let columns = split(lines.next().unwrap_or_default());
        let rows: Vec<_> = lines.filter(|line| !line.is_empty()).map(split).collect();
        let is_absent = |column: usize| rows.iter().any(|row| row.get(column).is_some_and(|value| value == absent));
        let optional = (0..columns.len()).map(is_absent).collect();
        Self { columns, optional, rows, absent: absent.to_owned() }
    }

    /// The file's own checksum.
    pub fn sum(&self) -> Sum {
        let mut sum = Sum::default();
        for row in &self.rows {
            sum.add(row.iter().map(|value| canonical(value)));
        }
        sum
    }

    /// The checksum of rows in JSON, one a line, as of this file's columns.
    ///
    /// # Errors
    /// The line that is not a JSON object.
    pub fn sum_of_ndjson(&self, text: &str) -> Result<Sum, String> {
        let mut sum = Sum::default();
        for line in text.lines() {
            let row: BTreeMap<String, Value> =
                serde_json::from_str(line).map_err(|error| format!("{line}: {error}"))?;
            let row: BTreeMap<_, _> = row.into_iter().map(|(name, value)| (snake_case(&name), value)).collect();
            sum.add(self.columns.iter().zip(&self.optional).map(|(column, optional)| match row.get(column) {
                None | Some(Value::Null) => (if *optional { self.absent.as_str() } else { "0" }).to_owned(),
                Some(Value::String(text)) => canonical(text),
                Some(other) => canonical(&other.to_string()),
            }));
        }
        Ok(sum)
    }
}

/// Numbers as the shortest text that gives the same double: `10.357019999999999` and `1.5E1` in one form each.
fn canonical(value: &str) -> String {
    match value.parse::<f64>() {
        Err(_) if value.is_empty() => "0".to_owned(),
        Ok(number) if number.is_finite() => number.to_string(),
        _ => value.to_owned(),
    }
}

fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(c.to_ascii_lowercase());
    }
    snake
}

/// A CSV line's fields; quotes may enclose commas.
fn split(line: &str) -> Vec<String> {
    let (mut fields, mut quoted) = (vec![String::new()], false);
    for c in line.trim_end_matches('\r').chars() {
        match c {
            '"' => quoted = !quoted,
            ',' if !quoted => fields.push(String::new()),
            _ => {
                if let Some(field) = fields.last_mut() {
                    field.push(c);
                }
            }
        }
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::{Table, split};

    #[test]
    fn a_file_and_its_dump_have_the_same_sum_in_any_order() {
        let file = Table::parse("tail_num,delay,wind,note\nN1,-3,10.50,\"a, b\"\nN2,NA,0,\nN3,0,1,x\n", "NA");
        let dump = "{\"tailNum\":\"N2\"}\n{\"note\":\"a, b\",\"wind\":10.5,\"delay\":-3,\"tailNum\":\"N1\"}\n\
                    {\"tailNum\":\"N3\",\"delay\":0,\"wind\":1.0,\"note\":\"x\"}\n";
        assert_eq!(file.sum(), file.sum_of_ndjson(dump).unwrap());
        for (from, to) in [("-3", "-4"), ("\"delay\":0,", ""), ("a, b", "a b")] {
            assert_ne!(file.sum(), file.sum_of_ndjson(&dump.replace(from, to)).unwrap(), "{from} -> {to}");
        }
        assert_ne!(file.sum(), file.sum_of_ndjson(&dump[..17]).unwrap());
    }

    /// A parser that is off by one in the last place would find differences that are none.
    #[test]
    fn doubles_are_read_exactly() {
        let file = Table::parse("lat\n-80.6195833\n32.460572200000001\n-85.6800278\n", "NA");
        let dump = "{\"lat\":-80.6195833}\n{\"lat\":32.4605722}\n{\"lat\":-85.6800278}\n";
        assert_eq!(file.sum(), file.sum_of_ndjson(dump).unwrap());
    }

    #[test]
    fn quotes_enclose_commas() {
        assert_eq!(split("a,\"b, c\",d"), ["a", "b, c", "d"]);
    }
}
