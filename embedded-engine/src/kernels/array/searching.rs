//! Searches for elements: positions, unique values, differences of sets.
//!
//! # Semantics
//!
//! - `Where` returns the coordinates of elements that are not zero, in row-major order, as `int64`.
//! - `Unique` keeps the order of first occurrences, and returns for each element the place of its value. V2
//!   compares whole slices along an axis.
//! - `LowerBound` and `UpperBound` search in sorted rows, without checking that they are sorted.
//! - `ListDiff` returns the elements of the first vector that the second one lacks, with their positions, and
//!   keeps duplicates.
//! - `UnravelIndex` converts positions to coordinates of a shape; a position out of range is an error.
//!
//! Equality in `Unique` and `ListDiff` is that of numbers: 0.0 equals -0.0 for `float32` and `float64`, and a NaN
//! equals nothing, so that `Unique` returns every NaN and `ListDiff` keeps all. As in TensorFlow, the zeros of
//! 16-bit floats differ.
//!
//! - `Where` takes any numeric dtype or `bool`; NaN counts as not zero, and so does a complex number of which
//!   one part is not zero. The result has the shape `[count, rank]`.
//! - `UniqueV2` without an axis takes a vector. `UniqueWithCounts*` add a third output. The dtype of indices
//!   and counts is the attribute `out_idx`.
//! - `LowerBound` and `UpperBound` take matrices with the same number of rows and return, for each value, the
//!   index of the first element that is not less than it, or greater than it. For NaN, `LowerBound` returns 0
//!   and `UpperBound` the length of the row.
//! - `UnravelIndex` returns `[rank, count]`: a row for each dimension.
//!
//! All run on the calling thread. `Unique` and `ListDiff` are linear in the number of bytes; searches are
//! logarithmic in the length of a row for each value.

use super::arrange::{arrange, ravel, unravel};
use crate::dispatch::check_real;
use crate::kernel::{Kernel, KernelContext, NodeSpec, Watch};
use crate::kernels::math::{axis, boxed};
use crate::registry::Registry;
use compute::elementwise::{Values, cast_values};
use rustc_hash::{FxHashMap, FxHashSet};
use session_core::{Error, Result};
use std::borrow::Cow;
use tensor::{DType, Element, Shape, Tensor, bf16, f16, memory};

/// Registers the op types. The number of outputs states whether counts are wanted, so both forms share a
/// kernel.
pub(crate) fn register(registry: &mut Registry) {
    registry.add("LowerBound", |spec| make_bound(spec, false));
    registry.add("UpperBound", |spec| make_bound(spec, true));
    registry.add("Where", |_| Ok(boxed(find)));
    registry.add("Unique", |spec| make_unique(spec, false));
    registry.add_both(["UniqueV2", "UniqueWithCountsV2"], |spec| make_unique(spec, true));
    registry.add(
        "UnravelIndex",
        |spec| for_dtype!(index spec.input_dtype(0), T => Ok(boxed(unravel_index::<T>))),
    );
    registry.add("UniqueWithCounts", |spec| make_unique(spec, false));
    registry.add("ListDiff", |spec| {
        let dtype = spec.dtype("out_idx").unwrap_or(DType::Int32);
        Ok(boxed(move |context| list_diff(context, dtype)))
    });
}

/// Returns the coordinates of places in a tensor of the shape in input 1: a row for each dimension.
///
/// Input 0 holds places, a scalar or a vector, input 1 the dimensions. Place 5 in the shape `[2, 3]` is
/// `[1, 2]`. Fails with `InvalidArgument` for no places at all, a dimension of 0 and a place that is not less
/// than the product of the dimensions, as TensorFlow does.
fn unravel_index<T: Element + TryFrom<usize>>(context: &mut KernelContext<'_>) -> Result<()> {
    let (places, sizes) = (context.ints(0)?, context.ints(1)?);
    let (of_places, of_sizes) = (context.input(0).shape().clone(), context.input(1).shape());
    if of_places.rank() > 1 || of_sizes.rank() != 1 {
        let text =
            format!("indices must be a scalar or a vector and dims a vector, not {of_places} and {of_sizes}");
        return Err(Error::invalid_argument(text));
    }
    if places.is_empty() {
        return Err(Error::invalid_argument("received empty tensor indices"));
    }
    let sizes: Option<Vec<usize>> =
        sizes.iter().map(|&size| usize::try_from(size).ok().filter(|&size| size > 0)).collect();
    let sizes = sizes.ok_or_else(|| Error::invalid_argument("Input dims cannot contain a dim of zero"))?;
    let (shape, count) = (Shape::new(&sizes), places.len());
    // The sizes come from a tensor and may overflow together.
    let all = sizes.iter().try_fold(1usize, |all, &size| all.checked_mul(size));
    let all = all.ok_or_else(|| Error::invalid_argument("the product of dims is too large"))?;
    let output: Shape = std::iter::once(sizes.len()).chain(of_places.iter().copied()).collect();
    context.produce::<T>(0, output, |_, output| {
        let mut at = vec![0; sizes.len()];
        for (column, &place) in places.iter().enumerate() {
            let place = usize::try_from(place).ok().filter(|&place| place < all).ok_or_else(|| {
                Error::invalid_argument(format!("index {place} is out of bound as with dims {shape}"))
            })?;
            unravel(place, &shape, &mut at);
            for (row, &coordinate) in at.iter().enumerate() {
                output[row * count + column] = T::try_from(coordinate).unwrap_or_default();
            }
        }
        Ok(())
    })
}

