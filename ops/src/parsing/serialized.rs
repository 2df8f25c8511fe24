//! Tensors as strings: serialized `TensorProto`s.

use crate::library::op_defs;
use session_core::{AsOutput, DType, OpDef, Output, PartialShape, Result, ShapeContext};

op_defs! {
    SERIALIZE_TENSOR: OpDef::new("SerializeTensor", "tensor: T -> serialized: string")
        .attrs("T: type").shape(serialized_shape).not_differentiable();
    PARSE_TENSOR: OpDef::new("ParseTensor", "serialized: string -> output: out_type")
        .attrs("out_type: type").shape(parsed_shape).not_differentiable();
}

fn serialized_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    context.set(0, PartialShape::scalar());
    Ok(())
}

fn parsed_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    context.input_of_rank(0, 0)?;
    context.set(0, PartialShape::unknown());
    Ok(())
}

/// Returns a tensor as a string that [`parse_tensor`] reads: a serialized `TensorProto`.
///
/// ```
/// use ops::{array::constant, parsing::{parse_tensor, serialize_tensor}};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let text = serialize_tensor(constant(&graph, [[1.0f32, 2.0]]));
/// let back = parse_tensor(&text, DType::Float32);
/// assert_eq!((text.dtype(), back.shape().rank()), (DType::String, None));
/// graph.finalize()?;
/// # Ok::<(), session_core::Error>(())
/// ```
#[must_use]
#[track_caller]
pub fn serialize_tensor(tensor: impl AsOutput) -> Output {
    let tensor = tensor.as_output();
    tensor.graph().op(&SERIALIZE_TENSOR).input(tensor).finish_output()
}

/// Returns the tensor of this dtype from a serialized `TensorProto`. Its static shape is unknown.
///
/// ```
/// use ops::parsing::parse_tensor;
/// use session_core::{DType, Graph, PartialShape};
/// let graph = Graph::new();
/// let bytes = ops::array::placeholder(&graph, DType::String, PartialShape::scalar());
/// assert_eq!(parse_tensor(&bytes, DType::Float32).dtype(), DType::Float32);
/// ```
///
/// # Errors
/// At run time: `InvalidArgument` for a string that is not a `TensorProto`, or one of another dtype.
#[must_use]
#[track_caller]
pub fn parse_tensor(serialized: impl AsOutput, out_type: DType) -> Output {
    let serialized = serialized.as_output();
    serialized.graph().op(&PARSE_TENSOR).input(serialized).attr("out_type", out_type).finish_output()
}
