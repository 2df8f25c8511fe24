//! Which op types of the library this engine runs.
#![allow(clippy::unwrap_used, clippy::print_stdout)] // a panic is the report, and what is printed is meant to be seen

use ops::library;
use session_core::{DType, Graph, OutputInfo, PartialShape};

/// Op types that are defined, so that graphs with them can be read and written, and that this engine does not run.
const LACKING: [&str; 5] =
    ["Abort", "SymbolicGradient", "ParameterizedTruncatedNormal", "TensorSummaryV2", "TensorSummary"];

#[test]
fn every_defined_op_type_runs_but_those_listed() {
    let defined: Vec<&str> = library().iter().map(|def| def.name()).collect();
    let lacking: Vec<&str> =
        defined.iter().copied().filter(|op_type| !embedded_engine::supports(op_type)).collect();
    println!("{} op types, {} without kernel", defined.len(), lacking.len());
    assert_eq!(lacking, LACKING);
}

#[test]
fn what_is_missing_is_listed_with_its_nodes_also_in_functions() {
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
    let listed: Vec<(&str, &[String])> = missing.iter().collect();
    assert_eq!(listed, [("Unheard", &["outer".to_owned(), "f/inner".to_owned()][..])]);
    assert_eq!(missing.to_string(), "Unheard (outer, f/inner)");
}
