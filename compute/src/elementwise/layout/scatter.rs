//! Merging of slices into rows that indices select.

use super::gather::{Index, IndexError, check_all, flat_index};
use crate::Pool;
use crate::elementwise::binary_kernel::Rows;
use crate::elementwise::work::{split_outputs, units_per_part};
use crate::elementwise::{BinaryKernel, BinaryOp, Element, Values, ValuesMut};
use std::ops::Range;

/// Merges `updates[i]` into row `indices[i]` of `data`: `row = kernel(row, update)`. Rows are `inner` long. Updates of the same row are applied
/// in order, so the result does not depend on the number of threads.
///
/// With the kernel of [`BinaryOp::Add`] this is `ScatterAdd`; the kernels of `Sub`, `Mul`, `Div`, `Minimum`, and `Maximum` give the others.
/// With an `inner` of 0 there is nothing to merge, and no index is checked: the number of rows is not known.
///
/// ```
/// use compute::{Pool, elementwise::{BinaryOp, Element, layout::scatter}};
/// let add = f32::binary(BinaryOp::Add).expect("floats can be added");
/// let mut data = [1.0, 2.0, 3.0];
/// scatter(&Pool::single(), add, 1, &mut data, &[2, 0, 2], &[10.0, 20.0, 30.0])?;
/// assert_eq!(data, [21.0, 2.0, 43.0]);
/// # Ok::<(), compute::elementwise::layout::IndexError>(())
/// ```
///
/// # Errors
/// [`IndexError`] for the first index outside of `data`. Nothing is changed then.
///
/// # Panics
/// Panics if `data` does not consist of whole rows, or if `updates` does not have a row for each index.
pub fn scatter<T: Element, I: Index>(
    pool: &Pool,
    kernel: BinaryKernel<T>,
    inner: usize,
    data: &mut [T],
    indices: &[I],
    updates: &[T],
) -> Result<(), IndexError> {
    let Some(rows) = check_rows(inner, data.len(), indices.len(), updates.len()) else { return Ok(()) };
    check_all(indices, rows)?;
    merge_rows(pool, kernel, inner, data, indices, updates);
    Ok(())
}

/// Replaces row `indices[i]` of `data` by `updates[i]`. The last update of a row wins. With an `inner` of 0 nothing is replaced and no index
/// is checked.
///
/// ```
/// use compute::elementwise::layout::scatter_update;
/// let mut data = ["a", "b", "c"];
/// scatter_update(1, &mut data, &[1, 1], &["x", "y"])?;
/// assert_eq!(data, ["a", "y", "c"]);
/// # Ok::<(), compute::elementwise::layout::IndexError>(())
/// ```
///
/// # Errors
/// [`IndexError`] for the first index outside of `data`. Nothing is changed then.
///
/// # Panics
/// Panics if `data` does not consist of whole rows, or if `updates` does not have a row for each index.
pub fn scatter_update<T: Clone, I: Index>(
    inner: usize,
    data: &mut [T],
    indices: &[I],
    updates: &[T],
) -> Result<(), IndexError> {
    let Some(rows) = check_rows(inner, data.len(), indices.len(), updates.len()) else { return Ok(()) };
    check_all(indices, rows)?;
    // On one thread, in order: the last update of a row wins.
    for (i, index) in indices.iter().enumerate() {
        let at = index.to_i64() as usize;
        data[at * inner..(at + 1) * inner].clone_from_slice(&updates[i * inner..(i + 1) * inner]);
    }
    Ok(())
}

