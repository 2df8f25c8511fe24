//! Reductions of whole tensors.
//!
//! # How the work is divided
//!
//! A reduction has up to three levels: whole rows that are folded one by one, sets of columns that are folded
//! together, and groups of partial results. Numbers and sizes of parts depend on the shape alone, never on the number
//! of threads, so that a sum has the same bits on every machine with the same instruction set.
//!
//! # Passes
//!
//! 1. Each item of work folds a part of the input into partial results.
//! 2. Partial results of one output element are merged in order.
//! 3. `finish` makes the final value, such as the division of a mean.

use super::fold::{CHUNK, COLUMNS, FoldColumns, FoldRows, With, execute};
use super::plan::ReducePlan;
use crate::Pool;
use crate::elementwise::Element;
use crate::elementwise::work::{split_output, units_per_part};
use std::fmt;
use std::ops::Range;

/// A reduction of elements to one value. It is a type rather than a value, so that each reduction is compiled separately and vectorized.
///
/// Merging must be associative and commutative up to rounding. Mark the functions as `#[inline(always)]`: otherwise they are not compiled for
/// the widest instruction set of the CPU.
pub trait Fold<T>: Copy + Default + Send + Sync + 'static {
    /// The type of partial results.
    type Accumulator: Copy + Send + Sync + 'static;

    /// Returns the result for no elements.
    fn identity() -> Self::Accumulator;
    /// Returns the result of one element.
    fn lift(x: T) -> Self::Accumulator;
    /// Returns the result of two partial results.
    fn merge(a: Self::Accumulator, b: Self::Accumulator) -> Self::Accumulator;
    /// Returns the final value for `count` elements.
    fn finish(a: Self::Accumulator, count: usize) -> T;
}

/// A reduction of whole tensors. [`Element::reduce`](crate::elementwise::Element::reduce) returns those of TensorFlow's operations.
///
/// ```
/// use compute::{Pool, elementwise::Element, reduce::{ReduceOp, ReducePlan}};
/// let mean = f32::reduce(ReduceOp::Mean).expect("floats have a mean");
/// let plan = ReducePlan::new(&[2, 2], &[1])?;
/// let mut means = [0.0; 2];
/// mean.run(&Pool::single(), &plan, &[1.0, 3.0, 10.0, 30.0], &mut means);
/// assert_eq!(means, [2.0, 20.0]);
/// # Ok::<(), compute::reduce::ReduceError>(())
/// ```
#[derive(Clone, Copy)]
pub struct ReduceKernel<T> {
    /// The whole reduction, compiled for one operation and type.
    run: fn(&Pool, &ReducePlan, &[T], &mut [T]),
}

impl<T> fmt::Debug for ReduceKernel<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReduceKernel").finish_non_exhaustive()
    }
}

impl<T: Element> ReduceKernel<T> {
    /// Returns the kernel of a reduction that is defined by a type.
    #[must_use]
    pub fn new<F: Fold<T>>() -> Self {
        ReduceKernel { run: reduce::<T, F> }
    }

    /// Reduces `input` along the axes of `plan`.
    ///
    /// # Panics
    /// Panics if the length of a slice contradicts `plan`.
    pub fn run(&self, pool: &Pool, plan: &ReducePlan, input: &[T], output: &mut [T]) {
        assert_eq!(input.len(), plan.input_len(), "input");
        assert_eq!(output.len(), plan.output_len(), "output");
        (self.run)(pool, plan, input, output);
    }
}

/// The pool for work inside a part that already has its own thread.
static SINGLE: Pool = Pool::single();

/// The cost of one input element, in picoseconds.
const ELEMENT: usize = 150;
/// Rows that are folded before their values are finished.
const ROWS: usize = 64;
/// Partial results of one value, whose number and extent depend on the shape only.
const GROUPS: usize = 64;
/// The same for a set of columns.
const COLUMN_GROUPS: usize = 8;

/// Returns the same value for each column. A function of its own, because the compiler would unroll the loop at each call.
#[inline(never)]
fn repeated<A: Copy>(value: A) -> [A; COLUMNS] {
    [value; COLUMNS]
}

/// Reduces with the loops of one operation.
fn reduce<T: Element, F: Fold<T>>(pool: &Pool, plan: &ReducePlan, input: &[T], output: &mut [T]) {
    Steps::<T, F::Accumulator>::of::<F>().reduce(pool, plan, input, output);
}

