//! Stopping after a time.

use crate::{Clock, MonotonicClock, SavePoint, SessionRunContext, SessionRunHook, SessionRunValues};
use session_core::{Graph, Result};
use std::sync::Arc;
use std::time::Duration;

/// Requests a stop when the training has run for some time in this process, so that it saves and ends before the job
/// scheduler ends it.
///
/// Time counts from `begin` and includes the creation and the restore of the session. The running step is not interrupted.
///
/// ```
/// use hooks::TimeLimitHook;
/// use std::time::Duration;
/// let hook = TimeLimitHook::new(Duration::from_secs(55 * 60));
/// ```
#[derive(Debug)]
pub struct TimeLimitHook {
    limit: Duration,
    clock: Arc<dyn Clock>,
    begun: Duration,
}

impl TimeLimitHook {
    /// Stops after this time.
    ///
    /// ```
    /// use hooks::TimeLimitHook;
    /// use std::time::Duration;
    /// let hook = TimeLimitHook::new(Duration::from_secs(3600));
    /// ```
    #[must_use]
    pub fn new(limit: Duration) -> TimeLimitHook {
        TimeLimitHook { limit, clock: MonotonicClock::shared(), begun: Duration::ZERO }
    }

    /// Measures time with this clock. Default: the system's monotonic clock.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> TimeLimitHook {
        self.clock = clock;
        self
    }

    #[inline]
    fn is_over(&self) -> bool {
        self.clock.now().saturating_sub(self.begun) >= self.limit
    }

    #[cold]
    fn reason(&self) -> String {
        format!("the time limit of {} s was reached", self.limit.as_secs_f64())
    }
}

impl SessionRunHook for TimeLimitHook {
    fn begin(&mut self, _: &Graph) -> Result<()> {
        // From `begin`, because a job scheduler also counts the restore.
        self.begun = self.clock.now();
        Ok(())
    }

    #[inline]
    fn after_run(&mut self, context: &mut SessionRunContext<'_>, _: &SessionRunValues<'_>) -> Result<()> {
        if self.is_over() {
            context.request_stop(self.reason());
        }
        Ok(())
    }

    fn at_save_point(&mut self, point: &mut SavePoint<'_>) -> Result<()> {
        // A slow restore may have used up the time, so that not even one run fits.
        if point.moment() == crate::Moment::Created && self.is_over() {
            point.request_stop(self.reason());
        }
        Ok(())
    }
}
