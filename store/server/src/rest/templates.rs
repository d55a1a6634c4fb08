//! Pages for people, from templates compiled into the binary or given by the operator.
//!
//! With `--templates DIR`, `DIR/User/list.html` replaces the list of users, `DIR/list.html` every list, and
//! `DIR/layout.html` what all pages are set in. Values are escaped by the file's extension: HTML by default in `.html`,
//! Markdown's own characters in `.md`.

use std::collections::HashMap;
use std::path::Path;

use bytes::Bytes;
use kit_core::{Code, Error};
use minijinja::{AutoEscape, Environment, Output, State, Value};
use rowkeep_schema::{EntityId, Schema};
use serde::Serialize;

use super::representation::Representation;

/// The escaping of `.md` templates.
const MARKDOWN: &str = "markdown";

/// The kinds of pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Page {
    Index,
    List,
    Detail,
    /// Answers of other methods.
    Message,
    Error,
}

const BUILT_IN: [(&str, &str); 12] = [
    ("layout.html", include_str!("../../templates/layout.html")),
    ("index.html", include_str!("../../templates/index.html")),
    ("list.html", include_str!("../../templates/list.html")),
    ("detail.html", include_str!("../../templates/detail.html")),
    ("message.html", include_str!("../../templates/message.html")),
    ("error.html", include_str!("../../templates/error.html")),
    ("index.md", include_str!("../../templates/index.md")),
    ("list.md", include_str!("../../templates/list.md")),
    ("detail.md", include_str!("../../templates/detail.md")),
    ("message.md", include_str!("../../templates/message.md")),
    ("error.md", include_str!("../../templates/error.md")),
    ("layout.md", include_str!("../../templates/layout.md")),
];

/// All templates, parsed.
pub(crate) struct Templates {
    environment: Environment<'static>,
    /// Templates of one entity that differ from the general ones.
    own: HashMap<(EntityId, String), String>,
}

impl Templates {
    /// Parses the built-in templates and those in a directory, which go first.
    ///
    /// # Errors
    /// With file and line, if one cannot be read or parsed, or belongs to nothing.
    pub(crate) fn new(schema: &Schema, directory: Option<&Path>) -> Result<Self, Error> {
        let mut environment = Environment::new();
        environment.set_auto_escape_callback(|name| match name.rsplit('.').next() {
            Some("md") => AutoEscape::Custom(MARKDOWN.into()),
            _ => AutoEscape::Html,
        });
        environment.set_formatter(format);
        let syntax = minijinja::syntax::SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        environment.set_syntax(syntax.map_err(Error::internal)?);
        let mut templates = Self { environment, own: HashMap::new() };
        for (name, source) in BUILT_IN {
            templates.add(name, source.to_owned(), name)?;
        }
        if let Some(directory) = directory {
            templates.read(schema, directory)?;
        }
        Ok(templates)
    }

    fn read(&mut self, schema: &Schema, directory: &Path) -> Result<(), Error> {
        for entry in list(directory)? {
            let name = file_name(&entry);
            if !entry.is_dir() {
                self.read_file(&entry, &name)?;
                continue;
            }
            let entity = schema.entity_by_name(&name).ok_or_else(|| {
                let known: Vec<_> = schema.entities.iter().map(|entity| entity.name.as_str()).collect();
                refused(&entry, &format!("is named after no entity; there are {}", known.join(", ")))
            })?;
            for file in list(&entry)? {
                let page = file_name(&file);
                let own = format!("{name}/{page}");
                self.read_file(&file, &own)?;
                self.own.insert((entity.id, page), own);
            }
        }
        Ok(())
    }

