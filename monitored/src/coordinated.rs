//! The middle layer: a session with its coordinator and background threads.

use crate::hook_set::HookSet;
use crate::hooked::HookedSession;
use crate::merge::Request;
use log::{debug, error, info, warn};
use queue_runner::{
    Coordinator, JoinOptions, ManagedThread, QUEUE_RUNNERS, StopHandle, StopReason, start_queue_runners,
};
use scaffold::CreatedSession;
use session_core::{Code, Error, Result, Session, Tensor};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A hooked session, the coordinator of its background threads, and these threads.
pub(crate) struct CoordinatedSession {
    hooked: HookedSession,
    coordinator: Coordinator,
    threads: Vec<ManagedThread>,
    grace: Duration,
    stop: StopHandle,
    /// True if the coordinator and the raw session are closed.
    closed: bool,
}

impl CoordinatedSession {
    /// Starts the queue runners of a created session, informs the hooks (S-141, steps 4 to 6), and starts their queue runners. If that fails, the threads
    /// are stopped and the session is closed (unlike S-134, S-144).
    pub(crate) fn start(
        created: &CreatedSession,
        hooks: &mut HookSet,
        stop: &StopHandle,
        grace: Duration,
    ) -> Result<CoordinatedSession> {
        let raw = created.session.clone();
        let mut session = CoordinatedSession {
            hooked: HookedSession::new(raw, hooks.names.len(), stop.cancellation()),
            // S-142: here no error of a thread counts as a clean stop.
            coordinator: Coordinator::with_clean_stop(&[]),
            threads: Vec::new(),
            grace,
            stop: stop.clone(),
            closed: false,
        };
        match session.start_threads_and_hooks(created, hooks) {
            Ok(()) => Ok(session),
            Err(error) => {
                // The first error is the cause; one of closing is only logged.
                if let Err(other) = session.close() {
                    warn!("could not close a session that could not be set up: {}", other.chain());
                }
                Err(error)
            }
        }
    }

    fn start_threads_and_hooks(&mut self, created: &CreatedSession, hooks: &mut HookSet) -> Result<()> {
        // Before the hooks, as in TensorFlow: `after_create_session` may run the input.
        let raw = self.hooked.raw();
        if !raw.graph().collection(&QUEUE_RUNNERS).is_empty() {
            self.threads = start_queue_runners(raw, Some(&self.coordinator))?;
        }
        let raw = self.hooked.raw().clone();
        let stop = hooks.session_created(&*raw, &self.coordinator, created.restored.as_ref())?;
        self.hooked.record_stop(stop);
        // Only now, because a hook may prepare in `after_create_session` what its runners need.
        for runner in hooks.queue_runners() {
            let threads = runner.create_threads(&raw, Some(&self.coordinator));
            threads.iter().try_for_each(ManagedThread::start)?;
            // Kept even if the start of a later runner fails, so that `close` joins those that run.
            self.threads.extend(threads);
        }
        Ok(())
    }

    pub(crate) fn raw(&self) -> &Arc<dyn Session> {
        self.hooked.raw()
    }

    pub(crate) fn hooked(&self) -> &HookedSession {
        &self.hooked
    }

    /// Returns the error of a background thread, if there is one. Costs one load if there is none.
    #[inline]
    pub(crate) fn background_error(&self) -> Option<Error> {
        if self.coordinator.has_error() { self.coordinator.error() } else { None }
    }

    /// Runs once. A background error is reported before the run, where TensorFlow continues (S-150). If both a run and a
    /// background thread fail, the error that caused the other is reported (S-149).
    #[inline]
    pub(crate) fn run(&mut self, hooks: &mut HookSet, request: &mut Request<'_>) -> Result<Vec<Tensor>> {
        // TensorFlow keeps training on the input that is left, and reports the error at the end. Here the
        // loop learns of it at the next step.
        if let Some(error) = self.background_error() {
            return Err(error);
        }
        // Checked before the run: the token of an interrupted session would cancel it halfway.
        if self.stop.is_interrupted() {
            return Err(interrupted(&self.stop));
        }
        self.hooked.run(hooks, request).map_err(|error| self.cause_of(error))
    }

