//! The trait of all hooks.

use crate::{Milestone, SavePoint, SessionRunArgs, SessionRunContext, SessionRunValues};
use queue_runner::{Coordinator, StopHandle};
use session_core::{Error, Graph, Result, Session};
use std::borrow::Cow;
use std::path::Path;

/// Something that a monitored session calls around its runs. Every method does nothing unless it is written.
///
/// # Order of calls
///
/// 1. In a rehearsal [`dry_run`](SessionRunHook::dry_run); then [`attach`](SessionRunHook::attach), then [`begin`](SessionRunHook::begin): once, before the graph is frozen.
///    This is the one place where a hook may add operations.
/// 2. Each time a session was created, at the start and in each recovery: [`load_state`](SessionRunHook::load_state)
///    if a checkpoint was restored that has a state under the hook's name, then
///    [`after_create_session`](SessionRunHook::after_create_session); when all hooks had that,
///    [`at_save_point`](SessionRunHook::at_save_point) with [`Moment::Created`](crate::Moment::Created).
/// 3. Each run: [`before_run`](SessionRunHook::before_run) of all hooks; one single execution of what the user and all
///    hooks asked for; [`after_run`](SessionRunHook::after_run) of all hooks; `at_save_point` of all hooks.
/// 4. At a clean end: `at_save_point` of all hooks with [`Moment::End`](crate::Moment::End), then
///    [`end`](SessionRunHook::end) of all hooks, the session still open.
///
/// Within each of these, hooks are called in the order in which they were given (S-119).
///
/// # When something fails
///
/// A hook that fails or panics ends the pass: later hooks are not called for that callback. The error names the hook.
/// What follows depends on the place (S-134):
///
/// | place | effect |
/// |---|---|
/// | `begin` | the session is not built; the graph is not frozen |
/// | `after_create_session`, `load_state` | the session is closed and not built; a recovering session tries again if the error is recoverable |
/// | `before_run` | nothing is executed; the error leaves `run` |
/// | `after_run`, `at_save_point` | the step has been executed; the error leaves `run`, and stops asked for in that run are lost (S-123) |
/// | `end` | later hooks' `end` are not called; the session is closed all the same; the error leaves `close` |
///
/// [`on_milestone`](SessionRunHook::on_milestone) comes before step 2 when a checkpoint was restored, after it in a recovery,
/// and before step 4.
///
/// [`on_error`](SessionRunHook::on_error) tells all hooks of an error that ends a run or the session. After a bad end
/// `end` is *not* called (S-136). End of input is no error.
///
/// # Example
///
/// ```
/// use hooks::{SessionRunArgs, SessionRunContext, SessionRunHook, SessionRunValues};
/// use session_core::{Output, Result};
///
/// /// Stops when the loss is small.
/// struct GoodEnough { loss: Output, below: f32 }
///
/// impl SessionRunHook for GoodEnough {
///     fn before_run(&mut self, _: &mut SessionRunContext<'_>) -> Result<Option<SessionRunArgs>> {
///         Ok(Some(SessionRunArgs::new().fetch(&self.loss)))
///     }
///     fn after_run(&mut self, context: &mut SessionRunContext<'_>, values: &SessionRunValues<'_>) -> Result<()> {
///         if values[0].value::<f32>()? < self.below {
///             context.request_stop("the loss is good enough");
///         }
///         Ok(())
///     }
/// }
/// ```
pub trait SessionRunHook: Send {
    /// The hook's name, in messages, reasons and checkpoints: by default that of its type. Two hooks of one name in a
    /// session are told apart by `_1`, `_2` and so on, in their order.
    fn name(&self) -> Cow<'_, str> {
        Cow::Borrowed(short_type_name(std::any::type_name::<Self>()))
    }

    /// Called before everything else when the run is a rehearsal of a few steps: from now on the hook leaves no file
    /// behind and publishes nothing, but does all else as ever. Hooks that write nothing need not care. Beyond TensorFlow.
    fn dry_run(&mut self) {}

    /// Called before [`begin`](SessionRunHook::begin), with a handle that stops the session from any thread in any
    /// phase: for hooks that have threads or signal handlers of their own. Beyond TensorFlow.
    fn attach(&mut self, stop: &StopHandle) {
        let _ = stop;
    }

    /// Called once, before the graph is frozen; may add operations. There is no session yet.
    ///
    /// # Errors
    /// Ends the building of the session.
    fn begin(&mut self, graph: &Graph) -> Result<()> {
        let _ = graph;
        Ok(())
    }

    /// Called each time a session was created, initialised or restored. The graph is frozen.
    ///
    /// # Errors
    /// Ends the building of the session, or its recovery.
    fn after_create_session(&mut self, session: &dyn Session, coord: &Coordinator) -> Result<()> {
        let _ = (session, coord);
        Ok(())
    }

    /// Called before each run; may add to it.
    ///
    /// # Errors
    /// Leave `run`; nothing is executed.
    fn before_run(&mut self, context: &mut SessionRunContext<'_>) -> Result<Option<SessionRunArgs>> {
        let _ = context;
        Ok(None)
    }

    /// Called after each run that succeeded, with the results of what this hook asked for.
    ///
    /// # Errors
    /// Leave `run`; the step has been executed.
    fn after_run(
        &mut self,
        context: &mut SessionRunContext<'_>,
        values: &SessionRunValues<'_>,
    ) -> Result<()> {
        let _ = (context, values);
        Ok(())
    }

    /// Called when the whole run can be saved: after all hooks' `after_create_session`, after all hooks' `after_run`,
    /// before all hooks' `end`. The place to write a checkpoint, because only here every hook's state belongs to the
    /// same step. Beyond TensorFlow, where a hook later in the list has not seen the step yet.
    ///
    /// # Errors
    /// As the callback that precedes it.
    fn at_save_point(&mut self, point: &mut SavePoint<'_>) -> Result<()> {
        let _ = point;
        Ok(())
    }

    /// Returns the folder into which this hook saves checkpoints that a later session can go on from. `None` (the
    /// default) for a hook that saves none. A session compares it with the folder that it restores from, and warns when
    /// work would be lost. Beyond TensorFlow.
    fn saves_into(&self) -> Option<&Path> {
        None
    }

    /// Called once at a clean end, with the session still open.
    ///
    /// # Errors
    /// Leave `close`; the session is closed all the same.
    fn end(&mut self, session: &dyn Session) -> Result<()> {
        let _ = session;
        Ok(())
    }

    /// Called when an error ends a run or the session: once for each error, also for one of this or another hook, before
    /// a recovery and before the session is closed. The error cannot be stopped. Beyond TensorFlow.
    fn on_error(&mut self, error: &Error) {
        let _ = error;
    }

    /// Called at a turn in the session's life that no other callback conveys, see [`Milestone`]. Beyond TensorFlow.
    fn on_milestone(&mut self, milestone: &Milestone<'_>) {
        let _ = milestone;
    }

    /// The state to be kept in the checkpoint, so that a resumed run goes on as if it had not been interrupted. `None`
    /// (the default) for a hook without state. Beyond TensorFlow.
    fn save_state(&self) -> Option<Vec<u8>> {
        None
    }

    /// Takes a state back that a checkpoint kept under this hook's name. Called before `after_create_session`.
    ///
    /// # Errors
    /// For bytes that are no such state. Ends the building of the session, or its recovery.
    fn load_state(&mut self, state: &[u8]) -> Result<()> {
        let _ = state;
        Ok(())
    }
}

