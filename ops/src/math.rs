//! Arithmetic, reductions, products, comparisons: what computes numbers from numbers.
//!
//! Functions take outputs or variables and build one operation of TensorFlow's type, or a few in a scope, in
//! the scope of their first argument. Two-argument functions broadcast. Errors are recorded in the graph; see
//! [`session_core::Output`].

pub(crate) mod banded;
pub(crate) mod bessel;
pub(crate) mod binary;
pub(crate) mod bits;
pub(crate) mod cast;
pub(crate) mod compare;
pub(crate) mod counting;
pub(crate) mod eigen;
pub(crate) mod einsum;
pub(crate) mod first_releases;
pub(crate) mod integrals;
pub(crate) mod least_squares;
pub(crate) mod linear;
pub(crate) mod matrix_functions;
pub(crate) mod product;
pub(crate) mod qr;
pub(crate) mod reduce;
pub(crate) mod scan;
pub(crate) mod segment;
pub(crate) mod select;
pub(crate) mod sparse_counting;
pub(crate) mod special;
pub(crate) mod spectral;
pub(crate) mod sum;
pub(crate) mod tridiagonal;
pub(crate) mod unary;

pub use banded::*;
pub use bessel::*;
pub use binary::*;
pub use bits::*;
pub use cast::*;
pub use compare::*;
pub use counting::*;
pub use eigen::*;
pub use einsum::*;
pub use integrals::*;
pub use least_squares::*;
pub use linear::*;
pub use matrix_functions::*;
pub use product::*;
pub use qr::*;
pub use reduce::*;
pub use scan::*;
pub use segment::*;
pub use select::*;
pub use special::*;
pub use spectral::*;
pub use sum::*;
pub use tridiagonal::*;
pub use unary::*;
