//! Losses that are scaled up so that small gradients of 16-bit models do not become zero.

use super::{
    GradientAndVariable, Optimizer, OptimizerSettings, count_up, join_train_ops, record, with_gradient,
};
use crate::IndexedSlices;
use crate::array::constant;
use crate::array::constants::number;
use crate::control_flow::{cond, group, no_op};
use crate::initializers;
use crate::math::{
    add, cast, greater_equal, is_finite, logical_and, maximum, mul, real_div, reduce_all, select,
};
use crate::variables::{VariableBuilder, VariableExt};
use session_core::{AsOutput, DType, Error, Graph, Operation, Output, Variable};
use std::panic::Location;

/// The factor of a loss.
///
/// ```
/// use ops::optimizers::LossScale;
/// let fixed = LossScale::fixed(128.0);
/// let dynamic = LossScale::dynamic().initial(1024.0).increment_period(500);
/// # let _ = (fixed, dynamic);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct LossScale {
    initial: f64,
    /// For a dynamic scale, how it changes.
    change: Option<Change>,
}

/// The adaptation of a dynamic scale: it is multiplied by `multiplier` (above 1) after `increment_period` (at least
/// 1) good steps in a row, and divided by it after a bad one.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Change {
    increment_period: u64,
    multiplier: f64,
}

impl LossScale {
    /// Returns a constant factor.
    #[must_use]
    pub fn fixed(scale: f64) -> LossScale {
        LossScale { initial: scale, change: None }
    }

    /// Returns a factor that begins with 2^15 and adapts: 2000 steps in a row with finite gradients double it, and a step with a gradient
    /// that is not finite halves it, down to 1. Such a step changes nothing else.
    #[must_use]
    pub fn dynamic() -> LossScale {
        LossScale { initial: 32768.0, change: Some(Change { increment_period: 2000, multiplier: 2.0 }) }
    }

    /// Sets the factor of the first step. Default: 2^15 for a dynamic factor.
    #[must_use]
    pub fn initial(mut self, scale: f64) -> LossScale {
        self.initial = scale;
        self
    }

    /// Sets the number of consecutive steps with finite gradients after which a dynamic factor grows. Default: 2000.
    #[must_use]
    pub fn increment_period(mut self, steps: u64) -> LossScale {
        if let Some(change) = &mut self.change {
            change.increment_period = steps;
        }
        self
    }

    /// Sets the factor by which a dynamic scale grows and shrinks. Default: 2.
    #[must_use]
    pub fn multiplier(mut self, multiplier: f64) -> LossScale {
        if let Some(change) = &mut self.change {
            change.multiplier = multiplier;
        }
        self
    }

    /// Returns why the options are unusable, or `None`.
    fn problem(&self) -> Option<String> {
        let bad = |number: f64, least: f64| !number.is_finite() || number < least;
        let scale = self.initial;
        match self.change {
            _ if !scale.is_finite() || scale <= 0.0 => {
                Some(format!("a loss scale is a positive number, not {scale}"))
            }
            Some(Change { multiplier, .. }) if bad(multiplier, 1.0) || multiplier == 1.0 => {
                Some(format!("a dynamic loss scale has a multiplier above 1, not {multiplier}"))
            }
            Some(Change { increment_period: 0, .. }) => {
                Some("a dynamic loss scale grows after at least one good step, not 0".to_owned())
            }
            _ => None,
        }
    }
}

