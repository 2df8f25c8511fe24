//! Counting elements of sparse and ragged tensors, and counts as sparse tensors.
//!
//! # Semantics
//!
//! The values are integers from 0 up. `weights` are empty or one for each value; without any, each occurrence counts as
//! 1. With `binary_output`, a bin is 1 if its value occurs.
//!
//! - `SparseBincount` and `RaggedBincount` return bins: `[size]` for a sparse vector, `[rows, size]` for a sparse
//!   matrix or a ragged tensor. Values of `size` and above are left out.
//! - `DenseCountSparseOutput`, `SparseCountSparseOutput` and `RaggedCountSparseOutput` return a sparse tensor of the
//!   counts that are not 0, sorted by row and value. Its last dimension is `maxlength` if that is given, else the
//!   largest value plus 1, and at least `minlength`. Values of `maxlength` and above are left out.
//!
//! A ragged tensor is given by its row splits, which begin with 0, do not decrease and end with the number of values.
//!
//! # Errors
//!
//! Negative values (`SparseBincount` leaves them out), weights of another shape, indices outside of the dense shape,
//! and splits that do not fit the values.

use crate::library::op_defs;
use crate::shapes;
use session_core::{OpDef, PartialShape, Result, ShapeContext};

const BINS: &str = "Tidx: indextype, T: {int32, int64, float, double}, binary_output: bool = false";
const COUNTS: &str = "T: indextype, minlength: int >= -1 = -1, maxlength: int >= -1 = -1, binary_output: bool, \
                      output_type: {int32, int64, float, double}";

op_defs! {
    SPARSE_BINCOUNT: OpDef::new("SparseBincount", "indices: int64, values: Tidx, dense_shape: int64, size: Tidx, weights: T -> output: T")
        .attrs(BINS).shape(sparse_bins);
    RAGGED_BINCOUNT: OpDef::new("RaggedBincount", "splits: int64, values: Tidx, size: Tidx, weights: T -> output: T")
        .attrs(BINS).shape(ragged_bins);
    DENSE_COUNT_SPARSE_OUTPUT: OpDef::new(
            "DenseCountSparseOutput",
            "values: T, weights: output_type -> output_indices: int64, output_values: output_type, output_dense_shape: int64",
        )
        .attrs(COUNTS).shape(dense_counts);
    SPARSE_COUNT_SPARSE_OUTPUT: OpDef::new(
            "SparseCountSparseOutput",
            "indices: int64, values: T, dense_shape: int64, weights: output_type -> \
             output_indices: int64, output_values: output_type, output_dense_shape: int64",
        )
        .attrs(COUNTS).shape(sparse_counts);
    RAGGED_COUNT_SPARSE_OUTPUT: OpDef::new(
            "RaggedCountSparseOutput",
            "splits: int64, values: T, weights: output_type -> \
             output_indices: int64, output_values: output_type, output_dense_shape: int64",
        )
        .attrs(COUNTS).shape(ragged_counts);
}

/// Returns the number of bins, if the scalar input is known.
fn bins(context: &ShapeContext<'_>, input: usize) -> Result<Option<usize>> {
    shapes::must_be_scalar(context, input)?;
    Ok(shapes::int(context, input).and_then(|size| usize::try_from(size).ok()))
}

/// One row of bins for a vector; for a matrix one row for each of its own.
fn sparse_bins(context: &mut ShapeContext<'_>) -> Result<()> {
    let size = bins(context, 3)?;
    let sizes = shapes::ints(context, 2);
    let rank = sizes.as_ref().map(Vec::len).or_else(|| context.input(2).dim(0));
    let rows = sizes.as_ref().and_then(|sizes| usize::try_from(*sizes.first()?).ok());
    context.set(
        0,
        match rank {
            Some(1) => PartialShape::from([size]),
            Some(_) => PartialShape::from([rows, size]),
            None => PartialShape::unknown(),
        },
    );
    Ok(())
}

fn ragged_bins(context: &mut ShapeContext<'_>) -> Result<()> {
    let (rows, size) = (context.input_of_rank(0, 1)?.dim(0), bins(context, 2)?);
    context.set(0, PartialShape::from([rows.and_then(|rows| rows.checked_sub(1)), size]));
    Ok(())
}

/// A sparse tensor of this rank.
fn counts(context: &mut ShapeContext<'_>, rank: Option<usize>) {
    context.set(0, PartialShape::from([None, rank]));
    context.set(1, PartialShape::of_rank(1));
    context.set(2, PartialShape::from([rank]));
}

fn dense_counts(context: &mut ShapeContext<'_>) -> Result<()> {
    let rank = context.input(0).rank();
    counts(context, rank);
    Ok(())
}

fn sparse_counts(context: &mut ShapeContext<'_>) -> Result<()> {
    let rank = context.input_of_rank(0, 2)?.dim(1).map(|rank| rank.min(2));
    counts(context, rank);
    Ok(())
}

fn ragged_counts(context: &mut ShapeContext<'_>) -> Result<()> {
    counts(context, Some(2));
    Ok(())
}
