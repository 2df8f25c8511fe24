//! Models that TensorFlow saved, with the calls that it answered. `MONITORED_SESSION_SAVED_MODEL_CASES` names another folder of
//! the same form.
#![allow(clippy::unwrap_used)] // a test may

use crate::support::{array, cases, difference, json, strings};
use checkpoint::CheckpointReader;
use saved_model::{FrozenGraph, Layout, SavedModel, SavedModelFolder, SignatureTensor, SignatureValue};
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use tensor::Tensor;

#[test]
fn models_saved_by_tensorflow_give_tensorflows_answers() {
    let mut folders: Vec<_> =
        std::fs::read_dir(cases()).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.retain(|folder| folder.join("expected.json").is_file());
    folders.sort();
    assert!(!folders.is_empty(), "no case in {}", cases().display());
    let mut problems = Vec::new();
    for folder in &folders {
        let expected = json(&folder.join("expected.json"));
        let name = folder.file_name().unwrap().to_str().unwrap();
        let found = match folder.join("model").is_dir() {
            true => saved_model(folder, &expected),
            false => frozen_graph(folder, &expected),
        };
        problems.extend(found.into_iter().map(|problem| format!("{name}: {problem}")));
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

fn saved_model(folder: &Path, expected: &Json) -> Vec<String> {
    let model = folder.join("model");
    let mut problems = described(&model, expected);
    if let Some(variables) = expected.get("variables") {
        problems.extend(stored(&model, variables));
    }
    // The calls of one loader and one set of tags go to one model: its state carries over.
    let mut loaded: BTreeMap<(String, Vec<String>), SavedModel> = BTreeMap::new();
    for (index, call) in expected["calls"].as_array().unwrap().iter().enumerate() {
        let tags = strings(&call["tags"]);
        let key = (call["loader"].as_str().unwrap().to_owned(), tags.clone());
        if !loaded.contains_key(&key) {
            match SavedModel::load(&model, &tags) {
                Ok(model) => _ = loaded.insert(key.clone(), model),
                Err(error) => {
                    problems.push(format!("call {index}: {error}"));
                    return problems;
                }
            }
        }
        let found = answer(&loaded[&key], folder, call);
        problems.extend(found.into_iter().map(|problem| format!("call {index}: {problem}")));
    }
    problems
}

fn answer(model: &SavedModel, folder: &Path, call: &Json) -> Vec<String> {
    let inputs = call["inputs"].as_object().unwrap();
    let inputs = inputs.iter().map(|(name, recorded)| (name, array(folder, recorded)));
    let outputs = model
        .signature(call["signature"].as_str().unwrap())
        .and_then(|signature| signature.run(inputs).map(|outputs| (signature, outputs)));
    let (signature, outputs) = match (outputs, call.get("error")) {
        (Ok(outputs), None) => outputs,
        (Err(_), Some(_)) => return Vec::new(),
        (Err(error), None) => return vec![error.to_string()],
        (Ok(_), Some(error)) => return vec![format!("TensorFlow reports {error}")],
    };
    let mut found: BTreeMap<String, Tensor> = BTreeMap::new();
    for (name, value) in outputs {
        let layout = signature.outputs().iter().find(|output| output.name() == name).unwrap();
        found.extend(
            layout.tensors().zip(tensors(value)).map(|((part, _), tensor)| (joined(&name, part), tensor)),
        );
    }
    compared(folder, &call["outputs"], &found)
}

fn tensors(value: SignatureValue) -> Vec<Tensor> {
    value.components().into_iter().cloned().collect()
}

fn joined(name: &str, part: &str) -> String {
    if part.is_empty() { name.to_owned() } else { format!("{name}/{part}") }
}

fn compared(folder: &Path, expected: &Json, found: &BTreeMap<String, Tensor>) -> Vec<String> {
    let expected = expected.as_object().unwrap();
    let mut problems = Vec::new();
    if !found.keys().eq(expected.keys().collect::<BTreeSet<_>>()) {
        problems.push(format!("outputs {:?}", found.keys().collect::<Vec<_>>()));
    }
    for (name, recorded) in expected {
        let Some(value) = found.get(name) else { continue };
        problems.extend(difference(value, &array(folder, recorded)).map(|what| format!("{name}: {what}")));
    }
    problems
}

/// The folder's description of its meta graphs.
fn described(model: &Path, expected: &Json) -> Vec<String> {
    let folder = match SavedModelFolder::open(model) {
        Ok(folder) => folder,
        Err(error) => return vec![error.to_string()],
    };
    let expected = expected["meta_graphs"].as_array().unwrap();
    let mut problems = Vec::new();
    if folder.meta_graphs().count() != expected.len() {
        problems.push(format!("{} meta graphs", folder.meta_graphs().count()));
    }
    for (meta_graph, expected) in folder.meta_graphs().zip(expected) {
        if meta_graph.tags() != strings(&expected["tags"]) {
            problems.push(format!("tags {:?}", meta_graph.tags()));
        }
        let message = meta_graph.message();
        let names: Vec<&String> = message.signature_def.keys().collect();
        let wanted = expected["signatures"].as_object().unwrap();
        if !names.iter().copied().eq(wanted.keys().collect::<BTreeSet<_>>()) {
            problems.push(format!("signatures {names:?}"));
        }
        for (name, def) in &message.signature_def {
            if wanted.get(name).is_some_and(|wanted| wanted["method_name"] != def.method_name.as_str()) {
                problems.push(format!("method of {name}: {}", def.method_name));
            }
        }
        let assets = meta_graph.assets().unwrap();
        let assets: Vec<(&str, &str)> =
            assets.iter().map(|asset| (asset.tensor.as_str(), asset.filename.as_str())).collect();
        let wanted = expected["assets"].as_array().unwrap();
        let wanted: Vec<(&str, &str)> = wanted
            .iter()
            .map(|asset| (asset["tensor"].as_str().unwrap(), asset["filename"].as_str().unwrap()))
            .collect();
        if assets != wanted {
            problems.push(format!("assets {assets:?} instead of {wanted:?}"));
        }
        problems.extend(signatures(model, meta_graph.tags(), &expected["signatures"]));
    }
    problems
}

/// The tensors of all signatures.
fn signatures(model: &Path, tags: &[String], expected: &Json) -> Vec<String> {
    let model = match SavedModel::load(model, tags) {
        Ok(model) => model,
        Err(error) => return vec![error.to_string()],
    };
    let mut problems = Vec::new();
    for name in model.signature_names() {
        let signature = match model.signature(name) {
            Ok(signature) => signature,
            Err(error) => {
                problems.push(error.to_string());
                continue;
            }
        };
        for (side, tensors) in [("inputs", signature.inputs()), ("outputs", signature.outputs())] {
            let found: BTreeMap<String, Vec<String>> =
                tensors.iter().map(|tensor| (tensor.name().to_owned(), names_of(tensor))).collect();
            let wanted: BTreeMap<String, Vec<String>> = expected[name][side]
                .as_object()
                .unwrap()
                .iter()
                .map(|(key, tensor)| (key.clone(), recorded_names(tensor)))
                .collect();
            if found != wanted {
                problems.push(format!("{side} of {name}: {found:?} instead of {wanted:?}"));
            }
        }
    }
    problems
}

fn names_of(tensor: &SignatureTensor) -> Vec<String> {
    assert_eq!(tensor.layout() == Layout::Dense, tensor.tensors().all(|(part, _)| part.is_empty()));
    tensor.tensors().map(|(_, output)| output.name()).collect()
}

fn recorded_names(tensor: &Json) -> Vec<String> {
    let text = |value: &Json| value.as_str().unwrap().to_owned();
    if let Some(sparse) = tensor.get("coo_sparse") {
        return ["values", "indices", "dense_shape"].map(|part| text(&sparse[part])).to_vec();
    }
    match tensor.get("composite") {
        Some(parts) => parts.as_array().unwrap().iter().map(|part| text(&part["name"])).collect(),
        None => vec![text(&tensor["name"])],
    }
}

/// The tensors of the variables' bundle.
fn stored(model: &Path, expected: &Json) -> Vec<String> {
    let reader = match CheckpointReader::open(model.join("variables/variables")) {
        Ok(reader) => reader,
        Err(error) => return vec![error.to_string()],
    };
    let found: BTreeSet<(String, Vec<u64>)> = reader
        .variables()
        .into_iter()
        .map(|info| (info.name.clone(), info.shape.dims().iter().map(|&size| size as u64).collect()))
        .collect();
    let size = |size: &Json| size.as_u64().unwrap();
    let wanted: BTreeSet<(String, Vec<u64>)> = expected
        .as_array()
        .unwrap()
        .iter()
        .map(|variable| {
            let shape = variable["shape"].as_array().unwrap().iter().map(size).collect();
            (variable["name"].as_str().unwrap().to_owned(), shape)
        })
        .collect();
    if found == wanted { Vec::new() } else { vec![format!("variables {found:?} instead of {wanted:?}")] }
}

fn frozen_graph(folder: &Path, expected: &Json) -> Vec<String> {
    let mut problems = Vec::new();
    for (index, call) in expected["calls"].as_array().unwrap().iter().enumerate() {
        let file = call["graph"].as_str().unwrap();
        let inputs = call["inputs"].as_object().unwrap();
        let inputs: Vec<(&String, Tensor)> =
            inputs.iter().map(|(name, recorded)| (name, array(folder, recorded))).collect();
        let names: Vec<&String> = call["outputs"].as_object().unwrap().keys().collect();
        let values = FrozenGraph::load(folder.join(file)).and_then(|graph| graph.run(inputs, &names));
        let found = match values {
            Ok(values) => {
                let found = names.into_iter().cloned().zip(values).collect();
                compared(folder, &call["outputs"], &found)
            }
            Err(error) => vec![error.to_string()],
        };
        problems.extend(found.into_iter().map(|problem| format!("call {index} of {file}: {problem}")));
    }
    problems
}
