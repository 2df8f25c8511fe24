//! `RangeDataset`.
//!
//! # Semantics
//!
//! Inputs: `start`, `stop`, `step` (`int64`); a step of 0 is `InvalidArgument` from the initializer. Yields
//! `start + i * step` as long as it lies before `stop`, in the direction of the step; `stop` is excluded, and
//! a step away from it gives no element. The attribute `output_types` has one numeric dtype or `bool`; others
//! are `InvalidArgument`. Integers are truncated to the size of the dtype (D-60): 300 is 44 as `int8`.
//!
//! Cardinality: known. Random access: element `i` is computed. Position: the number of the next element.

use super::build::{Build, Op};
use super::dataset::{Dataset, Run, Shared, Source};
use super::element::Element;
use super::tensors::ByNumber;
use session_core::{Error, Result};
use std::sync::Arc;
use tensor::{DType, Tensor};

/// The op type; also a part of `enumerate`, which zips it with the input (D-3).
pub(super) const OPS: &[Op] = &[Op { types: &["RangeDataset"], functions: &[], make }];

/// Makes the dataset.
fn make(build: &Build<'_, '_>) -> Result<Shared> {
    let (start, stop, step) = (build.int("start")?, build.int("stop")?, build.int("step")?);
    if step == 0 {
        return Err(Error::invalid_argument("step must be a non-zero integer."));
    }
    // The distance of two 64-bit numbers does not fit into 64 bits.
    let span = i128::from(stop) - i128::from(start);
    let step_wide = i128::from(step);
    let count = if span.signum() == step_wide.signum() { (span.abs() - 1) / step_wide.abs() + 1 } else { 0 };
    let dtype = build.node.types.first().copied().unwrap_or(DType::Int64);
    // Tells from the initializer that the dtype is unsupported.
    number(dtype, 0)?;
    Ok(Arc::new(Range { start, step, count: u64::try_from(count).unwrap_or(u64::MAX), dtype }))
}

/// The dataset.
#[derive(Clone, Copy)]
struct Range {
    /// The first element.
    start: i64,
    /// The distance of two elements; not 0.
    step: i64,
    /// The number of elements.
    count: u64,
    /// The dtype of the elements.
    dtype: DType,
}

/// Returns a number as a scalar of a dtype; integers are truncated to its size (D-60).
fn number(dtype: DType, value: i64) -> Result<Tensor> {
    Ok(match dtype {
        DType::Int64 => Tensor::scalar(value),
        DType::Int32 => Tensor::scalar(value as i32),
        DType::Int16 => Tensor::scalar(value as i16),
        DType::Int8 => Tensor::scalar(value as i8),
        DType::UInt8 => Tensor::scalar(value as u8),
        DType::UInt16 => Tensor::scalar(value as u16),
        DType::UInt32 => Tensor::scalar(value as u32),
        DType::UInt64 => Tensor::scalar(value.cast_unsigned()),
        DType::Float32 => Tensor::scalar(value as f32),
        DType::Float64 => Tensor::scalar(value as f64),
        DType::Bool => Tensor::scalar(value != 0),
        other => return Err(Error::invalid_argument(format!("a range cannot be of {other}"))),
    })
}

impl Dataset for Range {
    fn name(&self) -> &'static str {
        "Range"
    }

    /// Returns the number of elements; one above the largest `int64` is reported as that.
    fn cardinality(&self) -> i64 {
        i64::try_from(self.count).unwrap_or(i64::MAX)
    }

    fn iterate(&self, _: &Run<'_>) -> Result<Source> {
        Ok(Box::new(ByNumber { dataset: *self, next: 0 }))
    }

    fn rows(&self) -> Option<u64> {
        Some(self.count)
    }

    fn row(&self, _: &Run<'_>, place: u64) -> Result<Element> {
        // Wrapping is exact: the true value lies between two 64-bit numbers, whatever the product is.
        let value = self.start.wrapping_add(self.step.wrapping_mul(place.cast_signed()));
        Ok(vec![number(self.dtype, value)?])
    }
}
