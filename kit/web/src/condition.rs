//! Conditional requests: `If-Match` and `If-None-Match` (RFC 9110, section 13).

use http::header::{IF_MATCH, IF_NONE_MATCH};
use http::{HeaderMap, HeaderName, HeaderValue};
use kit_core::{Code, Error};

/// The entity tags of a condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EtagList {
    /// `*`: whatever exists.
    Any,
    /// Any of these, with their quotes; weak ones apart.
    Tags {
        /// Strong tags: `"abc"`.
        strong: Vec<String>,
        /// Weak tags, without `W/`: `"abc"`.
        weak: Vec<String>,
    },
}

impl EtagList {
    /// Whether the list names `etag` (with its quotes) by the strong comparison, as `If-Match` does.
    pub fn matches_strong(&self, etag: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Tags { strong, .. } => strong.iter().any(|tag| tag == etag),
        }
    }

    /// Whether the list names `etag` by the weak comparison, as `If-None-Match` does.
    pub fn matches_weak(&self, etag: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Tags { strong, weak } => strong.iter().chain(weak).any(|tag| tag == etag),
        }
    }
}

/// The `If-Match` of a request.
///
/// # Errors
/// When it is not a list of entity tags.
pub fn if_match(headers: &HeaderMap) -> Result<Option<EtagList>, Error> {
    list(headers, &IF_MATCH)
}

/// The `If-None-Match` of a request.
///
/// # Errors
/// When it is not a list of entity tags.
pub fn if_none_match(headers: &HeaderMap) -> Result<Option<EtagList>, Error> {
    list(headers, &IF_NONE_MATCH)
}

/// What a read should answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadCondition {
    /// The representation.
    Send,
    /// 304.
    NotModified,
    /// 412.
    Failed,
}

/// What a read of a resource with `etag` (with its quotes) should answer.
///
/// # Errors
/// When a condition is malformed.
pub fn read_condition(headers: &HeaderMap, etag: &str) -> Result<ReadCondition, Error> {
    // Most requests have no condition; two look-ups tell.
    if if_match(headers)?.is_some_and(|list| !list.matches_strong(etag)) {
        return Ok(ReadCondition::Failed);
    }
    let unchanged = if_none_match(headers)?.is_some_and(|list| list.matches_weak(etag));
    Ok(if unchanged { ReadCondition::NotModified } else { ReadCondition::Send })
}

fn list(headers: &HeaderMap, name: &HeaderName) -> Result<Option<EtagList>, Error> {
    let mut strong = Vec::new();
    let mut weak = Vec::new();
    let mut is_present = false;
    for value in headers.get_all(name) {
        is_present = true;
        if value.as_bytes().trim_ascii() == b"*" {
            return Ok(Some(EtagList::Any));
        }
        read_tags(value, &mut strong, &mut weak).ok_or_else(|| malformed(name))?;
    }
    if is_present && strong.is_empty() && weak.is_empty() {
        return Err(malformed(name));
    }
    Ok(is_present.then_some(EtagList::Tags { strong, weak }))
}

fn read_tags(value: &HeaderValue, strong: &mut Vec<String>, weak: &mut Vec<String>) -> Option<()> {
    let mut rest = value.to_str().ok()?.trim();
    while !rest.is_empty() {
        let is_weak = rest.starts_with("W/");
        let tag = if is_weak { &rest[2..] } else { rest };
        let end = tag.strip_prefix('"')?.find('"')? + 2;
        if is_weak { &mut *weak } else { &mut *strong }.push(tag[..end].to_owned());
        rest = tag[end..].trim_start();
        if !rest.is_empty() {
            rest = rest.strip_prefix(',')?.trim_start();
        }
    }
    Some(())
}

fn malformed(name: &HeaderName) -> Error {
    Error::new(
        Code::InvalidArgument,
        "BAD_ETAG",
        format!("{name} must be `*` or entity tags in double quotes, such as \"AAYdZ\""),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: HeaderName, values: &[&'static str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(name.clone(), HeaderValue::from_static(value));
        }
        headers
    }

    #[test]
    fn if_match_compares_strongly_over_lists_and_repeated_headers() {
        let list = if_match(&headers(IF_MATCH, &["\"a\", W/\"b\"", "\"c,d\""])).unwrap().unwrap();
        assert!(list.matches_strong("\"a\"") && list.matches_strong("\"c,d\""));
        assert!(!list.matches_strong("\"b\""), "a weak tag never matches strongly");
        assert!(list.matches_weak("\"b\""));
        assert_eq!(if_match(&headers(IF_MATCH, &["*"])).unwrap(), Some(EtagList::Any));
        assert_eq!(if_match(&HeaderMap::new()).unwrap(), None);
    }

    #[test]
    fn what_is_not_a_list_of_tags_is_refused() {
        for value in ["abc", "\"a", "\"a\" \"b\"", "w/\"a\"", "\"a\";", ""] {
            assert_eq!(if_match(&headers(IF_MATCH, &[value])).unwrap_err().reason(), "BAD_ETAG", "{value}");
        }
    }

    #[test]
    fn a_read_is_answered_by_both_conditions() {
        let answer = |name, value| read_condition(&headers(name, &[value]), "\"a\"").unwrap();
        assert_eq!(answer(IF_NONE_MATCH, "W/\"a\""), ReadCondition::NotModified);
        assert_eq!(answer(IF_NONE_MATCH, "*"), ReadCondition::NotModified);
        assert_eq!(answer(IF_NONE_MATCH, "\"b\""), ReadCondition::Send);
        assert_eq!(answer(IF_MATCH, "\"b\""), ReadCondition::Failed);
        assert_eq!(answer(IF_MATCH, "\"a\""), ReadCondition::Send);
    }
}
