//! The graphs that the gradients of whole models build.
#![allow(clippy::unwrap_used, clippy::print_stdout)] // a panic is the report, and what is printed is meant to be seen

use ops::array::{constant, placeholder, stop_gradient};
use ops::math::{matmul, mul, reduce_mean, reduce_sum, square, sub};
use ops::nn::{bias_add, relu, sparse_softmax_cross_entropy_with_logits};
use ops::{GradientOptions, UnconnectedGradients, gradients, gradients_with};
use session_core::{DType, ErrorKind, Graph, Output};

fn float(graph: &Graph, name: &str, shape: &[usize]) -> Output {
    placeholder(&graph.named(name), DType::Float32, shape)
}

/// The types of the operations in a scope, in the order they were made.
fn types_in(graph: &Graph, scope: &str) -> Vec<String> {
    let operations = graph.operations();
    let within = operations.iter().filter(|operation| operation.name().starts_with(scope));
    within.map(|operation| operation.op_type().to_owned()).collect()
}

struct Mlp {
    graph: Graph,
    loss: Output,
    parameters: Vec<Output>,
}

fn mlp(batch: Option<usize>) -> Mlp {
    let graph = Graph::new();
    let x = placeholder(&graph.named("x"), DType::Float32, [batch, Some(64)]);
    let labels = placeholder(&graph.named("labels"), DType::Int32, [batch]);
    let (w1, b1) = (float(&graph, "w1", &[64, 32]), float(&graph, "b1", &[32]));
    let (w2, b2) = (float(&graph, "w2", &[32, 10]), float(&graph, "b2", &[10]));
    let hidden = relu(bias_add(matmul(&x, &w1), &b1));
    let logits = bias_add(matmul(hidden, &w2), &b2);
    let loss = reduce_mean(sparse_softmax_cross_entropy_with_logits(&labels, &logits), ..);
    Mlp { graph, loss, parameters: vec![w1, b1, w2, b2] }
}

#[test]
fn a_network_of_known_batch_needs_nothing_but_the_fused_operations() {
    let Mlp { graph, loss, parameters } = mlp(Some(16));
    let grads = gradients(&[loss], &parameters).unwrap();
    for (parameter, grad) in parameters.iter().zip(&grads) {
        assert_eq!(grad.as_ref().unwrap().shape(), parameter.shape());
    }
    let types = types_in(&graph, "gradients/");
    let count = |op_type: &str| types.iter().filter(|found| *found == op_type).count();
    assert_eq!((count("MatMul"), count("BiasAddGrad"), count("ReluGrad")), (4, 2, 1), "{types:?}");
    assert_eq!((count("Sum"), count("Tile"), count("ExpandDims"), count("AddN")), (0, 0, 0, 0), "{types:?}");
    // The mean's share is one number: it goes straight to what the loss keeps for its gradient.
    let xent = types_in(&graph, "gradients/SparseSoftmaxCrossEntropyWithLogits/");
    assert_eq!(xent, ["Mul"]);
    graph.finalize().unwrap();
}

#[test]
fn a_network_with_unknown_batch_size_computes_only_the_share() {
    let Mlp { graph, loss, parameters } = mlp(None);
    let grads = gradients(&[loss], &parameters).unwrap();
    assert!(grads.iter().zip(&parameters).all(|(grad, x)| grad.as_ref().unwrap().shape() == x.shape()));
    let types = types_in(&graph, "gradients/Mean_grad/");
    assert_eq!(types, ["Size", "Cast", "RealDiv", "Shape", "BroadcastTo"]);
    assert_eq!(types_in(&graph, "gradients/SparseSoftmaxCrossEntropyWithLogits/"), ["Mul"]);
    graph.finalize().unwrap();
}

#[test]
fn contributions_are_summed_once() {
    let graph = Graph::new();
    let x = float(&graph, "x", &[3]);
    let y = reduce_sum(&mul(&x, &x) + &square(&x), ..);
    let grad = gradients(&[y], &[&x]).unwrap().remove(0).unwrap();
    assert_eq!((grad.operation().op_type(), grad.operation().num_inputs()), ("AddN", 3));
}

#[test]
fn equal_shapes_need_no_sum() {
    let graph = Graph::new();
    let (x, y) = (float(&graph, "x", &[2, 3]), float(&graph, "y", &[2, 3]));
    let before = graph.len();
    let grads = gradients(&[sub(&x, &y)], &[&x, &y]).unwrap();
    assert!(grads.iter().all(Option::is_some));
    let types: Vec<String> =
        graph.operations_from(before as u32).iter().map(|op| op.op_type().to_owned()).collect();
    assert_eq!(types, ["Sub", "Const", "Const", "Fill", "Neg"]);
}

