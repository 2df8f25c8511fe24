//! The session manager.

use crate::objects::Beginning;
use crate::preparation::{CheckpointSource, CreatedSession, Preparation, Restoring};
use crate::ready::{self, Readiness};
use crate::run;
use crate::waiter::{SystemWaiter, Waiter};
use checkpoint::{GraphSaver, Restored};
use log::{info, warn};
use session_core::keys::SAVED_MODEL_INITIALIZERS;
use session_core::{
    CancellationToken, Code, Engine, Error, Graph, Operation, Output, Phase, Result, RunOptions, Session,
    SessionConfig, Tensor, Variable,
};
use std::collections::HashSet;
use std::fmt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tensor::text::escaped;

/// A wait that lasts longer is worth a warning.
const LONG_WAIT: Duration = Duration::from_secs(5);

/// Opens sessions on a graph and brings their model into a usable state: initialized, restored from a checkpoint, or initialized
/// by another process (S-88).
///
/// | | opens | restores | init op, init function | local init op | if the model is not ready |
/// |---|---|---|---|---|---|
/// | [`prepare_session`](SessionManager::prepare_session) | once | if there is a checkpoint | if not restored | always | error |
/// | [`recover_session`](SessionManager::recover_session) | once | if there is a checkpoint | never | always | reports it |
/// | [`wait_for_session`](SessionManager::wait_for_session) | repeatedly | never | never | always | tries again |
///
/// Unlike in TensorFlow, a session that could not be made ready is closed (S-99), and every error names the phase in which it
/// occurred.
///
/// ```
/// use scaffold::{Preparation, SessionManager};
/// use session_core::{Graph, mock::MockEngine};
/// use std::sync::Arc;
///
/// let graph = Graph::new();
/// let init = graph.undefined_op("NoOp").name("init").finish();
/// let manager = SessionManager::builder(Arc::new(MockEngine::new()), &graph).build()?;
/// let created = manager.prepare_session(&Preparation::default().init_op(init))?;
/// assert!(created.restored.is_none());
/// # Ok::<(), session_core::Error>(())
/// ```
pub struct SessionManager {
    engine: Arc<dyn Engine>,
    graph: Graph,
    local_init_op: Option<Operation>,
    ready_op: Option<Output>,
    ready_for_local_init_op: Option<Output>,
    recovery_wait: Duration,
    local_init_run_options: RunOptions,
    local_init_feed: Vec<(Output, Tensor)>,
    waiter: Arc<dyn Waiter>,
}

/// Builds a [`SessionManager`].
///
/// ```
/// use scaffold::SessionManager;
/// # use embedded_engine::EmbeddedEngine;
/// # use session_core::Graph;
/// # use std::sync::Arc;
/// # use std::time::Duration;
/// let engine = Arc::new(EmbeddedEngine::default());
/// let manager = SessionManager::builder(engine, &Graph::new()).recovery_wait(Duration::from_secs(5)).build()?;
/// # Ok::<(), session_core::Error>(())
/// ```
#[derive(Debug)]
#[must_use = "call `build`"]
pub struct SessionManagerBuilder(SessionManager);

impl SessionManagerBuilder {
    /// Sets the operation that initializes process-local state. Default: none.
    ///
    /// ```
    /// use scaffold::SessionManager;
    /// use session_core::{Graph, mock::MockEngine};
    /// # use std::sync::Arc;
    /// # let graph = Graph::new();
    /// # let init = graph.undefined_op("NoOp").name("init").finish();
    /// let manager = SessionManager::builder(Arc::new(MockEngine::new()), &graph).local_init_op(&init).build()?;
    /// # Ok::<(), session_core::Error>(())
    /// ```
    pub fn local_init_op(mut self, operation: &Operation) -> Self {
        self.0.local_init_op = Some(operation.clone());
        self
    }

    /// Sets the feeds of the local init op. Default: none.
    pub fn local_init_feed(mut self, feed: impl IntoIterator<Item = (Output, Tensor)>) -> Self {
        self.0.local_init_feed.extend(feed);
        self
    }

    /// Sets the run options of the local init op. Default: [`RunOptions::default`].
    pub fn local_init_run_options(mut self, options: RunOptions) -> Self {
        self.0.local_init_run_options = options;
        self
    }

