//! The builder of monitored sessions.

use crate::MonitoredSession;
use crate::dry_run::DryRun;
use crate::hook_set::HookSet;
use crate::monitor::{Monitor, Parts};
use crate::recovery::{Recovery, RecoveryPolicy};
use checkpoint::RestoreOptions;
use hooks::SessionRunHook;
use queue_runner::{StopHandle, StopReason};
use scaffold::{CheckpointSource, ChiefSessionCreator, ScaffoldBuilder, SessionCreator};
use sealed::Inside;
use session_core::{Engine, Error, Graph, Result, SessionConfig};
use std::fmt;
use std::marker::PhantomData;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// The default time that a closing session waits for its background threads.
pub(crate) const DEFAULT_GRACE: Duration = Duration::from_secs(120);

/// Builds a [`SingularMonitoredSession`](crate::SingularMonitoredSession) or a [`MonitoredSession`]. Each setter states its default.
///
/// ```
/// use monitored::SingularMonitoredSession;
/// # use session_core::{Graph, Tensor, mock::{MockEngine, MockSession}};
/// # use std::sync::Arc;
/// # let graph = Graph::new();
/// # let train_op = graph.undefined_op("NoOp").name("train").finish();
/// # let mock = MockSession::new(&graph);
/// # mock.otherwise(|run| Ok(vec![Tensor::from(Vec::<String>::new()); run.fetches.len()]));
/// # let engine = MockEngine::new();
/// # engine.supply(Ok(mock));
/// # let engine = Arc::new(engine);
/// let builder = SingularMonitoredSession::builder(&graph)
///     .engine(engine)
///     .stop_grace_period(std::time::Duration::from_secs(10));
/// let finished = builder.scoped(|session| session.run(&train_op, ()))?;
/// assert!(finished.recoveries.is_empty());
/// # Ok::<(), session_core::Error>(())
/// ```
#[must_use = "call `build` or `scoped`"]
pub struct SessionBuilder<S> {
    pub(crate) graph: Graph,
    pub(crate) hooks: Vec<Box<dyn SessionRunHook>>,
    pub(crate) engine: Option<Arc<dyn Engine>>,
    pub(crate) scaffold: Option<ScaffoldBuilder>,
    pub(crate) master: Option<String>,
    pub(crate) config: Option<SessionConfig>,
    pub(crate) checkpoint_dir: Option<PathBuf>,
    checkpoint_filename_with_path: Option<PathBuf>,
    pub(crate) restore_options: Option<RestoreOptions>,
    pub(crate) grace: Duration,
    pub(crate) stop: StopHandle,
    pub(crate) creator: Option<Box<dyn SessionCreator>>,
    pub(crate) policy: RecoveryPolicy,
    dry_run: Option<u64>,
    // A function pointer, so that the builder is `Send` whatever the session type is.
    built: PhantomData<fn() -> S>,
}

/// The kinds of session that a [`SessionBuilder`] builds.
pub trait Built: sealed::Sealed {}

pub(crate) mod sealed {
    use crate::monitor::Monitor;

    /// The implementation that both kinds share.
    #[allow(missing_debug_implementations)] // the sessions print what there is to know
    pub struct Inside(pub(crate) Monitor);

    pub trait Sealed: Sized {
        /// True if preemptions are recovered from.
        const RECOVERS: bool;
        fn of(inside: Inside) -> Self;
        fn inside(&mut self) -> &mut Inside;
    }
}

impl<S: sealed::Sealed> Built for S {}

/// The result of a scoped session that ended well.
#[derive(Debug)]
#[non_exhaustive]
pub struct Finished<T> {
    /// The result of the body; `None` if the end of the input, a step function or an interruption ended it.
    pub value: Option<T>,
    /// The reason why the loop ended, if one was given.
    pub reason: Option<StopReason>,
    /// The recoveries of the session.
    pub recoveries: Vec<Recovery>,
}

