//! Host tensors: dtypes, shapes, immutable shared buffers, conversion and display.
//!
//! A [`Tensor`] is a [`DType`], a [`Shape`] and elements in row-major order. It is a value: cloning
//! shares the elements, and nothing changes under a clone. All of TensorFlow's dtypes are known,
//! strings and handles included, under TensorFlow's names and numbers.
//!
//! ```
//! use tensor::{BufferPool, DType, Tensor, TensorError};
//!
//! fn main() -> Result<(), TensorError> {
//!     // From what Rust has, without a copy where that is possible.
//!     let images = Tensor::from_vec(vec![0.0f32, 0.5, 1.0, 0.25, 0.75, 0.125], [3, 2])?;
//!     let labels = Tensor::from(["cat", "dog", "cat"]);
//!     assert_eq!((images.dtype(), labels.dtype()), (DType::Float32, DType::String));
//!
//!     // Parts share memory; joined tensors are copies.
//!     let last = images.rows(2, 3)?;
//!     assert_eq!(last.as_slice::<f32>()?, [0.75, 0.125]);
//!     let batch = Tensor::concat_rows(&[last, images.rows(0, 1)?])?;
//!     assert_eq!(batch.to_string(), "[[0.75  0.125]\n [0.    0.5  ]]");
//!
//!     // A sole owner writes in place; otherwise the elements are copied first.
//!     let snapshot = batch.clone();
//!     let mut batch = batch;
//!     batch.make_mut::<f32>(&BufferPool::new())?[0] = 9.0;
//!     assert_eq!((batch.as_slice::<f32>()?[0], snapshot.as_slice::<f32>()?[0]), (9.0, 0.75));
//!
//!     // Single values, whatever their width.
//!     assert_eq!(Tensor::scalar(500u16).as_scalar_i64()?, 500);
//!     Ok(())
//! }
//! ```
//!
//! # Features
//!
//! | Feature | Default | What it brings |
//! | --- | --- | --- |
//! | `serde` | yes | [`Tensor`], [`DType`] and [`Shape`] in any serde format |
//! | `ndarray` | no | conversions from and to `ndarray` arrays |
//!
//! # What it does not do
//!
//! No arithmetic, no casts, no broadcasting, no strides: a tensor here is what goes into a computation
//! and what comes out. No devices: elements are in host memory. Ranks and dtypes are known at run time
//! only.
//!
//! # Byte order
//!
//! [`Tensor::as_bytes`] and [`Tensor::from_bytes`] use the machine's byte order. A program that writes a
//! file converts, most easily by [`Tensor::to_le_bytes`] and [`Tensor::from_le_bytes`]; the serde form is
//! little-endian everywhere.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod arena;
mod buffer;
mod byte_order;
mod display;
mod dtype;
mod element;
mod elements;
mod error;
mod file_kind;
pub mod memory;
mod number;
mod rows;
mod scalar;
mod shape;
mod slab;
mod tensor;
pub mod text;

#[cfg(feature = "ndarray")]
mod array;
#[cfg(feature = "serde")]
mod serialize;

pub use buffer::BufferPool;
pub use bytes::Bytes;
pub use dtype::DType;
pub use element::{Bits, Element};
pub use error::TensorError;
pub use file_kind::FileKind;
pub use half::{bf16, f16};
pub use num_complex::Complex;
pub use number::Number;
pub use shape::Shape;
pub use slab::Slab;
pub use tensor::Tensor;

/// The program of the front page runs.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
