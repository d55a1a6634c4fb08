//! String formats of `buf.validate`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether text has a format; an unknown format accepts everything.
pub(super) fn matches(format: &str, text: &str) -> bool {
    match format {
        "email" => is_email(text),
        "hostname" => is_hostname(text),
        "uri" => is_uri(text),
        "uuid" => is_uuid(text),
        "ip" => text.parse::<IpAddr>().is_ok(),
        "ipv4" => text.parse::<Ipv4Addr>().is_ok(),
        "ipv6" => text.parse::<Ipv6Addr>().is_ok(),
        _ => true,
    }
}

/// As HTML's `<input type=email>` defines it.
fn is_email(text: &str) -> bool {
    let Some((local, domain)) = text.rsplit_once('@') else { return false };
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".!#$%&'*+/=?^_`{|}~-".contains(&byte);
    !local.is_empty() && local.len() <= 64 && local.bytes().all(allowed) && is_hostname(domain)
}

fn is_hostname(text: &str) -> bool {
    let text = text.strip_suffix('.').unwrap_or(text);
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    (1..=253).contains(&text.len()) && text.split('.').all(label)
}

/// Scheme, colon, and characters of RFC 3986 only.
fn is_uri(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    let scheme_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
    let rest_byte = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~:/?#[]@!$&'()*+,;=%".contains(&byte);
    scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(scheme_byte)
        && rest.bytes().all(rest_byte)
}

fn is_uuid(text: &str) -> bool {
    let digits = [8, 4, 4, 4, 12];
    let mut parts = text.split('-');
    digits.iter().all(|length| {
        parts.next().is_some_and(|part| part.len() == *length && part.bytes().all(|byte| byte.is_ascii_hexdigit()))
    }) && parts.next().is_none()
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn formats_accept_what_they_name_and_nothing_near_it() {
        for (format, good, bad) in [
            ("email", "ann.b+c@example.com", "ann@"),
            ("email", "a@localhost", "a b@example.com"),
            ("hostname", "db-1.example.com", "-db.example.com"),
            ("uri", "https://example.com/a?b=c#d", "not a uri"),
            ("uuid", "6F1f3d0e-4a1b-4c1e-9d3e-0a1b2c3d4e5f", "6f1f3d0e4a1b4c1e9d3e0a1b2c3d4e5f"),
            ("ip", "::1", "1.2.3"),
            ("ipv4", "127.0.0.1", "::1"),
            ("ipv6", "fe80::1", "127.0.0.1"),
        ] {
            assert!(matches(format, good), "{format} {good}");
            assert!(!matches(format, bad), "{format} {bad}");
        }
    }
}
