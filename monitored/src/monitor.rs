//! The state of both kinds of monitored session: hooks, a session creator, and the current session.

use crate::coordinated::{CoordinatedSession, is_consequence};
use crate::hook_set::HookSet;
use crate::merge::Request;
use crate::recovery::{Recovery, RecoveryPolicy};
use crate::step_context::StepContext;
use crate::unsaved::{self, Unsaved};
use checkpoint::RestoreReport;
use hooks::{HookTiming, Milestone};
use log::{error, info, warn};
use queue_runner::{StopHandle, StopReason, StopSource};
use scaffold::SessionCreator;
use session_core::{Code, Error, ErrorKind, Graph, Phase, Result, RunOptions, Session, SessionExt, Tensor};
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

/// A monitored session, recovering or not.
pub(crate) struct Monitor {
    /// Shared with the code that resolves fetches in it while this is borrowed.
    graph: Arc<Graph>,
    creator: Box<dyn SessionCreator>,
    hooks: HookSet,
    stop: StopHandle,
    grace: Duration,
    /// Absent in the singular variant, which recovers from nothing.
    policy: Option<RecoveryPolicy>,
    /// True if the graph is unfrozen at the end, because it was not frozen before (S-141 step 1).
    unfreeze: bool,
    session: Option<CoordinatedSession>,
    /// The report of the current session's restore.
    restored: Option<RestoreReport>,
    closed: bool,
    /// Kept from the session when it is closed.
    final_reason: Option<StopReason>,
    /// The last error that was reported to the hooks.
    reported: Option<Error>,
    recoveries: Vec<Recovery>,
    /// The attempts since the last successful run.
    attempts: u32,
    /// The folder into which nothing saves, if there is one. Reset by the first run.
    unsaved: Option<Unsaved>,
}

/// The parts of a [`Monitor`].
pub(crate) struct Parts {
    pub(crate) creator: Box<dyn SessionCreator>,
    pub(crate) hooks: HookSet,
    pub(crate) stop: StopHandle,
    pub(crate) grace: Duration,
    pub(crate) policy: Option<RecoveryPolicy>,
}

impl Monitor {
    /// S-141. On failure everything is as before, except for operations that hooks have added to the graph.
    pub(crate) fn new(parts: Parts) -> Result<Monitor> {
        let graph = parts.creator.graph().clone();
        let mut monitor = Monitor {
            // A graph that was frozen before belongs to a program that wants it so.
            unfreeze: !graph.is_finalized(),
            graph: Arc::new(graph),
            creator: parts.creator,
            hooks: parts.hooks,
            stop: parts.stop,
            grace: parts.grace,
            policy: parts.policy,
            session: None,
            restored: None,
            closed: false,
            final_reason: None,
            reported: None,
            recoveries: Vec::new(),
            attempts: 0,
            unsaved: None,
        };
        let begun = monitor.hooks.begin(&monitor.graph, &monitor.stop);
        let outcome = begun.and_then(|()| monitor.create());
        if let Err(error) = outcome {
            monitor.abandon(&error);
            return Err(error);
        }
        let unsaved = unsaved::find(monitor.creator.checkpoint_source(), &monitor.hooks);
        // Read now, to tell later whether the first run has trained.
        monitor.unsaved = unsaved.map(|folder| Unsaved::new(folder, monitor.global_step()));
        Ok(monitor)
    }

    // ---- creation -----------------------------------------------------------------------------------

