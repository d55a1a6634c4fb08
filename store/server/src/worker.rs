//! One data-plane worker's view of the server: what all share, and what each keeps to itself.

use std::cell::RefCell;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::HeaderMap;
use kit_core::{Code, Error};
use kit_net::{Handler, Peer, Request, Response};
use kit_rpc::{HealthService, Reflection};
use kit_telemetry::metrics::{Registry, RequestMetrics};
use kit_telemetry::{AccessLog, Tracing};
use kit_web::Cors;
use rowkeep_engine::Session;
use tokio_util::either::Either;

use crate::api::{Api, MethodRef};
use crate::config::ServerConfig;
use crate::context::{SESSION, Sessions};
use crate::grpc::{self, Paths};
use crate::live::Live;
use crate::observe::Observer;
use crate::rest::{self, Rest, Site};

/// What all workers share of one schema; nothing in it changes.
pub(crate) struct Shared {
    pub(crate) config: Arc<ServerConfig>,
    pub(crate) api: Arc<Api>,
    pub(crate) paths: Paths,
    pub(crate) rest: Rest,
    pub(crate) site: Site,
    /// Set if pages of other origins may call.
    pub(crate) cors: Option<Cors>,
    pub(crate) health: HealthService,
    pub(crate) reflection: Reflection,
    pub(crate) metrics: RequestMetrics,
    /// The series of these metrics and of the store.
    pub(crate) registry: Registry,
    pub(crate) access: Arc<AccessLog>,
    pub(crate) tracing: Option<Tracing>,
    /// Authenticates session tokens.
    pub(crate) session_key: [u8; 32],
}

/// One worker, serving one schema.
pub(crate) struct Worker {
    pub(crate) shared: Arc<Shared>,
    pub(crate) sessions: Sessions,
    pub(crate) observer: Observer,
}

impl Worker {
    fn new(shared: Arc<Shared>, index: usize) -> Self {
        let schema = &shared.api.schema;
        shared.api.engine.attach();
        let observer = Observer::new(schema, &shared.metrics, &shared.access, shared.tracing.as_ref(), index);
        Self { sessions: Sessions::new(shared.session_key), observer, shared }
    }

    /// The session of a request.
    ///
    /// # Errors
    /// `INVALID_ARGUMENT` if its headers do not say what they should.
    pub(crate) fn session(&self, method: MethodRef, headers: &HeaderMap) -> Result<Session, Error> {
        self.sessions.open(headers, self.shared.api.default_freshness(method))
    }

    /// Says how far the client has seen.
    pub(crate) fn put_session(&self, session: &Session, headers: &mut HeaderMap) {
        headers.insert(SESSION, self.sessions.token(&self.shared.api.engine.seen(session)));
    }

    /// Answers a request. An `async fn` would hold the request beside the future that has it, and all that is held is moved
    /// more than once.
    fn handle(&self, request: Request, peer: SocketAddr) -> impl Future<Output = Response> {
        let arrival = self.observer.arrived(Instant::now(), peer, &request);
        if kit_rpc::is_grpc(request.headers()) {
            Either::Left(grpc::handle(self, request, arrival))
        } else {
            Either::Right(rest::handle(self, request, arrival))
        }
    }

    #[cold]
    fn refuse(&self, request: Request, peer: SocketAddr, error: Error) -> Response {
        let arrival = self.observer.arrived(Instant::now(), peer, &request);
        if kit_rpc::is_grpc(request.headers()) {
            grpc::refuse(self, request, arrival, error)
        } else {
            rest::refuse(self, request, arrival, error)
        }
    }
}

/// One worker over all schemas: requests enter by the gate and meet the schema that is served then.
pub(crate) struct Front {
    live: Arc<Live>,
    index: usize,
    worker: RefCell<(u64, Rc<Worker>)>,
}

impl Front {
    pub(crate) fn new(live: Arc<Live>, index: usize) -> Self {
        // Read before the generation: at worst the first request makes the worker once more.
        let number = live.number();
        let worker = Rc::new(Worker::new(live.shared(), index));
        Self { index, worker: RefCell::new((number, worker)), live }
    }

    fn worker(&self) -> Rc<Worker> {
        let number = self.live.number();
        let mut current = self.worker.borrow_mut();
        if current.0 != number {
            *current = (number, Rc::new(Worker::new(self.live.shared(), self.index)));
        }
        Rc::clone(&current.1)
    }
}

impl Handler for Front {
    async fn handle(self: Rc<Self>, request: Request, peer: Peer) -> Response {
        let patience: Duration = *self.live.base.config.rest.timeout;
        match self.live.gate.enter(self.index, patience).await {
            Some(_entered) => self.worker().handle(request, peer.address).await,
            None => self.worker().refuse(request, peer.address, busy()),
        }
    }
}

fn busy() -> Error {
    let message = "the schema is being changed and the tables are being brought up to it; try again";
    Error::new(Code::Unavailable, "SCHEMA_CHANGING", message).with_retry_after(Duration::from_secs(1))
}
