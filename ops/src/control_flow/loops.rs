//! Loops: functions for a condition and for a body.

use super::functional::{STATELESS_WHILE, WHILE};
use super::structure::Structure;
use crate::array::constants::constant;
use crate::array::identity::{identity, prevent_gradient};
use crate::composite::Composite;
use crate::functions::trace::{Trace, all_captures, all_control_inputs};
use crate::functions::{named, numbered_name};
use crate::math::cast::cast;
use crate::math::compare::{less, logical_and};
use session_core::{AsOutput, AttrValue, DType, Error, Graph, Output, PartialShape, Phase, Result};

/// Options of [`while_loop_with`].
///
/// ```
/// use ops::control_flow::WhileOptions;
/// use session_core::{Graph, PartialShape};
/// let graph = Graph::new();
/// let ten = ops::array::constant(&graph, 10i32);
/// let options = WhileOptions::new().maximum_iterations(&ten).shape_invariants([PartialShape::from([None, Some(2)])]);
/// # let _ = options;
/// ```
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct WhileOptions {
    shape_invariants: Option<Vec<PartialShape>>,
    parallel_iterations: i64,
    back_prop: bool,
    maximum_iterations: Option<Output>,
}

impl Default for WhileOptions {
    fn default() -> WhileOptions {
        WhileOptions::new()
    }
}

impl WhileOptions {
    /// Returns the default options: the loop ends when its condition is false, keeps all shapes, and passes gradients.
    ///
    /// ```
    /// use ops::{array::constant, control_flow::WhileOptions};
    /// let graph = session_core::Graph::new();
    /// let options = WhileOptions::new().maximum_iterations(constant(&graph, 100)).back_prop(false);
    /// # let _ = options;
    /// ```
    #[must_use]
    pub fn new() -> WhileOptions {
        WhileOptions {
            shape_invariants: None,
            parallel_iterations: 10,
            back_prop: true,
            maximum_iterations: None,
        }
    }

    /// Sets the shape that each loop variable has in all iterations, one for each variable. Default: the initial shape, which then must not
    /// change.
    #[must_use]
    pub fn shape_invariants(mut self, shapes: impl IntoIterator<Item = PartialShape>) -> WhileOptions {
        self.shape_invariants = Some(shapes.into_iter().collect());
        self
    }

    /// Sets the number of iterations that may run at the same time. The embedded engine runs them one after the other; graphs for TensorFlow
    /// keep the number. Default: 10.
    #[must_use]
    pub fn parallel_iterations(mut self, count: usize) -> WhileOptions {
        self.parallel_iterations = i64::try_from(count).unwrap_or(i64::MAX);
        self
    }

    /// Sets whether gradients pass through the loop. If not, differentiating through it is an error. Default: true.
    #[must_use]
    pub fn back_prop(mut self, back_prop: bool) -> WhileOptions {
        self.back_prop = back_prop;
        self
    }

    /// Sets the largest number of iterations, an integer scalar. The loop ends after it without an error. Default: no limit.
    #[must_use]
    pub fn maximum_iterations(mut self, count: impl AsOutput) -> WhileOptions {
        self.maximum_iterations = Some(count.as_output().clone());
        self
    }
}

/// Repeats `body` on the loop variables as long as `cond` is true, and returns the results of the last iteration.
///
/// Both closures build the bodies of functions, on arguments that represent the loop variables. Values of the surrounding graph that they
/// use become captures. The body returns as many outputs as there are variables, of their dtypes and shapes.
///
/// ```
/// use ops::{OutputExt, array::constant, control_flow::while_loop};
/// use session_core::Graph;
/// let graph = Graph::new();
/// let start = (constant(&graph, 0i32), constant(&graph, 1f32));
/// let (rounds, power) = while_loop(
/// &graph,
/// |body, (i, _)| i.less(constant(body, 10i32)),
/// |_, (i, power)| (&i + 1, &power * 2f32),
/// start,
/// );
/// assert_eq!((rounds.name().as_str(), power.name().as_str()), ("while/Identity_2:0", "while/Identity_3:0"));
/// # graph.finalize()?;
/// # Ok::<(), session_core::Error>(())
/// ```
///
/// A variable whose dtype or shape changes, or a result of another graph, is recorded as a build error.
#[track_caller]
pub fn while_loop<S: Structure>(
    graph: &Graph,
    cond: impl FnOnce(&Graph, &S) -> Output,
    body: impl FnOnce(&Graph, S) -> S,
    loop_vars: S,
) -> S {
    while_loop_with(graph, cond, body, loop_vars, &WhileOptions::new())
}

