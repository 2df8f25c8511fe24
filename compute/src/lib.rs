//! Numeric kernels over plain slices: the arithmetic of an engine, without tensors, graphs, or sessions.
//!
//! ```
//! use compute::matmul::{Product, matmul};
//! use compute::{Pool, Scratch};
//!
//! let pool = Pool::new(2)?;
//! let mut scratch = Scratch::new();
//! let (a, b) = ([1.0f32, 2.0, 3.0, 4.0], [1.0f32, 0.0, 0.0, 2.0]);
//! let mut c = [0.0; 4];
//! matmul(&pool, &mut scratch, &Product::new(2, 2, 2), &a, &b, &mut c)?;
//! assert_eq!(c, [1.0, 4.0, 3.0, 8.0]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! | module | kernels |
//! | --- | --- |
//! | [`matmul`] | products of matrices, with bias and ReLU |
//! | [`conv`], [`pooling`] | convolutions and pooling of NHWC images, and their gradients |
//! | [`elementwise`] | functions of single elements with broadcasting, casts, layouts, fused programs |
//! | [`reduce`] | sums, means, extremes, running sums |
//! | [`softmax`] | softmax and its losses |
//! | [`recurrent`] | the gates of LSTM and GRU cells |
//! | [`optimizer`] | updates of weights and slots |
//! | [`random`] | TensorFlow's random numbers |
//! | [`math`] | elementary functions that vectorize |
//! | [`qr`] | QR decomposition |
//!
//! # Conventions
//!
//! - **Memory belongs to the caller.** Kernels take slices and sizes and write into slices. They allocate nothing that grows with the data
//!   unless their documentation states it; working memory is a [`Scratch`] that the caller keeps.
//! - **Sizes are preconditions.** A slice whose length contradicts the sizes is a bug of the caller and panics. Data that can be wrong in a
//!   correct program, such as an index, is reported as an error.
//! - **Results are deterministic.** They do not depend on the number of threads. On one machine, every run gives the same bits.
//! - **Instruction sets are chosen at run time.** Loops are compiled for the target's baseline, for AVX2 with FMA, and for AVX-512 (those
//!   over seldom used types for fewer sets); [`Isa::current`] detects once per process which one is used.
//!
//! # How a kernel is written
//!
//! The function of a single element is a type (a [`UnaryFn`](elementwise::UnaryFn), a [`Fold`](reduce::Fold), a
//! [`Rule`](optimizer::Rule)), so the loop around it is compiled separately for each function and vectorized. The loop itself is written once
//! and instantiated for each instruction set by the macro `dispatch!`. Large arrays are split over the [`Pool`] into parts that are
//! long enough to be worth a wakeup; the split depends on the sizes only, which keeps sums deterministic.

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
