//! Running sums and products.

use crate::Pool;
use crate::elementwise::element::{ComplexNumber, Integer};
use crate::elementwise::work::{split_outputs, units_per_part};
use crate::elementwise::{Element, Narrow};
use half::{bf16, f16};
use num_complex::Complex;

/// The dimension along which numbers are accumulated, and how: the input is `[outer, axis, inner]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CumulativeShape {
    /// The product of the dimensions before it.
    pub outer: usize,
    /// The size of the dimension.
    pub axis: usize,
    /// The product of the dimensions after it.
    pub inner: usize,
    /// True if each result excludes the element at its own position, so that the first result is 0 (or 1).
    pub exclusive: bool,
    /// True to accumulate from the end.
    pub reverse: bool,
}

/// A type with running sums and products: every number.
pub trait Scan: Element {
    /// The accumulator type: `f32` for 16-bit types.
    type Accumulator: Copy + Send + Sync;
    /// The sum of no elements.
    const ZERO: Self::Accumulator;
    /// The product of no elements.
    const ONE: Self::Accumulator;
    /// Returns the number as an accumulator.
    fn lift(self) -> Self::Accumulator;
    /// Returns the accumulator as a number.
    fn lower(accumulator: Self::Accumulator) -> Self;
    /// Returns the sum; integers wrap.
    fn add(a: Self::Accumulator, b: Self::Accumulator) -> Self::Accumulator;
    /// Returns the product; integers wrap.
    fn multiply(a: Self::Accumulator, b: Self::Accumulator) -> Self::Accumulator;
}

/// Implements the types of running sums and products.
macro_rules! scans {
    ($($type:ty),* => $accumulator:ty, $zero:expr, $one:expr, |$x:ident| $lift:expr, |$s:ident| $lower:expr, |$a:ident, $b:ident| $add:expr, $multiply:expr;) => {$(
        impl Scan for $type {
            type Accumulator = $accumulator;
            const ZERO: $accumulator = $zero;
            const ONE: $accumulator = $one;

            #[inline(always)]
            fn lift(self) -> $accumulator {
                let $x = self;
                $lift
            }

            #[inline(always)]
            fn lower($s: $accumulator) -> $type {
                $lower
            }

            #[inline(always)]
            fn add($a: $accumulator, $b: $accumulator) -> $accumulator {
                $add
            }

            #[inline(always)]
            fn multiply($a: $accumulator, $b: $accumulator) -> $accumulator {
                $multiply
            }
        }
    )*};
}

scans!(f32, f64 => Self, 0.0, 1.0, |x| x, |s| s, |a, b| a + b, a * b;);
scans!(f16, bf16 => f32, 0.0, 1.0, |x| x.widen(), |s| Narrow::narrow(s), |a, b| a + b, a * b;);
scans!(i8, i16, i32, i64, u8, u16, u32, u64 => Self, <Self as Integer>::ZERO, <Self as Integer>::ONE,
    |x| x, |s| s, |a, b| a.wrapping_add(b), a.wrapping_mul(b););
scans!(Complex<f32>, Complex<f64> => Self, <Self as ComplexNumber>::ZERO, <Self as ComplexNumber>::ONE,
    |x| x, |s| s, |a, b| a + b, a * b;);

/// Computes running sums along a dimension.
///
/// ```
/// use compute::{Pool, reduce::{CumulativeShape, cumulative_sum}};
/// let shape = CumulativeShape { outer: 1, axis: 3, inner: 1, exclusive: true, reverse: false };
/// let mut sums = [0; 3];
/// cumulative_sum(&Pool::single(), shape, &[1, 2, 3], &mut sums);
/// assert_eq!(sums, [0, 1, 3]);
/// ```
///
/// # Panics
/// When the length of a slice differs from `shape`.
pub fn cumulative_sum<T: Scan>(pool: &Pool, shape: CumulativeShape, input: &[T], output: &mut [T]) {
    scan(pool, shape, input, output, T::ZERO, T::add);
}

/// Computes running products along a dimension.
///
/// ```
/// use compute::{Pool, reduce::{CumulativeShape, cumulative_product}};
/// let shape = CumulativeShape { outer: 1, axis: 3, inner: 1, exclusive: false, reverse: true };
/// let mut products = [0; 3];
/// cumulative_product(&Pool::single(), shape, &[2, 3, 4], &mut products);
/// assert_eq!(products, [24, 12, 4]);
/// ```
///
/// # Panics
/// Panics if the length of a slice contradicts `shape`.
pub fn cumulative_product<T: Scan>(pool: &Pool, shape: CumulativeShape, input: &[T], output: &mut [T]) {
    scan(pool, shape, input, output, T::ONE, T::multiply);
}

/// Columns that are accumulated side by side.
const COLUMNS: usize = 64;

/// Computes the running totals along a dimension.
///
/// `start` is the total of nothing, and `merge` adds an element to a total. Threads share the outer
/// dimensions; the totals along the axis are computed in order.
fn scan<T: Scan>(
    pool: &Pool,
    shape: CumulativeShape,
    input: &[T],
    output: &mut [T],
    start: T::Accumulator,
    merge: impl Fn(T::Accumulator, T::Accumulator) -> T::Accumulator + Copy + Sync,
) {
    let CumulativeShape { outer, axis, inner, .. } = shape;
    let block = axis * inner;
    assert_eq!(input.len(), outer * block, "input");
    if block == 0 {
        return;
    }
    split_outputs(pool, outer, 1, units_per_part(1_000 * block), [(output, block)], |range, [output]| {
        let input = input[range.start * block..].chunks_exact(block);
        for (input, output) in input.zip(output.chunks_exact_mut(block)) {
            for column in (0..inner).step_by(COLUMNS) {
                scan_columns::<T>(shape, input, output, column, start, merge);
            }
        }
    });
}

/// Accumulates up to [`COLUMNS`] columns from `column` on.
fn scan_columns<T: Scan>(
    shape: CumulativeShape,
    input: &[T],
    output: &mut [T],
    column: usize,
    start: T::Accumulator,
    merge: impl Fn(T::Accumulator, T::Accumulator) -> T::Accumulator,
) {
    let CumulativeShape { axis, inner, exclusive, reverse, .. } = shape;
    let width = COLUMNS.min(inner - column);
    // Within a column each addition waits for the one before. Columns do not, so a row of them is added in
    // vectors.
    let mut sums = [start; COLUMNS];
    for i in 0..axis {
        let row = if reverse { axis - 1 - i } else { i };
        let part = row * inner + column..row * inner + column + width;
        for ((sum, &x), output) in sums.iter_mut().zip(&input[part.clone()]).zip(&mut output[part]) {
            let next = merge(*sum, x.lift());
            *output = T::lower(if exclusive { *sum } else { next });
            *sum = next;
        }
    }
}
