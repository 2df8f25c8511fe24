//! Parts of models that go through several crates, in a session.
#![allow(clippy::unwrap_used)] // in a test a panic is the report

use embedded_engine::EmbeddedEngine;
use ops::initializers::{glorot_uniform, orthogonal_initializer};
use ops::optimizers::{AdamOptimizer, GradientDescentOptimizer, Optimizer};
use ops::parsing::SparseTensor;
use ops::variables::{
    VariableBuilder, fixed_size_partitioner, get_partitioned_variable, get_variable, global_variables,
    global_variables_initializer,
};
use ops::{IndexedSlices, SparseTensorValue, array, global_step, gradients, learning_rate, math, nn};
use session_core::keys::{GLOBAL_STEP, TRAINABLE_VARIABLES};
use session_core::{
    Code, DType, Engine, Function, Graph, Output, OutputInfo, PartialShape, Session, SessionConfig,
    SessionExt, Tensor,
};
use std::sync::Arc;

fn session(graph: &Graph) -> Arc<dyn Session> {
    graph.check().unwrap();
    EmbeddedEngine::new().new_session(graph, "", &SessionConfig::with_threads(1)).unwrap()
}

fn assert_close(found: &Tensor, expected: &[f32]) {
    let found = found.to_vec::<f32>().unwrap();
    assert_eq!(found.len(), expected.len());
    let near = found.iter().zip(expected).all(|(a, b)| (a - b).abs() <= 2e-6);
    assert!(near, "{found:?} is not {expected:?}");
}

#[test]
fn orthogonal_initial_values_are_tensorflows() {
    let graph = Graph::new();
    graph.set_random_seed(7);
    let tall = get_variable(&graph, "w", [5, 3], DType::Float32, &orthogonal_initializer().gain(1.5).seed(3));
    let wide = get_variable(&graph, "w2", [2, 2, 5], DType::Float32, &orthogonal_initializer().seed(4));
    let names: Vec<String> = graph.operations().iter().map(|op| op.name().to_owned()).collect();
    for name in ["w/Initializer/Qr", "w/Initializer/DiagPart", "w/Initializer/Reshape", "w/Initializer/mul_1"]
    {
        assert!(names.iter().any(|known| known == name), "{names:?}");
    }
    let init = global_variables_initializer(&graph);
    let session = session(&graph);
    session.run(&init, ()).unwrap();
    // TensorFlow 2.21 returns this for these seeds.
    let expected = [
        0.677_472_35,
        -0.913_861_16,
        0.263_920_5,
        0.934_642_73,
        0.537_312_87,
        -0.581_811,
        0.633_068_56,
        -0.704_334_7,
        -0.218_941_99,
        0.288_478_26,
        0.194_715_59,
        1.326_728_7,
        -0.658_391_2,
        -0.769_513_6,
        -0.183_567_97,
    ];
    assert_close(&session.run(&tall, ()).unwrap(), &expected);
    // Its rows are orthogonal to each other, since there are fewer of them.
    let flat = session.run(&wide, ()).unwrap().to_vec::<f32>().unwrap();
    for (i, a) in flat.chunks(5).enumerate() {
        for (j, b) in flat.chunks(5).enumerate() {
            let product: f32 = a.iter().zip(b).map(|(a, b)| a * b).sum();
            assert!((product - if i == j { 1.0 } else { 0.0 }).abs() < 1e-5, "{i} {j}: {product}");
        }
    }
}

/// A function `x^2 * y`.
fn square_times(name: &str) -> Function {
    let body = Graph::new();
    let x = array::placeholder(&body.named("x"), DType::Float32, PartialShape::scalar());
    let y = array::placeholder(&body.named("y"), DType::Float32, PartialShape::scalar());
    let product = math::square(&x) * &y;
    Function::new(name, &body, [x, y], [("z".to_owned(), product)]).unwrap()
}

fn called(graph: &Graph, function: &str, inputs: [&Output; 2]) -> Output {
    let result = OutputInfo { dtype: DType::Float32, shape: PartialShape::scalar(), is_ref: false };
    let builder = graph.undefined_op(function).input(inputs[0]).input(inputs[1]);
    builder.described_output(result).finish_output()
}

