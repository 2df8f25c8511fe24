//! Edges of arguments that single recorded operations do not reach: updates of variables, and shapes of constants.
#![allow(clippy::unwrap_used)] // a panic is the report

use embedded_engine::EmbeddedEngine;
use ops::{array, library, state};
use session_core::{
    Code, DType, Engine, Error, Graph, OpBuilder, OpLibrary as _, Output, PartialShape, Result, Session,
    SessionConfig, SessionExt, Tensor,
};
use std::sync::Arc;

const NAN: f32 = f32::NAN;

fn op(graph: &Graph, op_type: &str) -> OpBuilder {
    graph.op(library().find(op_type).unwrap())
}

fn session(graph: &Graph) -> Arc<dyn Session> {
    EmbeddedEngine::new().new_session(graph, "", &SessionConfig::with_threads(1)).unwrap()
}

/// The handle of a variable, or a reference to one, and its initializer.
fn variable(graph: &Graph, by_handle: bool, value: &Tensor) -> (Output, session_core::Operation) {
    let op_type = if by_handle { "VarHandleOp" } else { "VariableV2" };
    let shape = PartialShape::from(value.shape().dims());
    let variable = op(graph, op_type).attr("shape", shape).attr("dtype", value.dtype()).finish_output();
    let assign = op(graph, if by_handle { "AssignVariableOp" } else { "Assign" });
    let assign = assign.input(&variable).input(array::constant(graph, value.clone())).finish();
    (variable, assign)
}

/// Runs an update of a variable, through a handle or a reference, and returns the variable's value after it.
fn updated(
    by_handle: bool,
    op_type: &str,
    value: Tensor,
    indices: Tensor,
    updates: Tensor,
) -> (Result<()>, Tensor) {
    let graph = Graph::new();
    let dtype = value.dtype();
    let (variable, assign) = variable(&graph, by_handle, &value);
    let (indices, updates) = (array::constant(&graph, indices), array::constant(&graph, updates));
    let op_type = if by_handle { format!("Resource{op_type}") } else { op_type.to_owned() };
    let update = op(&graph, &op_type).input(&variable).input(&indices).input(&updates).finish();
    let read = if by_handle { state::read_variable_op(&variable, dtype) } else { array::identity(&variable) };
    let session = session(&graph);
    session.run(&assign, ()).unwrap();
    let outcome = session.run(&update, ());
    (outcome, session.run(&read, ()).unwrap())
}

/// Equal numbers, where NaN equals NaN.
fn same(found: &[f32], expected: &[f32]) -> bool {
    found.len() == expected.len()
        && found.iter().zip(expected).all(|(a, b)| a == b || a.is_nan() && b.is_nan())
}

#[test]
fn extremes_of_variables_keep_the_element_where_one_is_nan() {
    for by_handle in [true, false] {
        for (name, expected, with_two) in
            [("Max", [1.0, NAN, 4.0], [2.0, NAN, 3.0]), ("Min", [1.0, NAN, 3.0], [1.0, NAN, 2.0])]
        {
            let value = || Tensor::from([1.0, NAN, 3.0]);
            let (indices, updates) = (Tensor::from([0i32, 1, 2]), Tensor::from([NAN, 2.0, 4.0]));
            let coordinates = indices.clone().reshaped([3, 1]).unwrap();
            for (op_type, indices, updates, expected) in [
                (format!("Scatter{name}"), indices.clone(), updates.clone(), expected),
                (format!("ScatterNd{name}"), coordinates, updates, expected),
                (format!("Scatter{name}"), indices.clone(), Tensor::scalar(NAN), [1.0, NAN, 3.0]),
                (format!("Scatter{name}"), indices, Tensor::scalar(2f32), with_two),
            ] {
                let (outcome, found) = updated(by_handle, &op_type, value(), indices, updates);
                outcome.unwrap();
                let found = found.to_vec::<f32>().unwrap();
                assert!(same(&found, &expected), "{op_type} by handle {by_handle}: {found:?}");
            }
            // Wide rows, for which the loop has vector instructions.
            let rows = [[1.0; 40], [NAN; 40]].concat();
            let updates = [[NAN; 40], [2.0; 40]].concat();
            let [rows, updates] = [rows, updates].map(|x| Tensor::from_vec(x, [2, 40]).unwrap());
            let op_type = format!("Scatter{name}");
            let indices = Tensor::from([0i32, 1]);
            let (_, found) = updated(by_handle, &op_type, rows.clone(), indices, updates);
            let (found, rows) = (found.to_vec::<f32>().unwrap(), rows.to_vec::<f32>().unwrap());
            assert!(same(&found, &rows), "{op_type} of rows: {found:?}");
        }
    }
    let half = |values: [f32; 2]| Tensor::from(values.map(tensor::f16::from_f32));
    let (_, found) = updated(true, "ScatterMax", half([1.0, NAN]), Tensor::from([0i32, 1]), half([NAN, 2.0]));
    let found: Vec<f32> = found.to_vec::<tensor::f16>().unwrap().iter().map(|x| x.to_f32()).collect();
    assert!(same(&found, &[1.0, NAN]), "{found:?}");
}