    /// Sets the output that lists the names of the variables that are not ready. Default: none, always ready.
    pub fn ready_op(mut self, output: &Output) -> Self {
        self.0.ready_op = Some(output.clone());
        self
    }

    /// Sets the output that lists the names of the variables that the local init op needs. Default: none, always ready.
    pub fn ready_for_local_init_op(mut self, output: &Output) -> Self {
        self.0.ready_for_local_init_op = Some(output.clone());
        self
    }

    /// Sets the time between two attempts while waiting for a checkpoint or a ready model. Default: 30 s.
    pub fn recovery_wait(mut self, wait: Duration) -> Self {
        self.0.recovery_wait = wait;
        self
    }

    /// Sets the source of time. Default: the system.
    pub fn waiter(mut self, waiter: Arc<dyn Waiter>) -> Self {
        self.0.waiter = waiter;
        self
    }

    /// Builds the manager.
    ///
    /// # Errors
    /// A value error for a ready-for-local-init op without a local init op (S-88).
    pub fn build(self) -> Result<SessionManager> {
        if self.0.ready_for_local_init_op.is_some() && self.0.local_init_op.is_none() {
            let text = "if you pass a ready_for_local_init_op you must also pass a local_init_op";
            return Err(Error::value(text));
        }
        Ok(self.0)
    }
}

/// A session that is closed on drop unless it is handed over.
struct Opened(Option<Arc<dyn Session>>);

impl Opened {
    fn keep(mut self) -> Option<Arc<dyn Session>> {
        self.0.take()
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        if let Some(session) = self.0.take()
            && let Err(error) = session.close()
        {
            warn!("could not close a session that did not become ready: {}", error.chain());
        }
    }
}

impl SessionManager {
    /// Creates a builder for a manager of sessions of `engine` on `graph`.
    ///
    /// ```
    /// use scaffold::SessionManager;
    /// use session_core::{Graph, mock::MockEngine};
    /// # use std::sync::Arc;
    /// # let graph = Graph::new();
    /// let manager = SessionManager::builder(Arc::new(MockEngine::new()), &graph).build()?;
    /// # Ok::<(), session_core::Error>(())
    /// ```
    pub fn builder(engine: Arc<dyn Engine>, graph: &Graph) -> SessionManagerBuilder {
        SessionManagerBuilder(SessionManager {
            engine,
            graph: graph.clone(),
            local_init_op: None,
            ready_op: None,
            ready_for_local_init_op: None,
            recovery_wait: Duration::from_secs(30),
            local_init_run_options: RunOptions::default(),
            local_init_feed: Vec::new(),
            waiter: Arc::new(SystemWaiter::new()),
        })
    }

    // ---- the chief ----------------------------------------------------------------------------------

    /// Opens a session and makes the model ready: restores it from a checkpoint if there is one, otherwise initializes it; then
    /// initializes process-local state; then checks it (S-93, S-94). After a restore neither the init op nor the init function
    /// runs (S-95). If the restore options allow the checkpoint to lack variables, the initializers of those run.
    ///
    /// ```
    /// use scaffold::{Preparation, SessionManager};
    /// use session_core::{Graph, mock::MockEngine};
    /// # use std::sync::Arc;
    /// # let graph = Graph::new();
    /// # let init = graph.undefined_op("NoOp").name("init").finish();
    /// let manager = SessionManager::builder(Arc::new(MockEngine::new()), &graph).build()?;
    /// let created = manager.prepare_session(&Preparation::default().init_op(init))?;
    /// assert!(created.restored.is_none());
    /// # Ok::<(), session_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// A runtime error if nothing can initialize the model (S-96), or if it is not ready afterwards (S-97); the errors of the
    /// engine, of the restore, and of the initialization (S-98); `Cancelled`.
    pub fn prepare_session(&self, preparation: &Preparation) -> Result<CreatedSession> {
        let token = &preparation.cancellation;
        let (opened, session) = self.open(&preparation.master, &preparation.config)?;
        // Before the restore, which changes the objects.
        let beginning = self.beginning(&preparation.restoring)?;
        let restored = self.restore(&*session, &preparation.restoring, &beginning, token)?;
        if restored.is_none() {
            // Objects must not keep what an earlier session left in them.
            beginning.reset(None).map_err(|error| error.with_phase(Phase::Init))?;
            self.initialize(&*session, preparation).map_err(|error| error.with_phase(Phase::Init))?;
        }
        self.make_ready(&*session, preparation).map_err(|error| error.with_phase(Phase::Init))?;
        opened.keep();
        Ok(CreatedSession { session, restored })
    }

