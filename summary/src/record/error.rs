//! Errors of files of records.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;
use tensor::FileKind;
use tensor::text::escaped;

fn described(kind: Option<FileKind>) -> String {
    kind.map_or_else(String::new, |kind| format!(": the file is {kind}"))
}

/// The offset in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The file, when the bytes come from one that has a name.
    pub file: Option<Arc<Path>>,
    /// The offset of the record's first byte from the start.
    pub offset: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.file {
            Some(file) => write!(f, "offset {} of {}", self.offset, escaped(file.display())),
            None => write!(f, "offset {}", self.offset),
        }
    }
}

/// An error of reading or writing a record.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// A checksum does not fit: the bytes were changed, or were never a record.
    #[error("corrupted {part} of the record at {place}{}", described(*kind))]
    Corrupt {
        /// The record.
        place: Place,
        /// `length` or `data`.
        part: &'static str,
        /// The file's format, if its first bytes identify another one.
        kind: Option<FileKind>,
    },
    /// The file ends inside the record. It may still be growing: read again later.
    #[error("truncated record at {place}: {found} of {expected} bytes")]
    Truncated {
        /// The record.
        place: Place,
        /// Bytes of the whole record, framing included.
        expected: u64,
        /// The number of bytes that are present.
        found: u64,
    },
    /// A length that has a good checksum is over the reader's limit.
    #[error("record of {length} bytes at {place} is over the limit of {limit}")]
    TooLong {
        /// The record.
        place: Place,
        /// The length that the record states.
        length: u64,
        /// The limit.
        limit: u64,
    },
    /// The operating system failed.
    #[error("could not {action} at {place}")]
    Io {
        /// The place.
        place: Place,
        /// `open`, `read`, `write` or `flush`.
        action: &'static str,
        /// The operating system's error.
        source: Arc<io::Error>,
    },
}

impl RecordError {
    /// Returns the place.
    ///
    /// ```
    /// use summary::record::RecordReader;
    /// let error = RecordReader::new(&b"this is not a file of records"[..]).next_record().unwrap_err();
    /// assert_eq!(error.place().offset, 0);
    /// ```
    #[must_use]
    pub fn place(&self) -> &Place {
        match self {
            RecordError::Corrupt { place, .. }
            | RecordError::Truncated { place, .. }
            | RecordError::TooLong { place, .. }
            | RecordError::Io { place, .. } => place,
        }
    }

    /// Returns true if the file's content is to blame, not the operating system.
    #[must_use]
    pub fn is_data_loss(&self) -> bool {
        !matches!(self, RecordError::Io { .. })
    }

    /// Returns true if the file ends too early, which more bytes would mend.
    ///
    /// ```
    /// use summary::record::{RecordReader, RecordWriter};
    /// let mut writer = RecordWriter::new(Vec::new());
    /// writer.write(b"one")?;
    /// let file = writer.into_inner();
    /// let error = RecordReader::new(&file[..file.len() - 1]).next_record().unwrap_err();
    /// assert!(error.is_truncated() && error.is_data_loss());
    /// # Ok::<(), summary::record::RecordError>(())
    /// ```
    #[must_use]
    pub fn is_truncated(&self) -> bool {
        matches!(self, RecordError::Truncated { .. })
    }
}
