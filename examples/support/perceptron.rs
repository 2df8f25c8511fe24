//! A multi-layer perceptron of plain arrays, with dropout and Adam: what a program has that uses no library.

use super::{Digits, PIXELS};
use monitored_session::checkpoint::{self, RestoreTarget, SaveSource, VariableSpec};
use monitored_session::monitored::{HostStep, StepRandom};
use monitored_session::prelude::*;

const HIDDEN: usize = 48;
const CLASSES: usize = 10;
const RATE: f32 = 2e-3;

/// A weight matrix or bias, with what Adam keeps of it.
struct Parameter {
    name: &'static str,
    shape: &'static [usize],
    value: Vec<f32>,
    moments: [Vec<f32>; 2],
    gradient: Vec<f32>,
}

impl Parameter {
    fn new(
        name: &'static str,
        shape: &'static [usize],
        deviation: f64,
        random: &mut StepRandom,
    ) -> Parameter {
        let count = shape.iter().product();
        let value = (0..count).map(|_| (deviation * random.normal()) as f32).collect();
        let zeros = || vec![0.0; count];
        Parameter { name, shape, value, moments: [zeros(), zeros()], gradient: zeros() }
    }

    /// One step of Adam.
    fn update(&mut self, step: u64) {
        let correction = |beta: f64| 1.0 - beta.powf(step as f64 + 1.0);
        let rate = RATE * (correction(0.999).sqrt() / correction(0.9)) as f32;
        let [first, second] = &mut self.moments;
        for i in 0..self.value.len() {
            let gradient = std::mem::take(&mut self.gradient[i]);
            first[i] += 0.1 * (gradient - first[i]);
            second[i] += 0.001 * (gradient * gradient - second[i]);
            self.value[i] -= rate * first[i] / (second[i].sqrt() + 1e-8);
        }
    }
}

/// The model: two layers.
pub(crate) struct Perceptron([Parameter; 4]);

impl Perceptron {
    pub(crate) fn new(seed: u64) -> Perceptron {
        let mut random = StepRandom::new(seed, 0).stream(1);
        Perceptron([
            Parameter::new("hidden/weights", &[PIXELS, HIDDEN], 0.15, &mut random),
            Parameter::new("hidden/bias", &[HIDDEN], 0.0, &mut random),
            Parameter::new("logits/weights", &[HIDDEN, CLASSES], 0.15, &mut random),
            Parameter::new("logits/bias", &[CLASSES], 0.0, &mut random),
        ])
    }

    /// The hidden units and the probabilities of the classes for one image.
    fn forward(&self, image: &[f32], mask: impl Fn(usize) -> f32) -> (Vec<f32>, Vec<f32>) {
        let [weights, bias, out, out_bias] = &self.0;
        let mut hidden = bias.value.clone();
        for (x, row) in image.iter().zip(weights.value.chunks(HIDDEN)) {
            hidden.iter_mut().zip(row).for_each(|(h, w)| *h += x * w);
        }
        hidden.iter_mut().enumerate().for_each(|(unit, h)| *h = h.max(0.0) * mask(unit));
        let mut logits = out_bias.value.clone();
        for (h, row) in hidden.iter().zip(out.value.chunks(CLASSES)) {
            logits.iter_mut().zip(row).for_each(|(y, w)| *y += h * w);
        }
        let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        let exponentials: Vec<f32> = logits.iter().map(|y| (y - largest).exp()).collect();
        let sum: f32 = exponentials.iter().sum();
        (hidden, exponentials.into_iter().map(|e| e / sum).collect())
    }

    /// One step on a batch; returns the mean loss.
    pub(crate) fn train(&mut self, data: &Digits, rows: &[usize], step: &HostStep<'_>) -> f32 {
        let mut random = step.random();
        let mut loss = 0.0;
        for &row in rows {
            let image = &data.images[row * PIXELS..(row + 1) * PIXELS];
            let label = data.labels[row] as usize;
            let kept: Vec<f32> =
                (0..HIDDEN).map(|_| if random.uniform() < 0.2 { 0.0 } else { 1.25 }).collect();
            let (hidden, mut slope) = self.forward(image, |unit| kept[unit]);
            loss -= slope[label].max(1e-12).ln();
            slope[label] -= 1.0;
            slope.iter_mut().for_each(|s| *s /= rows.len() as f32);
            let [weights, bias, out, out_bias] = &mut self.0;
            for (unit, &h) in hidden.iter().enumerate() {
                let range = unit * CLASSES..(unit + 1) * CLASSES;
                let back: f32 = out.value[range.clone()].iter().zip(&slope).map(|(w, s)| w * s).sum();
                out.gradient[range].iter_mut().zip(&slope).for_each(|(g, s)| *g += h * s);
                if h > 0.0 {
                    let back = back * kept[unit];
                    bias.gradient[unit] += back;
                    image
                        .iter()
                        .enumerate()
                        .for_each(|(pixel, x)| weights.gradient[pixel * HIDDEN + unit] += x * back);
                }
            }
            out_bias.gradient.iter_mut().zip(&slope).for_each(|(g, s)| *g += s);
        }
        self.0.iter_mut().for_each(|parameter| parameter.update(step.number()));
        loss / rows.len() as f32
    }

    /// The share of digits that are recognized.
    pub(crate) fn accuracy(&self, data: &Digits) -> f64 {
        let is_right = |row: &usize| {
            let (_, found) = self.forward(&data.images[row * PIXELS..(row + 1) * PIXELS], |_| 1.0);
            let best = (0..CLASSES).max_by(|&a, &b| found[a].total_cmp(&found[b]));
            best == Some(data.labels[*row] as usize)
        };
        (0..data.rows()).filter(is_right).count() as f64 / data.rows() as f64
    }

    /// All arrays that are saved, by name.
    fn arrays(&mut self) -> impl Iterator<Item = (String, &mut Vec<f32>)> {
        self.0.iter_mut().flat_map(|Parameter { name, value, moments: [first, second], .. }| {
            [(name.to_string(), value), (format!("{name}/Adam"), first), (format!("{name}/Adam_1"), second)]
        })
    }
}

/// Saves each array under its name, Adam's moments with TensorFlow's names for them.
impl SaveSource for Perceptron {
    fn tensors(&self) -> checkpoint::Result<Vec<(String, Tensor)>> {
        let mut tensors = Vec::new();
        for Parameter { name, shape, value, moments: [first, second], .. } in &self.0 {
            for (suffix, values) in [("", value), ("/Adam", first), ("/Adam_1", second)] {
                tensors.push((format!("{name}{suffix}"), Tensor::from_slice(values, *shape)?));
            }
        }
        Ok(tensors)
    }
}

impl RestoreTarget for Perceptron {
    fn variables(&self) -> Vec<VariableSpec> {
        let names =
            self.0.iter().flat_map(|parameter| ["", "/Adam", "/Adam_1"].map(|suffix| (parameter, suffix)));
        let spec = |(parameter, suffix): (&Parameter, &str)| {
            let name = format!("{}{suffix}", parameter.name);
            VariableSpec::new(name, DType::Float32, Some(parameter.shape.into()))
        };
        names.map(spec).collect()
    }

    fn assign(&mut self, values: Vec<(String, Tensor)>) -> checkpoint::Result<()> {
        for (name, array) in self.arrays() {
            if let Some((_, value)) = values.iter().find(|(known, _)| *known == name) {
                *array = value.to_vec()?;
            }
        }
        Ok(())
    }
}
