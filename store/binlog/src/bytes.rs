//! Reading from bytes that may be anything: every length is checked, nothing panics.

use crate::Error;

/// What is left to read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bytes<'a>(pub(crate) &'a [u8]);

/// A length that goes beyond the end.
const SHORT: Error = Error::Malformed("it ends before what it announces");

impl<'a> Bytes<'a> {
    #[inline]
    pub(crate) fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    #[inline]
    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], Error> {
        let (taken, rest) = self.0.split_at_checked(count).ok_or(SHORT)?;
        self.0 = rest;
        Ok(taken)
    }

    #[inline]
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let (taken, rest) = self.0.split_first_chunk::<N>().ok_or(SHORT)?;
        self.0 = rest;
        Ok(*taken)
    }

    #[inline]
    pub(crate) fn u8(&mut self) -> Result<u8, Error> {
        Ok(self.array::<1>()?[0])
    }

    #[inline]
    pub(crate) fn u16(&mut self) -> Result<u16, Error> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    #[inline]
    pub(crate) fn u32(&mut self) -> Result<u32, Error> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    #[inline]
    pub(crate) fn u64(&mut self) -> Result<u64, Error> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// An unsigned number of `count` bytes, at most 8, the least significant first.
    #[inline]
    pub(crate) fn uint(&mut self, count: usize) -> Result<u64, Error> {
        Ok(little_endian(self.take(count)?))
    }

    /// The protocol's number of one to nine bytes.
    #[inline]
    pub(crate) fn packed(&mut self) -> Result<u64, Error> {
        match self.u8()? {
            first @ ..=0xfa => Ok(first.into()),
            0xfc => Ok(self.u16()?.into()),
            0xfd => self.uint(3),
            0xfe => self.u64(),
            _ => Err(Error::Malformed("a length that is none")),
        }
    }

    /// A packed number that has to fit into what is left anyway.
    #[inline]
    pub(crate) fn length(&mut self) -> Result<usize, Error> {
        usize::try_from(self.packed()?).map_err(|_| SHORT)
    }

    /// Bytes behind their packed length.
    pub(crate) fn string(&mut self) -> Result<&'a [u8], Error> {
        let length = self.length()?;
        self.take(length)
    }

    /// A number of MySQL's serialization library: as many ones at the end of the first byte as bytes follow.
    pub(crate) fn varlen(&mut self) -> Result<u64, Error> {
        let first = self.u8()?;
        let more = first.trailing_ones();
        if more == 8 {
            return self.u64();
        }
        let rest = self.uint(more as usize)?;
        let high = rest.checked_shl(7 - more).unwrap_or(0);
        Ok(u64::from(first.checked_shr(more + 1).unwrap_or(0)) | high)
    }
}

/// At most 8 bytes as a number, the least significant first.
#[inline]
pub(crate) fn little_endian(bytes: &[u8]) -> u64 {
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// At most 8 bytes as a number, the most significant first.
#[inline]
pub(crate) fn big_endian(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

/// Text that is meant for people or is ASCII by its nature.
pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_numbers_of_every_length_are_read() {
        let read = |bytes: &[u8]| Bytes(bytes).packed();
        assert_eq!(read(&[0xfa]).unwrap(), 250);
        assert_eq!(read(&[0xfc, 1, 2]).unwrap(), 0x201);
        assert_eq!(read(&[0xfd, 1, 2, 3]).unwrap(), 0x30201);
        assert_eq!(read(&[0xfe, 1, 0, 0, 0, 0, 0, 0, 0x80]).unwrap(), 1 << 63 | 1);
        for bytes in [&[][..], &[0xfb], &[0xff], &[0xfc, 1], &[0xfe, 1, 2, 3, 4, 5, 6, 7]] {
            assert!(read(bytes).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn numbers_of_the_serialization_library_are_read() {
        let read = |bytes: &[u8]| Bytes(bytes).varlen();
        assert_eq!(read(&[0x02]).unwrap(), 1);
        assert_eq!(read(&[0xfe]).unwrap(), 127);
        assert_eq!(read(&[0b0000_0001, 0b10]).unwrap(), 128);
        assert_eq!(read(&[0x7f, 1, 2, 3, 4, 5, 6, 7]).unwrap(), 0x07_0605_0403_0201);
        assert_eq!(read(&[0xff, 1, 0, 0, 0, 0, 0, 0, 0]).unwrap(), 1);
        assert!(read(&[0x01]).is_err());
    }
}