#[test]
fn divisions_of_rows_by_zero_are_refused() {
    let refused = |outcome: Result<()>, found: Tensor, kept: &Tensor| {
        let error = outcome.unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument, "{error}");
        assert!(error.message().contains("updates must not contain 0"), "{error}");
        assert_eq!(&found, kept);
    };
    for by_handle in [true, false] {
        let value = Tensor::from([4i32, 6]);
        for updates in [Tensor::from([2i32, 0]), Tensor::scalar(0i32)] {
            let (outcome, found) =
                updated(by_handle, "ScatterDiv", value.clone(), Tensor::from([0i32, 1]), updates);
            refused(outcome, found, &value);
        }
        let (outcome, found) =
            updated(by_handle, "ScatterDiv", value, Tensor::from([1i32]), Tensor::from([-4i32]));
        outcome.unwrap();
        assert_eq!(found, Tensor::from([4i32, -1]));
    }
    // TensorFlow refuses floats for handles only.
    let value = Tensor::from([4f32, 6.0]);
    for zero in [0f32, -0.0] {
        let (indices, updates) = (Tensor::from([0i32, 1]), Tensor::from([2.0, zero]));
        let (outcome, found) = updated(true, "ScatterDiv", value.clone(), indices.clone(), updates.clone());
        refused(outcome, found, &value);
        let (outcome, found) = updated(false, "ScatterDiv", value.clone(), indices, updates);
        outcome.unwrap();
        assert_eq!(found, Tensor::from([2.0, 6.0 / zero]));
    }
}

#[test]
fn counters_refuse_limits_beyond_their_dtype() {
    for by_handle in [true, false] {
        for (limit, code) in [
            (i64::from(i32::MAX), None),
            (1 << 31, Some(Code::InvalidArgument)),
            (-1 << 31, Some(Code::OutOfRange)),
            ((-1 << 31) - 1, Some(Code::InvalidArgument)),
        ] {
            let graph = Graph::new();
            let (variable, assign) = variable(&graph, by_handle, &Tensor::scalar(i32::MAX - 1));
            let op_type = if by_handle { "ResourceCountUpTo" } else { "CountUpTo" };
            let count = op(&graph, op_type).input(&variable).attr("limit", limit).attr("T", DType::Int32);
            let count = count.finish_output();
            let session = session(&graph);
            session.run(&assign, ()).unwrap();
            let outcome = session.run(&count, ());
            assert_eq!(outcome.as_ref().err().map(Error::code), code, "{op_type} {limit}: {outcome:?}");
        }
    }
}

/// Gathers from a variable `[2, 2, 3]` of the numbers from 0, and returns the static shape and the result.
fn gathered(indices: Tensor, batch_dims: i64) -> (String, Result<Tensor>) {
    let graph = Graph::new();
    let numbers = Tensor::from_vec((0..12).map(|x| x as f32).collect(), [2, 2, 3]).unwrap();
    let (handle, assign) = variable(&graph, true, &numbers);
    let gather = op(&graph, "ResourceGather").input(&handle).input(array::constant(&graph, indices));
    let rows = gather.attr("batch_dims", batch_dims).attr("dtype", DType::Float32).finish_output();
    if let Err(error) = graph.check() {
        return (String::new(), Err(error));
    }
    let session = session(&graph);
    session.run(&assign, ()).unwrap();
    (rows.shape().to_string(), session.run(&rows, ()))
}

