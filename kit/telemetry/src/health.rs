//! Whether the process lives, and whether it wants traffic.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

/// Where the process is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HealthStage {
    /// Not ready yet.
    Starting,
    /// Serving.
    Ready,
    /// Finishing what it has; send no more.
    Draining,
    /// Something it cannot serve without is broken.
    Failing,
}

/// The health of the process. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Health(Arc<AtomicU8>);

impl Health {
    /// Moves to a stage.
    pub fn set(&self, stage: HealthStage) {
        self.0.store(stage as u8, Ordering::Release);
    }

    /// The stage now.
    pub fn stage(&self) -> HealthStage {
        match self.0.load(Ordering::Acquire) {
            0 => HealthStage::Starting,
            1 => HealthStage::Ready,
            2 => HealthStage::Draining,
            _ => HealthStage::Failing,
        }
    }

    /// Whether traffic is wanted.
    pub fn is_ready(&self) -> bool {
        self.stage() == HealthStage::Ready
    }
}
