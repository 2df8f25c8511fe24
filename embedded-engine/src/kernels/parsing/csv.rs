//! Lines of CSV.
//!
//! # Semantics
//!
//! One record per string. A field may be quoted (`use_quote_delim`); quotes in it are doubled. An empty
//! field, or one that equals `na_value`, has the default of its column; a column without a default is
//! required. `select_cols` picks columns in ascending order. Errors name the record and the field.
//!
//! - Input 0 holds the records, of any shape; the other inputs are the defaults, one for each column, with
//!   one element or none. Output `i` has the shape of the records and the dtype of default `i`: `float32`,
//!   `float64`, `int32`, `int64` or string.
//! - A record must have exactly as many fields as there are columns, or, with `select_cols`, all of these. A
//!   record that is empty or holds only line ends has no fields.
//! - Numbers may be surrounded by blanks; strings keep theirs. Line ends before a field are skipped, and if
//!   nothing follows them there is no such field. Other line ends may be in quoted fields only, so a record
//!   ends without one.
//! - A quote in a field without quotes and text after a closing quote are errors. With `use_quote_delim`
//!   false, quotes are ordinary characters.
//! - All errors of the data are `InvalidArgument`, in TensorFlow's words. Those of attributes are reported
//!   when the plan is compiled.
//!
//! ```text
//! record  a,"b ""c"",d",    defaults "", "", 7     ->   "a", `b "c",d`, 7
//! ```
//!
//! Fields without quotes are borrowed from the record; each record is read once, on the calling thread.

use crate::kernel::{Kernel, KernelContext, NodeSpec};
use crate::kernels::math::boxed;
use crate::kernels::strings::number::{float, integer};
use crate::registry::Registry;
use session_core::{Code, Error, Result};
use std::borrow::Cow;
use tensor::{Bytes, DType, Shape, Tensor, memory};

/// Registers `DecodeCSV`.
pub(super) fn register(registry: &mut Registry) {
    registry.add("DecodeCSV", decode);
}

/// The attributes of a kernel, checked.
struct Format {
    /// The byte between fields, `field_delim`.
    delimiter: u8,
    /// True if fields may be quoted.
    quotes: bool,
    /// The text of a missing field, in addition to the empty one.
    na_value: Bytes,
    /// The columns to return, ascending; all columns if it is empty.
    columns: Vec<usize>,
}

/// Returns the kernel. Fails with `InvalidArgument` for a delimiter of another length, for columns that do
/// not ascend strictly, and if their number is not that of the outputs.
fn decode(spec: &NodeSpec<'_>) -> Result<Box<dyn Kernel>> {
    let delimiter = spec.str("field_delim")?.as_bytes();
    let &[delimiter] = delimiter else {
        return Err(Error::invalid_argument("field_delim should be only 1 char"));
    };
    let columns = spec.ints("select_cols").unwrap_or_default();
    let ascending =
        columns.windows(2).all(|pair| pair[0] < pair[1]) && columns.iter().all(|&column| column >= 0);
    if !ascending {
        return Err(Error::invalid_argument(
            "select_cols should be strictly increasing indices, not negative",
        ));
    }
    let outputs = spec.operation.num_outputs();
    if !columns.is_empty() && columns.len() != outputs {
        return Err(Error::invalid_argument("select_cols should match output size"));
    }
    let format = Format {
        delimiter,
        quotes: spec.bool("use_quote_delim")?,
        na_value: Bytes::copy_from_slice(spec.str("na_value")?.as_bytes()),
        // None is dropped: negative ones were refused above.
        columns: columns.into_iter().filter_map(|column| usize::try_from(column).ok()).collect(),
    };
    Ok(boxed(move |context| run(context, &format)))
}