/// Returns true for elements that are not zero (or not false).
///
/// The result has one entry for each element of the input.
fn not_zero(context: &KernelContext<'_>, input: usize) -> Result<Vec<bool>> {
    let mut holds = memory::filled(false, context.input(input).elements())?;
    match context.values(input)? {
        // A cast to `bool` would look at the real part alone.
        Values::Complex64(z) => {
            holds.iter_mut().zip(z).for_each(|(holds, z)| *holds = z.re != 0.0 || z.im != 0.0)
        }
        Values::Complex128(z) => {
            holds.iter_mut().zip(z).for_each(|(holds, z)| *holds = z.re != 0.0 || z.im != 0.0)
        }
        values => cast_values(context.pool(), values, holds.as_mut_slice().into()),
    }
    Ok(holds)
}

/// Delivers the coordinates of all elements that are not zero (or not false).
///
/// The first pass counts, so that the list of places is allocated once and a tensor without hits allocates
/// nothing.
fn find(context: &mut KernelContext<'_>) -> Result<()> {
    let shape = context.input(0).shape().clone();
    let holds = not_zero(context, 0)?;
    let mut found = memory::reserve(holds.iter().filter(|holds| **holds).count())?;
    found.extend(holds.iter().enumerate().filter(|(_, holds)| **holds).map(|(i, _)| i));
    let rank = shape.rank();
    context.produce::<i64>(0, [found.len(), rank], |_, output| {
        let mut at = vec![0; rank];
        // A scalar has no coordinates: its rows are empty, and there is nothing to write.
        for (row, &index) in output.chunks_exact_mut(rank.max(1)).zip(&found) {
            unravel(index, &shape, &mut at);
            row.iter_mut().zip(&at).for_each(|(out, &coordinate)| *out = coordinate as i64);
        }
        Ok(())
    })
}

/// The rows of a tensor as keys of a hash table: equal rows have equal bytes.
///
/// The two zeros of `float32` and `float64` have the same bytes here; a row with a NaN has no key, since it equals
/// no row.
///
/// A float tensor is copied only if it has a -0.0; otherwise the bytes are those of the tensor.
struct Keys<'a> {
    /// The elements as little-endian bytes; empty for strings.
    bytes: Cow<'a, [u8]>,
    /// The elements of a string tensor; empty for other dtypes.
    strings: &'a [tensor::Bytes],
    /// Bytes, or strings, in a row.
    width: usize,
    /// The dtype of the elements.
    dtype: DType,
}

impl<'a> Keys<'a> {
    /// Returns the keys of a tensor that consists of rows of `width` elements.
    fn new(tensor: &'a Tensor, width: usize) -> Result<Keys<'a>> {
        let dtype = tensor.dtype();
        if dtype == DType::String {
            return Ok(Keys { bytes: Cow::Borrowed(&[]), strings: tensor.as_strings()?, width, dtype });
        }
        let size = dtype.size();
        let mut bytes = tensor.to_le_bytes()?;
        if matches!(dtype, DType::Float32 | DType::Float64) {
            // In little-endian order the sign is in the last byte. Complex numbers keep their signs.
            let negative_zero = |element: &[u8]| {
                element.split_last().is_some_and(|(&last, rest)| last == 0x80 && rest.iter().all(|&b| b == 0))
            };
            if bytes.chunks_exact(size).any(negative_zero) {
                for element in bytes.to_mut().chunks_exact_mut(size) {
                    if negative_zero(element) {
                        element.fill(0);
                    }
                }
            }
        }
        Ok(Keys { bytes, strings: &[], width: width * size, dtype })
    }

    /// Returns the key of a row, or `None` if the row has a NaN. The key borrows from the tensor: nothing is
    /// copied into the hash table.
    fn row(&self, row: usize) -> Option<Key<'_>> {
        let range = row * self.width..(row + 1) * self.width;
        // A string tensor without elements has no rows to ask for, or rows of width 0, which are all equal.
        if !self.strings.is_empty() {
            return Some(Key::Strings(&self.strings[range]));
        }
        let bytes = &self.bytes[range];
        let has_nan = match self.dtype {
            DType::Float32 => bytes.as_chunks().0.iter().any(|&x| f32::from_le_bytes(x).is_nan()),
            DType::Float64 => bytes.as_chunks().0.iter().any(|&x| f64::from_le_bytes(x).is_nan()),
            DType::Float16 => bytes.as_chunks().0.iter().any(|&x| f16::from_le_bytes(x).is_nan()),
            DType::BFloat16 => bytes.as_chunks().0.iter().any(|&x| bf16::from_le_bytes(x).is_nan()),
            _ => false,
        };
        (!has_nan).then_some(Key::Plain(bytes))
    }
}

