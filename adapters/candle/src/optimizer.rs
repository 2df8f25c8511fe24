//! Optimizers whose moments are saved.

use crate::{Gradients, SavedVars};
use candle_core::{DType, Tensor, Var};

/// Adam, with both moments corrected for their start at zero (as in candle and PyTorch).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Adam {
    /// The learning rate.
    pub learning_rate: f64,
    /// The decay of the first moment. Default: 0.9.
    pub beta1: f64,
    /// The decay of the second moment. Default: 0.999.
    pub beta2: f64,
    /// The number that is added to the corrected deviation. Default: 1e-8.
    pub epsilon: f64,
}

impl Adam {
    /// Creates Adam with this learning rate.
    #[must_use]
    pub fn new(learning_rate: f64) -> Adam {
        Adam { learning_rate, beta1: 0.9, beta2: 0.999, epsilon: 1e-8 }
    }
}

/// Adam with decoupled weight decay, as candle's `AdamW`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamW {
    /// The settings of Adam.
    pub adam: Adam,
    /// The decay: each step multiplies weights by 1 minus the learning rate times this. Default: 0.01.
    pub weight_decay: f64,
}

impl AdamW {
    /// Creates AdamW with this learning rate.
    #[must_use]
    pub fn new(learning_rate: f64) -> AdamW {
        AdamW { adam: Adam::new(learning_rate), weight_decay: 0.01 }
    }
}

/// Gradient descent, optionally with momentum.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sgd {
    /// The learning rate.
    pub learning_rate: f64,
    /// The share of the velocity that a step keeps. Default: 0, which means no velocity.
    pub momentum: f64,
    /// Uses Nesterov's momentum, which adds the gradient to the velocity's next step. Default: `false`.
    pub nesterov: bool,
}

impl Sgd {
    /// Creates gradient descent with this learning rate, without momentum.
    #[must_use]
    pub fn new(learning_rate: f64) -> Sgd {
        Sgd { learning_rate, momentum: 0.0, nesterov: false }
    }
}

/// An optimizer with its settings.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum OptimizerConfig {
    /// [`Adam`].
    Adam(Adam),
    /// [`AdamW`].
    AdamW(AdamW),
    /// [`Sgd`].
    Sgd(Sgd),
}

impl From<Adam> for OptimizerConfig {
    fn from(adam: Adam) -> OptimizerConfig {
        OptimizerConfig::Adam(adam)
    }
}

impl From<AdamW> for OptimizerConfig {
    fn from(adam: AdamW) -> OptimizerConfig {
        OptimizerConfig::AdamW(adam)
    }
}

impl From<Sgd> for OptimizerConfig {
    fn from(sgd: Sgd) -> OptimizerConfig {
        OptimizerConfig::Sgd(sgd)
    }
}

impl OptimizerConfig {
    /// Returns TensorFlow's names of the moments of each variable.
    pub(crate) fn slots(&self) -> &'static [&'static str] {
        match self {
            OptimizerConfig::Adam(_) | OptimizerConfig::AdamW(_) => &["Adam", "Adam_1"],
            OptimizerConfig::Sgd(sgd) if sgd.momentum != 0.0 => &["Momentum"],
            OptimizerConfig::Sgd(_) => &[],
        }
    }

    pub(crate) fn learning_rate(&mut self) -> &mut f64 {
        match self {
            OptimizerConfig::Adam(adam) | OptimizerConfig::AdamW(AdamW { adam, .. }) => {
                &mut adam.learning_rate
            }
            OptimizerConfig::Sgd(sgd) => &mut sgd.learning_rate,
        }
    }

    /// Updates all variables that have a gradient. `step` counts from 1.
    pub(crate) fn update(
        &self,
        vars: &SavedVars,
        slots: &SavedVars,
        gradients: &Gradients,
        step: u64,
    ) -> candle_core::Result<()> {
        for (name, var) in vars.vars() {
            let Some(gradient) = gradients.get(name) else { continue };
            let kept: Vec<&Var> =
                self.slots().iter().filter_map(|slot| slots.vars().get(&slot_name(name, slot))).collect();
            // The arithmetic of narrow weights is done in the dtype of their moments.
            let dtype = slot_dtype(var.dtype());
            let (value, gradient) = (var.to_dtype(dtype)?, gradient.to_dtype(dtype)?);
            let updated = match (self, kept.as_slice()) {
                (OptimizerConfig::Adam(adam), [first, second]) => {
                    (&value - adam_update(adam, first, second, &gradient, step)?)?
                }
                (OptimizerConfig::AdamW(AdamW { adam, weight_decay }), [first, second]) => {
                    let decayed = (&value * (1.0 - adam.learning_rate * weight_decay))?;
                    (decayed - adam_update(adam, first, second, &gradient, step)?)?
                }
                (OptimizerConfig::Sgd(sgd), [velocity]) => {
                    let next = ((velocity.as_tensor() * sgd.momentum)? + &gradient)?;
                    velocity.set(&next)?;
                    let direction = if sgd.nesterov { (&gradient + (next * sgd.momentum)?)? } else { next };
                    (&value - (direction * sgd.learning_rate)?)?
                }
                (OptimizerConfig::Sgd(sgd), []) => (&value - (&gradient * sgd.learning_rate)?)?,
                _ => candle_core::bail!("the moments of variable '{name}' are missing"),
            };
            var.set(&updated.to_dtype(var.dtype())?)?;
        }
        Ok(())
    }
}

/// Updates the moments, and returns the difference to subtract from the weights.
fn adam_update(
    adam: &Adam,
    first: &Var,
    second: &Var,
    gradient: &Tensor,
    step: u64,
) -> candle_core::Result<Tensor> {
    first.set(&((first.as_tensor() * adam.beta1)? + (gradient * (1.0 - adam.beta1))?)?)?;
    second.set(&((second.as_tensor() * adam.beta2)? + (gradient.sqr()? * (1.0 - adam.beta2))?)?)?;
    let correction = |beta: f64| 1.0 - beta.powf(step as f64);
    let mean = (first.as_tensor() / correction(adam.beta1))?;
    let deviation = ((second.as_tensor() / correction(adam.beta2))?.sqrt()? + adam.epsilon)?;
    (mean / deviation)? * adam.learning_rate
}

/// Returns the name of a variable's moment.
pub(crate) fn slot_name(var: &str, slot: &str) -> String {
    format!("{var}/{slot}")
}

/// Returns the dtype of the moments of a variable of this dtype.
pub(crate) fn slot_dtype(dtype: DType) -> DType {
    match dtype {
        DType::F64 => DType::F64,
        _ => DType::F32,
    }
}
