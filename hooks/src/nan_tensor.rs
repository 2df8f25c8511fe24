//! Stopping when the loss is no number.

use crate::{SessionRunArgs, SessionRunContext, SessionRunHook, SessionRunValues, TensorRef};
use session_core::{Error, Graph, Output, Result, Tensor};

/// Looks at a loss after each run; when it is NaN, fails or asks for a stop (S-360).
///
/// The loss is fetched with every run. On NaN the run fails with an error of kind
/// [`NanLoss`](session_core::ErrorKind::NanLoss), "NaN loss during training", so that nothing is saved of the broken
/// model; or the hook asks for a stop, which does save. Infinity passes, unless
/// [`check_infinity`](NanTensorHook::check_infinity) is on.
///
/// # Errors
///
/// `begin`: as [`TensorRef::resolve`]. Runs: NaN, as above; a value error for a loss of more than one element.
///
/// ```
/// use hooks::NanTensorHook;
/// let hook = NanTensorHook::new("loss:0").fail_on_nan(false).check_infinity(true);
/// ```
#[derive(Debug)]
pub struct NanTensorHook {
    loss: TensorRef,
    fail: bool,
    infinity: bool,
    output: Option<Output>,
}

impl NanTensorHook {
    /// Watches a loss.
    #[must_use]
    pub fn new(loss: impl Into<TensorRef>) -> NanTensorHook {
        NanTensorHook { loss: loss.into(), fail: true, infinity: false, output: None }
    }

    /// Whether NaN is an error; otherwise it asks for a stop. Default: `true`.
    #[must_use]
    pub fn fail_on_nan(mut self, fail: bool) -> NanTensorHook {
        self.fail = fail;
        self
    }

    /// Whether infinity counts as NaN does. Default: `false`, as in TensorFlow.
    #[must_use]
    pub fn check_infinity(mut self, check: bool) -> NanTensorHook {
        self.infinity = check;
        self
    }

    #[cold]
    fn diverged(&self, value: f64, context: &mut SessionRunContext<'_>) -> Result<()> {
        let what = if value.is_nan() { "NaN" } else { "infinite" };
        let name = self.output.as_ref().map_or_else(|| self.loss.name(), Output::name);
        if self.fail {
            log::error!("Model diverged with loss = {what}: '{name}'.");
            return Err(Error::nan_loss(format!("{what} loss during training: '{name}'")));
        }
        log::warn!("Model diverged with loss = {what}: '{name}'.");
        context.request_stop(format!("{what} loss during training: '{name}'"));
        Ok(())
    }
}

/// The value of a loss; integers are always numbers.
#[inline]
fn loss(value: &Tensor) -> Result<f64> {
    match value.value::<f32>() {
        Ok(loss) => Ok(f64::from(loss)),
        Err(_) if value.dtype().is_integer() && value.elements() == 1 => Ok(0.0),
        Err(_) => Ok(value.as_scalar_f64()?),
    }
}

impl SessionRunHook for NanTensorHook {
    fn begin(&mut self, graph: &Graph) -> Result<()> {
        self.output = Some(self.loss.resolve(graph)?);
        Ok(())
    }

    #[inline]
    fn before_run(&mut self, _: &mut SessionRunContext<'_>) -> Result<Option<SessionRunArgs>> {
        Ok(self.output.as_ref().map(|loss| SessionRunArgs::new().fetch(loss)))
    }

    #[inline]
    fn after_run(
        &mut self,
        context: &mut SessionRunContext<'_>,
        values: &SessionRunValues<'_>,
    ) -> Result<()> {
        let loss = loss(&values[0])?;
        if loss.is_nan() || (self.infinity && loss.is_infinite()) {
            return self.diverged(loss, context);
        }
        Ok(())
    }
}
