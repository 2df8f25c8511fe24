//! Values on their way to TensorFlow and back.

use crate::support;
use ops::array::{identity, placeholder};
use ops::math::add;
use ops::variables::{VariableExt, global_variables_initializer, variable};
use session_core::{DType, Engine, Graph, PartialShape, SessionConfig, SessionExt, Tensor};
use tensor::Bytes;

/// Gives back what it is fed.
fn echo(values: &[Tensor]) {
    let Some(engine) = support::engine() else { return };
    let graph = Graph::new();
    let inputs: Vec<_> =
        values.iter().map(|value| placeholder(&graph, value.dtype(), PartialShape::unknown())).collect();
    let outputs: Vec<_> = inputs.iter().map(identity).collect();
    let session = engine.new_session(&graph, "", &SessionConfig::default()).unwrap();
    let feeds: Vec<_> = inputs.iter().cloned().zip(values.iter().cloned()).collect();
    let found = session.run(&outputs, feeds).unwrap();
    assert_eq!(found, values);
}

#[test]
fn every_numeric_dtype_round_trips() {
    let plain = DType::all().filter(|dtype| dtype.is_plain());
    // TensorFlow's identity has no kernels for the exotic 8-bit floats with other zeros.
    let plain = plain.filter(|dtype| !dtype.name().ends_with("fnuz"));
    let values: Vec<Tensor> = plain
        .flat_map(|dtype| {
            [
                Tensor::zeros(dtype, [3, 2]).unwrap(),
                Tensor::zeros(dtype, [0, 5]).unwrap(),
                Tensor::zeros(dtype, [] as [usize; 0]).unwrap(),
                Tensor::zeros(dtype, [100, 40]).unwrap(),
            ]
        })
        .collect();
    echo(&values);
}

#[test]
fn element_order_and_slices_are_preserved() {
    let large: Vec<f32> = (0..5000).map(|i| i as f32).collect();
    let large = Tensor::from_vec(large, [50, 100]).unwrap();
    // Rows share the memory of the whole, at addresses of every alignment.
    let mut values: Vec<Tensor> = (0..10).map(|start| large.rows(start, 40).unwrap()).collect();
    values.push(large);
    values.push(Tensor::from([[true, false], [false, true]]));
    echo(&values);
}

#[test]
fn strings_of_every_length_round_trip() {
    let strings: Vec<Bytes> = (0..200usize)
        .map(|len| (0..len * 3).map(|i| (i * 7 % 256) as u8).collect::<Vec<u8>>().into())
        .collect();
    let strings = Tensor::from_strings(strings, [20, 10]).unwrap();
    echo(&[strings, Tensor::string("one"), Tensor::from_strings(Vec::<Bytes>::new(), [0, 3]).unwrap()]);
}

#[test]
fn fed_and_fetched_tensors_do_not_change_with_variables() {
    let Some(engine) = support::engine() else { return };
    let graph = Graph::new();
    let v = variable(&graph.named("v"), Tensor::full(1.0f32, [4096]));
    let x = placeholder(&graph.named("x"), DType::Float32, [4096]);
    let (assign, grow) = (v.assign(&x), v.assign_add(&x));
    let doubled = add(&x, &x);
    let init = global_variables_initializer(&graph);
    let session = engine.new_session(&graph, "", &SessionConfig::default()).unwrap();
    session.run(&init, ()).unwrap();
    let fed = Tensor::full(3.0f32, [4096]);
    session.run(&assign, [(&x, fed.clone())]).unwrap();
    let fetched = session.run(&v, ()).unwrap();
    for _ in 0..3 {
        session.run(&grow, [(&x, fed.clone())]).unwrap();
    }
    let twice = session.run(&doubled, [(&x, fed.clone())]).unwrap();
    session.close().unwrap();
    drop(session);
    assert_eq!(fed, Tensor::full(3.0f32, [4096]));
    assert_eq!(fetched, Tensor::full(3.0f32, [4096]));
    assert_eq!(twice, Tensor::full(6.0f32, [4096]), "values outlive their session");
}
