//! Turning numbers of one type into numbers of another.

use super::work::{split_output, units_per_part};
use super::{Element, Narrow};
use crate::Pool;
use half::{bf16, f16};
use num_complex::Complex;

/// A number that can be turned into a `D`; every [`Element`] can be turned into every other.
///
/// - Floating point to integer: the integer part; what lies outside the range becomes the nearest limit
///   and NaN becomes 0. (TensorFlow leaves these cases to the compiler, and on x86 mostly gives the
///   least integer.)
/// - Integer to narrower integer: the low bits.
/// - To floating point: the nearest value, ties to even; to 16 bits by way of `f32`.
/// - To `bool`: whether it is not 0, so NaN is true. From `bool`: 0 or 1.
/// - From complex: the real part, except to complex. To complex: the imaginary part is 0.
pub trait CastTo<D>: Element {
    /// The number as a `D`.
    fn cast(self) -> D;

    /// [`CastTo::cast`] for slices of one length, on the calling thread.
    fn cast_slice(input: &[Self], output: &mut [D]);
}

/// Casts every element; see [`CastTo`] for the rules.
///
/// # Panics
/// When the slices differ in length.
pub fn cast<S: CastTo<D>, D: Element>(pool: &Pool, input: &[S], output: &mut [D]) {
    assert_eq!(input.len(), output.len(), "input and output differ in length");
    split_output(pool, output, 64, units_per_part(300), |range, output| {
        S::cast_slice(&input[range], output);
    });
}

dispatch! {
    fn cast_vector<S: CastTo<D>, D: Element>(input: &[S], output: &mut [D]) {
        for (out, &x) in output.iter_mut().zip(input) {
            *out = x.cast();
        }
    }
}

fn cast_all<S: CastTo<D>, D: Element>(input: &[S], output: &mut [D]) {
    if const { S::VECTOR && D::VECTOR } {
        cast_vector(input, output);
    } else {
        for (out, &x) in output.iter_mut().zip(input) {
            *out = x.cast();
        }
    }
}

/// How one value becomes another: the target type picks the step.
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
    ($x:ident: plain => truth $d:ty) => {
        $x != (0 as _)
    };
    ($x:ident: plain => narrow $d:ty) => {
        <$d>::narrow($x as f32)
    };
    ($x:ident: plain => plain $d:ty) => {
        $x as $d
    };
}

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
