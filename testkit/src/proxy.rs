//! A TCP proxy that fails on demand: cuts connections, refuses new ones, holds data back, delays, slices writes, stops
//! after some bytes, loses one request or its answer.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
        mpsc::{SyncSender, sync_channel},
    },
    time::{Duration, Instant},
};

/// Pieces that one direction holds back at most.
const UNDERWAY: usize = 64;

/// A proxy on a free port in front of one server. Stops when dropped.
#[derive(Debug)]
pub struct FaultProxy {
    address: SocketAddr,
    faults: Arc<Faults>,
}

#[derive(Debug)]
struct Faults {
    upstream: Mutex<SocketAddr>,
    /// New connections are closed at once.
    cut: AtomicBool,
    stopped: AtomicBool,
    /// Nothing passes.
    held: AtomicBool,
    delay_micros: AtomicU64,
    /// Bytes per write; 0 means as they come.
    slice: AtomicUsize,
    /// Bytes that may still pass towards the client; `u64::MAX` means no limit.
    budget: AtomicU64,
    /// The next piece of data with these bytes is lost, or its answer is.
    lost: Mutex<Option<(Vec<u8>, Lost)>>,
    open: Mutex<Vec<TcpStream>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lost {
    Request,
    Answer,
    /// The answer, and every connection with it.
    All,
}

impl FaultProxy {
    /// A proxy that passes everything on until told otherwise.
    ///
    /// # Panics
    /// If no port is free.
    pub fn start(upstream: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port on loopback");
        let address = listener.local_addr().expect("the address of a bound socket");
        let faults = Arc::new(Faults {
            upstream: Mutex::new(upstream),
            cut: AtomicBool::new(false),
            stopped: AtomicBool::new(false),
            held: AtomicBool::new(false),
            delay_micros: AtomicU64::new(0),
            slice: AtomicUsize::new(0),
            budget: AtomicU64::new(u64::MAX),
            lost: Mutex::new(None),
            open: Mutex::new(Vec::new()),
        });
        let shared = Arc::clone(&faults);
        std::thread::spawn(move || accept(&listener, &shared));
        Self { address, faults }
    }

    /// Where clients connect to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Closes every connection and refuses new ones until [`FaultProxy::heal`].
    pub fn cut(&self) {
        self.faults.cut.store(true, Ordering::SeqCst);
        self.faults.close_all();
    }

    /// Lets nothing pass and tells nobody: connections stay open, new ones are taken, and no answer comes. As over a network
    /// that lost its way and sends again what was not received, all of it passes after [`FaultProxy::heal`].
    pub fn hold(&self) {
        self.faults.held.store(true, Ordering::SeqCst);
    }

    /// Undoes every fault. Connections that were cut stay cut.
    pub fn heal(&self) {
        self.faults.held.store(false, Ordering::SeqCst);
        self.faults.cut.store(false, Ordering::SeqCst);
        self.faults.delay_micros.store(0, Ordering::SeqCst);
        self.faults.slice.store(0, Ordering::SeqCst);
        self.faults.budget.store(u64::MAX, Ordering::SeqCst);
        *self.faults.lost() = None;
    }

    /// The next request with these bytes in one piece reaches the server; its connection is closed in place of the answer.
    pub fn lose_answer_to(&self, request: &[u8]) {
        *self.faults.lost() = Some((request.to_owned(), Lost::Answer));
    }

    /// The next request with these bytes in one piece reaches the server; in place of its answer every connection is closed,
    /// and new ones are refused until [`FaultProxy::heal`].
    pub fn cut_at_answer_to(&self, request: &[u8]) {
        *self.faults.lost() = Some((request.to_owned(), Lost::All));
    }

    /// The next request with these bytes in one piece never reaches the server; its connection is closed.
    pub fn lose_request(&self, request: &[u8]) {
        *self.faults.lost() = Some((request.to_owned(), Lost::Request));
    }

    /// Whether such a request is still waited for.
    pub fn is_waiting_to_lose(&self) -> bool {
        self.faults.lost().is_some()
    }

    /// Holds back each piece of data in both directions, counted from when it came, as a long way does.
    pub fn delay(&self, delay: Duration) {
        let micros = u64::try_from(delay.as_micros()).unwrap_or(u64::MAX);
        self.faults.delay_micros.store(micros, Ordering::SeqCst);
    }

    /// Writes at most `bytes` at a time in both directions, each in a packet of its own.
    pub fn slice(&self, bytes: usize) {
        self.faults.slice.store(bytes, Ordering::SeqCst);
    }

    /// Lets `bytes` more bytes pass towards clients, over all connections, then cuts.
    pub fn cut_after(&self, bytes: u64) {
        self.faults.budget.store(bytes, Ordering::SeqCst);
    }

