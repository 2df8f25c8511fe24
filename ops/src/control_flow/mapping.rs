//! Loops over the parts of tensors along their first axis: maps, scans and folds.

use super::TensorArray;
use super::loops::Loop;
use super::structure::Structure;
use crate::array::constants::{constant, placeholder};
use crate::array::shaping::shape;
use crate::array::slicing::{Index, strided_slice};
use crate::composite::Composite;
use crate::math::compare::{greater_equal, less};
use session_core::{DType, Error, Graph, Output, PartialShape, Phase, Result};

/// The results of a closure for each part of `elems` along their first axis, stacked.
///
/// ```
/// use ops::{OutputExt, array::placeholder, control_flow::map_fn};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let rows = placeholder(&graph.named("rows"), DType::Float32, [None, Some(4)]);
/// let sums = map_fn(&graph, |_, row| row.reduce_sum(..), rows);
/// assert_eq!(sums.shape().to_string(), "[?]");
/// # graph.finalize()?;
/// # Ok::<(), session_core::Error>(())
/// ```
#[track_caller]
pub fn map_fn<E: Structure, R: Structure>(graph: &Graph, build: impl FnOnce(&Graph, E) -> R, elems: E) -> R {
    let scope = Composite::new(graph, "map");
    // An `Option`, so that the closure can still be called after an error in the
    // elements, before the body was built.
    let (mut build, mut returned) = (Some(build), None);
    let walk = Walk { scope: &scope, reversed: false };
    let found = walk.run(&elems, Vec::new(), |body, part, _| {
        let build = build.take().expect("a body is built once");
        let result = build(body, elems.with_outputs(part));
        let outputs = result.outputs();
        returned = Some(result);
        Round { carried: Vec::new(), stacked: outputs }
    });
    if let (Err(error), Some(build)) = (&found, build) {
        // Only the closure knows the arrangement of the results.
        let invalid = |elem: &Output| scope.graph().invalid_output("map", elem.dtype(), error.clone());
        let parts = elems.outputs().iter().map(invalid).collect();
        scope.graph().add_error(error.clone().with_phase(Phase::Build));
        returned = Some(build(scope.graph(), elems.with_outputs(parts)));
    }
    given(&scope, found, returned)
}

/// The results of a closure that goes over the parts of `elems` along their first axis and carries its result to the next
/// part, beginning with `initializer`: those of all parts, stacked.
///
/// ```
/// use ops::{array::{constant, placeholder}, control_flow::scan};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = placeholder(&graph.named("x"), DType::Float32, [5]);
/// let sums = scan(&graph, |_, sum, x| &sum + &x, x, constant(&graph, 0f32));
/// assert_eq!(sums.shape().to_string(), "[5]");
/// # graph.finalize()?;
/// # Ok::<(), session_core::Error>(())
/// ```
#[track_caller]
pub fn scan<E: Structure, S: Structure>(
    graph: &Graph,
    build: impl FnOnce(&Graph, S, E) -> S,
    elems: E,
    initializer: S,
) -> S {
    scanned(graph, build, elems, initializer, false)
}

/// Works as [`scan`], from the last part to the first: TensorFlow's `reverse=True`.
///
/// ```
/// use ops::{array::{constant, placeholder}, control_flow::scan_reverse};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let x = placeholder(&graph.named("x"), DType::Float32, [5]);
/// let sums = scan_reverse(&graph, |_, sum, x| &sum + &x, x, constant(&graph, 0f32)); // of each element and all after it
/// assert_eq!(sums.shape().to_string(), "[5]");
/// # graph.finalize()?;
/// # Ok::<(), session_core::Error>(())
/// ```
#[track_caller]
pub fn scan_reverse<E: Structure, S: Structure>(
    graph: &Graph,
    build: impl FnOnce(&Graph, S, E) -> S,
    elems: E,
    initializer: S,
) -> S {
    scanned(graph, build, elems, initializer, true)
}

