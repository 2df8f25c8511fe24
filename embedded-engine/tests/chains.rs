//! Elementwise operations that run in one pass, and products that are added to others, have the bits, shapes and
//! errors of those that run one by one.
#![allow(clippy::unwrap_used)] // a panic is the report

use crate::graphs;
use embedded_engine::EmbeddedEngine;
use ops::array::{constant, placeholder};
use ops::keep_dims;
use ops::math::{MatMulOptions, add_n, matmul_with, reduce_mean, reduce_sum, rsqrt, sigmoid, square, tanh};
use ops::nn::relu;
use session_core::{
    Code, DType, Engine, Graph, Output, PartialShape, RunMetadata, RunOptions, Session, SessionConfig,
    SessionExt, Tensor,
};
use std::sync::Arc;

fn session(graph: &Graph, threads: usize, optimize: bool) -> Arc<dyn Session> {
    let config = SessionConfig::with_threads(threads).optimize(optimize);
    EmbeddedEngine::new().new_session(graph, "", &config).unwrap()
}

fn floats(shape: [usize; 2], seed: usize) -> Tensor {
    let value = |i: usize| ((i * 7919 + seed * 104_729) % 1009) as f32 / 251.0 - 2.0;
    Tensor::from_vec((0..shape[0] * shape[1]).map(value).collect::<Vec<f32>>(), shape).unwrap()
}

/// The operations that ran as one, of those that did.
fn joined(session: &Arc<dyn Session>, fetches: &[Output], feeds: &[(Output, Tensor)]) -> Vec<String> {
    let mut metadata = RunMetadata::default();
    session.run_with(fetches, feeds.to_vec(), &RunOptions::with_full_trace(), Some(&mut metadata)).unwrap();
    metadata.step_stats.into_iter().map(|stats| stats.op_type).filter(|name| name.contains('+')).collect()
}

fn bits(values: &[Tensor]) -> Vec<(Vec<usize>, Vec<u32>)> {
    let of = |tensor: &Tensor| {
        let values = tensor.as_slice::<f32>().unwrap();
        (tensor.shape().to_vec(), values.iter().map(|value| value.to_bits()).collect())
    };
    values.iter().map(of).collect()
}

/// The fetched values on one and two threads, twice each; as they are without any joining.
fn agree(graph: &Graph, fetches: &[Output], feeds: &[(Output, Tensor)]) {
    let expected = session(graph, 1, false).run(fetches, feeds.to_vec()).unwrap();
    for threads in [1, 2] {
        let session = session(graph, threads, true);
        for _ in 0..2 {
            let found = session.run(fetches, feeds.to_vec()).unwrap();
            assert_eq!(bits(&found), bits(&expected));
        }
    }
}

/// `x`, and an expression with a row, a column, a number, a value that is used twice and a sum of several.
fn model(graph: &Graph) -> (Output, Output) {
    let x = placeholder(&graph.named("x"), DType::Float32, [None, Some(64)]);
    let row = placeholder(&graph.named("row"), DType::Float32, [Some(64)]);
    let mean = reduce_mean(&x, keep_dims(1));
    let centered = &x - &mean;
    let scaled = &centered * rsqrt(reduce_mean(square(&centered), keep_dims(1)) + 1e-3f32);
    let gate = sigmoid(&scaled * &row + 0.5f32);
    let y = add_n(&[tanh(&scaled) * &gate, &gate * &gate, &x * 2.0f32]);
    (x, y)
}

fn feeds(graph: &Graph, rows: usize) -> Vec<(Output, Tensor)> {
    let of = |name: &str| graph.output(name).unwrap();
    vec![(of("x:0"), floats([rows, 64], 1)), (of("row:0"), floats([1, 64], 2).reshaped([64]).unwrap())]
}

#[test]
fn chains_have_the_bits_of_their_operations() {
    let graph = Graph::new();
    let (_, y) = model(&graph);
    for rows in [0, 1, 2, 300] {
        agree(&graph, std::slice::from_ref(&y), &feeds(&graph, rows));
    }
    let names = joined(&session(&graph, 1, true), &[y], &feeds(&graph, 8));
    assert!(names.iter().any(|name| name.contains("Tanh") && name.ends_with("AddN")), "{names:?}");
}

