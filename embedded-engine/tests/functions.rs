//! Functions of a graph's library: how they are compiled, how deep they may lie, and what waits in them.
#![allow(clippy::unwrap_used)] // a panic is the report

use embedded_engine::EmbeddedEngine;
use graph_def::{ImportOptions, import_graph_def};
use ops::library;
use prost::Message;
use session_core::{
    AttrValue, CancellationToken, Code, DType, Engine, Function, Graph, OpBuilder, OpLibrary as _, Output,
    RunMetadata, RunOptions, Session, SessionConfig, SessionExt, Tensor,
};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

fn op(graph: &Graph, op_type: &str) -> OpBuilder {
    graph.op(library().find(op_type).unwrap())
}

fn types(count: usize) -> AttrValue {
    AttrValue::List(vec![AttrValue::Type(DType::Float32); count])
}

fn named(function: &str) -> AttrValue {
    AttrValue::Func(function.to_owned(), Default::default())
}

fn call(graph: &Graph, function: &str, input: &Output) -> Output {
    let builder = op(graph, "StatefulPartitionedCall").input_list([input]);
    builder.attr("Tin", types(1)).attr("Tout", types(1)).attr("f", named(function)).finish().output(0)
}

fn choice(graph: &Graph, condition: &Output, functions: [&str; 2], input: &Output) -> Output {
    let builder = op(graph, "If").input(condition).input_list([input]).attr("Tin", types(1));
    let [then_branch, else_branch] = functions.map(named);
    let builder = builder.attr("Tout", types(1)).attr("then_branch", then_branch);
    builder.attr("else_branch", else_branch).finish().output(0)
}

/// A function of one number.
fn function(graph: &Graph, name: &str, body: impl FnOnce(&Graph, &Output) -> Output) {
    let inside = Graph::new();
    let x = ops::array::placeholder(&inside, DType::Float32, [0usize; 0]);
    let y = body(&inside, &x);
    graph.add_function(Function::new(name, &inside, [x], [("y".to_owned(), y)]).unwrap()).unwrap();
}

fn one(graph: &Graph) -> Output {
    ops::array::constant(graph, 1f32)
}

fn session(graph: &Graph) -> Arc<dyn Session> {
    EmbeddedEngine::new().new_session(graph, "", &SessionConfig::with_threads(1)).unwrap()
}

/// Functions `f0` to `f<depth>`, each of which calls the one before it.
fn nested(depth: usize, level: impl Fn(&Graph, &str, &Output) -> Output) -> (Graph, Output) {
    let graph = Graph::new();
    function(&graph, "f0", |graph, x| x + &one(graph));
    for number in 1..=depth {
        let inner = format!("f{}", number - 1);
        function(&graph, &format!("f{number}"), |graph, x| level(graph, &inner, x));
    }
    let start = ops::array::placeholder(&graph, DType::Float32, [0usize; 0]);
    let result = call(&graph, &format!("f{depth}"), &start);
    (graph, result)
}

fn run(graph: &Graph, result: &Output) -> session_core::Result<Tensor> {
    let start = graph.output("Placeholder:0").unwrap();
    session(graph).run(result, [(&start, 1f32)])
}

#[test]
fn a_function_called_twice_by_each_of_a_row_is_compiled_once() {
    // Compiled at each of its calls, the first one would be compiled 2^40 times.
    let (graph, result) = nested(40, |graph, inner, x| {
        let positive = op(graph, "Greater").input(x).input(&(&one(graph) - &one(graph))).finish_output();
        choice(graph, &positive, [inner, inner], &(x + &one(graph)))
    });
    assert_eq!(run(&graph, &result).unwrap().value::<f32>().unwrap(), 42.0);
}

#[test]
fn functions_may_be_deeply_nested() {
    let (graph, result) = nested(200, |graph, inner, x| &call(graph, inner, x) + &one(graph));
    assert_eq!(run(&graph, &result).unwrap().value::<f32>().unwrap(), 202.0);
}

