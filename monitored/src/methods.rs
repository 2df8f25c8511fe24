//! What both kinds of monitored session offer (S-140).

use crate::merge::Request;
use crate::monitor::{Monitor, closed};
use session_core::{FeedList, Feeds, Fetch, FetchList, Result, RunMetadata, RunOptions, Tensor};

/// A run of which the types are known to the caller only: resolves fetches and feeds, has somebody run them, and hands out
/// the values.
#[inline]
pub(crate) fn run_resolved<F: Fetch>(
    monitor: &mut Monitor,
    fetch: &F,
    feeds: impl Feeds,
    options: Option<&RunOptions>,
    metadata: Option<&mut RunMetadata>,
    run: impl FnOnce(&mut Monitor, &mut Request<'_>) -> Result<Vec<Tensor>>,
) -> Result<F::Value> {
    if monitor.is_closed() {
        return Err(closed());
    }
    let graph = monitor.shared_graph();
    let mut list = FetchList::new(&graph);
    let mut fed = FeedList::new(&graph);
    fetch.expand(&mut list)?;
    feeds.collect(&mut fed)?;
    let mut request =
        Request { fetches: list.fetches(), targets: list.targets(), feeds: fed.feeds(), options, metadata };
    let values = run(monitor, &mut request)?;
    Ok(fetch.collect(&mut list.values(&values)))
}

macro_rules! monitored_methods {
    () => {
        /// Runs one step: `before_run` of all hooks, one execution of what is fetched here and by the hooks, `after_run` of
        /// all hooks (S-120). Fetches and feeds are as for a raw session
        /// ([`SessionExt::run`](session_core::SessionExt::run)).
        ///
        /// # Errors
        /// Of the fetches and feeds; of a hook, with its name and the callback; of the execution; a runtime error after a
        /// hook has asked for a stop (S-122) and after [`close`](Self::close); the error of a background thread, at the first
        /// run after it (unlike S-150); `Cancelled` after an interruption by the [stop handle](Self::stop_handle).
        pub fn run<F: session_core::Fetch>(
            &mut self,
            fetch: F,
            feeds: impl session_core::Feeds,
        ) -> session_core::Result<F::Value> {
            crate::methods::run_resolved(
                &mut self.inside.0,
                &fetch,
                feeds,
                None,
                None,
                crate::monitor::Monitor::run,
            )
        }

        /// As [`run`](Self::run), with options, recording metadata. Hooks' options are joined with these, which are not
        /// changed (unlike S-132).
        ///
        /// # Errors
        /// As [`run`](Self::run).
        pub fn run_with<F: session_core::Fetch>(
            &mut self,
            fetch: F,
            feeds: impl session_core::Feeds,
            options: &session_core::RunOptions,
            metadata: Option<&mut session_core::RunMetadata>,
        ) -> session_core::Result<F::Value> {
            let run = crate::monitor::Monitor::run;
            crate::methods::run_resolved(&mut self.inside.0, &fetch, feeds, Some(options), metadata, run)
        }

        /// Runs on the raw session, without hooks and also after a stop was asked for: evaluation, the initialization of
        /// iterators and the like (TensorFlow has no such thing, Q-28, Q-31). Preemptions are recovered from as in
        /// [`run`](Self::run).
        ///
        /// # Errors
        /// Of the fetches, feeds and the execution; the error of a background thread in place of the `OutOfRange` or
        /// `Cancelled` that it brought about; a runtime error after [`close`](Self::close).
        pub fn run_without_hooks<F: session_core::Fetch>(
            &mut self,
            fetch: F,
            feeds: impl session_core::Feeds,
        ) -> session_core::Result<F::Value> {
            let run = crate::monitor::Monitor::run_without_hooks;
            crate::methods::run_resolved(&mut self.inside.0, &fetch, feeds, None, None, run)
        }

        /// Calls a function that makes a step of several runs, with or without hooks, as it likes (S-169, S-170). What it
        /// returns is the result.
        ///
        /// # Errors
        /// Those of the function; the error of a background thread, before the function is called and in place of the
        /// `OutOfRange` or `Cancelled` that it brought about; a runtime error after [`close`](Self::close).
        pub fn run_step_fn<T>(
            &mut self,
            step_fn: impl FnMut(&mut crate::StepContext<'_>) -> session_core::Result<T>,
        ) -> session_core::Result<T> {
            self.inside.0.run_step_fn(step_fn)
        }

        /// Whether the loop should end: the session was closed; a hook, a thread or the holder of the stop handle asked for
        /// it; a thread failed (S-154). See [`stop_reason`](Self::stop_reason).
        #[must_use]
        #[inline]
        pub fn should_stop(&self) -> bool {
            self.inside.0.should_stop()
        }

        /// Why the loop should end, or why it did.
        #[must_use]
        pub fn stop_reason(&self) -> Option<queue_runner::StopReason> {
            self.inside.0.stop_reason()
        }

        /// Stops this session from other threads.
        #[must_use]
        pub fn stop_handle(&self) -> queue_runner::StopHandle {
            self.inside.0.stop_handle().clone()
        }

        /// The graph.
        #[must_use]
        pub fn graph(&self) -> &session_core::Graph {
            self.inside.0.graph()
        }

        /// The scaffold that the session was created with, if its creator has one.
        #[must_use]
        pub fn scaffold(&self) -> Option<&scaffold::Scaffold> {
            self.inside.0.scaffold()
        }

        /// What the session was restored from; `None` if it was initialised.
        #[must_use]
        pub fn restored(&self) -> Option<&checkpoint::RestoreReport> {
            self.inside.0.restored()
        }

        /// How long each hook takes of a run, in the session of the moment: of fast runs one in 64 is looked at, of runs
        /// above a millisecond all. Empty before one was. A hook that takes more than a millisecond and 30 % of its runs
        /// is named in the log, once.
        #[must_use]
        pub fn hook_timings(&self) -> Vec<crate::HookTiming> {
            self.inside.0.hook_timings()
        }

        /// Whether it was closed.
        #[must_use]
        pub fn is_closed(&self) -> bool {
            self.inside.0.is_closed()
        }

        /// Ends the session: `end` of all hooks, in order; then the background threads are stopped and joined; then the raw
        /// session is closed and the graph thawed, whatever failed (S-157, S-158). Closing again does nothing (unlike S-161).
        ///
        /// After a background error `end` is not called: hooks are told of the error instead (unlike S-167).
        ///
        /// # Errors
        /// Of a background thread; of a hook's last save or `end`.
        pub fn close(&mut self) -> session_core::Result<()> {
            self.inside.0.close()
        }
    };
}

pub(crate) use monitored_methods;
