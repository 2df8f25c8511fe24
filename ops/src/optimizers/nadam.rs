//! Adam with Nesterov momentum.

use super::{AdamOptimizer, Optimizer};
use crate::scalar::Scalar;
use session_core::{Operation, Output, Variable};

/// Adam with Nesterov momentum (Dozat), as `tf.contrib.opt.NadamOptimizer` has it: the step looks ahead along the mean
/// of the gradient, without the schedule of momentum that Keras adds.
///
/// Names and slots are those of [`AdamOptimizer`], in checkpoints as well: `<name>/Adam` and `<name>/Adam_1`.
///
/// ```
/// use ops::optimizers::{NadamOptimizer, Optimizer};
/// # use ops::{math::square, variables::variable};
/// # let graph = session_core::Graph::new();
/// # let w = variable(&graph.named("w"), 3.0f32);
/// # let loss = square(&w);
/// let optimizer = NadamOptimizer::new(0.001).beta2(0.99);
/// let train_op = optimizer.minimize(&loss, None);
/// # graph.finalize()?;
/// # let _ = train_op;
/// # Ok::<(), session_core::Error>(())
/// ```
#[derive(Debug)]
pub struct NadamOptimizer {
    adam: AdamOptimizer,
}

impl NadamOptimizer {
    /// Creates the optimizer with this learning rate (TensorFlow's default is 0.001), decays of 0.9 and 0.999, and an epsilon of 1e-8.
    #[must_use]
    pub fn new(learning_rate: impl Into<Scalar>) -> NadamOptimizer {
        NadamOptimizer { adam: AdamOptimizer::new(learning_rate).use_nesterov(true) }
    }

    /// Sets the decay of the running mean of the gradient.
    ///
    /// ```
    /// use ops::optimizers::NadamOptimizer;
    /// let optimizer = NadamOptimizer::new(0.001).beta1(0.8);
    /// # let _ = optimizer;
    /// ```
    #[must_use]
    pub fn beta1(self, beta1: impl Into<Scalar>) -> Self {
        NadamOptimizer { adam: self.adam.beta1(beta1) }
    }

    /// Sets the decay of the running mean of the gradient's square.
    ///
    /// ```
    /// use ops::optimizers::NadamOptimizer;
    /// let optimizer = NadamOptimizer::new(0.001).beta2(0.99);
    /// # let _ = optimizer;
    /// ```
    #[must_use]
    pub fn beta2(self, beta2: impl Into<Scalar>) -> Self {
        NadamOptimizer { adam: self.adam.beta2(beta2) }
    }

    /// Sets the number that keeps the divisor away from zero, outside of the bias correction. Default: 1e-8.
    ///
    /// ```
    /// use ops::optimizers::NadamOptimizer;
    /// let optimizer = NadamOptimizer::new(0.001).epsilon(1e-7);
    /// # let _ = optimizer;
    /// ```
    #[must_use]
    pub fn epsilon(self, epsilon: impl Into<Scalar>) -> Self {
        NadamOptimizer { adam: self.adam.epsilon(epsilon) }
    }
}

impl Optimizer for NadamOptimizer {
    of_inner_optimizer!(self => self.adam);
}