impl<S: Built> SessionBuilder<S> {
    pub(crate) fn new(graph: &Graph) -> SessionBuilder<S> {
        SessionBuilder {
            graph: graph.clone(),
            hooks: Vec::new(),
            engine: None,
            scaffold: None,
            master: None,
            config: None,
            checkpoint_dir: None,
            checkpoint_filename_with_path: None,
            restore_options: None,
            grace: DEFAULT_GRACE,
            stop: StopHandle::new(),
            creator: None,
            policy: RecoveryPolicy::new(),
            dry_run: None,
            built: PhantomData,
        }
    }

    /// Adds a hook. Hooks are called in the order in which they are added. Default: none.
    ///
    /// ```
    /// use hooks::StopAtStepHook;
    /// use monitored::SingularMonitoredSession;
    /// # let graph = session_core::Graph::new();
    /// let builder = SingularMonitoredSession::builder(&graph).hook(StopAtStepHook::last_step(1000));
    /// ```
    pub fn hook(mut self, hook: impl SessionRunHook + 'static) -> Self {
        self.hooks.push(Box::new(hook));
        self
    }

    /// Adds several hooks.
    ///
    /// ```
    /// use hooks::{NanTensorHook, SessionRunHook, StopAtStepHook};
    /// use monitored::SingularMonitoredSession;
    /// # let graph = session_core::Graph::new();
    /// let hooks: [Box<dyn SessionRunHook>; 2] =
    ///     [Box::new(StopAtStepHook::last_step(1000)), Box::new(NanTensorHook::new("loss:0"))];
    /// let builder = SingularMonitoredSession::builder(&graph).hooks(hooks);
    /// ```
    pub fn hooks(mut self, hooks: impl IntoIterator<Item = Box<dyn SessionRunHook>>) -> Self {
        self.hooks.extend(hooks);
        self
    }

    /// Sets the engine that runs the graph. Default: the embedded engine, if the feature `embedded` is on.
    pub fn engine(mut self, engine: Arc<dyn Engine>) -> Self {
        self.engine = Some(engine);
        self
    }

    /// Sets the scaffold, which initializes, checks and saves the model: a [`ScaffoldBuilder`], or a
    /// [`Scaffold`](scaffold::Scaffold) of this graph. Default: all pieces are found or created.
    ///
    /// ```
    /// use monitored::SingularMonitoredSession;
    /// use scaffold::Scaffold;
    /// # let graph = session_core::Graph::new();
    /// let scaffold = Scaffold::builder().init_fn(|_scaffold, _session| Ok(()));
    /// let builder = SingularMonitoredSession::builder(&graph).scaffold(scaffold);
    /// ```
    pub fn scaffold(mut self, scaffold: impl Into<ScaffoldBuilder>) -> Self {
        self.scaffold = Some(scaffold.into());
        self
    }

    /// Sets the engine's target. Default: empty, which means this process.
    ///
    /// ```
    /// use monitored::MonitoredSession;
    /// # let graph = session_core::Graph::new();
    /// let builder = MonitoredSession::builder(&graph).master("grpc://worker0:2222");
    /// ```
    pub fn master(mut self, master: impl Into<String>) -> Self {
        self.master = Some(master.into());
        self
    }

    /// Sets the configuration of the session. Default: [`SessionConfig::default`].
    ///
    /// ```
    /// use monitored::SingularMonitoredSession;
    /// use session_core::SessionConfig;
    /// # let graph = session_core::Graph::new();
    /// let builder = SingularMonitoredSession::builder(&graph).config(SessionConfig::with_threads(2));
    /// ```
    pub fn config(mut self, config: SessionConfig) -> Self {
        self.config = Some(config);
        self
    }

