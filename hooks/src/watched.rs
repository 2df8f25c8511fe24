//! Metrics that are checked every `n` steps.

use crate::cadence::Cadence;
use crate::{Metric, SecondOrStepTimer, SessionRunArgs, SessionRunValues};
use session_core::{Graph, Result, Session};

/// A metric and the steps at which it is checked: every `n` steps, counted from the step at which the session was first
/// created.
#[derive(Debug)]
pub(crate) struct Watched {
    hook: &'static str,
    metric: Metric,
    pub(crate) cadence: Cadence,
}

impl Watched {
    pub(crate) fn new(hook: &'static str, metric: Metric, steps: u64) -> Watched {
        let cadence = Cadence::skipping_first(hook, SecondOrStepTimer::every_steps(steps));
        Watched { hook, metric, cadence }
    }

    /// Checks the metric every `steps` steps.
    pub(crate) fn every(self, steps: u64) -> Watched {
        Watched::new(self.hook, self.metric, steps)
    }

    pub(crate) fn begin(&mut self, graph: &Graph) -> Result<()> {
        let metric = self.metric.resolve(graph);
        // Passed as a result, so that a graph without a global step is reported first, as in the other
        // hooks.
        self.cadence.begin(graph, metric.map(|metric| metric.into_iter().collect()))
    }

    #[inline]
    pub(crate) fn before_run(&mut self) -> Option<SessionRunArgs> {
        self.cadence.before_run()
    }

    /// Returns the step after the run and the metric, if the run was due.
    #[inline]
    pub(crate) fn after_run(
        &mut self,
        session: &dyn Session,
        values: &SessionRunValues<'_>,
    ) -> Result<Option<(i64, f64)>> {
        if self.cadence.after_run(values)? { self.measure(session, values).map(Some) } else { Ok(None) }
    }

    #[cold]
    fn measure(&mut self, session: &dyn Session, values: &SessionRunValues<'_>) -> Result<(i64, f64)> {
        let step = self.cadence.reached(session)?;
        Ok((step, self.metric.value(session, Cadence::values(values).next())?))
    }
}
