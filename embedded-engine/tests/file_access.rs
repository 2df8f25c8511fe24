//! The files that a graph may reach are those in the folders that its session allows.
#![allow(clippy::unwrap_used)] // a panic is the report

use embedded_engine::EmbeddedEngine;
use graph_def::proto::GraphDef;
use graph_def::{ImportOptions, import_graph_def};
use session_core::{Code, Engine, Error, FileAccess, Graph, SessionConfig, SessionExt, Tensor};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A folder that may be used, and one that may not, each with the same files.
fn folders() -> (TempDir, PathBuf, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let (inside, outside) = (folder.path().join("inside"), folder.path().join("outside"));
    for folder in [&inside, &outside] {
        fs::create_dir(folder).unwrap();
        fs::write(folder.join("a.txt"), "a\n").unwrap();
        let mut writer = checkpoint::bundle::BundleWriter::create(folder.join("saved")).unwrap();
        writer.add("v", &Tensor::scalar(1.0f32)).unwrap();
        writer.finish().unwrap();
    }
    (folder, inside, outside)
}

fn string(name: &str, value: &str, is_vector: bool) -> String {
    let dim = if is_vector { "dim { size: 1 }" } else { "" };
    format!(
        "node {{ name: '{name}' op: 'Const' attr {{ key: 'dtype' value {{ type: DT_STRING }} }} attr {{ key: 'value' value \
         {{ tensor {{ dtype: DT_STRING tensor_shape {{ {dim} }} string_val: '{value}' }} }} }} }}\n"
    )
}

/// The nodes of a reader of lines, and of a table of them.
const READER: &str = "node { name: 'reader' op: 'TextLineReaderV2' }
    node { name: 'queue' op: 'FIFOQueueV2' attr { key: 'component_types' value { list { type: DT_STRING } } } }
    node { name: 'fill' op: 'QueueEnqueueV2' input: 'queue' input: 'path' attr { key: 'Tcomponents' value { list { type: DT_STRING } } } }
    node { name: 'asked' op: 'ReaderReadV2' input: 'reader' input: 'queue' input: '^fill' }";
const TABLE: &str = "node { name: 'table' op: 'HashTableV2' attr { key: 'key_dtype' value { type: DT_STRING } } attr { key: 'value_dtype' value { type: DT_INT64 } } }
    node { name: 'asked' op: 'InitializeTableFromTextFileV2' input: 'table' input: 'path' attr { key: 'key_index' value { i: -2 } } attr { key: 'value_index' value { i: -1 } } }";

/// The operations: type, name of the file, true for those that write, and the nodes that do it.
const OPERATIONS: [(&str, &str, bool, &str); 8] = [
    ("ReadFile", "a.txt", false, "node { name: 'asked' op: 'ReadFile' input: 'path' }"),
    ("MatchingFiles", "*.txt", false, "node { name: 'asked' op: 'MatchingFiles' input: 'path' }"),
    ("ReaderReadV2", "a.txt", false, READER),
    ("InitializeTableFromTextFileV2", "a.txt", false, TABLE),
    (
        "RestoreV2",
        "saved",
        false,
        "node { name: 'asked' op: 'RestoreV2' input: 'path' input: 'name' input: 'slice' attr { key: 'dtypes' value { list { type: DT_FLOAT } } } }",
    ),
    ("WriteFile", "new/b.txt", true, "node { name: 'asked' op: 'WriteFile' input: 'path' input: 'path' }"),
    (
        "SaveV2",
        "new/saved",
        true,
        "node { name: 'asked' op: 'SaveV2' input: 'path' input: 'name' input: 'slice' input: 'path' attr { key: 'dtypes' value { list { type: DT_STRING } } } }",
    ),
    (
        "MergeV2Checkpoints",
        "saved",
        true,
        "node { name: 'asked' op: 'MergeV2Checkpoints' input: 'paths' input: 'target' }",
    ),
];

/// Runs the operation on a path.
fn ask(nodes: &str, path: &Path, access: &FileAccess) -> Result<(), Error> {
    let path = path.to_str().unwrap();
    let given = [
        string("path", path, false),
        string("paths", path, true),
        string("target", &format!("{path}-merged"), false),
        string("name", "v", true),
        string("slice", "", true),
    ];
    let text = (given.concat() + nodes).replace('\'', "\"");
    let graph = Graph::new();
    let versions = " versions { producer: 2474 }";
    import_graph_def(&graph, &GraphDef::from_text(&(text + versions))?, &ImportOptions::new())?;
    let config = SessionConfig::default().file_access(access.clone());
    let session = EmbeddedEngine::new().new_session(&graph, "", &config)?;
    session.run(&graph.operation("asked")?, ())
}

