//! `CSVDataset` (D-85).
//!
//! # Semantics
//!
//! Inputs: `filenames`, `compression_type`, `buffer_size` (greater than zero), `header` (`bool`),
//! `field_delim` (one byte), `use_quote_delim` (`bool`), `na_value`, `select_cols`, `record_defaults` (a list
//! of scalars or vectors of at most one element), in `V2` also `exclude_cols`. Each record is one element,
//! with a scalar of the dtype of each default: `int32`, `int64`, `float32`, `float64` or `string`.
//!
//! - Records end with LF, CR or CR LF, or the end of the file. With `header` the first line of each file is
//!   passed by.
//! - A field that begins with a quote ends with one; two quotes stand for one, and delimiters and line ends
//!   in it are text. Without `use_quote_delim` quotes are text.
//! - A field that is empty or equal to `na_value` has its default, quoted or not; a default without an
//!   element makes it required.
//! - `select_cols` are the columns that are read, `exclude_cols` those that are not: ascending, and at most
//!   one of them given.
//!
//! # Errors
//!
//! A record that cannot be read is one failed element, `InvalidArgument` with the offset of the record; the
//! next request reads the next record. The first fault of a record counts, and the rest of it is still
//! passed, so that quotes are matched. Faults of the inputs come from the initializer (D-7).
//!
//! Position: see [`super`]; the offset is that of the next record.

use super::source::{Failure, Print, compression, open};
use super::{Files, Format, Records};
use crate::kernel::integers;
use crate::kernels::data::build::Build;
use crate::kernels::data::dataset::{Run, Shared};
use crate::kernels::data::element::Element;
use crate::kernels::io::Compression;
use crate::kernels::strings::number::{float, integer};
use session_core::{Code, Error, Result};
use std::io::{BufRead, BufReader, Read};
use std::sync::Arc;
use tensor::{Bytes, DType, Tensor};

/// Makes the dataset, after the checks of its inputs.
pub(super) fn make(build: &Build<'_, '_>) -> Result<Shared> {
    let delimiter = build.string("field_delim")?;
    let [delimiter] = delimiter[..] else {
        return Err(Error::invalid_argument("field_delim should be only 1 char"));
    };
    build.positive::<u64, _>("buffer_size", |_| "buffer_size should be positive")?;
    let defaults = build.tensors("record_defaults");
    // Counted before it is read as indices, so that a wrong number is reported rather than a wrong order.
    let selected = if build.has("select_cols") { build.tensor("select_cols")?.elements() } else { 0 };
    if selected != 0 && selected != defaults.len() {
        return Err(Error::invalid_argument("select_cols should match output size"));
    }
    let selected = columns(build, "select_cols")?;
    let excluded = columns(build, "exclude_cols")?;
    if !selected.is_empty() && !excluded.is_empty() {
        return Err(Error::invalid_argument("Either select_cols or exclude_cols should be empty"));
    }
    for default in &defaults {
        if default.elements() > 1 {
            return Err(Error::invalid_argument(
                "Each record default should be at most rank 1 and have at most one value",
            ));
        }
        if !matches!(
            default.dtype(),
            DType::Int32 | DType::Int64 | DType::Float32 | DType::Float64 | DType::String
        ) {
            return Err(Error::invalid_argument(format!("a column cannot be of {}", default.dtype())));
        }
    }
    let rules = Rules {
        compression: compression(&build.text_or_empty("compression_type")?)?,
        has_header: build.bool_or("header", false)?,
        delimiter,
        quotes: build.bool_or("use_quote_delim", true)?,
        na_value: build.string("na_value")?,
        selected,
        excluded,
        defaults,
    };
    Ok(Arc::new(Files { names: build.strings("filenames")?.into(), format: Arc::new(Csv(Arc::new(rules))) }))
}

/// Returns an input of column numbers, which must be ascending and not negative; empty for an op type without
/// it.
fn columns(build: &Build<'_, '_>, argument: &str) -> Result<Vec<usize>> {
    if !build.has(argument) {
        return Ok(Vec::new());
    }
    let columns = integers(&build.tensor(argument)?)?;
    let ascending =
        columns.windows(2).all(|pair| pair[0] < pair[1]) && columns.iter().all(|&column| column >= 0);
    if !ascending {
        return Err(Error::invalid_argument(format!("{argument} should be strictly increasing indices")));
    }
    Ok(columns.into_iter().filter_map(|column| usize::try_from(column).ok()).collect())
}

