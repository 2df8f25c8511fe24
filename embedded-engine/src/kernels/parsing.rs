//! Parsing of bytes into tensors: examples, lines of CSV, raw numbers.
//!
//! The formats are TensorFlow's; the messages of examples are scanned by `summary::example`, without building
//! them. Parsers allocate their outputs as they read and check the sizes that a message claims against the
//! memory limit first, because the input may come from anywhere.

mod base64;
mod csv;
mod example;
mod feature;
mod raw;
mod sequence;
mod serialized;

use crate::registry::Registry;

pub(in crate::kernels) use example::{Parsed, Parser};

/// Registers the op types of all files of this folder.
pub(crate) fn register(registry: &mut Registry) {
    base64::register(registry);
    csv::register(registry);
    example::register(registry);
    raw::register(registry);
    sequence::register(registry);
    serialized::register(registry);
}