#[test]
fn gradients_go_through_functions_with_and_without_a_gradient_of_their_own() {
    let graph = Graph::new();
    graph.add_function(square_times("plain")).unwrap();
    graph.add_function(square_times("registered").with_gradient("its_gradient")).unwrap();
    let body = Graph::new();
    let arguments: Vec<Output> =
        (0..3).map(|_| array::placeholder(&body, DType::Float32, PartialShape::scalar())).collect();
    let (dx, dy) = (&arguments[2] * 100.0, &arguments[2] * 1000.0);
    let outputs = [("dx".to_owned(), dx), ("dy".to_owned(), dy)];
    graph.add_function(Function::new("its_gradient", &body, arguments, outputs).unwrap()).unwrap();
    let x = array::placeholder(&graph.named("x"), DType::Float32, PartialShape::scalar());
    let y = array::placeholder(&graph.named("y"), DType::Float32, PartialShape::scalar());
    let (plain, registered) = (called(&graph, "plain", [&x, &y]), called(&graph, "registered", [&x, &y]));
    let of = |z: &Output| -> Vec<Output> {
        gradients(std::slice::from_ref(z), &[&x, &y]).unwrap().into_iter().map(Option::unwrap).collect()
    };
    let (first, second) = (of(&plain), of(&registered));
    assert_eq!(first[0].operation().op_type(), "SymbolicGradient");
    let session = session(&graph);
    let run = |grads: &Vec<Output>| -> Vec<f32> {
        let values = session.run(grads, [(&x, 2.0f32), (&y, 3.0)]).unwrap();
        values.iter().map(|value| value.value().unwrap()).collect()
    };
    assert_eq!(run(&first), [12.0, 4.0]);
    assert_eq!(run(&second), [100.0, 1000.0]);
}

#[test]
fn sparse_tensors_and_rows_are_fetched_and_fed() {
    let graph = Graph::new();
    let sparse = SparseTensor {
        indices: array::placeholder(&graph, DType::Int64, [None, Some(2)]),
        values: array::placeholder(&graph, DType::Float32, [None]),
        dense_shape: array::placeholder(&graph, DType::Int64, [2]),
    };
    let doubled = SparseTensor { values: &sparse.values * 2.0, ..sparse.clone() };
    let table = get_variable(&graph, "table", [4, 2], DType::Float32, &glorot_uniform());
    let ids = array::constant(&graph, [3i32, 1]);
    let loss = math::reduce_sum(nn::embedding_lookup(&table, ids), ..);
    let gradient = gradients(&[loss], &[&table]).unwrap().remove(0).unwrap();
    let rows = IndexedSlices::of(&gradient).unwrap();
    let session = session(&graph);
    let value = SparseTensorValue {
        indices: Tensor::from([[0i64, 1], [2, 0]]),
        values: Tensor::from([1.0f32, 2.5]),
        dense_shape: Tensor::from([3i64, 2]),
    };
    session.run(&global_variables_initializer(&graph), ()).unwrap();
    let (sparse_found, rows_found) = session.run((&doubled, &rows), sparse.feed(value.clone())).unwrap();
    assert_eq!(sparse_found, SparseTensorValue { values: Tensor::from([2.0f32, 5.0]), ..value });
    assert_eq!(rows_found.indices, Tensor::from([3i32, 1]));
    assert_eq!(rows_found.values, Tensor::from([[1.0f32, 1.0], [1.0, 1.0]]));
    let again = session.run(&gradient, rows.feed(rows_found)).unwrap();
    assert_eq!(again.to_vec::<f32>().unwrap(), [0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 1.0]);
}

#[test]
fn partitioned_variables_have_parts_and_a_whole() {
    let graph = Graph::new();
    let parts = fixed_size_partitioner(2);
    let w = get_partitioned_variable(&graph, "w", [5, 3], DType::Float32, &glorot_uniform(), &parts);
    let names: Vec<&str> = w.parts().iter().map(|part| part.name()).collect();
    assert_eq!(names, ["w/part_0", "w/part_1"]);
    let specs: Vec<String> = w.parts().iter().map(|part| part.slice().unwrap().spec()).collect();
    assert_eq!(specs, ["5 3 0,3:0,3", "5 3 3,2:0,3"]);
    let scalar = get_partitioned_variable(
        &graph,
        "b",
        session_core::Shape::scalar(),
        DType::Float32,
        &ops::initializers::zeros(),
        &parts,
    );
    assert!(scalar.parts()[0].name() == "b" && scalar.parts()[0].slice().is_none());
    let whole = w.to_output(&graph);
    let session = session(&graph);
    session.run(&global_variables_initializer(&graph), ()).unwrap();
    let (whole, first) = session.run((&whole, &w.parts()[0]), ()).unwrap();
    assert_eq!(whole.rows(0, 3).unwrap(), first);
    // The limits are those of the whole layer: sqrt(6 / 8).
    assert!(whole.to_vec::<f32>().unwrap().iter().all(|x| x.abs() <= 0.866_026));
    let wrong = |_: &session_core::Shape, _: DType| vec![2, 3];
    let _ = get_partitioned_variable(&graph, "bad", [4, 3], DType::Float32, &glorot_uniform(), &wrong);
    assert!(graph.check().unwrap_err().message().contains("cannot be cut"));
}

