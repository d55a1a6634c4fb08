//! What is wrong with a message, collected on the way out of nested fields.

use std::borrow::Cow;

use kit_core::{Code, Error, FieldViolation};

use crate::wire::WireError;

/// A path longer than this is cut: it may be made of the input.
const MAX_PATH: usize = 200;

/// One defect with its path. Boxed, so that results on hot paths stay one word wide.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fault(Box<Inner>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Inner {
    /// Innermost first.
    path: Vec<String>,
    reason: &'static str,
    text: String,
    offset: Option<usize>,
}

impl Fault {
    pub(crate) fn new(reason: &'static str, text: impl Into<String>) -> Self {
        Self(Box::new(Inner { path: Vec::new(), reason, text: text.into(), offset: None }))
    }

    /// At a place in a text.
    pub(crate) fn at(mut self, offset: usize) -> Self {
        self.0.offset.get_or_insert(offset);
        self
    }

    /// In this field.
    pub(crate) fn field(mut self, name: &str) -> Self {
        self.0.path.push(name.to_owned());
        self
    }

    /// In this item of a repeated field.
    pub(crate) fn item(mut self, index: usize) -> Self {
        self.0.path.push(format!("[{index}]"));
        self
    }

    /// In the value of this key of a map.
    pub(crate) fn key(mut self, key: &str) -> Self {
        self.0.path.push(format!("[{key:?}]"));
        self
    }

    fn path(&self) -> String {
        let mut path = String::new();
        for segment in self.0.path.iter().rev() {
            if !path.is_empty() && !segment.starts_with('[') {
                path.push('.');
            }
            if path.len() + segment.len() > MAX_PATH {
                path.push('…');
                break;
            }
            path.push_str(segment);
        }
        path
    }

    pub(crate) fn into_violation(self) -> FieldViolation {
        FieldViolation { field: self.path(), description: self.0.text, reason: self.0.reason }
    }

    /// About a message in wire form.
    pub(crate) fn into_error(self) -> Error {
        if self.0.path.is_empty() {
            let text = format!("the message is malformed: {}", self.0.text);
            return Error::new(Code::InvalidArgument, self.0.reason, text);
        }
        Error::invalid(vec![self.into_violation()])
    }

    /// About a text: says line, column and offset.
    pub(crate) fn into_text_error(mut self, text: &[u8]) -> Error {
        let Some(offset) = self.0.offset else { return self.into_error() };
        let before = &text[..offset.min(text.len())];
        let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
        let line_start = before.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let column = 1 + String::from_utf8_lossy(&before[line_start..]).chars().count();
        self.0.text = format!("line {line}, column {column}: {}", self.0.text);
        let error = if self.0.path.is_empty() {
            let (reason, text) = (self.0.reason, self.0.text);
            Error::new(Code::InvalidArgument, reason, text)
        } else {
            Error::invalid(vec![self.into_violation()])
        };
        error.with("line", line.to_string()).with("column", column.to_string()).with("offset", offset.to_string())
    }

    /// About what the database holds, which no client can mend.
    pub(crate) fn into_internal(self) -> Error {
        Error::internal(format!("stored value of {}: {}", self.path(), self.0.text))
    }
}

impl From<WireError> for Fault {
    fn from(error: WireError) -> Self {
        Self::new("MALFORMED", error.to_string())
    }
}

/// A readable beginning of a text that may be long.
pub(crate) fn excerpt(text: &str) -> String {
    const LONGEST: usize = 40;
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{:?}…", &text[..end]),
        None => format!("{text:?}"),
    }
}

/// A name out of the input, cut where no name goes on.
pub(crate) fn shortened(name: &str) -> Cow<'_, str> {
    match name.char_indices().nth(60) {
        Some((end, _)) => Cow::Owned(format!("{}…", &name[..end])),
        None => Cow::Borrowed(name),
    }
}

/// `; did you mean name?`, if one of the names is near. Comparing takes the product of the lengths, so a long text,
/// which is no mistyped name, is not compared.
pub(crate) fn did_you_mean<'a>(name: &str, candidates: impl Iterator<Item = &'a str>) -> String {
    const LONGEST: usize = 100;
    let near = if name.len() > LONGEST { None } else { kit_core::nearest(name, candidates) };
    near.map_or_else(String::new, |near| format!("; did you mean {near}?"))
}
