//! Softmax over the last dimension, and the losses made of it.
//!
//! | function | TensorFlow's operation |
//! | --- | --- |
//! | [`softmax`], [`log_softmax`] | `Softmax`, `LogSoftmax` |
//! | [`softmax_cross_entropy`] | `SoftmaxCrossEntropyWithLogits` |
//! | [`sparse_softmax_cross_entropy`] | `SparseSoftmaxCrossEntropyWithLogits` |
//!
//! Logits are rows of `classes` numbers, `f32` or `f64`; callers widen those of 16 bits first. A row with a NaN or
//! plus infinity becomes NaN throughout.
//!
//! ```
//! use compute::{Pool, softmax::softmax};
//! let mut probabilities = [0.0f32; 4];
//! softmax(&Pool::single(), 2, &[0.0, 0.0, 100.0, 0.0], &mut probabilities);
//! assert_eq!(probabilities, [0.5, 0.5, 1.0, 0.0]);
//! ```

mod group;
mod logits;

use crate::Pool;
use crate::elementwise::Loops;
use crate::elementwise::work::{split_outputs, units_per_part};
use crate::math::{Float, Real};
use crate::simd::{Vectorised, vectorised};
use group::{Emit, Part, Sweep};
pub use logits::Logits;
use std::fmt;

/// The error of a label that is not a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LabelError {
    /// The row of the label.
    pub row: usize,
    /// The value of the label.
    pub label: i64,
    /// The number of classes: valid labels are from 0 up to this, exclusive.
    pub classes: usize,
}

impl fmt::Display for LabelError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let LabelError { row, label, classes } = self;
        write!(
            f,
            "received a label value of {label} in row {row}, which is outside the valid range of [0, {classes})"
        )
    }
}

impl std::error::Error for LabelError {}

/// About how long one class of one row takes, in picoseconds.
const CLASS: usize = 1_200;

/// Runs the work, compiled for this CPU for the type whose exponential is vectorized.
fn execute<T: Float>(work: impl Vectorised) {
    // The exponential of `f64` is a call, which takes as long for any instruction set.
    if const { matches!(T::LOOPS, Loops::All) } {
        vectorised(work);
    } else {
        portable(work);
    }
}

/// Runs the work as it is. It is compiled once and not into each of its callers.
#[inline(never)]
fn portable(work: impl Vectorised) {
    work.run();
}

/// Computes an output from each row.
fn sweep<T: Float>(classes: usize, logits: &[T], emit: impl Emit<T>) {
    execute::<T>(Sweep { classes, logits, emit: &mut Dispatched(emit) });
}

/// An output that is compiled for this CPU. Mark its `emit` `#[inline(always)]`.
struct Dispatched<E>(E);

impl<T: Float, E: Emit<T>> Emit<T> for Dispatched<E> {
    fn emit(&mut self, part: Part<'_, T::Wide>) {
        execute::<T>(Emission::<T, E> { emit: &mut self.0, part });
    }
}

/// One call of [`Emit::emit`].
struct Emission<'a, T: Float, E> {
    /// The output.
    emit: &'a mut E,
    /// The argument.
    part: Part<'a, T::Wide>,
}

impl<T: Float, E: Emit<T>> Vectorised for Emission<'_, T, E> {
    #[inline(always)]
    fn run(self) {
        self.emit.emit(self.part);
    }
}

/// Returns the number of rows, which must be whole.
/// Without classes there are none.
fn rows_of(len: usize, classes: usize) -> usize {
    let rows = len.checked_div(classes).unwrap_or(0);
    assert_eq!(len, rows * classes, "logits of rows of {classes}");
    rows
}

/// Computes the softmax of each row: `output[i, j]` is `e^logits[i, j]` divided by the sum over the row.
///
/// # Panics
/// Panics if the logits do not consist of whole rows, or if the slices differ in length.
pub fn softmax<T: Logits>(pool: &Pool, classes: usize, logits: &[T], output: &mut [T]) {
    T::softmax(pool, classes, logits, output);
}

