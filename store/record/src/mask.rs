//! Field masks: what a read shows and what an update writes.

use kit_core::{Code, Error};
use rowkeep_schema::{ColumnId, MessageId};

use crate::json::JsonCodec;
use crate::{ColumnSet, Record, RowCodec, Value};

/// A checked read mask of one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReadMask {}

/// A checked update mask of one entity.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct UpdateMask {
    /// Columns that are replaced whole.
    pub columns: ColumnSet,
    /// Paths inside JSON columns, for [`RowCodec::merge_nested`]; none of them is in `columns`.
    pub nested: Vec<(ColumnId, NestedPath)>,
}

/// A path below a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NestedPath(pub(crate) Vec<u16>);

fn missing() -> Error {
    Error::new(Code::Unimplemented, "NOT_BUILT", "not built yet")
}

impl ReadMask {
    /// Checks paths (`a`, `a.b`, in proto or JSON names). `None`: everything, for no path and for `*`.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` naming every unknown or secret path.
    pub fn parse<S: AsRef<str>>(_codec: &JsonCodec, _message: MessageId, _paths: &[S]) -> Result<Option<Self>, Error> {
        Err(missing())
    }

    /// The row with only the masked fields.
    ///
    /// # Errors
    /// If the row's wire form is malformed.
    pub fn project(&self, _record: &Record) -> Result<Record, Error> {
        Err(missing())
    }
}

impl RowCodec {
    /// Checks the paths of an update mask; `*` is every column.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` naming every unknown path.
    pub fn update_mask<S: AsRef<str>>(&self, _paths: &[S]) -> Result<UpdateMask, Error> {
        Err(missing())
    }

    /// A JSON column's old value with the part at `path` as it is in the new one.
    ///
    /// # Errors
    /// `INTERNAL` if the old value is not what the codec writes.
    pub fn merge_nested(
        &self,
        _column: ColumnId,
        _path: &NestedPath,
        _old: &Value,
        _new: &Value,
    ) -> Result<Value, Error> {
        Err(missing())
    }
}
