//! Elementary functions without branches, so that loops over them are vectorized.
//!
//! | function | type | largest error, units in the last place |
//! | --- | --- | --- |
//! | [`exp`], [`expm1`], [`ln`], [`log1p`] | `f32` | 1.5 |
//! | [`sigmoid`], [`tanh`] | `f32` | 2.5 |
//! | [`softplus`] | `f32` | 8, because of the short cuts that it shares with TensorFlow |
//! | [`erf`], [`erfc`] | `f32` | 1 |
//!
//! [`Real`] has these and the rest for both `f32` and `f64`; functions that are not in the table above are the
//! platform's function, one element at a time, and in `f64` everything is.
//!
//! For infinities and NaN the results are those of C's functions. [`exp`] returns 0 instead of a subnormal result, like
//! TensorFlow: subnormals take the CPU many times longer, and a masked softmax is full of them.
//!
//! The polynomials of the exponentials and logarithms are those of the Cephes library (S. Moshier, *Methods and Programs for Mathematical
//! Functions*, 1989). There is no fused multiply-add, so the bits are the same on every CPU.
//!
//! ```
//! use compute::math::{erf, exp, log1p, tanh};
//! assert_eq!(exp(0.0), 1.0);
//! assert!((tanh(0.5) - 0.462_117_16).abs() < 1e-6);
//! assert!((erf(1.0) - 0.842_700_8).abs() < 1e-6);
//! assert_eq!(log1p(1e-10), 1e-10); // exact near 0
//! ```

mod error_function;
mod exponential;
mod float;
mod real;

pub use error_function::{erf, erfc};
pub use exponential::{exp, expm1, ln, log1p, sigmoid, softplus, tanh};
pub use float::Float;
pub use real::Real;

#[cfg(test)]
mod tests;
