//! The log of changes of MySQL and MariaDB: what it tells of rows, when, and what becomes of it when servers die.
#![allow(clippy::unwrap_used, reason = "clippy knows tests only by their attribute")]

#[path = "../support/mod.rs"]
mod support;

mod adopted;
mod allowed;
mod failover;
mod lab;
mod resume;
mod seen;
mod sessions;
mod shared;
mod speed;
mod statements;
mod values;