/// Scales the loss up before its gradients are computed, and the gradients down before an optimizer applies them.
///
/// A dynamic factor is in the variables `current_loss_scale` and `good_steps`, which checkpoints have. A step whose gradients are not
/// finite updates nothing but these: neither variables and slots nor the global step.
///
/// ```
/// use ops::optimizers::{GradientDescentOptimizer, LossScale, LossScaleOptimizer, Optimizer};
/// use session_core::Tensor;
/// # let graph = session_core::Graph::new();
/// let w = ops::variables::variable(&graph.named("w"), Tensor::from(tensor::f16::from_f32(3.0)));
/// let optimizer = LossScaleOptimizer::new(GradientDescentOptimizer::new(0.1), LossScale::dynamic());
/// let train_op = optimizer.minimize(&ops::math::square(&w), None);
/// # assert!(train_op.error().is_none());
/// # graph.finalize().unwrap();
/// ```
#[derive(Debug)]
pub struct LossScaleOptimizer<T> {
    optimizer: T,
    scale: LossScale,
    /// Holds the two variables of a dynamic scale, which belong to no variable.
    state: OptimizerSettings,
}

impl<T: Optimizer> LossScaleOptimizer<T> {
    /// Wraps an optimizer, whose loss is multiplied by the scale and whose gradients are divided by it.
    #[must_use]
    pub fn new(optimizer: T, loss_scale: LossScale) -> LossScaleOptimizer<T> {
        LossScaleOptimizer { optimizer, scale: loss_scale, state: OptimizerSettings::new("LossScale") }
    }

    /// Returns a scalar variable of the scale, and creates it at the top of the graph if it does not exist.
    fn variable(&self, graph: &Graph, name: &str, dtype: DType, value: f64) -> Variable {
        self.state.get_or_create_shared(graph, name, || {
            let builder = VariableBuilder::new(&graph.root().named(name)).trainable(false);
            builder.initializer([0usize; 0], dtype, &initializers::constant(value)).build()
        })
    }

    /// Returns the variables of a dynamic factor: the factor, and the number of good steps since it changed.
    fn variables_of(&self, graph: &Graph) -> [Variable; 2] {
        let scale = self.variable(graph, "current_loss_scale", DType::Float32, self.scale.initial);
        [scale, self.variable(graph, "good_steps", DType::Int64, 0.0)]
    }

    /// Returns the factor, in this dtype.
    fn factor(&self, graph: &Graph, dtype: DType) -> Output {
        match self.scale.change {
            None => number(&graph.named("loss_scale"), dtype, self.scale.initial),
            Some(_) => cast(self.variables_of(graph)[0].read(graph), dtype),
        }
    }

    /// Returns the operations that adapt the factor after a step. A good step adds 1 to the count,
    /// and a full period multiplies the factor and clears the count; a bad step divides the factor,
    /// down to 1, and clears the count.
    fn follow(&self, graph: &Graph, is_good: &Output, change: Change) -> Vec<Operation> {
        let [scale, good_steps] = self.variables_of(graph);
        let (factor, steps) = (scale.read(graph), good_steps.read(graph));
        let float = |value: f64| number(graph, DType::Float32, value);
        let next = add(&steps, constant(graph, 1i64));
        let period = i64::try_from(change.increment_period).unwrap_or(i64::MAX);
        let is_long = greater_equal(&next, constant(graph, period));
        let larger = mul(&factor, float(change.multiplier));
        // A factor that has become NaN would stay NaN.
        let larger = select(is_finite(&larger), &larger, &factor);
        let smaller = maximum(real_div(&factor, float(change.multiplier)), float(1.0));
        let grows = logical_and(is_good, &is_long);
        let kept = select(is_good, &factor, smaller);
        let zero = constant(graph, 0i64);
        let counted = select(is_long, &zero, next);
        let (new_scale, new_steps) = (select(grows, larger, kept), select(is_good, counted, &zero));
        // Both are computed before either changes.
        let computed = graph.control_dependencies([new_scale.operation(), new_steps.operation()]);
        vec![scale.assign(new_scale.within(&computed)), good_steps.assign(new_steps.within(&computed))]
    }
}

impl<T: Optimizer> Optimizer for LossScaleOptimizer<T> {
    of_inner_optimizer!(self => self.optimizer);

