//! Objects that create sessions, again and again.

use crate::builder::ScaffoldBuilder;
use crate::manager::SessionManager;
use crate::preparation::{CheckpointSource, CreatedSession, Preparation, Restoring};
use crate::scaffold::Scaffold;
use crate::waiter::{SystemWaiter, Waiter};
use checkpoint::RestoreOptions;
use session_core::{CancellationToken, Engine, Graph, Result, SessionConfig};
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Creates sessions that are ready to be used. Called once for each session, so again at each recovery (S-110).
pub trait SessionCreator: Send {
    /// The graph of the sessions.
    fn graph(&self) -> &Graph;

    /// Creates a session. The token ends it early.
    ///
    /// # Errors
    /// Whatever keeps the session from being ready; `Cancelled`.
    fn create_session(&mut self, cancellation: &CancellationToken) -> Result<CreatedSession>;

    /// The scaffold of the sessions, once one was created; `None` for creators without one.
    fn scaffold(&self) -> Option<&Scaffold> {
        None
    }

    /// Returns what the sessions are restored from; `None` (the default) if the creator does not say so, or leaves it to
    /// somebody else.
    fn checkpoint_source(&self) -> Option<&CheckpointSource> {
        None
    }
}

#[deny(clippy::missing_trait_methods)]
impl<C: SessionCreator + ?Sized> SessionCreator for Box<C> {
    fn graph(&self) -> &Graph {
        (**self).graph()
    }
    fn create_session(&mut self, cancellation: &CancellationToken) -> Result<CreatedSession> {
        (**self).create_session(cancellation)
    }
    fn scaffold(&self) -> Option<&Scaffold> {
        (**self).scaffold()
    }
    fn checkpoint_source(&self) -> Option<&CheckpointSource> {
        (**self).checkpoint_source()
    }
}

/// A scaffold that may still have to be finalized.
#[derive(Debug)]
enum Pending {
    Building(Box<ScaffoldBuilder>),
    Finalized(Box<(Scaffold, SessionManager)>),
}

/// What chief and worker have in common.
struct Common {
    graph: Graph,
    engine: Arc<dyn Engine>,
    scaffold: Pending,
    master: String,
    config: SessionConfig,
    recovery_wait: Duration,
    waiter: Arc<dyn Waiter>,
}

impl Common {
    fn new(engine: Arc<dyn Engine>, graph: &Graph) -> Common {
        Common {
            graph: graph.clone(),
            engine,
            scaffold: Pending::Building(Box::default()),
            master: String::new(),
            config: SessionConfig::default(),
            recovery_wait: Duration::from_secs(30),
            waiter: Arc::new(SystemWaiter::new()),
        }
    }

    /// The finalized scaffold and the one manager of this creator's life (S-111, S-113).
    fn ready(&mut self) -> Result<&(Scaffold, SessionManager)> {
        if let Pending::Building(builder) = &self.scaffold {
            let scaffold = builder.clone().finalize(&self.graph)?;
            let manager = self.manager(&scaffold)?;
            self.scaffold = Pending::Finalized(Box::new((scaffold, manager)));
        }
        match &self.scaffold {
            Pending::Finalized(ready) => {
                // A monitored session that was closed has thawed it; the pieces stay settled (S-85).
                self.graph.finalize()?;
                Ok(ready)
            }
            Pending::Building(_) => Err(session_core::Error::runtime("the scaffold was not finalized")),
        }
    }

    fn manager(&self, scaffold: &Scaffold) -> Result<SessionManager> {
        SessionManager::builder(self.engine.clone(), scaffold.graph())
            .local_init_op(scaffold.local_init_op())
            .local_init_feed(scaffold.local_init_feed().iter().cloned())
            .ready_op(scaffold.ready_op())
            .ready_for_local_init_op(scaffold.ready_for_local_init_op())
            .recovery_wait(self.recovery_wait)
            .waiter(self.waiter.clone())
            .build()
    }

    fn finalized(&self) -> Option<&Scaffold> {
        match &self.scaffold {
            Pending::Building(_) => None,
            Pending::Finalized(ready) => Some(&ready.0),
        }
    }
}

impl fmt::Debug for Common {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Common")
            .field("engine", &self.engine.name())
            .field("scaffold", &self.scaffold)
            .field("master", &self.master)
            .finish_non_exhaustive()
    }
}

