//! Variables with their optimizer.

use crate::optimizer::{slot_dtype, slot_name};
use crate::{Gradients, OptimizerConfig, SavedVars};
use candle_core::{Tensor, Var};
use checkpoint::{RestoreTarget, SaveSource, VariableSpec};
use tensor::DType;

/// The name of the optimizer's step in checkpoints.
const STEP: &str = "optimizer_step";

/// Variables with an optimizer, to be a saved object: weights under their names, moments as `<name>/Adam` and the like, the
/// optimizer's step as `optimizer_step`.
#[derive(Debug)]
pub struct CandleModel {
    vars: SavedVars,
    /// What the optimizer keeps.
    slots: SavedVars,
    optimizer: OptimizerConfig,
    step: u64,
    max_norm: Option<f64>,
    /// Gradients that were added up since the last update, and of how many losses.
    pending: (Gradients, u32),
}

impl CandleModel {
    /// Variables, all of whose floating-point ones are trained by this optimizer.
    ///
    /// # Errors
    /// When there is no memory for the moments.
    pub fn new(
        vars: impl Into<SavedVars>,
        optimizer: impl Into<OptimizerConfig>,
    ) -> candle_core::Result<CandleModel> {
        let (vars, optimizer) = (vars.into(), optimizer.into());
        let mut slots = SavedVars::new([]);
        for (name, var) in vars.vars().iter().filter(|(_, var)| var.dtype().is_float()) {
            for slot in optimizer.slots() {
                let zeros = Var::zeros(var.shape(), slot_dtype(var.dtype()), var.device())?;
                slots.insert(slot_name(name, slot), zeros);
            }
        }
        Ok(CandleModel {
            vars,
            slots,
            optimizer,
            step: 0,
            max_norm: None,
            pending: (Gradients::default(), 0),
        })
    }

    /// Clips gradients to this global norm before each update. Default: none.
    #[must_use]
    pub fn clip_by_global_norm(mut self, max: f64) -> CandleModel {
        self.max_norm = Some(max);
        self
    }

    /// Returns the variables.
    #[must_use]
    pub fn vars(&self) -> &SavedVars {
        &self.vars
    }

    /// Returns how many updates were made.
    #[must_use]
    pub fn optimizer_step(&self) -> u64 {
        self.step
    }

    /// Sets the learning rate. It is not saved: let it depend on the step.
    pub fn set_learning_rate(&mut self, rate: f64) {
        *self.optimizer.learning_rate() = rate;
    }

    /// Updates the variables by the gradients of a loss.
    ///
    /// # Errors
    /// Of candle.
    pub fn backward_step(&mut self, loss: &Tensor) -> candle_core::Result<()> {
        self.accumulate(loss)?;
        self.apply()
    }

    /// Adds the gradients of one loss of several, for batches that do not fit into memory at once. [`apply`](Self::apply)
    /// follows in the same step: gradients are not saved.
    ///
    /// # Errors
    /// Of candle.
    pub fn accumulate(&mut self, loss: &Tensor) -> candle_core::Result<()> {
        let gradients = Gradients::of(loss, &self.vars)?;
        self.pending.0.add(gradients)?;
        self.pending.1 += 1;
        Ok(())
    }

    /// Updates the variables by the mean of the gradients that were added up.
    ///
    /// # Errors
    /// Without gradients; of candle.
    pub fn apply(&mut self) -> candle_core::Result<()> {
        let (mut gradients, count) = std::mem::take(&mut self.pending);
        if count == 0 {
            candle_core::bail!("there are no gradients to apply: call `accumulate` before")
        }
        if count > 1 {
            gradients.scale(1.0 / f64::from(count))?;
        }
        if let Some(max) = self.max_norm {
            gradients.clip_by_global_norm(max)?;
        }
        self.optimizer.update(&self.vars, &self.slots, &gradients, self.step + 1)?;
        self.step += 1;
        Ok(())
    }
}

impl SaveSource for CandleModel {
    fn tensors(&self) -> checkpoint::Result<Vec<(String, tensor::Tensor)>> {
        if self.pending.1 > 0 {
            let text = "gradients are added up that were not applied: call `apply` before the step ends";
            return Err(checkpoint::Error::Invalid(text.to_owned()));
        }
        let mut tensors = self.vars.tensors()?;
        tensors.extend(self.slots.tensors()?);
        tensors.push((STEP.to_owned(), tensor::Tensor::from(i64::try_from(self.step).unwrap_or(i64::MAX))));
        Ok(tensors)
    }
}

impl RestoreTarget for CandleModel {
    fn variables(&self) -> Vec<VariableSpec> {
        let step = VariableSpec::new(STEP, DType::Int64, Some([].into()));
        self.vars.variables().into_iter().chain(self.slots.variables()).chain([step]).collect()
    }

    fn assign(&mut self, mut values: Vec<(String, tensor::Tensor)>) -> checkpoint::Result<()> {
        self.pending = (Gradients::default(), 0);
        if let Some((_, step)) = values.iter().find(|(name, _)| name == STEP) {
            self.step = u64::try_from(step.value::<i64>()?).unwrap_or_default();
        }
        values.retain(|(name, _)| name != STEP);
        let (slots, weights) = values.into_iter().partition(|(name, _)| self.slots.vars().contains_key(name));
        self.vars.assign(weights)?;
        self.slots.assign(slots)
    }
}
