//! The position of the largest or smallest element.

use crate::Pool;
use crate::elementwise::work::{split_output, units_per_part};
use crate::elementwise::{Element, Narrow};
use half::{bf16, f16};
use std::fmt;

/// An element that can be ordered, for [`arg_max`] and [`arg_min`].
pub trait Ranked: Element {
    /// The type of the comparison key.
    type Key: Copy + PartialOrd + Send + Sync;

    /// The start of a search for the largest element, below or equal to every key.
    const LEAST: Self::Key;
    /// The start of a search for the smallest element, above or equal to every key.
    const LARGEST: Self::Key;

    /// Returns the comparison key.
    fn key(self) -> Self::Key;
}

/// Implements the order of a type.
/// A line is `type => key, least key, largest key, |x| key of x;`.
macro_rules! ranked {
    ($($type:ty => $key:ty, $least:expr, $largest:expr, |$x:ident| $lift:expr;)*) => {$(
        impl Ranked for $type {
            type Key = $key;
            const LEAST: $key = $least;
            const LARGEST: $key = $largest;

            #[inline(always)]
            fn key(self) -> $key {
                let $x = self;
                $lift
            }
        }
    )*};
}

ranked! {
    f32 => f32, f32::MIN, f32::MAX, |x| x;
    f64 => f64, f64::MIN, f64::MAX, |x| x;
    f16 => f32, f32::MIN, f32::MAX, |x| x.widen();
    bf16 => f32, f32::MIN, f32::MAX, |x| x.widen();
    i8 => i8, i8::MIN, i8::MAX, |x| x;
    i16 => i16, i16::MIN, i16::MAX, |x| x;
    i32 => i32, i32::MIN, i32::MAX, |x| x;
    i64 => i64, i64::MIN, i64::MAX, |x| x;
    u8 => u8, u8::MIN, u8::MAX, |x| x;
    u16 => u16, u16::MIN, u16::MAX, |x| x;
    u32 => u32, u32::MIN, u32::MAX, |x| x;
    u64 => u64, u64::MIN, u64::MAX, |x| x;
    bool => bool, false, true, |x| x;
}

/// An integer type of positions.
pub trait IndexOut: Copy + Default + Send + Sync + 'static {
    /// Returns the position as this integer, wrapped if it does not fit.
    fn from_usize(place: usize) -> Self;
}

/// Implements a type of positions.
macro_rules! index_out {
    ($($type:ty),*) => {$(
        impl IndexOut for $type {
            #[inline(always)]
            fn from_usize(place: usize) -> Self {
                place as $type
            }
        }
    )*};
}

index_out!(i16, u16, i32, i64);

/// The dimensions around the one that is searched: the input is `[outer, axis, inner]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArgShape {
    /// The product of the dimensions before it.
    pub outer: usize,
    /// The size of the dimension.
    pub axis: usize,
    /// The product of the dimensions after it.
    pub inner: usize,
}

/// The error of a search along an empty dimension.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ArgError;

impl fmt::Display for ArgError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("reduction axis is empty")
    }
}

impl std::error::Error for ArgError {}

/// Writes the position of the first largest element along a dimension. NaN is skipped, as in TensorFlow; if nothing else is left, the position
/// is 0.
///
/// ```
/// use compute::{Pool, reduce::{ArgShape, arg_max}};
/// let shape = ArgShape { outer: 2, axis: 3, inner: 1 };
/// let mut positions = [0i64; 2];
/// arg_max(&Pool::single(), shape, &[1.0f32, 5.0, 5.0, f32::NAN, -1.0, -2.0], &mut positions)?;
/// assert_eq!(positions, [1, 1]);
/// # Ok::<(), compute::reduce::ArgError>(())
/// ```
///
/// # Errors
/// [`ArgError`] if the dimension is empty and the others are not.
///
/// # Panics
/// Panics if the length of a slice contradicts `shape`.
pub fn arg_max<T: Ranked, I: IndexOut>(
    pool: &Pool,
    shape: ArgShape,
    input: &[T],
    output: &mut [I],
) -> Result<(), ArgError> {
    search(pool, shape, input, output, T::LEAST, greater::<T::Key>)
}

/// Writes the position of the first smallest element along a dimension. NaN is skipped, as in TensorFlow; if nothing else is left, the
/// position is 0.
///
/// ```
/// use compute::{Pool, reduce::{ArgShape, arg_min}};
/// let shape = ArgShape { outer: 1, axis: 3, inner: 1 };
/// let mut position = [0i32];
/// arg_min(&Pool::single(), shape, &[3, 1, 1], &mut position)?;
/// assert_eq!(position, [1]);
/// # Ok::<(), compute::reduce::ArgError>(())
/// ```
///
/// # Errors
/// [`ArgError`] if the dimension is empty and the others are not.
///
/// # Panics
/// Panics if the length of a slice contradicts `shape`.
pub fn arg_min<T: Ranked, I: IndexOut>(
    pool: &Pool,
    shape: ArgShape,
    input: &[T],
    output: &mut [I],
) -> Result<(), ArgError> {
    search(pool, shape, input, output, T::LARGEST, less::<T::Key>)
}

/// Returns true if `x` replaces the largest key so far.
#[inline(always)]
fn greater<K: PartialOrd>(x: K, best: K) -> bool {
    x > best
}

/// Returns true if `x` replaces the smallest key so far.
#[inline(always)]
fn less<K: PartialOrd>(x: K, best: K) -> bool {
    x < best
}

/// Searches along a dimension, for the largest or the smallest element.
///
/// `better(x, best)` is true if `x` replaces `best`; it is false for equal keys, so the first of several
/// wins. `start` is finite, so a row of nothing but NaN and the worst infinity yields position 0.
///
/// # Errors
/// [`ArgError`] if the dimension is empty and the output is not.
fn search<T: Ranked, I: IndexOut>(
    pool: &Pool,
    shape: ArgShape,
    input: &[T],
    output: &mut [I],
    start: T::Key,
    better: impl Fn(T::Key, T::Key) -> bool + Copy + Sync,
) -> Result<(), ArgError> {
    let ArgShape { outer, axis, inner } = shape;
    assert_eq!(input.len(), outer * axis * inner, "input");
    assert_eq!(output.len(), outer * inner, "output");
    if axis == 0 && !output.is_empty() {
        return Err(ArgError);
    }
    // 1 ns an element: each comparison waits for the one before.
    split_output(pool, output, 1, units_per_part(1_000 * axis), |range, output| {
        for (at, output) in range.zip(output) {
            let from = at / inner * axis * inner + at % inner;
            *output = I::from_usize(place(&input[from..], axis, inner, start, better));
        }
    });
    Ok(())
}

/// Searches some elements, `step` apart. Not compiled for each type of positions.
#[inline(never)]
fn place<T: Ranked>(
    input: &[T],
    count: usize,
    step: usize,
    start: T::Key,
    better: impl Fn(T::Key, T::Key) -> bool,
) -> usize {
    let (mut best, mut place) = (start, 0);
    for (i, &x) in input.iter().step_by(step).take(count).enumerate() {
        if better(x.key(), best) {
            (best, place) = (x.key(), i);
        }
    }
    place
}
