//! Gradients that are collected until there are enough of them: `ConditionalAccumulator` and its like.
//!
//! The workers of a synchronous training apply gradients, and the chief takes the mean when enough have
//! arrived. Each take increments the step of the accumulator, and gradients of earlier steps are dropped
//! without an error: they come from workers that were too slow.
//!
//! # Semantics
//!
//! - `ConditionalAccumulator`, `ResourceConditionalAccumulator`, `SparseConditionalAccumulator`: attributes
//!   `dtype` (`float16`, `bfloat16`, `float32`, `float64`), `shape`, `reduction_type` ("MEAN" or "SUM"),
//!   `container`, `shared_name`. Output the handle. A second one of the same name with other attributes is
//!   `InvalidArgument`.
//! - `AccumulatorApplyGradient`: inputs handle, `local_step`, `gradient`. Adds a gradient of the
//!   accumulator's shape; does nothing if `local_step` is below the accumulator's step.
//! - `SparseAccumulatorApplyGradient`: inputs handle, `local_step`, `gradient_indices`, `gradient_values`,
//!   `gradient_shape`; attribute `has_known_shape`. Adds rows with their indices, which must be ascending;
//!   that is not checked.
//! - `AccumulatorTakeGradient`, `SparseAccumulatorTakeGradient`: inputs handle, `num_required` (greater than
//!   zero). Waits until as many gradients have arrived, outputs their mean or sum, and begins with the next
//!   step.
//! - `AccumulatorNumAccumulated`: the number of gradients since the last take. `AccumulatorSetGlobalStep`:
//!   sets the step.
//!
//! Gradients are added in the order in which they arrive, element by element in their own dtype: with several
//! threads the last bits of a sum depend on that order, as in TensorFlow. NaN and infinity are added like any
//! number.
//!
//! A sparse sum keeps its rows sorted by index, and counts the gradients of each row: the mean of a row is
//! over the gradients that have it, not over all of them.
//!
//! The content is a resource of the session and not part of checkpoints.
//!
//! # Example
//!
//! ```text
//!  apply(step 0, 2)     sum 2, count 1
//!  apply(step 0, 4)     sum 6, count 2
//!  take(2)              outputs 3; the accumulator is at step 1
//!  apply(step 0, 9)     dropped: too late
//!  apply(step 1, 5)     sum 5, count 1
//! ```

use super::monitor::{Job, Monitor, begin, begins};
use crate::kernel::{Kernel, KernelContext, NodeSpec, gives};
use crate::kernels::math::boxed;
use crate::kernels::state::resource_name;
use crate::registry::Registry;
use session_core::{AttrValue, Error, PartialShape, Result};
use std::ops::{AddAssign, Div};
use std::sync::Arc;
use tensor::{DType, Element, Tensor};

/// Registers the op types, each spelling with its resource form.
pub(super) fn register(registry: &mut Registry) {
    for op_type in ["ConditionalAccumulator", "ResourceConditionalAccumulator"] {
        registry.add_handle(op_type, |spec| make(spec, false));
    }
    registry.add_handle("SparseConditionalAccumulator", |spec| make(spec, true));
    registry
        .add_both(
            ["AccumulatorApplyGradient", "ResourceAccumulatorApplyGradient"],
            |spec| for_dtype!(float spec.dtype("dtype")?, T => Ok(boxed(apply::<T>))),
        )
        .wakes();
    registry
        .add_both(["AccumulatorTakeGradient", "ResourceAccumulatorTakeGradient"], |spec| take(spec, false))
        .waits();
    registry.add_both(["AccumulatorNumAccumulated", "ResourceAccumulatorNumAccumulated"], |_| {
        Ok(boxed(|context| {
            let count = accumulator(context)?.state.with(|state| state.count);
            context.set_count(count);
            Ok(())
        }))
    });
    registry.add_both(["AccumulatorSetGlobalStep", "ResourceAccumulatorSetGlobalStep"], |_| {
        Ok(boxed(|context| {
            let step = context.int(1)?;
            accumulator(context)?.state.with(|state| state.step = step);
            Ok(())
        }))
    });
    registry
        .add("SparseAccumulatorApplyGradient", |spec| {
            let known = spec.bool("has_known_shape")?;
            for_dtype!(float spec.dtype("dtype")?, T => {
                Ok(boxed(move |context| apply_sparse::<T>(context, known)))
            })
        })
        .wakes();
    registry.add("SparseAccumulatorTakeGradient", |spec| take(spec, true)).waits();
}

