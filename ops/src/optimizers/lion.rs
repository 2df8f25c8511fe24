//! Lion.

use super::moving_average::running_mean;
use super::{Optimizer, OptimizerSettings, UpdateScope};
use crate::control_flow::group;
use crate::math::{mul, sign};
use crate::scalar::Scalar;
use crate::variables::VariableExt;
use session_core::{Operation, Output, Variable};

/// Lion (Chen and others): steps of the learning rate in the direction of the sign of a running mean of the gradient.
///
/// Its slot is `momentum`, the variable `<name>/Lion`. Weights decay, as in the paper, with
/// [`DecoupledWeightDecay`](super::DecoupledWeightDecay). A gradient of some rows counts as zero in the others.
///
/// ```
/// use ops::optimizers::{LionOptimizer, Optimizer};
/// # use ops::{math::square, variables::variable};
/// # let graph = session_core::Graph::new();
/// # let w = variable(&graph.named("w"), 3.0f32);
/// # let loss = square(&w);
/// let optimizer = LionOptimizer::new(1e-4).beta1(0.95);
/// let train_op = optimizer.minimize(&loss, None);
/// # graph.finalize()?;
/// # let _ = train_op;
/// # Ok::<(), session_core::Error>(())
/// ```
#[derive(Debug)]
pub struct LionOptimizer {
    settings: OptimizerSettings,
    learning_rate: Scalar,
    beta1: Scalar,
    beta2: Scalar,
}

impl LionOptimizer {
    /// Creates the optimizer with this learning rate, a tenth of Adam's or less, and decays of 0.9 and 0.99.
    ///
    /// ```
    /// use ops::optimizers::{LionOptimizer, Optimizer};
    /// # let graph = session_core::Graph::new();
    /// let w = ops::variables::variable(&graph.named("w"), 3.0f32);
    /// let train_op = LionOptimizer::new(1e-4).minimize(&ops::math::square(&w), None);
    /// assert_eq!(train_op.name(), "Lion");
    /// # graph.finalize().unwrap();
    /// ```
    #[must_use]
    pub fn new(learning_rate: impl Into<Scalar>) -> LionOptimizer {
        LionOptimizer {
            settings: OptimizerSettings::new("Lion"),
            learning_rate: learning_rate.into(),
            beta1: Scalar::Number(0.9),
            beta2: Scalar::Number(0.99),
        }
    }

    /// Sets the weight of the running mean, relative to the gradient, in the direction of the step.
    ///
    /// ```
    /// use ops::optimizers::LionOptimizer;
    /// let optimizer = LionOptimizer::new(1e-4).beta1(0.95);
    /// # let _ = optimizer;
    /// ```
    #[must_use]
    pub fn beta1(mut self, beta1: impl Into<Scalar>) -> Self {
        self.beta1 = beta1.into();
        self
    }

    /// Sets the decay of the running mean.
    ///
    /// ```
    /// use ops::optimizers::LionOptimizer;
    /// let optimizer = LionOptimizer::new(1e-4).beta2(0.98);
    /// # let _ = optimizer;
    /// ```
    #[must_use]
    pub fn beta2(mut self, beta2: impl Into<Scalar>) -> Self {
        self.beta2 = beta2.into();
        self
    }
}

impl Optimizer for LionOptimizer {
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
        let beta1 = scope.hyperparameter("beta1", &self.beta1, dtype);
        let beta2 = scope.hyperparameter("beta2", &self.beta2, dtype);
        let graph = scope.place_of(variable);
        let momentum = scope.slot_variable(variable, "momentum");
        let mean = momentum.read(&graph);
        // The step uses `beta1` and the slot `beta2`, so the slot remembers longer than the step looks back.
        let direction = sign(running_mean(&graph, &mean, gradient, &beta1));
        let next = running_mean(&graph, &mean, gradient, &beta2);
        // A read of a reference variable may be its memory, so nothing is assigned before all is computed.
        let computed = graph.control_dependencies([direction.operation(), next.operation()]);
        let step = mul(direction.within(&computed), rate);
        let updates = [momentum.assign(next.within(&computed)), variable.assign_sub(step)];
        group(&graph, &updates)
    }
}
