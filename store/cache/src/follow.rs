//! Follows a log for as long as there is one.

use std::time::Duration;

use rowkeep_engine::{ChangeLog, Since, Told};
use tokio::time::sleep;

/// Between two attempts.
const PAUSES: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// Somebody who is told.
pub(crate) trait Follower {
    /// The next that is told.
    fn take(&mut self, told: Told);

    /// What was told is not so any more.
    fn lose(&mut self);
}

/// Follows until it is dropped, from now on each time: whoever is told keeps nothing from before.
pub(crate) async fn follow(log: &dyn ChangeLog, follower: &mut (impl Follower + Send)) {
    let mut pause = PAUSES.0;
    loop {
        let mut was_told = false;
        let error = match log.follow(Since::Now).await {
            Err(error) => error,
            Ok(mut stream) => loop {
                match stream.next().await {
                    Ok(told) => {
                        was_told = true;
                        told.into_iter().for_each(|told| follower.take(told));
                    }
                    Err(error) => break error,
                }
            },
        };
        tracing::warn!(%error, reason = error.reason(), "the log of changes is not followed; the cache is passed by meanwhile");
        if error.reason() == "CHANGES_LOST" {
            follower.lose();
        }
        pause = if was_told { PAUSES.0 } else { (pause * 2).min(PAUSES.1) };
        sleep(pause).await;
    }
}
