//! Evaluating the checkpoints of a training.

use crate::builder::DEFAULT_GRACE;
use crate::{SessionBuilder, SingularMonitoredSession};
use checkpoint::storage::{LocalStorage, check_future_folder};
use checkpoint::{CheckpointReader, CheckpointsIterator, WatchOptions, checkpoints_iterator};
use hooks::{FinalOpsHook, SessionRunHook, SummaryAtEndHook};
use ops::global_step::global_step;
use queue_runner::StopHandle;
use scaffold::ScaffoldBuilder;
use session_core::{
    AsOutput, Engine, Error, Fetch, Graph, Output, Phase, Result, Session, SessionConfig, Tensor,
};
use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tensor::text::escaped;

/// Evaluates checkpoints in a graph and sessions of its own: one with [`evaluate_once`](Evaluation::evaluate_once), or each
/// as it appears with [`evaluate_repeatedly`](Evaluation::evaluate_repeatedly), in the process of the training or another one.
///
/// An evaluation restores the variables of the checkpoint, initializes the local ones, among them those of the metrics,
/// runs the [evaluation operations](Evaluation::eval_ops) until a hook requests a stop or the input ends, and then the
/// [final operations](Evaluation::final_ops). It writes no checkpoints and disturbs no training.
///
/// ```
/// # #[cfg(feature = "embedded")] {
/// use checkpoint::WatchOptions;
/// use hooks::{CheckpointSaverHook, StopAtStepHook};
/// use monitored::{Evaluation, SingularMonitoredSession};
/// use ops::variables::{VariableExt as _, variable};
/// use ops::{array, global_step, metrics};
/// use session_core::{DType, Graph};
/// use std::time::Duration;
/// # let directory = tempfile::tempdir().unwrap();
/// # let directory = directory.path();
///
/// // A training, which saves w = 3 at step 3.
/// let graph = Graph::new();
/// let w = variable(&graph.named("w"), 0f32);
/// let step = global_step::get_or_create_global_step(&graph);
/// let train = [w.assign_add(1f32), step.assign_add(1i64)];
/// SingularMonitoredSession::builder(&graph)
///     .hook(CheckpointSaverHook::every_steps(directory, 3))
///     .hook(StopAtStepHook::last_step(3))
///     .scoped(|session| {
///         while !session.should_stop() {
///             session.run(&train, ())?;
///         }
///         Ok(())
///     })?;
///
/// // The mean of w x over two batches.
/// let graph = Graph::new();
/// let x = array::placeholder(&graph.named("x"), DType::Float32, [None]);
/// let w = variable(&graph.named("w"), 0f32);
/// global_step::get_or_create_global_step(&graph);
/// let mean = metrics::mean(&x * &w);
/// let batches = [[1f32, 2.0], [3.0, 6.0]];
/// let evaluation = Evaluation::new(&graph)
///     .eval_ops(mean.update_op)
///     .feed_fn(move |run| Ok(batches.get(run as usize).map(|&batch| vec![(x.clone(), batch.into())])))
///     .final_ops(mean.value)
///     .summary_dir(directory.join("eval"));
/// let watch = WatchOptions::new().timeout(Duration::ZERO); // here, nobody trains any more
/// for evaluated in evaluation.evaluate_repeatedly(directory, watch) {
///     let evaluated = evaluated?;
///     assert_eq!((evaluated.step, evaluated.values.value::<f32>()?), (Some(3), 9.0));
/// }
/// # }
/// # Ok::<(), session_core::Error>(())
/// ```
#[must_use = "call `evaluate_once` or `evaluate_repeatedly`"]
pub struct Evaluation<F: Fetch = ()> {
    setup: Setup,
    final_ops: F,
}

/// The part that does not depend on the type of the final values.
struct Setup {
    graph: Graph,
    engine: Option<Arc<dyn Engine>>,
    scaffold: Option<ScaffoldBuilder>,
    master: Option<String>,
    config: Option<SessionConfig>,
    eval_ops: Option<EvalFn>,
    feeds: Vec<(Output, Tensor)>,
    feed_fn: Option<FeedFn>,
    final_feeds: Vec<(Output, Tensor)>,
    hooks: Vec<HookFn>,
    summary_dir: Option<PathBuf>,
    summary_scalars: Vec<(String, Output)>,
    /// Kept between evaluations, so that all of them write one event file.
    summaries: Option<Arc<Mutex<SummaryAtEndHook>>>,
    stop: StopHandle,
    grace: Duration,
}

