//! Reading records.

use super::{FOOTER, HEADER, Place, RecordError};
use bytes::Bytes;
use std::fs::File;
use std::io::{BufReader, ErrorKind, Read};
use std::path::Path;
use std::sync::Arc;
use tensor::FileKind;
use wire::crc;

/// The default limit for a record's length in bytes: what a protocol message can have.
pub const DEFAULT_MAX_LEN: u64 = i32::MAX as u64;

/// The number of bytes that are requested at once. Shorter records are copied out of their buffer, longer ones take it with them.
pub(crate) const PIECE: usize = 64 << 10;
/// Memory is taken for this many bytes on the word of a length alone; for more, as they arrive.
const TRUSTED: usize = 1 << 20;

/// Reads records one after another.
///
/// It can follow a file that is still being written: after the end, or after a truncated record, the
/// next call continues with the bytes that were appended since. Nothing is read twice, so pipes work as well.
///
/// ```
/// use summary::record::{RecordReader, RecordWriter};
/// let mut writer = RecordWriter::new(Vec::new());
/// writer.write(b"one")?;
/// writer.write(b"two")?;
/// let file = writer.into_inner();
/// let records: Result<Vec<_>, _> = RecordReader::new(&file[..]).collect();
/// assert_eq!(records?, ["one", "two"]);
/// # Ok::<(), summary::record::RecordError>(())
/// ```
#[derive(Debug)]
pub struct RecordReader<R> {
    input: R,
    file: Option<Arc<Path>>,
    offset: u64,
    max_len: u64,
    /// The bytes that were read and not given yet are those from `start` to `end`.
    buffer: Vec<u8>,
    start: usize,
    end: usize,
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
        let mut reader = RecordReader::new(BufReader::with_capacity(PIECE, file));
        reader.file = Some(path);
        Ok(reader)
    }
}

impl<R: Read> RecordReader<R> {
    /// Reads from any source, as many bytes at a time as it gives, up to 64 KiB.
    ///
    /// ```
    /// use summary::record::{RecordReader, RecordWriter};
    /// let mut writer = RecordWriter::new(Vec::new());
    /// writer.write(b"one")?;
    /// let file = writer.into_inner();
    /// assert_eq!(RecordReader::new(&file[..]).next_record()?.as_deref(), Some(&b"one"[..]));
    /// # Ok::<(), summary::record::RecordError>(())
    /// ```
    pub fn new(input: R) -> RecordReader<R> {
        let max_len = DEFAULT_MAX_LEN;
        RecordReader { input, file: None, offset: 0, max_len, buffer: Vec::new(), start: 0, end: 0 }
    }

    /// Sets the limit for a record's length, [`DEFAULT_MAX_LEN`] by default.
    ///
    /// ```
    /// use summary::record::{RecordReader, RecordWriter};
    /// let mut writer = RecordWriter::new(Vec::new());
    /// writer.write(&[0; 100])?;
    /// let file = writer.into_inner();
    /// assert!(RecordReader::new(&file[..]).with_max_len(99).next_record().is_err());
    /// # Ok::<(), summary::record::RecordError>(())
    /// ```
    #[must_use]
    pub fn with_max_len(mut self, max_len: u64) -> RecordReader<R> {
        self.max_len = max_len;
        self
    }

    /// Returns the offset after the last whole record, where the next one starts.
    ///
    /// ```
    /// use summary::record::{RecordReader, RecordWriter};
    /// let mut writer = RecordWriter::new(Vec::new());
    /// writer.write(b"one")?;
    /// let file = writer.into_inner();
    /// let mut reader = RecordReader::new(&file[..]);
    /// reader.next_record()?;
    /// assert_eq!(reader.offset(), 19);
    /// # Ok::<(), summary::record::RecordError>(())
    /// ```
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Returns the number of bytes that were read after the last whole record. Not 0 after the end: a file with less than
    /// a header left, which counts as its end.
    #[must_use]
    pub fn leftover(&self) -> u64 {
        self.unread().len() as u64
    }

    /// Returns the next record, or `None` at the end, which more bytes may move.
    ///
    /// # Errors
    /// [`RecordError::Truncated`] when the input ends inside the record's data;
    /// [`RecordError::Corrupt`] and [`RecordError::TooLong`], again and again, since nothing tells where
    /// the following record would start; [`RecordError::Io`].
    pub fn next_record(&mut self) -> Result<Option<Bytes>, RecordError> {
        let Some(len) = self.next_len()? else { return Ok(None) };
        Ok(Some(self.take_bytes(len)))
    }

    /// Takes the next record, of this length, which was read.
    pub(crate) fn take_bytes(&mut self, len: usize) -> Bytes {
        // A copy is cheaper than an allocation that a short record would keep alive as a whole.
        if len < PIECE {
            return Bytes::copy_from_slice(self.take_slice(len));
        }
        // A long record takes the buffer with it instead of a copy; what is after it moves into another one.
        let (start, end) = (self.start, self.end);
        self.skip(len);
        let rest = self.unread().to_vec();
        let mut record = std::mem::replace(&mut self.buffer, rest);
        (self.start, self.end) = (0, self.buffer.len());
        record.truncate(end);
        Bytes::from(record).slice(start + HEADER..start + HEADER + len)
    }

    /// Lends the next record, of this length, which was read.
    pub(crate) fn take_slice(&mut self, len: usize) -> &[u8] {
        let data = self.start + HEADER..self.start + HEADER + len;
        self.skip(len);
        &self.buffer[data]
    }

