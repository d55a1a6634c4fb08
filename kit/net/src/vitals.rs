//! What is known of one connection, and when it has to go.
//!
//! One sweep per worker looks at every connection a few times a second, instead of a timer per request: arming and
//! disarming a timer costs 0.7-0.9 us per HTTP/1.1 request, setting a few cells costs nothing. Limits are therefore
//! kept to within one sweep interval.
//!
//! ## Phases
//! - `Head`: nothing but an incomplete request header has come since `since`. Ends by `header_read_timeout`: the
//!   defence against slow headers. A new connection starts here.
//! - `Idle`: no request. Ends by `idle_timeout`.
//! - `Linger`: this side has closed; ends when the other side does, or after a second.
//! - busy (`in_flight > 0`): ends only when the client leaves a response untaken for `write_timeout`. A response that
//!   waits for the server does not count: a watch may be silent for hours.
//!
//! A retired connection (too old, idle for too long, or the process drains) takes no new request beyond those that are
//! already on their way, and is closed after `drain_timeout` in any case.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::task::Waker;

use crate::NetConfig;

/// Milliseconds since the worker started, moved by the sweep.
pub(crate) type Millis = u64;

/// The limits, in the unit of the clock.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    header: Millis,
    idle: Millis,
    write: Millis,
    drain: Millis,
    quiet: Millis,
}

