//! Lists of tensors as values, which functional loops carry along: their operations, shapes and gradients.
//!
//! Models use them by [`TensorArray`](super::TensorArray).
//!
//! A list is a scalar of dtype `variant`; its operations return a new list, which takes the old one's
//! memory where nothing else uses it. `element_shape` is a vector, -1 for an unknown size, or the
//! scalar -1 if not even the rank is known. Gradients of lists are lists of the same length, and two of
//! them add element by element.

use crate::arguments::vector;
use crate::array::constants::zeros_like;
use crate::array::shaping::shape;
use crate::array::slicing::{Index, strided_slice};
use crate::gradients::summed;
use crate::library::op_defs;
use crate::shapes::{at_least_rank, int_attr, shape_from};
use session_core::{DType, Graph, OpBuilder, OpDef, Operation, Output, PartialShape, Result, ShapeContext};
use tensor::Tensor;

op_defs! {
    EMPTY_TENSOR_LIST: OpDef::new("EmptyTensorList", "element_shape: shape_type, max_num_elements: int32 -> handle: variant")
        .attrs("element_dtype: type, shape_type: indextype").shape(handles).not_differentiable();
    TENSOR_LIST_RESERVE: OpDef::new("TensorListReserve", "element_shape: shape_type, num_elements: int32 -> handle: variant")
        .attrs("element_dtype: type, shape_type: indextype").shape(handles).not_differentiable();
    TENSOR_LIST_SET_ITEM: OpDef::new("TensorListSetItem", "input_handle: variant, index: int32, item: element_dtype -> output_handle: variant")
        .attrs("element_dtype: type, resize_if_index_out_of_bounds: bool = false").shape(handles)
        .gradient(set_item_gradient);
    TENSOR_LIST_GET_ITEM: OpDef::new("TensorListGetItem", "input_handle: variant, index: int32, element_shape: Tshape -> item: element_dtype")
        .attrs("element_dtype: type, Tshape: indextype = int32").shape(item_shape).gradient(get_item_gradient);
    TENSOR_LIST_STACK: OpDef::new("TensorListStack", "input_handle: variant, element_shape: int32 -> tensor: element_dtype")
        .attrs("element_dtype: type, num_elements: int32 = -1").shape(stack_shape).gradient(stack_gradient);
    TENSOR_LIST_FROM_TENSOR: OpDef::new("TensorListFromTensor", "tensor: element_dtype, element_shape: shape_type -> output_handle: variant")
        .attrs("element_dtype: type, shape_type: indextype").shape(from_tensor_shape).gradient(from_tensor_gradient);
    TENSOR_LIST_PUSH_BACK: OpDef::new("TensorListPushBack", "input_handle: variant, tensor: element_dtype -> output_handle: variant")
        .attrs("element_dtype: type").shape(handles).gradient(push_back_gradient);
    TENSOR_LIST_POP_BACK: OpDef::new("TensorListPopBack", "input_handle: variant, element_shape: int32 -> output_handle: variant, tensor: element_dtype")
        .attrs("element_dtype: type").shape(pop_shape).gradient(pop_back_gradient);
    TENSOR_LIST_LENGTH: OpDef::new("TensorListLength", "input_handle: variant -> length: int32").shape(handles).not_differentiable();
    TENSOR_LIST_ELEMENT_SHAPE: OpDef::new("TensorListElementShape", "input_handle: variant -> element_shape: shape_type")
        .attrs("shape_type: indextype").not_differentiable();
    TENSOR_LIST_GATHER: OpDef::new("TensorListGather", "input_handle: variant, indices: int32, element_shape: int32 -> values: element_dtype")
        .attrs("element_dtype: type").shape(gather_shape).gradient(gather_gradient);
    TENSOR_LIST_SCATTER: OpDef::new("TensorListScatter", "tensor: element_dtype, indices: int32, element_shape: shape_type -> output_handle: variant")
        .attrs("element_dtype: type, shape_type: indextype").shape(handles).gradient(scatter_gradient);
    TENSOR_LIST_SCATTER_V2: OpDef::new("TensorListScatterV2", "tensor: element_dtype, indices: int32, element_shape: shape_type, num_elements: int32 -> output_handle: variant")
        .attrs("element_dtype: type, shape_type: indextype").shape(handles).gradient(scatter_gradient);
    TENSOR_LIST_SCATTER_INTO_EXISTING_LIST: OpDef::new("TensorListScatterIntoExistingList", "input_handle: variant, tensor: element_dtype, indices: int32 -> output_handle: variant")
        .attrs("element_dtype: type").shape(handles)
        .gradient(scatter_into_gradient);
    TENSOR_LIST_CONCAT: OpDef::new("TensorListConcat", "input_handle: variant -> tensor: element_dtype, lengths: int64")
        .attrs("element_dtype: type, element_shape: shape = unknown").gradient(concat_gradient);
    TENSOR_LIST_CONCAT_V2: OpDef::new("TensorListConcatV2", "input_handle: variant, element_shape: shape_type, leading_dims: int64 -> tensor: element_dtype, lengths: int64")
        .attrs("element_dtype: type, shape_type: indextype").shape(concat_shape).gradient(concat_gradient);
    TENSOR_LIST_SPLIT: OpDef::new("TensorListSplit", "tensor: element_dtype, element_shape: shape_type, lengths: int64 -> output_handle: variant")
        .attrs("element_dtype: type, shape_type: indextype").shape(handles).gradient(split_gradient);
    TENSOR_LIST_RESIZE: OpDef::new("TensorListResize", "input_handle: variant, size: int32 -> output_handle: variant").shape(handles).gradient(resize_gradient);
    TENSOR_LIST_CONCAT_LISTS: OpDef::new("TensorListConcatLists", "input_a: variant, input_b: variant -> output: variant")
        .attrs("element_dtype: type").shape(handles).not_differentiable();
}

