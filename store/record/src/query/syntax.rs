//! The text of a filter, parsed: names and literals with their places, nothing checked yet.
//!
//! Grammar (AIP-160, the subset a database can answer):
//!
//! ```text
//! filter      = [ conjunction ]
//! conjunction = disjunction { "AND" disjunction }
//! disjunction = term { "OR" term }            OR binds tighter than AND
//! term        = [ "NOT" | "-" ] ( restriction | "(" conjunction ")" )
//! restriction = member operator literal
//! member      = name { "." ( name | string ) }
//! operator    = "=" | "!=" | "<" | "<=" | ">" | ">=" | ":"
//! literal     = string | word | "*"
//! ```
//!
//! A word ends at white space or a parenthesis, so numbers, enum names and RFC 3339 times need no quotes.

use super::QueryError;

/// Bytes of a filter at most.
pub const MAX_FILTER_BYTES: usize = 8 * 1024;
/// Comparisons of a filter at most.
pub const MAX_COMPARISONS: usize = 32;
/// Nested parentheses and negations at most.
pub const MAX_DEPTH: usize = 32;

/// A parsed filter.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node<'a> {
    And(Vec<Node<'a>>),
    Or(Vec<Node<'a>>),
    Not(Box<Node<'a>>),
    Restriction(Restriction<'a>),
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Restriction<'a> {
    /// Names from the row down, with the byte offset of the first.
    pub(super) path: Vec<std::borrow::Cow<'a, str>>,
    pub(super) at: usize,
    pub(super) operator: Operator,
    pub(super) literal: Literal<'a>,
    pub(super) literal_at: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operator {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Has,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Literal<'a> {
    /// Unquoted.
    Word(&'a str),
    /// Quoted, unescaped; `prefix` when it ended in an unescaped `*`, which is cut off.
    String { text: String, prefix: bool },
    /// A lone `*`.
    Star,
}

pub(super) fn parse(text: &str) -> Result<Option<Node<'_>>, QueryError> {
    if text.len() > MAX_FILTER_BYTES {
        return Err(QueryError::new(
            0,
            format!("is {} bytes long; at most {MAX_FILTER_BYTES} are allowed", text.len()),
        ));
    }
    let mut parser = Parser { text, at: 0, comparisons: 0 };
    parser.skip_space();
    if parser.at_end() {
        return Ok(None);
    }
    let node = parser.conjunction(0)?;
    parser.skip_space();
    if parser.at_end() { Ok(Some(node)) } else { Err(parser.unexpected_rest()) }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    comparisons: usize,
}

impl<'a> Parser<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn at_end(&self) -> bool {
        self.at == self.text.len()
    }

    fn skip_space(&mut self) {
        let rest = self.rest();
        self.at += rest.len() - rest.trim_start().len();
    }

    fn eat(&mut self, token: &str) -> bool {
        let found = self.rest().starts_with(token);
        if found {
            self.at += token.len();
        }
        found
    }

    /// A keyword: upper case, not the beginning of a longer word.
    fn eat_keyword(&mut self, keyword: &str) -> bool {
        let Some(behind) = self.rest().strip_prefix(keyword) else { return false };
        let whole = behind.chars().next().is_none_or(|c| c.is_whitespace() || c == '(' || c == ')');
        if whole {
            self.at += keyword.len();
        }
        whole
    }

    fn error(&self, message: impl Into<String>) -> QueryError {
        QueryError::new(self.at, message)
    }

    fn unexpected_rest(&self) -> QueryError {
        if self.rest().starts_with(')') {
            return self.error("this closing parenthesis has no opening one");
        }
        self.error("expected AND, OR or the end")
    }

    fn conjunction(&mut self, depth: usize) -> Result<Node<'a>, QueryError> {
        self.list("AND", Node::And, |parser| parser.list("OR", Node::Or, |parser| parser.term(depth)))
    }

    fn list(
        &mut self,
        keyword: &str,
        join: fn(Vec<Node<'a>>) -> Node<'a>,
        mut item: impl FnMut(&mut Self) -> Result<Node<'a>, QueryError>,
    ) -> Result<Node<'a>, QueryError> {
        let first = item(self)?;
        let mut items = Vec::new();
        loop {
            self.skip_space();
            if !self.eat_keyword(keyword) {
                break;
            }
            items.push(item(self)?);
        }
        if items.is_empty() {
            return Ok(first);
        }
        items.insert(0, first);
        Ok(join(items))
    }

    fn term(&mut self, depth: usize) -> Result<Node<'a>, QueryError> {
        if depth > MAX_DEPTH {
            return Err(self.error(format!("is nested more than {MAX_DEPTH} deep")));
        }
        self.skip_space();
        if self.eat_keyword("NOT") || self.eat("-") {
            return Ok(Node::Not(Box::new(self.term(depth + 1)?)));
        }
        if self.eat("(") {
            let open = self.at - 1;
            let inner = self.conjunction(depth + 1)?;
            self.skip_space();
            if self.eat(")") {
                return Ok(inner);
            }
            let message = "this parenthesis is not closed";
            return Err(if self.at_end() { QueryError::new(open, message) } else { self.unexpected_rest() });
        }
        self.restriction().map(Node::Restriction)
    }

    fn restriction(&mut self) -> Result<Restriction<'a>, QueryError> {
        self.comparisons += 1;
        if self.comparisons > MAX_COMPARISONS {
            return Err(self.error(format!("has more than {MAX_COMPARISONS} comparisons")));
        }
        let at = self.at;
        let path = self.member()?;
        self.skip_space();
        let operator = self.operator()?;
        self.skip_space();
        let literal_at = self.at;
        let literal = self.literal()?;
        Ok(Restriction { path, at, operator, literal, literal_at })
    }

    fn member(&mut self) -> Result<Vec<std::borrow::Cow<'a, str>>, QueryError> {
        if self.rest().starts_with(['"', '\'']) {
            return Err(self.error("a field's name comes first; free text is for search"));
        }
        let mut path = vec![self.name()?.into()];
        while self.eat(".") {
            if self.rest().starts_with(['"', '\'']) {
                path.push(self.string()?.0.into());
            } else {
                path.push(self.name()?.into());
            }
        }
        Ok(path)
    }

    fn name(&mut self) -> Result<&'a str, QueryError> {
        let rest = self.rest();
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).unwrap_or(rest.len());
        if end == 0 {
            return Err(self.error("expected the name of a field"));
        }
        self.at += end;
        Ok(&rest[..end])
    }

    fn operator(&mut self) -> Result<Operator, QueryError> {
        const OPERATORS: [(&str, Operator); 7] = [
            ("!=", Operator::NotEqual),
            ("<=", Operator::LessOrEqual),
            (">=", Operator::GreaterOrEqual),
            ("=", Operator::Equal),
            ("<", Operator::Less),
            (">", Operator::Greater),
            (":", Operator::Has),
        ];
        for (token, operator) in OPERATORS {
            if self.eat(token) {
                return Ok(operator);
            }
        }
        Err(self.error("expected one of = != < <= > >= :"))
    }

    fn literal(&mut self) -> Result<Literal<'a>, QueryError> {
        if self.rest().starts_with(['"', '\'']) {
            let (text, prefix) = self.string()?;
            return Ok(Literal::String { text, prefix });
        }
        let rest = self.rest();
        let end = rest.find(|c: char| c.is_whitespace() || c == '(' || c == ')').unwrap_or(rest.len());
        let word = &rest[..end];
        if word.is_empty() {
            return Err(self.error("expected a value"));
        }
        if let Some(bad) = word.find(['"', '\'', '=', '<', '>']) {
            return Err(QueryError::new(self.at + bad, "put the value in double quotes"));
        }
        self.at += end;
        Ok(if word == "*" { Literal::Star } else { Literal::Word(word) })
    }

    /// A quoted string; whether it ended in an unescaped `*`.
    fn string(&mut self) -> Result<(String, bool), QueryError> {
        let open = self.at;
        let mut chars = self.rest().char_indices();
        let quote = chars.next().map(|(_, c)| c);
        let mut text = String::new();
        let mut star = None;
        while let Some((offset, c)) = chars.next() {
            if let Some(star) = star.filter(|_| Some(c) != quote) {
                return Err(QueryError::new(star, "* is allowed at the end only; write \\* for the character"));
            }
            match c {
                c if Some(c) == quote => {
                    self.at = open + offset + c.len_utf8();
                    return Ok((text, star.is_some()));
                }
                '*' => star = Some(open + offset),
                '\\' => {
                    let escaped = chars.next().map(|(_, c)| c);
                    text.push(unescape(escaped).ok_or_else(|| {
                        QueryError::new(open + offset, "unknown escape; known are \\\" \\' \\\\ \\* \\n \\t \\r")
                    })?);
                }
                c => text.push(c),
            }
        }
        Err(QueryError::new(open, "this string is not closed"))
    }
}