#[test]
fn unlisted_variables_are_in_no_collection() {
    let graph = Graph::new();
    let aside = VariableBuilder::new(&graph.named("aside")).initial_value(1.0f32).unlisted().build();
    assert!(global_variables(&graph).is_empty() && graph.collection(&TRAINABLE_VARIABLES).is_empty());
    let session = session(&graph);
    session.run(aside.initializer(), ()).unwrap();
    assert_eq!(session.run(&aside, ()).unwrap(), Tensor::from(1.0f32));
}

#[test]
fn an_int32_global_step_serves_optimizers_schedules_and_helpers() {
    let graph = Graph::new();
    let builder = VariableBuilder::new(&graph.named("global_step")).initial_value(0i32).trainable(false);
    let step = builder.collection(&GLOBAL_STEP).build();
    let w = get_variable(&graph, "w", [2], DType::Float32, &ops::initializers::ones());
    let rates = [
        learning_rate::exponential_decay(0.1f32, &step, 10.0f32, 0.5f32, learning_rate::Decay::Smooth),
        learning_rate::piecewise_constant(&step, &[1, 2], &[0.1, 0.2, 0.3]),
        learning_rate::polynomial_decay(
            0.1f32,
            &step,
            10.0f32,
            0.0001f32,
            1.0f32,
            learning_rate::AfterDecay::Hold,
        ),
        learning_rate::cosine_decay(0.1f32, &step, 10.0f32, 0.0),
        learning_rate::inverse_time_decay(0.1f32, &step, 10.0f32, 0.5f32, learning_rate::Decay::Smooth),
        learning_rate::natural_exp_decay(0.1f32, &step, 10.0f32, 0.5f32, learning_rate::Decay::Smooth),
    ];
    let loss = math::reduce_sum(&w * &w, ..);
    let first = GradientDescentOptimizer::new(&rates[0]).minimize(&loss, Some(&step));
    let second = AdamOptimizer::new(0.1f32).minimize(&loss, Some(&step));
    let third = global_step::increment_global_step(&graph, 2);
    let read = global_step::global_step_read(&graph).unwrap().unwrap();
    let init = global_variables_initializer(&graph);
    let session = session(&graph);
    session.run(&init, ()).unwrap();
    for train in [&first, &second, &third] {
        session.run(train, ()).unwrap();
    }
    assert_eq!(session.run(&read, ()).unwrap(), Tensor::from(4i32));
    assert_eq!(global_step::evaluate(&*session, &step).unwrap(), 4);
    // TensorFlow 2.21 returns this at step 4.
    let expected = [0.075_785_83, 0.3, 0.060_040_005, 0.065_450_85, 0.083_333_33, 0.081_873_08];
    let found: Vec<f32> =
        session.run(&rates[..], ()).unwrap().iter().map(|rate| rate.value().unwrap()).collect();
    assert_close(&Tensor::from(found), &expected);
}

#[test]
fn values_that_enter_different_loops_are_an_error_that_names_both() {
    let graph = Graph::new();
    let enter = |name: &str, frame: &str| {
        let def = session_core::OpLibrary::find(ops::library(), "Enter").unwrap();
        let value = array::placeholder(&graph, DType::Float32, PartialShape::scalar());
        let builder = graph.op(def).name(name).input(&value).attr("frame_name", frame);
        (builder.finish_output(), value)
    };
    let ((a, x), (b, y)) = (enter("a", "first"), enter("b", "second"));
    let sum = math::add(&a, &b);
    let target = sum.operation().clone();
    let error = session(&graph).run(&target, [(&x, 1.0f32), (&y, 2.0)]).unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument, "{error}");
    let text = error.to_string();
    assert!(text.contains("'a' is in frame 'first', 'b' is in frame 'second'"), "{text}");
    assert!(text.contains("'Add"), "{text}");
}
