//! A written model is one for TensorFlow, too: both its loaders return the same numbers.
#![allow(clippy::unwrap_used)] // a test may

use crate::support::python;
use embedded_engine::EmbeddedEngine;
use graph_def::proto::{GraphDef, SavedModel as Message};
use graph_def::{ImportOptions, import_graph_def};
use ops::array::{constant, placeholder};
use ops::math;
use ops::variables::{VariableExt, global_variables_initializer, variable};
use saved_model::{
    MetaGraphOptions, SavedModel, SavedModelBuilder, classification_signature_def, predict_signature_def,
    regression_signature_def, simple_save, tags,
};
use session_core::{
    Code, DType, Engine, ErrorKind, Graph, Output, Session, SessionConfig, SessionExt, Tensor,
};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;

fn session(graph: &Graph) -> Arc<dyn Session> {
    let init = global_variables_initializer(graph);
    let session = EmbeddedEngine::new().new_session(graph, "", &SessionConfig::default()).unwrap();
    session.run(&init, ()).unwrap();
    session
}

/// A layer, a counter that a signature increases, and words looked up in a vocabulary.
fn model(vocabulary: &Path) -> (Graph, MetaGraphOptions) {
    let graph = Graph::new();
    let x = placeholder(&graph.named("x"), DType::Float32, [None, Some(2)]);
    let w = variable(&graph.named("w"), Tensor::from([[0.5f32, -1.0], [2.0, 0.25]]));
    let y = math::tanh(math::matmul(&x, &w));
    let calls = variable(&graph.named("calls"), 0i64);
    let counted = calls.after(&calls.assign_add(1i64));
    let keys = placeholder(&graph.named("words"), DType::String, [None]);
    let path = constant(&graph.named("vocabulary"), Tensor::string(vocabulary.to_str().unwrap().to_owned()));
    let table = r#"node { name: "table" op: "HashTableV2" attr { key: "key_dtype" value { type: DT_STRING } } attr { key: "value_dtype" value { type: DT_INT64 } } }
        node { name: "fill" op: "InitializeTableFromTextFileV2" input: "table" input: "path" attr { key: "key_index" value { i: -2 } } attr { key: "value_index" value { i: -1 } } }
        node { name: "unknown" op: "Const" attr { key: "dtype" value { type: DT_INT64 } } attr { key: "value" value { tensor { dtype: DT_INT64 tensor_shape { } int64_val: -1 } } } }
        node { name: "ids" op: "LookupTableFindV2" input: "table" input: "keys" input: "unknown" attr { key: "Tin" value { type: DT_STRING } } attr { key: "Tout" value { type: DT_INT64 } } }
        versions { producer: 2474 }"#;
    let table = GraphDef::from_text(table).unwrap();
    let given = ImportOptions::new().map_input("path", &path).map_input("keys", &keys);
    let table = import_graph_def(&graph, &table, &given).unwrap();
    let (ids, fill) = (table.output("ids").unwrap(), table.operation("fill").unwrap().clone());
    let options = MetaGraphOptions::new()
        .signature("serving_default", predict_signature_def([("x", &x)], [("y", &y)]).unwrap())
        .signature("count", predict_signature_def([("x", &x)], [("n", &counted)]).unwrap())
        .signature("lookup", predict_signature_def([("words", &keys)], [("ids", &ids)]).unwrap())
        .asset(&path)
        .init_op(&fill);
    (graph, options)
}