/// The loops of a reduction. The code that divides the work between them is compiled for the types of elements and partial
/// results only, not for each reduction.
#[derive(Clone, Copy)]
struct Steps<T, A> {
    /// The result for no elements.
    identity: A,
    /// Folds rows of this width, each into one of the totals.
    rows: fn(&[T], usize, &mut [A]),
    /// Folds this number of rows, this far apart, column by column into the totals.
    columns: fn(&[T], usize, usize, &mut [A]),
    /// Merges partial results into totals.
    merge: fn(&mut [A], &[A]),
    /// Merges partial results one after the other.
    total: fn(&[A]) -> A,
    /// Computes the final values from totals of this many elements each.
    finish: fn(&[A], usize, &mut [T]),
}

impl<T: Element, A: Copy + Send + Sync> Steps<T, A> {
    /// Collects the loops that are compiled for an operation.
    fn of<F: Fold<T, Accumulator = A>>() -> Self {
        Steps {
            identity: F::identity(),
            rows: |data, width, totals| execute::<T, _>(With(F::default(), FoldRows { data, width, totals })),
            columns: |data, rows, stride, totals| {
                execute::<T, _>(With(F::default(), FoldColumns { data, rows, stride, totals }));
            },
            merge: |totals, parts| {
                for (total, &part) in totals.iter_mut().zip(parts) {
                    *total = F::merge(*total, part);
                }
            },
            total: |parts| parts.iter().fold(F::identity(), |a, &b| F::merge(a, b)),
            finish: |totals, count, output| {
                for (output, &total) in output.iter_mut().zip(totals) {
                    *output = F::finish(total, count);
                }
            },
        }
    }

    /// Divides the work, and folds each part.
    fn reduce(&self, pool: &Pool, plan: &ReducePlan, input: &[T], output: &mut [T]) {
        // The final value of nothing: NaN for a mean, 0 for a sum.
        if input.is_empty() {
            let mut nothing = [T::default()];
            (self.finish)(&[self.identity], 0, &mut nothing);
            output.fill(nothing[0]);
        } else if plan.inner_gone {
            self.reduce_rows(pool, plan, input, output);
        } else {
            self.reduce_columns(pool, plan, input, output);
        }
    }

    /// The elements that make one value are runs of neighbors.
    fn reduce_rows(&self, pool: &Pool, plan: &ReducePlan, input: &[T], output: &mut [T]) {
        let count = plan.count();
        // 5 ns for a row, however short.
        let least = units_per_part(count.saturating_mul(ELEMENT) + 5_000);
        let plain = plan.gone.inner() == count && plan.kept.single_stride().is_some();
        if plain && count <= CHUNK {
            // Rows one after the other.
            split_output(pool, output, 1, least, |range, output| {
                let data = &input[range.start * count..range.end * count];
                for (data, output) in data.chunks(ROWS * count).zip(output.chunks_mut(ROWS)) {
                    let mut totals = [self.identity; ROWS];
                    let totals = &mut totals[..output.len()];
                    (self.rows)(data, count, totals);
                    (self.finish)(totals, count, output);
                }
            });
            return;
        }
        // If there are few values, the threads share the groups of each. Groups are the same in either case,
        // and so are the bits.
        let few = output.len() < 2 * pool.threads();
        split_output(if few { &SINGLE } else { pool }, output, 1, least, |range, output| {
            let inside = if few { pool } else { &SINGLE };
            for (at, output) in range.zip(output) {
                let value = self.reduce_value(inside, plan, &input[plan.kept.offset(at)..]);
                (self.finish)(&[value], count, std::slice::from_mut(output));
            }
        });
    }

    /// One value, from groups of consecutive chunks.
    ///
    /// `input` starts at the first element of the value. A chunk is up to 8192 neighbors; up to 64 groups of
    /// chunks are folded, on several threads if there is enough work, and merged in order.
    fn reduce_value(&self, pool: &Pool, plan: &ReducePlan, input: &[T]) -> A {
        let inner = plan.gone.inner();
        // A chunk never crosses a gap in memory; a group is a number of chunks that depends on the shape
        // alone.
        let per_run = inner.div_ceil(CHUNK);
        let chunks = plan.count() / inner * per_run;
        let per_group = chunks.div_ceil(GROUPS);
        let runs = plan.gone.outer();
        let mut groups = [self.identity; GROUPS];
        let groups = &mut groups[..chunks.div_ceil(per_group)];
        let least = units_per_part(per_group * inner.min(CHUNK) * ELEMENT);
        split_output(pool, groups, 1, least, |range, groups| {
            for (group, result) in range.zip(groups) {
                for chunk in group * per_group..chunks.min((group + 1) * per_group) {
                    let start = runs.offset(chunk / per_run) + chunk % per_run * CHUNK;
                    let len = CHUNK.min(inner - chunk % per_run * CHUNK);
                    (self.rows)(&input[start..start + len], len, std::slice::from_mut(&mut *result));
                }
            }
        });
        (self.total)(groups)
    }

