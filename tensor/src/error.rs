//! The error type.

use crate::memory::Size;
use crate::{DType, Shape};

/// The reason why a tensor cannot be created or read.
///
/// ```
/// use tensor::{Tensor, TensorError};
/// let error = Tensor::from_vec(vec![1, 2, 3], [2, 2]).unwrap_err();
/// assert!(matches!(error, TensorError::Elements { expected: 4, found: 3, .. }));
/// assert_eq!(error.to_string(), "shape [2,2] holds 4 elements, but 3 were given");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TensorError {
    /// The number of elements does not match the shape.
    #[error("shape {shape} holds {expected} elements, but {found} were given")]
    Elements {
        /// The requested shape.
        shape: Shape,
        /// The number of elements that the shape holds.
        expected: usize,
        /// The number of elements that were given.
        found: usize,
    },
    /// The elements have another type.
    #[error("the tensor has dtype {found}, not {expected}")]
    DType {
        /// The requested dtype.
        expected: DType,
        /// The dtype of the tensor.
        found: DType,
    },
    /// A single value was requested of a tensor that does not have exactly one element.
    #[error("a tensor of shape {shape} is not a single value")]
    NotSingle {
        /// The shape of the tensor.
        shape: Shape,
    },
    /// The shape has more elements than the address space, or sizes whose product would exceed it if none were 0.
    #[error("{}", too_large(shape, *dtype))]
    TooLarge {
        /// The requested shape.
        shape: Shape,
        /// The dtype of the elements.
        dtype: DType,
    },
    /// The requested memory exceeds what is available.
    #[error("{}", out_of_memory(*bytes, *free, *limit))]
    OutOfMemory {
        /// The requested number of bytes.
        bytes: usize,
        /// The number of bytes that are left of the limit, or that the system has available, if known.
        free: Option<usize>,
        /// The limit that is in the way, where the program has set one: of a pool, of single pieces, of the process.
        limit: Option<usize>,
    },
    /// The memory for the elements exceeds what is available.
    #[error("a tensor of shape {shape} and dtype {dtype}: {}", out_of_memory(*bytes, *free, *limit))]
    NoMemory {
        /// The requested shape.
        shape: Shape,
        /// The dtype of the elements.
        dtype: DType,
        /// The size of the elements in bytes.
        bytes: usize,
        /// The same as in [`OutOfMemory`](TensorError::OutOfMemory).
        free: Option<usize>,
        /// The same as in [`OutOfMemory`](TensorError::OutOfMemory).
        limit: Option<usize>,
    },
    /// A byte of a bool tensor is neither 0 nor 1.
    #[error("element {position} of a bool tensor is the byte {value}, not 0 or 1")]
    Bool {
        /// The index of the element.
        position: usize,
        /// The value of its byte.
        value: u8,
    },
    /// The dtype is not stored as plain bytes.
    #[error("{dtype} elements are not plain bytes")]
    NotPlain {
        /// The dtype.
        dtype: DType,
    },
    /// No tensors to join were given.
    #[error("at least one tensor is needed to stack or concatenate")]
    NoTensors,
    /// The shapes of the tensors to join are incompatible.
    #[error("a tensor of shape {found} cannot be joined with one of shape {expected}")]
    Shapes {
        /// The shape of the first tensor.
        expected: Shape,
        /// The shape of another tensor.
        found: Shape,
    },
    /// A dtype cannot represent a number.
    #[error("{dtype} cannot hold {number}")]
    Number {
        /// The dtype.
        dtype: DType,
        /// The number, as text.
        number: String,
    },
    /// An integer exceeds the range of `i64`.
    #[error("{value} exceeds the largest int64")]
    Range {
        /// The integer.
        value: u64,
    },
    /// The requested rows are outside the tensor.
    #[error("rows {start}..{end} are outside a tensor of shape {shape}")]
    Rows {
        /// The first requested row.
        start: usize,
        /// One past the last requested row.
        end: usize,
        /// The shape of the tensor.
        shape: Shape,
    },
}

impl TensorError {
    /// Returns true if there is not enough memory for the tensor.
    ///
    /// ```
    /// use tensor::{DType, Tensor};
    /// let error = Tensor::zeros(DType::Float32, [1 << 40, 1 << 30]).unwrap_err();
    /// assert!(error.is_out_of_memory());
    /// ```
    #[must_use]
    pub fn is_out_of_memory(&self) -> bool {
        matches!(
            self,
            TensorError::OutOfMemory { .. } | TensorError::NoMemory { .. } | TensorError::TooLarge { .. }
        )
    }

    /// Returns the error of memory that the system does not have.
    pub(crate) fn out_of_memory(bytes: usize, free: Option<usize>) -> TensorError {
        TensorError::OutOfMemory { bytes, free, limit: None }
    }

    /// Returns the error of memory beyond a limit that the program has set.
    pub(crate) fn out_of_limit(bytes: usize, free: usize, limit: usize) -> TensorError {
        TensorError::OutOfMemory { bytes, free: Some(free), limit: Some(limit) }
    }

    /// Adds the tensor for which the memory was requested.
    pub(crate) fn of_tensor(self, shape: &Shape, dtype: DType) -> TensorError {
        match self {
            TensorError::OutOfMemory { bytes, free, limit } => {
                // A pool rounds the request up; the message states the size of the elements.
                let bytes =
                    if dtype.is_plain() { shape.elements().saturating_mul(dtype.size()) } else { bytes };
                TensorError::NoMemory { shape: shape.clone(), dtype, bytes, free, limit }
            }
            other => other,
        }
    }
}

fn too_large(shape: &Shape, dtype: DType) -> String {
    if shape.contains(&0) {
        let limit = isize::MAX;
        return format!("shape {shape} of {dtype}: the product of the sizes other than 0 exceeds {limit}");
    }
    format!("shape {shape} of {dtype} does not fit into memory")
}

fn out_of_memory(bytes: usize, free: Option<usize>, limit: Option<usize>) -> String {
    let left = match (free, limit) {
        (Some(free), Some(limit)) => format!(", {} are left of the limit of {}", Size(free), Size(limit)),
        (Some(free), None) => format!(", {} are available", Size(free)),
        (None, _) => String::new(),
    };
    format!("cannot allocate {} of memory{left}", Size(bytes))
}
