//! Parsing of bytes into tensors: `tf.Example`s, lines of CSV, raw numbers.
//!
//! ```
//! use ops::array::placeholder;
//! use ops::parsing::{FeatureSpec, parse_example};
//! use session_core::{DType, Graph, Tensor};
//!
//! let graph = Graph::new();
//! let records = placeholder(&graph, DType::String, [None]);
//! let parsed = parse_example(
//!     &records,
//!     &[
//!         ("image", FeatureSpec::fixed([8, 8], DType::Float32)),
//!         ("label", FeatureSpec::fixed([], DType::Int64).default_value(Tensor::scalar(-1i64))),
//!         ("words", FeatureSpec::var_len(DType::String)),
//!     ],
//! );
//! assert_eq!(parsed.dense("image").shape().to_string(), "[?,8,8]");
//! assert_eq!(parsed.dense("label").shape().to_string(), "[?]");
//! assert_eq!(parsed.sparse("words").indices.shape().to_string(), "[?,2]");
//! graph.finalize()?;
//! # Ok::<(), session_core::Error>(())
//! ```

pub(crate) mod base64;
pub(crate) mod example;
pub(crate) mod raw;
pub(crate) mod sequence_example;
pub(crate) mod serialized;

pub use base64::{decode_base64, encode_base64};
pub use example::{FeatureSpec, Parsed, parse_example, parse_single_example};
pub use raw::{CsvOptions, decode_csv, decode_raw, decode_raw_big_endian, sparse_to_dense};
pub use serialized::{parse_tensor, serialize_tensor};

use session_core::{Graph, OpBuilder, Operation, Output};

/// A sparse tensor: `values[i]` is the element at `indices[i]`, and all others are zero.
#[derive(Clone, Debug)]
pub struct SparseTensor {
    /// The index of each value: one row of `int64` per value, in order.
    pub indices: Output,
    /// The values.
    pub values: Output,
    /// The shape of the dense tensor, a vector of `int64`.
    pub dense_shape: Output,
}

impl SparseTensor {
    /// Returns the number of dimensions if the graph determines it.
    #[must_use]
    pub fn rank(&self) -> Option<usize> {
        self.indices.shape().dim(1).or_else(|| self.dense_shape.shape().dim(0))
    }

    /// Returns the same tensor, used in the scope and with the control inputs of this handle.
    #[must_use]
    pub fn within(&self, graph: &Graph) -> SparseTensor {
        SparseTensor {
            indices: self.indices.within(graph),
            values: self.values.within(graph),
            dense_shape: self.dense_shape.within(graph),
        }
    }

    /// Creates the sparse tensor of three outputs of an operation.
    pub(crate) fn of(operation: &Operation, outputs: [usize; 3]) -> SparseTensor {
        let [indices, values, dense_shape] = outputs.map(|index| operation.output(index));
        SparseTensor { indices, values, dense_shape }
    }

    /// Adds its three parts as the next inputs.
    pub(crate) fn input_of(&self, builder: OpBuilder) -> OpBuilder {
        builder.input(&self.indices).input(&self.values).input(&self.dense_shape)
    }
}
