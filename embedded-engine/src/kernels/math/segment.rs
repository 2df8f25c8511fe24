//! Rows that share a number, folded into one: sums, means, products, extremes.
//!
//! # Semantics
//!
//! A row is what `data` has at one index of its first axis, or at one position of `segment_ids` for the
//! `Unsorted` forms, whose ids may have several axes. Ids are `int32` or `int64`.
//!
//! - `SegmentSum`, `Mean`, `Prod`, `Max` and `Min` take `data` `[n, ...]` and ascending `segment_ids` `[n]`
//!   and return `[last id + 1, ...]`.
//! - `UnsortedSegmentSum`, `Prod`, `Max` and `Min` take `data`, `segment_ids` whose shape is a prefix of its
//!   shape, and `num_segments`, and return `[num_segments, ...]`.
//! - `SparseSegmentSum`, `Mean` and `SqrtN` take `data` `[n, ...]`, `indices` `[k]` and ascending
//!   `segment_ids` `[k]` and return `[last id + 1, ...]`.
//! - The same with `WithNumSegments` take `num_segments`, too, and return `[num_segments, ...]`.
//! - Their `Grad` take `grad`, `indices`, `segment_ids` and `output_dim0` and return `[output_dim0, ...]`.
//! - Their `GradV2` take the same and return the rows that occur, and their indices.
//!
//! For example, `SegmentSum` of `[1, 2, 4]` with ids `[0, 0, 2]` is `[3, 0, 4]`.
//!
//! - Rows of ids that do not occur are 0 in the sorted forms, 1 for products. In the `Unsorted` ones they are
//!   0, 1, or the smallest finite number of the dtype for `Max` and the largest for `Min`.
//! - Negative ids are an error in the sorted forms and leave their row out in the `Unsorted` ones. Ids that
//!   descend, ids from `num_segments` on, and indices outside of `data` are `InvalidArgument`.
//! - `Mean` divides by the number of rows of the segment, `SqrtN` by its square root. Means of integers are
//!   rounded toward 0.
//! - A row without elements has no values to fold: ids of the `Unsorted` forms are not checked then.
//! - Integers wrap. NaN makes sums and products of its segment NaN. An extreme is NaN only if the last row of
//!   its segment is: rows are compared in their order, and of two that are not ordered the later one stays,
//!   so the maximum of `[3, NaN, 1]` is 1. TensorFlow's `SegmentMax` and `SegmentMin` skip NaN where a row
//!   fills the vectors of the CPU, and follow the same rule elsewhere.
//!
//! # Order and threads
//!
//! Rows are added in the order of their occurrence, in the precision of the dtype; 16-bit floats of the
//! `Sparse` forms are computed in `float32`. Each thread owns a range of segments of the sums, products and
//! extremes and adds what belongs there, so bits do not depend on the number of threads. The `Sparse` forms
//! use one thread. The cost is one pass over the rows that occur.
//!
//! ```text
//! SegmentMean            [1, 2, 6]  ids [0, 0, 2]                        -> [1.5, 0, 6]
//! UnsortedSegmentSum     [1, 2, 6]  ids [2, -1, 0], 4 segments           -> [6, 0, 1, 0]
//! UnsortedSegmentProd    [1, 2, 6]  ids [2, 2, 0], 3 segments            -> [6, 1, 2]
//! SparseSegmentSum       [1, 2, 6]  indices [2, 0, 2], ids [0, 0, 1]     -> [7, 6]
//! SparseSegmentMeanGrad  [4, 3]     indices [0, 0, 1], ids [0, 0, 1], 3 rows  -> [4, 3, 0]
//! ```

use super::elementwise::boxed;
use crate::kernel::{Kernel, KernelContext, NodeSpec};
use crate::kernels::array::outside;
use crate::registry::Registry;
use compute::elementwise::{self, BinaryOp, Broadcast, layout};
use compute::math::Real;
use session_core::{Code, Error, Result};
use tensor::{DType, Element, Shape, Tensor, memory};