/// A type's name without path and parameters.
fn short_type_name(name: &'static str) -> &'static str {
    let bare = name.split('<').next().unwrap_or(name);
    bare.rsplit("::").next().unwrap_or(bare)
}

#[deny(clippy::missing_trait_methods)]
impl<H: SessionRunHook + ?Sized> SessionRunHook for Box<H> {
    fn name(&self) -> Cow<'_, str> {
        (**self).name()
    }
    fn dry_run(&mut self) {
        (**self).dry_run();
    }
    fn attach(&mut self, stop: &StopHandle) {
        (**self).attach(stop);
    }
    fn begin(&mut self, graph: &Graph) -> Result<()> {
        (**self).begin(graph)
    }
    fn after_create_session(&mut self, session: &dyn Session, coord: &Coordinator) -> Result<()> {
        (**self).after_create_session(session, coord)
    }
    fn before_run(&mut self, context: &mut SessionRunContext<'_>) -> Result<Option<SessionRunArgs>> {
        (**self).before_run(context)
    }
    fn after_run(
        &mut self,
        context: &mut SessionRunContext<'_>,
        values: &SessionRunValues<'_>,
    ) -> Result<()> {
        (**self).after_run(context, values)
    }
    fn at_save_point(&mut self, point: &mut SavePoint<'_>) -> Result<()> {
        (**self).at_save_point(point)
    }
    fn saves_into(&self) -> Option<&Path> {
        (**self).saves_into()
    }
    fn end(&mut self, session: &dyn Session) -> Result<()> {
        (**self).end(session)
    }
    fn on_error(&mut self, error: &Error) {
        (**self).on_error(error);
    }
    fn on_milestone(&mut self, milestone: &Milestone<'_>) {
        (**self).on_milestone(milestone);
    }
    fn save_state(&self) -> Option<Vec<u8>> {
        (**self).save_state()
    }
    fn load_state(&mut self, state: &[u8]) -> Result<()> {
        (**self).load_state(state)
    }
}

