//! Loading: what is requested wrongly, what is damaged, and what would lead out of the folder.
#![allow(clippy::unwrap_used)] // a test may

use crate::support::{case, copy};
use graph_def::proto::{
    AnyList, AssetFileDef, Collection, CollectionDef, FunctionDef, MetaGraphDef, NodeList,
    SavedModel as Message, TensorInfo, TensorInfoEncoding, Value,
};
use saved_model::{FrozenGraph, SavedModel, SavedModelFolder, SignatureValue, tags};
use session_core::{Code, Error, ErrorKind, SessionExt, Tensor};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

fn dense() -> SavedModel {
    SavedModel::load(case("dense/model"), [tags::SERVING]).unwrap()
}

/// The input of `dense`: some rows.
fn rows(count: usize) -> Tensor {
    let signature = dense().signature("serving_default").unwrap();
    let width = signature.inputs()[0].shape().dim(1).unwrap();
    Tensor::from_vec(vec![0.5f32; count * width], [count, width]).unwrap()
}

#[test]
fn names_dtypes_and_shapes_are_checked() {
    let model = dense();
    let error = model.signature("serving_defualt").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Key);
    assert!(error.to_string().contains("is 'serving_default' meant?"), "{error}");

    let signature = model.signature("serving_default").unwrap();
    let error = |inputs: Vec<(&str, Tensor)>| signature.run(inputs).unwrap_err();
    let unknown = error(vec![("X", rows(1))]);
    assert_eq!((unknown.code(), unknown.kind()), (Code::NotFound, ErrorKind::Key));
    assert!(unknown.to_string().contains("has no input 'X'; is 'x' meant?"), "{unknown}");
    let missing = error(vec![]);
    assert_eq!(missing.code(), Code::InvalidArgument);
    assert!(missing.to_string().contains("needs a value for 'x'; its inputs are 'x': float32"), "{missing}");
    let twice = error(vec![("x", rows(1)), ("x", rows(1))]);
    assert!(twice.to_string().contains("'x' of the signature 'serving_default' is given twice"), "{twice}");
    let dtype = error(vec![(
        "x",
        Tensor::from_vec(vec![0i64; rows(1).elements()], rows(1).shape().clone()).unwrap(),
    )]);
    assert_eq!(dtype.kind(), ErrorKind::Type, "{dtype}");
    let shape = error(vec![("x", Tensor::from(vec![0.5f32]))]);
    assert_eq!(shape.code(), Code::InvalidArgument, "{shape}");
    for error in [dtype, shape] {
        assert!(error.to_string().contains("the input 'x' of the signature 'serving_default'"), "{error}");
    }
    let outputs = signature.run([("x", rows(2))]).unwrap();
    let unknown = outputs.get("probability").unwrap_err();
    assert!(unknown.to_string().contains("'logits', 'probabilities'"), "{unknown}");

    // Only what is requested is computed and given.
    let one = signature.with_outputs(["logits"]).unwrap().run([("x", rows(2))]).unwrap();
    assert_eq!(one.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["logits"]);
    assert_eq!(one.tensor("logits").unwrap(), outputs.tensor("logits").unwrap());
    assert!(signature.with_outputs(["logit"]).unwrap_err().to_string().contains("is 'logits' meant?"));

    // By position.
    let values = signature.callable(&["x"]).unwrap().call(&[rows(2)]).unwrap();
    assert_eq!(&values[0], outputs.tensor("logits").unwrap());
    assert!(signature.callable(&[]).unwrap_err().to_string().contains("needs a value for 'x'"));
    assert!(signature.callable(&["x", "x"]).unwrap_err().to_string().contains("given twice"));
}

#[test]
fn sparse_and_ragged_inputs_come_whole_or_in_components() {
    let model = SavedModel::load(case("sparse_ragged/model"), ["serve"]).unwrap();
    let sparse = model.signature("sparse").unwrap();
    let (indices, values, shape) =
        (Tensor::from([[0i64, 1], [1, 2]]), Tensor::from([1.0f32, 2.0]), Tensor::from([2i64, 6]));
    let whole = SignatureValue::sparse(indices.clone(), values.clone(), shape.clone());
    let whole = sparse.run([("features", whole)]).unwrap();
    for separator in ["/", "_"] {
        let name = |part: &str| format!("features{separator}{part}");
        let parts = [
            (name("indices"), indices.clone()),
            (name("values"), values.clone()),
            (name("dense_shape"), shape.clone()),
        ];
        assert_eq!(sparse.run(parts).unwrap(), whole);
    }
    let part = sparse.run([("features/values", values.clone())]).unwrap_err();
    assert!(part.to_string().contains("'features/indices', 'features/dense_shape'"), "{part}");
    let dense = sparse.run([("features", values)]).unwrap_err();
    assert!(dense.to_string().contains("consists of 3 tensors"), "{dense}");

    let ragged = model.signature("ragged").unwrap();
    let rows = SignatureValue::ragged([1.0f32, 2.0, 3.0], [[0i64, 2, 3]]);
    let sums = ragged.run([("rows", rows)]).unwrap();
    assert_eq!(sums.tensor("sums").unwrap(), &Tensor::from([3.0f32, 3.0]));
    assert!(sums.tensor("doubled").is_err());
    assert_eq!(sums.get("doubled").unwrap().components()[0], &Tensor::from([2.0f32, 4.0, 6.0]));
}

