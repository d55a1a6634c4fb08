//! Texts in the log are in their column's character set; reads answer them in UTF-8, converted by the server.

use std::borrow::Cow;

/// What is known of a character set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Charset {
    /// UTF-8, of which ASCII is a part; bytes that are no text of any set.
    Utf8,
    /// Windows-1252, as both products have it.
    Latin1,
    /// ASCII, and other letters above it.
    AboveAscii,
    /// Nothing of ASCII is what it seems.
    Wide,
}

impl Charset {
    /// By the name that the server has for it.
    pub(super) fn named(name: &str) -> Self {
        match name {
            "utf8mb4" | "utf8mb3" | "utf8" | "ascii" | "binary" => Self::Utf8,
            "latin1" => Self::Latin1,
            "ucs2" | "utf16" | "utf16le" | "utf32" => Self::Wide,
            // Some have a few of ASCII's places for letters of their own.
            "swe7" | "sjis" | "cp932" | "big5" | "gbk" | "gb18030" => Self::Wide,
            _ => Self::AboveAscii,
        }
    }

    /// A text in UTF-8; `None` if that is not known here.
    pub(super) fn text(self, bytes: &[u8]) -> Option<Cow<'_, str>> {
        match self {
            Self::Utf8 => std::str::from_utf8(bytes).ok().map(Cow::Borrowed),
            Self::Wide => bytes.is_empty().then_some(Cow::Borrowed("")),
            _ if bytes.is_ascii() => std::str::from_utf8(bytes).ok().map(Cow::Borrowed),
            Self::Latin1 => Some(Cow::Owned(bytes.iter().map(|byte| latin1(*byte)).collect())),
            Self::AboveAscii => None,
        }
    }
}

/// From 0x80 to 0x9f; what Windows leaves out is the control character of that number.
const WINDOWS: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}', '\u{90}', '‘', '’',
    '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

fn latin1(byte: u8) -> char {
    match byte {
        0x80..=0x9f => WINDOWS[usize::from(byte - 0x80)],
        other => other.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_become_utf_8_or_are_not_guessed_at() {
        assert_eq!(Charset::named("latin1").text(b"a\x80\xe4").unwrap(), "a€ä");
        assert_eq!(Charset::named("utf8mb4").text("ä".as_bytes()).unwrap(), "ä");
        assert_eq!(Charset::named("koi8r").text(b"plain").unwrap(), "plain");
        assert_eq!(Charset::named("koi8r").text(b"\xc1"), None);
        assert_eq!(Charset::named("utf16").text(b"\0a"), None);
    }
}