    /// Restores the newest intact checkpoint of this folder, if there is one. Default: nothing is restored.
    ///
    /// ```
    /// use hooks::CheckpointSaverHook;
    /// use monitored::SingularMonitoredSession;
    /// # let graph = session_core::Graph::new();
    /// let builder = SingularMonitoredSession::builder(&graph)
    ///     .checkpoint_dir("run")
    ///     .hook(CheckpointSaverHook::every_steps("run", 1000));
    /// ```
    pub fn checkpoint_dir(mut self, directory: impl Into<PathBuf>) -> Self {
        self.checkpoint_dir = Some(directory.into());
        self
    }

    /// Restores the checkpoint with this prefix, which must exist. Excludes `checkpoint_dir`. Default: none.
    ///
    /// ```
    /// use monitored::SingularMonitoredSession;
    /// # let graph = session_core::Graph::new();
    /// let builder = SingularMonitoredSession::builder(&graph).checkpoint_filename_with_path("run/model.ckpt-1000");
    /// ```
    pub fn checkpoint_filename_with_path(mut self, prefix: impl Into<PathBuf>) -> Self {
        self.checkpoint_filename_with_path = Some(prefix.into());
        self
    }

    /// Sets the variables that a checkpoint may lack, and whether an older checkpoint may replace a damaged one. Default: it may lack
    /// none, and an older one may.
    ///
    /// ```
    /// use checkpoint::RestoreOptions;
    /// use monitored::SingularMonitoredSession;
    /// # let graph = session_core::Graph::new();
    /// let builder = SingularMonitoredSession::builder(&graph)
    ///     .checkpoint_dir("run")
    ///     .restore_options(RestoreOptions::new().fallback(false));
    /// ```
    pub fn restore_options(mut self, options: RestoreOptions) -> Self {
        self.restore_options = Some(options);
        self
    }