    fn beginning(&self, restoring: &Restoring) -> Result<Beginning> {
        Beginning::of(&self.graph, restoring.saver.as_ref()).map_err(|error| error.with_phase(Phase::Init))
    }

    fn open(&self, master: &str, config: &SessionConfig) -> Result<(Opened, Arc<dyn Session>)> {
        let session = self.engine.new_session(&self.graph, master, config).map_err(|error| {
            let text = match master {
                "" => format!("cannot open a session on the {} engine", self.engine.name()),
                master => format!("cannot open a session on the {} engine at '{master}'", self.engine.name()),
            };
            error.context(text).with_phase(Phase::Init)
        })?;
        Ok((Opened(Some(session.clone())), session))
    }

    fn initialize(&self, session: &dyn Session, preparation: &Preparation) -> Result<()> {
        let Preparation { init_ops, init_feed, init_fn, cancellation, .. } = preparation;
        // As in TensorFlow, a local init op alone is enough.
        if init_ops.is_empty() && init_fn.is_none() && self.local_init_op.is_none() {
            let text = "Model is not initialized and no init_op or init_fn or local_init_op was given";
            return Err(Error::runtime(text));
        }
        if !init_ops.is_empty() {
            run::run_operations(session, init_ops, init_feed, &RunOptions::default(), cancellation)?;
        }
        init_fn.as_ref().map_or(Ok(()), |function| function(session))
    }

    fn make_ready(&self, session: &dyn Session, preparation: &Preparation) -> Result<()> {
        let token = &preparation.cancellation;
        if let Readiness::NotReady(reason) = self.try_local_init(session, token)? {
            let text = format!(
                "Init operations did not make model ready for local_init. {}, error: {reason}",
                self.culprits(preparation, false)
            );
            return Err(Error::runtime(text));
        }
        // After the local init op, since the ready op covers local variables, too.
        if let Readiness::NotReady(reason) = ready::check(session, self.ready_op.as_ref(), token)? {
            let text = format!(
                "Init operations did not make model ready. {}, error: {reason}",
                self.culprits(preparation, true)
            );
            return Err(Error::runtime(text));
        }
        Ok(())
    }

    /// Lists the names of the operations that should have made the model ready.
    fn culprits(&self, preparation: &Preparation, local: bool) -> String {
        let names: Vec<&str> = preparation.init_ops.iter().map(Operation::name).collect();
        let init_op = if names.is_empty() { "none".to_owned() } else { names.join(" ") };
        let init_fn = if preparation.init_fn.is_some() { "given" } else { "none" };
        let mut text = format!("init op: {init_op}, init fn: {init_fn}");
        if local {
            let name = self.local_init_op.as_ref().map_or("none", Operation::name);
            text.push_str(&format!(", local init op: {name}"));
        }
        text
    }

    /// S-92.
    fn try_local_init(&self, session: &dyn Session, token: &CancellationToken) -> Result<Readiness> {
        let Some(local_init_op) = &self.local_init_op else { return Ok(Readiness::Ready) };
        let readiness = ready::check(session, self.ready_for_local_init_op.as_ref(), token)?;
        if readiness == Readiness::Ready {
            info!("Running local_init_op.");
            let operations = std::slice::from_ref(local_init_op);
            let options = &self.local_init_run_options;
            run::run_operations(session, operations, &self.local_init_feed, options, token)?;
            info!("Done running local_init_op.");
        }
        Ok(readiness)
    }

    // ---- restoring ----------------------------------------------------------------------------------

