//! Arithmetic, comparisons, products, reductions, segments.
//!
//! A kernel of this folder checks shapes and dtypes, allocates, and calls `compute`, which has the loops.
//! Reductions add in an order that depends on shapes only, so their bits do not depend on the number of
//! threads.

mod banded;
mod bessel;
mod chain;
mod counting;
mod eigen;
mod einsum;
mod elementwise;
mod factors;
mod integrals;
mod least_squares;
mod linear;
mod matrix_functions;
mod pairs;
mod product;
mod reduction;
mod schur;
mod segment;
mod sparse_counting;
mod special;
mod spectral;
mod tridiagonal;

use crate::registry::Registry;

pub(crate) use chain::{Chain, MAX_INPUTS, Member, Source};
pub(crate) use elementwise::{Greater, Lesser, boxed, greater, incompatible, lesser, repeated};
pub(crate) use product::conjugated;
pub(crate) use reduction::axis;

/// Registers the op types of all files of this folder; `chain` has none, since chains are made by the
/// compiler.
pub(crate) fn register(registry: &mut Registry) {
    banded::register(registry);
    bessel::register(registry);
    counting::register(registry);
    eigen::register(registry);
    einsum::register(registry);
    elementwise::register(registry);
    factors::register(registry);
    integrals::register(registry);
    least_squares::register(registry);
    linear::register(registry);
    matrix_functions::register(registry);
    pairs::register(registry);
    product::register(registry);
    reduction::register(registry);
    segment::register(registry);
    sparse_counting::register(registry);
    special::register(registry);
    spectral::register(registry);
    tridiagonal::register(registry);
}
