//! A change in parts: replace, insert or remove at a path.

use std::borrow::Cow;

use super::{Json, JsonError, read::Node, write};
use crate::{Error, bytes::Bytes};

const BAD: Error = Error::Malformed("a change of JSON in parts that does not fit the value before");

mod operation {
    pub(super) const REPLACE: u8 = 0;
    pub(super) const INSERT: u8 = 1;
    pub(super) const REMOVE: u8 = 2;
}

/// What changed of a value. Nothing, if it is empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JsonPatch<'a>(&'a [u8]);

impl<'a> JsonPatch<'a> {
    /// `bytes`: as they lie in a row.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The text of the value after, as the server writes it.
    ///
    /// # Errors
    /// [`Error::Malformed`], also if this is not the value before.
    pub fn apply(&self, before: &Json<'_>) -> Result<String, JsonError> {
        let mut root = before.parse()?;
        let mut bytes = Bytes(self.0);
        while !bytes.is_empty() {
            let operation = bytes.u8()?;
            let path = std::str::from_utf8(bytes.string()?).map_err(|_| BAD)?;
            let value = if operation == operation::REMOVE { None } else { Some(Json(bytes.string()?).parse()?) };
            let legs = legs(path)?;
            apply(&mut root, operation, &legs, value)?;
        }
        let mut text = Vec::new();
        write::write(&root, &mut text);
        String::from_utf8(text).map_err(|_| BAD)
    }
}

/// A step of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Leg<'p> {
    Key(Cow<'p, str>),
    Index(usize),
}

/// `$.a."b c"[3]`
fn legs(path: &str) -> Result<Vec<Leg<'_>>, Error> {
    let mut rest = path.strip_prefix('$').ok_or(BAD)?;
    let mut legs = Vec::new();
    while let Some(first) = rest.chars().next() {
        let (leg, after) = match first {
            '.' => key(&rest[1..])?,
            '[' => {
                let (index, after) = rest[1..].split_once(']').ok_or(BAD)?;
                (Leg::Index(index.trim().parse().map_err(|_| BAD)?), after)
            }
            _ => return Err(BAD),
        };
        legs.push(leg);
        rest = after;
    }
    Ok(legs)
}

/// A key as it is, or as a JSON string.
fn key(text: &str) -> Result<(Leg<'_>, &str), Error> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(['.', '[']).unwrap_or(text.len());
        return Ok((Leg::Key(text[..end].into()), &text[end..]));
    };
    let mut key = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Ok((Leg::Key(key.into()), &quoted[at + 1..])),
            '\\' => {
                let (_, escaped) = characters.next().ok_or(BAD)?;
                key.push(match escaped {
                    'b' => '\u{8}',
                    't' => '\t',
                    'n' => '\n',
                    'f' => '\u{c}',
                    'r' => '\r',
                    'u' => {
                        let digits: String = characters.by_ref().take(4).map(|(_, digit)| digit).collect();
                        u32::from_str_radix(&digits, 16).ok().and_then(char::from_u32).ok_or(BAD)?
                    }
                    other => other,
                });
            }
            other => key.push(other),
        }
    }
    Err(BAD)
}

fn apply<'a>(root: &mut Node<'a>, operation: u8, legs: &[Leg<'_>], value: Option<Node<'a>>) -> Result<(), Error> {
    let Some((last, way)) = legs.split_last() else {
        *root = value.filter(|_| operation == operation::REPLACE).ok_or(BAD)?;
        return Ok(());
    };
    let mut parent = root;
    for leg in way {
        parent = child(parent, leg).ok_or(BAD)?;
    }
    match (operation, value) {
        (operation::REPLACE, Some(value)) => *child(parent, last).ok_or(BAD)? = value,
        (operation::INSERT, Some(value)) => insert(parent, last, value)?,
        (operation::REMOVE, None) => match (parent, last) {
            (Node::Array(elements), Leg::Index(at)) if *at < elements.len() => {
                elements.remove(*at);
            }
            (Node::Object(members), Leg::Key(key)) => {
                let at = members.iter().position(|member| member.0 == *key).ok_or(BAD)?;
                members.remove(at);
            }
            _ => return Err(BAD),
        },
        _ => return Err(BAD),
    }
    Ok(())
}

/// A scalar is an array of one, where an array is asked for.
fn child<'n, 'a>(node: &'n mut Node<'a>, leg: &Leg<'_>) -> Option<&'n mut Node<'a>> {
    match (node, leg) {
        (Node::Array(elements), Leg::Index(at)) => elements.get_mut(*at),
        (Node::Object(members), Leg::Key(key)) => {
            members.iter_mut().find(|member| member.0 == *key).map(|member| &mut member.1)
        }
        (node, Leg::Index(0)) => Some(node),
        _ => None,
    }
}

fn insert<'a>(parent: &mut Node<'a>, leg: &Leg<'_>, value: Node<'a>) -> Result<(), Error> {
    match (parent, leg) {
        (Node::Array(elements), Leg::Index(at)) => elements.insert((*at).min(elements.len()), value),
        (Node::Object(members), Leg::Key(key)) => {
            // Shorter keys come first, equally long ones by their bytes.
            let order =
                |member: &(Cow<'_, str>, Node<'_>)| (member.0.len(), member.0.as_bytes()) < (key.len(), key.as_bytes());
            let at = members.partition_point(order);
            members.insert(at, (key.clone().into_owned().into(), value));
        }
        _ => return Err(BAD),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_have_keys_and_indices() {
        let key = |key: &'static str| Leg::Key(key.into());
        assert_eq!(legs("$").unwrap(), []);
        assert_eq!(legs("$.a[3].\"b \\\"c\".d").unwrap(), [key("a"), Leg::Index(3), key("b \"c"), key("d")]);
        for path in ["", "a", "$a", "$[", "$[x]", "$.\"a"] {
            assert!(legs(path).is_err(), "{path}");
        }
    }
}
