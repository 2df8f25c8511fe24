//! Shape functions, and their parts, that several families share.

use session_core::{Error, Output, PartialShape, Result, ShapeContext};

use crate::static_value;

/// Sets the shape of the output to that of the first input.
pub(crate) fn unchanged(context: &mut ShapeContext<'_>) -> Result<()> {
    let shape = context.input(0);
    context.set(0, shape);
    Ok(())
}

/// Sets the shape of each output to that of the input with the same index.
pub(crate) fn unchanged_all(context: &mut ShapeContext<'_>) -> Result<()> {
    for index in 0..context.outputs() {
        let shape = context.input(index);
        context.set(index, shape);
    }
    Ok(())
}

/// Makes all outputs scalars.
pub(crate) fn scalar(context: &mut ShapeContext<'_>) -> Result<()> {
    for index in 0..context.outputs() {
        context.set(index, PartialShape::scalar());
    }
    Ok(())
}

/// Infers the shape of a handle of TensorFlow's first releases, which is a reference to two strings. A handle of `StackV2` still
/// has this shape.
pub(crate) fn old_handle(context: &mut ShapeContext<'_>) -> Result<()> {
    context.set(0, PartialShape::from([2]));
    Ok(())
}

/// Requires that all inputs have one shape, and assigns it to the first output.
pub(crate) fn same(context: &mut ShapeContext<'_>) -> Result<()> {
    let shape = same_inputs(context)?;
    context.set(0, shape);
    Ok(())
}

/// Returns the one shape of all inputs.
pub(crate) fn same_inputs(context: &ShapeContext<'_>) -> Result<PartialShape> {
    context.inputs().iter().try_fold(PartialShape::unknown(), |known, input| merge(&known, input.shape()))
}

/// Merges two shapes. Fails, naming both, if they contradict each other.
pub(crate) fn merge(a: &PartialShape, b: &PartialShape) -> Result<PartialShape> {
    a.merge(b).ok_or_else(|| Error::value(format!("shapes {a} and {b} must be equal")))
}

/// Sets the shape of the output to the one that the inputs broadcast to.
pub(crate) fn broadcast(context: &mut ShapeContext<'_>) -> Result<()> {
    let mut shape = PartialShape::scalar();
    for input in context.inputs() {
        shape = broadcast_shapes(&shape, input.shape())?;
    }
    context.set(0, shape);
    Ok(())
}

/// Returns the shape that two shapes broadcast to.
pub(crate) fn broadcast_shapes(a: &PartialShape, b: &PartialShape) -> Result<PartialShape> {
    // An unknown rank may be larger than the other one, so nothing is known of the result.
    let (Some(rank_a), Some(rank_b)) = (a.rank(), b.rank()) else { return Ok(PartialShape::unknown()) };
    let rank = rank_a.max(rank_b);
    let dims = (0..rank).rev().map(|back| {
        let outside = |rank: usize, shape: &PartialShape| match back < rank {
            true => shape.dim_from_end(back),
            false => Some(1),
        };
        broadcast_dims(outside(rank_a, a), outside(rank_b, b))
            .ok_or_else(|| Error::value(format!("shapes {a} and {b} cannot be broadcast to one shape")))
    });
    dims.collect()
}

/// Returns the size two sizes broadcast to (inner `None`: unknown), or `None` when they do not fit.
fn broadcast_dims(a: Option<usize>, b: Option<usize>) -> Option<Option<usize>> {
    match (a, b) {
        (Some(1), other) | (other, Some(1)) => Some(other),
        (Some(a), Some(b)) => (a == b).then_some(Some(a)),
        // The unknown one is 1 or the known one.
        (Some(known), None) | (None, Some(known)) => Some(Some(known)),
        (None, None) => Some(None),
    }
}

