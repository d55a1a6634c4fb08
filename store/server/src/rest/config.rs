//! Limits and habits of the REST surface.

use kit_core::config::HumanDuration;
use kit_web::{BodyLimits, CompressionConfig, CorsConfig};
use serde::{Deserialize, Serialize};

/// Limits of REST requests, with safe defaults.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct RestConfig {
    /// Time a request may take.
    pub timeout: HumanDuration,
    /// Requests' bodies.
    pub body: BodyLimits,
    /// Packing of answers.
    pub compression: CompressionConfig,
    /// Who may call from a browser page of another origin.
    pub cors: CorsConfig,
}

impl Default for RestConfig {
    fn default() -> Self {
        let mut cors = CorsConfig::default();
        let owned = |names: [&str; 2]| names.map(str::to_owned);
        cors.allowed_headers.extend(owned(["rowkeep-consistency", "rowkeep-session"]));
        cors.exposed_headers.extend(owned(["link", "rowkeep-session"]));
        Self {
            timeout: HumanDuration::secs(5),
            body: BodyLimits::default(),
            compression: CompressionConfig::default(),
            cors,
        }
    }
}
