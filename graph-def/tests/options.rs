//! Options that leave parts out of imports and exports.
#![allow(clippy::unwrap_used)] // a test may

mod support;

use checkpoint::{GraphSaver, SAVERS, SaverOptions};
use graph_def::proto::{ArgDef, AttrDef, AttrValue, GraphDef, MetaGraphDef, OpDef, OpList, Value};
use graph_def::{
    ExportOptions, ImportOptions, export_meta_graph, export_meta_graph_with, import_graph_def,
    import_meta_graph_def, read_graph_file, read_meta_graph, to_graph_def, write_graph,
};
use ops::variables::variable;
use session_core::{DType, Graph, keys};

fn names(message: &MetaGraphDef) -> Vec<&str> {
    message.graph_def.as_ref().unwrap().node.iter().map(|node| node.name.as_str()).collect()
}

#[test]
fn devices_are_cleared_on_request() {
    let graph = Graph::new();
    let device = graph.device("/job:ps/task:3/device:CPU:0");
    let _weights = variable(&device.named("weights"), vec![1.0f32]);
    let whole = export_meta_graph(&graph, Some(&GraphSaver::new(SaverOptions::new()))).unwrap();
    let on_devices = |message: &MetaGraphDef| {
        message.graph_def.as_ref().unwrap().node.iter().filter(|node| !node.device.is_empty()).count()
    };
    assert!(on_devices(&whole) > 0);
    let options = ExportOptions::new().clear_devices(true);
    let saver = GraphSaver::new(SaverOptions::new());
    let cleared = export_meta_graph_with(&graph, Some(&saver), &options).unwrap();
    assert_eq!(on_devices(&cleared), 0);

    let placed = import_meta_graph_def(&Graph::new(), &whole, &ImportOptions::new()).unwrap().graph;
    assert_eq!(placed.operation("weights").unwrap().device(), "/job:ps/task:3/device:CPU:0");
    let options = ImportOptions::new().clear_devices(true);
    let anywhere = import_meta_graph_def(&Graph::new(), &whole, &options).unwrap().graph;
    assert!(anywhere.operations().iter().all(|operation| operation.device().is_empty()));
}

#[test]
fn extraneous_savers_are_cleared_on_request() {
    let graph = Graph::new();
    let _weights = variable(&graph.named("weights"), vec![1.0f32]);
    let bias = variable(&graph.named("bias"), 0.0f32);
    let (all, part) =
        (GraphSaver::new(SaverOptions::new()), GraphSaver::of(vec![bias], SaverOptions::new()).unwrap());
    graph.add_to_collection(&SAVERS, all.clone()).unwrap();
    graph.add_to_collection(&SAVERS, part).unwrap();
    let both = export_meta_graph(&graph, Some(&all)).unwrap();
    assert!(names(&both).contains(&"save/SaveV2") && names(&both).contains(&"save_1/SaveV2"));

    // The second saver's operations are in the graph, as in one that TensorFlow wrote.
    let again = import_meta_graph_def(&Graph::new(), &both, &ImportOptions::new()).unwrap();
    let options = ExportOptions::new().clear_extraneous_savers(true);
    let one = export_meta_graph_with(&again.graph, again.saver.as_ref(), &options).unwrap();
    assert!(names(&one).contains(&"save/SaveV2"));
    assert!(!names(&one).iter().any(|name| name.starts_with("save_1/")), "{:?}", names(&one));
    let meta = import_meta_graph_def(&Graph::new(), &one, &ImportOptions::new()).unwrap();
    assert_eq!(meta.graph.collection(&SAVERS).len(), 1);
}

#[test]
fn a_saver_with_missing_operations_is_skipped() {
    let mut message = read_meta_graph(support::fixture("mlp_ref/model.meta")).unwrap();
    message.saver_def.as_mut().unwrap().restore_op_name = "save/gone".to_owned();
    message.collection_def.remove("savers");
    let meta = import_meta_graph_def(&Graph::new(), &message, &ImportOptions::new()).unwrap();
    assert!(meta.saver.is_none());
    assert_eq!(meta.graph.collection(&keys::VARIABLES).len(), 15);
}

#[test]
fn saving_operations_have_output_shapes() {
    let graph = Graph::new();
    let _weights = variable(&graph.named("weights"), vec![1.0f32]);
    let message = export_meta_graph(&graph, Some(&GraphSaver::new(SaverOptions::new()))).unwrap();
    let shapes = |name: &str| {
        let nodes = &message.graph_def.as_ref().unwrap().node;
        let node = nodes.iter().find(|node| node.name == name).unwrap();
        match node.attr.get("_output_shapes").map(|attr| attr.value.clone().unwrap()) {
            Some(Value::List(list)) => {
                list.shape.iter().map(|shape| (shape.unknown_rank, shape.dim.len())).collect()
            }
            _ => Vec::new(),
        }
    };
    // The same as in a file of TensorFlow's.
    assert_eq!(shapes("save/filename/input"), [(false, 0)]);
    assert_eq!(shapes("save/Const"), [(false, 0)]);
    assert_eq!(shapes("save/SaveV2/tensor_names"), [(false, 1)]);
    assert_eq!(shapes("save/control_dependency"), [(false, 0)]);
    assert_eq!(shapes("save/RestoreV2"), [(true, 0)]);
    assert!(shapes("save/SaveV2").is_empty() && shapes("save/restore_all").is_empty());
}

