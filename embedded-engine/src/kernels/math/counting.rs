//! Counts: bins, buckets, and bits.
//!
//! # Semantics
//!
//! - `Bincount` takes integers `arr` of any shape, a scalar `size` and `weights`, which are empty or as many
//!   as the integers. Output `i` of `[size]` is the number of integers equal to `i`, or the sum of their
//!   weights, in the order of the input. Integers of `size` and above are ignored; a negative one is
//!   `InvalidArgument`.
//! - `DenseBincount` takes a scalar, a vector or a matrix, whose rows are counted separately:
//!   `[rows, columns]` gives `[rows, size]`. With `binary_output` (default false) it returns 1 for any
//!   positive count and ignores the weights.
//! - `HistogramFixedWidth` takes `values`, `value_range` (`[low, high]` with `low < high`) and `nbins > 0`.
//!   Its bins have equal width; values beyond the range, infinities included, count in the first and the last
//!   bin; NaN is `InvalidArgument`. The attribute `dtype` (default `int32`) is that of the counts.
//! - `Bucketize` returns for each value, as `int32`, the number of `boundaries` (attribute, ascending) that
//!   are not greater: boundaries `[0, 10]` give 0 for -1, 1 for 0, and 2 for 10. NaN is above all boundaries.
//! - `PopulationCount` returns the number of bits that are 1 as `uint8`, of integers in two's complement: 8
//!   for -1 as `int8`.
//!
//! Counting costs a pass over the values. `Bincount` may use several threads, each for its own bins, so bits
//! do not depend on their number; the other kernels use one.
//!
//! ```text
//! Bincount        [1, 1, 5], size 3, no weights             -> [0, 2, 0]
//! Bincount        [1, 1, 5], size 3, weights [1, 2, 3]      -> [0, 3, 0]
//! DenseBincount   [[0, 1], [1, 1]], size 2                  -> [[1, 1], [0, 2]]
//! HistogramFixedWidth  [-1, 0.2, 0.7, 9], range [0, 1], 2 bins  -> [2, 2]
//! ```

use super::elementwise::boxed;
use crate::dispatch::check_real;
use crate::kernel::KernelContext;
use crate::registry::Registry;
use compute::elementwise;
use session_core::{AttrValue, Error, Result};
use tensor::{DType, Element, Shape, memory};

/// `Bucketize` checks its boundaries here, when the plan is compiled.
pub(crate) fn register(registry: &mut Registry) {
    registry.add("Bincount", |spec| for_dtype!(number spec.input_dtype(2), T => Ok(boxed(bincount::<T>))));
    registry.add("DenseBincount", |spec| {
        let binary = spec.bool("binary_output")?;
        for_dtype!(number spec.input_dtype(2), T => Ok(boxed(move |context| dense_bincount::<T>(context, binary))))
    });
    registry.add("HistogramFixedWidth", |spec| {
        let out = spec.dtype("dtype").unwrap_or(DType::Int32);
        check_real(spec.input_dtype(0))?;
        Ok(boxed(move |context| histogram(context, out)))
    });
    registry.add("Bucketize", |spec| {
        let boundaries =
            spec.attr("boundaries")?.as_list().map(|list| list.iter().map(AttrValue::as_float).collect());
        let wrong = || Error::value("attribute 'boundaries' is not a list of numbers");
        // A single element that is not a float makes the whole list wrong.
        let boundaries: Vec<f32> = boundaries.flatten().ok_or_else(wrong)?;
        if !boundaries.is_sorted() {
            return Err(Error::invalid_argument("expected sorted boundaries"));
        }
        check_real(spec.input_dtype(0))?;
        Ok(boxed(move |context| bucketize(context, &boundaries)))
    });
    registry.add("PopulationCount", |spec| {
        // Bits are counted alike in signed and unsigned integers.
        for_dtype!(@arms unsigned(spec.input_dtype(0)), T =>
            Ok(boxed(|context| {
                let shape = context.input(0).shape().clone();
                context.produce::<u8>(0, shape, |context, output| {
                    let input = context.moved::<T>(0)?;
                    output.iter_mut().zip(input).for_each(|(out, x)| *out = x.count_ones() as u8);
                    Ok(())
                })
            })),
            UInt8: u8, UInt16: u16, UInt32: u32, UInt64: u64)
    });
}

