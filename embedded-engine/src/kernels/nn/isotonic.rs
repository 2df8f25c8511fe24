//! Isotonic regression.
//!
//! # Semantics
//!
//! `IsotonicRegression` takes real numbers of any shape and returns, for each sequence along the last axis,
//! the nearest sequence by the sum of squares that does not rise, of the float dtype `output_dtype`, and the
//! number of the segment of each element, as `int32`. Neighboring segments are replaced by their mean as long
//! as the later one is larger: `[1, 3, 2, 2]` becomes `[2, 2, 2, 2]` with segments `[0, 0, 1, 2]`. Segments
//! of equal means stay apart. A scalar is a sequence of one element. NaN is a segment of its own.
//!
//! Pools adjacent violators in linear time, with means in double precision, in one thread.

use crate::kernel::KernelContext;
use crate::kernels::math::boxed;
use crate::registry::Registry;
use compute::elementwise::CastTo;
use session_core::Result;
use tensor::{DType, Tensor, memory};

/// Registers the op type. The dtype of the result need not be that of the input.
pub(crate) fn register(registry: &mut Registry) {
    registry.add("IsotonicRegression", |spec| {
        let dtype = spec.dtype("output_dtype")?;
        crate::dispatch::check_real(spec.input_dtype(0))?;
        Ok(boxed(move |context| regression(context, dtype)))
    });
}

/// A run of elements that have the same result.
///
/// Sum and number, from which the mean follows, so two segments merge without their elements.
struct Segment {
    /// The sum of the elements.
    sum: f64,
    /// The number of elements, at least 1.
    count: usize,
}

impl Segment {
    /// Returns the result of all elements of the segment.
    fn mean(&self) -> f64 {
        self.sum / self.count as f64
    }
}

/// Delivers the nearest sequences as `dtype`, and the segments. A stack of segments that do not rise grows
/// element by element; a new element swallows those before it that are smaller.
fn regression(context: &mut KernelContext<'_>, dtype: DType) -> Result<()> {
    let shape = context.input(0).shape().clone();
    let values = context.doubles(0)?;
    let width = shape.last().copied().unwrap_or(1);
    let mut nearest = memory::reserve(values.len())?;
    let mut numbers: Vec<i32> = memory::reserve(values.len())?;
    let mut watch = context.watch();
    for row in values.chunks_exact(width.max(1)) {
        watch.tick(width)?;
        let mut segments: Vec<Segment> = memory::reserve(width)?;
        for &value in row {
            let mut last = Segment { sum: value, count: 1 };
            // A segment that swallows its predecessor may now be larger than the one before that.
            while let Some(before) = segments.pop_if(|before| before.mean() < last.mean()) {
                last = Segment { sum: before.sum + last.sum, count: before.count + last.count };
            }
            segments.push(last);
        }
        for (number, segment) in segments.iter().enumerate() {
            nearest.extend(std::iter::repeat_n(segment.mean(), segment.count));
            numbers.extend(std::iter::repeat_n(number as i32, segment.count));
        }
    }
    let found = for_dtype!(float dtype, T => {
        let narrowed = memory::collected(nearest.iter().map(|&value| CastTo::<T>::cast(value)))?;
        Ok(Tensor::from_vec(narrowed, shape.clone())?)
    })?;
    context.set(0, found);
    context.set(1, Tensor::from_vec(numbers, shape)?);
    Ok(())
}
