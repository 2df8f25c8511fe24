//! Trains a small candle model with AdamW, and saves and resumes all of it: the `VarMap`, both moments of the
//! optimizer, the step and the random state.
//!
//! `cargo run --release -- [FOLDER] [STEPS]` in this folder; stop it at any moment and run it again.
//! candle's own AdamW keeps its moments to itself, so the optimizer here is written out: ten lines.

use candle_core::{Device, Tensor, Var};
use candle_nn::{Linear, Module, VarBuilder, VarMap};
use checkpoint::{
    BoxError, Code, Error, RestoreOptions, RestoreTarget, SaveOptions, SaveSource, Saver, SaverOptions,
    VariableSpec, sidecar,
};
use std::collections::BTreeMap;
use std::path::PathBuf;
use tensor::DType;

const RATE: f64 = 1e-2;
const DECAY: f64 = 1e-2;
const BETA: (f64, f64) = (0.9, 0.999);

/// A `VarMap` and the moments of AdamW, all by name.
struct Trainer {
    variables: BTreeMap<String, Var>,
    moments: [BTreeMap<String, Var>; 2],
}

/// How the moments are called in the checkpoint: as TensorFlow's Adam calls them.
const SLOTS: [&str; 2] = ["Adam", "Adam_1"];

impl Trainer {
    fn new(map: &VarMap) -> candle_core::Result<Trainer> {
        let data = map.data().lock().expect("no thread panics while it holds the map");
        let variables: BTreeMap<String, Var> = data.iter().map(|(name, var)| (name.clone(), var.clone())).collect();
        let zeros = || {
            let zero = |(name, var): (&String, &Var)| Ok((name.clone(), Var::from_tensor(&var.zeros_like()?)?));
            variables.iter().map(zero).collect::<candle_core::Result<BTreeMap<_, _>>>()
        };
        let moments = [zeros()?, zeros()?];
        Ok(Trainer { variables, moments })
    }

    /// One step of AdamW.
    fn apply(&self, loss: &Tensor, step: u64) -> candle_core::Result<()> {
        let gradients = loss.backward()?;
        let correction = |beta: f64| 1.0 - beta.powi(i32::try_from(step).unwrap_or(i32::MAX));
        for (name, var) in &self.variables {
            let Some(gradient) = gradients.get(var) else { continue };
            let (first, second) = (&self.moments[0][name], &self.moments[1][name]);
            first.set(&((first.as_tensor() * BETA.0)? + (gradient * (1.0 - BETA.0))?)?)?;
            second.set(&((second.as_tensor() * BETA.1)? + (gradient.sqr()? * (1.0 - BETA.1))?)?)?;
            let mean = (first.as_tensor() / correction(BETA.0))?;
            let deviation = ((second.as_tensor() / correction(BETA.1))?.sqrt()? + 1e-8)?;
            let decayed = (var.as_tensor() * (1.0 - RATE * DECAY))?;
            var.set(&(decayed - ((mean / deviation)? * RATE)?)?)?;
        }
        Ok(())
    }

    /// Everything that is saved, by the name under which it is stored.
    fn all(&self) -> impl Iterator<Item = (String, &Var)> {
        let slots = SLOTS.iter().zip(&self.moments);
        let moments = slots.flat_map(|(slot, vars)| vars.iter().map(move |(name, var)| (format!("{name}/{slot}"), var)));
        self.variables.iter().map(|(name, var)| (name.clone(), var)).chain(moments)
    }
}

fn failed(operation: &'static str) -> impl Fn(candle_core::Error) -> Error {
    move |error| Error::Variables { operation, code: Code::Unknown, source: BoxError::from(error) }
}

impl SaveSource for Trainer {
    fn tensors(&self) -> checkpoint::Result<Vec<(String, tensor::Tensor)>> {
        let convert = |(name, var): (String, &Var)| {
            let values = var.flatten_all().and_then(|flat| flat.to_vec1::<f32>()).map_err(failed("read"))?;
            let tensor = tensor::Tensor::from_vec(values, var.dims()).map_err(|error| Error::Variables {
                operation: "read",
                code: Code::Internal,
                source: error.into(),
            })?;
            Ok((name, tensor))
        };
        self.all().map(convert).collect()
    }
}

impl RestoreTarget for Trainer {
    fn variables(&self) -> Vec<VariableSpec> {
        let spec = |(name, var): (String, &Var)| VariableSpec::new(name, DType::Float32, Some(var.dims().into()));
        self.all().map(spec).collect()
    }

    fn assign(&mut self, values: Vec<(String, tensor::Tensor)>) -> checkpoint::Result<()> {
        let variables: BTreeMap<String, &Var> = self.all().collect();
        for (name, value) in values {
            let elements = value.as_slice::<f32>().unwrap_or_default();
            let tensor = Tensor::from_slice(elements, value.shape().dims(), &Device::Cpu);
            tensor.and_then(|tensor| variables[&name].set(&tensor)).map_err(failed("assign"))?;
        }
        Ok(())
    }
}

fn uniform(random: &mut u64) -> f32 {
    *random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*random >> 40) as f32 / 16_777_216.0
}

/// Points on a curve.
fn batch(random: &mut u64) -> candle_core::Result<(Tensor, Tensor)> {
    let x: Vec<f32> = (0..64).map(|_| uniform(random) * 2.0 - 1.0).collect();
    let y: Vec<f32> = x.iter().map(|x| (3.0 * x).sin()).collect();
    Ok((Tensor::from_vec(x, (64, 1), &Device::Cpu)?, Tensor::from_vec(y, (64, 1), &Device::Cpu)?))
}

struct Network(Linear, Linear);

impl Network {
    fn loss(&self, x: &Tensor, y: &Tensor) -> candle_core::Result<Tensor> {
        (self.1.forward(&self.0.forward(x)?.tanh()?)? - y)?.sqr()?.mean_all()
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let folder = arguments.next().map_or_else(|| std::env::temp_dir().join("candle_varmap"), PathBuf::from);
    let steps: u64 = arguments.next().map_or(Ok(500), |text| text.parse())?;

    let map = VarMap::new();
    let builder = VarBuilder::from_varmap(&map, candle_core::DType::F32, &Device::Cpu);
    let network = Network(candle_nn::linear(1, 32, builder.pp("hidden"))?, candle_nn::linear(32, 1, builder.pp("out"))?);
    let mut trainer = Trainer::new(&map)?;

    let saver = Saver::new(SaverOptions::new().max_to_keep(2).create_directory(true));
    let (mut step, mut random) = (0u64, 1u64);
    if let Some(report) = saver.restore_latest(&mut trainer, &folder, &RestoreOptions::new())? {
        println!("resuming from {}", report.prefix.display());
        if let Some(state) = report.session_state {
            (step, random) = sidecar::decode(&state)?;
        }
    }
    for _ in 0..steps {
        let (x, y) = batch(&mut random)?;
        let loss = network.loss(&x, &y)?;
        step += 1;
        trainer.apply(&loss, step)?;
        if step.is_multiple_of(100) {
            println!("step {step}: loss {:.9}", loss.to_scalar::<f32>()?);
            let options = SaveOptions::new().session_state(sidecar::encode(&(step, random))?);
            saver.save_in_background(&trainer, folder.join("model.ckpt"), Some(step as i64), options)?;
        }
    }
    saver.close()?;
    Ok(())
}
