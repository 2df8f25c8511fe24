//! Rows of tensors in another order: what most operations that only move elements come down to.
//!
//! [`arrange`] is the slow but general way: one call of a closure and one copy for each row, on one thread.
//! Its cost is a closure call per row plus the copied bytes, so callers make rows as wide as they can: `Roll`
//! by a shift of the first axis moves rows of all other axes. Loops that many models run in each step
//! (slices, transposes, gathers of embeddings) are in `compute::elementwise::layout` instead, where they use
//! the thread pool.
//!
//! [`unravel`] and [`ravel`] convert between the row number and the coordinates that the closures compute
//! with.

use crate::kernel::KernelContext;
use crate::kernels::Moved as _;
use session_core::{Error, Result};
use tensor::{Shape, Tensor};

/// The source of a row of a result: the source array and its row, or `None`.
///
/// `(1, 4)` is row 4 of the second source, where the length of a row is the `width` of the call. `None`
/// stands for padding.
pub(crate) type Place = Option<(usize, usize)>;

/// Returns a tensor whose row `i` (of `width` elements) is the one that `place(i)` names, or is filled with
/// `filler` (zeros without one). All sources have one dtype; `place` names rows that exist.
///
/// The elements of `shape` must be a multiple of `width`; `place` is called once for each row, in order from
/// row 0. A `width` of 0 makes a result without elements and never calls `place`. `filler` has one element of
/// the dtype of the sources.
///
/// ```text
/// sources [[1, 2], [3, 4]], width 2, place = |i| [Some((0, 1)), None][i]   ->   [[3, 4], [0, 0]]
/// ```
///
/// # Errors
/// `InvalidArgument` if there is no source or if `filler` has no element, the dtype error of a source that
/// differs from the first, `ResourceExhausted` if the memory limit does not allow the result, and the error
/// of the run's limits if it ends meanwhile.
///
/// # Panics
/// Panics if `place` names a source or a row that does not exist.
pub(crate) fn arrange(
    context: &KernelContext<'_>,
    sources: &[&Tensor],
    shape: Shape,
    width: usize,
    place: &dyn Fn(usize) -> Place,
    filler: Option<&Tensor>,
) -> Result<Tensor> {
    // All sources have the dtype of the first: `T::elements` of another bit width fails below.
    let dtype = sources.first().map(|source| source.dtype());
    let dtype = dtype.ok_or_else(|| Error::invalid_argument("there is nothing to take rows from"))?;
    for_dtype!(moved dtype, T => {
        let slices = sources.iter().map(|source| T::elements(source)).collect::<Result<Vec<&[T]>>>()?;
        let filler = match filler {
            Some(filler) => T::elements(filler)?.first().cloned().ok_or_else(no_filler)?,
            None => T::default(),
        };
        T::made(context, dtype, shape, |output| {
            copy_rows(context, &slices, width, place, &filler, output)
        })
    })
}

/// Returns the error for a filler without elements. A filler with several is not refused: its first element
/// is used.
fn no_filler() -> Error {
    Error::invalid_argument("the value to fill up with must be a scalar")
}

/// Fills `output` row by row, and checks the limits of the run after every 65,536 elements or so.
///
/// The loop is generic over the element only; the closure is a trait object. Otherwise each of the many
/// callers would instantiate the loop for each of the six element types.
fn copy_rows<T: Clone>(
    context: &KernelContext<'_>,
    sources: &[&[T]],
    width: usize,
    place: &dyn Fn(usize) -> Place,
    filler: &T,
    output: &mut [T],
) -> Result<()> {
    let mut watch = context.watch();
    // A width of 0 comes with an empty output, for which the chunk size does not matter but may not be 0.
    for (i, row) in output.chunks_exact_mut(width.max(1)).enumerate() {
        match place(i) {
            Some((source, from)) => row.clone_from_slice(&sources[source][from * width..][..width]),
            None => row.fill(filler.clone()),
        }
        watch.tick(row.len())?;
    }
    Ok(())
}

/// Writes the coordinates of element `index` of an array of this shape, in row-major order.
///
/// `coordinates` has one entry for each dimension and is overwritten, so a loop can reuse it. For `shape`
/// `[2, 3]` index 4 has the coordinates `[1, 1]`. An index beyond the last element wraps around in the first
/// dimension; callers pass only indices of elements that exist.
pub(crate) fn unravel(mut index: usize, shape: &[usize], coordinates: &mut [usize]) {
    for (coordinate, &size) in coordinates.iter_mut().zip(shape).rev() {
        // An array with a dimension of 0 has no elements, but callers may unravel before they know that.
        *coordinate = index % size.max(1);
        index /= size.max(1);
    }
}

/// Returns the inverse of [`unravel`].
///
/// `ravel([1, 1], &[2, 3])` is 4. Coordinates are not checked against the shape: one that is too large names
/// an element of another row.
pub(crate) fn ravel(coordinates: impl IntoIterator<Item = usize>, shape: &[usize]) -> usize {
    coordinates.into_iter().zip(shape).fold(0, |at, (coordinate, &size)| at * size + coordinate)
}
