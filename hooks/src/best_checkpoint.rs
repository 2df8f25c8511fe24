//! Keeping the checkpoint with the best metric.

use crate::metric::improves;
use crate::number::significant;
use crate::training_folder::TrainingFolder;
use crate::watched::Watched;
use crate::{
    HookState, Metric, Milestone, Moment, SavePoint, SessionRunArgs, SessionRunContext, SessionRunHook,
    SessionRunValues,
};
use checkpoint::{Better, GraphSaver, SaveOptions, SaverOptions, checkpoint_exists_with, sidecar};
use queue_runner::{Coordinator, StopHandle};
use session_core::{Error, Graph, Result, Session};
use std::path::{Path, PathBuf};
use tensor::text::escaped;

/// The name of checkpoints, without the step.
const BASENAME: &str = "best.ckpt";

const NAME: &str = "BestCheckpointHook";

/// Saves a checkpoint whenever a metric reaches a new best value, into its own directory.
///
/// The hook checks the metric every `n` steps, counted from the step at which the training began. Each checkpoint is
/// complete and named `best.ckpt-<step>`; the newest is the best. While the session exists, no other training may use the
/// directory. The best value is stored in the session's checkpoints, so a resumed training continues the comparison.
///
/// Use a metric of validation data. If the model has dropout or batch normalization, compute it in an evaluation graph
/// that shares the model's variables, as [`EvaluatorHook`](crate::EvaluatorHook) shows; [`Metric::evaluated`] runs it.
///
/// # Errors
///
/// `begin`: a runtime error if the graph has no global step; the errors of
/// [`TensorRef::resolve`](crate::TensorRef::resolve). Runs: the errors of the function that evaluates the metric, and of
/// [`GraphSaver::save`].
///
/// ```
/// use checkpoint::Better;
/// use hooks::BestCheckpointHook;
/// # let directory = tempfile::tempdir().unwrap();
/// # let directory = directory.path();
/// let hook = BestCheckpointHook::new(directory.join("best"), "accuracy:0", Better::Higher).check_every(100);
/// ```
#[derive(Debug)]
pub struct BestCheckpointHook {
    directory: PathBuf,
    watched: Watched,
    better: Better,
    keep: usize,
    saver: Option<GraphSaver>,
    /// The metric of the best checkpoint.
    best: Option<f64>,
    dry: bool,
    folder: TrainingFolder,
    /// The step and the best value of this run, which the next save point saves.
    found: Option<(i64, f64)>,
    /// The best value of a restored step, if the restored checkpoint was written before the best one of that step.
    unsure: Option<(i64, f64)>,
    /// True from the restore of a state until the session that it belongs to is created.
    restored: bool,
}

/// The best value, the step of the last check, and the step and value that were about to be saved.
type State = (Option<f64>, Option<i64>, Option<(i64, f64)>);

/// The state without a value that was about to be saved.
type OldState = (Option<f64>, Option<i64>);

impl BestCheckpointHook {
    /// Saves into `directory` whenever the metric improves. `better` sets the direction.
    ///
    /// ```
    /// use checkpoint::Better;
    /// use hooks::BestCheckpointHook;
    /// let hook = BestCheckpointHook::new("run/best", "loss:0", Better::Lower);
    /// ```
    #[must_use]
    pub fn new(directory: impl AsRef<Path>, metric: impl Into<Metric>, better: Better) -> BestCheckpointHook {
        BestCheckpointHook {
            directory: directory.as_ref().to_path_buf(),
            watched: Watched::new(NAME, metric.into(), 1),
            better,
            keep: 1,
            saver: None,
            best: None,
            dry: false,
            folder: TrainingFolder::default(),
            found: None,
            unsure: None,
            restored: false,
        }
    }

