//! The executor for blocks without waits: a loop over steps.
//!
//! This is the code that every step of every training runs, and most of its cost is the dispatch of small
//! kernels. Therefore it has no queue of ready operations, no locks, and no reference counts per value: the
//! order was fixed by the compiler, the values lie in numbered slots, and a block without conditionals has no
//! guards to check. Work is divided inside kernels, over the pool, rather than between operations.
//!
//! A block without guards, waits and calls is a loop over its kernels. Everything else costs only the steps
//! that have it: a guard is one test, a call runs another block, and a step that has to wait leaves this loop
//! (`suspend.rs`).
//!
//! # What a step does
//!
//! 1. A dead step empties the slots of its last uses, clears its flag, and is done.
//! 2. `current` is set, so that an error or panic names the operation, and the limits are checked.
//! 3. The kernel runs. It finds its inputs in the slots and puts its outputs there.
//! 4. The slots of last uses are emptied, and the flag is set.
//!
//! An error ends the block at once, in the middle of everything; the frame is dropped by the caller.

use crate::calls::Calls;
use crate::kernel::{Environment, KernelContext};
use crate::limits::Limits;
use crate::plan::{Action, Block, Call, Frame, Loop, Step};
use crate::resources::Instance;
use session_core::{OpStats, Operation, Result};
use std::time::{Duration, Instant};
use tensor::Tensor;

/// The state of one run: of a plan, with all functions that it calls. `'p` is the life of the plans, `'r`
/// that of the run.
pub(crate) struct Run<'p, 'r> {
    /// The thread pool, buffers and resources.
    pub(crate) environment: &'r Environment,
    /// The time limit and cancellation of the run.
    pub(crate) limits: &'r Limits<'r>,
    /// The owner of the states of random operations; `None` if the session has them. Only runs of a dataset's
    /// functions have one.
    pub(crate) instance: Option<&'r Instance>,
    /// The list to which operations are added as they complete, and the start time of the run; `None` if the
    /// run is not traced.
    pub(crate) recorder: Option<(&'r mut Vec<OpStats>, Instant)>,
    /// The step that began last, which an error belongs to. It stays set after the step, since everything
    /// that fails belongs to some step.
    pub(crate) current: Option<&'p Step>,
    /// The time for which the thread slept because nothing in the run could continue.
    pub(crate) waited: Duration,
}

impl<'p> Run<'p, '_> {
    /// Runs all steps of a block in their order. The block must not contain steps that wait: their kernels
    /// would block the thread.
    ///
    /// # Errors
    /// The error of the first step that fails, without the name of the operation; `Run::current` has it.
    #[inline]
    pub(crate) fn block(&mut self, block: &'p Block, frame: &mut Frame) -> Result<()> {
        for step in &block.steps {
            self.step(step, frame)?;
        }
        Ok(())
    }

    /// Runs a step if it is alive. Returns true if it was.
    ///
    /// Also used by `suspend.rs`, for the steps that do not wait.
    #[inline]
    pub(crate) fn step(&mut self, step: &'p Step, frame: &mut Frame) -> Result<bool> {
        if !step.is_alive(frame) {
            self.skip(step, frame);
            return Ok(false);
        }
        match &step.action {
            Action::Kernel(kernel) => {
                self.begins(step)?;
                let began = self.elapsed();
                kernel.run(&mut self.context(step, frame))?;
                step.release(frame);
                // After the release, which empties inputs only: the outputs are still there to be measured.
                self.record(step, frame, began);
            }
            Action::Holder(holder) => {
                self.begins(step)?;
                let began = self.elapsed();
                holder.kernel.run_with(&mut self.context(step, frame), &holder.functions)?;
                step.release(frame);
                self.record(step, frame, began);
            }
            // It has no inputs to release, and nothing to record.
            Action::Order => {}
            Action::Call(call) => {
                let began = self.elapsed();
                self.call(step, call, frame)?;
                step.release(frame);
                self.record(step, frame, began);
            }
            Action::Loop(body) => {
                self.rounds(body, step, frame)?;
            }
        }
        step.note(frame, true);
        Ok(true)
    }

    /// Passes a step that is not alive: its inputs are released, and its flag records that it did not run.
    pub(crate) fn skip(&mut self, step: &'p Step, frame: &mut Frame) {
        step.release(frame);
        step.note(frame, false);
    }

