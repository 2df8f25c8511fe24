//! Datasets of what files hold (D-80 to D-86).
//!
//! # Semantics
//!
//! All of them have an input `filenames` (strings of any shape; patterns for `MatchingFilesDataset`), and
//! most `compression_type` ("", "GZIP", "ZLIB") and `buffer_size`, which changes nothing in the elements. The
//! files are read in order, each opened when it is reached. The formats differ in how they split the bytes of
//! a file, and in what an error costs:
//!
//! | format | damaged record | file that cannot be opened |
//! | --- | --- | --- |
//! | `TFRecord` | the rest of the file is given up | the same error forever; a folder is passed by |
//! | `TextLine` | the same error forever | the same error forever |
//! | `FixedLengthRecord` | the same error forever | the same error forever |
//! | `CSV` | the next record follows | the same error forever; a missing header is passed by |
//!
//! Every path is subject to the session's policy for files. Cardinality: unknown.
//!
//! # Position
//!
//! The number of the file; if it is open, its name and fingerprint, the offset of the next record, and the
//! number of records before it. A restore opens the file at the offset, or, of a compressed file, reads and
//! drops as many records. A file that was replaced, appended to or is now another one of the list is
//! `FailedPrecondition`: the elements would be others.

mod csv;
mod fixed;
mod inflate;
mod lines;
mod matching;
mod records;
mod source;

use super::build::{Build, Op};
use super::dataset::{Dataset, Iterate, Run, Source};
use super::element::Element;
use super::position::{Reader, Writer, damaged};
use session_core::{Code, Error, Result};
use source::Print;
use std::sync::Arc;
use tensor::{Bytes, Tensor};

/// The op types. They are registered as opening files, so that a graph can be refused before it runs.
pub(super) const OPS: &[Op] = &[
    Op { types: &["TFRecordDataset", "TFRecordDatasetV2"], functions: &[], make: records::make },
    Op { types: &["TextLineDataset"], functions: &[], make: lines::make },
    Op {
        types: &["FixedLengthRecordDataset", "FixedLengthRecordDatasetV2"],
        functions: &[],
        make: fixed::make,
    },
    Op { types: &["CSVDataset", "CSVDatasetV2", "ExperimentalCSVDataset"], functions: &[], make: csv::make },
    Op {
        types: &["MatchingFilesDataset", "ExperimentalMatchingFilesDataset"],
        functions: &[],
        make: matching::make,
    },
];

/// A file format: how a file is opened, and what an error in it means.
trait Format: Send + Sync {
    /// TensorFlow's name for the iterator.
    fn name(&self) -> &'static str;

    /// Returns true if an error ends the file, so that the next call continues with the next file. Otherwise
    /// the reader has skipped the faulty part or repeats the error.
    fn gives_up(&self) -> bool {
        false
    }

    /// Returns true if a file that could not be opened for this reason is left out after the error was
    /// returned once. Otherwise the error is returned again and again (D-81).
    fn passes_by(&self, error: &Error) -> bool {
        let _ = error;
        false
    }

    /// Returns the offset at which the file with this number is opened: 0, or that of the input
    /// `byte_offsets`.
    fn start(&self, file: usize) -> u64 {
        let _ = file;
        0
    }

    /// Returns true if a file can be opened at the offset of any record, which is so unless it is compressed.
    fn seeks(&self) -> bool;

    /// Opens a file at an offset: 0, [`start`](Format::start), or one that [`Records::offset`] has returned.
    fn open(&self, name: &Bytes, offset: u64, run: &Run<'_>) -> Result<Box<dyn Records>>;
}

/// A file that is read.
trait Records: Send {
    /// Returns the next record, or `None` at the end of the file.
    fn next(&mut self) -> Result<Option<Element>>;

    /// Returns the start of the next record, in an uncompressed file. For a compressed one the number has no
    /// meaning.
    fn offset(&self) -> u64;

    /// Returns the fingerprint of the file at the time it was opened.
    fn print(&self) -> Print;
}

/// The dataset: files of one format, one after another.
#[derive(Clone)]
struct Files {
    /// The names of the files, as the input has them.
    names: Arc<[Bytes]>,
    /// The format.
    format: Arc<dyn Format>,
}

impl Dataset for Files {
    fn name(&self) -> &'static str {
        self.format.name()
    }

