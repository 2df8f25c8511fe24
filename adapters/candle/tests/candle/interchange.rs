//! Saved models, read by candle, by Python's safetensors and by TensorFlow.

use crate::python::{python, skipped};
use candle_core::{DType, Device, Tensor};
use candle_nn::{VarBuilder, VarMap, linear};
use checkpoint::safetensors::{SafetensorsOptions, write_safetensors};
use checkpoint::{GraphSaver, SAVED_OBJECTS, SavedObject, SaverOptions, read_all};
use monitored::HostTraining;
use monitored_candle::{AdamW, CandleModel, SavedVars, SeededVars, or_step_error};
use monitored_session::prelude::{SingularMonitoredSession, StopAtStepHook};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};

/// Trains a layer for two steps, and returns the checkpoint with the weight and its first moment.
fn trained(folder: &Path) -> (PathBuf, [Vec<f32>; 2]) {
    let vars = SeededVars::new(1);
    let layer = linear(3, 2, vars.builder(DType::F32, &Device::Cpu).pp("layer")).unwrap();
    let model = Arc::new(Mutex::new(CandleModel::new(vars.saved(), AdamW::new(0.1)).unwrap()));
    let shared = model.clone();
    HostTraining::new()
        .saved_object("model", &model)
        .checkpoint_dir(folder)
        .hook(StopAtStepHook::last_step(2))
        .run(move |_| {
            or_step_error(|| {
                let x = Tensor::new(&[[1f32, -2.0, 0.5]], &Device::Cpu)?;
                let loss = candle_nn::Module::forward(&layer, &x)?.sqr()?.sum_all()?;
                shared.lock().unwrap().backward_step(&loss)
            })
        })
        .unwrap();
    let model = model.lock().unwrap();
    let values =
        |vars: &SavedVars, name: &str| vars.vars()[name].flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let weight = values(model.vars(), "layer.weight");
    (folder.join("model.ckpt-2"), [weight, values(model.moments(), "layer.weight/Adam")])
}

/// Writes a checkpoint as `monitored checkpoint convert` does.
fn converted(prefix: &Path, folder: &Path) -> PathBuf {
    let tensors: Vec<_> = read_all(prefix).unwrap().into_iter().collect();
    let file = folder.join("model.safetensors");
    write_safetensors(&file, &tensors, &SafetensorsOptions::new().metadata("format", "pt")).unwrap();
    file
}

#[test]
fn candle_reads_the_weights_as_safetensors() {
    let folder = tempfile::tempdir().unwrap();
    let (prefix, [weight, moment]) = trained(folder.path());
    let file = converted(&prefix, folder.path());
    let read = candle_core::safetensors::load(&file, &Device::Cpu).unwrap();
    let values = |name: &str| read[name].flatten_all().unwrap().to_vec1::<f32>().unwrap();
    assert_eq!(values("model/layer.weight"), weight);
    assert_eq!(values("model/layer.weight/Adam"), moment);
    assert_eq!(read["model/layer.weight"].dims(), [2, 3]);
    assert_eq!(read["model/optimizer_step"].to_scalar::<i64>().unwrap(), 2);
}

#[test]
fn a_file_of_candle_starts_a_training() {
    let folder = tempfile::tempdir().unwrap();
    let map = VarMap::new();
    linear(3, 2, VarBuilder::from_varmap(&map, DType::F32, &Device::Cpu).pp("layer")).unwrap();
    let file = folder.path().join("pretrained.safetensors");
    map.save(&file).unwrap();
    let vars = SeededVars::new(1);
    linear(3, 2, vars.builder(DType::F32, &Device::Cpu).pp("layer")).unwrap();
    let mut weights = vars.saved();
    weights.load(&file).unwrap();
    let values = |var: &candle_core::Var| var.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let data = map.data().lock().unwrap();
    assert_eq!(values(&weights.vars()["layer.weight"]), values(&data["layer.weight"]));
    let load = |name: &str, shape: usize| {
        let var = candle_core::Var::zeros((2, shape), DType::F32, &Device::Cpu).unwrap();
        SavedVars::new([(name.to_owned(), var)]).load(&file).unwrap_err()
    };
    assert!(matches!(load("absent", 3), checkpoint::Error::TensorMissing { .. }));
    let error = load("layer.weight", 4);
    let text = std::error::Error::source(&error).map_or_else(String::new, ToString::to_string);
    assert!(text.contains("variable 'layer.weight'") && !text.contains('\n'), "{error}: {text}");
}

