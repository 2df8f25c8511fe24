//! Ragged tensors: values with the splits of their rows, one list of splits for each ragged axis, the
//! outermost first.
//!
//! # Semantics
//!
//! Splits are `int32` or `int64` and begin with 0: `[0, 2, 2, 5]` are rows of 2, 0 and 3 values. Further axes
//! of the values are uniform.
//!
//! | op | result |
//! | --- | --- |
//! | `RaggedTensorToSparse` | indices, values and shape; the ragged sizes are those of the longest row |
//! | `RaggedGather` | the rows of some indices, which may have any rank; a scalar gives the content of one row |
//! | `RaggedFillEmptyRows` | values sorted by row, with the default for rows without one; a mask, and where each value went |
//! | `RaggedRange` | one row of numbers per start, limit and step |
//!
//! All splits are checked: they begin with 0, do not fall, and end with the number of rows of the next level.
//! Otherwise, and for indices outside of the rows, the error is `InvalidArgument`. Values of any dtype are
//! moved without being interpreted. Everything runs on one thread, in the order of the rows.
//!
//! # Examples
//!
//! ```text
//! splits [0, 2, 3], values [1, 2, 3]: the rows [1, 2] and [3]
//!
//! RaggedGather          indices [1, 0]            -> splits [0, 1, 3], values [3, 1, 2]
//! RaggedGather          index 1                   -> values [3], no splits
//! RaggedTensorToSparse                            -> indices [[0, 0], [0, 1], [1, 0]], shape [2, 2]
//! RaggedRange           starts 0, limits [2, 0, 3]  -> splits [0, 2, 2, 5], values [0, 1, 0, 1, 2]
//! ```

mod dense;
mod ngrams;
mod variant;

use crate::kernel::KernelContext;
use crate::kernels::array::arrange;
use crate::kernels::math::boxed;
use crate::registry::Registry;
use session_core::{Error, Result};
use tensor::{DType, Element, Shape, Tensor, memory};

pub(in crate::kernels) use variant::{Ragged, added, zeros};

/// Registers the op types of this file and of the folder.
pub(crate) fn register(registry: &mut Registry) {
    dense::register(registry);
    ngrams::register(registry);
    variant::register(registry);
    registry.add("RaggedTensorToSparse", |spec| {
        // The splits of all ragged axes come first; their number is part of the definition.
        let rank = spec.operation.num_inputs() - 1;
        Ok(boxed(move |context| to_sparse(context, rank)))
    });
    registry.add("RaggedGather", |spec| {
        let rank = spec.operation.num_inputs() - 2;
        Ok(boxed(move |context| gather(context, rank)))
    });
    registry.add("RaggedFillEmptyRows", |_| Ok(boxed(fill_empty_rows)));
    registry.add("RaggedRange", |spec| {
        let splits = spec.dtype("Tsplits")?;
        for_dtype!(@arms spec.dtype("T")?, T => Ok(boxed(move |context| range::<T>(context, splits))),
            Float32: f32, Float64: f64, BFloat16: tensor::bf16, Int32: i32, Int64: i64)
    });
}

/// Sorts values by their rows and gives each empty row the default value (input 3).
///
/// Rows `[2, 0]` of 3 with values `[1, 2]` and the default 9 give values `[2, 9, 1]` and the map `[2, 0]`.
///
/// # Errors
/// `InvalidArgument` for different numbers of rows and values, a negative number of rows, and a row outside
/// of it.
fn fill_empty_rows(context: &mut KernelContext<'_>) -> Result<()> {
    let (given, values) = (context.ints(0)?, context.input(1).elements());
    if given.len() != values {
        let text = format!(
            "The length of `values` ({values}) must match the first dimension of `value_rowids` ({}).",
            given.len()
        );
        return Err(Error::invalid_argument(text));
    }
    let count = context.int(2)?;
    let count = usize::try_from(count)
        .map_err(|_| Error::invalid_argument(format!("nrows must be non-negative, got {count}")))?;
    let mut by_row: Vec<Vec<usize>> = memory::filled(Vec::new(), count)?;
    for (i, &row) in given.iter().enumerate() {
        let place = usize::try_from(row).ok().and_then(|row| by_row.get_mut(row));
        let text = || format!("indices({i}, 0) is invalid: {row} >= {count}");
        place.ok_or_else(|| Error::invalid_argument(text()))?.push(i);
    }
    let mut reverse = memory::filled(0i64, given.len())?;
    let most = given.len().saturating_add(count);
    let (mut rows, mut places) = (memory::reserve::<i64>(most)?, memory::reserve(most)?);
    for (row, values) in by_row.iter().enumerate() {
        for &i in values {
            reverse[i] = rows.len() as i64;
            rows.push(row as i64);
            places.push((0, i));
        }
        if values.is_empty() {
            rows.push(row as i64);
            places.push((1, 0));
        }
    }
    // As a second source of rows: `arrange` then moves values of any dtype.
    let default = context.input(3).clone().reshaped([1])?;
    let sources = [context.input(1), &default];
    let values = arrange(context, &sources, Shape::from([rows.len()]), 1, &|row| Some(places[row]), None)?;
    let empty = memory::collected(by_row.iter().map(Vec::is_empty))?;
    context.set(0, Tensor::from(rows));
    context.set(1, values);
    context.set(2, Tensor::from(empty));
    context.set(3, Tensor::from(reverse));
    Ok(())
}

