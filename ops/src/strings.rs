//! Byte strings: joined, split, cut, formatted, read as numbers.

pub(crate) mod unicode;

use crate::arguments::{Axes, Ints, ReductionAxes};
use crate::array::{constant, range, rank};
use crate::composite::unnamed;
use crate::library::op_defs;
use crate::math::binary::sub;
use crate::parsing::SparseTensor;
use crate::shapes::{self, broadcast_shapes, unchanged};
use session_core::{AsOutput, DType, OpBuilder, OpDef, Output, PartialShape, Result, ShapeContext};
use tensor::Tensor;

op_defs! {
    STRING_JOIN: OpDef::new("StringJoin", "inputs: N * string -> output: string")
        .attrs("N: int >= 0, separator: string = \"\"").shape(joined_shape).not_differentiable();
    REDUCE_JOIN: OpDef::new("ReduceJoin", "inputs: string, reduction_indices: int32 -> output: string")
        .attrs("keep_dims: bool = false, separator: string = \"\"").shape(reduced_shape).not_differentiable();
    AS_STRING: OpDef::new("AsString", "input: T -> output: string")
        .attrs("T: {float, double, int32, uint8, int16, int8, int64, bfloat16, uint16, half, uint32, uint64, complex64, complex128, bool, variant, string}, precision: int32 = -1, scientific: bool = false, shortest: bool = false, width: int32 = -1, fill: string = \"\"")
        .shape(unchanged).not_differentiable();
    STRING_SPLIT: OpDef::new("StringSplit", "input: string, delimiter: string -> indices: int64, values: string, shape: int64")
        .attrs("skip_empty: bool = true").shape(split_shape).not_differentiable();
    STRING_SPLIT_V2: OpDef::new("StringSplitV2", "input: string, sep: string -> indices: int64, values: string, shape: int64")
        .attrs("maxsplit: int32 = -1").shape(split_shape).not_differentiable();
    STRING_TO_NUMBER: OpDef::new("StringToNumber", "string_tensor: string -> output: out_type")
        .attrs("out_type: {float, double, int32, int64, uint32, uint64} = float").shape(unchanged).not_differentiable();
    STRING_LENGTH: OpDef::new("StringLength", "input: string -> output: int32")
        .attrs("unit: {\"BYTE\", \"UTF8_CHAR\"} = \"BYTE\"").shape(unchanged).not_differentiable();
    SUBSTR: OpDef::new("Substr", "input: string, pos: T, len: T -> output: string")
        .attrs("T: indextype, unit: {\"BYTE\", \"UTF8_CHAR\"} = \"BYTE\"").shape(substr_shape).not_differentiable();
    STRING_FORMAT: OpDef::new("StringFormat", "inputs: T -> output: string")
        .attrs("T: list(type) >= 0, template: string = \"%s\", placeholder: string = \"%s\", summarize: int = 3")
        .shape(shapes::scalar).not_differentiable();
    STRING_TO_HASH_BUCKET: OpDef::new("StringToHashBucket", "string_tensor: string -> output: int64")
        .attrs("num_buckets: int >= 1").shape(unchanged).not_differentiable();
    STRING_TO_HASH_BUCKET_FAST: OpDef::new("StringToHashBucketFast", "input: string -> output: int64")
        .attrs("num_buckets: int >= 1").shape(unchanged).not_differentiable();
    STRING_TO_HASH_BUCKET_STRONG: OpDef::new("StringToHashBucketStrong", "input: string -> output: int64")
        .attrs("num_buckets: int >= 1, key: list(int)").shape(unchanged).not_differentiable();
    UNSORTED_SEGMENT_JOIN: OpDef::new("UnsortedSegmentJoin", "inputs: string, segment_ids: Tindices, num_segments: Tnumsegments -> output: string")
        .attrs("separator: string = \"\", Tindices: indextype, Tnumsegments: indextype = int32").not_differentiable();
    STRING_LOWER: OpDef::new("StringLower", "input: string -> output: string")
        .attrs("encoding: string = \"\"").shape(unchanged).not_differentiable();
    STRING_UPPER: OpDef::new("StringUpper", "input: string -> output: string")
        .attrs("encoding: string = \"\"").shape(unchanged).not_differentiable();
    REGEX_FULL_MATCH: OpDef::new("RegexFullMatch", "input: string, pattern: string -> output: bool")
        .shape(unchanged).not_differentiable();
    STATIC_REGEX_FULL_MATCH: OpDef::new("StaticRegexFullMatch", "input: string -> output: bool")
        .attrs("pattern: string").shape(unchanged).not_differentiable();
    REGEX_REPLACE: OpDef::new("RegexReplace", "input: string, pattern: string, rewrite: string -> output: string")
        .attrs("replace_global: bool = true").shape(unchanged).not_differentiable();
    STATIC_REGEX_REPLACE: OpDef::new("StaticRegexReplace", "input: string -> output: string")
        .attrs("pattern: string, rewrite: string, replace_global: bool = true").shape(unchanged).not_differentiable();
    STRING_STRIP: OpDef::new("StringStrip", "input: string -> output: string").shape(unchanged).not_differentiable();
}