/// The inputs of the operation, shared by all files.
struct Rules {
    /// The compression of the files.
    compression: Compression,
    /// True if the first line of each file is passed by.
    has_header: bool,
    /// The byte between two fields.
    delimiter: u8,
    /// True if quotes delimit fields.
    quotes: bool,
    /// The text of a missing field.
    na_value: Bytes,
    /// The columns to read, ascending; all columns when empty.
    selected: Vec<usize>,
    /// The columns to leave out, ascending.
    excluded: Vec<usize>,
    /// One tensor for each column that is given: its value, or no element where the field must be there.
    defaults: Element,
}

impl Rules {
    /// Returns true if a column is given.
    fn wants(&self, column: usize) -> bool {
        let selected = self.selected.is_empty() || self.selected.binary_search(&column).is_ok();
        selected && self.excluded.binary_search(&column).is_err()
    }
}

/// The format.
struct Csv(Arc<Rules>);

impl Format for Csv {
    fn name(&self) -> &'static str {
        "CSV"
    }

    fn seeks(&self) -> bool {
        self.0.compression == Compression::None
    }

    fn passes_by(&self, error: &Error) -> bool {
        // The header is missing.
        // Only a header that is missing has this code when a file is opened.
        error.code() == Code::InvalidArgument
    }

    /// Opens a file, and passes its header if it is opened at its beginning. A file without a header line is
    /// `InvalidArgument`.
    fn open(&self, name: &Bytes, offset: u64, run: &Run<'_>) -> Result<Box<dyn Records>> {
        let opened = open(name, self.0.compression, offset, run)?;
        let mut file = OfFile {
            rules: self.0.clone(),
            name: name.clone(),
            bytes: BufReader::with_capacity(1 << 16, opened.bytes),
            offset,
            print: opened.print,
            failure: opened.failure,
        };
        if self.0.has_header && offset == 0 && !file.pass_line()? {
            file.failure.check(name)?;
            let text = format!("Can't read header of file '{}'", String::from_utf8_lossy(name));
            return Err(Error::invalid_argument(text));
        }
        Ok(Box::new(file))
    }
}

/// A file that is read.
struct OfFile {
    /// The inputs of the operation.
    rules: Arc<Rules>,
    /// The name, for messages.
    name: Bytes,
    /// The bytes of the file, decompressed.
    bytes: BufReader<Box<dyn Read + Send>>,
    /// The offset of the next byte.
    offset: u64,
    /// The fingerprint of the file.
    print: Print,
    /// The error that ended the bytes early, reported after the last record.
    failure: Failure,
}

/// The end of a field.
#[derive(PartialEq, Eq)]
enum End {
    /// A delimiter: another field follows.
    Field,
    /// A line end, or the end of the file.
    Record,
}

impl OfFile {
    /// Returns the next byte without taking it; `None` at the end of the file.
    fn peek(&mut self) -> Result<Option<u8>> {
        let name = &self.name;
        let bytes = self.bytes.fill_buf().map_err(|error| {
            let text = format!("could not read '{}': {error}", String::from_utf8_lossy(name));
            Error::new(Code::Unknown, text)
        })?;
        Ok(bytes.first().copied())
    }

    /// Takes the next byte; `None` at the end of the file.
    fn take(&mut self) -> Result<Option<u8>> {
        let byte = self.peek()?;
        if byte.is_some() {
            self.bytes.consume(1);
            self.offset += 1;
        }
        Ok(byte)
    }

    /// Passes by a line, and returns true if there was one. Quotes have no meaning in it.
    fn pass_line(&mut self) -> Result<bool> {
        let mut any = false;
        while let Some(byte) = self.take()? {
            any = true;
            if byte == b'\n' {
                break;
            }
            if byte == b'\r' {
                self.pass_newline()?;
                break;
            }
        }
        Ok(any)
    }

    /// Passes by the LF of a CR LF, whose CR was taken.
    fn pass_newline(&mut self) -> Result<()> {
        if self.peek()? == Some(b'\n') {
            self.take()?;
        }
        Ok(())
    }

    /// Takes the end of a field that has ended, and returns it, if this byte is one. `None` stands for the
    /// end of the file.
    fn end(&mut self, byte: Option<u8>) -> Result<Option<End>> {
        match byte {
            None | Some(b'\n') => Ok(Some(End::Record)),
            Some(b'\r') => {
                self.pass_newline()?;
                Ok(Some(End::Record))
            }
            Some(byte) if byte == self.rules.delimiter => Ok(Some(End::Field)),
            Some(_) => Ok(None),
        }
    }

