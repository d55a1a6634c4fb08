//! A service made by tonic's code generator, as part of a handler.

use kit_core::BoxError;
use kit_net::{Body, Request, Response};
use tower::{Service, ServiceExt};

/// Calls a tonic service with a request of the data plane.
///
/// # Errors
/// When the service fails without a response.
pub async fn call_tower<S>(service: S, request: Request) -> Result<Response, BoxError>
where
    S: Service<http::Request<tonic::body::Body>, Response = http::Response<tonic::body::Body>>,
    S::Error: Into<BoxError>,
{
    let response = service.oneshot(request.map(tonic::body::Body::new)).await.map_err(Into::into)?;
    Ok(response.map(Body::boxed))
}
