//! The formats that readers read.

use super::Compression;
use super::files::{failed, path};
use crate::kernel::NodeSpec;
use session_core::{Code, Error, FileAccess, Result};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Cursor, Read};
use std::path::Path;
use summary::record::{BlockReader, RecordError};
use tensor::{Bytes, FileKind};

/// Key and content. The key is empty unless keys are requested.
pub(super) type Record = (Bytes, Bytes);

/// The record format of a reader.
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
#[derive(Clone, Debug, PartialEq)]
pub(super) struct FixedLength {
    /// The number of bytes before the first record.
    header: usize,
    /// The number of bytes of a record.
    record: usize,
    /// The number of bytes after the last record.
    footer: usize,
    /// The number of bytes from the start of one record to that of the next.
    hop: usize,
    /// The compression of the file.
    encoding: Compression,
}

impl FixedLength {
    /// Reads the attributes.
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
pub(super) struct Work {
    /// The name of the file.
    name: Bytes,
    /// The open file.
    source: Source,
}

/// The content of an open file.
enum Source {
    /// Records of TensorFlow's format.
    TfRecord(BlockReader<Box<dyn Read + Send>>),
    TextLine {
        lines: BufReader<File>,
        number: u64,
    },
    /// The whole content, given once.
    Whole(Option<Bytes>),
    FixedLength {
        body: Bytes,
        sizes: FixedLength,
        number: usize,
    },
}

impl Work {
    /// Opens a file, if it may be read.
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
                let mut start = Vec::new();
                let first = file.by_ref().take(FileKind::START as u64).read_to_end(&mut start);
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
    pub(super) fn next(&mut self, with_key: bool) -> Result<Option<Record>> {
        self.source.next(&self.name, with_key)
    }

    /// Returns true if it is known that there is nothing more.
    pub(super) fn is_done(&self) -> bool {
        matches!(self.source, Source::Whole(None))
    }
}

impl Source {
    /// Reads the next record; `None` at the end.
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
                let read = lines.read_until(b'\n', &mut line);
                if read.map_err(|error| failed("read", &path(name), error))? == 0 {
                    return Ok(None);
                }
                if line.ends_with(b"\n") {
                    line.pop();
                    if line.ends_with(b"\r") {
                        line.pop();
                    }
                }
                *number += 1;
                Ok(Some((key(*number), line.into())))
            }
            Source::Whole(content) => Ok(content.take().map(|content| (name.clone(), content))),
            Source::FixedLength { body, sizes, number } => {
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

/// `<name>:<number>`
fn numbered(name: &Bytes, number: u64) -> Bytes {
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