/// Adds `updates[i]` to the slice of `data` at the coordinates in row `i` of `indices`: one index for each of `dims`, the leading dimensions of
/// `data`. Applied to zeros, this is `ScatterNd`.
///
/// ```
/// use compute::elementwise::layout::scatter_nd;
/// let mut data = [0.0f32; 4];
/// scatter_nd(&[2, 2], 1, &mut data, &[1, 0, 1, 0], &[3.0, 4.0])?;
/// assert_eq!(data, [0.0, 0.0, 7.0, 0.0]);
/// # Ok::<(), compute::elementwise::layout::IndexError>(())
/// ```
///
/// # Errors
/// [`IndexError`] for the first index outside of its dimension; its position counts single indices. Earlier updates have been added.
///
/// # Panics
/// Panics if `dims` is empty, if the length of a slice contradicts the shapes, or if `T` has no addition (`bool`).
pub fn scatter_nd<T: Element, I: Index>(
    dims: &[usize],
    inner: usize,
    data: &mut [T],
    indices: &[I],
    updates: &[T],
) -> Result<(), IndexError> {
    assert!(!dims.is_empty(), "coordinates without dimensions");
    assert_eq!(data.len(), dims.iter().product::<usize>() * inner, "data");
    assert_eq!(updates.len(), indices.len() / dims.len() * inner, "updates");
    let add = addition::<T>();
    for (i, coordinates) in indices.chunks_exact(dims.len()).enumerate() {
        let at = flat_index(coordinates, dims, i * dims.len())?;
        merge_row(add, &mut data[at * inner..(at + 1) * inner], &updates[i * inner..(i + 1) * inner]);
    }
    Ok(())
}

/// Fills `data` with zeros and adds row `i` of `updates` to row `indices[i]`, for elements whose type is known only at run time. Rows are
/// `inner` long.
///
/// # Errors
/// [`IndexError`] for the first index that is not less than `rows`. Earlier updates have been added.
///
/// # Panics
/// Panics if the length of a slice contradicts the sizes, if the types differ, or if they have no addition (`bool`).
pub fn scatter_values(
    rows: usize,
    inner: usize,
    data: ValuesMut<'_>,
    indices: &[i64],
    updates: Values<'_>,
) -> Result<(), IndexError> {
    /// Selects the kernel that merges an update into a row.
    macro_rules! pick {
        ($($variant:ident),*) => {
            match (data, updates) {
                $((ValuesMut::$variant(data), Values::$variant(updates)) => {
                    data.fill(Default::default());
                    scatter_nd(&[rows], inner, data, indices, updates)
                })*
                (data, updates) => panic!("{updates:?} cannot be added to {data:?}"),
            }
        };
    }
    pick!(F32, F64, F16, BF16, I8, I16, I32, I64, U8, U16, U32, U64, Bool, Complex64, Complex128)
}

/// Adds up the rows of `data` that belong to the same segment: `output[segments[i]] += data[i]`, starting with zeros. Rows with a negative
/// segment are left out. This is also the gradient of a gather along the first dimension. With an `inner` of 0 no segment is checked.
///
/// ```
/// use compute::{Pool, elementwise::layout::unsorted_segment_sum};
/// let mut sums = [0.0f32; 2];
/// unsorted_segment_sum(&Pool::single(), 1, &[1.0, 2.0, 4.0], &[1, -1, 1], &mut sums)?;
/// assert_eq!(sums, [0.0, 5.0]);
/// # Ok::<(), compute::elementwise::layout::IndexError>(())
/// ```
///
/// # Errors
/// [`IndexError`] for the first segment that is too large. The output is zero then.
///
/// # Panics
/// Panics if `output` does not consist of whole rows, if `data` does not have a row for each segment, or if `T` has no addition (`bool`).
pub fn unsorted_segment_sum<T: Element, I: Index>(
    pool: &Pool,
    inner: usize,
    data: &[T],
    segments: &[I],
    output: &mut [T],
) -> Result<(), IndexError> {
    output.fill(T::default());
    let Some(rows) = check_rows(inner, output.len(), segments.len(), data.len()) else { return Ok(()) };
    check_segments(segments, rows)?;
    merge_rows(pool, addition::<T>(), inner, output, segments, data);
    Ok(())
}

/// Folds the rows of `data` that belong to the same segment into the row of `output`, element by element and in order:
/// `output[segments[i]] = fold(output[segments[i]], data[i])`. Rows with a negative segment are left out. With an `inner` of 0 no segment
/// is checked.
///
/// ```
/// use compute::{Pool, elementwise::layout::unsorted_segment_fold};
/// let mut largest = [f32::MIN; 2];
/// let larger = |a, b| if a > b { a } else { b };
/// unsorted_segment_fold(&Pool::single(), 1, &[1.0, 2.0, 4.0], &[1, -1, 1], &mut largest, larger)?;
/// assert_eq!(largest, [f32::MIN, 4.0]);
/// # Ok::<(), compute::elementwise::layout::IndexError>(())
/// ```
///
/// # Errors
/// [`IndexError`] for the first segment that is too large. Nothing is changed then.
///
/// # Panics
/// Panics if `output` does not consist of whole rows, or if `data` does not have a row for each segment.
pub fn unsorted_segment_fold<T: Element, I: Index>(
    pool: &Pool,
    inner: usize,
    data: &[T],
    segments: &[I],
    output: &mut [T],
    fold: impl Fn(T, T) -> T + Sync,
) -> Result<(), IndexError> {
    let Some(rows) = check_rows(inner, output.len(), segments.len(), data.len()) else { return Ok(()) };
    check_segments(segments, rows)?;
    merge_rows_with(pool, inner, output, segments, data, |row, update| {
        row.iter_mut().zip(update).for_each(|(to, &from)| *to = fold(*to, from));
    });
    Ok(())
}