/// Registers the op types. Names select the folding: see [`Folding::of`] and [`Share::of`].
pub(crate) fn register(registry: &mut Registry) {
    for op_type in ["SegmentSum", "SegmentMean", "UnsortedSegmentSum"] {
        registry.add(op_type, |spec| {
            let folding = Folding::of(spec);
            for_dtype!(number spec.input_dtype(0), T => Ok(boxed(move |context| sum::<T>(context, folding))))
        });
    }
    for op_type in ["SegmentProd", "UnsortedSegmentProd"] {
        registry.add(op_type, |spec| {
            let folding = Folding::of(spec);
            for_dtype!(number spec.input_dtype(0), T => {
                let one = from_f64::<T>(1.0);
                Ok(boxed(move |context| product::<T>(context, folding, one)))
            })
        });
    }
    for op_type in ["SegmentMax", "UnsortedSegmentMax"] {
        registry.add(op_type, |spec| make_extreme(spec, BinaryOp::Maximum));
    }
    for op_type in ["SegmentMin", "UnsortedSegmentMin"] {
        registry.add(op_type, |spec| make_extreme(spec, BinaryOp::Minimum));
    }
    for op_type in [
        "SparseSegmentSum",
        "SparseSegmentMean",
        "SparseSegmentSqrtN",
        "SparseSegmentSumWithNumSegments",
        "SparseSegmentMeanWithNumSegments",
        "SparseSegmentSqrtNWithNumSegments",
    ] {
        registry.add(op_type, |spec| {
            let share = Share::of(spec);
            for_dtype!(widened spec, spec.input_dtype(0), T => Ok(boxed(move |context| sparse::<T>(context, share))))
        });
    }
    for op_type in ["SparseSegmentSumGradV2", "SparseSegmentMeanGradV2", "SparseSegmentSqrtNGradV2"] {
        registry.add(op_type, |spec| {
            let share = Share::of(spec);
            for_dtype!(widened spec, spec.input_dtype(0), T => Ok(boxed(move |context| sparse_gradient_rows::<T>(context, share))))
        });
    }
    for op_type in ["SparseSegmentSumGrad", "SparseSegmentMeanGrad", "SparseSegmentSqrtNGrad"] {
        registry.add(op_type, |spec| {
            let share = Share::of(spec);
            for_dtype!(widened spec, spec.input_dtype(0), T => Ok(boxed(move |context| sparse_gradient::<T>(context, share))))
        });
    }
}

/// The differences between the op types, apart from their arithmetic.
#[derive(Clone, Copy)]
struct Folding {
    /// True if the ids rise, and the last one determines the number of segments; otherwise input 2 states it.
    sorted: bool,
    /// True to divide each sum by the number of its rows.
    mean: bool,
}

impl Folding {
    /// Reads both from the name of the op type: `Unsorted` in front, `Mean` at the end.
    fn of(spec: &NodeSpec<'_>) -> Folding {
        let name = spec.operation.op_type();
        Folding { sorted: !name.starts_with("Unsorted"), mean: name.ends_with("Mean") }
    }
}

/// Returns a number as an element of any numeric type. It is generic over all dtypes of numbers, for which
/// there is no common conversion; `value` is a small integer here.
fn from_f64<T: elementwise::Element>(value: f64) -> T
where
    f64: elementwise::CastTo<T>,
{
    let mut cast = [T::default()];
    elementwise::cast(&compute::Pool::single(), &[value], &mut cast);
    cast[0]
}

/// The least and the largest value of a type, finite and, where it has them, infinite.
///
/// Each is a pair: index 0 for the start of a maximum, index 1 for that of a minimum.
trait Limits: Copy {
    /// The least and the largest finite number.
    const FINITE: [Self; 2];
    /// The least and the largest number, infinities included.
    const ALL: [Self; 2];
}

/// Implements the limits.
macro_rules! limits {
    (floats $($type:ty),*) => {$(
        impl Limits for $type {
            const FINITE: [Self; 2] = [<$type>::MIN, <$type>::MAX];
            const ALL: [Self; 2] = [<$type>::NEG_INFINITY, <$type>::INFINITY];
        }
    )*};
    (integers $($type:ty),*) => {$(
        impl Limits for $type {
            const FINITE: [Self; 2] = [<$type>::MIN, <$type>::MAX];
            const ALL: [Self; 2] = Self::FINITE;
        }
    )*};
}
limits!(floats f32, f64, tensor::f16, tensor::bf16);
limits!(integers i8, i16, i32, i64, u8, u16, u32, u64);