/// An accumulator of a session.
struct Accumulator {
    /// The name, for messages.
    name: String,
    /// The dtype of the gradients.
    dtype: DType,
    /// The static shape of the gradients; unknown sizes are those of the first gradient after each take.
    shape: PartialShape,
    /// True if the gradients are rows with indices.
    sparse: bool,
    /// True if a take returns the sum of the gradients, and false if it returns their mean.
    sums: bool,
    /// The sum, behind a lock with waiting jobs.
    state: Arc<Monitor<Gathered>>,
}

/// The gradients applied since the last one was taken.
#[derive(Default)]
struct Gathered {
    /// The step of the accumulator. Gradients of steps before this one come too late.
    step: i64,
    /// The number of gradients in the sum, which a take compares with what it requires.
    count: i64,
    /// The sum; `None` before the first gradient.
    sum: Option<Sum>,
}

/// The sum of gradients.
#[derive(Clone)]
enum Sum {
    /// The sum of whole tensors.
    Dense(Tensor),
    /// The sums of rows, for sparse gradients.
    Rows(Rows),
}

/// Rows that were summed, and the number of rows in each sum. With gradients of the rows `{1: a, 4: b}` and
/// `{4: c}` the indices are `[1, 4]`, the counts `[1, 2]` and the values `[a, b + c]`, so the means are
/// `[a, (b + c) / 2]`.
#[derive(Clone)]
struct Rows {
    /// The indices of the rows, in ascending order.
    indices: Vec<i64>,
    /// The number of gradients that had each row.
    counts: Vec<i64>,
    /// The sums of the rows.
    values: Tensor,
}

/// Makes the kernel that creates an accumulator, or finds the one of its shared name, which must agree with
/// the attributes.
///
/// # Errors
///
/// `InvalidArgument` for an accumulator of another dtype, shape, form or reduction, or an unknown
/// `reduction_type`.
fn make(spec: &NodeSpec<'_>, sparse: bool) -> Result<Box<dyn Kernel>> {
    let (name, dtype) = (resource_name(spec), spec.dtype("dtype")?);
    let container = spec.str("container").unwrap_or_default();
    let shape = spec.attr("shape")?.as_shape().cloned().unwrap_or_else(PartialShape::unknown);
    let sums = match spec.attr("reduction_type").ok().and_then(AttrValue::as_str) {
        None | Some("" | "MEAN") => false,
        Some("SUM") => true,
        Some(other) => {
            return Err(Error::invalid_argument(format!("reduction_type must be MEAN or SUM, not {other}")));
        }
    };
    let make = || Accumulator {
        name: name.to_owned(),
        dtype,
        shape: shape.clone(),
        sparse,
        sums,
        state: Arc::new(Monitor::new(Gathered::default())),
    };
    let handle = spec.resources.handle("accumulator", container, name, make);
    let agrees = |known: &Accumulator| {
        known.dtype == dtype && known.shape == shape && known.sparse == sparse && known.sums == sums
    };
    if !handle.as_handle::<Accumulator>().is_some_and(agrees) {
        let text = format!("shared accumulator '{name}' was created with another dtype, shape or reduction");
        return Err(Error::invalid_argument(text));
    }
    Ok(gives(handle))
}

/// Returns the accumulator of input 0.
fn accumulator(context: &KernelContext<'_>) -> Result<Arc<Accumulator>> {
    context.shared_handle(0, "an accumulator")
}

impl Accumulator {
    /// Makes an error that names the accumulator.
    fn wrong(&self, text: String) -> Error {
        Error::invalid_argument(format!("{text} (in accumulator '{}')", self.name))
    }