    /// Creates a session, repeatedly while preemptions occur and the policy allows it (S-144).
    fn create(&mut self) -> Result<()> {
        loop {
            match self.create_once() {
                Ok(()) => return Ok(()),
                Err(error) if error.is_recoverable() && self.policy.is_some() => {
                    info!(
                        "an error was raised while a session was being created, which may be due to a preemption: {}",
                        error.chain()
                    );
                    // The hooks learn of each failed attempt, as of any preemption.
                    self.hooks.on_error(&error);
                    self.next_attempt(error)?;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// S-141, steps 3 to 7.
    fn create_once(&mut self) -> Result<()> {
        let Monitor { creator, stop, .. } = self;
        // A panic in an `init_fn` must still close what was started.
        let created = catch_unwind(AssertUnwindSafe(|| creator.create_session(stop.cancellation())))
            .unwrap_or_else(|payload| {
                let error = Error::from_panic("the creation of the session", payload.as_ref());
                Err(error.with_phase(Phase::Init))
            })?;
        // Before the session starts: hooks that save ask for it in their first save point.
        self.hooks.saver = self.creator.scaffold().map(|scaffold| scaffold.saver().clone());
        self.session = Some(CoordinatedSession::start(&created, &mut self.hooks, &self.stop, self.grace)?);
        self.restored = created.restored.map(|restored| restored.report);
        Ok(())
    }

    /// Counts an attempt and pauses, or gives up with the cause.
    fn next_attempt(&mut self, cause: Error) -> Result<()> {
        let Some(policy) = &self.policy else { return Err(cause) };
        // A session that is to stop anyway is not recreated.
        if self.stop.is_stop_requested() {
            return Err(cause);
        }
        self.attempts += 1;
        if !policy.allows(self.attempts) {
            // The attempt that would come next is not made, hence the difference.
            let text = format!("gave up after {} attempt(s) to recreate the session", self.attempts - 1);
            return Err(cause.context(text));
        }
        let pause = policy.pause_before(self.attempts);
        if pause.is_zero() {
            return Ok(());
        }
        info!("waiting {pause:?} before the next attempt");
        // A stop request ends the pause, and the session ends with the cause instead of an error of waiting.
        policy.waiting().wait(pause, self.stop.cancellation()).map_err(|_| cause)
    }

    // ---- running ------------------------------------------------------------------------------------

    /// Runs once with hooks; repeats the run in a new session while preemptions occur and the policy allows it (S-147).
    #[inline]
    pub(crate) fn run(&mut self, request: &mut Request<'_>) -> Result<Vec<Tensor>> {
        loop {
            match self.run_once(request) {
                Ok(values) => {
                    // Only a completed run shows that the new session works.
                    self.attempts = 0;
                    self.warn_if_unsaved();
                    return Ok(values);
                }
                Err(error) => self.after_failure(error)?,
            }
        }
    }

    /// Does the same as [`run`](Monitor::run) on the raw session. Hooks do not receive its errors. Once the loop is to stop nothing
    /// is recovered, because a recovery could evaluate an older model.
    pub(crate) fn run_without_hooks(&mut self, request: &mut Request<'_>) -> Result<Vec<Tensor>> {
        loop {
            let outcome = self.raw_session().and_then(|_| {
                let session = self.session.as_ref().ok_or_else(closed)?;
                session.hooked().run_without_hooks(request).map_err(|error| self.cause_of(error))
            });
            match outcome {
                Ok(values) => {
                    self.attempts = 0;
                    return Ok(values);
                }
                Err(error) if self.recovers_from(&error) && !self.is_to_stop() => {
                    self.after_failure(error)?
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Calls a step function, again in a new session while preemptions occur and the policy allows it (S-173).
    pub(crate) fn run_step_fn<T>(
        &mut self,
        mut step_fn: impl FnMut(&mut StepContext<'_>) -> Result<T>,
    ) -> Result<T> {
        if self.closed {
            return Err(closed());
        }
        loop {
            // The session is looked up in each round, since the one before may be lost.
            let outcome = self.raw_session().and_then(|raw| step_fn(&mut StepContext::new(self, raw)));
            match outcome {
                Ok(value) => {
                    self.attempts = 0;
                    self.warn_if_unsaved();
                    return Ok(value);
                }
                Err(error) => {
                    // The step function may have returned an echo of the background error.
                    let error = self.cause_of(error);
                    self.after_failure(error)?;
                }
            }
        }
    }

    /// Returns the raw session, for runs without hooks. A preemption in the background is reported first, so that it is recovered
    /// from; otherwise its missing input would look like the end of the training.
    fn raw_session(&mut self) -> Result<Arc<dyn Session>> {
        self.ensure_session()?;
        match self.lost_in_background() {
            Some(error) if !self.is_to_stop() => Err(error),
            _ => Ok(self.session.as_ref().ok_or_else(closed)?.raw().clone()),
        }
    }

    /// Returns true if a hook or the holder of the stop handle has requested a stop.
    fn is_to_stop(&self) -> bool {
        // A stop of a thread does not count: it may be part of a preemption that the next run recovers from.
        let hooked = self.session.as_ref().map(CoordinatedSession::hooked);
        self.stop.is_stop_requested() || hooked.is_some_and(|hooked| hooked.stop_reason().is_some())
    }

    /// Returns the error of a run without hooks, or its cause: an error in the background that explains it or can be recovered
    /// from (unlike S-175). A stop that a step function requests is returned unchanged.
    fn cause_of(&self, error: Error) -> Error {
        // The singular session recovers from nothing, so there only echoes are replaced.
        let may_be_caused = self.policy.is_some() || is_consequence(&error);
        match &self.session {
            Some(session) if may_be_caused && error.kind() != ErrorKind::StopIteration => {
                session.cause_of(error)
            }
            _ => error,
        }
    }

    /// Returns the error of a background thread, if it is a preemption from which the next run recovers.
    fn lost_in_background(&self) -> Option<Error> {
        let error = self.session.as_ref()?.background_error()?;
        self.recovers_from(&error).then_some(error)
    }

    fn recovers_from(&self, error: &Error) -> bool {
        error.is_recoverable() && self.policy.is_some() && !self.closed
    }

    #[inline]
    fn warn_if_unsaved(&mut self) {
        if let Some(unsaved) = self.unsaved.take() {
            unsaved.after_first_run(&self.graph, self.global_step());
        }
    }

    /// Runs once with hooks in the current session, without recovery (S-173).
    #[inline]
    pub(crate) fn run_once(&mut self, request: &mut Request<'_>) -> Result<Vec<Tensor>> {
        let hooks = &mut self.hooks;
        match &mut self.session {
            Some(session) => session.run(hooks, request),
            None => self.run_in_new_session(request),
        }
    }

    /// Creates a session if a failed recovery has left none (S-152).
    pub(crate) fn ensure_session(&mut self) -> Result<()> {
        match &self.session {
            Some(_) => Ok(()),
            None if self.closed => Err(closed()),
            None => self.create(),
        }
    }

    #[cold]
    fn run_in_new_session(&mut self, request: &mut Request<'_>) -> Result<Vec<Tensor>> {
        self.ensure_session()?;
        match &mut self.session {
            Some(session) => session.run(&mut self.hooks, request),
            None => Err(closed()),
        }
    }

    /// Recovers from a preemption; reports any other error to the hooks and returns it.
    #[cold]
    pub(crate) fn after_failure(&mut self, error: Error) -> Result<()> {
        if !self.recovers_from(&error) {
            self.report(&error);
            return Err(error);
        }
        let outcome = self.recover(error);
        if let Err(error) = &outcome {
            self.report(error);
        }
        outcome
    }

    /// Closes the lost session and creates a new one (S-147, S-148).
    fn recover(&mut self, cause: Error) -> Result<()> {
        warn!(
            "An error was raised, which may be due to a preemption of a connected worker or parameter server; the \
             session is closed and recreated: {}",
            cause.chain()
        );
        // Before the lost session is closed, so that hooks can still look at it.
        self.hooks.on_error(&cause);
        // The lost session may not answer any more, so the step that runs have seen is the second choice.
        let seen = self.session.as_ref().and_then(|session| session.hooked().step_seen().after());
        let step_before = self.global_step().or(seen);
        // Taken out of the monitor: if the creation fails, no lost session must be used again.
        if let Some(mut session) = self.session.take()
            && let Err(error) = session.close()
            && !error.is_recoverable()
        {
            // S-152.
            return Err(error);
        }
        self.next_attempt(cause.clone())?;
        self.create()?;
        let checkpoint = self.restored.as_ref().map(|report| report.prefix.clone());
        let step_after = self.global_step();
        let recovery = Recovery { cause, attempts: self.attempts, checkpoint, step_before, step_after };
        warn!("{recovery}");
        self.hooks.milestone(&recovery.milestone());
        self.recoveries.push(recovery);
        Ok(())
    }

    /// Returns the global step, if there is one and it can be read quickly.
    fn global_step(&self) -> Option<i64> {
        let variable = ops::global_step::global_step(&self.graph).ok()??;
        // Short, because a lost peer may never answer, and the step only serves the report.
        let options = RunOptions::with_timeout(Duration::from_secs(5));
        let session = self.session.as_ref()?.raw();
        let read = || session.run_with(variable.snapshot(), (), &options, None);
        // A report must not fail the recovery.
        let value = catch_unwind(AssertUnwindSafe(read)).ok()?.ok()?;
        value.as_scalar_i64().ok()
    }

    /// Reports an error to the hooks, once. The end of the input (S-4) and the consequences of an interruption are not errors.
    fn report(&mut self, error: &Error) {
        if error.is_end_of_input() || self.is_interruption(error) {
            return;
        }
        // One error passes several layers that report it.
        if self.reported.as_ref().is_some_and(|reported| reported.is_same(error)) {
            return;
        }
        self.reported = Some(error.clone());
        self.hooks.on_error(error);
    }

    fn is_interruption(&self, error: &Error) -> bool {
        self.stop.is_interrupted() && error.code() == Code::Cancelled
    }

    // ---- queries ------------------------------------------------------------------------------------

    pub(crate) fn shared_graph(&self) -> Arc<Graph> {
        self.graph.clone()
    }

    pub(crate) fn graph(&self) -> &Graph {
        &self.graph
    }

    pub(crate) fn stop_handle(&self) -> &StopHandle {
        &self.stop
    }

    pub(crate) fn session(&self) -> Option<&CoordinatedSession> {
        self.session.as_ref()
    }

    pub(crate) fn scaffold(&self) -> Option<&scaffold::Scaffold> {
        self.creator.scaffold()
    }

    pub(crate) fn restored(&self) -> Option<&RestoreReport> {
        self.restored.as_ref()
    }

    pub(crate) fn recoveries(&self) -> &[Recovery] {
        &self.recoveries
    }

    pub(crate) fn hook_timings(&self) -> Vec<HookTiming> {
        let session = self.session.as_ref();
        session.map_or_else(Vec::new, |session| session.hooked().timings().reported(&self.hooks.names))
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    /// S-154, S-155. A preemption in the background is not a reason to stop if the next run recovers from it.
    #[inline]
    pub(crate) fn should_stop(&self) -> bool {
        // Without a session the next run creates one, so there is something to do until the monitor is
        // closed.
        let Some(session) = &self.session else { return self.closed };
        if self.stop.is_stop_requested() {
            return true;
        }
        if !session.should_stop() {
            return false;
        }
        // A background preemption alone is no reason to stop: the next run recovers from it.
        session.hooked().stop_reason().is_some() || self.lost_in_background().is_none()
    }

    pub(crate) fn stop_reason(&self) -> Option<StopReason> {
        self.final_reason
            .clone()
            .or_else(|| self.session.as_ref().and_then(CoordinatedSession::stop_reason))
            .or_else(|| self.stop.reason())
            .or_else(|| self.closed.then(|| StopReason::new(StopSource::Closed, "")))
    }

    // ---- the end ------------------------------------------------------------------------------------

    /// The end that the owner of the session requests: `end` of all hooks, then the coordinated close, then the graph is
    /// unfrozen, whatever failed (S-157). Repeating it does nothing (unlike S-161).
    ///
    /// A background error makes it a failed end: the hooks receive the error, and their `end` is not called (unlike S-167, where
    /// the last checkpoint and final operations run on a broken state, Q-2).
    pub(crate) fn close(&mut self) -> Result<()> {
        if self.closed {
            return Ok(());
        }
        // Before `end` is called: the last checkpoint would save a model that was trained on broken input.
        if let Some(error) = self.session.as_ref().and_then(CoordinatedSession::background_error)
            && !self.recovers_from(&error)
        {
            self.abandon(&error);
            return Err(error);
        }
        // The reason is fixed before `end`, whose errors must not replace it.
        let reason = self.stop_reason().unwrap_or_else(|| StopReason::new(StopSource::Closed, ""));
        self.hooks.milestone(&Milestone::Ending { reason: &reason, timings: &self.hook_timings() });
        // A failed recovery has left no session, so nothing can be saved.
        let ended = match &self.session {
            Some(session) => self.hooks.end(&**session.raw()),
            None => Ok(()),
        };
        if let Err(error) = &ended {
            self.hooks.on_error(error);
            // Hooks after the one that failed have missed the end: this is their last chance to save.
            if let Some(session) = &self.session {
                self.hooks.failed(&**session.raw());
            }
        }
        // Whatever `end` did: threads and the session never outlive the monitor.
        let closed = self.shut();
        match (ended, closed) {
            (Ok(()), closed) => closed,
            (Err(error), Ok(())) => Err(error),
            (Err(error), Err(background)) => {
                // S-160.
                warn!(
                    "the session did not end cleanly, in addition to the background error: {}",
                    error.chain()
                );
                Err(background)
            }
        }
    }

    /// The failed end: the hooks receive the error, `end` is not called (S-136).
    pub(crate) fn abandon(&mut self, error: &Error) {
        if self.closed {
            return;
        }
        self.report(error);
        // `on_error` first, then the save point, so that hooks that save on errors know which error it was.
        if let Some(session) = &self.session {
            self.hooks.failed(&**session.raw());
        }
        self.final_reason = Some(StopReason::new(StopSource::Failure, error.message().to_owned()));
        if let Err(other) = self.shut()
            && !other.is_same(error)
        {
            warn!("could not close the session cleanly after an error: {}", other.chain());
        }
    }

    /// Closes the coordinated session and unfreezes the graph. Returns the background error, unless it can be recovered from
    /// (S-159).
    fn shut(&mut self) -> Result<()> {
        // Read before the session, which knows the reason, is gone.
        let reason = self.stop_reason();
        self.closed = true;
        self.final_reason = reason.or_else(|| Some(StopReason::new(StopSource::Closed, "")));
        let outcome = match self.session.take() {
            Some(mut session) => session.close(),
            None => Ok(()),
        };
        if self.unfreeze {
            // The session's own graph, not the current default graph.
            self.graph.unfinalize();
        }
        // The monitor may live on, and must not keep others from the folder of its training.
        self.hooks.abandoned();
        match outcome {
            Err(error) if error.is_recoverable() && self.policy.is_some() => {
                error!("could not close the session cleanly: {}", error.chain());
                Ok(())
            }
            outcome => outcome.map_err(|error| error.with_phase(Phase::Close)),
        }
    }

    /// Ends the scoped form after its body returned this error: cleanly at the end of the input and after an interruption,
    /// otherwise not (S-164). Returns the error to report.
    pub(crate) fn finish(&mut self, error: Error) -> Result<()> {
        let background = self.session.as_ref().and_then(CoordinatedSession::background_error);
        if let Some(cause) = background
            && is_consequence(&error)
        {
            // the input did not end but failed.
            self.abandon(&cause);
            return Err(cause);
        }
        if !error.is_end_of_input() && !self.is_interruption(&error) {
            self.abandon(&error);
            return Err(error);
        }
        info!("the loop ended: {}", error.chain());
        // The reason of an interruption is known already, from the stop handle.
        if !self.is_interruption(&error) {
            let source = match error.kind() {
                ErrorKind::StopIteration => StopSource::StepFn,
                _ => StopSource::EndOfInput,
            };
            self.final_reason = Some(StopReason::new(source, error.message().to_owned()));
        }
        self.close()
    }
}

impl fmt::Debug for Monitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Monitor")
            .field("hooks", &self.hooks.names)
            .field("should_stop", &self.should_stop())
            .field("stop_reason", &self.stop_reason())
            .field("closed", &self.closed)
            .field("recoveries", &self.recoveries.len())
            .finish_non_exhaustive()
    }
}

impl Drop for Monitor {
    fn drop(&mut self) {
        if self.closed {
            return;
        }
        let error = if std::thread::panicking() {
            Error::from_panic("the loop", &"see its message")
        } else {
            // After a reported error, dropping is the usual way out.
            if self.reported.is_none() {
                warn!(
                    "a monitored session was dropped without close(): `end` of its hooks is not called, and steps since \
                     the last checkpoint are not saved; call close(), or use scoped(), which closes on every way out"
                );
            }
            Error::new(Code::Cancelled, "the session was dropped without being closed")
        };
        self.abandon(&error);
    }
}

#[cold]
pub(crate) fn closed() -> Error {
    Error::runtime("the monitored session was closed and cannot be run")
}
