//! Gradients and losses where shapes or weights are unusual. The expected values are TensorFlow's.
#![allow(clippy::unwrap_used)] // in a test a panic is the report

use crate::support::{constant, session};
use ops::control_flow::{TensorArray, WhileOptions, while_loop_with};
use ops::losses::{LossOptions, Reduction, mean_squared_error_with, sparse_softmax_cross_entropy_with};
use ops::nn::{Combiner, DataFormat, EmbeddingOptions, bias_add_with, embedding_lookup_sparse};
use ops::parsing::SparseTensor;
use ops::{array, gradients, library, math};
use session_core::{DType, Graph, OpLibrary as _, Output, PartialShape, SessionExt, Tensor};

fn numbers(output: &Output) -> Vec<f32> {
    let value: Tensor = session(&output.graph()).run(output, ()).unwrap();
    value.to_vec().unwrap()
}

#[test]
fn values_and_default_of_a_dense_tensor_have_gradients() {
    let graph = Graph::new();
    let dense = |indices: Tensor, shape: Tensor, values: &Output, default: &Output| {
        let builder = graph.op(library().find("SparseToDense").unwrap());
        let builder = builder.input(constant(&graph, indices)).input(constant(&graph, shape));
        builder.input(values).input(default).finish_output()
    };
    let (values, default) = (constant(&graph, [7.0f32, 8.0]), constant(&graph, 0.5f32));
    let y = dense(Tensor::from([[0i64, 0], [1, 1]]), Tensor::from([2i64, 3]), &values, &default);
    let y = math::mul(y, constant(&graph, [[1.0f32, 2.0, 3.0], [4.0, 5.0, 6.0]]));
    let found = gradients(&[y], &[&values, &default]).unwrap();
    assert_eq!(numbers(found[0].as_ref().unwrap()), [1.0, 5.0]);
    assert_eq!(numbers(found[1].as_ref().unwrap()), [15.0]);
    // One value for the places of a vector.
    let value = constant(&graph, 7.0f32);
    let y = dense(Tensor::from([0i64, 2]), Tensor::from([3i64]), &value, &default);
    let y = math::mul(y, constant(&graph, [1.0f32, 2.0, 4.0]));
    let found = gradients(&[y], &[&value, &default]).unwrap();
    assert_eq!(numbers(found[0].as_ref().unwrap()), [5.0]);
    assert_eq!(numbers(found[1].as_ref().unwrap()), [2.0]);
}

#[test]
fn weights_of_a_loss_do_not_spread_the_losses() {
    let graph = Graph::new();
    let logits = constant(&graph, [[1.0f32, 2.0], [3.0, 4.0]]);
    let weights = LossOptions::default().weights(constant(&graph, [[0.5f32], [2.0]]));
    let columns = constant(&graph, [[0i32], [1]]);
    let found = sparse_softmax_cross_entropy_with(constant(&graph, [0i32, 1]), &logits, &weights);
    assert!((numbers(&found)[0] - 0.641_577).abs() < 1e-6);
    let found = sparse_softmax_cross_entropy_with(columns, &logits, &LossOptions::default());
    assert!((numbers(&found)[0] - 0.813_262).abs() < 1e-6);
    for (losses, weights) in
        [(vec![2], vec![2, 1]), (vec![3, 2], vec![2]), (vec![1, 2], vec![3, 2]), (vec![2, 2], vec![2, 0])]
    {
        let graph = Graph::new();
        let zeros = array::zeros(&graph, DType::Float32, losses);
        let options = LossOptions::default()
            .weights(array::zeros(&graph, DType::Float32, weights))
            .reduction(Reduction::Sum);
        let _ = mean_squared_error_with(&zeros, &zeros, &options);
        let error = graph.check().unwrap_err().to_string();
        assert!(error.contains("weights of shape"), "{error}");
    }
}

#[test]
fn a_bias_of_volumes_with_channels_first_is_added_to_their_channels() {
    let graph = Graph::new();
    let value = array::zeros(&graph, DType::Float32, [1, 3, 2, 1, 2]);
    let bias = constant(&graph, [1.0f32, 2.0, 3.0]);
    let sum = bias_add_with(&value, &bias, DataFormat::Nchw);
    assert_eq!(numbers(&sum), [1.0, 1.0, 1.0, 1.0, 2.0, 2.0, 2.0, 2.0, 3.0, 3.0, 3.0, 3.0]);
    let found = gradients(&[&sum], &[&bias]).unwrap()[0].clone().unwrap();
    assert_eq!(found.shape().to_string(), "[3]");
    assert_eq!(numbers(&found), [4.0, 4.0, 4.0]);
    for (value, bias) in [(vec![2, 3, 4, 5, 6], 4), (vec![2, 3], 3)] {
        let graph = Graph::new();
        let value = array::zeros(&graph, DType::Float32, value);
        let _ = bias_add_with(value, array::zeros(&graph, DType::Float32, [bias]), DataFormat::Nchw);
        graph.check().unwrap_err();
    }
}

