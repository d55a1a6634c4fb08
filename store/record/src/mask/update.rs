//! What an update writes.

use kit_core::Error;
use rowkeep_schema::{ColumnId, Kind, MessageId};

use super::{MAX_STEPS, Mistakes, Refusal, place, too_deep};
use crate::table::{FieldTable, Tables};
use crate::{ColumnSet, RowCodec};

/// A checked update mask of one entity.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UpdateMask {
    /// Columns that are replaced whole.
    pub columns: ColumnSet,
    /// Paths inside JSON columns, for [`RowCodec::merge_nested`]; none of them is in `columns` or inside another.
    pub nested: Vec<(ColumnId, NestedPath)>,
}

/// A path below a column: the place of a field in the column's message, of one in that field's message, and so on.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct NestedPath(pub(super) Vec<u16>);

impl RowCodec {
    /// Checks the paths of an update mask; `*` is every column. Secret columns and those that the store keeps may be
    /// named: what a request cannot set is the engine's to leave out.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` naming every unknown path.
    pub fn update_mask<S: AsRef<str>>(&self, paths: &[S]) -> Result<UpdateMask, Error> {
        let mut mask = UpdateMask::default();
        let mut mistakes = Mistakes::of("update_mask");
        for path in paths.iter().map(AsRef::as_ref) {
            match self.update_path(path, paths.len()) {
                Ok(Target::All) => mask.columns = ColumnSet::all(self.columns.len()),
                Ok(Target::Column(id)) => _ = mask.columns.insert(id),
                Ok(Target::Part(id, path)) => mask.nested.push((id, path)),
                Err((reason, what)) => mistakes.add(path, reason, &what),
            }
        }
        mistakes.none_or_error()?;
        mask.drop_covered();
        Ok(mask)
    }

    fn update_path(&self, path: &str, paths: usize) -> Result<Target, Refusal> {
        match path {
            "*" if paths == 1 => return Ok(Target::All),
            "*" => return Err(("NOT_ALONE", "must be the only path of its mask".to_owned())),
            _ => {}
        }
        let (name, rest) = path.split_once('.').map_or((path, None), |(name, rest)| (name, Some(rest)));
        let place = place(self.table(), name)?;
        let column = self.by_place[place];
        match rest {
            None => Ok(Target::Column(column)),
            Some(rest) => {
                let path = nested(self.json.tables(), &self.table().fields[place], rest)?;
                Ok(Target::Part(column, path))
            }
        }
    }
}

/// What one path names.
enum Target {
    All,
    Column(ColumnId),
    Part(ColumnId, NestedPath),
}

impl UpdateMask {
    /// A path inside another adds nothing to it.
    fn drop_covered(&mut self) {
        self.nested.retain(|(column, _)| !self.columns.contains(*column));
        self.nested.sort();
        self.nested.dedup_by(|(column, path), (before, outer)| column == before && path.0.starts_with(&outer.0));
    }
}

fn nested(tables: &Tables, outer: &FieldTable, path: &str) -> Result<NestedPath, Refusal> {
    let (mut outer, mut places) = (outer, Vec::new());
    for name in path.split('.') {
        let table = tables.message(message_of(tables, outer)?);
        let place = place(table, name)?;
        // A schema has fewer fields than that.
        places.push(u16::try_from(place).unwrap_or(u16::MAX));
        outer = &table.fields[place];
        if places.len() > MAX_STEPS {
            return Err(too_deep());
        }
    }
    Ok(NestedPath(places))
}

/// The message of a field that an update can change in part.
pub(super) fn message_of(tables: &Tables, field: &FieldTable) -> Result<MessageId, Refusal> {
    let whole = |what: &str| Err(("NO_SUCH_PART", format!("goes into `{}`, {what}; write it whole", field.name)));
    match field.kind {
        _ if !field.is_singular() => whole("which has many values"),
        Kind::Message(id) if tables.message(id).well_known.is_none() => Ok(id),
        _ => whole("which is one value"),
    }
}
