//! Set operations along the last axis: difference, intersection, union, size.

use crate::library::op_defs;
use session_core::{AsOutput, OpDef, Output, PartialShape, Result, ShapeContext};

op_defs! {
    DENSE_TO_DENSE_SET_OPERATION: OpDef::new(
            "DenseToDenseSetOperation",
            "set1: T, set2: T -> result_indices: int64, result_values: T, result_shape: int64",
        )
        .attrs(SET_ATTRS).shape(dense_shape).not_differentiable();
    DENSE_TO_SPARSE_SET_OPERATION: OpDef::new(
            "DenseToSparseSetOperation",
            "set1: T, set2_indices: int64, set2_values: T, set2_shape: int64 \
             -> result_indices: int64, result_values: T, result_shape: int64",
        )
        .attrs(SET_ATTRS).shape(dense_shape).not_differentiable();
    SPARSE_TO_SPARSE_SET_OPERATION: OpDef::new(
            "SparseToSparseSetOperation",
            "set1_indices: int64, set1_values: T, set1_shape: int64, set2_indices: int64, set2_values: T, \
             set2_shape: int64 -> result_indices: int64, result_values: T, result_shape: int64",
        )
        .attrs(SET_ATTRS).shape(sparse_shape).not_differentiable();
    SET_SIZE: OpDef::new("SetSize", "set_indices: int64, set_values: T, set_shape: int64 -> size: int32")
        .attrs("validate_indices: bool = true, T: {int8, int16, int32, int64, uint8, uint16, string}")
        .not_differentiable();
}

const SET_ATTRS: &str = "set_operation: string, validate_indices: bool = true, \
                         T: {int8, int16, int32, int64, uint8, uint16, string}";

fn dense_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    // Both sets have the same rank, and the result is sparse: the kernel counts its elements.
    let rank = context.input(0).rank();
    set_outputs(context, rank);
    Ok(())
}

fn sparse_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let rank = context.input(0).dim(1);
    set_outputs(context, rank);
    Ok(())
}

fn set_outputs(context: &mut ShapeContext<'_>, rank: Option<usize>) {
    context.set(0, PartialShape::from([None, rank]));
    context.set(1, PartialShape::from([None]));
    context.set(2, PartialShape::from([rank]));
}

/// The way in which [`set_operation`] combines two sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetOperation {
    /// The members of the first set that are not in the second.
    FirstMinusSecond,
    /// The members of the second set that are not in the first.
    SecondMinusFirst,
    /// The members of both sets.
    Intersection,
    /// The members of either set.
    Union,
}

impl SetOperation {
    fn name(self) -> &'static str {
        match self {
            SetOperation::FirstMinusSecond => "a-b",
            SetOperation::SecondMinusFirst => "b-a",
            SetOperation::Intersection => "intersection",
            SetOperation::Union => "union",
        }
    }
}

/// Combines the sets along the last axes of two tensors, which must agree in all other axes. Returns the parts of a sparse tensor:
/// indices, values in ascending order, dense shape.
///
/// ```
/// use ops::array::constant;
/// use ops::sets::{SetOperation, set_operation};
/// let graph = session_core::Graph::new();
/// let (a, b) = (constant(&graph, [[1, 2, 2], [3, 4, 5]]), constant(&graph, [[2, 9], [4, 3]]));
/// let [indices, values, shape] = set_operation(&a, &b, SetOperation::Intersection); // {2} and {3, 4}
/// assert_eq!(indices.shape().to_string(), "[?,2]");
/// # let _ = (values, shape);
/// # graph.finalize().unwrap();
/// ```
///
/// # Errors
/// Recorded in the graph: operands of different dtypes or ranks. At run time: `InvalidArgument` for sizes that differ.
#[must_use]
#[track_caller]
pub fn set_operation(a: impl AsOutput, b: impl AsOutput, operation: SetOperation) -> [Output; 3] {
    let builder = a.as_output().graph().op(&DENSE_TO_DENSE_SET_OPERATION).input(a).input(b);
    let made = builder.attr("set_operation", operation.name()).finish();
    [0, 1, 2].map(|index| made.output(index))
}
