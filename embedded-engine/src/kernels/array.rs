//! Shapes, layouts, pieces of tensors.

mod index;
mod join;
mod layout;
mod shape;
mod slice;

use crate::kernel::Registry;

pub(crate) use shape::shape_tensor;

pub(crate) fn register(registry: &mut Registry) {
    index::register(registry);
    join::register(registry);
    layout::register(registry);
    shape::register(registry);
    slice::register(registry);
}
