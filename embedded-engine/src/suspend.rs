//! The executor for blocks in which something may wait for another thread, or for another part of the same
//! step.
//!
//! A block runs in its order as long as nothing waits. An operation that waits is suspended, as is a loop in
//! the middle of an iteration, or a function in the middle of its body, and everything that depends on it is
//! deferred; the rest continues. The thread sleeps only if nothing in any block can run. A loop that fills a
//! queue and another one that empties it therefore alternate within one step, and no thread but the caller's
//! is occupied.
//!
//! ```text
//!   dequeue  ──►  matmul  ──►  assign        dequeue waits: it is suspended
//!                                │           matmul, assign, and the read after it are deferred
//!   enqueue                    read          enqueue continues, and may complete the dequeue
//! ```
//!
//! The dependencies include the order that the schedule gave to reads and updates of a variable, so that the
//! results of a step do not depend on which operation waited for which.
//!
//! **Cost.** While nothing is suspended, no bookkeeping happens. A suspended step costs its own outgoing
//! edges, regardless of the size of the block.
//!
//! **Memory.** The plan empties a slot at the last use *in its order*. A deferred step runs later than that,
//! so its inputs are kept for it and put back into their slots when it runs.
//!
//! # States of a step
//!
//! ```text
//!               not reached (index >= next)
//!                     │
//!        nothing holds it        a suspended step holds it
//!                     │                    │
//!                   begin               deferred: inputs kept in `held`
//!                 │      │                 │ the last edge is released
//!              done   suspended            ▼
//!                       │ resume        `ready` ──► begin
//!                     done
//! ```
//!
//! **When may a step run before an earlier one?** If no path of `Block::dependents` leads to it from a
//! suspended or deferred step. `held_by` counts the edges on which it still waits. A deferred step holds its
//! own dependents at once, so the count of direct edges is enough and no path is ever searched.
//!
//! **Termination.** Each pass over a block runs every step that can run. If nothing ran to the end and no
//! wait is complete, the thread sleeps until another thread completes one; a step that only waits for itself
//! is ended by the time limit of the run, or never.
//!
//! **Errors.** An error leaves everything as it is: dropping the waits unregisters them without an effect,
//! and the frame is not reused.

use crate::calls::Calls;
use crate::execute::Run;
use crate::kernel::{UNUSED, Wait};
use crate::plan::{Action, Block, Frame, Loop, Step};
use crate::waiting::wait_until;
use rustc_hash::FxHashMap;
use session_core::Result;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};
use tensor::Tensor;

/// A block that is running, and what is suspended in it. One for each level of loops and functions that are
/// suspended inside each other.
struct Running<'p> {
    /// The block that runs, or the body of a loop in one iteration.
    block: &'p Block,
    /// The number of the first step that the block has not reached yet.
    next: u32,
    /// For each step, the number of edges that lead to it from steps that are suspended or deferred. Empty
    /// until a step is suspended, so that blocks without waits pay nothing.
    held_by: Vec<u32>,
    /// The deferred steps, each with the inputs that it had when the block passed it: the steps that run
    /// before it may be the last users of these values, and would drop them.
    held: FxHashMap<u32, Kept>,
    /// The deferred steps that nothing holds any more, the first of the block on top.
    ready: BinaryHeap<Reverse<u32>>,
    /// The suspended steps, in the order of the block, which is also the order in which they are resumed.
    waiting: Vec<Waiting<'p>>,
}

/// The inputs of a deferred step, with their slots, which other steps may empty meanwhile. A dead input is
/// absent.
type Kept = Vec<(u32, Tensor)>;

/// A suspended step.
struct Waiting<'p> {
    /// The number of the step in its block.
    index: u32,
    /// The point at which it was suspended.
    state: State<'p>,
    /// The inputs of a loop, which return to the frame whenever it resumes. Empty for operations and calls,
    /// which have taken theirs.
    kept: Kept,
}

/// The point at which a step was suspended.
enum State<'p> {
    /// An operation that waits, with the time of its beginning.
    Operation(Box<dyn Wait>, Duration),
    /// A loop in the middle of an iteration, with the number of iterations before it.
    Loop(Box<Running<'p>>, u64),
    /// A call in the middle of a function, with the time of the operation's beginning.
    Call(Box<Calling<'p>>, Duration),
}

/// A calling step in the middle of a function.
struct Calling<'p> {
    /// The progress of the call. It owns the frame of the function.
    calls: Calls<'p>,
    /// The block of the function, with what is suspended in it.
    body: Running<'p>,
}

