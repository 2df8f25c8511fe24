//! Ragged tensors: values with the splits of their rows.
//!
//! They have definitions, so that imported graphs run, and no constructors.
//!
//! `row_splits` of a ragged axis has one number more than there are rows: row `i` consists of the values from
//! `splits[i]` to `splits[i + 1]`. `[[a, b], [], [c]]` is the values `[a, b, c]` with the splits `[0, 2, 2,
//! 3]`; each further ragged axis has splits of the rows of the next one. Only the values have gradients.

use crate::array::{Index, constant, range, reshape, shape_as, slice, strided_slice};
use crate::gradients::broadcasting::{shape_of, sum_to_input};
use crate::library::op_defs;
use crate::math::unsorted_segment_sum;
use crate::shapes::{at_least_rank, must_be_scalar};
use crate::sparse::fill_empty_rows_grad_shape;
use session_core::{
    AttrValue, DType, Error, OpDef, Operation, Output, PartialShape, Result, ShapeContext, Tensor,
};

op_defs! {
    RAGGED_TENSOR_TO_TENSOR: OpDef::new("RaggedTensorToTensor", "shape: Tshape, values: T, default_value: T, row_partition_tensors: num_row_partition_tensors * Tindex -> result: T")
        .attrs("T: type, Tindex: {int64, int32}, Tshape: {int64, int32}, num_row_partition_tensors: int >= 1, row_partition_types: list(string)")
        .gradient(to_tensor_gradient);
    RAGGED_TENSOR_TO_SPARSE: OpDef::new("RaggedTensorToSparse", "rt_nested_splits: RAGGED_RANK * Tsplits, rt_dense_values: T -> sparse_indices: int64, sparse_values: T, sparse_dense_shape: int64")
        .attrs("RAGGED_RANK: int >= 1, T: type, Tsplits: indextype = int64")
        .gradient(to_sparse_gradient);
    RAGGED_TENSOR_TO_VARIANT: OpDef::new("RaggedTensorToVariant", "rt_nested_splits: RAGGED_RANK * Tsplits, rt_dense_values: Tvalues -> encoded_ragged: variant")
        .attrs("RAGGED_RANK: int >= 0, Tvalues: type, Tsplits: indextype = int64, batched_input: bool")
        .shape(to_variant_shape).gradient(to_variant_gradient);
    RAGGED_TENSOR_FROM_VARIANT: OpDef::new("RaggedTensorFromVariant", "encoded_ragged: variant -> output_nested_splits: output_ragged_rank * Tsplits, output_dense_values: Tvalues")
        .attrs("input_ragged_rank: int >= -1, output_ragged_rank: int >= 0, Tvalues: type, Tsplits: indextype = int64")
        .shape(from_variant_shape).gradient(from_variant_gradient);
    RAGGED_TENSOR_TO_VARIANT_GRADIENT: OpDef::new("RaggedTensorToVariantGradient", "encoded_ragged_grad: variant, row_splits: Tsplits, dense_values_shape: int32 -> dense_values_grad: Tvalues")
        .attrs("Tvalues: type, Tsplits: indextype = int64")
        .shape(to_variant_gradient_shape).not_differentiable();
    RAGGED_GATHER: OpDef::new("RaggedGather", "params_nested_splits: PARAMS_RAGGED_RANK * Tsplits, params_dense_values: Tvalues, indices: Tindices -> output_nested_splits: OUTPUT_RAGGED_RANK * Tsplits, output_dense_values: Tvalues")
        .attrs("Tvalues: type, Tindices: indextype, Tsplits: indextype = int64, PARAMS_RAGGED_RANK: int >= 1, OUTPUT_RAGGED_RANK: int >= 0")
        .gradient(gather_gradient);
    RAGGED_RANGE: OpDef::new("RaggedRange", "starts: T, limits: T, deltas: T -> rt_nested_splits: Tsplits, rt_dense_values: T")
        .attrs("T: {bfloat16, float, double, int32, int64} = int32, Tsplits: indextype = int64")
        .not_differentiable();
    RAGGED_FILL_EMPTY_ROWS: OpDef::new("RaggedFillEmptyRows", "value_rowids: int64, values: T, nrows: int64, default_value: T -> output_value_rowids: int64, output_values: T, empty_row_indicator: bool, reverse_index_map: int64")
        .attrs("T: type")
        .shape(fill_empty_rows_shape).gradient(fill_empty_rows_gradient);
    RAGGED_FILL_EMPTY_ROWS_GRAD: OpDef::new("RaggedFillEmptyRowsGrad", "reverse_index_map: int64, grad_values: T -> d_values: T, d_default_value: T")
        .attrs("T: type").shape(fill_empty_rows_grad_shape);
    STRING_N_GRAMS: OpDef::new("StringNGrams", "data: string, data_splits: Tsplits -> ngrams: string, ngrams_splits: Tsplits")
        .attrs("separator: string, ngram_widths: list(int) >= 0, left_pad: string, right_pad: string, pad_width: int32, preserve_short_sequences: bool, Tsplits: indextype = int64")
        .not_differentiable();
}

