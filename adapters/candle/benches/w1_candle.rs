//! W1 for models of candle: a training step by hand, under a session, and under the hooks that most programs have; and how
//! long a save of 1 GiB in the background blocks the step.
#![allow(clippy::unwrap_used, clippy::print_stdout)] // a panic reports the failure, and the output is meant to be read

#[path = "../../../benches/support/mod.rs"]
mod support;

use candle_core::{DType, Device, Tensor, Var};
use candle_nn::{Linear, Module, linear, loss::cross_entropy};
use checkpoint::{SaveOptions, SaveSource, Saver, SaverOptions};
use monitored::{HostSession, HostTraining};
use monitored_candle::{AdamW, CandleModel, SavedVars, SeededVars, or_step_error};
use monitored_session::hooks::{
    CheckpointSaverHook, LoggingTensorHook, NanTensorHook, StepCounterHook, StopAtStepHook,
};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use support::{emit, labels, rounds, uniform};

const BATCH: usize = 128;
const STEPS: usize = 50;

/// 784 -> 256 -> 10, trained by AdamW.
struct Mlp {
    hidden: Linear,
    logits: Linear,
    images: Tensor,
    labels: Tensor,
    model: Arc<Mutex<CandleModel>>,
}

impl Mlp {
    fn new() -> candle_core::Result<Mlp> {
        let vars = SeededVars::new(3);
        let builder = vars.builder(DType::F32, &Device::Cpu);
        let hidden = linear(784, 256, builder.pp("hidden"))?;
        let logits = linear(256, 10, builder.pp("logits"))?;
        let images = Tensor::from_vec(uniform(1, BATCH * 784), (BATCH, 784), &Device::Cpu)?;
        let labels: Vec<u32> = labels(2, BATCH, 10).into_iter().map(|label| label as u32).collect();
        let model = CandleModel::new(vars.saved(), AdamW::new(1e-3))?;
        Ok(Mlp {
            hidden,
            logits,
            images,
            labels: Tensor::from_vec(labels, BATCH, &Device::Cpu)?,
            model: Arc::new(Mutex::new(model)),
        })
    }

    fn step(&self) -> candle_core::Result<f32> {
        let hidden = self.hidden.forward(&self.images)?.relu()?;
        let loss = cross_entropy(&self.logits.forward(&hidden)?, &self.labels)?;
        self.model.lock().unwrap().backward_step(&loss)?;
        loss.to_scalar()
    }
}

/// Returns a session that trains its own network.
fn session(configure: impl FnOnce(HostTraining) -> HostTraining) -> HostSession {
    let mlp = Mlp::new().unwrap();
    let training = configure(HostTraining::new().saved_object("", &mlp.model).metrics(["loss"]));
    training.build(move |_| or_step_error(|| Ok([("loss", mlp.step()?)]))).unwrap()
}

/// The three loops in turn, so that all of them meet the same machine.
fn steps() {
    let folder = tempfile::tempdir().unwrap();
    let by_hand = Mlp::new().unwrap();
    let mut bare = session(|training| training);
    let mut hooked = session(|training| {
        training
            .hook(CheckpointSaverHook::every_secs(folder.path(), Duration::from_secs(600)))
            .hook(StopAtStepHook::last_step(1 << 40))
            .hook(StepCounterHook::every_n_steps(100))
            .hook(LoggingTensorHook::every_n_iter(100).tensor("loss", "loss"))
            .hook(NanTensorHook::new("loss"))
    });
    let mut loops: [(&str, &mut dyn FnMut()); 3] = [
        ("by_hand", &mut || assert!(by_hand.step().unwrap().is_finite())),
        ("0_hooks", &mut || bare.step().unwrap()),
        ("realistic_5_hooks", &mut || hooked.step().unwrap()),
    ];
    let mut runs = [const { Vec::new() }; 3];
    for round in 0..=rounds(15) {
        for ((_, step), runs) in loops.iter_mut().zip(&mut runs) {
            let start = Instant::now();
            (0..STEPS).for_each(|_| step());
            // The first round warms up.
            if round > 0 {
                runs.push(start.elapsed().as_secs_f64() / STEPS as f64 * 1e6);
            }
        }
    }
    for ((name, _), runs) in loops.iter().zip(&runs) {
        emit(&format!("w1/candle/mlp_{name}"), "time_per_step", "us", runs, "");
    }
}

/// Saves of 1 GiB in the background: the time for which the caller is blocked, next to a copy of the same tensors.
fn saves() {
    let folder = tempfile::tempdir().unwrap();
    let var = |i: usize| (format!("w{i}"), Var::ones((8192, 8192), DType::F32, &Device::Cpu).unwrap());
    let vars = SavedVars::new((0..4).map(var));
    let seconds = |work: &mut dyn FnMut()| {
        let start = Instant::now();
        work();
        start.elapsed().as_secs_f64()
    };
    let first_copy = seconds(&mut || drop(vars.tensors().unwrap()));
    emit("w1/candle/copy_1gib_first", "seconds", "s", &[first_copy], "");
    let copies: Vec<f64> = (0..3).map(|_| seconds(&mut || drop(vars.tensors().unwrap()))).collect();
    emit("w1/candle/copy_1gib", "seconds", "s", &copies, "");
    let saver = Saver::new(SaverOptions::new().max_to_keep(1));
    let (mut blocked, mut written) = (Vec::new(), Vec::new());
    for step in 1..=3 {
        let path = folder.path().join("model");
        blocked.push(seconds(&mut || {
            saver.save_in_background(&vars, &path, Some(step), SaveOptions::new()).unwrap();
        }));
        written.push(seconds(&mut || saver.wait().unwrap()));
    }
    let held = format!("\"copies_hold_mib\": {}", vars.copied_bytes() >> 20);
    emit("w1/candle/background_save_1gib/blocked", "seconds", "s", &blocked, &held);
    emit("w1/candle/background_save_1gib/written", "seconds", "s", &written, "");
}

fn main() {
    steps();
    saves();
}