/// Returns the unsigned dtype of the same width, whose bits are the same; other dtypes stay.
fn unsigned(dtype: DType) -> DType {
    match dtype {
        DType::Int8 => DType::UInt8,
        DType::Int16 => DType::UInt16,
        DType::Int32 => DType::UInt32,
        DType::Int64 => DType::UInt64,
        other => other,
    }
}

/// Returns the number of counts that an input asks for. Fails for a negative number.
pub(super) fn size(context: &KernelContext<'_>, input: usize) -> Result<usize> {
    let size = context.int(input)?;
    usize::try_from(size).map_err(|_| Error::invalid_argument(format!("size ({size}) must be non-negative")))
}

/// Returns the number 1. It is generic over all dtypes of counts, complex ones included, for which Rust has
/// no common literal.
pub(super) fn one<T: Element + elementwise::Element>(context: &KernelContext<'_>) -> T
where
    f64: elementwise::CastTo<T>,
{
    let mut one = [T::default()];
    elementwise::cast(context.pool(), &[1f64], &mut one);
    one[0]
}

/// Counts a value: by its weight, or as `one` if there are no weights. A binary count only records that there
/// is a value. `total` is the bin; `weight` is none if the op has no weights, not if this value's is 0.
pub(super) fn count<T: Copy + std::ops::AddAssign>(total: &mut T, weight: Option<&T>, one: T, binary: bool) {
    match weight {
        _ if binary => *total = one,
        Some(&weight) => *total += weight,
        None => *total += one,
    }
}

/// The values of a `Bincount` that are below its size, with their positions in the input.
struct Bins {
    /// The number of bins.
    size: usize,
    /// The position of each kept value among all, which is also that of its weight.
    places: Vec<usize>,
    /// The kept values, each of `0..size`, in the order of the input.
    bins: Vec<i64>,
}

impl Bins {
    /// Reads inputs 0 to 2. Fails for a negative value, and for weights that are neither empty nor as many as
    /// the values; only their number counts, not their shape.
    fn of(context: &KernelContext<'_>) -> Result<Bins> {
        let size = size(context, 1)?;
        let values = context.ints(0)?;
        if values.iter().any(|&value| value < 0) {
            return Err(Error::invalid_argument("Input arr must be non-negative!"));
        }
        let weights = context.input(2).elements();
        if weights > 0 && weights != values.len() {
            return Err(Error::invalid_argument(format!("{weights} weights for {} values", values.len())));
        }
        let is_kept = |&value: &i64| (value as u64) < size as u64;
        // Counted before, so that memory is reserved once and a refusal is an error and not an abort.
        let count = values.iter().filter(|value| is_kept(value)).count();
        let (mut places, mut bins) = (memory::reserve(count)?, memory::reserve(count)?);
        for (place, &value) in values.iter().enumerate().filter(|(_, value)| is_kept(value)) {
            places.push(place);
            bins.push(value);
        }
        Ok(Bins { size, places, bins })
    }
}

/// Delivers the counts or sums of weights of `Bincount`. A bin is a segment, so this is a sum over segments
/// of rows of one element.
fn bincount<T: Element + elementwise::Element>(context: &mut KernelContext<'_>) -> Result<()>
where
    f64: elementwise::CastTo<T>,
{
    let Bins { size, places, bins } = Bins::of(context)?;
    let given = context.slice::<T>(2)?;
    // Without weights each value counts as one; with them, the kept ones follow the kept values.
    let mut weights = memory::filled(one::<T>(context), places.len())?;
    if !given.is_empty() {
        for (weight, place) in weights.iter_mut().zip(places) {
            *weight = given[place];
        }
    }
    context.produce::<T>(0, [size], |context, output| {
        elementwise::layout::unsorted_segment_sum(context.pool(), 1, &weights, &bins, output)
            .map_err(crate::kernels::array::outside)
    })
}

/// Delivers the counts or sums of weights of `DenseBincount`. A vector and a scalar are one row, and their
/// output has rank 1. Weights must have exactly the shape of the values, unlike those of `Bincount`.
fn dense_bincount<T>(context: &mut KernelContext<'_>, binary: bool) -> Result<()>
where
    T: Element + elementwise::Element + std::ops::AddAssign,
    f64: elementwise::CastTo<T>,
{
    let size = size(context, 1)?;
    let input = context.input(0).shape().clone();
    let (rows, columns, shape) = match *input.dims() {
        [rows, columns] => (rows, columns, Shape::from([rows, size])),
        [columns] => (1, columns, Shape::from([size])),
        [] => (1, 1, Shape::from([size])),
        _ => return Err(Error::invalid_argument(format!("input must have rank 1 or 2, not shape {input}"))),
    };
    let values = context.ints(0)?;
    if values.iter().any(|&value| value < 0) {
        return Err(Error::invalid_argument("Input must be non-negative!"));
    }
    let given = context.input(2).shape().clone();
    if given.elements() > 0 && given != input {
        let text = format!("weights of shape {given} for values of shape {input}");
        return Err(Error::invalid_argument(text));
    }
    let one = one::<T>(context);
    context.produce::<T>(0, shape, |context, output| {
        output.fill(T::default());
        let weights = context.slice::<T>(2)?;
        for row in 0..rows {
            for place in row * columns..(row + 1) * columns {
                let Some(bin) = usize::try_from(values[place]).ok().filter(|&bin| bin < size) else {
                    continue;
                };
                count(&mut output[row * size + bin], weights.get(place), one, binary);
            }
        }
        Ok(())
    })
}

/// Delivers the counts of `HistogramFixedWidth`. The bin of a value is `floor((value - low) / step)`,
/// computed in double precision for every dtype.
///
/// Counts are kept as `usize` and converted at the end. Fails for a range that is not two numbers in order,
/// for `nbins` below 1, and for NaN.
fn histogram(context: &mut KernelContext<'_>, out: DType) -> Result<()> {
    let bins = context.int(2)?;
    let bins = usize::try_from(bins).ok().filter(|&bins| bins > 0).ok_or_else(|| {
        Error::invalid_argument(format!("nbins should be a positive number, but got '{bins}'"))
    })?;
    let range = context.doubles(1)?;
    let &[low, high] = range.as_slice() else {
        return Err(Error::invalid_argument("value_range should be a vector of 2 elements"));
    };
    if low >= high || low.is_nan() || high.is_nan() {
        let text =
            format!("value_range should satisfy value_range[0] < value_range[1], but got '[{low}, {high}]'");
        return Err(Error::invalid_argument(text));
    }
    let mut counts = memory::filled(0usize, bins)?;
    // Not 0: the bounds were checked to be in order.
    let step = (high - low) / bins as f64;
    for value in context.doubles(0)? {
        if value.is_nan() {
            return Err(Error::invalid_argument("Histogram values must not contain NaN"));
        }
        let bin = ((value.clamp(low, high) - low) / step).floor() as usize;
        // `high` itself, and rounding just below it, would be one bin too far.
        counts[bin.min(bins - 1)] += 1;
    }
    let counts = crate::kernels::array::shape_tensor(&counts.into(), out)?;
    context.set(0, counts);
    Ok(())
}

/// Delivers, for each value, the number of boundaries that are not greater than the value, which are all for
/// NaN. By binary search; integers are compared as doubles.
fn bucketize(context: &mut KernelContext<'_>, boundaries: &[f32]) -> Result<()> {
    let shape = context.input(0).shape().clone();
    let values = context.doubles(0)?;
    context.produce::<i32>(0, shape, |_, output| {
        for (out, value) in output.iter_mut().zip(values) {
            // Not `<=`, which is false for NaN.
            let is_greater = |&boundary: &f32| f64::from(boundary) > value;
            *out = boundaries.partition_point(|boundary| !is_greater(boundary)) as i32;
        }
        Ok(())
    })
}