/// Makes the kernel of a maximum or minimum. `op` is `Maximum` or `Minimum`.
///
/// ```text
///              start of the fold       segments without rows
/// sorted       -infinity               0
/// unsorted     the least finite        the least finite
/// ```
///
/// for maxima; for minima with the opposite signs.
fn make_extreme(spec: &NodeSpec<'_>, op: BinaryOp) -> Result<Box<dyn Kernel>> {
    let folding = Folding::of(spec);
    let least = op == BinaryOp::Minimum;
    for_dtype!(real spec.input_dtype(0), T => {
        // Sorted segments that are empty hold zeros; unsorted ones the least (or largest) finite number.
        // A fold starts from infinity even where an empty segment holds a finite number: sorted segments may
        // consist of infinities.
        let end = usize::from(least);
        let [start, empty] =
            if folding.sorted { [T::ALL[end], T::default()] } else { [T::FINITE[end], T::FINITE[end]] };
        Ok(boxed(move |context| match least {
            // The later of two numbers that are not ordered stays, which makes each a single instruction.
            false => extremes::<T>(context, folding, |a, b| if a > b { a } else { b }, [start, empty]),
            true => extremes::<T>(context, folding, |a, b| if a < b { a } else { b }, [start, empty]),
        }))
    })
}

/// The segments of the rows of input 0. The ids are below the number of segments only after the fold has
/// checked them.
struct Segments {
    /// The segment of each row; a negative one drops the row.
    ids: Vec<i64>,
    /// The shape of the result: the number of segments, then the axes of a row.
    shape: Shape,
    /// The number of elements of a row.
    width: usize,
}

impl Segments {
    /// Reads and checks the ids from inputs 0 and 1, and the number of segments from input 2 unless they are
    /// sorted. Fails if the shape of `data` does not begin with that of the ids, if sorted ids are not a
    /// vector that rises from 0 or more, or if the number of segments is negative.
    fn of(context: &KernelContext<'_>, sorted: bool) -> Result<Segments> {
        let (data, ids) = (context.input(0).shape(), context.input(1).shape());
        let rows = if sorted { ids.rank() == 1 } else { true };
        if !rows || data.rank() < ids.rank() || data[..ids.rank()] != ids[..] {
            let text = format!("data.shape = {data} does not start with segment_ids.shape = {ids}");
            return Err(Error::invalid_argument(text));
        }
        let rest = &data[ids.rank()..];
        let ids = context.ints(1)?;
        let count = if sorted { sorted_count(&ids)? } else { number_of_segments(context)? };
        let shape = std::iter::once(count).chain(rest.iter().copied()).collect();
        Ok(Segments { ids, shape, width: rest.iter().product() })
    }

    /// Returns the number of rows that each segment has. Rows with an id outside of the segments are not
    /// counted.
    fn counts(&self) -> Result<Vec<usize>> {
        let mut counts = memory::filled(0, self.shape[0])?;
        for &id in &self.ids {
            if let Some(count) = usize::try_from(id).ok().and_then(|id| counts.get_mut(id)) {
                *count += 1;
            }
        }
        Ok(counts)
    }
}

/// Returns the number of segments from input 2. Fails if it is negative.
fn number_of_segments(context: &KernelContext<'_>) -> Result<usize> {
    usize::try_from(context.int(2)?).map_err(|_| Error::invalid_argument("num_segments must be non-negative"))
}

/// Returns the number of segments of ascending ids: the last id plus one, and 0 without ids. Fails if ids
/// descend or the first one is negative.
fn sorted_count(ids: &[i64]) -> Result<usize> {
    if ids.first().is_some_and(|&id| id < 0) {
        return Err(Error::invalid_argument(format!("segment ids must be >= 0: {}", ids[0])));
    }
    if !ids.is_sorted() {
        return Err(Error::invalid_argument("segment ids are not increasing"));
    }
    Ok(ids.last().map_or(0, |&last| (last as usize).saturating_add(1)))
}

