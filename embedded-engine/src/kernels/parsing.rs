//! Parsing of bytes into tensors: examples, lines of CSV, raw numbers.

mod base64;
mod csv;
mod example;
mod feature;
mod raw;
mod sequence;
mod serialized;

use crate::registry::Registry;

pub(in crate::kernels) use example::{Parsed, Parser};

pub(crate) fn register(registry: &mut Registry) {
    base64::register(registry);
    csv::register(registry);
    example::register(registry);
    raw::register(registry);
    sequence::register(registry);
    serialized::register(registry);
}
