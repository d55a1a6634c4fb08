//! Which representation a client wants: by `Accept`, or by the extension of the path.

use http::HeaderValue;
use http::header::GetAll;

/// One representation a resource has: what it is to the service, its media type, and other names of that type.
#[derive(Debug, Clone, Copy)]
pub struct Offer<T> {
    /// What the service calls it.
    pub value: T,
    /// `application/json`.
    pub media_type: &'static str,
    /// The extension of a path that asks for it, without the dot.
    pub extension: &'static str,
    /// `text/json`, ...
    pub aliases: &'static [&'static str],
}

/// The media type without its parameters.
pub fn content_type_essence(value: &HeaderValue) -> &str {
    let text = value.to_str().unwrap_or_default();
    text.split(';').next().unwrap_or_default().trim()
}

/// The offer a client likes best. The most specific range that matches an offer decides its quality (RFC 9110); among
/// equals the offer that stands first wins, which is also the answer to a client that says nothing. `None` is 406.
pub fn negotiate<T: Copy>(accept: &GetAll<'_, HeaderValue>, offers: &[Offer<T>]) -> Option<T> {
    let mut values = accept.iter().peekable();
    if values.peek().is_none() {
        return offers.first().map(|offer| offer.value);
    }
    // The cheap and common cases first: one type, taken literally.
    if let (Some(only), None) = (values.next(), values.next())
        && let Some(offer) = offers.iter().find(|offer| only.as_bytes() == offer.media_type.as_bytes())
    {
        return Some(offer.value);
    }
    let mut best: Option<(u16, T)> = None;
    for offer in offers {
        let quality = quality_of(accept, offer);
        if quality > best.map_or(0, |(best, _)| best) {
            best = Some((quality, offer.value));
        }
    }
    best.map(|(_, value)| value)
}

fn quality_of<T>(accept: &GetAll<'_, HeaderValue>, offer: &Offer<T>) -> u16 {
    let ranges = accept.iter().filter_map(|value| value.to_str().ok()).flat_map(|text| text.split(','));
    let mut best = (0, 0);
    for range in ranges {
        let (range, parameters) = range.split_once(';').unwrap_or((range, ""));
        let specificity = specificity(range.trim(), offer);
        if specificity > best.0 {
            best = (specificity, quality(parameters));
        }
    }
    best.1
}

/// 0 when the range does not match; else the more specific, the higher.
fn specificity<T>(range: &str, offer: &Offer<T>) -> u8 {
    let kind = offer.media_type.split('/').next().unwrap_or_default();
    if range == "*/*" || range == "*" {
        1
    } else if range.strip_suffix("/*").is_some_and(|wanted| wanted.eq_ignore_ascii_case(kind)) {
        2
    } else if offer.aliases.iter().any(|alias| range.eq_ignore_ascii_case(alias)) {
        3
    } else if range.eq_ignore_ascii_case(offer.media_type) {
        4
    } else {
        0
    }
}

/// The `q` among parameters, in thousandths; 1 without one, 0 if it is broken.
pub(crate) fn quality(parameters: &str) -> u16 {
    let q = parameters.split(';').find_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("q").then(|| value.trim())
    });
    let Some(q) = q else { return 1000 };
    match q.parse::<f32>() {
        Ok(q) if (0.0..=1.0).contains(&q) => (q * 1000.0) as u16,
        _ => 0,
    }
}

/// Splits a known extension off the last segment of a path: `/v1/users/1.json`.
pub fn split_extension<'p, T: Copy>(path: &'p str, offers: &[Offer<T>]) -> (&'p str, Option<T>) {
    let segment = path.rfind('/').map_or(0, |slash| slash + 1);
    let found = path[segment..].rfind('.').filter(|dot| *dot > 0).and_then(|dot| {
        let extension = &path[segment + dot + 1..];
        let offer = offers.iter().find(|offer| offer.extension == extension)?;
        Some((&path[..segment + dot], Some(offer.value)))
    });
    found.unwrap_or((path, None))
}

#[cfg(test)]
mod tests {
    use http::HeaderMap;
    use http::header::ACCEPT;

    use super::*;

    const fn offer(media_type: &'static str, extension: &'static str) -> Offer<&'static str> {
        Offer { value: extension, media_type, extension, aliases: &[] }
    }

    const OFFERS: [Offer<&str>; 3] = [
        offer("application/json", "json"),
        Offer { aliases: &["text/xml"], ..offer("application/xml", "xml") },
        offer("text/html", "html"),
    ];

    fn negotiated(values: &[&'static str]) -> Option<&'static str> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(ACCEPT, HeaderValue::from_static(value));
        }
        negotiate(&headers.get_all(ACCEPT), &OFFERS)
    }

    #[test]
    fn the_most_specific_range_decides_and_the_first_offer_breaks_ties() {
        for (values, wanted) in [
            (&[][..], Some("json")),
            (&["*/*"], Some("json")),
            (&["application/json"], Some("json")),
            (&["text/xml"], Some("xml")),
            (&["text/*"], Some("html")),
            (&["text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"], Some("html")),
            (&["application/json;q=0.1, */*"], Some("xml")),
            (&["application/json;q=0", "text/html;q=0.5"], Some("html")),
            (&["*/*, application/json;q=0"], Some("xml")),
            (&["APPLICATION/XML"], Some("xml")),
            (&["application/json; charset=utf-8; q=0.4, text/html;q=0.3"], Some("json")),
            (&["image/png"], None),
            (&["application/json;q=2"], None),
        ] {
            assert_eq!(negotiated(values), wanted, "{values:?}");
        }
    }

    #[test]
    fn only_known_extensions_of_the_last_segment_are_split() {
        for (path, rest, extension) in [
            ("/v1/users/1.json", "/v1/users/1", Some("json")),
            ("/v1/users.xml", "/v1/users", Some("xml")),
            ("/v1/users/a.b", "/v1/users/a.b", None),
            ("/v1.json/users", "/v1.json/users", None),
            ("/v1/users/.json", "/v1/users/.json", None),
            ("/v1/users/a%2Ejson", "/v1/users/a%2Ejson", None),
        ] {
            assert_eq!(split_extension(path, &OFFERS), (rest, extension), "{path}");
        }
    }
}
