//! Models that were made to do harm, or that something made unusable: each is refused with a typed error that names the file or the item.
#![allow(clippy::unwrap_used)] // a test may

use crate::support::{case, copy};
use checkpoint::bundle::{BundleReader, BundleWriter};
use graph_def::proto::{
    AnyList, AttrValue, Collection, CollectionDef, CompositeTensor, CooSparse, FunctionDef, MetaGraphDef,
    NameAttrList, NodeDef, SavedModel as Message, TensorInfo, TensorInfoEncoding, Value,
};
use saved_model::SavedModel;
use session_core::{Code, DType, Error, Result, Tensor};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use tempfile::TempDir;

/// A copy of a recorded model.
fn copied(name: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    copy(&case(name).join("model"), folder.path());
    folder
}

/// A copy of a recorded model, changed.
fn changed(name: &str, change: impl FnOnce(&mut MetaGraphDef)) -> TempDir {
    let folder = copied(name);
    let file = folder.path().join("saved_model.pb");
    let mut message = Message::from_bytes(fs::read(&file).unwrap()).unwrap();
    change(&mut message.meta_graphs[0]);
    fs::write(&file, message.to_bytes()).unwrap();
    folder
}

fn nodes(meta_graph: &mut MetaGraphDef) -> &mut Vec<NodeDef> {
    &mut meta_graph.graph_def.as_mut().unwrap().node
}

/// The first node of an op type.
fn node<'m>(meta_graph: &'m mut MetaGraphDef, op: &str) -> &'m mut NodeDef {
    nodes(meta_graph).iter_mut().find(|node| node.op == op).unwrap()
}

fn functions(meta_graph: &mut MetaGraphDef) -> &mut Vec<FunctionDef> {
    &mut meta_graph.graph_def.as_mut().unwrap().library.as_mut().unwrap().function
}

fn name_of(function: &FunctionDef) -> String {
    function.signature.as_ref().unwrap().name.clone()
}

/// Loads a model and calls its signature with zeros.
fn called(folder: &Path) -> Result<()> {
    let model = SavedModel::load(folder, ["serve"])?;
    let signature = model.signature("serving_default")?;
    let zeros = |input: &saved_model::SignatureTensor| {
        let shape = input.shape();
        let dims: Vec<usize> =
            (0..shape.rank().unwrap_or(0)).map(|axis| shape.dim(axis).unwrap_or(1)).collect();
        Ok((input.name().to_owned(), Tensor::zeros(input.dtype(), dims)?))
    };
    let inputs = signature.inputs().iter().map(zeros).collect::<Result<Vec<_>>>()?;
    signature.run(inputs).map(drop)
}

/// Expects an error with a code and these texts in its chain.
fn refused(what: &str, folder: &Path, codes: &[Code], texts: &[&str]) {
    let error = match called(folder) {
        Ok(()) => panic!("{what}: it ran"),
        Err(error) => error,
    };
    let chain = error.chain();
    assert!(codes.contains(&error.code()), "{what}: {:?} {chain}", error.code());
    for text in texts {
        assert!(chain.contains(text), "{what}: no {text:?} in {chain}");
    }
    assert!(chain.contains(&*folder.to_string_lossy()), "{what}: {chain}");
}

const BAD: &[Code] = &[Code::InvalidArgument];
const DAMAGED: &[Code] = &[Code::DataLoss];
const UNUSABLE: &[Code] = &[Code::InvalidArgument, Code::DataLoss, Code::NotFound];

