//! Resumed runs end with the bits of an uninterrupted one, with any number of threads.

use candle_core::{DType, Device, Tensor};
use candle_nn::{Conv2d, Conv2dConfig, Linear, Module, conv2d, linear, loss::cross_entropy};
use checkpoint::{RestoreOptions, SaveSource, Saver, SaverOptions, read_all};
use monitored::{HostStep, HostTraining};
use monitored_candle::{
    Adam, AdamW, CandleModel, OptimizerConfig, SavedVars, SeededVars, Sgd, dropout, or_step_error,
};
use monitored_session::hooks::MetricsFileHook;
use monitored_session::prelude::{CheckpointSaverHook, NanTensorHook, StopAtStepHook};
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

const BATCH: usize = 32;

/// A convolutional network on random images, with dropout.
struct Network {
    conv: Conv2d,
    hidden: Linear,
    logits: Linear,
    dtype: DType,
}

impl Network {
    fn new(vars: &SeededVars, dtype: DType) -> Network {
        let builder = vars.builder(dtype, &Device::Cpu);
        let padded = Conv2dConfig { padding: 1, ..Conv2dConfig::default() };
        let conv = conv2d(1, 8, 3, padded, builder.pp("conv")).unwrap();
        let hidden = linear(8 * 4 * 4, 64, builder.pp("hidden")).unwrap();
        let logits = linear(64, 10, builder.pp("logits")).unwrap();
        Network { conv, hidden, logits, dtype }
    }

    fn loss(&self, step: &HostStep<'_>) -> candle_core::Result<Tensor> {
        let mut random = step.random();
        let images: Vec<f32> = (0..BATCH * 64).map(|_| random.uniform() as f32).collect();
        let labels: Vec<u32> = (0..BATCH).map(|_| random.below(10) as u32).collect();
        let images = Tensor::from_vec(images, (BATCH, 1, 8, 8), &Device::Cpu)?.to_dtype(self.dtype)?;
        let pooled = self.conv.forward(&images)?.relu()?.max_pool2d(2)?;
        let hidden = self.hidden.forward(&pooled.flatten_from(1)?)?.relu()?;
        let hidden = dropout(&hidden, 0.25, &mut random)?;
        let logits = self.logits.forward(&hidden)?.to_dtype(DType::F32)?;
        cross_entropy(&logits, &Tensor::from_vec(labels, BATCH, &Device::Cpu)?)
    }
}

/// Trains to a step in a folder, as a separate process would.
fn train(folder: &Path, last: i64, dtype: DType, optimizer: impl Into<OptimizerConfig>) {
    let vars = SeededVars::new(3);
    let network = Network::new(&vars, dtype);
    let model = CandleModel::new(vars.saved(), optimizer).unwrap().clip_by_global_norm(1.0);
    let model = Arc::new(Mutex::new(model));
    let trained = model.clone();
    HostTraining::new()
        .saved_object("", &model)
        .metrics(["loss"])
        .seed(3)
        .checkpoint_dir(folder)
        .hook(MetricsFileHook::json_lines(folder.join("metrics.jsonl"), 1).tensor("loss", "loss"))
        .hook(StopAtStepHook::last_step(last))
        .run(move |step| {
            or_step_error(|| {
                let mut model = trained.lock().unwrap();
                // A schedule, and two losses for each update.
                model.set_learning_rate(0.05 / (1.0 + step.number() as f64));
                let loss = network.loss(step)?;
                model.accumulate(&loss)?;
                model.accumulate(&(network.loss(step)? * 0.5)?)?;
                model.apply()?;
                Ok([("loss", loss.to_scalar::<f32>()?)])
            })
        })
        .unwrap();
}

