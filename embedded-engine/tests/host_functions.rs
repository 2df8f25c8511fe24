//! Operations that call closures of the program.
#![allow(clippy::unwrap_used)] // a panic is the report

use embedded_engine::EmbeddedEngine;
use graph_def::{ImportOptions, import_graph_def, to_graph_def};
use ops::script::host_func;
use ops::{OutputExt, array, gradients, library};
use session_core::{
    AttrValue, CancellationToken, Code, DType, Engine, Error, ErrorKind, Function, Graph, HostFunction,
    OpLibrary, Operation, Output, PartialShape, Result, RunOptions, Session, SessionConfig, SessionExt, Step,
    Tensor,
};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};

fn session(graph: &Graph) -> Arc<dyn Session> {
    EmbeddedEngine::new().new_session(graph, "", &SessionConfig::with_threads(1)).unwrap()
}

fn evaluate(output: &Output) -> Result<Tensor> {
    session(&output.graph()).run(output, ())
}

fn numbers(graph: &Graph) -> Output {
    array::constant(graph, [1.0f32, 2.0, 3.0])
}

fn doubled() -> HostFunction {
    HostFunction::new(|inputs, _| {
        let values = inputs[0].as_slice::<f32>()?.iter().map(|x| 2.0 * x).collect();
        Ok(vec![Tensor::from_vec(values, inputs[0].shape())?])
    })
}

#[test]
fn a_closure_computes_several_outputs_of_any_dtype() {
    let graph = Graph::new();
    let words = array::constant(&graph, Tensor::from_strings(["a", "bcd"], [2]).unwrap());
    let call = host_func(&graph.named("split"))
        .inputs([&words, &array::constant(&graph, 10i64)])
        .output(DType::Int64, [2])
        .output(DType::String, PartialShape::scalar())
        .call(|inputs, context| {
            let more = inputs[1].value::<i64>()?;
            let lengths: Vec<i64> =
                inputs[0].as_strings()?.iter().map(|word| word.len() as i64 + more).collect();
            Ok(vec![Tensor::from(lengths), Tensor::from(context.node())])
        });
    assert_eq!((call.name(), call.op_type()), ("split", "PyFunc"));
    let values = session(&graph).run(vec![call.output(0), call.output(1)], ()).unwrap();
    assert_eq!(values[0], Tensor::from([11i64, 13]));
    assert_eq!(values[1].as_strings().unwrap()[0], "split");
}

#[test]
fn plain_slices_scalars_and_arrays_need_no_tensors() {
    let graph = Graph::new();
    let x = numbers(&graph);
    let total = host_func(&graph).input(&x).output(DType::Float64, PartialShape::scalar()).call_with_slices(
        |x: &[&[f32]], y: &mut [f64]| {
            y[0] = x[0].iter().map(|&x| f64::from(x)).sum();
            Ok(())
        },
    );
    assert_eq!(evaluate(&total).unwrap(), Tensor::from(6.0f64));
    let half = array::constant(&graph, 0.5f32);
    let scaled = host_func(&graph).inputs([&x, &half]).stateless().call_with_scalars(|x: &[f32]| x[0] * x[1]);
    assert_eq!(scaled.shape(), x.shape());
    assert_eq!(scaled.operation().op_type(), "PyFuncStateless");
    assert_eq!(evaluate(&scaled).unwrap(), Tensor::from([0.5f32, 1.0, 1.5]));
    let table = array::constant(&graph, [[1.0f32, 2.0], [3.0, 4.0]]);
    let turned = host_func(&graph).input(&table).output(DType::Float32, [2, 2]);
    let turned = turned.call_with_arrays::<f32, f32, _>(|arrays| Ok(arrays[0].t().to_owned()));
    assert_eq!(evaluate(&turned).unwrap(), Tensor::from([[1.0f32, 3.0], [2.0, 4.0]]));
    let long = array::constant(&graph, [1.0f32; 4]);
    let unequal = host_func(&graph).inputs([&x, &long]).call_with_scalars(|x: &[f32]| x[0] + x[1]);
    assert!(evaluate(&unequal).unwrap_err().to_string().contains("input 1 has shape [4], not [3]"));
}