/// Runs the evaluation operations once.
type EvalFn = Box<dyn Fn(&mut SingularMonitoredSession, Vec<(Output, Tensor)>) -> Result<()> + Send>;
type FeedFn = Box<dyn FnMut(u64) -> Result<Option<Vec<(Output, Tensor)>>> + Send>;
type HookFn = Box<dyn FnMut() -> Box<dyn SessionRunHook> + Send>;

/// The result of the evaluation of a checkpoint.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Evaluated<V> {
    /// The prefix of the checkpoint.
    pub checkpoint: PathBuf,
    /// The global step of the checkpoint, if the graph has one.
    pub step: Option<i64>,
    /// The values of the final operations.
    pub values: V,
}

impl Evaluation {
    /// Creates an evaluation in this graph, without operations. Each setter states its default.
    pub fn new(graph: &Graph) -> Evaluation {
        let setup = Setup {
            graph: graph.clone(),
            engine: None,
            scaffold: None,
            master: None,
            config: None,
            eval_ops: None,
            feeds: Vec::new(),
            feed_fn: None,
            final_feeds: Vec::new(),
            hooks: Vec::new(),
            summary_dir: None,
            summary_scalars: Vec::new(),
            summaries: None,
            stop: StopHandle::new(),
            grace: DEFAULT_GRACE,
        };
        Evaluation { setup, final_ops: () }
    }
}

impl<F: Fetch> Evaluation<F> {
    /// Sets the engine. Default: the embedded engine, if the feature `embedded` is on.
    pub fn engine(mut self, engine: Arc<dyn Engine>) -> Self {
        self.setup.engine = Some(engine);
        self
    }

    /// Sets the scaffold, for example with a saver that restores moving averages. Default: all pieces are found or created.
    pub fn scaffold(mut self, scaffold: impl Into<ScaffoldBuilder>) -> Self {
        self.setup.scaffold = Some(scaffold.into());
        self
    }

    /// Sets the engine's target. Default: empty, which means this process.
    pub fn master(mut self, master: impl Into<String>) -> Self {
        self.setup.master = Some(master.into());
        self
    }

    /// Sets the configuration of the sessions. Default: [`SessionConfig::default`].
    pub fn config(mut self, config: SessionConfig) -> Self {
        self.setup.config = Some(config);
        self
    }

    /// Sets the operations to run again and again, such as the updates of metrics. The runs continue until a hook such as
    /// [`StopAfterNEvalsHook`](hooks::StopAfterNEvalsHook) requests a stop, the graph's input ends, or
    /// [`feed_fn`](Evaluation::feed_fn) returns `None`. Default: only the final operations run.
    ///
    /// ```
    /// use monitored::Evaluation;
    /// # let graph = session_core::Graph::new();
    /// # let loss = ops::array::constant(&graph, 0.5f32);
    /// let mean = ops::metrics::mean(&loss);
    /// let evaluation = Evaluation::new(&graph).eval_ops(mean.update_op).final_ops(mean.value);
    /// ```
    pub fn eval_ops(mut self, eval_ops: impl Fetch + Send + 'static) -> Self {
        self.setup.eval_ops = Some(Box::new(move |session, feeds| session.run(&eval_ops, feeds).map(drop)));
        self
    }

    /// Feeds a value to each run of the evaluation operations.
    pub fn feed(mut self, output: &impl AsOutput, value: impl Into<Tensor>) -> Self {
        self.setup.feeds.push((output.as_output().clone(), value.into()));
        self
    }

    /// Sets the function that returns the feeds of each run of the evaluation operations, counted from 0 in each evaluation.
    /// `None` ends the evaluation's runs. Default: none.
    ///
    /// ```
    /// use monitored::Evaluation;
    /// use ops::array::placeholder;
    /// use session_core::{DType, Graph};
    /// let graph = Graph::new();
    /// let x = placeholder(&graph.named("x"), DType::Float32, [None]);
    /// let batches = [[1f32, 2.0], [3.0, 6.0]];
    /// let evaluation = Evaluation::new(&graph)
    ///     .feed_fn(move |run| Ok(batches.get(run as usize).map(|&batch| vec![(x.clone(), batch.into())])));
    /// ```
    pub fn feed_fn(
        mut self,
        feeds: impl FnMut(u64) -> Result<Option<Vec<(Output, Tensor)>>> + Send + 'static,
    ) -> Self {
        self.setup.feed_fn = Some(Box::new(feeds));
        self
    }

    /// Sets the fetches of the run at the end: outputs, operations, and tuples and lists of them. Default: none.
    pub fn final_ops<G: Fetch>(self, final_ops: G) -> Evaluation<G> {
        Evaluation { setup: self.setup, final_ops }
    }

