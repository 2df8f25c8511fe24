//! Rows in groups that fit the nearest cache.
//!
//! There are three ways, by the length of a row. *Few* classes: a group of rows is turned on its side, so
//! that vectors run across rows and rows of ten classes are as vectorized as any. *Some*: a group is one
//! long vector where that is possible, as for the exponentials. *Many*: a row is taken in parts, whose
//! exponentials are computed twice rather than kept.
//!
//! # Exactness
//!
//! The largest logit of a row is subtracted first, so the largest exponential is 1 and none overflows. A NaN makes
//! the maximum NaN and with it the row; rows of one group do not affect each other.
//!
//! # Types of 16 bits
//!
//! Logits are widened when they are loaded, and results are narrowed when they are emitted. Everything between is
//! computed in `f32`.

use crate::math::{Float, Real};
use crate::reduce::{MaxFold, SumFold, fold_slice};
use crate::simd::Vectorised;
use std::ops::Range;

/// Rows of up to this length are turned on their side.
const FEW: usize = 32;
/// Rows of a group.
const ROWS: usize = 64;
/// Numbers of a group.
const GROUP: usize = FEW * ROWS;

/// The softmax of whole rows, or of a part of one row.
pub(super) struct Part<'a, W> {
    /// The rows.
    pub(super) rows: Range<usize>,
    /// The columns of each that are here.
    pub(super) cols: Range<usize>,
    /// The probabilities, row by row.
    pub(super) probabilities: &'a [W],
    /// The largest logit of each row.
    pub(super) maxima: &'a [W],
    /// The logarithm of each row's sum of `e^(logit - maximum)`.
    pub(super) logs: &'a [W],
}

/// The output computed from each row. It is called once for some hundred numbers, so all outputs share one copy of the passes.
pub(super) trait Emit<T: Float> {
    /// Writes the outputs for some rows, or for a part of one.
    fn emit(&mut self, part: Part<'_, T::Wide>);
}

/// A pass over all rows of `logits`.
pub(super) struct Sweep<'a, T: Float> {
    /// The length of a row.
    pub(super) classes: usize,
    /// The rows.
    pub(super) logits: &'a [T],
    /// The consumer of the results.
    pub(super) emit: &'a mut dyn Emit<T>,
}

/// One number for each row of a group.
struct PerRow<W> {
    /// The largest logit. It is subtracted before the exponential, so that no exponential overflows.
    maxima: [W; ROWS],
    /// The sum of the exponentials.
    sums: [W; ROWS],
    /// The logarithm of the sum.
    logs: [W; ROWS],
}

impl<T: Float> Vectorised for Sweep<'_, T> {
    #[inline(always)]
    fn run(mut self) {
        let zero = T::Wide::of(0.0);
        let mut values = [zero; GROUP];
        let mut per_row = PerRow { maxima: [zero; ROWS], sums: [zero; ROWS], logs: [zero; ROWS] };
        match self.classes {
            0..=FEW => self.few(&mut values, &mut per_row),
            n if n <= GROUP => self.some(&mut values, &mut per_row),
            _ => self.many(&mut values),
        }
    }
}

