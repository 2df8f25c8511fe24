//! The functions that one operation runs, in sequence, and its results.
//!
//! Conditionals, loops, and plain calls differ only in the functions that they call next. This module is a
//! state machine that names the next function and fills its frame, until there is none and the results are
//! the outputs. The executors run the functions, so a function can be suspended in the middle.
//!
//! **Cost.** A round of a loop takes no lock and allocates nothing of its own: the frames of the condition
//! and the body stay with the loop until it ends, and one list holds the values that go around.
//!
//! # States
//!
//! | kind | states | arguments of the functions |
//! | --- | --- | --- |
//! | function, gradient | `Once` → `Done` | all inputs |
//! | `If`, `Case` | `Once` → `Done` | all inputs but the first |
//! | `While` | `Condition` → `Round` → `Condition` → ... → `Done` | the values that go around, first the inputs |
//! | `For` | `Counted` until the range ends | the number, then the values that go around |
//!
//! `next` names a function and fills its frame, the executor runs it, `end` takes its results; `deliver`
//! follows when `next` returns `None`.

use crate::kernel::KernelContext;
use crate::kernels::{branch, is_true};
use crate::plan::{Call, Frame, Plan, Values};
use crate::registry;
use session_core::{Error, Result};
use tensor::Tensor;

/// The progress of an operation that runs functions. It is created when the step begins and dropped when it
/// ends, also across a suspension.
pub(crate) struct Calls<'p> {
    /// The kind of the call, and the plans of its functions.
    call: &'p Call,
    /// The function that is called next.
    state: State,
    /// The arguments of the next function or, after the last one, the outputs. While a condition is
    /// evaluated, they stay here for the body. Nothing is missing; a value is `None` for a moment only, when it is in the
    /// frame of a function.
    values: Values,
    /// The result of the condition; `None` except between the end of a condition and the decision. Kept as a
    /// list to reuse its memory.
    answer: Values,
    /// The functions that were called, with their frames, which are kept from iteration to iteration: the
    /// condition and the body of a loop, or a single one.
    // Boxed: functions nest deeply, and each level is a frame of the stack.
    frames: Box<[Option<(&'p Plan, Frame)>; 2]>,
    /// The place in `frames` of the function that runs: 1 for the body of a `While`, and otherwise 0.
    current: usize,
}

/// The position of an operation in its sequence of functions.
enum State {
    /// The function of this number is next, and its results are the outputs.
    Once(usize),
    /// A `While` whose condition is next.
    Condition,
    /// A `While` whose body is next.
    Round,
    /// A `For` whose body is next, for the number `next` if that is before `limit` in the direction of
    /// `delta`.
    Counted { next: i64, limit: i64, delta: i64 },
    /// The values are the outputs.
    Done,
}

impl<'p> Calls<'p> {
    /// Takes the arguments, which a function may write in place where nothing else holds them.
    ///
    /// The branch of a conditional is chosen here, and the range of a `For` is checked.
    ///
    /// # Errors
    /// `InvalidArgument` for a number of a branch or a condition that is not one, and for a range that never
    /// reaches its limit.
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
        // Taken and not shared: a function whose argument nothing else holds may write to it.
        let values = (first..context.num_inputs()).map(|input| Some(context.take(input))).collect();
        Ok(Calls { call, state, values, answer: Vec::new(), frames: Box::new([None, None]), current: 0 })
    }

    /// Returns the next function, whose arguments are in the [`frame`](Self::frame), or `None` if there is
    /// none. Must be called again only after [`end`](Self::end).
    ///
    /// # Errors
    /// `InvalidArgument` if the number of arguments is not that of the function, for a `Case` without
    /// branches, and for a number beyond `int32`.
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
                // Inserted at the front in each iteration: loops carry few values, and moving their handles
                // is cheap.
                self.values.insert(0, Some(Tensor::from(number)));
                self.call.bodies.first()
            }
            State::Done => return Ok(None),
        };
        let body = body.ok_or_else(|| Error::invalid_argument("there are no branches"))?;
        body.check_arguments(self.values.len())?;
        self.current = usize::from(matches!(self.state, State::Round));
        // The same frame for each iteration: taking one from the plan would lock a list every time.
        let (_, frame) = self.frames[self.current].get_or_insert_with(|| (body, body.frame()));
        match self.state {
            // The body needs the values once more.
            State::Condition => body.lend(frame, &self.values),
            _ => body.give(frame, &mut self.values),
        }
        Ok(Some(body))
    }

    /// Returns the frame of the function that [`next`](Self::next) returned.
    ///
    /// Panics if no function has been entered.
    pub(crate) fn frame(&mut self) -> &mut Frame {
        let (_, frame) = self.frames[self.current].as_mut().expect("a function was entered");
        frame
    }

    /// Takes the results of the function that [`next`](Self::next) returned, after it ran.
    ///
    /// The frame stays for the next iteration unless steps ran out of order, which may have left values in
    /// it.
    ///
    /// # Errors
    /// `InvalidArgument` for a result on a branch that was not taken, and for a condition that has no truth
    /// value.
    pub(crate) fn end(&mut self) -> Result<()> {
        let place = &mut self.frames[self.current];
        let Some((body, frame)) = place else { return Ok(()) };
        let asks = matches!(self.state, State::Condition);
        // Both lists are empty at this point: filling the frame has drained the one, and the decision the
        // other.
        body.take_back(frame, if asks { &mut self.answer } else { &mut self.values })?;
        if frame.reordered {
            *place = None;
        }
        match self.state {
            State::Condition => {
                let answer = self.answer.last_mut().filter(|answer| answer.is_some());
                let answer = answer.ok_or_else(|| Error::invalid_argument("a condition without result"))?;
                let is_true = answer.as_ref().map_or(Ok(false), is_true);
                *answer = None;
                self.state = if is_true? { State::Round } else { State::Done };
            }
            State::Round => self.state = State::Condition,
            State::Counted { .. } => {}
            State::Once(_) | State::Done => self.state = State::Done,
        }
        Ok(())
    }

    /// Delivers the outputs after the last function.
    ///
    /// The frames go back to the plans of the functions.
    ///
    /// # Errors
    /// `InvalidArgument` if the function has another number of results than the operation has outputs.
    pub(crate) fn deliver(self, context: &mut KernelContext<'_>) -> Result<()> {
        let (results, outputs) = (self.values.len(), context.outputs.len());
        if results != outputs {
            let text = format!("a function returns {results} results instead of {outputs}");
            return Err(Error::invalid_argument(text));
        }
        for (output, value) in self.values.into_iter().enumerate() {
            value.into_iter().for_each(|value| context.set(output, value));
        }
        self.frames.into_iter().flatten().for_each(|(body, frame)| body.keep(frame));
        Ok(())
    }
}
