//! One module for each command.

pub(crate) mod backup;
pub(crate) mod check;
pub(crate) mod config;
pub(crate) mod dump;
pub(crate) mod import;
pub(crate) mod inspect;
pub(crate) mod load;
pub(crate) mod migrate;
pub(crate) mod openapi;
pub(crate) mod proto;
mod reload;
pub(crate) mod serve;
pub(crate) mod status;

use std::future::Future;

use crate::failure::Failure;

/// Runs work that waits for the store's threads.
fn block_on<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    runtime.map_err(|error| Failure::Failed(format!("cannot start: {error}")))?.block_on(work)
}