    /// Returns the kernel's view of a step: its inputs and outputs in this frame, and what it may use of the
    /// session.
    #[inline]
    pub(crate) fn context<'c>(&'c self, step: &'c Step, frame: &'c mut Frame) -> KernelContext<'c> {
        KernelContext {
            slots: &mut frame.slots,
            inputs: &step.inputs,
            outputs: &step.outputs,
            environment: self.environment,
            limits: self.limits,
            instance: self.instance,
            scratch: &mut frame.scratch,
        }
    }

    /// Makes a step the one that errors are attributed to, and checks whether the run is over.
    #[inline]
    pub(crate) fn begins(&mut self, step: &'p Step) -> Result<()> {
        self.current = Some(step);
        self.limits.check()
    }

    /// Runs the functions of a calling step to the end, in frames of their own.
    fn call(&mut self, step: &'p Step, call: &'p Call, frame: &mut Frame) -> Result<()> {
        self.begins(step)?;
        let mut calls = Calls::begin(call, &mut self.context(step, frame))?;
        while let Some(body) = calls.next()? {
            self.block(&body.block, calls.frame())?;
            self.begins(step)?;
            // The functions have set `current` to their own steps.
            calls.end()?;
        }
        calls.deliver(&mut self.context(step, frame))
    }

    /// Runs the iterations of a loop to the end. They share the frame of the plan: each iteration overwrites
    /// the values of the one before.
    fn rounds(&mut self, body: &'p Loop, step: &'p Step, frame: &mut Frame) -> Result<()> {
        self.enter(body, step, frame)?;
        let mut round = 0;
        while self.begin_round(body, frame)? {
            self.block(&body.body, frame)?;
            if !body.end_round(&mut round, frame) {
                break;
            }
        }
        self.leave(body, step, frame);
        Ok(())
    }

    /// Enters a loop, before its first iteration: empties the outputs, resets the flags of its exits, and
    /// runs the `Enter` steps.
    pub(crate) fn enter(&mut self, body: &'p Loop, step: &'p Step, frame: &mut Frame) -> Result<()> {
        // A loop inside another one runs again and again. If no `Exit` runs this time, its outputs are dead
        // and not those of the last time.
        step.outputs.iter().for_each(|&slot| frame.clear(slot));
        body.exits.iter().for_each(|&flag| frame.flags[flag as usize] = false);
        for enter in &body.enters {
            self.step(enter, frame)?;
        }
        Ok(())
    }

    /// Runs the heads of a loop. Returns false if none of them has a value: the loop was entered with dead
    /// values.
    ///
    /// # Errors
    /// The limits of the run, which are checked in each iteration even if its steps are all dead.
    pub(crate) fn begin_round(&mut self, body: &'p Loop, frame: &mut Frame) -> Result<bool> {
        // A loop that carries nothing has no heads and runs its body once.
        let mut begins = body.heads.is_empty();
        for head in &body.heads {
            begins |= self.step(head, frame)?;
        }
        if begins {
            self.limits.check()?;
        }
        Ok(begins)
    }

    /// Leaves a loop after its last iteration. Values that entered it and values from outside are no longer
    /// needed.
    pub(crate) fn leave(&mut self, body: &'p Loop, step: &'p Step, frame: &mut Frame) {
        body.entered.iter().for_each(|&slot| frame.clear(slot));
        step.release(frame);
    }

    /// Returns the time since the start of the run if the run is recorded, and otherwise zero, because
    /// reading the clock costs as much as a small kernel.
    #[inline]
    pub(crate) fn elapsed(&self) -> Duration {
        self.recorder.as_ref().map_or(Duration::ZERO, |(_, start)| start.elapsed())
    }

    /// Adds a completed step to the record if there is one. `began` is the time of its beginning since the
    /// start of the run, and the size is that of the outputs that something needs.
    #[inline]
    pub(crate) fn record(&mut self, step: &Step, frame: &Frame, began: Duration) {
        if let Some((stats, start)) = &mut self.recorder {
            let elapsed = start.elapsed().saturating_sub(began);
            let bytes = |slot: &u32| frame.slots.get(*slot as usize)?.as_ref().map(Tensor::byte_len);
            let bytes = step.outputs.iter().filter_map(bytes).sum();
            stats.push(stats_of(&step.operations, began, elapsed, bytes));
        }
    }
}

/// Returns the statistics of fused operations.
///
/// The names and types of fused operations are joined by `+`, for example `MatMul+BiasAdd+Relu`. The device
/// and the thread are always those of the calling thread.
pub(crate) fn stats_of(
    operations: &[Operation],
    start: Duration,
    elapsed: Duration,
    bytes: usize,
) -> OpStats {
    let join = |part: fn(&Operation) -> &str| operations.iter().map(part).collect::<Vec<_>>().join("+");
    OpStats {
        node: join(|operation| operation.name()),
        op_type: join(|operation| operation.op_type()),
        device: "/device:CPU:0".to_owned(),
        start,
        elapsed,
        thread: 0,
        output_bytes: bytes,
    }
}
