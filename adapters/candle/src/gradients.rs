//! Gradients by the names of the variables.

use crate::SavedVars;
use candle_core::{DType, Tensor};
use std::collections::BTreeMap;

/// The gradients of a loss, or the sum of those of several, by the names of the variables.
#[derive(Clone, Debug, Default)]
pub struct Gradients(BTreeMap<String, Tensor>);

impl Gradients {
    /// The gradients of a loss with respect to all variables that it depends on.
    ///
    /// # Errors
    /// Of candle.
    pub fn of(loss: &Tensor, vars: &SavedVars) -> candle_core::Result<Gradients> {
        let store = loss.backward()?;
        let found =
            vars.vars().iter().filter_map(|(name, var)| Some((name.clone(), store.get(var)?.clone())));
        Ok(Gradients(found.collect()))
    }

    /// Returns the gradient of a variable.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Tensor> {
        self.0.get(name)
    }

    /// Adds other gradients to these.
    ///
    /// # Errors
    /// Of candle.
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

    /// Multiplies all of them.
    ///
    /// # Errors
    /// Of candle.
    pub fn scale(&mut self, factor: f64) -> candle_core::Result<()> {
        for gradient in self.0.values_mut() {
            *gradient = (&*gradient * factor)?;
        }
        Ok(())
    }

    /// Returns the square root of the sum of the squares of all their elements.
    ///
    /// # Errors
    /// Of candle.
    pub fn global_norm(&self) -> candle_core::Result<f64> {
        let mut squares = 0.0;
        for gradient in self.0.values() {
            squares += gradient.to_dtype(DType::F64)?.sqr()?.sum_all()?.to_scalar::<f64>()?;
        }
        Ok(squares.sqrt())
    }

    /// Scales all of them so that their global norm is at most this, and returns what it was.
    ///
    /// # Errors
    /// Of candle.
    pub fn clip_by_global_norm(&mut self, max: f64) -> candle_core::Result<f64> {
        let norm = self.global_norm()?;
        // A norm that is NaN stays for a hook to find.
        if norm > max {
            self.scale(max / norm)?;
        }
        Ok(norm)
    }
}
