//! Session creators.

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

/// Creates sessions that are ready to be used. Called once for each session, so again in each recovery (S-110).
///
/// ```
/// use scaffold::{ChiefSessionCreator, SessionCreator};
/// # use embedded_engine::EmbeddedEngine;
/// # use ops::variables::variable;
/// # use session_core::{CancellationToken, Graph, SessionExt};
/// # use std::sync::Arc;
/// let graph = Graph::new();
/// let w = variable(&graph.named("w"), 1.0f32);
/// let mut creator = ChiefSessionCreator::new(Arc::new(EmbeddedEngine::default()), &graph);
/// let created = creator.create_session(&CancellationToken::new())?;
/// assert_eq!(created.session.run(&w, ())?.value::<f32>()?, 1.0);
/// # Ok::<(), session_core::Error>(())
/// ```
pub trait SessionCreator: Send {
    /// Returns the graph of the sessions.
    fn graph(&self) -> &Graph;

    /// Creates a session. Cancelling the token aborts the creation.
    ///
    /// # Errors
    /// Returns the error that prevents the session from being ready, or `Cancelled`.
    fn create_session(&mut self, cancellation: &CancellationToken) -> Result<CreatedSession>;

    /// Returns the scaffold of the sessions after the first creation; `None` for creators without a scaffold.
    fn scaffold(&self) -> Option<&Scaffold> {
        None
    }

    /// Returns the source from which sessions are restored. Default: `None`, for creators that restore nothing or do not expose
    /// the source.
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

/// A scaffold that may not be finalized yet.
#[derive(Debug)]
enum Pending {
    Building(Box<ScaffoldBuilder>),
    Finalized(Box<(Scaffold, SessionManager)>),
}

/// The parts that chief and worker share.
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

