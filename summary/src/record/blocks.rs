//! Reading many small records.

use super::reader::{DEFAULT_MAX_LEN, has_crc, kind_of};
use super::{FOOTER, HEADER, Place, RecordError};
use bytes::Bytes;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

/// Bytes that are read at once.
const BLOCK: usize = 256 << 10;

/// Reads records one after another out of large blocks; a record is a part of its block and keeps it in memory. Faster
/// than [`RecordReader`](super::RecordReader) for files of many records; for whole files, not for those that still grow.
///
/// ```
/// use summary::record::{BlockReader, RecordWriter};
/// let mut writer = RecordWriter::new(Vec::new());
/// writer.write(b"one")?;
/// let file = writer.into_inner();
/// let mut reader = BlockReader::new(&file[..]);
/// assert_eq!(reader.next_record()?.as_deref(), Some(&b"one"[..]));
/// assert_eq!(reader.next_record()?, None);
/// # Ok::<(), summary::record::RecordError>(())
/// ```
#[derive(Debug)]
pub struct BlockReader<R> {
    input: R,
    file: Option<Arc<Path>>,
    /// The bytes that were read and not given yet.
    block: Bytes,
    offset: u64,
    max_len: u64,
    ended: bool,
}

impl<R: Read> BlockReader<R> {
    /// Reads from any source, in large pieces.
    pub fn new(input: R) -> BlockReader<R> {
        BlockReader {
            input,
            file: None,
            block: Bytes::new(),
            offset: 0,
            max_len: DEFAULT_MAX_LEN,
            ended: false,
        }
    }

    /// Names the file that is read, for errors.
    #[must_use]
    pub fn with_file(mut self, file: impl Into<Arc<Path>>) -> BlockReader<R> {
        self.file = Some(file.into());
        self
    }

    /// Sets the limit for a record's length, [`DEFAULT_MAX_LEN`] by default.
    #[must_use]
    pub fn with_max_len(mut self, max_len: u64) -> BlockReader<R> {
        self.max_len = max_len;
        self
    }

    /// Returns the offset at which the next record starts.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Returns the next record, or `None` at the end; less than a header before it counts as the end.
    ///
    /// # Errors
    /// As [`RecordReader::next_record`](super::RecordReader::next_record), again and again.
    pub fn next_record(&mut self) -> Result<Option<Bytes>, RecordError> {
        if !self.fill(HEADER)? {
            return Ok(None);
        }
        let (length, crc) = self.block[..HEADER].split_at(8);
        if !has_crc(length, crc) {
            // A file's beginning that is not a record may identify the file's format.
            let kind = if self.offset == 0 { kind_of(&self.file, &self.block) } else { None };
            return Err(RecordError::Corrupt { place: self.place(), part: "length", kind });
        }
        let length = u64::from_le_bytes(length.try_into().expect("split at 8"));
        let len = usize::try_from(length).ok().filter(|_| length <= self.max_len);
        let whole = len.and_then(|len| len.checked_add(HEADER + FOOTER));
        let (Some(len), Some(whole)) = (len, whole) else {
            return Err(RecordError::TooLong { place: self.place(), length, limit: self.max_len });
        };
        if !self.fill(whole)? {
            let found = self.block.len() as u64;
            return Err(RecordError::Truncated { place: self.place(), expected: whole as u64, found });
        }
        let (data, crc) = self.block[HEADER..whole].split_at(len);
        if !has_crc(data, crc) {
            return Err(RecordError::Corrupt { place: self.place(), part: "data", kind: None });
        }
        let record = self.block.slice(HEADER..HEADER + len);
        self.block = self.block.slice(whole..);
        self.offset += whole as u64;
        Ok(Some(record))
    }

    /// Reads until `len` bytes are there; `false` when the input ends before.
    fn fill(&mut self, len: usize) -> Result<bool, RecordError> {
        if self.block.len() >= len || self.ended {
            return Ok(self.block.len() >= len);
        }
        // A new allocation for each block: records that were returned share the old one and keep it alive.
        let mut block = Vec::with_capacity(self.block.len() + BLOCK);
        block.extend_from_slice(&self.block);
        let mut read = Ok(());
        while block.len() < len && !self.ended && read.is_ok() {
            let piece = piece(block.len(), len);
            block.reserve_exact(piece);
            // `read_to_end` returns less only at the end of the input.
            let more = self.input.by_ref().take(piece as u64).read_to_end(&mut block);
            read = more.map(|more| self.ended = more < piece);
        }
        // What was read before an error is kept: the input continues after it.
        self.block = Bytes::from(block);
        read.map_err(|source| RecordError::Io {
            place: self.place(),
            action: "read",
            source: Arc::new(source),
        })?;
        Ok(self.block.len() >= len)
    }

    fn place(&self) -> Place {
        Place { file: self.file.clone(), offset: self.offset }
    }
}

