//! The implementation of both kinds of monitored session (S-140).

use crate::builder::{
    SessionBuilder,
    sealed::{Inside, Sealed},
};
use crate::merge::Request;
use crate::monitor::{Monitor, closed};
use crate::{HookTiming, StepContext};
use checkpoint::RestoreReport;
use queue_runner::{StopHandle, StopReason};
use scaffold::Scaffold;
use session_core::{FeedList, Feeds, Fetch, FetchList, Graph, Result, RunMetadata, RunOptions, Tensor};
use std::fmt;
use std::marker::PhantomData;

/// The kinds of [`Monitored`] sessions: [`Singular`](crate::Singular) and [`Recovering`](crate::Recovering).
pub trait Kind: sealed::Kind {}

pub(crate) mod sealed {
    pub trait Kind {
        /// The name of the session's type.
        const NAME: &'static str;
        /// True if preemptions are recovered from.
        const RECOVERS: bool;
    }
}

impl<K: sealed::Kind> Kind for K {}

/// A monitored session of either kind. Programs use it by its two names: [`SingularMonitoredSession`] and
/// [`MonitoredSession`].
///
/// A function that works with both is generic over the kind:
///
/// ```
/// use monitored::{Kind, Monitored, SingularMonitoredSession};
/// use session_core::{Operation, Result};
/// # use session_core::{Graph, Tensor, mock::{MockEngine, MockSession}};
/// # use std::sync::Arc;
///
/// fn train<K: Kind>(session: &mut Monitored<K>, train_op: &Operation, steps: usize) -> Result<()> {
///     for _ in 0..steps {
///         session.run(train_op, ())?;
///     }
///     session.close()
/// }
/// # let graph = Graph::new();
/// # let train_op = graph.undefined_op("NoOp").name("train").finish();
/// # let mock = MockSession::new(&graph);
/// # mock.otherwise(|run| Ok(vec![Tensor::from(Vec::<String>::new()); run.fetches.len()]));
/// # let engine = MockEngine::new();
/// # engine.supply(Ok(mock));
/// # let engine = Arc::new(engine);
///
/// let mut session = SingularMonitoredSession::builder(&graph).engine(engine).build()?;
/// train(&mut session, &train_op, 3)?;
/// assert!(session.is_closed());
/// # Ok::<(), session_core::Error>(())
/// ```
///
/// [`SingularMonitoredSession`]: crate::SingularMonitoredSession
/// [`MonitoredSession`]: crate::MonitoredSession
pub struct Monitored<K> {
    pub(crate) inside: Inside,
    kind: PhantomData<fn() -> K>,
}

impl<K: Kind> Monitored<K> {
    /// Creates a builder of a session on a graph.
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
    pub fn builder(graph: &Graph) -> SessionBuilder<Monitored<K>> {
        SessionBuilder::new(graph)
    }

    /// Runs one step: `before_run` of all hooks, one execution of the fetches of the caller and of the hooks, `after_run` of
    /// all hooks (S-120). Fetches and feeds are the same as for a raw session
    /// ([`SessionExt::run`](session_core::SessionExt::run)).
    ///
    /// ```
    /// # #[cfg(feature = "embedded")] {
    /// use monitored::SingularMonitoredSession;
    /// # use ops::variables::VariableExt as _;
    /// # let graph = session_core::Graph::new();
    /// # let step = ops::global_step::get_or_create_global_step(&graph);
    /// # let train_op = step.assign_add(1i64);
    /// let mut session = SingularMonitoredSession::builder(&graph).build()?;
    /// let (value, ()) = session.run((&step, &train_op), ())?;
    /// assert_eq!(value.value::<i64>()?, 0); // read before the update
    /// session.close()?;
    /// # }
    /// # Ok::<(), session_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// The errors of the fetches and feeds; of a hook, with its name and the callback; of the execution; a runtime error
    /// after a hook has requested a stop (S-122) and after [`close`](Self::close); the error of a background thread, in the
    /// first run after it (unlike S-150); `Cancelled` after an interruption by the [stop handle](Self::stop_handle).
    pub fn run<F: Fetch>(&mut self, fetch: F, feeds: impl Feeds) -> Result<F::Value> {
        run_resolved(&mut self.inside.0, &fetch, feeds, None, None, Monitor::run)
    }

