//! Lookup tables in checkpoints, here and in TensorFlow.
#![allow(clippy::unwrap_used)] // a test may

use crate::python::python;
use checkpoint::bundle::BundleReader;
use checkpoint::{GraphSaver, RestoreOptions, SaverOptions};
use embedded_engine::EmbeddedEngine;
use graph_def::{ImportOptions, export_meta_graph, import_meta_graph_def, read_meta_graph, write_meta_graph};
use ops::array::constant;
use ops::tables::MutableHashTable;
use ops::variables::variable;
use session_core::{
    DType, Engine, Graph, Operation, Output, Session, SessionConfig, SessionExt, Tensor, keys,
};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

fn session(graph: &Graph) -> Arc<dyn Session> {
    EmbeddedEngine::new().new_session(graph, "", &SessionConfig::default()).unwrap()
}

fn save(saver: &GraphSaver, session: &dyn Session, path: &Path) -> PathBuf {
    saver.save(session, path, None).unwrap()
}

/// A table of numbers and one of vectors, along with a variable.
struct Model {
    graph: Graph,
    fill: Vec<Operation>,
    looked_up: [Output; 2],
    sizes: [Output; 2],
    saver: GraphSaver,
}

fn model() -> Model {
    let graph = Graph::new();
    let weight = variable(&graph.named("weight"), 2.0f32);
    let counts = MutableHashTable::new(&graph.named("counts"), DType::String, -1i64);
    let vectors = MutableHashTable::new(&graph.named("vectors"), DType::Int64, vec![0.0f32, 0.0]);
    let words = constant(&graph, vec!["a", "b"]);
    let numbers = constant(&graph, vec![7i64, 8, 9]);
    let rows = Tensor::from([[1.0f32, 2.0], [3.0, 4.0], [5.0, 6.0]]);
    let fill = vec![
        weight.initializer().clone(),
        counts.insert(&words, constant(&graph, vec![10i64, 20])),
        vectors.insert(&numbers, constant(&graph, rows)),
    ];
    let looked_up =
        [counts.find(constant(&graph, vec!["b", "c"])), vectors.find(constant(&graph, vec![9i64]))];
    let sizes = [counts.size(), vectors.size()];
    graph.check().unwrap();
    Model { graph, fill, looked_up, sizes, saver: GraphSaver::new(SaverOptions::new()) }
}

#[test]
fn s_274_tables_are_saved_with_the_variables() {
    let folder = tempfile::tempdir().unwrap();
    let model = model();
    let first = session(&model.graph);
    first.run(&model.fill, ()).unwrap();
    let prefix = save(&model.saver, &*first, &folder.path().join("m"));
    let reader = BundleReader::open(&prefix).unwrap();
    let mut names: Vec<String> = reader.entries().map(|entry| entry.name.to_string()).collect();
    names.sort();
    assert_eq!(names, ["counts-keys", "counts-values", "vectors-keys", "vectors-values", "weight"]);
    assert_eq!(reader.read("vectors-values").unwrap().shape().dims(), [3, 2]);

    // The content of a table is replaced, not extended.
    let second = session(&model.graph);
    second.run(&model.fill, ()).unwrap();
    let more = MutableHashTable::new(&Graph::new(), DType::String, 0i64);
    assert_eq!(more.name(), "MutableHashTable");
    model.saver.restore(&*second, &prefix, &RestoreOptions::new()).unwrap();
    let fetched = second.run((&model.looked_up, &model.sizes), ()).unwrap();
    assert_eq!(fetched.0[0], Tensor::from(vec![20i64, -1]));
    assert_eq!(fetched.0[1], Tensor::from([[5.0f32, 6.0]]));
    assert_eq!(fetched.1, [Tensor::from(2i64), Tensor::from(3i64)]);

    // A session in which nothing is initialized.
    let third = session(&model.graph);
    assert_eq!(third.run(&model.sizes, ()).unwrap(), [Tensor::from(0i64), Tensor::from(0i64)]);
    model.saver.restore(&*third, &prefix, &RestoreOptions::new()).unwrap();
    assert_eq!(third.run(&model.sizes, ()).unwrap(), [Tensor::from(2i64), Tensor::from(3i64)]);
}

#[test]
fn half_a_table_is_not_restored() {
    let folder = tempfile::tempdir().unwrap();
    let model = model();
    let session = session(&model.graph);
    session.run(&model.fill, ()).unwrap();
    let prefix = save(&model.saver, &*session, &folder.path().join("m"));
    let options = RestoreOptions::new().only(|name| name != "counts-values");
    let error = model.saver.restore(&*session, &prefix, &options).unwrap_err();
    let text = error.chain();
    assert!(text.contains("of table \"counts\" only one of keys and values is restored"), "{text}");
}