impl<'p> Running<'p> {
    /// Begins a block, of which nothing has run. It allocates nothing.
    fn new(block: &'p Block) -> Running<'p> {
        let (held_by, held, ready, waiting) = Default::default();
        Running { block, next: 0, held_by, held, ready, waiting }
    }

    /// Returns a step of the block.
    fn step(&self, index: u32) -> &'p Step {
        &self.block.steps[index as usize]
    }

    /// Returns true if a suspended step, in this block or further inside, can resume. Called in the loop that
    /// waits, so it only looks.
    fn can_go_on(&self) -> bool {
        self.waiting.iter().any(|waiting| waiting.state.can_go_on())
    }

    /// Defers a step that depends on a suspended one.
    ///
    /// Its inputs are copied as handles now, because the block moves on to steps that may be their last
    /// users. The steps that depend on it are held in turn.
    fn defer(&mut self, index: u32, frame: &Frame) {
        self.held.insert(index, keep(self.step(index), frame));
        self.hold(index);
    }

    /// Holds the steps that depend on a suspended step.
    ///
    /// `index` is a suspended or deferred step of this block.
    fn hold(&mut self, index: u32) {
        let Some(dependents) = &self.block.dependents else { return };
        // Allocated at the first suspension: most steps of most programs never wait.
        self.held_by.resize(self.block.steps.len(), 0);
        for dependent in &dependents[index as usize] {
            self.held_by[dependent.step as usize] += 1;
        }
    }

    /// Releases the steps that depended on a suspended step, which has now run.
    ///
    /// Also called for a deferred step that has run. `frame` still has the outputs of the step.
    fn let_go(&mut self, index: u32, frame: &Frame) {
        let Some(dependents) = &self.block.dependents else { return };
        for dependent in &dependents[index as usize] {
            let left = &mut self.held_by[dependent.step as usize];
            // A dependent that the block has not reached needs no more than the count: it takes its inputs
            // from the slots when its turn comes.
            *left -= 1;
            let Some(kept) = self.held.get_mut(&dependent.step) else { continue };
            // The value of the suspended step arrives only now; its slot may be emptied by a user that runs
            // before this one.
            if dependent.slot != UNUSED
                && let Some(value) = &frame.slots[dependent.slot as usize]
            {
                kept.push((dependent.slot, value.clone()));
            }
            if *left == 0 {
                self.ready.push(Reverse(dependent.step));
            }
        }
    }

    /// Calls `see` for each operation that waits, in this block or further inside.
    fn each_wait(&self, see: &mut impl FnMut(&'p Step, &dyn Wait)) {
        for waiting in &self.waiting {
            match &waiting.state {
                State::Operation(wait, _) => see(self.step(waiting.index), wait.as_ref()),
                State::Loop(round, _) => round.each_wait(see),
                State::Call(calling, _) => calling.body.each_wait(see),
            }
        }
    }
}

impl State<'_> {
    /// Returns true if the step can resume: its wait is done, or something inside its loop or function can
    /// resume.
    fn can_go_on(&self) -> bool {
        match self {
            State::Operation(wait, _) => wait.is_done(),
            State::Loop(round, _) => round.can_go_on(),
            State::Call(calling, _) => calling.body.can_go_on(),
        }
    }
}

/// Returns the inputs of a step that exist, with their slots. The values are shared, so a kernel will not
/// write in place while they are kept.
fn keep(step: &Step, frame: &Frame) -> Kept {
    let value = |slot: u32| frame.slots[slot as usize].clone().map(|value| (slot, value));
    step.inputs.iter().filter_map(|input| value(input.slot)).collect()
}

/// Puts kept inputs back into slots that were emptied meanwhile. Returns these slots, which are emptied again
/// after the step.
///
/// A slot that is filled has the same value, or that of the suspended step that has just arrived, and stays
/// as it is.
fn put_back(kept: &Kept, frame: &mut Frame) -> Vec<u32> {
    let mut filled = Vec::new();
    for (slot, value) in kept {
        let place = &mut frame.slots[*slot as usize];
        if place.is_none() {
            *place = Some(value.clone());
            filled.push(*slot);
        }
    }
    filled
}

