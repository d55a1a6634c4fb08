//! Where a server is and who asks: `mysql://user:password@host:port/database`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use percent_encoding::percent_decode_str;

use crate::Tls;

/// A server, a user and a database.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    /// Name or address of the host; IPv6 without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// User name.
    pub user: String,
    /// Password; empty for none.
    pub password: String,
    /// Default database.
    pub database: Option<String>,
    /// Time for connecting and logging in.
    pub connect_timeout: Duration,
    /// How the way to the server is protected.
    pub tls: Tls,
}

/// Never shows the password.
impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Without the password, for logs and messages.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (open, close) = if self.host.contains(':') { ("[", "]") } else { ("", "") };
        write!(f, "mysql://{}@{open}{}{close}:{}", self.user, self.host, self.port)?;
        match &self.database {
            Some(database) => write!(f, "/{database}"),
            None => Ok(()),
        }
    }
}

impl FromStr for Address {
    type Err = String;

    /// The message says what is wrong with the text and never repeats it whole: it may hold a password.
    fn from_str(text: &str) -> Result<Self, String> {
        Self::parse(text, None)
    }
}

impl Address {
    /// Another server's address, written shorter: what the text does not say (user and password, database, settings) is as
    /// here. `mysql://replica:3306`.
    ///
    /// # Errors
    /// As from [`str::parse`].
    pub fn other(&self, text: &str) -> Result<Self, String> {
        Self::parse(text, Some(self))
    }

    fn parse(text: &str, like: Option<&Self>) -> Result<Self, String> {
        let rest = text.strip_prefix("mysql://").or_else(|| text.strip_prefix("mariadb://"));
        let rest = rest.ok_or("an address looks like mysql://user:password@host:3306/database")?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (login, place) = match (rest.rsplit_once('@'), like) {
            (Some((login, place)), _) => (Some(login), place),
            (None, Some(_)) => (None, rest),
            (None, None) => return Err("the address names no user: mysql://user:password@host".to_owned()),
        };
        let (place, database) = place.split_once('/').unwrap_or((place, ""));
        let (host, port) = host_and_port(place)?;
        let mut address = like.cloned().unwrap_or_else(|| Self {
            host: String::new(),
            port: 0,
            user: String::new(),
            password: String::new(),
            database: None,
            connect_timeout: Duration::from_secs(5),
            tls: Tls::default(),
        });
        (address.host, address.port) = (host, port);
        if let Some(login) = login {
            let (user, password) = login.split_once(':').unwrap_or((login, ""));
            (address.user, address.password) = (decode(user)?, decode(password)?);
        }
        if !database.is_empty() {
            address.database = Some(decode(database)?);
        }
        address.set(query)?;
        Ok(address)
    }

    fn set(&mut self, query: &str) -> Result<(), String> {
        for setting in query.split('&').filter(|setting| !setting.is_empty()) {
            let (name, value) = setting.split_once('=').unwrap_or((setting, ""));
            match name {
                "connect_timeout" => self.connect_timeout = seconds(value)?,
                "tls" => self.tls.mode = Some(value.parse()?),
                "tls_ca" => self.tls.ca = Some(file(name, value)?),
                "tls_cert" => self.tls.certificate = Some(file(name, value)?),
                "tls_key" => self.tls.key = Some(file(name, value)?),
                _ => return Err(format!("the address has an unknown setting {name:?}; there is: {SETTINGS}")),
            }
        }
        if self.tls.key.is_some() && self.tls.certificate.is_none() {
            return Err("tls_key is the key of a certificate, which tls_cert names".to_owned());
        }
        Ok(())
    }
}

const SETTINGS: &str = "connect_timeout, tls, tls_ca, tls_cert, tls_key";

fn seconds(value: &str) -> Result<Duration, String> {
    let seconds = value.parse().ok().filter(|seconds: &u16| *seconds > 0);
    let seconds =
        seconds.ok_or_else(|| format!("connect_timeout is a number of seconds from 1 to 65535, not {value:?}"))?;
    Ok(Duration::from_secs(seconds.into()))
}

