//! CSV, raw numbers, and dense tensors from sparse ones.

use crate::array::gathering::gather_nd;
use crate::array::shaping::reshape;
use crate::library::op_defs;
use crate::math::binary::sub;
use crate::math::reduce::reduce_sum;
use crate::parsing::SparseTensor;
use crate::shapes;
use session_core::{
    AsOutput, AttrValue, DType, Error, OpDef, Operation, Output, PartialShape, Result, ShapeContext, Tensor,
};

op_defs! {
    DECODE_CSV: OpDef::new("DecodeCSV", "records: string, record_defaults: OUT_TYPE -> output: OUT_TYPE")
        .attrs("OUT_TYPE: list({float, double, int32, int64, string}) >= 1, field_delim: string = \",\", use_quote_delim: bool = true, na_value: string = \"\", select_cols: list(int) = []")
        .shape(csv_shape).not_differentiable();
    DECODE_RAW: OpDef::new("DecodeRaw", "bytes: string -> output: out_type")
        .attrs("out_type: {half, float, double, int32, uint16, uint8, int16, int8, int64, complex64, complex128, bool, bfloat16}, little_endian: bool = true")
        .shape(raw_shape).not_differentiable();
    DECODE_PADDED_RAW: OpDef::new("DecodePaddedRaw", "input_bytes: string, fixed_length: int32 -> output: out_type")
        .attrs("out_type: {half, float, double, int32, uint16, uint8, int16, int8, int64, bfloat16}, little_endian: bool = true")
        .shape(raw_shape).not_differentiable();
    DECODE_COMPRESSED: OpDef::new("DecodeCompressed", "bytes: string -> output: string")
        .attrs("compression_type: string = \"\"").shape(shapes::unchanged).not_differentiable();
    SPARSE_TO_DENSE: OpDef::new(
            "SparseToDense",
            "sparse_indices: Tindices, output_shape: Tindices, sparse_values: T, default_value: T -> dense: T",
        )
        .attrs("validate_indices: bool = true, T: type, Tindices: indextype")
        .shape(dense_shape).gradient(sparse_to_dense_gradient);
}

/// Returns the gradients of the values, which are those of their places, and of the default, which are those of all other places.
///
/// A single value for all places has the sum of their gradients. The indices of a vector may be a vector. TensorFlow refuses both.
fn sparse_to_dense_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let Some(grad) = &grads[0] else { return Ok(vec![None; 4]) };
    let (indices, values) = (op.input(0), op.input(2));
    let indices = match indices.shape().rank() {
        // Each number is the place of a value in a vector.
        Some(0 | 1) => reshape(&indices, [-1, 1]),
        _ => indices,
    };
    let of_places = gather_nd(grad, &indices);
    let of_default = sub(reduce_sum(grad, ..), reduce_sum(&of_places, ..));
    let of_values = if values.shape().rank() == Some(0) { reduce_sum(of_places, ..) } else { of_places };
    Ok(vec![None, None, Some(of_values), Some(of_default)])
}

fn csv_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let records = context.input(0);
    for index in 1..context.inputs().len() {
        let default = context.input(index);
        if default.rank().is_some_and(|rank| rank > 1) || default.dim(0).is_some_and(|size| size > 1) {
            return Err(Error::value(format!("a default of shape {default}, not of one value or none")));
        }
        context.set(index - 1, records.clone());
    }
    Ok(())
}

fn raw_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let shape = context.input(0).concat(&PartialShape::from([None]));
    context.set(0, shape);
    Ok(())
}

fn dense_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let shape = context.inputs().get(1).map(shapes::shape_from).transpose()?.unwrap_or_default();
    context.set(0, shape);
    Ok(())
}

/// Options of [`decode_csv`].
///
/// ```
/// use ops::parsing::CsvOptions;
/// let options = CsvOptions::default().use_quote_delim(false);
/// # let _ = options;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CsvOptions {
    field_delim: char,
    use_quote_delim: bool,
    na_value: String,
    select_cols: Vec<i64>,
}

impl Default for CsvOptions {
    /// Commas, quoted fields, all columns.
    fn default() -> CsvOptions {
        CsvOptions {
            field_delim: ',',
            use_quote_delim: true,
            na_value: String::new(),
            select_cols: Vec::new(),
        }
    }
}

impl CsvOptions {
    /// Sets the separator of fields, which is one byte. Default: a comma.
    ///
    /// ```
    /// use ops::parsing::CsvOptions;
    /// let options = CsvOptions::default().field_delim(';');
    /// # let _ = options;
    /// ```
    #[must_use]
    pub fn field_delim(mut self, delimiter: char) -> Self {
        self.field_delim = delimiter;
        self
    }

    /// Sets whether fields may be quoted. If not, quotes are ordinary characters. Default: true.
    #[must_use]
    pub fn use_quote_delim(mut self, quotes: bool) -> Self {
        self.use_quote_delim = quotes;
        self
    }

    /// Sets a text, in addition to the empty one, that counts as a missing value.
    ///
    /// ```
    /// use ops::parsing::CsvOptions;
    /// let options = CsvOptions::default().na_value("NA");
    /// # let _ = options;
    /// ```
    #[must_use]
    pub fn na_value(mut self, text: &str) -> Self {
        text.clone_into(&mut self.na_value);
        self
    }