    /// Reads the next field into `into`, and returns how it ends. A fault is returned as its text; the field
    /// is passed all the same, except that a missing closing quote has used up the file.
    ///
    /// ```text
    /// a,"b,""c""",d     gives   a | b,"c" | d
    /// ```
    fn field(&mut self, into: &mut Vec<u8>) -> Result<(Option<&'static str>, End)> {
        let mut wrong = None;
        if self.rules.quotes && self.peek()? == Some(b'"') {
            self.take()?;
            loop {
                match self.take()? {
                    None => {
                        return Ok((
                            Some("Reached end of file without closing quoted field in record"),
                            End::Record,
                        ));
                    }
                    Some(b'"') => {
                        let next = self.take()?;
                        if next == Some(b'"') {
                            into.push(b'"');
                        } else if let Some(end) = self.end(next)? {
                            return Ok((wrong, end));
                        } else {
                            wrong = Some("Quote inside a string has to be escaped by another quote");
                        }
                    }
                    Some(byte) => into.push(byte),
                }
            }
        }
        loop {
            let byte = self.take()?;
            if let Some(end) = self.end(byte)? {
                return Ok((wrong, end));
            }
            if self.rules.quotes && byte == Some(b'"') {
                wrong = Some("Unquoted fields cannot have quotes inside");
            }
            into.extend(byte);
        }
    }
}

impl Records for OfFile {
    /// Returns the next record. All its fields are passed, also after the first fault.
    fn next(&mut self) -> Result<Option<Element>> {
        if self.peek()?.is_none() {
            return self.failure.check(&self.name).map(|()| None);
        }
        let rules = self.rules.clone();
        let (start, expected) = (self.offset, rules.defaults.len());
        let (mut element, mut wrong, mut text) = (Element::new(), None::<String>, Vec::new());
        for column in 0.. {
            text.clear();
            let (trouble, end) = self.field(&mut text)?;
            if let Some(trouble) = trouble {
                wrong = wrong.or_else(|| Some(trouble.to_owned()));
            // The place among the given columns, not among all, selects the default.
            } else if rules.wants(column) && wrong.is_none() {
                let place = element.len();
                match rules.defaults.get(place) {
                    None => wrong = Some(format!("Expect {expected} fields but have more in record")),
                    Some(default) => match value(&text, default, &rules.na_value, place) {
                        Ok(value) => element.push(value),
                        Err(trouble) => wrong = Some(trouble),
                    },
                }
            }
            if end == End::Record {
                break;
            }
        }
        if wrong.is_none() && element.len() < expected {
            wrong = Some(format!("Expect {expected} fields but have {} in record", element.len()));
        }
        match wrong {
            None => Ok(Some(element)),
            Some(wrong) => {
                let name = String::from_utf8_lossy(&self.name);
                Err(Error::invalid_argument(format!("{wrong} (offset {start} of file '{name}')")))
            }
        }
    }

    fn offset(&self) -> u64 {
        self.offset
    }

    fn print(&self) -> Print {
        self.print
    }
}

/// Returns the value of a field as a scalar of its default's dtype, or the text of its fault. `place` is the
/// number of the field among the given ones, for messages.
///
/// Numbers are parsed by the functions of `StringToNumber`; text that these refuse is a fault.
fn value(field: &[u8], default: &Tensor, na_value: &[u8], place: usize) -> Result<Tensor, String> {
    if field.is_empty() || field == na_value {
        // A default of shape `[1]` gives a scalar, as all fields are.
        let default = if default.elements() == 1 { default.clone().reshaped([0; 0]).ok() } else { None };
        return default.ok_or_else(|| format!("Field {place} is required but missing in record!"));
    }
    let invalid = |kind: &str| {
        format!("Field {place} in record is not a valid {kind}: {}", String::from_utf8_lossy(field))
    };
    match default.dtype() {
        DType::Int32 => integer::<i32>(field).map(Tensor::scalar).ok_or_else(|| invalid("int32")),
        DType::Int64 => integer::<i64>(field).map(Tensor::scalar).ok_or_else(|| invalid("int64")),
        DType::Float32 => float::<f32>(field).map(Tensor::scalar).ok_or_else(|| invalid("float")),
        DType::Float64 => float::<f64>(field).map(Tensor::scalar).ok_or_else(|| invalid("double")),
        _ => Ok(Tensor::string(field.to_vec())),
    }
}
