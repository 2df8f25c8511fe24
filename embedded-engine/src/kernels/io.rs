//! Input: files, readers, orders of examples.

mod indices;
mod permutation;

use crate::kernel::Registry;

pub(crate) fn register(registry: &mut Registry) {
    indices::register(registry);
}