    /// Returns the next record as [`next_record`](RecordReader::next_record) does, but lends it
    /// instead of allocating memory for it: for files of millions of small records.
    ///
    /// ```
    /// use summary::record::{RecordReader, RecordWriter};
    /// let mut writer = RecordWriter::new(Vec::new());
    /// writer.write(b"one")?;
    /// let file = writer.into_inner();
    /// let mut reader = RecordReader::new(&file[..]);
    /// while let Some(record) = reader.next_slice()? {
    ///     assert_eq!(record, b"one");
    /// }
    /// # Ok::<(), summary::record::RecordError>(())
    /// ```
    ///
    /// # Errors
    /// As [`next_record`](RecordReader::next_record).
    pub fn next_slice(&mut self) -> Result<Option<&[u8]>, RecordError> {
        let Some(len) = self.next_len()? else { return Ok(None) };
        Ok(Some(self.take_slice(len)))
    }

    /// Reads and checks the next record, which then begins the unread bytes, and returns its length.
    pub(crate) fn next_len(&mut self) -> Result<Option<usize>, RecordError> {
        // Fewer bytes than a header are the end of the file, as for TensorFlow's reader; a cut later in a
        // record is an error.
        if !self.fill(HEADER)? {
            return Ok(None);
        }
        let len = match self.data_len() {
            Err(RecordError::Corrupt { place, part, .. }) if self.offset == 0 => {
                // A file's beginning that is not a record may identify the file's format.
                self.fill(FileKind::START)?;
                let start = self.unread();
                let kind = kind_of(&self.file, &start[..start.len().min(FileKind::START)]);
                return Err(RecordError::Corrupt { place, part, kind });
            }
            other => other?,
        };
        let whole = HEADER + len + FOOTER;
        if !self.fill(whole)? {
            let (expected, found) = (whole as u64, self.leftover());
            return Err(RecordError::Truncated { place: self.place(), expected, found });
        }
        let (data, crc) = self.unread()[HEADER..whole].split_at(len);
        if !has_crc(data, crc) {
            return Err(RecordError::Corrupt { place: self.place(), part: "data", kind: None });
        }
        Ok(Some(len))
    }

    fn unread(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    /// Counts a record of this length as given.
    fn skip(&mut self, len: usize) {
        let whole = HEADER + len + FOOTER;
        self.start += whole;
        self.offset += whole as u64;
    }

    /// Returns the length in a header that was read.
    fn data_len(&self) -> Result<usize, RecordError> {
        let (length, crc) = self.unread()[..HEADER].split_at(8);
        if !has_crc(length, crc) {
            return Err(RecordError::Corrupt { place: self.place(), part: "length", kind: None });
        }
        let length = u64::from_le_bytes(length.try_into().expect("split at 8"));
        let too_long = || RecordError::TooLong { place: self.place(), length, limit: self.max_len };
        // A checksum proves that the length was written so, not that it makes sense: TensorFlow itself aborts
        // on a length of 2^40.
        if length > self.max_len {
            return Err(too_long());
        }
        let len = usize::try_from(length).map_err(|_| too_long())?;
        // The limit is the user's, so the sum is checked even where a `usize` has 64 bits.
        len.checked_add(HEADER + FOOTER).map(|_| len).ok_or_else(too_long)
    }

    /// Reads until `len` bytes are unread; `false` when the input ends before.
    fn fill(&mut self, len: usize) -> Result<bool, RecordError> {
        while self.end - self.start < len {
            self.make_room(len);
            match self.input.read(&mut self.buffer[self.end..]) {
                Ok(0) => return Ok(false),
                Ok(count) => self.end += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    return Err(RecordError::Io {
                        place: self.place(),
                        action: "read",
                        source: Arc::new(error),
                    });
                }
            }
        }
        Ok(true)
    }

    /// Makes room after the unread bytes for more of those `len` that are wanted.
    fn make_room(&mut self, len: usize) {
        if self.start > 0 {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        // Memory grows with what has really been read, whatever length the header states. It doubles, so that
        // all copies of a long record together are linear in its length.
        let wanted = len.min(self.end + self.end.max(TRUSTED)).max(PIECE);
        if wanted > self.buffer.len() {
            self.buffer.reserve_exact(wanted - self.buffer.len());
            self.buffer.resize(wanted, 0);
        } else if self.buffer.len() > TRUSTED && len <= PIECE && self.end <= PIECE {
            // After an unusually long record.
            self.buffer.truncate(PIECE);
            self.buffer.shrink_to_fit();
        }
    }

    pub(crate) fn place(&self) -> Place {
        Place { file: self.file.clone(), offset: self.offset }
    }
}

/// Ends after an error; [`next_record`](RecordReader::next_record) can be called again.
impl<R: Read> Iterator for RecordReader<R> {
    type Item = Result<Bytes, RecordError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_record().transpose()
    }
}

/// Returns the format of a file that begins with these bytes, and with no record.
pub(super) fn kind_of(file: &Option<Arc<Path>>, start: &[u8]) -> Option<FileKind> {
    let path = file.as_deref().unwrap_or(Path::new(""));
    FileKind::of(path, start).filter(|kind| kind.is_certain())
}

/// Returns true if four bytes are the masked checksum of others.
pub(super) fn has_crc(bytes: &[u8], crc: &[u8]) -> bool {
    crc::masked(bytes).to_le_bytes() == *crc
}
