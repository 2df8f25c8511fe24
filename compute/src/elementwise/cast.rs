//! Conversion of numbers from one type to another.
//!
//! Conversions between numeric types are `as` casts or go through `f32` for 16-bit floats. They are vectorized: a
//! loop per pair of types, compiled for several instruction sets if both types are common in tensors.

use super::work::{split_output, units_per_part};
use super::{Element, Loops, Narrow, Values, ValuesMut};
use crate::Pool;
use half::{bf16, f16};
use num_complex::Complex;
use std::sync::{Mutex, PoisonError};

/// A number that can be converted to a `D`. Every [`Element`] can be converted to every other.
///
/// - Floating-point to integer: the integer part. Numbers out of range become the nearest limit, and NaN becomes 0. (TensorFlow leaves these
///   cases to the compiler, which on x86 usually yields the smallest integer.)
/// - Integer to a narrower integer: the low bits.
/// - To floating-point: the nearest value, ties to even; to 16 bits through `f32`.
/// - To `bool`: true unless the number is 0, so NaN is true. From `bool`: 0 or 1.
/// - From complex: the real part, except to complex. To complex: the imaginary part is 0.
///
/// ```
/// use compute::elementwise::CastTo;
/// let integer: i32 = 2.9f32.cast();
/// let saturated: u8 = (-1.0f32).cast();
/// let truth: bool = f32::NAN.cast();
/// assert_eq!((integer, saturated, truth), (2, 0, true));
/// ```
pub trait CastTo<D>: Element {
    /// Returns the number as a `D`.
    fn cast(self) -> D;

    /// Converts a slice on the calling thread, as [`CastTo::cast`]. Both slices have the same length.
    fn cast_slice(input: &[Self], output: &mut [D]);
}

/// About how long one element takes, in picoseconds.
const COST: usize = 300;

/// Converts every element; see [`CastTo`] for the rules.
///
/// ```
/// use compute::{Pool, elementwise::cast};
/// let mut integers = [0i64; 3];
/// cast(&Pool::single(), &[1.5f32, -1.5, 1e30], &mut integers);
/// assert_eq!(integers, [1, -1, i64::MAX]);
/// ```
///
/// # Panics
/// Panics if the slices differ in length.
pub fn cast<S: CastTo<D>, D: Element>(pool: &Pool, input: &[S], output: &mut [D]) {
    assert_eq!(input.len(), output.len(), "input and output differ in length");
    split_output(pool, output, 64, units_per_part(COST), |range, output| {
        S::cast_slice(&input[range], output);
    });
}

/// [`cast`] between types that are known at run time.
///
/// ```
/// use compute::{Pool, elementwise::cast_values};
/// let mut output = [0i32; 2];
/// cast_values(&Pool::single(), [1.5f32, -1.5][..].into(), (&mut output[..]).into());
/// assert_eq!(output, [1, -1]);
/// ```
///
/// # Panics
/// When the slices differ in length.
pub fn cast_values(pool: &Pool, input: Values<'_>, output: ValuesMut<'_>) {
    assert_eq!(input.len(), output.len(), "input and output differ in length");
    // Not by `split_output`, which needs one type of elements: only `cast_part` finds out which it is.
    let parts = pool.threads().min(input.len() / units_per_part(COST)).max(1);
    if parts == 1 {
        return cast_part(input, output);
    }
    let step = input.len().div_ceil(parts).next_multiple_of(64);
    let (mut pieces, mut rest) = (Vec::with_capacity(parts), (input, output));
    while !rest.0.is_empty() {
        let at = step.min(rest.0.len());
        let ((input, more), (output, more_output)) = (rest.0.split_at(at), rest.1.split_at(at));
        pieces.push(Mutex::new(Some((input, output))));
        rest = (more, more_output);
    }
    pool.run(pieces.len(), |i| {
        // Each piece is taken by one thread, so no thread waits.
        let piece = pieces[i].lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((input, output)) = piece {
            cast_part(input, output);
        }
    });
}

dispatch_avx2! {
    /// Converts a slice, as it is compiled for each instruction set.
    fn cast_vector<S: CastTo<D>, D: Element>(input: &[S], output: &mut [D]) {
        for (out, &x) in output.iter_mut().zip(input) {
            *out = x.cast();
        }
    }
}

/// Converts a slice on one thread.
/// Both have the same length.
fn cast_all<S: CastTo<D>, D: Element>(input: &[S], output: &mut [D]) {
    // There are 225 pairs of types; loops for AVX2 exist for those that are common in large tensors.
    if const { !matches!(S::LOOPS, Loops::Baseline) && !matches!(D::LOOPS, Loops::Baseline) } {
        cast_vector(input, output);
    } else {
        for (out, &x) in output.iter_mut().zip(input) {
            *out = x.cast();
        }
    }
}

