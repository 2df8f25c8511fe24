//! Gradients that a program defines itself, and gradients that compute a function again.
#![allow(clippy::unwrap_used)] // a panic is the report

use embedded_engine::EmbeddedEngine;
use ops::array::constant;
use ops::functions::{custom_gradient, recompute_grad};
use ops::variables::variable;
use ops::{OutputExt, gradients, math};
use session_core::{Code, Engine, Graph, OpLibrary, Output, Session, SessionConfig, SessionExt, Tensor};
use std::sync::Arc;

fn session(graph: &Graph) -> Arc<dyn Session> {
    graph.check().unwrap();
    EmbeddedEngine::new().new_session(graph, "", &SessionConfig::with_threads(1)).unwrap()
}

fn numbers(tensor: &Tensor) -> Vec<f64> {
    tensor.to_vec::<f64>().unwrap()
}

#[test]
fn a_custom_gradient_replaces_the_computed_one() {
    let graph = Graph::new();
    let x = constant(&graph.named("x"), [1f64, 1000.0]);
    let scale = constant(&graph.named("scale"), 2f64);
    let softplus = |x: &Output| math::log(math::exp(x) + 1f64);
    let y = custom_gradient(
        std::slice::from_ref(&x),
        |_, x| vec![&softplus(&x[0]) * &scale],
        |_, x, grads| vec![&(&grads[0] * &math::sigmoid(&x[0])) * &scale],
    );
    let given = gradients(&y, &[&x]).unwrap().remove(0).unwrap();
    let plain = gradients(&[&softplus(&x) * &scale], &[&x]).unwrap().remove(0).unwrap();
    let values = session(&graph).run(&(&given, &plain), ()).unwrap();
    let (given, plain) = (numbers(&values.0), numbers(&values.1));
    assert!((given[0] - plain[0]).abs() < 1e-12, "{given:?} {plain:?}");
    assert!(given[1] == 2.0 && plain[1].is_nan());
}

/// An imported operation may name the op type whose gradient it has (`gradient_override_map`).
#[test]
fn an_operation_has_the_gradient_of_the_type_that_it_names() {
    let graph = Graph::new();
    let x = constant(&graph.named("x"), [-3f64, 2.0]);
    let sign = |name: &str, gradient: &str| {
        let def = OpLibrary::find(ops::library(), "Sign").unwrap();
        graph.named(name).op(def).input(&x).attr("_gradient_op_type", gradient).finish_output()
    };
    let straight_through = gradients(&[sign("binary", "Identity")], &[&x]).unwrap().remove(0).unwrap();
    assert_eq!(numbers(&session(&graph).run(&straight_through, ()).unwrap()), [1.0, 1.0]);
    let stopped = gradients(&[sign("stopped", "StopGradient")], &[&x]).unwrap().remove(0);
    assert!(stopped.is_none());
    let error = gradients(&[sign("lost", "CustomGradient-7")], &[&x]).unwrap_err();
    assert_eq!((error.code(), error.node()), (Code::NotFound, Some("lost")), "{error}");
    assert!(error.message().contains("'CustomGradient-7'"), "{error}");
}

#[test]
fn a_custom_gradient_of_another_shape_is_refused() {
    let graph = Graph::new();
    let x = constant(&graph.named("x"), [1f64, 2.0]);
    let _ = custom_gradient(std::slice::from_ref(&x), |_, x| vec![x[0].clone()], |_, _, _| Vec::new());
    let error = graph.check().unwrap_err();
    assert!(error.message().contains("0 gradients for 1 inputs") && error.location().is_some(), "{error}");
    let graph = Graph::new();
    let x = constant(&graph.named("x"), [1f64, 2.0]);
    let _ = custom_gradient(&[x], |_, x| vec![x[0].clone()], |body, _, _| vec![constant(body, 1f32)]);
    assert!(graph.check().unwrap_err().message().contains("the gradient of 'x:0' is float32"));
}

#[test]
fn a_recomputed_function_keeps_nothing_and_has_the_same_gradients() {
    let graph = Graph::new();
    let x = constant(&graph.named("x"), [[0.3f64, 0.5], [0.7, -0.2]]);
    let w = variable(&graph.named("w"), [[1f64, 0.5], [-0.5, 2.0]]);
    let net = |x: &Output| math::tanh(x.matmul(&w)).matmul(&w);
    let again = recompute_grad(&x, |_, x| net(&x));
    let plain = net(&x);
    let all = [&again, &plain].map(|y| gradients(&[y], &[&x, w.handle()]).unwrap());
    let grads: Vec<Output> = all.into_iter().flatten().map(Option::unwrap).collect();
    let call = graph.operation_by_id(again.operation().id()).unwrap();
    assert_eq!((call.op_type(), call.num_outputs()), ("StatefulPartitionedCall", 1), "nothing is kept");
    let session = session(&graph);
    session.run(w.initializer(), ()).unwrap();
    let values: Vec<Tensor> = session.run(&grads, ()).unwrap();
    assert_eq!((&values[0], &values[1]), (&values[2], &values[3]));
}