fn joined_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let mut joined = PartialShape::scalar();
    // Scalars are joined to every element of the others, which must agree in shape.
    for input in context.inputs() {
        match (input.shape().rank(), joined.rank()) {
            (Some(0), _) => {}
            (_, Some(0)) => joined = input.shape().clone(),
            _ => joined = shapes::merge(&joined, input.shape())?,
        }
    }
    context.set(0, joined);
    Ok(())
}

fn reduced_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let shape = context.input(0);
    let (Some(rank), Some(axes)) = (shape.rank(), shapes::ints(context, 1)) else { return Ok(()) };
    let axes = axes.iter().map(|&axis| shapes::axis_index(axis, rank)).collect::<Result<Vec<_>>>()?;
    let keep = shapes::bool_attr(context, "keep_dims");
    let dims = (0..rank).filter_map(|axis| match (axes.contains(&axis), keep) {
        (false, _) => Some(shape.dim(axis)),
        (true, true) => Some(Some(1)),
        (true, false) => None,
    });
    let reduced = dims.collect();
    context.set(0, reduced);
    Ok(())
}

fn split_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    context.input_of_rank(0, 1)?;
    // A sparse matrix with a row for each string and a column for each piece.
    context.set(0, PartialShape::from([None, Some(2)]));
    context.set(1, PartialShape::of_rank(1));
    context.set(2, PartialShape::from([2]));
    Ok(())
}

fn substr_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let places = shapes::merge(&context.input(1), &context.input(2))?;
    let shape = broadcast_shapes(&context.input(0), &places)?;
    context.set(0, shape);
    Ok(())
}

#[track_caller]
fn on(input: &impl AsOutput, def: &'static OpDef) -> OpBuilder {
    let input = input.as_output();
    input.graph().op(def).input(input)
}

/// Joins strings elementwise with a separator. Scalars are broadcast.
///
/// ```
/// # use ops::{array::constant, strings::*};
/// # use session_core::{DType, Graph};
/// # let graph = Graph::new();
/// let (first, last) = (constant(&graph, vec!["a", "b"]), constant(&graph, vec!["x", "y"]));
/// let joined = string_join(&[&first, &last], "-"); // ["a-x", "b-y"]
/// assert_eq!(joined.shape().to_string(), "[2]");
/// ```
///
/// # Errors
/// In the graph, for no inputs, inputs of another dtype and shapes that differ.
#[must_use]
#[track_caller]
pub fn string_join<O: AsOutput>(inputs: &[O], separator: &str) -> Output {
    let Some(first) = inputs.first() else {
        // There is no graph in which to record an error.
        panic!("string_join needs at least one input");
    };
    let builder = first.as_output().graph().op(&STRING_JOIN);
    builder.input_list(inputs.iter().map(AsOutput::as_output)).attr("separator", separator).finish_output()
}

/// Joins strings along axes, the one listed first varying fastest. Over all axes, the last one varies
/// fastest. The axes are removed unless they are given as [`keep_dims(axes)`](crate::keep_dims).
///
/// ```
/// # use ops::{array::constant, strings::*};
/// # use session_core::{DType, Graph};
/// # let graph = Graph::new();
/// let words = constant(&graph, vec!["a", "b", "c"]);
/// let joined = reduce_join(&words, .., " "); // "a b c"
/// assert_eq!(joined.shape().to_string(), "[]");
/// ```
#[must_use]
#[track_caller]
pub fn reduce_join(inputs: impl AsOutput, axes: impl Into<ReductionAxes>, separator: &str) -> Output {
    let ReductionAxes { axes, keep_dims } = axes.into();
    let builder = on(&inputs, &REDUCE_JOIN);
    // All axes in descending order, so that the last one varies fastest, as in TensorFlow.
    let builder = match (axes, inputs.as_output().shape().rank()) {
        (Axes::Listed(axes), _) => axes.input_of(builder),
        (Axes::All, Some(rank)) => Ints::from((0..rank).rev().collect::<Vec<usize>>()).input_of(builder),
        (Axes::All, None) => builder.input(descending_axes(inputs.as_output())),
    };
    builder.attr("separator", separator).attr("keep_dims", keep_dims).finish_output()
}