#[test]
fn deeply_nested_functions_may_wait() {
    let graph = Graph::new();
    function(&graph, "f", |graph, x| x + &dequeue(graph));
    for number in 0..240 {
        let inner = if number == 0 { "f".to_owned() } else { format!("g{}", number - 1) };
        function(&graph, &format!("g{number}"), |graph, x| call(graph, &inner, x));
    }
    let start = ops::array::constant(&graph, 1f32);
    let sum = call(&graph, "g239", &start);
    let put = enqueue(&graph, &start);
    let options = RunOptions::with_timeout(Duration::from_secs(60));
    let (sum, _) = session(&graph).run_with((&sum, &put), (), &options, None).unwrap();
    assert_eq!(sum.value::<f32>().unwrap(), 2.0);
}

#[test]
fn too_deeply_nested_functions_are_an_error_that_names_one() {
    let (graph, result) = nested(3000, call);
    let error = run(&graph, &result).unwrap_err();
    assert_eq!(error.code(), Code::ResourceExhausted, "{error}");
    assert!(error.message().contains("'f256' begins a chain of more than 256 nested calls"), "{error}");
    let caller = error.node().and_then(|name| graph.function("f257")?.body().operation(name).ok());
    assert_eq!(caller.unwrap().op_type(), error.op_type().unwrap());
}

#[test]
fn a_file_with_too_deeply_nested_functions_is_read_and_refused() {
    let (graph, _) = nested(3000, call);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep.pb");
    let mut message = graph_def::to_graph_def(&graph).unwrap();
    for _ in 0..2 {
        std::fs::write(&path, message.encode_to_vec()).unwrap();
        let read = graph_def::read_graph_file(&path).unwrap();
        let imported = Graph::new();
        let options = ImportOptions::new().file(&path);
        import_graph_def(&imported, &read.graph_def.unwrap(), &options).unwrap();
        let call =
            imported.operations().into_iter().find(|operation| operation.op_type() != "Placeholder").unwrap();
        let error = run(&imported, &call.output(0)).unwrap_err();
        assert_eq!(error.code(), Code::ResourceExhausted, "{error}");
        assert!(
            error.message().contains("256 nested calls") && !error.to_string().contains(".rs:"),
            "{error}"
        );
        // Callers before those they call.
        message.library.as_mut().unwrap().function.reverse();
    }
}

#[test]
fn a_function_that_calls_itself_is_an_error_that_names_it() {
    let graph = Graph::new();
    function(&graph, "f", |graph, x| call(graph, "g", x));
    function(&graph, "g", |graph, x| call(graph, "f", x));
    let x = ops::array::placeholder(&graph, DType::Float32, [0usize; 0]);
    let error = run(&graph, &call(&graph, "f", &x)).unwrap_err();
    assert_eq!(error.code(), Code::Unimplemented, "{error}");
    assert!(error.message().contains("calls itself"), "{error}");
}

/// A queue that all graphs and functions of a session share by its name.
fn queue(graph: &Graph) -> Output {
    op(graph, "FIFOQueueV2").attr("component_types", types(1)).attr("shared_name", "q").finish_output()
}

fn enqueue(graph: &Graph, value: &Output) -> session_core::Operation {
    op(graph, "QueueEnqueueV2").input(queue(graph)).input_list([value]).attr("Tcomponents", types(1)).finish()
}

fn dequeue(graph: &Graph) -> Output {
    op(graph, "QueueDequeueV2").input(queue(graph)).attr("component_types", types(1)).finish().output(0)
}

