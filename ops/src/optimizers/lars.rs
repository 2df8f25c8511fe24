//! LARS.

use super::trust_ratio::{is_named, norm, owned, ratio};
use super::{Optimizer, OptimizerSettings, UpdateScope};
use crate::math::{add, mul};
use crate::scalar::Scalar;
use crate::training::{APPLY_MOMENTUM, RESOURCE_APPLY_MOMENTUM};
use crate::variables::VariableExt;
use session_core::{Operation, Output, Variable};

/// LARS (You, Gitman and Ginsburg), for large batches: momentum with a learning rate for each variable, in proportion to
/// the norm of the variable over that of its gradient.
///
/// Its slot is `momentum`, the variable `<name>/LARSOptimizer`. A gradient of some rows counts as zero in the others.
///
/// ```
/// use ops::optimizers::{LarsOptimizer, Optimizer};
/// # use ops::{math::square, variables::variable};
/// # let graph = session_core::Graph::new();
/// # let w = variable(&graph.named("w"), 3.0f32);
/// # let loss = square(&w);
/// let optimizer = LarsOptimizer::new(0.5).momentum(0.9).weight_decay(1e-4).skip_list(&["bias"]);
/// let train_op = optimizer.minimize(&loss, None);
/// # graph.finalize()?;
/// # let _ = train_op;
/// # Ok::<(), session_core::Error>(())
/// ```
#[derive(Debug)]
pub struct LarsOptimizer {
    settings: OptimizerSettings,
    learning_rate: Scalar,
    momentum: Scalar,
    weight_decay: Scalar,
    eeta: Scalar,
    epsilon: Scalar,
    skip_list: Vec<String>,
    use_nesterov: bool,
}

impl LarsOptimizer {
    /// Creates the optimizer with this learning rate, a momentum of 0.9, a weight decay of 0.0001, an `eeta` of 0.001
    /// and no epsilon.
    ///
    /// ```
    /// use ops::optimizers::{LarsOptimizer, Optimizer};
    /// # let graph = session_core::Graph::new();
    /// let w = ops::variables::variable(&graph.named("w"), [3.0f32, 4.0]);
    /// let train_op = LarsOptimizer::new(0.5).skip_list(&["bias"]).minimize(&ops::math::square(&w), None);
    /// assert_eq!(train_op.name(), "LARSOptimizer");
    /// # graph.finalize().unwrap();
    /// ```
    #[must_use]
    pub fn new(learning_rate: impl Into<Scalar>) -> LarsOptimizer {
        LarsOptimizer {
            settings: OptimizerSettings::new("LARSOptimizer"),
            learning_rate: learning_rate.into(),
            momentum: Scalar::Number(0.9),
            weight_decay: Scalar::Number(0.0001),
            eeta: Scalar::Number(0.001),
            epsilon: Scalar::Number(0.0),
            skip_list: Vec::new(),
            use_nesterov: false,
        }
    }

    /// Sets the share of the last step that is added to the next one.
    ///
    /// ```
    /// use ops::optimizers::LarsOptimizer;
    /// let optimizer = LarsOptimizer::new(0.5).momentum(0.8);
    /// # let _ = optimizer;
    /// ```
    #[must_use]
    pub fn momentum(mut self, momentum: impl Into<Scalar>) -> Self {
        self.momentum = momentum.into();
        self
    }

    /// Sets the share of the variable that is added to its gradient.
    ///
    /// ```
    /// use ops::optimizers::LarsOptimizer;
    /// let optimizer = LarsOptimizer::new(0.5).weight_decay(1e-4);
    /// # let _ = optimizer;
    /// ```
    #[must_use]
    pub fn weight_decay(mut self, weight_decay: impl Into<Scalar>) -> Self {
        self.weight_decay = weight_decay.into();
        self
    }

    /// Sets the factor of the ratio of the norms, which TensorFlow calls `eeta`.
    ///
    /// ```
    /// use ops::optimizers::LarsOptimizer;
    /// let optimizer = LarsOptimizer::new(0.5).eeta(0.002);
    /// # let _ = optimizer;
    /// ```
    #[must_use]
    pub fn eeta(mut self, eeta: impl Into<Scalar>) -> Self {
        self.eeta = eeta.into();
        self
    }

    /// Sets the number that is added to the norm in the divisor.
    ///
    /// ```
    /// use ops::optimizers::LarsOptimizer;
    /// let optimizer = LarsOptimizer::new(0.5).epsilon(1e-7);
    /// # let _ = optimizer;
    /// ```
    #[must_use]
    pub fn epsilon(mut self, epsilon: impl Into<Scalar>) -> Self {
        self.epsilon = epsilon.into();
        self
    }

    /// Sets parts of names: variables with one of them in their name have the learning rate as it is, and no decay.
    ///
    /// ```
    /// use ops::optimizers::LarsOptimizer;
    /// let optimizer = LarsOptimizer::new(0.5).skip_list(&["bias", "norm"]);
    /// # let _ = optimizer;
    /// ```
    #[must_use]
    pub fn skip_list(mut self, parts: &[&str]) -> Self {
        self.skip_list = owned(parts);
        self
    }

    /// Sets whether the gradient is taken as if the momentum had been followed already (Nesterov). Default `false`.
    ///
    /// ```
    /// use ops::optimizers::LarsOptimizer;
    /// let optimizer = LarsOptimizer::new(0.5).use_nesterov(true);
    /// # let _ = optimizer;
    /// ```
    #[must_use]
    pub fn use_nesterov(mut self, use_nesterov: bool) -> Self {
        self.use_nesterov = use_nesterov;
        self
    }

    /// Returns the learning rate of a variable, and its gradient with the decay.
    fn scaled(&self, scope: &UpdateScope<'_>, gradient: &Output, variable: &Variable) -> (Output, Output) {
        let dtype = variable.dtype();
        let rate = scope.hyperparameter("learning_rate", &self.learning_rate, dtype);
        if is_named(variable, &self.skip_list) {
            return (rate, gradient.clone());
        }
        let graph = scope.place_of(variable);
        let decay = scope.hyperparameter("weight_decay", &self.weight_decay, dtype);
        let eeta = scope.hyperparameter("eeta", &self.eeta, dtype);
        let epsilon = scope.hyperparameter("epsilon", &self.epsilon, dtype);
        let (value, gradient) = (variable.read(&graph), gradient.within(&graph));
        let (of_value, of_gradient) = (norm(&value), norm(&gradient));
        // The norms of gradient and decay are added rather than the norm of their sum, as in the paper.
        let whole = add(add(&of_gradient, mul(&of_value, &decay)), epsilon);
        let ratio = ratio(&mul(&of_value, eeta), &whole, [&of_value, &of_gradient]);
        (mul(ratio, rate), add(gradient, mul(value, decay)))
    }
}

impl Optimizer for LarsOptimizer {
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
        let (rate, gradient) = self.scaled(scope, gradient, variable);
        let momentum = scope.hyperparameter("momentum", &self.momentum, variable.dtype());
        let builder = scope.update_of(variable, &RESOURCE_APPLY_MOMENTUM, &APPLY_MOMENTUM);
        let builder =
            builder.input(scope.slot(variable, "momentum")).input(rate).input(gradient).input(momentum);
        builder.attr("use_nesterov", self.use_nesterov).finish()
    }
}
