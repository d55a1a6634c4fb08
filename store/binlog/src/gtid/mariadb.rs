//! MariaDB: the last transaction of each domain.

use std::{collections::BTreeMap, fmt, str::FromStr};

use super::GtidError;

/// A transaction: `domain-server-number`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MariaDbGtid {
    /// An order of commits of its own.
    pub domain: u32,
    /// Who wrote it first.
    pub server: u32,
    /// Its place in the domain.
    pub number: u64,
}

impl fmt::Display for MariaDbGtid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-{}", self.domain, self.server, self.number)
    }
}

impl FromStr for MariaDbGtid {
    type Err = GtidError;

    fn from_str(text: &str) -> Result<Self, GtidError> {
        let error = || GtidError::new(text, "MariaDB's look like domain-server-number");
        let mut fields = text.trim().split('-');
        let mut next = || fields.next().filter(|field| field.bytes().all(|byte| byte.is_ascii_digit()));
        let (domain, server, number) =
            (next().ok_or_else(error)?, next().ok_or_else(error)?, next().ok_or_else(error)?);
        if fields.next().is_some() {
            return Err(error());
        }
        let domain = domain.parse().map_err(|_| error())?;
        let (server, number) = (server.parse().map_err(|_| error())?, number.parse().map_err(|_| error())?);
        Ok(Self { domain, server, number })
    }
}

/// A position: everything up to one transaction of each domain. `0-1-100,3-2-7`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MariaDbGtids(BTreeMap<u32, MariaDbGtid>);

impl MariaDbGtids {
    /// Whether the transaction's domain has come to its number.
    pub fn contains(&self, gtid: &MariaDbGtid) -> bool {
        self.0.get(&gtid.domain).is_some_and(|last| gtid.number <= last.number)
    }

    /// Makes this the last transaction of its domain, unless a later one is. It has to be the next for the position to be
    /// true: a position knows no holes.
    pub fn add(&mut self, gtid: &MariaDbGtid) {
        let last = self.0.entry(gtid.domain).or_insert(*gtid);
        if last.number < gtid.number {
            *last = *gtid;
        }
    }

    /// Makes this the last transaction of its domain, as it is in a log: without strict mode a lower number may follow a
    /// higher one, and a server goes on from the one that it is told.
    pub(crate) fn follow(&mut self, gtid: &MariaDbGtid) {
        self.0.insert(gtid.domain, *gtid);
    }

    /// The later one of each domain.
    pub fn union(&mut self, other: &Self) {
        other.iter().for_each(|gtid| self.add(gtid));
    }

    /// Whether the other has come as far in each domain.
    pub fn is_subset_of(&self, other: &Self) -> bool {
        self.iter().all(|gtid| other.contains(gtid))
    }

    /// Whether there is no domain.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The last transactions, by domain.
    pub fn iter(&self) -> impl Iterator<Item = &MariaDbGtid> {
        self.0.values()
    }
}

impl fmt::Display for MariaDbGtids {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, gtid) in self.iter().enumerate() {
            write!(f, "{}{gtid}", if at == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

impl FromStr for MariaDbGtids {
    type Err = GtidError;

    fn from_str(text: &str) -> Result<Self, GtidError> {
        let mut gtids = Self::default();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            gtids.add(&part.parse()?);
        }
        Ok(gtids)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gtids(text: &str) -> MariaDbGtids {
        text.parse().unwrap()
    }

    #[test]
    fn a_position_contains_what_its_domains_have_come_to_whoever_wrote_it() {
        let position = gtids("0-1-100,3-2-7");
        for (text, expected) in
            [("0-1-100", true), ("0-9-3", true), ("0-1-101", false), ("3-2-7", true), ("1-1-1", false)]
        {
            assert_eq!(position.contains(&text.parse().unwrap()), expected, "{text}");
        }
    }

    #[test]
    fn positions_grow_and_are_compared_domain_by_domain() {
        let mut position = gtids("");
        assert!(position.is_empty() && position.is_subset_of(&gtids("")));
        position.union(&gtids("1-2-5, 0-1-3"));
        position.add(&"0-7-9".parse().unwrap());
        position.add(&"0-1-4".parse().unwrap());
        assert_eq!(position.to_string(), "0-7-9,1-2-5");
        assert!(gtids("0-3-9").is_subset_of(&position) && !gtids("0-3-10").is_subset_of(&position));
        assert!(!gtids("2-1-1").is_subset_of(&position));
    }

    #[test]
    fn a_log_may_go_back_in_its_numbers() {
        let mut position = gtids("0-1-100,1-1-1");
        position.follow(&"0-2-50".parse().unwrap());
        assert_eq!(position.to_string(), "0-2-50,1-1-1");
    }

    #[test]
    fn what_is_no_position_is_refused() {
        for text in
            ["0", "0-1", "0-1-2-3", "a-1-2", "0-1-99999999999999999999", "-1-1-1", "0-1-", "4294967296-1-1", "+0-1-1"]
        {
            assert!(text.parse::<MariaDbGtids>().is_err(), "{text}");
        }
    }
}