/// Builds a scan in either direction: what an iteration returns is both carried to the next one and an entry
/// of the result. The result of part `i` has index `i` in both directions.
#[track_caller]
fn scanned<E: Structure, S: Structure>(
    graph: &Graph,
    build: impl FnOnce(&Graph, S, E) -> S,
    elems: E,
    initializer: S,
    reverse: bool,
) -> S {
    let scope = Composite::new(graph, "scan");
    let initial = initializer.outputs();
    let walk = Walk { scope: &scope, reversed: reverse };
    let found = walk.run(&elems, initial, |body, part, carried| {
        let outputs = build(body, initializer.with_outputs(carried), elems.with_outputs(part)).outputs();
        Round { carried: outputs.clone(), stacked: outputs }
    });
    given(&scope, found, Some(initializer))
}

/// Returns the last result of a closure that goes over the entries of `elems` along their first axis and passes its result to the
/// next entry, beginning with `initializer`.
///
/// ```
/// use ops::{array::{constant, placeholder}, control_flow::foldl};
/// use session_core::{DType, Graph};
/// let graph = Graph::new();
/// let digits = placeholder(&graph.named("digits"), DType::Int64, [4]);
/// let number = foldl(&graph, |_, number, digit| &number * 10i64 + &digit, digits, constant(&graph, 0i64));
/// assert_eq!(number.shape().to_string(), "[]"); // 1234 of [1, 2, 3, 4]
/// # graph.finalize()?;
/// # Ok::<(), session_core::Error>(())
/// ```
#[track_caller]
pub fn foldl<E: Structure, S: Structure>(
    graph: &Graph,
    build: impl FnOnce(&Graph, S, E) -> S,
    elems: E,
    initializer: S,
) -> S {
    fold(Composite::new(graph, "foldl"), build, elems, initializer, false)
}

/// Works as [`foldl`](foldl), from the last entry to the first.
#[track_caller]
pub fn foldr<E: Structure, S: Structure>(
    graph: &Graph,
    build: impl FnOnce(&Graph, S, E) -> S,
    elems: E,
    initializer: S,
) -> S {
    fold(Composite::new(graph, "foldr"), build, elems, initializer, true)
}

/// Builds a fold in either direction: nothing is stacked. The scope is made by the caller, so
/// that errors name its caller.
fn fold<E: Structure, S: Structure>(
    scope: Composite,
    build: impl FnOnce(&Graph, S, E) -> S,
    elems: E,
    initializer: S,
    reversed: bool,
) -> S {
    let initial = initializer.outputs();
    let walk = Walk { scope: &scope, reversed };
    let found = walk.run(&elems, initial, |body, part, carried| {
        let result = build(body, initializer.with_outputs(carried), elems.with_outputs(part));
        Round { carried: result.outputs(), stacked: Vec::new() }
    });
    given(&scope, found, Some(initializer))
}

/// The results in their arrangement; where there are none, outputs that carry the error.
fn given<S: Structure>(scope: &Composite, found: Result<Vec<Output>>, arrangement: Option<S>) -> S {
    let arrangement = arrangement.expect("a body is built once");
    let outputs = found.unwrap_or_else(|error| {
        let error = error.with_phase(Phase::Build);
        scope.graph().add_error(error.clone());
        let invalid = |output: &Output| scope.graph().invalid_output("loop", output.dtype(), error.clone());
        arrangement.outputs().iter().map(invalid).collect()
    });
    arrangement.with_outputs(outputs.into_iter().map(|output| scope.leave(output)).collect())
}

/// The results of an iteration: the values for the next one, and those that become entries of the results.
struct Round {
    carried: Vec<Output>,
    stacked: Vec<Output>,
}

/// A loop over the parts of tensors.
struct Walk<'s> {
    scope: &'s Composite,
    reversed: bool,
}

