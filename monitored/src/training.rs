//! The builder of training sessions with the usual hooks.

use crate::MonitoredSession;
use crate::builder::{Finished, SessionBuilder};
use crate::recovery::RecoveryPolicy;
use checkpoint::RestoreOptions;
use hooks::{
    CheckpointSaverHook, CheckpointSaverListener, SecondOrStepTimer, SessionRunHook, SessionStoryHook,
    StepCounterHook, SummarySaverHook,
};
use queue_runner::StopHandle;
use scaffold::{ScaffoldBuilder, WorkerSessionCreator};
use session_core::{Engine, Error, Graph, Result, SessionConfig};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Builds a recovering [`MonitoredSession`] for a chief or a worker, with hooks that save checkpoints, write summaries and
/// count steps (S-177). The counterpart of TensorFlow's function of this name.
///
/// ```
/// use monitored::MonitoredTrainingSession;
/// # use ops::global_step::get_or_create_global_step;
/// # use session_core::{Graph, Tensor, mock::{MockEngine, MockSession}};
/// # use std::sync::Arc;
/// # let directory = tempfile::tempdir().unwrap();
/// # let directory = directory.path();
/// # let graph = Graph::new();
/// # get_or_create_global_step(&graph);
/// # let train_op = graph.undefined_op("NoOp").name("train").finish();
/// # let mock = MockSession::new(&graph);
/// # mock.otherwise(|run| Ok(run.fetches.iter().map(|fetch| match fetch.starts_with("global_step") {
/// #     true => Tensor::from(0i64),
/// #     false => Tensor::from(Vec::<String>::new()),
/// # }).collect()));
/// # let engine = MockEngine::new();
/// # engine.supply(Ok(mock));
/// # let engine = Arc::new(engine);
/// let mut session = MonitoredTrainingSession::builder(&graph)
///     .engine(engine)
///     .checkpoint_dir(directory)
///     .save_checkpoint_steps(1000)
///     .dry_run(3) // a dry run: remove this line to train
///     .build()?;
/// while !session.should_stop() {
///     session.run(&train_op, ())?;
/// }
/// session.close()?;
/// # assert_eq!(std::fs::read_dir(directory).unwrap().count(), 0);
/// # Ok::<(), session_core::Error>(())
/// ```
#[derive(Debug)]
pub enum MonitoredTrainingSession {}

impl MonitoredTrainingSession {
    /// Creates a builder of a training session on a graph.
    ///
    /// ```
    /// use monitored::MonitoredTrainingSession;
    /// # let graph = session_core::Graph::new();
    /// let builder = MonitoredTrainingSession::builder(&graph);
    /// ```
    pub fn builder(graph: &Graph) -> TrainingSessionBuilder {
        TrainingSessionBuilder::new(graph)
    }
}

/// A pair of intervals of which the first has a default, which the other one replaces when it is given (S-178).
#[derive(Clone, Copy, Debug)]
struct Interval<D, O> {
    /// `None`: the default. `Some(None)`: off.
    usual: Option<Option<D>>,
    other: Option<Option<O>>,
}

impl<D: Copy, O: Copy> Interval<D, O> {
    const DEFAULT: Interval<D, O> = Interval { usual: None, other: None };

    /// Returns the intervals that are in effect.
    fn settled(&self, default: D) -> (Option<D>, Option<O>) {
        match (self.usual, self.other) {
            (None, None) => (Some(default), None),
            (usual, other) => (usual.flatten(), other.flatten()),
        }
    }
}

/// Returns the timer of a pair of intervals; `None` if both are off.
///
/// # Errors
/// A value error if both are given, even if one is zero (S-180).
fn timer(secs: Option<Duration>, steps: Option<u64>, what: &str) -> Result<Option<SecondOrStepTimer>> {
    match (secs, steps) {
        (Some(_), Some(_)) => {
            Err(Error::value(format!("Can not provide both save_{what}_secs and save_{what}_steps")))
        }
        (Some(Duration::ZERO), None) | (None, Some(0) | None) => Ok(None),
        (secs, steps) => SecondOrStepTimer::new(steps, secs).map(Some),
    }
}