#[test]
fn weights_that_spread_the_losses_are_refused_by_the_step_where_the_graph_cannot_tell() {
    type Dims = &'static [usize];
    // The static shape, that of the step, and whether the weights fit; losses of the shape `[2, 1]`.
    let cases: [(PartialShape, Dims, bool); 10] = [
        (PartialShape::unknown(), &[], true),
        (PartialShape::unknown(), &[2, 1], true),
        (PartialShape::unknown(), &[1, 1], true),
        (PartialShape::unknown(), &[2], false),
        (PartialShape::unknown(), &[1], false),
        (PartialShape::unknown(), &[2, 1, 1], false),
        (PartialShape::unknown(), &[2, 2], false),
        (PartialShape::from([None, None]), &[2, 1], true),
        (PartialShape::from([None, None]), &[2, 2], false),
        (PartialShape::from([None, None]), &[1, 1], true),
    ];
    for losses in [PartialShape::unknown(), PartialShape::from([None, Some(1)])] {
        for (declared, dims, fits) in &cases {
            let graph = Graph::new();
            let x = array::placeholder(&graph.named("x"), DType::Float32, losses.clone());
            let weights = array::placeholder(&graph.named("w"), DType::Float32, declared.clone());
            let options = LossOptions::default().weights(&weights).reduction(Reduction::Sum);
            let loss = mean_squared_error_with(&x, array::zeros_like(&x), &options);
            let w = Tensor::full(1.0f32, dims.to_vec());
            let fed = [(&x, Tensor::from([[1.0f32], [2.0]])), (&weights, w)];
            let result: Result<Tensor, _> = session(&graph).run(&loss, fed);
            match result {
                Ok(loss) => assert!(*fits && loss.value::<f32>().unwrap() == 5.0, "{declared} {dims:?}"),
                Err(error) => {
                    let error = error.to_string();
                    assert!(!fits, "{declared} {dims:?}: {error}");
                    assert!(error.contains("weights do not fit the losses"), "{declared} {dims:?}: {error}");
                }
            }
        }
    }
}

#[test]
fn examples_whose_weights_add_up_to_zero_have_rows_of_zeros() {
    let graph = Graph::new();
    let table = constant(&graph, [[1.0f32, 2.0], [3.0, 4.0], [5.0, 6.0]]);
    let sparse = |indices: Tensor, values: Tensor, shape: Tensor| SparseTensor {
        indices: constant(&graph, indices),
        values: constant(&graph, values),
        dense_shape: constant(&graph, shape),
    };
    let (indices, shape) = (Tensor::from([[0i64, 0], [2, 0]]), Tensor::from([3i64, 1]));
    let ids = sparse(indices.clone(), Tensor::from([0i64, 1]), shape.clone());
    let weights = sparse(indices, Tensor::from([1.0f32, 2.0]), shape);
    for combiner in [Combiner::Mean, Combiner::SqrtN] {
        let options = EmbeddingOptions::default().combiner(combiner);
        let found = embedding_lookup_sparse(&[&table], &ids, Some(&weights), &options);
        assert_eq!(numbers(&found), [1.0, 2.0, 0.0, 0.0, 3.0, 4.0]);
    }
    let (indices, shape) = (Tensor::from([[0i64, 0], [0, 1]]), Tensor::from([1i64, 2]));
    let ids = sparse(indices.clone(), Tensor::from([0i64, 1]), shape.clone());
    let weights = sparse(indices, Tensor::from([1.0f32, -1.0]), shape);
    let found = embedding_lookup_sparse(&[&table], &ids, Some(&weights), &EmbeddingOptions::default());
    assert_eq!(numbers(&found), [0.0, 0.0]);
}

#[test]
fn elements_of_different_shapes_have_their_own_gradients() {
    let graph = Graph::new();
    let (a, b) = (constant(&graph, [1.0f32, 2.0]), constant(&graph, [3.0f32, 4.0, 5.0]));
    let list =
        TensorArray::new(&graph, DType::Float32, 2, PartialShape::from([None])).write(0, &a).write(1, &b);
    let factor = |number: f32| constant(&graph, number);
    let (second, first) = (math::mul(list.read(1), factor(3.0)), math::mul(list.read(0), factor(2.0)));
    let found = gradients(&[second, first], &[&a, &b]).unwrap();
    assert_eq!(numbers(found[0].as_ref().unwrap()), [2.0, 2.0]);
    assert_eq!(numbers(found[1].as_ref().unwrap()), [3.0, 3.0, 3.0]);
    let found = gradients(&[math::mul(list.gather([0]), factor(2.0))], &[&a, &b]).unwrap();
    assert_eq!(numbers(found[0].as_ref().unwrap()), [2.0, 2.0]);
    assert_eq!(numbers(found[1].as_ref().unwrap()), [0.0, 0.0, 0.0]);
    let found = gradients(&[math::mul(list.gather([0, 0]), factor(2.0))], &[&a]).unwrap();
    assert_eq!(numbers(found[0].as_ref().unwrap()), [4.0, 4.0]);
}

#[test]
fn a_variable_that_a_loop_overwrites_with_another_shape_passes_zeros_on() {
    let graph = Graph::new();
    let x = constant(&graph, [0.0f32, 1.0, 2.0, 3.0, 4.0]);
    let options = WhileOptions::new().shape_invariants([PartialShape::scalar(), PartialShape::from([None])]);
    let start = (constant(&graph, 0i32), array::zeros(&graph, DType::Float32, [4]));
    let (_, last) = while_loop_with(
        &graph,
        |graph, (i, _): &(Output, Output)| math::less(i, constant(graph, 3i32)),
        |graph, (i, _)| {
            let next = math::add(&i, constant(graph, 1i32));
            let part = array::slice(x.within(graph), [0], array::reshape(&next, [1]));
            (next, math::mul(part, constant(graph, 2.0f32)))
        },
        start,
        &options,
    );
    let found = gradients(&[math::reduce_sum(last, ..)], &[&x]).unwrap()[0].clone().unwrap();
    assert_eq!(numbers(&found), [2.0, 2.0, 2.0, 0.0, 0.0]);
}