    #[track_caller]
    fn compute_gradients(&self, loss: &dyn AsOutput, variables: &[Variable]) -> Vec<GradientAndVariable> {
        let loss = loss.as_output();
        let graph = self.settings().home(&loss.graph(), Location::caller());
        if let Some(problem) = self.scale.problem() {
            record(&graph, Error::value(problem), Location::caller());
        }
        if !loss.dtype().is_floating() {
            return self.optimizer.compute_gradients(loss, variables); // which says what is wrong
        }
        let scope = graph.composite("LossScale");
        // In the dtype of the loss the scaled loss may be infinite although its gradients are not.
        let wide = match loss.dtype() {
            DType::Float16 => cast(loss.within(&scope), DType::Float32),
            _ => loss.within(&scope),
        };
        let scaled = mul(&wide, self.factor(&scope, wide.dtype()));
        let found = self.optimizer.compute_gradients(&scaled, variables);
        let unscaled = |gradient: Output| {
            let (gradient, rows) = IndexedSlices::split(&gradient);
            let inner = gradient.within(&scope);
            // A quotient in 16 bits would lose what the factor has kept from vanishing.
            let wide = if inner.dtype().size() == 2 { cast(&inner, DType::Float32) } else { inner };
            // The factor is read again instead of reused: the two dtypes can differ.
            let quotient = real_div(&wide, self.factor(&scope, wide.dtype()));
            let unscaled = cast(quotient, gradient.dtype()).within(&gradient.graph());
            IndexedSlices::joined(unscaled, rows)
        };
        found.into_iter().map(|(gradient, variable)| (gradient.map(unscaled), variable)).collect()
    }

    #[track_caller]
    fn apply_gradients(
        &self,
        gradients: &[GradientAndVariable],
        global_step: Option<&Variable>,
    ) -> Operation {
        let first = with_gradient(gradients).next().map(|(first, _)| first.graph());
        // A fixed factor skips no steps, and without gradients the inner optimizer reports the error.
        let (Some(change), Some(graph)) = (self.scale.change, first) else {
            return self.optimizer.apply_gradients(gradients, global_step);
        };
        let location = graph.location();
        let place = self.settings().place(&graph, location);
        let scope = place.composite("LossScale");
        let finite = |(gradient, _): (&Output, &Variable)| reduce_all(is_finite(gradient.within(&scope)), ..);
        let all: Vec<Output> = with_gradient(gradients).map(finite).collect();
        // One value for all variables: a step either changes everything or nothing.
        let is_good = all.iter().skip(1).fold(all[0].clone(), |all, next| logical_and(all, next));
        let applied = cond(
            &is_good,
            |body| {
                let body = &body.located_at(location);
                let inside: Vec<GradientAndVariable> = gradients
                    .iter()
                    .map(|(gradient, variable)| {
                        (gradient.as_ref().map(|gradient| gradient.within(body)), variable.clone())
                    })
                    .collect();
                // The global step is counted outside, where it also knows of skipped steps.
                self.optimizer.apply_gradients(&inside, None)
            },
            |body| no_op(body),
        );
        let after = scope.control_dependencies([&applied]);
        let mut parts = self.follow(&after, &is_good, change);
        parts.push(applied);
        let train_op = match global_step {
            None => group(&scope.named_as_scope(), &parts),
            Some(step) => {
                // 0 for a skipped step, so the addition runs in any case and the operation is the same.
                let counted = cast(&is_good, step.dtype());
                count_up(&scope.control_dependencies(&parts).named_as_scope(), step, Some(&counted))
            }
        };
        join_train_ops(&place, train_op, location)
    }

    fn skips_steps(&self) -> bool {
        self.scale.change.is_some() || self.optimizer.skips_steps()
    }

    fn slot(&self, variable: &Variable, name: &str) -> Option<Variable> {
        self.optimizer.slot(variable, name)
    }

    fn variables(&self) -> Vec<Variable> {
        self.optimizer.variables().into_iter().chain(self.state.variables()).collect()
    }
}
