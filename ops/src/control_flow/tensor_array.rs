//! Arrays of tensors of TensorFlow 1, which loops write and read by index, and their gradients.
//!
//! Imported graphs hold them; models built here use [`TensorArray`](super::TensorArray), whose values are lists.
//!
//! The gradient of an array is another array, which `TensorArrayGradV3` finds or creates: reads and writes
//! change places, as do gathers and scatters, concatenations and splits. Writes into an array of gradients
//! add up, so an element that was read several times receives the sum. Handles carry no gradient; it is the
//! scalar `flow` that orders the accesses and along which the walk reaches them. The gradient of a flow is a
//! flow itself: whatever depends on it runs after the writes before it.

use super::older_arrays::{FIRST, SECOND};
use crate::gradients::source;
use crate::library::op_defs;
use session_core::{AttrValue, DType, OpDef, Operation, Output, Result};

op_defs! {
    TENSOR_ARRAY_V3: OpDef::new("TensorArrayV3", "size: int32 -> handle: resource, flow: float")
        .attrs(r#"dtype: type, element_shape: shape = unknown, dynamic_size: bool = false, clear_after_read: bool = true, identical_element_shapes: bool = false, tensor_array_name: string = """#).stateful().not_differentiable();
    TENSOR_ARRAY_GRAD_V3: OpDef::new("TensorArrayGradV3", "handle: resource, flow_in: float -> grad_handle: resource, flow_out: float")
        .attrs("source: string").stateful().not_differentiable();
    TENSOR_ARRAY_GRAD_WITH_SHAPE: OpDef::new("TensorArrayGradWithShape", "handle: resource, flow_in: float, shape_to_prepend: int32 -> grad_handle: resource, flow_out: float")
        .attrs("source: string").stateful().not_differentiable();
    TENSOR_ARRAY_WRITE_V3: OpDef::new("TensorArrayWriteV3", "handle: resource, index: int32, value: T, flow_in: float -> flow_out: float")
        .attrs("T: type").stateful().gradient(write_gradient);
    TENSOR_ARRAY_READ_V3: OpDef::new("TensorArrayReadV3", "handle: resource, index: int32, flow_in: float -> value: dtype")
        .attrs("dtype: type").stateful().gradient(read_gradient);
    TENSOR_ARRAY_GATHER_V3: OpDef::new("TensorArrayGatherV3", "handle: resource, indices: int32, flow_in: float -> value: dtype")
        .attrs("dtype: type, element_shape: shape = unknown").stateful().gradient(gather_gradient);
    TENSOR_ARRAY_SCATTER_V3: OpDef::new("TensorArrayScatterV3", "handle: resource, indices: int32, value: T, flow_in: float -> flow_out: float")
        .attrs("T: type").stateful().gradient(scatter_gradient);
    TENSOR_ARRAY_CONCAT_V3: OpDef::new("TensorArrayConcatV3", "handle: resource, flow_in: float -> value: dtype, lengths: int64")
        .attrs("dtype: type, element_shape_except0: shape = unknown").stateful().gradient(concat_gradient);
    TENSOR_ARRAY_SPLIT_V3: OpDef::new("TensorArraySplitV3", "handle: resource, value: T, lengths: int64, flow_in: float -> flow_out: float")
        .attrs("T: type").stateful().gradient(split_gradient);
    TENSOR_ARRAY_SIZE_V3: OpDef::new("TensorArraySizeV3", "handle: resource, flow_in: float -> size: int32").stateful().not_differentiable();
    TENSOR_ARRAY_CLOSE_V3: OpDef::new("TensorArrayCloseV3", "handle: resource ->").stateful().not_differentiable();
}

type Grads = Result<Vec<Option<Output>>>;

/// The operations of one generation of arrays. A handle of one cannot be used with the operations of another.
pub(super) struct Generation {
    pub(super) grad: &'static OpDef,
    pub(super) write: &'static OpDef,
    pub(super) read: &'static OpDef,
    pub(super) gather: &'static OpDef,
    pub(super) scatter: &'static OpDef,
    pub(super) concat: &'static OpDef,
    pub(super) split: &'static OpDef,
}

static THIRD: Generation = Generation {
    grad: &TENSOR_ARRAY_GRAD_V3,
    write: &TENSOR_ARRAY_WRITE_V3,
    read: &TENSOR_ARRAY_READ_V3,
    gather: &TENSOR_ARRAY_GATHER_V3,
    scatter: &TENSOR_ARRAY_SCATTER_V3,
    concat: &TENSOR_ARRAY_CONCAT_V3,
    split: &TENSOR_ARRAY_SPLIT_V3,
};

impl Generation {
    fn of(op: &Operation) -> &'static Generation {
        match op.op_type() {
            name if name.ends_with("V3") => &THIRD,
            name if name.ends_with("V2") => &SECOND,
            _ => &FIRST,
        }
    }
}

