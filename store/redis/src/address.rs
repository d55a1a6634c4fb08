//! Where the servers are and who asks.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use percent_encoding::percent_decode_str;

/// Servers, and who asks.
///
/// | form | |
/// |---|---|
/// | `redis://user:password@host:6379/0` | one server, and the number of a database on it |
/// | `redis+sentinel://user:password@host1:26379,host2:26379/service/0` | Sentinels, and what they call the service |
/// | `redis+cluster://user:password@host1:6379,host2:6379` | some servers of a cluster, which name the others |
///
/// `rediss` in the place of `redis` is the same over TLS, and certificates have to be for the hosts, as the address, the Sentinels or
/// the cluster name them. User, password, ports and database may be left out; a password alone is `:password@`. Special
/// characters are percent-encoded. Settings follow a `?`: `tls_ca`, `tls_cert` and `tls_key` are files (PEM); `sentinel_user` and
/// `sentinel_password` are what Sentinels ask for, if they ask for anything.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    /// What there is.
    pub deployment: Deployment,
    /// Who asks the servers.
    pub login: Login,
    /// Who asks the Sentinels.
    pub sentinel_login: Login,
    /// Of one server, or of the service.
    pub database: u16,
    /// How the way to all of them is protected; `None` for not at all.
    pub tls: Option<Tls>,
}

/// How servers are arranged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deployment {
    /// One server.
    Single(Host),
    /// A server that Sentinels choose.
    Sentinel {
        /// Sentinels; one that answers is enough.
        sentinels: Vec<Host>,
        /// What they call the service.
        service: String,
    },
    /// A cluster.
    Cluster(Vec<Host>),
}

/// A server's name or address, IPv6 without brackets, and its port.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Host {
    /// Name or address.
    pub name: String,
    /// TCP port.
    pub port: u16,
}

/// User and password, if there are any.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Login {
    /// `None` for the default user.
    pub user: Option<String>,
    /// `None` if none is asked for.
    pub password: Option<String>,
}

/// What the server's certificate has to be signed by, and the client's own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tls {
    /// Certificates of authorities; those of this machine if there are none.
    pub ca: Option<PathBuf>,
    /// The client's certificate, with what it takes to check it.
    pub certificate: Option<PathBuf>,
    /// Its key, if that is in a file of its own.
    pub key: Option<PathBuf>,
}

/// Never shows the password.
impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login").field("user", &self.user).finish_non_exhaustive()
    }
}

/// Never shows the password.
impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Without user and password, for logs and messages.
impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.tls.is_some() { "rediss" } else { "redis" })?;
        let hosts = |hosts: &[Host]| hosts.iter().map(Host::to_string).collect::<Vec<_>>().join(",");
        match &self.deployment {
            Deployment::Single(host) => write!(f, "://{host}/{}", self.database),
            Deployment::Sentinel { sentinels, service } => {
                write!(f, "+sentinel://{}/{service}/{}", hosts(sentinels), self.database)
            }
            Deployment::Cluster(nodes) => write!(f, "+cluster://{}", hosts(nodes)),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (open, close) = if self.name.contains(':') { ("[", "]") } else { ("", "") };
        write!(f, "{open}{}{close}:{}", self.name, self.port)
    }
}

const SETTINGS: &str = "tls_ca, tls_cert, tls_key, sentinel_user, sentinel_password";

impl FromStr for Address {
    type Err = String;

