//! The evaluation that accompanies a training.

use crate::evaluation::{Evaluated, Evaluation};
use crate::exporter::{Candidate, Exporter};
use hooks::{Clock, SecondOrStepTimer};
use queue_runner::StopHandle;
use session_core::{Error, Fetch, Result, Tensor};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Describes how the checkpoints of a training are evaluated and exported, for [`train_and_evaluate`](crate::train_and_evaluate).
///
/// ```
/// use monitored::{BestExporter, EvalSpec, Evaluation};
/// use std::collections::BTreeMap;
/// use std::time::Duration;
/// # let graph = session_core::Graph::new();
/// # let accuracy = ops::array::constant(&graph, 0.5f32);
/// let evaluation = Evaluation::new(&graph).final_ops(BTreeMap::from([("accuracy", accuracy)]));
/// let spec = EvalSpec::new(evaluation)
///     .throttle(Duration::from_secs(60))
///     .exporter(BestExporter::new("best", "accuracy", checkpoint::Better::Higher, |_checkpoint, folder| {
///         Ok(std::fs::create_dir(folder)?) // `saved_model::CheckpointExport` writes a SavedModel
///     }));
/// ```
pub struct EvalSpec {
    evaluation: Box<dyn Evaluate>,
    throttle: Duration,
    clock: Option<Arc<dyn Clock>>,
    exporters: Vec<Box<dyn Exporter>>,
    export_dir: Option<PathBuf>,
}

/// An [`Evaluation`] of any type of keys and fetches.
trait Evaluate: Send {
    fn set_stop_handle(&mut self, stop: &StopHandle);
    fn check(&self) -> Result<()>;
    fn evaluate(&mut self, checkpoint: &Path) -> Result<Option<Evaluated<BTreeMap<String, f64>>>>;
}

impl<K, F> Evaluate for Evaluation<BTreeMap<K, F>>
where
    K: Ord + Clone + Into<String> + Send + 'static,
    F: Fetch<Value = Tensor> + Clone + Send + 'static,
{
    fn set_stop_handle(&mut self, stop: &StopHandle) {
        self.set_stop(stop);
    }

    fn check(&self) -> Result<()> {
        self.check_summary_dir()
    }

    fn evaluate(&mut self, checkpoint: &Path) -> Result<Option<Evaluated<BTreeMap<String, f64>>>> {
        let Some(Evaluated { checkpoint, step, values }) = self.evaluate_once(checkpoint)? else {
            return Ok(None);
        };
        let mut metrics = BTreeMap::new();
        for (name, value) in values {
            let name = name.into();
            let number = number(&value).map_err(|error| {
                error.context(format!("the metric '{name}' is not a number, but {}", value.dtype()))
            })?;
            metrics.insert(name, number);
        }
        Ok(Some(Evaluated { checkpoint, step, values: metrics }))
    }
}

/// Returns the single number of a tensor.
fn number(value: &Tensor) -> Result<f64> {
    match value.as_scalar_f64() {
        // A count, such as that of correct answers, is an integer.
        Ok(number) => Ok(number),
        Err(error) => Ok(value.as_scalar_i64().map_err(|_| error)? as f64),
    }
}

impl EvalSpec {
    /// Creates a specification of an evaluation whose final operations are the metrics, by name. Each setter states its default.
    #[must_use]
    pub fn new<K, F>(evaluation: Evaluation<BTreeMap<K, F>>) -> EvalSpec
    where
        K: Ord + Clone + Into<String> + Send + 'static,
        F: Fetch<Value = Tensor> + Clone + Send + 'static,
    {
        EvalSpec {
            evaluation: Box::new(evaluation),
            throttle: Duration::from_secs(600),
            clock: None,
            exporters: Vec::new(),
            export_dir: None,
        }
    }

    /// Sets the least time between the beginnings of two evaluations, TensorFlow's `throttle_secs`. Checkpoints that come earlier
    /// are not evaluated; the last one always is. Default: 600 s.
    #[must_use]
    pub fn throttle(mut self, time: Duration) -> EvalSpec {
        self.throttle = time;
        self
    }

