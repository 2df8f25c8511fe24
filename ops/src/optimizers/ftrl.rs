//! FTRL: follow the regularized leader.

use super::{Optimizer, OptimizerSettings, UpdateScope};
use crate::initializers::{constant, zeros};
use crate::scalar::Scalar;
use crate::training::{APPLY_FTRL, RESOURCE_APPLY_FTRL, RESOURCE_SPARSE_APPLY_FTRL, SPARSE_APPLY_FTRL};
use session_core::{OpBuilder, Operation, Output, Variable};

/// FTRL-Proximal (McMahan and others), for sparse linear models.
///
/// Its slots are `accum` (the variable `<name>/Ftrl`) and `linear` (`<name>/Ftrl_1`).
///
/// A gradient of [rows](crate::IndexedSlices), such as that of a lookup, updates those rows and their slots alone.
///
/// ```
/// use ops::optimizers::{FtrlOptimizer, Optimizer};
/// # use ops::{math::square, variables::variable};
/// # let graph = session_core::Graph::new();
/// # let w = variable(&graph.named("w"), 3.0f32);
/// # let loss = square(&w);
/// let optimizer = FtrlOptimizer::new(0.1).l1_regularization_strength(0.001);
/// let train_op = optimizer.minimize(&loss, None);
/// assert_eq!(optimizer.slot(&w, "linear").expect("w is trained").name(), "w/Ftrl_1");
/// # graph.finalize()?;
/// # let _ = train_op;
/// # Ok::<(), session_core::Error>(())
/// ```
#[derive(Debug)]
pub struct FtrlOptimizer {
    settings: OptimizerSettings,
    learning_rate: Scalar,
    learning_rate_power: Scalar,
    initial_accumulator_value: f64,
    l1: Scalar,
    l2: Scalar,
}

impl FtrlOptimizer {
    /// Creates the optimizer with this learning rate, a learning-rate power of -0.5, accumulators that begin with 0.1, and no
    /// regularization.
    #[must_use]
    pub fn new(learning_rate: impl Into<Scalar>) -> FtrlOptimizer {
        FtrlOptimizer {
            settings: OptimizerSettings::new("Ftrl"),
            learning_rate: learning_rate.into(),
            learning_rate_power: Scalar::Number(-0.5),
            initial_accumulator_value: 0.1,
            l1: Scalar::Number(0.0),
            l2: Scalar::Number(0.0),
        }
    }

    /// Sets the power of the accumulator that scales the learning rate; zero or negative. Default: -0.5.
    ///
    /// ```
    /// use ops::optimizers::FtrlOptimizer;
    /// let optimizer = FtrlOptimizer::new(0.1).learning_rate_power(-0.3);
    /// # let _ = optimizer;
    /// ```
    #[must_use]
    pub fn learning_rate_power(mut self, power: impl Into<Scalar>) -> Self {
        self.learning_rate_power = power.into();
        self
    }

    /// Sets the initial value of the accumulators; zero or positive. Default: 0.1.
    ///
    /// ```
    /// use ops::optimizers::FtrlOptimizer;
    /// let optimizer = FtrlOptimizer::new(0.1).initial_accumulator_value(1.0);
    /// # let _ = optimizer;
    /// ```
    #[must_use]
    pub fn initial_accumulator_value(mut self, value: f64) -> Self {
        self.initial_accumulator_value = value;
        self
    }

    /// Sets the strength of the L1 regularization, which makes weights exactly zero.
    ///
    /// ```
    /// use ops::optimizers::FtrlOptimizer;
    /// let optimizer = FtrlOptimizer::new(0.1).l1_regularization_strength(0.001);
    /// # let _ = optimizer;
    /// ```
    #[must_use]
    pub fn l1_regularization_strength(mut self, strength: impl Into<Scalar>) -> Self {
        self.l1 = strength.into();
        self
    }

    /// Sets the strength of the L2 regularization.
    ///
    /// ```
    /// use ops::optimizers::FtrlOptimizer;
    /// let optimizer = FtrlOptimizer::new(0.1).l2_regularization_strength(0.001);
    /// # let _ = optimizer;
    /// ```
    #[must_use]
    pub fn l2_regularization_strength(mut self, strength: impl Into<Scalar>) -> Self {
        self.l2 = strength.into();
        self
    }
}

impl Optimizer for FtrlOptimizer {
    fn settings(&self) -> &OptimizerSettings {
        &self.settings
    }

    fn settings_mut(&mut self) -> &mut OptimizerSettings {
        &mut self.settings
    }

    fn create_slots(&self, scope: &UpdateScope<'_>, variables: &[Variable]) {
        for variable in variables {
            // The accumulator is raised to a negative power, so it must not begin with 0.
            let initial = constant(self.initial_accumulator_value);
            scope.settings().get_or_create_slot(variable, "accum", &initial);
            scope.settings().get_or_create_slot(variable, "linear", &zeros());
        }
    }

    fn update(&self, scope: &UpdateScope<'_>, gradient: &Output, variable: &Variable) -> Operation {
        let dtype = variable.dtype();
        let rate = scope.hyperparameter("learning_rate", &self.learning_rate, dtype);
        let l1 = scope.hyperparameter("l1_regularization_strength", &self.l1, dtype);
        let l2 = scope.hyperparameter("l2_regularization_strength", &self.l2, dtype);
        let power = scope.hyperparameter("learning_rate_power", &self.learning_rate_power, dtype);
        let (builder, gradient) = scope.update_by(
            gradient,
            variable,
            [&RESOURCE_APPLY_FTRL, &APPLY_FTRL],
            [&RESOURCE_SPARSE_APPLY_FTRL, &SPARSE_APPLY_FTRL],
        );
        let builder = builder.input(scope.slot(variable, "accum")).input(scope.slot(variable, "linear"));
        // The gradient comes before the hyperparameters here.
        let builder = gradient.into_iter().fold(builder, OpBuilder::input);
        builder.input(rate).input(l1).input(l2).input(power).finish()
    }
}
