//! Readiness of a model.

use crate::run;
use log::warn;
use session_core::{CancellationToken, Code, DType, Error, ErrorKind, Output, Result, Session, Tensor};
use tensor::text::escaped;

/// The readiness of a model, with a reason if it is not ready.
///
/// ```
/// use scaffold::Readiness;
/// assert_eq!(Readiness::NotReady("w has no value".to_owned()).reason(), Some("w has no value"));
/// assert_eq!(Readiness::Ready.reason(), None);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Readiness {
    /// The model is ready.
    Ready,
    /// The model is not ready, for this reason.
    NotReady(String),
}

impl Readiness {
    /// Returns the reason why the model is not ready.
    ///
    /// ```
    /// use scaffold::Readiness;
    /// assert_eq!(Readiness::Ready.reason(), None);
    /// ```
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        match self {
            Readiness::Ready => None,
            Readiness::NotReady(reason) => Some(reason),
        }
    }
}

/// Runs a ready op and interprets its value (S-89, S-90). Without a ready op every model is ready.
///
/// # Errors
/// The errors of the run, except for the use of an uninitialized value, which means not ready; a type error for a value that
/// is not a vector of strings (where TensorFlow crashes, S-91).
pub(crate) fn check(
    session: &dyn Session,
    ready_op: Option<&Output>,
    cancellation: &CancellationToken,
) -> Result<Readiness> {
    let Some(ready_op) = ready_op else { return Ok(Readiness::Ready) };
    match run::fetch(session, ready_op, cancellation) {
        Ok(None) => Ok(Readiness::Ready),
        Ok(Some(value)) => judge(ready_op, &value),
        // A ready op may read variables, which fails as long as they have no value.
        Err(error) if is_uninitialized(&error) => Ok(Readiness::NotReady(error.message().to_owned())),
        Err(error) => {
            // Perhaps an uninitialized value with another text, so the log names the operation.
            if error.code() == Code::FailedPrecondition {
                warn!("the ready op '{}' failed: {}", escaped(ready_op.name()), error.chain());
            }
            Err(error)
        }
    }
}

fn is_uninitialized(error: &Error) -> bool {
    // TensorFlow has no code of its own for this error; only the text differs.
    error.kind() == ErrorKind::Status
        && error.code() == Code::FailedPrecondition
        && error.message().contains("uninitialized")
}

fn judge(ready_op: &Output, value: &Tensor) -> Result<Readiness> {
    // TensorFlow takes `int32` as ready, for ready ops of its older versions.
    if value.elements() == 0 || value.dtype() == DType::Int32 {
        return Ok(Readiness::Ready);
    }
    if value.dtype() != DType::String || value.shape().rank() != 1 {
        let (name, dtype, shape) = (ready_op.name(), value.dtype(), value.shape());
        let text =
            format!("the ready op '{name}' must return a vector of strings, not {dtype} of shape {shape}");
        return Err(Error::type_mismatch(text));
    }
    let names = value.as_strings()?.iter().map(|name| String::from_utf8_lossy(name).into_owned());
    let names: Vec<String> = names.collect();
    Ok(Readiness::NotReady(format!("Variables not initialized: {}", names.join(", "))))
}
