//! Closures of the program that TensorFlow's runtime calls.

use crate::support;
use graph_def::{ImportOptions, import_graph_def, to_graph_def};
use ops::script::host_func;
use ops::{OutputExt, array, gradients, library};
use session_core::{
    AttrValue, Code, DType, Engine, Error, ErrorKind, Function, Graph, HostFunction, OpLibrary, Output,
    PartialShape, Result, Session, SessionConfig, SessionExt, Tensor,
};
use std::sync::{Arc, mpsc};
use tensorflow_engine::TensorFlowEngine;

fn open(engine: &TensorFlowEngine, graph: &Graph) -> Arc<dyn Session> {
    engine.new_session(graph, "", &SessionConfig::with_threads(2)).unwrap()
}

fn doubled() -> HostFunction {
    HostFunction::new(|inputs, _| {
        let values = inputs[0].as_slice::<f32>()?.iter().map(|x| 2.0 * x).collect();
        Ok(vec![Tensor::from_vec(values, inputs[0].shape())?])
    })
}

#[test]
fn values_of_all_kinds_go_in_and_out() {
    let Some(engine) = support::engine() else { return };
    let graph = Graph::new();
    let words = array::constant(&graph, Tensor::from_strings(["a", "bcd"], [2]).unwrap());
    let call = host_func(&graph.named("split"))
        .inputs([&words, &array::constant(&graph, 10i64)])
        .output(DType::Int64, [2])
        .output(DType::String, PartialShape::scalar())
        .output(DType::BFloat16, [0, 3])
        .call(|inputs, context| {
            let more = inputs[1].value::<i64>()?;
            let lengths: Vec<i64> =
                inputs[0].as_strings()?.iter().map(|word| word.len() as i64 + more).collect();
            let empty = Tensor::zeros(DType::BFloat16, [0, 3])?;
            Ok(vec![Tensor::from(lengths), Tensor::from(context.node()), empty])
        });
    let session = open(&engine, &graph);
    for _ in 0..2 {
        let values = session.run(vec![call.output(0), call.output(1), call.output(2)], ()).unwrap();
        assert_eq!(values[0], Tensor::from([11i64, 13]));
        assert_eq!(values[1].as_strings().unwrap()[0], "split");
        assert_eq!(values[2].shape().dims(), [0, 3]);
    }
    // Large tensors are shared, and stay what they are while TensorFlow continues.
    let large = array::placeholder(&graph.named("large"), DType::Float32, [None]);
    let twice = host_func(&graph).input(&large).output(DType::Float32, [None]).finish(doubled()).output(0);
    let fourfold =
        host_func(&graph).input(&twice).output(DType::Float32, [None]).stateless().finish(doubled());
    let sum = &twice + &fourfold.output(0);
    let value = Tensor::full(1.5f32, [100_000]);
    let found = session.run(vec![twice, sum], [(&large, value)]).unwrap();
    assert_eq!(found, [Tensor::full(3.0f32, [100_000]), Tensor::full(9.0f32, [100_000])]);
    // One that is added to a session that runs, without inputs and outputs.
    let (sender, receiver) = mpsc::channel();
    let report = host_func(&graph.named("report")).call(move |_, _| {
        sender.send(()).map_err(Error::other)?;
        Ok(Vec::new())
    });
    session.run(&report, ()).unwrap();
    assert_eq!(receiver.try_iter().count(), 1);
}

#[test]
fn gradients_flow_through_the_gradient_closure() {
    let Some(engine) = support::engine() else { return };
    let graph = Graph::new();
    let x = array::constant(&graph, [1.0f32, 2.0, 3.0]);
    let squares = |values: &[f32]| values.iter().map(|x| x * x).collect::<Vec<f32>>();
    let y = host_func(&graph).input(&x).output(DType::Float32, [3]).gradient(|values, _| {
        let (x, dy) = (values.inputs[0].as_slice::<f32>()?, values.gradients[0].as_slice::<f32>()?);
        Ok(vec![Tensor::from(x.iter().zip(dy).map(|(x, dy)| 2.0 * x * dy).collect::<Vec<f32>>())])
    });
    let y = y.call(move |inputs, _| Ok(vec![Tensor::from(squares(inputs[0].as_slice()?))]));
    let dx = gradients(&[&y.output(0).reduce_sum(..)], &[&x]).unwrap().remove(0).unwrap();
    assert_eq!(open(&engine, &graph).run(&dx, ()).unwrap(), Tensor::from([2.0f32, 4.0, 6.0]));
}

/// A graph whose function `f` calls a closure, and whose loop calls it until the closure of its condition returns false.
fn with_function_and_loop() -> (Graph, Output, Output) {
    let graph = Graph::new();
    let scalar = || PartialShape::scalar();
    let add = |name: &str, make: &dyn Fn(&Graph, &Output) -> Output| {
        let body = Graph::new();
        let argument = array::placeholder(&body, DType::Float32, scalar());
        let result = make(&body, &argument);
        let function = Function::new(name, &body, [argument], [("y".to_owned(), result)]).unwrap();
        graph.add_function(function).unwrap();
    };
    add("f", &|body, x| {
        host_func(&body.named("twice"))
            .input(x)
            .output(DType::Float32, scalar())
            .token("t")
            .finish(doubled())
            .output(0)
    });
    add("small", &|body, x| {
        let call = host_func(&body.named("small")).input(x).token("t"); // another closure with the same token
        call.call_with_scalars(|x: &[f32]| x[0] < 100.0)
    });
    let start = array::constant(&graph, 1.5f32);
    let types = AttrValue::List(vec![AttrValue::Type(DType::Float32)]);
    let function = |name: &str| AttrValue::Func(name.to_owned(), Default::default());
    let op = |name: &str| graph.op(library().find(name).unwrap()).input_list(std::slice::from_ref(&start));
    let call = op("StatefulPartitionedCall").attr("Tin", types.clone()).attr("Tout", types.clone());
    let call = call.attr("f", function("f")).finish().output(0);
    let looped = op("While").attr("T", types).attr("cond", function("small")).attr("body", function("f"));
    (graph.clone(), call, looped.finish().output(0))
}

