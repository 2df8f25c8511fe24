//! TensorFlow's graphs are imported unchanged.
#![allow(clippy::unwrap_used)] // a test may
#![allow(clippy::print_stdout)] // what is printed is meant to be seen

mod support;

use graph_def::proto::{AttrValue, GraphDef, MetaGraphDef, NodeDef, Value};
use graph_def::{ImportOptions, import_graph_def, to_graph_def};
use session_core::{Graph, Origin};
use std::collections::BTreeMap;
use summary::StoredTensor;

const FIXTURES: [&str; 4] = [
    "mlp_ref/model.meta",
    "mlp_resource/model.meta",
    "queues_epochs/model.meta",
    "queues_shuffle/model.meta",
];

fn meta(name: &str) -> MetaGraphDef {
    MetaGraphDef::from_bytes(std::fs::read(support::fixture(name)).unwrap()).unwrap()
}

/// Returns attributes in a comparable form: constants by value, without annotations of shapes.
fn comparable(node: &NodeDef) -> BTreeMap<String, String> {
    let kept = node.attr.iter().filter(|(name, _)| *name != "_output_shapes");
    kept.map(|(name, value)| (name.clone(), show(value))).collect()
}

fn show(value: &AttrValue) -> String {
    match &value.value {
        Some(Value::Tensor(bytes)) => {
            format!("{:?}", StoredTensor::from_encoded(bytes.clone()).to_tensor().unwrap())
        }
        other => format!("{other:?}"),
    }
}

fn compare(before: &GraphDef, after: &GraphDef) {
    let names = |graph: &GraphDef| graph.node.iter().map(|node| node.name.clone()).collect::<Vec<_>>();
    let mut sorted = (names(before), names(after));
    sorted.0.sort();
    sorted.1.sort();
    assert_eq!(sorted.0, sorted.1);
    let after: BTreeMap<&str, &NodeDef> = after.node.iter().map(|node| (node.name.as_str(), node)).collect();
    for node in &before.node {
        let other = after[node.name.as_str()];
        assert_eq!((&node.op, &node.device), (&other.op, &other.device), "{}", node.name);
        let inputs = |node: &NodeDef| {
            let (mut control, mut data): (Vec<_>, Vec<_>) =
                node.input.iter().cloned().partition(|input| input.starts_with('^'));
            control.sort();
            data.append(&mut control);
            data
        };
        assert_eq!(inputs(node), inputs(other), "{}", node.name);
        let (mut ours, theirs) = (comparable(other), comparable(node));
        // Attributes that an older producer left out have their defaults now.
        ours.retain(|name, _| theirs.contains_key(name));
        assert_eq!(ours, theirs, "{}", node.name);
    }
}

#[test]
fn graphs_of_tensorflow_are_preserved() {
    for name in FIXTURES {
        let message = meta(name);
        let graph = Graph::new();
        let before = message.graph_def.unwrap();
        let imported =
            import_graph_def(&graph, &before, &ImportOptions::new()).map_err(|e| e.chain()).unwrap();
        assert_eq!(imported.operations().len(), before.node.len());
        compare(&before, &to_graph_def(&graph).unwrap());
    }
}

/// A reproducible source of random numbers.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) as usize) % end
    }
}

/// Imports bytes, and returns true for a graph and false for an error with a message.
fn try_import(bytes: Vec<u8>) -> bool {
    let imported = MetaGraphDef::from_bytes(bytes).and_then(|message| {
        let options = ImportOptions::new();
        let info = message.meta_info_def.unwrap_or_default();
        let options = match info.stripped_op_list {
            Some(list) => options.op_list(list),
            None => options,
        };
        import_graph_def(&Graph::new(), &message.graph_def.unwrap_or_default(), &options).map(|_| ())
    });
    match imported {
        Ok(()) => true,
        Err(error) => {
            assert!(!error.message().is_empty());
            false
        }
    }
}

