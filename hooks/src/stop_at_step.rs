//! Stopping at a step.

use crate::step::{GlobalStep, begun};
use crate::{Moment, SavePoint, SessionRunArgs, SessionRunContext, SessionRunHook, SessionRunValues};
use queue_runner::Coordinator;
use session_core::{CollectionKey, Error, Graph, Result, Session};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Weak};

const NAME: &str = "StopAtStepHook";

/// The targets of a graph's hooks, for hooks that show the progress. Weak, because a graph outlives its sessions.
const TARGETS: CollectionKey<Weak<AtomicI64>> = CollectionKey::new("stop_at_step_targets");

/// Marks a target that is not known yet.
const UNKNOWN: i64 = i64::MIN;

/// Requests a stop when the global step reaches a target (S-331 to S-333).
///
/// After each run the hook compares the step from before the run, plus one, with the target. Only if that has reached the
/// target does it read the step again, and it stops if the new value has reached the target too. So a run that does not
/// advance the step causes no stop. If runs advance the step by more than one, the hook may stop one run late, unless
/// [`steps_per_run`](StopAtStepHook::steps_per_run) is set.
///
/// If the target is already reached when the session is created, for example after a resume, the loop stops before its
/// first run: resuming a completed training changes nothing. TensorFlow runs once more (S-333, Q-35);
/// [`at_least_one_run`](StopAtStepHook::at_least_one_run) does so too.
///
/// ```
/// use hooks::StopAtStepHook;
/// let until_10_000_in_all = StopAtStepHook::last_step(10_000);
/// let for_500_more = StopAtStepHook::num_steps(500);
/// ```
#[derive(Debug)]
pub struct StopAtStepHook {
    goal: Goal,
    steps_per_run: i64,
    at_least_one_run: bool,
    step: Option<GlobalStep>,
    target: Arc<AtomicI64>,
}

#[derive(Clone, Copy, Debug)]
enum Goal {
    Last(i64),
    More(i64),
}

impl StopAtStepHook {
    /// Stops when the global step is `step` or larger, whatever it was at the start.
    ///
    /// ```
    /// use hooks::StopAtStepHook;
    /// let hook = StopAtStepHook::last_step(1000);
    /// ```
    #[must_use]
    pub fn last_step(step: i64) -> StopAtStepHook {
        StopAtStepHook::of(Goal::Last(step))
    }

    /// Stops after this many steps since the session was first created. A recovery does not change the target (S-332). A new
    /// process that resumes from a checkpoint makes this many steps again.
    ///
    /// ```
    /// use hooks::StopAtStepHook;
    /// let hook = StopAtStepHook::num_steps(100);
    /// ```
    #[must_use]
    pub fn num_steps(steps: i64) -> StopAtStepHook {
        StopAtStepHook::of(Goal::More(steps))
    }

    /// Creates a hook with exactly one of the two targets, for programs that receive them as options.
    ///
    /// # Errors
    /// A value error for both or none (S-331).
    ///
    /// ```
    /// use hooks::StopAtStepHook;
    /// assert!(StopAtStepHook::new(None, Some(1000)).is_ok());
    /// assert!(StopAtStepHook::new(Some(100), Some(1000)).is_err());
    /// ```
    pub fn new(num_steps: Option<i64>, last_step: Option<i64>) -> Result<StopAtStepHook> {
        match (num_steps, last_step) {
            (None, None) => Err(Error::value("one of num_steps or last_step must be specified")),
            (Some(_), Some(_)) => Err(Error::value("only one of num_steps or last_step can be specified")),
            (Some(steps), None) => Ok(StopAtStepHook::num_steps(steps)),
            (None, Some(step)) => Ok(StopAtStepHook::last_step(step)),
        }
    }

    fn of(goal: Goal) -> StopAtStepHook {
        StopAtStepHook {
            goal,
            steps_per_run: 1,
            at_least_one_run: false,
            step: None,
            target: Arc::new(AtomicI64::new(UNKNOWN)),
        }
    }