/// Returns the number of bytes to read next when there are `have` of `len`.
///
/// Memory grows with what was read, not on the word of a length, which may be damaged. As many bytes as there are, so
/// that all copies of a long record together are linear in its length.
fn piece(have: usize, len: usize) -> usize {
    have.min(len.saturating_sub(have)).max(BLOCK)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{RecordReader, RecordWriter};
    use std::io;

    fn written(lengths: &[usize]) -> Vec<u8> {
        let mut writer = RecordWriter::new(Vec::new());
        for (index, &len) in lengths.iter().enumerate() {
            writer.write(&vec![index as u8; len]).unwrap();
        }
        writer.into_inner()
    }

    #[test]
    fn both_readers_return_the_same() {
        let file = written(&[0, 1, BLOCK - 40, 5, 3 * BLOCK, 7, BLOCK - 16, BLOCK, 0, 9]);
        let (mut blocks, mut records) = (BlockReader::new(&file[..]), RecordReader::new(&file[..]));
        loop {
            let record = blocks.next_record().unwrap();
            assert_eq!(record, records.next_record().unwrap());
            assert_eq!(blocks.offset(), records.offset());
            if record.is_none() {
                return;
            }
        }
    }

    #[test]
    fn damage_is_reported_with_its_offset() {
        let file = written(&[3, 4]);
        for cut in 1..file.len() {
            let mut reader = BlockReader::new(&file[..cut]);
            let mut count = 0;
            let end = loop {
                match reader.next_record() {
                    Ok(Some(_)) => count += 1,
                    end => break end,
                }
            };
            let left = cut - reader.offset() as usize;
            assert_eq!(count, usize::from(cut >= 19), "{cut}");
            assert_eq!(end.is_ok(), left < HEADER, "{cut}");
        }
        for (byte, part, offset) in [(0, "length", 0), (13, "data", 0), (19, "length", 19), (33, "data", 19)]
        {
            let mut file = file.clone();
            file[byte] ^= 1;
            let mut reader = BlockReader::new(&file[..]);
            let error = loop {
                match reader.next_record() {
                    Ok(record) => assert!(record.is_some(), "{byte}"),
                    Err(error) => break error,
                }
            };
            let found = matches!(&error, RecordError::Corrupt { part: found, .. } if *found == part);
            assert!(found && error.place().offset == offset, "{byte}: {error}");
        }
        let error = BlockReader::new(&file[..]).with_max_len(2).next_record().unwrap_err();
        assert!(matches!(error, RecordError::TooLong { length: 3, .. }), "{error}");
    }

    #[test]
    fn a_long_record_is_copied_in_linear_time() {
        for len in [BLOCK + 1, 100 * BLOCK, 1 << 30] {
            let (mut have, mut copied) = (0, 0);
            while have < len {
                copied += have;
                have += piece(have, len);
            }
            assert!(copied <= 2 * len && have < len + BLOCK, "{len}: {copied} copied, {have} read");
        }
    }

    /// Records the largest read that was requested, and fails once at an offset.
    struct Input<'f> {
        rest: &'f [u8],
        largest: usize,
        fails_at: Option<usize>,
    }

    impl Read for Input<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            self.largest = self.largest.max(buffer.len());
            let len = buffer.len().min(self.fails_at.unwrap_or(usize::MAX));
            if len == 0 {
                self.fails_at = None;
                return Err(io::ErrorKind::TimedOut.into());
            }
            let len = self.rest.read(&mut buffer[..len])?;
            self.fails_at = self.fails_at.map(|at| at - len);
            Ok(len)
        }
    }

    #[test]
    fn memory_grows_with_what_was_read() {
        // The header of a record of 1 GiB, of which little is there.
        let mut file = (1u64 << 30).to_le_bytes().to_vec();
        file.extend(wire::crc::masked(&file).to_le_bytes());
        file.resize(1000, 0);
        let mut reader = BlockReader::new(Input { rest: &file, largest: 0, fails_at: None });
        let error = reader.next_record().unwrap_err();
        assert!(matches!(error, RecordError::Truncated { found: 1000, .. }), "{error}");
        assert!(reader.input.largest <= BLOCK, "{}", reader.input.largest);
    }

    #[test]
    fn a_failed_read_loses_nothing() {
        let file = written(&[5, 3 * BLOCK, 7]);
        for fails_at in [0, 3, BLOCK, 2 * BLOCK + 9] {
            let mut reader = BlockReader::new(Input { rest: &file, largest: 0, fails_at: Some(fails_at) });
            let (mut lengths, mut errors) = (Vec::new(), 0);
            loop {
                match reader.next_record() {
                    Ok(Some(record)) => lengths.push(record.len()),
                    Ok(None) => break,
                    Err(error) => {
                        assert!(matches!(error, RecordError::Io { .. }), "{error}");
                        errors += 1;
                    }
                }
            }
            assert_eq!((lengths, errors), (vec![5, 3 * BLOCK, 7], 1), "{fails_at}");
        }
    }
}