/// Asks TensorFlow for the answers of a model.
fn ask(python: &Path, folder: &Path) -> serde_json::Value {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/oracle/load_saved_model.py");
    let output = Command::new(python).arg(script).arg(folder).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn tensorflow_returns_the_same_numbers() {
    let folder = tempfile::tempdir().unwrap();
    let vocabulary = folder.path().join("vocabulary.txt");
    std::fs::write(&vocabulary, "zero\none\ntwo\n").unwrap();
    let (graph, options) = model(&vocabulary);
    let session = session(&graph);
    for (name, strip) in [("whole", false), ("stripped", true)] {
        let target = folder.path().join(name);
        let mut builder = SavedModelBuilder::new(&target).unwrap();
        let options = options.clone().strip_default_attrs(strip);
        builder.add_meta_graph_and_variables(&*session, [tags::SERVING], &options).unwrap();
        builder.save().unwrap();
    }
    // The model does not need the file that it was made with.
    std::fs::remove_file(&vocabulary).unwrap();
    let rows = Tensor::from([[1.0f32, 2.0], [-0.5, 0.25]]);
    for name in ["whole", "stripped"] {
        let target = folder.path().join(name);
        let model = SavedModel::load(&target, [tags::SERVING]).unwrap();
        let ask_here = |signature: &str, key: &str, value: Tensor, output: &str| {
            let signature = model.signature(signature).unwrap();
            signature.run([(key, value)]).unwrap().tensor(output).unwrap().clone()
        };
        let y = ask_here("serving_default", "x", rows.clone(), "y").to_vec::<f32>().unwrap();
        let ids = ask_here("lookup", "words", Tensor::from(["two", "three", "zero"]), "ids");
        assert_eq!(ids, Tensor::from([2i64, -1, 0]));
        let n = [0, 1].map(|_| ask_here("count", "x", rows.clone(), "n").value::<i64>().unwrap());
        assert_eq!(n, [1, 2]);

        let Some(python) = python() else { continue };
        let answers = ask(&python, &target);
        for loader in ["v1", "v2"] {
            let answer = &answers[loader];
            let found: Vec<f32> =
                answer["y"].as_array().unwrap().iter().map(|value| value.as_f64().unwrap() as f32).collect();
            assert!(found.iter().zip(&y).all(|(a, b)| (a - b).abs() <= 1e-6), "{loader}: {found:?} {y:?}");
            assert_eq!(answer["ids"], serde_json::json!([2, -1, 0]), "{loader}");
            assert_eq!(answer["n"], serde_json::json!([1, 2]), "{loader}");
        }
    }
}

#[test]
fn several_meta_graphs_share_the_variables() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("model");
    let make = |factor: f32| {
        let graph = Graph::new();
        let x = placeholder(&graph.named("x"), DType::Float32, [None]);
        let w = variable(&graph.named("w"), 3.0f32);
        let y = &x * &w * factor;
        (
            graph,
            MetaGraphOptions::new().signature("s", predict_signature_def([("x", &x)], [("y", &y)]).unwrap()),
        )
    };
    let ((first, options), (second, others)) = (make(1.0), make(10.0));
    let mut builder = SavedModelBuilder::new(&target).unwrap();
    let early = builder.add_meta_graph(&second, ["serve", "large"], &others).unwrap_err();
    assert!(early.message().contains("has not been saved yet"), "{early}");
    let session = session(&first);
    builder.add_meta_graph_and_variables(&*session, ["serve"], &options).unwrap();
    assert!(builder.add_meta_graph_and_variables(&*session, ["serve"], &options).is_err());
    builder.add_meta_graph(&second, ["serve", "large"], &others).unwrap();
    builder.save_as_text().unwrap();
    for (tags, expected) in [(vec!["serve"], 6.0f32), (vec!["large", "serve"], 60.0)] {
        let model = SavedModel::load(&target, tags).unwrap();
        let answer = model.signature("s").unwrap().run([("x", vec![2.0f32])]).unwrap();
        assert_eq!(answer.tensor("y").unwrap(), &Tensor::from([expected]));
    }
    let again = SavedModelBuilder::new(&target).unwrap_err();
    assert_eq!(again.code(), Code::AlreadyExists);
    assert!(again.to_string().contains("is not empty"), "{again}");
}

