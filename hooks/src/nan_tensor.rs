//! Stopping when the loss is no number.

use crate::nan_origin::Origin;
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
    find_origin: bool,
    output: Option<Output>,
    origin: Origin,
}

impl NanTensorHook {
    /// Watches a loss.
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

    /// Whether to tell which operation was the first to give a value that is no number, of finite inputs. For that
    /// all values that the loss is computed of are fetched with every run, which costs memory and keeps operations
    /// from being fused: for the search, not for every day. Default: `false`.
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
            log::error!("Model diverged with loss = {what}: {name}.");
            return Err(Error::nan_loss(format!("{what} loss during training: {name}")));
        }
        log::warn!("Model diverged with loss = {what}: {name}.");
        context.request_stop(format!("{what} loss during training: {name}"));
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
