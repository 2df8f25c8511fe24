//! Numeric kernels over plain slices: what an engine's operations are made of, with no knowledge of
//! tensors, graphs or sessions.
//!
//! Every kernel takes slices and sizes, writes into memory that the caller owns, allocates nothing
//! that grows with the data unless its documentation says so, and gives the same bits on every run
//! with the same number of threads. The instruction set (AVX-512, AVX2 with FMA, or the target's
//! baseline) is chosen once per process at run time.

#[macro_use]
mod simd;

pub mod conv;
pub mod elementwise;
pub mod math;
pub mod matmul;
pub mod optimizer;
mod parallel;
pub mod pooling;
pub mod qr;
pub mod random;
pub mod recurrent;
pub mod reduce;
mod scratch;
pub mod softmax;

pub use parallel::Pool;
pub use scratch::{OutOfMemory, Scratch};
pub use simd::Isa;

/// Runs the program of the front page.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
