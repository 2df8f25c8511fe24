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
        while self.block.len() < len && !self.ended {
            // Memory is taken block by block, not on the word of a length.
            let mut block = Vec::with_capacity(self.block.len() + BLOCK);
            block.extend_from_slice(&self.block);
            let more = self.input.by_ref().take(BLOCK as u64).read_to_end(&mut block);
            let more = more.map_err(|source| RecordError::Io {
                place: self.place(),
                action: "read",
                source: Arc::new(source),
            })?;
            // `read_to_end` returns less only at the end of the input.
            self.ended = more < BLOCK;
            // A new allocation for each block: records that were returned share the old one and keep it
            // alive.
            self.block = Bytes::from(block);
        }
        Ok(self.block.len() >= len)
    }

    fn place(&self) -> Place {
        Place { file: self.file.clone(), offset: self.offset }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{RecordReader, RecordWriter};

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
}
