//! Memory beyond what there is, or beyond a limit, is an error, and the session continues.
//!
//! Some of these tests set limits of the process: each needs its own process.
#![allow(clippy::unwrap_used)] // in a test a panic is the report

use embedded_engine::EmbeddedEngine;
use ops::array::{constant, fill, placeholder, shape};
use ops::library;
use ops::nn::{Padding, conv2d};
use session_core::{
    Code, DType, Engine, Error, Graph, OpLibrary as _, Output, PartialShape, RunOptions, Session,
    SessionConfig, SessionExt,
};
use std::sync::Arc;
use tensor::memory;

const MIB: usize = 1 << 20;

fn session(graph: &Graph, config: &SessionConfig) -> Arc<dyn Session> {
    EmbeddedEngine::new().new_session(graph, "", config).unwrap()
}

fn limited(graph: &Graph, bytes: usize) -> Arc<dyn Session> {
    session(graph, &SessionConfig::with_threads(1).memory_limit(bytes))
}

/// A tensor of zero bytes, as many as its second part is fed with.
fn zeros(graph: &Graph) -> (Output, Output) {
    let size = placeholder(graph, DType::Int32, [1]);
    (fill(&size, constant(graph, 0u8)), size)
}

fn check_refused(error: &Error, op_type: &str, bytes: &str) {
    assert_eq!(error.code(), Code::ResourceExhausted, "{error}");
    assert_eq!(error.op_type(), Some(op_type), "{error}");
    assert!(error.to_string().contains(bytes), "{error}");
}

#[test]
fn two_tensors_do_not_reserve_the_same_memory() {
    memory::assume_available(200 * MIB);
    let graph = Graph::new();
    let [(a, a_size), (b, b_size)] = [zeros(&graph), zeros(&graph)];
    let session = session(&graph, &SessionConfig::with_threads(1));
    let size = [120 * MIB as i32];
    let error = session.run((&a, &b), [(&a_size, size), (&b_size, size)]).unwrap_err();
    check_refused(&error, "Fill", "120.0 MiB");
    assert_eq!(session.run(&a, [(&a_size, size)]).unwrap().elements(), 120 * MIB);
    let half = [60 * MIB as i32];
    assert!(session.run((&a, &b), [(&a_size, half), (&b_size, half)]).is_ok());
}

#[test]
fn results_that_the_caller_keeps_count() {
    memory::assume_available(200 * MIB);
    let graph = Graph::new();
    let (a, size) = zeros(&graph);
    let session = session(&graph, &SessionConfig::with_threads(1));
    let kept = session.run(&a, [(&size, [120 * MIB as i32])]).unwrap();
    let error = session.run(&a, [(&size, [120 * MIB as i32])]).unwrap_err();
    check_refused(&error, "Fill", "120.0 MiB");
    drop(kept);
    assert!(session.run(&a, [(&size, [120 * MIB as i32])]).is_ok());
}

#[test]
fn a_session_holds_no_more_than_its_limit() {
    let graph = Graph::new();
    let [(a, a_size), (b, b_size)] = [zeros(&graph), zeros(&graph)];
    let (session, other) = (limited(&graph, 4 * MIB), session(&graph, &SessionConfig::with_threads(1)));
    let size = [3 * MIB as i32];
    let error = session.run((&a, &b), [(&a_size, size), (&b_size, size)]).unwrap_err();
    check_refused(&error, "Fill", "of the limit of 4.0 MiB");
    assert!(other.run((&a, &b), [(&a_size, size), (&b_size, size)]).is_ok(), "another session has no limit");
    // Memory that no tensor uses any more is freed for new requests of any size.
    for step in 0..64 {
        let size = [(2 * MIB + step * 20_000) as i32];
        session.run(&a, [(&a_size, size)]).unwrap();
    }
}

