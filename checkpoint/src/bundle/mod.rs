//! TensorFlow's V2 checkpoints ("tensor bundles"): reader and writer.
//!
#![doc = include_str!("FORMAT.md")]

pub(crate) mod assemble;
mod entry;
mod fetch;
mod merge;
mod reader;
mod slice;
mod strings;
pub(crate) mod table;
mod unknown;
mod writer;

pub(crate) use entry::decode_slice;
pub use merge::merge_bundles;
pub use reader::{BundleReader, ReadOptions};
pub(crate) use reader::{Layout, index_identity, is_index, layout};
pub(crate) use slice::encode_key;
pub use slice::{Extent, TensorSlice};
pub use writer::{BundleOptions, BundleWriter, SealedBundle};
pub(crate) use writer::{Replaced, remove_data};

/// Checksum and length of an index file: they distinguish one save of a prefix from another.
pub(crate) type Identity = (u32, u64);
