//! Isotonic regression.
//!
//! # Semantics
//!
//! `IsotonicRegression` returns, for each sequence along the last axis, the nearest sequence that does not rise: neighboring segments are
//! replaced by their mean as long as the later one is larger. Segments of equal means stay apart. A scalar is a sequence of one element.
//! Means are computed in double precision.

use crate::kernel::KernelContext;
use crate::kernels::math::boxed;
use crate::registry::Registry;
use compute::elementwise::CastTo;
use session_core::Result;
use tensor::{DType, Tensor, memory};

pub(crate) fn register(registry: &mut Registry) {
    registry.add("IsotonicRegression", |spec| {
        let dtype = spec.dtype("output_dtype")?;
        crate::dispatch::check_real(spec.input_dtype(0))?;
        Ok(boxed(move |context| regression(context, dtype)))
    });
}

/// A run of elements that have the same result.
struct Segment {
    sum: f64,
    count: usize,
}

impl Segment {
    fn mean(&self) -> f64 {
        self.sum / self.count as f64
    }
}

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
