//! The client side of the MySQL protocol, for MySQL and MariaDB.
//!
//! One [`Connection`], no pool. Made for a caller that turns rows into its own form: a row is handed out as it lies in
//! the receive buffer ([`Row`]), values are read from it one by one, nothing is copied on the way. Commands can be queued
//! and sent together ([`Connection::send_execute`], [`Connection::flush`]), their answers are received in order.
//!
//! Left to `mysql_common`: authentication and the packets of the handshake. Left to `rustls`: encryption. Left out:
//! multi-statements, cursors, `LOAD DATA LOCAL` (a server that asks for a file is refused), compression.

mod address;
mod auth;
mod connect;
mod connection;
mod error;
mod packet_stream;
mod packets;
mod params;
mod response;
mod row;
mod statements;
mod stream;
mod tls;
mod values;

// For its back end: mysql_common leaves the choice to whoever uses it.
use flate2 as _;

pub use address::Address;
pub use connect::{Product, Server};
pub use connection::Connection;
pub use error::{Error, ServerError};
pub use packet_stream::PacketStream;
pub use params::{DateTime, Param};
pub use response::Done;
pub use row::{Raw, Row, TextRow};
pub use statements::Statement;
pub use tls::{Tls, TlsError, TlsMode};
