//! Datasets of what files hold (D-80 to D-86).

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

/// A file format.
trait Format: Send + Sync {
    /// TensorFlow's name for the iterator.
    fn name(&self) -> &'static str;

    /// Returns true if an error ends the file, so that the next call continues with the next file. Otherwise
    /// the reader has skipped the faulty part or repeats the error.
    fn gives_up(&self) -> bool {
        false
    }

    /// Returns true if a file that could not be opened for this reason is left out. Otherwise the error is reported again and again.
    fn passes_by(&self, error: &Error) -> bool {
        let _ = error;
        false
    }

    /// Returns the start of the file with this number.
    fn start(&self, file: usize) -> u64 {
        let _ = file;
        0
    }

    /// Returns true if a file can be read from an arbitrary offset.
    fn seeks(&self) -> bool;

    fn open(&self, name: &Bytes, offset: u64, run: &Run<'_>) -> Result<Box<dyn Records>>;
}

/// A file that is read.
trait Records: Send {
    fn next(&mut self) -> Result<Option<Element>>;

    /// Returns the start of the next record, in an uncompressed file.
    fn offset(&self) -> u64;

    /// Returns the fingerprint of the file at the time it was opened.
    fn print(&self) -> Print;
}

/// One after another.
#[derive(Clone)]
struct Files {
    names: Arc<[Bytes]>,
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

struct Reading {
    files: Files,
    /// The number of the file.
    at: usize,
    open: Option<Box<dyn Records>>,
    /// The records of the open file that were passed.
    count: u64,
}

impl Iterate for Reading {
    fn next(&mut self, run: &Run<'_>) -> Result<Option<Element>> {
        loop {
            let Files { names, format } = &self.files;
            let Some(name) = names.get(self.at) else { return Ok(None) };
            let records = match &mut self.open {
                Some(records) => records,
                none => {
                    self.count = 0;
                    let opened = format.open(name, format.start(self.at), run);
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
                    return Err(error);
                }
            }
            run.limits.check()?;
        }
    }

    fn save(&self, to: &mut Writer) -> Result<()> {
        to.number(self.at as u64);
        to.option(self.open.as_ref(), |to, records| {
            to.text(&self.files.names[self.at]);
            records.print().save(to);
            to.number(records.offset());
            to.number(self.count);
            Ok(())
        })
    }

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
            let start = if format.seeks() { offset } else { format.start(self.at) };
            let mut records = format.open(now, start, run)?;
            records.print().check(print, now)?;
            if !format.seeks() {
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

/// Checks the size of a buffer, which changes nothing in the elements.
fn check_buffer(build: &Build<'_, '_>, least: i64, otherwise: &str) -> Result<()> {
    if build.int("buffer_size")? < least {
        return Err(Error::invalid_argument(otherwise));
    }
    Ok(())
}

/// A record as an element.
fn text(record: impl Into<Bytes>) -> Element {
    vec![Tensor::string(record)]
}
