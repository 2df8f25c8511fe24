//! Plain facts about stored tensors.

use crate::Error;
use tensor::{DType, Shape};

/// What a checkpoint says of one tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct TensorInfo {
    /// The name under which it is stored.
    pub name: String,
    /// The type of its elements.
    pub dtype: DType,
    /// Its full shape.
    pub shape: Shape,
    /// The bytes it takes in the file, lengths and checksums of strings included.
    pub bytes: u64,
}

/// What a file says of a tensor whose dtype is not known here, so that it can be named but not read.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct UnknownTensor {
    /// The name under which it is stored.
    pub name: String,
    /// The format's name of the type of its elements.
    pub dtype: String,
    /// Its shape.
    pub shape: Shape,
    /// The bytes it takes in the file.
    pub bytes: u64,
}

/// Something in a checkpoint that cannot be used.
#[derive(Debug)]
#[non_exhaustive]
pub struct Problem {
    /// The tensor that is hit; `None` when it is the checkpoint as a whole.
    pub name: Option<String>,
    /// What is wrong, with the file's name.
    pub error: Error,
}
