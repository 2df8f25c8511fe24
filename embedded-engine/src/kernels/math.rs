//! Arithmetic, comparisons, products, reductions, segments.

mod chain;
mod counting;
mod einsum;
mod elementwise;
mod factors;
mod linear;
mod pairs;
mod product;
mod reduction;
mod segment;
mod special;
mod spectral;

use crate::registry::Registry;

pub(crate) use chain::{Chain, MAX_INPUTS, Member, Source};
pub(crate) use elementwise::boxed;
pub(crate) use reduction::axis;

pub(crate) fn register(registry: &mut Registry) {
    counting::register(registry);
    einsum::register(registry);
    elementwise::register(registry);
    factors::register(registry);
    linear::register(registry);
    pairs::register(registry);
    product::register(registry);
    reduction::register(registry);
    segment::register(registry);
    special::register(registry);
    spectral::register(registry);
}
