//! The trait that all hooks implement.

use crate::{Milestone, SavePoint, SessionRunArgs, SessionRunContext, SessionRunValues};
use queue_runner::{Coordinator, QueueRunner, StopHandle};
use session_core::{Error, Graph, Result, Session};
use std::borrow::Cow;
use std::path::Path;

/// A set of callbacks around the runs of a monitored session. The default of every method does nothing.
///
/// # Order of calls
///
/// 1. Once, before the graph is frozen: in a dry run [`dry_run`](SessionRunHook::dry_run); then
///    [`attach`](SessionRunHook::attach); then [`begin`](SessionRunHook::begin), the only callback that may add operations.
/// 2. After each creation of a session, at the start and in each recovery: [`load_state`](SessionRunHook::load_state) if the
///    restored checkpoint has a state under the hook's name; then
///    [`after_create_session`](SessionRunHook::after_create_session) of all hooks; then
///    [`at_save_point`](SessionRunHook::at_save_point) of all hooks with [`Moment::Created`](crate::Moment::Created).
/// 3. For each run: [`before_run`](SessionRunHook::before_run) of all hooks; one execution of everything that the user and
///    the hooks requested; [`after_run`](SessionRunHook::after_run) of all hooks; `at_save_point` of all hooks.
/// 4. At a clean end: `at_save_point` of all hooks with [`Moment::End`](crate::Moment::End); then
///    [`end`](SessionRunHook::end) of all hooks while the session is still open.
///
/// Within each of these, hooks are called in the order in which they were added (S-119).
///
/// # Failures
///
/// If a hook fails or panics, the hooks after it are not called for that callback. The error names the hook. The effect
/// depends on the callback (S-134):
///
/// | callback | effect |
/// |---|---|
/// | `begin` | the session is not built; the graph is not frozen |
/// | `after_create_session`, `load_state` | the session is closed and not built; a recovery tries again if the error is recoverable |
/// | `before_run` | nothing is executed; `run` returns the error |
/// | `after_run`, `at_save_point` | the step has been executed; `run` returns the error, and stop requests of that run are lost (S-123) |
/// | `end` | the `end` of later hooks is not called; the session is closed nevertheless; `close` returns the error |
///
/// [`on_milestone`](SessionRunHook::on_milestone) is called before step 2 if a checkpoint was restored, after step 2 in a
/// recovery, and before step 4.
///
/// [`on_error`](SessionRunHook::on_error) reports an error that ends a run or the session to all hooks. After an error
/// `end` is *not* called (S-136). The end of input is not an error.
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
    /// Returns the hook's name for messages, stop reasons and checkpoints. Default: the name of its type. If several hooks of
    /// a session have the same name, the later ones get the suffixes `_1`, `_2` and so on.
    fn name(&self) -> Cow<'_, str> {
        Cow::Borrowed(short_type_name(std::any::type_name::<Self>()))
    }

    /// Called before every other callback if the session is a dry run of a few steps. From now on the hook must leave no files
    /// behind and publish nothing, but otherwise behave as usual. Hooks without such output need no implementation. Beyond
    /// TensorFlow.
    fn dry_run(&mut self) {}

    /// Called before [`begin`](SessionRunHook::begin), with a handle that stops the session from any thread at any time. For
    /// hooks with threads or signal handlers of their own. Beyond TensorFlow.
    fn attach(&mut self, stop: &StopHandle) {
        let _ = stop;
    }

    /// Called once, before the graph is frozen. May add operations. There is no session yet.
    ///
    /// # Errors
    /// Prevents the session from being built.
    fn begin(&mut self, graph: &Graph) -> Result<()> {
        let _ = graph;
        Ok(())
    }

    /// Called after each creation of a session, once its variables are initialized or restored. The graph is frozen.
    ///
    /// # Errors
    /// Prevents the session from being built, or recovered.
    fn after_create_session(&mut self, session: &dyn Session, coord: &Coordinator) -> Result<()> {
        let _ = (session, coord);
        Ok(())
    }

    /// Returns queue runners of this hook, whose threads start in each session after
    /// [`after_create_session`](SessionRunHook::after_create_session) of all hooks; those of the graph's collection start before.
    /// Default: none. Beyond TensorFlow, where hooks start threads themselves.
    fn queue_runners(&self) -> Vec<QueueRunner> {
        Vec::new()
    }

    /// Called before each run. May add to it.
    ///
    /// # Errors
    /// Returned by `run`; nothing is executed.
    fn before_run(&mut self, context: &mut SessionRunContext<'_>) -> Result<Option<SessionRunArgs>> {
        let _ = context;
        Ok(None)
    }

    /// Called after each successful run, with the results of this hook's fetches.
    ///
    /// # Errors
    /// Returned by `run`; the step has been executed.
    fn after_run(
        &mut self,
        context: &mut SessionRunContext<'_>,
        values: &SessionRunValues<'_>,
    ) -> Result<()> {
        let _ = (context, values);
        Ok(())
    }

    /// Called when the whole training can be saved: after the `after_create_session` or the `after_run` of all hooks, and
    /// before the `end` of all hooks. Checkpoints are written here, because only here the states of all hooks belong to the same
    /// step. Beyond TensorFlow, where hooks later in the list have not seen the step yet.
    ///
    /// # Errors
    /// The same as for the callback before it.
    fn at_save_point(&mut self, point: &mut SavePoint<'_>) -> Result<()> {
        let _ = point;
        Ok(())
    }

    /// Returns the folder of this hook's checkpoints, if it saves checkpoints that a later session can resume from. Default:
    /// `None`. A session compares the folder with the one that it restores from, and warns if work would be lost. Beyond
    /// TensorFlow.
    fn saves_into(&self) -> Option<&Path> {
        None
    }

    /// Called once at a clean end, while the session is still open.
    ///
    /// # Errors
    /// Returned by `close`; the session is closed nevertheless.
    fn end(&mut self, session: &dyn Session) -> Result<()> {
        let _ = session;
        Ok(())
    }

    /// Called when an error ends a run or the session: once for each error, whichever hook or component caused it, before a
    /// recovery and before the session is closed. A hook cannot suppress the error. Beyond TensorFlow.
    fn on_error(&mut self, error: &Error) {
        let _ = error;
    }

    /// Called at a [`Milestone`] in the session's life that no other callback reports. Beyond TensorFlow.
    fn on_milestone(&mut self, milestone: &Milestone<'_>) {
        let _ = milestone;
    }

    /// Returns the state to store in the checkpoint, with which a resumed training continues as if it had not been
    /// interrupted. Default: `None`, no state. Beyond TensorFlow.
    fn save_state(&self) -> Option<Vec<u8>> {
        None
    }

    /// Restores a state that a checkpoint holds under this hook's name. Called before `after_create_session`.
    ///
    /// # Errors
    /// For bytes that are not a state of this hook. Prevents the session from being built, or recovered.
    fn load_state(&mut self, state: &[u8]) -> Result<()> {
        let _ = state;
        Ok(())
    }
}

/// Strips path and parameters from a type's name.
fn short_type_name(name: &'static str) -> &'static str {
    // Up to `<` first: the paths inside of type parameters contain `::` too.
    let bare = name.split('<').next().unwrap_or(name);
    bare.rsplit("::").next().unwrap_or(bare)
}

// A method that is missing here would fall back to its default and silently skip the boxed hook.
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
    fn queue_runners(&self) -> Vec<QueueRunner> {
        (**self).queue_runners()
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

/// An optional hook: `None` does nothing.
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
    fn queue_runners(&self) -> Vec<QueueRunner> {
        self.as_ref().map_or(Vec::new(), SessionRunHook::queue_runners)
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
