//! AdaMax.

use super::powers::{self, Power};
use super::{Optimizer, OptimizerSettings, UpdateScope};
use crate::scalar::Scalar;
use crate::training::{APPLY_ADA_MAX, RESOURCE_APPLY_ADA_MAX};
use session_core::{Operation, Output, Variable};

/// AdaMax (Kingma and Ba): Adam with the largest gradient of late in place of the root of the mean square.
///
/// Its slots are `m` (the variable `<name>/AdaMax`) and `v` (`<name>/AdaMax_1`). The variable `beta1_power` is shared
/// by all. A gradient of some rows counts as zero in the others, whose slots decay.
///
/// ```
/// use ops::optimizers::{AdamaxOptimizer, Optimizer};
/// # use ops::{math::square, variables::variable};
/// # let graph = session_core::Graph::new();
/// # let w = variable(&graph.named("w"), 3.0f32);
/// # let loss = square(&w);
/// let optimizer = AdamaxOptimizer::new(0.002).beta2(0.99);
/// let train_op = optimizer.minimize(&loss, None);
/// # graph.finalize()?;
/// # let _ = train_op;
/// # Ok::<(), session_core::Error>(())
/// ```
#[derive(Debug)]
pub struct AdamaxOptimizer {
    settings: OptimizerSettings,
    learning_rate: Scalar,
    beta1: Scalar,
    beta2: Scalar,
    epsilon: Scalar,
}

impl AdamaxOptimizer {
    /// Creates the optimizer with this learning rate (TensorFlow's default is 0.001), decays of 0.9 and
    /// 0.999, and an epsilon of 1e-8.
    ///
    /// ```
    /// use ops::optimizers::{AdamaxOptimizer, Optimizer};
    /// # let graph = session_core::Graph::new();
    /// let w = ops::variables::variable(&graph.named("w"), 3.0f32);
    /// let train_op = AdamaxOptimizer::new(0.002).minimize(&ops::math::square(&w), None);
    /// assert_eq!(train_op.name(), "AdaMax");
    /// # graph.finalize().unwrap();
    /// ```
    #[must_use]
    pub fn new(learning_rate: impl Into<Scalar>) -> AdamaxOptimizer {
        AdamaxOptimizer {
            settings: OptimizerSettings::new("AdaMax"),
            learning_rate: learning_rate.into(),
            beta1: Scalar::Number(0.9),
            beta2: Scalar::Number(0.999),
            epsilon: Scalar::Number(1e-8),
        }
    }

    /// Sets the decay of the running mean of the gradient.
    ///
    /// ```
    /// use ops::optimizers::AdamaxOptimizer;
    /// let optimizer = AdamaxOptimizer::new(0.002).beta1(0.8);
    /// # let _ = optimizer;
    /// ```
    #[must_use]
    pub fn beta1(mut self, beta1: impl Into<Scalar>) -> Self {
        self.beta1 = beta1.into();
        self
    }

    /// Sets the decay of the largest gradient.
    ///
    /// ```
    /// use ops::optimizers::AdamaxOptimizer;
    /// let optimizer = AdamaxOptimizer::new(0.002).beta2(0.99);
    /// # let _ = optimizer;
    /// ```
    #[must_use]
    pub fn beta2(mut self, beta2: impl Into<Scalar>) -> Self {
        self.beta2 = beta2.into();
        self
    }

    /// Sets the number that keeps the divisor away from zero. Default: 1e-8.
    ///
    /// ```
    /// use ops::optimizers::AdamaxOptimizer;
    /// let optimizer = AdamaxOptimizer::new(0.002).epsilon(1e-7);
    /// # let _ = optimizer;
    /// ```
    #[must_use]
    pub fn epsilon(mut self, epsilon: impl Into<Scalar>) -> Self {
        self.epsilon = epsilon.into();
        self
    }

    /// Only one power: the largest gradient is not a mean and needs no correction.
    fn powers(&self) -> [Power<'_>; 1] {
        [("beta1", "beta1_power", &self.beta1)]
    }
}

impl Optimizer for AdamaxOptimizer {
    fn settings(&self) -> &OptimizerSettings {
        &self.settings
    }

    fn settings_mut(&mut self) -> &mut OptimizerSettings {
        &mut self.settings
    }

    fn create_slots(&self, scope: &UpdateScope<'_>, variables: &[Variable]) {
        powers::create(scope, variables, &self.powers());
        scope.zero_slots(variables, &["m", "v"]);
    }

    fn update(&self, scope: &UpdateScope<'_>, gradient: &Output, variable: &Variable) -> Operation {
        let dtype = variable.dtype();
        let rate = scope.hyperparameter("learning_rate", &self.learning_rate, dtype);
        let beta1 = scope.hyperparameter("beta1", &self.beta1, dtype);
        let beta2 = scope.hyperparameter("beta2", &self.beta2, dtype);
        let epsilon = scope.hyperparameter("epsilon", &self.epsilon, dtype);
        let builder = scope.update_of(variable, &RESOURCE_APPLY_ADA_MAX, &APPLY_ADA_MAX);
        let builder = builder.input(scope.slot(variable, "m")).input(scope.slot(variable, "v"));
        let builder = builder.input(powers::value(scope, "beta1_power", dtype));
        builder.input(rate).input(beta1).input(beta2).input(epsilon).input(gradient).finish()
    }

    fn finish(&self, scope: &UpdateScope<'_>, updates: &[Operation]) -> Vec<Operation> {
        powers::advance(scope, updates, &self.powers())
    }
}
