//! Adam with Nesterov momentum.

use super::{AdamOptimizer, Optimizer, OptimizerSettings, UpdateScope};
use crate::scalar::Scalar;
use session_core::{Operation, Output, Variable};

/// Adam with Nesterov momentum (Dozat), as `tf.contrib.opt.NadamOptimizer` has it: the step looks ahead along the mean
/// of the gradient, without the schedule of momentum that Keras adds.
///
/// Names and slots are those of [`AdamOptimizer`], in checkpoints as well: `<name>/Adam` and `<name>/Adam_1`.
#[derive(Debug)]
pub struct NadamOptimizer {
    adam: AdamOptimizer,
}

impl NadamOptimizer {
    /// Creates the optimizer with this learning rate (TensorFlow's default is 0.001), decays of 0.9 and
    /// 0.999, and an epsilon of 1e-8.
    #[must_use]
    pub fn new(learning_rate: impl Into<Scalar>) -> NadamOptimizer {
        NadamOptimizer { adam: AdamOptimizer::new(learning_rate).use_nesterov(true) }
    }

    /// Sets the decay of the running mean of the gradient.
    #[must_use]
    pub fn beta1(self, beta1: impl Into<Scalar>) -> Self {
        NadamOptimizer { adam: self.adam.beta1(beta1) }
    }

    /// Sets the decay of the running mean of the gradient's square.
    #[must_use]
    pub fn beta2(self, beta2: impl Into<Scalar>) -> Self {
        NadamOptimizer { adam: self.adam.beta2(beta2) }
    }

    /// Sets what keeps the division apart from zero, outside the correction of the bias.
    #[must_use]
    pub fn epsilon(self, epsilon: impl Into<Scalar>) -> Self {
        NadamOptimizer { adam: self.adam.epsilon(epsilon) }
    }
}

impl Optimizer for NadamOptimizer {
    fn settings(&self) -> &OptimizerSettings {
        self.adam.settings()
    }

    fn settings_mut(&mut self) -> &mut OptimizerSettings {
        self.adam.settings_mut()
    }

    fn create_slots(&self, scope: &UpdateScope<'_>, variables: &[Variable]) {
        self.adam.create_slots(scope, variables);
    }

    fn update(&self, scope: &UpdateScope<'_>, gradient: &Output, variable: &Variable) -> Operation {
        self.adam.update(scope, gradient, variable)
    }

    fn finish(&self, scope: &UpdateScope<'_>, updates: &[Operation]) -> Vec<Operation> {
        self.adam.finish(scope, updates)
    }
}
