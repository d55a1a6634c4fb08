//! What a server is.

use redis::Value;

/// What `INFO` says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Info {
    /// `7.0.15`; Valkey names the version of Redis that it is like.
    pub(crate) version: Option<String>,
    pub(crate) maxmemory: Option<u64>,
    pub(crate) maxmemory_policy: Option<String>,
}

impl Info {
    pub(crate) fn of(answer: &Value) -> Self {
        let text = text(answer).unwrap_or_default();
        let field = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
            line.map(|value| value.trim().to_owned())
        };
        Self {
            version: field("redis_version"),
            maxmemory: field("maxmemory").and_then(|value| value.parse().ok()),
            maxmemory_policy: field("maxmemory_policy"),
        }
    }

    /// Whether scripts may say in their first line how they are to be run.
    pub(crate) fn knows_flags(&self) -> bool {
        let major = self.version.as_ref().and_then(|version| version.split('.').next()?.parse::<u32>().ok());
        major.is_some_and(|major| major >= 7)
    }

    /// What is to be changed on the server, if anything is.
    pub(crate) fn advice(&self) -> Option<String> {
        let policy = self.maxmemory_policy.as_deref()?;
        match (policy, self.maxmemory) {
            ("noeviction", Some(0)) => Some(
                "the cache server's memory has no limit; set maxmemory and maxmemory-policy volatile-lru there"
                    .to_owned(),
            ),
            ("noeviction", _) => Some(
                "the cache server drops nothing when it is full, and takes no rows then; set maxmemory-policy \
                 volatile-lru there"
                    .to_owned(),
            ),
            _ => None,
        }
    }
}

/// What an answer says, if it is a text.
pub(crate) fn text(answer: &Value) -> Option<String> {
    match answer {
        Value::BulkString(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => Some(text.clone()),
        _ => None,
    }
}

/// Whether `ROLE` says that the server is a replica, and of whom.
pub(crate) fn primary_of(role: &Value) -> Option<String> {
    let Value::Array(parts) = role else { return None };
    let is_replica = matches!(text(parts.first()?)?.as_str(), "slave" | "replica");
    if !is_replica {
        return None;
    }
    let host = parts.get(1).and_then(text).unwrap_or_default();
    match parts.get(2) {
        Some(Value::Int(port)) => Some(format!("{host}:{port}")),
        _ => Some(host),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn info(text: &str) -> Info {
        Info::of(&Value::BulkString(text.as_bytes().to_vec()))
    }

    #[test]
    fn what_a_server_is_is_read_from_its_own_words() {
        let text = "# Server\r\nredis_version:7.0.15\r\nredis_mode:standalone\r\n\
                    # Memory\r\nmaxmemory:1048576\r\nmaxmemory_human:1.00M\r\nmaxmemory_policy:allkeys-lru\r\n";
        let read = info(text);
        assert_eq!(read.version.as_deref(), Some("7.0.15"));
        assert_eq!((read.maxmemory, read.maxmemory_policy.as_deref()), (Some(1 << 20), Some("allkeys-lru")));
        assert!(read.knows_flags() && read.advice().is_none());
        for (version, knows) in [("6.2.14", false), ("7.2.4", true), ("10.0.0", true), ("x", false)] {
            assert_eq!(info(&format!("redis_version:{version}\r\n")).knows_flags(), knows, "{version}");
        }
        assert_eq!(Info::of(&Value::Nil), Info::default());
        assert!(!Info::default().knows_flags(), "nothing is known of a server that does not say");
    }

    #[test]
    fn a_server_that_drops_nothing_is_told_of() {
        let advice = info("maxmemory:0\r\nmaxmemory_policy:noeviction\r\n").advice().unwrap();
        assert!(advice.contains("set maxmemory and"), "{advice}");
        let advice = info("maxmemory:9\r\nmaxmemory_policy:noeviction\r\n").advice().unwrap();
        assert!(advice.contains("volatile-lru"), "{advice}");
        assert_eq!(info("maxmemory:9\r\nmaxmemory_policy:volatile-ttl\r\n").advice(), None);
    }

    #[test]
    fn a_replica_names_its_primary() {
        let word = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        let replica =
            Value::Array(vec![word("slave"), word("10.0.0.1"), Value::Int(6379), word("connected"), Value::Int(5)]);
        assert_eq!(primary_of(&replica).as_deref(), Some("10.0.0.1:6379"));
        assert_eq!(primary_of(&Value::Array(vec![word("master"), Value::Int(5), Value::Array(Vec::new())])), None);
        assert_eq!(primary_of(&Value::Nil), None);
    }
}