#[test]
fn files_that_are_no_models() {
    let folder = copied("dense");
    let file = folder.path().join("saved_model.pb");
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    refused("a folder", folder.path(), &[Code::FailedPrecondition], &["is not a regular file"]);

    for (what, bytes) in [
        ("a length beyond the end", &[0x12, 0xff, 0xff, 0xff, 0xff, 0x0f][..]),
        ("a length of 64 bits", &[0x12, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]),
        ("a number without end", &[0x08, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01]),
        ("a group that no message has", &[0x13, 0x14, 0x0b]),
        ("a field with number 0", &[0x00, 0x00]),
    ] {
        let folder = copied("dense");
        fs::write(folder.path().join("saved_model.pb"), bytes).unwrap();
        refused(what, folder.path(), DAMAGED, &["saved_model.pb"]);
    }

    // Attributes that are functions with attributes that are functions, deeper than any stack.
    let mut nested = Vec::new();
    for _ in 0..2000 {
        nested = field(10, field(2, [field(1, b"a".to_vec()), field(2, nested)].concat()));
    }
    let folder = copied("dense");
    let node = field(1, field(5, field(2, nested)));
    fs::write(folder.path().join("saved_model.pb"), field(2, field(2, node))).unwrap();
    refused("nested attributes", folder.path(), DAMAGED, &["saved_model.pb"]);
}

#[test]
fn texts_that_are_no_models() {
    for (what, text, part) in [
        ("braces within braces", "meta_graphs { ".repeat(100_000), "saved_model.pbtxt"),
        ("a field that no message has", "meta_graphs { nowhere: 3 }".to_owned(), "nowhere"),
        ("a number that is none", "saved_model_schema_version: 0x1g".to_owned(), "saved_model.pbtxt"),
        (
            "a text without end",
            "meta_graphs { meta_info_def { tags: \"serve } }".to_owned(),
            "saved_model.pbtxt",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("saved_model.pbtxt"), text).unwrap();
        refused(what, folder.path(), UNUSABLE, &[part]);
    }
}

#[test]
fn graphs_that_contradict_themselves() {
    type Change = fn(&mut MetaGraphDef);
    let changes: [(&str, Change, &[&str]); 12] = [
        ("no graph", |meta_graph| meta_graph.graph_def = None, &["no graph"]),
        ("a node without type", |meta_graph| node(meta_graph, "MatMul").op.clear(), &["has no op type"]),
        (
            "two nodes of a name",
            |meta_graph| {
                let twice = nodes(meta_graph)[0].clone();
                nodes(meta_graph).push(twice);
            },
            &["two nodes of this name"],
        ),
        (
            "an input that is not there",
            |meta_graph| node(meta_graph, "MatMul").input[0] = "nowhere".to_owned(),
            &["nowhere"],
        ),
        (
            "an output that is not there",
            |meta_graph| {
                let name = node(meta_graph, "MatMul").input[0].clone();
                node(meta_graph, "MatMul").input[0] = format!("{name}:7");
            },
            &["has no output 7"],
        ),
        (
            "an input of a large number",
            |meta_graph| {
                node(meta_graph, "MatMul").input[0] += ":99999999999999999999";
            },
            &["99999999999999999999"],
        ),
        ("too few inputs", |meta_graph| _ = node(meta_graph, "MatMul").input.pop(), &["MatMul"]),
        (
            "control inputs in a cycle",
            |meta_graph| {
                let own = node(meta_graph, "MatMul").name.clone();
                let first = node(meta_graph, "Placeholder").name.clone();
                nodes(meta_graph)
                    .iter_mut()
                    .find(|node| node.name == first)
                    .unwrap()
                    .input
                    .push(format!("^{own}"));
            },
            &["cycle"],
        ),
        ("no dtype", |meta_graph| _ = node(meta_graph, "Placeholder").attr.remove("dtype"), &["dtype"]),
        (
            "a dtype that is a number",
            |meta_graph| {
                let number = AttrValue { value: Some(Value::Int(1)) };
                node(meta_graph, "Placeholder").attr.insert("dtype".to_owned(), number);
            },
            &["dtype"],
        ),
        (
            "a dtype that does not exist",
            |meta_graph| {
                let dtype = AttrValue { value: Some(Value::Type(999)) };
                node(meta_graph, "Placeholder").attr.insert("dtype".to_owned(), dtype);
            },
            &["unknown dtype 999"],
        ),
        (
            "a function that is not there",
            |meta_graph| {
                let func = NameAttrList { name: "nowhere".to_owned(), attr: Default::default() };
                let call = node(meta_graph, "MatMul");
                call.op = "PartitionedCall".to_owned();
                call.attr.insert("f".to_owned(), AttrValue { value: Some(Value::Func(func)) });
            },
            &["MatMul"],
        ),
    ];
    for (what, change, texts) in changes {
        refused(what, changed("dense", change).path(), UNUSABLE, texts);
    }
}