/// Returns a size both of two must have; an error that names what they are sizes of when they contradict each other.
pub(crate) fn merge_dims(what: &str, a: Option<usize>, b: Option<usize>) -> Result<Option<usize>> {
    match (a, b) {
        (Some(a), Some(b)) if a != b => Err(Error::value(format!("{what} must be equal, not {a} and {b}"))),
        (a, b) => Ok(a.or(b)),
    }
}

/// The most dimensions that a tensor has, as in TensorFlow.
const MAX_RANK: usize = 254;

/// Returns a number of axes, as [`merge_dims`] does. A number that stands in a shape may be larger than any rank.
pub(crate) fn merge_ranks(what: &str, a: Option<usize>, b: Option<usize>) -> Result<Option<usize>> {
    match merge_dims(what, a, b)? {
        Some(rank) if rank > MAX_RANK => {
            Err(Error::value(format!("{what}: a tensor has at most {MAX_RANK} dimensions, not {rank}")))
        }
        rank => Ok(rank),
    }
}

/// Returns the sum of two sizes, if both are known. Fails if no dimension can be as large.
pub(crate) fn plus(a: Option<usize>, b: Option<usize>) -> Result<Option<usize>> {
    size_of(a.zip(b), "sum", usize::checked_add)
}

/// Returns the product of two sizes, if both are known. Fails if no dimension can be as large.
pub(crate) fn times(a: Option<usize>, b: Option<usize>) -> Result<Option<usize>> {
    size_of(a.zip(b), "product", usize::checked_mul)
}

/// Computes with two known sizes. A dimension is stored in an `i64`, which is the limit of both operations.
fn size_of(
    sizes: Option<(usize, usize)>,
    what: &str,
    compute: fn(usize, usize) -> Option<usize>,
) -> Result<Option<usize>> {
    let Some((a, b)) = sizes else { return Ok(None) };
    let size = compute(a, b).filter(|&size| i64::try_from(size).is_ok());
    size.map(Some).ok_or_else(|| {
        Error::value(format!(
            "the {what} of the sizes {a} and {b} overflows: no dimension is larger than {}",
            i64::MAX
        ))
    })
}

/// Returns an axis counted from the end when negative, as an index below `rank`.
pub(crate) fn axis_index(axis: i64, rank: usize) -> Result<usize> {
    let limit = i64::try_from(rank).unwrap_or(i64::MAX);
    let index = if axis < 0 { axis + limit } else { axis };
    usize::try_from(index)
        .ok()
        .filter(|&index| index < rank)
        .ok_or_else(|| Error::value(format!("axis {axis} is outside [-{rank}, {rank})")))
}

/// Returns the shape of an input, whose rank must be at least this. Unknown ranks pass.
pub(crate) fn at_least_rank(context: &ShapeContext<'_>, index: usize, rank: usize) -> Result<PartialShape> {
    let shape = context.input(index);
    match shape.rank() {
        Some(found) if found < rank => {
            let text = format!("input {index} must have rank at least {rank}, not {found} (shape {shape})");
            Err(Error::value(text))
        }
        _ => Ok(shape),
    }
}

/// Sets the shapes of a list of sparse tensors of this rank, from the output `first` on: the indices of all, then the values
/// of all, then the shapes of all.
pub(crate) fn set_sparse_lists(
    context: &mut ShapeContext<'_>,
    first: usize,
    count: usize,
    rank: Option<usize>,
) {
    for index in first..first + count {
        context.set(index, PartialShape::from([None, rank]));
        context.set(count + index, PartialShape::of_rank(1));
        context.set(2 * count + index, PartialShape::from([rank]));
    }
}

/// Requires that the input is a scalar.
pub(crate) fn must_be_scalar(context: &ShapeContext<'_>, index: usize) -> Result<()> {
    context.input_of_rank(index, 0).map(drop)
}

/// Returns an integer attribute.
pub(crate) fn int_attr(context: &ShapeContext<'_>, name: &str) -> Result<i64> {
    let value = context.attr(name).and_then(|value| value.as_int());
    value.ok_or_else(|| Error::value(format!("attribute '{name}' must be an integer")))
}