#[test]
fn python_reads_names_and_numbers() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (prefix, [weight, moment]) = trained(folder.path());
    let file = converted(&prefix, folder.path());
    let script = "
import sys
try:
    from safetensors.numpy import load_file
except ImportError:
    load_file = None
import tensorflow as tf
reader = tf.train.load_checkpoint(sys.argv[1])
stored = [('tf', {name: reader.get_tensor(name) for name in reader.get_variable_to_shape_map()})]
if load_file is not None:
    stored.append(('safetensors', load_file(sys.argv[2])))
for which, tensors in stored:
    print(which, sorted(tensors))
    for name in ['model/layer.weight', 'model/layer.weight/Adam']:
        print(which, tensors[name].shape, [float(x) for x in tensors[name].ravel()])
    print(which, int(tensors['global_step']), int(tensors['model/optimizer_step']))
";
    let output = Command::new(python).args(["-c", script]).arg(&prefix).arg(&file).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    let text = String::from_utf8(output.stdout).unwrap();
    let wide = |values: &[f32]| values.iter().map(|&x| f64::from(x)).collect::<Vec<f64>>();
    let names = "['global_step', 'model/layer.bias', 'model/layer.bias/Adam', 'model/layer.bias/Adam_1', \
                 'model/layer.weight', 'model/layer.weight/Adam', 'model/layer.weight/Adam_1', 'model/optimizer_step']";
    let mut readers = vec!["tf"];
    if text.contains("\nsafetensors") {
        readers.push("safetensors");
    } else {
        skipped("no Python with safetensors");
    }
    let mut lines = text.lines();
    for reader in readers {
        assert_eq!(lines.next(), Some(&*format!("{reader} {names}")));
        for values in [&weight, &moment] {
            let line = lines.next().unwrap();
            let numbers = line.strip_prefix(&format!("{reader} (2, 3) [")).unwrap().trim_end_matches(']');
            let numbers: Vec<f64> = numbers.split(", ").map(|number| number.parse().unwrap()).collect();
            assert_eq!(numbers, wide(values));
        }
        assert_eq!(lines.next(), Some(&*format!("{reader} 2 2")));
    }
}

#[test]
fn a_model_can_be_saved_with_the_variables_of_a_graph() {
    let folder = tempfile::tempdir().unwrap();
    let graph = monitored_session::session_core::Graph::new();
    let vars = SeededVars::new(1);
    linear(3, 2, vars.builder(DType::F32, &Device::Cpu).pp("layer")).unwrap();
    let model = Arc::new(Mutex::new(CandleModel::new(vars.saved(), AdamW::new(0.1)).unwrap()));
    graph.add_to_collection(&SAVED_OBJECTS, SavedObject::new("candle", &model)).unwrap();
    let _v = monitored_session::ops::variables::variable(&graph.named("of_the_graph"), 0.5f32);
    let mut session = SingularMonitoredSession::builder(&graph).build().unwrap();
    let raw = session.raw_session().unwrap().clone();
    let prefix = GraphSaver::new(SaverOptions::new()).save(&*raw, folder.path().join("model"), None).unwrap();
    session.close().unwrap();
    let names: Vec<String> = read_all(prefix).unwrap().into_keys().collect();
    assert!(names.contains(&"candle/layer.weight/Adam".to_owned()), "{names:?}");
    assert!(names.contains(&"of_the_graph".to_owned()), "{names:?}");
}