impl Walk<'_> {
    /// Builds it. The results are those that are stacked, or what was carried last where nothing is stacked.
    fn run<E: Structure>(
        self,
        elems: &E,
        initial: Vec<Output>,
        build: impl FnOnce(&Graph, Vec<Output>, Vec<Output>) -> Round,
    ) -> Result<Vec<Output>> {
        let graph = self.scope.graph();
        let elems: Vec<Output> = elems.outputs().iter().map(|elem| self.scope.enter(elem)).collect();
        let initial: Vec<Output> = initial.iter().map(|value| self.scope.enter(value)).collect();
        let (number, known) = number_of_parts(graph, &elems)?;
        let arrays: Vec<TensorArray> = elems.iter().map(TensorArray::unstacked).collect();
        // From n - 1 down to 0; with no parts the first comparison is false at once.
        let start = if self.reversed { &number - 1 } else { constant(graph, 0i32) };
        let inner = Composite::new(graph, "while");
        let first: Vec<Output> =
            std::iter::once(start).chain(initial).map(|value| inner.enter(value)).collect();
        let variables = first.iter().map(|value| (value.dtype(), value.shape().clone())).collect();
        let plan = Loop {
            scope: &inner,
            shapes: None,
            parallel_iterations: 10,
            // TensorFlow gives the number of parts as the limit as well, by which its compiler knows the
            // size of the gradient's stacks.
            maximum_iterations: Some(number.clone()),
        };
        let mut stacked: Vec<(DType, PartialShape)> = Vec::new();
        let mut misfit = None;
        // Without the index, which is this loop's own variable.
        let carries = first.len() - 1;
        let outputs = plan.build(
            variables,
            |body, arguments| match self.reversed {
                true => greater_equal(&arguments[0], constant(body, 0i32)),
                false => less(&arguments[0], &number),
            },
            |body, arguments| {
                let i = arguments[0].clone();
                let part = arrays.iter().map(|array| array.read(i.within(body))).collect();
                let round = build(body, part, arguments[1..].to_vec());
                // Checked here, where the message can speak of the closure; the
                // loop would only see variables.
                if round.carried.len() != carries {
                    let found = round.carried.len();
                    let text =
                        format!("the closure returns {found} outputs, but its initializer has {carries}");
                    misfit = Some(Error::type_mismatch(text));
                }
                let mut results = vec![if self.reversed { &i - 1 } else { &i + 1 }];
                results.extend(round.carried);
                // The lists of results are further variables, of which only the body tells how many there are.
                for value in round.stacked {
                    let handle = placeholder(&body.named("list"), DType::Variant, PartialShape::scalar());
                    arguments.push(handle.clone());
                    let list = TensorArray::of_handle(handle, value.dtype(), value.shape().clone(), None);
                    results.push(list.write(i.within(body), &value).handle().clone());
                    stacked.push((value.dtype(), value.shape().clone()));
                }
                results
            },
            |results| {
                let results = results.iter().skip(first.len());
                let lists = results.map(|list| {
                    // The body's results are lists that a write returned: of that value's dtype and shape.
                    let value = list.operation().input(2);
                    TensorArray::new(inner.graph(), value.dtype(), &number, value.shape().clone())
                });
                let lists: Vec<Output> = lists.map(|list| list.handle().clone()).collect();
                first.iter().cloned().chain(lists).collect()
            },
        );
        // The more specific error first: the loop fails as well when the numbers differ.
        let outputs = misfit.map_or(outputs, Err)?;
        let mut outputs = outputs.into_iter().skip(1);
        if stacked.is_empty() {
            return Ok(outputs.map(|output| output.within(graph)).collect());
        }
        // Results are either stacked or carried: with lists, the last carried values are not returned.
        let lists = outputs.by_ref().skip(first.len() - 1);
        let stack = |(handle, (dtype, shape)): (Output, (DType, PartialShape))| {
            TensorArray::of_handle(handle.within(graph), dtype, shape, known).stack()
        };
        Ok(lists.zip(stacked).map(stack).collect())
    }
}

/// Returns the number of entries as an output, and as a number if it is known.
fn number_of_parts(graph: &Graph, elems: &[Output]) -> Result<(Output, Option<usize>)> {
    let first = elems.first().ok_or_else(|| Error::value("there is nothing to go over"))?;
    if let Some(scalar) = elems.iter().find(|elem| elem.shape().rank() == Some(0)) {
        return Err(Error::value(format!("'{}' is a scalar, and has no parts", scalar.name())));
    }
    let known = elems.iter().try_fold(None, |known: Option<usize>, elem| {
        crate::shapes::merge_dims("the numbers of parts to go over", known, elem.shape().dim(0))
    })?;
    // `int32`, as TensorFlow's index of a loop over parts.
    let number = match known {
        Some(known) => constant(graph, i32::try_from(known).unwrap_or(i32::MAX)),
        None => strided_slice(shape(first), &[Index::from(0)]),
    };
    Ok((number, known))
}
