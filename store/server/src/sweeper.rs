//! Removes from disk, now and then, what no read sees any more.

use std::time::Duration;

use kit_core::ShutdownWatch;
use rowkeep_engine::Engine;
use tokio::time::MissedTickBehavior;

/// Sweeps until the server drains. A sweep is many small transactions, so that writes are not held up.
pub(crate) async fn run(engine: Engine, interval: Duration, mut shutdown: ShutdownWatch) {
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => sweep(&engine, &shutdown).await,
            () = shutdown.draining() => return,
        }
    }
}

async fn sweep(engine: &Engine, shutdown: &ShutdownWatch) {
    let mut removed = 0;
    while !shutdown.is_draining() {
        match engine.sweep().await {
            Ok(0) => break,
            Ok(count) => removed += count,
            Err(error) => {
                tracing::warn!(%error, "a sweep failed");
                break;
            }
        }
    }
    if removed > 0 {
        tracing::debug!(removed, "removed what had expired");
    }
}
