//! Regularizers: terms of a loss that grow with the variables of a model.
//!
//! ```
//! use ops::layers::{LayerOptions, dense};
//! use ops::regularizers::l1_l2_regularizer;
//! use session_core::{DType, Graph, keys};
//! let graph = Graph::new();
//! let x = ops::array::placeholder(&graph.named("x"), DType::Float32, [None, Some(4)]);
//! let options = LayerOptions::default().kernel_regularizer(l1_l2_regularizer(0.1, 0.01));
//! let _ = dense(&x, 3, &options);
//! assert_eq!(graph.collection(&keys::REGULARIZATION_LOSSES).len(), 1);
//! # graph.finalize()?;
//! # Ok::<(), session_core::Error>(())
//! ```
//!
//! A layer only collects the terms. [`losses::total_loss`](crate::losses::total_loss) adds the collections `losses` and
//! `regularization_losses` to the loss that an optimizer minimizes.

use crate::array::constants::number;
use crate::composite::Composite;
use crate::math::{abs, add_n, mul, reduce_sum};
use crate::nn::l2_loss;
use session_core::{Error, Output};

/// Computes the term that a variable adds to the loss. A closure from the value of the variable to an optional scalar is a regularizer
/// too.
pub trait Regularizer {
    /// Builds the scalar that is added to the loss, in the scope of the variable's value. `None` adds nothing.
    #[track_caller]
    fn loss(&self, weights: &Output) -> Option<Output>;
}

impl<F: Fn(&Output) -> Output> Regularizer for F {
    #[track_caller]
    fn loss(&self, weights: &Output) -> Option<Output> {
        Some(self(weights))
    }
}

/// Returns the regularizer `scale * sum(abs(weights))`, which makes weights exactly zero.
#[must_use]
pub fn l1_regularizer(scale: f64) -> SizeRegularizer {
    SizeRegularizer { name: "l1_regularizer", l1: scale, l2: 0.0 }
}

/// Returns the regularizer `scale * l2_loss(weights)`, where `l2_loss` is half the sum of squares.
#[must_use]
pub fn l2_regularizer(scale: f64) -> SizeRegularizer {
    SizeRegularizer { name: "l2_regularizer", l1: 0.0, l2: scale }
}

/// Returns the sum of [`l1_regularizer`] and [`l2_regularizer`].
#[must_use]
pub fn l1_l2_regularizer(scale_l1: f64, scale_l2: f64) -> SizeRegularizer {
    SizeRegularizer { name: "l1_l2_regularizer", l1: scale_l1, l2: scale_l2 }
}

/// The regularizer of [`l1_regularizer`], [`l2_regularizer`] and [`l1_l2_regularizer`]. A scale of 0 adds nothing; one that is
/// negative or not finite is a build error.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SizeRegularizer {
    name: &'static str,
    l1: f64,
    l2: f64,
}

impl Regularizer for SizeRegularizer {
    #[track_caller]
    fn loss(&self, weights: &Output) -> Option<Output> {
        for scale in [self.l1, self.l2] {
            if !scale.is_finite() || scale < 0.0 {
                let (name, of) = (self.name, weights.name());
                let text = format!(
                    "the scale of {name} for '{of}' is {scale}, but must be a finite number of at least 0"
                );
                weights.graph().add_error(Error::value(text));
                return None;
            }
        }
        let scope = Composite::new(&weights.graph(), self.name);
        let scaled = |size: Output, scale: f64, last: bool| {
            let graph = scope.graph();
            let scale = number(&graph.named("scale"), weights.dtype(), scale);
            mul(if last { scope.enter_last(scale) } else { scope.enter(scale) }, size)
        };
        let alone = self.l1 == 0.0 || self.l2 == 0.0;
        let mut parts = Vec::new();
        if self.l1 > 0.0 {
            parts.push(scaled(reduce_sum(abs(scope.enter(weights)), ..), self.l1, alone));
        }
        if self.l2 > 0.0 {
            parts.push(scaled(l2_loss(scope.enter(weights)), self.l2, alone));
        }
        let loss = match parts.as_mut_slice() {
            [] => return None,
            [only] => only.clone(),
            [first, ..] => {
                *first = scope.enter_last(&*first);
                add_n(&parts)
            }
        };
        Some(scope.leave(loss))
    }
}
