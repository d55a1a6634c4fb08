//! Configuration, composition, the gRPC surface and the REST surface.

mod api;
pub mod config;
mod context;
mod gate;
mod generation;
mod grpc;
mod inspect;
mod keys;
mod live;
mod observe;
mod rest;
mod server;
pub mod storage;
mod store_metrics;
mod sweeper;
mod watching;
mod wire;
mod worker;

pub use config::ServerConfig;
pub use live::ReloadError;
pub use rest::RestConfig;
pub use server::{Reloader, Server};
pub use storage::{Caching, Migration, Place, Storage, StorageOptions};
pub use watching::WatchConfig;