fn file(name: &str, value: &str) -> Result<PathBuf, String> {
    if value.is_empty() { Err(format!("{name} is the name of a file")) } else { Ok(decode(value)?.into()) }
}

fn host_and_port(place: &str) -> Result<(String, u16), String> {
    let (host, port) = match place.strip_prefix('[') {
        Some(rest) => {
            let (host, port) = rest.split_once(']').ok_or("the address has a [ without a ]")?;
            (host, port.strip_prefix(':').unwrap_or(port))
        }
        None => place.split_once(':').unwrap_or((place, "")),
    };
    if host.is_empty() {
        return Err("the address names no host".to_owned());
    }
    let port = match port {
        "" => 3306,
        port => port.parse().map_err(|_| format!("{port:?} is not a port"))?,
    };
    Ok((host.to_owned(), port))
}

fn decode(text: &str) -> Result<String, String> {
    let decoded = percent_decode_str(text).decode_utf8();
    decoded.map(String::from).map_err(|_| "the address has an escape that is not UTF-8".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TlsMode;

    #[test]
    fn an_address_is_read_whole() {
        let address: Address = "mysql://us%40er:p%3Aw%2Fd@db.example:3307/shop?connect_timeout=2".parse().unwrap();
        assert_eq!((address.user.as_str(), address.password.as_str()), ("us@er", "p:w/d"));
        assert_eq!((address.host.as_str(), address.port), ("db.example", 3307));
        assert_eq!(address.database.as_deref(), Some("shop"));
        assert_eq!(address.connect_timeout, Duration::from_secs(2));
        let address: Address = "mariadb://root@[::1]".parse().unwrap();
        assert_eq!((address.host.as_str(), address.port, address.database), ("::1", 3306, None));
    }

    #[test]
    fn encryption_is_taken_where_offered_and_an_authority_that_is_named_is_asked() {
        let tls = |query: &str| format!("mysql://u@h/d{query}").parse::<Address>().unwrap().tls;
        assert_eq!(tls("").mode(), TlsMode::Preferred);
        assert_eq!(tls("?tls_ca=ca.pem").mode(), TlsMode::Verify);
        let asked = tls("?tls=required&tls_ca=%2Fa%26b/ca.pem&tls_cert=me.pem");
        assert_eq!((asked.mode(), asked.ca), (TlsMode::Required, Some(PathBuf::from("/a&b/ca.pem"))));
        assert_eq!((asked.certificate, asked.key), (Some(PathBuf::from("me.pem")), None));
    }

    #[test]
    fn a_password_is_never_shown() {
        let address: Address = "mysql://user:secret@host/shop".parse().unwrap();
        assert_eq!(format!("{address} {address:?}"), "mysql://user@host:3306/shop mysql://user@host:3306/shop");
    }

    #[test]
    fn what_is_wrong_with_an_address_is_said_without_repeating_it() {
        for (text, part) in [
            ("postgres://u:secret@h/d", "looks like mysql://"),
            ("mysql://host/secret", "names no user"),
            ("mysql://u:secret@/d", "no host"),
            ("mysql://u:secret@h:99999/d", "not a port"),
            ("mysql://u:secret@h/d?ssl=1", "unknown setting \"ssl\""),
            ("mysql://u:secret@h/d?connect_timeout=0", "number of seconds"),
            ("mysql://u:secret@h/d?tls=yes", "there is: off, preferred, required, verify"),
            ("mysql://u:secret@h/d?tls_ca=", "name of a file"),
            ("mysql://u:secret@h/d?tls_key=key.pem", "which tls_cert names"),
        ] {
            let message = text.parse::<Address>().unwrap_err();
            assert!(message.contains(part) && !message.contains("secret"), "{text}: {message}");
        }
    }
}
