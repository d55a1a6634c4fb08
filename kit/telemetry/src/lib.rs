//! What an operator sees of a service: logs, the access log, metrics, traces, health, and the listener that serves
//! them.
//!
//! Costs are paid at start, not per request: series and their labels are declared once, each data-plane worker counts
//! into cells of its own, and the access log is one formatted line appended to the worker's buffer.

mod access;
mod admin;
mod health;
mod logs;
pub mod metrics;
mod sink;
mod trace;

pub use access::{AccessConfig, AccessEntry, AccessLog, AccessMode, AccessWriter};
pub use admin::{Admin, Page};
pub use health::{Health, HealthStage};
pub use logs::{LogConfig, LogControl, LogFormat, LogLevelError, init_logs};
pub use sink::{Sink, SinkBuffer};
pub use trace::{RequestSpan, TraceConfig, TraceParent, Tracing};