/// Returns the splits of rows in an input, checked: they begin with 0 and never fall. There is at least one.
///
/// # Errors
/// `InvalidArgument` in TensorFlow's words.
pub(in crate::kernels) fn splits(context: &KernelContext<'_>, input: usize) -> Result<Vec<usize>> {
    let given = context.ints(input)?;
    let splits: Option<Vec<usize>> = given.iter().map(|&split| usize::try_from(split).ok()).collect();
    let splits = splits.filter(|splits| splits.first() == Some(&0) && splits.is_sorted());
    splits.ok_or_else(|| {
        let falls = given.windows(2).position(|pair| pair[0] > pair[1]);
        let text = match (given.first(), falls) {
            (None, _) => "ragged splits must have at least one splits, but is empty".to_owned(),
            // The two blanks are TensorFlow's.
            (Some(first), _) if *first != 0 => {
                format!("first element of ragged splits  must be 0 but is {first}")
            }
            (_, falls) => {
                let at = falls.unwrap_or(0);
                format!(
                    "ragged splits must be monotonically increasing, but ragged_splits[{}]={} is smaller than \
                     row_splits[{at}]={}",
                    at + 1,
                    given[at + 1],
                    given[at]
                )
            }
        };
        Error::invalid_argument(format!("Invalid ragged splits: {text}"))
    })
}

/// Returns the splits of all axes, the outermost first, checked against one another and against the number of
/// values.
///
/// The first `rank` inputs are the splits, and input `values` the values, which have at least one axis.
fn nested(context: &KernelContext<'_>, rank: usize, values: usize) -> Result<Vec<Vec<usize>>> {
    let all: Vec<Vec<usize>> = (0..rank).map(|input| splits(context, input)).collect::<Result<_>>()?;
    let rows = context.input(values).shape().dims().first().copied();
    let rows =
        rows.ok_or_else(|| Error::invalid_argument("the values of a ragged tensor must not be a scalar"))?;
    // The last split of a level counts the rows of the next one.
    let inner = all.iter().skip(1).map(|splits| splits.len() - 1).chain([rows]);
    for (splits, rows) in all.iter().zip(inner) {
        let last = splits.last().copied().unwrap_or(0);
        if last != rows {
            let text = format!(
                "Invalid ragged splits: last element of ragged splits must be the number of ragged values({rows}) but is {last}"
            );
            return Err(Error::invalid_argument(text));
        }
    }
    Ok(all)
}

/// Returns integers as a tensor of an index dtype.
///
/// # Errors
/// `InvalidArgument` if one does not fit `int32`.
pub(in crate::kernels) fn indices(values: Vec<usize>, dtype: DType) -> Result<Tensor> {
    let count = values.len();
    if dtype == DType::Int32 {
        let narrow: Option<Vec<i32>> = values.into_iter().map(|value| i32::try_from(value).ok()).collect();
        let narrow = narrow.ok_or_else(|| Error::invalid_argument("a split does not fit into int32"))?;
        return Ok(Tensor::from_vec(narrow, [count])?);
    }
    let wide = memory::collected(values.into_iter().map(|value| value as i64))?;
    Ok(Tensor::from_vec(wide, [count])?)
}

/// Returns the number of elements of a row of the values, and the sizes of its axes: 12 and `[3, 4]` for
/// values `[n, 3, 4]`.
fn row_of(values: &Tensor) -> (usize, Vec<usize>) {
    let inner = values.shape().dims().get(1..).unwrap_or_default().to_vec();
    (inner.iter().product(), inner)
}

