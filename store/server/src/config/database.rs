//! The address of a database, which holds a password.

use std::fmt;

use rowkeep_sql::mysql::Address;
use serde::{Deserialize, Serialize};

/// `mysql://user:password@host:3306/database`, or nothing for the embedded store. Shown without the password.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct DatabaseUrl(String);

impl DatabaseUrl {
    /// Where it leads, if it is not empty.
    ///
    /// # Errors
    /// What is wrong with it, in words that do not repeat it.
    pub fn address(&self) -> Result<Option<Address>, String> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let address: Address = self.0.parse()?;
        match &address.database {
            None => Err("the address names no database: mysql://user:password@host/database".to_owned()),
            Some(_) => Ok(Some(address)),
        }
    }
}

impl DatabaseUrl {
    /// Where it leads as a replica of a server: what it does not say is as there.
    ///
    /// # Errors
    /// What is wrong with it, in words that do not repeat it.
    pub fn replica_of(&self, primary: &Address) -> Result<Address, String> {
        primary.other(&self.0)
    }
}

impl From<&str> for DatabaseUrl {
    fn from(url: &str) -> Self {
        Self(url.to_owned())
    }
}

impl fmt::Display for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address() {
            Ok(None) => Ok(()),
            Ok(Some(address)) => address.fmt(f),
            // A replica's may name no user, and then has no password.
            Err(_) if !self.0.contains('@') && self.0.starts_with("m") => f.write_str(&self.0),
            Err(_) => f.write_str("(not an address)"),
        }
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for DatabaseUrl {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_not_shown_in_any_way() {
        let url = DatabaseUrl::from("mysql://user:secret@host/shop");
        assert_eq!(format!("{url} {url:?}"), "mysql://user@host:3306/shop mysql://user@host:3306/shop");
        assert_eq!(serde_json::to_string(&url).unwrap(), "\"mysql://user@host:3306/shop\"");
        assert!(!format!("{:?}", DatabaseUrl::from("secret")).contains("secret"));
    }

    #[test]
    fn a_database_must_be_named() {
        assert!(DatabaseUrl::from("mysql://user@host").address().unwrap_err().contains("no database"));
        assert_eq!(DatabaseUrl::default().address(), Ok(None));
    }
}
