//! Functions with parameters, each of which becomes one function for each set of parameters.
#![allow(clippy::unwrap_used)]

mod support;

use graph_def::proto::{GraphDef, Value};
use graph_def::{
    ExportOptions, ImportOptions, import_graph_def, to_graph_def, to_graph_def_with, write_graph,
};
use session_core::{Code, DType, Graph};

/// `Twice` adds a tensor of any dtype to itself, `Total` adds any number of tensors, `Outer` calls both; `result*` call them.
const TEXT: &str = r#"
node { name: "f" op: "Const" attr { key: "dtype" value { type: DT_FLOAT } }
  attr { key: "value" value { tensor { dtype: DT_FLOAT tensor_shape { dim { size: 2 } } float_val: [1.5, -2] } } } }
node { name: "i" op: "Const" attr { key: "dtype" value { type: DT_INT32 } }
  attr { key: "value" value { tensor { dtype: DT_INT32 tensor_shape { } int_val: 7 } } } }
node { name: "result_f" op: "Twice" input: "f" attr { key: "T" value { type: DT_FLOAT } } }
node { name: "result_i" op: "Twice" input: "i" attr { key: "T" value { type: DT_INT32 } } }
node { name: "result_j" op: "Twice" input: "result_i" attr { key: "T" value { type: DT_INT32 } } }
node { name: "result_outer" op: "Outer" input: "f" attr { key: "S" value { type: DT_FLOAT } } }
node { name: "result_called" op: "PartitionedCall" input: "i"
  attr { key: "Tin" value { list { type: DT_INT32 } } } attr { key: "Tout" value { list { type: DT_INT32 } } }
  attr { key: "f" value { func { name: "Twice" attr { key: "T" value { type: DT_INT32 } } } } } }
library {
  function {
    signature { name: "Twice" input_arg { name: "x" type_attr: "T" } output_arg { name: "y" type_attr: "T" }
      attr { name: "T" type: "type" } }
    node_def { name: "sum" op: "AddV2" input: "x" input: "x" attr { key: "T" value { placeholder: "T" } } }
    ret { key: "y" value: "sum:z:0" }
  }
  function {
    signature { name: "Outer" input_arg { name: "a" type_attr: "S" } output_arg { name: "b" type_attr: "S" }
      attr { name: "S" type: "type" } }
    node_def { name: "twice" op: "Twice" input: "a" attr { key: "T" value { placeholder: "S" } } }
    node_def { name: "thrice" op: "Total" input: "a" input: "twice:y:0"
      attr { key: "T" value { placeholder: "S" } } attr { key: "N" value { i: 2 } } }
    ret { key: "b" value: "thrice:total:0" }
  }
  function {
    signature { name: "Total" input_arg { name: "xs" type_attr: "T" number_attr: "N" }
      output_arg { name: "total" type_attr: "T" } attr { name: "T" type: "type" } attr { name: "N" type: "int" } }
    node_def { name: "first" op: "Identity" input: "xs:0" attr { key: "T" value { placeholder: "T" } } }
    node_def { name: "all" op: "AddN" input: "xs"
      attr { key: "T" value { placeholder: "T" } } attr { key: "N" value { placeholder: "N" } } }
    node_def { name: "more" op: "AddV2" input: "first:output:0" input: "all:sum:0"
      attr { key: "T" value { placeholder: "T" } } }
    ret { key: "total" value: "more:z:0" }
  }
  function {
    signature { name: "Unused" input_arg { name: "x" type_attr: "T" } attr { name: "T" type: "type" } }
  }
}
versions { producer: 2474 }
"#;

fn imported(text: &str) -> session_core::Result<Graph> {
    let graph = Graph::new();
    import_graph_def(&graph, &GraphDef::from_text(text).unwrap(), &ImportOptions::new()).map(|_| graph)
}

