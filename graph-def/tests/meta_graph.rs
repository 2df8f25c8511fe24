//! Meta graphs go from TensorFlow to Rust and back.
#![allow(clippy::unwrap_used)] // a test may
#![allow(clippy::print_stdout)] // what is printed is meant to be seen

mod support;

use checkpoint::SAVERS;
use graph_def::proto::{Collection, MetaGraphDef, VariableDef};
use graph_def::{
    ImportOptions, export_meta_graph, import_meta_graph, import_meta_graph_def, read_meta_graph,
    write_meta_graph,
};
use prost::Message;
use queue_runner::QUEUE_RUNNERS;
use session_core::{Code, CollectionKey, Graph, Operation, Output, Variable, keys};
use std::path::Path;

fn names(variables: &[Variable]) -> Vec<&str> {
    variables.iter().map(Variable::name).collect()
}

#[test]
fn collections_become_graph_elements() {
    let meta = import_meta_graph(support::fixture("mlp_ref/model.meta")).unwrap();
    let graph = &meta.graph;
    let variables = graph.collection(&keys::VARIABLES);
    assert_eq!(variables.len(), 15);
    let trainable = graph.collection(&keys::TRAINABLE_VARIABLES);
    assert_eq!(
        names(&trainable),
        ["mlp/hidden/weights", "mlp/hidden/biases", "mlp/out/weights", "mlp/out/biases"]
    );
    assert!(trainable.iter().all(|variable| variable.is_trainable() && variables.contains(variable)));
    assert!(!variables[0].is_resource());
    assert_eq!(variables[0].shape().to_string(), "[784,16]");
    assert_eq!(graph.collection(&keys::TRAIN_OP)[0].name(), "train_op");
    assert_eq!(graph.collection(&keys::SUMMARIES).len(), 3);
    assert_eq!(graph.collection(&keys::READY_OP)[0].name(), "ready_op:0");
    assert_eq!(graph.collection(&keys::GLOBAL_STEP)[0].name(), "global_step");
    assert_eq!(graph.collection(&CollectionKey::<i64>::new("my_ints")), [7, -3]);
    assert_eq!(graph.collection(&CollectionKey::<f32>::new("my_floats")), [0.5]);
    assert_eq!(graph.collection(&CollectionKey::<bytes::Bytes>::new("my_strings")), ["hello"]);
    assert_eq!(graph.collection(&CollectionKey::<Output>::new("endpoints"))[1].name(), "accuracy:0");
    let saver = &graph.collection(&SAVERS)[0];
    assert_eq!(saver.variables(graph), variables);
    assert_eq!(meta.saver.unwrap().saver().options().kept(), Some(5));

    let meta = import_meta_graph(support::fixture("queues_epochs/model.meta")).unwrap();
    let runners = meta.graph.collection(&QUEUE_RUNNERS);
    assert!(!runners.is_empty());
    assert!(runners.iter().all(|runner| meta.graph.operation(runner.queue()).is_ok()));
    assert!(!meta.graph.collection(&keys::LOCAL_VARIABLES).is_empty());
}

#[test]
fn an_imported_graph_is_exported_unchanged() {
    for name in ["mlp_ref", "mlp_resource", "queues_epochs", "queues_shuffle"] {
        let before = read_meta_graph(support::fixture(&format!("{name}/model.meta"))).unwrap();
        let graph = Graph::new();
        import_meta_graph_def(&graph, &before, &ImportOptions::new()).unwrap();
        let after = export_meta_graph(&graph, None).unwrap();
        assert_eq!(before.saver_def, after.saver_def, "{name}");
        assert_eq!(before.graph_def.unwrap().node.len(), after.graph_def.unwrap().node.len(), "{name}");
        for (key, collection) in &before.collection_def {
            let (Some(Collection::Bytes(before)), Some(Collection::Bytes(after))) =
                (&collection.kind, &after.collection_def[key].kind)
            else {
                // A file may name operations instead of their outputs.
                assert_eq!(collection.kind.is_some(), after.collection_def[key].kind.is_some());
                continue;
            };
            if key.contains("variables") || key == "global_step" {
                let read = |list: &graph_def::proto::BytesList| -> Vec<VariableDef> {
                    list.value.iter().map(|bytes| VariableDef::decode(bytes.clone()).unwrap()).collect()
                };
                for (before, after) in read(before).iter().zip(read(after)) {
                    let before = VariableDef {
                        initial_value_name: after.initial_value_name.clone(),
                        ..before.clone()
                    };
                    assert_eq!(before, after, "{name}: {key}");
                }
                assert_eq!(before.value.len(), after.value.len());
            } else {
                assert_eq!(before, after, "{name}: {key}");
            }
        }
    }
}

#[test]
fn a_prefix_moves_the_graph_but_not_the_names_in_checkpoints() {
    let message = read_meta_graph(support::fixture("mlp_resource/model.meta")).unwrap();
    let graph = Graph::new();
    let meta = import_meta_graph_def(&graph, &message, &ImportOptions::new().prefix("copy")).unwrap();
    let variable = &graph.collection(&keys::VARIABLES)[0];
    assert_eq!(variable.handle().name(), "copy/mlp/hidden/weights:0");
    let saved = meta.saver.unwrap().variables(&graph);
    assert!(saved.iter().any(|variable| variable.name() == "mlp/hidden/weights"));
    assert_eq!(graph.collection(&keys::TRAIN_OP)[0].name(), "copy/train_op");
}