    /// S-100. Unlike TensorFlow, falls back to an older checkpoint if the newest is damaged or deleted and the options allow it.
    fn restore(
        &self,
        session: &dyn Session,
        restoring: &Restoring,
        beginning: &Beginning,
        token: &CancellationToken,
    ) -> Result<Option<Restored>> {
        let Some(saver) = &restoring.saver else { return Ok(None) };
        let restored = match &restoring.source {
            CheckpointSource::None => None,
            CheckpointSource::File(prefix) => {
                self.before_restore(session, token)?;
                Some(saver.restore(session, prefix, &restoring.options)?)
            }
            CheckpointSource::Directory(directory) => {
                self.restore_from(session, saver, directory, restoring, token)?
            }
        };
        // Variables may still lack a value, where the options allow it.
        if let Some(restored) = &restored {
            self.initialize_missing(session, saver, restored, beginning, token)
                .map_err(|error| error.with_phase(Phase::Restore))?;
        }
        Ok(restored)
    }

    fn restore_from(
        &self,
        session: &dyn Session,
        saver: &GraphSaver,
        directory: &Path,
        restoring: &Restoring,
        token: &CancellationToken,
    ) -> Result<Option<Restored>> {
        let begun = self.waiter.now();
        loop {
            // A folder that does not exist holds no checkpoint (S-103).
            let found = saver.saver().has_checkpoint(directory).map_err(Error::from);
            // The initializers of imported models run only if something is restored after them.
            if found.map_err(|error| error.with_phase(Phase::Restore))? {
                self.before_restore(session, token)?;
                let restored = saver.restore_latest(session, directory, &restoring.options)?;
                // The checkpoint may have been deleted since the check.
                if restored.is_some() {
                    return Ok(restored);
                }
            }
            let left = restoring.max_wait.saturating_sub(self.waiter.now().saturating_sub(begun));
            if !restoring.wait_for_checkpoint || left.is_zero() {
                return Ok(None);
            }
            self.say_waiting(
                begun,
                &format!("Waiting for checkpoint to be available in {}", directory.display()),
            );
            self.pause(left, token).map_err(|error| error.with_phase(Phase::Restore))?;
        }
    }

    /// Logs that it is waiting: after a few seconds as a warning, which programs usually show.
    fn say_waiting(&self, begun: Duration, text: &str) {
        let passed = self.waiter.now().saturating_sub(begun);
        if passed < LONG_WAIT {
            info!("{}", escaped(text));
        } else {
            warn!("{} (for {:.0} s now)", escaped(text), passed.as_secs_f64());
        }
    }

    /// Waits before the next attempt, at most until the time limit. Always waits some time; otherwise a time limit that is counted in
    /// waits would never be reached (S-108).
    fn pause(&self, left: Duration, token: &CancellationToken) -> Result<()> {
        let wait = self.recovery_wait.max(Duration::from_millis(1)).min(left);
        self.waiter.wait(wait, token)
    }

    /// S-101.
    fn before_restore(&self, session: &dyn Session, token: &CancellationToken) -> Result<()> {
        let initializers = self.graph.collection(&SAVED_MODEL_INITIALIZERS);
        if initializers.is_empty() {
            return Ok(());
        }
        run::run_operations(session, &initializers, &[], &RunOptions::default(), token)
            .map_err(|error| error.with_phase(Phase::Restore))
    }

    /// Initializes the variables that the checkpoint was allowed to lack.
    fn initialize_missing(
        &self,
        session: &dyn Session,
        saver: &GraphSaver,
        restored: &Restored,
        beginning: &Beginning,
        token: &CancellationToken,
    ) -> Result<()> {
        let missing: HashSet<&str> = restored.report.missing.iter().map(String::as_str).collect();
        if missing.is_empty() {
            return Ok(());
        }
        warn!(
            "variables missing in checkpoint {} were initialized: {}",
            escaped(restored.report.prefix.display()),
            escaped(restored.report.missing.join(", "))
        );
        let variables: Vec<Variable> = saver.variables(&self.graph);
        let operations: Vec<Operation> = variables
            .iter()
            .filter(|variable| missing.contains(variable.name()))
            .map(|variable| variable.initializer().clone())
            .collect();
        // Objects may have missing tensors as well.
        beginning.reset(Some(&missing))?;
        run::run_operations(session, &operations, &[], &RunOptions::default(), token)
    }

    // ---- recovery and workers -----------------------------------------------------------------------