#[test]
fn variables_are_gathered_in_batches() {
    let numbers = |values: Vec<i32>, shape: &[usize]| Tensor::from_vec(values, shape.to_vec()).unwrap();
    for (indices, batch_dims, shape, expected) in [
        (numbers(vec![0, 1], &[2, 1]), 1, "[2,1,3]", vec![0f32, 1., 2., 9., 10., 11.]),
        (numbers(vec![0, 1], &[2]), 1, "[2,3]", vec![0., 1., 2., 9., 10., 11.]),
        (numbers(vec![2, 0, 1, 1], &[2, 2]), 2, "[2,2]", vec![2., 3., 7., 10.]),
        (numbers(vec![], &[2, 0]), 1, "[2,0,3]", vec![]),
        (numbers(vec![1], &[1]), 0, "[1,2,3]", vec![6., 7., 8., 9., 10., 11.]),
    ] {
        let (known, found) = gathered(indices, batch_dims);
        let found = found.unwrap();
        assert_eq!((known.as_str(), found.shape().to_string().as_str()), (shape, shape));
        assert_eq!(found.to_vec::<f32>().unwrap(), expected);
    }
    for (indices, batch_dims) in [
        (numbers(vec![0, 2], &[2, 1]), 1),
        (numbers(vec![0, 1, 0], &[3, 1]), 1),
        (numbers(vec![0, 1], &[2]), 2),
        (numbers(vec![0, 1], &[2, 1]), -1),
        (numbers(vec![0; 12], &[2, 2, 3]), 3),
    ] {
        assert!(gathered(indices.clone(), batch_dims).1.is_err(), "{indices:?} {batch_dims}");
    }
}

#[test]
fn ranges_of_constants_have_the_shape_that_they_get() {
    let half = |x: f32| Tensor::scalar(tensor::f16::from_f32(x));
    for (ends, count) in [
        ([0f32, 1.2, 0.4].map(Tensor::scalar), 3),
        ([0f64, 2.1, 0.7].map(Tensor::scalar), 4),
        ([0.0, 1.2, 0.4].map(half), 4),
        ([(1i64 << 53) + 1, (1 << 53) + 4, 1].map(Tensor::scalar), 3),
        ([i64::MIN, i64::MAX, i64::MAX].map(Tensor::scalar), 3),
        ([10i64, 0, i64::MIN].map(Tensor::scalar), 1),
        ([5i32, 5, -1].map(Tensor::scalar), 0),
    ] {
        let graph = Graph::new();
        let [start, limit, delta] = ends.map(|end| array::constant(&graph, end));
        let range = array::range(start, limit, delta);
        assert_eq!(range.shape().to_string(), format!("[{count}]"));
        assert_eq!(session(&graph).run(&range, ()).unwrap().shape().dims(), [count]);
    }
    for ends in [[0f32, NAN, 1.0], [NAN, 1.0, 1.0], [0.0, 1.0, NAN], [0.0, f32::INFINITY, 1.0]] {
        let graph = Graph::new();
        let [start, limit, delta] = ends.map(|end| array::constant(&graph, end));
        let _ = array::range(start, limit, delta);
        assert!(graph.check().is_err(), "{ends:?}");
    }
}

/// TensorFlow has no kernels for these ranks of the operations, and returns `Unimplemented`.
#[test]
fn slices_and_reversals_take_any_number_of_axes() {
    let graph = Graph::new();
    let numbers = Tensor::from_vec((0..512).collect::<Vec<i32>>(), vec![2; 9]).unwrap();
    let x = array::constant(&graph, numbers.clone());
    let ints = |values: Vec<i32>| array::constant(&graph, values);
    let slice = op(&graph, "Slice").input(&x).input(ints(vec![1; 9])).input(ints(vec![1; 9]));
    let reversed = op(&graph, "ReverseV2").input(&x).input(ints((0..9).collect())).finish_output();
    let padded = op(&graph, "Pad")
        .input(&x)
        .input(array::constant(&graph, Tensor::from_vec([1i32, 0].repeat(9), [9, 2]).unwrap()));
    let session = session(&graph);
    let ends = session.run(&slice.finish_output(), ()).unwrap();
    assert_eq!(ends.to_vec::<i32>().unwrap(), [511]);
    let mut backwards = numbers.to_vec::<i32>().unwrap();
    backwards.reverse();
    assert_eq!(session.run(&reversed, ()).unwrap().to_vec::<i32>().unwrap(), backwards);
    let padded = session.run(&padded.finish_output(), ()).unwrap();
    assert_eq!(padded.shape().dims(), [3; 9]);
    assert_eq!(padded.to_vec::<i32>().unwrap().iter().sum::<i32>(), 511 * 256);
}