    /// The innermost dimension stays, so that neighbors belong to different values.
    fn reduce_columns(&self, pool: &Pool, plan: &ReducePlan, input: &[T], output: &mut [T]) {
        let (count, width) = (plan.count(), plan.kept.inner());
        let outer = plan.kept.outer();
        let least = units_per_part(count.saturating_mul(ELEMENT));
        // Narrow rows are not divided: they are folded side by side, in an order that must not depend on the
        // threads.
        let align = if width <= COLUMNS { width } else { 64 };
        let few = output.len() < 2 * pool.threads() * align;
        split_output(if few { &SINGLE } else { pool }, output, align, least, |range, output| {
            let inside = if few { pool } else { &SINGLE };
            let mut at = range.start;
            while at < range.end {
                let columns = COLUMNS.min(width - at % width).min(range.end - at);
                let data = &input[outer.offset(at / width) + at % width..];
                let output = &mut output[at - range.start..][..columns];
                let mut totals = repeated(self.identity);
                let totals = &mut totals[..columns];
                self.reduce_column_set(inside, plan, data, width, totals);
                (self.finish)(totals, count, output);
                at += columns;
            }
        });
    }

    /// A set of neighboring columns, from groups of consecutive rows.
    ///
    /// `data` starts at the first element of the set, `width` is the length of a whole row, and `totals` has
    /// an element for each column. Up to 8 groups of at least 512 rows are folded and merged in order.
    #[inline(never)]
    fn reduce_column_set(&self, pool: &Pool, plan: &ReducePlan, data: &[T], width: usize, totals: &mut [A]) {
        let (rows, columns) = (plan.count(), totals.len());
        // Enough rows for merging the groups to be a small part of the work.
        let per_group = rows.div_ceil(COLUMN_GROUPS).max(512);
        let mut groups = [repeated(self.identity); COLUMN_GROUPS];
        let groups = &mut groups[..rows.div_ceil(per_group)];
        let least = units_per_part(per_group * columns * ELEMENT);
        split_output(pool, groups, 1, least, |range, groups| {
            for (group, totals) in range.zip(groups) {
                let range = group * per_group..rows.min((group + 1) * per_group);
                self.fold_rows_into(plan, data, width, range, &mut totals[..columns]);
            }
        });
        for group in groups {
            (self.merge)(totals, &group[..columns]);
        }
    }

    /// Folds the rows of `range` into `totals`.
    #[inline(never)]
    fn fold_rows_into(
        &self,
        plan: &ReducePlan,
        data: &[T],
        width: usize,
        range: Range<usize>,
        totals: &mut [A],
    ) {
        if let Some(stride) = plan.gone.single_stride() {
            let data = &data[range.start * stride..];
            if stride == width && totals.len() == width && 2 * width <= COLUMNS {
                self.fold_narrow_rows(data, width, range.len(), totals);
                return;
            }
            (self.columns)(data, range.len(), stride, totals);
            return;
        }
        let (inner, outer) = (plan.gone.inner(), plan.gone.outer());
        // Of the innermost reduced dimension, since merged dimensions have sizes above 1.
        let stride = plan.gone.offset(1);
        let mut at = range.start;
        while at < range.end {
            let rows = (inner - at % inner).min(range.end - at);
            let data = &data[outer.offset(at / inner) + at % inner * stride..];
            (self.columns)(data, rows, stride, totals);
            at += rows;
        }
    }

    /// Neighboring rows of few columns: several make one long row, whose columns are folded together last.
    ///
    /// Rows of 10 are folded as rows of 250, in which each column occurs 25 times; the 25 parts are merged
    /// afterwards.
    fn fold_narrow_rows(&self, data: &[T], width: usize, rows: usize, totals: &mut [A]) {
        let together = (COLUMNS / width).min(rows);
        let mut wide = repeated(self.identity);
        let long = together * width;
        let wide = &mut wide[..long];
        (self.columns)(data, rows / together, long, wide);
        (self.columns)(&data[rows / together * long..], rows % together, width, &mut wide[..width]);
        for row in wide.chunks_exact(width) {
            (self.merge)(totals, row);
        }
    }
}
