//! The global step.
#![allow(clippy::print_stdout)] // a panic is the report, and what is printed is meant to be seen
#![allow(clippy::unwrap_used)] // in a test a panic is the report

use ops::array::constant;
use ops::global_step::*;
use ops::variables::{VariableExt, global_variables, trainable_variables, variable};
use session_core::{DType, ErrorKind, Graph, PartialShape, Tensor, keys};

#[test]
fn s_375_it_is_a_scalar_int64_that_is_not_trained() {
    let graph = Graph::new();
    let step = create_global_step(&graph.scope("scope"));
    graph.check().unwrap();
    assert_eq!(
        (step.name(), step.dtype(), step.shape()),
        ("global_step", DType::Int64, &PartialShape::scalar())
    );
    assert_eq!(step.initial_value().constant_value(), Some(&Tensor::from(0i64)));
    assert_eq!(global_variables(&graph), vec![step.clone()]);
    assert_eq!(graph.collection(&keys::GLOBAL_STEP), [step]);
    assert!(trainable_variables(&graph).is_empty());
}

#[test]
fn s_376_it_is_created_once() {
    let graph = Graph::new();
    let step = get_or_create_global_step(&graph);
    assert_eq!(get_or_create_global_step(&graph), step);
    graph.check().unwrap();
    assert_eq!(create_global_step(&graph), step);
    let error = graph.check().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Value);
    assert!(error.message().contains("already exists."), "{error}");
}

#[test]
fn s_377_it_is_found_in_the_collection_or_by_its_name() {
    let graph = Graph::new();
    assert_eq!(global_step(&graph).unwrap(), None);
    let named = variable(&graph.named("global_step"), 0i64);
    assert_eq!(global_step(&graph).unwrap(), Some(named));

    let other = variable(&graph.named("steps"), 0i32);
    graph.add_to_collection(&keys::GLOBAL_STEP, other.clone()).unwrap();
    assert_eq!(global_step(&graph).unwrap(), Some(other.clone()));
    graph.add_to_collection(&keys::GLOBAL_STEP, other).unwrap();
    assert_eq!(global_step(&graph).unwrap(), None, "two are none");
}

#[test]
fn s_378_it_must_be_an_integer_scalar() {
    let graph = Graph::new();
    let check = |variable: &session_core::Variable, expected: &str| {
        let error = assert_global_step(variable).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Type);
        assert!(error.message().contains(expected), "{error}");
    };
    check(&variable(&graph, 0.0f32), "does not have integer type");
    check(&variable(&graph, [0i64, 1]), "is not scalar");
    assert_global_step(&variable(&graph, 0i32)).unwrap();

    let _ = variable(&graph.named("global_step"), 0.0f32);
    assert_eq!(global_step(&graph).unwrap_err().kind(), ErrorKind::Type);
    let _ = get_or_create_global_step(&graph);
    assert_eq!(graph.check().unwrap_err().kind(), ErrorKind::Type);
}

#[test]
fn s_380_all_share_one_read() {
    let graph = Graph::new();
    assert_eq!(global_step_read(&graph).unwrap(), None);
    let step = create_global_step(&graph);
    let read = global_step_read(&graph).unwrap().unwrap();
    assert_eq!(global_step_read(&graph).unwrap(), Some(read.clone()));
    assert_eq!(graph.collection(&keys::GLOBAL_STEP_READ), vec![read.clone()]);
    assert_eq!(read.operation().input(0), *step.handle());
    // An engine returns this before the variable has a value.
    let initial = read.operation().attr("_initial_value").and_then(|value| value.as_tensor());
    assert_eq!(initial, Some(&Tensor::from(0i64)));

    graph.finalize().unwrap();
    assert_eq!(global_step_read(&graph).unwrap(), Some(read));
}

#[test]
fn s_380_several_reads_are_an_error() {
    let graph = Graph::new();
    let step = create_global_step(&graph);
    let _ = global_step_read(&graph).unwrap();
    graph.add_to_collection(&keys::GLOBAL_STEP_READ, step.snapshot().clone()).unwrap();
    assert_eq!(global_step_read(&graph).unwrap_err().kind(), ErrorKind::Runtime);
}

#[test]
fn a_read_cannot_be_made_in_a_frozen_graph() {
    let graph = Graph::new();
    let _ = create_global_step(&graph);
    graph.finalize().unwrap();
    assert!(global_step_read(&graph).unwrap_err().message().contains("Graph is finalized"));
}

#[test]
fn s_330_s_380_assignments_come_after_the_shared_read() {
    let graph = Graph::new();
    let step = create_global_step(&graph);
    let other = variable(&graph.named("other"), 0i64);
    let assignments = [
        increment_global_step(&graph, 1),
        step.assign_add(1),
        step.assign(constant(&graph, 5i64)),
        step.assign_sub(1),
    ];
    graph.check().unwrap();
    let read = global_step_read(&graph).unwrap().unwrap();
    for assignment in assignments {
        assert_eq!(assignment.control_inputs(), [read.operation().clone()], "{}", assignment.name());
    }
    assert!(other.assign_add(1).control_inputs().is_empty());
    assert!(step.initializer().control_inputs().is_empty());
}

#[test]
fn s_380_incrementing_needs_a_global_step() {
    let graph = Graph::new();
    increment_global_step(&graph, 1);
    assert_eq!(graph.check().unwrap_err().kind(), ErrorKind::Value);
}
