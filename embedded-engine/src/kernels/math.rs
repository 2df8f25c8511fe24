//! Arithmetic, comparisons, products, reductions, segments.
//!
//! A kernel of this folder checks shapes and dtypes, allocates, and calls `compute`, which has the loops.
//! Reductions add in an order that depends on shapes only, so their bits do not depend on the number of
//! threads.

#[cfg(feature = "linalg")]
mod banded;
mod bessel;
mod chain;
mod counting;
#[cfg(feature = "linalg")]
mod eigen;
mod einsum;
mod elementwise;
#[cfg(feature = "linalg")]
mod factors;
mod integrals;
#[cfg(feature = "linalg")]
mod least_squares;
#[cfg(feature = "linalg")]
mod linear;
#[cfg(feature = "linalg")]
mod matrix_functions;
mod pairs;
mod product;
mod reduction;
#[cfg(feature = "linalg")]
mod schur;
mod segment;
mod sparse_counting;
mod special;
#[cfg(feature = "linalg")]
mod spectral;
#[cfg(feature = "linalg")]
mod tridiagonal;

use crate::registry::Registry;

pub(crate) use chain::{Chain, MAX_INPUTS, Member, Source};
pub(crate) use elementwise::{Greater, Lesser, boxed, greater, incompatible, lesser, repeated};
pub(crate) use product::conjugated;
pub(crate) use reduction::axis;

/// Registers the op types of all files of this folder; `chain` has none, since chains are made by the
/// compiler.
pub(crate) fn register(registry: &mut Registry) {
    bessel::register(registry);
    counting::register(registry);
    einsum::register(registry);
    elementwise::register(registry);
    integrals::register(registry);
    pairs::register(registry);
    product::register(registry);
    reduction::register(registry);
    segment::register(registry);
    sparse_counting::register(registry);
    special::register(registry);
    #[cfg(feature = "linalg")]
    registry.of_feature(
        "linalg",
        [
            banded::register,
            eigen::register,
            factors::register,
            least_squares::register,
            linear::register,
            matrix_functions::register,
            spectral::register,
            tridiagonal::register,
        ],
    );
}
