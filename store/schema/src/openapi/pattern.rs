//! Regular expressions: made for ranges of integers, rewritten for JSON Schema, and read backwards for examples.

use regex_syntax::ParserBuilder;
use regex_syntax::hir::{Class, Hir, HirKind};

/// An expression for the decimal numbers from `low` to `high`, without leading zeros.
pub(super) fn integers(low: i128, high: i128) -> String {
    let mut parts = Vec::new();
    if low < 0 {
        let negatives = naturals((-high).max(1).unsigned_abs(), low.unsigned_abs());
        parts.push(format!("-({negatives})"));
    }
    if high >= 0 {
        parts.push(naturals(low.max(0).unsigned_abs(), high.unsigned_abs()));
    }
    parts.join("|")
}

/// As [`integers`], from 0 up: one alternative for each stretch of numbers that share a prefix and then run free.
fn naturals(mut low: u128, high: u128) -> String {
    let mut parts = Vec::new();
    while low <= high {
        // The widest block of a power of ten that starts at `low` and fits.
        let mut block = 1;
        while low != 0
            && low.is_multiple_of(block * 10)
            && low + block * 10 - 1 <= high
            && digits(low + block * 10 - 1) == digits(low)
        {
            block *= 10;
        }
        let free = digits(block) - 1;
        let prefix = low / block;
        let steps = (9 - prefix % 10).min((high - low + 1) / block - 1);
        parts.push(stretch(prefix, prefix + steps, free));
        low += (steps + 1) * block;
    }
    parts.join("|")
}

fn digits(number: u128) -> usize {
    number.checked_ilog10().map_or(1, |log| log as usize + 1)
}

/// `12[3-5][0-9]{2}`: two numbers that differ in their last digit, and free digits behind.
fn stretch(from: u128, to: u128, free: usize) -> String {
    let (head, first, last) = (from / 10, from % 10, to % 10);
    let mut text = if head > 0 { head.to_string() } else { String::new() };
    if first == last {
        text.push_str(&first.to_string())
    } else {
        text.push_str(&format!("[{first}-{last}]"))
    }
    match free {
        0 => {}
        1 => text.push_str("[0-9]"),
        free => text.push_str(&format!("[0-9]{{{free}}}")),
    }
    text
}

/// The expression as JSON Schema has it (ECMA-262), matched from end to end. `None` if it uses what ECMA lacks.
pub(super) fn ecma(source: &str) -> Option<String> {
    let foreign = ["(?i", "(?s", "(?m", "(?x", "(?U", "(?-", "(?P", r"\A", r"\z", r"\x{", "[["];
    (!foreign.iter().any(|piece| source.contains(piece))).then(|| format!("^(?:{source})$"))
}

/// A short string that matches, if one is easily found. Repetitions run `repeat` times where they may.
pub(super) fn sample(source: &str, repeat: u32) -> Option<String> {
    // As regex-lite reads it: classes such as `\d` are ASCII.
    let hir = ParserBuilder::new().unicode(false).utf8(false).build().parse(source).ok()?;
    let mut out = Vec::new();
    write(&hir, repeat, &mut out)?;
    String::from_utf8(out).ok()
}

fn write(hir: &Hir, repeat: u32, out: &mut Vec<u8>) -> Option<()> {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => {}
        HirKind::Literal(literal) => out.extend_from_slice(&literal.0),
        HirKind::Class(class) => out.push(pick(class)?),
        HirKind::Capture(capture) => write(&capture.sub, repeat, out)?,
        HirKind::Concat(parts) => parts.iter().try_for_each(|part| write(part, repeat, out))?,
        HirKind::Alternation(parts) => write(parts.first()?, repeat, out)?,
        HirKind::Repetition(repetition) => {
            let times = repeat.clamp(repetition.min, repetition.max.unwrap_or(u32::MAX).max(repetition.min));
            for _ in 0..times.min(10_000) {
                write(&repetition.sub, repeat, out)?;
            }
        }
    }
    Some(())
}

/// A pleasant character of a class: a letter before a digit before punctuation.
fn pick(class: &Class) -> Option<u8> {
    let preferred = (b'a'..=b'z').chain(b'A'..=b'Z').chain(b'0'..=b'9').chain(b' '..=b'~');
    preferred.into_iter().find(|byte| match class {
        Class::Unicode(class) => class.ranges().iter().any(|r| (r.start()..=r.end()).contains(&char::from(*byte))),
        Class::Bytes(class) => class.ranges().iter().any(|r| (r.start()..=r.end()).contains(byte)),
    })
}

#[cfg(test)]
mod tests {
    use regex_lite::Regex;

    use super::*;

    #[test]
    fn the_expression_of_a_range_matches_exactly_its_numbers() {
        for (low, high) in
            [(0, 0), (0, 9), (1, 10_000), (7, 1234), (-5, 3), (-1200, -99), (0, 255), (995, 1005), (100, 100)]
        {
            let regex = Regex::new(&format!("^({})$", integers(low, high))).expect("the expression compiles");
            for number in -2000..=12_000 {
                assert_eq!(
                    regex.is_match(&number.to_string()),
                    (low..=high).contains(&number),
                    "{number} in {low}..={high}"
                );
            }
            assert!(!regex.is_match("007") && !regex.is_match(""), "{low}..={high}");
        }
        let wide = Regex::new(&format!("^({})$", integers(1, i64::MAX.into()))).expect("the expression compiles");
        assert!(wide.is_match("9223372036854775807") && wide.is_match("1") && wide.is_match("9223372036854775799"));
        assert!(!wide.is_match("9223372036854775808") && !wide.is_match("0"));
    }

    #[test]
    fn a_sample_matches_its_pattern() {
        for pattern in
            [r"[^@\s]+@[^@\s]+", "[A-Z0-9-]{3,40}", r"N[0-9]{1,5}[A-Z]{0,2}", r"\+?\d{4,}", "(open|closed)-x?", "é+"]
        {
            let regex = Regex::new(&format!("^(?:{pattern})$")).expect("the pattern compiles");
            let sample = sample(pattern, 2).unwrap_or_else(|| panic!("no sample of {pattern}"));
            assert!(regex.is_match(&sample), "{sample} of {pattern}");
        }
    }

    #[test]
    fn a_pattern_that_ecma_does_not_know_is_left_out() {
        assert_eq!(ecma("[a-z]+|x").as_deref(), Some("^(?:[a-z]+|x)$"));
        assert_eq!(ecma("(?i)abc"), None);
    }
}
