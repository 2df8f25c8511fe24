//! The elements of batches.

use ops::data_flow::Components;
use ops::parsing::SparseTensor;
use ops::variables::Value;
use session_core::{Output, Variable};
use tensor::Tensor;

/// One tensor of an element that is batched: dense, or sparse (S-267).
///
/// Every form of a dense tensor can be turned into one, and so can a [`SparseTensor`]; arrays of both kinds are made
/// with `into()`: `[image.into(), words.into()]`.
#[derive(Clone, Debug)]
pub enum BatchTensor {
    /// A tensor.
    Dense(Value),
    /// A sparse tensor; the batch of it is sparse too and has one dimension more.
    Sparse(SparseTensor),
}

/// The tensors of an element that is batched: a single one; several as an array, vector, slice or tuple; or pairs of name
/// and tensor.
#[derive(Clone, Debug)]
pub enum BatchTensors {
    /// Components in order.
    Listed(Vec<BatchTensor>),
    /// Components by name, in any order.
    Named(Vec<(String, BatchTensor)>),
}

impl From<Components> for BatchTensors {
    fn from(components: Components) -> BatchTensors {
        match components {
            Components::Listed(values) => {
                BatchTensors::Listed(values.into_iter().map(BatchTensor::Dense).collect())
            }
            Components::Named(pairs) => {
                let dense = |(name, value)| (name, BatchTensor::Dense(value));
                BatchTensors::Named(pairs.into_iter().map(dense).collect())
            }
        }
    }
}

impl From<SparseTensor> for BatchTensor {
    fn from(sparse: SparseTensor) -> BatchTensor {
        BatchTensor::Sparse(sparse)
    }
}

impl From<&SparseTensor> for BatchTensor {
    fn from(sparse: &SparseTensor) -> BatchTensor {
        BatchTensor::Sparse(sparse.clone())
    }
}

macro_rules! dense {
    ($($type:ty),*) => {$(
        impl From<$type> for BatchTensor {
            fn from(value: $type) -> BatchTensor {
                BatchTensor::Dense(value.into())
            }
        }
    )*};
}

dense!(Value, Output, &Output, &Variable, Tensor, &Tensor, &str);
dense!(f32, f64, i8, i16, i32, i64, u8, u16, u32, u64, bool);

ops::element_conversions!(BatchTensors of BatchTensor, and BatchTensor, SparseTensor, &SparseTensor);
