//! Metrics that rate a model.

use crate::TensorRef;
use checkpoint::Better;
use session_core::{Error, Graph, Output, Result, Session, Tensor, Variable};
use std::fmt;

/// A number that rates a model: a tensor that is fetched with the run, or the result of a function on the session after the
/// run, such as the accuracy on validation data.
///
/// ```
/// use hooks::Metric;
/// use session_core::SessionExt;
/// let by_name = Metric::from("validation/loss:0");
/// let evaluated = Metric::evaluated(|session| {
///     let accuracy = session.run("accuracy:0", ())?;
///     Ok(accuracy.map_or(Ok(0.0), |value| value.as_scalar_f64())?)
/// });
/// ```
#[derive(Debug)]
pub struct Metric(Source);

enum Source {
    Tensor(TensorRef),
    Function(Box<dyn FnMut(&dyn Session) -> Result<f64> + Send>),
}

impl Metric {
    /// Creates a metric from a function. It receives the raw session, whose runs call no hooks, and should not change
    /// variables.
    ///
    /// ```
    /// use hooks::Metric;
    /// let metric = Metric::evaluated(|session| Ok(session.graph().len() as f64));
    /// ```
    #[must_use]
    pub fn evaluated(function: impl FnMut(&dyn Session) -> Result<f64> + Send + 'static) -> Metric {
        Metric(Source::Function(Box::new(function)))
    }

    /// Returns the tensor to fetch with the run, if the metric is one.
    ///
    /// # Errors
    /// Returns the errors of [`TensorRef::resolve`].
    pub(crate) fn resolve(&self, graph: &Graph) -> Result<Option<Output>> {
        match &self.0 {
            Source::Tensor(tensor) => tensor.resolve(graph).map(Some),
            Source::Function(_) => Ok(None),
        }
    }

    /// Returns the fetched number, or the function's result.
    pub(crate) fn value(&mut self, session: &dyn Session, fetched: Option<&Tensor>) -> Result<f64> {
        match (&mut self.0, fetched) {
            (Source::Function(function), _) => function(session),
            (Source::Tensor(_), Some(value)) => number(value),
            // Only if a hook asks for the metric of a run for which it was not due, which would be an
            // error of the hook.
            (Source::Tensor(tensor), None) => {
                Err(Error::runtime(format!("the metric '{}' was not fetched with this run", tensor.name())))
            }
        }
    }
}

/// Returns the single number of a tensor.
pub(crate) fn number(value: &Tensor) -> Result<f64> {
    // Floating-point first; a count, such as correct answers, is an integer.
    match value.as_scalar_f64() {
        Ok(number) => Ok(number),
        Err(error) => Ok(value.as_scalar_i64().map_err(|_| error)? as f64),
    }
}

/// Returns true if a metric is better than the best value so far by more than `delta`. NaN never is.
pub(crate) fn improves(value: f64, best: Option<f64>, better: Better, delta: f64) -> bool {
    // Comparisons with NaN are false, so NaN is never better than a known best value. Without one, it is
    // excluded explicitly.
    match best {
        None => !value.is_nan(),
        Some(best) => match better {
            Better::Lower => value < best - delta,
            Better::Higher => value > best + delta,
        },
    }
}

impl From<TensorRef> for Metric {
    fn from(tensor: TensorRef) -> Metric {
        Metric(Source::Tensor(tensor))
    }
}

impl From<&Output> for Metric {
    fn from(output: &Output) -> Metric {
        TensorRef::from(output).into()
    }
}

impl From<&Variable> for Metric {
    fn from(variable: &Variable) -> Metric {
        TensorRef::from(variable).into()
    }
}

impl From<&str> for Metric {
    fn from(name: &str) -> Metric {
        TensorRef::from(name).into()
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Tensor(tensor) => tensor.fmt(f),
            Source::Function(_) => f.write_str("evaluated"),
        }
    }
}
