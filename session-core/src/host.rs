//! Host functions: closures of the program that operations call.
//!
//! An operation of TensorFlow's types `PyFunc`, `PyFuncStateless` and `EagerPyFunc` carries the closure that it calls. In files
//! it is known by its token only, as in TensorFlow; after an import the program binds the closure again.

use crate::{CancellationGuard, CancellationToken, Code, Error, Operation, OutputInfo, Result};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;
use tensor::Tensor;

type Call = dyn Fn(&[Tensor], &HostContext<'_>) -> Result<Vec<Tensor>> + Send + Sync;
type GradientCall = dyn Fn(&HostGradient<'_>, &HostContext<'_>) -> Result<Vec<Tensor>> + Send + Sync;

/// A closure of the program that an operation calls with the values of its inputs, optionally with its gradient. Cheap to
/// clone; clones are one function.
///
/// ```
/// use session_core::{HostContext, HostFunction, Tensor};
/// let double = HostFunction::new(|inputs, _context| {
///     let doubled: Vec<f32> = inputs[0].as_slice::<f32>()?.iter().map(|x| 2.0 * x).collect();
///     Ok(vec![Tensor::from(doubled)])
/// });
/// let outputs = double.call(&[Tensor::from([1.0f32, 2.0])], &HostContext::new("double"))?;
/// assert_eq!(outputs, [Tensor::from([2.0f32, 4.0])]);
/// # Ok::<(), session_core::Error>(())
/// ```
#[derive(Clone)]
pub struct HostFunction {
    token: Arc<str>,
    call: Arc<Call>,
    gradient: Option<Arc<GradientCall>>,
}

impl HostFunction {
    /// Wraps a closure under its own token, such as `pyfunc_3`. Several threads may call it at once.
    pub fn new(
        call: impl Fn(&[Tensor], &HostContext<'_>) -> Result<Vec<Tensor>> + Send + Sync + 'static,
    ) -> HostFunction {
        // Numbered over the whole process, as TensorFlow does: tokens of two graphs that are merged stay distinct.
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let token = format!("pyfunc_{}", NEXT.fetch_add(1, Ordering::Relaxed));
        HostFunction { token: token.into(), call: Arc::new(call), gradient: None }
    }

    /// Sets the token, by which another process that imports the graph binds the closure again.
    #[must_use]
    pub fn with_token(mut self, token: impl Into<Arc<str>>) -> HostFunction {
        self.token = token.into();
        self
    }

    /// Adds the gradient: a closure that gets the inputs, the outputs and the gradients of the outputs, and returns one
    /// gradient for each input of floating or complex dtype, in order.
    #[must_use]
    pub fn with_gradient(
        mut self,
        gradient: impl Fn(&HostGradient<'_>, &HostContext<'_>) -> Result<Vec<Tensor>> + Send + Sync + 'static,
    ) -> HostFunction {
        self.gradient = Some(Arc::new(gradient));
        self
    }

    /// Returns the token, the value of the operation's attribute of that name.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.token
    }

    /// Calls the closure.
    ///
    /// # Errors
    /// As the closure.
    pub fn call(&self, inputs: &[Tensor], context: &HostContext<'_>) -> Result<Vec<Tensor>> {
        (self.call)(inputs, context)
    }

    /// Calls the closure for an operation that has this token and declares these outputs: how engines call it.
    ///
    /// # Errors
    /// The error of the closure; an error of kind [`Panic`](crate::ErrorKind::Panic) if it panics; `InvalidArgument` if it returns
    /// other values than the operation declares.
    pub fn call_declared(
        &self,
        token: &str,
        declared: &[OutputInfo],
        inputs: &[Tensor],
        context: &HostContext<'_>,
    ) -> Result<Vec<Tensor>> {
        // The program owns the closure's state; the step fails and names the closure that panicked.
        let called = catch_unwind(AssertUnwindSafe(|| self.call(inputs, context)));
        let values = called.unwrap_or_else(|payload| {
            Err(Error::from_panic(&format!("host function '{token}'"), &*payload))
        })?;
        // Later operations were checked against the declared dtypes and shapes, so other values must not
        // reach them.
        check_values(token, declared, &values)?;
        Ok(values)
    }

    /// Returns the gradient as a separate function, which takes `inputs` inputs, `outputs` outputs and as many gradients as
    /// outputs. `None` for a function without gradient.
    #[must_use]
    pub fn gradient(&self, inputs: usize, outputs: usize) -> Option<HostFunction> {
        let gradient = self.gradient.clone()?;
        let token = format!("{}_gradient", self.token);
        let function = HostFunction::new(move |values, context| {
            // Checked, because an engine passes the values and this closure cannot trust their number.
            let split = values.split_at_checked(inputs).and_then(|(inputs, rest)| {
                let (outputs, gradients) = rest.split_at_checked(outputs)?;
                Some(HostGradient { inputs, outputs, gradients })
            });
            let short = || Error::new(Code::Internal, "the gradient of a host function got too few values");
            gradient(&split.ok_or_else(short)?, context)
        });
        Some(function.with_token(token))
    }

    /// Returns true if both are clones of one function.
    #[must_use]
    pub fn is_same(&self, other: &HostFunction) -> bool {
        // By address, because closures cannot be compared otherwise.
        Arc::ptr_eq(&self.call, &other.call)
    }
}

impl fmt::Debug for HostFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HostFunction({})", self.token)
    }
}

