//! Expected output, in which `...` stands for anything: alone on a line for any lines, within a line for any text.

const ANYTHING: &str = "...";

/// Where the output parts from what is expected: the expected line that cannot be found, counted from 0.
pub(crate) fn mismatch(expected: &[&str], output: &str) -> Option<usize> {
    let output: Vec<&str> = output.lines().map(str::trim_end).collect();
    let mut furthest = 0;
    (!lines_match(expected, &output, 0, &mut furthest)).then_some(furthest)
}

fn lines_match(expected: &[&str], output: &[&str], at: usize, furthest: &mut usize) -> bool {
    *furthest = (*furthest).max(at);
    match (expected.get(at), output.first()) {
        (None, None) => true,
        (None, Some(_)) => false,
        (Some(line), _) if line.trim() == ANYTHING => {
            (0..=output.len()).any(|skipped| lines_match(expected, &output[skipped..], at + 1, furthest))
        }
        (Some(_), None) => false,
        (Some(line), Some(shown)) => line_matches(line, shown) && lines_match(expected, &output[1..], at + 1, furthest),
    }
}

fn line_matches(expected: &str, shown: &str) -> bool {
    let mut parts = expected.trim_end().split(ANYTHING);
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = shown.strip_prefix(first) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        let Some(found) = rest.find(part) else { return false };
        rest = &rest[found + part.len()..];
    }
    true
}

#[test]
fn dots_stand_for_anything() {
    let matches = |expected: &str, output: &str| mismatch(&expected.lines().collect::<Vec<_>>(), output);
    assert_eq!(matches("a\nb", "a\nb\n"), None);
    assert_eq!(matches("{\"t\":\"...\",\"x\":1}", "{\"t\":\"2026\",\"x\":1}"), None);
    assert_eq!(matches("a\n...\nz", "a\nb\nc\nz"), None);
    assert_eq!(matches("...\nz", "z"), None);
    assert_eq!(matches("a\n...", "a"), None);
    assert_eq!(matches("a...c...", "abcd"), None);
    assert_eq!(matches("a", "a\nb"), Some(1));
    assert_eq!(matches("a\nb", "a"), Some(1));
    assert_eq!(matches("a\n...\nz", "a\nb"), Some(2));
    assert_eq!(matches("a...b", "ab c"), Some(0));
}