    /// Opens a session, restores it if there is a checkpoint, and always tries the local init op; never runs the init op (S-105).
    /// Returns whether the model is ready. A model that was not restored counts as not ready.
    ///
    /// # Errors
    /// The errors of the engine, of the restore, and of the operations that run; `Cancelled`.
    pub fn recover_session(
        &self,
        master: &str,
        config: &SessionConfig,
        restoring: &Restoring,
        cancellation: &CancellationToken,
    ) -> Result<(CreatedSession, bool)> {
        let (opened, session) = self.open(master, config)?;
        let beginning = self.beginning(restoring)?;
        let restored = self.restore(&*session, restoring, &beginning, cancellation)?;
        let ready = self.is_recovered(&*session, restored.as_ref(), cancellation);
        let ready = ready.map_err(|error| error.with_phase(Phase::Init))?;
        opened.keep();
        Ok((CreatedSession { session, restored }, ready))
    }

    fn is_recovered(
        &self,
        session: &dyn Session,
        restored: Option<&Restored>,
        token: &CancellationToken,
    ) -> Result<bool> {
        let local = self.try_local_init(session, token)?;
        // Whatever the ready op says: in TensorFlow a model that was not restored is not recovered.
        let Some(restored) = restored else { return Ok(false) };
        let prefix = escaped(restored.report.prefix.display());
        if let Readiness::NotReady(reason) = local {
            info!(
                "Restoring model from {prefix} did not make model ready for local init: {}",
                escaped(reason)
            );
            return Ok(false);
        }
        if let Readiness::NotReady(reason) = ready::check(session, self.ready_op.as_ref(), token)? {
            info!("Restoring model from {prefix} did not make model ready: {}", escaped(reason));
            return Ok(false);
        }
        info!("Restored model from {prefix}");
        Ok(true)
    }

    /// Waits until another process has made the model ready: opens a session, tries the local init op and the ready check, and if
    /// the model is not ready closes the session and tries again later (S-106). A `max_wait` of `None` waits forever.
    ///
    /// The limit applies to the elapsed time, and the last attempt is made when it expires. TensorFlow gives up as soon as the
    /// remaining time is shorter than the wait between two attempts (S-107), and never if that wait is zero (S-108).
    ///
    /// # Errors
    /// `DeadlineExceeded` if the model was not ready in time; errors of the engine and of the operations that run, immediately
    /// (S-109); `Cancelled`.
    pub fn wait_for_session(
        &self,
        master: &str,
        config: &SessionConfig,
        max_wait: Option<Duration>,
        cancellation: &CancellationToken,
    ) -> Result<Arc<dyn Session>> {
        let begun = self.waiter.now();
        loop {
            let (opened, session) = self.open(master, config)?;
            let reason = self.why_not_ready(&*session, cancellation);
            let Some(reason) = reason.map_err(|error| error.with_phase(Phase::Init))? else {
                opened.keep();
                return Ok(session);
            };
            // Closed before the wait, so that it holds nothing of the engine meanwhile.
            drop(opened);
            let passed = self.waiter.now().saturating_sub(begun);
            let left = max_wait.map_or(Duration::MAX, |max_wait| max_wait.saturating_sub(passed));
            // After the attempt, so that the last one is made when the time has passed.
            if left.is_zero() {
                let seconds = max_wait.unwrap_or_default().as_secs_f64();
                let text = format!("Session was not ready after waiting {seconds} secs: {reason}");
                return Err(Error::new(Code::DeadlineExceeded, text).with_phase(Phase::Init));
            }
            self.say_waiting(begun, &format!("Waiting for model to be ready. {reason}"));
            self.pause(left, cancellation).map_err(|error| error.with_phase(Phase::Init))?;
        }
    }

    fn why_not_ready(&self, session: &dyn Session, token: &CancellationToken) -> Result<Option<String>> {
        let local = self.try_local_init(session, token)?;
        if let Some(reason) = local.reason() {
            return Ok(Some(format!("Ready_for_local_init_op: {reason}, ready: not checked")));
        }
        let ready = ready::check(session, self.ready_op.as_ref(), token)?;
        Ok(ready.reason().map(|reason| format!("Ready_for_local_init_op: None, ready: {reason}")))
    }
}

impl fmt::Debug for SessionManager {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionManager")
            .field("engine", &self.engine.name())
            .field("local_init_op", &self.local_init_op)
            .field("ready_op", &self.ready_op)
            .field("ready_for_local_init_op", &self.ready_for_local_init_op)
            .field("recovery_wait", &self.recovery_wait)
            .finish_non_exhaustive()
    }
}