#[test]
fn a_model_without_variables_is_saved_simply() {
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("model");
    let graph = Graph::new();
    let x = placeholder(&graph.named("x"), DType::Float32, [None]);
    let y = &x + &x;
    let session = session(&graph);
    simple_save(&*session, &target, [("x", &x)], [("y", &y)], None).unwrap();
    let message = Message::from_bytes(std::fs::read(target.join("saved_model.pb")).unwrap()).unwrap();
    assert_eq!(message.meta_graphs[0].saver_def, None);
    let answer = SavedModel::load(&target, ["serve"]).unwrap().signature("serving_default").unwrap();
    assert_eq!(answer.run([("x", vec![1.5f32])]).unwrap().tensor("y").unwrap(), &Tensor::from([3.0f32]));
}

#[test]
fn files_of_one_name_stay_apart() {
    let folder = tempfile::tempdir().unwrap();
    let graph = Graph::new();
    let x = placeholder(&graph.named("x"), DType::Float32, [None]);
    let mut options =
        MetaGraphOptions::new().signature("s", predict_signature_def([("x", &x)], [("y", &x)]).unwrap());
    for (place, content) in [("a", "one"), ("b", "two"), ("c", "one")] {
        let path = folder.path().join(place).join("words.txt");
        std::fs::create_dir(path.parent().unwrap()).unwrap();
        std::fs::write(&path, content).unwrap();
        options =
            options.asset(&constant(&graph.named(place), Tensor::string(path.to_str().unwrap().to_owned())));
    }
    let target = folder.path().join("model");
    let mut builder = SavedModelBuilder::new(&target).unwrap();
    builder.add_meta_graph_and_variables(&*session(&graph), ["serve"], &options).unwrap();
    builder.save().unwrap();
    let folder = saved_model::SavedModelFolder::open(&target).unwrap();
    let assets = folder.meta_graph(["serve"]).unwrap().assets().unwrap();
    let names: Vec<&str> = assets.iter().map(|asset| asset.filename.as_str()).collect();
    assert_eq!(names, ["words.txt", "words.txt_1", "words.txt"]);
    assert_eq!(std::fs::read_to_string(&assets[1].path).unwrap(), "two");
}

#[test]
fn unwritable_values_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let graph = Graph::new();
    let (x, text) = (
        placeholder(&graph.named("x"), DType::Float32, [None]),
        placeholder(&graph.named("text"), DType::String, [None]),
    );
    assert!(predict_signature_def(Vec::<(&str, &Output)>::new(), [("y", &x)]).is_err());
    assert_eq!(classification_signature_def(&x, Some(&text), None).unwrap_err().kind(), ErrorKind::Type);
    assert_eq!(classification_signature_def(&text, None, None).unwrap_err().kind(), ErrorKind::Value);
    assert_eq!(regression_signature_def(&text, &text).unwrap_err().kind(), ErrorKind::Type);
    classification_signature_def(&text, Some(&text), Some(&x)).unwrap();

    let session = session(&graph);
    let good = || predict_signature_def([("x", &x)], [("y", &x)]).unwrap();
    let refused = |options: MetaGraphOptions| {
        let mut builder = SavedModelBuilder::new(folder.path().join("model")).unwrap();
        builder.add_meta_graph_and_variables(&*session, ["serve"], &options).unwrap_err()
    };
    let reserved = refused(MetaGraphOptions::new().signature("__saved_model_init_op", good()));
    assert_eq!(reserved.kind(), ErrorKind::Key);
    let asset = refused(MetaGraphOptions::new().signature("s", good()).asset(&text));
    assert!(asset.to_string().contains("must be of type constant"), "{asset}");
    let absent = constant(&graph, Tensor::string("/nowhere/words.txt"));
    let absent = refused(MetaGraphOptions::new().asset(&absent));
    assert!(absent.code() == Code::NotFound && absent.to_string().contains("/nowhere/words.txt"), "{absent}");
    let elsewhere = Graph::new();
    let other = placeholder(&elsewhere.named("elsewhere"), DType::Float32, [None]);
    let other = predict_signature_def([("x", &other)], [("y", &other)]).unwrap();
    let other = refused(MetaGraphOptions::new().signature("s", other));
    assert!(other.to_string().contains("there is no tensor 'elsewhere:0'"), "{other}");
}