fn unescape(c: Option<char>) -> Option<char> {
    match c? {
        'n' => Some('\n'),
        't' => Some('\t'),
        'r' => Some('\r'),
        c @ ('"' | '\'' | '\\' | '*') => Some(c),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(node: &Node<'_>) -> String {
        let join =
            |nodes: &[Node<'_>], word: &str| format!("({})", nodes.iter().map(shape).collect::<Vec<_>>().join(word));
        match node {
            Node::And(nodes) => join(nodes, " AND "),
            Node::Or(nodes) => join(nodes, " OR "),
            Node::Not(node) => format!("NOT {}", shape(node)),
            Node::Restriction(r) => r.path.join("."),
        }
    }

    fn parsed(text: &str) -> String {
        shape(&parse(text).expect(text).expect("not empty"))
    }

    #[test]
    fn or_binds_tighter_than_and() {
        assert_eq!(parsed("a = 1 AND b = 2 OR c = 3"), "(a AND (b OR c))");
        assert_eq!(parsed("a=1 OR b=2 AND c=3"), "((a OR b) AND c)");
        assert_eq!(parsed("(a = 1 AND b = 2) OR NOT -c = 3"), "((a AND b) OR NOT NOT c)");
    }

    #[test]
    fn words_need_no_quotes_and_strings_know_a_prefix() {
        let Some(Node::Restriction(time)) = parse("at >= 2024-01-02T03:04:05+01:00").expect("parses") else { panic!() };
        assert_eq!(time.literal, Literal::Word("2024-01-02T03:04:05+01:00"));
        let Some(Node::Restriction(prefix)) = parse(r#"n = "a\*b\"c*""#).expect("parses") else { panic!() };
        assert_eq!(prefix.literal, Literal::String { text: "a*b\"c".into(), prefix: true });
    }

    #[test]
    fn an_empty_filter_is_none() {
        assert_eq!(parse("  ").expect("parses"), None);
    }

    #[test]
    fn mistakes_name_their_place() {
        for (text, at) in [
            ("a = ", 4),
            ("a ~ 1", 2),
            ("(a = 1", 0),
            ("a = 1)", 5),
            ("a = 1 b = 2", 6),
            ("\"free\"", 0),
            ("a = \"x", 4),
            ("a = \"x*y\"", 6),
            ("a = \"\\q\"", 5),
            ("a = 1 AND", 9),
            ("= 1", 0),
            ("a = b=c", 5),
        ] {
            assert_eq!(parse(text).expect_err(text).at, at, "{text}");
        }
    }

    #[test]
    fn size_depth_and_number_of_comparisons_are_bounded() {
        assert!(parse(&"(".repeat(10_000)).is_err());
        assert!(parse(&"-".repeat(8_000)).is_err());
        assert!(parse(&format!("a = \"{}\"", "x".repeat(MAX_FILTER_BYTES))).is_err());
        assert!(parse(&vec!["a=1"; MAX_COMPARISONS + 1].join(" AND ")).is_err());
        assert!(parse(&vec!["a=1"; MAX_COMPARISONS].join(" AND ")).is_ok());
    }
}
