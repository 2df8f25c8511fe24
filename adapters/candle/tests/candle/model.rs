//! Models of candle as saved objects.

use candle_core::{DType, Device, Tensor, Var};
use candle_nn::{Module, VarBuilder, VarMap, linear};
use checkpoint::{RestoreOptions, RestoreTarget, SaveSource, Saver, SaverOptions, read_all};
use monitored::{HostTraining, StepRandom};
use monitored_candle::{
    Adam, AdamW, CandleModel, Gradients, OptimizerConfig, SavedVars, SeededVars, Sgd, dropout, or_step_error,
};
use monitored_session::prelude::StopAtStepHook;
use std::path::Path;
use std::sync::{Arc, Mutex};

fn scalar(value: f32) -> Var {
    Var::from_tensor(&Tensor::new(&[value], &Device::Cpu).unwrap()).unwrap()
}

fn one(var: &Var) -> f32 {
    var.to_vec1::<f32>().unwrap()[0]
}

/// The values of a weight of 1 that steps on the loss `w * w` give.
fn steps(optimizer: impl Into<OptimizerConfig>, count: usize) -> Vec<f32> {
    let w = scalar(1.0);
    let mut model = CandleModel::new(SavedVars::new([("w".to_owned(), w.clone())]), optimizer).unwrap();
    let step = |_| {
        model.backward_step(&w.sqr().unwrap().sum_all().unwrap()).unwrap();
        one(&w)
    };
    (0..count).map(step).collect()
}

fn assert_close(found: &[f32], expected: &[f32]) {
    let close = found.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-6);
    assert!(close && found.len() == expected.len(), "{found:?} is not {expected:?}");
}

#[test]
fn optimizers_follow_their_formulas() {
    assert_close(&steps(Sgd::new(0.1), 2), &[0.8, 0.64]);
    // v = 0.9 v + g, w -= 0.1 v: g = 2, then 1.6.
    let momentum = Sgd { momentum: 0.9, ..Sgd::new(0.1) };
    assert_close(&steps(momentum, 2), &[0.8, 0.46]);
    // w -= 0.1 (g + 0.9 v).
    let nesterov = Sgd { nesterov: true, ..momentum };
    assert_close(&steps(nesterov, 2), &[0.62, 0.222_4]);
    // The first step of Adam is the learning rate, whatever the gradient.
    assert_close(&steps(Adam::new(0.1), 1), &[0.9]);
    assert_close(&steps(AdamW { weight_decay: 0.5, ..AdamW::new(0.1) }, 1), &[0.85]);
}

#[test]
fn a_snapshot_is_a_deep_copy_and_a_restore_sets_the_layers() {
    let map = VarMap::new();
    let layer = linear(2, 1, VarBuilder::from_varmap(&map, DType::F32, &Device::Cpu).pp("layer")).unwrap();
    let mut model = CandleModel::new(SavedVars::from(&map), AdamW::new(0.1)).unwrap();
    let x = Tensor::new(&[[1f32, 2.0]], &Device::Cpu).unwrap();
    let loss = || layer.forward(&x).unwrap().sum_all().unwrap();
    model.backward_step(&loss()).unwrap();
    let (before, taken) = (loss().to_scalar::<f32>().unwrap(), model.tensors().unwrap());
    model.backward_step(&loss()).unwrap();
    assert_ne!(loss().to_scalar::<f32>().unwrap(), before);
    model.assign(taken).unwrap();
    assert_eq!((loss().to_scalar::<f32>().unwrap(), model.optimizer_step()), (before, 1));
}

#[test]
fn every_dtype_goes_through_a_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let values = Tensor::new(&[[1f32, -2.0], [3.5, 0.0]], &Device::Cpu).unwrap();
    let dtypes =
        [DType::F32, DType::F64, DType::F16, DType::BF16, DType::I64, DType::I32, DType::U32, DType::U8];
    let vars = |zero: bool| {
        let var = |dtype: &DType| {
            let values = if zero { values.zeros_like().unwrap() } else { values.abs().unwrap() };
            (format!("{dtype:?}"), Var::from_tensor(&values.to_dtype(*dtype).unwrap()).unwrap())
        };
        SavedVars::new(dtypes.iter().map(var))
    };
    let (saved, mut read) = (vars(false), vars(true));
    let saver = Saver::new(SaverOptions::new());
    let prefix = saver.save(&saved, folder.path().join("model"), None).unwrap();
    saver.restore(&mut read, prefix).unwrap();
    for (name, var) in saved.vars() {
        let same = var.eq(read.vars()[name].as_tensor()).unwrap().to_dtype(DType::U32).unwrap();
        assert_eq!(same.sum_all().unwrap().to_scalar::<u32>().unwrap(), 4, "{name}");
    }
    // Moments of narrow weights are not narrow.
    let model = CandleModel::new(saved, Adam::new(0.1)).unwrap();
    let stored = model.tensors().unwrap();
    let dtype = |name: &str| stored.iter().find(|(known, _)| known == name).unwrap().1.dtype();
    assert_eq!((dtype("BF16"), dtype("BF16/Adam")), (tensor::DType::BFloat16, tensor::DType::Float32));
    assert!(!stored.iter().any(|(name, _)| name == "I64/Adam"));
}