#[test]
fn a_waiting_function_does_not_block_its_callers_step() {
    let graph = Graph::new();
    function(&graph, "taken", |graph, x| x + &dequeue(graph));
    function(&graph, "outer", |graph, x| &call(graph, "taken", x) + &call(graph, "taken", x));
    let start = ops::array::placeholder(&graph, DType::Float32, [0usize; 0]);
    // Made, and so begun, before what it waits for.
    let sum = call(&graph, "outer", &start);
    let [first, second] = [10f32, 20.0].map(|value| enqueue(&graph, &ops::array::constant(&graph, value)));
    let session = session(&graph);
    let mut metadata = RunMetadata::default();
    let options = RunOptions::with_timeout(Duration::from_secs(60));
    let fetches = (&sum, &first, &second);
    let (sum, ..) = session.run_with(fetches, [(&start, 1f32)], &options, Some(&mut metadata)).unwrap();
    assert_eq!(sum.value::<f32>().unwrap(), 32.0);
}

#[test]
fn a_loop_of_functions_that_waits_in_its_rounds_takes_turns_with_another() {
    let graph = Graph::new();
    function(&graph, "below", |graph, x| {
        let limit = ops::array::constant(graph, 5f32);
        op(graph, "Less").input(x).input(&limit).finish_output()
    });
    function(&graph, "take", |graph, x| &(x + &dequeue(graph)) - &one(graph));
    let inside = Graph::new();
    let x = ops::array::placeholder(&inside, DType::Float32, [0usize; 0]);
    let put = enqueue(&inside, &ops::array::constant(&inside, 2f32));
    let next =
        op(&inside.control_dependencies([&put]), "AddV2").input(&x).input(one(&inside)).finish_output();
    let put = Function::new("put", &inside, [x], [("y".to_owned(), next)]).unwrap();
    graph.add_function(put).unwrap();
    let start = ops::array::placeholder(&graph, DType::Float32, [0usize; 0]);
    let repeat = |body: &str| {
        let builder = op(&graph, "While").input_list([&start]).attr("T", types(1));
        builder.attr("cond", named("below")).attr("body", named(body)).finish().output(0)
    };
    let (taken, put) = (repeat("take"), repeat("put"));
    let session = session(&graph);
    let options = RunOptions::with_timeout(Duration::from_secs(60));
    let (taken, put) = session.run_with((&taken, &put), [(&start, 0f32)], &options, None).unwrap();
    assert_eq!((taken.value::<f32>().unwrap(), put.value::<f32>().unwrap()), (5.0, 5.0));
}

#[test]
fn a_function_that_waits_forever_ends_by_cancellation_and_names_its_wait() {
    let graph = Graph::new();
    function(&graph, "taken", |graph, x| x + &dequeue(graph));
    let start = ops::array::placeholder(&graph, DType::Float32, [0usize; 0]);
    let sum = call(&graph, "taken", &start);
    let session = session(&graph);
    let token = CancellationToken::new();
    let options = RunOptions::default().cancellation(token.clone());
    let waiting = {
        let (session, start) = (session.clone(), start.clone());
        thread::spawn(move || session.run_with(&sum, [(&start, 1f32)], &options, None))
    };
    loop {
        let mut metadata = RunMetadata::default();
        session.run_with(&start, [(&start, 1f32)], &RunOptions::default(), Some(&mut metadata)).unwrap();
        if metadata.queues.iter().any(|queue| queue.pending_dequeues == 1) {
            break;
        }
        thread::yield_now();
    }
    token.cancel();
    let error = waiting.join().unwrap().unwrap_err();
    assert_eq!(error.code(), Code::Cancelled, "{error}");
    assert!(error.message().contains("dequeue of 1 element from FIFOQueue 'q'"), "{error}");
    assert_eq!(error.op_type(), Some("QueueDequeueV2"), "{error}");
}

#[test]
fn compiling_sees_that_the_run_was_cancelled() {
    let (graph, result) = nested(10, call);
    let start = graph.output("Placeholder:0").unwrap();
    let token = CancellationToken::new();
    token.cancel();
    let options = RunOptions::default().cancellation(token);
    let session = session(&graph);
    let error = session.run_with(&result, [(&start, 1f32)], &options, None).unwrap_err();
    assert_eq!(error.code(), Code::Cancelled, "{error}");
    assert_eq!(session.run(&result, [(&start, 1f32)]).unwrap().value::<f32>().unwrap(), 2.0);
}