/// A row as a key. The hash is computed over the bytes, or over each string with its length, so that rows of
/// strings cannot be confused by their boundaries.
#[derive(PartialEq, Eq, Hash)]
enum Key<'a> {
    Plain(&'a [u8]),
    Strings(&'a [tensor::Bytes]),
}

/// Returns integers as a vector of `int32` or `int64`; a value that does not fit is an error.
fn index_tensor(values: &[usize], dtype: DType) -> Result<Tensor> {
    super::shape_tensor(&Shape::new(values), dtype)
}

/// Returns the kernel of one of the four forms of `Unique`. `has_axis` is true for V2, whose input 1 is the
/// axis.
fn make_unique(spec: &NodeSpec<'_>, has_axis: bool) -> Result<Box<dyn crate::kernel::Kernel>> {
    let dtype = spec.dtype("out_idx").unwrap_or(DType::Int32);
    let with_counts = spec.operation.num_outputs() > 2;
    Ok(boxed(move |context| unique(context, dtype, has_axis, with_counts)))
}

/// Delivers the distinct slices along the axis, the number of its distinct slice for each slice, and
/// optionally the counts.
///
/// Without an axis input 0 must be a vector. Distinct slices are in the order of their first occurrence:
/// `[3, 1, 3]` gives `[3, 1]`, `[0, 1, 0]` and the counts `[2, 1]`.
fn unique(context: &mut KernelContext<'_>, dtype: DType, has_axis: bool, with_counts: bool) -> Result<()> {
    let input = context.input(0).clone();
    let shape = input.shape().clone();
    let at = match if has_axis { context.ints(1)? } else { vec![] }.as_slice() {
        [] if shape.rank() == 1 => 0,
        [] => return Err(Error::invalid_argument(format!("unique expects a 1D vector, not {shape}"))),
        &[at] => axis(at, shape.rank())?,
        more => return Err(Error::invalid_argument(format!("axis does not support several axes: {more:?}"))),
    };
    // A slice is spread over `outer` places of the tensor; equality needs it in one piece, as a row, so it is
    // copied together unless it already is.
    let (outer, inner) = (shape[..at].iter().product::<usize>(), shape[at + 1..].iter().product::<usize>());
    let by_row = [shape[at], outer, inner];
    let rows = if outer == 1 {
        input.clone()
    } else {
        // In the transposed order the row number is the slowest coordinate.
        let place = |i: usize| {
            let mut from = [0; 3];
            unravel(i, &by_row, &mut from);
            Some((0, ravel([from[1], from[0], from[2]], &[outer, shape[at], inner])))
        };
        arrange(context, &[&input], Shape::new(&by_row), 1, &place, None)?
    };
    let (firsts, indices, counts) = {
        let keys = Keys::new(&rows, outer * inner)?;
        distinct((0..shape[at]).map(|row| keys.row(row)), context.watch())?
    };
    let dims: Shape =
        shape.iter().enumerate().map(|(i, &dim)| if i == at { firsts.len() } else { dim }).collect();
    let place = |i: usize| {
        let (before, which) = (i / firsts.len(), i % firsts.len());
        Some((0, before * shape[at] + firsts[which]))
    };
    // From the input, not from the rows: -0.0 and the layout are kept.
    let values = arrange(context, &[&input], dims, inner, &place, None)?;
    context.set(0, values);
    context.set(1, index_tensor(&indices, dtype)?);
    if with_counts {
        context.set(2, index_tensor(&counts, dtype)?);
    }
    Ok(())
}

/// Returns the first position of each distinct key, the index of the distinct key for each key, and the
/// counts.
///
/// For keys `a b a` the three results are `[0, 1]`, `[0, 1, 0]` and `[2, 1]`. What has no key is distinct from
/// everything. `watch` ends it when the run is
/// cancelled or out of time.
fn distinct<'k>(
    keys: impl ExactSizeIterator<Item = Option<Key<'k>>>,
    mut watch: Watch<'_>,
) -> Result<(Vec<usize>, Vec<usize>, Vec<usize>)> {
    // The fast hash has no protection against chosen collisions. They would only slow the step down, and
    // `watch` ends it in time.
    let mut numbers: FxHashMap<Key<'k>, usize> = FxHashMap::default();
    // Rows without elements may be as many as a shape can say.
    let mut indices = memory::reserve(keys.len())?;
    let (mut firsts, mut counts) = (Vec::new(), Vec::new());
    for (row, key) in keys.enumerate() {
        let mut add = || {
            firsts.push(row);
            counts.push(0);
            firsts.len() - 1
        };
        let number = match key {
            Some(key) => *numbers.entry(key).or_insert_with(add),
            None => add(),
        };
        indices.push(number);
        counts[number] += 1;
        watch.tick(1)?;
    }
    Ok((firsts, indices, counts))
}

