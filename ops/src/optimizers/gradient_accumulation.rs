//! Gradients of several small batches, applied as those of one large batch.

use super::{
    GradientAndVariable, Optimizer, OptimizerSettings, count_up, join_train_ops, record, with_gradient,
};
use crate::array::constants::{scalar_like, scalar_tensor};
use crate::array::{constant, zeros_like};
use crate::control_flow::{cond, group, no_op};
use crate::initializers::zeros;
use crate::math::{greater_equal, real_div};
use crate::variables::{VariableBuilder, VariableExt};
use session_core::{DType, Error, Graph, Operation, Output, Variable};
use std::panic::Location;

/// Collects the gradients of several steps before an optimizer applies their mean: a large batch in several small ones.
///
/// The sums are slots (`<name>/GradientAccumulation`) and the number of gradients in them is a variable
/// (`GradientAccumulation/count`), so a checkpoint in the middle of a window has them, and a resumed training continues there.
/// Variables change at the last step of each window only; the global step counts all steps, as each takes a batch.
///
/// ```
/// use ops::optimizers::{AdamOptimizer, GradientAccumulation, Optimizer};
/// # let graph = session_core::Graph::new();
/// let w = ops::variables::variable(&graph.named("w"), 3.0f32);
/// let optimizer = GradientAccumulation::new(AdamOptimizer::new(0.001), 4);
/// let train_op = optimizer.minimize(&ops::math::square(&w), None);
/// # assert!(train_op.error().is_none());
/// # graph.finalize().unwrap();
/// ```
///
/// The limits of gradients ([`clipvalue`](Optimizer::clipvalue) and the others) hold for the means.
#[derive(Debug)]
pub struct GradientAccumulation<T> {
    optimizer: T,
    sums: OptimizerSettings,
    steps: usize,
    average: bool,
}

impl<T: Optimizer> GradientAccumulation<T> {
    /// Wraps an optimizer, which is then applied once every `steps` steps to the mean of their gradients.
    #[must_use]
    pub fn new(optimizer: T, steps: usize) -> GradientAccumulation<T> {
        GradientAccumulation {
            optimizer,
            sums: OptimizerSettings::new("GradientAccumulation"),
            steps,
            average: true,
        }
    }

    /// Sets whether the optimizer applies the mean of the gradients; otherwise it applies their sum. Default: true.
    #[must_use]
    pub fn average(mut self, average: bool) -> Self {
        self.average = average;
        self
    }

    /// Returns the number of gradients that are in the sums.
    fn count(&self, graph: &Graph) -> Variable {
        self.sums.get_or_create_shared(graph, "count", || {
            let root = graph.root();
            let name = format!("{}/count", self.sums.name());
            let builder = VariableBuilder::new(&root.named(&name)).trainable(false);
            builder.initializer([0usize; 0], DType::Int64, &zeros()).build()
        })
    }

    /// Returns what a window's end does, in the body of a branch.
    fn apply(&self, body: &Graph, sums: &[(Variable, &Variable)], count: &Variable) -> Operation {
        let mean = |sum: &Variable| {
            let sum = sum.read(body);
            // Divided once, at the end of the window: a division at each step would round each time.
            if self.average { real_div(&sum, scalar_like(&sum, self.steps as f64)) } else { sum }
        };
        let gradients: Vec<GradientAndVariable> =
            sums.iter().map(|(sum, variable)| (Some(mean(sum)), (*variable).clone())).collect();
        // Without a global step: the outer operation counts every batch, not only full windows.
        let applied = self.optimizer.apply_gradients(&gradients, None);
        let after = body.control_dependencies([&applied]);
        // Zeros of a known shape are a constant, which waits for nothing: the assignment itself does.
        let emptied = |sum: &Variable| sum.assign(zeros_like(sum.read(body)).within(&after));
        let empty: Vec<Operation> = sums.iter().map(|(sum, _)| emptied(sum)).collect();
        let restarted = count.assign(constant(body, 0i64).within(&after));
        group(body, empty.iter().chain([&applied, &restarted]))
    }
}

impl<T: Optimizer> Optimizer for GradientAccumulation<T> {
    of_inner_optimizer!(self => self.optimizer);

    #[track_caller]
    fn compute_gradients(
        &self,
        loss: &dyn session_core::AsOutput,
        variables: &[Variable],
    ) -> Vec<GradientAndVariable> {
        self.optimizer.compute_gradients(loss, variables)
    }

    #[track_caller]
    fn apply_gradients(
        &self,
        gradients: &[GradientAndVariable],
        global_step: Option<&Variable>,
    ) -> Operation {
        let location = Location::caller();
        let Some((first, _)) = with_gradient(gradients).next() else {
            return super::nothing_to_do(gradients, location);
        };
        let location = first.graph().location();
        let place = self.settings().place(&first.graph(), location);
        if self.steps == 0 {
            let error = Error::value("gradients are accumulated over at least one step, not 0");
            record(&place, error, location);
        }
        let scope = place.composite(self.sums.name());
        let count = self.count(&place);
        let sums: Vec<(Variable, &Variable)> = with_gradient(gradients)
            .map(|(_, variable)| (self.sums.get_or_create_slot(variable, "sum", &zeros()), variable))
            .collect();
        let mut added: Vec<Operation> = sums
            .iter()
            .zip(with_gradient(gradients))
            .map(|((sum, variable), (gradient, _))| {
                sum.assign_add(gradient.within(&variable.colocated(&scope)))
            })
            .collect();
        added.push(count.assign_add(constant(&scope, 1i64)));
        let after = scope.control_dependencies(&added);
        let steps = constant(&scope, scalar_tensor(DType::Int64, self.steps as f64));
        // Not an equality: a checkpoint of a longer window may hold a larger count.
        let is_full = greater_equal(count.read(&after), steps);
        let applied =
            cond(is_full, |body| self.apply(&body.located_at(location), &sums, &count), |body| no_op(body));
        let train_op = match global_step {
            None => group(&scope.named_as_scope(), [&applied]),
            Some(step) => count_up(&scope.control_dependencies([&applied]).named_as_scope(), step, None),
        };
        join_train_ops(&place, train_op, location)
    }

    fn slot(&self, variable: &Variable, name: &str) -> Option<Variable> {
        self.optimizer.slot(variable, name).or_else(|| self.sums.slot(variable, name))
    }

    fn variables(&self) -> Vec<Variable> {
        self.optimizer.variables().into_iter().chain(self.sums.variables()).collect()
    }
}