#[test]
fn each_set_of_parameters_has_its_own_function() {
    let graph = imported(TEXT).unwrap();
    let mut names: Vec<String> =
        graph.functions().iter().map(|function| function.name().to_owned()).collect();
    names.sort();
    assert_eq!(names, ["Outer_float32", "Total_2_float32", "Twice_float32", "Twice_int32"]);
    let dtype = |name: &str| graph.operation(name).unwrap().output(0).dtype();
    assert_eq!((dtype("result_f"), dtype("result_j")), (DType::Float32, DType::Int32));
    let sum = graph.function("Total_2_float32").unwrap();
    assert_eq!(sum.inputs().len(), 2);
    assert_eq!(sum.body().operation("all").unwrap().num_inputs(), 2);
    // The exported graph has no parameters, and is imported unchanged.
    let message = to_graph_def(&graph).unwrap();
    let called = message.node.iter().find(|node| node.name == "result_called").unwrap();
    let Some(Value::Func(func)) = &called.attr["f"].value else { panic!("{called:?}") };
    assert_eq!(func.name, "Twice_int32");
    let again = Graph::new();
    import_graph_def(&again, &message, &ImportOptions::new()).unwrap();
    assert_eq!(to_graph_def(&again).unwrap(), message);
}

#[test]
fn tensorflow_computes_the_same_with_and_without_parameters() {
    let Some(python) = support::python() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (theirs, ours) = (folder.path().join("theirs.pbtxt"), folder.path().join("ours.pbtxt"));
    std::fs::write(&theirs, TEXT).unwrap();
    write_graph(&ours, &to_graph_def(&imported(TEXT).unwrap()).unwrap()).unwrap();
    let answer = support::ask(&python, "run_functions.py", &[theirs.as_os_str(), ours.as_os_str()]);
    assert_eq!(answer[0], answer[1]);
    assert_eq!(answer[0]["result_outer"], serde_json::json!([6.0, -8.0]));
    assert_eq!(answer[0]["result_called"], 14);
}

#[test]
fn results_may_be_several_tensors() {
    let text = r#"
node { name: "c" op: "Const" attr { key: "dtype" value { type: DT_INT32 } }
  attr { key: "value" value { tensor { dtype: DT_INT32 tensor_shape { } int_val: 7 } } } }
node { name: "both" op: "Pass" input: "c" input: "c" attr { key: "Ts" value { list { type: [DT_INT32, DT_INT32] } } } }
library { function {
  signature { name: "Pass" input_arg { name: "x" type_list_attr: "Ts" } output_arg { name: "y" type_list_attr: "Ts" }
    output_arg { name: "z" type_list_attr: "Ts" } attr { name: "Ts" type: "list(type)" } }
  node_def { name: "same" op: "IdentityN" input: "x" attr { key: "T" value { placeholder: "Ts" } } }
  ret { key: "y" value: "same:output" } ret { key: "z" value: "x" }
} }"#;
    let graph = imported(text).unwrap();
    let pass = &graph.functions()[0];
    let results: Vec<&str> = pass.outputs().iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(results, ["y_0", "y_1", "z_0", "z_1"]);
    assert_eq!(pass.outputs()[1].1.name(), "same:1");
    assert_eq!(graph.operation("both").unwrap().num_outputs(), 4);
}

#[test]
fn errors_name_the_node_and_the_function() {
    let cases = [
        (
            TEXT.replacen("attr { key: \"T\" value { type: DT_FLOAT } } }\nnode", "}\nnode", 1),
            "does not set parameter 'T' of function 'Twice'",
        ),
        (
            TEXT.replacen("key: \"T\" value { type: DT_FLOAT }", "key: \"T\" value { i: 1 }", 1),
            "parameter 'T' of argument 'x'",
        ),
        (TEXT.replacen("placeholder: \"S\"", "placeholder: \"R\"", 1), "refers to 'R'"),
        (TEXT.replacen("value { i: 2 }", "value { i: -2 }", 1), "parameter 'N' of argument 'xs'"),
    ];
    for (text, wanted) in cases {
        let error = imported(&text).unwrap_err();
        let chain = error.chain().to_string();
        assert!(chain.contains(wanted) && chain.contains("node '"), "{chain}");
        assert_ne!(error.code(), Code::Unimplemented);
    }
}

