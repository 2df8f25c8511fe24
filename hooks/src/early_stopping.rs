//! Stopping when a metric no longer improves.

use crate::metric::improves;
use crate::number::significant;
use crate::watched::Watched;
use crate::{Metric, Moment, SavePoint, SessionRunArgs, SessionRunContext, SessionRunHook, SessionRunValues};
use checkpoint::{Better, sidecar};
use queue_runner::Coordinator;
use session_core::{Error, Graph, Result, Session};

const NAME: &str = "EarlyStoppingHook";

/// Requests a stop when a metric has not improved for a number of checks.
///
/// The metric is checked every `n` steps, counted from the step at which the training began. A check at which the metric
/// is not better than the best value so far by more than [`min_delta`](EarlyStoppingHook::min_delta) uses up one unit of
/// patience. NaN is never better. The best value, its step and the remaining patience are stored in the checkpoint: an
/// interrupted training stops at the same step as an uninterrupted one, and a training that was stopped stays stopped when
/// it is resumed.
///
/// Use a metric of validation data, not the loss of the training step. If the model has dropout or batch normalization,
/// compute it in an evaluation graph that shares the model's variables. [`EvaluatorHook`](crate::EvaluatorHook) shows how
/// to build such a graph; [`Metric::evaluated`] runs it.
///
/// # Errors
///
/// `begin`: a runtime error if the graph has no global step; the errors of
/// [`TensorRef::resolve`](crate::TensorRef::resolve). Runs: the errors of the function that evaluates the metric; a value
/// error if the metric has more than one element.
///
/// ```
/// use checkpoint::Better;
/// use hooks::EarlyStoppingHook;
/// let hook = EarlyStoppingHook::new("validation/loss:0", Better::Lower).check_every(100).patience(5).min_delta(1e-4);
/// ```
#[derive(Debug)]
pub struct EarlyStoppingHook {
    watched: Watched,
    better: Better,
    patience: u32,
    min_delta: f64,
    progress: Progress,
    /// True from the restore of a state until the session that it belongs to is created.
    restored: bool,
}

/// The state in the checkpoint, a tuple: the best value, its step, the number of checks since, and the step of the last
/// check.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Progress {
    best: Option<f64>,
    best_step: i64,
    waited: u32,
}

type State = (Option<f64>, i64, u32, Option<i64>);

impl EarlyStoppingHook {
    /// Stops when the metric no longer improves. `better` sets the direction.
    ///
    /// ```
    /// use checkpoint::Better;
    /// use hooks::EarlyStoppingHook;
    /// let hook = EarlyStoppingHook::new("loss:0", Better::Lower);
    /// ```
    #[must_use]
    pub fn new(metric: impl Into<Metric>, better: Better) -> EarlyStoppingHook {
        EarlyStoppingHook {
            watched: Watched::new(NAME, metric.into(), 1),
            better,
            patience: 10,
            min_delta: 0.0,
            progress: Progress::default(),
            restored: false,
        }
    }

    /// Checks the metric every `steps` steps. Default: 1.
    ///
    /// ```
    /// use checkpoint::Better;
    /// use hooks::EarlyStoppingHook;
    /// let hook = EarlyStoppingHook::new("loss:0", Better::Lower).check_every(100);
    /// ```
    #[must_use]
    pub fn check_every(mut self, steps: u64) -> EarlyStoppingHook {
        self.watched = self.watched.every(steps);
        self
    }

    /// Sets the number of consecutive checks without an improvement after which the training stops. 0 counts as 1. Default: 10.
    ///
    /// ```
    /// use checkpoint::Better;
    /// use hooks::EarlyStoppingHook;
    /// let hook = EarlyStoppingHook::new("loss:0", Better::Lower).patience(3);
    /// ```
    #[must_use]
    pub fn patience(mut self, checks: u32) -> EarlyStoppingHook {
        // With a patience of 0 the training would stop before the first check.
        self.patience = checks.max(1);
        self
    }

    /// Sets by how much a metric must be better to count as an improvement. Default: 0.
    ///
    /// ```
    /// use checkpoint::Better;
    /// use hooks::EarlyStoppingHook;
    /// let hook = EarlyStoppingHook::new("accuracy:0", Better::Higher).min_delta(0.001);
    /// ```
    #[must_use]
    pub fn min_delta(mut self, delta: f64) -> EarlyStoppingHook {
        self.min_delta = delta;
        self
    }

    fn check(&mut self, step: i64, value: f64) -> Option<String> {
        let progress = &mut self.progress;
        if improves(value, progress.best, self.better, self.min_delta) {
            *progress = Progress { best: Some(value), best_step: step, waited: 0 };
        } else {
            // A training without improvement may run for longer than the counter; it stays at its largest
            // value.
            progress.waited = progress.waited.saturating_add(1);
        }
        // Evaluated after every check rather than only when the patience is used up, so that the rule is
        // the same after a restore.
        self.reason()
    }

    fn reason(&self) -> Option<String> {
        let Progress { best, best_step, waited } = self.progress;
        if waited < self.patience {
            return None;
        }
        let known = best.map_or_else(
            || "was NaN".to_owned(),
            |best| format!("did not improve on {} (step {best_step})", significant(best, 6)),
        );
        Some(format!("the metric {known} in {waited} checks"))
    }
}

impl SessionRunHook for EarlyStoppingHook {
    fn begin(&mut self, graph: &Graph) -> Result<()> {
        // A restore replaces this state; without one the hook starts from scratch, also in a second
        // session of the program.
        self.progress = Progress::default();
        self.watched.begin(graph)
    }

    fn after_create_session(&mut self, session: &dyn Session, _: &Coordinator) -> Result<()> {
        if !std::mem::take(&mut self.restored) {
            // A recovery without a checkpoint begins again; the progress was that of the lost session.
            self.progress = Progress::default();
        }
        self.watched.cadence.session_created(session)
    }

    #[inline]
    fn before_run(&mut self, _: &mut SessionRunContext<'_>) -> Result<Option<SessionRunArgs>> {
        Ok(self.watched.before_run())
    }

    #[inline]
    fn after_run(
        &mut self,
        context: &mut SessionRunContext<'_>,
        values: &SessionRunValues<'_>,
    ) -> Result<()> {
        let checked = self.watched.after_run(context.session(), values)?;
        if let Some(reason) = checked.and_then(|(step, value)| self.check(step, value)) {
            context.request_stop(reason);
        }
        Ok(())
    }

    fn at_save_point(&mut self, point: &mut SavePoint<'_>) -> Result<()> {
        // A training that was stopped early and is started again would otherwise train for one more step
        // before it stops.
        if point.moment() == Moment::Created
            && let Some(reason) = self.reason()
        {
            point.request_stop(reason);
        }
        Ok(())
    }

    fn save_state(&self) -> Option<Vec<u8>> {
        let Progress { best, best_step, waited } = self.progress;
        let state: State = (best, best_step, waited, self.watched.cadence.last());
        sidecar::encode(&state).inspect_err(|error| log::error!("{error}")).ok()
    }

    fn load_state(&mut self, state: &[u8]) -> Result<()> {
        let (best, best_step, waited, last): State = sidecar::decode(state).map_err(Error::from)?;
        self.progress = Progress { best, best_step, waited };
        self.restored = true;
        self.watched.cadence.restore(last);
        Ok(())
    }
}
