//! The data plane of a service: sockets, connections and the response body. Knows HTTP, but no gRPC and no REST.
//!
//! ```text
//! DataPlane ── one acceptor ── admits (caps) ── least loaded ──► worker 0..N   one current-thread runtime each
//!                                                                  └ connection   HTTP/1.1 or HTTP/2 by preface
//!                                                                      └ guard      Host, CL+TE, panics, accounting
//!                                                                          └ Handler  the service
//! ```
//!
//! Workers share nothing: a [`Handler`] is made once per worker, on its thread, and need not be `Send`.
//! A connection stays on its worker. Requests of a connection are polled in the connection's own task; only one that
//! has to wait gets a task of its own.

mod admission;
mod body;
mod coding;
mod config;
mod connection;
mod dataplane;
mod deferred;
mod guard;
mod io;
mod listener;
mod socket;
mod unfold;
mod vitals;
mod worker;

use std::net::SocketAddr;
use std::rc::Rc;

pub use admission::NetStats;
pub use body::{Body, Trailers};
pub use coding::{Coding, Packer, UnpackError};
pub use config::NetConfig;
pub use dataplane::{DataPlane, DrainOutcome};
/// The body of a request.
pub use hyper::body::Incoming;
pub use listener::bind;
pub use unfold::unfold;

/// A request as a handler gets it.
pub type Request = http::Request<Incoming>;

/// A response as a handler gives it.
pub type Response = http::Response<Body>;

/// Who sent a request.
#[derive(Debug, Clone, Copy)]
pub struct Peer {
    /// The address of the other end of the connection.
    pub address: SocketAddr,
}

/// A service, one instance per worker.
pub trait Handler: 'static {
    /// Answers one request. The future stays on its worker, so it may hold `Rc` and thread-local things.
    fn handle(self: Rc<Self>, request: Request, peer: Peer) -> impl Future<Output = Response> + 'static;
}
