//! Building a monitored session.

use crate::dry_run::DryRun;
use crate::hook_set::HookSet;
use crate::monitor::{Monitor, Parts};
use crate::recovery::{Recovery, RecoveryPolicy};
use crate::{MonitoredSession, SingularMonitoredSession};
use checkpoint::RestoreOptions;
use hooks::SessionRunHook;
use queue_runner::{StopHandle, StopReason};
use scaffold::{CheckpointSource, ChiefSessionCreator, ScaffoldBuilder, SessionCreator};
use sealed::Inside;
use session_core::{Engine, Error, Graph, Result, SessionConfig};
use std::fmt;
use std::marker::PhantomData;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// How long a closing session waits for its background threads: 120 s.
pub(crate) const DEFAULT_GRACE: Duration = Duration::from_secs(120);

/// Builds a [`SingularMonitoredSession`] or a [`MonitoredSession`]. Every setter says its default.
#[must_use = "call `build` or `scoped`"]
pub struct SessionBuilder<S> {
    pub(crate) graph: Graph,
    pub(crate) hooks: Vec<Box<dyn SessionRunHook>>,
    pub(crate) engine: Option<Arc<dyn Engine>>,
    pub(crate) scaffold: Option<ScaffoldBuilder>,
    pub(crate) master: Option<String>,
    pub(crate) config: Option<SessionConfig>,
    pub(crate) checkpoint_dir: Option<PathBuf>,
    checkpoint_filename_with_path: Option<PathBuf>,
    pub(crate) restore_options: Option<RestoreOptions>,
    pub(crate) grace: Duration,
    stop: StopHandle,
    pub(crate) creator: Option<Box<dyn SessionCreator>>,
    pub(crate) policy: RecoveryPolicy,
    dry_run: Option<u64>,
    built: PhantomData<fn() -> S>,
}

/// The two kinds of session that are built.
pub trait Built: sealed::Sealed {}

pub(crate) mod sealed {
    use crate::monitor::Monitor;

    /// What is inside both.
    #[allow(missing_debug_implementations)] // the sessions print what there is to know
    pub struct Inside(pub(crate) Monitor);

    pub trait Sealed: Sized {
        /// Whether preemptions are recovered from.
        const RECOVERS: bool;
        fn of(inside: Inside) -> Self;
        fn inside(&mut self) -> &mut Inside;
    }
}

impl Built for SingularMonitoredSession {}
impl Built for MonitoredSession {}

/// How the scoped form of a session ended well.
#[derive(Debug)]
#[non_exhaustive]
pub struct Finished<T> {
    /// What the body returned; `None` when the end of the input, a step function or an interruption ended it.
    pub value: Option<T>,
    /// Why the loop ended, as far as anybody said.
    pub reason: Option<StopReason>,
    /// The recoveries on the way.
    pub recoveries: Vec<Recovery>,
}

impl<S: Built> SessionBuilder<S> {
    pub(crate) fn new(graph: &Graph) -> SessionBuilder<S> {
        SessionBuilder {
            graph: graph.clone(),
            hooks: Vec::new(),
            engine: None,
            scaffold: None,
            master: None,
            config: None,
            checkpoint_dir: None,
            checkpoint_filename_with_path: None,
            restore_options: None,
            grace: DEFAULT_GRACE,
            stop: StopHandle::new(),
            creator: None,
            policy: RecoveryPolicy::new(),
            dry_run: None,
            built: PhantomData,
        }
    }

    /// Adds a hook. Hooks are called in the order in which they are added. Default: none.
    pub fn hook(mut self, hook: impl SessionRunHook + 'static) -> Self {
        self.hooks.push(Box::new(hook));
        self
    }

    /// Adds hooks.
    pub fn hooks(mut self, hooks: impl IntoIterator<Item = Box<dyn SessionRunHook>>) -> Self {
        self.hooks.extend(hooks);
        self
    }

    /// What runs the graph. Default: the embedded engine, if the feature `embedded` is on.
    pub fn engine(mut self, engine: Arc<dyn Engine>) -> Self {
        self.engine = Some(engine);
        self
    }

