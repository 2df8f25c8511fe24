//! Reference variables: `VariableV2`, and what reads and updates it.
#![allow(clippy::unwrap_used)] // a panic is the report

use embedded_engine::EmbeddedEngine;
use ops::library;
use session_core::{
    Code, DType, Engine, Graph, OpBuilder, OpLibrary, Operation, Output, PartialShape, Result, Session,
    SessionConfig, SessionExt, Tensor,
};
use std::sync::Arc;

fn op(graph: &Graph, op_type: &str) -> OpBuilder {
    graph.op(library().find(op_type).unwrap())
}

fn constant(graph: &Graph, value: impl Into<Tensor>) -> Output {
    ops::array::constant(graph, value)
}

fn variable(graph: &Graph, name: &str, shape: &[usize]) -> Output {
    let shape = PartialShape::from(shape);
    op(graph, "VariableV2").name(name).attr("shape", shape).attr("dtype", DType::Float32).finish_output()
}

fn assign(reference: &Output, value: &Output) -> Output {
    op(&reference.graph(), "Assign").input(reference).input(value).finish_output()
}

fn identity(graph: &Graph, input: &Output) -> Output {
    op(graph, "Identity").input(input).finish_output()
}

fn session(graph: &Graph) -> Arc<dyn Session> {
    EmbeddedEngine::new().new_session(graph, "", &SessionConfig::with_threads(1)).unwrap()
}

fn value(session: &Arc<dyn Session>, output: &Output) -> Result<Vec<f32>> {
    Ok(session.run(output, ())?.to_vec()?)
}

fn control(graph: &Graph, after: &Operation) -> Graph {
    graph.control_dependencies([after])
}

#[test]
fn s_28_reading_before_assigning_names_the_variable() {
    let graph = Graph::new();
    let v = variable(&graph, "v", &[2]);
    let init = assign(&v, &constant(&graph, [1f32, 2.0]));
    let known = op(&graph, "IsVariableInitialized").input(&v).finish_output();
    let session = session(&graph);
    assert!(!session.run(&known, ()).unwrap().value::<bool>().unwrap());
    let error = session.run(&v, ()).unwrap_err();
    assert_eq!(error.code(), Code::FailedPrecondition);
    assert!(error.message().contains("Attempting to use uninitialized value v"), "{error}");
    assert_eq!(value(&session, &init).unwrap(), [1.0, 2.0]);
    assert_eq!(value(&session, &v).unwrap(), [1.0, 2.0]);
    assert!(session.run(&known, ()).unwrap().value::<bool>().unwrap());
}

#[test]
fn reads_follow_the_edges_of_the_graph() {
    let graph = Graph::new();
    let v = variable(&graph, "v", &[2]);
    let init = assign(&v, &constant(&graph, [1f32, 2.0]));
    let before = identity(&graph, &v);
    let one = constant(&graph, [1f32, 1.0]);
    let added = op(&graph, "AssignAdd").input(&v).input(&one).finish_output();
    let through = &added * &constant(&graph, 10f32);
    let after = identity(&control(&graph, added.operation()), &v);
    let twice = op(&graph, "AssignAdd").input(&added).input(&one).finish_output();
    let session = session(&graph);
    session.run(init.operation(), ()).unwrap();
    let (before_value, through_value, after_value) = session.run((&before, &through, &after), ()).unwrap();
    assert_eq!(before_value.to_vec::<f32>().unwrap(), [1.0, 2.0]);
    assert_eq!(through_value.to_vec::<f32>().unwrap(), [20.0, 30.0]);
    assert_eq!(after_value.to_vec::<f32>().unwrap(), [2.0, 3.0]);
    assert_eq!(value(&session, &twice).unwrap(), [4.0, 5.0]);
    assert_eq!(value(&session, &v).unwrap(), [4.0, 5.0]);
}

