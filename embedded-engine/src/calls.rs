//! The functions that one operation runs, in sequence, and its results.
//!
//! Conditionals, loops, and plain calls differ only in the functions that they call next. This module is a state machine that returns either
//! the next function with its arguments or the results. The executors run the functions, so a function can be suspended in the middle.

use crate::kernel::KernelContext;
use crate::kernels::{branch, is_true};
use crate::plan::{Call, Plan};
use crate::registry;
use session_core::{Error, Result};
use tensor::Tensor;

/// The next action of an operation that runs functions.
pub(crate) enum Next {
    /// The body of this number runs on these arguments.
    Call(usize, Vec<Tensor>),
    /// These are the outputs.
    Done(Vec<Tensor>),
}

/// The progress of an operation that runs functions.
pub(crate) enum Calls {
    /// The results of the one function are the outputs.
    Once,
    /// A loop whose condition is being asked, with the values that go into the next round.
    Condition(Vec<Tensor>),
    /// A loop in a round.
    Round,
    /// A loop over numbers.
    Counted { next: i64, limit: i64, delta: i64 },
}

impl Calls {
    /// Takes the arguments, which a function may write in place if nothing else holds them.
    pub(crate) fn begin(call: &Call, context: &mut KernelContext<'_>) -> Result<(Calls, Next)> {
        let arguments = |context: &mut KernelContext<'_>, first: usize| -> Vec<Tensor> {
            (first..context.num_inputs()).map(|input| context.take(input)).collect()
        };
        match call.kind {
            registry::Call::Function | registry::Call::Gradient => {
                Ok((Calls::Once, Next::Call(0, arguments(context, 0))))
            }
            registry::Call::If | registry::Call::Case => {
                let branch = branch(call.kind, call.bodies.len(), context)?;
                Ok((Calls::Once, Next::Call(branch, arguments(context, 1))))
            }
            registry::Call::While => {
                let values = arguments(context, 0);
                Ok((Calls::Condition(values.clone()), Next::Call(0, values)))
            }
            registry::Call::For => {
                let [start, limit, delta] = [context.int(0)?, context.int(1)?, context.int(2)?];
                let fits = delta > 0 && start <= limit || delta < 0 && start >= limit || start == limit;
                if !fits {
                    let text = format!("a range from {start} to {limit} in steps of {delta} has no end");
                    return Err(Error::invalid_argument(text));
                }
                let mut calls = Calls::Counted { next: start, limit, delta };
                let next = calls.next(arguments(context, 3))?;
                Ok((calls, next))
            }
        }
    }

    /// Continues after a function that gave these results.
    pub(crate) fn next(&mut self, mut results: Vec<Tensor>) -> Result<Next> {
        match self {
            Calls::Once => Ok(Next::Done(results)),
            Calls::Condition(values) => {
                let values = std::mem::take(values);
                let goes_on =
                    results.first().ok_or_else(|| Error::invalid_argument("a condition without result"))?;
                if !is_true(goes_on)? {
                    return Ok(Next::Done(values));
                }
                *self = Calls::Round;
                Ok(Next::Call(1, values))
            }
            Calls::Round => {
                *self = Calls::Condition(results.clone());
                Ok(Next::Call(0, results))
            }
            Calls::Counted { next, limit, delta } => {
                let more = if *delta > 0 { next < limit } else { next > limit };
                if !more {
                    return Ok(Next::Done(results));
                }
                let number = i32::try_from(*next)
                    .map_err(|_| Error::invalid_argument("a number that is not an int32"))?;
                *next = next.saturating_add(*delta);
                results.insert(0, Tensor::from(number));
                Ok(Next::Call(0, results))
            }
        }
    }
}

impl Call {
    /// Returns the body of a number, if it takes as many arguments.
    pub(crate) fn body(&self, number: usize, arguments: &[Tensor]) -> Result<&Plan> {
        let body = self.bodies.get(number).ok_or_else(|| Error::invalid_argument("there are no branches"))?;
        if arguments.len() != body.feeds.len() {
            let text = format!("{} arguments for a function of {}", arguments.len(), body.feeds.len());
            return Err(Error::invalid_argument(text));
        }
        Ok(body)
    }
}

/// Sets the outputs of a call to the results of its functions.
pub(crate) fn deliver(context: &mut KernelContext<'_>, results: Vec<Tensor>) -> Result<()> {
    if results.len() != context.outputs.len() {
        let text =
            format!("a function returns {} results instead of {}", results.len(), context.outputs.len());
        return Err(Error::invalid_argument(text));
    }
    results.into_iter().enumerate().for_each(|(output, result)| context.set(output, result));
    Ok(())
}