    /// Checks the metric every `steps` steps. Default: 1.
    ///
    /// ```
    /// use checkpoint::Better;
    /// use hooks::BestCheckpointHook;
    /// let hook = BestCheckpointHook::new("run/best", "validation/accuracy:0", Better::Higher).check_every(500).keep(3);
    /// ```
    #[must_use]
    pub fn check_every(mut self, steps: u64) -> BestCheckpointHook {
        self.watched = self.watched.every(steps);
        self
    }

    /// Sets the number of the newest checkpoints that are kept; 0 keeps all. Default: 1.
    ///
    /// ```
    /// use checkpoint::Better;
    /// use hooks::BestCheckpointHook;
    /// let hook = BestCheckpointHook::new("run/best", "loss:0", Better::Lower).keep(3);
    /// ```
    #[must_use]
    pub fn keep(mut self, checkpoints: usize) -> BestCheckpointHook {
        self.keep = checkpoints;
        self
    }

    /// Saves with this saver. Default: a saver of the variables that the session's scaffold saves, or of all global
    /// variables if the session has no scaffold.
    #[must_use]
    pub fn saver(mut self, saver: GraphSaver) -> BestCheckpointHook {
        self.saver = Some(saver);
        self
    }

    /// Returns the saver, which is kept for the life of the hook: its list of recent checkpoints decides which one is
    /// removed next.
    fn saver_of(&mut self, point: &SavePoint<'_>) -> GraphSaver {
        let options = SaverOptions::new().create_directory(true).max_to_keep(self.keep);
        // The options replace those of the scaffold's saver, whose `max_to_keep` is that of the
        // training's own checkpoints. The variables and the format remain the scaffold's.
        let of_session = || match point.saver() {
            Some(saver) => saver.with_options(options),
            None => GraphSaver::new(options),
        };
        self.saver.get_or_insert_with(of_session).clone()
    }

    /// Decides whether the best checkpoint of the restored step was written.
    fn resolve(&mut self, point: &SavePoint<'_>) -> Result<()> {
        let Some((step, value)) = self.unsure.take() else { return Ok(()) };
        let saver = self.saver_of(point);
        let prefix = saver.saver().prefix(self.directory.join(BASENAME), Some(step)).map_err(Error::from)?;
        // Without the checkpoint, an older one is the best, and the value must be reached again.
        if checkpoint_exists_with(saver.saver().storage().as_ref(), &prefix) {
            self.best = Some(value);
        }
        Ok(())
    }

    /// Saves the best checkpoint, whose metric then counts as reached.
    #[cold]
    fn save(&mut self, point: &SavePoint<'_>, step: i64, value: f64) -> Result<()> {
        self.write(point, step, value)?;
        self.best = Some(value);
        Ok(())
    }

    fn write(&mut self, point: &SavePoint<'_>, step: i64, value: f64) -> Result<()> {
        if self.dry {
            // The best value is still tracked in a dry run, so that the metric is fetched and evaluated
            // exactly as in the training that it stands for.
            log::info!(
                "Dry run: the checkpoint with the best metric so far ({}) is not written.",
                significant(value, 6)
            );
            return Ok(());
        }
        let saver = self.saver_of(point);
        // In the states of this checkpoint its own metric is the best, since they exist only if it was
        // written. The states belong to it too, so that a training can be resumed from the best model and not
        // only from the latest.
        let before = self.best.replace(value);
        let states = point.hook_states(self);
        self.best = before;
        let states = states.into_iter().map(|HookState { name, bytes }| (name, bytes)).collect();
        let base = self.directory.join(BASENAME);
        let options = SaveOptions::new().metric(value);
        let prefix = saver.save_with(point.session(), base, Some(step), states, options)?;
        log::info!(
            "Saved the checkpoint with the best metric so far ({}) to {}.",
            significant(value, 6),
            escaped(prefix.display())
        );
        Ok(())
    }
}

impl SessionRunHook for BestCheckpointHook {
    fn dry_run(&mut self) {
        self.dry = true;
    }