    /// The message says what is wrong with the text and never repeats it whole: it may hold a password.
    fn from_str(text: &str) -> Result<Self, String> {
        let (scheme, rest) = text.split_once("://").ok_or("an address looks like redis://user:password@host:6379")?;
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (login, rest) = rest.rsplit_once('@').unwrap_or(("", rest));
        let (hosts, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (kind, is_encrypted) = match scheme.strip_prefix("rediss") {
            Some(kind) => (kind, true),
            None => (scheme.strip_prefix("redis").unwrap_or(scheme), false),
        };
        let (deployment, database) = match kind {
            "" => (Deployment::Single(one_host(hosts)?), path),
            "+sentinel" => {
                let (service, database) = path.split_once('/').unwrap_or((path, ""));
                if service.is_empty() {
                    return Err("the address names no service: redis+sentinel://host:26379/service".to_owned());
                }
                let sentinels = some_hosts(hosts, 26379)?;
                (Deployment::Sentinel { sentinels, service: decode(service)? }, database)
            }
            "+cluster" if !path.is_empty() => return Err("a cluster has no databases to choose from".to_owned()),
            "+cluster" => (Deployment::Cluster(some_hosts(hosts, 6379)?), ""),
            _ => {
                return Err(format!("{scheme:?} is none of redis, redis+sentinel, redis+cluster, and rediss for each"));
            }
        };
        let mut address = Self {
            deployment,
            login: login_of(login)?,
            sentinel_login: Login::default(),
            database: number(database)?,
            tls: is_encrypted.then(Tls::default),
        };
        address.set(query)?;
        Ok(address)
    }
}

impl Address {
    fn set(&mut self, query: &str) -> Result<(), String> {
        for setting in query.split('&').filter(|setting| !setting.is_empty()) {
            let (name, value) = setting.split_once('=').unwrap_or((setting, ""));
            if value.is_empty() {
                return Err(format!("the setting {name} of the address is empty"));
            }
            let value = decode(value)?;
            match (name, &mut self.tls) {
                ("tls_ca", Some(tls)) => tls.ca = Some(value.into()),
                ("tls_cert", Some(tls)) => tls.certificate = Some(value.into()),
                ("tls_key", Some(tls)) => tls.key = Some(value.into()),
                ("tls_ca" | "tls_cert" | "tls_key", None) => {
                    return Err(format!("{name} is for addresses that begin with rediss"));
                }
                ("sentinel_user", _) => self.sentinel_login.user = Some(value),
                ("sentinel_password", _) => self.sentinel_login.password = Some(value),
                _ => return Err(format!("the address has an unknown setting {name:?}; there is: {SETTINGS}")),
            }
        }
        match &self.tls {
            Some(Tls { certificate: None, key: Some(_), .. }) => {
                Err("tls_key is the key of a certificate, which tls_cert names".to_owned())
            }
            _ => Ok(()),
        }
    }
}

fn login_of(login: &str) -> Result<Login, String> {
    let (user, password) = login.split_once(':').unwrap_or((login, ""));
    let some = |text: &str| if text.is_empty() { Ok(None) } else { decode(text).map(Some) };
    let login = Login { user: some(user)?, password: some(password)? };
    if login.user.is_some() && login.password.is_none() {
        return Err("the address names a user and no password: redis://user:password@host, or :password@".to_owned());
    }
    Ok(login)
}

fn one_host(text: &str) -> Result<Host, String> {
    if text.contains(',') {
        return Err("several hosts are redis+sentinel://host1,host2/service or redis+cluster://host1,host2".to_owned());
    }
    host(text, 6379)
}

fn some_hosts(text: &str, port: u16) -> Result<Vec<Host>, String> {
    text.split(',').map(|text| host(text, port)).collect()
}

fn host(text: &str, default_port: u16) -> Result<Host, String> {
    let (name, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let (name, port) = rest.split_once(']').ok_or("the address has a [ without a ]")?;
            (name, port.strip_prefix(':').unwrap_or(port))
        }
        None => text.split_once(':').unwrap_or((text, "")),
    };
    if name.is_empty() {
        return Err("the address names no host".to_owned());
    }
    let port = match port {
        "" => default_port,
        port => port.parse().map_err(|_| format!("{port:?} is not a port"))?,
    };
    Ok(Host { name: name.to_owned(), port })
}

fn number(text: &str) -> Result<u16, String> {
    match text {
        "" => Ok(0),
        text => text.parse().map_err(|_| format!("{text:?} is not the number of a database")),
    }
}

