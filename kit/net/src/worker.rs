//! One data-plane thread: a current-thread runtime, its handler, its connections.

use std::cell::{Cell, RefCell};
use std::net::{SocketAddr, TcpStream as StdTcpStream};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::time::{Duration, Instant};

use kit_core::BoxError;
use tokio::net::TcpStream;
use tokio::runtime::{Builder, LocalOptions};
use tokio::sync::{Notify, mpsc};
use tokio::time::MissedTickBehavior;

use crate::admission::{NetStats, Pass};
use crate::connection::{Builders, serve};
use crate::guard::Guard;
use crate::vitals::{Limits, Millis, Verdict, Vitals};
use crate::{Handler, NetConfig, Peer};

/// What a worker is told. When the channel closes it drops what it has and ends.
pub(crate) enum Order {
    Serve(StdTcpStream, SocketAddr, Pass),
    Drain,
}

/// Makes a handler and runs a worker with it on this thread, until it is drained or its orders end. `ready` is told
/// once, whether it started.
pub(crate) fn run<H: Handler>(
    make_handler: impl FnOnce() -> Result<Rc<H>, BoxError>,
    config: &NetConfig,
    stats: Arc<NetStats>,
    orders: mpsc::UnboundedReceiver<Order>,
    ready: &SyncSender<Result<(), BoxError>>,
) {
    let started = Builder::new_current_thread().enable_all().build_local(LocalOptions::default());
    let runtime = match started {
        Ok(runtime) => runtime,
        Err(error) => return drop(ready.send(Err(error.into()))),
    };
    runtime.block_on(async {
        match make_handler() {
            Ok(handler) => {
                // Fails only when nobody waits any more: then the orders end as well.
                let _ = ready.send(Ok(()));
                Worker::new(handler, config, stats).run(orders).await;
            }
            Err(error) => drop(ready.send(Err(error))),
        }
    });
}

struct Worker<H> {
    handler: Rc<H>,
    builders: Rc<Builders>,
    stats: Arc<NetStats>,
    limits: Limits,
    sweep_interval: Duration,
    max_age: Millis,
    started: Instant,
    clock: Rc<Cell<Millis>>,
    connections: RefCell<Vec<Rc<Vitals>>>,
    open: Rc<Cell<usize>>,
    ended: Rc<Notify>,
    draining: Cell<bool>,
    dice: Cell<u64>,
}

impl<H: Handler> Worker<H> {
    fn new(handler: Rc<H>, config: &NetConfig, stats: Arc<NetStats>) -> Self {
        Self {
            handler,
            builders: Rc::new(Builders::new(config)),
            stats,
            limits: Limits::new(config),
            sweep_interval: config.sweep_interval(),
            max_age: Millis::try_from(config.max_connection_age.as_millis()).unwrap_or(Millis::MAX / 2),
            started: Instant::now(),
            clock: Rc::default(),
            connections: RefCell::default(),
            open: Rc::default(),
            ended: Rc::default(),
            draining: Cell::new(false),
            dice: Cell::new(u64::from(std::process::id()) | 1),
        }
    }

    async fn run(self, mut orders: mpsc::UnboundedReceiver<Order>) {
        let mut sweep = tokio::time::interval(self.sweep_interval);
        sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !(self.draining.get() && self.open.get() == 0) {
            tokio::select! {
                order = orders.recv() => match order {
                    Some(Order::Serve(tcp, address, pass)) => self.accept(tcp, address, pass),
                    Some(Order::Drain) => self.drain(),
                    None => return,
                },
                _ = sweep.tick() => self.sweep(),
                () = self.ended.notified() => {}
            }
        }
    }

    fn tell_time(&self) {
        self.clock.set(Millis::try_from(self.started.elapsed().as_millis()).unwrap_or(Millis::MAX));
    }

    fn sweep(&self) {
        self.tell_time();
        self.connections.borrow_mut().retain(|vitals| vitals.sweep() != Verdict::Forget);
    }

    fn drain(&self) {
        self.tell_time();
        self.draining.set(true);
        for vitals in &*self.connections.borrow() {
            vitals.retire();
        }
    }

    fn accept(&self, tcp: StdTcpStream, address: SocketAddr, pass: Pass) {
        let tcp = match TcpStream::from_std(tcp) {
            Ok(tcp) => tcp,
            Err(error) => return tracing::warn!(%error, "cannot register a connection"),
        };
        self.tell_time();
        let vitals = Rc::new(Vitals::new(Rc::clone(&self.clock), self.limits, self.retire_at()));
        self.connections.borrow_mut().push(Rc::clone(&vitals));
        let guard = Rc::new(Guard {
            handler: Rc::clone(&self.handler),
            peer: Peer { address },
            vitals: Rc::clone(&vitals),
            stats: Arc::clone(&self.stats),
        });
        let slot = Slot { vitals, open: Rc::clone(&self.open), ended: Rc::clone(&self.ended), _pass: pass };
        slot.open.set(slot.open.get() + 1);
        let connection = serve(tcp, Rc::clone(&self.builders), guard);
        tokio::task::spawn_local(async move {
            let _slot = slot;
            connection.await;
        });
    }

    /// The maximum age plus up to a quarter at random, so that connections made together do not end together.
    fn retire_at(&self) -> Millis {
        let mut dice = self.dice.get();
        dice ^= dice << 13;
        dice ^= dice >> 7;
        dice ^= dice << 17;
        self.dice.set(dice);
        self.clock.get() + self.max_age + dice % (self.max_age / 4 + 1)
    }
}

/// The place of one connection on its worker, given back when dropped.
struct Slot {
    vitals: Rc<Vitals>,
    open: Rc<Cell<usize>>,
    ended: Rc<Notify>,
    _pass: Pass,
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.vitals.end();
        self.open.set(self.open.get() - 1);
        if self.open.get() == 0 {
            self.ended.notify_one();
        }
    }
}
