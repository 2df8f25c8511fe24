//! Op types that only files have: first versions with handles as references, tables without names, texts printed to files.
#![allow(clippy::unwrap_used)] // a panic is the report

use embedded_engine::EmbeddedEngine;
use graph_def::proto::GraphDef;
use graph_def::{ImportOptions, import_graph_def};
use session_core::{Code, Engine, Graph, Session, SessionConfig, SessionExt, Tensor};
use std::fs;
use std::sync::Arc;

/// A session on a graph of nodes in text form, of a program of 2016.
fn session(nodes: &str) -> Arc<dyn Session> {
    let graph = Graph::new();
    let text = nodes.replace('\'', "\"") + " versions { producer: 21 }";
    import_graph_def(&graph, &GraphDef::from_text(&text).unwrap(), &ImportOptions::new()).unwrap();
    EmbeddedEngine::new().new_session(&graph, "", &SessionConfig::default()).unwrap()
}

fn fetch(session: &dyn Session, name: &str) -> session_core::Result<Tensor> {
    let output = session.graph().output(name)?;
    session.run(&output, ())
}

fn run(session: &dyn Session, name: &str) -> session_core::Result<()> {
    session.run(&session.graph().operation(name)?, ())
}

fn strings(name: &str, values: &[&str]) -> String {
    let values: String = values.iter().map(|value| format!(" string_val: '{value}'")).collect();
    let count = values.matches("string_val").count();
    format!(
        "node {{ name: '{name}' op: 'Const' attr {{ key: 'dtype' value {{ type: DT_STRING }} }} attr {{ key: 'value' value \
         {{ tensor {{ dtype: DT_STRING tensor_shape {{ dim {{ size: {count} }} }} {values} }} }} }} }}\n"
    )
}

fn numbers(name: &str, values: &[i64]) -> String {
    let text: String = values.iter().map(|value| format!(" int64_val: {value}")).collect();
    format!(
        "node {{ name: '{name}' op: 'Const' attr {{ key: 'dtype' value {{ type: DT_INT64 }} }} attr {{ key: 'value' value \
         {{ tensor {{ dtype: DT_INT64 tensor_shape {{ dim {{ size: {} }} }} {text} }} }} }} }}\n",
        values.len()
    )
}

