//! RMSProp.

use super::{Optimizer, OptimizerSettings, UpdateScope};
use crate::initializers::{ones, zeros};
use crate::scalar::Scalar;
use crate::training::{
    APPLY_CENTERED_RMS_PROP, APPLY_RMS_PROP, RESOURCE_APPLY_CENTERED_RMS_PROP, RESOURCE_APPLY_RMS_PROP,
    RESOURCE_SPARSE_APPLY_CENTERED_RMS_PROP, RESOURCE_SPARSE_APPLY_RMS_PROP, SPARSE_APPLY_CENTERED_RMS_PROP,
    SPARSE_APPLY_RMS_PROP,
};
use session_core::{OpBuilder, Operation, Output, Variable};

/// RMSProp (Hinton): the gradient is divided by the root of a running mean of its square; if centered, by its running
/// standard deviation.
///
/// Its slots are `rms` (the variable `<name>/RMSProp`), `mg` if it is centered, and `momentum`, which are `_1` and
/// `_2`.
///
/// A gradient of [rows](crate::IndexedSlices), such as that of a lookup, updates those rows and their slots alone.
///
/// ```
/// use ops::optimizers::{RMSPropOptimizer, Optimizer};
/// # use ops::{math::square, variables::variable};
/// # let graph = session_core::Graph::new();
/// # let w = variable(&graph.named("w"), 3.0f32);
/// # let loss = square(&w);
/// let optimizer = RMSPropOptimizer::new(0.01).decay(0.95).centered(true);
/// let train_op = optimizer.minimize(&loss, None);
/// assert!(optimizer.slot(&w, "mg").is_some(), "the mean of the gradient");
/// # graph.finalize()?;
/// # let _ = train_op;
/// # Ok::<(), session_core::Error>(())
/// ```
#[derive(Debug)]
pub struct RMSPropOptimizer {
    settings: OptimizerSettings,
    learning_rate: Scalar,
    decay: Scalar,
    momentum: Scalar,
    epsilon: Scalar,
    centered: bool,
}

impl RMSPropOptimizer {
    /// Creates the optimizer with this learning rate, a decay of 0.9, no momentum, and an epsilon of 1e-10. It is not centered.
    #[must_use]
    pub fn new(learning_rate: impl Into<Scalar>) -> RMSPropOptimizer {
        RMSPropOptimizer {
            settings: OptimizerSettings::new("RMSProp"),
            learning_rate: learning_rate.into(),
            decay: Scalar::Number(0.9),
            momentum: Scalar::Number(0.0),
            epsilon: Scalar::Number(1e-10),
            centered: false,
        }
    }

    /// Sets the decay of the running means. Default: 0.9.
    ///
    /// ```
    /// use ops::optimizers::RMSPropOptimizer;
    /// let optimizer = RMSPropOptimizer::new(0.01).decay(0.95);
    /// # let _ = optimizer;
    /// ```
    #[must_use]
    pub fn decay(mut self, decay: impl Into<Scalar>) -> Self {
        self.decay = decay.into();
        self
    }

    /// Sets the share of the last step that is added to the next one. Default: 0.
    ///
    /// ```
    /// use ops::optimizers::RMSPropOptimizer;
    /// let optimizer = RMSPropOptimizer::new(0.01).momentum(0.9);
    /// # let _ = optimizer;
    /// ```
    #[must_use]
    pub fn momentum(mut self, momentum: impl Into<Scalar>) -> Self {
        self.momentum = momentum.into();
        self
    }

    /// Sets the number that is added to the mean square before its root is taken. Default: 1e-10.
    ///
    /// ```
    /// use ops::optimizers::RMSPropOptimizer;
    /// let optimizer = RMSPropOptimizer::new(0.01).epsilon(1e-7);
    /// # let _ = optimizer;
    /// ```
    #[must_use]
    pub fn epsilon(mut self, epsilon: impl Into<Scalar>) -> Self {
        self.epsilon = epsilon.into();
        self
    }

    /// Sets whether the mean of the gradient is subtracted before its square is averaged.
    ///
    /// ```
    /// use ops::optimizers::RMSPropOptimizer;
    /// let optimizer = RMSPropOptimizer::new(0.01).centered(true);
    /// # let _ = optimizer;
    /// ```
    #[must_use]
    pub fn centered(mut self, centered: bool) -> Self {
        self.centered = centered;
        self
    }
}

impl Optimizer for RMSPropOptimizer {
    fn settings(&self) -> &OptimizerSettings {
        &self.settings
    }

    fn settings_mut(&mut self) -> &mut OptimizerSettings {
        &mut self.settings
    }

    fn create_slots(&self, scope: &UpdateScope<'_>, variables: &[Variable]) {
        // The order decides the names: `mg`, where it exists, comes between the others, as in TensorFlow.
        // `rms` begins with ones there too.
        for variable in variables {
            scope.settings().get_or_create_slot(variable, "rms", &ones());
            if self.centered {
                scope.settings().get_or_create_slot(variable, "mg", &zeros());
            }
            scope.settings().get_or_create_slot(variable, "momentum", &zeros());
        }
    }

    fn update(&self, scope: &UpdateScope<'_>, gradient: &Output, variable: &Variable) -> Operation {
        let dtype = variable.dtype();
        let rate = scope.hyperparameter("learning_rate", &self.learning_rate, dtype);
        let decay = scope.hyperparameter("decay", &self.decay, dtype);
        let momentum = scope.hyperparameter("momentum", &self.momentum, dtype);
        let epsilon = scope.hyperparameter("epsilon", &self.epsilon, dtype);
        let (whole, rows): ([_; 2], [_; 2]) = if self.centered {
            (
                [&RESOURCE_APPLY_CENTERED_RMS_PROP, &APPLY_CENTERED_RMS_PROP],
                [&RESOURCE_SPARSE_APPLY_CENTERED_RMS_PROP, &SPARSE_APPLY_CENTERED_RMS_PROP],
            )
        } else {
            (
                [&RESOURCE_APPLY_RMS_PROP, &APPLY_RMS_PROP],
                [&RESOURCE_SPARSE_APPLY_RMS_PROP, &SPARSE_APPLY_RMS_PROP],
            )
        };
        let (mut builder, gradient) = scope.update_by(gradient, variable, whole, rows);
        // The centered operation takes the mean of the gradient before the mean square.
        if self.centered {
            builder = builder.input(scope.slot(variable, "mg"));
        }
        let builder = builder.input(scope.slot(variable, "rms")).input(scope.slot(variable, "momentum"));
        let builder = builder.input(rate).input(decay).input(momentum).input(epsilon);
        gradient.into_iter().fold(builder, OpBuilder::input).finish()
    }
}
