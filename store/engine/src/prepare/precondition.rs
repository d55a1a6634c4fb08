//! Preconditions, parsed.

use kit_core::Error;
use rowkeep_record::query::Filter;
use rowkeep_record::{etag, query};
use rowkeep_schema::Entity;

use super::{Preparation, precondition_path};
use crate::{Operation, Precondition};

/// What must hold of the current row.
#[derive(Default)]
pub(crate) struct PreparedPrecondition {
    pub(crate) exists: Option<bool>,
    pub(crate) etag: Option<Etag>,
    /// The filter and its text.
    pub(crate) condition: Option<(Filter, String)>,
}

/// An etag a request names.
pub(crate) enum Etag {
    /// `*`: any row that exists.
    Any,
    /// The text, and the version if it is one of ours.
    Is(String, Option<u64>),
}

impl PreparedPrecondition {
    pub(crate) fn is_empty(&self) -> bool {
        self.exists.is_none() && self.etag.is_none() && self.condition.is_none()
    }
}

impl Preparation<'_> {
    pub(super) fn precondition(
        &mut self,
        entity: &Entity,
        asked: Precondition,
        operation: &Operation,
        path: &str,
    ) -> Result<PreparedPrecondition, Error> {
        let asked = Precondition { condition: asked.condition.filter(|text| !text.trim().is_empty()), ..asked };
        let etag = asked.etag.filter(|etag| !etag.is_empty()).map(parse_etag);
        let is_empty = asked.exists.is_none() && etag.is_none() && asked.condition.is_none();
        if is_empty && matches!(operation, Operation::Check { .. }) {
            let why = "a check needs one of exists, etag and condition";
            self.violation(precondition_path(path, "exists"), "REQUIRED", why);
        }
        let condition = match asked.condition {
            Some(text) => {
                let field = precondition_path(path, "condition");
                let filter = self.keep(query::filter(&self.shared.schema, entity, &text, &field))?.flatten();
                filter.map(|filter| (filter, text))
            }
            None => None,
        };
        let precondition = PreparedPrecondition { exists: asked.exists, etag, condition };
        self.refuse_contradiction(&precondition, operation, path);
        Ok(precondition)
    }

    fn refuse_contradiction(&mut self, asked: &PreparedPrecondition, operation: &Operation, path: &str) {
        let may_be_absent = match operation {
            Operation::Create { .. } | Operation::Check { .. } => true,
            Operation::Update { allow_missing, .. } => *allow_missing,
            Operation::Delete { .. } | Operation::Undelete { .. } => false,
        };
        let names_row = asked.etag.is_some() || asked.condition.is_some();
        if asked.exists == Some(false) && (!may_be_absent || names_row) {
            let why = "cannot be false for a write, an etag or a condition that needs the row";
            self.violation(precondition_path(path, "exists"), "CONTRADICTION", why);
        }
        if matches!(operation, Operation::Create { .. }) && (names_row || asked.exists == Some(true)) {
            let why = "a create can only ask that the row does not exist; use update to change one that does";
            self.violation(precondition_path(path, "exists"), "CONTRADICTION", why);
        }
        if matches!(operation, Operation::Undelete { .. }) && asked.exists.is_some() {
            let why = "an undelete has no use for it: a deleted row counts as absent";
            self.violation(precondition_path(path, "exists"), "CONTRADICTION", why);
        }
    }
}

fn parse_etag(text: String) -> Etag {
    if text == "*" {
        return Etag::Any;
    }
    let version = etag::parse(&text);
    Etag::Is(text, version)
}