/// Infers the indicator `[nrows]`; the number of values grows by that of the empty rows, which is open.
fn fill_empty_rows_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let rows = context.input_of_rank(0, 1)?;
    context.input_of_rank(1, 1)?;
    must_be_scalar(context, 2)?;
    must_be_scalar(context, 3)?;
    let count = context.constant_ints(2).and_then(|counts| usize::try_from(*counts.first()?).ok());
    context.set(0, PartialShape::from([None]));
    context.set(1, PartialShape::from([None]));
    context.set(2, PartialShape::from([count]));
    context.set(3, rows);
    Ok(())
}

/// Returns the gradients of values and of the default value, as for sparse rows.
fn fill_empty_rows_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let Some(grad) = &grads[1] else { return Ok(vec![None; 4]) };
    let found = grad.graph().op(&RAGGED_FILL_EMPTY_ROWS_GRAD).input(op.output(3)).input(grad).finish();
    Ok(vec![None, Some(found.output(0)), None, Some(found.output(1))])
}

/// Infers the shape of the variants: the rows of the outermost axis, or a scalar.
fn to_variant_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let rank = context.inputs().len() - 1;
    let values = at_least_rank(context, rank, 1)?;
    let rows = match rank {
        0 => values.dim(0),
        // Splits are one more than rows.
        _ => context.input_of_rank(0, 1)?.dim(0).map(|size| size.saturating_sub(1)),
    };
    let is_batched = context.attr("batched_input").and_then(AttrValue::as_bool).unwrap_or(false);
    context.set(0, if is_batched { PartialShape::from([rows]) } else { PartialShape::scalar() });
    Ok(())
}

/// Infers vectors of splits for all ragged axes. The values' shape is inside of the variant.
///
/// # Errors
/// A value error if the output has fewer ragged axes than each variant.
fn from_variant_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let int = |name: &str| context.attr(name).and_then(AttrValue::as_int).unwrap_or(-1);
    let (input, axes) = (int("input_ragged_rank"), context.outputs() - 1);
    // -1 stands for an input rank that follows from the variant at run time.
    if let Ok(input) = usize::try_from(input) {
        let depth = axes.checked_sub(input).ok_or_else(|| {
            Error::value(format!("output_ragged_rank {axes} is less than input_ragged_rank {input}"))
        })?;
        context.input_of_rank(0, depth)?;
    }
    for axis in 0..axes {
        context.set(axis, PartialShape::of_rank(1));
    }
    Ok(())
}

/// Infers the shape of the values from the value of the last input.
fn to_variant_gradient_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let sizes = context.constant_ints(2);
    let dims = sizes.map(|sizes| sizes.into_iter().map(|size| usize::try_from(size).ok()).collect());
    context.set(0, dims.unwrap_or_else(PartialShape::unknown));
    Ok(())
}

/// Returns no gradient but for one input.
fn only(op: &Operation, input: usize, grad: Output) -> Vec<Option<Output>> {
    let mut all = vec![None; op.num_inputs()];
    all[input] = Some(grad);
    all
}

/// Returns the gradient of the values, assembled from the rows of the incoming variant.
fn to_variant_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let Some(grad) = &grads[0] else { return Ok(vec![None; op.num_inputs()]) };
    let last = op.num_inputs() - 1;
    let values = op.input(last);
    let builder = grad.graph().op(&RAGGED_TENSOR_TO_VARIANT_GRADIENT).input(grad);
    let builder = match last {
        // Without ragged axes there are no splits. The operation expects some, and reads none then.
        0 => builder.constant(Tensor::from([0i64])),
        _ => builder.input(op.input(0)),
    };
    let found =
        builder.input(shape_as(&values, DType::Int32)).attr("Tvalues", values.dtype()).finish_output();
    Ok(only(op, last, found))
}