#[test]
fn unbounded_sets_of_parameters_are_an_error() {
    let call = |parameter: &str| {
        format!(
            "node {{ name: 'c' op: 'F' attr {{ key: 'P' value {{ i: 1 }} }} }} library {{ function {{ \
             signature {{ name: 'F' attr {{ name: 'P' type: 'any' }} }} \
             node_def {{ name: 'again' op: 'F' attr {{ key: 'P' value {{ {parameter} }} }} }} }} }}"
        )
    };
    let deeper = "func { name: 'G' attr { key: 'Q' value { placeholder: 'P' } } }";
    let wider = "func { name: 'G' attr { key: 'Q' value { placeholder: 'P' } } attr { key: 'R' value { placeholder: 'P' } } }";
    for parameter in [deeper, wider] {
        let error = imported(&call(parameter)).unwrap_err();
        assert!(error.chain().to_string().contains("too large"), "{}", error.chain());
    }
    // A call of itself with the same parameters is an ordinary recursion.
    assert_eq!(imported(&call("placeholder: 'P'")).unwrap().functions().len(), 1);
}

#[test]
fn default_values_are_left_out_of_functions_too() {
    let text = r#"
node { name: "c" op: "Const" attr { key: "dtype" value { type: DT_FLOAT } }
  attr { key: "value" value { tensor { dtype: DT_FLOAT tensor_shape { dim { size: 1 } dim { size: 1 } } float_val: 7 } } } }
node { name: "called" op: "Product" input: "c" }
library { function {
  signature { name: "Product" input_arg { name: "x" type: DT_FLOAT } output_arg { name: "z" type: DT_FLOAT } }
  node_def { name: "product" op: "MatMul" input: "x" input: "x" attr { key: "T" value { type: DT_FLOAT } }
    attr { key: "transpose_b" value { b: true } } }
  ret { key: "z" value: "product:product:0" }
} }"#;
    let graph = imported(text).unwrap();
    let attrs = |options: &ExportOptions| {
        let message = to_graph_def_with(&graph, options).unwrap();
        let names = message.library.as_ref().unwrap().function[0].node_def[0]
            .attr
            .keys()
            .cloned()
            .collect::<Vec<_>>();
        let again = Graph::new();
        import_graph_def(&again, &message, &ImportOptions::default()).unwrap();
        (names, to_graph_def(&again).unwrap())
    };
    let stripped = attrs(&ExportOptions::new().strip_default_attrs(true));
    assert_eq!(stripped.0, ["T", "transpose_b"]);
    let all = attrs(&ExportOptions::new());
    assert!(all.0.contains(&"transpose_a".to_owned()), "{:?}", all.0);
    // They mean the same.
    assert_eq!(stripped.1, all.1);
}

/// Functions of gradients wait for arguments that they do not read.
#[test]
fn a_function_may_wait_for_its_argument() {
    let text = r#"
node { name: "c" op: "Const" attr { key: "dtype" value { type: DT_INT32 } }
  attr { key: "value" value { tensor { dtype: DT_INT32 tensor_shape { } int_val: 7 } } } }
node { name: "called" op: "Second" input: "c" input: "c" }
library { function {
  signature { name: "Second" input_arg { name: "x" type: DT_INT32 } input_arg { name: "y" type: DT_INT32 }
    output_arg { name: "z" type: DT_INT32 } }
  node_def { name: "same" op: "Identity" input: "y" input: "^x" attr { key: "T" value { type: DT_INT32 } } }
  ret { key: "z" value: "same:output:0" }
} }"#;
    let graph = imported(text).unwrap();
    let same = graph.function("Second").unwrap().body().operation("same").unwrap();
    assert_eq!(same.control_inputs()[0].name(), "x");
    // An argument always has a value, so the export leaves the order out.
    let message = to_graph_def(&graph).unwrap();
    assert_eq!(message.library.as_ref().unwrap().function[0].node_def[0].input, ["y"]);
    // The export gives such a name a form that is valid for an argument.
    let graph = imported(&text.replace(r#""x" type"#, r#""X" type"#).replace("^x", "^X")).unwrap();
    let message = to_graph_def(&graph).unwrap();
    let function = &message.library.as_ref().unwrap().function[0];
    assert_eq!(function.node_def[0].input, ["y"]);
    assert_eq!(function.signature.as_ref().unwrap().input_arg[0].name, "x");
    let unknown = imported(&text.replace("^x", "^w")).unwrap_err();
    assert!(unknown.chain().to_string().contains("'w' does not exist"), "{}", unknown.chain());
}
