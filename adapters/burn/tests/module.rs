//! burn modules under a monitored session.
#![allow(clippy::unwrap_used)] // a panic is the report

use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, Linear, LinearConfig, Relu};
use burn::optim::momentum::MomentumConfig;
use burn::optim::{AdamConfig, AdamWConfig, GradientsParams, ModuleOptimizer, SgdConfig};
use burn::tensor::{Device, Distribution, Tensor};
use checkpoint::{RestoreTarget, SaveSource, Saver, SaverOptions, read_all};
use monitored_burn::BurnModel;
use monitored_session::hooks::MetricsFileHook;
use monitored_session::prelude::{HostTraining, NanTensorHook, StopAtStepHook};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// burn's random numbers belong to the process: tests that draw them take turns.
static TURN: Mutex<()> = Mutex::new(());

fn turn() -> MutexGuard<'static, ()> {
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

#[derive(Module, Debug)]
struct Network {
    hidden: Linear,
    logits: Linear,
    dropout: Dropout,
    relu: Relu,
}

impl Network {
    fn new(seed: u64, device: &Device) -> Network {
        device.seed(seed);
        Network {
            hidden: LinearConfig::new(4, 8).init(device),
            logits: LinearConfig::new(8, 1).init(device),
            dropout: DropoutConfig::new(0.2).init(),
            relu: Relu::new(),
        }
    }

    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let hidden = self.relu.forward(self.hidden.forward(x));
        self.logits.forward(self.dropout.forward(hidden))
    }
}

fn optimizers() -> Vec<(&'static str, ModuleOptimizer)> {
    // With a dampening, the first step of the velocity differs from the others.
    let momentum = MomentumConfig::new().with_momentum(0.9).with_dampening(0.1).with_nesterov(true);
    vec![
        ("Adam", AdamConfig::new().init()),
        ("AdamW", AdamWConfig::new().init()),
        ("SGD with Nesterov", SgdConfig::new().with_momentum(Some(momentum)).init()),
        ("SGD", SgdConfig::new().init()),
    ]
}

/// Trains to a step in a folder, as a separate process would.
fn train(folder: &Path, last: i64, optimizer: ModuleOptimizer) {
    let device = Device::default().autodiff();
    let network = Network::new(3, &device);
    let model = Arc::new(Mutex::new(BurnModel::new(network, optimizer).unwrap()));
    let trained = model.clone();
    HostTraining::new()
        .saved_object("", &model)
        .metrics(["loss"])
        .seed(3)
        .checkpoint_dir(folder)
        .hook(MetricsFileHook::json_lines(folder.join("metrics.jsonl"), 1).tensor("loss", "loss"))
        .hook(StopAtStepHook::last_step(last))
        .run(move |step| {
            let mut model = trained.lock().unwrap();
            device.seed(step.random().next_u64());
            let x = Tensor::<2>::random([16, 4], Distribution::Default, &device);
            let loss = (model.module().forward(x.clone()) - x.sum_dim(1)).powi_scalar(2).mean();
            let value: f32 = loss.clone().into_scalar();
            model.backward_step(0.05, loss);
            Ok([("loss", value)])
        })
        .unwrap();
}

#[test]
fn each_optimizer_resumes_exactly_at_any_step() {
    let _turn = turn();
    for (name, optimizer) in optimizers() {
        let whole = tempfile::tempdir().unwrap();
        train(whole.path(), 5, optimizer.clone());
        for first in 1..5 {
            let folder = tempfile::tempdir().unwrap();
            train(folder.path(), first, optimizer.clone());
            train(folder.path(), 5, optimizer.clone());
            let read = |folder: &Path| read_all(folder.join("model.ckpt-5")).unwrap();
            let (expected, found) = (read(whole.path()), read(folder.path()));
            assert!(expected.keys().eq(found.keys()), "{name}, resumed at {first}");
            for (tensor, value) in &expected {
                let same = value.to_le_bytes().unwrap() == found[tensor].to_le_bytes().unwrap();
                assert!(same, "{name}, resumed at {first}: {tensor}");
            }
            let metrics = |folder: &Path| std::fs::read_to_string(folder.join("metrics.jsonl")).unwrap();
            assert_eq!(metrics(whole.path()), metrics(folder.path()), "{name}, resumed at {first}");
        }
    }
}