    fn attach(&mut self, stop: &StopHandle) {
        self.folder.attach(stop);
    }

    fn begin(&mut self, graph: &Graph) -> Result<()> {
        // A hook can be reused for another session, for example in a second training of the same program.
        (self.best, self.found, self.unsure) = (None, None, None);
        self.watched.begin(graph)?;
        if self.dry {
            // A dry run writes nothing, so it must neither create nor lock a folder that a real training
            // may be using.
            return Ok(());
        }
        self.folder.take(graph, self.saver.as_ref(), (&self.directory, BASENAME), &[])
    }

    fn after_create_session(&mut self, session: &dyn Session, _: &Coordinator) -> Result<()> {
        // A value that was found but not saved belongs to the variables of the lost session; so does the best value, if no
        // checkpoint was restored.
        self.found = None;
        if !std::mem::take(&mut self.restored) {
            (self.best, self.unsure) = (None, None);
        }
        self.watched.cadence.session_created(session)
    }

    #[inline]
    fn before_run(&mut self, _: &mut SessionRunContext<'_>) -> Result<Option<SessionRunArgs>> {
        // The run before may have failed after the value was found. The variables change now.
        self.found = None;
        Ok(self.watched.before_run())
    }

    #[inline]
    fn after_run(
        &mut self,
        context: &mut SessionRunContext<'_>,
        values: &SessionRunValues<'_>,
    ) -> Result<()> {
        let Some((step, value)) = self.watched.after_run(context.session(), values)? else { return Ok(()) };
        if improves(value, self.best, self.better, 0.0) {
            // The checkpoint is not written here: hooks later in the list have not seen this step yet, so
            // their states would be those of the step before.
            self.found = Some((step, value));
        }
        Ok(())
    }

    fn at_save_point(&mut self, point: &mut SavePoint<'_>) -> Result<()> {
        if point.moment() == Moment::Created {
            return self.resolve(point);
        }
        match self.found.take() {
            // Only the moment after a step saves. At `End` there is nothing left to save, because every
            // best value was saved at the save point of its own step.
            Some((step, value)) if point.moment() == Moment::Step => return self.save(point, step, value),
            // After an error `end` is not called, so the folder must be released here; otherwise a new
            // session of this process could not use it.
            _ if point.moment() == Moment::Failed => self.folder.release(),
            _ => {}
        }
        Ok(())
    }

    fn end(&mut self, _: &dyn Session) -> Result<()> {
        self.folder.release();
        Ok(())
    }

    fn on_error(&mut self, _: &Error) {
        // The run has failed before its save point, so the value is not saved. The states of the hooks may
        // still be.
        self.found = None;
    }

    fn on_milestone(&mut self, milestone: &Milestone<'_>) {
        match milestone {
            // As after an error: the last run may have failed by the end of its input.
            Milestone::Ending { .. } => self.found = None,
            // A session that a recovery could not replace has no save point any more.
            Milestone::Abandoned => self.folder.release(),
            _ => {}
        }
    }

    fn save_state(&self) -> Option<Vec<u8>> {
        // Hooks before this one may save the step whose best checkpoint this hook is about to write. Whether
        // it succeeds is known only to those who look for the checkpoint.
        let state: State = (self.best, self.watched.cadence.last(), self.found.or(self.unsure));
        // A state that cannot be encoded must not prevent the checkpoint, which is worth more than the
        // comparison.
        sidecar::encode(&state).inspect_err(|error| log::error!("{error}")).ok()
    }

    fn load_state(&mut self, state: &[u8]) -> Result<()> {
        let old = |_| sidecar::decode::<OldState>(state).map(|(best, last)| (best, last, None));
        let (best, last, found): State = sidecar::decode(state).or_else(old).map_err(Error::from)?;
        (self.best, self.unsure, self.restored) = (best, found, true);
        self.watched.cadence.restore(last);
        Ok(())
    }
}