/// Delivers a ragged tensor as a sparse one: coordinates, values and dense shape. Splits `[0, 2, 3]` give the
/// coordinates `[0, 0]`, `[0, 1]`, `[1, 0]` and the shape `[2, 2]`.
///
/// Level by level, the coordinates of each row are extended by the number within the row.
fn to_sparse(context: &mut KernelContext<'_>, rank: usize) -> Result<()> {
    let nested = nested(context, rank, rank)?;
    let values = context.input(rank);
    let (width, inner) = row_of(values);
    let count = values.elements();
    let axes = rank + 1 + inner.len();
    let mut dims = vec![nested.first().map_or(0, |splits| splits.len() - 1)];
    for splits in &nested {
        dims.push(splits.windows(2).map(|pair| pair[1] - pair[0]).max().unwrap_or(0));
    }
    dims.extend(&inner);
    let mut flat: Vec<i64> = memory::reserve(count.saturating_mul(axes))?;
    // The coordinates of the rows of each axis, outermost first.
    let mut rows: Vec<Vec<i64>> = (0..dims[0] as i64).map(|row| vec![row]).collect();
    for splits in &nested {
        let mut next = memory::reserve(*splits.last().unwrap_or(&0))?;
        for (row, pair) in rows.iter().zip(splits.windows(2)) {
            next.extend((0..pair[1] - pair[0]).map(|column| [row.as_slice(), &[column as i64]].concat()));
        }
        rows = next;
    }
    let mut coordinates = vec![0; inner.len()];
    for row in &rows {
        for element in 0..width {
            crate::kernels::array::unravel(element, &inner, &mut coordinates);
            flat.extend(row);
            flat.extend(coordinates.iter().map(|&coordinate| coordinate as i64));
        }
    }
    let shape: Vec<i64> = dims.iter().map(|&size| size as i64).collect();
    // The values are in the order of the coordinates already.
    let flat_values = context.input(rank).clone().reshaped([count])?;
    context.set(0, Tensor::from_vec(flat, [count, axes])?);
    context.set(1, flat_values);
    context.set(2, Tensor::from(shape));
    Ok(())
}

/// Delivers the rows of a ragged tensor that the indices name. Output splits are those of the uniform axes of
/// the indices, then those of the rows; indices of shape `[2, 3]` add one level of rows of 3. A scalar index
/// removes the outermost axis: its row of splits `[0, 2, 3]` is only values.
///
/// # Errors
/// `InvalidArgument` for an index outside of the rows, and for a number of output splits that does not follow
/// from the ranks.
fn gather(context: &mut KernelContext<'_>, rank: usize) -> Result<()> {
    let nested = nested(context, rank, rank)?;
    let dtype = context.input(0).dtype();
    let places = context.input(rank + 1);
    let outer = places.shape().dims().to_vec();
    let levels = context.num_outputs() - 1;
    if levels + 1 != rank + outer.len() {
        let text = format!(
            "OUTPUT_RAGGED_RANK must be PARAMS_RAGGED_RANK plus the rank of indices minus 1: {levels} is not {rank} + {} - 1",
            outer.len()
        );
        return Err(Error::invalid_argument(text));
    }
    let count = nested[0].len() - 1;
    let mut rows = memory::reserve(places.elements())?;
    for index in context.ints(rank + 1)? {
        let row = usize::try_from(index).ok().filter(|&row| row < count).ok_or_else(|| {
            Error::invalid_argument(format!("indices holds {index}, which is not in [0, {count})"))
        })?;
        rows.push(row);
    }
    // Axes of the indices before the last are split evenly.
    let mut output = 0;
    let mut groups = 1usize;
    for pair in outer.windows(2) {
        groups = groups.saturating_mul(pair[0]);
        let even = (0..groups + 1).map(|group| group.saturating_mul(pair[1]));
        context.set(output, indices(memory::collected(even)?, dtype)?);
        output += 1;
    }
    for (level, splits) in nested.iter().enumerate() {
        let (mut made, mut next) = (vec![0], Vec::new());
        for &row in &rows {
            memory::grow(&mut next, splits[row + 1] - splits[row])?;
            next.extend(splits[row]..splits[row + 1]);
            made.push(next.len());
        }
        // The row of a scalar index is not split from others.
        if level > 0 || !outer.is_empty() {
            context.set(output, indices(made, dtype)?);
            output += 1;
        }
        // The rows of the next level, which the splits of this one name.
        rows = next;
    }
    let values = context.input(rank);
    let (width, inner) = row_of(values);
    let shape = Shape::from([&[rows.len()][..], &inner].concat());
    let gathered = arrange(context, &[values], shape, width, &|row| Some((0, rows[row])), None)?;
    context.set(output, gathered);
    Ok(())
}