    /// Checks that gradients of this dtype and form can be applied, or taken as `what` says: "applied to".
    fn check(&self, dtype: DType, sparse: bool, what: &str) -> Result<()> {
        if self.dtype == dtype && self.sparse == sparse {
            return Ok(());
        }
        let form = |sparse: bool| if sparse { "sparse" } else { "dense" };
        let (given, own) = (form(sparse), form(self.sparse));
        let text = format!("a {given} gradient of {dtype} is {what} {own} gradients of {}", self.dtype);
        Err(self.wrong(text))
    }
}

/// A number that means can be taken of: the floating-point dtypes.
trait Number: Element + AddAssign + Div<Output = Self> {
    /// Converts a count; large ones are rounded to the dtype, for `float16` above 2048.
    fn of(count: i64) -> Self;
}

/// Implements the numbers.
macro_rules! numbers {
    ($($type:ty: $of:expr),*) => {$(
        impl Number for $type {
            fn of(count: i64) -> $type {
                $of(count)
            }
        }
    )*};
}

numbers!(
    f32: |count| count as f32,
    f64: |count| count as f64,
    tensor::f16: |count| tensor::f16::from_f32(count as f32),
    tensor::bf16: |count| tensor::bf16::from_f32(count as f32)
);

/// Adds a dense gradient. The first one of a step is kept as it is, so a step of one gradient copies nothing.
///
/// # Errors
///
/// `InvalidArgument` for another dtype, for sparse gradients, and for a shape that does not fit the declared
/// one, or the first gradient's where that is open. The sum is unchanged.
fn apply<T: Number>(context: &mut KernelContext<'_>) -> Result<()> {
    let accumulator = accumulator(context)?;
    let (step, gradient) = (context.int(1)?, context.take(2));
    accumulator.check(gradient.dtype(), false, "applied to")?;
    let shape = gradient.shape().clone();
    if !accumulator.shape.is_compatible_with(&shape) {
        let text = format!("Shape mismatch: expected {}, got {shape}", accumulator.shape);
        return Err(accumulator.wrong(text));
    }
    let buffers = context.buffers();
    accumulator.state.with(|state| {
        // A late gradient is no error: its worker was slower than the others (see the module).
        if step < state.step {
            return Ok(());
        }
        match &mut state.sum {
            Some(Sum::Dense(sum)) if sum.shape() == &shape => {
                // In place unless the first gradient is still held by the step that applied it.
                let sum = sum.make_mut::<T>(buffers)?;
                sum.iter_mut().zip(gradient.as_slice::<T>()?).for_each(|(sum, &term)| *sum += term);
            }
            Some(Sum::Dense(sum)) => {
                let text = format!("Shape mismatch: expected {}, got {shape}", sum.shape());
                return Err(accumulator.wrong(text));
            }
            sum => *sum = Some(Sum::Dense(gradient)),
        }
        state.count += 1;
        Ok(())
    })
}

