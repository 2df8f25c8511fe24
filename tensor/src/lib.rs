//! Host tensors: dtypes, shapes, immutable shared buffers, conversion and display.

mod buffer;
mod display;
mod dtype;
mod element;
mod error;
mod shape;
mod tensor;

pub use buffer::BufferPool;
pub use bytes::Bytes;
pub use dtype::DType;
pub use element::Element;
pub use error::TensorError;
pub use half::{bf16, f16};
pub use num_complex::Complex;
pub use shape::Shape;
pub use tensor::Tensor;