/// The shape of elements as an operation's input: a vector, or -1 where not even the rank is known.
pub(crate) fn element_shape_tensor(shape: &PartialShape) -> Tensor {
    shape.sizes().map_or_else(|| Tensor::from(-1i32), vector)
}

/// The elements are the entries along the first axis.
fn from_tensor_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    at_least_rank(context, 0, 1)?;
    handles(context)
}

/// Every output is a scalar: a list, or its length.
fn handles(context: &mut ShapeContext<'_>) -> Result<()> {
    context.set(0, PartialShape::scalar());
    Ok(())
}

/// Returns the shape of elements that an input holds.
///
/// Unknown for a scalar, which stands for an unknown rank, and for a shape that is computed.
fn element_shape(context: &ShapeContext<'_>, index: usize) -> Result<PartialShape> {
    match context.inputs().get(index) {
        Some(input) if input.shape().rank() != Some(0) => shape_from(input),
        _ => Ok(PartialShape::unknown()),
    }
}

/// The output has the shape that `element_shape` (input 2) states.
fn item_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let shape = element_shape(context, 2)?;
    context.set(0, shape);
    Ok(())
}

/// The first output is the shorter list, the second the element, of the shape that input 1 states.
fn pop_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let shape = element_shape(context, 1)?;
    context.set(0, PartialShape::scalar());
    context.set(1, shape);
    Ok(())
}

/// The output is `[num_elements] + element_shape`; -1 elements stand for an unknown number.
fn stack_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let count = usize::try_from(int_attr(context, "num_elements")?).ok();
    let shape = PartialShape::from([count]).concat(&element_shape(context, 1)?);
    context.set(0, shape);
    Ok(())
}

/// The output has one row of `element_shape` (input 2) for each index.
fn gather_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let count = context.input_of_rank(1, 1)?.range(0, 1);
    let shape = count.concat(&element_shape(context, 2)?);
    context.set(0, shape);
    Ok(())
}

/// The output is `element_shape` (input 1) with an unknown first size: it is the sum of those of all
/// elements. The second output has the lengths.
fn concat_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let shape = element_shape(context, 1)?;
    let shape = if shape.rank().is_some_and(|rank| rank > 0) { shape.with_dim(0, None) } else { shape };
    context.set(0, shape);
    context.set(1, PartialShape::of_rank(1));
    Ok(())
}

// ---- gradients -------------------------------------------------------------------------------------------

type Grads = Result<Vec<Option<Output>>>;

/// The shape of a value as the next input: numbers where all are known, otherwise computed.
fn shape_input(builder: OpBuilder, value: &Output) -> OpBuilder {
    match value.shape().is_fully_known() {
        true => builder.constant(element_shape_tensor(value.shape())),
        false => builder.input(shape(value)),
    }
}

/// The shape of the parts of a value along its first axis as the next input.
fn part_shape_input(builder: OpBuilder, value: &Output) -> OpBuilder {
    match value.shape().rank() {
        Some(rank) if value.shape().range(1, rank).is_fully_known() => {
            builder.constant(element_shape_tensor(&value.shape().range(1, rank)))
        }
        _ => builder.input(strided_slice(shape(value), &[Index::from(1..)])),
    }
}

