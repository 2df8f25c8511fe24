//! TensorFlow's V1 checkpoints, of 2015 and 2016: reader and writer.
//!
//! A V1 checkpoint is one table of sorted keys (an "SSTable"), or one for each shard. The value of the empty key lists the
//! tensors with their dtypes, shapes and slices. Each slice has its own key, whose value holds the numbers in
//! protobuf's encoding.
//!
//! ```
//! use checkpoint::v1::{V1Reader, V1Writer};
//! use tensor::Tensor;
//! # let folder = tempfile::tempdir()?;
//! let path = folder.path().join("model.ckpt-10");
//! let mut writer = V1Writer::create(&path);
//! writer.add("weights", &Tensor::from([1.0f32, 2.0]))?;
//! writer.finish()?;
//! assert_eq!(V1Reader::open(&path)?.read("weights")?, Tensor::from([1.0f32, 2.0]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod message;
mod reader;
mod values;
mod writer;

pub use reader::V1Reader;
pub use writer::V1Writer;

use crate::bundle::TensorSlice;
use tensor::{DType, Shape};

/// A tensor as the list of a table describes it.
#[derive(Clone, Debug, PartialEq)]
struct Listed {
    dtype: DType,
    shape: Shape,
    /// The parts that are stored; a tensor that is stored whole has one part, which is all of it.
    slices: Vec<TensorSlice>,
}