/// Delivers the elements of the first vector that are not in the second, and their positions.
///
/// Outputs are in the order of the first vector; the positions have the dtype `out_idx`. `[1, 2, 2, 3]`
/// without `[1, 3]` is `[2, 2]` at `[1, 2]`.
fn list_diff(context: &mut KernelContext<'_>, dtype: DType) -> Result<()> {
    let (x, y) = (context.input(0).clone(), context.input(1).clone());
    if x.shape().rank() != 1 || y.shape().rank() != 1 {
        let text = format!("x and y should be vectors: {} and {}", x.shape(), y.shape());
        return Err(Error::invalid_argument(text));
    }
    let kept: Vec<usize> = {
        let (keys, others) = (Keys::new(&x, 1)?, Keys::new(&y, 1)?);
        let others: FxHashSet<Key<'_>> = (0..y.elements()).filter_map(|row| others.row(row)).collect();
        let is_other = |row: usize| keys.row(row).is_some_and(|key| others.contains(&key));
        (0..x.elements()).filter(|&row| !is_other(row)).collect()
    };
    let rest = arrange(context, &[&x], Shape::from([kept.len()]), 1, &|i| Some((0, kept[i])), None)?;
    context.set(0, rest);
    context.set(1, index_tensor(&kept, dtype)?);
    Ok(())
}

/// Returns the insertion points of values in sorted rows: before equal elements, or after them.
///
/// `behind` is true for `UpperBound`. The attribute `out_type` is the dtype of the places.
fn make_bound(spec: &NodeSpec<'_>, behind: bool) -> Result<Box<dyn Kernel>> {
    let out = spec.dtype("out_type")?;
    check_real(spec.input_dtype(0))?;
    Ok(boxed(move |context| bound(context, out, behind)))
}

/// Delivers the places of the values in input 1 in the sorted rows of input 0. Fails if the inputs are not
/// matrices of as many rows.
fn bound(context: &mut KernelContext<'_>, out: DType, behind: bool) -> Result<()> {
    let (&[rows, width], &[others, count]) =
        (context.input(0).shape().dims(), context.input(1).shape().dims())
    else {
        return Err(Error::invalid_argument("sorted inputs and values must be matrices"));
    };
    if rows != others {
        return Err(Error::invalid_argument("Leading dim_size of both tensors must match."));
    }
    // Doubles hold all numbers but large integers.
    let places = match context.values(0)? {
        Values::U64(sorted) => bounds(sorted, context.slice::<u64>(1)?, [width, count], behind)?,
        Values::I64(sorted) => bounds(sorted, context.slice::<i64>(1)?, [width, count], behind)?,
        _ => bounds(&context.doubles(0)?, &context.doubles(1)?, [width, count], behind)?,
    };
    let places = index_tensor(&places, out)?.reshaped([rows, count])?;
    context.set(0, places);
    Ok(())
}

/// Returns the insertion point of each value in its row. Rows have these numbers of elements and values.
///
/// `sorted` has rows of `width` elements, `values` rows of `count`. In a row that is not sorted the result is
/// some place of the row; the search still ends. With no elements in a row every place is 0.
fn bounds<T: PartialOrd>(
    sorted: &[T],
    values: &[T],
    [width, count]: [usize; 2],
    behind: bool,
) -> Result<Vec<usize>> {
    let place = |(i, value): (usize, &T)| {
        let row = &sorted[i / count * width..][..width];
        // As in TensorFlow, NaN is behind all numbers, and none is less than it.
        let is_behind = |x: &T| x > value;
        row.partition_point(|x| if behind { !is_behind(x) } else { x < value })
    };
    Ok(memory::collected(values.iter().enumerate().map(place))?)
}