/// [`softmax`] for a type with its own loops.
fn softmax_of<T: Float>(pool: &Pool, classes: usize, logits: &[T], output: &mut [T]) {
    each_part(pool, classes, logits, output, |logits, output| {
        sweep(classes, logits, Softmax { classes, output });
    });
}

/// Computes the logarithm of [`softmax`], without computing the softmax first, which would underflow.
///
/// ```
/// use compute::{Pool, softmax::log_softmax};
/// let mut logarithms = [0.0f32; 2];
/// log_softmax(&Pool::single(), 2, &[0.0, 1000.0], &mut logarithms);
/// assert_eq!(logarithms, [-1000.0, 0.0]);
/// ```
///
/// # Panics
/// Panics if the logits do not consist of whole rows, or if the slices differ in length.
pub fn log_softmax<T: Logits>(pool: &Pool, classes: usize, logits: &[T], output: &mut [T]) {
    T::log_softmax(pool, classes, logits, output);
}

/// [`log_softmax`] for a type with its own loops.
fn log_softmax_of<T: Float>(pool: &Pool, classes: usize, logits: &[T], output: &mut [T]) {
    each_part(pool, classes, logits, output, |logits, output| {
        sweep(classes, logits, LogSoftmax { classes, logits, output });
    });
}

/// Divides rows among threads.
///
/// Rows do not affect each other, so the bits do not depend on the number of threads.
fn each_part<T: Float>(
    pool: &Pool,
    classes: usize,
    logits: &[T],
    output: &mut [T],
    work: impl Fn(&[T], &mut [T]) + Sync,
) {
    let rows = rows_of(logits.len(), classes);
    split_outputs(pool, rows, 1, units_per_part(CLASS * classes), [(output, classes)], |range, [output]| {
        work(&logits[range.start * classes..range.end * classes], output);
    });
}

/// Returns the range of a part's rows in an array of rows of `classes` elements. Rows are contiguous.
#[inline(always)]
fn place<W>(part: &Part<'_, W>, classes: usize) -> std::ops::Range<usize> {
    let start = part.rows.start * classes + part.cols.start;
    start..start + part.probabilities.len()
}

/// Stores probabilities.
struct Softmax<'a, T> {
    /// The number of elements of a row.
    classes: usize,
    /// The result.
    output: &'a mut [T],
}

impl<T: Float> Emit<T> for Softmax<'_, T> {
    #[inline(always)]
    fn emit(&mut self, part: Part<'_, T::Wide>) {
        let output = &mut self.output[place(&part, self.classes)];
        for (out, &p) in output.iter_mut().zip(part.probabilities) {
            *out = T::store(p);
        }
    }
}

/// Stores logarithms of probabilities, computed from the logits so that none underflows.
struct LogSoftmax<'a, T> {
    /// The number of elements of a row.
    classes: usize,
    /// The input.
    logits: &'a [T],
    /// The result.
    output: &'a mut [T],
}

impl<T: Float> Emit<T> for LogSoftmax<'_, T> {
    #[inline(always)]
    fn emit(&mut self, part: Part<'_, T::Wide>) {
        let (width, range) = (part.cols.len(), place(&part, self.classes));
        let logits = self.logits[range.clone()].chunks_exact(width);
        let rows = self.output[range].chunks_exact_mut(width).zip(logits);
        for ((output, logits), (&max, &log)) in rows.zip(part.maxima.iter().zip(part.logs)) {
            for (out, &x) in output.iter_mut().zip(logits) {
                // In this order: the sum of `max` and `log` would lose the digits of a small logarithm.
                *out = T::store((x.load() - max) - log);
            }
        }
    }
}

