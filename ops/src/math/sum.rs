//! Sums of several tensors of one shape.

use crate::array::identity::same_tensor;
use crate::library::op_defs;
use crate::shapes::{self, same};
use session_core::{AsOutput, OpDef, Operation, Output, PartialShape, Result, ShapeContext};

op_defs! {
    ADD_N: OpDef::new("AddN", "inputs: N * T -> sum: T")
        .attrs("N: int >= 1, T: {bfloat16, half, float, double, int8, int16, int32, int64, uint8, uint16, uint32, uint64, complex64, complex128, variant}")
        .shape(same)
        .gradient(add_n_gradient);
    ACCUMULATE_N_V2: OpDef::new("AccumulateNV2", "inputs: N * T -> sum: T")
        .attrs("N: int >= 1, T: numbertype, shape: shape")
        .shape(accumulate_shape)
        .gradient(add_n_gradient);
}

fn accumulate_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let asked = context.attr("shape").and_then(|shape| shape.as_shape()).cloned().unwrap_or_default();
    let shape = shapes::merge(&shapes::same_inputs(context)?, &asked)?;
    context.set(0, shape);
    Ok(())
}

fn add_n_gradient(op: &Operation, grads: &[Option<Output>]) -> Result<Vec<Option<Output>>> {
    Ok(vec![grads[0].clone(); op.num_inputs()])
}

/// Returns the sum of tensors of one shape. A single tensor is returned unchanged.
///
/// ```
/// use ops::{array, math};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = array::zeros(&graph, DType::Float32, [2]);
/// let y = array::zeros(&graph, DType::Float32, [2]);
/// assert_eq!(math::add_n(&[&x, &y]).shape().to_string(), "[2]");
/// ```
///
/// # Panics
/// When the list is empty: there is no graph to build in.
#[must_use]
#[track_caller]
pub fn add_n<O: AsOutput>(inputs: &[O]) -> Output {
    let graph = crate::array::graph_of(inputs);
    match inputs {
        [only] => same_tensor(only.as_output()),
        _ => graph.op(&ADD_N).input_list(inputs).finish_output(),
    }
}

/// Returns the sum of tensors of one shape, which may be added up as they arrive. A single tensor is returned unchanged.
///
/// ```
/// # use ops::{array::constant, math};
/// # use session_core::{DType, Graph, Tensor};
/// # let graph = Graph::new();
/// let (a, b) = (constant(&graph, [1.0f32, 2.0]), constant(&graph, [3.0f32, 4.0]));
/// let sum = math::accumulate_n(&[&a, &b]); // [4.0, 6.0]
/// assert_eq!(sum.shape().to_string(), "[2]");
/// ```
///
/// # Panics
/// When the list is empty: there is no graph to build in.
#[must_use]
#[track_caller]
pub fn accumulate_n<O: AsOutput>(inputs: &[O]) -> Output {
    let graph = crate::array::graph_of(inputs);
    if let [only] = inputs {
        return same_tensor(only.as_output());
    }
    let known = |shape: PartialShape, input: &O| shape.merge(input.as_output().shape()).unwrap_or_default();
    let shape = inputs.iter().fold(PartialShape::unknown(), known);
    graph.op(&ACCUMULATE_N_V2).input_list(inputs).attr("shape", shape).finish_output()
}