/// Returns the axes of a tensor whose rank is known only when the graph runs, the last one first.
#[track_caller]
fn descending_axes(input: &Output) -> Output {
    let input = input.within(&unnamed(&input.graph()));
    let graph = input.graph();
    let (last, minus_one) = (sub(rank(&input), constant(&graph, 1i32)), constant(&graph, -1i32));
    range(last, &minus_one, &minus_one)
}

/// Options of [`as_string`].
///
/// ```
/// use ops::strings::AsStringOptions;
/// let options = AsStringOptions::default().shortest();
/// # let _ = options;
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AsStringOptions {
    precision: Option<usize>,
    scientific: bool,
    shortest: bool,
    width: Option<usize>,
    fill: String,
}

impl AsStringOptions {
    /// Sets the number of digits after the point. Default: 6.
    ///
    /// ```
    /// use ops::strings::AsStringOptions;
    /// let options = AsStringOptions::default().precision(2);
    /// # let _ = options;
    /// ```
    #[must_use]
    pub fn precision(mut self, digits: usize) -> Self {
        self.precision = Some(digits);
        self
    }

    /// Uses the notation with an exponent.
    ///
    /// ```
    /// use ops::strings::AsStringOptions;
    /// let options = AsStringOptions::default().scientific();
    /// # let _ = options;
    /// ```
    #[must_use]
    pub fn scientific(mut self) -> Self {
        self.scientific = true;
        self
    }

    /// Selects the notation with or without an exponent, whichever is shorter. Default: without an exponent.
    #[must_use]
    pub fn shortest(mut self) -> Self {
        self.shortest = true;
        self
    }

    /// Sets the minimum width, padded on the left.
    ///
    /// ```
    /// use ops::strings::AsStringOptions;
    /// let options = AsStringOptions::default().width(8).fill("0");
    /// # let _ = options;
    /// ```
    #[must_use]
    pub fn width(mut self, width: usize) -> Self {
        self.width = Some(width);
        self
    }

    /// Sets the padding: a space (the default), `0`, `+` (which also shows the sign), or `-` (which puts the spaces after the number).
    #[must_use]
    pub fn fill(mut self, fill: &str) -> Self {
        fill.clone_into(&mut self.fill);
        self
    }
}

/// Converts numbers, bools, and strings to text.
///
/// ```
/// # use ops::{array::constant, strings::*};
/// # use session_core::{DType, Graph};
/// # let graph = Graph::new();
/// let text = as_string(constant(&graph, [1.5f32, 2.25]), &AsStringOptions::default().precision(1)); // ["1.5", "2.2"]
/// assert_eq!(text.dtype(), DType::String);
/// ```
#[must_use]
#[track_caller]
pub fn as_string(input: impl AsOutput, options: &AsStringOptions) -> Output {
    // -1 leaves the choice to the kernel.
    let int = |value: Option<usize>| value.and_then(|value| i64::try_from(value).ok()).unwrap_or(-1);
    on(&input, &AS_STRING)
        .attr("precision", int(options.precision))
        .attr("scientific", options.scientific)
        .attr("shortest", options.shortest)
        .attr("width", int(options.width))
        .attr("fill", options.fill.as_str())
        .finish_output()
}

/// Splits each string of a vector at every byte of `delimiter`, or into single bytes if it is empty. Each
/// string yields a row, without its empty parts.
///
/// ```
/// # use ops::{array::constant, strings::*};
/// # use session_core::{DType, Graph};
/// # let graph = Graph::new();
/// let words = string_split(constant(&graph, vec!["a b", "c"]), " ");
/// assert_eq!(words.values.dtype(), DType::String); // ["a", "b", "c"] at [0, 0], [0, 1], [1, 0]
/// ```
#[must_use]
#[track_caller]
pub fn string_split(source: impl AsOutput, delimiter: &str) -> SparseTensor {
    split(source.as_output(), delimiter, true)
}

/// Works as [`string_split`], and keeps the empty parts between two delimiters: TensorFlow's `skip_empty=False`.
#[must_use]
#[track_caller]
pub fn string_split_keep_empty(source: impl AsOutput, delimiter: &str) -> SparseTensor {
    split(source.as_output(), delimiter, false)
}

#[track_caller]
fn split(source: &Output, delimiter: &str, skip_empty: bool) -> SparseTensor {
    let builder = on(&source, &STRING_SPLIT).constant(Tensor::from(delimiter)).attr("skip_empty", skip_empty);
    SparseTensor::of(&builder.finish(), [0, 1, 2])
}

