//! Functions made from closures: both engines run them, and agree.

use crate::compare::difference;
use crate::engines::Engines;
use ops::array::{constant, placeholder};
use ops::functions::define;
use ops::state::assign_add_variable_op;
use ops::variables::variable;
use ops::{OutputExt, math};
use session_core::{Code, DType, Graph, Operation, Output, PartialShape, SessionExt, Tensor};

/// Runs the initializers of a graph's variables, then the outputs, on both engines, and returns the values where they agree.
/// Empty without TensorFlow on this machine.
pub(crate) fn agree(graph: &Graph, outputs: &[Output], feeds: &[(Output, Tensor)]) -> Option<Vec<Tensor>> {
    agree_within(graph, outputs, feeds, 4.0)
}

/// As [`agree`], with the usual tolerance this many times.
pub(crate) fn agree_within(
    graph: &Graph,
    outputs: &[Output],
    feeds: &[(Output, Tensor)],
    slack: f64,
) -> Option<Vec<Tensor>> {
    let engines = Engines::new()?;
    graph.check().unwrap();
    let pair = engines.open(graph).unwrap();
    let initializers: Vec<Operation> =
        graph.operations().into_iter().filter(|op| op.name().ends_with("/Assign")).collect();
    if !initializers.is_empty() {
        pair.ours.run(&initializers, ()).unwrap();
        pair.theirs.run(&initializers, ()).unwrap();
    }
    let ours: Vec<Tensor> = pair.ours.run(outputs, feeds).unwrap();
    let theirs: Vec<Tensor> = pair.theirs.run(outputs, feeds).unwrap();
    for ((output, ours), theirs) in outputs.iter().zip(&ours).zip(&theirs) {
        if let Some(how) = difference(ours, theirs, slack) {
            panic!("{}: {how}", output.name());
        }
    }
    Some(ours)
}

pub(crate) fn numbers(tensor: &Tensor) -> Vec<f64> {
    tensor.try_convert(DType::Float64).unwrap().to_vec::<f64>().unwrap()
}

fn vector(size: usize) -> (DType, PartialShape) {
    (DType::Float32, PartialShape::from([size]))
}

#[test]
fn captures_are_found_however_they_are_used() {
    let graph = Graph::new();
    let x = placeholder(&graph.named("x"), DType::Float32, [3]);
    let scale = constant(&graph.named("scale"), 3f32);
    let w = variable(&graph.named("w"), [1f32, 2.0, 3.0]);
    let function = define(&graph, "f", &[vector(3)], |_, arguments| {
        // First arguments of the graph around, of the body, and a variable.
        let scaled = &scale * &arguments[0];
        let outside_only = math::square(&scale);
        vec![&(&scaled + &w) + &outside_only, x.clone(), arguments[0].clone()]
    })
    .unwrap();
    assert_eq!(function.captures(), [scale, w.handle().clone(), x.clone()]);
    assert!(function.is_stateful(), "it reads a variable");
    let results = function.call(&graph, std::slice::from_ref(&x));
    assert_eq!(results.iter().map(|r| r.shape().to_string()).collect::<Vec<_>>(), ["[3]"; 3]);
    let feeds = [(x, Tensor::from([1f32, 2.0, 3.0]))];
    let Some(values) = agree(&graph, &results, &feeds) else { return };
    assert_eq!(numbers(&values[0]), [13.0, 17.0, 21.0]);
}

#[test]
fn functions_call_functions_and_capture_through_them() {
    let graph = Graph::new();
    let outer = placeholder(&graph.named("outer"), DType::Float32, [2]);
    let function = define(&graph, "f", &[vector(2)], |body, arguments| {
        let here = &arguments[0] * 2f32;
        let inner = define(body, "g", &[vector(2)], |_, inner| vec![&(&inner[0] + &here) * &outer]).unwrap();
        inner.call(body, std::slice::from_ref(&arguments[0]))
    })
    .unwrap();
    assert_eq!(graph.functions().len(), 2, "both are in the outermost library");
    let results = function.call(&graph, std::slice::from_ref(&outer));
    let Some(values) = agree(&graph, &results, &[(outer, Tensor::from([2f32, 3.0]))]) else { return };
    assert_eq!(numbers(&values[0]), [12.0, 27.0]);
}

#[test]
fn updates_in_a_function_run_in_each_call() {
    let graph = Graph::new();
    let counter = variable(&graph.named("counter"), 0f32);
    let function = define(&graph, "count", &[], |body, _| {
        let added = assign_add_variable_op(counter.handle(), constant(body, 1f32));
        vec![(&counter.within(&body.control_dependencies([&added])) * 1f32)]
    })
    .unwrap();
    let first = function.call_operation(&graph, &[]);
    let second = function.call_operation(&graph.control_dependencies([&first]), &[]);
    let Some(values) = agree(&graph, &[first.output(0), second.output(0)], &[]) else { return };
    assert_eq!([numbers(&values[0]), numbers(&values[1])].concat(), [1.0, 2.0]);
}

#[test]
fn variables_and_layers_made_in_a_body_belong_to_the_graph() {
    let graph = Graph::new();
    let function = define(&graph, "made", &[vector(2)], |body, arguments| {
        let w = variable(&body.named("w"), [5f32, 7.0]);
        vec![&arguments[0] * &w]
    })
    .unwrap();
    assert!(graph.operation("w").is_ok());
    let results = function.call(&graph, &[constant(&graph, [1f32, 2.0])]);
    let Some(values) = agree(&graph, &results, &[]) else { return };
    assert_eq!(numbers(&values[0]), [5.0, 14.0]);
}

#[test]
fn errors_name_the_place() {
    let (graph, other) = (Graph::new(), Graph::new());
    let foreign = constant(&other, [1f32, 2.0]);
    let error = define(&graph, "f", &[vector(2)], |_, arguments| vec![&arguments[0] + &foreign]).unwrap_err();
    assert!(error.message().contains("belongs to another graph"), "{error}");
    assert!(error.location().unwrap().file().ends_with("functions.rs"), "{error}");
    let error = define(&graph, "f", &[vector(2)], |_, _| vec![foreign.clone()]).unwrap_err();
    assert!(error.message().contains("belongs to another graph") && error.location().is_some(), "{error}");
    // A tensor of a body cannot be used outside, nor in a body that is complete.
    let mut inside = None;
    let function = define(&graph, "f", &[vector(2)], |_, arguments| {
        inside = Some(arguments[0].relu());
        vec![arguments[0].clone()]
    })
    .unwrap();
    let inside = inside.unwrap();
    let outer = constant(&graph, [1f32, 2.0]);
    assert!((&inside + &outer).operation().error().is_some());
    assert!((&outer + &inside).operation().error().is_some());
    let error = graph.check().unwrap_err();
    assert!(error.message().contains("belongs to another graph"), "{error}");
    // Arguments that do not fit.
    let graph = Graph::new();
    let wrong = function.call_operation(&graph, &[outer]);
    assert!(wrong.error().unwrap().message().contains("defined in another graph"));
    assert_eq!(graph.check().unwrap_err().code(), Code::InvalidArgument);
}
