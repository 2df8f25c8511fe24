//! LAMB.

use super::moving_average::running_mean;
use super::powers::{self, Power};
use super::trust_ratio::{is_named, norm, owned, ratio};
use super::{Optimizer, OptimizerSettings, UpdateScope};
use crate::array::constants::scalar_like;
use crate::control_flow::group;
use crate::math::{add, mul, real_div, sqrt, square, sub};
use crate::scalar::Scalar;
use crate::variables::VariableExt;
use session_core::{Operation, Output, Variable};

/// LAMB (You and others), for large batches: the step of Adam plus the weight decay, scaled for each variable to the
/// norm of the variable.
///
/// Its slots are `m` (the variable `<name>/LAMB`) and `v` (`<name>/LAMB_1`). The variables `beta1_power` and
/// `beta2_power` are shared by all. A gradient of some rows counts as zero in the others.
///
/// ```
/// use ops::optimizers::{LambOptimizer, Optimizer};
/// # use ops::{math::square, variables::variable};
/// # let graph = session_core::Graph::new();
/// # let w = variable(&graph.named("w"), 3.0f32);
/// # let loss = square(&w);
/// let optimizer = LambOptimizer::new(0.001).weight_decay_rate(0.01).exclude_from_weight_decay(&["bias", "norm"]);
/// let train_op = optimizer.minimize(&loss, None);
/// # graph.finalize()?;
/// # let _ = train_op;
/// # Ok::<(), session_core::Error>(())
/// ```
#[derive(Debug)]
pub struct LambOptimizer {
    settings: OptimizerSettings,
    learning_rate: Scalar,
    weight_decay_rate: Scalar,
    beta1: Scalar,
    beta2: Scalar,
    epsilon: Scalar,
    exclude_from_weight_decay: Vec<String>,
    exclude_from_layer_adaptation: Vec<String>,
}

impl LambOptimizer {
    /// Creates the optimizer with this learning rate, no weight decay, decays of the means of 0.9 and 0.999, and an
    /// epsilon of 1e-6.
    ///
    /// ```
    /// use ops::optimizers::{LambOptimizer, Optimizer};
    /// # let graph = session_core::Graph::new();
    /// let w = ops::variables::variable(&graph.named("w"), [3.0f32, 4.0]);
    /// let lamb = LambOptimizer::new(0.001).weight_decay_rate(0.01).exclude_from_weight_decay(&["bias"]);
    /// let train_op = lamb.minimize(&ops::math::square(&w), None);
    /// assert_eq!(train_op.name(), "LAMB");
    /// # graph.finalize().unwrap();
    /// ```
    #[must_use]
    pub fn new(learning_rate: impl Into<Scalar>) -> LambOptimizer {
        LambOptimizer {
            settings: OptimizerSettings::new("LAMB"),
            learning_rate: learning_rate.into(),
            weight_decay_rate: Scalar::Number(0.0),
            beta1: Scalar::Number(0.9),
            beta2: Scalar::Number(0.999),
            epsilon: Scalar::Number(1e-6),
            exclude_from_weight_decay: Vec::new(),
            exclude_from_layer_adaptation: Vec::new(),
        }
    }

    /// Sets the share of the variable that is added to the step of Adam. Default: 0.
    ///
    /// ```
    /// use ops::optimizers::LambOptimizer;
    /// let optimizer = LambOptimizer::new(0.001).weight_decay_rate(0.01);
    /// # let _ = optimizer;
    /// ```
    #[must_use]
    pub fn weight_decay_rate(mut self, weight_decay_rate: impl Into<Scalar>) -> Self {
        self.weight_decay_rate = weight_decay_rate.into();
        self
    }

    /// Sets the decay of the running mean of the gradient.
    ///
    /// ```
    /// use ops::optimizers::LambOptimizer;
    /// let optimizer = LambOptimizer::new(0.001).beta1(0.8);
    /// # let _ = optimizer;
    /// ```
    #[must_use]
    pub fn beta1(mut self, beta1: impl Into<Scalar>) -> Self {
        self.beta1 = beta1.into();
        self
    }