/// Adds a sparse gradient, after a check of its dtype and of its rows against its indices, its declared shape,
/// and the accumulator's shape. The sum is unchanged after an error.
fn apply_sparse<T: Number>(context: &mut KernelContext<'_>, known_shape: bool) -> Result<()> {
    let accumulator = accumulator(context)?;
    let step = context.int(1)?;
    let (indices, values) = (context.input(2), context.input(3));
    accumulator.check(values.dtype(), true, "applied to")?;
    if indices.shape().rank() != 1 {
        let text = format!("Input indices should be vector but received shape: {}", indices.shape());
        return Err(accumulator.wrong(text));
    }
    let rows = values.shape().first().copied();
    if rows != Some(indices.elements()) {
        let text =
            format!("Expected {} non-empty input values, got {}", indices.elements(), rows.unwrap_or(0));
        return Err(accumulator.wrong(text));
    }
    let given = if known_shape { context.ints(4)? } else { Vec::new() };
    let expected = &accumulator.shape;
    for axis in 1..values.shape().rank() {
        let found = values.shape()[axis];
        let of_shape = given.get(axis).copied().filter(|&size| size >= 0);
        for expected in [expected.dim(axis).map(|size| size as i64), of_shape].into_iter().flatten() {
            if expected != found as i64 {
                let text =
                    format!("Shape mismatch: expected values dim {axis} to be {expected}, got {found}");
                return Err(accumulator.wrong(text));
            }
        }
    }
    // A scalar's shape declares nothing: TensorFlow's synchronous optimizer has it for all rows.
    if let Some(rank) = expected.rank().filter(|&rank| rank != 0 && rank != values.shape().rank()) {
        let text = format!("Shape mismatch: expected values of rank {rank}, got {}", values.shape());
        return Err(accumulator.wrong(text));
    }
    if let (Some(declared), Some(&found)) = (expected.dim(0), given.first())
        && found >= 0
        && found != declared as i64
    {
        let text = format!("Shape mismatch: expected shape dim 0 to be {declared}, got {found}");
        return Err(accumulator.wrong(text));
    }
    if let Some(rows) = expected.dim(0).filter(|&rows| rows < indices.elements()) {
        let text = format!("Shape mismatch: expected at most {rows} rows, got {}", indices.elements());
        return Err(accumulator.wrong(text));
    }
    // Copied before the lock is taken, so that it is held for the merge only.
    let fresh =
        Rows { indices: indices.to_vec()?, counts: vec![1; indices.elements()], values: values.clone() };
    accumulator.state.with(|state| {
        if step < state.step {
            return Ok(());
        }
        let sum = match state.sum.take() {
            Some(Sum::Rows(sum)) if sum.values.shape()[1..] != fresh.values.shape()[1..] => {
                let (expected, found) = (sum.values.shape().clone(), fresh.values.shape());
                let text = format!("Shape mismatch: expected rows as of {expected}, got {found}");
                state.sum = Some(Sum::Rows(sum));
                return Err(accumulator.wrong(text));
            }
            Some(Sum::Rows(sum)) => merged::<T>(&sum, &fresh)?,
            _ => fresh,
        };
        state.sum = Some(Sum::Rows(sum));
        state.count += 1;
        Ok(())
    })
}

/// Merges two lists of rows. Both are sorted by index, as is the result, in which rows of the same index are
/// summed.
///
/// Costs a copy of all rows; `[1, 4]` and `[2, 4]` give `[1, 2, 4]` with the counts `[1, 1, 2]`.
fn merged<T: Number>(a: &Rows, b: &Rows) -> Result<Rows> {
    let width: usize = a.values.shape()[1..].iter().product();
    let (x, y) = (a.values.as_slice::<T>()?, b.values.as_slice::<T>()?);
    let row = |values: &[T], place: usize| values[place * width..(place + 1) * width].to_vec();
    let (mut indices, mut counts, mut values) = (Vec::new(), Vec::new(), Vec::new());
    let (mut i, mut j) = (0, 0);
    while i < a.indices.len() || j < b.indices.len() {
        // An index of `i64::MAX` would look like the end of a list; the lengths are compared as well.
        let first = a.indices.get(i).copied().unwrap_or(i64::MAX);
        let second = b.indices.get(j).copied().unwrap_or(i64::MAX);
        let from_a = i < a.indices.len() && (first <= second || j >= b.indices.len());
        let from_b = j < b.indices.len() && (second <= first || i >= a.indices.len());
        let (mut count, mut sum) = (0, Vec::new());
        if from_a {
            (count, sum) = (a.counts[i], row(x, i));
            i += 1;
        }
        if from_b {
            count += b.counts[j];
            let other = row(y, j);
            if sum.is_empty() {
                sum = other;
            } else {
                sum.iter_mut().zip(other).for_each(|(sum, term)| *sum += term);
            }
            j += 1;
        }
        indices.push(if from_a { first } else { second });
        counts.push(count);
        values.extend(sum);
    }
    let mut dims = a.values.shape().to_vec();
    dims[0] = indices.len();
    Ok(Rows { indices, counts, values: Tensor::from_vec(values, dims)? })
}