/// Computes the cross entropy of the softmax of each row with a row of `labels` (usually probabilities), and its gradient:
/// `loss[i] = -sum_j labels[i, j] * log_softmax[i, j]`, `backprop = softmax - labels`.
///
/// ```
/// use compute::{Pool, softmax::softmax_cross_entropy};
/// let (mut loss, mut backprop) = ([0.0f32], [0.0f32; 2]);
/// softmax_cross_entropy(&Pool::single(), 2, &[0.0, 0.0], &[1.0, 0.0], &mut loss, &mut backprop);
/// assert!((loss[0] - 2f32.ln()).abs() < 1e-6);
/// assert_eq!(backprop, [-0.5, 0.5]);
/// ```
///
/// # Panics
/// Panics if the logits do not consist of whole rows, or if the length of another slice contradicts them.
pub fn softmax_cross_entropy<T: Logits>(
    pool: &Pool,
    classes: usize,
    logits: &[T],
    labels: &[T],
    loss: &mut [T],
    backprop: &mut [T],
) {
    T::cross_entropy(pool, classes, [logits, labels], loss, backprop);
}

/// [`softmax_cross_entropy`] for a type with its own loops.
fn cross_entropy_of<T: Float>(
    pool: &Pool,
    classes: usize,
    [logits, labels]: [&[T]; 2],
    loss: &mut [T],
    backprop: &mut [T],
) {
    let rows = rows_of(logits.len(), classes);
    assert_eq!(labels.len(), logits.len(), "labels");
    let outputs = [(loss, 1), (backprop, classes)];
    split_outputs(pool, rows, 1, units_per_part(CLASS * classes), outputs, |range, [loss, backprop]| {
        let part = range.start * classes..range.end * classes;
        let (logits, labels) = (&logits[part.clone()], &labels[part]);
        let emit = DenseLoss { classes, logits, labels, loss, backprop, total: T::Wide::of(0.0) };
        sweep(classes, logits, emit);
    });
}

/// Computes loss and gradient for labels that are distributions.
struct DenseLoss<'a, T: Float> {
    /// The number of elements of a row.
    classes: usize,
    /// The input.
    logits: &'a [T],
    /// The probabilities of the classes.
    labels: &'a [T],
    /// The loss of each row.
    loss: &'a mut [T],
    /// The gradient with respect to the logits.
    backprop: &'a mut [T],
    /// The loss of the row so far, where rows come in parts.
    total: T::Wide,
}

impl<T: Float> Emit<T> for DenseLoss<'_, T> {
    #[inline(always)]
    fn emit(&mut self, part: Part<'_, T::Wide>) {
        let (width, range) = (part.cols.len(), place(&part, self.classes));
        let (logits, labels) = (&self.logits[range.clone()], &self.labels[range.clone()]);
        let rows = labels.chunks_exact(width).zip(logits.chunks_exact(width));
        let per_row = part.maxima.iter().zip(part.logs).zip(&mut self.loss[part.rows]);
        for ((labels, logits), ((&max, &log), loss)) in rows.zip(per_row) {
            // A long row comes in parts, of which the first begins the sum.
            let before = if part.cols.start == 0 { T::Wide::of(0.0) } else { self.total };
            self.total = before + cross_entropy(labels, logits, max, log);
            *loss = T::store(self.total);
        }
        let backprop = self.backprop[range].iter_mut();
        for ((out, &p), &label) in backprop.zip(part.probabilities).zip(labels) {
            *out = T::store(p - label.load());
        }
    }
}

/// Returns the sum of `label * (log - (logit - max))`, in several chains.
///
/// This equals `-sum(label * log_softmax)`. The number of chains, and with it the order of the additions, is fixed.
#[inline(always)]
fn cross_entropy<T: Float>(labels: &[T], logits: &[T], max: T::Wide, log: T::Wide) -> T::Wide {
    const CHAINS: usize = 16;
    // A label of 0 does not hide a logit of minus infinity: their product is NaN.
    let term = |label: T, logit: T| label.load() * (log - (logit.load() - max));
    let mut chains = [T::Wide::of(0.0); CHAINS];
    let (mut labels, mut logits) = (labels.chunks_exact(CHAINS), logits.chunks_exact(CHAINS));
    for (labels, logits) in labels.by_ref().zip(logits.by_ref()) {
        for l in 0..CHAINS {
            chains[l] = chains[l] + term(labels[l], logits[l]);
        }
    }
    let rest = labels.remainder().iter().zip(logits.remainder());
    let rest = rest.fold(T::Wide::of(0.0), |sum, (&label, &logit)| sum + term(label, logit));
    chains.iter().fold(rest, |sum, &chain| sum + chain)
}