    /// Initializes, checks and saves the model: a [`ScaffoldBuilder`], or a [`Scaffold`](scaffold::Scaffold) of this
    /// graph. Default: nothing given, everything found or made.
    pub fn scaffold(mut self, scaffold: impl Into<ScaffoldBuilder>) -> Self {
        self.scaffold = Some(scaffold.into());
        self
    }

    /// The engine's target. Default: empty, this process.
    pub fn master(mut self, master: impl Into<String>) -> Self {
        self.master = Some(master.into());
        self
    }

    /// The configuration of the session. Default: that of [`SessionConfig`].
    pub fn config(mut self, config: SessionConfig) -> Self {
        self.config = Some(config);
        self
    }

    /// Restores from the newest intact checkpoint of this folder, if there is one. Default: nothing is restored.
    pub fn checkpoint_dir(mut self, directory: impl Into<PathBuf>) -> Self {
        self.checkpoint_dir = Some(directory.into());
        self
    }

    /// Restores from the checkpoint with this prefix, which must exist. Not together with a folder. Default: none.
    pub fn checkpoint_filename_with_path(mut self, prefix: impl Into<PathBuf>) -> Self {
        self.checkpoint_filename_with_path = Some(prefix.into());
        self
    }

    /// What a checkpoint may lack, and whether an older one may stand in for a damaged one. Default: it may lack nothing,
    /// and an older one may.
    pub fn restore_options(mut self, options: RestoreOptions) -> Self {
        self.restore_options = Some(options);
        self
    }