/// Builds the [`MonitoredSession`] of a [`MonitoredTrainingSession`]. Each setter states its default; `None` for an interval
/// switches its work off.
///
/// # Hooks
///
/// A chief has these hooks, in this order (S-181): [`chief_only_hook`](TrainingSessionBuilder::chief_only_hook)s;
/// `StepCounterHook` and `SummarySaverHook`, if there is a directory for summaries; `CheckpointSaverHook`, if there is a
/// directory for checkpoints; beyond TensorFlow `SessionStoryHook`, if there is a directory for summaries and
/// [`save_session_story`](TrainingSessionBuilder::save_session_story) is on; [`hook`](TrainingSessionBuilder::hook)s. A worker has only
/// the last ones, and ignores all arguments about checkpoints and summaries (S-183).
///
/// ```
/// use monitored::MonitoredTrainingSession;
/// use std::time::Duration;
/// # let graph = session_core::Graph::new();
/// let builder = MonitoredTrainingSession::builder(&graph)
///     .checkpoint_dir("run")
///     .save_checkpoint_secs(Duration::from_secs(60))
///     .save_summaries_steps(500);
/// ```
#[must_use = "call `build` or `scoped`"]
pub struct TrainingSessionBuilder {
    inner: SessionBuilder<MonitoredSession>,
    is_chief: bool,
    chief_only_hooks: Vec<Box<dyn SessionRunHook>>,
    listeners: Vec<Box<dyn CheckpointSaverListener>>,
    checkpoints: Interval<Duration, u64>,
    summaries: Interval<u64, Duration>,
    log_step_count_steps: Option<u64>,
    max_wait: Option<Duration>,
    recovery_wait: Option<Duration>,
    summary_dir: Option<PathBuf>,
    save_graph_def: bool,
    save_session_story: bool,
}

