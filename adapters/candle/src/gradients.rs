//! Gradients by the names of the variables.

use crate::SavedVars;
use crate::optimizer::slot_dtype;
use candle_core::{DType, Tensor};
use std::collections::BTreeMap;

/// The gradients of a loss, or the sum of those of several, by the names of the variables.
#[derive(Clone, Debug, Default)]
pub struct Gradients(BTreeMap<String, Tensor>);

impl Gradients {
    /// Computes the gradients of a loss with respect to all variables that it depends on.
    ///
    /// # Errors
    /// The errors of candle.
    pub fn of(loss: &Tensor, vars: &SavedVars) -> candle_core::Result<Gradients> {
        let store = loss.backward()?;
        let found =
            vars.vars().iter().filter_map(|(name, var)| Some((name.clone(), store.get(var)?.clone())));
        Ok(Gradients(found.collect()))
    }

    /// Returns true if no variable has a gradient.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the gradient of a variable.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.0.get(name)
    }

    /// Adds other gradients to these.
    ///
    /// # Errors
    /// The errors of candle.
    pub fn add(&mut self, other: Gradients) -> candle_core::Result<()> {
        for (name, gradient) in other.0 {
            let sum = match self.0.get(&name) {
                Some(known) => (known + &gradient)?,
                None => gradient,
            };
            self.0.insert(name, sum);
        }
        Ok(())
    }

    /// Multiplies all gradients by a factor.
    ///
    /// # Errors
    /// The errors of candle.
    pub fn scale(&mut self, factor: f64) -> candle_core::Result<()> {
        for gradient in self.0.values_mut() {
            *gradient = (&*gradient * factor)?;
        }
        Ok(())
    }

    /// Returns the square root of the sum of the squares of all elements.
    ///
    /// # Errors
    /// The errors of candle.
    pub fn global_norm(&self) -> candle_core::Result<f64> {
        let mut squares = 0.0;
        for gradient in self.0.values() {
            // In the dtype of moments, not always in 64 bits: not every device has those.
            let sum = gradient.to_dtype(slot_dtype(gradient.dtype()))?.sqr()?.sum_all()?;
            squares += sum.to_device(&candle_core::Device::Cpu)?.to_dtype(DType::F64)?.to_scalar::<f64>()?;
        }
        Ok(squares.sqrt())
    }

    /// Scales all gradients so that their global norm is at most `max`, and returns the norm before. A norm that is NaN or infinite
    /// changes nothing or leads to NaN, which `NanTensorHook` finds.
    ///
    /// # Errors
    /// The errors of candle.
    pub fn clip_by_global_norm(&mut self, max: f64) -> candle_core::Result<f64> {
        let norm = self.global_norm()?;
        if norm > max {
            self.scale(max / norm)?;
        }
        Ok(norm)
    }

    /// Limits each element to the range from `-limit` to `limit`.
    ///
    /// # Errors
    /// The errors of candle.
    pub fn clip_by_value(&mut self, limit: f64) -> candle_core::Result<()> {
        for gradient in self.0.values_mut() {
            *gradient = gradient.clamp(-limit, limit)?;
        }
        Ok(())
    }
}
