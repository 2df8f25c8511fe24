//! Stopping when nothing gets better.

use crate::metric::improves;
use crate::number::significant;
use crate::watched::Watched;
use crate::{Metric, Moment, SavePoint, SessionRunArgs, SessionRunContext, SessionRunHook, SessionRunValues};
use checkpoint::{Better, sidecar};
use queue_runner::Coordinator;
use session_core::{Error, Graph, Result, Session};

const NAME: &str = "EarlyStoppingHook";

/// Asks for a stop when a metric has not become better for a number of looks.
///
/// It looks every so many steps, counted from the step at which the training began. A look at which the metric is not
/// better than the best so far, by more than [`min_delta`](EarlyStoppingHook::min_delta), is one of patience; NaN is never
/// better. The best, when it was, and the patience left are kept in the checkpoint: an interrupted training stops at the
/// same step as an uninterrupted one, and one that was stopped stays so when it is resumed.
///
/// Let the metric be one of validation data and, where the model has dropout or batch normalization, of an evaluation
/// graph that shares its variables: the loss of a training step is neither. [`EvaluatorHook`](crate::EvaluatorHook) shows
/// how such a graph is built; [`Metric::evaluated`] runs it.
///
/// # Errors
///
/// `begin`: a runtime error without a global step; as [`TensorRef::resolve`](crate::TensorRef::resolve). Runs: those of
/// the function that evaluates the metric; a value error for a metric of more than one element.
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
}

/// What is kept in the checkpoint, as a tuple: the best, its step, the looks since, and the step of the last.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Progress {
    best: Option<f64>,
    best_step: i64,
    waited: u32,
}

type State = (Option<f64>, i64, u32, Option<i64>);

impl EarlyStoppingHook {
    /// Stops when the metric, which is to become lower or higher, no longer does.
    #[must_use]
    pub fn new(metric: impl Into<Metric>, better: Better) -> EarlyStoppingHook {
        EarlyStoppingHook {
            watched: Watched::new(NAME, metric.into(), 1),
            better,
            patience: 10,
            min_delta: 0.0,
            progress: Progress::default(),
        }
    }

    /// Looks every so many steps. Default: 1.
    #[must_use]
    pub fn check_every(mut self, steps: u64) -> EarlyStoppingHook {
        self.watched = self.watched.every(steps);
        self
    }

    /// At how many looks in a row the metric may be no better: the last of them stops. 0 counts as 1. Default: 10.
    #[must_use]
    pub fn patience(mut self, looks: u32) -> EarlyStoppingHook {
        self.patience = looks.max(1);
        self
    }

    /// By how much a metric must be better to count. Default: 0.
    #[must_use]
    pub fn min_delta(mut self, delta: f64) -> EarlyStoppingHook {
        self.min_delta = delta;
        self
    }

    fn look(&mut self, step: i64, value: f64) -> Option<String> {
        let progress = &mut self.progress;
        if improves(value, progress.best, self.better, self.min_delta) {
            *progress = Progress { best: Some(value), best_step: step, waited: 0 };
        } else {
            progress.waited = progress.waited.saturating_add(1);
        }
        self.reason()
    }

    fn reason(&self) -> Option<String> {
        let Progress { best, best_step, waited } = self.progress;
        if waited < self.patience {
            return None;
        }
        let best = best.map_or_else(
            || "was never a number".to_owned(),
            |best| format!("was never better than {} of step {best_step}", significant(best, 6)),
        );
        Some(format!("the metric {best} in {waited} looks"))
    }
}

impl SessionRunHook for EarlyStoppingHook {
    fn begin(&mut self, graph: &Graph) -> Result<()> {
        self.progress = Progress::default();
        self.watched.begin(graph)
    }

    fn after_create_session(&mut self, session: &dyn Session, _: &Coordinator) -> Result<()> {
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
        let looked = self.watched.after_run(context.session(), values)?;
        if let Some(reason) = looked.and_then(|(step, value)| self.look(step, value)) {
            context.request_stop(reason);
        }
        Ok(())
    }

    fn at_save_point(&mut self, point: &mut SavePoint<'_>) -> Result<()> {
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
        self.watched.cadence.restore(last);
        Ok(())
    }
}
