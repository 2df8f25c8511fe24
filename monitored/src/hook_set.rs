//! The hooks of a session, called one after the other.

use checkpoint::{GraphSaver, Restored};
use hooks::{HookState, Milestone, Moment, SavePoint, SessionRunHook};
use log::error;
use queue_runner::{Coordinator, QueueRunner, StopHandle, StopReason};
use session_core::{Error, Graph, Phase, Result, Session};
use std::collections::HashSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;

/// Hooks in their order, each with a unique name.
#[derive(Default)]
pub(crate) struct HookSet {
    pub(crate) hooks: Vec<Box<dyn SessionRunHook>>,
    /// Stored separately from the hooks, so that a name can be borrowed while its hook is called.
    pub(crate) names: Vec<String>,
    /// The saver that restores the current session, for hooks that save.
    pub(crate) saver: Option<GraphSaver>,
    /// The number of hooks that had `attach` or `begin`: only those receive errors.
    begun: usize,
    /// The number of hooks whose `end` has succeeded.
    ended: usize,
    /// True if the hooks must leave no files behind.
    dry: bool,
}

/// Calls hooks, first to last; the first failure ends the pass (S-119, S-134).
///
/// A hook that panics counts as failed. The error names the hook and the callback, and keeps the kind and code of its cause,
/// so that recoveries and clean ends that depend on them still work.
#[inline]
pub(crate) fn pass<'n>(
    hooks: &mut [Box<dyn SessionRunHook>],
    names: &'n [String],
    callback: &'static str,
    mut call: impl FnMut(usize, &'n str, &mut dyn SessionRunHook) -> Result<()>,
) -> Result<()> {
    // One catch for the whole pass instead of one for each hook, because a step has to be cheap.
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

/// A save point of all hooks: its moment, its session, and the saver that restores it.
#[derive(Clone, Copy)]
pub(crate) struct Occasion<'a> {
    pub(crate) session: &'a dyn Session,
    pub(crate) moment: Moment,
    pub(crate) saver: Option<&'a GraphSaver>,
}

/// Calls `at_save_point` of all hooks, and returns the first stop request.
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
                // The first request gives the reason; the others still happen.
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
    // The states are collected only if the hook asks for them, since most save points save nothing.
    let peers = || states(before, names, after, index + 1);
    let mut point = SavePoint::new(session, moment, &names[index], &peers).with_saver(saver);
    hook.at_save_point(&mut point)?;
    Ok(point.take_stop())
}

/// Returns the states of the hooks before and after one.
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
            // Names identify the states in checkpoints, so they must be unique, and stable as long as the
            // order of hooks is.
            let wanted = hook.name().into_owned();
            let mut name = wanted.clone();
            let mut count = 0;
            while !taken.insert(name.clone()) {
                count += 1;
                name = format!("{wanted}_{count}");
            }
            names.push(name);
        }
        HookSet { hooks, names, saver: None, begun: 0, ended: 0, dry }
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
            // Counted before the calls: a hook that fails in `begin` has been attached and must hear of the
            // error.
            begun = index + 1;
            if dry {
                // In this order: a hook must know of the dry run before it opens files in `begin`.
                hook.dry_run();
            }
            hook.attach(stop);
            hook.begin(graph)
        });
        self.begun = begun;
        outcome.map_err(|error| error.with_phase(Phase::Build))
    }

    /// The clean end: a last save point, then `end`.
    pub(crate) fn end(&mut self, session: &dyn Session) -> Result<()> {
        let HookSet { hooks, names, saver, ended, .. } = self;
        let occasion = Occasion { session, moment: Moment::End, saver: saver.as_ref() };
        save_pass(hooks, names, occasion, |_| ())
            .and_then(|_| {
                pass(hooks, names, "end", |index, _, hook| {
                    hook.end(session)?;
                    *ended = index + 1;
                    Ok(())
                })
            })
            .map_err(|error| error.with_phase(Phase::Close))
    }

    /// Reports an error to all hooks that have begun. Their own panics can only be logged.
    pub(crate) fn on_error(&mut self, error: &Error) {
        for (hook, name) in self.hooks.iter_mut().zip(&self.names).take(self.begun) {
            if let Err(payload) = catch_unwind(AssertUnwindSafe(|| hook.on_error(error))) {
                error!("{}", panicked(name, "on_error", payload.as_ref()).chain());
            }
        }
    }

    /// Reports a milestone to all hooks that have begun. Panics are logged; they do not end the session.
    pub(crate) fn milestone(&mut self, milestone: &Milestone<'_>) {
        self.milestone_from(0, milestone);
    }

    /// Reports that the session was closed to the hooks that have begun and have not ended, if there are some.
    pub(crate) fn abandoned(&mut self) {
        self.milestone_from(self.ended, &Milestone::Abandoned);
    }

    fn milestone_from(&mut self, first: usize, milestone: &Milestone<'_>) {
        for (hook, name) in self.hooks.iter_mut().zip(&self.names).take(self.begun).skip(first) {
            if let Err(payload) = catch_unwind(AssertUnwindSafe(|| hook.on_milestone(milestone))) {
                error!("{}", panicked(name, "on_milestone", payload.as_ref()).chain());
            }
        }
    }

    /// The last save point before an error closes the session, for the hooks that have not ended. Failures are logged.
    pub(crate) fn failed(&mut self, session: &dyn Session) {
        // One at a time, so that each hook has its save point.
        for index in self.ended..self.begun {
            let HookSet { hooks, names, saver, .. } = self;
            let occasion = Occasion { session, moment: Moment::Failed, saver: saver.as_ref() };
            // All hooks get their save point, even if one fails: this is the last chance to save or to
            // release something.
            let outcome = catch_unwind(AssertUnwindSafe(|| save_at(hooks, names, index, occasion)));
            let error = match outcome {
                Ok(Ok(_)) => continue,
                Ok(Err(error)) => failed(&names[index], "at_save_point", error),
                Err(payload) => panicked(&names[index], "at_save_point", payload.as_ref()),
            };
            error!("a save point failed while an error ends the session: {}", error.chain());
        }
    }

    /// Returns the queue runners of all hooks.
    pub(crate) fn queue_runners(&self) -> Vec<QueueRunner> {
        self.hooks.iter().flat_map(|hook| hook.queue_runners()).collect()
    }

    // ---- for each session ---------------------------------------------------------------------------

    /// Informs all hooks of a new session, after restoring their states from the checkpoint. Returns the first stop request.
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
        // The states of all hooks first: `after_create_session` may already use them.
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