#[test]
fn chains_provide_values_for_gradients_and_fetches() {
    let graph = Graph::new();
    let (x, y) = model(&graph);
    let loss = reduce_sum(square(&y), ..);
    let gradient = ops::gradients(&[&loss], &[&x]).unwrap().remove(0).unwrap();
    agree(&graph, &[loss.clone(), gradient.clone()], &feeds(&graph, 40));
    let tanh = graph.output("Tanh:0").unwrap();
    agree(&graph, &[tanh.clone(), gradient, y.clone(), tanh.clone()], &feeds(&graph, 40));
    // A value in the middle that comes out, and one that is fed.
    let names = joined(&session(&graph, 1, true), &[y.clone(), tanh.clone()], &feeds(&graph, 8));
    assert!(names.iter().any(|name| name.contains("Tanh") && name.ends_with("AddN")), "{names:?}");
    let fed = [feeds(&graph, 3), vec![(tanh, floats([3, 64], 5))]].concat();
    agree(&graph, &[y], &fed);
}

#[test]
fn shapes_known_only_at_run_time_are_handled() {
    let graph = Graph::new();
    let [a, b, c] = ["a", "b", "c"].map(|name| placeholder(&graph.named(name), DType::Float32, [None, None]));
    let y = tanh(&(&a + &b) * &c) - &a;
    for [x, y_shape, z] in [
        [[2, 3], [2, 3], [2, 3]],
        [[2, 1], [1, 3], [1, 1]],
        [[2, 1], [2, 1], [2, 300]],
        [[1, 300], [4, 300], [4, 1]],
        [[0, 3], [0, 3], [1, 3]],
    ] {
        let feeds = [(a.clone(), floats(x, 1)), (b.clone(), floats(y_shape, 2)), (c.clone(), floats(z, 3))];
        agree(&graph, std::slice::from_ref(&y), &feeds);
    }
}

#[test]
fn an_error_in_a_chain_names_its_operation() {
    let graph = Graph::new();
    let a = placeholder(&graph.named("a"), DType::Float32, [None, None]);
    let b = placeholder(&graph.named("b"), DType::Float32, [None, None]);
    let first = tanh(&a);
    let sum = &first + &b;
    let y = tanh(&sum);
    for optimize in [false, true] {
        let session = session(&graph, 1, optimize);
        let feeds = [(a.clone(), floats([2, 3], 1)), (b.clone(), floats([2, 4], 2))];
        let error = session.run(&y, feeds).unwrap_err();
        assert_eq!((error.code(), error.node()), (Code::InvalidArgument, Some("AddV2")), "{error}");
    }
}

#[test]
fn a_recurrent_net_of_tensorflow_1_runs_the_same() {
    let graph = graphs::import("dynamic_lstm").unwrap();
    let inputs =
        Tensor::from_vec((0..2 * 5 * 3).map(|i| i as f32 / 9.0).collect::<Vec<_>>(), [2, 5, 3]).unwrap();
    let feeds = [
        (graph.output("x:0").unwrap(), inputs),
        (graph.output("lengths:0").unwrap(), Tensor::from([5i32, 3])),
    ];
    let out = graph.output("rnn/while/Exit_2:0").unwrap();
    let run = |optimize: bool| {
        let session = session(&graph, 1, optimize);
        session.run(&graph.operation("initialize_all").unwrap(), ()).unwrap();
        session.run(&out, feeds.clone()).unwrap()
    };
    assert_eq!(bits(&[run(true)]), bits(&[run(false)]));
}

/// Products `[rows, inner] x [inner, 24]` of placeholders, the first operand of one possibly transposed.
fn products(graph: &Graph, count: usize, inner: usize) -> (Vec<Output>, Vec<(Output, Tensor)>) {
    let mut feeds = Vec::new();
    let mut operand = |name: String, shape: [usize; 2]| {
        let operand = placeholder(&graph.named(name.as_str()), DType::Float32, shape);
        feeds.push((operand.clone(), floats(shape, feeds.len() + 1)));
        operand
    };
    let products = (0..count).map(|i| {
        let left = operand(format!("a{i}"), [inner, 40]);
        let right = operand(format!("b{i}"), [inner, 24]);
        matmul_with(left, right, MatMulOptions::default().transpose_a(true))
    });
    (products.collect(), feeds)
}

