//! The op types of the library that this engine runs.
#![allow(clippy::unwrap_used, clippy::print_stdout)] // a panic is the report, and what is printed is meant to be seen

use ops::library;
use session_core::{AttrValue, DType, Graph, OpLibrary as _, OutputInfo, PartialShape};

/// Op types that are defined, so that graphs with them can be read and written, and that this engine does not run.
const LACKING: [&str; 4] = ["Abort", "ParameterizedTruncatedNormal", "TensorSummaryV2", "TensorSummary"];

#[test]
fn every_defined_op_type_runs_but_those_listed() {
    let defined: Vec<&str> = library().iter().map(|def| def.name()).collect();
    let lacking: Vec<&str> =
        defined.iter().copied().filter(|op_type| !embedded_engine::supports(op_type)).collect();
    println!("{} op types, {} without kernel", defined.len(), lacking.len());
    assert_eq!(lacking, LACKING);
}

#[test]
fn missing_kernels_are_listed_with_their_nodes_including_functions() {
    let graph = Graph::new();
    let x = ops::array::placeholder(&graph, DType::Float32, [None]);
    let body = Graph::new();
    let argument = ops::array::placeholder(&body, DType::Float32, [None]);
    let info = |graph: &Graph, input: &session_core::Output, name: &str| {
        let output = OutputInfo { dtype: DType::Float32, shape: PartialShape::unknown(), is_ref: false };
        graph.undefined_op("Unheard").name(name).input(input).described_output(output).finish_output()
    };
    let result = info(&body, &argument, "inner");
    let _ = info(&graph, &x, "outer");
    let function = session_core::Function::new("f", &body, [argument], [("y".to_owned(), result)]).unwrap();
    graph.add_function(function).unwrap();
    let missing = embedded_engine::missing_kernels(&graph);
    let listed: Vec<_> = missing.iter().map(|lack| (lack.op_type, lack.reason, lack.operations)).collect();
    assert_eq!(listed, [("Unheard", None, &["outer".to_owned(), "f/inner".to_owned()][..])]);
    assert_eq!(missing.to_string(), "Unheard (outer, f/inner)");
}

#[test]
fn missing_kernels_are_found_in_inputs_and_called_functions() {
    let graph = Graph::new();
    let unheard = |graph: &Graph, name: &str, input: &session_core::Output| {
        let output = OutputInfo { dtype: DType::Float32, shape: PartialShape::unknown(), is_ref: false };
        graph.undefined_op("Unheard").name(name).input(input).described_output(output).finish_output()
    };
    let call = |graph: &Graph, function: &str, input: &session_core::Output| {
        let builder = graph.op(library().find("PartitionedCall").unwrap()).input_list([input]);
        let types = AttrValue::List(vec![AttrValue::Type(DType::Float32)]);
        let builder = builder.attr("Tin", types.clone()).attr("Tout", types);
        builder.attr("f", AttrValue::Func(function.to_owned(), Default::default())).finish_output()
    };
    let function = |name: &str, called: Option<&str>| {
        let body = Graph::new();
        let x = ops::array::placeholder(&body, DType::Float32, [None]);
        let result = match called {
            Some(called) => call(&body, called, &x),
            None => unheard(&body, "deep", &x),
        };
        session_core::Function::new(name, &body, [x], [("y".to_owned(), result)]).unwrap()
    };
    graph.add_function(function("inner", None)).unwrap();
    graph.add_function(function("outer", Some("inner"))).unwrap();
    let x = ops::array::placeholder(&graph, DType::Float32, [None]);
    let (near, aside) = (unheard(&graph, "near", &x), unheard(&graph, "aside", &x));
    let after = &x + &near;
    let missing = embedded_engine::missing_kernels_for([after.operation()], &[]);
    assert_eq!(missing.to_string(), "Unheard (near)");
    let called = call(&graph, "outer", &x);
    let missing = embedded_engine::missing_kernels_for([called.operation()], &[]);
    assert_eq!(missing.to_string(), "Unheard (inner/deep)");
    assert!(missing.check().unwrap_err().message().contains("inner/deep"));
    assert!(embedded_engine::missing_kernels_for([x.operation()], &[]).is_empty());
    let _ = aside;
}
