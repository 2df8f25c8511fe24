//! What can be wrong with a tensor's making or use.

use crate::memory::Size;
use crate::{DType, Shape};

/// Why a tensor could not be made or read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TensorError {
    /// The number of elements given is not the shape's.
    #[error("shape {shape} holds {expected} elements, {found} were given")]
    Elements {
        /// The shape asked for.
        shape: Shape,
        /// Its number of elements.
        expected: usize,
        /// The number given.
        found: usize,
    },
    /// The elements are of another type.
    #[error("elements are {found}, not {expected}")]
    DType {
        /// The type asked for.
        expected: DType,
        /// The tensor's type.
        found: DType,
    },
    /// A single element was asked of a tensor that has not exactly one.
    #[error("a tensor of shape {shape} is not a single value")]
    NotSingle {
        /// The tensor's shape.
        shape: Shape,
    },
    /// The shape has more elements than memory can hold.
    #[error("shape {shape} of {dtype} does not fit into memory")]
    TooLarge {
        /// The shape asked for.
        shape: Shape,
        /// The type of its elements.
        dtype: DType,
    },
    /// Memory for it is more than there is.
    #[error("{}", out_of_memory(*bytes, *free))]
    OutOfMemory {
        /// The bytes asked for.
        bytes: usize,
        /// The bytes that the system has left, if it says.
        free: Option<usize>,
    },
    /// Memory for the elements is more than there is.
    #[error("a tensor of shape {shape} and dtype {dtype}: {}", out_of_memory(*bytes, *free))]
    NoMemory {
        /// The shape asked for.
        shape: Shape,
        /// The type of its elements.
        dtype: DType,
        /// The bytes that the elements take.
        bytes: usize,
        /// The bytes that the system has left, if it says.
        free: Option<usize>,
    },
    /// A byte of a bool tensor is neither 0 nor 1.
    #[error("byte {value} at element {position} is no bool")]
    Bool {
        /// Which element.
        position: usize,
        /// Its byte.
        value: u8,
    },
    /// The dtype has no plain bytes.
    #[error("{dtype} elements are not plain bytes")]
    NotPlain {
        /// The type.
        dtype: DType,
    },
    /// Tensors were to be joined, and there was none.
    #[error("no tensors to join")]
    NoTensors,
    /// Tensors were to be joined whose shapes do not go together.
    #[error("shape {found} does not go with {expected}")]
    Shapes {
        /// The first tensor's shape.
        expected: Shape,
        /// Another one's.
        found: Shape,
    },
    /// A number is beyond what a dtype can hold.
    #[error("{dtype} cannot hold {number}")]
    Number {
        /// The dtype.
        dtype: DType,
        /// The number, as text.
        number: String,
    },
    /// An integer does not fit an `i64`.
    #[error("{value} is over the largest 64-bit signed integer")]
    Range {
        /// The integer.
        value: u64,
    },
    /// Rows outside the tensor were asked for.
    #[error("rows {start}..{end} of a tensor of shape {shape}")]
    Rows {
        /// First row asked for.
        start: usize,
        /// One past the last.
        end: usize,
        /// The tensor's shape.
        shape: Shape,
    },
}

impl TensorError {
    /// Whether it says that memory does not suffice.
    #[must_use]
    pub fn is_out_of_memory(&self) -> bool {
        matches!(
            self,
            TensorError::OutOfMemory { .. } | TensorError::NoMemory { .. } | TensorError::TooLarge { .. }
        )
    }

    /// Says for which tensor memory was asked.
    pub(crate) fn of_tensor(self, shape: &Shape, dtype: DType) -> TensorError {
        match self {
            TensorError::OutOfMemory { bytes, free } => {
                // A pool asks for a little more than the elements take.
                let bytes =
                    if dtype.is_plain() { shape.elements().saturating_mul(dtype.size()) } else { bytes };
                TensorError::NoMemory { shape: shape.clone(), dtype, bytes, free }
            }
            other => other,
        }
    }
}

fn out_of_memory(bytes: usize, free: Option<usize>) -> String {
    let left = free.map_or_else(String::new, |free| format!(", {} are left", Size(free)));
    format!("{} of memory cannot be had{left}", Size(bytes))
}
