//! Compressed bytes.

use flate2::bufread::{MultiGzDecoder, ZlibDecoder};
use session_core::{Error, Result};
use std::io::{self, BufReader, Read};
use tensor::memory;

/// The compression of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compression {
    None,
    Gzip,
    Zlib,
}

/// The number of bytes that are inflated at a time.
const PIECE: usize = 1 << 16;

impl Compression {
    /// Returns the compression with a name of TensorFlow: `""`, `"ZLIB"` or `"GZIP"`.
    pub(crate) fn of(name: &str) -> Result<Compression> {
        match name {
            "" => Ok(Compression::None),
            "GZIP" => Ok(Compression::Gzip),
            "ZLIB" => Ok(Compression::Zlib),
            other => {
                let text = format!("compression type '{other}' is none of '', 'GZIP' and 'ZLIB'");
                Err(Error::invalid_argument(text))
            }
        }
    }

    pub(crate) fn inflate(self, bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut reader = self.reader(bytes);
        let mut out = Vec::new();
        loop {
            // Piece by piece, since few bytes may stand for more than there is memory for.
            let before = out.len();
            memory::grow(&mut out, PIECE)
                .map_err(|error| io::Error::new(io::ErrorKind::OutOfMemory, error))?;
            reader.by_ref().take(PIECE as u64).read_to_end(&mut out)?;
            if out.len() == before {
                return Ok(out);
            }
        }
    }

    /// Returns true if a file that begins with these bytes may be compressed in this way. A short file may have no more bytes.
    pub(crate) fn fits(self, start: &[u8]) -> bool {
        match (self, start) {
            (Compression::None, _) | (_, []) => true,
            (Compression::Gzip, start) => start.starts_with(&[0x1f, 0x8b]),
            (Compression::Zlib, &[method, flags, ..]) => {
                method & 0x0f == 8 && u16::from_be_bytes([method, flags]).is_multiple_of(31)
            }
            (Compression::Zlib, _) => false,
        }
    }

    /// Returns the bytes of a source, inflated.
    pub(crate) fn reader<'r>(self, source: impl Read + Send + 'r) -> Box<dyn Read + Send + 'r> {
        match self {
            Compression::None => Box::new(source),
            Compression::Gzip => Box::new(MultiGzDecoder::new(BufReader::with_capacity(PIECE, source))),
            Compression::Zlib => Box::new(ZlibDecoder::new(BufReader::with_capacity(PIECE, source))),
        }
    }
}
