//! Conditionals: functions for branches, of which one runs.

use super::assertion::assert_true;
use super::functional::{CASE, IF, STATELESS_CASE, STATELESS_IF};
use super::grouping::with_dependencies;
use super::structure::Structure;
use crate::array::constants::constant;
use crate::array::identity::identity;
use crate::composite::Composite;
use crate::functions::trace::{Trace, all_captures, all_control_inputs};
use crate::functions::{named, numbered_name};
use crate::math::cast::cast;
use crate::math::compare::less;
use crate::math::sum::add_n;
use session_core::{AsOutput, AttrValue, DType, Error, Function, Graph, Output, PartialShape, Phase, Result};

/// A branch of a conditional: a closure that builds operations on the graph that it is given and returns its results.
pub type Branch<'a, S> = Box<dyn FnOnce(&Graph) -> S + 'a>;

/// Returns the results of `true_fn` if `pred` is true, and those of `false_fn` otherwise. Only the operations of that branch run.
///
/// Each closure builds the body of a function. Values of the surrounding graph that it uses become captures. Both branches must return the
/// same number of outputs, of the same dtypes. `pred` is a scalar bool; a scalar number counts as true if it is not zero.
///
/// ```
/// use ops::{OutputExt, array::placeholder, control_flow::cond, math};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = placeholder(&graph.named("x"), DType::Float32, [3]);
/// let large = x.reduce_sum(..).greater(ops::array::constant(&graph, 10f32));
/// let y = cond(&large, |_| math::log(&x), |_| math::square(&x));
/// assert_eq!((y.name().as_str(), y.shape().to_string().as_str()), ("cond/Identity:0", "[3]"));
/// assert_eq!(graph.operation("cond")?.op_type(), "StatelessIf");
/// # graph.finalize()?;
/// # Ok::<(), session_core::Error>(())
/// ```
///
/// # Errors
/// Recorded in the graph: a predicate that is not a scalar, and branches whose results differ in number or dtype.
#[track_caller]
pub fn cond<S: Structure>(
    pred: impl AsOutput,
    true_fn: impl FnOnce(&Graph) -> S,
    false_fn: impl FnOnce(&Graph) -> S,
) -> S {
    let pred = pred.as_output();
    let scope = Composite::new(&pred.graph(), "cond");
    let mut branches = Branches::new(&scope);
    let structure = branches.add("true", true_fn);
    // The arrangement is that of the true branch; only number and dtypes of the other branch are compared.
    branches.add("false", false_fn);
    let outputs = branches.finish(pred, false, &structure.outputs_described());
    structure.rebuilt(outputs)
}

/// The results of the branch of a number; of the last one for a number that no branch has, negative ones included. The
/// default, if there is one, is the last.
///
/// ```
/// use ops::{array::{constant, placeholder}, control_flow::{Branch, switch_case}};
/// use session_core::{DType, Graph, Output, PartialShape};
/// let graph = Graph::new();
/// let index = placeholder(&graph.named("index"), DType::Int32, PartialShape::scalar());
/// let branches: Vec<Branch<'_, Output>> =
///     vec![Box::new(|body| constant(body, 1f32)), Box::new(|body| constant(body, 2f32))];
/// let y = switch_case(&index, branches, Some(Box::new(|body| constant(body, -1f32))));
/// assert_eq!(y.name(), "switch_case/Identity:0");
/// # graph.finalize()?;
/// # Ok::<(), session_core::Error>(())
/// ```
///
/// # Panics
/// Fails without any branch, because the results are then unknown.
#[track_caller]
pub fn switch_case<'a, S: Structure>(
    branch_index: impl AsOutput,
    branch_fns: Vec<Branch<'a, S>>,
    default: Option<Branch<'a, S>>,
) -> S {
    let index = branch_index.as_output();
    let scope = Composite::new(&index.graph(), "switch_case");
    let mut branches = Branches::new(&scope);
    // TensorFlow's rule: the default is the branch after the last number, which every other index selects.
    let fns = branch_fns.into_iter().chain(default).enumerate();
    let structures: Vec<Described<S>> =
        fns.map(|(number, build)| branches.add(&format!("indexed_case_branch{number}"), build)).collect();
    let structure = structures.into_iter().next();
    let structure = structure.expect("switch_case needs at least one branch");
    let outputs = branches.finish(index, true, &structure.outputs_described());
    structure.rebuilt(outputs)
}

