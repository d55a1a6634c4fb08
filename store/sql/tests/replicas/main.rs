//! A primary and its replicas: what reads see, and what becomes of writes when the primary changes.
#![allow(clippy::unwrap_used, reason = "clippy knows tests only by their attribute")]

mod failover;
mod group;
mod lab;
mod sessions;
mod start;
