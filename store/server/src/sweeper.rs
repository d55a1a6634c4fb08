//! Removes from disk, now and then, what no read sees any more.

use std::sync::Arc;
use std::time::Duration;

use kit_core::ShutdownWatch;
use tokio::runtime::Handle;
use tokio::time::MissedTickBehavior;

use crate::live::Live;

/// How long a sweep waits for the store. The next tick begins another one, with the schema that is served by then.
const PATIENCE: Duration = Duration::from_millis(100);

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

/// A sweep may read a large table, which must not hold up what else runs here.
async fn sweep(live: &Arc<Live>, shutdown: &ShutdownWatch) {
    let (live, shutdown, runtime) = (Arc::clone(live), shutdown.clone(), Handle::current());
    let pass = move || runtime.block_on(pass(&live, &shutdown));
    if let Err(error) = tokio::task::spawn_blocking(pass).await
        && error.is_panic()
    {
        tracing::error!(%error, "a sweep panicked");
    }
}

async fn pass(live: &Live, shutdown: &ShutdownWatch) {
    let (number, mut sweep) = (live.number(), live.engine().sweep());
    let mut removed = 0;
    while !shutdown.is_draining() {
        // As a request does, so that the store is not exchanged or closed under a step.
        let Some(_inside) = live.gate.enter(0, PATIENCE).await else { break };
        if live.number() != number {
            break;
        }
        match sweep.step().await {
            Ok(Some(count)) => removed += count,
            Ok(None) => break,
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