/// Works as [`while_loop`], with options.
///
/// ```
/// use ops::control_flow::{WhileOptions, while_loop_with};
/// use ops::{OutputExt, array::{concat, constant}};
/// use session_core::{Graph, PartialShape};
/// let graph = Graph::new();
/// // A vector that grows needs an invariant with an unknown size.
/// let options = WhileOptions::new().shape_invariants([PartialShape::scalar(), PartialShape::from([None])]);
/// let (_, powers) = while_loop_with(
///     &graph,
///     |body, (i, _)| i.less(constant(body, 5i32)),
///     |_, (i, powers)| (&i + 1, concat(&[&powers, &(&powers * 2f32)], 0)),
///     (constant(&graph, 0i32), constant(&graph, [1f32])),
///     &options,
/// );
/// assert_eq!(powers.shape().to_string(), "[?]");
/// # graph.finalize()?;
/// # Ok::<(), session_core::Error>(())
/// ```
#[track_caller]
pub fn while_loop_with<S: Structure>(
    graph: &Graph,
    cond: impl FnOnce(&Graph, &S) -> Output,
    body: impl FnOnce(&Graph, S) -> S,
    loop_vars: S,
    options: &WhileOptions,
) -> S {
    let scope = Composite::new(graph, "while");
    let initial: Vec<Output> = loop_vars.outputs().iter().map(|value| scope.enter(value)).collect();
    let plan = Loop {
        scope: &scope,
        shapes: options.shape_invariants.clone(),
        parallel_iterations: options.parallel_iterations,
        maximum_iterations: options.maximum_iterations.clone(),
    };
    let described = initial.iter().map(|value| (value.dtype(), value.shape().clone())).collect();
    let found = plan.build(
        described,
        |body, arguments| cond(body, &loop_vars.with_outputs(arguments.to_vec())),
        |graph, arguments| body(graph, loop_vars.with_outputs(arguments.to_vec())).outputs(),
        |_| initial.clone(),
    );
    // The caller continues with outputs of the right dtypes that carry the error.
    let outputs = found.unwrap_or_else(|error| {
        let error = error.with_phase(Phase::Build);
        scope.graph().add_error(error.clone());
        let invalid = |value: &Output| scope.graph().invalid_output("while", value.dtype(), error.clone());
        initial.iter().map(invalid).collect()
    });
    let outputs = outputs.into_iter().map(|output| {
        // TensorFlow cuts the gradient silently here. An error names the loop that was excluded, so a model
        // cannot train without it by accident.
        let passes =
            options.back_prop || !output.dtype().is_floating() || output.operation().error().is_some();
        let text = "the loop was built with back_prop(false), so nothing is differentiated through it";
        scope.leave(if passes { output } else { prevent_gradient(output, text) })
    });
    loop_vars.with_outputs(outputs.collect())
}

/// Checks that a largest number of iterations is one whole number.
fn checked_limit(maximum: &Output) -> Result<&Output> {
    let (name, dtype, shape) = (maximum.name(), maximum.dtype(), maximum.shape());
    if dtype.is_integer() && shape.rank().is_none_or(|rank| rank == 0) {
        return Ok(maximum);
    }
    let text = format!("maximum_iterations is an integer scalar, not '{name}' of {dtype} {shape}");
    Err(Error::value(text))
}

/// A loop that is about to be built.
pub(super) struct Loop<'s> {
    pub(super) scope: &'s Composite,
    /// The shapes of the variables in all iterations.
    pub(super) shapes: Option<Vec<PartialShape>>,
    pub(super) parallel_iterations: i64,
    pub(super) maximum_iterations: Option<Output>,
}

