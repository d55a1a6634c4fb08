//! What is refused before a text is parsed: editions, and nesting that would exhaust the parser's stack.

use std::ops::Range;

/// Brackets may be this deep.
const MAX_NESTING: usize = 64;
/// Bytes of a file at most.
const MAX_BYTES: usize = 8 << 20;

pub(crate) struct TextProblem {
    pub(crate) range: Range<usize>,
    pub(crate) message: String,
    pub(crate) help: String,
}

pub(crate) fn check(text: &str) -> Option<TextProblem> {
    if text.len() > MAX_BYTES {
        let message = format!("the file has {} bytes; at most {MAX_BYTES} are read", text.len());
        return Some(TextProblem { range: 0..0, message, help: String::new() });
    }
    let mut depth = 0usize;
    let mut first_word = true;
    for (at, token) in (Tokens { text, at: 0 }) {
        if first_word && token == "edition" {
            return Some(TextProblem {
                range: at..at + token.len(),
                message: "editions are not supported".to_owned(),
                help: "write `syntax = \"proto3\";` instead".to_owned(),
            });
        }
        first_word = false;
        match token {
            "{" | "[" | "(" | "<" => depth += 1,
            "}" | "]" | ")" | ">" => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_NESTING {
            let message = format!("brackets are nested more than {MAX_NESTING} deep");
            let help = "declare the inner messages at the top level".to_owned();
            return Some(TextProblem { range: at..at + 1, message, help });
        }
    }
    None
}

/// Words and single characters outside comments and strings.
struct Tokens<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Iterator for Tokens<'a> {
    type Item = (usize, &'a str);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let rest = &self.text[self.at..];
            let first = rest.chars().next()?;
            let length = match first {
                c if c.is_whitespace() => c.len_utf8(),
                '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
                '/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
                '"' | '\'' => string_length(rest, first),
                _ => {
                    let at = self.at;
                    let word = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
                    self.at += word.max(first.len_utf8());
                    return Some((at, &self.text[at..self.at]));
                }
            };
            self.at += length;
        }
    }
}

/// Length of a string literal with its quotes; an unterminated one ends with its line.
fn string_length(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (i, c) in text.char_indices().skip(1) {
        match c {
            '\n' => return i,
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return i + 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edition_file_is_refused_with_a_hint() {
        let problem = check("// about\nedition = \"2023\";").unwrap();
        assert_eq!(problem.range, 9..16);
        assert!(problem.help.contains("proto3"));
        assert!(check("syntax = \"proto3\"; message M { int32 edition = 1; }").is_none());
    }

    #[test]
    fn nesting_is_counted_outside_strings_and_comments() {
        assert!(check(&"{".repeat(65)).is_some());
        assert!(check(&format!("// {}\n\"{}\"", "{".repeat(99), "[\\\"".repeat(99))).is_none());
    }
}
