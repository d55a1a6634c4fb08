//! Content codings: gzip and zstd, bounded when they unpack.

use std::io::{self, Read, Write};

/// A content coding that both gRPC and HTTP name alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coding {
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
}

/// Why bytes could not be unpacked.
#[derive(Debug)]
pub enum UnpackError {
    /// They unpack to more than the limit.
    TooLarge,
    /// They are not what they say they are.
    Malformed(io::Error),
}

/// The largest window a zstd frame may ask for (8 MiB, what RFC 8878 recommends to support).
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// Fast rather than small: a response waits for it.
const GZIP_LEVEL: u32 = 4;
const ZSTD_LEVEL: i32 = 1;

impl Coding {
    /// The name in headers.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
        }
    }

    /// The coding of that name.
    pub fn from_name(name: &[u8]) -> Option<Self> {
        if name.eq_ignore_ascii_case(b"gzip") || name.eq_ignore_ascii_case(b"x-gzip") {
            Some(Self::Gzip)
        } else if name.eq_ignore_ascii_case(b"zstd") {
            Some(Self::Zstd)
        } else {
            None
        }
    }

    /// Packs `bytes` after what `out` holds already.
    ///
    /// # Errors
    /// If the coder fails, which memory can make it do.
    pub fn pack(self, bytes: &[u8], out: Vec<u8>) -> io::Result<Vec<u8>> {
        let mut packer = Packer::new(self, out)?;
        packer.write(bytes)?;
        packer.finish()
    }

    /// Unpacks at most `limit` bytes.
    ///
    /// # Errors
    /// When they are more, or malformed.
    pub fn unpack(self, bytes: &[u8], limit: usize) -> Result<Vec<u8>, UnpackError> {
        match self {
            Self::Gzip => read_bounded(flate2::read::MultiGzDecoder::new(bytes), limit),
            Self::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::new(bytes).map_err(UnpackError::Malformed)?;
                decoder.window_log_max(ZSTD_WINDOW_LOG_MAX).map_err(UnpackError::Malformed)?;
                read_bounded(decoder, limit)
            }
        }
    }
}

fn read_bounded(reader: impl Read, limit: usize) -> Result<Vec<u8>, UnpackError> {
    let mut out = Vec::new();
    reader.take(limit as u64 + 1).read_to_end(&mut out).map_err(UnpackError::Malformed)?;
    if out.len() > limit { Err(UnpackError::TooLarge) } else { Ok(out) }
}

/// Packs piece by piece.
pub struct Packer(Inner);

enum Inner {
    Gzip(Box<flate2::write::GzEncoder<Vec<u8>>>),
    Zstd(Box<zstd::stream::write::Encoder<'static, Vec<u8>>>),
}

impl Packer {
    /// Packs after what `out` holds already.
    ///
    /// # Errors
    /// If the coder cannot be made.
    pub fn new(coding: Coding, out: Vec<u8>) -> io::Result<Self> {
        Ok(Self(match coding {
            Coding::Gzip => {
                Inner::Gzip(Box::new(flate2::write::GzEncoder::new(out, flate2::Compression::new(GZIP_LEVEL))))
            }
            Coding::Zstd => Inner::Zstd(Box::new(zstd::stream::write::Encoder::new(out, ZSTD_LEVEL)?)),
        }))
    }

    /// Takes more bytes.
    ///
    /// # Errors
    /// If the coder fails.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.0 {
            Inner::Gzip(encoder) => encoder.write_all(bytes),
            Inner::Zstd(encoder) => encoder.write_all(bytes),
        }
    }

    /// What was packed so far, such that the other side can unpack all that was written.
    ///
    /// # Errors
    /// If the coder fails.
    pub fn flush(&mut self) -> io::Result<Vec<u8>> {
        Ok(match &mut self.0 {
            Inner::Gzip(encoder) => {
                encoder.flush()?;
                std::mem::take(encoder.get_mut())
            }
            Inner::Zstd(encoder) => {
                encoder.flush()?;
                std::mem::take(encoder.get_mut())
            }
        })
    }

    /// Ends.
    ///
    /// # Errors
    /// If the coder fails.
    pub fn finish(self) -> io::Result<Vec<u8>> {
        match self.0 {
            Inner::Gzip(encoder) => encoder.finish(),
            Inner::Zstd(encoder) => encoder.finish(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_at_once_or_in_pieces_unpacks_to_the_same() {
        let text = b"to be or not to be, ".repeat(500);
        for coding in [Coding::Gzip, Coding::Zstd] {
            let packed = coding.pack(&text, Vec::new()).unwrap();
            assert!(packed.len() < text.len() / 4);
            assert_eq!(coding.unpack(&packed, text.len()).unwrap(), text);
            let mut packer = Packer::new(coding, Vec::new()).unwrap();
            let mut pieces = Vec::new();
            for piece in text.chunks(777) {
                packer.write(piece).unwrap();
                pieces.extend(packer.flush().unwrap());
            }
            pieces.extend(packer.finish().unwrap());
            assert_eq!(coding.unpack(&pieces, text.len()).unwrap(), text);
        }
    }

    #[test]
    fn a_bomb_is_refused_at_the_limit() {
        let zeros = vec![0; 10 << 20];
        for coding in [Coding::Gzip, Coding::Zstd] {
            let bomb = coding.pack(&zeros, Vec::new()).unwrap();
            assert!(bomb.len() < 20 << 10);
            assert!(matches!(coding.unpack(&bomb, 64 << 10), Err(UnpackError::TooLarge)));
        }
    }

    #[test]
    fn garbage_and_truncated_bytes_are_malformed() {
        for coding in [Coding::Gzip, Coding::Zstd] {
            let mut packed = coding.pack(b"hello hello hello", Vec::new()).unwrap();
            packed.truncate(packed.len() - 4);
            for bytes in [packed.as_slice(), b"not packed at all"] {
                assert!(matches!(coding.unpack(bytes, 1 << 20), Err(UnpackError::Malformed(_))), "{coding:?}");
            }
        }
    }
}
