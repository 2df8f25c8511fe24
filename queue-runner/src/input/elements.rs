//! What batches are made of.

use ops::data_flow::Components;
use ops::parsing::SparseTensor;
use ops::variables::Value;
use session_core::{Output, Variable};
use tensor::Tensor;

/// One tensor of an element that is batched: dense, or sparse (S-267).
///
/// Whatever a dense tensor can be given as turns into one, and so does a [`SparseTensor`]; arrays of both kinds are made
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
    /// In order.
    Listed(Vec<BatchTensor>),
    /// By name, in any order.
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

macro_rules! single {
    ($($type:ty),*) => {$(
        impl From<$type> for BatchTensors {
            fn from(value: $type) -> BatchTensors {
                BatchTensors::Listed(vec![value.into()])
            }
        }
    )*};
}

single!(BatchTensor, SparseTensor, &SparseTensor, Value, Output, &Output, &Variable, Tensor, &Tensor, &str);
single!(f32, f64, i8, i16, i32, i64, u8, u16, u32, u64, bool);

macro_rules! lists {
    ($($type:ty),*) => {$(
        impl<const N: usize> From<[$type; N]> for BatchTensors {
            fn from(values: [$type; N]) -> BatchTensors {
                BatchTensors::Listed(values.into_iter().map(BatchTensor::from).collect())
            }
        }

        impl From<Vec<$type>> for BatchTensors {
            fn from(values: Vec<$type>) -> BatchTensors {
                BatchTensors::Listed(values.into_iter().map(BatchTensor::from).collect())
            }
        }
    )*};
}

lists!(BatchTensor, SparseTensor, &SparseTensor, Value, Output, &Output, &Variable, Tensor, &Tensor);

impl From<&[Output]> for BatchTensors {
    fn from(values: &[Output]) -> BatchTensors {
        BatchTensors::Listed(values.iter().map(BatchTensor::from).collect())
    }
}

impl From<&Vec<Output>> for BatchTensors {
    fn from(values: &Vec<Output>) -> BatchTensors {
        BatchTensors::from(values.as_slice())
    }
}

macro_rules! tuples {
    ($($(($name:ident $index:tt))+;)*) => {$(
        impl<$($name: Into<BatchTensor>),+> From<($($name,)+)> for BatchTensors {
            fn from(values: ($($name,)+)) -> BatchTensors {
                BatchTensors::Listed(vec![$(values.$index.into()),+])
            }
        }
    )*};
}

tuples! {
    (A 0);
    (A 0) (B 1);
    (A 0) (B 1) (C 2);
    (A 0) (B 1) (C 2) (D 3);
    (A 0) (B 1) (C 2) (D 3) (E 4);
    (A 0) (B 1) (C 2) (D 3) (E 4) (F 5);
}

impl<K: Into<String>, V: Into<BatchTensor>, const N: usize> From<[(K, V); N]> for BatchTensors {
    fn from(values: [(K, V); N]) -> BatchTensors {
        BatchTensors::Named(values.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

impl<K: Into<String>, V: Into<BatchTensor>> From<Vec<(K, V)>> for BatchTensors {
    fn from(values: Vec<(K, V)>) -> BatchTensors {
        BatchTensors::Named(values.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}