#[test]
fn tags_are_a_set_and_errors_list_the_existing_ones() {
    let folder = SavedModelFolder::open(case("several_tags/model")).unwrap();
    assert_eq!(folder.meta_graph(["double", "serve", "double"]).unwrap().tags(), ["serve", "double"]);
    let error = folder.meta_graph(["double"]).unwrap_err();
    assert!(
        error.to_string().contains("{'double'}; it has {'serve'}, {'double', 'serve'}, {'train'}"),
        "{error}"
    );
    assert_eq!(folder.default_meta_graph().unwrap().tags(), ["serve"]);

    let version = case("dense");
    let folder = tempfile::tempdir().unwrap();
    copy(&version.join("model"), &folder.path().join("17"));
    let error = SavedModelFolder::open(folder.path()).unwrap_err();
    assert_eq!(error.code(), Code::NotFound);
    assert!(
        error.to_string().contains("it holds versions: open") && error.to_string().contains("/17'"),
        "{error}"
    );
    let file = SavedModelFolder::open(folder.path().join("17/saved_model.pb")).unwrap_err();
    assert!(file.to_string().contains("a SavedModel is a folder"), "{file}");
}

#[test]
fn models_in_text_form_are_read_and_written() {
    let folder = SavedModelFolder::open(case("text_form/model")).unwrap();
    let text = folder.message().to_text().unwrap();
    assert_eq!(&Message::from_text(&text).unwrap(), folder.message());
}

#[test]
fn training_continues_from_a_saved_model() {
    let scaffold = SavedModel::scaffold(case("several_tags/model"), [tags::TRAINING]).unwrap();
    let mut creator = scaffold::ChiefSessionCreator::new(
        std::sync::Arc::new(embedded_engine::EmbeddedEngine::new()),
        &scaffold.graph().clone(),
    )
    .scaffold(&scaffold);
    let created =
        scaffold::SessionCreator::create_session(&mut creator, &session_core::CancellationToken::new());
    let session = created.unwrap().session;
    let reader = checkpoint::CheckpointReader::open(case("several_tags/model/variables/variables")).unwrap();
    for variable in scaffold.saver().variables(scaffold.graph()) {
        let value = session.run(&variable, ()).unwrap();
        assert_eq!(value, reader.read(variable.name()).unwrap(), "{}", variable.name());
    }
    assert_eq!(scaffold.saver().variables(scaffold.graph()).len(), 2);
}

#[test]
fn a_frozen_graph_lists_its_inputs_and_outputs() {
    let graph = FrozenGraph::load(case("frozen_dense/graph.pb")).unwrap();
    let mut inputs: Vec<String> = graph.inputs().iter().map(|output| output.name()).collect();
    inputs.sort();
    assert_eq!(inputs, ["ids:0", "x:0"]);
    let outputs: Vec<String> = graph.outputs().iter().map(|output| output.name()).collect();
    assert_eq!(outputs, ["relu:0"]);
    let error = graph.run([("x", Tensor::from([[1.0f32, 2.0, 3.0]]))], ["rel"]).unwrap_err();
    assert!(error.to_string().contains("is 'relu' meant?"), "{error}");
    let error = graph.tensor("relu:1").unwrap_err();
    assert!(error.to_string().contains("the operation 'relu' of type Relu has 1 outputs"), "{error}");
}

// ---- damaged and hostile ----------------------------------------------------------------------------------

/// A copy of a recorded model, changed.
fn changed(name: &str, change: impl FnOnce(&mut MetaGraphDef)) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    copy(&case(name).join("model"), folder.path());
    let file = folder.path().join("saved_model.pb");
    let mut message = Message::from_bytes(fs::read(&file).unwrap()).unwrap();
    change(&mut message.meta_graphs[0]);
    fs::write(&file, message.to_bytes()).unwrap();
    folder
}

