//! The formats that readers read.
//!
//! | reader | record | key |
//! | --- | --- | --- |
//! | `TFRecordReader` | the payload of a framed record | `<file>:<offset>`, the offset of the record in the inflated content |
//! | `TextLineReader` | a line without its end (`\n` or `\r\n`; at the end of the file also `\r`) | `<file>:<line>`, from 1, counting skipped lines |
//! | `FixedLengthRecordReader` | `record_bytes` bytes | `<file>:<number>`, from 0 |
//! | `WholeFileReader` | the content of the file | `<file>` |
//! | `IdentityReader` | the name of the file, which is not opened | `<file>` |
//!
//! Framed records and lines are read from the file as they are needed. Fixed-length records and whole files
//! are read at once: their content is one shared buffer, and records are slices of it without a copy.

use super::Compression;
use super::files::{failed, path, read_up_to};
use crate::kernel::NodeSpec;
use session_core::{Code, Error, FileAccess, Result};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Cursor, Read};
use std::path::Path;
use summary::record::{BlockReader, RecordError};
use tensor::{Bytes, FileKind};

/// Key and content. The key is empty unless keys are requested.
///
/// Without requested keys, formats that would have to build one leave it empty; whole files have theirs at no
/// cost.
pub(super) type Record = (Bytes, Bytes);

/// The record format of a reader.
///
/// It is compared when two operations share a reader by name: a second reader must have exactly the same
/// format.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Format {
    /// Records of TensorFlow's format.
    TfRecord(Compression),
    /// Lines of text, after some that are skipped.
    TextLine { skip: u64 },
    /// One record, which is the whole file.
    WholeFile,
    /// Records of a fixed length.
    FixedLength(FixedLength),
    /// One record, which is the name of the file.
    Identity,
}

/// Sizes in bytes.
///
/// The content is a header, records that begin `hop` bytes apart, and a footer. Sizes apply to the inflated
/// content.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct FixedLength {
    /// The number of bytes before the first record. They are skipped without being looked at.
    header: usize,
    /// The number of bytes of a record. At least 1.
    record: usize,
    /// The number of bytes after the last record. A content shorter than header and footer together has no
    /// records.
    footer: usize,
    /// The number of bytes from the start of one record to that of the next. With less than `record` bytes
    /// records overlap, with more there are gaps. The attribute 0 stands for `record`.
    hop: usize,
    /// The compression of the file.
    encoding: Compression,
}

impl FixedLength {
    /// Reads the attributes.
    ///
    /// Fails with `InvalidArgument` for a size that is negative, or less than 1 for `record_bytes`, and for
    /// an unknown encoding.
    pub(super) fn of(spec: &NodeSpec<'_>) -> Result<FixedLength> {
        let bytes = |name: &str, least: i64| {
            let value = spec.int(name)?;
            let size = usize::try_from(value).ok().filter(|_| value >= least);
            size.ok_or_else(|| Error::invalid_argument(format!("{name} must be >= {least} but got {value}")))
        };
        let record = bytes("record_bytes", 1)?;
        let hop = bytes("hop_bytes", 0)?;
        Ok(FixedLength {
            header: bytes("header_bytes", 0)?,
            record,
            footer: bytes("footer_bytes", 0)?,
            hop: if hop == 0 { record } else { hop },
            // The first version of the reader has no such attribute.
            encoding: Compression::of(spec.str("encoding").unwrap_or_default())?,
        })
    }
}

/// Returns the error for a file that is not compressed as a reader's attribute states.
///
/// `start` are the first bytes of the file, from which the message says what the file is where that is
/// certain. The code is `DataLoss`, which is what reading on would end in.
fn otherwise_compressed(compression: Compression, path: &Path, start: &[u8]) -> Error {
    let kind = FileKind::of(path, start).filter(|kind| kind.is_certain());
    let hint = match kind {
        Some(kind) => format!("it is {kind}"),
        None => "its first bytes are not those of a compressed file: omit the compression type".to_owned(),
    };
    let text = format!(
        "'{}' is not compressed with {compression:?}, the reader's compression type; {hint}",
        path.display()
    );
    Error::new(Code::DataLoss, text)
}

/// A file that is being read.
///
/// TensorFlow calls a file in a queue a work unit. It is dropped at the end of the file, or when the reader
/// is reset.
pub(super) struct Work {
    /// The name of the file. Keys begin with it, as it was in the queue.
    name: Bytes,
    /// The open file.
    source: Source,
}

/// The content of an open file.
///
/// It is the state of one pass over the file, and there is no way back.
enum Source {
    /// Records of TensorFlow's format. The reader checks both checksums of each record. The source is
    /// inflated where the format says so.
    TfRecord(BlockReader<Box<dyn Read + Send>>),
    /// Lines of text; the last one need not have a line end.
    TextLine {
        /// The rest of the file.
        lines: BufReader<File>,
        /// The number of lines so far, including skipped ones: the number in the next key is one more.
        number: u64,
    },
    /// The whole content, given once. `None` after the only record has been given.
    Whole(Option<Bytes>),
    /// Records of a fixed length.
    FixedLength {
        /// The content between header and footer.
        body: Bytes,
        /// A copy of the reader's sizes.
        sizes: FixedLength,
        /// The number of records so far.
        number: usize,
    },
}

