//! Listeners that take part in saves.

use session_core::{Result, Session};
use std::path::Path;

/// A listener that a [`CheckpointSaverHook`](crate::CheckpointSaverHook) calls around its saves (S-347). The default of
/// every method does nothing.
///
/// Listeners are called in the order in which they were added. If one fails, the save stops at that point and the hook
/// returns the error (S-346).
///
/// ```
/// use hooks::CheckpointSaverListener;
/// use session_core::{Result, Session};
///
/// /// Stops after a number of checkpoints.
/// struct Enough(u32);
///
/// impl CheckpointSaverListener for Enough {
///     fn after_save(&mut self, _: &dyn Session, _: i64) -> Result<bool> {
///         self.0 = self.0.saturating_sub(1);
///         Ok(self.0 == 0)
///     }
/// }
/// ```
pub trait CheckpointSaverListener: Send {
    /// Called before [`begin`](CheckpointSaverListener::begin) if the session is a dry run: no checkpoint is written, and the
    /// listener must leave no files behind either. Beyond TensorFlow.
    fn dry_run(&mut self) {}

    /// Called once, in the hook's `begin`.
    ///
    /// # Errors
    /// Returned by the hook's `begin`.
    fn begin(&mut self) -> Result<()> {
        Ok(())
    }

    /// Called before the state at `step` is saved.
    ///
    /// # Errors
    /// Prevents the save.
    fn before_save(&mut self, session: &dyn Session, step: i64) -> Result<()> {
        let _ = (session, step);
        Ok(())
    }

    /// Called with the prefix of the checkpoint of `step`, before [`after_save`](CheckpointSaverListener::after_save). Also called
    /// when a session is created from the checkpoint that the hook would write, which is then not written again. In a dry run
    /// there is no checkpoint at the prefix. Beyond TensorFlow.
    ///
    /// ```
    /// use hooks::CheckpointSaverListener;
    /// use std::path::{Path, PathBuf};
    ///
    /// /// Knows the newest checkpoint.
    /// #[derive(Default)]
    /// struct Newest(Option<PathBuf>);
    ///
    /// impl CheckpointSaverListener for Newest {
    ///     fn on_checkpoint(&mut self, _: i64, prefix: &Path) {
    ///         self.0 = Some(prefix.to_owned());
    ///     }
    /// }
    /// ```
    fn on_checkpoint(&mut self, step: i64, prefix: &Path) {
        let _ = (step, prefix);
    }

    /// Called when the checkpoint of `step` is complete and on disk. Return `true` to request a stop; the other listeners
    /// are called nevertheless.
    ///
    /// # Errors
    /// Returned by the run. The checkpoint remains.
    fn after_save(&mut self, session: &dyn Session, step: i64) -> Result<bool> {
        let _ = (session, step);
        Ok(false)
    }

    /// Called once at a clean end, after the last save, with the last step.
    ///
    /// # Errors
    /// Returned by the hook's `end`.
    fn end(&mut self, session: &dyn Session, step: i64) -> Result<()> {
        let _ = (session, step);
        Ok(())
    }
}

// A new method of the trait with a default would otherwise be skipped silently by boxed listeners.
#[deny(clippy::missing_trait_methods)]
impl<L: CheckpointSaverListener + ?Sized> CheckpointSaverListener for Box<L> {
    fn dry_run(&mut self) {
        (**self).dry_run();
    }
    fn begin(&mut self) -> Result<()> {
        (**self).begin()
    }
    fn before_save(&mut self, session: &dyn Session, step: i64) -> Result<()> {
        (**self).before_save(session, step)
    }
    fn on_checkpoint(&mut self, step: i64, prefix: &Path) {
        (**self).on_checkpoint(step, prefix);
    }
    fn after_save(&mut self, session: &dyn Session, step: i64) -> Result<bool> {
        (**self).after_save(session, step)
    }
    fn end(&mut self, session: &dyn Session, step: i64) -> Result<()> {
        (**self).end(session, step)
    }
}