fn decode(text: &str) -> Result<String, String> {
    let decoded = percent_decode_str(text).decode_utf8();
    decoded.map(Into::into).map_err(|_| "the address holds bytes that are no text (UTF-8)".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Address {
        text.parse().unwrap_or_else(|problem| panic!("{text}: {problem}"))
    }

    fn at(name: &str, port: u16) -> Host {
        Host { name: name.to_owned(), port }
    }

    #[test]
    fn addresses_say_what_there_is() {
        let address = parse("redis://cache");
        assert_eq!(address.deployment, Deployment::Single(at("cache", 6379)));
        assert_eq!((address.database, address.login, address.tls), (0, Login::default(), None));
        let address = parse("rediss://ann:p%40ss%2Fword@[::1]:7000/3?tls_ca=/etc/ca.pem");
        assert_eq!(address.deployment, Deployment::Single(at("::1", 7000)));
        assert_eq!(address.login.user.as_deref(), Some("ann"));
        assert_eq!(address.login.password.as_deref(), Some("p@ss/word"));
        assert_eq!(address.database, 3);
        assert_eq!(address.tls.unwrap().ca, Some("/etc/ca.pem".into()));
        let address = parse("redis+sentinel://:secret@a,b:7,c/main/2?sentinel_user=s&sentinel_password=t");
        let sentinels = vec![at("a", 26379), at("b", 7), at("c", 26379)];
        assert_eq!(address.deployment, Deployment::Sentinel { sentinels, service: "main".to_owned() });
        assert_eq!((address.login.user, address.login.password.as_deref()), (None, Some("secret")));
        assert_eq!(address.sentinel_login.password.as_deref(), Some("t"));
        assert_eq!(address.database, 2);
        let address = parse("redis+cluster://a,b:7");
        assert_eq!(address.deployment, Deployment::Cluster(vec![at("a", 6379), at("b", 7)]));
    }

    #[test]
    fn what_is_shown_holds_no_password() {
        let texts = [
            ("redis://ann:secret@host:7", "redis://host:7/0"),
            ("rediss://:secret@[::1]/1", "rediss://[::1]:6379/1"),
            (
                "redis+sentinel://ann:secret@a,b/main?sentinel_password=secret",
                "redis+sentinel://a:26379,b:26379/main/0",
            ),
            ("redis+cluster://ann:secret@a,b", "redis+cluster://a:6379,b:6379"),
        ];
        for (text, shown) in texts {
            let address = parse(text);
            assert_eq!(address.to_string(), shown);
            assert_eq!(format!("{address:?}"), shown);
            assert!(!format!("{:?}{:?}", address.login, address.sentinel_login).contains("secret"));
        }
    }

    #[test]
    fn mistakes_are_named_and_passwords_are_not() {
        let texts = [
            ("host:6379", "looks like redis://"),
            ("http://host", "none of redis"),
            ("redis://:secret@", "names no host"),
            ("redis://:secret@a,b", "redis+cluster://host1"),
            ("redis://:secret@host:http", "not a port"),
            ("redis://:secret@host/main", "number of a database"),
            ("redis://ann@host", "no password"),
            ("redis+sentinel://:secret@a,b", "names no service"),
            ("redis+cluster://:secret@a/1", "no databases"),
            ("redis://:secret@host?tls_ca=x", "rediss"),
            ("rediss://:secret@host?tls_key=x", "tls_cert"),
            ("rediss://:secret@host?tls_ca=", "is empty"),
            ("redis://:secret@host?timeout=1", "there is: tls_ca"),
            ("redis://:%ff%fe@host", "no text"),
        ];
        for (text, part) in texts {
            let problem = text.parse::<Address>().unwrap_err();
            assert!(problem.contains(part), "{text}: {problem}");
            assert!(!problem.contains("secret"), "{problem}");
        }
    }
}
