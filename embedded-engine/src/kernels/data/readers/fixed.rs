//! `FixedLengthRecordDataset` (D-84).
//!
//! # Semantics
//!
//! Inputs: `filenames`, `header_bytes` and `footer_bytes` (0 or more), `record_bytes` (1 or more),
//! `buffer_size` (0 or more), in `V2` also `compression_type`. Each element is a string of `record_bytes`
//! bytes of the part between header and footer.
//!
//! The length of that part must be a multiple of `record_bytes`. A plain file is checked when it is
//! opened (`InvalidArgument`, again for every request); a compressed one, whose size is unknown until
//! then, at its end (`DataLoss`, after the whole records). A file without bytes has no records if there
//! is neither header nor footer; one that is shorter than both fails with TensorFlow's message, whose
//! length has wrapped around below zero.
//!
//! Position: see [`super`]. An offset other than 0 is past the header.

use super::source::{Failure, Print, compression, open};
use super::{Files, Format, Records, check_buffer, text};
use crate::kernels::data::build::Build;
use crate::kernels::data::dataset::{Run, Shared};
use crate::kernels::data::element::Element;
use crate::kernels::io::{Compression, read_up_to};
use session_core::{Code, Error, Result};
use std::collections::VecDeque;
use std::io::{self, BufReader, Read};
use std::sync::Arc;
use tensor::{Bytes, memory};

/// Makes the dataset, after the checks of its inputs.
pub(super) fn make(build: &Build<'_, '_>) -> Result<Shared> {
    let bytes = |argument: &str, least: u64, relation: &str| {
        let value = u64::try_from(build.int(argument)?).ok().filter(|&value| value >= least);
        value.ok_or_else(|| Error::invalid_argument(format!("`{argument}` must be {relation}")))
    };
    check_buffer(build, 0, "`buffer_size` must be >= 0")?;
    let format = FixedLength {
        header: bytes("header_bytes", 0, ">= 0")?,
        record: bytes("record_bytes", 1, "> 0")?,
        footer: bytes("footer_bytes", 0, ">= 0")?,
        compression: compression(&build.text_or_empty("compression_type")?)?,
    };
    Ok(Arc::new(Files { names: build.strings("filenames")?.into(), format: Arc::new(format) }))
}

/// The format: sizes in bytes, and the compression.
#[derive(Clone, Copy)]
struct FixedLength {
    /// The bytes before the first record.
    header: u64,
    /// The bytes of a record; at least 1.
    record: u64,
    /// The bytes after the last record.
    footer: u64,
    /// The compression of the files.
    compression: Compression,
}

impl FixedLength {
    /// Creates the error for a file whose records do not have `body` bytes together.
    fn unlike(self, code: Code, name: &[u8], body: u64) -> Error {
        let text = format!(
            "Excluding the header ({} bytes) and footer ({} bytes), input file \"{}\" has body length {body} bytes, which is not an \
             exact multiple of the record length ({} bytes).",
            self.header,
            self.footer,
            String::from_utf8_lossy(name),
            self.record
        );
        Error::new(code, text)
    }
}

impl Format for FixedLength {
    fn name(&self) -> &'static str {
        "FixedLengthRecord"
    }

    fn seeks(&self) -> bool {
        self.compression == Compression::None
    }

    /// Opens a file, checks the size of a plain one, and passes the header if it is opened at its beginning.
    fn open(&self, name: &Bytes, offset: u64, run: &Run<'_>) -> Result<Box<dyn Records>> {
        let opened = open(name, self.compression, offset, run)?;
        let (print, failure) = (opened.print, opened.failure);
        // Of a compressed file the bytes that are left are unknown.
        let mut left = None;
        if self.seeks() {
            // A file that is shorter than what surrounds its records has, as in TensorFlow, a body beyond all sizes.
            let body = print.length().wrapping_sub(self.header).wrapping_sub(self.footer);
            if body % self.record != 0 || body > print.length() {
                return Err(self.unlike(Code::InvalidArgument, name, body));
            }
            left = Some(body - offset.saturating_sub(self.header).min(body));
        }
        let mut file = OfFile {
            format: *self,
            name: name.clone(),
            bytes: BufReader::with_capacity(1 << 16, opened.bytes),
            offset,
            left,
            ahead: VecDeque::new(),
            print,
            failure,
        };
        // At any other offset the header was passed before.
        if offset == 0 {
            let header = self.header;
            let passed = io::copy(&mut file.bytes.by_ref().take(header), &mut io::sink());
            file.offset = passed.map_err(|error| file.unreadable(&error))?;
        }
        Ok(Box::new(file))
    }
}

/// A file that is read.
struct OfFile {
    /// The sizes.
    format: FixedLength,
    /// The name, for messages.
    name: Bytes,
    /// The bytes of the file, decompressed.
    bytes: BufReader<Box<dyn Read + Send>>,
    /// The offset of the next record, in decompressed bytes.
    offset: u64,
    /// The bytes of the body that are left; `None` for a compressed file.
    left: Option<u64>,
    /// Bytes that may be the footer: of a compressed file as many are read ahead as a record and the footer
    /// have.
    ahead: VecDeque<u8>,
    /// The fingerprint of the file.
    print: Print,
    /// The error that ended the bytes early, reported at their end.
    failure: Failure,
}

impl OfFile {
    /// Creates the error for a file that the operating system cannot read.
    fn unreadable(&self, error: &io::Error) -> Error {
        let text = format!("could not read '{}': {error}", String::from_utf8_lossy(&self.name));
        Error::new(Code::Unknown, text)
    }

    /// Returns the next record of a body whose end only its bytes show. A record is one if the footer's bytes
    /// follow it.
    fn next_unknown(&mut self) -> Result<Option<Element>> {
        let wanted = self.format.record.saturating_add(self.format.footer);
        let missing = wanted.saturating_sub(self.ahead.len() as u64);
        let mut more = Vec::new();
        let read = read_up_to(&mut self.bytes, missing, &mut more);
        read.map_err(|error| self.unreadable(&error))?;
        self.ahead.extend(more);
        if (self.ahead.len() as u64) < wanted {
            self.failure.check(&self.name)?;
            let rest = (self.ahead.len() as u64).saturating_sub(self.format.footer);
            if rest == 0 {
                return Ok(None);
            }
            let body = (self.offset + rest).saturating_sub(self.format.header);
            return Err(self.format.unlike(Code::DataLoss, &self.name, body));
        }
        self.offset += self.format.record;
        let count = usize::try_from(self.format.record).unwrap_or(usize::MAX).min(self.ahead.len());
        Ok(Some(text(self.ahead.drain(..count).collect::<Vec<u8>>())))
    }
}

impl Records for OfFile {
    /// Returns the next record. A plain file has as many as its size has promised, so one that shrinks
    /// meanwhile is an error.
    fn next(&mut self) -> Result<Option<Element>> {
        let Some(left) = self.left else { return self.next_unknown() };
        if left == 0 {
            return Ok(None);
        }
        let size = usize::try_from(self.format.record)
            .map_err(|_| Error::invalid_argument("`record_bytes` is too large"))?;
        let mut record = memory::filled(0u8, size)?;
        self.bytes.read_exact(&mut record).map_err(|error| self.unreadable(&error))?;
        self.offset += self.format.record;
        // The body is a multiple of the record, so this never goes below 0.
        self.left = Some(left - self.format.record);
        Ok(Some(text(record)))
    }

    fn offset(&self) -> u64 {
        self.offset
    }

    fn print(&self) -> Print {
        self.print
    }
}