    /// Runs one step like [`run`](Self::run), with options, and fills in metadata. The options of hooks are merged with these,
    /// which remain unchanged (unlike S-132).
    ///
    /// ```
    /// # #[cfg(feature = "embedded")] {
    /// use monitored::SingularMonitoredSession;
    /// # use ops::variables::VariableExt as _;
    /// # let graph = session_core::Graph::new();
    /// # let step = ops::global_step::get_or_create_global_step(&graph);
    /// # let train_op = step.assign_add(1i64);
    /// let mut session = SingularMonitoredSession::builder(&graph).build()?;
    /// let mut metadata = session_core::RunMetadata::default();
    /// session.run_with(&train_op, (), &session_core::RunOptions::default(), Some(&mut metadata))?;
    /// session.close()?;
    /// # }
    /// # Ok::<(), session_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// Returns the errors of [`run`](Self::run).
    pub fn run_with<F: Fetch>(
        &mut self,
        fetch: F,
        feeds: impl Feeds,
        options: &RunOptions,
        metadata: Option<&mut RunMetadata>,
    ) -> Result<F::Value> {
        run_resolved(&mut self.inside.0, &fetch, feeds, Some(options), metadata, Monitor::run)
    }

    /// Runs on the raw session, without hooks, even after a stop was requested: for evaluation, the initialization of
    /// iterators and the like (beyond TensorFlow, Q-28, Q-31). Preemptions are recovered from as in [`run`](Self::run).
    ///
    /// ```
    /// # #[cfg(feature = "embedded")] {
    /// use monitored::SingularMonitoredSession;
    /// # use ops::variables::VariableExt as _;
    /// # let graph = session_core::Graph::new();
    /// # let step = ops::global_step::get_or_create_global_step(&graph);
    /// # let train_op = step.assign_add(1i64);
    /// let mut session = SingularMonitoredSession::builder(&graph).build()?;
    /// assert_eq!(session.run_without_hooks(&step, ())?.value::<i64>()?, 0);
    /// session.close()?;
    /// # }
    /// # Ok::<(), session_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// The errors of the fetches, feeds and the execution; the error of a background thread instead of the `OutOfRange` or
    /// `Cancelled` that it caused; a runtime error after [`close`](Self::close).
    pub fn run_without_hooks<F: Fetch>(&mut self, fetch: F, feeds: impl Feeds) -> Result<F::Value> {
        run_resolved(&mut self.inside.0, &fetch, feeds, None, None, Monitor::run_without_hooks)
    }