    fn read_file(&mut self, file: &Path, name: &str) -> Result<(), Error> {
        let page = name.rsplit('/').next().unwrap_or(name);
        if !BUILT_IN.iter().any(|(built_in, _)| *built_in == page) {
            let names: Vec<_> = BUILT_IN.iter().map(|(name, _)| *name).collect();
            return Err(refused(file, &format!("is not the name of a template; they are {}", names.join(", "))));
        }
        let source = std::fs::read_to_string(file).map_err(|error| refused(file, &error.to_string()))?;
        self.add(name, source, &file.display().to_string())
    }

    fn add(&mut self, name: &str, source: String, shown: &str) -> Result<(), Error> {
        self.environment.add_template_owned(name.to_owned(), source).map_err(|error| {
            let line = error.line().map_or(String::new(), |line| format!(":{line}"));
            let detail = error.detail().map_or_else(|| error.kind().to_string(), str::to_owned);
            Error::new(Code::InvalidArgument, "INVALID_TEMPLATE", format!("{shown}{line}: {detail}"))
        })
    }

    /// Renders a page, by the entity's own template if it has one.
    pub(crate) fn render(
        &self,
        page: Page,
        form: Representation,
        entity: Option<EntityId>,
        context: &impl Serialize,
    ) -> Result<Bytes, Error> {
        let name = page.file(form);
        let own = entity.and_then(|entity| self.own.get(&(entity, name.to_owned())));
        let template = self.environment.get_template(own.map_or(name, String::as_str)).map_err(Error::internal)?;
        let text = template
            .render(Value::from(minijinja::value::Serde(context)))
            .map_err(|error| Error::internal(format!("{error:#}")))?;
        Ok(text.into())
    }
}

impl Page {
    const fn file(self, form: Representation) -> &'static str {
        match (self, matches!(form, Representation::Markdown)) {
            (Self::Index, false) => "index.html",
            (Self::List, false) => "list.html",
            (Self::Detail, false) => "detail.html",
            (Self::Message, false) => "message.html",
            (Self::Error, false) => "error.html",
            (Self::Index, true) => "index.md",
            (Self::List, true) => "list.md",
            (Self::Detail, true) => "detail.md",
            (Self::Message, true) => "message.md",
            (Self::Error, true) => "error.md",
        }
    }
}

fn list(directory: &Path) -> Result<Vec<std::path::PathBuf>, Error> {
    let read = || -> std::io::Result<Vec<_>> {
        std::fs::read_dir(directory)?.map(|entry| entry.map(|entry| entry.path())).collect()
    };
    let mut entries = read().map_err(|error| refused(directory, &error.to_string()))?;
    entries.retain(|path| !file_name(path).starts_with('.'));
    entries.sort();
    Ok(entries)
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn refused(path: &Path, why: &str) -> Error {
    Error::new(Code::InvalidArgument, "INVALID_TEMPLATE", format!("{}: {why}", path.display()))
}

/// Escapes what a template writes by the file it is in. Text that is marked as safe (a block, `| safe`) is written as
/// it is.
fn format(out: &mut Output<'_>, state: &mut State<'_, '_>, value: &Value) -> Result<(), minijinja::Error> {
    if value.is_undefined() || value.is_none() {
        return Ok(());
    }
    let text = match state.auto_escape() {
        _ if value.is_safe() => value.to_string(),
        AutoEscape::Custom(_) => markdown(&value.to_string()),
        _ => html(&value.to_string()),
    };
    out.write_str(&text).map_err(minijinja::Error::from)
}

/// Text that HTML shows as it is, between tags and between quotes.
fn html(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for letter in text.chars() {
        match letter {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(letter),
        }
    }
    out
}

/// Text that Markdown shows as it is: its own characters behind backslashes, markup as entities, one line.
fn markdown(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for letter in text.chars() {
        match letter {
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '~' => {
                out.push('\\');
                out.push(letter);
            }
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '\n' | '\r' => out.push(' '),
            _ => out.push(letter),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markdown_shows_text_as_it_is() {
        assert_eq!(markdown("[x](javascript:1) <b> | a\nb"), "\\[x\\](javascript:1) &lt;b&gt; \\| a b");
    }
}