    /// Sets the columns to return, in ascending order and counted from 0, each with one default. Default: all columns.
    ///
    /// ```
    /// use ops::parsing::CsvOptions;
    /// let options = CsvOptions::default().select_cols(&[0, 3]);
    /// # let _ = options;
    /// ```
    #[must_use]
    pub fn select_cols(mut self, columns: &[usize]) -> Self {
        self.select_cols = columns.iter().map(|&column| i64::try_from(column).unwrap_or(i64::MAX)).collect();
        self
    }
}

/// Parses lines of CSV to one tensor per column, with the dtype of the column's default. An empty default
/// means that the column requires a value. See RFC 4180 for quotes.
///
/// ```
/// use ops::{array::constant, parsing::{CsvOptions, decode_csv}};
/// use session_core::{DType, Graph, Tensor};
/// let graph = Graph::new();
/// let lines = constant(&graph, vec!["3,red", "4,"]);
/// let columns = decode_csv(&lines, &[Tensor::from([0i64]), Tensor::from(vec!["none"])], &CsvOptions::default());
/// // [3, 4] and ["red", "none"]
/// assert_eq!((columns[0].dtype(), columns[1].dtype()), (DType::Int64, DType::String));
/// ```
///
/// # Errors
/// When it runs: `InvalidArgument` that names the record and the field, counted from 0.
#[must_use]
#[track_caller]
pub fn decode_csv(records: impl AsOutput, record_defaults: &[Tensor], options: &CsvOptions) -> Vec<Output> {
    let records = records.as_output();
    let graph = records.graph();
    let constants = graph.without_control_dependencies();
    let defaults: Vec<Output> =
        record_defaults.iter().map(|default| crate::array::constant(&constants, default.clone())).collect();
    let types = record_defaults.iter().map(|default| AttrValue::Type(default.dtype())).collect();
    let builder = graph.op(&DECODE_CSV).input(records).input_list(&defaults);
    let operation = builder
        .attr("OUT_TYPE", AttrValue::List(types))
        .attr("field_delim", options.field_delim.to_string().as_str())
        .attr("use_quote_delim", options.use_quote_delim)
        .attr("na_value", options.na_value.as_str())
        .attr(
            "select_cols",
            AttrValue::List(options.select_cols.iter().map(|&c| AttrValue::Int(c)).collect()),
        )
        .finish();
    (0..record_defaults.len()).map(|index| operation.output(index)).collect()
}

/// Decodes little-endian byte strings of one length to numbers along a new last axis.
///
/// ```
/// use ops::{array::placeholder, parsing::decode_raw};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let bytes = placeholder(&graph, DType::String, [None]);
/// assert_eq!(decode_raw(&bytes, DType::UInt8).shape().to_string(), "[?,?]");
/// ```
///
/// # Errors
/// When it runs: `InvalidArgument` for strings of different lengths, or of a length that is not a multiple of the dtype's.
#[must_use]
#[track_caller]
pub fn decode_raw(bytes: impl AsOutput, out_type: DType) -> Output {
    decoded(bytes.as_output(), out_type, true)
}

/// Works as [`decode_raw`], for big-endian bytes: TensorFlow's `little_endian=False`.
///
/// ```
/// use ops::{array::constant, parsing::decode_raw_big_endian};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let numbers = decode_raw_big_endian(constant(&graph, "bytes of two"), DType::Int32);
/// assert_eq!(numbers.dtype(), DType::Int32);
/// ```
///
/// # Errors
/// As [`decode_raw`].
#[must_use]
#[track_caller]
pub fn decode_raw_big_endian(bytes: impl AsOutput, out_type: DType) -> Output {
    decoded(bytes.as_output(), out_type, false)
}

#[track_caller]
fn decoded(bytes: &Output, out_type: DType, little_endian: bool) -> Output {
    let builder = bytes.graph().op(&DECODE_RAW).input(bytes);
    builder.attr("out_type", out_type).attr("little_endian", little_endian).finish_output()
}

/// Converts a sparse tensor to a dense one, with `default_value`, a scalar of its dtype, where it has no value.
///
/// ```
/// # use ops::array::placeholder;
/// # use session_core::{DType, Graph};
/// # let graph = Graph::new();
/// use ops::parsing::{FeatureSpec, parse_example, sparse_to_dense};
/// let records = placeholder(&graph, DType::String, [None]);
/// let parsed = parse_example(&records, &[("ids", FeatureSpec::var_len(DType::Int64))]);
/// let padded = sparse_to_dense(&parsed.sparse("ids"), -1i64);
/// assert_eq!(padded.dtype(), DType::Int64);
/// ```
///
/// # Errors
/// When it runs: `InvalidArgument` for indices outside of the shape, out of order or repeated.
#[must_use]
#[track_caller]
pub fn sparse_to_dense(sparse: &SparseTensor, default_value: impl Into<Tensor>) -> Output {
    let graph = sparse.values.graph();
    let builder = graph.op(&SPARSE_TO_DENSE).input(&sparse.indices).input(&sparse.dense_shape);
    builder.input(&sparse.values).constant(default_value).finish_output()
}
