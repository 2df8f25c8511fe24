//! The types of logits, each with the loops compiled for it.

use super::{cross_entropy_of, log_softmax_of, softmax_of, sparse_cross_entropy_of};
use crate::Pool;
use crate::elementwise::Narrow;
use crate::math::Float;
use half::{bf16, f16};

/// A type of logits: `f32`, `f64`, or `f16` and `bf16`, which are computed in copies of `f32`.
pub trait Logits: Float + Loops {}

impl<T: Float + Loops> Logits for T {}

/// The functions of this module's parent for one type.
pub trait Loops: Sized {
    fn softmax(pool: &Pool, classes: usize, logits: &[Self], output: &mut [Self]);
    fn log_softmax(pool: &Pool, classes: usize, logits: &[Self], output: &mut [Self]);
    fn cross_entropy(
        pool: &Pool,
        classes: usize,
        logits_and_labels: [&[Self]; 2],
        loss: &mut [Self],
        backprop: &mut [Self],
    );
    fn sparse_cross_entropy(
        pool: &Pool,
        classes: usize,
        logits: &[Self],
        labels: &[i64],
        loss: &mut [Self],
        backprop: &mut [Self],
    );
}

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

/// Returns all elements as `f32`.
fn widened<H: Narrow>(narrow: &[H]) -> Vec<f32> {
    let mut wide = vec![0.0; narrow.len()];
    H::widen_slice(narrow, &mut wide);
    wide
}

/// The loops of `f32`, whose results are rounded once. They hold copies of their operands: these types save memory, and
/// their logits are the smallest part of a model.
macro_rules! narrow {
    ($($type:ty),*) => {$(
        impl Loops for $type {
            #[inline(never)]
            fn softmax(pool: &Pool, classes: usize, logits: &[Self], output: &mut [Self]) {
                let mut wide = vec![0.0; output.len()];
                f32::softmax(pool, classes, &widened(logits), &mut wide);
                Narrow::narrow_slice(&wide, output);
            }

            #[inline(never)]
            fn log_softmax(pool: &Pool, classes: usize, logits: &[Self], output: &mut [Self]) {
                let mut wide = vec![0.0; output.len()];
                f32::log_softmax(pool, classes, &widened(logits), &mut wide);
                Narrow::narrow_slice(&wide, output);
            }

            #[inline(never)]
            fn cross_entropy(
                pool: &Pool,
                classes: usize,
                [logits, labels]: [&[Self]; 2],
                loss: &mut [Self],
                backprop: &mut [Self],
            ) {
                let (mut wide_loss, mut wide) = (vec![0.0; loss.len()], vec![0.0; backprop.len()]);
                let operands = [&widened(logits)[..], &widened(labels)];
                f32::cross_entropy(pool, classes, operands, &mut wide_loss, &mut wide);
                Narrow::narrow_slice(&wide_loss, loss);
                Narrow::narrow_slice(&wide, backprop);
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
                let (mut wide_loss, mut wide) = (vec![0.0; loss.len()], vec![0.0; backprop.len()]);
                f32::sparse_cross_entropy(pool, classes, &widened(logits), labels, &mut wide_loss, &mut wide);
                Narrow::narrow_slice(&wide_loss, loss);
                Narrow::narrow_slice(&wide, backprop);
            }
        }
    )*};
}

narrow!(f16, bf16);