fn refused(folder: &Path) -> Error {
    SavedModel::load(folder, ["serve"]).map(|_| ()).unwrap_err()
}

#[test]
fn a_file_that_ends_early_is_an_error() {
    let whole = fs::read(case("table_asset/model/saved_model.pb")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("saved_model.pb");
    for length in 0..whole.len() {
        fs::write(&file, &whole[..length]).unwrap();
        let error = refused(folder.path());
        assert!(error.to_string().contains(&*folder.path().to_string_lossy()), "{length}: {error}");
    }
    fs::write(&file, "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 4\n").unwrap();
    let pointer = refused(folder.path());
    assert_eq!(pointer.code(), Code::DataLoss);
    assert!(pointer.to_string().contains("git lfs pull"), "{pointer}");
}

#[test]
fn variables_that_are_missing_or_damaged_are_errors() {
    for (damage, code) in [("index", Code::NotFound), ("data-00000-of-00001", Code::NotFound)] {
        let folder = changed("dense", |_| {});
        fs::remove_file(folder.path().join(format!("variables/variables.{damage}"))).unwrap();
        let error = refused(folder.path());
        assert_eq!(error.code(), code, "{error}");
        assert!(error.to_string().contains(damage), "{error}");
    }
    let folder = changed("dense", |_| {});
    let data = folder.path().join("variables/variables.data-00000-of-00001");
    let mut bytes = fs::read(&data).unwrap();
    bytes[0] ^= 0xff;
    fs::write(&data, &bytes).unwrap();
    assert_eq!(refused(folder.path()).code(), Code::DataLoss);
    fs::write(&data, &bytes[..bytes.len() / 2]).unwrap();
    let short = refused(folder.path());
    assert!(matches!(short.code(), Code::DataLoss | Code::OutOfRange), "{short}");
    let folder = changed("dense", |meta_graph| meta_graph.saver_def = None);
    assert!(refused(folder.path()).to_string().contains("names no saver"));
    let folder = changed("dense", |meta_graph| {
        meta_graph.saver_def.as_mut().unwrap().restore_op_name = "nowhere".to_owned();
    });
    assert!(refused(folder.path()).to_string().contains("'nowhere'"));
}

#[test]
fn tensors_of_a_signature_must_exist() {
    let folder = changed("dense", |meta_graph| {
        let signature = meta_graph.signature_def.get_mut("serving_default").unwrap();
        let nowhere = TensorInfoEncoding::Name("nowhere:0".to_owned());
        signature
            .outputs
            .insert("new".to_owned(), TensorInfo { encoding: Some(nowhere), ..TensorInfo::default() });
    });
    let error = SavedModel::load(folder.path(), ["serve"]).unwrap().signature("serving_default").unwrap_err();
    for text in ["'serving_default'", "'new'", "'nowhere'", &folder.path().to_string_lossy()] {
        assert!(error.to_string().contains(text), "{text}: {error}");
    }
}

#[test]
fn the_init_op_must_exist() {
    let named = |names: &[&str]| {
        let value = names.iter().map(|&name| name.to_owned()).collect();
        let nodes = CollectionDef { kind: Some(Collection::Nodes(NodeList { value })) };
        changed("table_asset", |meta_graph| {
            meta_graph.collection_def.insert("saved_model_main_op".to_owned(), nodes);
        })
    };
    let error = refused(named(&["nowhere"]).path());
    assert!(error.to_string().contains("'nowhere'"), "{error}");
    let error = refused(named(&["a", "b"]).path());
    assert!(error.to_string().contains("must name one init op, and it names 2"), "{error}");
}

/// A copy of a model with assets, the first of which is called something else.
fn with_asset(filename: &str) -> tempfile::TempDir {
    changed("table_asset", |meta_graph| {
        let Some(CollectionDef { kind: Some(Collection::Any(bytes)) }) =
            meta_graph.collection_def.get_mut("saved_model_assets")
        else {
            panic!("the model has assets");
        };
        let mut list = AnyList::from_bytes(bytes.clone()).unwrap();
        let mut asset = AssetFileDef::from_bytes(list.value[0].value.clone()).unwrap();
        asset.filename = filename.to_owned();
        list.value[0] = asset.to_any();
        *bytes = list.to_bytes();
    })
}

#[test]
fn assets_stay_within_their_folder() {
    for filename in [
        "/etc/hostname",
        "../saved_model.pb",
        "a/../../x",
        "",
        ".",
        "..",
        "a\0b",
        "..\\x",
        "a\nb",
        "\u{1b}[2Jx",
        "a\u{9b}b",
    ] {
        let error = refused(with_asset(filename).path());
        assert_eq!(error.code(), Code::InvalidArgument, "{error}");
        assert!(error.to_string().contains("is not opened"), "{error}");
        assert!(!error.to_string().contains(char::is_control), "{error:?}");
    }
    let absent = refused(with_asset("nowhere.txt").path());
    assert_eq!(absent.code(), Code::NotFound, "{absent}");

    // A link is a way out, too.
    let secret = tempfile::tempdir().unwrap();
    fs::copy(case("table_asset/model/assets/vocab.txt"), secret.path().join("vocab.txt")).unwrap();
    let folder = changed("table_asset", |_| {});
    fs::remove_file(folder.path().join("assets/vocab.txt")).unwrap();
    symlink(secret.path().join("vocab.txt"), folder.path().join("assets/vocab.txt")).unwrap();
    let error = refused(folder.path());
    assert_eq!(error.code(), Code::PermissionDenied, "{error}");
    assert!(error.to_string().contains("assets/vocab.txt") && error.op_type_in_chain().is_some(), "{error}");
    let options = saved_model::LoadOptions::new().allow_files(secret.path());
    SavedModel::load_with(folder.path(), ["serve"], &options).unwrap();
}

#[test]
fn a_shard_that_is_missing_or_cut_is_named() {
    for shard in ["data-00000-of-00002", "data-00001-of-00002"] {
        let folder = changed("partitioned", |_| {});
        let file = folder.path().join(format!("variables/variables.{shard}"));
        let bytes = fs::read(&file).unwrap();
        fs::write(&file, &bytes[..bytes.len() - 1]).unwrap();
        let cut = refused(folder.path());
        assert!(matches!(cut.code(), Code::DataLoss | Code::OutOfRange), "{cut}");
        assert!(cut.chain().contains(shard), "{}", cut.chain());
        fs::remove_file(&file).unwrap();
        let missing = refused(folder.path());
        assert_eq!(missing.code(), Code::NotFound, "{missing}");
        assert!(missing.chain().contains(shard), "{}", missing.chain());
    }
}

#[test]
fn a_text_that_ends_early_is_an_error() {
    let whole = fs::read_to_string(case("text_form/model/saved_model.pbtxt")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("saved_model.pbtxt");
    for length in (0..whole.len() - 2).step_by(211).filter(|&length| whole.is_char_boundary(length)) {
        fs::write(&file, &whole[..length]).unwrap();
        let error = refused(folder.path());
        assert!(error.to_string().contains(&*folder.path().to_string_lossy()), "{length}: {error}");
    }
    fs::write(&file, b"meta_graphs { \xff }").unwrap();
    assert_eq!(refused(folder.path()).code(), Code::DataLoss);
}

#[test]
fn cyclic_functions_and_nodes_are_errors() {
    // The wrapper of a signature calls itself instead of the model.
    let folder = changed("module_v2", |meta_graph| {
        let library = meta_graph.graph_def.as_mut().unwrap().library.as_mut().unwrap();
        let name = |function: &FunctionDef| function.signature.as_ref().unwrap().name.clone();
        for function in library.function.iter_mut().filter(|function| name(function).contains("wrapper")) {
            let own = name(function);
            for attr in function.node_def.iter_mut().filter_map(|node| node.attr.get_mut("f")) {
                let Some(Value::Func(called)) = &mut attr.value else { panic!("{attr:?}") };
                called.name.clone_from(&own);
            }
        }
    });
    let answer = SavedModel::load(folder.path(), ["serve"]).and_then(|model| {
        model.signature("serving_default")?.run([("x", Tensor::from([[0f32; 3]]))]).map(drop)
    });
    let error = answer.unwrap_err();
    assert!(error.chain().contains("calls itself"), "{}", error.chain());

    let folder = changed("dense", |meta_graph| {
        let nodes = &mut meta_graph.graph_def.as_mut().unwrap().node;
        let last = nodes.iter().rposition(|node| node.op == "Softmax").unwrap();
        let own = nodes[last].name.clone();
        nodes[last].input[0] = own;
    });
    let error = refused(folder.path());
    assert!(error.to_string().contains("part of a cycle"), "{error}");
}

/// The part of a chain of errors that is about the operation.
trait InChain {
    fn op_type_in_chain(&self) -> Option<String>;
}

impl InChain for Error {
    fn op_type_in_chain(&self) -> Option<String> {
        let own = self.op_type().map(str::to_owned);
        own.or_else(|| self.cause::<Error>().and_then(InChain::op_type_in_chain))
    }
}