    /// Feeds a value to the final operations, and to the summaries.
    pub fn final_feed(mut self, output: &impl AsOutput, value: impl Into<Tensor>) -> Self {
        self.setup.final_feeds.push((output.as_output().clone(), value.into()));
        self
    }

    /// Adds a hook, which the function creates for each evaluation. Default: none.
    ///
    /// ```
    /// use hooks::StopAfterNEvalsHook;
    /// use monitored::Evaluation;
    /// # let graph = session_core::Graph::new();
    /// let evaluation = Evaluation::new(&graph).hook(|| StopAfterNEvalsHook::new(10));
    /// ```
    pub fn hook<H: SessionRunHook + 'static>(mut self, mut hook: impl FnMut() -> H + Send + 'static) -> Self {
        self.setup.hooks.push(Box::new(move || Box::new(hook())));
        self
    }

    /// Writes the graph's summaries into this directory after each evaluation, at the step of the checkpoint. Default: none
    /// are written. The graph needs a global step.
    ///
    /// ```
    /// use monitored::Evaluation;
    /// # let graph = session_core::Graph::new();
    /// # let error = ops::array::constant(&graph, 0.5f32);
    /// let evaluation = Evaluation::new(&graph).summary_dir("run/eval").summary_scalar("error", &error);
    /// ```
    pub fn summary_dir(mut self, directory: impl Into<PathBuf>) -> Self {
        self.setup.summary_dir = Some(directory.into());
        self
    }

    /// Also writes a tensor with a single number, under this tag, if there is a [`summary_dir`](Evaluation::summary_dir). Default: none.
    pub fn summary_scalar(mut self, tag: impl Into<String>, value: &impl AsOutput) -> Self {
        self.setup.summary_scalars.push((tag.into(), value.as_output().clone()));
        self
    }

    /// Sets the handle that stops everything: the wait for a checkpoint at once, an evaluation after its current run, or
    /// within it by [`interrupt`](StopHandle::interrupt). Default: a new handle.
    ///
    /// ```
    /// use monitored::Evaluation;
    /// use queue_runner::StopHandle;
    /// # let graph = session_core::Graph::new();
    /// let stop = StopHandle::new(); // a clone goes to the thread that stops the evaluation
    /// let evaluation = Evaluation::new(&graph).stop_handle(&stop);
    /// ```
    pub fn stop_handle(mut self, stop: &StopHandle) -> Self {
        self.setup.stop = stop.clone();
        self
    }

    /// Checks that summaries can be written, before the wait for a checkpoint or a training begins.
    pub(crate) fn check_summary_dir(&self) -> Result<()> {
        let Some(directory) = &self.setup.summary_dir else { return Ok(()) };
        check_future_folder(&LocalStorage, directory, |_| false).map_err(|error| {
            let error = Error::from(error).with_phase(Phase::Build);
            error.context(format!(
                "the summaries of evaluations cannot be written into '{}'",
                directory.display()
            ))
        })
    }

    pub(crate) fn set_stop(&mut self, stop: &StopHandle) {
        self.setup.stop = stop.clone();
    }

    /// Sets the time that a closing session waits for background threads. Default: 120 s.
    pub fn stop_grace_period(mut self, grace: Duration) -> Self {
        self.setup.grace = grace;
        self
    }
}