#[test]
fn an_update_of_constants_is_not_done_while_compiling() {
    let graph = Graph::new();
    let v = variable(&graph, "v", &[]);
    let init = assign(&v, &constant(&graph, 0f32));
    let one = constant(&graph, 1f32);
    let add = op(&graph, "AssignAdd").input(&v).input(&one).finish();
    let session = session(&graph);
    session.run(init.operation(), ()).unwrap();
    for _ in 0..3 {
        session.run(&add, ()).unwrap();
    }
    assert_eq!(value(&session, &v).unwrap(), [3.0]);
}

#[test]
fn shapes_are_checked_unless_told_not_to() {
    let graph = Graph::new();
    let v = variable(&graph, "v", &[2]);
    let x = ops::array::placeholder(&graph, DType::Float32, PartialShape::unknown());
    let strict = assign(&v, &x);
    let free = op(&graph, "Assign").input(&v).input(&x).attr("validate_shape", false).finish_output();
    let session = session(&graph);
    let error = session.run(&strict, [(&x, Tensor::from([1f32, 2.0, 3.0]))]).unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument);
    let assigned = session.run(&free, [(&x, Tensor::from([1f32, 2.0, 3.0]))]).unwrap();
    assert_eq!(assigned.shape().to_vec(), [3]);
}

#[test]
fn a_fed_reference_is_a_value() {
    let graph = Graph::new();
    let v = variable(&graph, "v", &[2]);
    let double = &v + &v;
    let session = session(&graph);
    let fed = session.run(&double, [(&v, Tensor::from([1f32, 2.0]))]).unwrap();
    assert_eq!(fed.to_vec::<f32>().unwrap(), [2.0, 4.0]);
}

#[test]
fn scatter_updates_and_counting() {
    let graph = Graph::new();
    let v = variable(&graph, "v", &[3]);
    let init = assign(&v, &constant(&graph, [1f32, 2.0, 3.0]));
    let (indices, updates) = (constant(&graph, [0i32, 2]), constant(&graph, [10f32, 20.0]));
    let scatter = |op_type: &str, to: &Output| {
        op(&graph, op_type).input(to).input(&indices).input(&updates).finish_output()
    };
    let sub = scatter("ScatterSub", &scatter("ScatterAdd", &init));
    let update = scatter("ScatterUpdate", &v);
    let count = op(&graph, "VariableV2").name("n").attr("shape", PartialShape::scalar());
    let count = count.attr("dtype", DType::Int64).finish_output();
    let zero = assign(&count, &constant(&graph, 0i64));
    let counted = op(&graph, "CountUpTo").input(&count).attr("limit", 2i64).finish_output();
    let session = session(&graph);
    assert_eq!(value(&session, &sub).unwrap(), [1.0, 2.0, 3.0]);
    assert_eq!(value(&session, &update).unwrap(), [10.0, 2.0, 20.0]);
    session.run(&zero, ()).unwrap();
    for expected in 0..2 {
        assert_eq!(session.run(&counted, ()).unwrap().value::<i64>().unwrap(), expected);
    }
    assert_eq!(session.run(&counted, ()).unwrap_err().code(), Code::OutOfRange);
}

#[test]
fn training_updates_are_those_of_resource_variables() {
    let graph = Graph::new();
    let v = variable(&graph, "v", &[2]);
    let m = variable(&graph, "m", &[2]);
    let init = [assign(&v, &constant(&graph, [1f32, 2.0])), assign(&m, &constant(&graph, [0f32, 0.0]))];
    let [rate, momentum] = [0.5f32, 0.9].map(|x| constant(&graph, x));
    let gradient = constant(&graph, [1f32, -1.0]);
    let train =
        op(&graph, "ApplyMomentum").input(&v).input(&m).input(&rate).input(&gradient).input(&momentum);
    let train = train.finish_output();
    let session = session(&graph);
    session.run((init[0].operation(), init[1].operation()), ()).unwrap();
    assert_eq!(value(&session, &train).unwrap(), [0.5, 2.5]);
    let second = value(&session, &train).unwrap();
    assert_eq!(second, [0.5 - 0.5 * 1.9, 2.5 + 0.5 * 1.9]);
}
