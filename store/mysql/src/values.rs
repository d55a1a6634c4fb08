//! Numbers and strings of the protocol, read from a slice and appended to a buffer.

use crate::Error;

/// A cursor over a packet.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cursor<'a>(pub(crate) &'a [u8]);

const SHORT: Error = Error::Protocol("a packet ends too early");

impl<'a> Cursor<'a> {
    #[inline]
    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], Error> {
        let Some((taken, rest)) = self.0.split_at_checked(count) else { return Err(SHORT) };
        self.0 = rest;
        Ok(taken)
    }

    #[inline]
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let Some((taken, rest)) = self.0.split_first_chunk::<N>() else { return Err(SHORT) };
        self.0 = rest;
        Ok(*taken)
    }

    #[inline]
    pub(crate) fn byte(&mut self) -> Result<u8, Error> {
        self.array().map(|[byte]| byte)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, Error> {
        self.array().map(u16::from_le_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Error> {
        self.array().map(u32::from_le_bytes)
    }

    /// A length-encoded number; `None` is the NULL of text rows.
    #[inline]
    pub(crate) fn nullable_length(&mut self) -> Result<Option<u64>, Error> {
        Ok(Some(match self.byte()? {
            0xfb => return Ok(None),
            0xfc => self.u16()?.into(),
            0xfd => {
                let [a, b, c] = self.array()?;
                u32::from_le_bytes([a, b, c, 0]).into()
            }
            0xfe => u64::from_le_bytes(self.array()?),
            0xff => return Err(Error::Protocol("a length that is none")),
            short => short.into(),
        }))
    }

    pub(crate) fn length(&mut self) -> Result<u64, Error> {
        match self.nullable_length()? {
            Some(length) => Ok(length),
            None => Err(Error::Protocol("NULL in place of a length")),
        }
    }

    /// A string behind its length.
    pub(crate) fn bytes(&mut self) -> Result<&'a [u8], Error> {
        let Ok(length) = usize::try_from(self.length()?) else { return Err(SHORT) };
        self.take(length)
    }
}

/// Appends a string behind its length.
pub(crate) fn push_bytes(buffer: &mut Vec<u8>, bytes: &[u8]) {
    push_length(buffer, bytes.len() as u64);
    buffer.extend_from_slice(bytes);
}

#[expect(clippy::cast_possible_truncation, reason = "each arm's range fits")]
fn push_length(buffer: &mut Vec<u8>, length: u64) {
    match length {
        0..=0xfa => buffer.push(length as u8),
        0xfb..=0xffff => {
            buffer.push(0xfc);
            buffer.extend_from_slice(&(length as u16).to_le_bytes());
        }
        0x1_0000..=0xff_ffff => {
            buffer.push(0xfd);
            buffer.extend_from_slice(&length.to_le_bytes()[..3]);
        }
        _ => {
            buffer.push(0xfe);
            buffer.extend_from_slice(&length.to_le_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_of_every_length_class_come_back() {
        for length in [0, 1, 0xfa, 0xfb, 0xff, 0xffff, 0x1_0000, 0xff_ffff, 0x100_0000] {
            let mut buffer = Vec::new();
            push_bytes(&mut buffer, &vec![b'x'; length]);
            let mut cursor = Cursor(&buffer);
            assert_eq!(cursor.bytes().unwrap().len(), length);
            assert!(cursor.0.is_empty());
        }
    }

    #[test]
    fn a_cut_packet_is_an_error_at_every_place() {
        let mut buffer = Vec::new();
        push_bytes(&mut buffer, &[7; 300]);
        for end in 0..buffer.len() {
            assert!(Cursor(&buffer[..end]).bytes().is_err());
        }
    }
}
