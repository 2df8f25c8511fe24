//! Adagrad: steps that become smaller where gradients have been large.

use super::{Optimizer, OptimizerSettings, UpdateScope};
use crate::initializers::constant;
use crate::scalar::Scalar;
use crate::training::{
    APPLY_ADAGRAD, RESOURCE_APPLY_ADAGRAD, RESOURCE_SPARSE_APPLY_ADAGRAD, SPARSE_APPLY_ADAGRAD,
};
use session_core::{OpBuilder, Operation, Output, Variable};

/// Adagrad (Duchi, Hazan, and Singer): divides the gradient by the square root of the sum of all its squares
/// so far. The sum is the slot `accumulator`, the variable `<name>/Adagrad`.
///
/// A gradient of [rows](crate::IndexedSlices), such as that of a lookup, updates those rows and their slots alone.
///
/// ```
/// use ops::optimizers::{AdagradOptimizer, Optimizer};
/// # use ops::{math::square, variables::variable};
/// # let graph = session_core::Graph::new();
/// # let w = variable(&graph.named("w"), 3.0f32);
/// # let loss = square(&w);
/// let optimizer = AdagradOptimizer::new(0.1).initial_accumulator_value(0.01);
/// let train_op = optimizer.minimize(&loss, None);
/// assert_eq!(optimizer.variables().len(), 1);
/// # graph.finalize()?;
/// # let _ = train_op;
/// # Ok::<(), session_core::Error>(())
/// ```
#[derive(Debug)]
pub struct AdagradOptimizer {
    settings: OptimizerSettings,
    learning_rate: Scalar,
    initial_accumulator_value: f64,
}

impl AdagradOptimizer {
    /// Creates the optimizer with this learning rate. The sums of squares begin with 0.1.
    #[must_use]
    pub fn new(learning_rate: impl Into<Scalar>) -> AdagradOptimizer {
        AdagradOptimizer {
            settings: OptimizerSettings::new("Adagrad"),
            learning_rate: learning_rate.into(),
            initial_accumulator_value: 0.1,
        }
    }

    /// Sets the initial value of the sums of squares, a positive number. Default: 0.1.
    ///
    /// ```
    /// use ops::optimizers::AdagradOptimizer;
    /// let optimizer = AdagradOptimizer::new(0.1).initial_accumulator_value(0.01);
    /// # let _ = optimizer;
    /// ```
    #[must_use]
    pub fn initial_accumulator_value(mut self, value: f64) -> Self {
        self.initial_accumulator_value = value;
        self
    }
}

impl Optimizer for AdagradOptimizer {
    fn settings(&self) -> &OptimizerSettings {
        &self.settings
    }

    fn settings_mut(&mut self) -> &mut OptimizerSettings {
        &mut self.settings
    }

    fn create_slots(&self, scope: &UpdateScope<'_>, variables: &[Variable]) {
        for variable in variables {
            // A positive initial sum keeps the first step finite, since the operation has no epsilon.
            let initial = constant(self.initial_accumulator_value);
            scope.settings().get_or_create_slot(variable, "accumulator", &initial);
        }
    }

    fn update(&self, scope: &UpdateScope<'_>, gradient: &Output, variable: &Variable) -> Operation {
        let rate = scope.hyperparameter("learning_rate", &self.learning_rate, variable.dtype());
        let (builder, gradient) = scope.update_by(
            gradient,
            variable,
            [&RESOURCE_APPLY_ADAGRAD, &APPLY_ADAGRAD],
            [&RESOURCE_SPARSE_APPLY_ADAGRAD, &SPARSE_APPLY_ADAGRAD],
        );
        let builder = builder.input(scope.slot(variable, "accumulator")).input(rate);
        gradient.into_iter().fold(builder, OpBuilder::input).finish()
    }
}
