//! Trains a small convolutional network of candle on the UCI digits; interrupted at any moment, it continues exactly.
//!
//! ```text
//! cargo run --release --example digits -- [--steps N] [--dir D] [--seed S]        in the folder adapters/candle
//! ```
#![allow(clippy::print_stdout)] // the output is meant to be read

use candle_core::{D, DType, Device, Tensor};
use candle_nn::{Conv2d, Conv2dConfig, Linear, Module, VarBuilder, conv2d, linear, loss::cross_entropy};
use flate2::read::GzDecoder;
use monitored_candle::{AdamW, CandleModel, SeededVars, dropout, or_step_error};
use monitored_session::hooks::{MetricsFileHook, SignalHook};
use monitored_session::monitored::StepRandom;
use monitored_session::prelude::{EvaluatorHook, HostTraining, NanTensorHook, StopAtStepHook};
use std::error::Error;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

/// 8x8 grey images of 1,797 digits, 16 shades.
const DIGITS: &[u8] = include_bytes!("../../../examples/data/digits.csv.gz");
/// The first rows are kept for testing.
const TEST_ROWS: usize = 300;
const BATCH: usize = 32;

struct Digits {
    images: Vec<f32>,
    labels: Vec<u32>,
}

impl Digits {
    fn read() -> Result<Digits, Box<dyn Error>> {
        let mut digits = Digits { images: Vec::new(), labels: Vec::new() };
        for line in BufReader::new(GzDecoder::new(DIGITS)).lines() {
            let numbers =
                line?.split(',').map(|text| text.trim().parse()).collect::<Result<Vec<f32>, _>>()?;
            let (label, pixels) = numbers.split_last().ok_or("an empty line in the data set")?;
            digits.images.extend(pixels.iter().map(|pixel| pixel / 16.0));
            digits.labels.push(*label as u32);
        }
        Ok(digits)
    }

    fn batch(&self, rows: &[usize]) -> candle_core::Result<(Tensor, Tensor)> {
        let images: Vec<f32> =
            rows.iter().flat_map(|row| self.images[row * 64..(row + 1) * 64].to_vec()).collect();
        let labels: Vec<u32> = rows.iter().map(|&row| self.labels[row]).collect();
        let images = Tensor::from_vec(images, (rows.len(), 1, 8, 8), &Device::Cpu)?;
        Ok((images, Tensor::from_vec(labels, rows.len(), &Device::Cpu)?))
    }
}

struct Network {
    conv: Conv2d,
    hidden: Linear,
    logits: Linear,
}

impl Network {
    fn new(vars: VarBuilder<'_>) -> candle_core::Result<Network> {
        let padded = Conv2dConfig { padding: 1, ..Conv2dConfig::default() };
        Ok(Network {
            conv: conv2d(1, 8, 3, padded, vars.pp("conv"))?,
            hidden: linear(8 * 4 * 4, 32, vars.pp("hidden"))?,
            logits: linear(32, 10, vars.pp("logits"))?,
        })
    }

    fn forward(&self, images: &Tensor, random: Option<&mut StepRandom>) -> candle_core::Result<Tensor> {
        let pooled = self.conv.forward(images)?.relu()?.max_pool2d(2)?;
        let hidden = self.hidden.forward(&pooled.flatten_from(1)?)?.relu()?;
        let hidden = match random {
            Some(random) => dropout(&hidden, 0.25, random)?,
            None => hidden,
        };
        self.logits.forward(&hidden)
    }

    fn accuracy(&self, data: &Digits) -> candle_core::Result<f64> {
        let (images, labels) = data.batch(&(0..TEST_ROWS).collect::<Vec<_>>())?;
        let found = self.forward(&images, None)?.argmax(D::Minus1)?;
        let right = found.eq(&labels)?.to_dtype(DType::F64)?.mean_all()?;
        right.to_scalar::<f64>()
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let (mut steps, mut dir, mut seed) = (600, None, 1);
    let mut words = std::env::args().skip(1);
    while let Some(word) = words.next() {
        let value = words.next().ok_or_else(|| format!("{word} needs a value"))?;
        match word.as_str() {
            "--steps" => steps = value.parse()?,
            "--dir" => dir = Some(PathBuf::from(value)),
            "--seed" => seed = value.parse()?,
            other => return Err(format!("there is no option {other}").into()),
        }
    }
    let temporary = tempfile::tempdir()?;
    let dir = dir.unwrap_or_else(|| temporary.path().to_owned());
    std::fs::create_dir_all(&dir)?;

    let data = Arc::new(Digits::read()?);
    let vars = SeededVars::new(seed);
    let network = Arc::new(Network::new(vars.builder(DType::F32, &Device::Cpu))?);
    let model = CandleModel::new(vars.saved(), AdamW::new(3e-3))?.clip_by_global_norm(5.0);
    let model = Arc::new(Mutex::new(model));

    let (trained, layers, rows) = (model.clone(), network.clone(), data.clone());
    let (evaluated, test) = (network.clone(), data.clone());
    let finished = HostTraining::new()
        .saved_object("digits", &model)
        .metrics(["loss"])
        .seed(seed)
        .checkpoint_dir(&dir)
        .save_checkpoint_steps(20)
        .save_summaries_steps(10)
        .hook(SignalHook::new())
        .hook(NanTensorHook::new("loss"))
        .hook(MetricsFileHook::json_lines(dir.join("metrics.jsonl"), 1).tensor("loss", "loss"))
        .hook(EvaluatorHook::every_steps(200, move |_| {
            let accuracy = or_step_error(|| evaluated.accuracy(&test))?;
            Ok(vec![("accuracy".to_owned(), accuracy)])
        }))
        .hook(StopAtStepHook::last_step(steps))
        .run(move |step| {
            let mut model = trained.lock().unwrap_or_else(PoisonError::into_inner);
            or_step_error(|| {
                let batch: Vec<usize> = step.batch(rows.labels.len() - TEST_ROWS, BATCH);
                let (images, labels) =
                    rows.batch(&batch.iter().map(|row| row + TEST_ROWS).collect::<Vec<_>>())?;
                let loss = cross_entropy(&layers.forward(&images, Some(&mut step.random()))?, &labels)?;
                model.backward_step(&loss)?;
                Ok([("loss", loss.to_scalar::<f32>()?)])
            })
        })?;
    println!(
        "step {}: accuracy {:.1} %",
        finished.value.unwrap_or_default(),
        network.accuracy(&data)? * 100.0
    );
    Ok(())
}
