//! Compressed bytes.
//!
//! Readers of record files and the datasets share this module. Inflated sizes are not known in advance, so
//! memory is requested piece by piece and each request is checked against the memory limit: a small file that
//! expands to terabytes fails with an error instead of ending the process.

use flate2::bufread::{MultiGzDecoder, ZlibDecoder};
use session_core::{Error, Result};
use std::io::{self, BufReader, Read};
use tensor::memory;

/// The compression of bytes.
///
/// It is a promise of the graph, not a guess: a file of another kind is reported, not read in another way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Compression {
    /// The bytes are the content.
    None,
    /// RFC 1952, with any number of members one after the other.
    Gzip,
    /// RFC 1950, a single stream.
    Zlib,
}

/// The number of bytes that are inflated at a time.
///
/// It bounds the memory that is requested before the first byte has been checked, and is the size of the
/// buffer of compressed bytes as well.
const PIECE: usize = 1 << 16;

impl Compression {
    /// Returns the compression with a name of TensorFlow: `""`, `"ZLIB"` or `"GZIP"`.
    ///
    /// Names are case-sensitive as in TensorFlow. Another name is `InvalidArgument`.
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

    /// Returns all bytes of a compressed buffer, or a copy of it for `None`.
    ///
    /// Fails with `InvalidData` or `UnexpectedEof` for bytes that are damaged or cut off, and with
    /// `OutOfMemory` if the memory limit does not allow the next piece.
    pub(crate) fn inflate(self, bytes: &[u8]) -> io::Result<Vec<u8>> {
        let mut reader = self.reader(bytes);
        let mut out = Vec::new();
        loop {
            // Piece by piece, since few bytes may stand for more than there is memory for.
            let before = out.len();
            memory::grow(&mut out, PIECE)
                .map_err(|error| io::Error::new(io::ErrorKind::OutOfMemory, error))?;
            super::files::read_up_to(&mut reader, PIECE as u64, &mut out)?;
            // A piece without a byte is the end; a short piece may be followed by more.
            if out.len() == before {
                return Ok(out);
            }
        }
    }

    /// Returns true if a file that begins with these bytes may be compressed in this way. A short file may
    /// have no more bytes.
    ///
    /// `start` are the first bytes of a file. No bytes at all fit everything, because an empty file is one
    /// without records. A single byte cannot be a ZLIB header, which has two.
    pub(crate) fn fits(self, start: &[u8]) -> bool {
        match (self, start) {
            (Compression::None, _) | (_, []) => true,
            (Compression::Gzip, start) => start.starts_with(&[0x1f, 0x8b]),
            (Compression::Zlib, &[method, flags, ..]) => {
                // The low half of the first byte is the method, 8 for deflate; both bytes together are a
                // multiple of 31.
                method & 0x0f == 8 && u16::from_be_bytes([method, flags]).is_multiple_of(31)
            }
            (Compression::Zlib, _) => false,
        }
    }

    /// Returns the bytes of a source, inflated.
    ///
    /// The source is buffered for inflation only; without compression, the caller chooses the buffer.
    pub(crate) fn reader<'r>(self, source: impl Read + Send + 'r) -> Box<dyn Read + Send + 'r> {
        match self {
            Compression::None => Box::new(source),
            Compression::Gzip => Box::new(MultiGzDecoder::new(BufReader::with_capacity(PIECE, source))),
            Compression::Zlib => Box::new(ZlibDecoder::new(BufReader::with_capacity(PIECE, source))),
        }
    }
}
