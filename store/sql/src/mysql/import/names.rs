//! Names that a `.proto` can have, for tables and columns that may have any.

use std::collections::BTreeSet;

use rowkeep_schema::{plural_camel, plural_snake, snake, upper_camel};

/// Words whose plural would be taken for that of a word in `y`.
const IN_IE: [&str; 7] = ["cookies", "movies", "zombies", "calories", "ties", "pies", "lies"];
/// Fields of derived requests, which fields of keys and unique indexes are not called.
const REQUEST_FIELDS: [&str; 5] = ["read_mask", "etag", "allow_missing", "request_id", "validate_only"];

/// Names of messages that are taken.
#[derive(Debug, Default)]
pub(super) struct Names(BTreeSet<String>);

/// A message's name, and what has to be said because it does not follow from it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct MessageName {
    pub(super) message: String,
    /// The table has another name than the message would give it.
    pub(super) says_table: bool,
}

impl Names {
    /// The name of a table's message: `OrderLine` for `order_lines`.
    pub(super) fn message(&mut self, table: &str) -> MessageName {
        let plain = identifier(table, "table");
        let single = singular(&plain);
        let plural = message_of(&plain);
        let numbered = (2..).map(|number| format!("{plural}{number}"));
        let candidates = [message_of(&single), plural.clone()].into_iter().chain(numbered);
        let free = candidates.into_iter().find(|name| self.take(name));
        // The numbers do not end.
        let message = free.unwrap_or(plural);
        let says_table = plural_snake(&snake(&message)) != table;
        MessageName { message, says_table }
    }

    /// What an entity derives is named after it, and its path after its plural.
    fn take(&mut self, message: &str) -> bool {
        let key = message.to_ascii_lowercase();
        let plural = format!("{}*", plural_camel(message).to_ascii_lowercase());
        let derived = ["service", "key"].map(|end| format!("{key}{end}"));
        let owner = ["service", "key"].iter().find_map(|end| key.strip_suffix(end)).unwrap_or_default();
        if self.0.contains(&key) || self.0.contains(&plural) || self.0.contains(owner) {
            return false;
        }
        if derived.iter().any(|name| self.0.contains(name)) {
            return false;
        }
        self.0.extend([key, plural]);
        true
    }
}

fn message_of(snake: &str) -> String {
    let name = upper_camel(snake);
    // The ends of names of derived messages.
    let is_derived = ["Request", "Response"].iter().any(|end| name.ends_with(end)) || name == "Etag";
    if is_derived { format!("{name}Row") } else { name }
}

/// The name of a column's field, unlike any in `taken`; `keyed` if requests name it.
pub(super) fn field(column: &str, keyed: bool, taken: &mut BTreeSet<String>) -> String {
    let plain = identifier(column, "column");
    let is_requests = keyed && REQUEST_FIELDS.contains(&plain.as_str());
    let name = if is_requests { format!("{plain}_value") } else { plain };
    let numbered = (2..).map(|number| format!("{name}_{number}"));
    // JSON has no underscores.
    let free = std::iter::once(name.clone()).chain(numbered).find(|name| taken.insert(name.replace('_', "")));
    free.unwrap_or(name)
}

/// Lower-case words with underscores between them, beginning with a letter.
fn identifier(name: &str, what: &str) -> String {
    let ascii: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    let words = snake(&ascii);
    match words.chars().next() {
        None => what.to_owned(),
        Some(first) if first.is_ascii_digit() => format!("{what}_{words}"),
        Some(_) => words,
    }
}

/// `order_line` for `order_lines`; a name that is no plural stays.
fn singular(snake: &str) -> String {
    let last = snake.rsplit('_').next().unwrap_or_default();
    let stem = |end: &str, instead: &str| snake.strip_suffix(end).map(|stem| format!("{stem}{instead}"));
    let single = if last.ends_with("ies") && !IN_IE.contains(&last) {
        stem("ies", "y")
    } else if ["sses", "xes", "tches", "nches", "shes", "tuses"].iter().any(|end| last.ends_with(end)) {
        stem("es", "")
    } else if ["us", "ss", "is"].iter().any(|end| last.ends_with(end)) {
        None
    } else {
        stem("s", "")
    };
    let single = single.filter(|single| !single.is_empty() && !single.ends_with('_') && plural_snake(single) == snake);
    single.unwrap_or_else(|| snake.to_owned())
}

/// The package of a database.
pub(super) fn package(database: &str) -> String {
    let name = identifier(database, "db");
    // Packages that every schema imports.
    let is_taken = matches!(name.as_str(), "rowkeep" | "google");
    if is_taken { format!("{name}_db.v1") } else { format!("{name}.v1") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_named_in_the_singular() {
        let of = |table: &str| Names::default().message(table);
        for (table, message) in
            [("users", "User"), ("order_lines", "OrderLine"), ("categories", "Category"), ("addresses", "Address")]
        {
            assert_eq!(of(table), MessageName { message: message.to_owned(), says_table: false });
        }
        for (table, message) in [
            ("session", "Session"),
            ("job_status", "JobStatus"),
            ("2fa codes", "Table2faCode"),
            ("größe", "GrE"),
            ("€", "Table"),
            ("Users", "User"),
        ] {
            assert_eq!(of(table), MessageName { message: message.to_owned(), says_table: true }, "{table}");
        }
    }

    #[test]
    fn no_two_messages_have_one_name() {
        let mut names = Names::default();
        let named: Vec<_> = ["user", "users", "Users", "host", "host_service", "users_key", "requests"]
            .into_iter()
            .map(|table| names.message(table).message)
            .collect();
        let different: BTreeSet<_> = named.iter().collect();
        assert_eq!(different.len(), named.len(), "{named:?}");
        assert!(!named.contains(&"HostService".to_owned()), "{named:?}");
    }

    #[test]
    fn fields_are_identifiers_and_differ() {
        let mut taken = BTreeSet::new();
        let named: Vec<_> = ["reply-to", "replyTo", "2fa", "größe", "etag", "request_id", "key_"]
            .into_iter()
            .map(|column| field(column, column == "request_id", &mut taken))
            .collect();
        assert_eq!(named, ["reply_to", "reply_to_2", "column_2fa", "gr_e", "etag", "request_id_value", "key"]);
    }
}
