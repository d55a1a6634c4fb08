//! A server of the shop in this process, and small clients that see every byte.
#![allow(unreachable_pub, reason = "what is public here is so for the test files")]
#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(clippy::unwrap_used, reason = "clippy knows tests only by their attribute")]

pub mod following;
pub mod grpc;
pub mod http;
pub mod surface;
pub mod watching;
pub mod wire;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::JoinHandle;

use kit_core::{Error, Shutdown};
use kit_telemetry::{LogConfig, init_logs};
use rowkeep_schema::{CompileOptions, Schema, compile};
use rowkeep_server::{Reloader, Server, ServerConfig};

/// A running server; dropped, it drains and its data is removed.
pub struct Shop {
    pub address: SocketAddr,
    pub admin: SocketAddr,
    pub data: PathBuf,
    pub reloader: Reloader,
    shutdown: Shutdown,
    thread: Option<JoinHandle<()>>,
    _directory: Option<tempfile::TempDir>,
}

pub fn shop_file() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/shop/shop.proto")
}

pub fn shop_schema() -> Arc<Schema> {
    let options = CompileOptions { files: vec![shop_file()], ..CompileOptions::default() };
    Arc::new(compile(&options).unwrap_or_else(|diagnostics| panic!("{diagnostics}")))
}

/// A configuration on free ports over a directory.
pub fn config(data: &Path) -> ServerConfig {
    let mut config = ServerConfig {
        listen: SocketAddr::from(([127, 0, 0, 1], 0)),
        admin_listen: "127.0.0.1:0".to_owned(),
        data: data.to_owned(),
        ..ServerConfig::default()
    };
    config.http.workers = 2;
    config
}

impl Shop {
    pub fn start() -> Self {
        Self::start_with(|_| {})
    }

    pub fn start_with(change: impl FnOnce(&mut ServerConfig)) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut config = config(directory.path());
        change(&mut config);
        let mut shop = Self::open(shop_schema(), config).unwrap();
        shop._directory = Some(directory);
        shop
    }

    /// Starts over data that stays.
    pub fn open(schema: Arc<Schema>, config: ServerConfig) -> Result<Self, Error> {
        let logs = init_logs(&LogConfig { level: "warn".to_owned(), ..LogConfig::default() }).unwrap();
        let shutdown = Shutdown::new();
        let watch = shutdown.watch();
        let data = config.data.clone();
        let (started, starting) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
            runtime.block_on(async move {
                let server = match Server::open(schema, config, logs) {
                    Ok(server) => server,
                    Err(error) => return started.send(Err(error)).unwrap(),
                };
                let addresses = (server.address().unwrap(), server.admin_address().unwrap());
                started.send(Ok((addresses, server.reloader()))).unwrap();
                server.run(watch).await.unwrap();
            });
        });
        let ((address, admin), reloader) = match starting.recv().unwrap() {
            Ok(addresses) => addresses,
            Err(error) => {
                thread.join().unwrap();
                return Err(error);
            }
        };
        Ok(Self { address, admin, data, reloader, shutdown, thread: Some(thread), _directory: None })
    }

    /// Drains and waits for the end.
    pub fn stop(&mut self) {
        self.shutdown.drain();
        if let Some(thread) = self.thread.take()
            && let Err(panic) = thread.join()
            && !std::thread::panicking()
        {
            std::panic::resume_unwind(panic);
        }
    }
}

impl Drop for Shop {
    fn drop(&mut self) {
        self.stop();
    }
}