/// Numbers that `RaggedRange` counts with. Floats count in their own precision, in which the number of steps
/// and each sum are rounded.
trait Countable: Element + PartialOrd {
    /// Returns the number of steps from `start` to `limit`; `None` if there are too many, or if one of the
    /// three is NaN.
    ///
    /// From 2 to 7 by 2 there are 3: 2, 4, 6. There are none if the direction is away from the limit.
    fn steps(start: Self, limit: Self, delta: Self) -> Option<usize>;
    /// Returns the number after `value`.
    fn next(value: Self, delta: Self) -> Self;
}

macro_rules! countable_integers {
    ($($type:ty),*) => {$(
        impl Countable for $type {
            fn steps(start: $type, limit: $type, delta: $type) -> Option<usize> {
                // The distance between two `i64` does not fit into one.
                let distance = i128::from(limit) - i128::from(start);
                let delta = i128::from(delta);
                if distance == 0 || (distance < 0) != (delta < 0) {
                    return Some(0);
                }
                usize::try_from((distance.abs() + delta.abs() - 1) / delta.abs()).ok()
            }

            fn next(value: $type, delta: $type) -> $type {
                // Numbers before the limit do not overflow; the one after the last, which is not used, may.
                value.wrapping_add(delta)
            }
        }
    )*};
}
countable_integers!(i32, i64);

macro_rules! countable_floats {
    ($($type:ty),*) => {$(
        impl Countable for $type {
            fn steps(start: $type, limit: $type, delta: $type) -> Option<usize> {
                let steps = f64::from((limit - start) / delta).ceil();
                if steps <= 0.0 {
                    return Some(0);
                }
                // False for NaN, too, which has no number of steps.
                (steps < usize::MAX as f64).then_some(steps as usize)
            }

            fn next(value: $type, delta: $type) -> $type {
                value + delta
            }
        }
    )*};
}
countable_floats!(f32, f64, tensor::bf16);

/// Delivers one row of numbers for each start, limit and step. Scalars hold for all rows; the other inputs
/// have one number per row. Each number is the sum of the one before it and the step, rounded.
///
/// # Errors
/// `InvalidArgument` for inputs of higher rank and of different lengths, a step of 0, NaN, and a range of too
/// many elements.
fn range<T: Countable>(context: &mut KernelContext<'_>, dtype: DType) -> Result<()> {
    for (input, name) in ["starts", "limits", "deltas"].iter().enumerate() {
        let shape = context.input(input).shape();
        if shape.rank() > 1 {
            let text = format!("{name} must be a scalar or vector, got shape {shape}");
            return Err(Error::invalid_argument(text));
        }
    }
    let given: Vec<&[T]> = (0..3).map(|input| context.slice::<T>(input)).collect::<Result<_>>()?;
    let scalars: Vec<bool> = (0..3).map(|input| context.input(input).shape().rank() == 0).collect();
    let rows = given.iter().zip(&scalars).find(|(_, scalar)| !**scalar).map_or(1, |(given, _)| given.len());
    if (0..3).any(|input| !scalars[input] && given[input].len() != rows) {
        return Err(Error::invalid_argument("starts, limits, and deltas must have the same shape"));
    }
    let (mut values, mut made) = (Vec::new(), vec![0]);
    for row in 0..rows {
        let [start, limit, delta] = [0, 1, 2].map(|input| given[input][if scalars[input] { 0 } else { row }]);
        if delta == T::default() {
            return Err(Error::invalid_argument("Requires delta != 0"));
        }
        let steps = T::steps(start, limit, delta).ok_or_else(|| {
            Error::invalid_argument(format!("row {row} of the range has too many elements or NaN"))
        })?;
        memory::grow(&mut values, steps)?;
        let mut value = start;
        for _ in 0..steps {
            values.push(value);
            value = T::next(value, delta);
        }
        made.push(values.len());
    }
    context.set(0, indices(made, dtype)?);
    context.set(1, Tensor::from(values));
    Ok(())
}
