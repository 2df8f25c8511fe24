//! Variables with their optimizer.

use crate::convert::dtype;
use crate::optimizer::{slot_dtype, slot_name};
use crate::{Gradients, OptimizerConfig, SavedVars};
use candle_core::{Tensor, Var};
use checkpoint::{RestoreTarget, SaveSource, VariableSpec};
use tensor::DType;

/// The name of the optimizer's step in checkpoints.
const STEP: &str = "optimizer_step";

/// Variables with an optimizer, to be a saved object. Checkpoints hold the weights under their names, the moments as
/// `<weight>/Adam` and the like, and the optimizer's step as `optimizer_step`.
///
/// ```
/// use candle_core::{Device, Tensor, Var};
/// use monitored_candle::{CandleModel, SavedVars, Sgd};
///
/// let w = Var::new(&[3.0f32, 4.0], &Device::Cpu)?;
/// let vars = SavedVars::new([("w".to_owned(), w.clone())]);
/// let mut model = CandleModel::new(vars, Sgd { momentum: 0.9, nesterov: true, ..Sgd::new(0.1) })?;
/// model.backward_step(&w.sqr()?.sum_all()?)?;
/// assert_eq!(model.optimizer_step(), 1);
/// # Ok::<(), candle_core::Error>(())
/// ```
#[derive(Debug)]
pub struct CandleModel {
    vars: SavedVars,
    /// The moments.
    slots: SavedVars,
    optimizer: OptimizerConfig,
    step: u64,
    max_norm: Option<f64>,
    /// The sum of the gradients since the last update, and the number of losses they come from.
    pending: (Gradients, u32),
}

impl CandleModel {
    /// Creates a model whose floating-point variables are trained by this optimizer.
    ///
    /// # Errors
    /// An error for a variable whose dtype checkpoints do not have, for two tensors that would have one name in checkpoints, and if
    /// there is no memory for the moments.
    pub fn new(
        vars: impl Into<SavedVars>,
        optimizer: impl Into<OptimizerConfig>,
    ) -> candle_core::Result<CandleModel> {
        let (vars, optimizer) = (vars.into(), optimizer.into());
        let mut slots = SavedVars::new([]);
        for (name, var) in vars.vars() {
            dtype(var.dtype()).map_err(|error| error.context(format!("variable '{name}'")))?;
            if !var.dtype().is_float() {
                continue;
            }
            for slot in optimizer.slots() {
                let zeros = Var::zeros(var.shape(), slot_dtype(var.dtype()), var.device())?;
                slots.insert(slot_name(name, slot), zeros);
            }
        }
        let used = |name: &str| vars.vars().contains_key(name);
        if let Some(name) = slots.vars().keys().map(String::as_str).chain([STEP]).find(|name| used(name)) {
            candle_core::bail!(
                "the variable '{name}' has the name under which the optimizer's state is saved: rename it"
            )
        }
        let pending = (Gradients::default(), 0);
        Ok(CandleModel { vars, slots, optimizer, step: 0, max_norm: None, pending })
    }

    /// Clips gradients to this global norm before each update. Default: no clipping.
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

    /// Returns the moments, by their names in checkpoints.
    #[must_use]
    pub fn moments(&self) -> &SavedVars {
        &self.slots
    }

    /// Returns the number of updates.
    #[must_use]
    pub fn optimizer_step(&self) -> u64 {
        self.step
    }

    /// Sets the learning rate. It is not saved: compute it from the number of the step, so that a resumed run has the same.
    pub fn set_learning_rate(&mut self, rate: f64) {
        *self.optimizer.learning_rate() = rate;
    }

    /// Computes the gradients of a loss and updates the variables.
    ///
    /// # Errors
    /// An error if the loss depends on no variable; the errors of candle.
    pub fn backward_step(&mut self, loss: &Tensor) -> candle_core::Result<()> {
        self.accumulate(loss)?;
        self.apply()
    }

    /// Adds the gradients of one loss of several, for batches that do not fit into memory at once. [`apply`](Self::apply)
    /// follows in the same step, since accumulated gradients are not saved.
    ///
    /// # Errors
    /// An error if the loss depends on no variable; the errors of candle.
    pub fn accumulate(&mut self, loss: &Tensor) -> candle_core::Result<()> {
        let gradients = Gradients::of(loss, &self.vars)?;
        if gradients.is_empty() {
            candle_core::bail!(
                "the loss depends on none of the model's variables: build the layers with the variables of the model, and \
                 detach nothing on the way to the loss"
            )
        }
        self.pending.0.add(gradients)?;
        self.pending.1 += 1;
        Ok(())
    }

    /// Updates the variables by the mean of the accumulated gradients.
    ///
    /// # Errors
    /// An error without accumulated gradients; the errors of candle.
    pub fn apply(&mut self) -> candle_core::Result<()> {
        let (mut gradients, count) = std::mem::take(&mut self.pending);
        if count == 0 {
            candle_core::bail!("there are no gradients to apply: call `accumulate` before `apply`")
        }
        if count > 1 {
            gradients.scale(1.0 / f64::from(count))?;
        }
        self.apply_gradients(gradients)
    }

    /// Updates the variables by gradients that the program has computed or changed itself. Clips them if the model does.
    ///
    /// # Errors
    /// The errors of candle.
    pub fn apply_gradients(&mut self, mut gradients: Gradients) -> candle_core::Result<()> {
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
            let text = "the model holds accumulated gradients, which are not saved: call `apply` before the step ends";
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
