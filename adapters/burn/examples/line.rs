//! Trains a small burn network on points of a curve; interrupted at any moment, it continues exactly.
//!
//! ```text
//! cargo run --release --example line -- [FOLDER [STEPS]]        in the folder adapters/burn
//! ```
#![allow(clippy::print_stdout)] // the output is meant to be read

use burn::module::Module;
use burn::nn::{Dropout, DropoutConfig, Linear, LinearConfig, Relu};
use burn::optim::AdamConfig;
use burn::tensor::{Device, Distribution, Tensor};
use monitored_burn::BurnModel;
use monitored_session::prelude::{HostTraining, NanTensorHook, SignalHook, StopAtStepHook};
use std::error::Error;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

#[derive(Module, Debug)]
struct Network {
    hidden: Linear,
    output: Linear,
    relu: Relu,
    dropout: Dropout,
}

impl Network {
    fn forward(&self, x: Tensor<2>) -> Tensor<2> {
        let hidden = self.dropout.forward(self.relu.forward(self.hidden.forward(x)));
        self.output.forward(hidden)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let mut words = std::env::args().skip(1);
    let temporary = tempfile::tempdir()?;
    let folder = words.next().map_or_else(|| temporary.path().to_owned(), PathBuf::from);
    let steps = words.next().map_or(Ok(1000), |word| word.parse())?;

    let device = Device::default().autodiff();
    device.seed(1); // the initial values
    let network = Network {
        hidden: LinearConfig::new(1, 32).init(&device),
        output: LinearConfig::new(32, 1).init(&device),
        relu: Relu::new(),
        dropout: DropoutConfig::new(0.05).init(),
    };
    let model = Arc::new(Mutex::new(BurnModel::new(network, AdamConfig::new().init())?));
    let trained = model.clone();
    let finished = HostTraining::new()
        .saved_object("line", &model)
        .metrics(["loss"])
        .seed(1)
        .checkpoint_dir(&folder)
        .save_checkpoint_steps(100)
        .hook(SignalHook::new())
        .hook(NanTensorHook::new("loss"))
        .hook(StopAtStepHook::last_step(steps))
        .run(move |step| {
            let mut model = trained.lock().unwrap_or_else(PoisonError::into_inner);
            device.seed(step.random().next_u64()); // the points and the dropout of this step
            let x = Tensor::<2>::random([64, 1], Distribution::Uniform(-1.0, 1.0), &device);
            let y = x.clone().powi_scalar(2);
            let loss = (model.module().forward(x) - y).powi_scalar(2).mean();
            let value: f32 = loss.clone().into_scalar();
            model.backward_step(0.01, loss);
            Ok([("loss", value)])
        })?;
    println!("step {}: {} updates", finished.value.unwrap_or_default(), {
        model.lock().unwrap_or_else(PoisonError::into_inner).optimizer_step()
    });
    Ok(())
}