    /// Sets by how much a run may advance the step, so that the hook reads the step in time before the target. Default: 1. Values
    /// below 1 count as 1.
    ///
    /// ```
    /// use hooks::StopAtStepHook;
    /// let hook = StopAtStepHook::last_step(1000).steps_per_run(50);
    /// ```
    #[must_use]
    pub fn steps_per_run(mut self, steps: i64) -> StopAtStepHook {
        self.steps_per_run = steps.max(1);
        self
    }

    /// Sets whether one run is made even if the target is already reached when the session is created. Default: `false`;
    /// TensorFlow: `true`.
    ///
    /// ```
    /// use hooks::StopAtStepHook;
    /// let hook = StopAtStepHook::last_step(1000).at_least_one_run(true);
    /// ```
    #[must_use]
    pub fn at_least_one_run(mut self, run: bool) -> StopAtStepHook {
        self.at_least_one_run = run;
        self
    }

    fn target(&self) -> Option<i64> {
        match self.target.load(Ordering::Relaxed) {
            UNKNOWN => None,
            target => Some(target),
        }
    }

    /// Kept out of the path of ordinary steps.
    #[cold]
    fn reached(&self, session: &dyn Session) -> Result<Option<String>> {
        // The real step, since the fetched one may be older than the run, and a run may not have trained at
        // all.
        let step = begun(&self.step, NAME)?.now(session)?;
        let reached = self.target().is_some_and(|target| step >= target);
        Ok(reached.then(|| format!("step {step} was reached")))
    }
}

/// Returns the nearest target of the graph's live hooks.
#[cfg_attr(not(feature = "progress"), expect(dead_code, reason = "for the progress bar"))]
pub(crate) fn target_of(graph: &Graph) -> Option<i64> {
    let targets = graph.collection(&TARGETS);
    // Relaxed: the value stands alone, and a display that sees it one drawing later is fine.
    let known = targets.iter().filter_map(Weak::upgrade).map(|target| target.load(Ordering::Relaxed));
    known.filter(|&target| target != UNKNOWN).min()
}

impl SessionRunHook for StopAtStepHook {
    fn begin(&mut self, graph: &Graph) -> Result<()> {
        self.step = Some(GlobalStep::of(graph, NAME)?);
        let target = match self.goal {
            Goal::Last(step) => step,
            Goal::More(_) => UNKNOWN,
        };
        self.target.store(target, Ordering::Relaxed);
        // Only displays use it; a frozen graph does without.
        let _ = graph.add_to_collection(&TARGETS, Arc::downgrade(&self.target));
        Ok(())
    }

    fn after_create_session(&mut self, session: &dyn Session, _: &Coordinator) -> Result<()> {
        // Only once: a recovered session continues towards the same target.
        if let (Goal::More(steps), None) = (self.goal, self.target()) {
            let step = begun(&self.step, NAME)?.now(session)?;
            self.target.store(step.saturating_add(steps), Ordering::Relaxed);
        }
        Ok(())
    }

    fn before_run(&mut self, _: &mut SessionRunContext<'_>) -> Result<Option<SessionRunArgs>> {
        Ok(self.step.as_ref().map(|step| SessionRunArgs::new().fetch(step.read())))
    }

    fn after_run(
        &mut self,
        context: &mut SessionRunContext<'_>,
        values: &SessionRunValues<'_>,
    ) -> Result<()> {
        let before = values[0].as_scalar_i64()?;
        // An unknown target is the smallest number, so the comparison holds and `reached` decides.
        let near = self.target.load(Ordering::Relaxed);
        if before.saturating_add(self.steps_per_run) >= near
            && let Some(reason) = self.reached(context.session())?
        {
            context.request_stop(reason);
        }
        Ok(())
    }

    fn at_save_point(&mut self, point: &mut SavePoint<'_>) -> Result<()> {
        if point.moment() == Moment::Created
            && !self.at_least_one_run
            && let Some(reason) = self.reached(point.session())?
        {
            point.request_stop(reason);
        }
        Ok(())
    }
}
