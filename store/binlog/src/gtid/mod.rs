//! Positions in the history of commits, in both dialects.
//!
//! MySQL: a set of transactions, intervals of numbers for each server and tag, with holes. MariaDB: the last transaction of
//! each domain; numbers within a domain only grow, so the last one stands for all before it.
//!
//! The dialects are types of their own and not one form for both: a set with holes has no last transaction, and the
//! server in a MariaDB position says who wrote the transaction without being part of its place.

mod mariadb;
mod mysql;

use std::fmt;

pub use mariadb::{MariaDbGtid, MariaDbGtids};
pub use mysql::{MySqlGtid, MySqlGtids, Source, Tag};

/// A text that is no position.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no GTID or set of GTIDs: {reason}")]
pub struct GtidError {
    pub(crate) text: String,
    pub(crate) reason: &'static str,
}

impl GtidError {
    pub(crate) fn new(text: &str, reason: &'static str) -> Self {
        Self { text: text.to_owned(), reason }
    }
}

/// One transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Gtid {
    /// MySQL's: `uuid:number` or `uuid:tag:number`.
    MySql(MySqlGtid),
    /// MariaDB's: `domain-server-number`.
    MariaDb(MariaDbGtid),
}

impl fmt::Display for Gtid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MySql(gtid) => gtid.fmt(f),
            Self::MariaDb(gtid) => gtid.fmt(f),
        }
    }
}

/// All transactions up to somewhere. Printed as the server prints it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Gtids {
    /// MySQL's set.
    MySql(MySqlGtids),
    /// MariaDB's position.
    MariaDb(MariaDbGtids),
}

impl Gtids {
    /// Whether a transaction is among them. One of the other dialect never is.
    pub fn contains(&self, gtid: &Gtid) -> bool {
        match (self, gtid) {
            (Self::MySql(gtids), Gtid::MySql(gtid)) => gtids.contains(gtid),
            (Self::MariaDb(gtids), Gtid::MariaDb(gtid)) => gtids.contains(gtid),
            _ => false,
        }
    }

    /// Adds a transaction; one of the other dialect changes nothing.
    pub fn add(&mut self, gtid: &Gtid) {
        match (self, gtid) {
            (Self::MySql(gtids), Gtid::MySql(gtid)) => gtids.add(gtid),
            (Self::MariaDb(gtids), Gtid::MariaDb(gtid)) => gtids.add(gtid),
            _ => {}
        }
    }

    /// Adds the transaction that comes next in a log.
    pub fn follow(&mut self, gtid: &Gtid) {
        match (self, gtid) {
            (Self::MariaDb(gtids), Gtid::MariaDb(gtid)) => gtids.follow(gtid),
            (gtids, gtid) => gtids.add(gtid),
        }
    }

    /// Adds all of another's; of the other dialect nothing.
    pub fn union(&mut self, other: &Self) {
        match (self, other) {
            (Self::MySql(gtids), Self::MySql(other)) => gtids.union(other),
            (Self::MariaDb(gtids), Self::MariaDb(other)) => gtids.union(other),
            _ => {}
        }
    }

    /// Whether all of these are among the other's. Of the other dialect only none are.
    pub fn is_subset_of(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::MySql(gtids), Self::MySql(other)) => gtids.is_subset_of(other),
            (Self::MariaDb(gtids), Self::MariaDb(other)) => gtids.is_subset_of(other),
            _ => self.is_empty(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        match self {
            Self::MySql(gtids) => gtids.is_empty(),
            Self::MariaDb(gtids) => gtids.is_empty(),
        }
    }
}

impl fmt::Display for Gtids {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::MySql(gtids) => gtids.fmt(f),
            Self::MariaDb(gtids) => gtids.fmt(f),
        }
    }
}
