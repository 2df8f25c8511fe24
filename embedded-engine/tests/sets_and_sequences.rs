//! Set operations and connectionist temporal classification: TensorFlow 2.21's values.
#![allow(clippy::unwrap_used)] // a panic is the report

use embedded_engine::EmbeddedEngine;
use ops::array::{constant, placeholder};
use ops::nn::ctc_loss;
use ops::sets::{SetOperation, set_operation};
use session_core::{Code, DType, Engine, Fetch, Graph, OpLibrary, SessionConfig, SessionExt, Tensor};

fn run<F: Fetch>(graph: &Graph, fetch: F) -> session_core::Result<F::Value> {
    EmbeddedEngine::new().new_session(graph, "", &SessionConfig::default())?.run(fetch, ())
}

/// Indices, values and shape of what an operation makes of two fixed sets of sets.
fn combined(operation: SetOperation) -> (Vec<i64>, Vec<i32>, Vec<i64>) {
    let graph = Graph::new();
    let a = Tensor::from_vec(vec![1, 2, 3, 3, 5, 5, 6, 4], [2, 2, 2]).unwrap();
    let b = Tensor::from_vec(vec![2, 7, 2, 3, 1, 3, 9, 9, 9, 4, 6, 8], [2, 2, 3]).unwrap();
    let [indices, values, shape] = set_operation(constant(&graph, a), constant(&graph, b), operation);
    let (indices, values, shape) = run(&graph, (&indices, &values, &shape)).unwrap();
    assert_eq!(indices.shape().dims(), [values.elements(), 3]);
    (indices.to_vec().unwrap(), values.to_vec().unwrap(), shape.to_vec().unwrap())
}

#[test]
fn sets_are_taken_along_the_last_axis() {
    let (indices, values, shape) = combined(SetOperation::FirstMinusSecond);
    assert_eq!((indices, values, shape), (vec![0, 0, 0, 1, 0, 0], vec![1, 5], vec![2, 2, 1]));
    let (_, values, shape) = combined(SetOperation::SecondMinusFirst);
    assert_eq!((values, shape), (vec![7, 1, 9, 8], vec![2, 2, 1]));
    let (indices, values, shape) = combined(SetOperation::Intersection);
    assert_eq!((values, shape), (vec![2, 3, 4, 6], vec![2, 2, 2]));
    assert_eq!(indices, [0, 0, 0, 0, 1, 0, 1, 1, 0, 1, 1, 1]);
    let (_, values, shape) = combined(SetOperation::Union);
    assert_eq!((values, shape), (vec![1, 2, 7, 1, 3, 5, 9, 4, 6, 8], vec![2, 2, 3]));
}

/// Four frames of three examples with three classes and the blank.
fn frames() -> Tensor {
    let values = (0..48).map(|i| (i * 7 % 11) as f32 / 5.0).collect();
    Tensor::from_vec(values, [4, 3, 4]).unwrap()
}

fn losses(lengths: [i32; 3]) -> session_core::Result<(Vec<f32>, Vec<f32>)> {
    let graph = Graph::new();
    let inputs = placeholder(&graph, DType::Float32, [4, 3, 4]);
    let indices = Tensor::from_vec(vec![0i64, 0, 0, 1, 1, 0, 2, 0, 2, 1], [5, 2]).unwrap();
    let indices = constant(&graph, indices);
    let values = constant(&graph, vec![1i32, 2, 0, 1, 1]);
    let loss = ctc_loss(&inputs, &indices, &values, constant(&graph, lengths.to_vec()));
    let gradient = ops::gradients(&[&loss], &[&inputs])?.remove(0).unwrap();
    let session = EmbeddedEngine::new().new_session(&graph, "", &SessionConfig::default())?;
    let (loss, gradient) = session.run((&loss, &gradient), [(&inputs, frames())])?;
    Ok((loss.to_vec::<f32>().unwrap(), gradient.to_vec::<f32>().unwrap()))
}

#[test]
fn ctc_losses_and_their_gradients_are_tensorflows() {
    let (loss, gradient) = losses([4, 3, 4]).unwrap();
    for (found, expected) in loss.iter().zip([3.20487, 2.81697, 3.44562]) {
        assert!((found - expected).abs() < 1e-5, "{loss:?}");
    }
    // Of the third example, frame by frame.
    let expected = [
        0.12994, -0.43855, 0.23676, 0.071848, 0.40487, -0.02367, 0.081741, -0.46294, 0.24449, -0.37288,
        0.44549, -0.3171, 0.070095, -0.40407, 0.12772, 0.20626,
    ];
    for (i, expected) in expected.into_iter().enumerate() {
        let found = gradient[(i / 4 * 3 + 2) * 4 + i % 4];
        assert!((found - expected).abs() < 1e-5, "{i}: {found} is not {expected}");
    }
    // The second example has three frames only.
    assert_eq!(gradient[(3 * 3 + 1) * 4..][..4], [0.0; 4]);
}

/// `CTCLossV2` has the blank first, and the other classes one place later. TensorFlow runs it on GPUs only, so it is compared with `CTCLoss`.
#[test]
fn the_second_ctc_loss_is_the_first_with_the_blank_in_front() {
    let (first, first_gradient) = losses([4, 3, 4]).unwrap();
    let graph = Graph::new();
    let inputs = placeholder(&graph, DType::Float32, [4, 3, 4]);
    let indices = Tensor::from_vec(vec![0i64, 0, 0, 1, 1, 0, 2, 0, 2, 1], [5, 2]).unwrap();
    let builder = graph.op(OpLibrary::find(ops::library(), "CTCLossV2").unwrap()).input(&inputs);
    let builder = builder.constant(indices).constant(vec![2i32, 3, 1, 2, 2]).constant(vec![4i32, 3, 4]);
    let loss = builder.finish().output(0);
    let gradient = ops::gradients(&[&loss], &[&inputs]).unwrap().remove(0).unwrap();
    let session = EmbeddedEngine::new().new_session(&graph, "", &SessionConfig::default()).unwrap();
    let mut turned = frames().to_vec::<f32>().unwrap();
    turned.chunks_exact_mut(4).for_each(|classes| classes.rotate_right(1));
    let turned = Tensor::from_vec(turned, [4, 3, 4]).unwrap();
    let (loss, gradient) = session.run((&loss, &gradient), [(&inputs, turned)]).unwrap();
    assert_eq!(loss.to_vec::<f32>().unwrap(), first);
    let mut gradient = gradient.to_vec::<f32>().unwrap();
    gradient.chunks_exact_mut(4).for_each(|classes| classes.rotate_left(1));
    for (found, expected) in gradient.iter().zip(&first_gradient) {
        assert!((found - expected).abs() < 1e-6, "{gradient:?}, {first_gradient:?}");
    }
}

#[test]
fn too_few_frames_for_the_labels_are_an_error_and_for_their_blanks_an_infinite_loss() {
    // The third example has one label twice, which needs a blank in between; TensorFlow counts the labels.
    assert_eq!(losses([4, 3, 2]).unwrap().0[2], f32::INFINITY);
    let error = losses([4, 3, 1]).unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument);
    assert!(error.message().contains("required: 2, available: 1"), "{error}");
}