impl<F> Evaluation<F>
where
    F: Fetch + Clone + Send + 'static,
    F::Value: Send,
{
    /// Evaluates the checkpoint with this prefix. Returns `None` if the [stop handle](Evaluation::stop_handle) ended the
    /// evaluation before its end; nothing partial is returned or written then.
    ///
    /// ```
    /// # #[cfg(feature = "embedded")] {
    /// use checkpoint::latest_checkpoint;
    /// use monitored::Evaluation;
    /// use ops::global_step::get_or_create_global_step;
    /// use ops::variables::variable;
    /// use session_core::Graph;
    /// # use hooks::{CheckpointSaverHook, StopAtStepHook};
    /// # use monitored::SingularMonitoredSession;
    /// # use ops::variables::VariableExt as _;
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let directory = directory.path();
    /// # let graph = Graph::new();
    /// # let _w = variable(&graph.named("w"), 3f32);
    /// # let train = get_or_create_global_step(&graph).assign_add(1i64);
    /// # SingularMonitoredSession::builder(&graph)
    /// #     .hook(CheckpointSaverHook::every_steps(directory, 2))
    /// #     .hook(StopAtStepHook::last_step(2))
    /// #     .scoped(|session| {
    /// #         while !session.should_stop() {
    /// #             session.run(&train, ())?;
    /// #         }
    /// #         Ok(())
    /// #     })?;
    /// let graph = Graph::new();
    /// let w = variable(&graph.named("w"), 0f32);
    /// get_or_create_global_step(&graph);
    /// let mut evaluation = Evaluation::new(&graph).final_ops(w);
    /// let newest = latest_checkpoint(directory)?.expect("the training has saved");
    /// let evaluated = evaluation.evaluate_once(newest)?.expect("nothing stops it");
    /// assert_eq!((evaluated.step, evaluated.values.value::<f32>()?), (Some(2), 3.0));
    /// # }
    /// # Ok::<(), session_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// Those of building a [`SingularMonitoredSession`], such as for a missing or damaged checkpoint; of the runs and hooks;
    /// and of the event file. A lost session is an error too, since the metrics would lack the batches that it has seen.
    pub fn evaluate_once(&mut self, checkpoint: impl AsRef<Path>) -> Result<Option<Evaluated<F::Value>>> {
        let checkpoint = checkpoint.as_ref();
        let setup = &mut self.setup;
        // Before the session is built, which may take long.
        if setup.stop.is_stop_requested() {
            return Ok(None);
        }
        // The step is fetched in the same run as the final operations, so it is the step of the values.
        let mut last = FinalOpsHook::new((self.final_ops.clone(), global_step(&setup.graph)?));
        for (output, value) in &setup.final_feeds {
            last = last.feed(output, value.clone());
        }
        let values = last.values();
        // Wrapped, because a stop from outside ends the loop cleanly, and `end` would then fetch the metrics
        // of only some of the batches.
        let last = UnlessStopped { hook: Arc::new(Mutex::new(last)), stop: setup.stop.clone() };
        let builder = setup.session(checkpoint).hook(last);
        builder.scoped(|session| setup.runs(session))?;
        // No values mean that `end` was skipped, so the evaluation was stopped.
        let Some((values, step)) = values.take() else { return Ok(None) };
        let step = step.map(|step| step.as_scalar_i64()).transpose()?;
        log::info!("evaluated {checkpoint:?}");
        Ok(Some(Evaluated { checkpoint: checkpoint.to_path_buf(), step, values }))
    }

    /// Evaluates each newest checkpoint of a folder as it appears; those that come and are overtaken during an evaluation are
    /// missed. The iterator ends at the time-out of `watch`, or when the [stop handle](Evaluation::stop_handle) is used, which
    /// also ends the wait at once. TensorFlow's `eval_interval_secs` is [`WatchOptions::min_interval`],
    /// `max_number_of_evaluations` is [`Iterator::take`], and `timeout_fn` is [`Evaluations::on_timeout`].
    ///
    /// A checkpoint that is incomplete, damaged or deleted meanwhile is skipped with a warning.
    ///
    /// # Errors
    /// The items are errors for a folder that cannot be read, for a folder of summaries that cannot be written, and as [`evaluate_once`](Evaluation::evaluate_once). An error
    /// ends the iterator.
    pub fn evaluate_repeatedly(self, directory: impl Into<PathBuf>, watch: WatchOptions) -> Evaluations<F> {
        let stop = self.setup.stop.clone();
        // A clone: the watch polls the handle while the iterator owns the evaluation.
        let checkpoints = checkpoints_iterator(directory, watch.stop_when(move || stop.is_stop_requested()));
        Evaluations { evaluation: self, checkpoints, begun: false, ended: false }
    }
}

impl Setup {
    /// Builds the session of an evaluation, without its final operations.
    fn session(&mut self, checkpoint: &Path) -> SessionBuilder<SingularMonitoredSession> {
        let mut builder = SingularMonitoredSession::builder(&self.graph)
            .checkpoint_filename_with_path(checkpoint)
            .stop_handle(&self.stop)
            .stop_grace_period(self.grace)
            .hooks(self.hooks.iter_mut().map(|hook| hook()));
        builder.engine.clone_from(&self.engine);
        builder.scaffold.clone_from(&self.scaffold);
        builder.master.clone_from(&self.master);
        builder.config.clone_from(&self.config);
        let Some(directory) = &self.summary_dir else { return builder };
        let (feeds, scalars) = (&self.final_feeds, &self.summary_scalars);
        // One hook for all evaluations, since each would otherwise open an event file of its own.
        let summaries = self.summaries.get_or_insert_with(|| {
            let hook = SummaryAtEndHook::new().output_dir(directory);
            let hook = scalars.iter().fold(hook, |hook, (tag, value)| hook.scalar(tag, value));
            Arc::new(Mutex::new(
                feeds.iter().fold(hook, |hook, (output, value)| hook.feed(output, value.clone())),
            ))
        });
        builder.hook(UnlessStopped { hook: summaries.clone(), stop: self.stop.clone() })
    }

