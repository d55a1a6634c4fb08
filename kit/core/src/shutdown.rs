//! Start, drain, stop: one value that every part of a process watches.
//!
//! A [`Shutdown`] only moves forward: `Running`, `Draining` (accept nothing new, finish what was accepted), `Stopped`
//! (give up what is left). The first SIGTERM or SIGINT drains, a second one stops at once.
//! Whoever decides holds the [`Shutdown`]; whoever obeys holds a [`ShutdownWatch`].

use tokio::sync::watch;

/// How far the process is with ending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Serving.
    Running,
    /// Nothing new is accepted; what was accepted is finished.
    Draining,
    /// What is left is dropped.
    Stopped,
}

/// The right to end the process. Clones decide together.
#[derive(Debug, Clone)]
pub struct Shutdown {
    sender: watch::Sender<Stage>,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self::new()
    }
}

impl Shutdown {
    /// A process that runs.
    pub fn new() -> Self {
        Self { sender: watch::Sender::new(Stage::Running) }
    }

    /// Follows the stages.
    pub fn watch(&self) -> ShutdownWatch {
        ShutdownWatch { receiver: self.sender.subscribe() }
    }

    /// Starts to drain; does nothing if that happened before.
    pub fn drain(&self) {
        self.advance(Stage::Draining);
    }

    /// Ends at once.
    pub fn stop(&self) {
        self.advance(Stage::Stopped);
    }

    /// The stage now.
    pub fn stage(&self) -> Stage {
        *self.sender.borrow()
    }

    fn advance(&self, to: Stage) {
        self.sender.send_if_modified(|stage| {
            let forward = *stage < to;
            if forward {
                *stage = to;
            }
            forward
        });
    }

    /// Drains on the first SIGTERM or SIGINT and stops on the second. Must run on a runtime with I/O enabled.
    ///
    /// # Errors
    /// If the signal handlers cannot be installed.
    #[cfg(unix)]
    pub fn on_signals(&self) -> std::io::Result<impl Future<Output = ()> + Send + 'static> {
        use tokio::signal::unix::{SignalKind, signal};

        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let shutdown = self.clone();
        Ok(async move {
            for stage in [Stage::Draining, Stage::Stopped] {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
                tracing::info!(?stage, "signal received");
                shutdown.advance(stage);
            }
        })
    }
}

/// Sees how far the process is with ending.
#[derive(Debug, Clone)]
pub struct ShutdownWatch {
    receiver: watch::Receiver<Stage>,
}

impl ShutdownWatch {
    /// The stage now.
    pub fn stage(&self) -> Stage {
        *self.receiver.borrow()
    }

    /// Whether draining has begun.
    pub fn is_draining(&self) -> bool {
        self.stage() >= Stage::Draining
    }

    /// Resolves once draining has begun.
    pub async fn draining(&mut self) {
        self.reached(Stage::Draining).await;
    }

    /// Resolves once the process must end at once.
    pub async fn stopped(&mut self) {
        self.reached(Stage::Stopped).await;
    }

    /// A sender that went away can no longer keep the process running: that counts as reached.
    async fn reached(&mut self, stage: Stage) {
        let _ = self.receiver.wait_for(|now| *now >= stage).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn stages_only_move_forward() {
        let shutdown = Shutdown::new();
        let mut watch = shutdown.watch();
        assert!(!watch.is_draining());
        shutdown.stop();
        shutdown.drain();
        watch.draining().await;
        watch.stopped().await;
        assert_eq!(watch.stage(), Stage::Stopped);
    }

    #[tokio::test]
    async fn a_watch_taken_late_sees_the_stage() {
        let shutdown = Shutdown::new();
        shutdown.drain();
        shutdown.watch().draining().await;
        assert_eq!(shutdown.stage(), Stage::Draining);
    }

    #[tokio::test]
    async fn a_watch_whose_shutdown_is_gone_does_not_wait_forever() {
        let mut watch = Shutdown::new().watch();
        watch.stopped().await;
        assert_eq!(watch.stage(), Stage::Running);
    }
}