fn varint(mut value: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}

/// A field of a message that has a length.
fn field(number: u8, bytes: Vec<u8>) -> Vec<u8> {
    [vec![number << 3 | 2], varint(bytes.len() as u64), bytes].concat()
}

/// The value of a constant of these sizes, with one element of 4 bytes.
fn constant(sizes: &[i64]) -> AttrValue {
    let dim = |&size: &i64| field(2, [vec![0x08], varint(size.cast_unsigned())].concat());
    let shape: Vec<u8> = sizes.iter().flat_map(dim).collect();
    let bytes = [vec![0x08, 0x01], field(2, shape), field(4, vec![0, 0, 0x80, 0x3f])].concat();
    AttrValue { value: Some(Value::Tensor(bytes.into())) }
}

#[test]
fn constants_whose_sizes_are_lies() {
    for (what, sizes, codes) in [
        ("more elements than there is memory for", &[1 << 40, 1 << 40][..], UNUSABLE),
        ("more elements than are given", &[1 << 20, 1 << 20], UNUSABLE),
        ("sizes whose product is 0 after it overflows", &[1 << 32, 1 << 32, 0], UNUSABLE),
        ("a negative size", &[-5], UNUSABLE),
        ("the least number as size", &[i64::MIN], UNUSABLE),
    ] {
        let folder = changed("dense", |meta_graph| {
            nodes(meta_graph).push(NodeDef {
                name: "big".to_owned(),
                op: "Const".to_owned(),
                attr: [
                    ("dtype".to_owned(), AttrValue { value: Some(Value::Type(1)) }),
                    ("value".to_owned(), constant(sizes)),
                ]
                .into(),
                ..NodeDef::default()
            });
            node(meta_graph, "MatMul").input[1] = "big".to_owned();
        });
        refused(what, folder.path(), codes, &[]);
    }
}

/// Makes the calls of a function call another one.
fn redirect(function: &mut FunctionDef, to: &str) {
    for attr in function.node_def.iter_mut().filter_map(|node| node.attr.get_mut("f")) {
        if let Some(Value::Func(called)) = &mut attr.value {
            to.clone_into(&mut called.name);
        }
    }
}

/// A model whose signatures call the first of these functions, each of which calls another one.
fn with_functions(added: &[(&str, &str)]) -> TempDir {
    changed("module_v2", |meta_graph| {
        let all = functions(meta_graph);
        let is_wrapper = |function: &FunctionDef| name_of(function).contains("wrapper");
        let wrappers = || all.iter().filter(|function| is_wrapper(function));
        let serving = wrappers().find(|wrapper| name_of(wrapper).contains("serving_default"));
        let copied = serving.or_else(|| wrappers().next()).unwrap().clone();
        let wrappers = all.iter_mut().filter(|function| is_wrapper(function));
        wrappers.for_each(|wrapper| redirect(wrapper, added[0].0));
        for (name, to) in added {
            let mut function = copied.clone();
            (*name).clone_into(&mut function.signature.as_mut().unwrap().name);
            redirect(&mut function, to);
            all.push(function);
        }
    })
}

