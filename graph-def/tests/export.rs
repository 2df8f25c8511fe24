//! Exported graphs match those of TensorFlow.
#![allow(clippy::unwrap_used)] // a test may
#![allow(clippy::print_stdout)] // what is printed is meant to be seen

mod support;

use graph_def::proto::{GraphDef, Value};
use graph_def::{ExportOptions, to_graph_def, to_graph_def_with};
use ops::array::{constant, placeholder};
use ops::global_step::get_or_create_global_step;
use ops::nn::{bias_add, relu, sparse_softmax_cross_entropy_with_logits};
use ops::optimizers::{AdamOptimizer, Optimizer};
use ops::variables::variable;
use ops::{OutputExt, math};
use session_core::{DType, Function, Graph, Tensor};

fn model() -> Graph {
    let graph = Graph::new();
    let x = placeholder(&graph.named("x"), DType::Float32, [None, Some(3)]);
    let y = placeholder(&graph.named("y"), DType::Int32, [None]);
    let hidden = graph.scope("hidden/");
    let w = variable(&hidden.named("w"), constant(&hidden, Tensor::full(0.1f32, [3, 4])));
    let b = variable(&hidden.named("b"), constant(&hidden, Tensor::full(0.0f32, [4])));
    let product = x.named("product").matmul(&w);
    let h = relu(bias_add(product.named("biased"), &b).named("relu"));
    let losses = sparse_softmax_cross_entropy_with_logits(y.named("xent"), &h);
    let loss = math::reduce_mean(losses.named("loss"), ..);
    let step = get_or_create_global_step(&graph);
    AdamOptimizer::new(0.01).minimize(&loss, Some(&step));
    graph.check().unwrap();
    graph
}

#[test]
fn tensorflow_makes_and_runs_the_same_graph() {
    let Some(python) = support::python() else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("graph.pb");
    std::fs::write(&path, to_graph_def(&model()).unwrap().to_bytes()).unwrap();
    let answer = support::ask(&python, "compare_graph.py", &[path.as_os_str()]);
    println!("compared {} nodes", answer["same"].as_array().unwrap().len());
    assert_eq!(answer["different"].as_object().unwrap().len(), 0, "{:#}", answer["different"]);
    assert!(answer["same"].as_array().unwrap().len() >= 50, "{:#}", answer);
    let losses: Vec<f64> = serde_json::from_value(answer["losses"].clone()).unwrap();
    assert!(losses.len() == 3 && losses[2] < losses[0], "{losses:?}");
    assert_eq!(answer["producer"], answer["their_producer"]);
}

#[test]
fn equal_graphs_give_equal_bytes_and_read_back() {
    let message = to_graph_def(&model()).unwrap();
    let bytes = message.to_bytes();
    assert_eq!(bytes, to_graph_def(&model()).unwrap().to_bytes());
    assert_eq!(GraphDef::from_bytes(bytes).unwrap(), message);
}

#[test]
fn options_select_the_exported_parts() {
    let graph = model();
    let tail = to_graph_def_with(&graph, &ExportOptions::new().from_operation(10)).unwrap();
    assert_eq!(tail.node.len(), graph.len() - 10);
    assert_eq!(tail.node[0].name, graph.operation_by_id(10).unwrap().name());

    let stripped = to_graph_def_with(&graph, &ExportOptions::new().strip_default_attrs(true)).unwrap();
    let product = stripped.node.iter().find(|node| node.name == "product").unwrap();
    assert_eq!(product.attr.keys().collect::<Vec<_>>(), ["T"]);

    let shaped = to_graph_def_with(&graph, &ExportOptions::new().output_shapes(true)).unwrap();
    let product = shaped.node.iter().find(|node| node.name == "product").unwrap();
    let Some(Value::List(list)) = &product.attr["_output_shapes"].value else { panic!() };
    let sizes: Vec<i64> = list.shape[0].dim.iter().map(|dim| dim.size).collect();
    assert_eq!(sizes, [-1, 4]);
}

#[test]
fn functions_name_arguments_and_outputs() {
    let graph = Graph::new();
    let body = Graph::new();
    let a = placeholder(&body.named("A"), DType::Float32, [None]);
    let split = ops::array::split(&a, 2, 0);
    let sum = &split[1] + &a;
    let outputs = [("sum".to_owned(), sum.clone()), ("same".to_owned(), a.clone())];
    let function = Function::new("f", &body, [a.clone()], outputs).unwrap();
    graph.add_function(function.with_gradient("f_grad")).unwrap();
    let _ = constant(&graph, 1.0f32);

    let message = to_graph_def(&graph).unwrap();
    let library = message.library.unwrap();
    assert_eq!(message.versions.unwrap().min_consumer, 12);
    assert_eq!(library.gradient[0].gradient_func, "f_grad");
    let function = &library.function[0];
    let signature = function.signature.as_ref().unwrap();
    assert_eq!((signature.input_arg[0].name.as_str(), signature.input_arg[0].r#type), ("a", 1));
    assert_eq!(function.ret["same"], "a");
    let add = function.node_def.iter().find(|node| node.op == "AddV2").unwrap();
    assert_eq!(add.input, ["split:output:1", "a"]);
    assert_eq!(function.ret["sum"], format!("{}:z:0", add.name));
}

#[test]
fn a_broken_graph_is_not_exported() {
    let graph = Graph::new();
    let x = placeholder(&graph, DType::Float32, [2]);
    let y = placeholder(&graph, DType::Float32, [3]);
    let _ = &x + &y;
    assert_eq!(to_graph_def(&graph).unwrap_err().to_string(), graph.check().unwrap_err().to_string());
}
