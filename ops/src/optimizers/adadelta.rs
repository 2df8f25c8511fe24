//! Adadelta: steps that are scaled by a running mean of the updates.

use super::{Optimizer, OptimizerSettings, UpdateScope};
use crate::scalar::Scalar;
use crate::training::{
    APPLY_ADADELTA, RESOURCE_APPLY_ADADELTA, RESOURCE_SPARSE_APPLY_ADADELTA, SPARSE_APPLY_ADADELTA,
};
use session_core::{OpBuilder, Operation, Output, Variable};

/// Adadelta (Zeiler): scales the gradient by the ratio of the running magnitudes of earlier steps and of the
/// gradient. Its slots are `accum` (the variable `<name>/Adadelta`) and `accum_update` (`<name>/Adadelta_1`).
///
/// A gradient of [rows](crate::IndexedSlices), such as that of a lookup, updates those rows and their slots alone.
///
/// ```
/// use ops::optimizers::{AdadeltaOptimizer, Optimizer};
/// # use ops::{math::square, variables::variable};
/// # let graph = session_core::Graph::new();
/// # let w = variable(&graph.named("w"), 3.0f32);
/// # let loss = square(&w);
/// let optimizer = AdadeltaOptimizer::new(1.0).rho(0.9);
/// let train_op = optimizer.minimize(&loss, None);
/// assert!(optimizer.slot(&w, "accum").is_some());
/// # graph.finalize()?;
/// # let _ = train_op;
/// # Ok::<(), session_core::Error>(())
/// ```
#[derive(Debug)]
pub struct AdadeltaOptimizer {
    settings: OptimizerSettings,
    learning_rate: Scalar,
    rho: Scalar,
    epsilon: Scalar,
}

impl AdadeltaOptimizer {
    /// Creates the optimizer with this learning rate (TensorFlow's default is 0.001, that of the paper is 1). `rho` is 0.95 and
    /// `epsilon` is 1e-8.
    #[must_use]
    pub fn new(learning_rate: impl Into<Scalar>) -> AdadeltaOptimizer {
        AdadeltaOptimizer {
            settings: OptimizerSettings::new("Adadelta"),
            learning_rate: learning_rate.into(),
            rho: Scalar::Number(0.95),
            epsilon: Scalar::Number(1e-8),
        }
    }

    /// Sets the decay of the running means.
    ///
    /// ```
    /// use ops::optimizers::AdadeltaOptimizer;
    /// let optimizer = AdadeltaOptimizer::new(1.0).rho(0.9);
    /// # let _ = optimizer;
    /// ```
    #[must_use]
    pub fn rho(mut self, rho: impl Into<Scalar>) -> Self {
        self.rho = rho.into();
        self
    }

    /// Sets the number that keeps the roots away from zero. Default: 1e-8.
    ///
    /// ```
    /// use ops::optimizers::AdadeltaOptimizer;
    /// let optimizer = AdadeltaOptimizer::new(1.0).epsilon(1e-6);
    /// # let _ = optimizer;
    /// ```
    #[must_use]
    pub fn epsilon(mut self, epsilon: impl Into<Scalar>) -> Self {
        self.epsilon = epsilon.into();
        self
    }
}

impl Optimizer for AdadeltaOptimizer {
    fn settings(&self) -> &OptimizerSettings {
        &self.settings
    }

    fn settings_mut(&mut self) -> &mut OptimizerSettings {
        &mut self.settings
    }

    fn create_slots(&self, scope: &UpdateScope<'_>, variables: &[Variable]) {
        scope.zero_slots(variables, &["accum", "accum_update"]);
    }

    fn update(&self, scope: &UpdateScope<'_>, gradient: &Output, variable: &Variable) -> Operation {
        let dtype = variable.dtype();
        // TensorFlow's names of the constants, which are short for this method alone.
        let rate = scope.hyperparameter("lr", &self.learning_rate, dtype);
        let rho = scope.hyperparameter("rho", &self.rho, dtype);
        let epsilon = scope.hyperparameter("epsilon", &self.epsilon, dtype);
        let (builder, gradient) = scope.update_by(
            gradient,
            variable,
            [&RESOURCE_APPLY_ADADELTA, &APPLY_ADADELTA],
            [&RESOURCE_SPARSE_APPLY_ADADELTA, &SPARSE_APPLY_ADADELTA],
        );
        let builder =
            builder.input(scope.slot(variable, "accum")).input(scope.slot(variable, "accum_update"));
        let builder = builder.input(rate).input(rho).input(epsilon);
        gradient.into_iter().fold(builder, OpBuilder::input).finish()
    }
}