/// Returns the gradient of the variant: the values' gradient with the splits of the result.
fn from_variant_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let axes = op.num_outputs() - 1;
    let Some(grad) = &grads[axes] else { return Ok(vec![None]) };
    let rank = op.input(0).shape().rank();
    if !matches!(rank, Some(0 | 1)) {
        let text = "RaggedTensorFromVariant has a gradient only if encoded_ragged is a scalar or a vector";
        return Err(Error::value(text));
    }
    let splits: Vec<Output> = (0..axes).map(|axis| op.output(axis)).collect();
    let builder = grad.graph().op(&RAGGED_TENSOR_TO_VARIANT).input_list(&splits).input(grad);
    let builder = match op.attr("Tsplits") {
        Some(dtype) => builder.attr("Tsplits", dtype.clone()),
        None => builder,
    };
    Ok(vec![Some(builder.attr("batched_input", rank == Some(1)).finish_output())])
}

/// Returns the gradient of the values: the same numbers, in the same order, with
/// the shape of the ragged values.
fn to_sparse_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let Some(grad) = &grads[1] else { return Ok(vec![None; op.num_inputs()]) };
    let last = op.num_inputs() - 1;
    Ok(only(op, last, reshape(grad, shape_of(&op.input(last)))))
}

/// Returns the numbers of the rows of a tensor, from `first` on.
fn row_numbers(values: &Output, first: i64) -> (Output, Output) {
    let graph = values.graph();
    let (first, one) = (constant(&graph, first), constant(&graph, 1i64));
    let end = strided_slice(shape_as(values, DType::Int64), &[Index::At(0)]) + &first;
    (range(first, &end, one), end)
}

/// Builds the gradient of a gather: row numbers, gathered in the same way, tell to which sum each gradient belongs.
fn gather_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let (inputs, outputs) = (op.num_inputs(), op.num_outputs());
    let Some(grad) = &grads[outputs - 1] else { return Ok(vec![None; inputs]) };
    let values = op.input(inputs - 2);
    let (numbers, count) = row_numbers(&values, 0);
    let splits: Vec<Output> = (0..inputs - 2).map(|axis| op.input(axis)).collect();
    let builder =
        grad.graph().op(&RAGGED_GATHER).input_list(&splits).input(numbers).input(op.input(inputs - 1));
    let rows = builder.attr("OUTPUT_RAGGED_RANK", outputs - 1).finish().output(outputs - 1);
    Ok(only(op, inputs - 2, unsorted_segment_sum(grad, rows, count)))
}

/// Builds the gradient of a ragged tensor that was filled up: row numbers from 1, filled up in the same way with 0, say where the
/// values and the default went.
fn to_tensor_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    let Some(grad) = &grads[0] else { return Ok(vec![None; op.num_inputs()]) };
    let graph = grad.graph();
    let (shape, values, default) = (op.input(0), op.input(1), op.input(2));
    let types = op.attr("row_partition_types").cloned().unwrap_or(AttrValue::List(Vec::new()));
    // The first partition may state the number of rows alone, which adds no axis.
    let first_size = AttrValue::String(b"FIRST_DIM_SIZE".to_vec().into());
    let names = types.as_list().unwrap_or_default();
    let axes = names.len() + usize::from(names.first() != Some(&first_size));
    let sizes = match shape.shape().rank() {
        Some(0) => shape,
        _ => slice(shape, [0], [i64::try_from(axes).unwrap_or(i64::MAX)]),
    };
    // From 1, so that 0 is free for places that hold the default value.
    let (numbers, end) = row_numbers(&values, 1);
    let partitions: Vec<Output> = (3..op.num_inputs()).map(|input| op.input(input)).collect();
    let builder = graph.op(&RAGGED_TENSOR_TO_TENSOR).input(sizes).input(numbers);
    let builder = builder.constant(Tensor::scalar(0i64)).input_list(&partitions);
    let places = builder.attr("row_partition_types", types).finish_output();
    let sums = unsorted_segment_sum(grad, places, end);
    let mut all = vec![None; op.num_inputs()];
    // Sum 0 belongs to the default value, the others to the values.
    all[1] = Some(strided_slice(&sums, &[Index::from(1..)]));
    all[2] = Some(sum_to_input(&strided_slice(&sums, &[Index::At(0)]), &default, &[]));
    Ok(all)
}
