//! Tensors and their memory may be shared between threads.
#![allow(clippy::unwrap_used, clippy::print_stdout)] // a panic is the report, and what is printed is meant to be seen

use std::fmt::Debug;
use std::panic::UnwindSafe;
use tensor::{BufferPool, DType, Shape, Tensor, TensorError};

fn shared<T: Send + Sync + Unpin + Clone + Debug + 'static>() {}
fn error<T: std::error::Error + Send + Sync + UnwindSafe + 'static>() {}

#[test]
fn handles_are_shared_between_threads() {
    shared::<Tensor>();
    shared::<BufferPool>();
    shared::<Shape>();
    shared::<DType>();
    error::<TensorError>();
}
