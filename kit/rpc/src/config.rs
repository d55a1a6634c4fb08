//! The limits of gRPC calls.

use kit_core::config::{ByteSize, HumanDuration};
use serde::{Deserialize, Serialize};

/// Limits of calls, with safe defaults.
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct RpcConfig {
    /// Size of a request message, before and after it is unpacked.
    pub max_message_size: ByteSize,
    /// Time a call may take when the client says nothing.
    pub default_timeout: HumanDuration,
    /// Time a call may take whatever the client says.
    pub max_timeout: HumanDuration,
    /// Time a request's message may take to arrive.
    pub body_timeout: HumanDuration,
    /// Number of a request's metadata entries.
    pub max_metadata: usize,
    /// When replies are packed.
    pub reply_compression: ReplyCompression,
    /// Replies smaller than this are never packed.
    pub compression_threshold: ByteSize,
}

/// When replies are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ReplyCompression {
    /// Never.
    Never,
    /// With the coding the request was packed with. Most clients say that they accept gzip without wanting to pay
    /// for it; one that packs its own messages does.
    Mirror,
    /// Whenever the client accepts it.
    Accepted,
}

impl Default for RpcConfig {
    fn default() -> Self {
        Self {
            max_message_size: ByteSize::kib(256),
            default_timeout: HumanDuration::secs(5),
            max_timeout: HumanDuration::secs(60),
            body_timeout: HumanDuration::secs(10),
            max_metadata: 64,
            reply_compression: ReplyCompression::Mirror,
            compression_threshold: ByteSize::kib(1),
        }
    }
}
