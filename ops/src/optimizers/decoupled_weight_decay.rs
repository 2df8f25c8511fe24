//! Weight decay apart from the loss.

use super::{AdamOptimizer, Optimizer, UpdateScope};
use crate::math::mul;
use crate::scalar::Scalar;
use crate::variables::VariableExt;
use session_core::{Operation, Output, Variable};

/// Decoupled weight decay (Loshchilov and Hutter) for any optimizer: before its step, `variable -= weight_decay *
/// variable`.
///
/// As in `tf.contrib.opt`, the decay is not multiplied by the learning rate: for Keras's `AdamW` give
/// `learning_rate * weight_decay`, as an output if the rate follows a schedule.
#[derive(Debug)]
pub struct DecoupledWeightDecay<T> {
    optimizer: T,
    weight_decay: Scalar,
    decayed: Option<Vec<Variable>>,
}

/// Adam with decoupled weight decay. Its slots are those of Adam: the variables `<name>/AdamW` and `<name>/AdamW_1`.
pub type AdamWOptimizer = DecoupledWeightDecay<AdamOptimizer>;

impl AdamWOptimizer {
    /// Creates Adam under the name `AdamW` with this decay and learning rate; for other options
    /// [`extend`](DecoupledWeightDecay::extend) an [`AdamOptimizer`] that has them.
    ///
    /// ```
    /// use ops::optimizers::{AdamWOptimizer, Optimizer};
    /// # let graph = session_core::Graph::new();
    /// let w = ops::variables::variable(&graph.named("w"), 3.0f32);
    /// let train_op = AdamWOptimizer::new(1e-4, 0.001).minimize(&ops::math::square(&w), None);
    /// assert_eq!(train_op.name(), "AdamW");
    /// # graph.finalize().unwrap();
    /// ```
    #[must_use]
    pub fn new(weight_decay: impl Into<Scalar>, learning_rate: impl Into<Scalar>) -> AdamWOptimizer {
        DecoupledWeightDecay::extend(AdamOptimizer::new(learning_rate).named("AdamW"), weight_decay)
    }
}

impl<T: Optimizer> DecoupledWeightDecay<T> {
    /// Creates the optimizer with this decay, under its own name.
    ///
    /// ```
    /// use ops::optimizers::{DecoupledWeightDecay, MomentumOptimizer, Optimizer};
    /// # use ops::{math::square, variables::variable};
    /// # let graph = session_core::Graph::new();
    /// # let w = variable(&graph.named("w"), 3.0f32);
    /// let optimizer = DecoupledWeightDecay::extend(MomentumOptimizer::new(0.1, 0.9), 1e-4);
    /// let train_op = optimizer.minimize(&square(&w), None);
    /// assert_eq!(train_op.name(), "Momentum");
    /// # graph.finalize().unwrap();
    /// ```
    #[must_use]
    pub fn extend(optimizer: T, weight_decay: impl Into<Scalar>) -> DecoupledWeightDecay<T> {
        DecoupledWeightDecay { optimizer, weight_decay: weight_decay.into(), decayed: None }
    }

    /// Sets the variables that decay, such as all but biases. All by default.
    #[must_use]
    pub fn decay_var_list(mut self, variables: &[Variable]) -> Self {
        self.decayed = Some(variables.to_vec());
        self
    }
}

impl<T: Optimizer> Optimizer for DecoupledWeightDecay<T> {
    of_inner_optimizer!(self => self.optimizer);

    fn update(&self, scope: &UpdateScope<'_>, gradient: &Output, variable: &Variable) -> Operation {
        if self.decayed.as_ref().is_some_and(|decayed| !decayed.contains(variable)) {
            return self.optimizer.update(scope, gradient, variable);
        }
        // The gradient is that of the value before the decay.
        let after_gradient = scope.after(gradient.operation());
        let decay = scope.hyperparameter("weight_decay", &self.weight_decay, variable.dtype());
        let value = variable.read(&after_gradient.place_of(variable));
        let decayed = variable.assign_sub(mul(value, decay));
        self.optimizer.update(&after_gradient.after(&decayed), gradient, variable)
    }
}
