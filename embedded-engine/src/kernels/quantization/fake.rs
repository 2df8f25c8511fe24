//! Rounding as if numbers were stored in few bits, and its gradients.
//!
//! # Semantics
//!
//! The range is shifted slightly so that 0 is represented exactly. A number is rounded to the nearest of
//! `2^num_bits` steps in the range, or `2^num_bits - 1` with `narrow_range`, and clamped to it. The gradient
//! passes inside of the range and is 0 beyond; what is beyond counts for the minimum or the maximum.
//!
//! The op types take `float32` of any shape. The range is two attributes (`Args`), two scalar inputs
//! (`Vars`), or two vectors with one entry for each index of the last axis (`PerChannel`). `num_bits` is 2
//! to 16. The gradients have the incoming gradient and the forward input as their first inputs; `Vars` and
//! `PerChannel` also return the gradients of the minimum and the maximum.
//!
//! ```text
//! FakeQuantWithMinMaxArgs, min -6, max 6, num_bits 2
//! grid: -8, -4, 0, 4     [-7, 0.1, 9]   ->   [-8, 0, 4]
//! ```
//!
//! A range of 0 to 0 gives zeros, with a gradient that passes everywhere. Input and gradient of different
//! shapes are `InvalidArgument`, and so is a minimum that is not less than the maximum where both are
//! attributes. Gradients of the ends are added in the order of the elements.

use crate::kernel::{KernelContext, NodeSpec};
use crate::kernels::math::boxed;
use crate::registry::Registry;
use session_core::{Error, Result};
use tensor::{Shape, Tensor};

/// Registers the op types. Grids of constant ranges are computed when the plan is compiled.
pub(super) fn register(registry: &mut Registry) {
    registry.add("FakeQuantWithMinMaxArgs", |spec| {
        let steps = Steps::of(spec)?;
        let grid = steps.fixed(spec)?;
        Ok(boxed(move |context| round(context, &[grid])))
    });
    registry.add("FakeQuantWithMinMaxArgsGradient", |spec| {
        let steps = Steps::of(spec)?;
        let grid = steps.fixed(spec)?;
        Ok(boxed(move |context| {
            check_same(context)?;
            let shape = context.input(0).shape().clone();
            context.produce::<f32>(0, shape, |context, output| {
                let pairs = context.slice::<f32>(0)?.iter().zip(context.slice::<f32>(1)?);
                for (out, (&gradient, &x)) in output.iter_mut().zip(pairs) {
                    *out = if grid.holds(x) { gradient } else { 0.0 };
                }
                Ok(())
            })
        }))
    });
    for op_type in ["FakeQuantWithMinMaxVars", "FakeQuantWithMinMaxVarsPerChannel"] {
        registry.add(op_type, |spec| {
            let steps = Steps::of(spec)?;
            let each = spec.operation.op_type().ends_with("PerChannel");
            Ok(boxed(move |context| {
                let grids = steps.grids(context, 0, 1, each)?;
                round(context, &grids)
            }))
        });
    }
    for op_type in ["FakeQuantWithMinMaxVarsGradient", "FakeQuantWithMinMaxVarsPerChannelGradient"] {
        registry.add(op_type, |spec| {
            let steps = Steps::of(spec)?;
            let each = spec.operation.op_type().contains("PerChannel");
            Ok(boxed(move |context| {
                check_same(context)?;
                let grids = steps.grids(context, 1, 2, each)?;
                gradients(context, &grids)
            }))
        });
    }
}

/// Fails unless the gradient and the forward input have the same shape.
fn check_same(context: &KernelContext<'_>) -> Result<()> {
    let (gradients, inputs) = (context.input(0).shape(), context.input(1).shape());
    if gradients == inputs {
        return Ok(());
    }
    Err(Error::invalid_argument(format!(
        "gradient and input must be the same size: {gradients} and {inputs}"
    )))
}

/// The integers that represent numbers.
///
/// Kept as floats, because all arithmetic with them is in single precision, as in TensorFlow.
#[derive(Clone, Copy)]
struct Steps {
    /// The least integer: 0, or 1 for a narrow range.
    first: f32,
    /// The largest integer, `2^num_bits - 1`.
    last: f32,
}

impl Steps {
    /// Reads `num_bits` and `narrow_range`.
    fn of(spec: &NodeSpec<'_>) -> Result<Steps> {
        let bits = spec.int("num_bits")?;
        if !(2..=16).contains(&bits) {
            return Err(Error::invalid_argument(format!(
                "num_bits must be between 2 and 16, inclusive, got {bits}"
            )));
        }
        let first = if spec.bool("narrow_range")? { 1.0 } else { 0.0 };
        Ok(Steps { first, last: ((1u32 << bits) - 1) as f32 })
    }

    /// Returns the grid of the attributes `min` and `max`.
    ///
    /// Fails with `InvalidArgument` unless the minimum is less than the maximum. Ranges from inputs are not
    /// checked in this way, as in TensorFlow.
    fn fixed(self, spec: &NodeSpec<'_>) -> Result<Grid> {
        let (least, most) = (spec.float("min")?, spec.float("max")?);
        if least < most {
            return Ok(self.grid(least, most));
        }
        Err(Error::invalid_argument(format!("min has to be smaller than max, was: {least} >= {most}")))
    }

