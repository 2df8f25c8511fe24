//! Training whose checkpoints hold moving averages instead of the weights.

use super::{ExponentialMovingAverage, GradientAndVariable, Optimizer};
use crate::control_flow::group;
use crate::scalar::Scalar;
use crate::variables::global_variables;
use session_core::{AsOutput, Graph, Operation, Output, Variable};

/// Keeps moving averages of the variables that an optimizer trains, and can save them in their place: as in `tf.contrib.opt`, a
/// checkpoint of [`swapping_variables`](MovingAverageOptimizer::swapping_variables) is evaluated with the averages by a program that
/// knows nothing of them, and training continues from it.
///
/// ```
/// use ops::optimizers::{GradientDescentOptimizer, MovingAverageOptimizer, Optimizer};
/// # let graph = session_core::Graph::new();
/// let w = ops::variables::variable(&graph.named("w"), 3.0f32);
/// let optimizer = MovingAverageOptimizer::new(GradientDescentOptimizer::new(0.1), 0.99);
/// let train_op = optimizer.minimize(&ops::math::square(&w), None);
/// let saved = optimizer.swapping_variables(&graph); // for `GraphSaver::of`
/// let keys: Vec<&str> = saved.iter().map(|variable| variable.key()).collect();
/// assert_eq!(keys, ["w/ExponentialMovingAverage", "w"]); // of `w`, and of its average
/// # let _ = train_op;
/// # graph.finalize().unwrap();
/// ```
#[derive(Debug)]
pub struct MovingAverageOptimizer<T> {
    optimizer: T,
    average: ExponentialMovingAverage,
}

impl<T: Optimizer> MovingAverageOptimizer<T> {
    /// Wraps an optimizer and keeps averages with this decay, a number close to 1, such as 0.9999.
    #[must_use]
    pub fn new(optimizer: T, average_decay: impl Into<Scalar>) -> MovingAverageOptimizer<T> {
        MovingAverageOptimizer { optimizer, average: ExponentialMovingAverage::new(average_decay) }
    }

    /// Sets the number of updates so far; see [`ExponentialMovingAverage::num_updates`].
    #[must_use]
    pub fn num_updates(mut self, num_updates: impl Into<Scalar>) -> Self {
        self.average = self.average.num_updates(num_updates);
        self
    }

    /// Returns the moving averages that the optimizer maintains.
    #[must_use]
    pub fn average(&self) -> &ExponentialMovingAverage {
        &self.average
    }

    /// Returns all global variables of the graph for a saver that swaps weights and averages: each variable that has an average is saved
    /// under the key of its average, and the average under the key of the variable. Variables without an average keep their own names.
    /// Call it after [`minimize`](Optimizer::minimize), which creates the averages.
    #[must_use]
    pub fn swapping_variables(&self, graph: &Graph) -> Vec<Variable> {
        let all = global_variables(graph);
        let averages: Vec<(Variable, Variable)> = self.average.averages(&all);
        let swapped = |variable: &Variable| {
            let other = averages.iter().find_map(|(of, average)| match variable {
                variable if variable == of => Some(average),
                variable if variable == average => Some(of),
                _ => None,
            });
            other.map_or_else(|| variable.clone(), |other| variable.clone().saved_as(other.key()))
        };
        all.iter().map(swapped).collect()
    }
}

impl<T: Optimizer> Optimizer for MovingAverageOptimizer<T> {
    of_inner_optimizer!(self => self.optimizer);

    #[track_caller]
    fn compute_gradients(&self, loss: &dyn AsOutput, variables: &[Variable]) -> Vec<GradientAndVariable> {
        self.optimizer.compute_gradients(loss, variables)
    }

    #[track_caller]
    fn apply_gradients(
        &self,
        gradients: &[GradientAndVariable],
        global_step: Option<&Variable>,
    ) -> Operation {
        let train_op = self.optimizer.apply_gradients(gradients, global_step);
        // The error is recorded; averages of a step that cannot run would only add to it.
        if train_op.error().is_some() {
            return train_op;
        }
        let graph = train_op.graph();
        let variables: Vec<Variable> =
            super::with_gradient(gradients).map(|(_, variable)| variable.clone()).collect();
        // After the step: the averages see the updated values.
        let moved = self.average.apply(&graph.root().control_dependencies([&train_op]), &variables);
        group(&graph.root().named("train_and_average"), [&train_op, &moved])
    }

    fn skips_steps(&self) -> bool {
        self.optimizer.skips_steps()
    }

    fn slot(&self, variable: &Variable, name: &str) -> Option<Variable> {
        self.optimizer.slot(variable, name)
    }

    fn variables(&self) -> Vec<Variable> {
        self.optimizer.variables().into_iter().chain(self.average.variables()).collect()
    }
}