#[test]
fn broadcast_axes_are_summed_by_number_when_they_are_known() {
    let graph = Graph::new();
    let x = float(&graph, "x", &[5, 4, 3]);
    for (shape, expected) in [
        (&[3][..], &["Sum"][..]),
        (&[1, 3], &["Sum", "Reshape"]),
        (&[5, 1, 3], &["Sum"]),
        (&[5, 4, 3], &[]),
        (&[], &["Sum"]),
    ] {
        let y = float(&graph, "y", shape);
        let grad = gradients(&[ops::math::add(&x, &y)], &[&y]).unwrap().remove(0).unwrap();
        assert_eq!(grad.shape(), y.shape());
        let scope = grad.operation().name().rsplit_once('/').map_or("", |(scope, _)| scope).to_owned();
        let types: Vec<String> =
            types_in(&graph, &format!("{scope}/")).into_iter().filter(|t| t != "Const").collect();
        if !expected.is_empty() {
            assert_eq!(types, expected, "{shape:?}");
        }
    }
}

#[test]
fn unknown_shapes_are_broadcast_when_the_graph_runs() {
    let graph = Graph::new();
    let x = placeholder(&graph.named("x"), DType::Float32, [None, Some(3)]);
    let y = placeholder(&graph.named("y"), DType::Float32, [None, Some(3)]);
    let grads = gradients(&[mul(&x, &y)], &[&x, &y]).unwrap();
    assert!(grads.iter().all(|grad| grad.as_ref().unwrap().operation().op_type() == "Reshape"));
    let types = types_in(&graph, "gradients/");
    assert!(types.iter().any(|t| t == "BroadcastGradientArgs"), "{types:?}");
    // Against a vector of known size, the unknown one cannot have been repeated.
    let z = float(&graph, "z", &[3]);
    let grads = gradients(&[ops::math::add(&x, &z)], &[&x, &z]).unwrap();
    assert_eq!(grads[0].as_ref().unwrap().operation().op_type(), "Fill");
    assert_eq!(grads[1].as_ref().unwrap().operation().op_type(), "Sum");
}

#[test]
fn an_operation_without_gradient_is_named() {
    let graph = Graph::new();
    let x = float(&graph, "x", &[3]);
    let custom = graph.named("mine").undefined_op("Mystery").input(&x);
    let info = session_core::OutputInfo { dtype: DType::Float32, shape: [3].into(), is_ref: false };
    let y = custom.described_output(info).finish_output();
    let error = gradients(&[y], &[&x]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Key);
    assert!(error.to_string().contains("'mine'") && error.to_string().contains("Mystery"), "{error}");
    // It does not matter when no gradient beyond it is requested.
    let z = float(&graph, "z", &[3]);
    assert!(gradients(&[square(&z)], &[&z]).unwrap()[0].is_some());
}

#[test]
fn gradients_of_unrelated_tensors_are_none_zero_or_errors() {
    let graph = Graph::new();
    let (x, y) = (float(&graph, "x", &[3]), float(&graph, "lonely", &[2, 2]));
    let loss = [square(&x)];
    assert_eq!(gradients(&loss, &[&y]).unwrap(), [None]);
    let zero = GradientOptions::default().unconnected_gradients(UnconnectedGradients::Zero);
    let found = gradients_with(&loss, &[&y], &zero).unwrap().remove(0).unwrap();
    assert_eq!(found.shape(), y.shape());
    let strict = GradientOptions::default().unconnected_gradients(UnconnectedGradients::Error);
    let error = gradients_with(&loss, &[&y], &strict).unwrap_err();
    assert!(error.to_string().contains("'lonely'"), "{error}");
    assert_eq!(gradients(&[stop_gradient(&x)], &[&x]).unwrap(), [None]);
}

#[test]
fn stop_gradients_are_treated_as_constants() {
    let graph = Graph::new();
    let x = float(&graph, "x", &[3]);
    let a = square(&x);
    let options = GradientOptions::default().stop_gradients([a.clone()]);
    let found = gradients_with(&[mul(&a, &x)], &[&x, &a], &options).unwrap();
    assert!(found.iter().all(Option::is_some));
    // x counts only as the factor itself, not through a.
    assert_eq!(found[0].as_ref().unwrap().operation().op_type(), "Mul");
}

#[test]
fn incoming_gradients_must_match_their_outputs() {
    let graph = Graph::new();
    let x = float(&graph, "x", &[3]);
    let y = [square(&x)];
    let with = |grad: Output| GradientOptions::default().grad_ys([Some(grad)]);
    assert!(gradients_with(&y, &[&x], &with(constant(&graph, [1f32, 2.0, 3.0]))).is_ok());
    let error = gradients_with(&y, &[&x], &with(constant(&graph, [1f32, 2.0]))).unwrap_err();
    assert!(error.message().contains("[2]") && error.message().contains("[3]"), "{error}");
    let error = gradients_with(&y, &[&x], &with(constant(&graph, [1f64, 2.0, 3.0]))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Type);
    let integers = placeholder(&graph, DType::Int32, [3]);
    assert_eq!(gradients(&[integers], &[&x]).unwrap_err().kind(), ErrorKind::Type);
}