#[test]
fn missing_folders_of_a_graph_file_are_created() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a/b/graph.pbtxt");
    let graph = Graph::new();
    let _two = ops::array::constant(&graph.named("two"), 2.0f32);
    write_graph(&path, &to_graph_def(&graph).unwrap()).unwrap();
    assert_eq!(read_graph_file(&path).unwrap().graph_def.unwrap().node[0].name, "two");
}

#[test]
fn placeholders_of_old_writers_have_no_shape() {
    let message = |producer: i32| {
        let text = format!(
            r#"node {{ name: "x" op: "Placeholder" attr {{ key: "dtype" value {{ type: DT_FLOAT }} }}
                 attr {{ key: "shape" value {{ shape {{ }} }} }} }}
               versions {{ producer: {producer} }}"#
        );
        let graph = Graph::new();
        let message = graph_def::proto::GraphDef::from_text(&text).unwrap();
        let imported = graph_def::import_graph_def(&graph, &message, &ImportOptions::new()).unwrap();
        imported.output("x").unwrap().shape().rank()
    };
    // They left the shape of any tensor out, which reads as that of a scalar.
    assert_eq!([message(0), message(8), message(23)], [None; 3]);
    assert_eq!([message(24), message(2474)], [Some(0); 2]);
}

#[test]
fn a_graph_that_excludes_readers_of_this_version_is_refused() {
    let error = |versions: &str| {
        let message = GraphDef::from_text(&format!("versions {{ {versions} }}")).unwrap();
        graph_def::import_graph_def(&Graph::new(), &message, &ImportOptions::new())
            .err()
            .map(|e| e.to_string())
    };
    assert!(error("producer: 99999 min_consumer: 99999").unwrap().contains("of version 99999 or later"));
    assert!(
        error("producer: 99999 bad_consumers: [7, 2474]")
            .unwrap()
            .contains("excludes readers of version 2474")
    );
    assert_eq!(error("producer: 99999 min_consumer: 12 bad_consumers: 7"), None);
}

/// A graph is written without the attributes that have their defaults, also in functions and of types that are not known here.
#[test]
fn unknown_types_may_lack_attributes_with_defaults() {
    let text = r#"
node { name: "c" op: "Const" attr { key: "dtype" value { type: DT_FLOAT } }
  attr { key: "value" value { tensor { dtype: DT_FLOAT tensor_shape { } float_val: 7 } } } }
node { name: "called" op: "Body" input: "c" }
library { function {
  signature { name: "Body" input_arg { name: "x" type: DT_FLOAT } output_arg { name: "y" type: DT_DOUBLE }
    output_arg { name: "z" type: DT_FLOAT } }
  node_def { name: "fancy" op: "Fancy" input: "x" }
  node_def { name: "debug" op: "DebugNumericSummaryV2" input: "x" attr { key: "T" value { type: DT_FLOAT } } }
  ret { key: "y" value: "fancy:last:0" } ret { key: "z" value: "debug:output:0" }
} }"#;
    let message = GraphDef::from_text(text).unwrap();
    let attr = |name: &str, value| AttrDef {
        name: name.to_owned(),
        default_value: Some(AttrValue { value: Some(value) }),
        ..AttrDef::default()
    };
    let output = |name: &str, number: &str| ArgDef {
        name: name.to_owned(),
        type_attr: "T".to_owned(),
        number_attr: number.to_owned(),
        ..ArgDef::default()
    };
    let fancy = OpDef {
        name: "Fancy".to_owned(),
        output_arg: vec![output("several", "N"), output("last", "")],
        attr: vec![attr("T", Value::Type(DType::Float64.number())), attr("N", Value::Int(2))],
        ..OpDef::default()
    };
    let graph = Graph::new();
    let options = ImportOptions::new().op_list(OpList { op: vec![fancy] });
    import_graph_def(&graph, &message, &options).unwrap();
    let function = graph.function("Body").unwrap();
    let outputs: Vec<String> = function.outputs().iter().map(|(_, output)| output.name()).collect();
    assert_eq!(outputs, ["fancy:2", "debug:0"]);
    assert_eq!(function.body().operation("fancy").unwrap().num_outputs(), 3);
}
