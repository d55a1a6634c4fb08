//! Configuration, composition, the gRPC surface and the REST surface.

mod api;
pub mod config;
mod context;
mod grpc;
mod keys;
mod observe;
mod rest;
mod server;
pub mod storage;
mod store_metrics;
mod sweeper;
mod wire;
mod worker;

pub use config::ServerConfig;
pub use rest::RestConfig;
pub use server::Server;
pub use storage::{Migration, Storage};