    /// Adds an exporter, which is offered each checkpoint after its evaluation. Default: none.
    ///
    /// ```
    /// use monitored::{EvalSpec, Evaluation, LatestExporter};
    /// use std::collections::BTreeMap;
    /// # let graph = session_core::Graph::new();
    /// # let loss = ops::array::constant(&graph, 0.5f32);
    /// let evaluation = Evaluation::new(&graph).final_ops(BTreeMap::from([("loss", loss)]));
    /// let latest = LatestExporter::new("latest", |_checkpoint, folder| Ok(std::fs::create_dir(folder)?));
    /// let spec = EvalSpec::new(evaluation).exporter(latest);
    /// ```
    #[must_use]
    pub fn exporter(mut self, exporter: impl Exporter + 'static) -> EvalSpec {
        self.exporters.push(Box::new(exporter));
        self
    }

    /// Sets the folder of the exporters' folders. Default: the folder `export` in the folder of the checkpoints.
    #[must_use]
    pub fn export_dir(mut self, directory: impl Into<PathBuf>) -> EvalSpec {
        self.export_dir = Some(directory.into());
        self
    }

    /// Measures time with this clock. Default: the system's monotonic clock.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> EvalSpec {
        self.clock = Some(clock);
        self
    }

    pub(crate) fn set_stop_handle(&mut self, stop: &StopHandle) {
        self.evaluation.set_stop_handle(stop);
    }

    pub(crate) fn timer(&self) -> SecondOrStepTimer {
        // Due at once for the first checkpoint: the timer has no earlier evaluation.
        let timer = SecondOrStepTimer::every_secs(self.throttle);
        match &self.clock {
            Some(clock) => timer.clock(clock.clone()),
            None => timer,
        }
    }

    /// Checks the names of the exporters, and lets them read what earlier trainings left. Checks also that exports and summaries can
    /// be written.
    pub(crate) fn begin(&mut self, checkpoints: &Path) -> Result<()> {
        // The cheapest check first, and all of them before the training begins: a mistyped folder must not
        // cost hours.
        self.evaluation.check()?;
        let mut names = BTreeSet::new();
        for exporter in &mut self.exporters {
            let name = exporter.name().to_owned();
            // The name becomes a folder inside `export`, so it must not lead out of it or be hidden.
            if name.is_empty() || name.contains(['/', '\\', '\0']) || name.starts_with('.') {
                let text = format!("an exporter is named '{name}', which cannot be the name of its folder");
                return Err(Error::value(text));
            }
            if !names.insert(name.clone()) {
                let text = format!("two exporters are named '{name}': their exports would share a folder");
                return Err(Error::value(text));
            }
            exporter.begin(&folder(self.export_dir.as_deref(), checkpoints, &name))?;
        }
        Ok(())
    }

    pub(crate) fn evaluate(&mut self, checkpoint: &Path) -> Result<Option<Evaluated<BTreeMap<String, f64>>>> {
        self.evaluation.evaluate(checkpoint)
    }

    /// Offers a checkpoint to all exporters, and returns the new exports.
    pub(crate) fn export(&mut self, checkpoints: &Path, candidate: &Candidate<'_>) -> Result<Vec<PathBuf>> {
        let mut exports = Vec::new();
        for exporter in &mut self.exporters {
            let folder = folder(self.export_dir.as_deref(), checkpoints, exporter.name());
            // An exporter that fails ends the training: exports that are silently missing are found when it
            // is too late to repeat them.
            exports.extend(exporter.export(&folder, candidate)?);
        }
        Ok(exports)
    }
}

/// Returns the folder of an exporter.
fn folder(export_dir: Option<&Path>, checkpoints: &Path, exporter: &str) -> PathBuf {
    export_dir.map_or_else(|| checkpoints.join("export"), Path::to_path_buf).join(exporter)
}

impl fmt::Debug for EvalSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EvalSpec")
            .field("throttle", &self.throttle)
            .field("exporters", &self.exporters)
            .field("export_dir", &self.export_dir)
            .finish_non_exhaustive()
    }
}