#[test]
fn operations_can_access_only_allowed_files() {
    for (op_type, name, writes, nodes) in OPERATIONS {
        let (_guard, inside, outside) = folders();
        let refused = |path: &Path, access: &FileAccess| {
            let error = ask(nodes, path, access).unwrap_err();
            assert_eq!(error.code(), Code::PermissionDenied, "{op_type}: {error}");
            assert_eq!(error.op_type(), Some(op_type), "{error}");
            assert!(error.to_string().contains("--allow-files"), "{error}");
        };
        let access = FileAccess::nothing().allow_write(&inside);
        refused(&outside.join(name), &access);
        refused(&inside.join("../outside").join(name), &access);
        refused(&inside.join(name), &FileAccess::nothing());
        let reads = FileAccess::nothing().allow_read(&inside);
        match writes {
            true => refused(&inside.join(name), &reads),
            false => ask(nodes, &inside.join(name), &reads).unwrap(),
        }
        assert!(!outside.join("new").exists(), "nothing was written");
        ask(nodes, &inside.join(name), &access).unwrap_or_else(|error| panic!("{op_type}: {error}"));
    }
}

#[test]
fn data_outside_of_the_folder_is_not_read() {
    let (_guard, inside, outside) = folders();
    let data = "saved.data-00000-of-00001";
    fs::remove_file(inside.join(data)).unwrap();
    std::os::unix::fs::symlink(outside.join(data), inside.join(data)).unwrap();
    let (.., restore) = OPERATIONS[4];
    let error = ask(restore, &inside.join("saved"), &FileAccess::nothing().allow_read(&inside)).unwrap_err();
    assert_eq!(error.code(), Code::PermissionDenied, "{error}");
    ask(restore, &inside.join("saved"), &FileAccess::everything()).unwrap();
}

/// The datasets: what names the dataset that is read, true for those that write, and their nodes.
const DATASETS: [(&str, bool, &str); 5] = [
    (
        "a.txt",
        false,
        "node { name: 'dataset' op: 'TextLineDataset' input: 'paths' input: 'none' input: 'zero' }",
    ),
    (
        "a.txt",
        false,
        "node { name: 'dataset' op: 'TFRecordDataset' input: 'paths' input: 'none' input: 'zero' }",
    ),
    (
        "a.txt",
        false,
        "node { name: 'dataset' op: 'FixedLengthRecordDatasetV2' input: 'paths' input: 'zero' input: 'one' input: 'zero' input: 'zero' input: 'none' }",
    ),
    (
        "new",
        true,
        "node { name: 'lines' op: 'TensorDataset' input: 'none' attr { key: 'Toutput_types' value { list { type: DT_STRING } } } \
         attr { key: 'output_shapes' value { list { shape { } } } } } node { name: 'dataset' op: 'CacheDataset' input: 'lines' input: 'path' \
         attr { key: 'output_types' value { list { type: DT_STRING } } } attr { key: 'output_shapes' value { list { shape { } } } } }",
    ),
    (
        "*.txt",
        false,
        "node { name: 'found' op: 'MatchingFiles' input: 'path' } node { name: 'dataset' op: 'TensorSliceDataset' input: 'found' \
         attr { key: 'Toutput_types' value { list { type: DT_STRING } } } attr { key: 'output_shapes' value { list { shape { } } } } }",
    ),
];

#[test]
fn datasets_can_access_only_allowed_files() {
    let number = |name: &str, value: i64| {
        format!(
            "node {{ name: '{name}' op: 'Const' attr {{ key: 'dtype' value {{ type: DT_INT64 }} }} attr {{ key: 'value' value \
             {{ tensor {{ dtype: DT_INT64 tensor_shape {{ }} int64_val: {value} }} }} }} }}\n"
        )
    };
    let asked = "node { name: 'asked' op: 'DatasetToSingleElement' input: 'dataset' attr { key: 'output_types' value { list { type: DT_STRING } } } \
                 attr { key: 'output_shapes' value { list { shape { } } } } }";
    for (name, writes, nodes) in DATASETS {
        let (_guard, inside, outside) = folders();
        let nodes = [&number("zero", 0), &number("one", 2), &string("none", "", false), nodes, asked]
            .map(ToString::to_string)
            .concat();
        let refused = |path: &Path, access: &FileAccess| {
            let error = ask(&nodes, path, access).unwrap_err();
            assert_eq!(error.code(), Code::PermissionDenied, "{nodes}: {error}");
        };
        refused(&outside.join(name), &FileAccess::nothing().allow_write(&inside));
        refused(&inside.join("../outside").join(name), &FileAccess::nothing().allow_write(&inside));
        refused(&inside.join(name), &FileAccess::nothing());
        if writes {
            refused(&inside.join(name), &FileAccess::nothing().allow_read(&inside));
        }
        assert!(!outside.join("new.index").exists(), "nothing was written");
        let allowed = ask(&nodes, &inside.join(name), &FileAccess::nothing().allow_write(&inside));
        // The text is not a file of records.
        assert!(allowed.is_ok() || nodes.contains("TFRecordDataset"), "{nodes}: {allowed:?}");
        assert_ne!(allowed.err().map(|error| error.code()), Some(Code::PermissionDenied));
    }
}