    fn iterate(&self, _: &Run<'_>) -> Result<Source> {
        Ok(Box::new(Reading { files: self.clone(), at: 0, open: None, count: 0 }))
    }
}

/// An iterator.
struct Reading {
    /// The files.
    files: Files,
    /// The index of the file that is open, or is opened next.
    at: usize,
    /// The open file; `None` before the first request, between two files and at the end.
    open: Option<Box<dyn Records>>,
    /// The records of the open file that were passed, failed ones included.
    count: u64,
}

impl Iterate for Reading {
    /// Returns the next record of the open file; opens the next file at the end of one. What an error does to
    /// the file is the format's decision.
    fn next(&mut self, run: &Run<'_>) -> Result<Option<Element>> {
        loop {
            let Files { names, format } = &self.files;
            let Some(name) = names.get(self.at) else { return Ok(None) };
            let records = match &mut self.open {
                Some(records) => records,
                none => {
                    self.count = 0;
                    let opened = format.open(name, format.start(self.at), run);
                    // The index moves before the error is returned, so that the next call opens the next
                    // file.
                    if opened.as_ref().is_err_and(|error| format.passes_by(error)) {
                        self.at += 1;
                    }
                    none.insert(opened?)
                }
            };
            match records.next() {
                Ok(Some(element)) => {
                    self.count += 1;
                    return Ok(Some(element));
                }
                Ok(None) => (self.open, self.at) = (None, self.at + 1),
                Err(error) => {
                    self.count += 1;
                    if format.gives_up() {
                        (self.open, self.at) = (None, self.at + 1);
                    }
                    // The end of the session interrupts a read, which is no fault of the file.
                    run.limits.check()?;
                    return Err(error);
                }
            }
            run.limits.check()?;
        }
    }

    /// Writes the number of the file, then an option: name, fingerprint, offset of the next record, number of
    /// records passed.
    fn save(&self, to: &mut Writer) -> Result<()> {
        to.number(self.at as u64);
        to.option(self.open.as_ref(), |to, records| {
            // The name guards against a list of files that has changed in the meantime.
            to.text(&self.files.names[self.at]);
            records.print().save(to);
            to.number(records.offset());
            to.number(self.count);
            Ok(())
        })
    }

    /// Opens the file again where it was.
    ///
    /// # Errors
    ///
    /// `FailedPrecondition` if the list of files has another name there, or the file has another length or
    /// beginning than then.
    fn restore(&mut self, from: &mut Reader<'_>, run: &Run<'_>) -> Result<()> {
        self.at = from.size()?;
        self.open = from.option(|from| {
            let name = from.bytes()?;
            let print = Print::restored(from)?;
            let (offset, count) = (from.number()?, from.number()?);
            let Files { names, format } = &self.files;
            let now = names.get(self.at).ok_or_else(damaged)?;
            if now != name {
                let text = format!(
                    "the position in the checkpoint is in file '{}', but the list of files now has '{}' there: restore the list, or start without this checkpoint",
                    String::from_utf8_lossy(name),
                    String::from_utf8_lossy(now)
                );
                return Err(Error::new(Code::FailedPrecondition, text));
            }
            // A compressed file is opened at its beginning, and its records are passed one by one.
            let start = if format.seeks() { offset } else { format.start(self.at) };
            let mut records = format.open(now, start, run)?;
            records.print().check(print, now)?;
            if !format.seeks() {
                // Decompression has no other way to an offset.
                for passed in 0..count {
                    if passed % 4096 == 0 {
                        run.limits.check()?;
                    }
                    // A record that failed then fails again; its error was already reported.
                    let _ = records.next();
                }
            }
            self.count = count;
            Ok(records)
        })?;
        Ok(())
    }
}

/// Checks the input `buffer_size`, which changes nothing in the elements: `InvalidArgument` with this text
/// below `least`.
fn check_buffer(build: &Build<'_, '_>, least: i64, otherwise: &str) -> Result<()> {
    if build.int("buffer_size")? < least {
        return Err(Error::invalid_argument(otherwise));
    }
    Ok(())
}

/// Returns a record as an element of one string scalar.
fn text(record: impl Into<Bytes>) -> Element {
    vec![Tensor::string(record)]
}
