//! Gradient descent with momentum.

use super::{Optimizer, OptimizerSettings, UpdateScope};
use crate::scalar::Scalar;
use crate::training::{
    APPLY_MOMENTUM, RESOURCE_APPLY_MOMENTUM, RESOURCE_SPARSE_APPLY_MOMENTUM, SPARSE_APPLY_MOMENTUM,
};
use session_core::{OpBuilder, Operation, Output, Variable};

/// Gradient descent with momentum: `accumulator = momentum * accumulator + gradient; variable -=
/// learning_rate * accumulator`. The accumulator is the slot `momentum`, the variable `<name>/Momentum`.
///
/// A gradient of [rows](crate::IndexedSlices), such as that of a lookup, updates those rows and their slots alone.
///
/// ```
/// use ops::optimizers::{MomentumOptimizer, Optimizer};
/// # use ops::{math::square, variables::variable};
/// # let graph = session_core::Graph::new();
/// # let w = variable(&graph.named("w"), 3.0f32);
/// # let loss = square(&w);
/// let optimizer = MomentumOptimizer::new(0.1, 0.9).use_nesterov(true);
/// let train_op = optimizer.minimize(&loss, None);
/// assert_eq!(optimizer.slot(&w, "momentum").expect("w is trained").name(), "w/Momentum");
/// # graph.finalize()?;
/// # let _ = train_op;
/// # Ok::<(), session_core::Error>(())
/// ```
#[derive(Debug)]
pub struct MomentumOptimizer {
    settings: OptimizerSettings,
    learning_rate: Scalar,
    momentum: Scalar,
    use_nesterov: bool,
}

impl MomentumOptimizer {
    /// Creates the optimizer with this learning rate and momentum, such as 0.1 and 0.9. Both are numbers or scalar outputs.
    #[must_use]
    pub fn new(learning_rate: impl Into<Scalar>, momentum: impl Into<Scalar>) -> MomentumOptimizer {
        MomentumOptimizer {
            settings: OptimizerSettings::new("Momentum"),
            learning_rate: learning_rate.into(),
            momentum: momentum.into(),
            use_nesterov: false,
        }
    }

    /// Sets whether the gradient is taken as if the momentum had been followed already (Nesterov). Default `false`.
    ///
    /// ```
    /// use ops::optimizers::MomentumOptimizer;
    /// let optimizer = MomentumOptimizer::new(0.1, 0.9).use_nesterov(true);
    /// # let _ = optimizer;
    /// ```
    #[must_use]
    pub fn use_nesterov(mut self, use_nesterov: bool) -> Self {
        self.use_nesterov = use_nesterov;
        self
    }
}

impl Optimizer for MomentumOptimizer {
    fn settings(&self) -> &OptimizerSettings {
        &self.settings
    }

    fn settings_mut(&mut self) -> &mut OptimizerSettings {
        &mut self.settings
    }

    fn create_slots(&self, scope: &UpdateScope<'_>, variables: &[Variable]) {
        scope.zero_slots(variables, &["momentum"]);
    }

    fn update(&self, scope: &UpdateScope<'_>, gradient: &Output, variable: &Variable) -> Operation {
        let dtype = variable.dtype();
        let rate = scope.hyperparameter("learning_rate", &self.learning_rate, dtype);
        let momentum = scope.hyperparameter("momentum", &self.momentum, dtype);
        let (builder, gradient) = scope.update_by(
            gradient,
            variable,
            [&RESOURCE_APPLY_MOMENTUM, &APPLY_MOMENTUM],
            [&RESOURCE_SPARSE_APPLY_MOMENTUM, &SPARSE_APPLY_MOMENTUM],
        );
        let builder = builder.input(scope.slot(variable, "momentum")).input(rate);
        // The operation takes the gradient before the momentum.
        let builder = gradient.into_iter().fold(builder, OpBuilder::input).input(momentum);
        builder.attr("use_nesterov", self.use_nesterov).finish()
    }
}
