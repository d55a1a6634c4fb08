//! One data-plane worker's view of the server: what all share, and what each keeps to itself.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use http::HeaderMap;
use kit_net::{Handler, Peer, Request, Response};
use kit_rpc::{HealthService, Reflection};
use kit_telemetry::metrics::RequestMetrics;
use kit_telemetry::{AccessLog, Tracing};
use kit_web::Cors;

use crate::api::Api;
use crate::config::ServerConfig;
use crate::context::{SESSION, Sessions};
use crate::grpc::{self, Paths};
use crate::observe::Observer;
use crate::rest::{self, Rest, Site};

/// What all workers share; nothing in it changes after start.
pub(crate) struct Shared {
    pub(crate) config: ServerConfig,
    pub(crate) api: Api,
    pub(crate) paths: Paths,
    pub(crate) rest: Rest,
    pub(crate) site: Site,
    /// Set if pages of other origins may call.
    pub(crate) cors: Option<Cors>,
    pub(crate) health: HealthService,
    pub(crate) reflection: Reflection,
    pub(crate) metrics: RequestMetrics,
    pub(crate) access: AccessLog,
    pub(crate) tracing: Option<Tracing>,
    /// Authenticates session tokens.
    pub(crate) session_key: [u8; 32],
}

/// One worker.
pub(crate) struct Worker {
    pub(crate) shared: Arc<Shared>,
    pub(crate) sessions: Sessions,
    pub(crate) observer: Observer,
}

impl Worker {
    pub(crate) fn new(shared: Arc<Shared>, index: usize) -> Self {
        let schema = &shared.api.schema;
        let observer = Observer::new(schema, &shared.metrics, &shared.access, shared.tracing.as_ref(), index);
        Self { sessions: Sessions::new(shared.session_key), observer, shared }
    }

    /// Says how far the client has seen.
    pub(crate) fn put_session(&self, headers: &mut HeaderMap) {
        headers.insert(SESSION, self.sessions.token(self.shared.api.engine.position()));
    }
}

impl Handler for Worker {
    async fn handle(self: Rc<Self>, request: Request, peer: Peer) -> Response {
        let arrival = self.observer.arrived(Instant::now(), peer.address, &request);
        if kit_rpc::is_grpc(request.headers()) {
            grpc::handle(&self, request, arrival).await
        } else {
            rest::handle(&self, request, arrival).await
        }
    }
}
