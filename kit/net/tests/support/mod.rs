//! A data plane on a free port, and clients that speak raw bytes.
#![allow(dead_code, clippy::unwrap_used, reason = "each test file uses its part, and a test may give up")]

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::BodyExt;
use kit_core::config::HumanDuration;
use kit_core::{Shutdown, ShutdownWatch};
use kit_net::{Body, DataPlane, DrainOutcome, Handler, NetConfig, NetStats, Peer, Request, Response};

/// How long anything may take before a test gives up.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Limits short enough for a test, long enough for a slow machine.
pub fn config() -> NetConfig {
    NetConfig {
        workers: 1,
        header_read_timeout: HumanDuration::millis(300),
        drain_quiet: HumanDuration::millis(100),
        ..NetConfig::default()
    }
}

/// `/` says hello, `/echo` returns the body, `/wait` answers after 200 ms, `/late` 200 ms after a drain has begun, `/panic`
/// panics, `/large` is 64 MiB, `/silent` streams nothing for ever.
pub struct Site {
    shutdown: ShutdownWatch,
    late: Arc<AtomicU32>,
}

impl Handler for Site {
    async fn handle(self: Rc<Self>, request: Request, _: Peer) -> Response {
        let body = match request.uri().path() {
            "/echo" => Body::full(request.into_body().collect().await.unwrap().to_bytes()),
            "/wait" => {
                tokio::time::sleep(Duration::from_millis(200)).await;
                Body::full("waited")
            }
            "/late" => {
                self.late.fetch_add(1, Ordering::Relaxed);
                self.shutdown.clone().draining().await;
                tokio::time::sleep(Duration::from_millis(200)).await;
                Body::full("late")
            }
            "/panic" => panic!("this handler panics"),
            "/large" => {
                Body::unfold(0, |n| async move { Ok((n < 1024).then(|| (Bytes::from(vec![b'x'; 64 << 10]), n + 1))) })
            }
            "/panic-late" => Body::unfold((), |()| async { panic!("this body panics") }),
            "/silent" => Body::unfold((), |()| std::future::pending()),
            _ => Body::full("hello"),
        };
        Response::new(body)
    }
}

pub struct Server {
    pub address: SocketAddr,
    pub shutdown: Shutdown,
    pub stats: Arc<NetStats>,
    /// Requests for `/late` that have arrived.
    pub late: Arc<AtomicU32>,
    thread: Option<JoinHandle<DrainOutcome>>,
}

impl Server {
    pub fn start(config: NetConfig) -> Self {
        let listener = kit_net::bind(([127, 0, 0, 1], 0).into()).unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = Shutdown::new();
        let watch = shutdown.watch();
        let late = Arc::new(AtomicU32::new(0));
        let (for_site, counted) = (shutdown.watch(), Arc::clone(&late));
        let make = move |_| Ok(Rc::new(Site { shutdown: for_site.clone(), late: Arc::clone(&counted) }));
        let plane = DataPlane::start(&config, make).unwrap();
        let stats = plane.stats();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(plane.serve(listener, watch)).unwrap()
        });
        Self { address, shutdown, stats, late, thread: Some(thread) }
    }

    pub fn connect(&self) -> Client {
        let tcp = TcpStream::connect(self.address).unwrap();
        tcp.set_nodelay(true).unwrap();
        tcp.set_read_timeout(Some(PATIENCE)).unwrap();
        Client(tcp)
    }

    /// A connection, unless the server does not listen any more.
    pub fn connect_again(&self) -> Option<Client> {
        let tcp = TcpStream::connect(self.address).ok()?;
        tcp.set_read_timeout(Some(PATIENCE)).unwrap();
        Some(Client(tcp))
    }

    /// Drains and waits for the end.
    pub fn drain(mut self) -> DrainOutcome {
        self.shutdown.drain();
        self.thread.take().unwrap().join().unwrap()
    }

    /// Waits for the end of a drain that was begun.
    pub fn join(mut self) -> DrainOutcome {
        self.thread.take().unwrap().join().unwrap()
    }

    pub fn wait_for(&self, what: &str, holds: impl Fn(&NetStats) -> bool) {
        let start = Instant::now();
        while !holds(&self.stats) {
            assert!(start.elapsed() < PATIENCE, "{what} did not happen: {:?}", self.stats);
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.shutdown.stop();
    }
}

pub struct Client(pub TcpStream);

impl Client {
    /// Sends; a server that closed already is not a failure of the test.
    pub fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.0.write_all(bytes.as_ref());
    }

    /// Everything until the server closes.
    pub fn read_to_end(&mut self) -> String {
        let mut all = Vec::new();
        match self.0.read_to_end(&mut all) {
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
            Err(error) => panic!("the server did not close within {PATIENCE:?}: {error}"),
        }
        String::from_utf8_lossy(&all).into_owned()
    }

    /// Reads until the text ends so.
    pub fn read_until(&mut self, end: &str) -> String {
        let mut all = Vec::new();
        let mut byte = [0];
        while !all.ends_with(end.as_bytes()) {
            let count = self.0.read(&mut byte).unwrap();
            assert!(count > 0, "closed after {:?}", String::from_utf8_lossy(&all));
            all.push(byte[0]);
        }
        String::from_utf8(all).unwrap()
    }

    /// Sends a request and reads the answer, which says hello, on a connection that stays open.
    pub fn hello(&mut self) -> String {
        self.send("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
        self.read_until("hello")
    }
}
