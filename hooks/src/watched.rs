//! A metric that is looked at every so many steps.

use crate::cadence::Cadence;
use crate::step::{GlobalStep, begun};
use crate::{Metric, SecondOrStepTimer, SessionRunArgs, SessionRunValues};
use session_core::{Graph, Output, Result, Session};

/// A metric with the steps at which it is looked at, as several hooks need it: every so many steps, counted from the step
/// at which the session was created first.
#[derive(Debug)]
pub(crate) struct Watched {
    pub(crate) metric: Metric,
    pub(crate) cadence: Cadence,
    found: Option<Found>,
}

#[derive(Debug)]
struct Found {
    step: GlobalStep,
    metric: Option<Output>,
}

impl Watched {
    pub(crate) fn new(metric: Metric, steps: u64) -> Watched {
        let cadence = Cadence::skipping_first(SecondOrStepTimer::every_steps(steps));
        Watched { metric, cadence, found: None }
    }

    pub(crate) fn begin(&mut self, graph: &Graph, hook: &str) -> Result<()> {
        let step = GlobalStep::of(graph, hook)?;
        self.found = Some(Found { step, metric: self.metric.resolve(graph)? });
        self.cadence.begin();
        Ok(())
    }

    pub(crate) fn session_created(&mut self, session: &dyn Session, hook: &str) -> Result<()> {
        self.cadence.session_created(session, &begun(&self.found, hook)?.step)
    }

    #[inline]
    pub(crate) fn before_run(&mut self) -> Option<SessionRunArgs> {
        let found = self.found.as_ref()?;
        let args = SessionRunArgs::new().fetch(found.step.read());
        let metric = if self.cadence.before_run() { found.metric.as_ref() } else { None };
        Some(match metric {
            Some(metric) => args.fetch(metric),
            None => args,
        })
    }

    /// The step after the run and the metric, if it was due.
    #[inline]
    pub(crate) fn after_run(
        &mut self,
        session: &dyn Session,
        values: &SessionRunValues<'_>,
    ) -> Result<Option<(i64, f64)>> {
        let Some(before) = values.get(0) else { return Ok(None) };
        self.cadence.ran(before.as_scalar_i64()?);
        if !self.cadence.is_due() {
            return Ok(None);
        }
        self.look(session, values).map(Some)
    }

    #[cold]
    fn look(&mut self, session: &dyn Session, values: &SessionRunValues<'_>) -> Result<(i64, f64)> {
        let step = begun(&self.found, "hook")?.step.now(session)?;
        self.cadence.reached(step);
        Ok((step, self.metric.value(session, values.get(1))?))
    }
}