    /// Runs the evaluation operations.
    fn runs(&mut self, session: &mut SingularMonitoredSession) -> Result<()> {
        let Some(eval_ops) = &self.eval_ops else { return Ok(()) };
        let mut run = 0;
        while !session.should_stop() {
            let mut feeds = self.feeds.clone();
            if let Some(feed_fn) = &mut self.feed_fn {
                let Some(more) = feed_fn(run)? else { break };
                // Later feeds win, so those of the function replace the constant ones.
                feeds.extend(more);
            }
            eval_ops(session, feeds)?;
            run += 1;
        }
        Ok(())
    }
}

/// Each evaluation of [`Evaluation::evaluate_repeatedly`].
#[must_use = "iterators do nothing unless consumed"]
pub struct Evaluations<F: Fetch> {
    evaluation: Evaluation<F>,
    checkpoints: CheckpointsIterator,
    begun: bool,
    ended: bool,
}

impl<F: Fetch> Evaluations<F> {
    /// Sets the function that decides after each time-out, and after each evaluation, whether to end; `true` ends the iterator.
    /// Default: the first time-out ends it.
    pub fn on_timeout(mut self, function: impl FnMut() -> bool + Send + 'static) -> Self {
        self.checkpoints = self.checkpoints.on_timeout(function);
        self
    }
}

impl<F> Iterator for Evaluations<F>
where
    F: Fetch + Clone + Send + 'static,
    F::Value: Send,
{
    type Item = Result<Evaluated<F::Value>>;

    fn next(&mut self) -> Option<Self::Item> {
        // Once, in front of the wait: an evaluation that cannot write its summaries would otherwise fail
        // after hours.
        if !std::mem::replace(&mut self.begun, true)
            && let Err(error) = self.evaluation.check_summary_dir()
        {
            self.ended = true;
            return Some(Err(error));
        }
        while !self.ended {
            let evaluated = match self.checkpoints.next()? {
                Ok(checkpoint) => match self.evaluation.evaluate_once(&checkpoint) {
                    // The writer of a checkpoint may remove it while it is being read. That ends no
                    // evaluation of later ones.
                    Err(error) => match unusable(&checkpoint, &error) {
                        Some(reason) => {
                            log::warn!("a checkpoint is not evaluated: {}", escaped(reason));
                            continue;
                        }
                        None => Err(error),
                    },
                    Ok(evaluated) => Ok(evaluated),
                },
                Err(error) => Err(error.into()),
            };
            // A stop ends the iterator as well, with `None`.
            self.ended = !matches!(evaluated, Ok(Some(_)));
            return evaluated.transpose();
        }
        None
    }
}

/// Returns the defect of the checkpoint if that is why a session could not be created: it was deleted meanwhile, or is not
/// completely written.
fn unusable(checkpoint: &Path, error: &Error) -> Option<String> {
    // The session existed, so the checkpoint was readable.
    if error.phase() == Some(Phase::Run) {
        return None;
    }
    match CheckpointReader::open(checkpoint) {
        Err(defect) => Some(defect.to_string()),
        // The file can be opened but a checksum may not match. If all do, the error has another cause and is
        // returned.
        Ok(reader) => reader.verify().first().map(|_| error.chain()),
    }
}

/// Skips the end of a hook whose session was stopped from outside.
struct UnlessStopped<H> {
    hook: Arc<Mutex<H>>,
    stop: StopHandle,
}

impl<H> UnlessStopped<H> {
    /// Sessions follow one another, so there is nothing to wait for.
    fn hook(&self) -> MutexGuard<'_, H> {
        self.hook.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<H: SessionRunHook> SessionRunHook for UnlessStopped<H> {
    fn name(&self) -> Cow<'_, str> {
        Cow::Owned(self.hook().name().into_owned())
    }

    fn begin(&mut self, graph: &Graph) -> Result<()> {
        self.hook().begin(graph)
    }

    fn end(&mut self, session: &dyn Session) -> Result<()> {
        if self.stop.is_stop_requested() { Ok(()) } else { self.hook().end(session) }
    }
}

impl<F: Fetch> fmt::Debug for Evaluation<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Evaluation")
            .field("graph", &self.setup.graph)
            .field("summary_dir", &self.setup.summary_dir)
            .field("stop", &self.setup.stop)
            .finish_non_exhaustive()
    }
}

impl<F: Fetch> fmt::Debug for Evaluations<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Evaluations")
            .field("evaluation", &self.evaluation)
            .field("checkpoints", &self.checkpoints)
            .field("ended", &self.ended)
            .finish()
    }
}