    /// Returns one grid, or one for each channel, from the ranges in two inputs.
    ///
    /// `values` is the number of the input with the numbers and `ranges` that of the minima, which the maxima
    /// follow. `each` asks for a range for each index of the last axis.
    fn grids(
        self,
        context: &KernelContext<'_>,
        values: usize,
        ranges: usize,
        each: bool,
    ) -> Result<Vec<Grid>> {
        let shape = context.input(values).shape();
        let expected = match (each, shape.last()) {
            (false, _) => Shape::scalar(),
            (true, Some(&channels)) => Shape::from([channels]),
            (true, None) => {
                return Err(Error::invalid_argument("inputs with ranges for channels are not scalars"));
            }
        };
        if [ranges, ranges + 1].iter().any(|&input| *context.input(input).shape() != expected) {
            let text = format!(
                "min and max must have shape {expected}, not {} and {}",
                context.input(ranges).shape(),
                context.input(ranges + 1).shape()
            );
            return Err(Error::invalid_argument(text));
        }
        let bounds = context.slice::<f32>(ranges)?.iter().zip(context.slice::<f32>(ranges + 1)?);
        Ok(bounds.map(|(&least, &most)| self.grid(least, most)).collect())
    }

    /// Moves a range so that 0 is one of the numbers.
    ///
    /// The zero point is the integer nearest to where 0 lies; the ends are then recomputed from it, which
    /// shifts the range by at most half a step.
    ///
    /// Formulas, with `first` and `last` the ends of the integers:
    ///
    /// ```text
    /// step = (most - least) / (last - first)      zero' = clamp(round(first - least / step), first, last)
    /// least' = (first - zero') step               most' = (last - zero') step
    /// ```
    fn grid(self, least: f32, most: f32) -> Grid {
        if least == 0.0 && most == 0.0 {
            return Grid { least: 0.0, most: 0.0, step: 0.0, zero: 0.0, only_zero: true };
        }
        let step = (most - least) / (self.last - self.first);
        // Clamped for ranges that do not contain 0, which are then shifted until they do.
        let zero = (self.first - least / step).round().clamp(self.first, self.last);
        let (least, most) = ((self.first - zero) * step, (self.last - zero) * step);
        // Recomputed from the shifted end, as TensorFlow does; it differs from the number above where that
        // was not an integer in single precision.
        Grid { least, most, step, zero: (-least / step + 0.5).floor(), only_zero: false }
    }
}

/// Numbers at equal distances.
///
/// A number of the grid is `(integer - zero) * step`, between `least` and `most`.
#[derive(Clone, Copy)]
struct Grid {
    /// The lowest number of the grid.
    least: f32,
    /// The highest number of the grid.
    most: f32,
    /// The distance between neighbors.
    step: f32,
    /// The number of the step that is 0.
    zero: f32,
    /// True for the range from 0 to 0, in which every number becomes 0.
    only_zero: bool,
}

impl Grid {
    /// Returns the number of the grid that is nearest; halves are rounded up. NaN stays NaN.
    fn rounded(self, x: f32) -> f32 {
        if self.only_zero {
            return 0.0;
        }
        // `min` and `max` return the other number for NaN. The minimum comes last, so that it wins where a range
        // is reversed.
        let clamped = if x.is_nan() { x } else { x.min(self.most).max(self.least) };
        let above = clamped - self.least;
        // Multiplied by the inverse and rounded by `floor`, as TensorFlow does; a division would differ in
        // the last bit.
        (above * (1.0 / self.step) - self.zero + 0.5).floor() * self.step
    }

    /// Returns true if a number is not clamped, so that its gradient passes.
    fn holds(self, x: f32) -> bool {
        self.only_zero || (x >= self.least && x <= self.most)
    }
}

/// Delivers input 0 on the grid: a single one, or that of the element's channel.
fn round(context: &mut KernelContext<'_>, grids: &[Grid]) -> Result<()> {
    let shape = context.input(0).shape().clone();
    context.produce::<f32>(0, shape, |context, output| {
        for (at, (out, &x)) in output.iter_mut().zip(context.slice::<f32>(0)?).enumerate() {
            *out = grids[at % grids.len()].rounded(x);
        }
        Ok(())
    })
}

/// Delivers the gradients of the numbers in the range, and those of its ends: the sums over the numbers
/// beyond.
///
/// Output 0 is the gradient of the numbers; outputs 1 and 2, of the shape of the ranges, are the sums for the
/// minimum and the maximum. No element counts for both, and NaN for none of the three.
fn gradients(context: &mut KernelContext<'_>, grids: &[Grid]) -> Result<()> {
    let (shape, ends) = (context.input(0).shape().clone(), context.input(2).shape().clone());
    let (mut below, mut above) = (vec![0f32; grids.len()], vec![0f32; grids.len()]);
    context.produce::<f32>(0, shape, |context, output| {
        let pairs = context.slice::<f32>(0)?.iter().zip(context.slice::<f32>(1)?);
        for (at, (out, (&gradient, &x))) in output.iter_mut().zip(pairs).enumerate() {
            // The channel is the last axis, so it is the remainder of the index; a single grid serves all.
            let channel = at % grids.len();
            let grid = grids[channel];
            *out = if grid.holds(x) { gradient } else { 0.0 };
            if !grid.only_zero && x < grid.least {
                below[channel] += gradient;
            } else if !grid.only_zero && x > grid.most {
                above[channel] += gradient;
            }
        }
        Ok(())
    })?;
    context.set(1, Tensor::from_vec(below, ends.clone())?);
    context.set(2, Tensor::from_vec(above, ends)?);
    Ok(())
}
