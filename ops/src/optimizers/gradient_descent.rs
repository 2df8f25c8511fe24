//! Gradient descent.

use super::{Optimizer, OptimizerSettings, UpdateScope};
use crate::IndexedSlices;
use crate::math::mul;
use crate::scalar::Scalar;
use crate::state::{RESOURCE_SCATTER_SUB, SCATTER_SUB};
use crate::training::{APPLY_GRADIENT_DESCENT, RESOURCE_APPLY_GRADIENT_DESCENT};
use session_core::{Operation, Output, Variable};

/// Gradient descent: `variable -= learning_rate * gradient`.
///
/// ```
/// use ops::optimizers::{GradientDescentOptimizer, Optimizer};
/// # use ops::{math::square, variables::variable};
/// # let graph = session_core::Graph::new();
/// # let w = variable(&graph.named("w"), 3.0f32);
/// # let loss = square(&w);
/// let optimizer = GradientDescentOptimizer::new(0.1);
/// let train_op = optimizer.minimize(&loss, None);
/// assert!(optimizer.variables().is_empty(), "it needs no slots");
/// # graph.finalize()?;
/// # let _ = train_op;
/// # Ok::<(), session_core::Error>(())
/// ```
#[derive(Debug)]
pub struct GradientDescentOptimizer {
    settings: OptimizerSettings,
    learning_rate: Scalar,
}

impl GradientDescentOptimizer {
    /// Creates the optimizer with this learning rate, a number or a scalar output.
    #[must_use]
    pub fn new(learning_rate: impl Into<Scalar>) -> GradientDescentOptimizer {
        let settings = OptimizerSettings::new("GradientDescent");
        GradientDescentOptimizer { settings, learning_rate: learning_rate.into() }
    }
}

impl Optimizer for GradientDescentOptimizer {
    fn settings(&self) -> &OptimizerSettings {
        &self.settings
    }

    fn settings_mut(&mut self) -> &mut OptimizerSettings {
        &mut self.settings
    }

    fn create_slots(&self, _: &UpdateScope<'_>, _: &[Variable]) {}

    fn update(&self, scope: &UpdateScope<'_>, gradient: &Output, variable: &Variable) -> Operation {
        let rate = scope.hyperparameter("learning_rate", &self.learning_rate, variable.dtype());
        if let Some(IndexedSlices { values, indices, .. }) = IndexedSlices::of(gradient) {
            // Rows of one index are subtracted one after the other.
            let builder = scope.update_of(variable, &RESOURCE_SCATTER_SUB, &SCATTER_SUB);
            return builder.input(indices).input(mul(values, rate)).finish();
        }
        let builder = scope.update_of(variable, &RESOURCE_APPLY_GRADIENT_DESCENT, &APPLY_GRADIENT_DESCENT);
        builder.input(rate).input(gradient).finish()
    }
}