    /// Returns the error to report for a failed run. A preemption is returned unchanged; any other error is replaced by a
    /// preemption in the background (S-149). An error which only reports that something was closed or cancelled is replaced by any error
    /// in the background, because that is the cause (unlike S-149; Q-2).
    #[cold]
    pub(crate) fn cause_of(&self, error: Error) -> Error {
        if error.is_recoverable() {
            return error;
        }
        match self.background_error() {
            Some(cause) if cause.is_recoverable() || is_consequence(&error) => {
                info!("a run failed because of a background error: {}", error.chain());
                cause
            }
            _ => error,
        }
    }

    /// Returns the reason why the loop should stop, if it should (S-154).
    pub(crate) fn stop_reason(&self) -> Option<StopReason> {
        // The hook's reason first: it is the more specific one, and the coordinator often stops because of
        // it.
        self.hooked.stop_reason().cloned().or_else(|| self.coordinator.stop_reason())
    }

    /// Returns true if a hook or a thread requested a stop. Takes no lock.
    #[inline]
    pub(crate) fn should_stop(&self) -> bool {
        self.hooked.stop_reason().is_some() || self.coordinator.should_stop()
    }

    /// Stops the background threads and closes the raw session, whatever happens (S-158).
    ///
    /// # Errors
    /// Returns the errors of background threads.
    pub(crate) fn close(&mut self) -> Result<()> {
        // Set first, so that a failure in here is not repeated by `drop`.
        if std::mem::replace(&mut self.closed, true) {
            return Ok(());
        }
        // First the request, so that threads between two runs end on their own.
        self.coordinator.request_stop_because("the session is closed");
        self.release_threads();
        let begun = Instant::now();
        // Live threads are not an error: a thread that never returns must not keep the training from ending.
        // They are named in the log.
        let options = JoinOptions::default().stop_grace_period(self.grace).ignore_live_threads(true);
        let joined = self.coordinator.join_with(&self.threads, &options);
        // A lost peer learns nothing of the closing, which is worth a message. Other errors mostly say that the
        // session is closed already.
        if let Err(error) = self.hooked.raw().close() {
            if error.is_recoverable() {
                error!("could not close the session cleanly: {}", error.chain());
            } else {
                debug!("closing the raw session: {}", error.chain());
            }
        }
        // Threads of the session itself, such as those that prefetch, share the grace period with the others.
        let alive = self.hooked.raw().join_threads(self.grace.saturating_sub(begun.elapsed()));
        if !alive.is_empty() {
            info!("the session was closed with threads still running: {}", alive.join("; "));
        }
        joined
    }
}

/// The time that threads have to end on their own before the raw session is closed under them. Closing it ends their waits in
/// the session, so only threads that wait elsewhere need the grace period.
const RELEASE: Duration = Duration::from_millis(100);

impl CoordinatedSession {
    /// Closes the raw session early if threads do not stop: they may wait in it for something that never comes.
    fn release_threads(&self) {
        // Shared by all threads: n threads may not take n times as long.
        let deadline = Instant::now() + RELEASE.min(self.grace);
        let threads = self.threads.iter().cloned().chain(self.coordinator.registered());
        let left = || deadline.saturating_duration_since(Instant::now());
        // `all` stops at the first thread that does not end in time, since the session is then closed anyway.
        if !threads.into_iter().all(|thread| thread.join_timeout(left()))
            && let Err(error) = self.hooked.raw().close()
        {
            debug!("closing the raw session: {}", error.chain());
        }
    }
}

impl Drop for CoordinatedSession {
    fn drop(&mut self) {
        if let Err(error) = self.close() {
            warn!("a dropped session did not close cleanly: {}", error.chain());
        }
    }
}

/// Returns true if an error may be the consequence of another: something it waited for was closed or cancelled.
pub(crate) fn is_consequence(error: &Error) -> bool {
    // Closing a queue cancels what waits in it and ends the input of others, so both codes may be echoes of
    // an earlier error.
    error.code() == Code::Cancelled || error.is_end_of_input()
}

#[cold]
fn interrupted(stop: &StopHandle) -> Error {
    let reason = stop.reason().map_or_else(|| "no reason given".to_owned(), |reason| reason.to_string());
    Error::new(Code::Cancelled, format!("the session was interrupted: {reason}"))
}
