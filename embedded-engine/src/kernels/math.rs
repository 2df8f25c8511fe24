//! Arithmetic, comparisons, products, reductions, segments.

mod bessel;
mod chain;
mod counting;
mod einsum;
mod elementwise;
mod factors;
mod integrals;
mod least_squares;
mod linear;
mod pairs;
mod product;
mod reduction;
mod segment;
mod special;
mod spectral;
mod tridiagonal;

use crate::registry::Registry;

pub(crate) use chain::{Chain, MAX_INPUTS, Member, Source};
pub(crate) use elementwise::boxed;
pub(crate) use product::conjugated;
pub(crate) use reduction::axis;

pub(crate) fn register(registry: &mut Registry) {
    bessel::register(registry);
    counting::register(registry);
    einsum::register(registry);
    elementwise::register(registry);
    factors::register(registry);
    integrals::register(registry);
    least_squares::register(registry);
    linear::register(registry);
    pairs::register(registry);
    product::register(registry);
    reduction::register(registry);
    segment::register(registry);
    special::register(registry);
    spectral::register(registry);
    tridiagonal::register(registry);
}
