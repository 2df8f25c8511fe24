//! Input: files, readers, orders of examples.

mod compression;
mod indices;
mod permutation;

use crate::kernel::Registry;

pub(crate) use compression::Compression;

pub(crate) fn register(registry: &mut Registry) {
    indices::register(registry);
}