/// Converts one value; the target type selects the conversion.
///
/// Types are of four kinds, which makes 16 rules for 225 pairs: `plain` types are converted by `as`, `narrow`
/// ones are the floats of 16 bits, `truth` is `bool`, and `complex` numbers consist of two plain parts.
macro_rules! convert {
    // Complex sources.
    ($x:ident: complex => complex $d:ty) => {
        <$d>::new($x.re as _, $x.im as _)
    };
    ($x:ident: complex => truth $d:ty) => {
        $x.re != 0.0
    };
    ($x:ident: complex => narrow $d:ty) => {
        <$d>::narrow($x.re as f32)
    };
    ($x:ident: complex => plain $d:ty) => {
        $x.re as $d
    };
    // Narrow sources.
    ($x:ident: narrow => complex $d:ty) => {
        <$d>::new($x.widen().into(), 0.0)
    };
    ($x:ident: narrow => truth $d:ty) => {
        $x.widen() != 0.0
    };
    ($x:ident: narrow => narrow $d:ty) => {
        <$d>::narrow($x.widen())
    };
    ($x:ident: narrow => plain $d:ty) => {
        $x.widen() as $d
    };
    // Truth values.
    ($x:ident: truth => complex $d:ty) => {
        <$d>::new(u8::from($x).into(), 0.0)
    };
    ($x:ident: truth => truth $d:ty) => {
        $x
    };
    ($x:ident: truth => narrow $d:ty) => {
        <$d>::narrow(u8::from($x).into())
    };
    ($x:ident: truth => plain $d:ty) => {
        u8::from($x) as $d
    };
    // f32, f64 and integers.
    ($x:ident: plain => complex $d:ty) => {
        <$d>::new($x as _, 0.0)
    };
    // NaN is unequal to 0, so it is true.
    ($x:ident: plain => truth $d:ty) => {
        $x != (0 as _)
    };
    // Through `f32`, so an `f64` is rounded twice, as in Eigen's conversion.
    ($x:ident: plain => narrow $d:ty) => {
        <$d>::narrow($x as f32)
    };
    ($x:ident: plain => plain $d:ty) => {
        $x as $d
    };
}

/// Implements the conversions from one type to several.
macro_rules! casts_from {
    ($s_kind:ident $s:ty => $($d_kind:ident $d:ty),*) => {$(
        impl CastTo<$d> for $s {
            #[inline(always)]
            #[allow(clippy::unnecessary_cast)] // the same text serves all pairs
            fn cast(self) -> $d {
                let x = self;
                convert!(x: $s_kind => $d_kind $d)
            }

            fn cast_slice(input: &[Self], output: &mut [$d]) {
                cast_all(input, output);
            }
        }
    )*};
}

/// Implements the conversions between all numeric types.
macro_rules! casts {
    ($($s_kind:ident $s:ty;)*) => {$(
        casts_from!($s_kind $s =>
            plain f32, plain f64, narrow f16, narrow bf16,
            plain i8, plain i16, plain i32, plain i64, plain u8, plain u16, plain u32, plain u64,
            truth bool, complex Complex<f32>, complex Complex<f64>
        );
    )*};
}

casts! {
    plain f32;
    plain f64;
    narrow f16;
    narrow bf16;
    plain i8;
    plain i16;
    plain i32;
    plain i64;
    plain u8;
    plain u16;
    plain u32;
    plain u64;
    truth bool;
    complex Complex<f32>;
    complex Complex<f64>;
}

/// Picks the loop of two types.
///
/// The first function finds the type of the input and the second that of the output, so there are two
/// `match`es of 15 arms instead of one of 225.
macro_rules! cast_parts {
    ($($variant:ident),*) => {
        /// Casts on the calling thread.
        fn cast_part(input: Values<'_>, output: ValuesMut<'_>) {
            match input {
                $(Values::$variant(input) => cast_from(input, output),)*
            }
        }

        /// Converts to the dtype of the output.
        fn cast_from<S>(input: &[S], output: ValuesMut<'_>)
        where
            S: CastTo<f32> + CastTo<f64> + CastTo<f16> + CastTo<bf16>,
            S: CastTo<i8> + CastTo<i16> + CastTo<i32> + CastTo<i64>,
            S: CastTo<u8> + CastTo<u16> + CastTo<u32> + CastTo<u64>,
            S: CastTo<bool> + CastTo<Complex<f32>> + CastTo<Complex<f64>>,
        {
            match output {
                $(ValuesMut::$variant(output) => S::cast_slice(input, output),)*
            }
        }
    };
}

cast_parts!(F32, F64, F16, BF16, I8, I16, I32, I64, U8, U16, U32, U64, Bool, Complex64, Complex128);
