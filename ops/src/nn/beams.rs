//! The sequences that a beam search found, from its steps.

use crate::library::op_defs;
use crate::shapes;
use session_core::{AsOutput, OpDef, Output, PartialShape, Result, ShapeContext};

op_defs! {
    GATHER_TREE: OpDef::new("GatherTree", "step_ids: T, parent_ids: T, max_sequence_lengths: int32, end_token: T -> beams: T")
        .attrs("T: {int32}")
        .shape(tree_shape)
        .not_differentiable();
}

fn tree_shape(context: &mut ShapeContext<'_>) -> Result<()> {
    let (steps, parents) = (context.input_of_rank(0, 3)?, context.input_of_rank(1, 3)?);
    let lengths = context.input_of_rank(2, 1)?;
    shapes::must_be_scalar(context, 3)?;
    let batch = PartialShape::of_rank(3).with_dim(1, lengths.dim(0));
    let shape = shapes::merge(&shapes::merge(&steps, &parents)?, &batch)?;
    context.set(0, shape);
    Ok(())
}

/// Returns the complete sequences of a beam search, `[steps, batch, beams]`, that end with the beams of the last step.
///
/// Each step of the search appended `step_ids` to the sequences `parent_ids` of the step before it. All inputs are `int32`. Positions
/// after `max_sequence_lengths` of an example, or after the first `end_token` of a sequence, hold end tokens.
///
/// ```
/// use ops::array::{constant, reshape};
/// use ops::nn::gather_tree;
/// let graph = session_core::Graph::new();
/// let step_ids = reshape(constant(&graph, [1, 2, 3, 4]), [2, 1, 2]); // two steps, one example, two beams
/// let parents = reshape(constant(&graph, [0, 0, 1, 0]), [2, 1, 2]);
/// let beams = gather_tree(&step_ids, &parents, constant(&graph, [2]), constant(&graph, 9));
/// assert_eq!(beams.shape().to_string(), "[2,1,2]"); // the beams are 2 3 and 1 4
/// # graph.finalize().unwrap();
/// ```
///
/// # Errors
/// When it runs: `InvalidArgument` for a parent that is not a beam.
#[must_use]
#[track_caller]
pub fn gather_tree(
    step_ids: impl AsOutput,
    parent_ids: impl AsOutput,
    max_sequence_lengths: impl AsOutput,
    end_token: impl AsOutput,
) -> Output {
    let builder = step_ids.as_output().graph().op(&GATHER_TREE).input(step_ids).input(parent_ids);
    builder.input(max_sequence_lengths).input(end_token).finish_output()
}
