//! Protobuf wire form, one field at a time, borrowing from the input.
//!
//! What is valid but not canonical is read like any parser reads it: over-long varints up to ten bytes, groups (skipped),
//! unknown fields (skipped). Everything else is a [`WireError`], never a panic.

/// Messages and groups inside each other, at most.
pub(crate) const MAX_DEPTH: u32 = 100;

/// Type of a field's value on the wire: the low three bits of its tag.
pub(crate) mod wire_type {
    /// A varint.
    pub(crate) const VARINT: u32 = 0;
    /// Eight bytes.
    pub(crate) const FIXED64: u32 = 1;
    /// A length and so many bytes.
    pub(crate) const LENGTH: u32 = 2;
    /// Start of a group.
    pub(crate) const GROUP: u32 = 3;
    /// End of a group.
    pub(crate) const END_GROUP: u32 = 4;
    /// Four bytes.
    pub(crate) const FIXED32: u32 = 5;
}

/// Why bytes are not wire form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WireError {
    /// They end inside a field.
    #[error("the message ends in the middle of a field")]
    Truncated,
    /// A varint of more than ten bytes or 64 bits.
    #[error("a varint is longer than 64 bits")]
    Varint,
    /// A tag with field number 0, an unknown wire type or more than 32 bits.
    #[error("a tag is invalid")]
    Tag,
    /// A group ends that did not start, or the other way round.
    #[error("a group does not end where it should")]
    Group,
    /// Too deep.
    #[error("messages are nested more than 100 deep")]
    Depth,
}

/// Reads fields off a message.
#[derive(Debug, Clone)]
pub(crate) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// At the start of a message.
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Whether the message ends here.
    pub(crate) const fn is_empty(&self) -> bool {
        self.at >= self.bytes.len()
    }

    /// Bytes read so far.
    pub(crate) const fn position(&self) -> usize {
        self.at
    }

    /// A varint.
    ///
    /// # Errors
    /// See [`WireError`]; so for all of these.
    #[inline]
    pub(crate) fn varint(&mut self) -> Result<u64, WireError> {
        match self.bytes.get(self.at) {
            Some(&byte) if byte < 0x80 => {
                self.at += 1;
                Ok(u64::from(byte))
            }
            _ => self.long_varint(),
        }
    }

    fn long_varint(&mut self) -> Result<u64, WireError> {
        let mut value = 0;
        for shift in (0..70).step_by(7) {
            let byte = *self.bytes.get(self.at).ok_or(WireError::Truncated)?;
            self.at += 1;
            if shift == 63 && byte > 1 {
                break;
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(WireError::Varint)
    }

    /// A tag: field number times eight plus wire type.
    ///
    /// # Errors
    /// See [`WireError`].
    #[inline]
    pub(crate) fn tag(&mut self) -> Result<u32, WireError> {
        let tag = u32::try_from(self.varint()?).map_err(|_| WireError::Tag)?;
        if tag < 8 || tag & 7 > wire_type::FIXED32 { Err(WireError::Tag) } else { Ok(tag) }
    }

    /// Four bytes, little-endian.
    ///
    /// # Errors
    /// See [`WireError`].
    #[inline]
    pub(crate) fn fixed32(&mut self) -> Result<u32, WireError> {
        let (value, _) = self.bytes[self.at..].split_first_chunk().ok_or(WireError::Truncated)?;
        self.at += 4;
        Ok(u32::from_le_bytes(*value))
    }

    /// Eight bytes, little-endian.
    ///
    /// # Errors
    /// See [`WireError`].
    #[inline]
    pub(crate) fn fixed64(&mut self) -> Result<u64, WireError> {
        let (value, _) = self.bytes[self.at..].split_first_chunk().ok_or(WireError::Truncated)?;
        self.at += 8;
        Ok(u64::from_le_bytes(*value))
    }

    /// A length and that many bytes.
    ///
    /// # Errors
    /// See [`WireError`].
    #[inline]
    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], WireError> {
        let length = usize::try_from(self.varint()?).map_err(|_| WireError::Truncated)?;
        let rest = &self.bytes[self.at..];
        let value = rest.get(..length).ok_or(WireError::Truncated)?;
        self.at += length;
        Ok(value)
    }

    /// Passes over the value of a field whose tag was read.
    ///
    /// # Errors
    /// See [`WireError`].
    pub(crate) fn skip(&mut self, tag: u32) -> Result<(), WireError> {
        match tag & 7 {
            wire_type::VARINT => self.varint().map(drop),
            wire_type::FIXED64 => self.fixed64().map(drop),
            wire_type::LENGTH => self.bytes().map(drop),
            wire_type::GROUP => self.skip_group(tag >> 3),
            wire_type::FIXED32 => self.fixed32().map(drop),
            _ => Err(WireError::Group),
        }
    }

    /// Groups nest; a stack on the heap would grow with the input, so their depth is limited.
    fn skip_group(&mut self, number: u32) -> Result<(), WireError> {
        let mut open: smallvec::SmallVec<[u32; 8]> = smallvec::smallvec![number];
        while let Some(innermost) = open.last().copied() {
            let tag = self.tag()?;
            match tag & 7 {
                wire_type::GROUP if open.len() >= MAX_DEPTH as usize => return Err(WireError::Depth),
                wire_type::GROUP => open.push(tag >> 3),
                wire_type::END_GROUP if tag >> 3 == innermost => drop(open.pop()),
                _ => self.skip(tag)?,
            }
        }
        Ok(())
    }
}