#[test]
fn duplicate_names_are_refused() {
    let model = model();
    let table = model.graph.collection(&keys::SAVEABLE_OBJECTS).remove(0);
    let error =
        GraphSaver::of_parts(Vec::new(), vec![table.clone(), table], SaverOptions::new()).unwrap_err();
    assert!(error.message().contains("counts-keys"), "{error}");
}

#[test]
fn errors_are_found_when_the_graph_is_built() {
    let graph = Graph::new();
    let table = MutableHashTable::new(&graph.named("counts"), DType::String, 0i64);
    let _ = table.find(constant(&graph, vec![1i32]));
    let error = graph.finalize().unwrap_err();
    assert!(error.message().contains("keys of table 'counts' are string, not int32"), "{error}");
}

fn ask(python: &Path, action: &str, folder: &Path) -> serde_json::Value {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracle/saved_tables.py");
    let output = Command::new(python).arg(script).arg(action).arg(folder).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Python saves, this continues, and Python again continues from that: with its own program, and from the meta graph.
#[test]
fn tables_are_exchanged_with_tensorflow() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    let before = ask(&python, "save", folder.path());
    let message = read_meta_graph(folder.path().join("theirs.meta")).unwrap();
    for prefix in ["", "copy"] {
        let graph = Graph::new();
        let meta = import_meta_graph_def(&graph, &message, &ImportOptions::new().prefix(prefix)).unwrap();
        assert_eq!(meta.not_saved, [""; 0]);
        let saver = meta.saver.unwrap();
        let names: Vec<String> = saver.tables(&graph).iter().map(|table| table.name().to_owned()).collect();
        assert_eq!(names, ["counts", "vectors"]);
        let session = session(&graph);
        saver.restore(&*session, folder.path().join("theirs"), &RestoreOptions::new()).unwrap();
        let value = |name: &str| {
            let name = if prefix.is_empty() { name.to_owned() } else { format!("{prefix}/{name}") };
            session.run(&graph.output(&format!("{name}:0")).unwrap(), ()).unwrap()
        };
        let numbers = |name: &str| -> Vec<f64> { serde_json::from_value(before[name].clone()).unwrap() };
        let found: Vec<f64> =
            value("find_counts").to_vec::<i64>().unwrap().iter().map(|&x| x as f64).collect();
        assert_eq!(found, numbers("find_counts"));
        let found: Vec<f64> =
            value("find_vectors").to_vec::<f32>().unwrap().iter().map(|&x| x.into()).collect();
        assert_eq!(found, numbers("find_vectors"));
        if !prefix.is_empty() {
            continue;
        }
        session.run(&graph.operation("insert_more").unwrap(), ()).unwrap();
        save(&saver, &*session, &folder.path().join("ours"));
        // With the saver's own operations, and with such as are made here.
        write_meta_graph(folder.path().join("same.meta"), &export_meta_graph(&graph, Some(&saver)).unwrap())
            .unwrap();
        let mut bare = message.clone();
        bare.saver_def = None;
        let bare_graph = Graph::new();
        import_meta_graph_def(&bare_graph, &bare, &ImportOptions::new()).unwrap();
        for table in saver.tables(&graph) {
            let names = [table.exported()[0].operation().name().to_owned(), table.import().name().to_owned()];
            let [export, import] = names.map(|name| bare_graph.operation(&name).unwrap());
            let table = session_core::SavedTable::new(table.name(), &export, &import).unwrap();
            bare_graph.add_to_collection(&keys::SAVEABLE_OBJECTS, table).unwrap();
        }
        let saver = GraphSaver::new(SaverOptions::new());
        let made = export_meta_graph(&bare_graph, Some(&saver)).unwrap();
        assert_eq!(made.saver_def.as_ref().unwrap().restore_op_name, "save_1/restore_all");
        write_meta_graph(folder.path().join("made.meta"), &made).unwrap();
    }
    let after = ask(&python, "restore", folder.path());
    let wanted = serde_json::json!([4, 2]);
    for way in ["program", "same", "made"] {
        assert_eq!(after[way]["sizes"], wanted, "{way}: {after}");
        assert_eq!(after[way]["find_counts"], serde_json::json!([20, -1, 40]), "{way}");
        assert_eq!(after[way]["find_vectors"], before["find_vectors"], "{way}");
    }
}

#[test]
fn dense_tables_are_left_out() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    ask(&python, "save_dense", folder.path());
    let message = read_meta_graph(folder.path().join("theirs.meta")).unwrap();
    let graph = Graph::new();
    let meta = import_meta_graph_def(&graph, &message, &ImportOptions::new()).unwrap();
    assert_eq!(meta.not_saved, ["dense-keys", "dense-values"]);
    let saver = meta.saver.unwrap();
    assert_eq!(saver.tables(&graph).len(), 2);
    saver.restore(&*session(&graph), folder.path().join("theirs"), &RestoreOptions::new()).unwrap();
}