    /// How long closing waits for background threads. Default: 120 s.
    pub fn stop_grace_period(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// The handle by which the session is stopped from outside, for who needs it before the session exists. Default: a new
    /// one, which the session gives out.
    pub fn stop_handle(mut self, stop: &StopHandle) -> Self {
        self.stop = stop.clone();
        self
    }

    /// A rehearsal: the session asks for a stop after so many runs, hooks are called as ever but
    /// [told](SessionRunHook::dry_run) to leave no files behind, and a checkpoint is restored from but none is written.
    /// Default: none. To find the mistakes of a long training in its first seconds; hooks that only act every so often
    /// act at their first occasion and at the end.
    pub fn dry_run(mut self, runs: u64) -> Self {
        self.dry_run = Some(runs);
        self
    }

    /// The session.
    ///
    /// # Errors
    /// A value error for contradicting arguments or without an engine; of a hook's `begin` or `after_create_session`; of
    /// whatever keeps the session from being created, with the phase. Everything begun is ended then.
    pub fn build(self) -> Result<S> {
        Ok(S::of(Inside(self.monitor()?)))
    }

    /// Runs a body with the session, and closes the session on every way out: what a `with` block does (S-164).
    ///
    /// | the body ends with | `end` of hooks | result |
    /// |---|---|---|
    /// | success | called | what the body returned |
    /// | the end of the input: status `OutOfRange`, or a stop asked for by a step function | called | success, without a value |
    /// | `Cancelled` after the stop handle interrupted it | called | success, without a value |
    /// | one of these, while a background thread has failed | not called | that thread's error (unlike S-167) |
    /// | another error | not called | that error (unlike S-166: an error of closing does not replace it, but is logged) |
    /// | a panic | not called | the panic goes on |
    ///
    /// # Errors
    /// Of [`build`](SessionBuilder::build), of the body, of a background thread, of closing.
    pub fn scoped<T>(self, body: impl FnOnce(&mut S) -> Result<T>) -> Result<Finished<T>> {
        let mut session = self.build()?;
        // A panic drops the session, which closes it without `end`.
        let outcome = body(&mut session);
        let Inside(monitor) = session.inside();
        let value = match outcome {
            Ok(value) => {
                monitor.close()?;
                Some(value)
            }
            Err(error) => {
                monitor.finish(error)?;
                None
            }
        };
        let reason = monitor.stop_reason();
        Ok(Finished { value, reason, recoveries: monitor.recoveries().to_vec() })
    }

    fn monitor(mut self) -> Result<Monitor> {
        let mut hooks = std::mem::take(&mut self.hooks);
        if let Some(runs) = self.dry_run {
            hooks.push(Box::new(DryRun::of(runs)));
        }
        let hooks = HookSet::new(hooks, self.dry_run.is_some());
        let (stop, grace) = (self.stop.clone(), self.grace);
        let policy = S::RECOVERS.then(|| self.policy.clone());
        let creator = self.creator()?;
        Monitor::new(Parts { creator, hooks, stop, grace, policy })
    }

    fn creator(self) -> Result<Box<dyn SessionCreator>> {
        if let Some(creator) = self.creator {
            let given = [
                ("engine", self.engine.is_some()),
                ("scaffold", self.scaffold.is_some()),
                ("master", self.master.is_some()),
                ("config", self.config.is_some()),
                ("checkpoint_dir", self.checkpoint_dir.is_some()),
                ("checkpoint_filename_with_path", self.checkpoint_filename_with_path.is_some()),
                ("restore_options", self.restore_options.is_some()),
            ];
            return match given.iter().find(|(_, given)| *given) {
                Some((name, _)) => {
                    Err(Error::value(format!("{name} and session_creator cannot both be given")))
                }
                None if !creator.graph().is_same(&self.graph) => {
                    Err(Error::value("the session_creator is for another graph"))
                }
                None => Ok(creator),
            };
        }
        let engine = self.engine.or_else(default_engine).ok_or_else(no_engine)?;
        let source = match (self.checkpoint_dir, self.checkpoint_filename_with_path) {
            (Some(_), Some(_)) => {
                let text = "Can not provide both checkpoint_dir and checkpoint_filename_with_path";
                return Err(Error::value(text));
            }
            (Some(directory), None) => CheckpointSource::Directory(directory),
            (None, Some(prefix)) => CheckpointSource::File(prefix),
            (None, None) => CheckpointSource::None,
        };
        let creator = ChiefSessionCreator::new(engine, &self.graph)
            .scaffold(self.scaffold.unwrap_or_default())
            .master(self.master.unwrap_or_default())
            .config(self.config.unwrap_or_default())
            .checkpoint_source(source)
            .restore_options(self.restore_options.unwrap_or_default());
        Ok(Box::new(creator))
    }
}

impl SessionBuilder<MonitoredSession> {
    /// Creates the sessions, in the place of a chief creator made of the arguments given here. Default: that one.
    pub fn session_creator(mut self, creator: impl SessionCreator + 'static) -> Self {
        self.creator = Some(Box::new(creator));
        self
    }

    /// How often and after which pauses a lost session is made anew. Default: [`RecoveryPolicy::new`].
    pub fn recovery(mut self, policy: RecoveryPolicy) -> Self {
        self.policy = policy;
        self
    }
}

pub(crate) fn no_engine() -> Error {
    Error::value("no engine was given, and the feature `embedded`, which brings the default one, is off")
}

#[cfg(feature = "embedded")]
pub(crate) fn default_engine() -> Option<Arc<dyn Engine>> {
    Some(Arc::new(embedded_engine::EmbeddedEngine::new()))
}

#[cfg(not(feature = "embedded"))]
pub(crate) fn default_engine() -> Option<Arc<dyn Engine>> {
    None
}

impl<S> fmt::Debug for SessionBuilder<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hooks: Vec<_> = self.hooks.iter().map(|hook| hook.name().into_owned()).collect();
        f.debug_struct("SessionBuilder")
            .field("hooks", &hooks)
            .field("engine", &self.engine.as_ref().map(|engine| engine.name().to_owned()))
            .field("scaffold", &self.scaffold)
            .field("checkpoint_dir", &self.checkpoint_dir)
            .field("checkpoint_filename_with_path", &self.checkpoint_filename_with_path)
            .field("stop_grace_period", &self.grace)
            .finish_non_exhaustive()
    }
}
