//! Staging areas, accumulators and barriers: what waits, what ends a wait, and that an ended wait has no effect. Their values
//! are compared with TensorFlow's in `tensorflow_graphs.rs`.
#![allow(clippy::unwrap_used)] // a panic is the report

use embedded_engine::EmbeddedEngine;
use ops::array::{constant, placeholder};
use ops::data_flow::{Barrier, ConditionalAccumulator, Reduction, SparseConditionalAccumulator, StagingArea};
use session_core::{
    CancellationToken, Code, DType, Engine, Error, Graph, OpLibrary as _, Operation, Output, PartialShape,
    RunOptions, Session, SessionConfig, SessionExt, Tensor,
};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

fn session(graph: &Graph) -> Arc<dyn Session> {
    EmbeddedEngine::new().new_session(graph, "", &SessionConfig::with_threads(1)).unwrap()
}

fn soon() -> RunOptions {
    RunOptions::with_timeout(Duration::from_millis(20))
}

fn aside(session: &Arc<dyn Session>, fetch: &Output) -> JoinHandle<Result<Tensor, Error>> {
    let (session, fetch) = (session.clone(), fetch.clone());
    thread::spawn(move || session.run(&fetch, ()))
}

fn int(session: &dyn Session, fetch: &Output) -> i32 {
    session.run(fetch, ()).unwrap().value().unwrap()
}

#[test]
fn operations_wait_for_staged_values_and_for_room() {
    let graph = Graph::new();
    let x = placeholder(&graph, DType::Float32, PartialShape::scalar());
    let area = StagingArea::new(&graph, DType::Float32).capacity(2).shapes([PartialShape::scalar()]);
    let (put, next, size) = (area.put([&x]), area.get().remove(0), area.size());
    let second = area.peek(constant(&graph, 1i32)).remove(0);
    let session = session(&graph);
    let fill = |value: f32| session.run(&put, [(&x, value)]);

    let waiting = aside(&session, &next);
    fill(1.0).unwrap();
    assert_eq!(waiting.join().unwrap().unwrap(), Tensor::from(1.0f32));
    let waiting = aside(&session, &second);
    fill(2.0).unwrap();
    fill(3.0).unwrap();
    assert_eq!(waiting.join().unwrap().unwrap(), Tensor::from(3.0f32));

    let error = session.run_with(&put, [(&x, 4.0f32)], &soon(), None).unwrap_err();
    assert_eq!((error.code(), error.node()), (Code::DeadlineExceeded, Some(put.name())), "{error}");
    assert!(error.message().contains("put into staging area 'StagingArea', which is full"), "{error}");
    assert_eq!(int(&*session, &size), 2);
    for expected in [2.0f32, 3.0] {
        assert_eq!(session.run(&next, ()).unwrap(), Tensor::from(expected));
    }
    let error = session.run_with(&next, (), &soon(), None).unwrap_err();
    assert_eq!(error.code(), Code::DeadlineExceeded, "{error}");
    fill(5.0).unwrap();
    assert_eq!(session.run(&next, ()).unwrap(), Tensor::from(5.0f32));

    let waiting = aside(&session, &next);
    session.close().unwrap();
    let code = waiting.join().unwrap().unwrap_err().code();
    assert!([Code::Cancelled, Code::FailedPrecondition].contains(&code), "{code:?}");
}

#[test]
fn one_step_puts_and_takes_in_any_order() {
    let graph = Graph::new();
    let area = StagingArea::new(&graph, [DType::Int64, DType::String]).capacity(1);
    let taken: Vec<Vec<Output>> = (0..3).map(|_| area.get()).collect();
    let put: Vec<Operation> = (0..3).map(|_| area.put([Tensor::from(7i64), Tensor::from("text")])).collect();
    let wrong = StagingArea::new(&graph, DType::Float32).shared_name("StagingArea").capacity(1).get();
    let session = session(&graph);
    let (values, _) = session.run((&taken, &put), ()).unwrap();
    assert!(values.iter().all(|pair| pair == &[Tensor::from(7i64), Tensor::from("text")]));
    session.run(&put[0], ()).unwrap();
    let error = session.run(&wrong, ()).unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument);
    assert!(error.message().contains("staging area 'StagingArea' holds values of"), "{error}");
}

#[test]
fn operations_wait_for_gradients() {
    let graph = Graph::new();
    let gradient = placeholder(&graph, DType::Float32, [2]);
    let step = constant(&graph, 0i64);
    let accumulator = ConditionalAccumulator::new(&graph, DType::Float32, [2], Reduction::Mean);
    let apply = accumulator.apply_grad(&gradient, &step);
    let (mean, count) = (accumulator.take_grad(constant(&graph, 2i32)), accumulator.num_accumulated());
    let rows = SparseConditionalAccumulator::new(&graph, DType::Float32, [None, Some(2)], Reduction::Sum);
    let index = constant(&graph, Tensor::from([3i64]));
    let apply_rows = rows.apply_grad(&index, constant(&graph, Tensor::from([[1.0f32, 2.0]])), &step);
    let [indices, values, _] = rows.take_grad(constant(&graph, 1i32));
    assert_eq!((values.shape().to_string().as_str(), mean.shape().to_string().as_str()), ("[?,2]", "[2]"));
    let session = session(&graph);
    let give = |values: [f32; 2]| session.run(&apply, [(&gradient, Tensor::from(values))]).map(drop);

    let waiting = aside(&session, &mean);
    give([1.0, 2.0]).unwrap();
    give([3.0, 6.0]).unwrap();
    assert_eq!(waiting.join().unwrap().unwrap(), Tensor::from([2.0f32, 4.0]));
    // Of the step before.
    give([9.0, 9.0]).unwrap();
    assert_eq!(int(&*session, &count), 0);
    let error = session.run_with(&mean, (), &soon(), None).unwrap_err();
    assert_eq!(error.code(), Code::DeadlineExceeded, "{error}");
    assert!(
        error.message().contains("take of 2 gradients from accumulator 'conditional_accumulator'"),
        "{error}"
    );
    // In one step, the taking first.
    let (indices, values, _) = session.run((&indices, &values, &apply_rows), ()).unwrap();
    assert_eq!((indices, values), (Tensor::from([3i64]), Tensor::from([[1.0f32, 2.0]])));
}