/// Returns the gradient of an output, or zeros like it if there is none.
fn list_gradient(operation: &Operation, index: usize, grad: Option<&Output>) -> Output {
    grad.cloned().unwrap_or_else(|| zeros_like(operation.output(index)))
}

/// Reads an element of a gradient, which has the shape of `like`: the definition would only know
/// what the list's own shape says.
fn read(graph: &Graph, list: &Output, index: &Output, like: &Output) -> Output {
    let builder = graph.op(&TENSOR_LIST_GET_ITEM).input(list).input(index);
    let builder = shape_input(builder, like).attr("element_dtype", like.dtype());
    let info = like.operation().output_infos()[like.index()].clone();
    builder.described_output(info).finish_output()
}

/// Returns the gradients of `TensorListSetItem`: the item's is the element of the list's gradient at the
/// index; the list's is that gradient with zeros there, since the item that was overwritten has no influence.
fn set_item_gradient(op: &Operation, grads: &[Option<Output>]) -> Grads {
    let Some(grad) = &grads[0] else { return Ok(vec![None; 3]) };
    let (graph, index, item) = (op.graph(), op.input(1), op.input(2));
    let builder = graph.op(&TENSOR_LIST_SET_ITEM).input(grad).input(&index).input(zeros_like(&item));
    Ok(vec![Some(builder.finish_output()), None, Some(read(&graph, grad, &index, &item))])
}

/// Returns the gradient of the list: zeros of its length with `grad` at the index. Those of several
/// reads add up element by element.
fn get_item_gradient(op: &Operation, grads: &[Option<Output>]) -> Grads {
    let Some(grad) = &grads[0] else { return Ok(vec![None; 3]) };
    let graph = op.graph();
    let zeros = zeros_of(&graph, &op.input(0), grad.dtype());
    let builder = graph.op(&TENSOR_LIST_SET_ITEM).input(zeros).input(op.input(1)).input(grad);
    Ok(vec![Some(builder.finish_output()), None, None])
}

/// Returns a list of zeros, as long as another one and for elements of the same shape: unwritten elements count as zeros.
///
/// The shape is that of the other list's elements and not that of one of them, which may have different shapes.
fn zeros_of(graph: &Graph, list: &Output, dtype: DType) -> Output {
    let shape = graph.op(&TENSOR_LIST_ELEMENT_SHAPE).input(list).attr("shape_type", DType::Int32);
    let length = graph.op(&TENSOR_LIST_LENGTH).input(list).finish_output();
    let reserve = graph.op(&TENSOR_LIST_RESERVE).input(shape.finish_output()).input(length);
    reserve.attr("element_dtype", dtype).finish_output()
}

/// Returns the gradient of the list: the rows of `grad` as its elements.
fn stack_gradient(op: &Operation, grads: &[Option<Output>]) -> Grads {
    let Some(grad) = &grads[0] else { return Ok(vec![None; 2]) };
    let builder = part_shape_input(op.graph().op(&TENSOR_LIST_FROM_TENSOR).input(grad), grad);
    Ok(vec![Some(builder.finish_output()), None])
}

/// Returns the gradient of the tensor: the elements of the list's gradient, stacked.
fn from_tensor_gradient(op: &Operation, grads: &[Option<Output>]) -> Grads {
    let Some(grad) = &grads[0] else { return Ok(vec![None; 2]) };
    let tensor = op.input(0);
    let builder = part_shape_input(op.graph().op(&TENSOR_LIST_STACK).input(grad), &tensor);
    let count = tensor.shape().dim(0).and_then(|count| i64::try_from(count).ok()).unwrap_or(-1);
    let builder = builder.attr("element_dtype", tensor.dtype()).attr("num_elements", count);
    Ok(vec![Some(builder.finish_output()), None])
}

/// Returns the gradients of `TensorListPushBack`: the last element of the list's gradient belongs to
/// the item, the rest to the list.
fn push_back_gradient(op: &Operation, grads: &[Option<Output>]) -> Grads {
    let Some(grad) = &grads[0] else { return Ok(vec![None; 2]) };
    let item = op.input(1);
    let builder = shape_input(op.graph().op(&TENSOR_LIST_POP_BACK).input(grad), &item);
    let popped = builder.attr("element_dtype", item.dtype()).finish();
    Ok(vec![Some(popped.output(0)), Some(popped.output(1))])
}

/// Returns the gradient of the list before the pop: that of the shorter list with
/// that of the element at its end.
fn pop_back_gradient(op: &Operation, grads: &[Option<Output>]) -> Grads {
    // One of the two may have no gradient, but the list needs both: the lengths have to
    // match in the next step back.
    let list = list_gradient(op, 0, grads[0].as_ref());
    let item = list_gradient(op, 1, grads[1].as_ref());
    Ok(vec![Some(op.graph().op(&TENSOR_LIST_PUSH_BACK).input(list).input(item).finish_output()), None])
}