/// A hook that may be absent: `None` does nothing.
#[deny(clippy::missing_trait_methods)]
impl<H: SessionRunHook> SessionRunHook for Option<H> {
    fn name(&self) -> Cow<'_, str> {
        self.as_ref().map_or(Cow::Borrowed("None"), SessionRunHook::name)
    }
    fn dry_run(&mut self) {
        if let Some(hook) = self {
            hook.dry_run();
        }
    }
    fn attach(&mut self, stop: &StopHandle) {
        if let Some(hook) = self {
            hook.attach(stop);
        }
    }
    fn begin(&mut self, graph: &Graph) -> Result<()> {
        self.as_mut().map_or(Ok(()), |hook| hook.begin(graph))
    }
    fn after_create_session(&mut self, session: &dyn Session, coord: &Coordinator) -> Result<()> {
        self.as_mut().map_or(Ok(()), |hook| hook.after_create_session(session, coord))
    }
    fn before_run(&mut self, context: &mut SessionRunContext<'_>) -> Result<Option<SessionRunArgs>> {
        self.as_mut().map_or(Ok(None), |hook| hook.before_run(context))
    }
    fn after_run(
        &mut self,
        context: &mut SessionRunContext<'_>,
        values: &SessionRunValues<'_>,
    ) -> Result<()> {
        self.as_mut().map_or(Ok(()), |hook| hook.after_run(context, values))
    }
    fn at_save_point(&mut self, point: &mut SavePoint<'_>) -> Result<()> {
        self.as_mut().map_or(Ok(()), |hook| hook.at_save_point(point))
    }
    fn saves_into(&self) -> Option<&Path> {
        self.as_ref().and_then(SessionRunHook::saves_into)
    }
    fn end(&mut self, session: &dyn Session) -> Result<()> {
        self.as_mut().map_or(Ok(()), |hook| hook.end(session))
    }
    fn on_error(&mut self, error: &Error) {
        if let Some(hook) = self {
            hook.on_error(error);
        }
    }
    fn on_milestone(&mut self, milestone: &Milestone<'_>) {
        if let Some(hook) = self {
            hook.on_milestone(milestone);
        }
    }
    fn save_state(&self) -> Option<Vec<u8>> {
        self.as_ref().and_then(SessionRunHook::save_state)
    }
    fn load_state(&mut self, state: &[u8]) -> Result<()> {
        self.as_mut().map_or(Ok(()), |hook| hook.load_state(state))
    }
}