#[test]
fn closures_over_other_dtypes_are_build_errors() {
    let problem = |build: &dyn Fn(&Graph, &Output) -> Output| {
        let graph = Graph::new();
        let output = build(&graph, &numbers(&graph));
        assert!(output.operation().error().is_some());
        graph.finalize().unwrap_err().to_string()
    };
    let found = problem(&|graph, x| host_func(graph).input(x).call_with_scalars(|x: &[i32]| x[0]));
    assert!(found.contains("input 0, 'Const:0', is float32: the closure takes int32"), "{found}");
    let declared = |graph: &Graph, x: &Output| {
        host_func(graph)
            .input(x)
            .output(DType::Int8, PartialShape::scalar())
            .call_with_slices(|_: &[&[f32]], _: &mut [f32]| Ok(()))
    };
    let found = problem(&declared);
    assert!(found.contains("declared as int8, but the closure returns float32"), "{found}");
    let nothing =
        |graph: &Graph, _: &Output| host_func(graph).call_with_slices(|_: &[&[f32]], _: &mut [f32]| Ok(()));
    let found = problem(&nothing);
    assert!(
        found.contains("the shape of the output is not known") && found.contains("host_functions.rs"),
        "{found}"
    );
}

#[test]
fn a_stateful_closure_is_called_in_every_run_and_a_stateless_one_may_be_folded() {
    let counted = |stateless: bool| {
        let graph = Graph::new();
        let calls = Arc::new(AtomicUsize::new(0));
        let count = calls.clone();
        let builder = host_func(&graph).input(numbers(&graph)).output(DType::Float32, [3]);
        let builder = if stateless { builder.stateless() } else { builder };
        let call = builder.call(move |inputs, _| {
            count.fetch_add(1, Ordering::Relaxed);
            Ok(inputs.to_vec())
        });
        let session = session(&graph);
        (0..3).for_each(|_| drop(session.run(&call.output(0), ()).unwrap()));
        calls.load(Ordering::Relaxed)
    };
    assert_eq!((counted(false), counted(true)), (3, 1));
}

#[test]
fn a_closure_without_outputs_runs_for_its_effect() {
    let graph = Graph::new();
    let (sender, receiver) = mpsc::channel();
    let call = host_func(&graph.named("report")).input(numbers(&graph)).call(move |inputs, _| {
        sender.send(inputs[0].clone()).map_err(Error::other)?;
        Ok(Vec::new())
    });
    session(&graph).run(&call, ()).unwrap();
    assert_eq!(receiver.recv().unwrap(), Tensor::from([1.0f32, 2.0, 3.0]));
}

#[test]
fn errors_and_panics_are_the_operations() {
    let failing = |f: fn() -> Result<Vec<Tensor>>| {
        let graph = Graph::new();
        let builder =
            host_func(&graph.named("f")).token("t").input(numbers(&graph)).output(DType::Float32, [3]);
        evaluate(&builder.call(move |_, _| f()).output(0)).unwrap_err()
    };
    let error = failing(|| Err(Error::new(Code::OutOfRange, "no more rows")));
    assert!(error.is_end_of_input() && error.node() == Some("f"), "{error}");
    assert!(error.to_string().contains("no more rows (node 'f' of type PyFunc, made at"), "{error}");
    let error = failing(|| Err(Error::other("disk on fire")));
    assert!(error.to_string().contains("disk on fire"), "{error}");
    let error = failing(|| panic!("index out of bounds"));
    assert_eq!((error.kind(), error.node()), (ErrorKind::Panic, Some("f")));
    assert!(error.to_string().contains("host function 't' panicked: index out of bounds"), "{error}");
    let error = failing(|| Ok(Vec::new()));
    assert!(error.to_string().contains("t returns 0 values, but expects to see 1 values."), "{error}");
    let error = failing(|| Ok(vec![Tensor::from([1.0f64, 2.0, 3.0])]));
    assert!(
        error.to_string().contains("0-th value returned by t is float64, but expects float32"),
        "{error}"
    );
    let error = failing(|| Ok(vec![Tensor::from([1.0f32])]));
    assert!(error.to_string().contains("has shape [1], but is declared as [3]"), "{error}");
    assert_eq!(error.code(), Code::InvalidArgument);
}