/// Delivers the columns. Nothing is delivered if one record is wrong.
fn run(context: &mut KernelContext<'_>, format: &Format) -> Result<()> {
    let records = context.input(0).clone();
    // The defaults are inputs and may differ from run to run.
    let mut columns: Vec<Column> = (1..context.num_inputs())
        .map(|input| Column::new(context.input(input), records.elements()))
        .collect::<Result<_>>()?;
    for (row, record) in records.as_strings()?.iter().enumerate() {
        let fields = fields(record, format)?;
        if fields.len() != columns.len() {
            let text = format!("Expect {} fields but have {} in record {row}", columns.len(), fields.len());
            return Err(Error::invalid_argument(text));
        }
        for (index, (column, field)) in columns.iter_mut().zip(fields).enumerate() {
            let missing = field.is_empty() || *field == format.na_value[..];
            column.push(if missing { None } else { Some(field) }, index, row)?;
        }
    }
    for (index, column) in columns.into_iter().enumerate() {
        context.set(index, column.values.into_tensor(records.shape().clone())?);
    }
    Ok(())
}

/// A column under construction, with one value for each record so far.
struct Column {
    /// The values in the order of the records.
    values: Values,
    /// The default, a tensor of one element, or `None` if the column is required.
    default: Option<Tensor>,
}

/// One variant for each dtype of `DecodeCSV`, so that a column is a plain vector of its type.
enum Values {
    /// Values of `float32`.
    Floats(Vec<f32>),
    /// Values of `float64`.
    Doubles(Vec<f64>),
    /// Values of `int32`.
    Ints(Vec<i32>),
    /// Values of `int64`.
    Longs(Vec<i64>),
    /// Copies of the fields.
    Strings(Vec<Bytes>),
}

impl Column {
    /// Returns an empty column. `default` is its input, from which its dtype is taken; memory for `rows`
    /// values is reserved. Fails with `Unimplemented` for another dtype and with `InvalidArgument` for a
    /// default of several elements.
    fn new(default: &Tensor, rows: usize) -> Result<Column> {
        let values = match default.dtype() {
            DType::Float32 => Values::Floats(memory::reserve(rows)?),
            DType::Float64 => Values::Doubles(memory::reserve(rows)?),
            DType::Int32 => Values::Ints(memory::reserve(rows)?),
            DType::Int64 => Values::Longs(memory::reserve(rows)?),
            DType::String => Values::Strings(memory::reserve(rows)?),
            other => return Err(Error::new(Code::Unimplemented, format!("no columns of {other}"))),
        };
        let default = match default.elements() {
            0 => None,
            1 => Some(default.clone()),
            count => {
                return Err(Error::invalid_argument(format!("a default has one value or none, not {count}")));
            }
        };
        Ok(Column { values, default })
    }

    /// Appends a field, or the default for a missing one. `index` is the number of the column among the
    /// outputs and `row` that of the record, for messages.
    fn push(&mut self, field: Option<Cow<'_, [u8]>>, index: usize, row: usize) -> Result<()> {
        let Some(field) = field else {
            let required = || format!("Field {index} is required but missing in record {row}!");
            let default = self.default.as_ref().ok_or_else(|| Error::invalid_argument(required()))?;
            return self.values.push_default(default);
        };
        self.values.push(&field).map_err(|kind| {
            let field = String::from_utf8_lossy(&field);
            Error::invalid_argument(format!("Field {index} in record {row} is not a valid {kind}: {field}"))
        })
    }
}