impl<'p> Run<'p, '_> {
    /// Runs a block to its end, whatever it waits for. The thread sleeps only while nothing in the block can
    /// run.
    ///
    /// # Errors
    /// The error of an operation, which `Run::current` names; `Cancelled` or `DeadlineExceeded` with a
    /// description of all waits.
    pub(crate) fn whole_block(&mut self, block: &'p Block, frame: &mut Frame) -> Result<()> {
        let mut running = Running::new(block);
        while !self.go_on(&mut running, frame)? {
            if running.can_go_on() {
                continue;
            }
            // An error while waiting names the first operation that waits.
            let mut first = None;
            running.each_wait(&mut |step, _| first = first.or(Some(step)));
            self.current = first.or(self.current);
            let describe = || {
                let mut texts = Vec::new();
                running.each_wait(&mut |_, wait| texts.push(wait.describe()));
                texts.join("; ")
            };
            let start = Instant::now();
            let ended = wait_until(self.limits, || running.can_go_on(), describe);
            self.waited += start.elapsed();
            ended?;
        }
        Ok(())
    }

    /// Runs everything in a block that can run. Returns true if the block has ended, and false if steps are
    /// suspended.
    ///
    /// Called again for the same block, it continues where it was.
    fn go_on(&mut self, running: &mut Running<'p>, frame: &mut Frame) -> Result<bool> {
        // First the suspended steps, then the deferred ones, then the rest, each in the order of the block.
        for waiting in std::mem::take(&mut running.waiting) {
            let index = waiting.index;
            let left = if waiting.state.can_go_on() {
                self.resume(waiting, running.step(index), frame)?
            } else {
                Some(waiting)
            };
            match left {
                Some(waiting) => running.waiting.push(waiting),
                None => running.let_go(index, frame),
            }
        }
        // A step that runs here may release further ones, which the heap then returns in the order of the
        // block.
        while let Some(Reverse(index)) = running.ready.pop() {
            let kept = running.held.remove(&index).unwrap_or_default();
            match self.begin(index, running.step(index), &kept, frame)? {
                None => running.let_go(index, frame),
                Some(waiting) => {
                    let place = running.waiting.partition_point(|earlier| earlier.index < index);
                    running.waiting.insert(place, waiting);
                }
            }
        }
        while (running.next as usize) < running.block.steps.len() {
            let index = running.next;
            running.next += 1;
            if running.held_by.get(index as usize).is_some_and(|&edges| edges > 0) {
                running.defer(index, frame);
                // Out of order, the last use of a value may come before another one, so values may be left in
                // the frame: it is not used again.
                frame.reordered = true;
            } else if let Some(waiting) = self.begin(index, running.step(index), &Kept::new(), frame)? {
                running.hold(index);
                running.waiting.push(waiting);
                frame.reordered = true;
            }
        }
        Ok(running.waiting.is_empty())
    }

    /// Begins a step that nothing holds, with the inputs that were kept for it. Returns it if it waits.
    ///
    /// `kept` is empty for a step that runs in its turn: its inputs are in their slots.
    fn begin(
        &mut self,
        index: u32,
        step: &'p Step,
        kept: &Kept,
        frame: &mut Frame,
    ) -> Result<Option<Waiting<'p>>> {
        let filled = put_back(kept, frame);
        let begun = if step.waits && step.is_alive(frame) {
            self.begin_waiting(index, step, frame)
        } else {
            self.step(step, frame).map(|_| None)
        };
        // Values that the step has not taken are dropped: they were only lent to it.
        filled.into_iter().for_each(|slot| frame.clear(slot));
        begun
    }

    /// Begins an operation that may wait. If it completes at once, nothing is registered.
    ///
    /// After this the step has taken its inputs: an operation has moved them into its wait, a call into its
    /// arguments, and a loop keeps them.
    ///
    /// # Errors
    /// Those of the operation or of the steps inside; nothing is registered then.
    fn begin_waiting(
        &mut self,
        index: u32,
        step: &'p Step,
        frame: &mut Frame,
    ) -> Result<Option<Waiting<'p>>> {
        let waiting = |state, kept| Ok(Some(Waiting { index, state, kept }));
        self.begins(step)?;
        let began = self.elapsed();
        match &step.action {
            Action::Kernel(kernel) => {
                // The release comes before the wait is stored, so that a suspended dequeue does not keep
                // large inputs alive.
                let wait = kernel.begin(&mut self.context(step, frame))?;
                step.release(frame);
                if let Some(wait) = wait {
                    return waiting(State::Operation(wait, began), Kept::new());
                }
                self.record(step, frame, began);
            }
            Action::Call(call) => {
                let calls = Calls::begin(call, &mut self.context(step, frame))?;
                step.release(frame);
                if let Some(calling) = self.call_on(step, calls, frame)? {
                    return waiting(State::Call(Box::new(calling), began), Kept::new());
                }
                self.record(step, frame, began);
            }
            Action::Loop(body) => {
                // A step that runs while the loop is suspended may be the last user of a value that the loop
                // needs.
                let kept = keep(step, frame);
                self.enter(body, step, frame)?;
                let mut number = 0;
                if self.begin_round(body, frame)? {
                    let mut round = Running::new(&body.body);
                    if !self.rounds_on(body, &mut number, &mut round, frame)? {
                        return waiting(State::Loop(Box::new(round), number), kept);
                    }
                }
                self.leave(body, step, frame);
            }
            // An operation that only keeps functions does not wait for what they may wait for.
            Action::Order | Action::Holder(_) => {}
        }
        step.note(frame, true);
        Ok(None)
    }

    /// Resumes a suspended step. Returns it if it waits again.
    ///
    /// Called only if `can_go_on` is true for it.
    fn resume(
        &mut self,
        mut waiting: Waiting<'p>,
        step: &'p Step,
        frame: &mut Frame,
    ) -> Result<Option<Waiting<'p>>> {
        match (&step.action, waiting.state) {
            (_, State::Operation(mut wait, began)) => {
                self.current = Some(step);
                // Its outputs go to the slots of the step, which the plan has reserved for them.
                wait.finish(&mut self.context(step, frame))?;
                self.record(step, frame, began);
            }
            (Action::Loop(body), State::Loop(mut round, mut number)) => {
                let filled = put_back(&waiting.kept, frame);
                // The slots are emptied before the error is returned, so that the frame stays consistent
                // until it is dropped.
                let ended = self.rounds_on(body, &mut number, &mut round, frame);
                if matches!(ended, Ok(true)) {
                    self.leave(body, step, frame);
                }
                filled.into_iter().for_each(|slot| frame.clear(slot));
                if !ended? {
                    waiting.state = State::Loop(round, number);
                    return Ok(Some(waiting));
                }
            }
            (Action::Call(_), State::Call(mut calling, began)) => {
                let Calling { calls, body } = &mut *calling;
                if !self.go_on(body, calls.frame())? {
                    waiting.state = State::Call(calling, began);
                    return Ok(Some(waiting));
                }
                // The time limit is checked between functions, not only between the steps of one.
                self.begins(step)?;
                calls.end()?;
                if let Some(calling) = self.call_on(step, calling.calls, frame)? {
                    waiting.state = State::Call(Box::new(calling), began);
                    return Ok(Some(waiting));
                }
                self.record(step, frame, began);
            }
            // Only loops wait in rounds, and only calls in bodies.
            (_, State::Loop(..) | State::Call(..)) => {}
        }
        step.note(frame, true);
        Ok(None)
    }

    /// Runs the iterations of a loop. Returns true after the last one, and false if one of them waits.
    ///
    /// `number` counts the iterations that are through, and `round` is the block of the current one; both are
    /// updated.
    fn rounds_on(
        &mut self,
        body: &'p Loop,
        number: &mut u64,
        round: &mut Running<'p>,
        frame: &mut Frame,
    ) -> Result<bool> {
        loop {
            if !self.go_on(round, frame)? {
                return Ok(false);
            }
            if !body.end_round(number, frame) || !self.begin_round(body, frame)? {
                return Ok(true);
            }
            // Each iteration begins with nothing suspended: one ends only when all of its steps have.
            *round = Running::new(&body.body);
        }
    }

    /// Runs the functions of a call. Returns the one that waits, or `None` when the outputs are delivered.
    ///
    /// The call has no function that is suspended when this is called.
    fn call_on(
        &mut self,
        step: &'p Step,
        mut calls: Calls<'p>,
        frame: &mut Frame,
    ) -> Result<Option<Calling<'p>>> {
        while let Some(plan) = calls.next()? {
            let mut body = Running::new(&plan.block);
            if !self.go_on(&mut body, calls.frame())? {
                return Ok(Some(Calling { calls, body }));
            }
            self.begins(step)?;
            calls.end()?;
        }
        calls.deliver(&mut self.context(step, frame))?;
        Ok(None)
    }
}
