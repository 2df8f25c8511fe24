//! CSV, raw numbers, sparse tensors made dense.

use crate::library::op_defs;
use crate::parsing::SparseTensor;
use crate::shapes;
use session_core::{
    AsOutput, AttrValue, DType, Error, OpDef, Output, PartialShape, Result, ShapeContext, Tensor,
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
        .shape(dense_shape).not_differentiable();
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
    /// Sets what separates fields: one byte.
    #[must_use]
    pub fn field_delim(mut self, delimiter: char) -> Self {
        self.field_delim = delimiter;
        self
    }

    /// Sets whether fields may be quoted, as they are by default; otherwise quotes are characters like others.
    #[must_use]
    pub fn use_quote_delim(mut self, quotes: bool) -> Self {
        self.use_quote_delim = quotes;
        self
    }

    /// Sets a text, in addition to the empty one, that counts as a missing value.
    #[must_use]
    pub fn na_value(mut self, text: &str) -> Self {
        text.clone_into(&mut self.na_value);
        self
    }

    /// Sets the columns to give, ascending, counted from 0; one default for each. All by default.
    #[must_use]
    pub fn select_cols(mut self, columns: &[usize]) -> Self {
        self.select_cols = columns.iter().map(|&column| i64::try_from(column).unwrap_or(i64::MAX)).collect();
        self
    }
}

/// Parses lines of CSV to one tensor per column, with the dtype of the column's default. An empty default
/// means that the column requires a value. See RFC 4180 for quotes.
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
/// # Errors
/// When it runs: `InvalidArgument` for strings of different lengths, or of a length that is no multiple of the dtype's.
#[must_use]
#[track_caller]
pub fn decode_raw(bytes: impl AsOutput, out_type: DType) -> Output {
    decoded(bytes.as_output(), out_type, true)
}

/// Works as [`decode_raw`], for big-endian bytes: TensorFlow's `little_endian=False`.
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

/// Returns the whole of a sparse tensor, with `default_value`, a scalar of its dtype, where it has no value.
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