#[test]
fn gradients_of_another_kind_are_refused() {
    let graph = Graph::new();
    let op = |op_type: &str| graph.op(ops::library().find(op_type).unwrap());
    let accumulator = |op_type: &str, name: &str| {
        let made = op(op_type).attr("dtype", DType::Float32).attr("shape", PartialShape::unknown());
        made.attr("shared_name", name).finish_output()
    };
    let dense = accumulator("ConditionalAccumulator", "dense");
    let rows = accumulator("SparseConditionalAccumulator", "rows");
    let step = constant(&graph, 0i64);
    let values = |dtype: DType| constant(&graph, Tensor::zeros(dtype, [1, 2]).unwrap());
    let apply = |handle: &Output, dtype: DType| {
        op("AccumulatorApplyGradient").input(handle).input(&step).input(values(dtype)).finish()
    };
    let apply_rows = |handle: &Output, dtype: DType| {
        let indices = constant(&graph, Tensor::from([0i64]));
        let shape = constant(&graph, Tensor::from([1i64, 2]));
        let applied = op("SparseAccumulatorApplyGradient").input(handle).input(&step).input(indices);
        applied.input(values(dtype)).input(shape).attr("has_known_shape", true).finish()
    };
    let count = |handle: &Output| op("AccumulatorNumAccumulated").input(handle).finish_output();
    let (dense_count, rows_count) = (count(&dense), count(&rows));
    let refused = [
        (
            apply(&dense, DType::Float64),
            "a dense gradient of float64 is applied to dense gradients of float32",
        ),
        (apply_rows(&dense, DType::Float32), "a sparse gradient of float32 is applied to dense gradients"),
        (apply(&rows, DType::Float32), "a dense gradient of float32 is applied to sparse gradients"),
        (apply_rows(&rows, DType::Float64), "a sparse gradient of float64 is applied to sparse gradients"),
    ];
    let accepted = [apply(&dense, DType::Float32), apply_rows(&rows, DType::Float32)];
    let session = session(&graph);
    session.run(((), &accepted), ()).unwrap();
    for (operation, reason) in &refused {
        let error = session.run(((), operation), ()).unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument, "{error}");
        assert!(error.message().contains(reason), "{error}");
    }
    assert_eq!([int(&*session, &dense_count), int(&*session, &rows_count)], [1, 1]);
}

#[test]
fn operations_wait_for_complete_elements() {
    let graph = Graph::new();
    let components = [(DType::Float32, PartialShape::from([2])), (DType::Int32, PartialShape::scalar())];
    let barrier = Barrier::new(&graph, components);
    let keys = constant(&graph, Tensor::from_strings(["a", "b"], [2]).unwrap());
    let first = barrier.insert_many(0, &keys, constant(&graph, Tensor::from([[1.0f32, 2.0], [3.0, 4.0]])));
    let second = barrier.insert_many(1, &keys, constant(&graph, Tensor::from([10i32, 20])));
    let wide = barrier.insert_many(0, &keys, constant(&graph, Tensor::from([[1.0f32], [2.0]])));
    let (_, _, values) = barrier.take_many(constant(&graph, 2i32));
    let close = barrier.close_and_cancel_pending_enqueues();
    let session = session(&graph);
    let error = session.run(&wide, ()).unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument);
    assert!(
        error
            .message()
            .contains("Shape mismatch in component 0. Expected [2], got [1] (in barrier 'barrier')")
    );

    let waiting = aside(&session, &values[1]);
    session.run(&first, ()).unwrap();
    assert_eq!(int(&*session, &barrier.incomplete_size()), 2);
    session.run(&second, ()).unwrap();
    assert_eq!(waiting.join().unwrap().unwrap(), Tensor::from([10i32, 20]));

    let token = CancellationToken::new();
    let options = RunOptions::default().cancellation(token.clone());
    let waiting = {
        let (session, values) = (session.clone(), values.clone());
        thread::spawn(move || session.run_with(&values, (), &options, None))
    };
    token.cancel();
    assert_eq!(waiting.join().unwrap().unwrap_err().code(), Code::Cancelled);
    session.run(&first, ()).unwrap();
    let waiting = aside(&session, &values[0]);
    session.run(&close, ()).unwrap();
    let error = waiting.join().unwrap().unwrap_err();
    assert_eq!(error.code(), Code::OutOfRange, "{error}");
    assert!(error.message().contains("Barrier 'barrier' is closed and has insufficient elements"), "{error}");
}