/// Makes the kernel that takes the sum or mean once it consists of enough gradients.
fn take(spec: &NodeSpec<'_>, sparse: bool) -> Result<Box<dyn Kernel>> {
    let dtype = spec.dtype("dtype")?;
    Ok(begins(move |context| {
        let (accumulator, required) = (accumulator(context)?, context.int(1)?);
        if required <= 0 {
            let text = format!("Argument num_required must be positive, but was {required}");
            return Err(accumulator.wrong(text));
        }
        accumulator.check(dtype, sparse, "requested from")?;
        let state = accumulator.state.clone();
        begin(&state, Take { accumulator, required, taken: None }, context)
    }))
}

/// A take of at least `required` gradients.
struct Take {
    /// The accumulator.
    accumulator: Arc<Accumulator>,
    /// The number of gradients that a take waits for.
    required: i64,
    /// The count and sum that were taken, to be put back if the step ends before they were delivered.
    taken: Option<(i64, Sum)>,
}

impl Job<Gathered> for Take {
    /// Takes count and sum if there are enough gradients, and begins the next step.
    fn attempt(&mut self, state: &mut Gathered) -> Option<Result<()>> {
        if state.count < self.required {
            return None;
        }
        // The division comes later, without the lock: workers may apply gradients of the next step meanwhile.
        self.taken = Some((std::mem::take(&mut state.count), state.sum.take()?));
        state.step += 1;
        Some(Ok(()))
    }

    /// Puts count and sum back and returns to the step before, unless gradients of the next step have
    /// arrived.
    fn undo(&mut self, state: &mut Gathered) {
        // Gradients that arrived meanwhile belong to a later step, for which the taken ones are out of date: then these are dropped.
        // The step goes back as well, so that workers of the abandoned step may still apply.
        if let Some((count, sum)) = self.taken.take().filter(|_| state.sum.is_none()) {
            state.count = count;
            state.sum = Some(sum);
            state.step -= 1;
        }
    }

    fn deliver(&mut self, context: &mut KernelContext<'_>) -> Result<()> {
        let Some((count, sum)) = self.taken.take() else { return Ok(()) };
        for_dtype!(float self.accumulator.dtype, T => deliver::<T>(context, &self.accumulator, count, sum))
    }

    fn describe(&self) -> String {
        let count = self.accumulator.state.with(|state| state.count);
        format!(
            "take of {} gradients from accumulator '{}' (has {count})",
            self.required, self.accumulator.name
        )
    }
}

/// Divides by the counts if means are requested, and sets the outputs. Runs outside the lock.
///
/// A sparse result has the indices, the rows, and a shape whose first size is the declared number of rows, or
/// -1.
fn deliver<T: Number>(
    context: &mut KernelContext<'_>,
    accumulator: &Accumulator,
    count: i64,
    sum: Sum,
) -> Result<()> {
    let buffers = context.buffers();
    match sum {
        Sum::Dense(mut sum) => {
            if !accumulator.sums {
                sum.make_mut::<T>(buffers)?.iter_mut().for_each(|value| *value = *value / T::of(count));
            }
            context.set(0, sum);
        }
        Sum::Rows(Rows { indices, counts, mut values }) => {
            let width: usize = values.shape()[1..].iter().product();
            // Chunks of width 0 would panic.
            if !accumulator.sums && width > 0 {
                let rows = values.make_mut::<T>(buffers)?.chunks_exact_mut(width);
                for (row, &count) in rows.zip(&counts) {
                    row.iter_mut().for_each(|value| *value = *value / T::of(count));
                }
            }
            let known = |size: Option<usize>| size.map_or(-1, |size| size as i64);
            let mut shape: Vec<i64> = values.shape().iter().map(|&size| size as i64).collect();
            shape[0] = known(accumulator.shape.dim(0));
            context.set(0, Tensor::from(indices));
            context.set(1, values);
            context.set(2, Tensor::from(shape));
        }
    }
    Ok(())
}