#[test]
fn sums_of_products_have_the_bits_of_their_operations() {
    // One step of a sum, one stretch, and three.
    for inner in [1, 40, 700] {
        let graph = Graph::new();
        let (products, feeds) = products(&graph, 4, inner);
        let sum = add_n(&products);
        agree(&graph, std::slice::from_ref(&sum), &feeds);
        let names = joined(&session(&graph, 1, true), &[sum], &feeds);
        assert_eq!(names, ["MatMul+AddN"], "the others add to the one before");
    }
}

#[test]
fn a_sum_of_products_keeps_what_others_need() {
    let graph = Graph::new();
    let (products, feeds) = products(&graph, 3, 40);
    let sum = add_n(&products);
    // A summand that is fetched is not overwritten, whichever it is.
    for summand in &products {
        agree(&graph, &[sum.clone(), summand.clone()], &feeds);
    }
    // The order of the graph is not that of the sum.
    let turned: Vec<Output> = products.iter().rev().cloned().collect();
    agree(&graph, &[add_n(&turned)], &feeds);
    // A summand that is no product, first and last; a product that is added to itself.
    let other = tanh(&products[2]);
    for summands in [[&other, &products[0], &products[1]], [&products[0], &products[1], &other]] {
        agree(&graph, &[add_n(&summands.map(Clone::clone))], &feeds);
    }
    agree(&graph, &[&products[0] + &products[0]], &feeds);
    agree(&graph, &[add_n(&[products[1].clone(), products[1].clone()])], &feeds);
}

#[test]
fn a_product_is_added_to_a_matrix_of_any_origin() {
    let graph = Graph::new();
    let (products, mut feeds) = products(&graph, 2, 40);
    let fed = placeholder(&graph.named("fed"), DType::Float32, [40, 24]);
    let unknown = placeholder(&graph.named("unknown"), DType::Float32, PartialShape::unknown());
    let constant = constant(&graph, floats([40, 24], 9));
    feeds.push((fed.clone(), floats([40, 24], 10)));
    let sums = [
        (&products[0] + &products[1], "MatMul+AddV2"),
        (&fed + &products[0], "MatMul+AddV2"),
        (&products[0] + tanh(&fed), "MatMul+AddV2"),
        // Relu follows, which only a bias lets into the product.
        (relu(&tanh(&fed) + &products[0]), "MatMul+AddV2"),
    ];
    for (sum, name) in sums {
        agree(&graph, std::slice::from_ref(&sum), &feeds);
        assert_eq!(joined(&session(&graph, 1, true), &[sum], &feeds), [name]);
    }
    let sum = &constant + &products[0];
    agree(&graph, std::slice::from_ref(&sum), &feeds);
    assert!(joined(&session(&graph, 1, true), &[sum], &feeds).is_empty(), "all steps share the constant");
    for shape in [vec![40, 24], vec![1, 24], vec![24], vec![40, 1], vec![], vec![2, 1, 1]] {
        let value = floats([shape.iter().product(), 1], 11).reshaped(shape).unwrap();
        let feeds = [feeds.clone(), vec![(unknown.clone(), value)]].concat();
        agree(&graph, &[&unknown + &products[0], &products[1] + &unknown], &feeds);
    }
}

#[test]
fn an_error_of_a_fused_sum_names_the_addition() {
    let graph = Graph::new();
    let (products, feeds) = products(&graph, 1, 40);
    let unknown = placeholder(&graph.named("unknown"), DType::Float32, PartialShape::unknown());
    let sums = [(&products[0] + &unknown, "AddV2"), (add_n(&[unknown.clone(), products[0].clone()]), "AddN")];
    let feeds = [feeds, vec![(unknown, floats([3, 24], 1))]].concat();
    for (sum, name) in sums {
        let run = |optimize| session(&graph, 1, optimize).run(&sum, feeds.clone()).unwrap_err();
        let (apart, fused) = (run(false), run(true));
        assert_eq!((fused.code(), fused.node()), (Code::InvalidArgument, Some(name)), "{fused}");
        assert_eq!(fused.to_string(), apart.to_string());
    }
}