#[test]
fn functions_and_loops_call_closures_even_with_equal_tokens() {
    let Some(engine) = support::engine() else { return };
    let (graph, called, looped) = with_function_and_loop();
    let session = open(&engine, &graph);
    assert_eq!(session.run(&called, ()).unwrap(), Tensor::from(3.0f32));
    assert_eq!(session.run(&looped, ()).unwrap(), Tensor::from(192.0f32));
}

#[test]
fn errors_and_panics_are_the_operations() {
    let Some(engine) = support::engine() else { return };
    let failing = |f: fn() -> Result<Vec<Tensor>>| {
        let graph = Graph::new();
        let call = host_func(&graph.named("f")).token("t").output(DType::Float32, PartialShape::scalar());
        let output = array::identity(call.call(move |_, _| f()).output(0));
        open(&engine, &graph).run(&output, ()).unwrap_err()
    };
    let error = failing(|| Err(Error::new(Code::OutOfRange, "no more rows")));
    assert!(error.is_end_of_input() && error.node() == Some("f"), "{error}");
    assert!(error.to_string().contains("no more rows (node 'f' of type PyFunc, made at"), "{error}");
    let error = failing(|| panic!("out of luck"));
    assert_eq!((error.kind(), error.node()), (ErrorKind::Panic, Some("f")));
    assert!(error.message().contains("host function 't' panicked: out of luck"), "{error}");
    for (wrong, text) in [
        (
            (|| Ok(Vec::new())) as fn() -> Result<Vec<Tensor>>,
            "t returns 0 values, but expects to see 1 values",
        ),
        (|| Ok(vec![Tensor::from(1i32)]), "0-th value returned by t is int32, but expects float32"),
        (|| Ok(vec![Tensor::from([1.0f32])]), "has shape [1], but is declared as []"),
    ] {
        let error = failing(wrong);
        assert_eq!(error.code(), Code::InvalidArgument);
        assert!(error.message().contains(text), "{error}");
    }
}

#[test]
fn imported_functions_without_a_closure_are_refused_by_name() {
    let Some(engine) = support::engine() else { return };
    let (graph, called, _) = with_function_and_loop();
    let message = to_graph_def(&graph).unwrap();
    let copy = Graph::new();
    import_graph_def(&copy, &message, &ImportOptions::new().bind_py_func("f/twice", &doubled())).unwrap();
    let error = engine.new_session(&copy, "", &SessionConfig::default()).err().unwrap();
    assert_eq!((error.code(), error.node()), (Code::Unimplemented, Some("small")));
    assert!(error.message().contains("no closure is bound to its token 't'"), "{error}");

    let copy = Graph::new();
    let imported =
        import_graph_def(&copy, &message, &ImportOptions::new().bind_py_func("t", &doubled())).unwrap();
    let output = imported.output(&called.name()).unwrap();
    assert_eq!(open(&engine, &copy).run(&output, ()).unwrap(), Tensor::from(3.0f32));
}

#[test]
fn a_closure_is_never_called_on_a_server() {
    let Some(engine) = support::engine() else { return };
    let graph = Graph::new();
    let builder = host_func(&graph.named("augment")).output(DType::Float32, PartialShape::scalar());
    let _ = builder.call(|_, _| Ok(vec![Tensor::from(1.0f32)]));
    let error = engine.new_session(&graph, "grpc://127.0.0.1:1", &SessionConfig::default()).err().unwrap();
    assert_eq!(error.code(), Code::Unimplemented);
    assert!(error.message().contains("in augment: run it in a session without a target"), "{error}");
}

#[test]
fn the_end_of_the_session_wakes_a_closure_that_waits() {
    let Some(engine) = support::engine() else { return };
    let graph = Graph::new();
    let (entered, waits) = mpsc::channel();
    let call = host_func(&graph.named("wait")).call(move |_, context| {
        let (wake, woken) = mpsc::channel();
        let guards = context.on_cancel(move || wake.send(()).unwrap_or(()));
        entered.send(()).map_err(Error::other)?;
        woken.recv().map_err(Error::other)?;
        drop(guards);
        context.check()?;
        Ok(Vec::new())
    });
    let session = open(&engine, &graph);
    let running = session.clone();
    let run = std::thread::spawn(move || running.run(&call, ()));
    waits.recv().unwrap();
    session.close().unwrap();
    assert_eq!(run.join().unwrap().unwrap_err().code(), Code::Cancelled);
}

#[test]
fn closures_are_dropped_with_their_graph() {
    let Some(engine) = support::engine() else { return };
    let graph = Graph::new();
    let held = Arc::new(());
    let (weak, shared) = (Arc::downgrade(&held), held);
    let call = host_func(&graph)
        .output(DType::Int64, PartialShape::scalar())
        .call(move |_, _| Ok(vec![Tensor::from(Arc::strong_count(&shared) as i64)]));
    let session = open(&engine, &graph);
    assert_eq!(session.run(&call.output(0), ()).unwrap(), Tensor::from(1i64));
    session.close().unwrap();
    drop((session, call, graph));
    assert!(weak.upgrade().is_none(), "nothing keeps it");
}