    /// Returns the finalized scaffold and the manager, which exist as long as this creator (S-111, S-113).
    fn ready(&mut self) -> Result<&(Scaffold, SessionManager)> {
        if let Pending::Building(builder) = &self.scaffold {
            // A clone, so that an attempt that fails leaves the builder for the next one.
            let scaffold = builder.clone().finalize(&self.graph)?;
            let manager = self.manager(&scaffold)?;
            self.scaffold = Pending::Finalized(Box::new((scaffold, manager)));
        }
        match &self.scaffold {
            Pending::Finalized(ready) => {
                // A monitored session that was closed has unfrozen the graph; the pieces stay settled (S-85).
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
        /// Sets the scaffold, which the first creation finalizes: a [`ScaffoldBuilder`], or a [`Scaffold`] of the same graph. Default:
        /// a scaffold without given pieces.
        pub fn scaffold(mut self, scaffold: impl Into<ScaffoldBuilder>) -> Self {
            self.common.scaffold = Pending::Building(Box::new(scaffold.into()));
            self
        }

        /// Sets the engine's target. Default: empty, which means this process.
        pub fn master(mut self, master: impl Into<String>) -> Self {
            self.common.master = master.into();
            self
        }

        /// Sets the configuration of the sessions. Default: [`SessionConfig::default`].
        pub fn config(mut self, config: SessionConfig) -> Self {
            self.common.config = config;
            self
        }

        /// Sets the time between two attempts while waiting for a checkpoint or a ready model. Default: 30 s, which is fixed in
        /// TensorFlow (S-113).
        pub fn recovery_wait(mut self, wait: Duration) -> Self {
            self.common.recovery_wait = wait;
            self
        }

        /// Sets the source of time. Default: the system.
        pub fn waiter(mut self, waiter: Arc<dyn Waiter>) -> Self {
            self.common.waiter = waiter;
            self
        }
    };
}

/// Creates sessions by restoring the newest checkpoint or initializing the model (S-111). Each creation chooses the
/// checkpoint again (S-114).
///
/// ```
/// use scaffold::ChiefSessionCreator;
/// # use embedded_engine::EmbeddedEngine;
/// # use session_core::Graph;
/// # use std::sync::Arc;
/// let engine = Arc::new(EmbeddedEngine::default());
/// let creator = ChiefSessionCreator::new(engine, &Graph::new()).checkpoint_dir("run");
/// ```
#[derive(Debug)]
#[must_use]
pub struct ChiefSessionCreator {
    common: Common,
    source: CheckpointSource,
    restore_options: RestoreOptions,
}

impl ChiefSessionCreator {
    /// Creates a creator of sessions of `engine` on `graph`.
    ///
    /// ```
    /// use scaffold::ChiefSessionCreator;
    /// # use embedded_engine::EmbeddedEngine;
    /// # let engine = std::sync::Arc::new(EmbeddedEngine::default());
    /// # let graph = session_core::Graph::new();
    /// let creator = ChiefSessionCreator::new(engine, &graph);
    /// ```
    pub fn new(engine: Arc<dyn Engine>, graph: &Graph) -> ChiefSessionCreator {
        ChiefSessionCreator {
            common: Common::new(engine, graph),
            source: CheckpointSource::None,
            restore_options: RestoreOptions::new(),
        }
    }

    common_setters!();

    /// Restores the newest intact checkpoint of this folder, if there is one. Default: nothing is restored.
    ///
    /// ```
    /// use scaffold::ChiefSessionCreator;
    /// # use embedded_engine::EmbeddedEngine;
    /// # let engine = std::sync::Arc::new(EmbeddedEngine::default());
    /// # let graph = session_core::Graph::new();
    /// let creator = ChiefSessionCreator::new(engine, &graph).checkpoint_dir("run");
    /// ```
    pub fn checkpoint_dir(mut self, directory: impl Into<PathBuf>) -> Self {
        self.source = CheckpointSource::Directory(directory.into());
        self
    }

    /// Restores the checkpoint with this prefix. Replaces a folder given before.
    ///
    /// ```
    /// use scaffold::ChiefSessionCreator;
    /// # use embedded_engine::EmbeddedEngine;
    /// # let engine = std::sync::Arc::new(EmbeddedEngine::default());
    /// # let graph = session_core::Graph::new();
    /// let creator = ChiefSessionCreator::new(engine, &graph).checkpoint_filename_with_path("run/model.ckpt-1000");
    /// ```
    pub fn checkpoint_filename_with_path(mut self, prefix: impl Into<PathBuf>) -> Self {
        self.source = CheckpointSource::File(prefix.into());
        self
    }

    /// Sets the source of the checkpoint.
    ///
    /// ```
    /// use scaffold::ChiefSessionCreator;
    /// use scaffold::CheckpointSource;
    /// # use embedded_engine::EmbeddedEngine;
    /// # let engine = std::sync::Arc::new(EmbeddedEngine::default());
    /// # let graph = session_core::Graph::new();
    /// let creator = ChiefSessionCreator::new(engine, &graph).checkpoint_source(CheckpointSource::Directory("run".into()));
    /// ```
    pub fn checkpoint_source(mut self, source: CheckpointSource) -> Self {
        self.source = source;
        self
    }

    /// Sets the variables that a checkpoint may lack, and whether an older checkpoint may replace a damaged one. Default: it may lack
    /// none, and an older one may (unlike S-102).
    ///
    /// ```
    /// use scaffold::ChiefSessionCreator;
    /// use checkpoint::RestoreOptions;
    /// # use embedded_engine::EmbeddedEngine;
    /// # let engine = std::sync::Arc::new(EmbeddedEngine::default());
    /// # let graph = session_core::Graph::new();
    /// let creator = ChiefSessionCreator::new(engine, &graph).restore_options(RestoreOptions::new().fallback(false));
    /// ```
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
        // Cloned before `ready` borrows the creator.
        let (master, config) = (self.common.master.clone(), self.common.config.clone());
        let (source, options) = (self.source.clone(), self.restore_options.clone());
        let (scaffold, manager) = self.common.ready()?;
        // The manager knows no scaffold, so the function is bound to it here.
        let bound = scaffold.clone();
        let init_fn = scaffold.has_init_fn().then(|| {
            let function: crate::BoundInitFn = Arc::new(move |session| bound.run_init_fn(session));
            function
        });
        let restoring = Restoring::default().saver(scaffold.saver().clone()).source(source).options(options);
        let preparation = Preparation::default()
            .master(master)
            .config(config)
            .init_op(scaffold.init_op().clone())
            .init_feed(scaffold.init_feed().to_vec())
            .init_fn(init_fn)
            .restoring(restoring)
            .cancellation(cancellation.clone());
        manager.prepare_session(&preparation)
    }

    fn scaffold(&self) -> Option<&Scaffold> {
        self.common.finalized()
    }

    fn checkpoint_source(&self) -> Option<&CheckpointSource> {
        Some(&self.source)
    }
}

/// Creates sessions by waiting until the chief has made the model ready (S-112). It never restores and never runs the init op or
/// the init function, but it does initialize process-local state.
///
/// ```
/// use scaffold::WorkerSessionCreator;
/// # use embedded_engine::EmbeddedEngine;
/// # use session_core::Graph;
/// # use std::sync::Arc;
/// # use std::time::Duration;
/// let engine = Arc::new(EmbeddedEngine::default());
/// let creator = WorkerSessionCreator::new(engine, &Graph::new()).max_wait(Some(Duration::from_secs(600)));
/// ```
#[derive(Debug)]
#[must_use]
pub struct WorkerSessionCreator {
    common: Common,
    max_wait: Option<Duration>,
}

impl WorkerSessionCreator {
    /// Creates a creator of sessions of `engine` on `graph`.
    ///
    /// ```
    /// use scaffold::WorkerSessionCreator;
    /// # let engine = std::sync::Arc::new(embedded_engine::EmbeddedEngine::default());
    /// # let graph = session_core::Graph::new();
    /// let creator = WorkerSessionCreator::new(engine, &graph);
    /// ```
    pub fn new(engine: Arc<dyn Engine>, graph: &Graph) -> WorkerSessionCreator {
        WorkerSessionCreator { common: Common::new(engine, graph), max_wait: Some(Duration::from_secs(1800)) }
    }

    common_setters!();

    /// Sets the time to wait for the model; `None` waits forever. Default: 1800 s.
    ///
    /// ```
    /// use scaffold::WorkerSessionCreator;
    /// # let engine = std::sync::Arc::new(embedded_engine::EmbeddedEngine::default());
    /// # let graph = session_core::Graph::new();
    /// let creator = WorkerSessionCreator::new(engine, &graph).max_wait(None); // waits forever
    /// ```
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
        // The chief restores; this process only waited.
        Ok(CreatedSession { session, restored: None })
    }

    fn scaffold(&self) -> Option<&Scaffold> {
        self.common.finalized()
    }
}