    /// Sends new connections to another server.
    pub fn redirect(&self, upstream: SocketAddr) {
        *self.faults.upstream.lock().unwrap_or_else(PoisonError::into_inner) = upstream;
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.faults.stopped.store(true, Ordering::SeqCst);
        self.cut();
        // Wakes the accepting thread, which then ends.
        let _ = TcpStream::connect(self.address);
    }
}

impl Faults {
    fn close_all(&self) {
        for stream in self.open.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    fn remember(&self, stream: &TcpStream) {
        if let Ok(stream) = stream.try_clone() {
            self.open.lock().unwrap_or_else(PoisonError::into_inner).push(stream);
        }
    }

    fn lost(&self) -> MutexGuard<'_, Option<(Vec<u8>, Lost)>> {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is to be lost of this request, if it is the one; then there is no other.
    fn loses(&self, data: &[u8]) -> Option<Lost> {
        let is_met = |(bytes, _): &mut (Vec<u8>, Lost)| data.windows(bytes.len()).any(|window| window == *bytes);
        self.lost().take_if(is_met).map(|(_, lost)| lost)
    }

    /// Takes up to `wanted` bytes from the budget.
    fn spend(&self, wanted: usize) -> usize {
        let wanted = wanted as u64;
        let left = self.budget.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
            Some(if left == u64::MAX { left } else { left.saturating_sub(wanted) })
        });
        let allowed = wanted.min(left.unwrap_or(0));
        usize::try_from(allowed).unwrap_or(usize::MAX)
    }
}

fn accept(listener: &TcpListener, faults: &Arc<Faults>) {
    for client in listener.incoming() {
        if faults.stopped.load(Ordering::SeqCst) {
            return;
        }
        let Ok(client) = client else { continue };
        if faults.cut.load(Ordering::SeqCst) {
            continue;
        }
        let upstream = *faults.upstream.lock().unwrap_or_else(PoisonError::into_inner);
        let Ok(server) = TcpStream::connect(upstream) else { continue };
        faults.remember(&client);
        faults.remember(&server);
        if faults.cut.load(Ordering::SeqCst) {
            faults.close_all();
        }
        let deaf = Arc::new(AtomicBool::new(false));
        pump(&client, &server, faults, &deaf, false);
        pump(&server, &client, faults, &deaf, true);
    }
}

/// Copies one direction on threads of its own; the end of it ends both. `deaf`: the client hears nothing more.
fn pump(from: &TcpStream, to: &TcpStream, faults: &Arc<Faults>, deaf: &Arc<AtomicBool>, to_client: bool) {
    let (Ok(reader), Ok(from), Ok(mut to)) = (from.try_clone(), from.try_clone(), to.try_clone()) else { return };
    let (faults, deaf) = (Arc::clone(faults), Arc::clone(deaf));
    let (sender, pieces) = sync_channel(UNDERWAY);
    std::thread::spawn(move || receive(reader, &sender));
    std::thread::spawn(move || {
        let _ = to.set_nodelay(true);
        while let Ok((arrived, data)) = pieces.recv() {
            let lost = if to_client { None } else { faults.loses(&data) };
            if lost == Some(Lost::All) {
                faults.cut.store(true, Ordering::SeqCst);
            }
            if lost.is_some() {
                deaf.store(true, Ordering::SeqCst);
            }
            let ends = lost == Some(Lost::Request) || (to_client && deaf.load(Ordering::SeqCst));
            if ends || forward(&data, arrived, &mut to, &faults, to_client).is_none() {
                break;
            }
        }
        if faults.cut.load(Ordering::SeqCst) {
            // Before this connection: whoever sees it closed finds no other that still is open.
            faults.close_all();
        }
        let _ = from.shutdown(Shutdown::Both);
        let _ = to.shutdown(Shutdown::Both);
    });
}

/// Reads on while what came before is held back: a long way delays data, and does not slow it down.
fn receive(mut from: TcpStream, pieces: &SyncSender<(Instant, Vec<u8>)>) {
    let mut buffer = [0; 16 * 1024];
    while let Ok(n @ 1..) = from.read(&mut buffer) {
        if pieces.send((Instant::now(), buffer[..n].to_vec())).is_err() {
            break;
        }
    }
}

fn forward(data: &[u8], arrived: Instant, to: &mut TcpStream, faults: &Faults, metered: bool) -> Option<()> {
    let slice = match faults.slice.load(Ordering::SeqCst) {
        0 => data.len(),
        bytes => bytes,
    };
    for piece in data.chunks(slice) {
        while faults.held.load(Ordering::SeqCst) && !faults.stopped.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(1));
        }
        let due = arrived + Duration::from_micros(faults.delay_micros.load(Ordering::SeqCst));
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
        let allowed = if metered { faults.spend(piece.len()) } else { piece.len() };
        to.write_all(&piece[..allowed]).ok()?;
        if allowed < piece.len() {
            faults.cut.store(true, Ordering::SeqCst);
            faults.close_all();
            return None;
        }
    }
    Some(())
}
