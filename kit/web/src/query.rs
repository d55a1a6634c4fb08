//! The query string.

use std::borrow::Cow;

use kit_core::{Code, Error};

use crate::percent::decode;

/// Names and values in the order they stand, repeated names kept.
pub type QueryPairs<'a> = Vec<(Cow<'a, str>, Cow<'a, str>)>;

/// More parameters than any honest request has (a batch takes at most 500 keys).
const MAX_PAIRS: usize = 1024;

/// Parses a query string: `&` between pairs, `+` and `%20` are spaces, a name without `=` has the empty value.
///
/// # Errors
/// When an escape is broken, a text is not UTF-8, or there are too many pairs.
pub fn parse_query(query: &str) -> Result<QueryPairs<'_>, Error> {
    let mut pairs = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        if pairs.len() == MAX_PAIRS {
            let message = format!("a query string may have at most {MAX_PAIRS} parameters");
            return Err(Error::new(Code::InvalidArgument, "TOO_MANY_PARAMETERS", message));
        }
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        pairs.push((unescape(name)?, unescape(value)?));
    }
    Ok(pairs)
}

fn unescape(text: &str) -> Result<Cow<'_, str>, Error> {
    if !text.contains('+') {
        return decode(text);
    }
    let spaced = text.replace('+', " ");
    Ok(Cow::Owned(decode(&spaced)?.into_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_order_and_repeated_names() {
        let pairs = parse_query("ids=2&ids=1&&filter=a%3D%22b%22+AND+c%2B1&flag").unwrap();
        let pairs: Vec<_> = pairs.iter().map(|(name, value)| (name.as_ref(), value.as_ref())).collect();
        assert_eq!(pairs, [("ids", "2"), ("ids", "1"), ("filter", "a=\"b\" AND c+1"), ("flag", "")]);
        assert!(parse_query("").unwrap().is_empty());
    }

    #[test]
    fn refuses_broken_escapes_and_floods() {
        assert!(parse_query("a=%").is_err());
        assert!(parse_query("%ff=1").is_err());
        assert_eq!(parse_query(&"a&".repeat(1025)).unwrap_err().reason(), "TOO_MANY_PARAMETERS");
    }
}