/// Splits each string of a vector at `sep`, or at runs of white space if `sep` is empty, at most `maxsplit` times. The parts of a string
/// are a row of the result.
///
/// ```
/// use ops::{array::constant, strings::string_split_v2};
/// let graph = session_core::Graph::new();
/// let words = string_split_v2(constant(&graph, ["a b  c", "d"]), "", None); // rows of 3 and 1 words
/// assert_eq!(words.indices.shape().to_string(), "[?,2]");
/// # graph.finalize().unwrap();
/// ```
#[must_use]
#[track_caller]
pub fn string_split_v2(input: impl AsOutput, sep: &str, maxsplit: Option<usize>) -> SparseTensor {
    let limit = maxsplit.and_then(|limit| i64::try_from(limit).ok()).unwrap_or(-1);
    let builder = on(&input, &STRING_SPLIT_V2).constant(Tensor::from(sep)).attr("maxsplit", limit);
    SparseTensor::of(&builder.finish(), [0, 1, 2])
}

/// Parses text to numbers of a dtype. Invalid numbers and overflowing integers are `InvalidArgument` errors.
///
/// ```
/// # use ops::{array::constant, strings::*};
/// # use session_core::{DType, Graph};
/// # let graph = Graph::new();
/// let numbers = string_to_number(constant(&graph, vec!["1.5", "-2"]), DType::Float32); // [1.5, -2.0]
/// assert_eq!(numbers.dtype(), DType::Float32);
/// ```
#[must_use]
#[track_caller]
pub fn string_to_number(input: impl AsOutput, out_type: DType) -> Output {
    on(&input, &STRING_TO_NUMBER).attr("out_type", out_type).finish_output()
}

/// The unit of lengths and positions in strings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unit {
    /// Bytes.
    #[default]
    Byte,
    /// Characters of UTF-8.
    Utf8Char,
}

impl Unit {
    fn name(self) -> &'static str {
        match self {
            Unit::Byte => "BYTE",
            Unit::Utf8Char => "UTF8_CHAR",
        }
    }
}

/// Returns the lengths of strings.
///
/// ```
/// # use ops::{array::constant, strings::*};
/// # use session_core::{DType, Graph};
/// # let graph = Graph::new();
/// let lengths = string_length(constant(&graph, vec!["é"]), Unit::Byte); // [2]; 1 with Unit::Utf8Char
/// assert_eq!(lengths.dtype(), DType::Int32);
/// ```
#[must_use]
#[track_caller]
pub fn string_length(input: impl AsOutput, unit: Unit) -> Output {
    on(&input, &STRING_LENGTH).attr("unit", unit.name()).finish_output()
}

/// Returns substrings of at most `len` units starting at `pos`, which counts from the end if negative. A
/// position outside of its string is an `InvalidArgument` error.
///
/// ```
/// # use ops::{array::constant, strings::*};
/// # use session_core::{DType, Graph};
/// # let graph = Graph::new();
/// let end = substr(constant(&graph, vec!["abcdef"]), -3, 2, Unit::Byte); // ["de"]
/// assert_eq!(end.dtype(), DType::String);
/// ```
#[must_use]
#[track_caller]
pub fn substr(input: impl AsOutput, pos: impl Into<Ints>, len: impl Into<Ints>, unit: Unit) -> Output {
    let builder = len.into().input_of(pos.into().input_of(on(&input, &SUBSTR)));
    builder.attr("unit", unit.name()).finish_output()
}

/// Hashes strings to `int64` numbers below `num_buckets` with FarmHash. The numbers are the same in each run, and TensorFlow's.
///
/// ```
/// # use ops::{array::constant, strings::*};
/// # use session_core::{DType, Graph};
/// # let graph = Graph::new();
/// let buckets = string_to_hash_bucket_fast(constant(&graph, vec!["red", "blue"]), 1000);
/// assert_eq!(buckets.dtype(), DType::Int64);
/// ```
#[must_use]
#[track_caller]
pub fn string_to_hash_bucket_fast(input: impl AsOutput, num_buckets: usize) -> Output {
    on(&input, &STRING_TO_HASH_BUCKET_FAST).attr("num_buckets", num_buckets).finish_output()
}

macro_rules! changed {
    ($($name:ident $def:ident $doc:literal;)*) => {$(
        #[doc = $doc]
        #[must_use]
        #[track_caller]
        pub fn $name(input: impl AsOutput) -> Output {
            on(&input, &$def).finish_output()
        }
    )*};
}

changed! {
    string_lower STRING_LOWER "Strings with the letters A to Z made small.";
    string_upper STRING_UPPER "Strings with the letters a to z made large.";
    string_strip STRING_STRIP "Strings without white space at both ends.";
}