#[test]
fn a_closure_that_waits_sees_the_end_of_the_run() {
    let graph = Graph::new();
    let (sender, receiver) = mpsc::channel::<()>();
    let waiting = (std::sync::Mutex::new(Some(sender)), std::sync::Mutex::new(receiver));
    let waiting = Arc::new(waiting);
    let begun = Arc::new(std::sync::Barrier::new(2));
    let inside = begun.clone();
    let call = host_func(&graph).call(move |_, context| {
        // The sender that wakes the wait is dropped when the run is cancelled.
        let both = waiting.clone();
        let _guards = context.on_cancel(move || drop(both.0.lock().unwrap().take()));
        inside.wait();
        let _ = waiting.1.lock().unwrap().recv();
        context.check()?;
        Ok(Vec::new())
    });
    let session = session(&graph);
    let token = CancellationToken::new();
    let options = RunOptions::default().cancellation(token.clone());
    let targets = [call.id()];
    let step = Step { fetches: &[], targets: &targets, feeds: &[], options: &options };
    std::thread::scope(|scope| {
        let running = scope.spawn(|| session.execute(&step, None).map(|_| ()));
        begun.wait();
        token.cancel();
        assert_eq!(running.join().unwrap().unwrap_err().code(), Code::Cancelled);
    });
}

#[test]
fn gradients_flow_through_the_gradient_closure() {
    let graph = Graph::new();
    let x = numbers(&graph);
    let scale = array::constant(&graph, 2i32);
    let y = host_func(&graph)
        .inputs([&x, &scale])
        .output(DType::Float32, [3])
        .gradient(|values, _| {
            // d(x^2 s) = 2 x s dy, and y/x is x s.
            let dx = values.inputs[0].as_slice::<f32>()?.iter();
            let (y, dy) = (values.outputs[0].as_slice::<f32>()?, values.gradients[0].as_slice::<f32>()?);
            let dx: Vec<f32> = dx.zip(y).zip(dy).map(|((x, y), dy)| 2.0 * (y / x) * dy).collect();
            Ok(vec![Tensor::from(dx)])
        })
        .call(|inputs, _| {
            let scale = inputs[1].value::<i32>()? as f32;
            let squares: Vec<f32> = inputs[0].as_slice::<f32>()?.iter().map(|x| x * x * scale).collect();
            Ok(vec![Tensor::from(squares)])
        });
    let loss = y.output(0).reduce_sum(..);
    let dx = gradients(&[&loss], &[&x]).unwrap().remove(0).unwrap();
    assert_eq!(evaluate(&dx).unwrap(), Tensor::from([4.0f32, 8.0, 12.0]));

    // As TensorFlow's, one without gradient passes nothing on.
    let plain = host_func(&graph).input(&x).output(DType::Float32, [3]).finish(doubled());
    assert!(gradients(&[plain.output(0)], &[&x]).unwrap()[0].is_none());
}

fn typed(def: &str, graph: &Graph, inputs: &[Output], attrs: &[(&str, &str)]) -> Operation {
    let types = AttrValue::List(vec![AttrValue::Type(DType::Float32); inputs.len()]);
    let mut builder = graph.op(library().find(def).unwrap()).input_list(inputs);
    for (name, function) in attrs {
        builder = builder.attr(name, AttrValue::Func((*function).to_owned(), Default::default()));
    }
    let builder = if def == "While" {
        builder.attr("T", types)
    } else {
        builder.attr("Tin", types.clone()).attr("Tout", types)
    };
    builder.finish()
}

