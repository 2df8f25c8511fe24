//! A training loop in plain Rust under a monitored session.

use crate::builder::Finished;
use crate::host_progress::{Progress, share};
use crate::host_step::{HostStep, Metrics};
use crate::recovering::MonitoredSession;
use crate::training::{MonitoredTrainingSession, TrainingSessionBuilder};
use checkpoint::{RestoreTarget, SAVED_OBJECTS, SaveSource, SavedObject};
use hooks::SessionRunHook;
use ops::global_step::create_global_step;
use ops::script::host_func;
use ops::variables::VariableExt as _;
use queue_runner::{StopHandle, StopReason};
use session_core::keys::SUMMARIES;
use session_core::{
    DType, Error, Graph, OpLibrary as _, Operation, Output, PartialShape, Phase, Result, SessionConfig,
    Tensor, Variable,
};
use smallvec::SmallVec;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// Trains without a graph: a model of arrays, or of another library, whose step is a closure. It offers everything that a
/// [`MonitoredSession`] does: checkpoints and exact resumption, recovery, signals, hooks, retention.
///
/// - Each object to save has a name and implements [`SaveSource`] and [`RestoreTarget`]. The step shares the object through its
///   lock.
/// - The step is called until a hook, a signal or the [stop handle](StopHandle) requests a stop. It receives the number of the step,
///   seeded random numbers and the rows of its batch, none of which need to be saved.
/// - Hooks find the [`Metrics`] that the step returns by name, and summaries are written of them.
///
/// ```
/// use checkpoint::{RestoreTarget, Result, SaveSource, VariableSpec};
/// use hooks::StopAtStepHook;
/// use monitored::HostTraining;
/// use std::sync::{Arc, Mutex};
/// use session_core::{DType, Tensor};
///
/// struct Line { slope: f64, offset: f64 }
///
/// impl SaveSource for Line {
///     fn tensors(&self) -> Result<Vec<(String, Tensor)>> {
///         Ok(vec![("slope".into(), self.slope.into()), ("offset".into(), self.offset.into())])
///     }
/// }
///
/// impl RestoreTarget for Line {
///     fn variables(&self) -> Vec<VariableSpec> {
///         ["slope", "offset"].map(|name| VariableSpec::new(name, DType::Float64, Some([].into()))).into()
///     }
///     fn assign(&mut self, values: Vec<(String, Tensor)>) -> Result<()> {
///         for (name, value) in values {
///             *(if name == "slope" { &mut self.slope } else { &mut self.offset }) = value.value()?;
///         }
///         Ok(())
///     }
/// }
/// # let directory = tempfile::tempdir().unwrap();
/// # let directory = directory.path();
///
/// let line = Arc::new(Mutex::new(Line { slope: 0.0, offset: 0.0 }));
/// let model = line.clone();
/// let finished = HostTraining::new()
///     .saved_object("line", &line)
///     .metrics(["loss"])
///     .checkpoint_dir(directory) // resumes from there, and saves there
///     .hook(StopAtStepHook::last_step(200))
///     .run(move |step| {
///         let mut line = model.lock().unwrap();
///         let x = step.random().uniform();
///         let error = line.slope * x + line.offset - (3.0 * x + 1.0);
///         line.slope -= 0.5 * error * x;
///         line.offset -= 0.5 * error;
///         Ok([("loss", error * error)])
///     })?;
/// assert_eq!(finished.value, Some(200));
/// assert!((line.lock().unwrap().slope - 3.0).abs() < 0.1);
/// # Ok::<(), session_core::Error>(())
/// ```
///
/// A step that fails ends the training with its error, and nothing is saved after it: the last checkpoint belongs to a completed
/// step. A step that fails with `Aborted` or `Unavailable` is recovered from: objects are restored, and the training continues from
/// there. A panic is treated as an error.
#[must_use = "call `run` or `build`"]
pub struct HostTraining {
    graph: Graph,
    session: TrainingSessionBuilder,
    objects: Vec<SavedObject>,
    metrics: Vec<String>,
    seed: u64,
}

impl Default for HostTraining {
    fn default() -> HostTraining {
        HostTraining::new()
    }
}

