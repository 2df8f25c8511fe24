//! Arithmetic, comparisons, products, sums.

mod counting;
mod elementwise;
mod pairs;
mod product;
mod reduction;
mod segment;

use crate::kernel::Registry;

pub(crate) use elementwise::boxed;
pub(crate) use product::matmul_fused;
pub(crate) use reduction::axis;

pub(crate) fn register(registry: &mut Registry) {
    counting::register(registry);
    elementwise::register(registry);
    pairs::register(registry);
    product::register(registry);
    reduction::register(registry);
    segment::register(registry);
}
