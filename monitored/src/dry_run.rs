//! Dry runs: a few steps that leave no files behind.

use hooks::{Moment, SavePoint, SessionRunContext, SessionRunHook, SessionRunValues};
use session_core::{Error, Result};
use std::borrow::Cow;

/// Ends a session after a number of runs, whatever the global step is.
pub(crate) struct DryRun {
    left: u64,
    runs: u64,
}

impl DryRun {
    pub(crate) fn of(runs: u64) -> DryRun {
        DryRun { left: runs, runs }
    }

    fn reason(&self) -> String {
        format!("the dry run of {} run(s) is over", self.runs)
    }
}

impl SessionRunHook for DryRun {
    fn name(&self) -> Cow<'_, str> {
        Cow::Borrowed("dry run")
    }

    fn after_run(&mut self, context: &mut SessionRunContext<'_>, _: &SessionRunValues<'_>) -> Result<()> {
        self.left = self.left.saturating_sub(1);
        if self.left == 0 {
            context.request_stop(self.reason());
        }
        Ok(())
    }

    fn at_save_point(&mut self, point: &mut SavePoint<'_>) -> Result<()> {
        // A dry run of 0 runs only builds the session.
        if self.left == 0 && point.moment() == Moment::Created {
            point.request_stop(self.reason());
        }
        Ok(())
    }

    fn on_error(&mut self, error: &Error) {
        log::info!("the dry run found an error: {}", error.chain());
    }
}
