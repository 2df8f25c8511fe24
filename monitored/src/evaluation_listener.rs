//! Evaluations between the saves of a training.

use crate::eval_spec::EvalSpec;
use crate::evaluation::Evaluated;
use crate::exporter::Candidate;
use checkpoint::{checkpoint_exists, latest_checkpoint};
use hooks::{CheckpointSaverListener, SecondOrStepTimer};
use queue_runner::StopHandle;
use session_core::{Result, Session};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// The metrics of an evaluation and the exports after it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Results {
    pub(crate) evaluated: Option<Evaluated<BTreeMap<String, f64>>>,
    pub(crate) exports: Vec<PathBuf>,
}

/// Evaluates checkpoints right after they were saved, in a graph and sessions of their own, while the training waits; then
/// offers them to exporters. [`train_and_evaluate`](crate::train_and_evaluate) adds one to its training;
/// [`CheckpointSaverHook::listener`](hooks::CheckpointSaverHook::listener) adds one to any other.
///
/// - A checkpoint is evaluated if the time of [`EvalSpec::throttle`] has passed since the last evaluation. That of step 0 is not
///   evaluated unless the training ends there.
/// - At a clean end the last checkpoint is evaluated if it was not, and offered as the final one.
/// - A stop by the [stop handle](EvaluationListener::stop_handle) ends an evaluation without a result; nothing is exported then,
///   since the training is expected to be resumed.
///
/// ```
/// use hooks::CheckpointSaverHook;
/// use monitored::{EvalSpec, Evaluation, EvaluationListener};
/// use std::collections::BTreeMap;
/// # let graph = session_core::Graph::new();
/// # let accuracy = ops::array::constant(&graph, 0.5f32);
/// let evaluation = Evaluation::new(&graph).final_ops(BTreeMap::from([("accuracy", accuracy)]));
/// let listener = EvaluationListener::new("run", EvalSpec::new(evaluation));
/// let hook = CheckpointSaverHook::every_steps("run", 1000).listener(listener);
/// ```
#[derive(Debug)]
pub struct EvaluationListener {
    directory: PathBuf,
    spec: EvalSpec,
    timer: SecondOrStepTimer,
    max_steps: Option<i64>,
    stop: StopHandle,
    dry: bool,
    /// The step and the prefix of the last checkpoint.
    saved: Option<(i64, PathBuf)>,
    results: Arc<Mutex<Results>>,
}

impl EvaluationListener {
    /// Creates a listener for the checkpoints of this folder.
    #[must_use]
    pub fn new(directory: impl Into<PathBuf>, spec: EvalSpec) -> EvaluationListener {
        let timer = spec.timer();
        EvaluationListener {
            directory: directory.into(),
            spec,
            timer,
            max_steps: None,
            stop: StopHandle::new(),
            dry: false,
            saved: None,
            results: Arc::default(),
        }
    }

    /// Sets the handle of the training, which also stops an evaluation. Default: a new handle.
    #[must_use]
    pub fn stop_handle(mut self, stop: &StopHandle) -> EvaluationListener {
        self.stop = stop.clone();
        self.spec.set_stop_handle(stop);
        self
    }

    /// Sets the step of the last checkpoint: an earlier one is never exported as the final one. Default: the last checkpoint
    /// of a clean end is the final one.
    #[must_use]
    pub fn max_steps(mut self, steps: i64) -> EvaluationListener {
        self.max_steps = Some(steps);
        self
    }

    pub(crate) fn results(&self) -> Arc<Mutex<Results>> {
        self.results.clone()
    }

    /// Returns the checkpoint of a step, if it is there.
    fn checkpoint_of(&self, step: i64) -> Result<Option<PathBuf>> {
        match &self.saved {
            // Another program may have removed it.
            Some((saved, prefix)) if *saved == step => {
                Ok(Some(prefix.clone()).filter(|prefix| checkpoint_exists(prefix)))
            }
            // Whoever called the listener did not name the checkpoint.
            _ => Ok(latest_checkpoint(&self.directory)?.filter(|newest| is_of(newest, step))),
        }
    }

    fn evaluate(&mut self, step: i64, is_the_final_export: bool) -> Result<()> {
        // Before the evaluation, so the throttle counts from its beginning, and a failed one is not repeated
        // at once.
        self.timer.update(step);
        let Some(checkpoint) = self.checkpoint_of(step)? else {
            let folder = self.directory.display();
            log::warn!("the checkpoint of step {step} is not in '{folder}', and is not evaluated");
            return Ok(());
        };
        let Some(evaluated) = self.spec.evaluate(&checkpoint)? else { return Ok(()) };
        // Set before the exporters run: the metrics are valid even if an export fails.
        self.results.lock().unwrap_or_else(PoisonError::into_inner).evaluated = Some(evaluated.clone());
        self.offer(&evaluated, step, is_the_final_export)
    }

    fn offer(
        &mut self,
        evaluated: &Evaluated<BTreeMap<String, f64>>,
        step: i64,
        is_the_final_export: bool,
    ) -> Result<()> {
        let Evaluated { checkpoint, values: metrics, .. } = evaluated;
        let candidate = Candidate { checkpoint, step, metrics, is_the_final_export };
        let exports = self.spec.export(&self.directory, &candidate)?;
        self.results.lock().unwrap_or_else(PoisonError::into_inner).exports.extend(exports);
        Ok(())
    }
}

/// Returns true if a checkpoint's name ends with this step, which may be padded with zeros.
fn is_of(checkpoint: &Path, step: i64) -> bool {
    let name = checkpoint.to_string_lossy();
    name.rsplit_once('-').and_then(|(_, number)| number.parse().ok()) == Some(step)
}

impl CheckpointSaverListener for EvaluationListener {
    fn dry_run(&mut self) {
        self.dry = true;
    }

    fn begin(&mut self) -> Result<()> {
        self.timer.reset();
        self.saved = None;
        self.spec.begin(&self.directory)
    }

    fn on_checkpoint(&mut self, step: i64, prefix: &Path) {
        self.saved = Some((step, prefix.to_path_buf()));
    }

    fn after_save(&mut self, _: &dyn Session, step: i64) -> Result<bool> {
        // At step 0 nothing has been trained, so its metrics say nothing.
        if self.dry || step == 0 {
            return Ok(false);
        }
        if !self.timer.should_trigger(step) {
            log::info!("the checkpoint of step {step} is not evaluated: the last evaluation is too recent");
            return Ok(false);
        }
        self.evaluate(step, false)?;
        Ok(false)
    }

    fn end(&mut self, _: &dyn Session, step: i64) -> Result<()> {
        // A stop from outside expects the training to be resumed, so this checkpoint is not the final one.
        if self.dry || self.stop.is_stop_requested() {
            return Ok(());
        }
        let is_final = self.max_steps.is_none_or(|last| step >= last);
        let done = self.results.lock().unwrap_or_else(PoisonError::into_inner).evaluated.clone();
        // The last checkpoint may have been evaluated when it was saved; its result is offered again, now as
        // the final one.
        match done.filter(|done| is_of(&done.checkpoint, step)) {
            Some(done) if is_final => self.offer(&done, step, true),
            Some(_) => Ok(()),
            None => self.evaluate(step, is_final),
        }
    }
}