macro_rules! as_training_sessions {
    ($($(#[$doc:meta])* $name:ident($argument:ident: $type:ty);)+) => {$(
        $(#[$doc])*
        pub fn $name(mut self, $argument: $type) -> Self {
            self.session = self.session.$name($argument);
            self
        }
    )+};
}

impl HostTraining {
    /// Creates a training with the defaults of [`MonitoredTrainingSession`]: with a folder, it saves every 600 s, writes summaries every
    /// 100 steps and logs steps per second.
    pub fn new() -> HostTraining {
        let graph = Graph::new();
        // The session computes nothing itself.
        let session = MonitoredTrainingSession::builder(&graph).config(SessionConfig::with_threads(1));
        // The graph holds a closure, which no other program could run.
        let session = session.save_graph_def(false);
        HostTraining { graph, session, objects: Vec::new(), metrics: Vec::new(), seed: 0 }
    }

    /// Saves an object and restores it, under a name that prefixes those of its tensors; see [`SavedObject`]. Default: none.
    ///
    /// ```
    /// use monitored::HostTraining;
    /// use session_core::Tensor;
    /// use std::collections::BTreeMap;
    /// use std::sync::{Arc, Mutex};
    ///
    /// let weights = Arc::new(Mutex::new(BTreeMap::from([("w".to_owned(), Tensor::from([0.0f32; 3]))])));
    /// let training = HostTraining::new().saved_object("model", &weights); // the tensor `model/w` of checkpoints
    /// # drop(training);
    /// ```
    pub fn saved_object<T>(self, name: impl Into<String>, object: &Arc<Mutex<T>>) -> Self
    where
        T: SaveSource + RestoreTarget + Send + 'static,
    {
        self.saved_objects([SavedObject::new(name, object)])
    }

    /// Saves several objects like [`saved_object`](HostTraining::saved_object), for objects that exist, such as those with
    /// [private state](SavedObject::with_state).
    pub fn saved_objects(mut self, objects: impl IntoIterator<Item = SavedObject>) -> Self {
        self.objects.extend(objects);
        self
    }

    /// Declares the names of the metrics that each step returns. Hooks fetch them by these names, and each is a summary. Default: none.
    ///
    /// ```
    /// use monitored::HostTraining;
    /// let training = HostTraining::new().metrics(["loss", "accuracy"]);
    /// # drop(training);
    /// ```
    pub fn metrics<N: Into<String>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.metrics.extend(names.into_iter().map(Into::into));
        self
    }

    /// Sets the seed of the steps' random numbers and batches. Default: 0.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    as_training_sessions! {
        /// Sets the folder of checkpoints, which are restored from it and saved to it. Default: none.
        checkpoint_dir(directory: impl Into<PathBuf>);
        /// Sets the number of steps between two checkpoints. Default: by time.
        save_checkpoint_steps(steps: impl Into<Option<u64>>);
        /// Sets the time between two checkpoints. Default: 600 s.
        save_checkpoint_secs(time: impl Into<Option<Duration>>);
        /// Sets the number of steps between two summaries. Default: 100.
        save_summaries_steps(steps: impl Into<Option<u64>>);
        /// Adds a hook. Default: none.
        hook(hook: impl SessionRunHook + 'static);
    }

    /// Changes any other setting of the session: restore options, recovery, a stop handle, a dry run.
    ///
    /// ```
    /// # use monitored::HostTraining;
    /// let training = HostTraining::new().configure(|session| session.dry_run(3));
    /// # drop(training);
    /// ```
    pub fn configure(
        mut self,
        change: impl FnOnce(TrainingSessionBuilder) -> TrainingSessionBuilder,
    ) -> Self {
        self.session = change(self.session);
        self
    }

    /// Calls the step until a stop is requested, and closes the session on every way out. The value is the number of completed steps;
    /// `None` if an interruption or the end of the input ended the loop.
    ///
    /// ```
    /// use hooks::StopAtStepHook;
    /// use monitored::HostTraining;
    ///
    /// let training = HostTraining::new().metrics(["loss"]).hook(StopAtStepHook::last_step(3));
    /// let finished = training.run(|step| Ok([("loss", 1.0 / (step.number() + 1) as f64)]))?;
    /// assert_eq!(finished.value, Some(3));
    /// # Ok::<(), session_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// The errors of [`build`](HostTraining::build), of [`HostSession::step`], and of the last save.
    pub fn run<M: Into<Metrics>>(
        self,
        step: impl FnMut(&HostStep<'_>) -> Result<M> + Send + 'static,
    ) -> Result<Finished<i64>> {
        let (session, train) = self.settled(step)?;
        session.scoped(|session| {
            while !session.should_stop() {
                train.step(session)?;
            }
            train.global_step(session)
        })
    }

    /// Creates the session, for loops that do more between steps.
    ///
    /// ```
    /// # use monitored::HostTraining;
    /// let mut session = HostTraining::new().metrics(["loss"]).build(|step| Ok([("loss", step.number() as f64)]))?;
    /// for _ in 0..3 {
    ///     session.step()?;
    /// }
    /// assert_eq!((session.global_step()?, session.metrics().get("loss")), (3, Some(2.0)));
    /// session.close()?;
    /// # Ok::<(), session_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// A value error for a metric whose name is invalid or already used; the errors of [`TrainingSessionBuilder::build`].
    pub fn build<M: Into<Metrics>>(
        self,
        step: impl FnMut(&HostStep<'_>) -> Result<M> + Send + 'static,
    ) -> Result<HostSession> {
        let (session, train) = self.settled(step)?;
        Ok(HostSession { session: session.build()?, train })
    }

    fn settled<M: Into<Metrics>>(
        self,
        step: impl FnMut(&HostStep<'_>) -> Result<M> + Send + 'static,
    ) -> Result<(TrainingSessionBuilder, Train)> {
        let train = self.train(step).map_err(|error| error.with_phase(Phase::Build))?;
        for object in self.objects {
            self.graph.add_to_collection(&SAVED_OBJECTS, object)?;
        }
        Ok((self.session, train))
    }

    /// Creates the operations of a step: the call of the closure, which returns the increment of the global step, and the metrics.
    fn train<M: Into<Metrics>>(
        &self,
        step: impl FnMut(&HostStep<'_>) -> Result<M> + Send + 'static,
    ) -> Result<Train> {
        let graph = &self.graph;
        let progress = Arc::new(Mutex::new(Progress::new(self.metrics.len())));
        graph.add_to_collection(&SAVED_OBJECTS, share(&progress))?;
        let global_step = create_global_step(graph);
        let scope = graph.scope("host_training");
        let mut call = host_func(&scope.named("step")).input(global_step.snapshot());
        call = call.output(DType::Int64, PartialShape::scalar());
        for _ in &self.metrics {
            call = call.output(DType::Float64, PartialShape::scalar());
        }
        let (seed, names, shared) = (self.seed, self.metrics.clone(), progress.clone());
        // Guards the step's own state while it runs. Only one session calls it, so nothing waits for it.
        let step = Mutex::new(step);
        let call = call.call(move |inputs, context| {
            let number = inputs[0].value::<i64>()?;
            let known = shared.lock().unwrap_or_else(PoisonError::into_inner).known(number);
            if let Some(done) = known {
                return Ok(done.outputs());
            }
            let host = HostStep::new(u64::try_from(number).unwrap_or_default(), seed, context);
            // A closure that panicked may have left its objects half changed, so it is not called again.
            let mut step = step.lock().map_err(|_| Error::runtime("the step panicked before"))?;
            // The lock of the progress is not held while the closure runs: hooks may ask for metrics
            // meanwhile.
            let metrics = step(&host)?.into().in_order(&names)?;
            Ok(shared.lock().unwrap_or_else(PoisonError::into_inner).completed(number, metrics).outputs())
        });
        // The increment is the result of the closure: 0 if it did not train, so the step counts exactly the
        // completed ones.
        let train_op = global_step.assign_add(call.output(0));
        for (index, name) in self.metrics.iter().enumerate() {
            metric(graph, &scope, name, &call.output(index + 1))?;
        }
        // The metrics were recorded in the graph; their errors must not wait for the session.
        graph.check()?;
        Ok(Train { train_op, global_step, progress, names: self.metrics.clone() })
    }
}

/// Makes an output available under its name, and as a summary.
fn metric(graph: &Graph, scope: &Graph, name: &str, value: &Output) -> Result<()> {
    let named = ops::array::identity(value.within(&graph.named(name)));
    // Hooks find metrics by name, so a name with a suffix would be one that nobody looks for.
    if named.operation().error().is_none() && named.operation().name() != name {
        return Err(Error::value(format!("the name of metric '{name}' is taken: choose another name")));
    }
    let missing = || Error::runtime("the library has no ScalarSummary");
    let def = ops::library().find("ScalarSummary").ok_or_else(missing)?;
    let summary = scope.op(def).constant(Tensor::from(name)).input(value).finish_output();
    graph.add_to_collection(&SUMMARIES, summary)
}

/// Runs one step.
struct Train {
    train_op: Operation,
    global_step: Variable,
    progress: Arc<Mutex<Progress>>,
    names: Vec<String>,
}

impl Train {
    fn step(&self, session: &mut MonitoredSession) -> Result<()> {
        let progress = |change: fn(&mut Progress)| {
            change(&mut self.progress.lock().unwrap_or_else(PoisonError::into_inner));
        };
        progress(Progress::begin);
        let ran = session.run(&self.train_op, ());
        // Also after an error: a run of a hook in between must not train.
        progress(Progress::end);
        ran
    }

    fn global_step(&self, session: &mut MonitoredSession) -> Result<i64> {
        Ok(session.run_without_hooks(&self.global_step, ())?.value::<i64>()?)
    }

    fn metrics(&self) -> Metrics {
        let values: SmallVec<[f64; 4]> =
            self.progress.lock().unwrap_or_else(PoisonError::into_inner).metrics().into();
        let named = self.names.iter().cloned().zip(values);
        named.fold(Metrics::new(), |metrics, (name, value)| metrics.with(name, value))
    }
}

/// The session of a [`HostTraining`]: a [`MonitoredSession`] whose run is the closure's step.
pub struct HostSession {
    session: MonitoredSession,
    train: Train,
}

impl HostSession {
    /// Runs one step: `before_run` of all hooks, the closure, `after_run` of all hooks.
    ///
    /// # Errors
    /// The errors of the step, with the place of its operation; the errors of [`MonitoredSession::run`].
    pub fn step(&mut self) -> Result<()> {
        self.train.step(&mut self.session)
    }

    /// Returns the metrics of the last step, also if a previous run made it; NaN before the first step.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        self.train.metrics()
    }

    /// Returns the number of steps that all runs together completed.
    ///
    /// # Errors
    /// An error after [`close`](HostSession::close); the errors of the session.
    pub fn global_step(&mut self) -> Result<i64> {
        self.train.global_step(&mut self.session)
    }

    /// Returns true if the loop should end; see [`MonitoredSession::should_stop`].
    #[must_use]
    pub fn should_stop(&self) -> bool {
        self.session.should_stop()
    }

    /// Returns the reason why the loop should end, or why it ended.
    #[must_use]
    pub fn stop_reason(&self) -> Option<StopReason> {
        self.session.stop_reason()
    }

    /// Returns a handle that stops this session from other threads.
    #[must_use]
    pub fn stop_handle(&self) -> StopHandle {
        self.session.stop_handle()
    }

    /// Returns the monitored session.
    pub fn session(&mut self) -> &mut MonitoredSession {
        &mut self.session
    }

    /// Ends the session, which saves the last step; see [`MonitoredSession::close`].
    ///
    /// # Errors
    /// Returns the errors of [`MonitoredSession::close`].
    pub fn close(&mut self) -> Result<()> {
        self.session.close()
    }
}

impl fmt::Debug for HostTraining {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostTraining")
            .field("objects", &self.objects)
            .field("metrics", &self.metrics)
            .field("seed", &self.seed)
            .field("session", &self.session)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for HostSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostSession").field("session", &self.session).finish_non_exhaustive()
    }
}