/// Returns a boolean attribute.
pub(crate) fn bool_attr(context: &ShapeContext<'_>, name: &str) -> bool {
    context.attr(name).and_then(|value| value.as_bool()).unwrap_or(false)
}

/// Returns a string attribute; empty when it is missing or no UTF-8.
pub(crate) fn str_attr<'a>(context: &ShapeContext<'a>, name: &str) -> &'a str {
    context.attr(name).and_then(|value| value.as_str()).unwrap_or("")
}

/// Returns the integers of an input, as far as all of them follow from the graph.
pub(crate) fn ints(context: &ShapeContext<'_>, index: usize) -> Option<Vec<i64>> {
    static_value::ints(context.inputs().get(index)?)
}

/// Returns the one integer of an input, when it follows from the graph.
pub(crate) fn int(context: &ShapeContext<'_>, index: usize) -> Option<i64> {
    ints(context, index).filter(|values| values.len() == 1).map(|values| values[0])
}

/// Returns the shape that an integer vector describes; -1 in it means unknown.
pub(crate) fn shape_from(input: &Output) -> Result<PartialShape> {
    if let Some(rank) = input.shape().rank().filter(|&rank| rank != 1) {
        return Err(Error::value(format!("a shape must be a vector, not of rank {rank}")));
    }
    // Each element may be unknown on its own: `[batch, 10]` with a computed batch is `[?, 10]`.
    let Some(values) = static_value::partial_ints(input) else { return Ok(PartialShape::unknown()) };
    if let Some(value) = values.iter().flatten().find(|&&value| value < -1) {
        return Err(Error::value(format!("a shape cannot have the size {value}")));
    }
    Ok(PartialShape::from_sizes(values.into_iter().map(|value| value.unwrap_or(-1))))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broadcasting_aligns_at_the_end() {
        let check = |a: &[i64], b: &[i64], expected: &str| {
            let (a, b) = (PartialShape::from_sizes(a.to_vec()), PartialShape::from_sizes(b.to_vec()));
            for (a, b) in [(&a, &b), (&b, &a)] {
                let found =
                    broadcast_shapes(a, b).map_or_else(|error| error.message().to_owned(), |s| s.to_string());
                assert!(found.contains(expected), "{a} with {b}: {found}");
            }
        };
        check(&[2, 3], &[3], "[2,3]");
        check(&[2, 1], &[1, 3], "[2,3]");
        check(&[-1, 3], &[], "[?,3]");
        check(&[-1, 3], &[4, 1], "[4,3]");
        check(&[-1], &[1], "[?]");
        check(&[-1], &[-1], "[?]");
        check(&[0], &[1], "[0]");
        check(&[2, 3], &[2], "[2,3]");
        check(&[2, 3], &[2], "cannot be broadcast");
        assert_eq!(
            broadcast_shapes(&PartialShape::unknown(), &PartialShape::scalar()).unwrap(),
            PartialShape::unknown()
        );
    }

    #[test]
    fn sizes_beyond_a_dimension_are_refused() {
        const MOST: usize = i64::MAX as usize;
        assert_eq!(plus(Some(MOST - 1), Some(1)).unwrap(), Some(MOST));
        assert_eq!(times(Some(1 << 31), Some(1 << 31)).unwrap(), Some(1 << 62));
        assert_eq!((plus(None, Some(1)).unwrap(), times(Some(2), None).unwrap()), (None, None));
        for result in
            [plus(Some(MOST), Some(1)), times(Some(1 << 62), Some(2)), times(Some(MOST), Some(MOST))]
        {
            let error = result.unwrap_err();
            assert!(error.message().contains("overflows"), "{error}");
        }
    }

    #[test]
    fn axes_count_from_both_ends() {
        assert_eq!((axis_index(-1, 3).unwrap(), axis_index(2, 3).unwrap()), (2, 2));
        assert!(axis_index(3, 3).is_err() && axis_index(-4, 3).is_err() && axis_index(0, 0).is_err());
    }
}
