//! Running a plan.

use crate::kernel::{Environment, KernelContext};
use crate::kernels::queue_stats;
use crate::late::{Waited, WaitingRun};
use crate::plan::{Frame, Plan, PlanStep};
use crate::waiting::Wait;
use session_core::{
    CancellationToken, Code, Error, OpStats, Phase, Result, RunMetadata, RunOptions, TraceLevel, check_value,
};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant, SystemTime};
use tensor::Tensor;

/// What can end a run before its last operation.
pub(crate) struct Limits<'a> {
    /// Cancelled when the session closes.
    pub(crate) session: &'a CancellationToken,
    /// Cancelled by the caller of the run.
    pub(crate) run: Option<&'a CancellationToken>,
    pub(crate) deadline: Option<Instant>,
}

impl<'a> Limits<'a> {
    pub(crate) fn new(
        session: &'a CancellationToken,
        options: &'a RunOptions,
        default_timeout: Option<Duration>,
    ) -> Limits<'a> {
        let timeout = options.timeout.filter(|timeout| !timeout.is_zero()).or(default_timeout);
        Limits {
            session,
            run: options.cancellation.as_ref(),
            deadline: timeout.and_then(|timeout| Instant::now().checked_add(timeout)),
        }
    }

    /// For what runs outside of any run.
    pub(crate) fn of_session(session: &'a CancellationToken) -> Limits<'a> {
        Limits { session, run: None, deadline: None }
    }

    /// Asked before every operation.
    #[inline]
    pub(crate) fn check(&self) -> Result<()> {
        if self.session.is_cancelled() {
            return Err(Error::new(Code::Cancelled, "the step was cancelled: the session has been closed"));
        }
        if let Some(run) = self.run {
            run.check()?;
        }
        match self.deadline {
            Some(deadline) if Instant::now() >= deadline => {
                Err(Error::new(Code::DeadlineExceeded, "Timed out waiting for the step to finish"))
            }
            _ => Ok(()),
        }
    }
}

impl Plan {
    /// Runs the plan with these feed values, in the order of the plan's feeds.
    pub(crate) fn run<'t>(
        &self,
        environment: &Environment,
        feeds: impl Iterator<Item = &'t Tensor>,
        limits: &Limits<'_>,
        trace: TraceLevel,
        metadata: Option<&mut RunMetadata>,
    ) -> Result<Vec<Tensor>> {
        let mut frame = self.frame();
        for (slot, value) in self.feeds.iter().zip(feeds) {
            if let Some(slot) = slot {
                frame.slots[*slot as usize] = Some(value.clone());
            }
        }
        let mut waited = Waited::default();
        let ran = match metadata {
            None => self.run_steps(&mut frame, environment, limits, &mut waited, None),
            Some(metadata) => {
                self.run_recorded(&mut frame, environment, limits, &mut waited, trace, metadata)
            }
        };
        if let Err(error) = ran {
            // Whatever was computed is dropped; the frame itself is not worth keeping.
            drop(frame);
            return Err(error.with_phase(Phase::Run));
        }
        self.results(frame, &waited)
    }

    /// What a run that is through has computed.
    pub(crate) fn results(&self, mut frame: Frame, waited: &Waited) -> Result<Vec<Tensor>> {
        let fetched = self.fetches.iter().enumerate().map(|(index, fetch)| {
            let slot = &mut frame.slots[fetch.slot as usize];
            let value = if fetch.last { slot.take() } else { slot.clone() };
            // Computed, fed or constant, unless it belongs to a branch that was not taken.
            value.ok_or_else(|| Error::invalid_argument(format!("Retval[{index}] does not have value")))
        });
        let fetched = fetched.collect::<Result<Vec<_>>>()?;
        if !waited.reordered {
            self.recycle(frame);
        }
        Ok(fetched)
    }

    fn run_recorded(
        &self,
        frame: &mut Frame,
        environment: &Environment,
        limits: &Limits<'_>,
        waited: &mut Waited,
        trace: TraceLevel,
        metadata: &mut RunMetadata,
    ) -> Result<()> {
        *metadata = RunMetadata { started: Some(SystemTime::now()), ..RunMetadata::default() };
        let start = Instant::now();
        let recorder = (trace > TraceLevel::None).then_some((&mut metadata.step_stats, start));
        let ran = self.run_steps(frame, environment, limits, waited, recorder);
        metadata.elapsed = start.elapsed();
        metadata.input_wait = waited.time;
        metadata.queues = queue_stats(&environment.resources);
        ran
    }

    pub(crate) fn run_steps(
        &self,
        frame: &mut Frame,
        environment: &Environment,
        limits: &Limits<'_>,
        waited: &mut Waited,
        mut recorder: Option<(&mut Vec<OpStats>, Instant)>,
    ) -> Result<()> {
        if let Some(program) = &self.program {
            return program.run(frame, environment, limits, waited, recorder);
        }
        let mut current = 0;
        // One catch for the whole step: a kernel that panics (a broken invariant of ours) fails the step, not the
        // program, and `current` says which one it was.
        let ran = catch_unwind(AssertUnwindSafe(|| {
            if let Some(predecessors) = &self.predecessors {
                let recorder = recorder.take();
                let current = &mut current;
                let late = Vec::new();
                let mut run = WaitingRun {
                    plan: self,
                    predecessors,
                    frame,
                    environment,
                    limits,
                    recorder,
                    waited,
                    current,
                    late,
                };
                return run.run();
            }
            for (index, step) in self.steps.iter().enumerate() {
                current = index;
                limits.check()?;
                match &mut recorder {
                    None => step.run(frame, environment, limits)?,
                    Some((stats, start)) => step.run_traced(frame, environment, limits, stats, *start)?,
                }
            }
            Ok(())
        }));
        let place = |error: Error| match self.steps.get(current).and_then(|step| step.operations.first()) {
            Some(operation) => operation.place(error),
            None => error,
        };
        match ran {
            Ok(result) => result.map_err(place),
            Err(payload) => Err(place(Error::from_panic("a kernel", &*payload))),
        }
    }

    /// Checks values that are given by position against what they stand for.
    pub(crate) fn check_feeds(&self, values: &[Tensor]) -> Result<()> {
        if let Some(missing) = self.fed.get(values.len()) {
            // S-66: a missing value shows as a placeholder that is not fed.
            let text =
                format!("You must feed a value for placeholder tensor '{}'", missing.operation().name());
            return Err(missing.operation().place(Error::invalid_argument(text)));
        }
        self.fed.iter().zip(values).try_for_each(|(output, value)| check_value(output, value))
    }
}

