//! Adam: adaptive moment estimation.

use super::powers::{self, Power};
use super::{Optimizer, OptimizerSettings, UpdateScope};
use crate::scalar::Scalar;
use crate::training::{APPLY_ADAM, RESOURCE_APPLY_ADAM};
use session_core::{Operation, Output, Variable};

/// Adam (Kingma and Ba): takes steps of about the learning rate, based on running means of the gradient and
/// of its square. Its slots are `m` (the variable `<name>/Adam`) and `v` (`<name>/Adam_1`). The variables
/// `beta1_power` and `beta2_power` are shared by all.
///
/// ```
/// use ops::optimizers::{AdamOptimizer, Optimizer};
/// # use ops::{math::square, variables::variable};
/// # let graph = session_core::Graph::new();
/// # let w = variable(&graph.named("w"), 3.0f32);
/// # let loss = square(&w);
/// let optimizer = AdamOptimizer::new(0.001).beta1(0.8).epsilon(1e-7);
/// let train_op = optimizer.minimize(&loss, None);
/// assert_eq!(optimizer.slot(&w, "m").expect("w is trained").name(), "w/Adam");
/// # graph.finalize()?;
/// # let _ = train_op;
/// # Ok::<(), session_core::Error>(())
/// ```
#[derive(Debug)]
pub struct AdamOptimizer {
    settings: OptimizerSettings,
    learning_rate: Scalar,
    beta1: Scalar,
    beta2: Scalar,
    epsilon: Scalar,
    use_nesterov: bool,
}

impl AdamOptimizer {
    /// Creates the optimizer with this learning rate (TensorFlow's default is 0.001), decays of 0.9 and 0.999, and an epsilon of 1e-8.
    ///
    /// ```
    /// use ops::global_step::get_or_create_global_step;
    /// use ops::learning_rate::{Decay, exponential_decay};
    /// use ops::optimizers::{AdamOptimizer, Optimizer};
    /// # let graph = session_core::Graph::new();
    /// # let w = ops::variables::variable(&graph.named("w"), 3.0f32);
    /// let step = get_or_create_global_step(&graph);
    /// let rate = exponential_decay(0.001, &step, 1000, 0.96, Decay::Smooth);
    /// let train_op = AdamOptimizer::new(rate).minimize(&ops::math::square(&w), Some(&step));
    /// # assert!(train_op.error().is_none());
    /// # graph.finalize().unwrap();
    /// ```
    #[must_use]
    pub fn new(learning_rate: impl Into<Scalar>) -> AdamOptimizer {
        AdamOptimizer {
            settings: OptimizerSettings::new("Adam"),
            learning_rate: learning_rate.into(),
            beta1: Scalar::Number(0.9),
            beta2: Scalar::Number(0.999),
            epsilon: Scalar::Number(1e-8),
            use_nesterov: false,
        }
    }

    /// Sets the decay of the running mean of the gradient. Default: 0.9.
    ///
    /// ```
    /// use ops::optimizers::AdamOptimizer;
    /// let optimizer = AdamOptimizer::new(0.001).beta1(0.8);
    /// # let _ = optimizer;
    /// ```
    #[must_use]
    pub fn beta1(mut self, beta1: impl Into<Scalar>) -> Self {
        self.beta1 = beta1.into();
        self
    }

    /// Sets the decay of the running mean of the squared gradient. Default: 0.999.
    ///
    /// ```
    /// use ops::optimizers::AdamOptimizer;
    /// let optimizer = AdamOptimizer::new(0.001).beta2(0.99);
    /// # let _ = optimizer;
    /// ```
    #[must_use]
    pub fn beta2(mut self, beta2: impl Into<Scalar>) -> Self {
        self.beta2 = beta2.into();
        self
    }

    /// Sets the number that keeps the divisor away from zero: the `epsilon hat` of the paper, outside of the bias correction. Default: 1e-8.
    ///
    /// ```
    /// use ops::optimizers::AdamOptimizer;
    /// let optimizer = AdamOptimizer::new(0.001).epsilon(1e-7);
    /// # let _ = optimizer;
    /// ```
    #[must_use]
    pub fn epsilon(mut self, epsilon: impl Into<Scalar>) -> Self {
        self.epsilon = epsilon.into();
        self
    }

    /// Sets whether the step looks ahead along the mean of the gradient, which is what Nadam does.
    pub(super) fn use_nesterov(mut self, use_nesterov: bool) -> Self {
        self.use_nesterov = use_nesterov;
        self
    }

    fn powers(&self) -> [Power<'_>; 2] {
        [("beta1", "beta1_power", &self.beta1), ("beta2", "beta2_power", &self.beta2)]
    }
}

impl Optimizer for AdamOptimizer {
    fn settings(&self) -> &OptimizerSettings {
        &self.settings
    }

    fn settings_mut(&mut self) -> &mut OptimizerSettings {
        &mut self.settings
    }

    fn create_slots(&self, scope: &UpdateScope<'_>, variables: &[Variable]) {
        // Powers before slots: TensorFlow's optimizer creates them first, which decides
        // the order of the collection.
        powers::create(scope, variables, &self.powers());
        scope.zero_slots(variables, &["m", "v"]);
    }

    fn update(&self, scope: &UpdateScope<'_>, gradient: &Output, variable: &Variable) -> Operation {
        let dtype = variable.dtype();
        let rate = scope.hyperparameter("learning_rate", &self.learning_rate, dtype);
        let beta1 = scope.hyperparameter("beta1", &self.beta1, dtype);
        let beta2 = scope.hyperparameter("beta2", &self.beta2, dtype);
        let epsilon = scope.hyperparameter("epsilon", &self.epsilon, dtype);
        let builder = scope.update_of(variable, &RESOURCE_APPLY_ADAM, &APPLY_ADAM);
        let builder = builder.input(scope.slot(variable, "m")).input(scope.slot(variable, "v"));
        // All variables share the powers, whose dtype may be another one.
        let builder = builder.input(powers::value(scope, "beta1_power", dtype));
        let builder = builder.input(powers::value(scope, "beta2_power", dtype));
        let builder = builder.input(rate).input(beta1).input(beta2).input(epsilon).input(gradient);
        builder.attr("use_nesterov", self.use_nesterov).finish()
    }

    fn finish(&self, scope: &UpdateScope<'_>, updates: &[Operation]) -> Vec<Operation> {
        powers::advance(scope, updates, &self.powers())
    }
}
