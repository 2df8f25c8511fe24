//! Weight decay that is not part of the loss.

use super::{AdamOptimizer, Optimizer, OptimizerSettings, UpdateScope};
use crate::math::mul;
use crate::scalar::Scalar;
use crate::variables::VariableExt;
use session_core::{Error, Graph, GraphMember, Operation, Output, Variable};

/// Decoupled weight decay (Loshchilov and Hutter) for any optimizer: before its step, `variable -= weight_decay *
/// variable`.
///
/// As in `tf.contrib.opt`, the decay is not multiplied by the learning rate: for Keras's `AdamW` give
/// `learning_rate * weight_decay`, as an output if the rate follows a schedule.
///
/// Around an optimizer that does not update the variables at every step, such as a
/// [`GradientAccumulation`](super::GradientAccumulation), they decay only when they are updated.
///
/// ```
/// use ops::optimizers::{DecoupledWeightDecay, MomentumOptimizer, Optimizer};
/// # let graph = session_core::Graph::new();
/// let w = ops::variables::variable(&graph.named("w"), 3.0f32);
/// let optimizer = DecoupledWeightDecay::extend(MomentumOptimizer::new(0.1, 0.9), 0.0001);
/// let train_op = optimizer.minimize(&ops::math::square(&w), None);
/// assert!(train_op.error().is_none());
/// # graph.finalize().unwrap();
/// ```
#[derive(Debug)]
pub struct DecoupledWeightDecay<T> {
    optimizer: T,
}

/// The decay of an optimizer's variables.
#[derive(Debug)]
pub(super) struct WeightDecay {
    rate: Scalar,
    /// The variables that decay, or `None` if all do.
    only: Option<Vec<Variable>>,
}

/// Adam with decoupled weight decay. Its slots are those of Adam: the variables `<name>/AdamW` and `<name>/AdamW_1`.
///
/// ```
/// use ops::optimizers::{AdamWOptimizer, Optimizer};
/// # let graph = session_core::Graph::new();
/// let kernel = ops::variables::variable(&graph.named("kernel"), 3.0f32);
/// let optimizer = AdamWOptimizer::new(1e-4, 0.001).decay_var_list(&[kernel.clone()]); // but no biases
/// let train_op = optimizer.minimize(&ops::math::square(&kernel), None);
/// # assert!(train_op.error().is_none());
/// # graph.finalize().unwrap();
/// ```
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
    pub fn extend(mut optimizer: T, weight_decay: impl Into<Scalar>) -> DecoupledWeightDecay<T> {
        // The innermost optimizer updates the variables, whatever is around it, so the decay belongs to its settings.
        optimizer.settings_mut().decays.push(WeightDecay { rate: weight_decay.into(), only: None });
        DecoupledWeightDecay { optimizer }
    }

    /// Sets the variables that decay, such as all kernels but no biases. Default: all trained variables. Variables of another graph than
    /// the trained ones are recorded as a build error.
    #[must_use]
    pub fn decay_var_list(mut self, variables: &[Variable]) -> Self {
        if let Some(decay) = self.optimizer.settings_mut().decays.last_mut() {
            decay.only = Some(variables.to_vec());
        }
        self
    }
}

impl<T: Optimizer> Optimizer for DecoupledWeightDecay<T> {
    of_inner_optimizer!(all self => self.optimizer);
}

/// Checks that the decayed variables belong to the graph of the trained ones.
///
/// # Errors
/// The other graph, and a value error, for a variable of another graph, which would silently not decay.
pub(super) fn check(settings: &OptimizerSettings, trained: &[Variable]) -> Result<(), (Graph, Error)> {
    let Some(first) = trained.first() else { return Ok(()) };
    let graph = first.graph().outermost();
    let listed = settings.decays.iter().filter_map(|decay| decay.only.as_deref()).flatten();
    for variable in listed {
        variable.check_belongs_to(&graph).map_err(|error| {
            let name = settings.name();
            let text = format!("the weight decay of optimizer '{name}': {}", error.message());
            (variable.graph(), Error::value(text))
        })?;
    }
    Ok(())
}

/// Lets the variable decay, and returns the scope for its update, which comes after that.
pub(super) fn apply<'a>(scope: &UpdateScope<'a>, gradient: &Output, variable: &Variable) -> UpdateScope<'a> {
    // The gradient is that of the value before the decay.
    let mut after = scope.after(gradient.operation());
    let mut decays = false;
    for (number, decay) in scope.settings().decays.iter().enumerate() {
        if decay.only.as_ref().is_some_and(|only| !only.contains(variable)) {
            continue;
        }
        let rate = scope.numbered_hyperparameter("weight_decay", number, &decay.rate, variable.dtype());
        // Reads in order: a second decay shrinks what the first one left.
        let value = variable.read(&after.place_of(variable));
        after = after.after(&variable.assign_sub(mul(value, rate)));
        decays = true;
    }
    // Without a decay, the wait for the gradient would only delay the update.
    if decays { after } else { scope.clone() }
}
