//! Moving averages of variables.

use crate::array::constants::scalar_like;
use crate::array::{constant, scalar_tensor};
use crate::composite::Composite;
use crate::control_flow::group;
use crate::initializers::zeros;
use crate::math::{add, cast, minimum, mul, real_div, sub};
use crate::optimizers::OptimizerSettings;
use crate::scalar::Scalar;
use crate::variables::{VariableBuilder, VariableExt, trainable_variables};
use session_core::keys::MOVING_AVERAGE_VARIABLES;
use session_core::{AsOutput, DType, Error, Graph, Operation, Output, Shape, Variable};

/// Keeps for each variable an average that forgets: `average -= (1 - decay) * (average - value)`.
///
/// Averages of a model's weights often do better in evaluation than the weights. Each is a separate variable,
/// `<name>/ExponentialMovingAverage`, which begins with the variable's initial value and is saved with the model.
///
/// ```
/// use ops::optimizers::ExponentialMovingAverage;
/// # use ops::variables::variable;
/// # let graph = session_core::Graph::new();
/// # let w = variable(&graph.named("w"), 3.0f32);
/// # let train_op = ops::control_flow::no_op(&graph);
/// let averages = ExponentialMovingAverage::new(0.999);
/// // The averages move after each training step.
/// let step = averages.apply(&graph.control_dependencies([&train_op]), &[w.clone()]);
/// let average = averages.average(&w).expect("it was applied to w");
/// assert_eq!(average.name(), "w/ExponentialMovingAverage");
/// # let _ = step;
/// # graph.finalize().unwrap();
/// ```
#[derive(Debug)]
pub struct ExponentialMovingAverage {
    settings: OptimizerSettings,
    decay: Scalar,
    num_updates: Option<Scalar>,
}

impl ExponentialMovingAverage {
    /// Creates averages with this decay, a number close to 1, such as 0.999.
    #[must_use]
    pub fn new(decay: impl Into<Scalar>) -> ExponentialMovingAverage {
        let settings = OptimizerSettings::new("ExponentialMovingAverage");
        ExponentialMovingAverage { settings, decay: decay.into(), num_updates: None }
    }

    /// Sets the number of updates so far, such as the global step. The decay is then at most `(1 + updates) / (10 + updates)`, so that
    /// averages move faster at the beginning. Default: none, the decay is constant.
    #[must_use]
    pub fn num_updates(mut self, num_updates: impl Into<Scalar>) -> Self {
        self.num_updates = Some(num_updates.into());
        self
    }

    /// Sets the name, which is part of the names of the averages. Default: `ExponentialMovingAverage`.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        self.settings.name = name.to_owned();
        self
    }

    /// Returns the operation that updates the averages of these variables, in the scope and under the control inputs of the handle. Run it
    /// after the training step. The variables join the collection `moving_average_variables`.
    #[track_caller]
    pub fn apply(&self, graph: &Graph, variables: &[Variable]) -> Operation {
        for variable in variables {
            if self.average(variable).is_none() {
                self.make_average(variable);
                // Collections are those of the outermost graph, also while the body of a branch is being built.
                let home = variable.graph().outermost();
                if let Err(error) = home.add_to_collection(&MOVING_AVERAGE_VARIABLES, variable.clone()) {
                    graph.add_error(error);
                }
            }
        }
        let scope = Composite::new(graph, self.settings.name());
        let updates: Vec<Operation> = variables
            .iter()
            .filter_map(|variable| Some((variable.read(scope.graph()), self.average(variable)?)))
            .map(|(value, average)| {
                let decay = self.current_decay(scope.graph(), average.dtype());
                assign_moving_average(&average, &value, &decay)
            })
            .collect();
        group(&scope.graph().named_as_scope(), &updates)
    }

    /// Works as [`apply`](Self::apply), for all trainable variables.
    #[track_caller]
    pub fn apply_to_trainable(&self, graph: &Graph) -> Operation {
        self.apply(graph, &trainable_variables(graph))
    }

    /// Returns the average of a variable, or `None` if [`apply`](Self::apply) was not called with the variable.
    #[must_use]
    pub fn average(&self, variable: &Variable) -> Option<Variable> {
        self.settings.slot(variable, "average")
    }

    /// Returns all averages, in the order they were created.
    pub(super) fn variables(&self) -> Vec<Variable> {
        self.settings.variables()
    }

    /// Returns the name under which the average of a variable is saved.
    #[must_use]
    pub fn average_name(&self, variable: &Variable) -> String {
        match self.average(variable) {
            Some(average) => average.name().to_owned(),
            None => format!("{}/{}", variable.name(), self.settings.name()),
        }
    }

    /// Returns those of the variables that have an average, each with its average. An evaluation or an export reads the averages instead
    /// of the variables (the `weights` of `EvaluatorHook` and of `MetaGraphOptions`).
    ///
    /// ```
    /// use ops::optimizers::ExponentialMovingAverage;
    /// # let graph = session_core::Graph::new();
    /// let (w, b) =
    ///     (ops::variables::variable(&graph.named("w"), 3.0f32), ops::variables::variable(&graph.named("b"), 0.0f32));
    /// let averages = ExponentialMovingAverage::new(0.999);
    /// let update = averages.apply(&graph, &[w.clone()]);
    /// let found = averages.averages(&[w.clone(), b]);
    /// assert_eq!(found.len(), 1);
    /// assert_eq!(found[0].1.name(), averages.average_name(&w));
    /// # let _ = update;
    /// # graph.finalize().unwrap();
    /// ```
    #[must_use]
    pub fn averages(&self, variables: &[Variable]) -> Vec<(Variable, Variable)> {
        variables.iter().filter_map(|variable| Some((variable.clone(), self.average(variable)?))).collect()
    }

    /// Returns the names from which variables are restored for evaluation: that of the average where there is
    /// one, and that of the variable otherwise.
    ///
    /// ```
    /// use ops::optimizers::ExponentialMovingAverage;
    /// # use ops::variables::variable;
    /// # let graph = session_core::Graph::new();
    /// # let w = variable(&graph.named("w"), 3.0f32);
    /// let averages = ExponentialMovingAverage::new(0.999);
    /// averages.apply(&graph, &[w.clone()]);
    /// let names = averages.variables_to_restore(&[w], &[]);
    /// assert_eq!(names[0].0, "w/ExponentialMovingAverage"); // an evaluation restores w from here
    /// ```
    #[must_use]
    pub fn variables_to_restore(
        &self,
        averaged: &[Variable],
        others: &[Variable],
    ) -> Vec<(String, Variable)> {
        let own_name = |variable: &Variable| (variable.name().to_owned(), variable.clone());
        let averages = averaged.iter().map(|variable| (self.average_name(variable), variable.clone()));
        averages.chain(others.iter().filter(|other| !averaged.contains(other)).map(own_name)).collect()
    }

    /// Creates the average of a variable, which begins with the variable's initial value, so
    /// that it is not biased toward 0.
    #[track_caller]
    fn make_average(&self, variable: &Variable) {
        let initial = |_: &Graph, _: &Shape, _: DType| variable.initial_value().clone();
        if !variable.dtype().is_floating() {
            let text = format!("'{}' is {}, which has no averages", variable.name(), variable.dtype());
            variable.graph().add_error(Error::type_mismatch(text));
        }
        self.settings.get_or_create_slot(variable, "average", &initial);
    }

    /// Returns `min(decay, (1 + n) / (10 + n))` for `n` updates, or `decay` if the
    /// number of updates is not given.
    fn current_decay(&self, graph: &Graph, dtype: DType) -> Output {
        let decay = self.decay.to_output(&graph.named("decay"), dtype);
        let Some(updates) = &self.num_updates else { return decay };
        let updates = match updates {
            Scalar::Output(output) => cast(output.within(&graph.named("num_updates")), dtype),
            Scalar::Number(_) => updates.to_output(&graph.named("num_updates"), dtype),
        };
        let number = |value| constant(graph, scalar_tensor(dtype, value));
        minimum(decay.within(graph), real_div(add(number(1.0), &updates), add(number(10.0), &updates)))
    }
}

