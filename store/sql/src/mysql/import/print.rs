//! Drafts as the text of a `.proto`.

use std::fmt::Write as _;

use super::draft::{Draft, DraftColumn, Field};
use super::names::MessageName;
use super::references::Reference;
use super::types::quoted;
use crate::migrate::FoundIndex;

/// Longer lines are broken.
const WIDTH: usize = 120;

/// What stands before the first message.
pub(super) fn header(package: &str, imports: &[&str]) -> String {
    let mut text = format!("syntax = \"proto3\";\n\npackage {package};\n\n");
    for import in imports {
        let _ = writeln!(text, "import \"{import}\";");
    }
    text
}

/// A table that is left out, and why.
pub(super) fn left_out(table: &str, why: &str) -> String {
    format!("\n{}", comment("", &format!("Table {} is not here: {why}.", one_line(table))))
}

/// A message.
pub(super) fn message(draft: &Draft<'_>, name: &MessageName, references: &[Reference]) -> String {
    let mut text = String::from("\n");
    text.push_str(&comment("", &draft.table.comment));
    text.push_str(&comment("", draft.read_only.as_deref().unwrap_or_default()));
    let _ = writeln!(text, "message {} {{", name.message);
    text.push_str(&entity(draft, name));
    text.push('\n');
    for column in &draft.columns {
        let reference = references.iter().find(|reference| reference.column == column.column.name);
        text.push_str(&field(column, reference));
    }
    text.push_str("}\n");
    text
}

fn entity(draft: &Draft<'_>, name: &MessageName) -> String {
    let mut text = String::from("  option (rowkeep.v1.entity) = {\n");
    if name.says_table {
        let _ = writeln!(text, "    table: {}", quoted(&draft.table.name));
    }
    let fields = |columns: &[String]| -> Vec<String> {
        columns.iter().filter_map(|column| draft.field(column)).map(|field| field.name.clone()).collect()
    };
    let key = fields(&draft.key).join(", ");
    if key != "id" {
        let _ = writeln!(text, "    primary_key: {}", quoted(&key));
    }
    text.push_str(match draft.read_only {
        Some(_) => "    read_only: true\n    allow_scan: true\n",
        None => "    version: false\n",
    });
    for found in &draft.indexes {
        let _ = writeln!(text, "    index: {}", index(draft, found));
    }
    text.push_str("  };\n");
    text
}

fn index(draft: &Draft<'_>, index: &FoundIndex) -> String {
    let column = |(name, descending): &(String, bool)| {
        let field = draft.field(name).map(|field| field.name.as_str()).unwrap_or_default();
        format!("{field}{}", if *descending { " desc" } else { "" })
    };
    let columns: Vec<String> = index.columns.iter().map(column).collect();
    let unique = if index.unique { " unique: true" } else { "" };
    format!("{{ fields: {}{unique} name: {} }}", quoted(&columns.join(", ")), quoted(&index.name))
}

fn field(column: &DraftColumn<'_>, reference: Option<&Reference>) -> String {
    let mut text = comment("  ", &column.column.comment);
    match &column.field {
        Err(why) => {
            let name = one_line(&column.column.name);
            text.push_str(&comment("  ", &format!("Column {name} is not here: {why}.")));
        }
        Ok(field) => {
            for note in &field.notes {
                text.push_str(&comment("  ", note));
            }
            text.push_str(&declaration(column.number, field, reference));
        }
    }
    text
}

fn declaration(number: usize, field: &Field, reference: Option<&Reference>) -> String {
    let optional = if field.optional { "optional " } else { "" };
    let head = format!("  {optional}{} {} = {number}", field.kind.proto, field.name);
    let options: Vec<String> = field.options.iter().cloned().chain(reference.map(Reference::option)).collect();
    let line = match options.as_slice() {
        [] => format!("{head};\n"),
        [single] => {
            let assigned = single.replacen(": ", " = ", 1);
            format!("{head} [(rowkeep.v1.column).{assigned}];\n")
        }
        several => format!("{head} [(rowkeep.v1.column) = {{ {} }}];\n", several.join(" ")),
    };
    if line.len() <= WIDTH {
        return line;
    }
    format!("{head} [(rowkeep.v1.column) = {{\n    {}\n  }}];\n", options.join("\n    "))
}

/// Lines of a comment; nothing for nothing.
fn comment(indent: &str, text: &str) -> String {
    let lines = text.trim().split(['\n', '\r']).filter(|_| !text.trim().is_empty());
    lines.map(|line| format!("{indent}// {}", line.trim_end()).trim_end().to_owned() + "\n").collect()
}

fn one_line(name: &str) -> String {
    name.replace(['\n', '\r'], " ")
}
