//! Softmax over the last dimension, and the losses made of it.
//!
//! | function | TensorFlow's operation |
//! | --- | --- |
//! | [`softmax`], [`log_softmax`] | `Softmax`, `LogSoftmax` |
//! | [`softmax_cross_entropy`] | `SoftmaxCrossEntropyWithLogits` |
//! | [`sparse_softmax_cross_entropy`] | `SparseSoftmaxCrossEntropyWithLogits` |
//!
//! Logits are rows of `classes` numbers: `f32`, `f64`, or `f16` and `bf16`, which are computed in `f32`. A
//! row with a NaN or plus infinity gives NaN throughout.

mod chunk;

use crate::Pool;
use crate::elementwise::layout::Index;
use crate::elementwise::work::{split_outputs, units_per_part};
use crate::math::{Float, Real};
use crate::simd::{Vectorised, vectorised};
use chunk::{Rows, lanes};
use std::fmt;

/// A label that is not a class.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LabelError {
    /// The row of the label.
    pub row: usize,
    /// Its value.
    pub label: i64,
    /// How many classes there are: valid labels are from 0 up to this, exclusive.
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

fn rows_of(len: usize, classes: usize) -> usize {
    let rows = len.checked_div(classes).unwrap_or(0);
    assert_eq!(len, rows * classes, "logits of rows of {classes}");
    rows
}

/// `output[i, j] = e^logits[i, j]` divided by the sum over the row.
///
/// # Panics
/// When the logits do not consist of whole rows, or the slices differ in length.
pub fn softmax<T: Float>(pool: &Pool, classes: usize, logits: &[T], output: &mut [T]) {
    each_part(pool, classes, logits, output, |logits, output| vectorised(Softmax { classes, logits, output }));
}

/// The logarithm of [`softmax`], without forming it.
///
/// # Panics
/// When the logits do not consist of whole rows, or the slices differ in length.
pub fn log_softmax<T: Float>(pool: &Pool, classes: usize, logits: &[T], output: &mut [T]) {
    each_part(pool, classes, logits, output, |logits, output| vectorised(LogSoftmax { classes, logits, output }));
}

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

struct Softmax<'a, T> {
    classes: usize,
    logits: &'a [T],
    output: &'a mut [T],
}

impl<T: Float> Vectorised for Softmax<'_, T> {
    #[inline(always)]
    fn run(self) {
        let rows = Rows { classes: self.classes, data: self.logits };
        for row in 0..rows.count() {
            let max = rows.max(row);
            let sum = rows.exponentials(row, max, self.output);
            let scale = T::Wide::of(1.0) / sum;
            rows.finish(row, max, self.output, |e, _| lanes(|l| e[l] * scale));
        }
    }
}

struct LogSoftmax<'a, T> {
    classes: usize,
    logits: &'a [T],
    output: &'a mut [T],
}

impl<T: Float> Vectorised for LogSoftmax<'_, T> {
    #[inline(always)]
    fn run(self) {
        let rows = Rows { classes: self.classes, data: self.logits };
        for row in 0..rows.count() {
            let max = rows.max(row);
            let log = rows.exponentials(row, max, self.output).ln();
            rows.rewrite(row, self.output, |x, _| lanes(|l| (x[l] - max) - log));
        }
    }
}

/// The cross entropy of each row's softmax with a row of `labels` (probabilities, as a rule), and its
/// gradient: `loss[i] = -sum_j labels[i, j] * log_softmax[i, j]`, `backprop = softmax - labels`.
///
/// # Panics
/// When the logits do not consist of whole rows, or another slice does not fit them.
pub fn softmax_cross_entropy<T: Float>(
    pool: &Pool,
    classes: usize,
    logits: &[T],
    labels: &[T],
    loss: &mut [T],
    backprop: &mut [T],
) {
    let rows = rows_of(logits.len(), classes);
    assert_eq!(labels.len(), logits.len(), "labels");
    let outputs = [(loss, 1), (backprop, classes)];
    split_outputs(pool, rows, 1, units_per_part(CLASS * classes), outputs, |range, [loss, backprop]| {
        let part = range.start * classes..range.end * classes;
        vectorised(DenseLoss { classes, logits: &logits[part.clone()], labels: &labels[part], loss, backprop });
    });
}

struct DenseLoss<'a, T> {
    classes: usize,
    logits: &'a [T],
    labels: &'a [T],
    loss: &'a mut [T],
    backprop: &'a mut [T],
}

impl<T: Float> Vectorised for DenseLoss<'_, T> {
    #[inline(always)]
    fn run(self) {
        let rows = Rows { classes: self.classes, data: self.logits };
        let labels = Rows { classes: self.classes, data: self.labels };
        for (row, loss) in self.loss.iter_mut().enumerate() {
            let max = rows.max(row);
            let sum = rows.exponentials(row, max, self.backprop);
            let (scale, log) = (T::Wide::of(1.0) / sum, sum.ln());
            *loss = T::store(rows.product_sum(row, &labels, |x| log - (x - max)));
            rows.finish(row, max, self.backprop, |e, at| {
                let label = labels.chunk(row, at);
                lanes(|l| e[l] * scale - label[l])
            });
        }
    }
}

/// The cross entropy of each row's softmax with one class, and its gradient: `loss[i] = -log_softmax[i,
/// labels[i]]`, `backprop = softmax - one_hot(labels)`.
///
/// # Errors
/// [`LabelError`] for the first label that is not a class; nothing is written then.
///
/// # Panics
/// When the logits do not consist of whole rows, or another slice does not fit them.
pub fn sparse_softmax_cross_entropy<T: Float, I: Index>(
    pool: &Pool,
    classes: usize,
    logits: &[T],
    labels: &[I],
    loss: &mut [T],
    backprop: &mut [T],
) -> Result<(), LabelError> {
    let rows = rows_of(logits.len(), classes);
    assert_eq!(labels.len(), rows, "labels");
    let outside = |label: &I| usize::try_from(label.to_i64()).map_or(true, |label| label >= classes);
    if let Some(row) = labels.iter().position(outside) {
        return Err(LabelError { row, label: labels[row].to_i64(), classes });
    }
    let outputs = [(loss, 1), (backprop, classes)];
    split_outputs(pool, rows, 1, units_per_part(CLASS * classes), outputs, |range, [loss, backprop]| {
        let labels = &labels[range.clone()];
        let logits = &logits[range.start * classes..range.end * classes];
        vectorised(SparseLoss { classes, logits, labels, loss, backprop });
    });
    Ok(())
}

struct SparseLoss<'a, T, I> {
    classes: usize,
    logits: &'a [T],
    labels: &'a [I],
    loss: &'a mut [T],
    backprop: &'a mut [T],
}

impl<T: Float, I: Index> Vectorised for SparseLoss<'_, T, I> {
    #[inline(always)]
    fn run(self) {
        let rows = Rows { classes: self.classes, data: self.logits };
        let one = T::Wide::of(1.0);
        for (row, (loss, label)) in self.loss.iter_mut().zip(self.labels).enumerate() {
            let max = rows.max(row);
            let sum = rows.exponentials(row, max, self.backprop);
            let at = row * self.classes + label.to_i64() as usize;
            let shifted = self.logits[at].load() - max;
            *loss = T::store(sum.ln() - shifted);
            let scale = one / sum;
            rows.finish(row, max, self.backprop, |e, _| lanes(|l| e[l] * scale));
            self.backprop[at] = T::store(shifted.exp() * scale - one);
        }
    }
}

#[cfg(test)]
mod tests;