/// Returns the results of the first branch whose predicate is true, or of `default` when none is. Without a default that is
/// an error when the graph runs, except that a single branch is taken regardless.
///
/// ```
/// use ops::array::{constant, placeholder};
/// use ops::control_flow::{Branch, case};
/// use ops::math::less;
/// use session_core::{DType, Graph, Output, PartialShape};
/// let graph = Graph::new();
/// let x = placeholder(&graph.named("x"), DType::Float32, PartialShape::scalar());
/// let small: Branch<'_, Output> = Box::new(|_| &x * 2f32);
/// let large: Branch<'_, Output> = Box::new(|_| &x * 10f32);
/// let y = case(vec![(less(&x, constant(&graph, 1f32)), small)], Some(large));
/// assert_eq!(y.dtype(), DType::Float32);
/// # graph.finalize()?;
/// # Ok::<(), session_core::Error>(())
/// ```
///
/// # Panics
/// Fails without any branch, because the results are then unknown.
#[track_caller]
pub fn case<'a, S: Structure + 'a>(
    pred_fn_pairs: Vec<(Output, Branch<'a, S>)>,
    default: Option<Branch<'a, S>>,
) -> S {
    first_true(pred_fn_pairs, default, false)
}

/// Works as [`case`], but fails with `InvalidArgument` when it runs if several predicates are true: TensorFlow's `exclusive=True`.
///
/// # Panics
/// Panics without any branch, as [`case`].
#[track_caller]
pub fn case_exclusive<'a, S: Structure + 'a>(
    pred_fn_pairs: Vec<(Output, Branch<'a, S>)>,
    default: Option<Branch<'a, S>>,
) -> S {
    first_true(pred_fn_pairs, default, true)
}

/// Builds nested conditionals, first predicate outermost: `if p0 { b0 } else if p1 { b1 } else { default }`.
#[track_caller]
fn first_true<'a, S: Structure + 'a>(
    pred_fn_pairs: Vec<(Output, Branch<'a, S>)>,
    default: Option<Branch<'a, S>>,
    exclusive: bool,
) -> S {
    let graph = pred_fn_pairs.first().expect("case needs at least one branch").0.graph();
    let scope = Composite::new(&graph, "case");
    let (mut preds, branches): (Vec<Output>, Vec<Branch<'a, S>>) = pred_fn_pairs.into_iter().unzip();
    // The predicates are entered first, because both the check and the nested conditionals use them.
    preds.iter_mut().for_each(|pred| *pred = scope.enter(&*pred));
    if exclusive && preds.len() > 1 {
        // The sum of the predicates as numbers is the count of true ones. No predicate
        // at all is left to the default.
        let numbers: Vec<Output> = preds.iter().map(|pred| cast(pred, DType::Int32)).collect();
        let names = preds.iter().map(Output::name).collect::<Vec<_>>().join(", ");
        let text = format!("more than 1 conditions ({names}) evaluated as True");
        let one = less(add_n(&numbers), constant(scope.graph(), 2i32));
        let mut data = vec![constant(scope.graph(), text.as_str())];
        data.extend(preds.iter().cloned());
        // The first predicate is evaluated in any case, so the check runs before any branch.
        preds[0] = with_dependencies([&assert_true(one, &data, 3)], &preds[0]);
    }
    let mut branches: Vec<(Output, Branch<'a, S>)> = preds.iter().cloned().zip(branches).collect();
    let last = match default {
        Some(default) => default,
        None => {
            let count = branches.len();
            let (pred, build) = branches.pop().expect("there is one branch at least");
            // TensorFlow's rule: one pair without a default is taken regardless of its predicate.
            if count == 1 { build } else { asserted(pred, preds, build) }
        }
    };
    // From the inside out: the last branch is the innermost `else`.
    let nested = branches.into_iter().rev().fold(last, |rest: Branch<'a, S>, (pred, build)| {
        Box::new(move |body: &Graph| {
            let pred = pred.within(&body.named("cond"));
            cond(pred, build, rest)
        })
    });
    // Operations outside of all branches are built here.
    let results = nested(&scope.graph().scope(scope.graph().scope_name()));
    let outputs = results.outputs().into_iter().map(|output| scope.leave(output)).collect();
    results.with_outputs(outputs)
}

/// The branch that is left when no other one is taken, whose predicate must hold.
fn asserted<'a, S: Structure + 'a>(pred: Output, preds: Vec<Output>, build: Branch<'a, S>) -> Branch<'a, S> {
    Box::new(move |body: &Graph| {
        let mut data = vec![constant(body, "None of conditions evaluated as True")];
        data.extend(preds.iter().map(|pred| pred.within(body)));
        let check = assert_true(pred.within(body), &data, 3);
        build(&body.control_dependencies([&check]))
    })
}

/// A branch's result in the arrangement that its closure returned, with dtypes and shapes as far as they are
/// known. `infos` is empty if the body could not be built.
struct Described<S> {
    structure: S,
    infos: Vec<(DType, PartialShape)>,
}

impl<S: Structure> Described<S> {
    fn outputs_described(&self) -> Vec<(DType, PartialShape)> {
        self.infos.clone()
    }

    fn rebuilt(&self, outputs: Vec<Output>) -> S {
        self.structure.with_outputs(outputs)
    }
}

/// The branches of one conditional, while they are built.
struct Branches<'s> {
    scope: &'s Composite,
    names: Vec<String>,
    traces: Vec<Result<Trace>>,
}

impl<'s> Branches<'s> {
    fn new(scope: &'s Composite) -> Branches<'s> {
        Branches { scope, names: Vec::new(), traces: Vec::new() }
    }

    /// Builds the body of one branch. An error is kept until `finish`, so that all branches report theirs and
    /// the caller receives outputs in any case.
    fn add<S: Structure>(&mut self, name: &str, build: impl FnOnce(&Graph) -> S) -> Described<S> {
        // The arrangement leaves the closure through this variable: a trace knows only a list of outputs.
        let mut built = None;
        let trace = Trace::of(self.scope.graph(), &[], |body, _| {
            let structure = build(body);
            let outputs = structure.outputs();
            built = Some(structure);
            outputs
        });
        let infos = match &trace {
            Ok(trace) => trace.results().iter().map(|r| (r.dtype(), r.shape().clone())).collect(),
            Err(_) => Vec::new(),
        };
        self.names.push(name.to_owned());
        self.traces.push(trace);
        let structure = built.expect("a body is built once");
        Described { structure, infos }
    }

    /// Makes the operation. Where that is not possible, the outputs carry the error.
    fn finish(self, selector: &Output, indexed: bool, infos: &[(DType, PartialShape)]) -> Vec<Output> {
        let scope = self.scope;
        match self.try_finish(selector, indexed) {
            Ok(outputs) => outputs,
            // The caller continues with outputs of the right number and dtypes, so one
            // error does not cause others.
            Err(error) => {
                let name = scope.graph().scope_name().trim_end_matches('/').to_owned();
                let op_type = if indexed { "Case" } else { "If" };
                let error = error.with_node(&name, op_type).with_phase(Phase::Build);
                scope.graph().add_error(error.clone());
                let invalid = |(dtype, _): &(DType, PartialShape)| {
                    scope.leave(scope.graph().invalid_output(&name, *dtype, error.clone()))
                };
                infos.iter().map(invalid).collect()
            }
        }
    }

    /// Builds the `If` or `Case` and one `Identity` for each result, which has TensorFlow's name:
    /// `cond/Identity`, `cond/Identity_1`.
    ///
    /// # Errors
    /// The first error of a branch; a value error for a selector that is not a scalar; a type error
    /// for branches that do not match.
    fn try_finish(self, selector: &Output, indexed: bool) -> Result<Vec<Output>> {
        let scope = self.scope;
        if selector.shape().rank().is_some_and(|rank| rank != 0) {
            let what = if indexed { "an index" } else { "a predicate" };
            let (name, shape) = (selector.name(), selector.shape());
            return Err(Error::value(format!(
                "'{name}' of shape {shape} is not a scalar, as {what} must be"
            )));
        }
        let mut traces = self.traces.into_iter().collect::<Result<Vec<Trace>>>()?;
        let shapes = common_results(&self.names, &traces)?;
        // All branches take the captures of all, in the order of their first use: the
        // operation has one list of arguments.
        let all: Vec<&Trace> = traces.iter().collect();
        let (captures, before) = (all_captures(&all), all_control_inputs(&all));
        traces.iter_mut().for_each(|trace| trace.arrange(&captures));
        let prefix = scope.graph().scope_name().replace('/', "_");
        let mut functions = Vec::new();
        for (trace, name) in traces.into_iter().zip(&self.names) {
            let function = trace.into_function(&numbered_name(scope.graph(), &format!("{prefix}{name}")))?;
            scope.graph().add_function(function.clone())?;
            functions.push(function);
        }
        // As TensorFlow chooses it: one stateful branch makes the whole operation stateful.
        let stateful = functions.iter().any(Function::is_stateful);
        let graph =
            if indexed { scope.graph().named("indexed_case") } else { scope.graph().named_as_scope() };
        let selector = selector.within(&graph);
        let builder = match (indexed, stateful) {
            (false, true) => graph.op(&IF),
            (false, false) => graph.op(&STATELESS_IF),
            (true, true) => graph.op(&CASE),
            (true, false) => graph.op(&STATELESS_CASE),
        };
        let dtypes: Vec<DType> = functions[0].outputs().iter().map(|(_, output)| output.dtype()).collect();
        let shapes: Vec<AttrValue> = shapes.into_iter().map(AttrValue::Shape).collect();
        let builder = builder.input(selector).input_list(&captures).attr("Tout", dtypes);
        let builder = builder.attr("output_shapes", AttrValue::List(shapes));
        let builder = builder.attr("_lower_using_switch_merge", true);
        let branches: Vec<AttrValue> = functions.iter().map(|function| named(function.name())).collect();
        let builder = match (indexed, branches.as_slice()) {
            (false, [then_branch, else_branch]) => {
                builder.attr("then_branch", then_branch.clone()).attr("else_branch", else_branch.clone())
            }
            _ => builder.attr("branches", AttrValue::List(branches)),
        };
        let builder = before.iter().fold(builder, |builder, operation| builder.control_input(operation));
        let operation = builder.try_finish()?;
        // A fresh handle without the pending name, which the operation itself has taken.
        let inside = scope.graph().scope(scope.graph().scope_name());
        let results = operation.outputs().into_iter();
        Ok(results.map(|output| scope.leave(identity(output.within(&inside)))).collect())
    }
}

/// Returns the shapes of the results as far as they are known for all branches, which must agree in number and dtype.
fn common_results(names: &[String], traces: &[Trace]) -> Result<Vec<PartialShape>> {
    let first = traces[0].results();
    let mut shapes: Vec<PartialShape> = first.iter().map(|result| result.shape().clone()).collect();
    for (name, trace) in names.iter().zip(traces).skip(1) {
        let results = trace.results();
        if results.len() != first.len() {
            let (one, other) = (first.len(), results.len());
            let text = format!(
                "branches of different structure: '{}' returns {one} outputs, '{name}' {other}",
                names[0]
            );
            return Err(Error::type_mismatch(text));
        }
        for (index, (one, other)) in first.iter().zip(results).enumerate() {
            if one.dtype() != other.dtype() {
                let text = format!(
                    "result {index} is {} in branch '{}' and {} in branch '{name}'",
                    one.dtype(),
                    names[0],
                    other.dtype()
                );
                return Err(Error::type_mismatch(text));
            }
            // Which branch runs is unknown, so only what both shapes have in common is kept.
            shapes[index] = shapes[index].relax(other.shape());
        }
    }
    Ok(shapes)
}