    /// Calls a function that makes a step from several runs, with or without hooks (S-169, S-170). Returns its result.
    ///
    /// ```
    /// # #[cfg(feature = "embedded")] {
    /// use monitored::SingularMonitoredSession;
    /// # use ops::variables::VariableExt as _;
    /// # let graph = session_core::Graph::new();
    /// # let step = ops::global_step::get_or_create_global_step(&graph);
    /// # let train_op = step.assign_add(1i64);
    /// let mut session = SingularMonitoredSession::builder(&graph).build()?;
    /// session.run_step_fn(|context| context.run_with_hooks(&train_op, ()))?;
    /// session.close()?;
    /// # }
    /// # Ok::<(), session_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// The errors of the function; the error of a background thread, before the function is called and instead of the
    /// `OutOfRange` or `Cancelled` that it caused; a runtime error after [`close`](Self::close).
    pub fn run_step_fn<T>(&mut self, step_fn: impl FnMut(&mut StepContext<'_>) -> Result<T>) -> Result<T> {
        self.inside.0.run_step_fn(step_fn)
    }

    /// Returns true if the loop should end: the session was closed; a hook, a thread or the holder of the stop handle
    /// requested it; a thread failed (S-154). See [`stop_reason`](Self::stop_reason).
    ///
    /// ```
    /// # #[cfg(feature = "embedded")] {
    /// use monitored::SingularMonitoredSession;
    /// # use ops::variables::VariableExt as _;
    /// # let graph = session_core::Graph::new();
    /// # let step = ops::global_step::get_or_create_global_step(&graph);
    /// # let train_op = step.assign_add(1i64);
    /// let mut session = SingularMonitoredSession::builder(&graph)
    ///     .hook(hooks::StopAtStepHook::last_step(3))
    ///     .build()?;
    /// while !session.should_stop() {
    ///     session.run(&train_op, ())?;
    /// }
    /// assert_eq!(session.run_without_hooks(&step, ())?.value::<i64>()?, 3);
    /// session.close()?;
    /// # }
    /// # Ok::<(), session_core::Error>(())
    /// ```
    #[must_use]
    #[inline]
    pub fn should_stop(&self) -> bool {
        self.inside.0.should_stop()
    }

    /// Returns the reason why the loop should end, or why it ended.
    ///
    /// ```
    /// # #[cfg(feature = "embedded")] {
    /// use monitored::SingularMonitoredSession;
    /// # use ops::variables::VariableExt as _;
    /// # let graph = session_core::Graph::new();
    /// # let step = ops::global_step::get_or_create_global_step(&graph);
    /// # let train_op = step.assign_add(1i64);
    /// let mut session = SingularMonitoredSession::builder(&graph)
    ///     .hook(hooks::StopAtStepHook::last_step(1))
    ///     .build()?;
    /// session.run(&train_op, ())?;
    /// assert_eq!(session.stop_reason().map(|reason| reason.to_string()).as_deref(), Some("hook 'StopAtStepHook': step 1 was reached"));
    /// session.close()?;
    /// # }
    /// # Ok::<(), session_core::Error>(())
    /// ```
    #[must_use]
    pub fn stop_reason(&self) -> Option<StopReason> {
        self.inside.0.stop_reason()
    }

    /// Returns a handle that stops this session from other threads.
    ///
    /// ```
    /// # #[cfg(feature = "embedded")] {
    /// use monitored::SingularMonitoredSession;
    /// # use ops::variables::VariableExt as _;
    /// # let graph = session_core::Graph::new();
    /// # let step = ops::global_step::get_or_create_global_step(&graph);
    /// # let train_op = step.assign_add(1i64);
    /// let mut session = SingularMonitoredSession::builder(&graph).build()?;
    /// let stop = session.stop_handle();
    /// std::thread::spawn(move || stop.request_stop("the service shuts down")).join().expect("the thread ends");
    /// assert!(session.should_stop());
    /// session.close()?;
    /// # }
    /// # Ok::<(), session_core::Error>(())
    /// ```
    #[must_use]
    pub fn stop_handle(&self) -> StopHandle {
        self.inside.0.stop_handle().clone()
    }

    /// Returns the graph.
    ///
    /// ```
    /// # #[cfg(feature = "embedded")] {
    /// use monitored::SingularMonitoredSession;
    /// # use ops::variables::VariableExt as _;
    /// # let graph = session_core::Graph::new();
    /// # let step = ops::global_step::get_or_create_global_step(&graph);
    /// # let train_op = step.assign_add(1i64);
    /// let mut session = SingularMonitoredSession::builder(&graph).build()?;
    /// assert!(session.graph().is_finalized());
    /// session.close()?;
    /// # }
    /// # Ok::<(), session_core::Error>(())
    /// ```
    #[must_use]
    pub fn graph(&self) -> &Graph {
        self.inside.0.graph()
    }

    /// Returns the scaffold of the session, if its creator has one.
    ///
    /// ```
    /// # #[cfg(feature = "embedded")] {
    /// use monitored::SingularMonitoredSession;
    /// # use ops::variables::VariableExt as _;
    /// # let graph = session_core::Graph::new();
    /// # let step = ops::global_step::get_or_create_global_step(&graph);
    /// # let train_op = step.assign_add(1i64);
    /// let mut session = SingularMonitoredSession::builder(&graph).build()?;
    /// assert!(session.scaffold().is_some());
    /// session.close()?;
    /// # }
    /// # Ok::<(), session_core::Error>(())
    /// ```
    #[must_use]
    pub fn scaffold(&self) -> Option<&Scaffold> {
        self.inside.0.scaffold()
    }

    /// Returns the report of the restore; `None` if the model was initialized.
    ///
    /// ```
    /// # #[cfg(feature = "embedded")] {
    /// use monitored::SingularMonitoredSession;
    /// # use ops::variables::VariableExt as _;
    /// # let graph = session_core::Graph::new();
    /// # let step = ops::global_step::get_or_create_global_step(&graph);
    /// # let train_op = step.assign_add(1i64);
    /// let mut session = SingularMonitoredSession::builder(&graph).build()?;
    /// assert!(session.restored().is_none()); // there was no checkpoint
    /// session.close()?;
    /// # }
    /// # Ok::<(), session_core::Error>(())
    /// ```
    #[must_use]
    pub fn restored(&self) -> Option<&RestoreReport> {
        self.inside.0.restored()
    }

    /// Returns the time that each hook takes per run, in the current session. Of fast runs one in 64 is measured, of runs
    /// above a millisecond each. Empty before the first measurement. A hook that takes more than a millisecond and 30 % of
    /// its runs is logged once.
    ///
    /// ```
    /// # #[cfg(feature = "embedded")] {
    /// use monitored::SingularMonitoredSession;
    /// # use ops::variables::VariableExt as _;
    /// # let graph = session_core::Graph::new();
    /// # let step = ops::global_step::get_or_create_global_step(&graph);
    /// # let train_op = step.assign_add(1i64);
    /// let mut session = SingularMonitoredSession::builder(&graph).build()?;
    /// for timing in session.hook_timings() {
    ///     println!("{} takes {:?} per run", timing.hook, timing.per_run);
    /// }
    /// session.close()?;
    /// # }
    /// # Ok::<(), session_core::Error>(())
    /// ```
    #[must_use]
    pub fn hook_timings(&self) -> Vec<HookTiming> {
        self.inside.0.hook_timings()
    }

    /// Returns true if the session was closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.inside.0.is_closed()
    }

