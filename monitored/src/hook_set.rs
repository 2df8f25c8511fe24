//! The hooks of a session, called one after the other.

use checkpoint::{GraphSaver, Restored};
use hooks::{HookState, Milestone, Moment, SavePoint, SessionRunHook};
use log::error;
use queue_runner::{Coordinator, StopHandle, StopReason};
use session_core::{Error, Graph, Phase, Result, Session};
use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// Hooks in their order, each with a name of its own.
#[derive(Default)]
pub(crate) struct HookSet {
    pub(crate) hooks: Vec<Box<dyn SessionRunHook>>,
    /// Beside the hooks, so that a name can be lent while its hook is called.
    pub(crate) names: Vec<String>,
    /// The saver that restores the current session, for hooks that save.
    pub(crate) saver: Option<GraphSaver>,
    /// How many have had `attach` or `begin`: only those hear of errors.
    begun: usize,
    /// Whether they are to leave no files behind.
    dry: bool,
}

/// Calls hooks, first to last; the first failure ends the pass (S-119, S-134).
///
/// A hook that panics counts as one that fails. The error names the hook and the callback, and keeps kind and code of its
/// cause: who recovers from such an error, or ends at it, still does.
#[inline]
pub(crate) fn pass<'n>(
    hooks: &mut [Box<dyn SessionRunHook>],
    names: &'n [String],
    callback: &'static str,
    mut call: impl FnMut(usize, &'n str, &mut dyn SessionRunHook) -> Result<()>,
) -> Result<()> {
    // One catch for the whole pass rather than one for each hook: a step has to be cheap.
    let mut current = 0;
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        for (index, (hook, name)) in hooks.iter_mut().zip(names).enumerate() {
            current = index;
            call(index, name, hook.as_mut())?;
        }
        Ok(())
    }));
    match outcome {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(failed(&names[current], callback, error)),
        Err(payload) => Err(panicked(&names[current], callback, payload.as_ref())),
    }
}

#[cold]
fn failed(name: &str, callback: &str, error: Error) -> Error {
    error.context(format!("hook '{name}' failed in {callback}"))
}

#[cold]
fn panicked(name: &str, callback: &str, payload: &(dyn std::any::Any + Send)) -> Error {
    Error::from_panic(&format!("hook '{name}' in {callback}"), payload)
}

/// A save point of all hooks: which moment of which session, and what restores that.
#[derive(Clone, Copy)]
pub(crate) struct Occasion<'a> {
    pub(crate) session: &'a dyn Session,
    pub(crate) moment: Moment,
    pub(crate) saver: Option<&'a GraphSaver>,
}

/// Calls `at_save_point` of all hooks, and gives the first stop that one asked for.
#[inline]
pub(crate) fn save_pass(
    hooks: &mut [Box<dyn SessionRunHook>],
    names: &[String],
    occasion: Occasion<'_>,
    mut called: impl FnMut(usize),
) -> Result<Option<StopReason>> {
    let mut current = 0;
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let mut stop = None;
        for index in 0..hooks.len() {
            current = index;
            if let Some(reason) = save_at(hooks, names, index, occasion)? {
                stop.get_or_insert(reason);
            }
            called(index);
        }
        Ok(stop)
    }));
    match outcome {
        Ok(Ok(stop)) => Ok(stop),
        Ok(Err(error)) => Err(failed(&names[current], "at_save_point", error)),
        Err(payload) => Err(panicked(&names[current], "at_save_point", payload.as_ref())),
    }
}

#[inline]
fn save_at(
    hooks: &mut [Box<dyn SessionRunHook>],
    names: &[String],
    index: usize,
    Occasion { session, moment, saver }: Occasion<'_>,
) -> Result<Option<StopReason>> {
    let (before, rest) = hooks.split_at_mut(index);
    let Some((hook, after)) = rest.split_first_mut() else { return Ok(None) };
    let peers = || states(before, names, after, index + 1);
    let mut point = SavePoint::new(session, moment, &names[index], &peers).with_saver(saver);
    hook.at_save_point(&mut point)?;
    Ok(point.take_stop())
}

/// The states of the hooks before and after one.
fn states(
    before: &[Box<dyn SessionRunHook>],
    names: &[String],
    after: &[Box<dyn SessionRunHook>],
    first_after: usize,
) -> Vec<HookState> {
    let before = before.iter().zip(names);
    let after = after.iter().zip(&names[first_after..]);
    before
        .chain(after)
        .filter_map(|(hook, name)| Some(HookState { name: name.clone(), bytes: hook.save_state()? }))
        .collect()
}

