//! `tf.SequenceExample`s: an example of context, and lists of features, one feature for each step.
//!
//! They have definitions, so that imported graphs run, and no constructors.

use super::example::{batch, count, row_splits, shapes};
use crate::library::op_defs;
use crate::shapes::set_sparse_lists;
use session_core::{OpDef, PartialShape, Result, ShapeContext};

op_defs! {
    PARSE_SEQUENCE_EXAMPLE: OpDef::new(
            "ParseSequenceExample",
            "serialized: string, debug_name: string, context_dense_defaults: Tcontext_dense -> context_sparse_indices: Ncontext_sparse * int64, context_sparse_values: context_sparse_types, context_sparse_shapes: Ncontext_sparse * int64, context_dense_values: Tcontext_dense, feature_list_sparse_indices: Nfeature_list_sparse * int64, feature_list_sparse_values: feature_list_sparse_types, feature_list_sparse_shapes: Nfeature_list_sparse * int64, feature_list_dense_values: feature_list_dense_types, feature_list_dense_lengths: Nfeature_list_dense * int64",
        )
        .attrs("feature_list_dense_missing_assumed_empty: list(string) >= 0, context_sparse_keys: list(string) >= 0, context_dense_keys: list(string) >= 0, feature_list_sparse_keys: list(string) >= 0, feature_list_dense_keys: list(string) >= 0, Ncontext_sparse: int >= 0 = 0, Ncontext_dense: int >= 0 = 0, Nfeature_list_sparse: int >= 0 = 0, Nfeature_list_dense: int >= 0 = 0, context_sparse_types: list({float, int64, string}) >= 0 = [], Tcontext_dense: list({float, int64, string}) >= 0 = [], feature_list_dense_types: list({float, int64, string}) >= 0 = [], context_dense_shapes: list(shape) >= 0 = [], feature_list_sparse_types: list({float, int64, string}) >= 0 = [], feature_list_dense_shapes: list(shape) >= 0 = []")
        .shape(parsed_shapes).not_differentiable();
    PARSE_SEQUENCE_EXAMPLE_V2: OpDef::new(
            "ParseSequenceExampleV2",
            "serialized: string, debug_name: string, context_sparse_keys: string, context_dense_keys: string, context_ragged_keys: string, feature_list_sparse_keys: string, feature_list_dense_keys: string, feature_list_ragged_keys: string, feature_list_dense_missing_assumed_empty: bool, context_dense_defaults: Tcontext_dense -> context_sparse_indices: Ncontext_sparse * int64, context_sparse_values: context_sparse_types, context_sparse_shapes: Ncontext_sparse * int64, context_dense_values: Tcontext_dense, context_ragged_values: context_ragged_value_types, context_ragged_row_splits: context_ragged_split_types, feature_list_sparse_indices: Nfeature_list_sparse * int64, feature_list_sparse_values: feature_list_sparse_types, feature_list_sparse_shapes: Nfeature_list_sparse * int64, feature_list_dense_values: feature_list_dense_types, feature_list_dense_lengths: Nfeature_list_dense * int64, feature_list_ragged_values: feature_list_ragged_value_types, feature_list_ragged_outer_splits: feature_list_ragged_split_types, feature_list_ragged_inner_splits: feature_list_ragged_split_types",
        )
        .attrs("Ncontext_sparse: int >= 0 = 0, Tcontext_dense: list({float, int64, string}) >= 0 = [], context_sparse_types: list({float, int64, string}) >= 0 = [], context_ragged_value_types: list({float, int64, string}) >= 0 = [], context_ragged_split_types: list({int32, int64}) >= 0 = [], context_dense_shapes: list(shape) >= 0 = [], Nfeature_list_sparse: int >= 0 = 0, Nfeature_list_dense: int >= 0 = 0, feature_list_dense_types: list({float, int64, string}) >= 0 = [], feature_list_sparse_types: list({float, int64, string}) >= 0 = [], feature_list_ragged_value_types: list({float, int64, string}) >= 0 = [], feature_list_ragged_split_types: list({int32, int64}) >= 0 = [], feature_list_dense_shapes: list(shape) >= 0 = []")
        .shape(parsed_shapes).not_differentiable();
    PARSE_SINGLE_SEQUENCE_EXAMPLE: OpDef::new(
            "ParseSingleSequenceExample",
            "serialized: string, feature_list_dense_missing_assumed_empty: string, context_sparse_keys: Ncontext_sparse * string, context_dense_keys: Ncontext_dense * string, feature_list_sparse_keys: Nfeature_list_sparse * string, feature_list_dense_keys: Nfeature_list_dense * string, context_dense_defaults: Tcontext_dense, debug_name: string -> context_sparse_indices: Ncontext_sparse * int64, context_sparse_values: context_sparse_types, context_sparse_shapes: Ncontext_sparse * int64, context_dense_values: Tcontext_dense, feature_list_sparse_indices: Nfeature_list_sparse * int64, feature_list_sparse_values: feature_list_sparse_types, feature_list_sparse_shapes: Nfeature_list_sparse * int64, feature_list_dense_values: feature_list_dense_types",
        )
        .attrs("Ncontext_sparse: int >= 0 = 0, Ncontext_dense: int >= 0 = 0, Nfeature_list_sparse: int >= 0 = 0, Nfeature_list_dense: int >= 0 = 0, context_sparse_types: list({float, int64, string}) >= 0 = [], Tcontext_dense: list({float, int64, string}) >= 0 = [], feature_list_dense_types: list({float, int64, string}) >= 0 = [], context_dense_shapes: list(shape) >= 0 = [], feature_list_sparse_types: list({float, int64, string}) >= 0 = [], feature_list_dense_shapes: list(shape) >= 0 = []")
        .shape(parsed_shapes).not_differentiable();
}

/// Sets the shapes of the outputs of all three: those of the context, then those of the lists, each first of sparse features, then
/// dense ones, then ragged ones.
fn parsed_shapes(context: &mut ShapeContext<'_>) -> Result<()> {
    let Some((batch, rank)) = batch(context)? else { return Ok(()) };
    let mut next = 0;
    next = sparse(context, next, "context_sparse_types", rank + 1);
    for shape in shapes(context, "context_dense_shapes") {
        context.set(next, batch.concat(&shape));
        next += 1;
    }
    let ragged = count(context, "context_ragged_value_types");
    let splits = row_splits(&batch);
    for index in 0..ragged {
        context.set(next + index, PartialShape::of_rank(1));
        context.set(next + ragged + index, splits.clone());
    }
    next = sparse(context, next + 2 * ragged, "feature_list_sparse_types", rank + 2);
    let dense = shapes(context, "feature_list_dense_shapes");
    let steps = batch.concat(&PartialShape::from([None]));
    for (index, shape) in dense.iter().enumerate() {
        context.set(next + index, steps.concat(shape));
        if next + dense.len() + index < context.outputs() {
            context.set(next + dense.len() + index, batch.clone());
        }
    }
    let ragged = count(context, "feature_list_ragged_value_types");
    next += 2 * dense.len();
    for index in 0..ragged {
        context.set(next + index, PartialShape::of_rank(1));
        context.set(next + ragged + index, splits.clone());
        context.set(next + 2 * ragged + index, PartialShape::of_rank(1));
    }
    Ok(())
}

/// Sets the shapes of sparse tensors of this rank, from an output on; returns the first output after them.
fn sparse(context: &mut ShapeContext<'_>, first: usize, types: &str, rank: usize) -> usize {
    let count = count(context, types);
    set_sparse_lists(context, first, count, Some(rank));
    first + 3 * count
}