/// A graph whose function `f` calls a closure, whose loop calls it until the closure of its condition returns false.
fn with_function_and_loop() -> (Graph, Output, Output) {
    let graph = Graph::new();
    let body = Graph::new();
    let argument = array::placeholder(&body, DType::Float32, PartialShape::scalar());
    let call = host_func(&body.named("twice"))
        .input(&argument)
        .output(DType::Float32, PartialShape::scalar())
        .token("twice");
    let result = call.finish(doubled()).output(0);
    graph.add_function(Function::new("f", &body, [argument], [("y".to_owned(), result)]).unwrap()).unwrap();
    let condition = Graph::new();
    let argument = array::placeholder(&condition, DType::Float32, PartialShape::scalar());
    let small = host_func(&condition.named("small")).input(&argument).token("small");
    let small = small.call_with_scalars(|x: &[f32]| x[0] < 100.0);
    graph
        .add_function(Function::new("small", &condition, [argument], [("y".to_owned(), small)]).unwrap())
        .unwrap();
    let start = array::constant(&graph, 1.5f32);
    let called =
        typed("StatefulPartitionedCall", &graph, std::slice::from_ref(&start), &[("f", "f")]).output(0);
    let attrs = [("cond", "small"), ("body", "f")];
    let looped = typed("While", &graph, &[start], &attrs).output(0);
    (graph, called, looped)
}

#[test]
fn closures_are_called_in_functions_and_loops() {
    let (graph, called, looped) = with_function_and_loop();
    let session = session(&graph);
    assert_eq!(session.run(&called, ()).unwrap(), Tensor::from(3.0f32));
    assert_eq!(session.run(&looped, ()).unwrap(), Tensor::from(192.0f32));
}

#[test]
fn imported_functions_are_bound_by_name_or_token() {
    let (graph, called, looped) = with_function_and_loop();
    let message = to_graph_def(&graph).unwrap();
    let small = HostFunction::new(|inputs, _| Ok(vec![Tensor::from(inputs[0].value::<f32>()? < 10.0)]));
    let options = ImportOptions::new().bind_py_func("f/twice", &doubled()).bind_py_func("small", &small);
    let copy = Graph::new();
    let imported =
        import_graph_def(&copy, &message, &options.clone().bind_py_func("absent", &small)).unwrap();
    assert_eq!(imported.unused_py_funcs, ["absent"]);
    let session = session(&copy);
    assert_eq!(session.run(&imported.output(&called.name()).unwrap(), ()).unwrap(), Tensor::from(3.0f32));
    assert_eq!(session.run(&imported.output(&looped.name()).unwrap(), ()).unwrap(), Tensor::from(12.0f32));

    // The library has the functions already: with the same closures they may come again, with others not.
    import_graph_def(&copy, &message, &options.clone().prefix("again")).unwrap();
    let other = options.bind_py_func("f/twice", &doubled()).prefix("other");
    let error = import_graph_def(&copy, &message, &other).unwrap_err();
    assert_eq!((error.code(), error.node()), (Code::AlreadyExists, Some("twice")));
}

#[test]
fn unbound_closures_are_listed_before_the_first_step() {
    let (graph, called, _) = with_function_and_loop();
    let copy = Graph::new();
    let imported = import_graph_def(&copy, &to_graph_def(&graph).unwrap(), &ImportOptions::new()).unwrap();
    let missing = embedded_engine::missing_kernels(&copy).to_string();
    for part in [
        "PyFunc (f/twice)",
        "no closure is bound to its token 'twice'",
        "ImportOptions::bind_py_func",
        "(small/small)",
    ] {
        assert!(missing.contains(part), "{missing}");
    }
    let error = session(&copy).run(&imported.output(&called.name()).unwrap(), ()).unwrap_err();
    assert_eq!(error.code(), Code::Unimplemented);
    assert!(error.to_string().contains("PyFunc (f/twice): no closure is bound"), "{error}");
}