    /// Sets the decay of the running mean of the gradient's square.
    ///
    /// ```
    /// use ops::optimizers::LambOptimizer;
    /// let optimizer = LambOptimizer::new(0.001).beta2(0.99);
    /// # let _ = optimizer;
    /// ```
    #[must_use]
    pub fn beta2(mut self, beta2: impl Into<Scalar>) -> Self {
        self.beta2 = beta2.into();
        self
    }

    /// Sets the number that is added to the root of the mean square. Default: 1e-6.
    ///
    /// ```
    /// use ops::optimizers::LambOptimizer;
    /// let optimizer = LambOptimizer::new(0.001).epsilon(1e-7);
    /// # let _ = optimizer;
    /// ```
    #[must_use]
    pub fn epsilon(mut self, epsilon: impl Into<Scalar>) -> Self {
        self.epsilon = epsilon.into();
        self
    }

    /// Sets parts of names: variables with one of them in their name do not decay.
    ///
    /// ```
    /// use ops::optimizers::LambOptimizer;
    /// let optimizer = LambOptimizer::new(0.001).exclude_from_weight_decay(&["bias"]);
    /// # let _ = optimizer;
    /// ```
    #[must_use]
    pub fn exclude_from_weight_decay(mut self, parts: &[&str]) -> Self {
        self.exclude_from_weight_decay = owned(parts);
        self
    }

    /// Sets parts of names: the steps of variables with one of them in their name are not scaled.
    ///
    /// ```
    /// use ops::optimizers::LambOptimizer;
    /// let optimizer = LambOptimizer::new(0.001).exclude_from_layer_adaptation(&["bias"]);
    /// # let _ = optimizer;
    /// ```
    #[must_use]
    pub fn exclude_from_layer_adaptation(mut self, parts: &[&str]) -> Self {
        self.exclude_from_layer_adaptation = owned(parts);
        self
    }

    fn powers(&self) -> [Power<'_>; 2] {
        [("beta1", "beta1_power", &self.beta1), ("beta2", "beta2_power", &self.beta2)]
    }
}

impl Optimizer for LambOptimizer {
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
        // There is no such operation in TensorFlow: the step consists of ordinary
        // ones, on the variable's device.
        let graph = scope.place_of(variable);
        let [m, v] = ["m", "v"].map(|name| scope.slot_variable(variable, name));
        let beta1 = scope.hyperparameter("beta1", &self.beta1, dtype);
        let beta2 = scope.hyperparameter("beta2", &self.beta2, dtype);
        let next_m = running_mean(&graph, &m.read(&graph), gradient, &beta1);
        let next_v = running_mean(&graph, &v.read(&graph), &square(gradient.within(&graph)), &beta2);
        let unbiased = |mean: &Output, power: &str| {
            let power = powers::value(scope, power, dtype).within(&graph);
            real_div(mean, sub(scalar_like(&power, 1.0), power))
        };
        let epsilon = scope.hyperparameter("epsilon", &self.epsilon, dtype);
        let root = sqrt(unbiased(&next_v, "beta2_power"));
        let value = variable.read(&graph);
        // As in the paper and `tf.contrib`, the decay is part of the step whose norm is
        // measured; Keras subtracts it before.
        let mut step = real_div(unbiased(&next_m, "beta1_power"), add(root, epsilon));
        if !is_named(variable, &self.exclude_from_weight_decay) {
            let decay = scope.hyperparameter("weight_decay_rate", &self.weight_decay_rate, dtype);
            step = add(step, mul(&value, decay));
        }
        let mut rate = scope.hyperparameter("learning_rate", &self.learning_rate, dtype);
        if !is_named(variable, &self.exclude_from_layer_adaptation) {
            let (of_value, of_step) = (norm(&value), norm(&step));
            rate = mul(ratio(&of_value, &of_step, [&of_value, &of_step]), rate);
        }
        let step = mul(step, rate);
        // A read of a reference variable may be its memory, so nothing is assigned before all is computed.
        let computed = graph.control_dependencies([step.operation(), next_m.operation(), next_v.operation()]);
        let updates = [
            m.assign(next_m.within(&computed)),
            v.assign(next_v.within(&computed)),
            variable.assign_sub(step.within(&computed)),
        ];
        group(&graph, &updates)
    }

    fn finish(&self, scope: &UpdateScope<'_>, updates: &[Operation]) -> Vec<Operation> {
        powers::advance(scope, updates, &self.powers())
    }
}