impl Loop<'_> {
    /// Builds it of variables of these dtypes and first shapes. The body may add arguments, which become further variables:
    /// because their initial values may depend on the result of an iteration, `initial` is called last.
    pub(super) fn build(
        self,
        variables: Vec<(DType, PartialShape)>,
        cond: impl FnOnce(&Graph, &[Output]) -> Output,
        body: impl FnOnce(&Graph, &mut Vec<Output>) -> Vec<Output>,
        initial: impl FnOnce(&[Output]) -> Vec<Output>,
    ) -> Result<Vec<Output>> {
        let graph = self.scope.graph();
        let name = graph.scope_name().trim_end_matches('/').to_owned();
        let place = |error: Error| error.with_node(&name, "While");
        // TensorFlow's layout: every loop has a counter and a maximum as its first variables,
        // -1 where there is no maximum.
        let limited = self.maximum_iterations.is_some();
        let maximum = match &self.maximum_iterations {
            Some(maximum) => cast(self.scope.enter(checked_limit(maximum).map_err(place)?), DType::Int32),
            None => constant(&graph.named("maximum_iterations"), -1i32),
        };
        let counter = constant(&graph.named("loop_counter"), 0i32);
        let mut shapes = self.invariants(&variables).map_err(place)?;
        let mut dtypes: Vec<DType> = variables.iter().map(|(dtype, _)| *dtype).collect();
        // The body first: the variables that it adds are arguments of the condition too.
        let mut body = Trace::with_names(graph, arguments(&dtypes, &shapes), |graph, arguments| {
            // The closure sees only its own variables; counter and maximum are handled here.
            let mut own = arguments.split_off(2);
            let mut results = vec![&arguments[0] + 1, arguments[1].clone()];
            results.extend(body(graph, &mut own));
            arguments.extend(own);
            results
        })?;
        let first: Vec<PartialShape> = variables.into_iter().map(|(_, shape)| shape).collect();
        for added in body.arguments().iter().skip(2 + dtypes.len()) {
            dtypes.push(added.dtype());
            shapes.push(added.shape().clone());
        }
        check_round(&dtypes, &first, &shapes, &body.results()[2..]).map_err(place)?;
        let mut cond = Trace::with_names(graph, arguments(&dtypes, &shapes), |body, arguments| {
            let goes_on = cond(body, &arguments[2..]);
            vec![match limited {
                // The counter is compared inside of the graph, since the maximum may be computed.
                true => logical_and(less(&arguments[0], &arguments[1]), goes_on),
                false => goes_on,
            }]
        })?;
        check_condition(cond.results()).map_err(place)?;
        let mut inputs = vec![counter, maximum];
        inputs.extend(initial(&body.results()[2..]));
        let captures = all_captures(&[&cond, &body]);
        let before = all_control_inputs(&[&cond, &body]);
        cond.arrange(&captures);
        body.arrange(&captures);
        // A loop's inputs and outputs are the same list, so the captures are loop
        // variables that never change.
        body.pass_captures_on();
        let prefix = graph.scope_name().replace('/', "_");
        let cond = cond.into_function(&numbered_name(graph, &format!("{prefix}cond")))?;
        let body = body.into_function(&numbered_name(graph, &format!("{prefix}body")))?;
        let stateful = cond.is_stateful() || body.is_stateful();
        let own = inputs.len();
        let numbers = [PartialShape::scalar(), PartialShape::scalar()];
        let captured = captures.iter().map(|capture| capture.shape().clone());
        let shapes = numbers.into_iter().chain(shapes).chain(captured).map(AttrValue::Shape);
        let builder = graph.named_as_scope().op(if stateful { &WHILE } else { &STATELESS_WHILE });
        let builder = builder.input_list(inputs.iter().chain(&captures));
        let builder = builder.attr("cond", named(cond.name())).attr("body", named(body.name()));
        let builder = builder.attr("output_shapes", AttrValue::List(shapes.collect()));
        let builder = builder.attr("parallel_iterations", self.parallel_iterations);
        // TensorFlow differentiates as many outputs as this says, and gradients of captures are among them.
        let all = inputs.len() + captures.len();
        let builder = builder.attr("_lower_using_switch_merge", true).attr("_num_original_outputs", all);
        graph.add_function(cond)?;
        graph.add_function(body)?;
        let builder = before.iter().fold(builder, |builder, operation| builder.control_input(operation));
        let operation = builder.try_finish()?;
        let inside = graph.scope(graph.scope_name());
        // `while/Identity` and `while/Identity_1` are counter and maximum; the first variable of the program
        // is `while/Identity_2`, as in TensorFlow's graphs.
        let outputs = operation.outputs().into_iter().take(own);
        let outputs: Vec<Output> = outputs.map(|output| identity(output.within(&inside))).collect();
        Ok(outputs.into_iter().skip(2).collect())
    }

    /// Returns the shapes of the variables in all iterations: the declared ones, or those at the beginning.
    ///
    /// # Errors
    /// A value error for a wrong number of shapes, and for a variable whose first shape
    /// does not fit its declared one.
    fn invariants(&self, variables: &[(DType, PartialShape)]) -> Result<Vec<PartialShape>> {
        let Some(shapes) = &self.shapes else {
            return Ok(variables.iter().map(|(_, shape)| shape.clone()).collect());
        };
        if shapes.len() != variables.len() {
            let (found, expected) = (shapes.len(), variables.len());
            return Err(Error::value(format!("{found} shape invariants for {expected} loop variables")));
        }
        for (index, (shape, (_, first))) in shapes.iter().zip(variables).enumerate() {
            if !is_at_least(first, shape) {
                let text = format!(
                    "loop variable {index} enters the loop with shape {first}, which does not fit its shape invariant {shape}"
                );
                return Err(Error::value(text));
            }
        }
        Ok(shapes.clone())
    }
}