/// Returns `decay * mean + (1 - decay) * value`, built in the graph.
pub(super) fn running_mean(graph: &Graph, mean: &Output, value: &Output, decay: &Output) -> Output {
    let decay = decay.within(graph);
    let rest = sub(scalar_like(&decay, 1.0), &decay);
    add(mul(mean.within(graph), &decay), mul(value.within(graph), rest))
}

/// Moves an average towards a value: `average -= (1 - decay) * (average - value)`.
///
/// In this form an average that has converged changes by a small correction, so little is lost to rounding.
#[track_caller]
pub(crate) fn assign_moving_average(average: &Variable, value: &Output, decay: &Output) -> Operation {
    let scope = Composite::new(&value.graph(), "AssignMovingAvg");
    let one = constant(scope.graph(), scalar_tensor(average.dtype(), 1.0));
    let rate = sub(one, decay);
    let difference = sub(scope.enter(average), value);
    average.assign_sub(mul(difference, rate))
}

/// Returns a variable that averages a value over the steps, such as a loss, and the operation that updates it. The average starts at 0.
///
/// It is biased toward 0 at the beginning; dividing by `1 - decay^updates` corrects that.
///
/// ```
/// use ops::optimizers::moving_average_of;
/// # let graph = session_core::Graph::new();
/// # let loss = ops::array::constant(&graph, 0.5f32);
/// let (smooth, update) = moving_average_of(&graph.named("smooth_loss"), &loss, 0.99);
/// assert_eq!(smooth.shape().to_string(), "[]");
/// # let _ = update;
/// ```
#[track_caller]
pub fn moving_average_of(
    graph: &Graph,
    value: impl AsOutput,
    decay: impl Into<Scalar>,
) -> (Variable, Operation) {
    let value = value.as_output();
    let shape = value.shape().to_shape().unwrap_or_else(|| {
        let text = format!("the shape {} of '{}' is not fully known", value.shape(), value.name());
        graph.add_error(Error::value(text));
        Shape::scalar()
    });
    let name = format!("{}/ExponentialMovingAverage", value.operation().name());
    // At the top, under the name of the averaged operation: the name does not depend on
    // where this function is called.
    let builder = VariableBuilder::new(&graph.scope("").named(&name)).trainable(false);
    let average = builder.initializer(shape, value.dtype(), &zeros()).build();
    let scope = Composite::new(graph, "ExponentialMovingAverage");
    let decay = decay.into().to_output(&scope.graph().named("decay"), value.dtype());
    let update = assign_moving_average(&average, &scope.enter(value), &decay);
    (average, update)
}