    /// Sets the time that closing waits for background threads. Default: 120 s.
    ///
    /// ```
    /// use monitored::SingularMonitoredSession;
    /// # let graph = session_core::Graph::new();
    /// let builder = SingularMonitoredSession::builder(&graph).stop_grace_period(std::time::Duration::from_secs(5));
    /// ```
    pub fn stop_grace_period(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Sets the handle that stops the session from outside, for programs that need it before the session exists. Default: a new
    /// handle, which the session returns.
    ///
    /// ```
    /// # #[cfg(feature = "embedded")] {
    /// use monitored::SingularMonitoredSession;
    /// # use ops::variables::VariableExt as _;
    /// # let graph = session_core::Graph::new();
    /// # let step = ops::global_step::get_or_create_global_step(&graph);
    /// # let train_op = step.assign_add(1i64);
    /// let stop = queue_runner::StopHandle::new();
    /// let mut session = SingularMonitoredSession::builder(&graph).stop_handle(&stop).build()?;
    /// stop.request_stop("the user pressed a button");
    /// assert!(session.should_stop());
    /// session.close()?;
    /// # }
    /// # Ok::<(), session_core::Error>(())
    /// ```
    pub fn stop_handle(mut self, stop: &StopHandle) -> Self {
        self.stop = stop.clone();
        self
    }

    /// Makes the session a dry run of `runs` runs: it requests a stop after them, [informs](SessionRunHook::dry_run) the hooks that
    /// they must leave no files behind, and restores from a checkpoint but writes none. A dry run finds the errors of a long
    /// training in its first seconds. Hooks that act at intervals act at their first opportunity and at the end. Default: none.
    ///
    /// ```
    /// use monitored::SingularMonitoredSession;
    /// # let graph = session_core::Graph::new();
    /// let builder = SingularMonitoredSession::builder(&graph).dry_run(3);
    /// ```
    pub fn dry_run(mut self, runs: u64) -> Self {
        self.dry_run = Some(runs);
        self
    }

    /// Creates the session.
    ///
    /// ```
    /// # #[cfg(feature = "embedded")] {
    /// use monitored::SingularMonitoredSession;
    /// # use ops::variables::VariableExt as _;
    /// # let graph = session_core::Graph::new();
    /// # let step = ops::global_step::get_or_create_global_step(&graph);
    /// # let train_op = step.assign_add(1i64);
    /// let mut session = SingularMonitoredSession::builder(&graph).build()?;
    /// session.close()?;
    /// # }
    /// # Ok::<(), session_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// A value error for contradicting arguments or without an engine; the errors of a hook's `begin` or `after_create_session`;
    /// the error that prevents the session from being created, with its phase. Everything that was started is stopped again.
    pub fn build(self) -> Result<S> {
        Ok(S::of(Inside(self.monitor()?)))
    }

    /// Runs a body with the session, and closes the session on every way out, like Python's `with` block (S-164).
    ///
    /// | result of the body | `end` of hooks | result of `scoped` |
    /// | success | called | the result of the body |
    /// | the end of the input: status `OutOfRange`, or a stop requested by a step function | called | success, without a value |
    /// | `Cancelled` after an interruption by the stop handle | called | success, without a value |
    /// | one of these, but a background thread has failed | not called | the error of the thread (unlike S-167) |
    /// | another error | not called | that error (unlike S-166: an error of closing does not replace it, but is logged) |
    /// | a panic | not called | the panic continues |
    ///
    /// ```
    /// # #[cfg(feature = "embedded")] {
    /// use monitored::SingularMonitoredSession;
    /// # use ops::variables::VariableExt as _;
    /// # let graph = session_core::Graph::new();
    /// # let step = ops::global_step::get_or_create_global_step(&graph);
    /// # let train_op = step.assign_add(1i64);
    /// let finished = SingularMonitoredSession::builder(&graph)
    ///     .hook(hooks::StopAtStepHook::last_step(3))
    ///     .scoped(|session| {
    ///         while !session.should_stop() {
    ///             session.run(&train_op, ())?;
    ///         }
    ///         session.run_without_hooks(&step, ())
    ///     })?;
    /// assert!(finished.value.is_some());
    /// # }
    /// # Ok::<(), session_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// The errors of [`build`](SessionBuilder::build), of the body, of a background thread, and of closing.
    pub fn scoped<T>(self, body: impl FnOnce(&mut S) -> Result<T>) -> Result<Finished<T>> {
        let mut session = self.build()?;
        // A panic drops the session, which closes it without `end`.
        let outcome = body(&mut session);
        let Inside(monitor) = session.inside();
        let value = match outcome {
            Ok(value) => {
                // An error of closing, such as one of the last save, takes the place of the value: the caller
                // must not take the training for saved.
                monitor.close()?;
                Some(value)
            }
            Err(error) => {
                monitor.finish(error)?;
                None
            }
        };
        // After closing, which settles the final reason.
        let reason = monitor.stop_reason();
        Ok(Finished { value, reason, recoveries: monitor.recoveries().to_vec() })
    }

    fn monitor(mut self) -> Result<Monitor> {
        let mut hooks = std::mem::take(&mut self.hooks);
        // Last, so that every other hook has seen the last run before the stop is requested.
        if let Some(runs) = self.dry_run {
            hooks.push(Box::new(DryRun::of(runs)));
        }
        let hooks = HookSet::new(hooks, self.dry_run.is_some());
        let (stop, grace) = (self.stop.clone(), self.grace);
        let policy = S::RECOVERS.then(|| self.policy.clone());
        let creator = self.creator()?;
        Monitor::new(Parts { creator, hooks, stop, grace, policy })
    }

    fn creator(self) -> Result<Box<dyn SessionCreator>> {
        // A creator has all of these itself; one that is given in addition would be ignored silently.
        if let Some(creator) = self.creator {
            let given = [
                ("engine", self.engine.is_some()),
                ("scaffold", self.scaffold.is_some()),
                ("master", self.master.is_some()),
                ("config", self.config.is_some()),
                ("checkpoint_dir", self.checkpoint_dir.is_some()),
                ("checkpoint_filename_with_path", self.checkpoint_filename_with_path.is_some()),
                ("restore_options", self.restore_options.is_some()),
            ];
            return match given.iter().find(|(_, given)| *given) {
                Some((name, _)) => {
                    Err(Error::value(format!("{name} and session_creator cannot both be given")))
                }
                None if !creator.graph().is_same(&self.graph) => {
                    Err(Error::value("the session_creator is for another graph"))
                }
                None => Ok(creator),
            };
        }
        let engine = self.engine.or_else(default_engine).ok_or_else(no_engine)?;
        // Two sources would need an order of precedence that nobody can guess, so both together are an error,
        // as in TensorFlow.
        let source = match (self.checkpoint_dir, self.checkpoint_filename_with_path) {
            (Some(_), Some(_)) => {
                let text = "Can not provide both checkpoint_dir and checkpoint_filename_with_path";
                return Err(Error::value(text));
            }
            (Some(directory), None) => CheckpointSource::Directory(directory),
            (None, Some(prefix)) => CheckpointSource::File(prefix),
            (None, None) => CheckpointSource::None,
        };
        let creator = ChiefSessionCreator::new(engine, &self.graph)
            .scaffold(self.scaffold.unwrap_or_default())
            .master(self.master.unwrap_or_default())
            .config(self.config.unwrap_or_default())
            .checkpoint_source(source)
            .restore_options(self.restore_options.unwrap_or_default());
        Ok(Box::new(creator))
    }
}

impl SessionBuilder<MonitoredSession> {
    /// Creates the sessions with this creator, instead of a chief creator with the arguments given here. Default: none.
    ///
    /// ```
    /// # #[cfg(feature = "embedded")] {
    /// use monitored::MonitoredSession;
    /// use scaffold::WorkerSessionCreator;
    /// # let graph = session_core::Graph::new();
    /// # let engine = std::sync::Arc::new(embedded_engine::EmbeddedEngine::default());
    /// let creator = WorkerSessionCreator::new(engine, &graph);
    /// let builder = MonitoredSession::builder(&graph).session_creator(creator);
    /// # }
    /// ```
    pub fn session_creator(mut self, creator: impl SessionCreator + 'static) -> Self {
        self.creator = Some(Box::new(creator));
        self
    }

