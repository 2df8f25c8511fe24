//! The entry to a plan: one run with its frame, its limits, its record, and its errors.
//!
//! # One run
//!
//! A frame is taken from the plan and filled with the feeds; the block runs, with or without waits; the
//! results are taken out, and the frame goes back. On an error the frame is dropped with whatever was
//! computed, the error gets the operation of `Run::current` and its place in the program, and effects that
//! steps had before it remain, as in TensorFlow.
//!
//! Metadata is filled also for a run that fails: the trace ends with the last operation that completed.

use crate::execute::{Run, stats_of};
use crate::kernel::{Body, Caller, Environment};
use crate::kernels::{iterator_stats, queue_stats};
use crate::limits::Limits;
use crate::plan::Plan;
use session_core::{Error, Phase, Result, RunMetadata, TraceLevel, check_value};
use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant, SystemTime};
use tensor::Tensor;

impl Body for Plan {
    fn call(&self, caller: &Caller<'_>, arguments: Vec<Tensor>) -> Result<Vec<Tensor>> {
        self.check_arguments(arguments.len())?;
        let Caller { environment, limits, instance } = *caller;
        let mut frame = self.fed(arguments.into_iter().map(Cow::Owned));
        let (recorder, waited) = (None, Duration::ZERO);
        let mut run = Run { environment, limits, instance, recorder, current: None, waited };
        self.run_block(&mut run, &mut frame)?;
        self.results(frame)
    }

    fn is_pure(&self) -> bool {
        self.pure
    }

    fn may_end(&self) -> bool {
        self.ends
    }

    fn may_block(&self) -> bool {
        self.blocks
    }
}

impl Plan {
    /// Runs the plan with these feed values, in the order of the plan's feeds.
    ///
    /// `trace` above `None` records each operation. `metadata` is overwritten (S-64); without it nothing is
    /// recorded.
    ///
    /// # Errors
    /// The error of the first operation that fails, or of the limit that ended the run; a panic of a kernel
    /// is `Internal`.
    pub(crate) fn run<'t>(
        &self,
        environment: &Environment,
        feeds: impl Iterator<Item = &'t Tensor>,
        limits: &Limits<'_>,
        trace: TraceLevel,
        metadata: Option<&mut RunMetadata>,
    ) -> Result<Vec<Tensor>> {
        // Feeds are cloned handles: the caller keeps its tensors, and kernels never write into them.
        let mut frame = self.fed(feeds.map(Cow::Borrowed));
        let (recorder, waited) = (None, Duration::ZERO);
        let mut run = Run { environment, limits, instance: None, recorder, current: None, waited };
        let Some(metadata) = metadata else {
            // Where it fails, what was computed is dropped with the frame.
            self.run_block(&mut run, &mut frame)?;
            return self.results(frame);
        };
        *metadata = RunMetadata { started: Some(SystemTime::now()), ..RunMetadata::default() };
        // The wall clock says when the run began, the monotonic one how long things took.
        let start = Instant::now();
        if trace > TraceLevel::None {
            let known = self.known.iter();
            metadata.step_stats = known
                .map(|(operation, value)| {
                    let operation = std::slice::from_ref(operation);
                    stats_of(operation, Duration::ZERO, Duration::ZERO, value.byte_len())
                })
                .collect();
            run.recorder = Some((&mut metadata.step_stats, start));
        }
        let ran = self.run_block(&mut run, &mut frame);
        metadata.input_wait = run.waited;
        metadata.elapsed = start.elapsed();
        metadata.queues = queue_stats(&environment.resources);
        metadata.queues.extend(iterator_stats(&environment.resources));
        ran?;
        self.results(frame)
    }

    /// Runs the block of a plan, and suspends it if a step has to wait.
    ///
    /// # Errors
    /// The error with the operation and the place in the program where it was created; that of the innermost
    /// function wins.
    fn run_block<'p>(&'p self, run: &mut Run<'p, '_>, frame: &mut crate::plan::Frame) -> Result<()> {
        // One catch for the whole step: a kernel that panics (a broken invariant of ours) fails the step, not
        // the program, and the run knows which one it was.
        let ran = catch_unwind(AssertUnwindSafe(|| {
            if self.block.waits() {
                run.whole_block(&self.block, frame)
            } else {
                run.block(&self.block, frame)
            }
        }));
        let place = |error: Error| {
            let error = match run.current.and_then(|step| step.operations.first()) {
                Some(operation) => operation.place(error),
                None => error,
            };
            error.with_phase(Phase::Run)
        };
        match ran {
            Ok(result) => result.map_err(place),
            Err(payload) => Err(place(Error::from_panic("a kernel", &*payload))),
        }
    }

    /// Checks values that are given by position against the dtypes and shapes of their placeholders.
    ///
    /// # Errors
    /// `InvalidArgument` for a missing value (S-66), and a `Type` or `Value` error for one whose dtype or
    /// shape does not fit. Values beyond the last feed are ignored.
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
