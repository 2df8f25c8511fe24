//! Training and evaluation in one process.

use crate::eval_spec::EvalSpec;
use crate::evaluation::Evaluated;
use crate::evaluation_listener::{EvaluationListener, Results};
use crate::recovery::Recovery;
use crate::training::TrainingSessionBuilder;
use crate::{Finished, MonitoredSession};
use hooks::StopAtStepHook;
use queue_runner::StopReason;
use session_core::{Fetch, Output, Result, Tensor};
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::PoisonError;

/// Describes the training, and its length, for [`train_and_evaluate`].
///
/// ```
/// use monitored::{MonitoredTrainingSession, TrainSpec};
/// # let graph = session_core::Graph::new();
/// # let train_op = graph.undefined_op("NoOp").name("train").finish();
/// let session = MonitoredTrainingSession::builder(&graph).checkpoint_dir("run").save_checkpoint_steps(1000);
/// let train = TrainSpec::new(session, train_op).max_steps(10_000);
/// # drop(train);
/// ```
pub struct TrainSpec {
    session: TrainingSessionBuilder,
    step: TrainFn,
    feed_fn: Option<FeedFn>,
    max_steps: Option<i64>,
}

/// Runs the training operation once.
type TrainFn = Box<dyn FnMut(&mut MonitoredSession, Vec<(Output, Tensor)>) -> Result<()>>;
type FeedFn = Box<dyn FnMut(u64) -> Result<Option<Vec<(Output, Tensor)>>>>;

impl TrainSpec {
    /// Creates a specification of a training: a session with a folder of checkpoints, and the operation to run again and again.
    #[must_use]
    pub fn new(session: TrainingSessionBuilder, train_op: impl Fetch + 'static) -> TrainSpec {
        TrainSpec {
            session,
            step: Box::new(move |session, feeds| session.run(&train_op, feeds).map(drop)),
            feed_fn: None,
            max_steps: None,
        }
    }

    /// Sets the function that returns the feeds of each run, counted from 0 in this process. `None` ends the training. Default: none;
    /// the graph takes its input from datasets or queues.
    #[must_use]
    pub fn feed_fn(
        mut self,
        feeds: impl FnMut(u64) -> Result<Option<Vec<(Output, Tensor)>>> + 'static,
    ) -> TrainSpec {
        self.feed_fn = Some(Box::new(feeds));
        self
    }

    /// Sets the global step at which the training ends; a training that is resumed counts its earlier steps. Default: it ends with
    /// its input, or when a hook requests a stop.
    #[must_use]
    pub fn max_steps(mut self, steps: i64) -> TrainSpec {
        self.max_steps = Some(steps);
        self
    }
}

/// The result of [`train_and_evaluate`].
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct TrainedAndEvaluated {
    /// The last evaluation; `None` if there was none, for example because the training was stopped before its first checkpoint.
    pub evaluated: Option<Evaluated<BTreeMap<String, f64>>>,
    /// The folders of the exports of this process. Later ones may have removed earlier ones.
    pub exports: Vec<PathBuf>,
    /// The reason why the training ended, if one was given.
    pub reason: Option<StopReason>,
    /// The recoveries of the training session.
    pub recoveries: Vec<Recovery>,
}