/// Asserts that both folders hold the same checkpoint of a step, and the same metrics.
fn assert_same(one: &Path, other: &Path, last: i64, context: &str) {
    let read = |folder: &Path| read_all(folder.join(format!("model.ckpt-{last}"))).unwrap();
    let (expected, found) = (read(one), read(other));
    assert!(expected.keys().eq(found.keys()), "{context}");
    for (name, tensor) in &expected {
        assert_eq!(tensor.to_le_bytes().unwrap(), found[name].to_le_bytes().unwrap(), "{context}: {name}");
    }
    let metrics = |folder: &Path| std::fs::read_to_string(folder.join("metrics.jsonl")).unwrap();
    assert_eq!(metrics(one), metrics(other), "{context}");
}

#[test]
fn each_optimizer_resumes_exactly_at_any_step() {
    let nesterov = Sgd { momentum: 0.9, nesterov: true, ..Sgd::new(0.0) };
    let cases: [(OptimizerConfig, DType); 5] = [
        (Adam::new(0.0).into(), DType::F32),
        (AdamW::new(0.0).into(), DType::F32),
        (nesterov.into(), DType::F32),
        (Sgd::new(0.0).into(), DType::F64),
        (AdamW::new(0.0).into(), DType::F16),
    ];
    for (optimizer, dtype) in cases {
        let whole = tempfile::tempdir().unwrap();
        train(whole.path(), 5, dtype, optimizer);
        for first in 1..5 {
            let folder = tempfile::tempdir().unwrap();
            train(folder.path(), first, dtype, optimizer);
            train(folder.path(), 5, dtype, optimizer);
            let context = format!("{optimizer:?} of {dtype:?}, resumed at {first}");
            assert_same(whole.path(), folder.path(), 5, &context);
        }
    }
}

#[test]
fn checkpoints_have_stable_names() {
    let names = |optimizer: OptimizerConfig| -> Vec<String> {
        let folder = tempfile::tempdir().unwrap();
        train(folder.path(), 1, DType::F32, optimizer);
        read_all(folder.path().join("model.ckpt-1")).unwrap().into_keys().collect()
    };
    let expected = |slots: &[&str]| {
        let mut names = vec!["global_step".to_owned(), "optimizer_step".to_owned()];
        for layer in ["conv", "hidden", "logits"] {
            for weight in ["weight", "bias"] {
                names.extend(slots.iter().map(|slot| format!("{layer}.{weight}{slot}")));
            }
        }
        names.sort();
        names
    };
    assert_eq!(names(AdamW::new(0.1).into()), expected(&["", "/Adam", "/Adam_1"]));
    assert_eq!(names(Sgd { momentum: 0.9, ..Sgd::new(0.1) }.into()), expected(&["", "/Momentum"]));
    assert_eq!(names(Sgd::new(0.1).into()), expected(&[""]));
}

#[test]
fn a_partial_restore_restores_only_the_weights() {
    let folder = tempfile::tempdir().unwrap();
    train(folder.path(), 1, DType::F32, AdamW::new(0.1));
    let prefix = folder.path().join("model.ckpt-1");
    let vars = SeededVars::new(9);
    let _network = Network::new(&vars, DType::F32);
    let mut weights = vars.saved();
    Saver::new(SaverOptions::new()).restore_with(&mut weights, &prefix, &RestoreOptions::new()).unwrap();
    let expected = read_all(&prefix).unwrap();
    assert_eq!(weights.vars().len(), 6);
    for (name, tensor) in weights.tensors().unwrap() {
        assert_eq!(tensor, expected[&name], "{name}");
    }
}

// ---- threads --------------------------------------------------------------------------------------------

const FOLDER: &str = "MONITORED_CANDLE_TEST_FOLDER";
const LAST: &str = "MONITORED_CANDLE_TEST_LAST";

#[test]
#[ignore = "run by children of the other tests"]
fn trains_in_a_child() {
    if let (Ok(folder), Ok(last)) = (std::env::var(FOLDER), std::env::var(LAST)) {
        train(Path::new(&folder), last.parse().unwrap(), DType::F32, AdamW::new(0.1));
    }
}