#[test]
fn gradients_are_clipped_and_added_up() {
    let (a, b) = (scalar(3.0), scalar(4.0));
    let vars = SavedVars::new([("a".to_owned(), a.clone()), ("b".to_owned(), b.clone())]);
    let loss = || ((a.sqr().unwrap() + b.sqr().unwrap()).unwrap() * 0.5).unwrap().sum_all().unwrap();
    let mut gradients = Gradients::of(&loss(), &vars).unwrap();
    assert!((gradients.clip_by_global_norm(1.0).unwrap() - 5.0).abs() < 1e-6);
    assert!((gradients.global_norm().unwrap() - 1.0).abs() < 1e-6);
    // Two losses that are alike move as one.
    let mut model = CandleModel::new(vars, Sgd::new(0.1)).unwrap();
    assert!(model.apply().is_err(), "nothing to apply");
    let loss = loss();
    model.accumulate(&loss).unwrap();
    model.accumulate(&loss).unwrap();
    assert!(model.tensors().unwrap_err().to_string().contains("call `apply`"));
    model.apply().unwrap();
    assert!((one(&a) - 2.7).abs() < 1e-6 && (one(&b) - 3.6).abs() < 1e-6);
}

#[test]
fn initial_values_depend_on_seed_and_name_alone() {
    let layer = |seed, first: &str| {
        let vars = SeededVars::new(seed);
        for name in [first, "one", "other"] {
            linear(3, 2, vars.builder(DType::F32, &Device::Cpu).pp(name)).unwrap();
        }
        vars.saved().vars()["one.weight"].flatten_all().unwrap().to_vec1::<f32>().unwrap()
    };
    assert_eq!(layer(1, "one"), layer(1, "other"));
    assert_ne!(layer(1, "one"), layer(2, "one"));
    let x = Tensor::ones((100, 10), DType::F32, &Device::Cpu).unwrap();
    let dropped = |step| {
        dropout(&x, 0.5, &mut StepRandom::new(1, step))
            .unwrap()
            .sum_all()
            .unwrap()
            .to_scalar::<f32>()
            .unwrap()
    };
    assert_eq!(dropped(1), dropped(1));
    assert!((dropped(1) - 1000.0).abs() < 150.0 && dropped(1) != dropped(2));
    assert!(dropout(&x, 1.0, &mut StepRandom::new(1, 1)).is_err());
}

/// Trains to a step in a folder, as a process of its own would.
fn train(folder: &Path, last: i64) {
    let vars = SeededVars::new(3);
    let layer = linear(4, 1, vars.builder(DType::F32, &Device::Cpu).pp("layer")).unwrap();
    let model = Arc::new(Mutex::new(CandleModel::new(vars.saved(), AdamW::new(0.05)).unwrap()));
    let trained = model.clone();
    HostTraining::new()
        .saved_object("", &model)
        .metrics(["loss"])
        .seed(3)
        .checkpoint_dir(folder)
        .hook(StopAtStepHook::last_step(last))
        .run(move |step| {
            or_step_error(|| {
                let mut random = step.random();
                let x: Vec<f32> = (0..16).map(|_| random.uniform() as f32).collect();
                let x = Tensor::from_vec(x, (4, 4), &Device::Cpu)?;
                let found = layer.forward(&dropout(&x, 0.2, &mut random)?)?;
                let loss = (found - x.sum_keepdim(1)?)?.sqr()?.mean_all()?;
                trained.lock().unwrap().backward_step(&loss)?;
                Ok([("loss", loss.to_scalar::<f32>()?)])
            })
        })
        .unwrap();
}

#[test]
fn a_resumed_run_ends_with_the_bits_of_an_uninterrupted_one() {
    let (whole, parts) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    train(whole.path(), 20);
    [3, 4, 11, 20].into_iter().for_each(|last| train(parts.path(), last));
    let read = |folder: &Path| read_all(folder.join("model.ckpt-20")).unwrap();
    let (expected, found) = (read(whole.path()), read(parts.path()));
    let names: Vec<&String> = expected.keys().collect();
    let of_layer = ["bias", "bias/Adam", "bias/Adam_1", "weight", "weight/Adam", "weight/Adam_1"];
    let mut wanted: Vec<String> = of_layer.iter().map(|name| format!("layer.{name}")).collect();
    wanted.extend(["global_step".to_owned(), "optimizer_step".to_owned()]);
    wanted.sort();
    assert_eq!(names, wanted.iter().collect::<Vec<_>>());
    for (name, tensor) in &expected {
        assert_eq!(tensor.to_le_bytes().unwrap(), found[name].to_le_bytes().unwrap(), "{name}");
    }
    // A partial restore takes the weights alone.
    let vars = SeededVars::new(9);
    let _layer = linear(4, 1, vars.builder(DType::F32, &Device::Cpu).pp("layer")).unwrap();
    let mut weights = vars.saved();
    let prefix = whole.path().join("model.ckpt-20");
    Saver::new(SaverOptions::new()).restore_with(&mut weights, prefix, &RestoreOptions::new()).unwrap();
    assert_eq!(weights.tensors().unwrap()[1].1, expected["layer.weight"]);
}
