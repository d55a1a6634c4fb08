//! Pages of rows.

use kit_core::{Code, Error, Reply};
use rowkeep_schema::EntityId;

use crate::engine::Shared;
use crate::{ListPage, ListRequest};

pub(crate) fn list(_shared: &Shared, _entity: EntityId, _request: ListRequest) -> Reply<'_, Result<ListPage, Error>> {
    Reply::ready(Err(Error::new(Code::Unimplemented, "NOT_BUILT", "not built yet")))
}