impl Limits {
    pub(crate) fn new(config: &NetConfig) -> Self {
        let millis = |limit: std::time::Duration| Millis::try_from(limit.as_millis()).unwrap_or(Millis::MAX);
        Self {
            header: millis(*config.header_read_timeout),
            idle: millis(*config.idle_timeout),
            write: millis(*config.write_timeout),
            drain: millis(*config.drain_timeout),
            quiet: millis(*config.drain_quiet),
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Head,
    Idle,
    Linger,
}

/// How long a connection that this side closed waits for the other side, so that the last response is not lost to a
/// reset.
const LINGER: Millis = 1_000;

/// What the sweep wants of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing.
    Keep,
    /// Finish what runs, then close.
    Retire,
    /// Drop it.
    Close,
    /// It is gone.
    Forget,
}

/// See the [module](self).
pub(crate) struct Vitals {
    clock: Rc<Cell<Millis>>,
    limits: Limits,
    phase: Cell<Phase>,
    since: Cell<Millis>,
    in_flight: Cell<u32>,
    /// Responses of which the client has something to take.
    untaken: Cell<u32>,
    /// When the client last took something.
    taken_at: Cell<Millis>,
    retire_at: Millis,
    retired_at: Cell<Option<Millis>>,
    closing: Cell<bool>,
    gone: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Vitals {
    /// A connection that was just accepted and may live until `retire_at`.
    pub(crate) fn new(clock: Rc<Cell<Millis>>, limits: Limits, retire_at: Millis) -> Self {
        let now = clock.get();
        Self {
            clock,
            limits,
            phase: Cell::new(Phase::Head),
            since: Cell::new(now),
            in_flight: Cell::new(0),
            untaken: Cell::new(0),
            taken_at: Cell::new(now),
            retire_at,
            retired_at: Cell::new(None),
            closing: Cell::new(false),
            gone: Cell::new(false),
            waker: RefCell::new(None),
        }
    }

    fn enter(&self, phase: Phase) {
        self.phase.set(phase);
        self.since.set(self.clock.get());
    }

    /// The HTTP/2 preface was read: from here on there are only requests and idleness.
    pub(crate) fn preface_read(&self) {
        self.enter(Phase::Idle);
    }

    /// Bytes of an HTTP/1.1 header came.
    pub(crate) fn head_bytes_read(&self) {
        if self.in_flight.get() == 0 && self.phase.get() == Phase::Idle {
            self.enter(Phase::Head);
        }
    }

    /// A request is complete enough to be handled; the ticket ends with its response.
    pub(crate) fn request_started(self: &Rc<Self>) -> Ticket {
        self.in_flight.set(self.in_flight.get() + 1);
        self.phase.set(Phase::Idle);
        Ticket { vitals: Rc::clone(self), untaken: false }
    }

    fn request_ended(&self) {
        self.in_flight.set(self.in_flight.get() - 1);
        if self.in_flight.get() == 0 {
            self.enter(Phase::Idle);
        }
    }

    /// This side sent its last byte and waits for the other side to close.
    pub(crate) fn linger(&self) {
        if self.phase.get() != Phase::Linger {
            self.enter(Phase::Linger);
        }
    }

    /// Whether no request is being read or answered.
    pub(crate) fn is_idle(&self) -> bool {
        self.in_flight.get() == 0 && self.phase.get() == Phase::Idle
    }

    /// Whether a request is being answered.
    pub(crate) fn is_busy(&self) -> bool {
        self.in_flight.get() > 0
    }

    /// Whether the connection was idle long enough, since it was retired, that no request is likely on its way.
    pub(crate) fn is_quiet(&self) -> bool {
        let Some(retired) = self.retired_at.get() else { return false };
        self.is_idle() && self.clock.get() >= retired.max(self.since.get()) + self.limits.quiet
    }

    pub(crate) fn is_retired(&self) -> bool {
        self.retired_at.get().is_some()
    }

    pub(crate) fn must_close(&self) -> bool {
        self.closing.get()
    }

    /// Retires the connection now.
    pub(crate) fn retire(&self) {
        if self.retired_at.get().is_none() {
            self.retired_at.set(Some(self.clock.get()));
        }
        self.wake();
    }

    /// The connection's task ended.
    pub(crate) fn end(&self) {
        self.gone.set(true);
    }

    /// Looks at the clock, acts on what it finds, and says it.
    pub(crate) fn sweep(&self) -> Verdict {
        let verdict = self.verdict();
        match verdict {
            Verdict::Keep | Verdict::Forget => {}
            Verdict::Retire => self.retire(),
            Verdict::Close => {
                self.closing.set(true);
                self.wake();
            }
        }
        verdict
    }

    fn verdict(&self) -> Verdict {
        let now = self.clock.get();
        let waited = now.saturating_sub(self.since.get());
        if self.gone.get() {
            Verdict::Forget
        } else if self.retired_at.get().is_some_and(|at| now > at + self.limits.drain) || self.is_stuck(now, waited) {
            Verdict::Close
        } else if self.is_retired() || now >= self.retire_at || (self.is_idle() && waited > self.limits.idle) {
            // One that is retired already is woken at every sweep, so that it notices when it is quiet.
            Verdict::Retire
        } else {
            Verdict::Keep
        }
    }

    fn is_stuck(&self, now: Millis, waited: Millis) -> bool {
        if self.in_flight.get() > 0 {
            return self.untaken.get() > 0 && now.saturating_sub(self.taken_at.get()) > self.limits.write;
        }
        match self.phase.get() {
            Phase::Head => waited > self.limits.header,
            Phase::Linger => waited > LINGER,
            Phase::Idle => false,
        }
    }

    /// Remembers whom to wake when a verdict falls.
    pub(crate) fn register(&self, waker: &Waker) {
        let mut slot = self.waker.borrow_mut();
        if !slot.as_ref().is_some_and(|known| known.will_wake(waker)) {
            *slot = Some(waker.clone());
        }
    }

    fn wake(&self) {
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }
}

/// One request in flight; settles itself when dropped, so that a cancelled request cannot leak it.
pub(crate) struct Ticket {
    vitals: Rc<Vitals>,
    untaken: bool,
}

impl Ticket {
    /// The response has something for the client to take (`true`), or waits for the server (`false`).
    pub(crate) fn set_untaken(&mut self, untaken: bool) {
        let vitals = &self.vitals;
        vitals.taken_at.set(vitals.clock.get());
        if self.untaken != untaken {
            self.untaken = untaken;
            let count = vitals.untaken.get();
            vitals.untaken.set(if untaken { count + 1 } else { count - 1 });
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.untaken {
            self.set_untaken(false);
        }
        self.vitals.request_ended();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { header: 10, idle: 60, write: 30, drain: 25, quiet: 5 };

    fn connection(retire_at: Millis) -> (Rc<Cell<Millis>>, Rc<Vitals>) {
        let clock = Rc::new(Cell::new(100));
        (Rc::clone(&clock), Rc::new(Vitals::new(clock, LIMITS, retire_at)))
    }

    #[test]
    fn a_header_that_does_not_end_closes_the_connection_however_its_bytes_trickle() {
        let (clock, vitals) = connection(9_999);
        for now in 100..=110 {
            clock.set(now);
            vitals.head_bytes_read();
            assert_eq!(vitals.sweep(), Verdict::Keep, "at {now}");
        }
        clock.set(111);
        assert_eq!(vitals.sweep(), Verdict::Close);
        assert!(vitals.must_close());
    }

    #[test]
    fn the_header_clock_starts_anew_with_the_first_byte_of_the_next_request() {
        let (clock, vitals) = connection(9_999);
        drop(vitals.request_started());
        clock.set(150);
        assert_eq!(vitals.sweep(), Verdict::Keep, "idle for 50 of 60");
        vitals.head_bytes_read();
        clock.set(160);
        assert_eq!(vitals.sweep(), Verdict::Keep);
        clock.set(161);
        assert_eq!(vitals.sweep(), Verdict::Close);
    }

    #[test]
    fn an_idle_connection_is_retired_and_a_busy_one_is_not() {
        let (clock, vitals) = connection(9_999);
        let ticket = vitals.request_started();
        clock.set(1_000);
        assert_eq!(vitals.sweep(), Verdict::Keep);
        drop(ticket);
        clock.set(1_061);
        assert_eq!(vitals.sweep(), Verdict::Retire);
    }

    #[test]
    fn a_response_nobody_takes_closes_but_one_that_waits_for_the_server_does_not() {
        let (clock, vitals) = connection(9_999);
        let mut ticket = vitals.request_started();
        ticket.set_untaken(true);
        clock.set(130);
        assert_eq!(vitals.sweep(), Verdict::Keep);
        ticket.set_untaken(false);
        clock.set(1_000);
        assert_eq!(vitals.sweep(), Verdict::Keep, "a silent watch");
        ticket.set_untaken(true);
        clock.set(1_031);
        assert_eq!(vitals.sweep(), Verdict::Close);
        drop(ticket);
        assert_eq!((vitals.in_flight.get(), vitals.untaken.get()), (0, 0));
    }

    #[test]
    fn an_old_connection_is_retired_then_closed_when_it_does_not_end() {
        let (clock, vitals) = connection(200);
        let _ticket = vitals.request_started();
        clock.set(200);
        assert_eq!(vitals.sweep(), Verdict::Retire);
        clock.set(225);
        assert_eq!(vitals.sweep(), Verdict::Retire);
        clock.set(226);
        assert_eq!(vitals.sweep(), Verdict::Close);
    }

    #[test]
    fn a_retired_connection_is_quiet_only_after_a_pause() {
        let (clock, vitals) = connection(9_999);
        drop(vitals.request_started());
        vitals.retire();
        clock.set(104);
        assert!(!vitals.is_quiet());
        drop(vitals.request_started());
        clock.set(108);
        assert!(!vitals.is_quiet(), "a request came in between");
        clock.set(109);
        assert!(vitals.is_quiet());
    }

    #[test]
    fn a_connection_that_ended_is_forgotten() {
        let (_, vitals) = connection(0);
        vitals.end();
        assert_eq!(vitals.sweep(), Verdict::Forget);
    }
}