/// Fails for a segment from `rows` on. Negative segments are left out, so only the upper limit is an error.
fn check_segments<I: Index>(segments: &[I], rows: usize) -> Result<(), IndexError> {
    let large = |segment: &I| segment.to_i64() >= 0 && segment.to_i64() as u64 >= rows as u64;
    match segments.iter().position(large) {
        Some(position) => Err(IndexError { position, index: segments[position].to_i64(), limit: rows }),
        None => Ok(()),
    }
}

/// Returns the kernel of the addition.
fn addition<T: Element>() -> BinaryKernel<T> {
    T::binary(BinaryOp::Add).unwrap_or_else(|| panic!("{} cannot be added", T::NAME))
}

/// Returns the number of rows that `data` has. Returns `None` for rows without elements, whose number is not known.
fn check_rows(inner: usize, data: usize, indices: usize, updates: usize) -> Option<usize> {
    assert_eq!(updates, indices * inner, "updates of {indices} rows of {inner}");
    let rows = data.checked_div(inner);
    assert_eq!(data, rows.unwrap_or(0) * inner, "data of rows of {inner}");
    rows
}

/// Merges updates into the rows that indices select, by the kernel of an operation. See [`merge_rows_with`].
fn merge_rows<T: Element, I: Index>(
    pool: &Pool,
    kernel: BinaryKernel<T>,
    inner: usize,
    data: &mut [T],
    indices: &[I],
    updates: &[T],
) {
    merge_rows_with(pool, inner, data, indices, updates, |row, update| merge_row(kernel, row, update));
}

/// Calls `merge` with each update and its row, in the order of the updates. Each thread owns a range of rows and looks for its indices, so
/// that no two write the same row.
///
/// Indices outside of all rows are left out; callers check them where they are errors. The cost of looking at
/// the indices is that of all indices for each thread, which is small against the updates unless rows are
/// very short.
fn merge_rows_with<T: Element, I: Index>(
    pool: &Pool,
    inner: usize,
    data: &mut [T],
    indices: &[I],
    updates: &[T],
    merge: impl Fn(&mut [T], &[T]) + Sync,
) {
    if data.is_empty() || indices.is_empty() {
        return;
    }
    let rows = data.len() / inner;
    // 10 ns for an index and 0.2 ns for each element of its update, spread over the rows because threads
    // share those.
    let work = indices.len() * (10_000 + 200 * inner);
    split_outputs(
        pool,
        rows,
        1,
        units_per_part(work / rows),
        [(data, inner)],
        |owned: Range<usize>, [data]| {
            for (i, index) in indices.iter().enumerate() {
                let index = index.to_i64();
                if index >= owned.start as i64 && index < owned.end as i64 {
                    let at = index as usize - owned.start;
                    merge(&mut data[at * inner..(at + 1) * inner], &updates[i * inner..(i + 1) * inner]);
                }
            }
        },
    );
}

/// Merges an update into a row, in place.
fn merge_row<T: Element>(kernel: BinaryKernel<T>, row: &mut [T], update: &[T]) {
    // Smaller than the blocks of the kernels: the copy is cleared for every update, and rows of embeddings
    // are short.
    const BLOCK: usize = 64;
    let mut copy = [T::default(); BLOCK];
    for (row, update) in row.chunks_mut(BLOCK).zip(update.chunks(BLOCK)) {
        let copy = &mut copy[..row.len()];
        copy.copy_from_slice(row);
        kernel.run_rows(Rows::line(copy), Rows::line(update), row.len(), row);
    }
}
