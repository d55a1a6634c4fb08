//! The workers, and the acceptor that hands them connections.

use std::io;
use std::net::{SocketAddr, TcpListener as StdTcpListener, TcpStream as StdTcpStream};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use kit_core::{BoxError, ShutdownWatch};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, oneshot};

use crate::admission::{Admission, NetStats};
use crate::listener::begin_no_more;
use crate::worker::{self, Order};
use crate::{Handler, NetConfig};

/// How long connections that were begun before a drain may take to be completed: a round trip within a data centre.
const HANDSHAKE: Duration = Duration::from_millis(10);

/// How a drain ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DrainOutcome {
    /// Every accepted request was answered.
    Complete,
    /// The bound passed, or a second signal came; so many connections were dropped.
    Cut {
        /// Connections that were still open.
        connections: usize,
    },
}

/// The data-plane threads, started and waiting for connections.
pub struct DataPlane {
    workers: Vec<WorkerHandle>,
    admission: Arc<Admission>,
    drain_timeout: Duration,
}

struct WorkerHandle {
    orders: mpsc::UnboundedSender<Order>,
    load: Arc<AtomicUsize>,
    done: oneshot::Receiver<()>,
    thread: JoinHandle<()>,
}

impl DataPlane {
    /// Starts the workers and makes each its handler, on its own thread. Returns when all are ready.
    ///
    /// # Errors
    /// A limit that cannot work, the first error of a factory, or that a thread cannot be started.
    pub fn start<H, F>(config: &NetConfig, factory: F) -> Result<Self, BoxError>
    where
        H: Handler,
        F: Fn(usize) -> Result<Rc<H>, BoxError> + Send + Sync + 'static,
    {
        config.check()?;
        let factory = Arc::new(factory);
        let admission = Arc::new(Admission::new(config));
        let mut starting = Vec::new();
        for index in 0..config.worker_count() {
            starting.push(start_worker(index, config, &factory, &admission.stats)?);
        }
        let mut workers = Vec::new();
        for (ready, worker) in starting {
            ready.recv()??;
            workers.push(worker);
        }
        Ok(Self { workers, admission, drain_timeout: *config.drain_timeout })
    }

    /// Counts for metrics.
    pub fn stats(&self) -> Arc<NetStats> {
        Arc::clone(&self.admission.stats)
    }

    /// Accepts connections until `shutdown` drains, then finishes what was accepted.
    ///
    /// # Errors
    /// If the listener cannot be used.
    pub async fn serve(self, listener: StdTcpListener, mut shutdown: ShutdownWatch) -> io::Result<DrainOutcome> {
        listener.set_nonblocking(true)?;
        let listener = TcpListener::from_std(listener)?;
        tokio::select! {
            () = shutdown.draining() => {}
            () = self.accept_all(&listener) => {}
        }
        self.accept_backlog(listener).await?;
        Ok(self.finish(shutdown).await)
    }

    async fn accept_all(&self, listener: &TcpListener) {
        loop {
            match listener.accept().await.and_then(|(tcp, address)| Ok((tcp.into_std()?, address))) {
                Ok((tcp, address)) => self.hand_over(tcp, address),
                Err(error) if is_about_one_connection(&error) => tracing::debug!(%error, "connection lost"),
                Err(error) => {
                    // Out of file descriptors or memory: others may give some back.
                    tracing::warn!(%error, "cannot accept connections");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }

    /// The kernel completed these connections before the listener closed: to their clients they are accepted.
    async fn accept_backlog(&self, listener: TcpListener) -> io::Result<()> {
        let listener = listener.into_std()?;
        if let Err(error) = begin_no_more(&listener) {
            tracing::debug!(%error, "a client that connects while the listener closes may be reset");
        }
        self.accept_queued(&listener)?;
        // Those that had sent their first packet before.
        tokio::time::sleep(HANDSHAKE).await;
        self.accept_queued(&listener)
    }

    fn accept_queued(&self, listener: &StdTcpListener) -> io::Result<()> {
        loop {
            match listener.accept() {
                Ok((tcp, address)) => {
                    tcp.set_nonblocking(true)?;
                    self.hand_over(tcp, address);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if is_about_one_connection(&error) => tracing::debug!(%error, "connection lost"),
                Err(error) => {
                    tracing::warn!(%error, "connections that wait to be accepted are reset");
                    return Ok(());
                }
            }
        }
    }

    fn hand_over(&self, tcp: StdTcpStream, address: SocketAddr) {
        // A worker that died takes nothing, but has no load either.
        let alive = self.workers.iter().filter(|worker| !worker.orders.is_closed());
        let Some(worker) = alive.min_by_key(|worker| worker.load.load(Ordering::Relaxed)) else {
            return tracing::error!("no data-plane worker is left");
        };
        let Some(pass) = self.admission.admit(address.ip(), &worker.load) else {
            tracing::debug!(%address, "too many connections, one refused");
            return;
        };
        if let Err(error) = tcp.set_nodelay(true) {
            tracing::debug!(%error, "cannot set TCP_NODELAY");
        }
        // Fails only when the worker is gone; the connection is closed by being dropped then.
        let _ = worker.orders.send(Order::Serve(tcp, address, pass));
    }

    async fn finish(self, mut shutdown: ShutdownWatch) -> DrainOutcome {
        let mut threads = Vec::new();
        let mut waiting = Vec::new();
        let mut orders = Vec::new();
        for worker in self.workers {
            // Fails only when the worker is gone.
            let _ = worker.orders.send(Order::Drain);
            orders.push(worker.orders);
            waiting.push(worker.done);
            threads.push(worker.thread);
        }
        let all = async {
            for done in waiting {
                let _ = done.await;
            }
        };
        // The sweep closes what is too slow at the bound; the extra time lets it.
        let bound = self.drain_timeout + Duration::from_secs(2);
        let complete = tokio::select! {
            () = all => true,
            () = shutdown.stopped() => false,
            () = tokio::time::sleep(bound) => false,
        };
        let outcome = match (complete, self.admission.stats.open()) {
            (true, _) | (false, 0) => DrainOutcome::Complete,
            (false, connections) => DrainOutcome::Cut { connections },
        };
        drop(orders);
        for thread in threads {
            let _ = thread.join();
        }
        outcome
    }
}

fn is_about_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::Interrupted
    )
}

type Ready = std::sync::mpsc::Receiver<Result<(), BoxError>>;

fn start_worker<H, F>(
    index: usize,
    config: &NetConfig,
    factory: &Arc<F>,
    stats: &Arc<NetStats>,
) -> io::Result<(Ready, WorkerHandle)>
where
    H: Handler,
    F: Fn(usize) -> Result<Rc<H>, BoxError> + Send + Sync + 'static,
{
    let (ready, is_ready) = std::sync::mpsc::sync_channel(1);
    let (orders, inbox) = mpsc::unbounded_channel();
    let (finished, done) = oneshot::channel();
    let (config, factory, stats) = (config.clone(), Arc::clone(factory), Arc::clone(stats));
    let body = move || {
        worker::run(|| factory(index), &config, stats, inbox, &ready);
        // Nobody waits for a worker that did not start.
        let _ = finished.send(());
    };
    let thread = std::thread::Builder::new().name(format!("data-{index}")).spawn(body)?;
    Ok((is_ready, WorkerHandle { orders, load: Arc::default(), done, thread }))
}