#[test]
fn functions_that_lead_nowhere() {
    let renamed = |to: &str| {
        changed("module_v2", |meta_graph| {
            let wrappers =
                functions(meta_graph).iter_mut().filter(|function| name_of(function).contains("wrapper"));
            wrappers.for_each(|wrapper| redirect(wrapper, to));
        })
    };
    refused("a call of nothing", renamed("__nowhere").path(), UNUSABLE, &["__nowhere"]);
    refused("a call without name", renamed("").path(), UNUSABLE, &["no function ''"]);

    // Two functions that call each other, seen only behind a third.
    let folder = with_functions(&[("ping", "pong"), ("pong", "ping")]);
    refused("functions that call each other", folder.path(), &[Code::Unimplemented], &["calls itself"]);

    // Deeper than any stack: each function calls the next one, which calls one that is not there at the end.
    let names: Vec<String> = (0..4001).map(|depth| format!("deep_{depth}")).collect();
    let chain: Vec<(&str, &str)> =
        names.windows(2).map(|pair| (pair[0].as_str(), pair[1].as_str())).collect();
    refused("functions within functions", with_functions(&chain).path(), UNUSABLE, &["deep_4000"]);

    let folder = changed("module_v2", |meta_graph| {
        for function in functions(meta_graph) {
            function.ret.values_mut().for_each(|output| *output = "nowhere:output:0".to_owned());
        }
    });
    refused("results that are not there", folder.path(), UNUSABLE, &["nowhere"]);
}

fn signature<'m>(meta_graph: &'m mut MetaGraphDef, side: &str) -> &'m mut TensorInfo {
    let signature = meta_graph.signature_def.get_mut("serving_default").unwrap();
    let entries = if side == "inputs" { &mut signature.inputs } else { &mut signature.outputs };
    entries.values_mut().next().unwrap()
}

#[test]
fn signatures_that_do_not_fit_their_graph() {
    type Change = fn(&mut MetaGraphDef);
    let changes: [(&str, Change); 4] = [
        ("an input without tensor", |meta_graph| signature(meta_graph, "inputs").encoding = None),
        ("an output without tensor", |meta_graph| signature(meta_graph, "outputs").encoding = None),
        ("a sparse input of tensors that are not there", |meta_graph| {
            let sparse = CooSparse {
                values_tensor_name: "a:0".to_owned(),
                indices_tensor_name: "b:0".to_owned(),
                dense_shape_tensor_name: String::new(),
            };
            signature(meta_graph, "inputs").encoding = Some(TensorInfoEncoding::CooSparse(sparse));
        }),
        ("a composite within a composite", |meta_graph| {
            let inner = TensorInfoEncoding::Composite(CompositeTensor::default());
            let components = vec![TensorInfo { encoding: Some(inner), ..TensorInfo::default() }];
            let outer = CompositeTensor { components, ..CompositeTensor::default() };
            signature(meta_graph, "inputs").encoding = Some(TensorInfoEncoding::Composite(outer));
        }),
    ];
    for (what, change) in changes {
        refused(what, changed("dense", change).path(), UNUSABLE, &["serving_default"]);
    }
}

#[test]
fn dtypes_that_signatures_only_claim_are_not_believed() {
    for claimed in [7, 9, 4242] {
        let folder = changed("dense", |meta_graph| signature(meta_graph, "inputs").dtype = claimed);
        let model = SavedModel::load(folder.path(), ["serve"]).unwrap();
        let signature = model.signature("serving_default").unwrap();
        assert_eq!(signature.inputs()[0].dtype(), DType::Float32, "as the graph has it");
        let error = signature.run([("x", Tensor::from([[0i64; 4]]))]).unwrap_err();
        assert!(error.to_string().contains("the input 'x' of the signature 'serving_default'"), "{error}");
    }
}

/// Writes the variables of a model again, each as `change` has it; `None` leaves one out.
fn rewritten(name: &str, change: impl Fn(&str, Tensor) -> Option<Tensor>) -> TempDir {
    let folder = copied(name);
    let prefix = folder.path().join("variables/variables");
    let reader = BundleReader::open(&prefix).unwrap();
    let names: Vec<String> = reader.entries().map(|entry| entry.name).collect();
    let tensors: Vec<(String, Tensor)> = names
        .into_iter()
        .filter_map(|name| Some((name.clone(), change(&name, reader.read(&name).unwrap())?)))
        .collect();
    drop(reader);
    fs::remove_dir_all(folder.path().join("variables")).unwrap();
    fs::create_dir(folder.path().join("variables")).unwrap();
    let mut writer = BundleWriter::create(&prefix).unwrap();
    tensors.iter().for_each(|(name, tensor)| writer.add(name, tensor).unwrap());
    writer.finish().unwrap();
    folder
}

