//! SavedModels of checkpoints, and graphs for inference whose variables come from one.
#![allow(clippy::unwrap_used)] // a test may

use crate::support::{array, case, difference, json};
use checkpoint::{GraphSaver, RestoreOptions, SaverOptions};
use embedded_engine::EmbeddedEngine;
use ops::array::placeholder;
use ops::optimizers::ExponentialMovingAverage;
use ops::variables::{VariableExt as _, global_variables_initializer, variable};
use saved_model::{
    CheckpointExport, MetaGraphOptions, SavedModel, load_variables, predict_signature_def, tags,
};
use session_core::{
    Code, DType, Engine, Graph, Output, Session, SessionConfig, SessionExt, Tensor, Variable,
};
use std::path::{Path, PathBuf};
use std::sync::Arc;

fn session(graph: &Graph) -> Arc<dyn Session> {
    EmbeddedEngine::new().new_session(graph, "", &SessionConfig::default()).unwrap()
}

/// Saves w = 8, b = 1 and their moving averages 4 and 0.5.
fn trained(folder: &Path) -> PathBuf {
    let graph = Graph::new();
    let (w, b) = (variable(&graph.named("w"), 0f32), variable(&graph.named("b"), 0f32));
    let updates = [w.assign_add(8f32), b.assign_add(1f32)];
    let after = graph.control_dependencies(&updates);
    let train = ExponentialMovingAverage::new(0.5f32).apply(&after, &[w, b]);
    let init = global_variables_initializer(&graph);
    let session = session(&graph);
    session.run(&init, ()).unwrap();
    session.run(&train, ()).unwrap();
    GraphSaver::new(SaverOptions::new()).save(&*session, folder.join("model.ckpt"), Some(1)).unwrap()
}

/// w x + b for serving.
fn serving() -> (Graph, [Variable; 2], Output, Output) {
    let graph = Graph::new();
    let x = placeholder(&graph.named("x"), DType::Float32, [None]);
    let variables = [variable(&graph.named("w"), 0f32), variable(&graph.named("b"), 0f32)];
    let y = &x * &variables[0] + &variables[1];
    (graph, variables, x, y)
}

fn averages(variables: &[Variable]) -> GraphSaver {
    let averages = ExponentialMovingAverage::new(0.5f32).variables_to_restore(variables, &[]);
    let averages = averages.into_iter().map(|(name, variable)| variable.saved_as(name)).collect();
    GraphSaver::of(averages, SaverOptions::new()).unwrap()
}

fn answer(folder: &Path) -> Vec<f32> {
    let model = SavedModel::load(folder, [tags::SERVING]).unwrap();
    let outputs = model.signature("serving_default").unwrap().run([("x", vec![1f32, 2.0])]).unwrap();
    outputs.tensor("y").unwrap().to_vec().unwrap()
}

#[test]
fn a_checkpoint_is_exported_with_its_values_or_their_averages() {
    let folder = tempfile::tempdir().unwrap();
    let prefix = trained(folder.path());
    let (graph, variables, x, y) = serving();
    let signature = predict_signature_def([("x", &x)], [("y", &y)]).unwrap();
    let export =
        CheckpointExport::new(&graph, MetaGraphOptions::new().signature("serving_default", signature));
    export.export(&prefix, folder.path().join("plain")).unwrap();
    assert_eq!(answer(&folder.path().join("plain")), [9.0, 17.0]);
    let averaged = export.clone().saver(&averages(&variables));
    averaged.export(&prefix, folder.path().join("averaged")).unwrap();
    assert_eq!(answer(&folder.path().join("averaged")), [4.5, 8.5]);
    // The averages are saved as the variables' own values.
    let reader =
        checkpoint::CheckpointReader::open(folder.path().join("averaged/variables/variables")).unwrap();
    assert_eq!(reader.read("w").unwrap(), Tensor::scalar(4f32));

    // A folder that is in use is left alone.
    let taken = export.export(&prefix, folder.path().join("plain")).unwrap_err();
    assert_eq!(taken.code(), Code::AlreadyExists, "{taken}");
    let absent = export.export(folder.path().join("model.ckpt-2"), folder.path().join("absent")).unwrap_err();
    assert_eq!(absent.code(), Code::NotFound, "{absent}");
    assert!(absent.to_string().contains("model.ckpt-2") && !folder.path().join("absent").exists());
}

#[test]
fn a_variable_that_the_checkpoint_lacks_is_not_exported() {
    let folder = tempfile::tempdir().unwrap();
    let prefix = trained(folder.path());
    let (graph, _, x, y) = serving();
    let more = variable(&graph.named("more"), 0f32);
    let y = &y + &more;
    let signature = predict_signature_def([("x", &x)], [("y", &y)]).unwrap();
    let export =
        CheckpointExport::new(&graph, MetaGraphOptions::new().signature("serving_default", signature));
    let lenient = export.clone().restore_options(RestoreOptions::new().allow_missing(true));
    for export in [export, lenient] {
        let error = export.export(&prefix, folder.path().join("export")).unwrap_err();
        assert!(error.chain().contains("more"), "{}", error.chain());
        assert!(!folder.path().join("export").exists());
    }
}

#[test]
fn variables_are_loaded_by_name_or_map_with_a_report() {
    let folder = tempfile::tempdir().unwrap();
    let prefix = trained(folder.path());
    let (graph, variables, x, y) = serving();
    let session = session(&graph);
    let report = load_variables(&*session, None, &prefix, &RestoreOptions::new()).unwrap();
    assert_eq!((report.restored.len(), report.missing.len()), (2, 0));
    let mut unexpected = report.unexpected;
    unexpected.sort();
    assert_eq!(unexpected, ["b/ExponentialMovingAverage", "w/ExponentialMovingAverage"]);
    let run = || session.run(&y, [(&x, vec![1f32])]).unwrap().to_vec::<f32>().unwrap();
    assert_eq!(run(), [9.0]);
    load_variables(&*session, Some(&averages(&variables)), &prefix, &RestoreOptions::new()).unwrap();
    assert_eq!(run(), [4.5]);
}

#[test]
fn many_threads_call_one_model() {
    let folder = case("dense");
    let expected = json(&folder.join("expected.json"));
    let model = SavedModel::load(folder.join("model"), [tags::SERVING]).unwrap();
    let signature = model.signature("serving_default").unwrap();
    let callable = signature.with_outputs(["logits"]).unwrap().callable(&["x"]).unwrap();
    let calls = expected["calls"].as_array().unwrap();
    let calls: Vec<(Tensor, Tensor)> = calls
        .iter()
        .map(|call| (array(&folder, &call["inputs"]["x"]), array(&folder, &call["outputs"]["logits"])))
        .collect();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (signature, callable, calls) = (&signature, &callable, &calls);
            scope.spawn(move || {
                for turn in 0..50 {
                    let (input, logits) = &calls[(thread + turn) % calls.len()];
                    let outputs = signature.run([("x", input.clone())]).unwrap();
                    assert_eq!(difference(outputs.tensor("logits").unwrap(), logits), None);
                    let values = callable.call(std::slice::from_ref(input)).unwrap();
                    assert_eq!(difference(&values[0], logits), None);
                }
            });
        }
    });
}
