//! Synchronous training: what a replica does before its first step.

use crate::SessionRunHook;
use ops::optimizers::{Optimizer, SyncReplicasOptimizer, Synchronization};
use queue_runner::{Coordinator, QueueRunner};
use session_core::{Error, Graph, Operation, Output, Result, Session, SessionExt as _};
use tensor::text::escaped;

/// Extends `SyncReplicasOptimizer` with what needs threads and sessions.
pub trait SyncReplicas {
    /// Returns the hook that each replica of a synchronous training needs. TensorFlow's `make_session_run_hook`.
    ///
    /// ```
    /// use hooks::SyncReplicas as _;
    /// use ops::optimizers::{GradientDescentOptimizer, SyncReplicasOptimizer};
    /// let optimizer = SyncReplicasOptimizer::new(GradientDescentOptimizer::new(0.1), 4);
    /// let worker_index = 1;
    /// let hook = optimizer.make_session_run_hook().is_chief(worker_index == 0);
    /// # let _ = hook;
    /// ```
    #[must_use]
    fn make_session_run_hook(&self) -> SyncReplicasHook;

    /// Returns the runner whose thread updates the variables: the hook of the chief starts it. TensorFlow's `get_chief_queue_runner`.
    ///
    /// # Errors
    /// A value error before the optimizer was applied.
    fn chief_queue_runner(&self) -> Result<QueueRunner>;
}

impl<T: Optimizer> SyncReplicas for SyncReplicasOptimizer<T> {
    fn make_session_run_hook(&self) -> SyncReplicasHook {
        SyncReplicasHook {
            synchronization: self.synchronization(),
            is_chief: true,
            num_tokens: None,
            prepared: None,
        }
    }

    fn chief_queue_runner(&self) -> Result<QueueRunner> {
        chief_queue_runner(&self.synchronization())
    }
}

fn chief_queue_runner(synchronization: &Synchronization) -> Result<QueueRunner> {
    QueueRunner::for_queue(&synchronization.token_queue()?, [synchronization.sync_op()?])
}

/// Prepares each new session of a replica for synchronous training: sets the local step, and for the chief the steps of the
/// accumulators, fills the token queue, and starts the thread that updates the variables.
///
/// [`SyncReplicas::make_session_run_hook`] makes it. The optimizer must be applied before the session is built.
///
/// ```no_run
/// use hooks::SyncReplicas as _;
/// use ops::optimizers::{GradientDescentOptimizer, Optimizer, SyncReplicasOptimizer};
/// # fn run(graph: &session_core::Graph, loss: &session_core::Output, step: &session_core::Variable, is_chief: bool) {
/// let optimizer = SyncReplicasOptimizer::new(GradientDescentOptimizer::new(0.1), 4);
/// let train_op = optimizer.minimize(loss, Some(step));
/// let hook = optimizer.make_session_run_hook().is_chief(is_chief);
/// // MonitoredTrainingSession::builder(graph).is_chief(is_chief).hook(hook), and a loop that runs train_op
/// # }
/// ```
#[derive(Debug)]
pub struct SyncReplicasHook {
    synchronization: Synchronization,
    is_chief: bool,
    num_tokens: Option<usize>,
    prepared: Option<Prepared>,
}

/// The parts that were created before the graph was frozen.
#[derive(Debug)]
struct Prepared {
    local_init_op: Operation,
    ready: Output,
    chief: Option<Chief>,
}

#[derive(Debug)]
struct Chief {
    init_tokens_op: Operation,
    runner: QueueRunner,
}

impl SyncReplicasHook {
    /// Sets whether the replica is the chief, which updates the variables. Exactly one replica is. Default: `true`.
    #[must_use]
    pub fn is_chief(mut self, is_chief: bool) -> SyncReplicasHook {
        self.is_chief = is_chief;
        self
    }

    /// Sets the number of tokens in the queue before the first step, at least `replicas_to_aggregate - total_num_replicas`. Replicas
    /// run ahead by as many steps. Default: `replicas_to_aggregate`.
    #[must_use]
    pub fn num_tokens(mut self, tokens: usize) -> SyncReplicasHook {
        self.num_tokens = Some(tokens);
        self
    }
}

impl SessionRunHook for SyncReplicasHook {
    fn begin(&mut self, _: &Graph) -> Result<()> {
        let of = &self.synchronization;
        let chief = match self.is_chief {
            false => None,
            true => Some(Chief {
                init_tokens_op: of.init_tokens_op(self.num_tokens)?,
                // Built here for its errors and its operations, which need an open graph; the session
                // starts its thread later.
                runner: chief_queue_runner(of)?,
            }),
        };
        let local_init_op = if self.is_chief { of.chief_init_op() } else { of.local_step_init_op() }?;
        self.prepared = Some(Prepared { local_init_op, ready: of.ready_for_local_init_op()?, chief });
        Ok(())
    }

    fn after_create_session(&mut self, session: &dyn Session, _: &Coordinator) -> Result<()> {
        let Some(prepared) = &self.prepared else { return Ok(()) };
        // The local step is set from the global step, so a model that is not ready would start with garbage.
        // TensorFlow makes the same check here.
        let missing = session.run(&prepared.ready, ())?;
        let missing = missing.as_strings().map_err(|error| Error::type_mismatch(error.to_string()))?;
        if !missing.is_empty() {
            let names: Vec<String> =
                missing.iter().map(|name| escaped(&String::from_utf8_lossy(name)).to_string()).collect();
            return Err(Error::runtime(format!(
                "the model is not ready for '{}', which begins synchronous training: these variables have no value: {}; \
                 initialize or restore them before hooks are called",
                prepared.local_init_op.name(),
                names.join(", ")
            )));
        }
        session.run(&prepared.local_init_op, ())?;
        if let Some(chief) = &prepared.chief {
            // After the local step is set: a token lets a replica start its first step.
            session.run(&chief.init_tokens_op, ())?;
        }
        Ok(())
    }

    fn queue_runners(&self) -> Vec<QueueRunner> {
        let chief = self.prepared.as_ref().and_then(|prepared| prepared.chief.as_ref());
        chief.map(|chief| chief.runner.clone()).into_iter().collect()
    }
}
