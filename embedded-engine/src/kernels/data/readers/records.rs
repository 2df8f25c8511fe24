//! `TFRecordDataset` (D-82).
//!
//! # Semantics
//!
//! Inputs: `filenames`, `compression_type`, `buffer_size` (-1 or more), in `V2` also `byte_offsets`: where
//! each file begins; none, or as many as files. Each record is one element, a string. Both checksums of a
//! record are verified.
//!
//! # Errors
//!
//! A damaged record is `DataLoss`: "corrupted record at" the offset of the record (length) or 12 more (data),
//! "truncated record at" an offset for data that ends early. The rest of the file is given up, since lengths
//! after the damage mean nothing, and the next request opens the next file. A file that ends within the 12
//! bytes of a length ends silently. Cut compressed files give what is whole, then `DataLoss`.
//!
//! Position: see [`super`].

use super::source::{Failure, Print, compression, open};
use super::{Files, Format, Records, check_buffer, text};
use crate::kernel::integers;
use crate::kernels::data::build::Build;
use crate::kernels::data::dataset::{Run, Shared};
use crate::kernels::data::element::Element;
use crate::kernels::io::Compression;
use session_core::{Code, Error, Result};
use std::io::Read;
use std::sync::Arc;
use summary::record::{BlockReader, RecordError};
use tensor::Bytes;

/// Makes the dataset, after the checks of its inputs.
pub(super) fn make(build: &Build<'_, '_>) -> Result<Shared> {
    let names = build.strings("filenames")?;
    let compression = compression(&build.text_or_empty("compression_type")?)?;
    // -1 stands for the runtime's choice.
    check_buffer(build, -1, "`buffer_size` must be >= 0 (0 == no buffering)")?;
    let offsets =
        if build.has("byte_offsets") { integers(&build.tensor("byte_offsets")?)? } else { Vec::new() };
    if !offsets.is_empty() && offsets.len() != names.len() {
        let text = format!("{} offsets for {} files", offsets.len(), names.len());
        return Err(Error::invalid_argument(text));
    }
    let offset = |&offset: &i64| {
        u64::try_from(offset).map_err(|_| Error::invalid_argument(format!("a file has no offset {offset}")))
    };
    let offsets = offsets.iter().map(offset).collect::<Result<_>>()?;
    Ok(Arc::new(Files { names: names.into(), format: Arc::new(TfRecord { compression, offsets }) }))
}

/// The format.
struct TfRecord {
    /// The compression of the files.
    compression: Compression,
    /// The start of each file; empty if all begin at 0.
    offsets: Vec<u64>,
}

impl Format for TfRecord {
    fn name(&self) -> &'static str {
        "TFRecord"
    }

    fn gives_up(&self) -> bool {
        true
    }

    fn start(&self, file: usize) -> u64 {
        self.offsets.get(file).copied().unwrap_or(0)
    }

    fn seeks(&self) -> bool {
        self.compression == Compression::None
    }

    fn passes_by(&self, error: &Error) -> bool {
        // Of a folder, which TensorFlow opens and cannot read.
        error.code() == Code::FailedPrecondition
    }

    fn open(&self, name: &Bytes, offset: u64, run: &Run<'_>) -> Result<Box<dyn Records>> {
        let opened = open(name, self.compression, offset, run)?;
        let records = BlockReader::new(opened.bytes);
        let (print, failure) = (opened.print, opened.failure);
        Ok(Box::new(OfFile { name: name.clone(), start: offset, records, print, failure }))
    }
}

/// A file that is read.
struct OfFile {
    /// The name, for messages.
    name: Bytes,
    /// The offset at which reading started.
    start: u64,
    /// The records, which counts offsets from `start`.
    records: BlockReader<Box<dyn Read + Send>>,
    /// The fingerprint of the file.
    print: Print,
    /// The error that ended the bytes early, reported instead of an end.
    failure: Failure,
}

impl Records for OfFile {
    /// Returns the next record, whose checksums were verified. After an error the caller closes the file.
    fn next(&mut self) -> Result<Option<Element>> {
        match self.records.next_record() {
            Ok(Some(record)) => Ok(Some(text(record))),
            Ok(None) => self.failure.check(&self.name).map(|()| None),
            Err(error) => {
                // What looks like a cut record is a cut file: TensorFlow's message is another one then.
                if matches!(error, RecordError::Truncated { .. }) && self.failure.is_cut() {
                    let (name, offset) = (String::from_utf8_lossy(&self.name), self.offset());
                    let text =
                        format!("truncated record at {offset}' failed with EOF reached (file '{name}')");
                    return Err(Error::new(Code::DataLoss, text).with_source(error));
                }
                // An error of the decompression is the cause of the damage that the records show.
                self.failure.check(&self.name)?;
                Err(self.damaged(error))
            }
        }
    }

    fn offset(&self) -> u64 {
        self.start + self.records.offset()
    }

    fn print(&self) -> Print {
        self.print
    }
}

impl OfFile {
    /// Converts an error of the records into TensorFlow's, with its offset and the name of the file.
    fn damaged(&self, error: RecordError) -> Error {
        let (name, offset) = (String::from_utf8_lossy(&self.name), self.offset());
        let (code, what) = match &error {
            RecordError::Corrupt { part: "length", .. } if offset == 0 => {
                (Code::DataLoss, "corrupted record at 0 (Is this even a TFRecord file?)".to_owned())
            }
            RecordError::Corrupt { part, .. } => {
                let header = if *part == "data" { 12 } else { 0 };
                (Code::DataLoss, format!("corrupted record at {}", offset + header))
            }
            RecordError::Truncated { .. } => {
                let what =
                    format!("truncated record at {offset}' failed with Read less bytes than requested");
                (Code::DataLoss, what)
            }
            other if other.is_data_loss() => (Code::DataLoss, other.to_string()),
            other => (Code::Unknown, other.to_string()),
        };
        Error::new(code, format!("{what} (file '{name}')")).with_source(error)
    }
}
