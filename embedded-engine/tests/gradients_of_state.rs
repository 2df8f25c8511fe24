//! Gradients of operations that the table of samples has no place for: of variables, optional values and random numbers.
#![allow(clippy::unwrap_used)] // in a test a panic is the report

use embedded_engine::EmbeddedEngine;
use ops::variables::variable;
use ops::{array, gradients, library, math, state};
use session_core::{
    AttrValue, DType, Engine, Graph, OpLibrary as _, Output, PartialShape, Session, SessionConfig,
    SessionExt, Tensor,
};
use std::sync::Arc;

fn session(graph: &Graph) -> Arc<dyn Session> {
    graph.check().unwrap();
    EmbeddedEngine::new().new_session(graph, "", &SessionConfig::with_threads(1)).unwrap()
}

#[test]
fn slices_of_a_variable_that_are_read_twice_have_both_gradients() {
    let graph = Graph::new();
    let start = array::constant(&graph, Tensor::from([[1.0f64, 2.0], [3.0, 4.0], [5.0, 6.0]]));
    let table = variable(&graph.named("table"), start);
    for (indices, expected) in [
        (Tensor::from([[2i32], [0], [2]]), vec![3.0, 3.0, 0.0, 0.0, 14.0, 14.0]),
        (Tensor::from([[1i32, 1], [0, 1], [1, 1]]), vec![0.0, 3.0, 0.0, 6.0, 0.0, 0.0]),
    ] {
        let read =
            state::resource_gather_nd(table.handle(), array::constant(&graph, indices), DType::Float64);
        let shape = read.shape().sizes().unwrap();
        let weights: &[f64] = if shape.len() == 2 { &[5.0, 3.0, 9.0] } else { &[1.0, 3.0, 5.0] };
        let weights = array::constant(&graph, Tensor::from(weights.to_vec()));
        let weights = if shape.len() == 2 { array::expand_dims(weights, 1) } else { weights };
        let found = gradients(&[math::mul(read, weights)], &[&table]).unwrap()[0].clone().unwrap();
        assert_eq!(found.shape().to_string(), "[3,2]");
        let session = session(&graph);
        session.run(table.initializer(), ()).unwrap();
        let found: Tensor = session.run(&found, ()).unwrap();
        assert_eq!(found.to_vec::<f64>().unwrap(), expected);
    }
}

/// `x` squared, through an optional value next to a number that has no gradient.
fn through_optional(x: &Output, used: usize) -> Output {
    let graph = x.graph();
    let op = |name: &str| graph.op(library().find(name).unwrap());
    let other = array::constant(&graph, [7i32]);
    let more = math::square(x);
    let packed = op("OptionalFromValue").input_list([&more, &other, x]).finish_output();
    let types = vec![DType::Float64, DType::Int32, DType::Float64];
    let shape = || AttrValue::Shape(PartialShape::unknown());
    let shapes = AttrValue::List(vec![shape(), shape(), shape()]);
    let taken =
        op("OptionalGetValue").input(packed).attr("output_types", types).attr("output_shapes", shapes);
    taken.finish().output(used)
}

#[test]
fn gradients_go_through_optional_values() {
    let graph = Graph::new();
    let x = array::constant(&graph, [2.0f64, -3.0]);
    let first = gradients(&[through_optional(&x, 0)], &[&x]).unwrap()[0].clone().unwrap();
    let second = gradients(&[through_optional(&x, 2)], &[&x]).unwrap()[0].clone().unwrap();
    let found = session(&graph).run(&(&first, &second), ()).unwrap();
    assert_eq!(found.0.to_vec::<f64>().unwrap(), [4.0, -6.0]);
    assert_eq!(found.1.to_vec::<f64>().unwrap(), [1.0, 1.0]);
}

#[test]
fn the_mean_of_gamma_samples_moves_with_their_shape() {
    let graph = Graph::new();
    let alpha = array::constant(&graph, [0.4f64, 2.5, 30.0]);
    let builder = graph.op(library().find("RandomGamma").unwrap()).constant([20_000i32]).input(&alpha);
    let samples = builder.attr("seed", 7i64).attr("seed2", 1i64).finish_output();
    let mean = math::reduce_mean(&samples, 0);
    let found = gradients(&[&mean], &[&alpha]).unwrap()[0].clone().unwrap();
    assert_eq!(found.shape().to_string(), "[3]");
    // The mean of a gamma distribution of scale 1 is its shape.
    let found: Tensor = session(&graph).run(&found, ()).unwrap();
    for slope in found.to_vec::<f64>().unwrap() {
        assert!((slope - 1.0).abs() < 0.03, "{slope}");
    }
}

#[test]
fn a_gamma_sample_keeps_its_probability_when_the_shape_moves() {
    let graph = Graph::new();
    let numbers =
        [(0.05f64, 1e-6), (0.05, 0.9), (0.5, 3.0), (1.0, 0.01), (4.0, 2.0), (70.0, 95.0), (900.0, 880.0)];
    let a = array::constant(&graph, Tensor::from(numbers.iter().map(|(a, _)| *a).collect::<Vec<_>>()));
    let x = array::constant(&graph, Tensor::from(numbers.iter().map(|(_, x)| *x).collect::<Vec<_>>()));
    let slope = graph.op(library().find("RandomGammaGrad").unwrap()).input(&a).input(&x).finish_output();
    let at = |step: f64| math::igamma(&a + step, &x + &(&slope * step));
    let (before, after) = (at(-1e-6), at(1e-6));
    let found = session(&graph).run(&(&before, &after, &slope), ()).unwrap();
    let [before, after] = [found.0, found.1].map(|tensor| tensor.to_vec::<f64>().unwrap());
    for ((number, before), after) in numbers.iter().zip(before).zip(after) {
        // The remaining error is of third order in the step.
        assert!((before - after).abs() < 1e-9 * before, "{number:?}: {before} {after}");
    }
}
