//! Watches over gRPC: a stream of responses, at the pace of the client.
//!
//! The next event is asked for when the connection has taken the last one, so a client that does not read holds back
//! nothing but itself.

use kit_core::Error;
use kit_net::{Incoming, Response, unfold};
use kit_rpc::{Call, Framed};

use crate::api::{MethodRef, Watch};
use crate::worker::Worker;

/// Begins a watch and answers with its events.
///
/// # Errors
/// What is wrong with the request; what fails later is the status of the stream.
pub(super) async fn answer(worker: &Worker, method: MethodRef, call: &Call, body: Incoming) -> Result<Response, Error> {
    let request = call.read(body).await?;
    let watch = Watch::begin(&worker.shared.api, method, &request, None, call.asked_deadline()).await?;
    Ok(call.stream(unfold(watch, |mut watch| async move {
        let event = watch.next().await?;
        Ok::<_, Error>(Some((Framed::from_framed(event.framed()), watch)))
    })))
}
