//! JSON as XML, element for element and in the same order, without a tree between them.
//!
//! A field is an element named like it in JSON, a repeated field is that element again and again, an empty one is
//! absent. A key that is no XML name (in a map) is `<entry key="...">`. `null` is an empty element with `null="true"`.

use std::fmt;

use kit_core::Error;
use serde::de::{DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde::{Deserializer, de};

/// Renders one JSON text under a root element.
pub(crate) fn from_json(root: &str, json: &[u8]) -> Result<Vec<u8>, Error> {
    let mut out = String::with_capacity(json.len() * 2 + 64);
    out.push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n");
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    Element { name: root, out: &mut out }.deserialize(&mut deserializer).map_err(Error::internal)?;
    out.push('\n');
    Ok(out.into_bytes())
}

struct Element<'a> {
    name: &'a str,
    out: &'a mut String,
}

impl Element<'_> {
    fn open(&mut self, attribute: &str) {
        self.out.push('<');
        if is_name(self.name) {
            self.out.push_str(self.name);
        } else {
            self.out.push_str("entry key=\"");
            escape(self.name, self.out);
            self.out.push('"');
        }
        self.out.push_str(attribute);
        self.out.push('>');
    }

    fn close(&mut self) {
        self.out.push_str("</");
        self.out.push_str(if is_name(self.name) { self.name } else { "entry" });
        self.out.push('>');
    }

    fn text(mut self, text: &str) {
        self.open("");
        escape(text, self.out);
        self.close();
    }
}

impl<'de> DeserializeSeed<'de> for Element<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Element<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(mut self) -> Result<(), E> {
        self.open(" null=\"true\"");
        self.close();
        Ok(())
    }

    fn visit_bool<E>(self, value: bool) -> Result<(), E> {
        self.text(if value { "true" } else { "false" });
        Ok(())
    }

    fn visit_i64<E>(self, value: i64) -> Result<(), E> {
        self.text(&value.to_string());
        Ok(())
    }

    fn visit_u64<E>(self, value: u64) -> Result<(), E> {
        self.text(&value.to_string());
        Ok(())
    }

    fn visit_f64<E>(self, value: f64) -> Result<(), E> {
        self.text(&serde_json::Number::from_f64(value).map(|number| number.to_string()).unwrap_or_default());
        Ok(())
    }

    fn visit_str<E: de::Error>(self, value: &str) -> Result<(), E> {
        self.text(value);
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element_seed(Element { name: self.name, out: &mut *self.out })?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut fields: A) -> Result<(), A::Error> {
        self.open("");
        while let Some(name) = fields.next_key::<String>()? {
            fields.next_value_seed(Element { name: &name, out: &mut *self.out })?;
        }
        self.close();
        Ok(())
    }
}

fn is_name(name: &str) -> bool {
    let start = |byte: u8| byte.is_ascii_alphabetic() || byte == b'_';
    let rest = |byte: u8| start(byte) || byte.is_ascii_digit() || byte == b'-' || byte == b'.';
    name.bytes().next().is_some_and(start) && name.bytes().all(rest)
}

/// Characters that XML 1.0 cannot hold at all become U+FFFD.
fn escape(text: &str, out: &mut String) {
    for letter in text.chars() {
        match letter {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\r' => out.push_str("&#13;"),
            '\t' | '\n' => out.push(letter),
            '\0'..='\u{1f}' | '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            _ => out.push(letter),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn xml(json: &str) -> String {
        let xml = String::from_utf8(from_json("User", json.as_bytes()).unwrap()).unwrap();
        xml.split_once('\n').unwrap().1.trim_end().to_owned()
    }

    #[test]
    fn fields_keep_their_order_and_repeated_ones_repeat() {
        let expected = "<User><id>7</id><tags>b</tags><tags>a</tags><a><b>1.5</b></a><ok>true</ok></User>";
        assert_eq!(xml(r#"{"id":"7","tags":["b","a"],"none":[],"a":{"b":1.5},"ok":true}"#), expected);
        assert_eq!(xml(r#"{"a":null}"#), r#"<User><a null="true"></a></User>"#);
    }

    #[test]
    fn nothing_in_a_value_or_a_key_can_be_taken_for_markup() {
        assert_eq!(xml(r#"{"a":"<b>&\"]]>\u0000"}"#), "<User><a>&lt;b&gt;&amp;&quot;]]&gt;\u{fffd}</a></User>");
        let keyed = r#"<User><entry key="x y&quot;&gt;&lt;">1</entry></User>"#;
        assert_eq!(xml(r#"{"x y\"><":1}"#), keyed);
    }
}
