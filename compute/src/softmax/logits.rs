//! The types of logits, each with the loops compiled for it.
//!
//! The loops are generic, and each must be compiled for several instruction sets. This trait compiles them in this
//! crate: a caller in another crate would compile them again, and without those instruction sets.

use super::{cross_entropy_of, log_softmax_of, softmax_of, sparse_cross_entropy_of};
use crate::Pool;
use crate::math::Float;

/// A type of logits: `f32` or `f64`.
pub trait Logits: Float + Loops {}

impl<T: Float + Loops> Logits for T {}

/// The functions of this module's parent for one type.
pub trait Loops: Sized {
    /// See [`softmax`](super::softmax).
    fn softmax(pool: &Pool, classes: usize, logits: &[Self], output: &mut [Self]);
    /// See [`log_softmax`](super::log_softmax).
    fn log_softmax(pool: &Pool, classes: usize, logits: &[Self], output: &mut [Self]);
    /// See [`cross_entropy`](super::cross_entropy).
    fn cross_entropy(
        pool: &Pool,
        classes: usize,
        logits_and_labels: [&[Self]; 2],
        loss: &mut [Self],
        backprop: &mut [Self],
    );
    /// See [`sparse_cross_entropy`](super::sparse_cross_entropy).
    fn sparse_cross_entropy(
        pool: &Pool,
        classes: usize,
        logits: &[Self],
        labels: &[i64],
        loss: &mut [Self],
        backprop: &mut [Self],
    );
}

/// Implements the loops for a type.
macro_rules! wide {
    ($($type:ty),*) => {$(
        impl Loops for $type {
            #[inline(never)]
            fn softmax(pool: &Pool, classes: usize, logits: &[Self], output: &mut [Self]) {
                softmax_of(pool, classes, logits, output);
            }

            #[inline(never)]
            fn log_softmax(pool: &Pool, classes: usize, logits: &[Self], output: &mut [Self]) {
                log_softmax_of(pool, classes, logits, output);
            }

            #[inline(never)]
            fn cross_entropy(
                pool: &Pool,
                classes: usize,
                logits_and_labels: [&[Self]; 2],
                loss: &mut [Self],
                backprop: &mut [Self],
            ) {
                cross_entropy_of(pool, classes, logits_and_labels, loss, backprop);
            }

            #[inline(never)]
            fn sparse_cross_entropy(
                pool: &Pool,
                classes: usize,
                logits: &[Self],
                labels: &[i64],
                loss: &mut [Self],
                backprop: &mut [Self],
            ) {
                sparse_cross_entropy_of(pool, classes, logits, labels, loss, backprop);
            }
        }
    )*};
}

wide!(f32, f64);