#[test]
fn checkpoints_have_stable_names() {
    let _turn = turn();
    let device = Device::default().autodiff();
    let model = BurnModel::new(LinearConfig::new(2, 1).init(&device), AdamConfig::new().init()).unwrap();
    let names = model.tensors().unwrap().into_iter().map(|(name, _)| name).collect::<Vec<_>>();
    let of = |name: &str| {
        ["", "/momentum.moment_1", "/momentum.moment_2", "/momentum.time"].map(|slot| format!("{name}{slot}"))
    };
    let mut expected = [of("bias").to_vec(), of("weight").to_vec()].concat();
    expected.extend(["optimizer_states".to_owned(), "optimizer_step".to_owned()]);
    expected.sort();
    assert_eq!(names, expected);
    let mut described: Vec<String> = model.variables().into_iter().map(|variable| variable.name).collect();
    described.sort();
    assert_eq!(described, expected);
}

#[test]
fn a_checkpoint_from_before_the_first_update_restores_an_optimizer_without_state() {
    let _turn = turn();
    let device = Device::default().autodiff();
    for (name, optimizer) in optimizers() {
        let step = |model: &mut BurnModel<Network>| {
            device.seed(1);
            let x = Tensor::<2>::random([4, 4], Distribution::Default, &device);
            let loss = model.module().forward(x).powi_scalar(2).mean();
            model.backward_step(0.1, loss);
            model.tensors().unwrap()
        };
        let folder = tempfile::tempdir().unwrap();
        let mut model = BurnModel::new(Network::new(1, &device), optimizer.clone()).unwrap();
        let saver = Saver::new(SaverOptions::new());
        let prefix = saver.save(&model, folder.path().join("model"), None).unwrap();
        let first = step(&mut model);
        step(&mut model);
        let mut other = BurnModel::new(Network::new(2, &device), optimizer).unwrap();
        step(&mut other);
        for model in [&mut model, &mut other] {
            saver.restore(model, &prefix).unwrap();
            assert_eq!(model.optimizer_step(), 0);
            assert_eq!(step(model), first, "{name}");
        }
    }
}

#[test]
fn a_partial_restore_restores_only_the_parameters() {
    let _turn = turn();
    let device = Device::default().autodiff();
    let from = BurnModel::new(Network::new(1, &device), SgdConfig::new().init()).unwrap();
    let mut to = BurnModel::new(Network::new(2, &device), AdamConfig::new().init()).unwrap();
    let x = Tensor::<2>::ones([4, 4], &device);
    let loss = to.module().forward(x).mean();
    to.backward_step(0.1, loss);
    let parameters: Vec<_> =
        from.tensors().unwrap().into_iter().filter(|(name, _)| !name.starts_with("optimizer")).collect();
    assert_eq!(parameters.len(), 4);
    let before = to.tensors().unwrap();
    to.assign(parameters.clone()).unwrap();
    for ((name, before), (_, after)) in before.into_iter().zip(to.tensors().unwrap()) {
        match parameters.iter().find(|(parameter, _)| *parameter == name) {
            Some((_, expected)) => assert_eq!(after, *expected, "{name}"),
            None => assert_eq!(after, before, "{name}"),
        }
    }
}

#[test]
fn gradients_are_accumulated_by_burns_own_means_and_nan_ends_the_training() {
    let _turn = turn();
    let device = Device::default().autodiff();
    let mut model = BurnModel::new(LinearConfig::new(2, 1).init(&device), SgdConfig::new().init()).unwrap();
    let x = Tensor::<2>::ones([4, 2], &device);
    let mut sum = burn::optim::GradientsAccumulator::new();
    for _ in 0..2 {
        let gradients = model.module().forward(x.clone()).mean().backward();
        let gradients = GradientsParams::from_grads(gradients, model.module());
        sum.accumulate(model.module(), gradients);
    }
    let bias = |model: &BurnModel<Linear>| {
        let tensors = model.tensors().unwrap();
        tensors.into_iter().find(|(name, _)| name == "bias").unwrap().1.to_vec::<f32>().unwrap()[0]
    };
    let before = bias(&model);
    model.apply(0.5, sum.grads());
    assert!((bias(&model) - (before - 1.0)).abs() < 1e-6);

    let model = Arc::new(Mutex::new(model));
    let trained = model.clone();
    let training =
        HostTraining::new().saved_object("", &model).metrics(["loss"]).hook(NanTensorHook::new("loss"));
    let error = training
        .run(move |step| {
            let factor = if step.number() == 2 { f32::NAN } else { 0.1 };
            let mut model = trained.lock().unwrap();
            let loss = model.module().forward(x.clone()).mean() * factor;
            let value: f32 = loss.clone().into_scalar();
            model.backward_step(0.1, loss);
            Ok([("loss", value)])
        })
        .unwrap_err();
    assert!(error.chain().contains("NaN loss during training"), "{error}");
}
