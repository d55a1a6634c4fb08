//! Removes from disk, now and then, what no read sees any more.

use std::sync::Arc;
use std::time::Duration;

use kit_core::{Code, ShutdownWatch};
use tokio::time::MissedTickBehavior;

use crate::live::Live;

/// Sweeps until the server drains. A sweep is many small transactions, so that writes are not held up.
pub(crate) async fn run(live: Arc<Live>, interval: Duration, mut shutdown: ShutdownWatch) {
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => sweep(&live, &shutdown).await,
            () = shutdown.draining() => return,
        }
    }
}

async fn sweep(live: &Live, shutdown: &ShutdownWatch) {
    let mut removed = 0;
    while !shutdown.is_draining() {
        match live.engine().sweep().await {
            Ok(0) => break,
            Ok(count) => removed += count,
            // The store is being exchanged for one with another schema; the next tick finds that one.
            Err(error) if error.code() == Code::Unavailable => break,
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