impl Values {
    /// Appends a field. The error is TensorFlow's name of the dtype that the text is not.
    fn push(&mut self, field: &[u8]) -> Result<(), &'static str> {
        match self {
            Values::Floats(values) => values.push(float(field).ok_or("float")?),
            Values::Doubles(values) => values.push(float(field).ok_or("double")?),
            Values::Ints(values) => values.push(integer(field).ok_or("int32")?),
            Values::Longs(values) => values.push(integer(field).ok_or("int64")?),
            Values::Strings(values) => values.push(Bytes::copy_from_slice(field)),
        }
        Ok(())
    }

    /// Appends the element of a tensor, which has exactly one and the dtype of the column.
    fn push_default(&mut self, default: &Tensor) -> Result<()> {
        match self {
            Values::Floats(values) => values.push(default.value()?),
            Values::Doubles(values) => values.push(default.value()?),
            Values::Ints(values) => values.push(default.value()?),
            Values::Longs(values) => values.push(default.value()?),
            Values::Strings(values) => values.extend_from_slice(default.as_strings()?),
        }
        Ok(())
    }

    /// Returns the values as a tensor of this shape, which has as many elements.
    fn into_tensor(self, shape: Shape) -> Result<Tensor> {
        Ok(match self {
            Values::Floats(values) => Tensor::from_vec(values, shape)?,
            Values::Doubles(values) => Tensor::from_vec(values, shape)?,
            Values::Ints(values) => Tensor::from_vec(values, shape)?,
            Values::Longs(values) => Tensor::from_vec(values, shape)?,
            Values::Strings(values) => Tensor::from_strings(values, shape)?,
        })
    }
}

/// Returns the selected fields of a line.
///
/// All fields are scanned, those that are not selected as well, so an invalid field anywhere is an error. A
/// delimiter at the end is followed by one more, empty field.
fn fields<'a>(line: &'a [u8], format: &Format) -> Result<Vec<Cow<'a, [u8]>>> {
    let (mut fields, mut rest, mut column) = (Vec::new(), line, 0);
    let wanted = |column: usize| format.columns.is_empty() || format.columns.binary_search(&column).is_ok();
    let is_line_end = |byte: &u8| matches!(byte, b'\n' | b'\r');
    if rest.is_empty() {
        return Ok(fields);
    }
    loop {
        let skipped = rest.iter().take_while(|byte| is_line_end(byte)).count();
        // An empty rest without line ends is the empty field after the last delimiter.
        if skipped > 0 && skipped == rest.len() {
            return Ok(fields);
        }
        rest = &rest[skipped..];
        let (field, len) = match rest.first() {
            Some(b'"') if format.quotes => quoted(rest, format.delimiter)?,
            _ => {
                let len = rest.iter().position(|&byte| byte == format.delimiter).unwrap_or(rest.len());
                let field = &rest[..len];
                if field.iter().any(|byte| is_line_end(byte) || format.quotes && *byte == b'"') {
                    return Err(Error::invalid_argument("Unquoted fields cannot have quotes/CRLFs inside"));
                }
                (Cow::Borrowed(field), len)
            }
        };
        if wanted(column) {
            fields.push(field);
        }
        column += 1;
        // The record ends with the field. Otherwise a delimiter follows, which both branches guarantee.
        if len == rest.len() {
            return Ok(fields);
        }
        rest = &rest[len + 1..];
    }
}

/// Returns a field in quotes, two of which stand for one, and its length with the quotes.
///
/// `rest` begins with the opening quote; the closing one must be followed by the delimiter or nothing. A
/// field in quotes is always copied, because its doubled quotes are not contiguous text.
fn quoted(rest: &[u8], delimiter: u8) -> Result<(Cow<'_, [u8]>, usize)> {
    let (mut field, mut at) = (Vec::new(), 1);
    while at < rest.len() {
        // The pair decides: a doubled quote is one quote, and a single one ends the field only where the
        // field may end.
        match (rest[at], rest.get(at + 1)) {
            (b'"', Some(b'"')) => {
                field.push(b'"');
                at += 2;
            }
            (b'"', next) if next.is_none_or(|&next| next == delimiter) => return Ok((field.into(), at + 1)),
            (b'"', _) => {
                let text = "Quote inside a string has to be escaped by another quote";
                return Err(Error::invalid_argument(text));
            }
            (byte, _) => {
                field.push(byte);
                at += 1;
            }
        }
    }
    Err(Error::invalid_argument("Quoted field has to end with quote followed by delim or end"))
}