impl Work {
    /// Opens a file, if it may be read.
    ///
    /// Lines to be skipped are read here, and formats that need the whole content read it here, so errors of
    /// these appear when the file is opened.
    ///
    /// # Errors
    /// `PermissionDenied` if `files` does not allow it, the code of the operating system's error, and
    /// `DataLoss` for a file that is not compressed in the promised way.
    pub(super) fn open(format: &Format, name: &Bytes, files: &FileAccess) -> Result<Work> {
        let path = path(name);
        if !matches!(format, Format::Identity) {
            files.check_read(&path)?;
        }
        let open = || File::open(&path).map_err(|error| failed("open", &path, error));
        let read = || fs::read(&path).map_err(|error| failed("read", &path, error));
        let source = match format {
            Format::TfRecord(compression) => {
                let mut file = open()?;
                // The first bytes are read separately and put in front again, because a pipe could not be
                // rewound.
                let mut start = Vec::new();
                let first = read_up_to(&mut file, FileKind::START as u64, &mut start);
                first.map_err(|error| failed("read", &path, error))?;
                if !compression.fits(&start) {
                    return Err(otherwise_compressed(*compression, &path, &start));
                }
                // A compressed file without any bytes is one without records.
                let compression = if start.is_empty() { Compression::None } else { *compression };
                let blocks = BlockReader::new(compression.reader(Cursor::new(start).chain(file)));
                Source::TfRecord(blocks.with_file(path.as_path()))
            }
            Format::TextLine { skip } => {
                let mut source =
                    Source::TextLine { lines: BufReader::with_capacity(1 << 16, open()?), number: 0 };
                for _ in 0..*skip {
                    if source.next(name, false)?.is_none() {
                        break;
                    }
                }
                source
            }
            Format::WholeFile => Source::Whole(Some(read()?.into())),
            Format::Identity => Source::Whole(Some(name.clone())),
            Format::FixedLength(sizes) => {
                let content = read()?;
                let content = match sizes.encoding {
                    Compression::None => content,
                    encoding => encoding.inflate(&content).map_err(|error| {
                        let text = format!("'{}' is not compressed as it should be", path.display());
                        Error::new(Code::DataLoss, text).with_source(error)
                    })?,
                };
                let end = content.len().saturating_sub(sizes.footer);
                let body = Bytes::from(content).slice(sizes.header.min(end)..end);
                Source::FixedLength { body, sizes: sizes.clone(), number: 0 }
            }
        };
        Ok(Work { name: name.clone(), source })
    }

    /// Returns the next record, or nothing at the end. Keys cost as much as small records.
    ///
    /// After an error, the next call may return the same error or a later record, depending on the format.
    pub(super) fn next(&mut self, with_key: bool) -> Result<Option<Record>> {
        self.source.next(&self.name, with_key)
    }

    /// Returns true if it is known that there is nothing more.
    ///
    /// Saves a second call for formats of one record; the others find out at the next record.
    pub(super) fn is_done(&self) -> bool {
        matches!(self.source, Source::Whole(None))
    }
}

impl Source {
    /// Reads the next record; `None` at the end.
    ///
    /// `name` is that of the file, for keys and messages.
    fn next(&mut self, name: &Bytes, with_key: bool) -> Result<Option<Record>> {
        let key = |number: u64| if with_key { numbered(name, number) } else { Bytes::new() };
        match self {
            Source::TfRecord(records) => {
                let offset = records.offset();
                let record = records.next_record().map_err(damaged)?;
                Ok(record.map(|record| (key(offset), record)))
            }
            Source::TextLine { lines, number } => {
                let mut line = Vec::new();
                // Bytes, not text: a line need not be UTF-8.
                let read = lines.read_until(b'\n', &mut line);
                if read.map_err(|error| failed("read", &path(name), error))? == 0 {
                    return Ok(None);
                }
                let is_whole = line.ends_with(b"\n");
                if is_whole {
                    line.pop();
                }
                if line.ends_with(b"\r") {
                    line.pop();
                    // At the end of the file a carriage return alone is no line.
                    if line.is_empty() && !is_whole {
                        return Ok(None);
                    }
                }
                *number += 1;
                Ok(Some((key(*number), line.into())))
            }
            Source::Whole(content) => Ok(content.take().map(|content| (name.clone(), content))),
            Source::FixedLength { body, sizes, number } => {
                // A large `hop_bytes` may overflow; a record there is beyond any content. A rest that is too
                // short for a record is dropped.
                let start = number.checked_mul(sizes.hop);
                let end = start.and_then(|start| start.checked_add(sizes.record));
                let (Some(start), Some(end)) = (start, end.filter(|&end| end <= body.len())) else {
                    return Ok(None);
                };
                let record = (key(*number as u64), body.slice(start..end));
                *number += 1;
                Ok(Some(record))
            }
        }
    }
}

/// Returns the key `<name>:<number>`.
///
/// The digits are written by hand into an exactly sized buffer; with `format!` the keys would cost more than
/// small records themselves.
fn numbered(name: &Bytes, number: u64) -> Bytes {
    // A `u64` has at most 20 digits.
    let mut digits = [0u8; 20];
    let (mut at, mut rest) = (digits.len(), number);
    loop {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    let mut key = Vec::with_capacity(name.len() + 21);
    key.extend_from_slice(name);
    key.push(b':');
    key.extend_from_slice(&digits[at..]);
    key.into()
}

/// Returns the error for a damaged file.
///
/// The code is `DataLoss` for content that is damaged, cut off, or compressed in another way, and `Unknown`
/// for errors of the operating system. The record's file and offset are in the message.
fn damaged(error: RecordError) -> Error {
    let text = error.to_string();
    let code = match &error {
        // A file that cannot be inflated has another format.
        RecordError::Io { source, .. }
            if matches!(
                source.kind(),
                std::io::ErrorKind::InvalidData | std::io::ErrorKind::InvalidInput
            ) =>
        {
            Code::DataLoss
        }
        RecordError::Io { source, .. } if source.kind() == std::io::ErrorKind::UnexpectedEof => {
            Code::DataLoss
        }
        error if error.is_data_loss() => Code::DataLoss,
        _ => Code::Unknown,
    };
    Error::new(code, text).with_source(error)
}