#[test]
fn gradients_of_an_intermediate_result_are_found() {
    let graph = Graph::new();
    let x = float(&graph, "x", &[3]);
    let a = square(&x);
    let found = gradients(&[square(&a)], &[&a, &x]).unwrap();
    assert!(found.iter().all(Option::is_some));
    assert!(found[0].as_ref().unwrap().name().starts_with("gradients/Square_1_grad/"));
    assert!(found[1].as_ref().unwrap().name().starts_with("gradients/Square_grad/"));
    // Operations that are built on a gradient are not in the gradients' scope.
    let doubled = found[0].as_ref().unwrap() * 2.0;
    assert_eq!(doubled.operation().name(), "Mul");
}

#[test]
fn gated_gradients_wait_for_each_other() {
    let graph = Graph::new();
    let (x, y) = (float(&graph, "x", &[3]), float(&graph, "y", &[3]));
    let options = GradientOptions::default().gate_gradients(true);
    let found = gradients_with(&[mul(&x, &y)], &[&x, &y], &options).unwrap();
    for grad in found {
        assert_eq!(grad.unwrap().operation().control_inputs().len(), 1);
    }
}

#[test]
fn errors_name_the_caller() {
    let graph = Graph::new();
    let x = float(&graph, "x", &[3]);
    let y = ops::array::prevent_gradient(&x, "because");
    let error = gradients(&[y], &[&x]).unwrap_err();
    assert!(error.message().contains("because"));
    let place = error.location().unwrap();
    assert!(place.file().ends_with("gradients_structure.rs"), "{place}");
}

#[test]
fn all_reads_of_a_variable_count() {
    let graph = Graph::new();
    let variable = ops::variables::variable(&graph.named("v"), constant(&graph, [1f32, 2.0]));
    let again = ops::state::read_variable_op(variable.handle(), DType::Float32);
    let loss = reduce_sum(mul(&variable, again), ..);
    let grad = gradients(&[loss], &[&variable]).unwrap().remove(0).unwrap();
    assert_eq!((grad.operation().op_type(), grad.operation().num_inputs()), ("AddN", 2));
    assert_eq!(grad.shape().to_string(), "[2]");
}

#[test]
fn gradients_of_lookups_state_their_rows() {
    use ops::IndexedSlices;
    use ops::nn::embedding_lookup;
    let graph = Graph::new();
    let table = float(&graph, "table", &[100, 8]);
    let words = placeholder(&graph, DType::Int32, [4, 5]);
    let tags = placeholder(&graph, DType::Int32, [7]);
    let loss = reduce_sum(embedding_lookup(&table, &words), ..)
        + reduce_sum(square(embedding_lookup(&table, &tags)), ..);
    let grad = gradients(&[loss], &[&table]).unwrap().remove(0).unwrap();
    assert_eq!(grad.shape(), table.shape());
    let slices = IndexedSlices::of(&grad).unwrap();
    assert_eq!(slices.values.shape().to_string(), "[27,8]");
    assert_eq!(slices.indices.shape().to_string(), "[27]");
    // A table that is used in other ways as well has a dense gradient.
    let loss = reduce_sum(embedding_lookup(&table, &tags), ..) + reduce_sum(&table, ..);
    let grad = gradients(&[loss], &[&table]).unwrap().remove(0).unwrap();
    assert_eq!(IndexedSlices::of(&grad), None);
    graph.finalize().unwrap();
}

#[test]
fn a_constant_has_a_gradient_if_it_is_requested() {
    let graph = Graph::new();
    let x = float(&graph, "x", &[2, 3]);
    let c = constant(&graph.named("c"), [1f32, 2.0, 3.0]);
    for y in [mul(&x, &c), sub(&c, &x), ops::math::squared_difference(&x, &c), ops::math::real_div(&x, &c)] {
        let found = gradients(&[&y], &[&x, &c]).unwrap();
        let shapes: Vec<String> = found.into_iter().map(|grad| grad.unwrap().shape().to_string()).collect();
        assert_eq!(shapes, ["[2,3]", "[3]"]);
        // Nothing is computed for one that is not.
        let before = graph.operations().len();
        let _ = gradients(&[&y], &[&x]).unwrap();
        let added: Vec<String> =
            graph.operations()[before..].iter().map(|operation| operation.op_type().to_owned()).collect();
        assert!(!added.iter().any(|op_type| op_type == "Sum"), "{added:?}");
    }
}