    /// Sets the number of attempts to recreate a lost session, and the pauses between them. Default: [`RecoveryPolicy::new`].
    ///
    /// ```
    /// use monitored::{MonitoredSession, RecoveryPolicy};
    /// # let graph = session_core::Graph::new();
    /// let builder = MonitoredSession::builder(&graph).recovery(RecoveryPolicy::new().max_attempts(3));
    /// ```
    pub fn recovery(mut self, policy: RecoveryPolicy) -> Self {
        self.policy = policy;
        self
    }
}

pub(crate) fn no_engine() -> Error {
    Error::value(
        "no engine was given, and the default one needs the feature `embedded`: call .engine(..) or enable the feature",
    )
}

#[cfg(feature = "embedded")]
pub(crate) fn default_engine() -> Option<Arc<dyn Engine>> {
    Some(Arc::new(embedded_engine::EmbeddedEngine::new()))
}

#[cfg(not(feature = "embedded"))]
pub(crate) fn default_engine() -> Option<Arc<dyn Engine>> {
    None
}

impl<S> fmt::Debug for SessionBuilder<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hooks: Vec<_> = self.hooks.iter().map(|hook| hook.name().into_owned()).collect();
        f.debug_struct("SessionBuilder")
            .field("hooks", &hooks)
            .field("engine", &self.engine.as_ref().map(|engine| engine.name().to_owned()))
            .field("scaffold", &self.scaffold)
            .field("checkpoint_dir", &self.checkpoint_dir)
            .field("checkpoint_filename_with_path", &self.checkpoint_filename_with_path)
            .field("stop_grace_period", &self.grace)
            .finish_non_exhaustive()
    }
}