/// Trains, and evaluates and exports the checkpoints in the same process, in a second graph: TensorFlow's function of this name
/// for a single process.
///
/// The training waits while an evaluation runs, see [`EvaluationListener`]. It resumes from the newest checkpoint, and a training
/// that is already complete only evaluates its last checkpoint. A [stop handle](TrainingSessionBuilder::stop_handle) and signals
/// stop training and evaluation: the training saves its last checkpoint, and the evaluation returns nothing partial. Every way
/// out closes both sessions.
///
/// ```
/// # #[cfg(feature = "embedded")] {
/// use monitored::{EvalSpec, Evaluation, FinalExporter, MonitoredTrainingSession, TrainSpec, train_and_evaluate};
/// use ops::optimizers::{GradientDescentOptimizer, Optimizer};
/// use ops::{array, global_step, math, variables};
/// use session_core::{DType, Graph, Output};
/// use std::collections::BTreeMap;
/// # let directory = tempfile::tempdir().unwrap();
/// # let directory = directory.path();
///
/// /// The squared error of w x as a prediction of 3 x.
/// fn loss(graph: &Graph) -> (Output, Output) {
///     let x = array::placeholder(&graph.named("x"), DType::Float32, [None]);
///     let w = variables::variable(&graph.named("w"), 0f32);
///     let error = math::square(&x * &w - &x * 3f32);
///     (x, math::reduce_mean(error, ..))
/// }
///
/// let graph = Graph::new();
/// let (x, error) = loss(&graph);
/// let step = global_step::get_or_create_global_step(&graph);
/// let train_op = GradientDescentOptimizer::new(0.1).minimize(&error, Some(&step));
/// let session = MonitoredTrainingSession::builder(&graph).checkpoint_dir(directory).save_checkpoint_steps(10);
/// let train = TrainSpec::new(session, train_op)
///     .feed_fn(move |_| Ok(Some(vec![(x.clone(), vec![1f32, 2.0].into())])))
///     .max_steps(30);
///
/// let graph = Graph::new();
/// let (x, error) = loss(&graph);
/// global_step::get_or_create_global_step(&graph);
/// let evaluation = Evaluation::new(&graph)
///     .final_feed(&x, vec![5f32])
///     .final_ops(BTreeMap::from([("loss", error)]));
/// let export = |checkpoint: &std::path::Path, folder: &std::path::Path| {
///     std::fs::create_dir(folder)?; // `saved_model::CheckpointExport` writes a SavedModel
///     Ok(std::fs::write(folder.join("source"), checkpoint.to_string_lossy().as_bytes())?)
/// };
/// let eval = EvalSpec::new(evaluation).exporter(FinalExporter::new("final", export));
///
/// let done = train_and_evaluate(train, eval)?;
/// let evaluated = done.evaluated.unwrap();
/// assert_eq!(evaluated.step, Some(30));
/// assert!(evaluated.values["loss"] < 1e-4);
/// assert!(done.exports[0].join("source").is_file());
/// # }
/// # Ok::<(), session_core::Error>(())
/// ```
///
/// # Errors
/// A value error for a training without a folder of checkpoints, one of a worker, and one that saves no checkpoints; the errors of
/// the training, of evaluations, and of exporters.
pub fn train_and_evaluate(train: TrainSpec, eval: EvalSpec) -> Result<TrainedAndEvaluated> {
    let TrainSpec { session, mut step, mut feed_fn, max_steps } = train;
    let (directory, stop) = session.for_evaluation()?;
    let mut listener = EvaluationListener::new(directory, eval).stop_handle(&stop);
    let mut session = session;
    if let Some(last) = max_steps {
        listener = listener.max_steps(last);
        session = session.chief_only_hook(StopAtStepHook::last_step(last));
    }
    let results = listener.results();
    let finished = session.saving_listener(listener).scoped(|session| {
        let mut run = 0;
        while !session.should_stop() {
            let feeds = match &mut feed_fn {
                Some(feed_fn) => match feed_fn(run)? {
                    // Breaking closes the session cleanly, so the last checkpoint is saved and evaluated.
                    Some(feeds) => feeds,
                    None => break,
                },
                None => Vec::new(),
            };
            step(session, feeds)?;
            run += 1;
        }
        Ok(())
    })?;
    let Finished { reason, recoveries, .. } = finished;
    let Results { evaluated, exports } = results.lock().unwrap_or_else(PoisonError::into_inner).clone();
    Ok(TrainedAndEvaluated { evaluated, exports, reason, recoveries })
}

impl fmt::Debug for TrainSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TrainSpec")
            .field("session", &self.session)
            .field("max_steps", &self.max_steps)
            .finish_non_exhaustive()
    }
}