/// Computes sums or means. A mean is the sum divided by the number of rows afterwards, in the dtype.
fn sum<T: Element + elementwise::Element>(context: &mut KernelContext<'_>, folding: Folding) -> Result<()>
where
    f64: elementwise::CastTo<T>,
{
    let segments = Segments::of(context, folding.sorted)?;
    context.produce::<T>(0, segments.shape.clone(), |context, output| {
        let (pool, data) = (context.pool(), context.slice::<T>(0)?);
        layout::unsorted_segment_sum(pool, segments.width, data, &segments.ids, output).map_err(outside)?;
        if folding.mean { divide(context, &segments, output) } else { Ok(()) }
    })
}

/// Divides the sums by the numbers of rows. Integer division rounds toward 0, as in TensorFlow.
fn divide<T: elementwise::Element>(
    context: &KernelContext<'_>,
    segments: &Segments,
    sums: &mut [T],
) -> Result<()>
where
    f64: elementwise::CastTo<T>,
{
    let cannot = || Error::new(Code::Unimplemented, format!("no mean of {}", T::NAME));
    let division = T::binary(BinaryOp::Div).ok_or_else(cannot)?;
    // One count for all elements of a row.
    let plan = Broadcast::new([&[segments.width], &[1]])
        .map_err(|error| super::elementwise::incompatible(&error))?;
    // Rows are short, and handing each to threads would cost more than the division.
    let pool = compute::Pool::single();
    let mut watch = context.watch();
    for (row, count) in sums.chunks_exact_mut(segments.width.max(1)).zip(segments.counts()?) {
        watch.tick(row.len())?;
        // Of none there is nothing to divide, and of one it stays.
        if count < 2 {
            continue;
        }
        let count = [from_f64::<T>(count as f64)];
        division
            .run_in_place_left(&pool, &plan, row, &count)
            .map_err(|error| Error::invalid_argument(error.to_string()))?;
    }
    Ok(())
}

/// Computes products. Segments without rows hold `one`. `folding` states where the number of segments comes
/// from.
///
/// Rows of negative ids, which only the `Unsorted` form has, are left out by a copy of the others.
fn product<T: Element + elementwise::Element>(
    context: &mut KernelContext<'_>,
    folding: Folding,
    one: T,
) -> Result<()> {
    let segments = Segments::of(context, folding.sorted)?;
    let cannot = || Error::new(Code::Unimplemented, format!("no product of segments of {}", T::NAME));
    let kernel = T::binary(BinaryOp::Mul).ok_or_else(cannot)?;
    context.produce::<T>(0, segments.shape.clone(), |context, output| {
        // Products have no loop of their own for segments: they are scattered onto the start value.
        output.fill(one);
        let (width, data) = (segments.width, context.slice::<T>(0)?);
        if segments.ids.iter().any(|&id| id < 0) {
            // `layout::scatter` refuses negative indices, since other ops do not allow them; the rows are
            // copied without those.
            let kept = || (0..segments.ids.len()).filter(|&i| segments.ids[i] >= 0);
            let mut ids = memory::reserve(kept().count())?;
            let mut rows = memory::reserve(kept().count() * width)?;
            ids.extend(kept().map(|i| segments.ids[i]));
            kept().for_each(|i| rows.extend_from_slice(&data[i * width..][..width]));
            layout::scatter(context.pool(), kernel, width, output, &ids, &rows).map_err(outside)
        } else {
            layout::scatter(context.pool(), kernel, width, output, &segments.ids, data).map_err(outside)
        }
    })
}

/// Computes maxima or minima. `later` returns the extreme of the rows so far and the next one. `start` is
/// what every segment is folded from, `empty` what segments without rows hold; they differ for sorted ids.
fn extremes<T: Element + elementwise::Element>(
    context: &mut KernelContext<'_>,
    folding: Folding,
    later: impl Fn(T, T) -> T + Sync,
    [start, empty]: [T; 2],
) -> Result<()> {
    let segments = Segments::of(context, folding.sorted)?;
    context.produce::<T>(0, segments.shape.clone(), |context, output| {
        output.fill(start);
        let (width, data) = (segments.width, context.slice::<T>(0)?);
        layout::unsorted_segment_fold(context.pool(), width, data, &segments.ids, output, later)
            .map_err(outside)?;
        // NaN would be unequal to itself and fill every time, but no start value is NaN.
        if empty != start {
            let mut watch = context.watch();
            for (row, count) in output.chunks_exact_mut(width.max(1)).zip(segments.counts()?) {
                watch.tick(width)?;
                if count == 0 {
                    row.fill(empty);
                }
            }
        }
        Ok(())
    })
}

/// The weight of a row in a segment of `n` rows: 1, `1 / n`, or `1 / sqrt(n)`.
///
/// In the forward ops it multiplies the sum of a segment, in the gradients each row.
#[derive(Clone, Copy)]
enum Share {
    /// The weight 1: the result is a sum.
    Whole,
    /// The weight `1 / n`: the result is a mean.
    Mean,
    /// The weight `1 / sqrt(n)`.
    Root,
}

impl Share {
    /// Reads the weight from the name of the op type, the forward op or a gradient.
    fn of(spec: &NodeSpec<'_>) -> Share {
        let name = spec.operation.op_type();
        if name.contains("Mean") {
            Share::Mean
        } else if name.contains("SqrtN") {
            Share::Root
        } else {
            Share::Whole
        }
    }

    /// Returns the weight of a row in a segment of `count` rows. A segment without rows has the weight of one
    /// row, so nothing is divided by 0.
    fn factor(self, count: usize) -> f64 {
        let count = count.max(1) as f64;
        match self {
            Share::Whole => 1.0,
            Share::Mean => 1.0 / count,
            Share::Root => 1.0 / count.sqrt(),
        }
    }
}

/// Returns pairs of an index into `rows` rows and the segment of that entry, in the order of the input, with
/// the number of entries of each of `segments` segments. Reads inputs 1 and 2, which must be equally long;
/// each index and segment must be in range.
fn entries(
    context: &KernelContext<'_>,
    rows: usize,
    segments: usize,
) -> Result<(Vec<[usize; 2]>, Vec<usize>)> {
    let (indices, ids) = (context.ints(1)?, context.ints(2)?);
    if indices.len() != ids.len() {
        let text = format!("{} indices and {} segment ids", indices.len(), ids.len());
        return Err(Error::invalid_argument(text));
    }
    let mut counts = memory::filled(0, segments)?;
    let mut entries = memory::reserve(ids.len())?;
    for (i, (&index, &id)) in indices.iter().zip(&ids).enumerate() {
        let index = usize::try_from(index).ok().filter(|&index| index < rows);
        let id = usize::try_from(id).ok().filter(|&id| id < segments);
        let (Some(index), Some(id)) = (index, id) else {
            let text = format!("index {} or segment {} at {i} is out of range", indices[i], ids[i]);
            return Err(Error::invalid_argument(text));
        };
        counts[id] += 1;
        entries.push([index, id]);
    }
    Ok((entries, counts))
}

/// Returns the number of rows, and the dimensions of one. `[4, 3, 2]` has 4 rows of `[3, 2]`. Fails for a
/// scalar.
fn rows(shape: &Shape) -> Result<(usize, &[usize])> {
    let (&rows, rest) =
        shape.split_first().ok_or_else(|| Error::invalid_argument("a scalar has no rows to fold"))?;
    Ok((rows, rest))
}

/// Folds rows of a table that indices select, without a copy of the rows. First sums are made, which are then
/// multiplied by the weight of the segment: the other order would round once per row.
///
/// The number of segments is input 3 if there is one, otherwise the last id plus one.
fn sparse<T: Element + Real>(context: &mut KernelContext<'_>, share: Share) -> Result<()> {
    let shape = context.input(0).shape().clone();
    let (size, rest) = rows(&shape)?;
    // Also a check that the ids rise, which the forms with a given number need as well.
    let least = sorted_count(&context.ints(2)?)?;
    let segments = match context.num_inputs() {
        // Only the forms `WithNumSegments` have a fourth input.
        3 => least,
        _ => given_count(context.int(3)?, least)?,
    };
    let (entries, counts) = entries(context, size, segments)?;
    let width: usize = rest.iter().product();
    let dims: Shape = std::iter::once(segments).chain(rest.iter().copied()).collect();
    context.produce::<T>(0, dims, |context, output| {
        output.fill(T::default());
        let data = context.slice::<T>(0)?;
        let mut watch = context.watch();
        for [index, id] in entries {
            watch.tick(width)?;
            add_scaled(&mut output[id * width..][..width], &data[index * width..][..width], T::of(1.0));
        }
        for (row, count) in output.chunks_exact_mut(width.max(1)).zip(counts) {
            watch.tick(width)?;
            let factor = T::of(share.factor(count));
            row.iter_mut().for_each(|x| *x = *x * factor);
        }
        Ok(())
    })
}

/// Returns the number of segments that is given, which must be as many as occur or more. `least` is the
/// number of segments that the ids need. Fails if `count` is smaller.
fn given_count(count: i64, least: usize) -> Result<usize> {
    let given = usize::try_from(count)
        .map_err(|_| Error::invalid_argument(format!("num_segments must not be negative: {count}")))?;
    if given < least {
        let text = format!("segment id {} is not below num_segments, {given}", least - 1);
        return Err(Error::invalid_argument(text));
    }
    Ok(given)
}

/// Adds a row, multiplied by a factor. Both have the same length. A factor of 1 changes no bits.
fn add_scaled<T: Real>(to: &mut [T], row: &[T], factor: T) {
    to.iter_mut().zip(row).for_each(|(to, &x)| *to = *to + x * factor);
}

/// Computes the gradient with respect to the table. Row `i` of the table gets the gradient of each segment
/// that it is part of, times the weight; rows that no index selects are 0. `output_dim0` is the number of
/// rows of the table.
fn sparse_gradient<T: Element + Real>(context: &mut KernelContext<'_>, share: Share) -> Result<()> {
    let shape = context.input(0).shape().clone();
    let (segments, rest) = rows(&shape)?;
    let size = context.int(3)?;
    let size = usize::try_from(size)
        .map_err(|_| Error::invalid_argument(format!("output_dim0 must not be negative: {size}")))?;
    let (entries, counts) = entries(context, size, segments)?;
    let width: usize = rest.iter().product();
    let dims: Shape = std::iter::once(size).chain(rest.iter().copied()).collect();
    context.produce::<T>(0, dims, |context, output| {
        output.fill(T::default());
        let gradient = context.slice::<T>(0)?;
        for [index, id] in entries {
            let factor = T::of(share.factor(counts[id]));
            add_scaled(&mut output[index * width..][..width], &gradient[id * width..][..width], factor);
        }
        Ok(())
    })
}

/// Computes the same gradient for the selected rows only, with their indices in ascending order. Output 0 has
/// a row for each index that occurs, and output 1 the indices, in their own dtype. The rows are those of
/// [`sparse_gradient`], bit by bit.
fn sparse_gradient_rows<T: Element + Real>(context: &mut KernelContext<'_>, share: Share) -> Result<()> {
    let shape = context.input(0).shape().clone();
    let (segments, rest) = rows(&shape)?;
    let size = context.int(3)?;
    let size = usize::try_from(size)
        .map_err(|_| Error::invalid_argument(format!("dense_output_dim0 must not be negative: {size}")))?;
    let (entries, counts) = entries(context, size, segments)?;
    // The rows that occur, each once; entries look theirs up by binary search.
    let mut chosen = memory::collected(entries.iter().map(|[index, _]| *index))?;
    chosen.sort_unstable();
    chosen.dedup();
    let width: usize = rest.iter().product();
    let dims: Shape = std::iter::once(chosen.len()).chain(rest.iter().copied()).collect();
    let indices = match context.input(1).dtype() {
        DType::Int32 => Tensor::from(memory::collected(chosen.iter().map(|&index| index as i32))?),
        _ => Tensor::from(memory::collected(chosen.iter().map(|&index| index as i64))?),
    };
    context.produce::<T>(0, dims, |context, output| {
        output.fill(T::default());
        let gradient = context.slice::<T>(0)?;
        for [index, id] in entries {
            let factor = T::of(share.factor(counts[id]));
            // The position of a known index in the sorted list.
            let row = chosen.partition_point(|&known| known < index);
            add_scaled(&mut output[row * width..][..width], &gradient[id * width..][..width], factor);
        }
        Ok(())
    })?;
    context.set(1, indices);
    Ok(())
}