#[test]
fn variables_count_to_the_limit_of_their_session() {
    let graph = Graph::new();
    let variable = |name: &str| {
        let value = fill([MIB as i32 / 4, 1], constant(&graph, 1.0f32));
        ops::variables::VariableBuilder::new(&graph).exact_name(name).initial_value(value).build()
    };
    let [a, b] = ["a", "b"].map(variable);
    let session = limited(&graph, 3 * MIB / 2);
    session.run(a.initializer(), ()).unwrap();
    let error = session.run(b.initializer(), ()).unwrap_err();
    check_refused(&error, "Fill", "of the limit of 1.5 MiB");
    assert_eq!(session.run(shape(&a), ()).unwrap().as_slice::<i32>().unwrap(), [MIB as i32 / 4, 1]);
}

#[test]
fn working_memory_can_be_refused() {
    // The filter is padded to whole vectors, which makes it several times as large.
    memory::limit_pieces(160 << 10);
    let graph = Graph::new();
    let (x, w) = (
        placeholder(&graph, DType::Float32, [1, 4, 4, 1024]),
        placeholder(&graph, DType::Float32, [3, 3, 1024, 1]),
    );
    let y = conv2d(&x, &w, [1, 1], Padding::Same);
    let session = session(&graph, &SessionConfig::with_threads(1));
    let feeds = || {
        let ones = |shape: &[usize]| tensor::Tensor::full(1.0f32, shape);
        [(&x, ones(&[1, 4, 4, 1024])), (&w, ones(&[3, 3, 1024, 1]))]
    };
    check_refused(&session.run(&y, feeds()).unwrap_err(), "Conv2D", "memory");
    memory::limit_pieces(usize::MAX);
    let y = session.run(&y, feeds()).unwrap();
    assert_eq!(y.as_slice::<f32>().unwrap()[5], 9.0 * 1024.0);
}

#[test]
fn a_report_lists_the_uses_of_memory() {
    let graph = Graph::new();
    let value = fill([MIB as i32 / 4], constant(&graph, 1.0f32));
    let variable =
        ops::variables::VariableBuilder::new(&graph).exact_name("weights").initial_value(value).build();
    let (a, size) = zeros(&graph);
    let session = limited(&graph, 3 * MIB);
    session.run(variable.initializer(), ()).unwrap();
    let options = RunOptions::default().report_tensor_allocations_upon_oom(true);
    let error = session.run_with(&a, [(&size, [4 * MIB as i32])], &options, None).unwrap_err();
    assert_eq!(error.code(), Code::ResourceExhausted, "{error}");
    let text = error.to_string();
    assert!(
        text.contains("1 variables of 1.0 MiB ('weights' 1.0 MiB)") && text.contains("4.0 MiB"),
        "{text}"
    );
    let error = session.run(&a, [(&size, [4 * MIB as i32])]).unwrap_err();
    assert!(!error.to_string().contains("weights"), "{error}");
}

#[test]
fn a_report_lists_variables_of_both_kinds() {
    let graph = Graph::new();
    let value = constant(&graph, vec![1.0f32; 64]);
    let op = |op_type: &str| graph.op(library().find(op_type).unwrap());
    let reference = op("VariableV2").name("reference").attr("shape", PartialShape::from(&[64usize][..]));
    let reference = reference.attr("dtype", DType::Float32).finish_output();
    let assigned = op("Assign").input(&reference).input(&value).finish();
    let resource = ops::variables::VariableBuilder::new(&graph);
    let resource = resource.exact_name("resource").initial_value(&value).build();
    let (a, size) = zeros(&graph);
    let session = limited(&graph, 3 * MIB);
    session.run([resource.initializer(), &assigned], ()).unwrap();
    let options = RunOptions::default().report_tensor_allocations_upon_oom(true);
    let error = session.run_with(&a, [(&size, [4 * MIB as i32])], &options, None).unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("2 variables of 512 bytes ('reference' 256 bytes, 'resource' 256 bytes)"),
        "{text}"
    );
}