macro_rules! as_sessions {
    ($($(#[$doc:meta])* $name:ident($argument:ident: $type:ty);)+) => {$(
        $(#[$doc])*
        pub fn $name(mut self, $argument: $type) -> Self {
            self.inner = self.inner.$name($argument);
            self
        }
    )+};
}

impl TrainingSessionBuilder {
    fn new(graph: &Graph) -> TrainingSessionBuilder {
        TrainingSessionBuilder {
            inner: SessionBuilder::new(graph),
            is_chief: true,
            chief_only_hooks: Vec::new(),
            listeners: Vec::new(),
            checkpoints: Interval::DEFAULT,
            summaries: Interval::DEFAULT,
            log_step_count_steps: Some(100),
            max_wait: Some(Duration::from_secs(7200)),
            recovery_wait: None,
            summary_dir: None,
            save_graph_def: true,
            save_session_story: true,
        }
    }

    as_sessions! {
        /// Sets the engine that runs the graph. Default: the embedded engine, if the feature `embedded` is on.
        engine(engine: Arc<dyn Engine>);
        /// Sets the engine's target. Default: empty, which means this process.
        master(master: impl Into<String>);
        /// Sets the folder of checkpoints, which are restored from it and saved to it. Default: none (S-182).
        checkpoint_dir(directory: impl Into<PathBuf>);
        /// Sets the scaffold, which initializes, checks and saves the model: a [`ScaffoldBuilder`], or a
        /// [`Scaffold`](scaffold::Scaffold) of this graph. Default: all pieces are found or created.
        scaffold(scaffold: impl Into<ScaffoldBuilder>);
        /// Adds a hook, for chief and worker. Default: none.
        hook(hook: impl SessionRunHook + 'static);
        /// Adds several hooks, for chief and worker.
        hooks(hooks: impl IntoIterator<Item = Box<dyn SessionRunHook>>);
        /// Sets the configuration of the session. Default: [`SessionConfig::default`].
        config(config: SessionConfig);
        /// Sets the time that closing waits for background threads. Default: 120 s.
        stop_grace_period(grace: Duration);
        /// Sets the variables that a checkpoint may lack, and whether an older checkpoint may replace a damaged one. Default: it may
        /// lack none, and an older one may.
        restore_options(options: RestoreOptions);
        /// Sets the handle that stops the session from outside. Default: a new handle, which the session returns.
        stop_handle(stop: &StopHandle);
        /// Sets the number of attempts to recreate a lost session, and the pauses between them. Default: [`RecoveryPolicy::new`].
        recovery(policy: RecoveryPolicy);
        /// Makes the session a dry run of `runs` runs without files, see [`SessionBuilder::dry_run`]. Default: none.
        dry_run(runs: u64);
    }

    /// Sets whether this is the chief, which initializes, restores and saves; a worker waits for it. Default: `true`.
    ///
    /// ```
    /// use monitored::MonitoredTrainingSession;
    /// # let graph = session_core::Graph::new();
    /// let worker_index = 1;
    /// let builder = MonitoredTrainingSession::builder(&graph).is_chief(worker_index == 0);
    /// ```
    pub fn is_chief(mut self, is_chief: bool) -> Self {
        self.is_chief = is_chief;
        self
    }

    /// Adds a hook that only a chief has. Default: none.
    ///
    /// ```
    /// use monitored::MonitoredTrainingSession;
    /// # let graph = session_core::Graph::new();
    /// let builder = MonitoredTrainingSession::builder(&graph).chief_only_hook(hooks::StopAtStepHook::last_step(1000));
    /// ```
    pub fn chief_only_hook(mut self, hook: impl SessionRunHook + 'static) -> Self {
        self.chief_only_hooks.push(Box::new(hook));
        self
    }

    /// Adds several hooks that only a chief has.
    pub fn chief_only_hooks(mut self, hooks: impl IntoIterator<Item = Box<dyn SessionRunHook>>) -> Self {
        self.chief_only_hooks.extend(hooks);
        self
    }

    /// Adds a listener that takes part in the saves of checkpoints, one of TensorFlow's `saving_listeners`. Default: none.
    ///
    /// ```
    /// use hooks::CheckpointSaverListener;
    /// use monitored::MonitoredTrainingSession;
    /// # let graph = session_core::Graph::new();
    /// struct Quiet;
    /// impl CheckpointSaverListener for Quiet {}
    /// let builder = MonitoredTrainingSession::builder(&graph).checkpoint_dir("run").saving_listener(Quiet);
    /// ```
    pub fn saving_listener(mut self, listener: impl CheckpointSaverListener + 'static) -> Self {
        self.listeners.push(Box::new(listener));
        self
    }

    /// Sets the time between two checkpoints. Default: 600 s, unless steps are given (S-178). `None` or zero: never (S-179).
    ///
    /// ```
    /// use monitored::MonitoredTrainingSession;
    /// # let graph = session_core::Graph::new();
    /// let builder = MonitoredTrainingSession::builder(&graph).checkpoint_dir("run").save_checkpoint_secs(std::time::Duration::from_secs(60));
    /// ```
    pub fn save_checkpoint_secs(mut self, time: impl Into<Option<Duration>>) -> Self {
        self.checkpoints.usual = Some(time.into());
        self
    }

    /// Sets the number of steps between two checkpoints. Default: by time. `None` or zero: never, unless the time is given. Excludes
    /// the time.
    ///
    /// ```
    /// use monitored::MonitoredTrainingSession;
    /// # let graph = session_core::Graph::new();
    /// let builder = MonitoredTrainingSession::builder(&graph).checkpoint_dir("run").save_checkpoint_steps(1000);
    /// ```
    pub fn save_checkpoint_steps(mut self, steps: impl Into<Option<u64>>) -> Self {
        self.checkpoints.other = Some(steps.into());
        self
    }

    /// Sets the number of steps between two summaries. Default: 100, unless a time is given (S-178). `None` or zero: never.
    ///
    /// ```
    /// use monitored::MonitoredTrainingSession;
    /// # let graph = session_core::Graph::new();
    /// let builder = MonitoredTrainingSession::builder(&graph).summary_dir("run/events").save_summaries_steps(None);
    /// ```
    pub fn save_summaries_steps(mut self, steps: impl Into<Option<u64>>) -> Self {
        self.summaries.usual = Some(steps.into());
        self
    }

    /// Sets the time between two summaries. Default: by steps. `None` or zero: never, unless steps are given. Excludes the steps.
    ///
    /// ```
    /// use monitored::MonitoredTrainingSession;
    /// # let graph = session_core::Graph::new();
    /// let builder = MonitoredTrainingSession::builder(&graph).summary_dir("run/events").save_summaries_secs(std::time::Duration::from_secs(10));
    /// ```
    pub fn save_summaries_secs(mut self, time: impl Into<Option<Duration>>) -> Self {
        self.summaries.other = Some(time.into());
        self
    }

    /// Sets the number of steps over which the speed is measured. Default: 100. `None` or zero: it is not measured.
    ///
    /// ```
    /// use monitored::MonitoredTrainingSession;
    /// # let graph = session_core::Graph::new();
    /// let builder = MonitoredTrainingSession::builder(&graph).log_step_count_steps(1000);
    /// ```
    pub fn log_step_count_steps(mut self, steps: impl Into<Option<u64>>) -> Self {
        self.log_step_count_steps = steps.into();
        self
    }

    /// Sets the time that a worker waits for the chief; `None` waits forever. Default: 7200 s.
    ///
    /// ```
    /// use monitored::MonitoredTrainingSession;
    /// # let graph = session_core::Graph::new();
    /// let builder = MonitoredTrainingSession::builder(&graph).is_chief(false).max_wait(None);
    /// ```
    pub fn max_wait(mut self, time: impl Into<Option<Duration>>) -> Self {
        self.max_wait = time.into();
        self
    }

    /// Sets the time between two attempts of a worker while it waits for the chief to make the model ready. Default: 30 s, which is
    /// fixed in TensorFlow: there a worker that starts a moment before its chief loses that time.
    ///
    /// ```
    /// use monitored::MonitoredTrainingSession;
    /// # let graph = session_core::Graph::new();
    /// let builder = MonitoredTrainingSession::builder(&graph).is_chief(false).recovery_wait(std::time::Duration::from_secs(1));
    /// ```
    pub fn recovery_wait(mut self, time: Duration) -> Self {
        self.recovery_wait = Some(time);
        self
    }

    /// Sets the folder of event files. Default: the folder of checkpoints (S-182).
    ///
    /// ```
    /// use monitored::MonitoredTrainingSession;
    /// # let graph = session_core::Graph::new();
    /// let builder = MonitoredTrainingSession::builder(&graph).checkpoint_dir("run").summary_dir("run/events");
    /// ```
    pub fn summary_dir(mut self, directory: impl Into<PathBuf>) -> Self {
        self.summary_dir = Some(directory.into());
        self
    }

    /// Sets whether the graph is written next to the checkpoints. Default: `true`.
    ///
    /// ```
    /// use monitored::MonitoredTrainingSession;
    /// # let graph = session_core::Graph::new();
    /// let builder = MonitoredTrainingSession::builder(&graph).checkpoint_dir("run").save_graph_def(false);
    /// ```
    pub fn save_graph_def(mut self, save: bool) -> Self {
        self.save_graph_def = save;
        self
    }

    /// Sets whether a [`SessionStoryHook`] records what happens to the session in the event files. Default: `true`.
    ///
    /// ```
    /// use monitored::MonitoredTrainingSession;
    /// # let graph = session_core::Graph::new();
    /// let builder = MonitoredTrainingSession::builder(&graph).checkpoint_dir("run").save_session_story(false);
    /// ```
    pub fn save_session_story(mut self, save: bool) -> Self {
        self.save_session_story = save;
        self
    }

    /// Creates the session.
    ///
    /// # Errors
    /// A value error if both intervals of a pair are given, even if one is zero (S-180); a runtime error for a directory without a
    /// global step, with the name of the first hook that needs it (S-184); the errors of [`SessionBuilder::build`].
    pub fn build(self) -> Result<MonitoredSession> {
        self.settled()?.build()
    }

    /// Runs a body with the session, and closes the session on every way out; see [`SessionBuilder::scoped`].
    ///
    /// # Errors
    /// Returns the errors of [`build`](TrainingSessionBuilder::build) and [`SessionBuilder::scoped`].
    pub fn scoped<T>(self, body: impl FnOnce(&mut MonitoredSession) -> Result<T>) -> Result<Finished<T>> {
        self.settled()?.scoped(body)
    }

    /// Returns the folder of the checkpoints and the stop handle, if this is a training whose checkpoints can be evaluated.
    pub(crate) fn for_evaluation(&self) -> Result<(PathBuf, StopHandle)> {
        if !self.is_chief {
            return Err(Error::value("only the chief of a training evaluates its checkpoints"));
        }
        let directory = self.inner.checkpoint_dir.clone();
        let directory = directory.ok_or_else(|| {
            Error::value("the training has no checkpoint_dir, so there are no checkpoints to evaluate")
        })?;
        Ok((directory, self.inner.stop.clone()))
    }

    fn settled(self) -> Result<SessionBuilder<MonitoredSession>> {
        if self.is_chief { self.chief() } else { self.worker() }
    }

    /// S-181.
    fn chief(mut self) -> Result<SessionBuilder<MonitoredSession>> {
        // The defaults depend on which of the two setters was called, so they are settled here and not in the
        // setters.
        let (secs, steps) = self.checkpoints.settled(Duration::from_secs(600));
        let checkpoints = timer(secs, steps, "checkpoint")?;
        let (steps, secs) = self.summaries.settled(100);
        let summaries = timer(secs, steps, "summaries")?;

        // TensorFlow's order: the hooks of a chief, those of this function, and then the user's.
        let mut hooks = self.chief_only_hooks;
        if let Some(directory) = self.summary_dir.as_ref().or(self.inner.checkpoint_dir.as_ref()) {
            if let Some(steps) = self.log_step_count_steps.filter(|&steps| steps > 0) {
                hooks.push(Box::new(StepCounterHook::every_n_steps(steps).output_dir(directory)));
            }
            if let Some(timer) = summaries {
                hooks.push(Box::new(SummarySaverHook::with_timer(timer).output_dir(directory)));
            }
        }
        if let (Some(directory), Some(timer)) = (&self.inner.checkpoint_dir, checkpoints) {
            let hook = CheckpointSaverHook::with_timer(directory, timer).save_graph_def(self.save_graph_def);
            let hook = self.listeners.into_iter().fold(hook, |hook, listener| hook.listener(listener));
            hooks.push(Box::new(hook));
        } else if !self.listeners.is_empty() {
            // Listeners that are never called would be a silent loss, for example of all evaluations.
            return Err(Error::value("there are listeners for the saves of checkpoints, and none are saved"));
        }
        let directory = self.summary_dir.as_ref().or(self.inner.checkpoint_dir.as_ref());
        if let Some(directory) = directory.filter(|_| self.save_session_story) {
            hooks.push(Box::new(SessionStoryHook::new(directory)));
        }
        // After all others, so that hooks of the program see the step when the built-in ones have.
        hooks.append(&mut self.inner.hooks);
        self.inner.hooks = hooks;
        Ok(self.inner)
    }

    /// S-183.
    fn worker(self) -> Result<SessionBuilder<MonitoredSession>> {
        let mut inner = self.inner;
        // A worker neither restores nor saves; it waits until the chief has.
        inner.checkpoint_dir = None;
        inner.restore_options = None;
        let engine = inner.engine.take().or_else(crate::builder::default_engine);
        let engine = engine.ok_or_else(crate::builder::no_engine)?;
        let creator = WorkerSessionCreator::new(engine, &inner.graph)
            .scaffold(inner.scaffold.take().unwrap_or_default())
            .master(inner.master.take().unwrap_or_default())
            .config(inner.config.take().unwrap_or_default())
            .max_wait(self.max_wait);
        let creator = match self.recovery_wait {
            Some(wait) => creator.recovery_wait(wait),
            None => creator,
        };
        Ok(inner.session_creator(creator))
    }
}

impl fmt::Debug for TrainingSessionBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrainingSessionBuilder")
            .field("session", &self.inner)
            .field("is_chief", &self.is_chief)
            .field("chief_only_hooks", &self.chief_only_hooks.len())
            .field("saving_listeners", &self.listeners.len())
            .field("save_checkpoint", &self.checkpoints)
            .field("save_summaries", &self.summaries)
            .field("log_step_count_steps", &self.log_step_count_steps)
            .field("max_wait", &self.max_wait)
            .field("recovery_wait", &self.recovery_wait)
            .field("summary_dir", &self.summary_dir)
            .field("save_graph_def", &self.save_graph_def)
            .field("save_session_story", &self.save_session_story)
            .finish()
    }
}