impl HookSet {
    pub(crate) fn new(hooks: Vec<Box<dyn SessionRunHook>>, dry: bool) -> HookSet {
        let mut taken = HashSet::new();
        let mut names = Vec::with_capacity(hooks.len());
        for hook in &hooks {
            let wanted = hook.name().into_owned();
            let mut name = wanted.clone();
            let mut count = 0;
            while !taken.insert(name.clone()) {
                count += 1;
                name = format!("{wanted}_{count}");
            }
            names.push(name);
        }
        HookSet { hooks, names, saver: None, begun: 0, dry }
    }

    /// Iterates over the folders into which hooks save checkpoints.
    pub(crate) fn saved_into(&self) -> impl Iterator<Item = &Path> {
        self.hooks.iter().filter_map(|hook| hook.saves_into())
    }

    pub(crate) fn is_dry(&self) -> bool {
        self.dry
    }

    // ---- once ---------------------------------------------------------------------------------------

    pub(crate) fn begin(&mut self, graph: &Graph, stop: &StopHandle) -> Result<()> {
        let (mut begun, dry) = (0, self.dry);
        let outcome = pass(&mut self.hooks, &self.names, "begin", |index, _, hook| {
            begun = index + 1;
            if dry {
                hook.dry_run();
            }
            hook.attach(stop);
            hook.begin(graph)
        });
        self.begun = begun;
        outcome.map_err(|error| error.with_phase(Phase::Build))
    }

    /// The clean end: a last moment to save, then `end`.
    pub(crate) fn end(&mut self, session: &dyn Session) -> Result<()> {
        let HookSet { hooks, names, saver, .. } = self;
        let occasion = Occasion { session, moment: Moment::End, saver: saver.as_ref() };
        save_pass(hooks, names, occasion, |_| ())
            .and_then(|_| pass(hooks, names, "end", |_, _, hook| hook.end(session)))
            .map_err(|error| error.with_phase(Phase::Close))
    }

    /// Tells all hooks that have begun of an error. Their own panics are logged: there is nobody else to tell.
    pub(crate) fn on_error(&mut self, error: &Error) {
        for (hook, name) in self.hooks.iter_mut().zip(&self.names).take(self.begun) {
            if let Err(payload) = catch_unwind(AssertUnwindSafe(|| hook.on_error(error))) {
                error!("{}", panicked(name, "on_error", payload.as_ref()).chain());
            }
        }
    }

    /// Tells all hooks that have begun of a milestone. Panics are logged: it is not worth the session.
    pub(crate) fn milestone(&mut self, milestone: &Milestone<'_>) {
        for (hook, name) in self.hooks.iter_mut().zip(&self.names).take(self.begun) {
            if let Err(payload) = catch_unwind(AssertUnwindSafe(|| hook.on_milestone(milestone))) {
                error!("{}", panicked(name, "on_milestone", payload.as_ref()).chain());
            }
        }
    }

    /// A last moment to save before a session is closed by an error. What fails now is logged.
    pub(crate) fn failed(&mut self, session: &dyn Session) {
        // One at a time, so that each has its moment.
        for index in 0..self.begun {
            let HookSet { hooks, names, saver, .. } = self;
            let occasion = Occasion { session, moment: Moment::Failed, saver: saver.as_ref() };
            let outcome = catch_unwind(AssertUnwindSafe(|| save_at(hooks, names, index, occasion)));
            let error = match outcome {
                Ok(Ok(_)) => continue,
                Ok(Err(error)) => failed(&names[index], "at_save_point", error),
                Err(payload) => panicked(&names[index], "at_save_point", payload.as_ref()),
            };
            error!("while an error ends the session: {}", error.chain());
        }
    }

    // ---- for each session ---------------------------------------------------------------------------

    /// Tells all hooks of a new session: first gives them back what a checkpoint kept of them. Gives the stop that one
    /// asked for.
    pub(crate) fn session_created(
        &mut self,
        session: &dyn Session,
        coordinator: &Coordinator,
        restored: Option<&Restored>,
    ) -> Result<Option<StopReason>> {
        if let Some(restored) = restored {
            self.milestone(&Milestone::Restored(&restored.report));
        }
        let HookSet { hooks, names, saver, .. } = self;
        if let Some(restored) = restored {
            pass(hooks, names, "load_state", |_, name, hook| match restored.state.hook(name) {
                Some(state) => hook.load_state(state),
                None => Ok(()),
            })
            .map_err(|error| error.with_phase(Phase::Restore))?;
        }
        pass(hooks, names, "after_create_session", |_, _, hook| {
            hook.after_create_session(session, coordinator)
        })
        .and_then(|()| {
            let occasion = Occasion { session, moment: Moment::Created, saver: saver.as_ref() };
            save_pass(hooks, names, occasion, |_| ())
        })
        .map_err(|error| error.with_phase(Phase::Init))
    }
}
