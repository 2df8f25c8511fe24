//! The innermost layer: runs with hooks around them.

use crate::hook_set::{HookSet, Occasion, pass, save_pass};
use crate::merge::{Merge, Request};
use crate::step_seen::StepSeen;
use crate::timings::Timings;
use hooks::{Moment, OriginalArgs, SessionRunContext, SessionRunValues};
use queue_runner::StopReason;
use session_core::{
    CancellationToken, Error, Phase, Result, RunMetadata, RunOptions, Session, Step, Tensor, TraceLevel,
};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

/// A raw session whose runs go through hooks.
pub(crate) struct HookedSession {
    raw: Arc<dyn Session>,
    /// The stop that a hook requested (S-124: not inherited by the session of a recovery).
    stop: Option<StopReason>,
    /// The options of a run that has no other options: the session's own cancellation.
    options: RunOptions,
    merge: Merge,
    timings: Timings,
    step: StepSeen,
}

impl HookedSession {
    pub(crate) fn new(
        raw: Arc<dyn Session>,
        hooks: usize,
        cancellation: &CancellationToken,
    ) -> HookedSession {
        let options = RunOptions::default().cancellation(cancellation.clone());
        let (merge, timings, step) = (Merge::new(hooks), Timings::new(hooks), StepSeen::of(raw.graph()));
        HookedSession { raw, stop: None, options, merge, timings, step }
    }

    pub(crate) fn raw(&self) -> &Arc<dyn Session> {
        &self.raw
    }

    pub(crate) fn timings(&self) -> &Timings {
        &self.timings
    }

    pub(crate) fn step_seen(&self) -> &StepSeen {
        &self.step
    }

    pub(crate) fn stop_reason(&self) -> Option<&StopReason> {
        self.stop.as_ref()
    }

    pub(crate) fn record_stop(&mut self, reason: Option<StopReason>) {
        if self.stop.is_none() {
            self.stop = reason;
        }
    }

    /// Runs once (S-120): `before_run` of all hooks, one execution of all requests, `after_run` of all hooks, the save point, and
    /// then the requested stop (S-123). Returns the fetched values, the user's first.
    pub(crate) fn run(&mut self, hooks: &mut HookSet, request: &mut Request<'_>) -> Result<Vec<Tensor>> {
        // TensorFlow also refuses a run after a stop request; a loop that ignores `should_stop` is a bug that
        // would train too long.
        if let Some(reason) = &self.stop {
            return Err(stopped(reason));
        }
        let HookSet { hooks, names, saver, .. } = hooks;
        let HookedSession { raw, merge, options: own, stop, timings, step } = self;
        let session: &dyn Session = &**raw;
        let Request { fetches, targets, feeds, .. } = *request;
        let mut context = SessionRunContext::new(session, OriginalArgs { fetches, targets, feeds });

        merge.begin(request);
        timings.begin();
        pass(hooks, names, "before_run", |index, name, hook| {
            context.enter(name);
            // Merged at once, so that an error names the hook that caused it.
            merge.add(session.graph(), index, hook.before_run(&mut context)?)?;
            timings.lap(index);
            Ok(())
        })?;

        // Always present, because hooks receive it; engines fill it in only if somebody asked.
        let mut fresh = RunMetadata::default();
        let metadata = request.metadata.as_deref_mut().unwrap_or(&mut fresh);
        let results = execute(session, merge, names, feeds, own, metadata)?;
        // Before `after_run`: the step counts as seen even if a hook fails.
        step.observe(&merge.fetches, &results);
        // The engine's time belongs to no hook.
        timings.skip();

        // S-118: the options that were used.
        let used = merge.options_used(own);
        pass(hooks, names, "after_run", |index, name, hook| {
            context.enter(name);
            let values = SessionRunValues::new(&results, merge.positions(index), used, metadata);
            hook.after_run(&mut context, &values)?;
            timings.lap(index);
            Ok(())
        })?;
        let occasion = Occasion { session, moment: Moment::Step, saver: saver.as_ref() };
        let saved = save_pass(hooks, names, occasion, |index| timings.lap(index))?;
        timings.end(names);
        // A stop from `after_run` precedes one from the save point. After an error neither is reached
        // (S-123).
        if let Some(reason) = context.take_stop().or(saved) {
            stop.get_or_insert(reason);
        }
        Ok(results)
    }

    /// Runs the request as it is, without hooks.
    pub(crate) fn run_without_hooks(&self, request: &mut Request<'_>) -> Result<Vec<Tensor>> {
        let Request { fetches, targets, feeds, .. } = *request;
        let step = Step { fetches, targets, feeds, options: request.options.unwrap_or(&self.options) };
        execute_step(&*self.raw, &step, request.metadata.as_deref_mut())
    }
}

#[inline]
fn execute(
    session: &dyn Session,
    merge: &mut Merge,
    names: &[String],
    user_feeds: &[(session_core::Endpoint, Tensor)],
    own: &RunOptions,
    metadata: &mut RunMetadata,
) -> Result<Vec<Tensor>> {
    merge.join_feeds(session.graph(), names, user_feeds)?;
    let _links = merge.join_cancellation(own);
    let options = merge.options_used(own);
    // A trace or partition graphs arrive in the metadata, so they imply it.
    let wanted =
        merge.wants_metadata || options.trace_level > TraceLevel::None || options.output_partition_graphs;
    let step = Step {
        fetches: &merge.fetches,
        targets: &merge.targets,
        feeds: merge.feeds_joined(user_feeds),
        options,
    };
    execute_step(session, &step, wanted.then_some(metadata))
}

#[inline]
fn execute_step(
    session: &dyn Session,
    step: &Step<'_>,
    metadata: Option<&mut RunMetadata>,
) -> Result<Vec<Tensor>> {
    // A panic of the engine must not unwind through hooks, which would miss `on_error`.
    let outcome = catch_unwind(AssertUnwindSafe(|| session.execute(step, metadata)))
        .unwrap_or_else(|payload| Err(Error::from_panic("the engine", payload.as_ref())));
    let results = outcome.map_err(|error| error.with_phase(Phase::Run))?;
    // Hooks index into the results, so an engine that returns too few would cause a panic far from its cause.
    if results.len() < step.fetches.len() {
        let text = format!("the engine returned {} values for {} fetches", results.len(), step.fetches.len());
        return Err(Error::new(session_core::Code::Internal, text));
    }
    Ok(results)
}

#[cold]
fn stopped(reason: &StopReason) -> Error {
    Error::runtime(format!("Run called even after should_stop requested ({reason})"))
}