#[test]
fn first_versions_of_readers_read_files_one_after_another() {
    let folder = tempfile::tempdir().unwrap();
    let names: Vec<String> = ["a", "b"]
        .iter()
        .map(|name| {
            let path = folder.path().join(name);
            fs::write(&path, format!("{name}1\n{name}2\n")).unwrap();
            path.to_str().unwrap().to_owned()
        })
        .collect();
    let session = session(
        &(strings("names", &[&names[0], &names[1]])
            + "node { name: 'reader' op: 'TextLineReader' attr { key: 'skip_header_lines' value { i: 1 } } }
               node { name: 'queue' op: 'FIFOQueue' attr { key: 'component_types' value { list { type: DT_STRING } } } }
               node { name: 'fill' op: 'QueueEnqueueMany' input: 'queue' input: 'names' attr { key: 'Tcomponents' value { list { type: DT_STRING } } } }
               node { name: 'close' op: 'QueueClose' input: 'queue' }
               node { name: 'read' op: 'ReaderRead' input: 'reader' input: 'queue' }
               node { name: 'produced' op: 'ReaderNumRecordsProduced' input: 'reader' }
               node { name: 'completed' op: 'ReaderNumWorkUnitsCompleted' input: 'reader' }
               node { name: 'reset' op: 'ReaderReset' input: 'reader' }"),
    );
    run(&*session, "fill").unwrap();
    run(&*session, "close").unwrap();
    assert_eq!(fetch(&*session, "read:1").unwrap(), Tensor::string("a2"));
    assert_eq!(fetch(&*session, "read:0").unwrap(), Tensor::string(format!("{}:2", names[1])));
    assert_eq!(fetch(&*session, "produced:0").unwrap(), Tensor::from(2i64));
    assert_eq!(fetch(&*session, "completed:0").unwrap(), Tensor::from(1i64));
    assert_eq!(fetch(&*session, "read:1").unwrap_err().code(), Code::OutOfRange);
    run(&*session, "reset").unwrap();
    assert_eq!(fetch(&*session, "produced:0").unwrap(), Tensor::from(0i64));
}

#[test]
fn a_first_version_of_a_reader_restores_its_state() {
    let session = session(
        "node { name: 'reader' op: 'IdentityReader' }
         node { name: 'state' op: 'Placeholder' attr { key: 'dtype' value { type: DT_STRING } } }
         node { name: 'saved' op: 'ReaderSerializeState' input: 'reader' }
         node { name: 'restore' op: 'ReaderRestoreState' input: 'reader' input: 'state' }
         node { name: 'produced' op: 'ReaderNumRecordsProduced' input: 'reader' }",
    );
    // `ReaderBaseState` with 5 records produced.
    let state = session.graph().output("state:0").unwrap();
    let restore = session.graph().operation("restore").unwrap();
    session.run(&restore, [(&state, Tensor::string(vec![0x18, 5]))]).unwrap();
    assert_eq!(fetch(&*session, "produced:0").unwrap(), Tensor::from(5i64));
    assert_eq!(fetch(&*session, "saved:0").unwrap(), Tensor::string(vec![0x18, 5]));
}

#[test]
fn a_first_version_of_a_stack_gives_back_what_came_last() {
    let dtype = "attr { key: 'T' value { type: DT_INT64 } }";
    let elem = "attr { key: 'elem_type' value { type: DT_INT64 } }";
    let session = session(
        &(numbers("one", &[1])
            + &numbers("two", &[2, 2])
            + &format!(
                "node {{ name: 'stack' op: 'Stack' {elem} }}
                 node {{ name: 'push' op: 'StackPush' input: 'stack' input: 'one' {dtype} }}
                 node {{ name: 'again' op: 'StackPush' input: 'stack' input: 'two' input: '^push' {dtype} }}
                 node {{ name: 'last' op: 'StackPop' input: 'stack' input: '^again' {elem} }}
                 node {{ name: 'first' op: 'StackPop' input: 'stack' input: '^last' {elem} }}
                 node {{ name: 'none' op: 'StackPop' input: 'stack' input: '^first' {elem} }}
                 node {{ name: 'close' op: 'StackClose' input: 'stack' input: '^first' }}"
            )),
    );
    let outputs = ["last:0", "first:0"].map(|name| session.graph().output(name).unwrap());
    let [last, first] = session.run(&outputs, ()).unwrap();
    assert_eq!((last, first), (Tensor::from([2i64, 2]), Tensor::from([1i64])));
    // Each run has a stack of its own.
    assert_eq!(fetch(&*session, "none:0").unwrap_err().code(), Code::InvalidArgument);
    run(&*session, "close").unwrap();
}

#[test]
fn a_table_without_name_lives_for_a_run() {
    let types = "attr { key: 'key_dtype' value { type: DT_STRING } } attr { key: 'value_dtype' value { type: DT_INT64 } }";
    let pair = "attr { key: 'Tin' value { type: DT_STRING } } attr { key: 'Tout' value { type: DT_INT64 } }";
    // Reserved keys have the shape of one key.
    let scalar = |name: &str, value: &str| strings(name, &[value]).replace("dim { size: 1 }", "");
    for (op_type, inputs, missing) in [
        ("AnonymousMutableHashTable", "", vec![7i64, -1]),
        ("AnonymousMutableDenseHashTable", "input: 'empty' input: 'deleted'", vec![7, -1]),
    ] {
        let session = session(
            &(strings("key", &["a"])
                + &scalar("empty", "e")
                + &scalar("deleted", "d")
                + &strings("keys", &["a", "b"])
                + &numbers("value", &[7])
                + "node { name: 'default' op: 'Const' attr { key: 'dtype' value { type: DT_INT64 } } attr { key: 'value' value { tensor { dtype: DT_INT64 tensor_shape { } int64_val: -1 } } } }"
                + &format!(
                    "node {{ name: 'table' op: '{op_type}' {inputs} {types} }}
                     node {{ name: 'insert' op: 'LookupTableInsertV2' input: 'table' input: 'key' input: 'value' {pair} }}
                     node {{ name: 'find' op: 'LookupTableFindV2' input: 'table' input: 'keys' input: 'default' input: '^insert' {pair} }}
                     node {{ name: 'size' op: 'LookupTableSizeV2' input: 'table' }}"
                )),
        );
        assert_eq!(fetch(&*session, "find:0").unwrap(), Tensor::from(missing), "{op_type}");
        assert_eq!(fetch(&*session, "size:0").unwrap(), Tensor::from(0i64), "a table of its own");
    }
}

#[test]
fn texts_are_printed_to_the_end_of_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("printed.txt");
    let print = |stream: &str| {
        format!(
            "node {{ name: 'text' op: 'Placeholder' attr {{ key: 'dtype' value {{ type: DT_STRING }} }} }}
             node {{ name: 'print' op: 'PrintV2' input: 'text' attr {{ key: 'output_stream' value {{ s: '{stream}' }} }} attr {{ key: 'end' value {{ s: '!' }} }} }}"
        )
    };
    let to_file = session(&print(&format!("file://{}", file.display())));
    let feed = |session: &dyn Session, text: Tensor| {
        let placeholder = session.graph().output("text:0").unwrap();
        session.run(&session.graph().operation("print").unwrap(), [(&placeholder, text)])
    };
    feed(&*to_file, Tensor::string("a")).unwrap();
    feed(&*to_file, Tensor::string("b\n")).unwrap();
    assert_eq!(fs::read_to_string(&file).unwrap(), "a!b\n!");
    assert_eq!(feed(&*to_file, Tensor::from(vec!["a", "b"])).unwrap_err().code(), Code::InvalidArgument);
    for stream in ["nowhere", "file://"] {
        let error = feed(&*session(&print(stream)), Tensor::string("a")).unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument, "{error}");
        assert!(error.to_string().contains("Unknown output stream"), "{error}");
    }
    let missing = session(&print(&format!("file://{}/none/a", folder.path().display())));
    assert_eq!(feed(&*missing, Tensor::string("a")).unwrap_err().code(), Code::NotFound);
    feed(&*session(&print("log(warning)")), Tensor::string("a")).unwrap();
}
