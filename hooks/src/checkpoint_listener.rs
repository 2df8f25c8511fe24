//! Taking part in saves.

use session_core::{Result, Session};

/// Something that a [`CheckpointSaverHook`](crate::CheckpointSaverHook) calls around its saves (S-347). Every method
/// does nothing unless it is written.
///
/// Listeners are called in the order in which they were given. One that fails aborts the save at that point, and the
/// error leaves the hook (S-346).
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
    /// Called once, in the hook's `begin`.
    ///
    /// # Errors
    /// Leave the hook's `begin`.
    fn begin(&mut self) -> Result<()> {
        Ok(())
    }

    /// Called before the state at `step` is saved.
    ///
    /// # Errors
    /// Nothing is saved.
    fn before_save(&mut self, session: &dyn Session, step: i64) -> Result<()> {
        let _ = (session, step);
        Ok(())
    }

    /// Called when the checkpoint of `step` is complete and on disk. `true` asks for a stop; the other listeners are
    /// called all the same.
    ///
    /// # Errors
    /// The checkpoint stays.
    fn after_save(&mut self, session: &dyn Session, step: i64) -> Result<bool> {
        let _ = (session, step);
        Ok(false)
    }

    /// Called once at a clean end, after the last save, with the last step.
    ///
    /// # Errors
    /// Leave the hook's `end`.
    fn end(&mut self, session: &dyn Session, step: i64) -> Result<()> {
        let _ = (session, step);
        Ok(())
    }
}