#[test]
fn damaged_files_are_named_in_errors() {
    let missing = import_meta_graph("no/such.meta").unwrap_err();
    assert_eq!(missing.code(), Code::NotFound);
    assert!(missing.message().contains("no/such.meta"), "{missing}");

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("text.meta");
    std::fs::write(&path, "node { name: \"x\" }").unwrap();
    let text = import_meta_graph(&path).unwrap_err();
    assert_eq!(text.code(), Code::DataLoss);
    assert!(text.message().contains("text.meta"), "{text}");

    let mut message = read_meta_graph(support::fixture("mlp_ref/model.meta")).unwrap();
    let nodes = &mut message.graph_def.as_mut().unwrap().node;
    for node in nodes.iter_mut() {
        node.name = node.name.replace("global_step/Assign", "global_step/Other");
        node.input
            .iter_mut()
            .for_each(|input| *input = input.replace("global_step/Assign", "global_step/Other"));
    }
    let error = import_meta_graph_def(&Graph::new(), &message, &ImportOptions::new()).unwrap_err();
    assert!(error.chain().contains("global_step"), "{}", error.chain());
}

#[test]
fn variables_are_found_without_collections() {
    for name in ["mlp_ref", "mlp_resource"] {
        let mut message = read_meta_graph(support::fixture(&format!("{name}/model.meta"))).unwrap();
        let graph = Graph::new();
        let with = import_meta_graph_def(&graph, &message, &ImportOptions::new()).unwrap();
        message.collection_def.clear();
        let without = import_meta_graph_def(&Graph::new(), &message, &ImportOptions::new()).unwrap();
        let sorted = |graph: &Graph| {
            let mut variables: Vec<(String, String, String)> = graph
                .collection(&keys::VARIABLES)
                .iter()
                .map(|v| (v.name().to_owned(), v.initializer().name().to_owned(), v.snapshot().name()))
                .collect();
            variables.sort();
            variables
        };
        assert_eq!(sorted(&with.graph), sorted(&without.graph));
        assert_eq!(without.graph.collection(&keys::GLOBAL_STEP).len(), 1);
    }
}

fn expected(folder: &Path) -> Vec<f64> {
    let text = std::fs::read(folder.join("expected.json")).unwrap();
    let answer: serde_json::Value = serde_json::from_slice(&text).unwrap();
    serde_json::from_value(answer["losses"].clone()).unwrap()
}

fn go_on(graphs: &Path, drop_saver: bool) {
    let Some(python) = support::python() else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut written = Vec::new();
    for entry in std::fs::read_dir(graphs).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let mut message: MetaGraphDef = read_meta_graph(path.join("model.meta")).unwrap();
        if drop_saver {
            message.saver_def = None;
            message.collection_def.remove("savers");
            message.graph_def.as_mut().unwrap().node.retain(|node| !node.name.starts_with("save/"));
        }
        let graph = Graph::new();
        let meta = import_meta_graph_def(&graph, &message, &ImportOptions::new()).unwrap();
        let saver =
            meta.saver.unwrap_or_else(|| checkpoint::GraphSaver::new(checkpoint::SaverOptions::new()));
        let after = export_meta_graph(&graph, Some(&saver)).unwrap();
        assert_eq!(after.saver_def.unwrap().restore_op_name, "save/restore_all");
        let after = export_meta_graph(&graph, Some(&saver)).unwrap();
        write_meta_graph(folder.path().join(format!("{name}.meta")), &after).unwrap();
        written.push(name);
    }
    let answer = support::ask(&python, "train_meta.py", &[graphs.as_os_str(), folder.path().as_os_str()]);
    for name in &written {
        let losses: Vec<f64> = serde_json::from_value(answer[name].clone())
            .unwrap_or_else(|_| panic!("{name}: {}", answer[name]));
        let wanted = expected(&graphs.join(name));
        for (loss, wanted) in losses.iter().zip(&wanted) {
            assert!((loss - wanted).abs() <= 1e-5 * wanted.abs().max(1.0), "{name}: {losses:?} {wanted:?}");
        }
        assert_eq!(losses.len(), wanted.len());
    }
    println!("TensorFlow went on training on {} graphs", written.len());
    assert!(written.len() >= 50);
}

#[test]
fn tensorflow_continues_training_an_exported_graph() {
    let Some((graphs, _guard)) = support::graphs() else { return };
    go_on(&graphs, false);
    // With save and restore operations that the export adds.
    go_on(&graphs, true);
}

#[test]
fn items_of_all_kinds_are_exported() {
    let graph = Graph::new();
    let x = ops::array::placeholder(&graph.named("x"), session_core::DType::Float32, [None]);
    graph.add_to_collection(&CollectionKey::<Output>::new("mine"), x.clone()).unwrap();
    graph.add_to_collection(&CollectionKey::<Operation>::new("mine"), x.operation().clone()).unwrap();
    graph.add_to_collection(&CollectionKey::<String>::new("words"), "hello".to_owned()).unwrap();
    // Files have no such kind of items.
    graph.add_to_collection(&CollectionKey::<Vec<u8>>::new("odd"), vec![1]).unwrap();
    let message = export_meta_graph(&graph, None).unwrap();
    let Some(Collection::Nodes(nodes)) = &message.collection_def["mine"].kind else { panic!() };
    assert_eq!(nodes.value, ["x", "x:0"]);
    assert!(message.collection_def.contains_key("words") && !message.collection_def.contains_key("odd"));
    assert!(message.saver_def.is_none());
}
