//! JSON text, token by token (RFC 8259), strictly.

use std::borrow::Cow;

use crate::fault::Fault;

/// Objects and arrays inside each other, at most.
pub(crate) const MAX_DEPTH: u32 = 64;

/// Reads tokens off a text. Copying it is remembering the place.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Text<'a> {
    text: &'a str,
    at: usize,
    depth: u32,
}

impl<'a> Text<'a> {
    /// # Errors
    /// If the bytes are not UTF-8.
    pub(crate) fn new(bytes: &'a [u8]) -> Result<Self, Fault> {
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Self { text, at: 0, depth: 0 }),
            Err(error) => Err(Fault::new("INVALID_UTF8", "the text is not valid UTF-8").at(error.valid_up_to())),
        }
    }

    pub(crate) fn position(&self) -> usize {
        self.at
    }

    pub(crate) fn expected(&self, what: &str) -> Fault {
        let found = match self.text[self.at..].chars().next() {
            None => "the end of the text".to_owned(),
            Some(c) => format!("{c:?}"),
        };
        Fault::new("INVALID_JSON", format!("expected {what}, found {found}")).at(self.at)
    }

    fn bytes(&self) -> &'a [u8] {
        self.text.as_bytes()
    }

    fn skip_space(&mut self) {
        while matches!(self.bytes().get(self.at), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    /// The first byte of the next token.
    pub(crate) fn peek(&mut self) -> Option<u8> {
        self.skip_space();
        self.bytes().get(self.at).copied()
    }

    pub(crate) fn eat(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        self.at += usize::from(found);
        found
    }

    pub(crate) fn expect(&mut self, byte: u8, what: &str) -> Result<(), Fault> {
        if self.eat(byte) { Ok(()) } else { Err(self.expected(what)) }
    }

    pub(crate) fn eat_word(&mut self, word: &str) -> bool {
        self.skip_space();
        let rest = &self.bytes()[self.at..];
        let found = rest.starts_with(word.as_bytes()) && !rest.get(word.len()).is_some_and(u8::is_ascii_alphanumeric);
        if found {
            self.at += word.len();
        }
        found
    }

    pub(crate) fn enter(&mut self) -> Result<(), Fault> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(Fault::new("TOO_DEEP", format!("is nested more than {MAX_DEPTH} deep")).at(self.at));
        }
        Ok(())
    }

    pub(crate) fn leave(&mut self) {
        self.depth -= 1;
    }

    /// Nothing but white space may follow.
    pub(crate) fn end(&mut self) -> Result<(), Fault> {
        if self.peek().is_none() { Ok(()) } else { Err(self.expected("the end of the text")) }
    }

    /// A string, borrowed if it has no escapes.
    pub(crate) fn string(&mut self) -> Result<Cow<'a, str>, Fault> {
        self.expect(b'"', "a string")?;
        let start = self.at;
        loop {
            match self.bytes().get(self.at) {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(Cow::Borrowed(&self.text[start..self.at - 1]));
                }
                Some(b'\\') => return self.escaped(start).map(Cow::Owned),
                Some(0..0x20) => return Err(self.control()),
                Some(_) => self.at += 1,
                None => return Err(self.unclosed(start)),
            }
        }
    }

    fn escaped(&mut self, start: usize) -> Result<String, Fault> {
        let mut out = self.text[start..self.at].to_owned();
        let mut clean = self.at;
        loop {
            match self.bytes().get(self.at) {
                Some(b'"') => {
                    out.push_str(&self.text[clean..self.at]);
                    self.at += 1;
                    return Ok(out);
                }
                Some(b'\\') => {
                    out.push_str(&self.text[clean..self.at]);
                    out.push(self.escape()?);
                    clean = self.at;
                }
                Some(0..0x20) => return Err(self.control()),
                Some(_) => self.at += 1,
                None => return Err(self.unclosed(start)),
            }
        }
    }

    fn control(&self) -> Fault {
        Fault::new("INVALID_JSON", "control characters must be escaped").at(self.at)
    }

    fn unclosed(&self, start: usize) -> Fault {
        Fault::new("INVALID_JSON", "this string is not closed").at(start - 1)
    }

    fn escape(&mut self) -> Result<char, Fault> {
        let start = self.at;
        let c = self.bytes().get(self.at + 1).copied();
        self.at += 2;
        Ok(match c {
            Some(c @ (b'"' | b'\\' | b'/')) => char::from(c),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') => return self.unicode(start),
            _ => return Err(Fault::new("INVALID_JSON", "unknown escape").at(start)),
        })
    }

    fn unicode(&mut self, start: usize) -> Result<char, Fault> {
        let lone = || Fault::new("INVALID_JSON", "this escape is half of a surrogate pair").at(start);
        let first = self.hex(start)?;
        let code = match first {
            0xd800..=0xdbff => {
                if self.bytes().get(self.at..self.at + 2) != Some(b"\\u") {
                    return Err(lone());
                }
                self.at += 2;
                let second = self.hex(start)?;
                if !(0xdc00..=0xdfff).contains(&second) {
                    return Err(lone());
                }
                0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00)
            }
            code => code,
        };
        char::from_u32(code).ok_or_else(lone)
    }

    fn hex(&mut self, start: usize) -> Result<u32, Fault> {
        let digits = self.bytes().get(self.at..self.at + 4);
        let digits = digits.filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        let Some(digits) = digits else {
            return Err(Fault::new("INVALID_JSON", "\\u needs four hexadecimal digits").at(start));
        };
        self.at += 4;
        Ok(digits.iter().fold(0, |code, digit| code * 16 + char::from(*digit).to_digit(16).unwrap_or(0)))
    }

    /// A number as it is written.
    pub(crate) fn number(&mut self) -> Result<&'a str, Fault> {
        self.skip_space();
        let start = self.at;
        self.at += usize::from(self.bytes().get(self.at) == Some(&b'-'));
        match self.bytes().get(self.at) {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => drop(self.digits()),
            _ => {
                self.at = start;
                return Err(self.expected("a number"));
            }
        }
        if self.bytes().get(self.at) == Some(&b'.') {
            self.at += 1;
            self.some_digits()?;
        }
        if matches!(self.bytes().get(self.at), Some(b'e' | b'E')) {
            self.at += 1;
            self.at += usize::from(matches!(self.bytes().get(self.at), Some(b'+' | b'-')));
            self.some_digits()?;
        }
        if self.bytes().get(self.at).is_some_and(u8::is_ascii_alphanumeric) {
            return Err(self.expected("the end of the number"));
        }
        Ok(&self.text[start..self.at])
    }

    fn digits(&mut self) -> usize {
        let start = self.at;
        while self.bytes().get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
        self.at - start
    }

    fn some_digits(&mut self) -> Result<(), Fault> {
        if self.digits() == 0 { Err(self.expected("a digit")) } else { Ok(()) }
    }

    /// Passes over any value.
    pub(crate) fn skip_value(&mut self) -> Result<(), Fault> {
        match self.peek() {
            Some(b'{') => self.skip_members(),
            Some(b'[') => self.skip_items(),
            Some(b'"') => self.string().map(drop),
            Some(b'-' | b'0'..=b'9') => self.number().map(drop),
            _ if self.eat_word("true") || self.eat_word("false") || self.eat_word("null") => Ok(()),
            _ => Err(self.expected("a value")),
        }
    }

    fn skip_members(&mut self) -> Result<(), Fault> {
        let mut first = true;
        self.enter()?;
        self.expect(b'{', "an object")?;
        while let Some(_name) = self.next_member(&mut first)? {
            self.skip_value()?;
        }
        self.leave();
        Ok(())
    }

    fn skip_items(&mut self) -> Result<(), Fault> {
        let mut first = true;
        self.enter()?;
        self.expect(b'[', "an array")?;
        while self.next_item(&mut first)? {
            self.skip_value()?;
        }
        self.leave();
        Ok(())
    }

    /// The name of an object's next member, its colon read; `None` at the end, which is read too.
    pub(crate) fn next_member(&mut self, first: &mut bool) -> Result<Option<Cow<'a, str>>, Fault> {
        if self.eat(b'}') {
            return Ok(None);
        }
        if !std::mem::take(first) {
            self.expect(b',', "a comma or the end of the object")?;
        }
        if self.peek() != Some(b'"') {
            return Err(self.expected("the name of a field in double quotes"));
        }
        let name = self.string()?;
        self.expect(b':', "a colon")?;
        Ok(Some(name))
    }

    /// Whether an array has another item; its end is read.
    pub(crate) fn next_item(&mut self, first: &mut bool) -> Result<bool, Fault> {
        if self.eat(b']') {
            return Ok(false);
        }
        if !std::mem::take(first) {
            self.expect(b',', "a comma or the end of the array")?;
            if self.peek() == Some(b']') {
                return Err(self.expected("a value"));
            }
        }
        Ok(true)
    }
}