#[test]
fn damaged_files_are_errors_and_nothing_panics() {
    let mut numbers = Numbers(7);
    let (mut whole, mut refused) = (0, 0);
    for name in FIXTURES {
        let bytes = std::fs::read(support::fixture(name)).unwrap();
        for _ in 0..60 {
            let cut = numbers.below(bytes.len());
            refused += usize::from(!try_import(bytes[..cut].to_vec()));
        }
        for _ in 0..300 {
            let mut damaged = bytes.clone();
            for _ in 0..1 + numbers.below(3) {
                let place = numbers.below(damaged.len());
                damaged[place] = match numbers.below(3) {
                    0 => damaged[place] ^ (1 << numbers.below(8)),
                    1 => 0xff,
                    _ => numbers.below(256) as u8,
                };
            }
            match try_import(damaged) {
                true => whole += 1,
                false => refused += 1,
            }
        }
    }
    println!("{refused} refused, {whole} still graphs");
    assert!(refused > 300 && whole > 100);
}

#[test]
fn graphs_of_many_programs_are_preserved() {
    let Some((folder, _guard)) = support::graphs() else { return };
    let mut count = 0;
    let mut problems = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path().join("model.meta");
        let message = MetaGraphDef::from_bytes(std::fs::read(&path).unwrap()).unwrap();
        let graph = Graph::new();
        let before = message.graph_def.unwrap();
        let list = message.meta_info_def.unwrap().stripped_op_list.unwrap();
        if let Err(error) = import_graph_def(&graph, &before, &ImportOptions::new().op_list(list)) {
            problems.push(format!("{}: {}", path.display(), error.chain()));
            continue;
        }
        let after = to_graph_def(&graph).unwrap();
        compare(&before, &after);
        let functions = |graph: &GraphDef| graph.library.as_ref().map_or(0, |library| library.function.len());
        assert_eq!(functions(&before), functions(&after));
        count += 1;
    }
    println!("{count} graphs");
    assert!(problems.is_empty(), "{}", problems.join("\n"));
    assert!(count >= 50);
}

/// Errors show the place of the import in the program, and also the node in the file.
#[test]
fn errors_name_the_node_as_the_file_does() {
    let text = "node { name: 'w' op: 'VariableV2' attr { key: 'dtype' value { type: DT_FLOAT } } \
                attr { key: 'shape' value { shape { } } } } \
                node { name: 'inner/b' op: 'Identity' input: 'w' attr { key: 'T' value { type: DT_FLOAT } } \
                attr { key: '_class' value { list { s: 'loc:@w' } } } } \
                node { name: 'inner/c' op: 'Identity' input: 'inner/b' attr { key: 'T' value { type: DT_FLOAT } } }";
    let message = GraphDef::from_text(text).unwrap();
    let graph = Graph::new();
    let line = line!() + 1;
    let imported = import_graph_def(&graph, &message, &ImportOptions::new().prefix("copy")).unwrap();
    let origin = |name: &str| {
        let error = session_core::Error::value("it failed");
        imported.operation(name).unwrap().place(error).to_string()
    };
    let here = file!();
    assert_eq!(
        origin("inner/b"),
        format!(
            "InvalidArgument: it failed (node 'copy/inner/b' of type Identity, made at {here}:{line} \
             from node 'inner/b' of the imported graph, colocated with 'w')"
        )
    );
    assert!(
        origin("inner/c").ends_with("from node 'inner/c' of the imported graph)"),
        "{}",
        origin("inner/c")
    );
    // Names that are the same as in the file are not repeated.
    let graph = Graph::new();
    let imported = import_graph_def(&graph, &message, &ImportOptions::new()).unwrap();
    let operation = imported.operation("inner/c").unwrap();
    assert_eq!(operation.origin().map(Origin::as_str), Some("an imported graph"));
    assert_eq!(
        graph
            .scope("x")
            .operation("inner/b")
            .unwrap()
            .origin()
            .unwrap()
            .as_str()
            .matches("colocated with 'w'")
            .count(),
        1
    );

    // Nodes that cannot be created are reported in the same words.
    let broken = text.replace(
        "input: 'inner/b' attr { key: 'T' value { type: DT_FLOAT",
        "input: 'inner/b' attr { key: 'T' value { type: DT_INT32",
    );
    let message = GraphDef::from_text(&broken).unwrap();
    let error = import_graph_def(&Graph::new(), &message, &ImportOptions::new().prefix("copy")).unwrap_err();
    assert_eq!(error.origin().map(Origin::as_str), Some("node 'inner/c' of the imported graph"), "{error}");
}
