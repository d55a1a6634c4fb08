//! Foreign keys as references, where the engine can keep them as well; the database keeps all of them.

use std::collections::BTreeMap;

use super::draft::Draft;
use super::source::ForeignKey;

/// That a column refers to a message.
#[derive(Debug)]
pub(super) struct Reference {
    pub(super) column: String,
    message: String,
    /// Where it is not the key.
    field: Option<String>,
    on_delete: Option<&'static str>,
}

impl Reference {
    /// As an option of the column.
    pub(super) fn option(&self) -> String {
        let field = self.field.as_ref().map(|field| format!(" field: \"{field}\"")).unwrap_or_default();
        let on_delete = self.on_delete.map(|what| format!(" on_delete: {what}")).unwrap_or_default();
        format!("references: {{ entity: \"{}\"{field}{on_delete} }}", self.message)
    }
}

/// The references of a table to others that are imported with it.
pub(super) fn references(draft: &Draft<'_>, all: &BTreeMap<&str, (&Draft<'_>, &str)>) -> Vec<Reference> {
    let mut references: Vec<Reference> = Vec::new();
    if draft.read_only.is_some() {
        return references;
    }
    for key in &draft.table.foreign_keys {
        let Some(reference) = reference(draft, key, all) else { continue };
        if !references.iter().any(|other| other.column == reference.column) {
            references.push(reference);
        }
    }
    references
}

fn reference(draft: &Draft<'_>, key: &ForeignKey, all: &BTreeMap<&str, (&Draft<'_>, &str)>) -> Option<Reference> {
    let ([column], [referenced]) = (key.columns.as_slice(), key.referenced.as_slice()) else { return None };
    let (target, message) = all.get(key.table.as_str())?;
    let (here, there) = (draft.field(column)?, target.field(referenced)?);
    let found = draft.table.column(column)?;
    let fits = here.storage() == there.storage() && target.is_named_by(referenced) && draft.is_found_by(column);
    if !fits || found.computed || found.counted {
        return None;
    }
    let is_key = target.key == [referenced.as_str()];
    Some(Reference {
        column: column.clone(),
        message: (*message).to_owned(),
        field: (!is_key).then(|| there.name.clone()),
        on_delete: match key.on_delete.as_str() {
            "CASCADE" => Some("CASCADE"),
            "SET NULL" if here.optional => Some("SET_NULL"),
            // The field is a message's, or part of the key.
            "SET NULL" => return None,
            _ => None,
        },
    })
}
