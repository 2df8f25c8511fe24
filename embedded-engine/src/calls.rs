//! The functions that one operation runs, in sequence, and its results.
//!
//! Conditionals, loops, and plain calls differ only in the functions that they call next. This module is a state machine that names the next
//! function and fills its frame, until there is none and the results are the outputs. The executors run the functions, so a function can be
//! suspended in the middle.
//!
//! **Cost.** A round of a loop takes no lock and allocates nothing of its own: the frames of the condition and the body stay with the loop
//! until it ends, and one list holds the values that go around.

use crate::kernel::KernelContext;
use crate::kernels::{branch, is_true};
use crate::plan::{Call, Frame, Plan};
use crate::registry;
use session_core::{Error, Result};
use std::borrow::Cow;
use tensor::Tensor;

/// The progress of an operation that runs functions.
pub(crate) struct Calls<'p> {
    /// The calling step.
    call: &'p Call,
    /// The function that is called next.
    state: State,
    /// The arguments of the next function or, after the last one, the outputs. The arguments of a round stay here while the condition is
    /// evaluated.
    values: Vec<Tensor>,
    /// The result of the condition.
    answer: Vec<Tensor>,
    /// The functions that were called, with their frames: the condition and the body of a loop, or a single one.
    // Boxed: functions nest deeply, and each level is a frame of the stack.
    /// The frames of the two functions of a loop, kept from iteration to iteration.
    frames: Box<[Option<(&'p Plan, Frame)>; 2]>,
    /// The one that runs.
    current: usize,
}

/// The position of an operation in its sequence of functions.
enum State {
    /// The results of the function of this number are the outputs.
    Once(usize),
    /// A loop whose condition is next.
    Condition,
    /// A loop whose body is next.
    Round,
    /// A loop over numbers whose body is next.
    Counted { next: i64, limit: i64, delta: i64 },
    /// The values are the outputs.
    Done,
}

impl<'p> Calls<'p> {
    /// Takes the arguments, which a function may write in place where nothing else holds them.
    pub(crate) fn begin(call: &'p Call, context: &mut KernelContext<'_>) -> Result<Calls<'p>> {
        let (state, first) = match call.kind {
            registry::Call::Function | registry::Call::Gradient => (State::Once(0), 0),
            registry::Call::If | registry::Call::Case => {
                (State::Once(branch(call.kind, call.bodies.len(), context)?), 1)
            }
            registry::Call::While => (State::Condition, 0),
            registry::Call::For => {
                let [start, limit, delta] = [context.int(0)?, context.int(1)?, context.int(2)?];
                let fits = delta > 0 && start <= limit || delta < 0 && start >= limit || start == limit;
                if !fits {
                    let text = format!("a range from {start} to {limit} in steps of {delta} has no end");
                    return Err(Error::invalid_argument(text));
                }
                (State::Counted { next: start, limit, delta }, 3)
            }
        };
        let values = (first..context.num_inputs()).map(|input| context.take(input)).collect();
        Ok(Calls { call, state, values, answer: Vec::new(), frames: Box::new([None, None]), current: 0 })
    }

    /// Returns the next function, whose arguments are in the [`frame`](Self::frame), or `None` if there is none.
    pub(crate) fn next(&mut self) -> Result<Option<&'p Plan>> {
        let body = match &mut self.state {
            State::Once(number) => self.call.bodies.get(*number),
            State::Condition => self.call.bodies.first(),
            State::Round => self.call.bodies.get(1),
            State::Counted { next, limit, delta } => {
                let more = if *delta > 0 { next < limit } else { next > limit };
                if !more {
                    return Ok(None);
                }
                let number = i32::try_from(*next)
                    .map_err(|_| Error::invalid_argument("a number that is not an int32"))?;
                *next = next.saturating_add(*delta);
                self.values.insert(0, Tensor::from(number));
                self.call.bodies.first()
            }
            State::Done => return Ok(None),
        };
        let body = body.ok_or_else(|| Error::invalid_argument("there are no branches"))?;
        body.check_arguments(self.values.len())?;
        self.current = usize::from(matches!(self.state, State::Round));
        let (_, frame) = self.frames[self.current].get_or_insert_with(|| (body, body.frame()));
        match self.state {
            // The body needs the values once more.
            State::Condition => body.fill(frame, self.values.iter().map(Cow::Borrowed)),
            _ => body.fill(frame, self.values.drain(..).map(Cow::Owned)),
        }
        Ok(Some(body))
    }

    /// Returns the frame of the function that [`next`](Self::next) returned.
    pub(crate) fn frame(&mut self) -> &mut Frame {
        let (_, frame) = self.frames[self.current].as_mut().expect("a function was entered");
        frame
    }

    /// Takes the results of the function that [`next`](Self::next) returned, after it ran.
    pub(crate) fn end(&mut self) -> Result<()> {
        let place = &mut self.frames[self.current];
        let Some((body, frame)) = place else { return Ok(()) };
        let asks = matches!(self.state, State::Condition);
        body.take_results(frame, if asks { &mut self.answer } else { &mut self.values })?;
        if frame.reordered {
            *place = None;
        }
        match self.state {
            State::Condition => {
                let answer = self.answer.pop();
                let answer = answer.ok_or_else(|| Error::invalid_argument("a condition without result"))?;
                self.state = if is_true(&answer)? { State::Round } else { State::Done };
            }
            State::Round => self.state = State::Condition,
            State::Counted { .. } => {}
            State::Once(_) | State::Done => self.state = State::Done,
        }
        Ok(())
    }

    /// Delivers the outputs after the last function.
    pub(crate) fn deliver(self, context: &mut KernelContext<'_>) -> Result<()> {
        let (results, outputs) = (self.values.len(), context.outputs.len());
        if results != outputs {
            let text = format!("a function returns {results} results instead of {outputs}");
            return Err(Error::invalid_argument(text));
        }
        self.values.into_iter().enumerate().for_each(|(output, value)| context.set(output, value));
        self.frames.into_iter().flatten().for_each(|(body, frame)| body.keep(frame));
        Ok(())
    }
}
