//! Reading records.

use super::{FOOTER, HEADER, Place, RecordError};
use bytes::Bytes;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;
use std::sync::Arc;
use tensor::FileKind;
use wire::crc;

/// The default limit for a record's length in bytes: what a protocol message can have.
pub const DEFAULT_MAX_LEN: u64 = i32::MAX as u64;

/// Memory is taken for this many bytes on the word of a length alone; for more, as they arrive.
const TRUSTED: usize = 1 << 20;

/// Reads records one after another.
///
/// It can follow a file that is still being written: after the end, or after a truncated record, the
/// next call goes on with what has been appended since. Nothing is read twice, so pipes work as well.
#[derive(Debug)]
pub struct RecordReader<R> {
    input: R,
    file: Option<Arc<Path>>,
    offset: u64,
    max_len: u64,
    /// The bytes of the current record that were read so far.
    pending: Vec<u8>,
}

impl RecordReader<BufReader<File>> {
    /// Opens a file.
    ///
    /// # Errors
    /// [`RecordError::Io`] when it cannot be opened.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, RecordError> {
        let path: Arc<Path> = Arc::from(path.as_ref());
        let file = File::open(&path).map_err(|source| RecordError::Io {
            place: Place { file: Some(Arc::clone(&path)), offset: 0 },
            action: "open",
            source: Arc::new(source),
        })?;
        let mut reader = RecordReader::new(BufReader::with_capacity(1 << 16, file));
        reader.file = Some(path);
        Ok(reader)
    }
}

impl<R: Read> RecordReader<R> {
    /// Reads from any source. It is read in small pieces: wrap files in a
    /// [`BufReader`](std::io::BufReader).
    pub fn new(input: R) -> RecordReader<R> {
        RecordReader { input, file: None, offset: 0, max_len: DEFAULT_MAX_LEN, pending: Vec::new() }
    }

    /// Sets the limit for a record's length, [`DEFAULT_MAX_LEN`] by default.
    #[must_use]
    pub fn with_max_len(mut self, max_len: u64) -> RecordReader<R> {
        self.max_len = max_len;
        self
    }

    /// The offset behind the last whole record, where the next one starts.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Bytes that were read behind the last whole record. Not 0 after the end: a file with less than a
    /// header left, which counts as its end.
    #[must_use]
    pub fn leftover(&self) -> u64 {
        self.pending.len() as u64
    }

    /// The next record, or `None` at the end, which more bytes may move.
    ///
    /// # Errors
    /// [`RecordError::Truncated`] when the input ends inside the record's data;
    /// [`RecordError::Corrupt`] and [`RecordError::TooLong`], again and again, since nothing tells where
    /// the following record would start; [`RecordError::Io`].
    pub fn next_record(&mut self) -> Result<Option<Bytes>, RecordError> {
        if !self.fill(HEADER)? {
            return Ok(None);
        }
        let len = match self.data_len() {
            Err(RecordError::Corrupt { place, part, .. }) if self.offset == 0 => {
                // What stands at a file's beginning and is no record may tell what it is.
                self.fill(FileKind::START)?;
                let kind = kind_of(&self.file, &self.pending);
                return Err(RecordError::Corrupt { place, part, kind });
            }
            other => other?,
        };
        let whole = HEADER + len + FOOTER;
        if !self.fill(whole)? {
            let (expected, found) = (whole as u64, self.pending.len() as u64);
            return Err(RecordError::Truncated { place: self.place(), expected, found });
        }
        if !has_crc(&self.pending[HEADER..HEADER + len], &self.pending[HEADER + len..]) {
            return Err(RecordError::Corrupt { place: self.place(), part: "data", kind: None });
        }
        self.offset += whole as u64;
        Ok(Some(Bytes::from(std::mem::take(&mut self.pending)).slice(HEADER..HEADER + len)))
    }

    /// The length in a header that is there.
    fn data_len(&self) -> Result<usize, RecordError> {
        let (length, crc) = self.pending[..HEADER].split_at(8);
        if !has_crc(length, crc) {
            return Err(RecordError::Corrupt { place: self.place(), part: "length", kind: None });
        }
        let length = u64::from_le_bytes(length.try_into().expect("split at 8"));
        let too_long = || RecordError::TooLong { place: self.place(), length, limit: self.max_len };
        if length > self.max_len {
            return Err(too_long());
        }
        let len = usize::try_from(length).map_err(|_| too_long())?;
        // The limit is the user's, so the sum is checked even where a `usize` has 64 bits.
        len.checked_add(HEADER + FOOTER).map(|_| len).ok_or_else(too_long)
    }

    /// Reads until `len` bytes of the record are there; `false` when the input ends before.
    fn fill(&mut self, len: usize) -> Result<bool, RecordError> {
        let missing = len.saturating_sub(self.pending.len());
        if missing > 0 {
            self.pending.reserve_exact(missing.min(TRUSTED));
            let more = self.input.by_ref().take(missing as u64).read_to_end(&mut self.pending);
            more.map_err(|source| RecordError::Io {
                place: self.place(),
                action: "read",
                source: Arc::new(source),
            })?;
        }
        Ok(self.pending.len() >= len)
    }

    fn place(&self) -> Place {
        Place { file: self.file.clone(), offset: self.offset }
    }

    /// Where the record before the current offset started, given its data.
    pub(crate) fn place_of(&self, data: &[u8]) -> Place {
        let whole = (HEADER + data.len() + FOOTER) as u64;
        Place { file: self.file.clone(), offset: self.offset.saturating_sub(whole) }
    }
}

/// Ends after an error; [`next_record`](RecordReader::next_record) can be asked again.
impl<R: Read> Iterator for RecordReader<R> {
    type Item = Result<Bytes, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_record().transpose()
    }
}

/// What a file is that begins with these bytes, and with no record.
pub(super) fn kind_of(file: &Option<Arc<Path>>, start: &[u8]) -> Option<FileKind> {
    let path = file.as_deref().unwrap_or(Path::new(""));
    FileKind::of(path, start).filter(|kind| kind.is_told_by_content())
}

/// Whether four bytes are the masked checksum of others.
pub(super) fn has_crc(bytes: &[u8], crc: &[u8]) -> bool {
    crc::masked(bytes).to_le_bytes() == *crc
}