/// Trains to a step in a process that has this many threads, since candle reads their number once.
fn train_with(threads: &str, folder: &Path, last: &str) {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "resume::trains_in_a_child", "--ignored"]);
    child.env("RAYON_NUM_THREADS", threads).env(FOLDER, folder).env(LAST, last);
    let output = child.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let folders = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let [one, two, mixed] = &folders;
    train_with("1", one.path(), "6");
    train_with("2", two.path(), "6");
    train_with("1", mixed.path(), "2");
    train_with("2", mixed.path(), "4");
    train_with("1", mixed.path(), "6");
    assert_same(one.path(), two.path(), 6, "two threads");
    assert_same(one.path(), mixed.path(), 6, "both in turn");
}

// ---- sessions -------------------------------------------------------------------------------------------

#[test]
fn saves_in_the_background_need_one_copy_and_hold_the_step_they_belong_to() {
    let folder = tempfile::tempdir().unwrap();
    let w = candle_core::Var::zeros((512, 1024), DType::F32, &Device::Cpu).unwrap();
    let vars = SavedVars::new([("w".to_owned(), w.clone())]);
    let seen = vars.clone();
    let vars = Arc::new(Mutex::new(vars));
    let held = Arc::new(Mutex::new(Vec::new()));
    let noted = held.clone();
    HostTraining::new()
        .saved_object("model", &vars)
        .checkpoint_dir(folder.path())
        .save_checkpoint_steps(None)
        .hook(CheckpointSaverHook::every_steps(folder.path(), 1).background(true))
        .hook(StopAtStepHook::last_step(5))
        .run(move |step| {
            noted.lock().unwrap().push(seen.copied_bytes() >> 20);
            // Written in place while the last save is still under way.
            or_step_error(|| w.set(&(w.ones_like()? * (step.number() + 1) as f64)?))
        })
        .unwrap();
    let held = held.lock().unwrap();
    // The initial values, to which a recovery without checkpoint returns, and one copy for saves.
    assert!(held[1..].iter().all(|&held| held == 4), "MiB: {held:?}");
    for step in 1..=5 {
        let saved = read_all(folder.path().join(format!("model.ckpt-{step}"))).unwrap();
        let values = saved["model/w"].to_vec::<f32>().unwrap();
        assert!(values.iter().all(|&value| value == step as f32), "step {step}");
    }
}

#[test]
fn a_loss_that_is_nan_and_a_step_that_panics_end_the_training() {
    let run = |fails: fn(u64) -> f64| {
        let w = candle_core::Var::ones(2, DType::F32, &Device::Cpu).unwrap();
        let vars = SavedVars::new([("w".to_owned(), w.clone())]);
        let model = Arc::new(Mutex::new(CandleModel::new(vars, Sgd::new(0.1)).unwrap()));
        let trained = model.clone();
        let training =
            HostTraining::new().saved_object("", &model).metrics(["loss"]).hook(NanTensorHook::new("loss"));
        let step = move |step: &HostStep<'_>| {
            or_step_error(|| {
                let loss = (w.sqr()?.sum_all()? * fails(step.number()))?;
                trained.lock().unwrap().backward_step(&loss)?;
                Ok([("loss", loss.to_scalar::<f32>()?)])
            })
        };
        training.run(step).unwrap_err().chain()
    };
    let nan = run(|step| if step == 2 { f64::NAN } else { 1.0 });
    assert!(nan.contains("NaN loss during training"), "{nan}");
    let failed = HostTraining::new()
        .run(|_| or_step_error(|| Tensor::zeros(2, DType::F32, &Device::Cpu)?.reshape(3)).map(|_| ()));
    let failed = failed.unwrap_err().to_string();
    assert!(failed.contains("host_training/step") && !failed.contains('\n'), "one line: {failed}");
    let panic = run(|step| if step == 2 { panic!("out of range") } else { 1.0 });
    assert!(panic.contains("panicked: out of range") && panic.contains("host_training/step"), "{panic}");
}