/// The array of the gradients of an array's elements, which add up, after all that leads to this flow.
struct GradArray {
    handle: Output,
    flow: Output,
    ops: &'static Generation,
}

impl GradArray {
    /// The array of gradients of the array that is input 0 of an operation.
    fn of(op: &Operation, flow: &Output) -> GradArray {
        // The array of gradients is created after everything that leads to `flow`, because it copies the size
        // of the array, which may still grow.
        let ops = Generation::of(op);
        let builder = op.graph().op(ops.grad).input(op.input(0)).input(flow);
        // TensorFlow's older operations of gradients return no flow: what comes after them waits for the handle.
        let made = builder.attr("source", source()).finish();
        let flow = if made.num_outputs() > 1 { made.output(1) } else { flow.clone() };
        GradArray { handle: made.output(0), flow, ops }
    }
}

/// The dtype of the array's elements.
fn dtype_of(op: &Operation) -> DType {
    op.attr("dtype").or_else(|| op.attr("T")).and_then(AttrValue::as_type).unwrap_or(DType::Float32)
}

/// Returns the gradient of a read: the gradient is written at the same index of the array of gradients.
pub(super) fn read_gradient(op: &Operation, grads: &[Option<Output>]) -> Grads {
    let Some(grad) = &grads[0] else { return Ok(vec![None; 3]) };
    let array = GradArray::of(op, &op.input(2));
    let builder = op.graph().op(array.ops.write).input(&array.handle).input(op.input(1));
    Ok(vec![None, None, Some(builder.input(grad).input(&array.flow).finish_output())])
}

/// Returns the gradients of a write: the value's is read at the same index of the array of
/// gradients, the flow's passes through.
pub(super) fn write_gradient(op: &Operation, grads: &[Option<Output>]) -> Grads {
    let Some(flow) = &grads[0] else { return Ok(vec![None; 4]) };
    let array = GradArray::of(op, flow);
    let builder = op.graph().op(array.ops.read).input(&array.handle).input(op.input(1));
    let builder = builder.input(&array.flow).attr("dtype", dtype_of(op));
    // The definition cannot infer an element's shape from a handle; the value that was written has it.
    let info = op.input(2).operation().output_infos()[op.input(2).index()].clone();
    Ok(vec![None, None, Some(builder.described_output(info).finish_output()), Some(flow.clone())])
}

/// Returns the gradient of a gather: the rows of the gradient are scattered at the same indices,
/// and repeated indices add up.
pub(super) fn gather_gradient(op: &Operation, grads: &[Option<Output>]) -> Grads {
    let Some(grad) = &grads[0] else { return Ok(vec![None; 3]) };
    let array = GradArray::of(op, &op.input(2));
    let builder = op.graph().op(array.ops.scatter).input(&array.handle).input(op.input(1));
    Ok(vec![None, None, Some(builder.input(grad).input(&array.flow).finish_output())])
}

/// Returns the gradients of a scatter: the value's is gathered at the same
/// indices, the flow's passes through.
pub(super) fn scatter_gradient(op: &Operation, grads: &[Option<Output>]) -> Grads {
    let Some(flow) = &grads[0] else { return Ok(vec![None; 4]) };
    let array = GradArray::of(op, flow);
    let builder = op.graph().op(array.ops.gather).input(&array.handle).input(op.input(1));
    let builder = builder.input(&array.flow).attr("dtype", dtype_of(op));
    let info = op.input(2).operation().output_infos()[op.input(2).index()].clone();
    Ok(vec![None, None, Some(builder.described_output(info).finish_output()), Some(flow.clone())])
}

/// Returns the gradient of a concatenation: the gradient is split at the lengths
/// that the concatenation returned.
pub(super) fn concat_gradient(op: &Operation, grads: &[Option<Output>]) -> Grads {
    let Some(grad) = &grads[0] else { return Ok(vec![None; 2]) };
    let array = GradArray::of(op, &op.input(1));
    let builder = op.graph().op(array.ops.split).input(&array.handle).input(grad);
    Ok(vec![None, Some(builder.input(op.output(1)).input(&array.flow).finish_output())])
}

/// Returns the gradients of a split: the parts of the gradient are concatenated, the flow's passes through.
pub(super) fn split_gradient(op: &Operation, grads: &[Option<Output>]) -> Grads {
    let Some(flow) = &grads[0] else { return Ok(vec![None; 4]) };
    let array = GradArray::of(op, flow);
    let builder = op.graph().op(array.ops.concat).input(&array.handle).input(&array.flow);
    let joined = builder.attr("dtype", dtype_of(op)).finish();
    Ok(vec![None, Some(joined.output(0)), None, Some(flow.clone())])
}