impl<T: Float> Sweep<'_, T> {
    /// Works on groups of short rows, transposed.
    ///
    /// A group of up to 64 rows is copied into columns. Each step of a loop then handles one class of 16 rows, so the
    /// cost does not depend on how the number of classes fits a vector.
    #[inline(always)]
    fn few(&mut self, values: &mut [T::Wide; GROUP], per_row: &mut PerRow<T::Wide>) {
        let classes = self.classes;
        let mut columns = [T::Wide::of(0.0); GROUP];
        for (group, logits) in self.logits.chunks(ROWS * classes).enumerate() {
            let rows = logits.len() / classes;
            // Whole vectors; what is beyond the last row is computed and not used.
            let lanes = rows.next_multiple_of(16);
            for (r, row) in logits.chunks_exact(classes).enumerate() {
                for (x, column) in row.iter().zip(columns.chunks_exact_mut(ROWS)) {
                    column[r] = x.load();
                }
            }
            softmax_columns(&mut columns[..classes * ROWS], lanes, per_row);
            let values = &mut values[..logits.len()];
            for (r, row) in values.chunks_exact_mut(classes).enumerate() {
                for (x, column) in row.iter_mut().zip(columns.chunks_exact(ROWS)) {
                    *x = column[r];
                }
            }
            let first = group * ROWS;
            self.emit.emit(Part {
                rows: first..first + rows,
                cols: 0..classes,
                probabilities: values,
                maxima: &per_row.maxima[..rows],
                logs: &per_row.logs[..rows],
            });
        }
    }

    /// Works on groups of rows of medium length, each contiguous.
    ///
    /// The exponentials of all rows of a group are one loop over one slice. Only maxima and sums are computed row by
    /// row.
    #[inline(always)]
    fn some(&mut self, values: &mut [T::Wide; GROUP], per_row: &mut PerRow<T::Wide>) {
        let classes = self.classes;
        let per_group = GROUP / classes;
        for (group, logits) in self.logits.chunks(per_group * classes).enumerate() {
            let rows = logits.len() / classes;
            let values = &mut values[..logits.len()];
            load_all(logits, values);
            for (row, max) in values.chunks_exact_mut(classes).zip(&mut per_row.maxima) {
                *max = fold_slice::<T::Wide, MaxFold<T::Wide>>(row);
                subtract(row, *max);
            }
            exp_all(values);
            for (row, sum) in values.chunks_exact_mut(classes).zip(&mut per_row.sums) {
                *sum = fold_slice::<T::Wide, SumFold<T::Wide>>(row);
                multiply(row, T::Wide::of(1.0) / *sum);
            }
            ln_all(&per_row.sums[..rows], &mut per_row.logs);
            let first = group * per_group;
            self.emit.emit(Part {
                rows: first..first + rows,
                cols: 0..classes,
                probabilities: values,
                maxima: &per_row.maxima[..rows],
                logs: &per_row.logs[..rows],
            });
        }
    }

    /// Works on one long row at a time, in parts.
    ///
    /// Three passes read the row: for the maximum, for the sum, and for the results. The exponentials are computed
    /// twice, because keeping them would need memory as large as the row.
    #[inline(always)]
    fn many(&mut self, values: &mut [T::Wide; GROUP]) {
        for (i, row) in self.logits.chunks_exact(self.classes).enumerate() {
            let mut max = T::Wide::of(f64::NEG_INFINITY);
            for part in row.chunks(GROUP) {
                let values = &mut values[..part.len()];
                load_all(part, values);
                let part_max = fold_slice::<T::Wide, MaxFold<T::Wide>>(values);
                max = if part_max > max || part_max.is_nan() { part_max } else { max };
            }
            let mut sum = T::Wide::of(0.0);
            for part in row.chunks(GROUP) {
                let values = &mut values[..part.len()];
                shifted_exponentials(part, max, values);
                sum = sum + fold_slice::<T::Wide, SumFold<T::Wide>>(values);
            }
            for (k, part) in row.chunks(GROUP).enumerate() {
                let values = &mut values[..part.len()];
                shifted_exponentials(part, max, values);
                multiply(values, T::Wide::of(1.0) / sum);
                self.emit.emit(Part {
                    rows: i..i + 1,
                    cols: k * GROUP..k * GROUP + part.len(),
                    probabilities: values,
                    maxima: &[max],
                    logs: &[sum.ln()],
                });
            }
        }
    }
}

/// The softmax across columns of [`ROWS`] numbers, of which the first `lanes` count.
///
/// Column `c` holds the logits of class `c` for all rows of a group, and afterwards the probabilities. Lanes
/// beyond the last row hold what an earlier group left; their results are not read.
#[inline(always)]
fn softmax_columns<W: Real>(columns: &mut [W], lanes: usize, per_row: &mut PerRow<W>) {
    let PerRow { maxima, sums, logs } = per_row;
    let (maxima, sums) = (&mut maxima[..lanes], &mut sums[..lanes]);
    maxima.fill(W::of(f64::NEG_INFINITY));
    for column in columns.chunks_exact(ROWS) {
        for (max, &x) in maxima.iter_mut().zip(column) {
            // A NaN stays, since no later number is greater.
            *max = if x > *max || x.is_nan() { x } else { *max };
        }
    }
    sums.fill(W::of(0.0));
    for column in columns.chunks_exact_mut(ROWS) {
        for ((x, &max), sum) in column.iter_mut().zip(&*maxima).zip(&mut *sums) {
            let e = (*x - max).exp();
            *x = e;
            *sum = *sum + e;
        }
    }
    ln_all(sums, logs);
    for sum in &mut *sums {
        // One division for a row, and products for its elements.
        *sum = W::of(1.0) / *sum;
    }
    for column in columns.chunks_exact_mut(ROWS) {
        for (x, &scale) in column.iter_mut().zip(&*sums) {
            *x = *x * scale;
        }
    }
}

/// Widens elements to the type of the computation.
#[inline(always)]
fn load_all<T: Float>(input: &[T], output: &mut [T::Wide]) {
    for (out, &x) in output.iter_mut().zip(input) {
        *out = x.load();
    }
}

/// Subtracts a number from all elements.
#[inline(always)]
fn subtract<W: Real>(data: &mut [W], y: W) {
    for x in data {
        *x = *x - y;
    }
}

/// Multiplies all elements by a number.
#[inline(always)]
fn multiply<W: Real>(data: &mut [W], y: W) {
    for x in data {
        *x = *x * y;
    }
}

/// Replaces elements by their exponentials.
#[inline(always)]
fn exp_all<W: Real>(data: &mut [W]) {
    for x in data {
        *x = x.exp();
    }
}

/// Computes the logarithms of elements.
#[inline(always)]
fn ln_all<W: Real>(input: &[W], output: &mut [W]) {
    for (out, &x) in output.iter_mut().zip(input) {
        *out = x.ln();
    }
}

/// Computes the exponentials of a part of a row after subtracting its maximum.
#[inline(always)]
fn shifted_exponentials<T: Float>(part: &[T], max: T::Wide, values: &mut [T::Wide]) {
    for (out, &x) in values.iter_mut().zip(part) {
        *out = x.load() - max;
    }
    exp_all(values);
}