/// Appends a varint.
#[inline]
pub(crate) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

/// Appends a tag.
#[inline]
pub(crate) fn put_tag(out: &mut Vec<u8>, number: u32, wire_type: u32) {
    put_varint(out, u64::from(number << 3 | wire_type));
}

/// Appends a field of bytes, text or a finished message.
pub(crate) fn put_bytes(out: &mut Vec<u8>, number: u32, bytes: &[u8]) {
    put_tag(out, number, wire_type::LENGTH);
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Appends a varint field.
pub(crate) fn put_uint(out: &mut Vec<u8>, number: u32, value: u64) {
    put_tag(out, number, wire_type::VARINT);
    put_varint(out, value);
}

/// A message being written whose length is not known yet.
#[derive(Debug)]
#[must_use]
pub(crate) struct Open(usize);

/// Starts a message: its length goes in front when it is closed.
pub(crate) fn open(out: &mut Vec<u8>) -> Open {
    out.push(0);
    Open(out.len())
}

/// Ends a message. Its bytes move up if the length takes more than one byte.
pub(crate) fn close(out: &mut Vec<u8>, Open(start): Open) {
    let length = out.len() - start;
    if length < 0x80 {
        out[start - 1] = length.to_le_bytes()[0];
        return;
    }
    let mut prefix = Vec::with_capacity(5);
    put_varint(&mut prefix, length as u64);
    out.splice(start - 1..start, prefix);
}

/// A signed number as protobuf's zigzag code.
pub(crate) const fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)).cast_unsigned()
}

/// The number of a zigzag code.
pub(crate) const fn unzigzag(code: u64) -> i64 {
    (code >> 1).cast_signed() ^ -((code & 1).cast_signed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn varints_of_any_length_up_to_ten_bytes_are_read() {
        for value in [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX] {
            let mut out = Vec::new();
            put_varint(&mut out, value);
            assert_eq!(Reader::new(&out).varint(), Ok(value));
        }
        assert_eq!(Reader::new(&[0x81, 0x80, 0x80, 0x00]).varint(), Ok(1));
        assert_eq!(Reader::new(&[0xff; 9]).varint(), Err(WireError::Truncated));
        assert_eq!(Reader::new(&[0xff; 11]).varint(), Err(WireError::Varint));
        assert_eq!(
            Reader::new(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2]).varint(),
            Err(WireError::Varint)
        );
    }

    #[test]
    fn a_length_beyond_the_end_is_refused() {
        assert_eq!(Reader::new(&[5, 1, 2]).bytes(), Err(WireError::Truncated));
        assert_eq!(
            Reader::new(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]).bytes(),
            Err(WireError::Truncated)
        );
        assert_eq!(Reader::new(&[1, 2, 3]).fixed32(), Err(WireError::Truncated));
        assert_eq!(Reader::new(&[1, 2, 3]).fixed64(), Err(WireError::Truncated));
    }

    #[test]
    fn groups_are_skipped_and_must_match() {
        // Group 1 { group 2 { field 3 = 7 } } and then field 4.
        let bytes = [0x0b, 0x13, 0x18, 0x07, 0x14, 0x0c, 0x20, 0x01];
        let mut reader = Reader::new(&bytes);
        let tag = reader.tag().unwrap();
        reader.skip(tag).unwrap();
        assert_eq!(reader.tag(), Ok(0x20));
        assert_eq!(Reader::new(&[0x14]).skip(0x0b), Err(WireError::Group));
        assert_eq!(Reader::new(&[]).skip(0x0b), Err(WireError::Truncated));
        assert_eq!(Reader::new(&[0x0b; 200]).skip(0x0b), Err(WireError::Depth));
    }

    #[test]
    fn tags_without_a_field_number_are_refused() {
        for bytes in [&[0x00][..], &[0x07], &[0x0e], &[0xff, 0xff, 0xff, 0xff, 0x7f]] {
            assert_eq!(Reader::new(bytes).tag(), Err(WireError::Tag), "{bytes:?}");
        }
    }

    #[test]
    fn a_closed_message_has_its_length_in_front() {
        for length in [0, 1, 127, 128, 20_000] {
            let mut out = vec![9];
            let message = open(&mut out);
            out.resize(out.len() + length, 7);
            close(&mut out, message);
            assert_eq!(Reader::new(&out[1..]).bytes(), Ok(&vec![7; length][..]));
        }
    }

    #[test]
    fn zigzag_comes_back() {
        for value in [0, -1, 1, i64::MIN, i64::MAX] {
            assert_eq!(unzigzag(zigzag(value)), value);
        }
    }
}