impl PlanStep {
    #[inline]
    fn context<'c>(
        &'c self,
        frame: &'c mut Frame,
        environment: &'c Environment,
        limits: &'c Limits<'c>,
    ) -> KernelContext<'c> {
        KernelContext {
            slots: &mut frame.slots,
            inputs: &self.inputs,
            outputs: &self.outputs,
            environment,
            limits,
            scratch: &mut frame.scratch,
        }
    }

    #[inline]
    pub(crate) fn run(
        &self,
        frame: &mut Frame,
        environment: &Environment,
        limits: &Limits<'_>,
    ) -> Result<()> {
        self.kernel.run(&mut self.context(frame, environment, limits))?;
        self.release(frame);
        Ok(())
    }

    #[inline]
    fn release(&self, frame: &mut Frame) {
        for &slot in &self.release {
            frame.slots[slot as usize] = None;
        }
    }

    /// Runs the step, or begins what must be waited for.
    pub(crate) fn begin(
        &self,
        frame: &mut Frame,
        environment: &Environment,
        limits: &Limits<'_>,
    ) -> Result<Option<Box<dyn Wait>>> {
        let wait = self.kernel.begin(&mut self.context(frame, environment, limits))?;
        self.release(frame);
        Ok(wait)
    }

    /// Delivers what was waited for.
    pub(crate) fn finish(
        &self,
        frame: &mut Frame,
        environment: &Environment,
        limits: &Limits<'_>,
        wait: &mut dyn Wait,
    ) -> Result<()> {
        wait.finish(&mut self.context(frame, environment, limits))
    }

    pub(crate) fn run_traced(
        &self,
        frame: &mut Frame,
        environment: &Environment,
        limits: &Limits<'_>,
        stats: &mut Vec<OpStats>,
        start: Instant,
    ) -> Result<()> {
        let began = start.elapsed();
        self.run(frame, environment, limits)?;
        stats.push(self.stats(frame, began, start.elapsed().saturating_sub(began)));
        Ok(())
    }

    pub(crate) fn stats(&self, frame: &Frame, start: Duration, elapsed: Duration) -> OpStats {
        let join = |part: fn(&session_core::Operation) -> &str| {
            self.operations.iter().map(part).collect::<Vec<_>>().join("+")
        };
        let bytes = |slot: &u32| frame.slots.get(*slot as usize)?.as_ref().map(Tensor::byte_len);
        OpStats {
            node: join(|operation| operation.name()),
            op_type: join(|operation| operation.op_type()),
            device: "/device:CPU:0".to_owned(),
            start,
            elapsed,
            thread: 0,
            output_bytes: self.outputs.iter().filter_map(bytes).sum(),
        }
    }
}