/// Returns names, dtypes and shapes of the arguments of condition and body: counter,
/// maximum, then the variables.
fn arguments(dtypes: &[DType], shapes: &[PartialShape]) -> Vec<(String, DType, PartialShape)> {
    let numbers = ["loop_counter", "maximum_iterations"];
    let numbers = numbers.map(|name| (name.to_owned(), DType::Int32, PartialShape::scalar()));
    let variables = dtypes.iter().zip(shapes).enumerate();
    let variables = variables.map(|(i, (dtype, shape))| (format!("args_{i}"), *dtype, shape.clone()));
    numbers.into_iter().chain(variables).collect()
}

/// Returns true if a shape is at least as specific as another one, and compatible with it.
fn is_at_least(shape: &PartialShape, other: &PartialShape) -> bool {
    shape.merge(other).is_some_and(|merged| merged == *shape)
}

/// Checks that the condition returns one scalar. Its dtype is left to the engine: a number
/// counts as true if it is not zero.
fn check_condition(results: &[Output]) -> Result<()> {
    let [goes_on] = results else { return Err(Error::value("a condition must return one truth value")) };
    if goes_on.shape().rank().is_some_and(|rank| rank != 0) {
        let text = format!("the condition has shape {}, and must be a scalar", goes_on.shape());
        return Err(Error::value(text));
    }
    Ok(())
}

/// Checks that a round returns what the next one takes.
fn check_round(
    dtypes: &[DType],
    first: &[PartialShape],
    shapes: &[PartialShape],
    results: &[Output],
) -> Result<()> {
    if results.len() != dtypes.len() {
        let (expected, found) = (dtypes.len(), results.len());
        let text = format!("the body returns {found} outputs for {expected} loop variables");
        return Err(Error::type_mismatch(text));
    }
    for (index, result) in results.iter().enumerate() {
        if result.dtype() != dtypes[index] {
            let text = format!(
                "loop variable {index} is {} and becomes {} after one round: its dtype must stay the same",
                dtypes[index],
                result.dtype()
            );
            return Err(Error::type_mismatch(text));
        }
        // The other direction would be wrong: the next iteration relies on everything that the shape states.
        if !is_at_least(result.shape(), &shapes[index]) {
            let text = format!(
                "loop variable {index} enters the loop with shape {}, but has shape {} after one iteration; \
                 if this is intended, declare the dimensions that stay the same with WhileOptions::shape_invariants",
                first.get(index).unwrap_or(&shapes[index]),
                result.shape()
            );
            return Err(Error::value(text));
        }
    }
    Ok(())
}