/// Returns the gradient of the list: each element is the sum of the rows of `grad` with its index. TensorFlow
/// scatters instead, so the last row of a repeated index wins; for indices `[0, 0]` and rows 1 and 10 it
/// returns 10, and this returns 11.
fn gather_gradient(op: &Operation, grads: &[Option<Output>]) -> Grads {
    let Some(grad) = &grads[0] else { return Ok(vec![None; 3]) };
    let (graph, zeros) = (op.graph(), zeros_of(&op.graph(), &op.input(0), grad.dtype()));
    let (indices, rows) = summed(op.input(1), grad.clone());
    let builder = graph.op(&TENSOR_LIST_SCATTER_INTO_EXISTING_LIST).input(zeros).input(rows).input(indices);
    Ok(vec![Some(builder.finish_output()), None, None])
}

/// Returns the rows of a list's gradient at these indices, of the shape of `like`'s rows.
fn gathered(graph: &Graph, list: &Output, indices: &Output, like: &Output) -> Output {
    let builder = graph.op(&TENSOR_LIST_GATHER).input(list).input(indices);
    part_shape_input(builder, like).attr("element_dtype", like.dtype()).finish_output()
}

/// Returns the gradient of the tensor: its rows are the elements of the list's gradient at the
/// indices. Other inputs have none.
fn scatter_gradient(op: &Operation, grads: &[Option<Output>]) -> Grads {
    let mut found = vec![None; op.num_inputs()];
    let Some(grad) = &grads[0] else { return Ok(found) };
    found[0] = Some(gathered(&op.graph(), grad, &op.input(1), &op.input(0)));
    Ok(found)
}

/// Returns the gradients of list and tensor. As with `TensorListSetItem`, the list's has zeros at the
/// indices that are overwritten.
fn scatter_into_gradient(op: &Operation, grads: &[Option<Output>]) -> Grads {
    let Some(grad) = &grads[0] else { return Ok(vec![None; 3]) };
    let (graph, tensor, indices) = (op.graph(), op.input(1), op.input(2));
    let builder = graph.op(&TENSOR_LIST_SCATTER_INTO_EXISTING_LIST).input(grad);
    let rest = builder.input(zeros_like(&tensor)).input(&indices).finish_output();
    Ok(vec![Some(rest), Some(gathered(&graph, grad, &indices, &tensor)), None])
}

/// Returns the gradient of the list: `grad`, split at the lengths that the concatenation returned.
fn concat_gradient(op: &Operation, grads: &[Option<Output>]) -> Grads {
    let mut found = vec![None; op.num_inputs()];
    let Some(grad) = &grads[0] else { return Ok(found) };
    let shape = grad.shape().rank().map_or_else(PartialShape::unknown, |_| grad.shape().with_dim(0, None));
    let builder = op.graph().op(&TENSOR_LIST_SPLIT).input(grad).constant(element_shape_tensor(&shape));
    found[0] = Some(builder.input(op.output(1)).finish_output());
    Ok(found)
}

/// Returns the gradient of the tensor: the elements of the list's gradient, concatenated. `lengths` are given
/// again, for elements of the gradient that were never written.
fn split_gradient(op: &Operation, grads: &[Option<Output>]) -> Grads {
    let Some(grad) = &grads[0] else { return Ok(vec![None; 3]) };
    let tensor = op.input(0);
    let shape =
        tensor.shape().rank().map_or_else(PartialShape::unknown, |_| tensor.shape().with_dim(0, None));
    let builder = op.graph().op(&TENSOR_LIST_CONCAT_V2).input(grad);
    let builder = builder.constant(element_shape_tensor(&shape)).input(op.input(2));
    let joined = builder.attr("element_dtype", tensor.dtype()).finish();
    Ok(vec![Some(joined.output(0)), None, None])
}

/// Returns the gradient of the list before the change, resized to its length: what was cut off has gradient
/// zero, what was added influences nothing.
fn resize_gradient(op: &Operation, grads: &[Option<Output>]) -> Grads {
    let Some(grad) = &grads[0] else { return Ok(vec![None; 2]) };
    let graph = op.graph();
    let length = graph.op(&TENSOR_LIST_LENGTH).input(op.input(0)).finish_output();
    Ok(vec![Some(graph.op(&TENSOR_LIST_RESIZE).input(grad).input(length).finish_output()), None])
}
