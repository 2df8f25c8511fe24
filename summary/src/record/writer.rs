//! Writing records.

use super::{Place, RecordError};
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use wire::crc;

/// Writes records one after another.
///
/// After an error part of a record may have been written: stop, or cut the file at
/// [`offset`](RecordWriter::offset).
///
/// ```
/// use summary::record::{RecordReader, RecordWriter};
/// let mut writer = RecordWriter::new(Vec::new());
/// writer.write(b"one")?;
/// let file = writer.into_inner();
/// assert_eq!(RecordReader::new(&file[..]).next_record()?.as_deref(), Some(&b"one"[..]));
/// # Ok::<(), summary::record::RecordError>(())
/// ```
#[derive(Debug)]
pub struct RecordWriter<W> {
    output: W,
    file: Option<Arc<Path>>,
    offset: u64,
}

impl<W: Write> RecordWriter<W> {
    /// Writes to anything. Every record makes three writes: wrap files in a
    /// [`BufWriter`](std::io::BufWriter).
    pub fn new(output: W) -> RecordWriter<W> {
        RecordWriter { output, file: None, offset: 0 }
    }

    /// Names the file that is written to, for errors.
    #[must_use]
    pub fn with_file(mut self, file: impl Into<Arc<Path>>) -> RecordWriter<W> {
        self.file = Some(file.into());
        self
    }

    /// Bytes of the whole records written so far.
    ///
    /// ```
    /// use summary::record::RecordWriter;
    /// let mut writer = RecordWriter::new(Vec::new());
    /// writer.write(b"one")?;
    /// assert_eq!(writer.offset(), 16 + 3);
    /// # Ok::<(), summary::record::RecordError>(())
    /// ```
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Writes a record.
    ///
    /// # Errors
    /// [`RecordError::Io`].
    pub fn write(&mut self, data: &[u8]) -> Result<(), RecordError> {
        // The length has a checksum of its own, because a reader must trust it before it has the data.
        let length = (data.len() as u64).to_le_bytes();
        let mut header = [0; super::HEADER];
        header[..8].copy_from_slice(&length);
        header[8..].copy_from_slice(&crc::masked(&length).to_le_bytes());
        let footer = crc::masked(data).to_le_bytes();
        let written = self
            .output
            .write_all(&header)
            .and_then(|()| self.output.write_all(data))
            .and_then(|()| self.output.write_all(&footer));
        written.map_err(|source| self.error("write", source))?;
        // Only after all parts were written, so that errors name the beginning of the record that failed.
        self.offset += (header.len() + data.len() + footer.len()) as u64;
        Ok(())
    }

    /// Flushes the output.
    ///
    /// # Errors
    /// [`RecordError::Io`].
    pub fn flush(&mut self) -> Result<(), RecordError> {
        self.output.flush().map_err(|source| self.error("flush", source))
    }

    /// Returns the output.
    pub fn get_mut(&mut self) -> &mut W {
        &mut self.output
    }

    /// Returns the output.
    pub fn into_inner(self) -> W {
        self.output
    }

    pub(crate) fn error(&self, action: &'static str, source: io::Error) -> RecordError {
        let place = Place { file: self.file.clone(), offset: self.offset };
        RecordError::Io { place, action, source: Arc::new(source) }
    }
}
