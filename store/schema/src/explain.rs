//! What the parser and the linker found, with help that their own messages lack.

use miette::Diagnostic as _;

use crate::builtin;
use crate::diagnostics::{Diagnostics, Place};
use crate::names::{did_you_mean, nearest, snake};
use crate::sources::Sources;

/// Adds every mistake of the error.
pub(crate) fn explain(error: &protox::Error, sources: &Sources, out: &mut Diagnostics) {
    let file = error.file().unwrap_or_default().to_owned();
    add(error, &file, sources, out);
    for related in error.related().into_iter().flatten() {
        add(related, &file, sources, out);
    }
}

fn add(error: &dyn miette::Diagnostic, file: &str, sources: &Sources, out: &mut Diagnostics) {
    let mut message = error.to_string().replace('\'', "`");
    // An invalid aggregate says only in its source what is wrong with it.
    let detail = error.diagnostic_source().map(|detail| detail.to_string().replace('\'', "`"));
    if let Some(detail) = &detail {
        message = format!("{message}: {detail}");
    }
    let text = sources.text(file).unwrap_or_default();
    let place = place(error, detail.as_deref().unwrap_or_default(), file, sources, &message);
    let help = help(&message, text).or_else(|| error.help().map(|help| help.to_string().replace('\'', "`")));
    let place = place.or_else(|| end_of_file(&message, file, sources)).or_else(|| sources.place(file, 0..0));
    out.error(place, message, help.unwrap_or_default());
}

fn place(error: &dyn miette::Diagnostic, detail: &str, file: &str, sources: &Sources, message: &str) -> Option<Place> {
    let labels: Vec<_> = error.labels()?.collect();
    // Of two labels one is the mistake, the other what it collides with.
    let mistake_first = message.contains("` is not ") || message.starts_with("enum number");
    let label = if mistake_first { labels.first() } else { labels.last() }?;
    let mut range = label.offset()..label.offset() + label.len();
    if let Some(word) = quoted(detail).filter(|word| !word.is_empty()) {
        let area = sources.text(file).and_then(|text| text.get(range.clone()));
        if let Some(at) = area.and_then(|area| area.find(word)) {
            range = range.start + at..range.start + at + word.len();
        }
    }
    sources.place(file, range)
}

fn end_of_file(message: &str, file: &str, sources: &Sources) -> Option<Place> {
    let end = sources.text(file)?.trim_end().len();
    message.contains("end of file").then(|| sources.place(file, end.saturating_sub(1)..end)).flatten()
}

/// The first word in backquotes.
fn quoted(text: &str) -> Option<&str> {
    text.split('`').nth(1)
}

fn help(message: &str, text: &str) -> Option<String> {
    let name = quoted(message).unwrap_or_default();
    let found = |prefix: &str, suffix: &str| message.starts_with(prefix) && message.contains(suffix);
    let help = if found("import `", "not found") || found("file `", "not found") {
        match nearest(name, builtin::paths()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "give -I with the directory that it lies in".to_owned(),
        }
    } else if found("name `", "is not defined") || found("`", "which is not defined") {
        undefined(name, text)
    } else if message.contains("not found for message `rowkeep.v1.") || found("option field `", "is not defined") {
        unknown_option(message)
    } else if message.contains("was not found for enum `rowkeep.v1.") {
        let value = message.rsplit(": ").next().and_then(quoted).unwrap_or_default();
        did_you_mean(value, option_words())
    } else if message.contains("the first value for proto3 enums must be 0") {
        "put a value such as `STATUS_UNSPECIFIED = 0;` first".to_owned()
    } else if message.contains("groups are not allowed") {
        "declare a message and a field of its type".to_owned()
    } else if found("field number `", "is already used") {
        "give each field of a message a number of its own".to_owned()
    } else {
        return None;
    };
    (!help.is_empty()).then_some(help)
}

/// A name that no file declares: an import is missing, or it is misspelt.
fn undefined(name: &str, text: &str) -> String {
    let bare = name.rsplit('.').next().unwrap_or(name);
    if name.contains("rowkeep.v1") || (matches!(bare, "entity" | "column") && !text.contains(builtin::OPTIONS_PATH)) {
        return format!("add `import \"{}\";`", builtin::OPTIONS_PATH);
    }
    if name.contains("buf.validate") {
        return "add `import \"buf/validate/validate.proto\";`".to_owned();
    }
    if let Some((path, full_name)) = known_type(bare) {
        return match text.contains(path) {
            true => format!("write `{full_name}`"),
            false => format!("write `{full_name}` and add `import \"{path}\";`"),
        };
    }
    let file = snake(bare);
    if let Some(path) = builtin::paths().find(|path| path.ends_with(&format!("/{file}.proto"))) {
        return format!("add `import \"{path}\";`");
    }
    did_you_mean(bare, declared(text))
}

fn known_type(bare: &str) -> Option<(&'static str, String)> {
    let path = match bare {
        "Timestamp" => "google/protobuf/timestamp.proto",
        "Duration" => "google/protobuf/duration.proto",
        "Any" => "google/protobuf/any.proto",
        "Empty" => "google/protobuf/empty.proto",
        "FieldMask" => "google/protobuf/field_mask.proto",
        "Struct" | "Value" | "ListValue" | "NullValue" => "google/protobuf/struct.proto",
        "DoubleValue" | "FloatValue" | "Int64Value" | "UInt64Value" | "Int32Value" | "UInt32Value" | "BoolValue"
        | "StringValue" | "BytesValue" => "google/protobuf/wrappers.proto",
        "Date" => "google/type/date.proto",
        "Decimal" => "google/type/decimal.proto",
        _ => return None,
    };
    let package = if path.starts_with("google/type") { "google.type" } else { "google.protobuf" };
    Some((path, format!("{package}.{bare}")))
}

/// Names of messages and enums in the text.
fn declared(text: &str) -> impl Iterator<Item = &str> {
    let words = text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty());
    let mut after_keyword = false;
    words.filter(move |word| {
        let take = after_keyword;
        after_keyword = matches!(*word, "message" | "enum");
        take
    })
}

fn unknown_option(message: &str) -> String {
    let detail = message.rsplit(": ").next().unwrap_or(message);
    let name = quoted(detail).unwrap_or_default();
    let name = name.rsplit('.').next().unwrap_or(name);
    let near = did_you_mean(name, option_words());
    if near.is_empty() { "`rowkeep proto options` prints what there is".to_owned() } else { near }
}

/// Field and value names of the annotation grammar.
fn option_words() -> impl Iterator<Item = &'static str> {
    builtin::OPTIONS.lines().filter_map(|line| {
        let line = line.trim();
        let (before, _) = line.split_once('=').filter(|_| !line.starts_with("//"))?;
        before.split_whitespace().last()
    })
}
