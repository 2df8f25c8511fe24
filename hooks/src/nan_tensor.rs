//! Stopping when the loss is NaN or infinite.

use crate::nan_origin::Origin;
use crate::{SessionRunArgs, SessionRunContext, SessionRunHook, SessionRunValues, TensorRef};
use session_core::{Error, Graph, Output, Result, Tensor};
use tensor::text::escaped;

/// Checks a loss after each run; if it is NaN, fails or requests a stop (S-360).
///
/// The loss is fetched with every run. On NaN the run fails with an error of kind
/// [`NanLoss`](session_core::ErrorKind::NanLoss), "NaN loss during training", so that the broken model is not saved.
/// Alternatively the hook requests a stop, after which the model is saved. Infinity is accepted unless
/// [`check_infinity`](NanTensorHook::check_infinity) is on.
///
/// # Errors
///
/// `begin`: the errors of [`TensorRef::resolve`]. Runs: NaN, as above; a value error for a loss of more than one element.
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
    find_origin: bool,
    output: Option<Output>,
    origin: Origin,
}

impl NanTensorHook {
    /// Watches a loss.
    ///
    /// ```
    /// use hooks::NanTensorHook;
    /// let hook = NanTensorHook::new("loss:0");
    /// ```
    #[must_use]
    pub fn new(loss: impl Into<TensorRef>) -> NanTensorHook {
        let origin = Origin::default();
        NanTensorHook {
            loss: loss.into(),
            fail: true,
            infinity: false,
            find_origin: false,
            output: None,
            origin,
        }
    }

    /// Sets whether NaN is an error; otherwise it requests a stop. Default: `true`.
    ///
    /// ```
    /// use hooks::NanTensorHook;
    /// let hook = NanTensorHook::new("loss:0").fail_on_nan(false); // requests a stop instead
    /// ```
    #[must_use]
    pub fn fail_on_nan(mut self, fail: bool) -> NanTensorHook {
        self.fail = fail;
        self
    }

    /// Sets whether infinity is treated like NaN. Default: `false`, as in TensorFlow.
    ///
    /// ```
    /// use hooks::NanTensorHook;
    /// let hook = NanTensorHook::new("loss:0").check_infinity(true);
    /// ```
    #[must_use]
    pub fn check_infinity(mut self, check: bool) -> NanTensorHook {
        self.infinity = check;
        self
    }

    /// Sets whether the error names the first operation that computed a NaN or infinite value from finite inputs. This
    /// fetches with every run all values that the loss is computed from, which costs memory and prevents fusion: use it to find a
    /// problem, not in every training. Default: `false`.
    ///
    /// ```
    /// use hooks::NanTensorHook;
    /// let hook = NanTensorHook::new("loss:0").check_infinity(true).find_origin(true);
    /// ```
    #[must_use]
    pub fn find_origin(mut self, find: bool) -> NanTensorHook {
        self.find_origin = find;
        self
    }

    #[cold]
    fn diverged(
        &self,
        value: f64,
        context: &mut SessionRunContext<'_>,
        values: &SessionRunValues<'_>,
    ) -> Result<()> {
        let what = if value.is_nan() { "NaN" } else { "infinite" };
        let mut name = format!("'{}'", self.output.as_ref().map_or_else(|| self.loss.name(), Output::name));
        if let Some(origin) = self.origin.find(values.iter().skip(1)) {
            name += &format!(", {origin}");
        }
        if self.fail {
            // Logged in addition to the error: the program may handle the error without showing it.
            log::error!("Model diverged with loss = {what}: {}.", escaped(&name));
            return Err(Error::nan_loss(format!("{what} loss during training: {name}")));
        }
        log::warn!("Model diverged with loss = {what}: {}.", escaped(&name));
        context.request_stop(format!("{what} loss during training: {name}"));
        Ok(())
    }
}

/// Returns the value of a loss. Integers are always finite.
#[inline]
fn loss(value: &Tensor) -> Result<f64> {
    // Almost every loss is an `f32` scalar, which this reads without the general conversion.
    match value.value::<f32>() {
        Ok(loss) => Ok(f64::from(loss)),
        Err(_) if value.dtype().is_integer() && value.elements() == 1 => Ok(0.0),
        Err(_) => Ok(value.as_scalar_f64()?),
    }
}

impl SessionRunHook for NanTensorHook {
    fn begin(&mut self, graph: &Graph) -> Result<()> {
        let loss = self.loss.resolve(graph)?;
        if self.find_origin {
            self.origin = Origin::of(graph, &loss);
        }
        self.output = Some(loss);
        Ok(())
    }

    #[inline]
    fn before_run(&mut self, _: &mut SessionRunContext<'_>) -> Result<Option<SessionRunArgs>> {
        let args = self.output.as_ref().map(|loss| SessionRunArgs::new().fetch(loss));
        Ok(args.map(|args| args.fetch_all(self.origin.outputs())))
    }

    #[inline]
    fn after_run(
        &mut self,
        context: &mut SessionRunContext<'_>,
        values: &SessionRunValues<'_>,
    ) -> Result<()> {
        let loss = loss(&values[0])?;
        if loss.is_nan() || (self.infinity && loss.is_infinite()) {
            return self.diverged(loss, context, values);
        }
        Ok(())
    }
}
