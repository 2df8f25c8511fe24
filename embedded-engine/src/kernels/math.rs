//! Arithmetic, comparisons, products, sums.

mod elementwise;
mod product;
mod reduction;

use crate::kernel::Registry;

pub(crate) use elementwise::boxed;
pub(crate) use product::matmul_fused;
pub(crate) use reduction::axis;

pub(crate) fn register(registry: &mut Registry) {
    elementwise::register(registry);
    product::register(registry);
    reduction::register(registry);
}
