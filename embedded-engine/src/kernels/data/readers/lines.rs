//! `TextLineDataset` (D-83).
//!
//! # Semantics
//!
//! Inputs: `filenames`, `compression_type`, `buffer_size` (0 or more). Each line is one element, a string
//! without its LF. Every CR in it is dropped, as in TensorFlow, also in the middle. The bytes after the last
//! LF are a line if there are any besides CRs; empty lines are elements. Bytes need not be UTF-8. A line has no limit but
//! memory.
//!
//! Position: see [`super`].

use super::source::{Failure, Print, compression, open};
use super::{Files, Format, Records, check_buffer, text};
use crate::kernels::data::build::Build;
use crate::kernels::data::dataset::{Run, Shared};
use crate::kernels::data::element::Element;
use crate::kernels::io::Compression;
use session_core::{Code, Error, Result};
use std::io::{BufRead, BufReader, Read};
use std::sync::Arc;
use tensor::Bytes;

/// Makes the dataset, after the checks of its inputs.
pub(super) fn make(build: &Build<'_, '_>) -> Result<Shared> {
    let compression = compression(&build.text_or_empty("compression_type")?)?;
    check_buffer(build, 0, "`buffer_size` must be >= 0 (0 == default)")?;
    let names = build.strings("filenames")?.into();
    Ok(Arc::new(Files { names, format: Arc::new(TextLine { compression }) }))
}

/// The format.
struct TextLine {
    /// The compression of the files.
    compression: Compression,
}

/// The number of bytes that are read at a time.
const BLOCK: usize = 1 << 16;

impl Format for TextLine {
    fn name(&self) -> &'static str {
        "TextLine"
    }

    fn seeks(&self) -> bool {
        self.compression == Compression::None
    }

    fn open(&self, name: &Bytes, offset: u64, run: &Run<'_>) -> Result<Box<dyn Records>> {
        let opened = open(name, self.compression, offset, run)?;
        let lines = BufReader::with_capacity(BLOCK, opened.bytes);
        let (print, failure) = (opened.print, opened.failure);
        Ok(Box::new(OfFile { name: name.clone(), offset, lines, print, failure }))
    }
}

/// A file that is read.
struct OfFile {
    /// The name, for messages.
    name: Bytes,
    /// The offset of the next line.
    offset: u64,
    /// The bytes of the file, decompressed.
    lines: BufReader<Box<dyn Read + Send>>,
    /// The fingerprint of the file.
    print: Print,
    /// The error that ended the bytes early, reported after the lines before it.
    failure: Failure,
}

impl Records for OfFile {
    /// Returns the bytes up to the next LF or the end of the file, without LF and CR.
    fn next(&mut self) -> Result<Option<Element>> {
        let mut line = Vec::new();
        let read = self.lines.read_until(b'\n', &mut line).map_err(|error| {
            let text = format!("could not read '{}': {error}", String::from_utf8_lossy(&self.name));
            Error::new(Code::Unknown, text)
        })?;
        if read == 0 {
            return self.failure.check(&self.name).map(|()| None);
        }
        self.offset += read as u64;
        let has_end = line.last() == Some(&b'\n');
        if has_end {
            line.pop();
        }
        // A search is faster than the copy, and most lines have none.
        if line.contains(&b'\r') {
            line.retain(|&byte| byte != b'\r');
            // The rest of a file is a line only if something is left of it.
            if line.is_empty() && !has_end {
                return self.failure.check(&self.name).map(|()| None);
            }
        }
        Ok(Some(text(line)))
    }

    fn offset(&self) -> u64 {
        self.offset
    }

    fn print(&self) -> Print {
        self.print
    }
}