#[test]
fn variables_that_are_not_those_of_the_graph() {
    for model in ["dense", "module_v2"] {
        let is_float = |tensor: &Tensor| tensor.dtype() == DType::Float32;
        let shapes = rewritten(model, |_, tensor| {
            Some(if is_float(&tensor) { Tensor::zeros(DType::Float32, [3, 1, 1]).unwrap() } else { tensor })
        });
        refused("other shapes", shapes.path(), BAD, &["[3,1,1]"]);
        let dtypes = rewritten(model, |_, tensor| {
            Some(if is_float(&tensor) {
                Tensor::zeros(DType::Int64, tensor.shape().clone()).unwrap()
            } else {
                tensor
            })
        });
        refused("other dtypes", dtypes.path(), BAD, &["int64"]);
        let missing = rewritten(model, |_, tensor| (!is_float(&tensor)).then_some(tensor));
        refused("missing ones", missing.path(), &[Code::NotFound, Code::InvalidArgument], &["variables"]);
    }
    let folder = copied("dense");
    let index = folder.path().join("variables/variables.index");
    fs::remove_file(&index).unwrap();
    fs::create_dir(&index).unwrap();
    let error = called(folder.path()).unwrap_err();
    assert!(error.chain().contains("variables.index"), "{}", error.chain());
    let folder = copied("dense");
    fs::write(folder.path().join("variables/variables.index"), b"").unwrap();
    refused("an empty index", folder.path(), DAMAGED, &["variables.index"]);
}

/// A graph of objects in which each of two is a child of the other, and of itself.
const CYCLE: &[u8] = &[
    // node 0: children {1, "a"} and {0, "b"}
    0x0a, 0x0d, 0x0a, 0x05, 0x08, 0x01, 0x12, 0x01, b'a', 0x0a, 0x04, 0x12, 0x02, b'b', b'b',
    // node 1: child {0, "c"}
    0x0a, 0x05, 0x0a, 0x03, 0x12, 0x01, b'c',
];

#[test]
fn graphs_of_objects_that_are_cycles_or_garbage() {
    const OBJECTS: &str = "_CHECKPOINTABLE_OBJECT_GRAPH";
    for objects in [CYCLE, b"\xff\xff\xff", b"", &[0x0a, 0x06, 0x0a, 0x04, 0x08, 0x63, 0x12, 0x00]] {
        let folder = rewritten("two_handles", |name, tensor| {
            Some(if name == OBJECTS { Tensor::string(objects.to_vec()) } else { tensor })
        });
        // TensorFlow reads them by their keys; what is found only through objects is not there, or is reported.
        if let Err(error) = called(folder.path()) {
            assert!(
                UNUSABLE.contains(&error.code()) || error.code() == Code::FailedPrecondition,
                "{}",
                error.chain()
            );
            assert!(error.chain().contains(&*folder.path().to_string_lossy()), "{}", error.chain());
        }
    }
}

#[test]
fn variables_behind_links_are_not_read() {
    // The operation that would ask for permission does nothing; what follows reads variables by their objects.
    let model = || {
        changed("two_handles", |meta_graph| {
            nodes(meta_graph).push(NodeDef {
                name: "nothing".to_owned(),
                op: "NoOp".to_owned(),
                ..NodeDef::default()
            });
            meta_graph.saver_def.as_mut().unwrap().restore_op_name = "nothing".to_owned();
        })
    };
    for file in ["variables.index", "variables.data-00000-of-00001"] {
        let (folder, elsewhere) = (model(), tempfile::tempdir().unwrap());
        let place = folder.path().join("variables").join(file);
        fs::rename(&place, elsewhere.path().join(file)).unwrap();
        symlink(elsewhere.path().join(file), &place).unwrap();
        refused("a link", folder.path(), &[Code::PermissionDenied], &[file, "--allow-files"]);
    }
}