/// Checks the values that a closure returned against the outputs that its operation declares.
fn check_values(token: &str, declared: &[OutputInfo], values: &[Tensor]) -> Result<()> {
    let (found, expected) = (values.len(), declared.len());
    if found != expected {
        // TensorFlow's wording, which programs may match.
        let text = format!("{token} returns {found} values, but expects to see {expected} values.");
        return Err(Error::invalid_argument(text));
    }
    for (index, (value, declared)) in values.iter().zip(declared).enumerate() {
        if value.dtype() != declared.dtype {
            let text = format!(
                "{index}-th value returned by {token} is {}, but expects {}",
                value.dtype(),
                declared.dtype
            );
            return Err(Error::invalid_argument(text));
        }
        if !declared.shape.is_compatible_with(value.shape()) {
            let text = format!(
                "{index}-th value returned by {token} has shape {}, but is declared as {}",
                value.shape(),
                declared.shape
            );
            return Err(Error::invalid_argument(text));
        }
    }
    Ok(())
}

/// The values that the gradient of a host function is computed from.
#[derive(Clone, Copy, Debug)]
pub struct HostGradient<'a> {
    /// The values of the inputs.
    pub inputs: &'a [Tensor],
    /// The values of the outputs.
    pub outputs: &'a [Tensor],
    /// The gradients of the outputs, zeros where nothing depends on one.
    pub gradients: &'a [Tensor],
}

/// The run that a host function is called in: which operation calls it, and what can end the run.
#[derive(Clone, Copy, Debug)]
pub struct HostContext<'a> {
    node: &'a str,
    /// The session's and the run's.
    tokens: [Option<&'a CancellationToken>; 2],
    deadline: Option<Instant>,
}

impl<'a> HostContext<'a> {
    /// Describes a run that nothing ends, for an operation of this name. Engines add the conditions that can end it.
    ///
    /// Tests of host functions use it without an engine.
    #[must_use]
    pub fn new(node: &'a str) -> HostContext<'a> {
        HostContext { node, tokens: [None; 2], deadline: None }
    }

    /// Adds the tokens of the session and of the run, and the time at which the run ends.
    #[must_use]
    pub fn ended_by(
        mut self,
        session: &'a CancellationToken,
        run: Option<&'a CancellationToken>,
        deadline: Option<Instant>,
    ) -> HostContext<'a> {
        self.tokens = [Some(session), run];
        self.deadline = deadline;
        self
    }

    /// Returns the name of the operation that calls.
    #[must_use]
    pub fn node(&self) -> &'a str {
        self.node
    }

    /// Returns the time at which the run ends, if it has a limit.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// Returns true if the run was cancelled or its session was closed.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.tokens.iter().flatten().any(|token| token.is_cancelled())
    }

    /// Checks whether the run is still wanted. A closure that works for long calls it now and then.
    ///
    /// # Errors
    /// `Cancelled` after a cancellation, `DeadlineExceeded` past the deadline.
    pub fn check(&self) -> Result<()> {
        self.tokens.iter().flatten().try_for_each(|token| token.check())?;
        if self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            return Err(Error::new(Code::DeadlineExceeded, "the time of the step is over"));
        }
        Ok(())
    }

    /// Calls back when the run is cancelled, for as long as the guards exist. A closure that blocks can be woken up with it.
    pub fn on_cancel(&self, callback: impl Fn() + Send + Sync + 'static) -> Vec<CancellationGuard> {
        // Shared by both registrations; it may be called twice, which is harmless for a callback that wakes a
        // thread.
        let callback = Arc::new(callback);
        let register = |token: &&CancellationToken| {
            let callback = callback.clone();
            token.on_cancel(move || callback())
        };
        self.tokens.iter().flatten().map(register).collect()
    }
}

impl Operation {
    /// Returns the host function that the operation calls.
    #[must_use]
    pub fn host_function(&self) -> Option<&HostFunction> {
        self.node.host.get()
    }

    /// Binds the host function of an operation that was imported, before its first run.
    ///
    /// # Errors
    /// `AlreadyExists` for an operation that has another one.
    pub fn bind_host_function(&self, function: &HostFunction) -> Result<()> {
        // Whoever binds first wins, also between threads; a second binding of the same closure is accepted,
        // so that an import can be repeated.
        let bound = self.node.host.get_or_init(|| function.clone());
        if bound.is_same(function) {
            return Ok(());
        }
        let text = format!(
            "the operation calls another host function already, '{}': import the graph once, or with another prefix",
            bound.token()
        );
        Err(self.place(Error::new(Code::AlreadyExists, text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_context_sees_every_end_of_a_run() {
        let (session, run) = (CancellationToken::new(), CancellationToken::new());
        let context = HostContext::new("f").ended_by(&session, Some(&run), None);
        let seen = Arc::new(AtomicU64::new(0));
        let count = seen.clone();
        let guards = context.on_cancel(move || {
            count.fetch_add(1, Ordering::Relaxed);
        });
        assert!(context.check().is_ok() && !context.is_cancelled());
        run.cancel();
        assert_eq!(context.check().unwrap_err().code(), Code::Cancelled);
        assert!(context.is_cancelled());
        assert_eq!(seen.load(Ordering::Relaxed), 1);
        drop(guards);
        session.cancel();
        assert_eq!(seen.load(Ordering::Relaxed), 1, "no guard, no call");
        let late = HostContext { deadline: Some(Instant::now()), ..HostContext::new("f") };
        assert_eq!(late.check().unwrap_err().code(), Code::DeadlineExceeded);
    }

    #[test]
    fn tokens_are_distinct_unless_given() {
        let make = || HostFunction::new(|inputs, _| Ok(inputs.to_vec()));
        let (one, other) = (make(), make());
        assert_ne!(one.token(), other.token());
        assert!(one.is_same(&one.clone().with_token("t")) && !one.is_same(&other));
        assert!(one.gradient(1, 1).is_none());
    }
}
