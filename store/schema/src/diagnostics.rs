//! What is wrong with a schema, where, and what to write instead.
//!
//! Every mistake of a file is reported at once, in the order of the text. [`Diagnostics`] prints like a compiler:
//!
//! ```text
//! error: entity `User` has no field `mail`
//!   --> shop.proto:8:26
//!    |
//!  8 |     index: [{ fields: "mail, created_at" }]
//!    |                        ^^^^
//!    = help: did you mean `email`?
//! ```

use std::fmt;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The schema cannot be used.
    Error,
    /// It can, but something has no effect or is likely not meant.
    Warning,
}

impl Severity {
    /// `error` or `warning`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warning => "warning",
        }
    }
}

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong.
    pub message: String,
    /// What to write instead.
    pub help: Option<String>,
    /// Where it is; none if no file can be named.
    pub place: Option<Place>,
}

/// A stretch of one line of a schema file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// File as given.
    pub file: String,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// Characters, at least 1.
    pub length: u32,
    /// The whole line.
    pub text: String,
}

/// All that is to be said about a schema.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Diagnostics {
    list: Vec<Diagnostic>,
}

impl Diagnostics {
    /// Adds one, unless the same was said before (a file that several import).
    pub(crate) fn push(&mut self, diagnostic: Diagnostic) {
        if !self.list.contains(&diagnostic) {
            self.list.push(diagnostic);
        }
    }

    pub(crate) fn error(&mut self, place: Option<Place>, message: impl Into<String>, help: impl Into<String>) {
        self.add(Severity::Error, place, message.into(), help.into());
    }

    pub(crate) fn warning(&mut self, place: Option<Place>, message: impl Into<String>, help: impl Into<String>) {
        self.add(Severity::Warning, place, message.into(), help.into());
    }

    fn add(&mut self, severity: Severity, place: Option<Place>, message: String, help: String) {
        let help = (!help.is_empty()).then_some(help);
        self.push(Diagnostic { severity, message, help, place });
    }

    /// Whether the schema cannot be used.
    pub fn has_errors(&self) -> bool {
        self.list.iter().any(|diagnostic| diagnostic.severity == Severity::Error)
    }

    /// Whether there is nothing to say.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Each of them.
    pub fn iter(&self) -> impl Iterator<Item = &Diagnostic> {
        self.list.iter()
    }

    /// In the order of the text.
    pub(crate) fn sort(&mut self) {
        self.list.sort_by(|a, b| a.place.cmp(&b.place));
    }

    /// For scripts: `[{"severity": "error", "message": "...", "help": "...", "file": "...", "line": 1, "column": 2, ...}]`.
    pub fn to_json(&self) -> serde_json::Value {
        self.list.iter().map(Diagnostic::to_json).collect()
    }
}

impl Diagnostic {
    fn to_json(&self) -> serde_json::Value {
        let mut object = serde_json::json!({ "severity": self.severity.as_str(), "message": self.message });
        if let Some(help) = &self.help {
            object["help"] = help.as_str().into();
        }
        if let Some(place) = &self.place {
            object["file"] = place.file.as_str().into();
            object["line"] = place.line.into();
            object["column"] = place.column.into();
            object["length"] = place.length.into();
            object["text"] = place.text.as_str().into();
        }
        object
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, diagnostic) in self.list.iter().enumerate() {
            if i > 0 {
                writeln!(f)?;
            }
            write!(f, "{diagnostic}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.severity.as_str(), self.message)?;
        let margin = self.place.as_ref().map_or(0, |place| place.line.to_string().len());
        if let Some(place) = &self.place {
            place.draw(f, margin)?;
        }
        if let Some(help) = &self.help {
            writeln!(f, "{:margin$} = help: {help}", "")?;
        }
        Ok(())
    }
}

impl Place {
    fn draw(&self, f: &mut fmt::Formatter<'_>, margin: usize) -> fmt::Result {
        // A tab stays a tab in the line below, so that the caret stands under what it points at.
        let before = self.text.chars().take((self.column as usize).saturating_sub(1));
        let pad: String = before.map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
        writeln!(f, "{:margin$}--> {}:{}:{}", "", self.file, self.line, self.column)?;
        writeln!(f, "{:margin$} |", "")?;
        writeln!(f, "{} | {}", self.line, self.text)?;
        writeln!(f, "{:margin$} | {pad}{}", "", "^".repeat(self.length as usize))
    }
}

impl std::error::Error for Diagnostics {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_caret_stands_under_the_mistake() {
        let mut diagnostics = Diagnostics::default();
        let place = Place { file: "a.proto".into(), line: 12, column: 5, length: 3, text: "\tid cty = 1;".into() };
        diagnostics.error(Some(place), "no field `cty`", "did you mean `city`?");
        let expected = "error: no field `cty`\n  --> a.proto:12:5\n   |\n12 | \tid cty = 1;\n   | \t   ^^^\n   = help: did you mean `city`?\n";
        assert_eq!(diagnostics.to_string(), expected);
        assert_eq!(diagnostics.to_json()[0]["column"], 5);
    }

    #[test]
    fn the_same_mistake_is_said_once() {
        let mut diagnostics = Diagnostics::default();
        diagnostics.error(None, "a", "");
        diagnostics.error(None, "a", "");
        assert_eq!(diagnostics.iter().count(), 1);
        assert!(diagnostics.has_errors());
    }
}
