//! TensorFlow's V2 checkpoints ("tensor bundles"): reader and writer.
//!
#![doc = include_str!("FORMAT.md")]

mod assemble;
mod entry;
mod fetch;
mod merge;
mod reader;
mod slice;
mod strings;
mod table;
mod writer;

pub use merge::merge_bundles;
pub use reader::{BundleReader, ReadOptions};
pub use slice::{Extent, TensorSlice};
pub use writer::{BundleOptions, BundleWriter, SealedBundle};