/// Computes the cross entropy of the softmax of each row with one class, and its gradient: `loss[i] = -log_softmax[i, labels[i]]`,
/// `backprop = softmax - one_hot(labels)`.
///
/// ```
/// use compute::{Pool, softmax::sparse_softmax_cross_entropy};
/// let (mut loss, mut backprop) = ([0.0f32], [0.0f32; 2]);
/// sparse_softmax_cross_entropy(&Pool::single(), 2, &[0.0, 0.0], &[1], &mut loss, &mut backprop)?;
/// assert_eq!(backprop, [0.5, -0.5]);
/// # Ok::<(), compute::softmax::LabelError>(())
/// ```
///
/// # Errors
/// [`LabelError`] for the first label that is not a class. Nothing is written then.
///
/// # Panics
/// Panics if the logits do not consist of whole rows, or if the length of another slice contradicts them.
pub fn sparse_softmax_cross_entropy<T: Logits>(
    pool: &Pool,
    classes: usize,
    logits: &[T],
    labels: &[i64],
    loss: &mut [T],
    backprop: &mut [T],
) -> Result<(), LabelError> {
    let rows = rows_of(logits.len(), classes);
    assert_eq!(labels.len(), rows, "labels");
    let outside = |label: &i64| usize::try_from(*label).map_or(true, |label| label >= classes);
    if let Some(row) = labels.iter().position(outside) {
        return Err(LabelError { row, label: labels[row], classes });
    }
    T::sparse_cross_entropy(pool, classes, logits, labels, loss, backprop);
    Ok(())
}

/// All labels are classes.
fn sparse_cross_entropy_of<T: Float>(
    pool: &Pool,
    classes: usize,
    logits: &[T],
    labels: &[i64],
    loss: &mut [T],
    backprop: &mut [T],
) {
    let rows = rows_of(logits.len(), classes);
    let outputs = [(loss, 1), (backprop, classes)];
    split_outputs(pool, rows, 1, units_per_part(CLASS * classes), outputs, |range, [loss, backprop]| {
        let labels = &labels[range.clone()];
        let logits = &logits[range.start * classes..range.end * classes];
        sweep(classes, logits, SparseLoss { classes, logits, labels, loss, backprop });
    });
}

/// Computes loss and gradient for labels that are classes.
struct SparseLoss<'a, T> {
    /// The number of elements of a row.
    classes: usize,
    /// The input.
    logits: &'a [T],
    /// The true class of each row.
    labels: &'a [i64],
    /// The loss of each row.
    loss: &'a mut [T],
    /// The gradient with respect to the logits.
    backprop: &'a mut [T],
}

impl<T: Float> Emit<T> for SparseLoss<'_, T> {
    #[inline(always)]
    fn emit(&mut self, part: Part<'_, T::Wide>) {
        let backprop = &mut self.backprop[place(&part, self.classes)];
        for (out, &p) in backprop.iter_mut().zip(part.probabilities) {
            *out = T::store(p);
        }
        let width = part.cols.len();
        for (i, row) in part.rows.enumerate() {
            let label = self.labels[row] as usize;
            // Of a long row, one part only has the label.
            if part.cols.contains(&label) {
                let shifted = self.logits[row * self.classes + label].load() - part.maxima[i];
                self.loss[row] = T::store(part.logs[i] - shifted);
                let at = i * width + label - part.cols.start;
                backprop[at] = T::store(part.probabilities[at] - T::Wide::of(1.0));
            }
        }
    }
}

#[cfg(test)]
mod tests;