macro_rules! common_setters {
    () => {
        /// The scaffold, finalized by the first creation: a [`ScaffoldBuilder`], or a [`Scaffold`] of the same graph.
        /// Default: nothing given.
        pub fn scaffold(mut self, scaffold: impl Into<ScaffoldBuilder>) -> Self {
            self.common.scaffold = Pending::Building(Box::new(scaffold.into()));
            self
        }

        /// The engine's target. Default: empty, this process.
        pub fn master(mut self, master: impl Into<String>) -> Self {
            self.common.master = master.into();
            self
        }

        /// The sessions' configuration. Default: that of [`SessionConfig`].
        pub fn config(mut self, config: SessionConfig) -> Self {
            self.common.config = config;
            self
        }

        /// How long to wait before looking again for what is waited for. Default: 30 s, which TensorFlow does not let
        /// one change (S-113).
        pub fn recovery_wait(mut self, wait: Duration) -> Self {
            self.common.recovery_wait = wait;
            self
        }

        /// Where time comes from. Default: the system.
        pub fn waiter(mut self, waiter: Arc<dyn Waiter>) -> Self {
            self.common.waiter = waiter;
            self
        }
    };
}

/// Creates sessions by restoring the newest checkpoint or initialising the model (S-111). The checkpoint is chosen anew
/// at each creation (S-114).
#[derive(Debug)]
#[must_use]
pub struct ChiefSessionCreator {
    common: Common,
    source: CheckpointSource,
    restore_options: RestoreOptions,
}

impl ChiefSessionCreator {
    /// A creator of sessions of an engine on a graph.
    pub fn new(engine: Arc<dyn Engine>, graph: &Graph) -> ChiefSessionCreator {
        ChiefSessionCreator {
            common: Common::new(engine, graph),
            source: CheckpointSource::None,
            restore_options: RestoreOptions::new(),
        }
    }

    common_setters!();

    /// Restores from the newest intact checkpoint of this folder, if there is one. Default: nothing is restored.
    pub fn checkpoint_dir(mut self, directory: impl Into<PathBuf>) -> Self {
        self.source = CheckpointSource::Directory(directory.into());
        self
    }

    /// Restores from the checkpoint with this prefix. Takes the place of a folder given before.
    pub fn checkpoint_filename_with_path(mut self, prefix: impl Into<PathBuf>) -> Self {
        self.source = CheckpointSource::File(prefix.into());
        self
    }

    /// Where to restore from.
    pub fn checkpoint_source(mut self, source: CheckpointSource) -> Self {
        self.source = source;
        self
    }

    /// What a checkpoint may lack, and whether an older one may stand in for a damaged one. Default: it may lack
    /// nothing, and an older one may (unlike S-102).
    pub fn restore_options(mut self, options: RestoreOptions) -> Self {
        self.restore_options = options;
        self
    }
}

impl SessionCreator for ChiefSessionCreator {
    fn graph(&self) -> &Graph {
        &self.common.graph
    }

    fn create_session(&mut self, cancellation: &CancellationToken) -> Result<CreatedSession> {
        let (master, config) = (self.common.master.clone(), self.common.config.clone());
        let (source, options) = (self.source.clone(), self.restore_options.clone());
        let (scaffold, manager) = self.common.ready()?;
        let bound = scaffold.clone();
        let init_fn = scaffold.has_init_fn().then(|| {
            let function: crate::BoundInitFn = Arc::new(move |session| bound.run_init_fn(session));
            function
        });
        let saver = Some(scaffold.saver().clone());
        manager.prepare_session(&Preparation {
            master,
            config,
            init_ops: vec![scaffold.init_op().clone()],
            init_feed: scaffold.init_feed().to_vec(),
            init_fn,
            restoring: Restoring { saver, source, options, ..Restoring::default() },
            cancellation: cancellation.clone(),
        })
    }

    fn scaffold(&self) -> Option<&Scaffold> {
        self.common.finalized()
    }

    fn checkpoint_source(&self) -> Option<&CheckpointSource> {
        Some(&self.source)
    }
}

/// Creates sessions by waiting until the chief has made the model ready (S-112): never restores, never runs init op or
/// init function, but does initialise what is local.
#[derive(Debug)]
#[must_use]
pub struct WorkerSessionCreator {
    common: Common,
    max_wait: Option<Duration>,
}

impl WorkerSessionCreator {
    /// A creator of sessions of an engine on a graph.
    pub fn new(engine: Arc<dyn Engine>, graph: &Graph) -> WorkerSessionCreator {
        WorkerSessionCreator { common: Common::new(engine, graph), max_wait: Some(Duration::from_secs(1800)) }
    }

    common_setters!();

    /// How long to wait for the model; `None` for ever. Default: 1800 s.
    pub fn max_wait(mut self, max_wait: Option<Duration>) -> Self {
        self.max_wait = max_wait;
        self
    }
}

impl SessionCreator for WorkerSessionCreator {
    fn graph(&self) -> &Graph {
        &self.common.graph
    }

    fn create_session(&mut self, cancellation: &CancellationToken) -> Result<CreatedSession> {
        let (master, config) = (self.common.master.clone(), self.common.config.clone());
        let max_wait = self.max_wait;
        let (_, manager) = self.common.ready()?;
        let session = manager.wait_for_session(&master, &config, max_wait, cancellation)?;
        Ok(CreatedSession { session, restored: None })
    }

    fn scaffold(&self) -> Option<&Scaffold> {
        self.common.finalized()
    }
}