    /// Ends the session: calls `end` of all hooks in order, stops and joins the background threads, closes the raw session
    /// and unfreezes the graph, whatever failed before (S-157, S-158). Closing again does nothing (unlike S-161).
    ///
    /// After an error of a background thread `end` is not called; the hooks receive the error instead (unlike S-167).
    ///
    /// ```
    /// # #[cfg(feature = "embedded")] {
    /// use monitored::SingularMonitoredSession;
    /// # use ops::variables::VariableExt as _;
    /// # let graph = session_core::Graph::new();
    /// # let step = ops::global_step::get_or_create_global_step(&graph);
    /// # let train_op = step.assign_add(1i64);
    /// let mut session = SingularMonitoredSession::builder(&graph).build()?;
    /// session.run(&train_op, ())?;
    /// session.close()?;
    /// assert!(session.is_closed());
    /// # }
    /// # Ok::<(), session_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// The errors of a background thread, and of a hook's last save or `end`.
    pub fn close(&mut self) -> Result<()> {
        self.inside.0.close()
    }
}

impl<K: Kind> Sealed for Monitored<K> {
    const RECOVERS: bool = K::RECOVERS;

    fn of(inside: Inside) -> Self {
        Monitored { inside, kind: PhantomData }
    }

    fn inside(&mut self) -> &mut Inside {
        &mut self.inside
    }
}

impl<K: Kind> fmt::Debug for Monitored<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(K::NAME).field("monitor", &self.inside.0).finish()
    }
}

/// Resolves the caller's fetches and feeds, has `run` execute them, and returns the values in the structure of the fetches.
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
    // A handle of its own, because the lists borrow the graph while the monitor is borrowed mutably.
    let graph = monitor.shared_graph();
    let mut list = FetchList::new(&graph);
    let mut fed = FeedList::new(&graph);
    fetch.expand(&mut list)?;
    // Resolved once, before any recovery: a repeated run uses the same numbers.
    feeds.collect(&mut fed)?;
    let mut request =
        Request { fetches: list.fetches(), targets: list.targets(), feeds: fed.feeds(), options, metadata };
    let values = run(monitor, &mut request)?;
    Ok(fetch.collect(&mut list.values(&values)))
}
