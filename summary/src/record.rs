//! TFRecord framing: byte records with checksums, one after another.
//!
//! ```text
//! uint64 length | uint32 masked crc of those 8 bytes | data | uint32 masked crc of data
//! ```
//!
//! All little-endian, 16 bytes more than the data. A file has neither header nor padding; an empty file
//! is a file without records. Compressed files are not read.
//!
//! ```
//! use summary::record::{RecordReader, RecordWriter};
//! let mut writer = RecordWriter::new(Vec::new());
//! writer.write(b"one")?;
//! writer.write(b"")?;
//! let file = writer.into_inner();
//! assert_eq!(file.len(), 16 + 3 + 16);
//!
//! let mut reader = RecordReader::new(&file[..]);
//! assert_eq!(reader.next_record()?.as_deref(), Some(&b"one"[..]));
//! assert_eq!(reader.next_record()?.as_deref(), Some(&b""[..]));
//! assert_eq!(reader.next_record()?, None);
//! # Ok::<(), summary::record::RecordError>(())
//! ```

mod blocks;
mod error;
mod reader;
mod writer;

pub use blocks::BlockReader;
pub use error::{Place, RecordError};
pub(crate) use reader::PIECE;
pub use reader::{DEFAULT_MAX_LEN, RecordReader};
pub use writer::RecordWriter;

/// Bytes before the data: length and its checksum.
const HEADER: usize = 12;
/// Bytes after the data.
const FOOTER: usize = 4;
