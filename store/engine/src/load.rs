//! Bulk loads.

use kit_core::{Code, Error};

use crate::engine::Shared;
use crate::{LoadReport, LoadRequest};

pub(crate) async fn load(_shared: &Shared, _request: LoadRequest) -> Result<LoadReport, Error> {
    Err(Error::new(Code::Unimplemented, "NOT_BUILT", "not built yet"))
}
