//! gRPC and gRPC-Web on the data plane, for services whose messages are known only at run time as bytes.
//!
//! A handler opens a [`Call`] from the head of a request, reads its one message with [`Call::read`], and answers with
//! [`Call::reply`], [`Call::stream`] or [`Call::fail`]. A reply is one buffer with its frame prefix in place (a
//! [`FrameBuf`]), so the bytes are written once from the codec to the socket.
//!
//! What is not here: routing by path, and what a message means.

mod call;
mod config;
mod encoding;
mod frame;
mod health;
mod reflection;
mod status;
mod stream;
mod timeout;
mod tower_service;
mod web;

pub use call::{Call, is_grpc};
pub use config::{ReplyCompression, RpcConfig};
pub use frame::{FRAME_PREFIX, FrameBuf, Framed};
pub use health::{HealthService, ServingStatus};
pub use reflection::Reflection;
pub use status::google_rpc;
pub use stream::Messages;
pub use tower_service::call_tower;