#[test]
fn a_model_reads_nothing_else_when_it_is_initialized() {
    let reads = |path: &str| {
        let path = path.to_owned();
        changed("table_asset", move |meta_graph| {
            let value = [vec![0x08, 0x07, 0x12, 0x00, 0x42, path.len() as u8], path.into_bytes()].concat();
            let attr = [
                ("dtype".to_owned(), AttrValue { value: Some(Value::Type(7)) }),
                ("value".to_owned(), AttrValue { value: Some(Value::Tensor(value.into())) }),
            ];
            let name = "stolen/path".to_owned();
            nodes(meta_graph).push(NodeDef {
                name,
                op: "Const".to_owned(),
                attr: attr.into(),
                ..NodeDef::default()
            });
            let (name, input) = ("stolen".to_owned(), vec!["stolen/path".to_owned()]);
            nodes(meta_graph).push(NodeDef { name, op: "ReadFile".to_owned(), input, ..NodeDef::default() });
            let value = vec!["stolen".to_owned()];
            let list = graph_def::proto::NodeList { value };
            for collection in ["saved_model_main_op", "legacy_init_op"] {
                let kind = Some(Collection::Nodes(list.clone()));
                meta_graph.collection_def.insert(collection.to_owned(), CollectionDef { kind });
            }
            meta_graph.signature_def.remove("__saved_model_init_op");
        })
    };
    for path in ["/etc/hostname", "/proc/self/environ", "../../../../../../etc/hostname"] {
        refused("a file of the system", reads(path).path(), &[Code::PermissionDenied], &["stolen", path]);
    }
}

#[test]
fn assets_that_are_no_files() {
    let folder = copied("table_asset");
    let file = folder.path().join("assets/vocab.txt");
    fs::remove_file(&file).unwrap();
    fs::create_dir(&file).unwrap();
    let error = called(folder.path()).unwrap_err();
    assert!(error.chain().contains("vocab.txt"), "{}", error.chain());

    for (what, kind) in [
        ("bytes that are no list", Collection::Any(vec![0xff, 0x01].into())),
        (
            "names instead of assets",
            Collection::Nodes(graph_def::proto::NodeList { value: vec!["a".to_owned()] }),
        ),
        (
            "assets of another type",
            Collection::Any({
                let any = graph_def::proto::Any {
                    type_url: "type.googleapis.com/nowhere".to_owned(),
                    value: Vec::new().into(),
                };
                AnyList { value: vec![any] }.to_bytes()
            }),
        ),
    ] {
        let folder = changed("table_asset", |meta_graph| {
            meta_graph.asset_file_def.clear();
            meta_graph
                .collection_def
                .insert("saved_model_assets".to_owned(), CollectionDef { kind: Some(kind) });
        });
        refused(what, folder.path(), DAMAGED, &["saved_model_assets"]);
    }
}

#[test]
fn a_chain_of_many_nodes_does_not_use_up_the_stack() {
    let folder = changed("dense", |meta_graph| {
        let mut last = node(meta_graph, "MatMul").input[0].clone();
        for number in 0..50_000 {
            let name = format!("chain_{number}");
            let attr = [("T".to_owned(), AttrValue { value: Some(Value::Type(1)) })];
            let input = vec![std::mem::replace(&mut last, name.clone())];
            nodes(meta_graph).push(NodeDef {
                name,
                op: "Neg".to_owned(),
                input,
                attr: attr.into(),
                ..NodeDef::default()
            });
        }
        node(meta_graph, "MatMul").input[0] = last;
    });
    called(folder.path()).unwrap_or_else(|error: Error| panic!("{}", error.chain()));
}
