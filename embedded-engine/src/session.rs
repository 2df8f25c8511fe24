//! A session of the embedded engine: the variables of a graph, its compiled plans, and the threads that work
//! for it.
//!
//! Several threads may run steps of a session at the same time. They share everything except frames. Closing
//! a session cancels its running steps and drops plans and resources.
//!
//! A run looks its plan up by fetches, targets and feeds, compiles it if it is new, and executes it in a
//! frame. Frames are reused: a plan keeps those of finished runs, so a steady run allocates no table of
//! slots. Several threads may run the same plan at once, each in its own frame.
//!
//! # Locks and threads
//!
//! | state | shared by | guarded by |
//! | --- | --- | --- |
//! | plans | all runs | a lock that many readers hold at once |
//! | functions | compilations | a lock around the table; compiling itself holds none |
//! | resources | all runs and background threads | see `resources.rs` |
//! | frames | one run each | a list per plan |
//!
//! A callable shares the inner state, so it keeps the session's memory alive; after `close` it only returns
//! an error (S-54).

use crate::background::Threads;
use crate::builder::Shared;
use crate::compile::{Functions, compile};
use crate::devices::Devices;
use crate::kernel::Environment;
use crate::kernels::variable_sizes;
use crate::limits::Limits;
use crate::plan::Plan;
use crate::plans::{Feeds, KeyRef, Plans};
use crate::resources::Resources;
use compute::Pool;
use session_core::{
    Callable, CancellationToken, Code, Error, Graph, PreparedStep, Result, RunMetadata, RunOptions, Session,
    SessionConfig, Step, StepSignature, closed, closed_callable,
};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tensor::{BufferPool, Tensor, memory::Size};

/// The time that a compilation may take regardless of the time limit of the run. Compiling a large model
/// takes seconds, once.
const COMPILATION: Duration = Duration::from_secs(5);

/// The time that a closing session waits for its background threads, which end at once unless the program's
/// own code blocks them. [`Session::join_threads`] waits longer.
const GRACE: Duration = Duration::from_millis(100);

/// One session: the values of a graph's variables, and its compiled plans.
pub(crate) struct EmbeddedSession {
    /// The graph that the session runs. It may grow while the session is open; later runs see the new
    /// operations (S-56).
    graph: Graph,
    /// Everything but the graph. Callables have a share of it.
    inner: Arc<Inner>,
}

/// The state that a session and its callables share.
struct Inner {
    /// The thread pool, buffers, resources, background threads and file policy, which kernels see.
    environment: Environment,
    /// The compiled plans.
    plans: Plans,
    /// The compiled functions, which plans share.
    functions: Functions,
    /// The devices that operations may request.
    devices: Devices,
    /// Cancelled when the session is closed, which ends all runs.
    closed: CancellationToken,
    /// The time limit of runs that set none; `None` if there is no limit.
    timeout: Option<Duration>,
    /// False to compile plans without optimizations.
    optimize: bool,
}

impl EmbeddedSession {
    /// Creates a session: its threads, and nothing else. Kernels are created when a plan is compiled.
    ///
    /// # Errors
    /// `Runtime` if the threads cannot be started, and `NotFound` for a configuration without CPUs.
    pub(crate) fn new(graph: &Graph, config: &SessionConfig) -> Result<EmbeddedSession> {
        let pool = Pool::new(config.intra_op_parallelism_threads).map_err(|error| {
            Error::runtime("the engine's threads could not be started").with_source(error)
        })?;
        let buffers = config.memory_limit.map_or_else(BufferPool::new, BufferPool::with_limit);
        let (resources, files) = (Arc::new(Resources::default()), config.file_access.clone());
        let environment = Environment { pool, buffers, resources, threads: Threads::default(), files };
        let inner = Inner {
            environment,
            plans: Plans::default(),
            functions: Functions::default(),
            devices: Devices::new(config)?,
            closed: CancellationToken::new(),
            timeout: config.operation_timeout,
            optimize: config.optimize,
        };
        Ok(EmbeddedSession { graph: graph.clone(), inner: Arc::new(inner) })
    }

    /// Returns the results of a step without fetches and targets. The caller has checked that the session is
    /// open.
    ///
    /// # Errors
    /// `Runtime` for a graph without operations.
    fn run_nothing(&self) -> Result<Vec<Tensor>> {
        if self.graph.is_empty() {
            return Err(Error::runtime("the graph is empty: there is nothing to run")); // S-52
        }
        Ok(Vec::new()) // S-32
    }

    /// Returns the plan for a step, compiled at its first use.
    ///
    /// Two threads that ask for the same new plan both compile it, and one of the two is kept.
    ///
    /// # Errors
    /// Those of `compile`. Nothing is cached then, so the next run tries again.
    fn plan(&self, key: KeyRef<'_>, options: &RunOptions) -> Result<Arc<Plan>> {
        if let Some(plan) = self.inner.plans.find(key) {
            return Ok(plan);
        }
        // Only a new plan needs the key as a value; every other run compares it in place.
        let owned = key.to_owned();
        let Inner { environment, functions, devices, optimize, .. } = self.inner.as_ref();
        let limits = self.inner.limits_of_compilation(options);
        let (library, limits, optimize) = (&self.graph, &limits, *optimize);
        let shared = Shared { library, environment, limits, devices, optimize };
        // No lock is held: other threads keep running their plans meanwhile.
        let plan = Arc::new(compile(&self.graph, &owned, functions, &shared)?);
        Ok(self.inner.plans.add(owned, plan))
    }
}

impl Drop for Inner {
    /// Closes the session, so that one that is dropped without `close` leaves no thread behind.
    fn drop(&mut self) {
        self.close();
    }
}

impl Inner {
    /// Ends all runs and drops plans, resources and unused memory. May be called repeatedly, and while runs
    /// are active.
    fn close(&self) {
        // First, so that running steps end and background threads see it before what they use is dropped.
        self.closed.cancel();
        // Plans hold handles, handles hold variables: both are dropped. A step that runs at this moment keeps
        // its own plan.
        self.plans.clear();
        self.environment.resources.clear();
        self.environment.buffers.trim();
    }

    /// Runs a plan with the values of its feeds.
    ///
    /// # Errors
    /// `Unimplemented` if the options ask for partition graphs, and the errors of the run. One about memory
    /// lists the session's allocations if the options ask for that.
    fn run<'t>(
        &self,
        plan: &Plan,
        feeds: impl Iterator<Item = &'t Tensor>,
        options: &RunOptions,
        metadata: Option<&mut RunMetadata>,
    ) -> Result<Vec<Tensor>> {
        if options.output_partition_graphs {
            let text = "the embedded engine has no partition graphs: leave out output_partition_graphs";
            return Err(Error::new(Code::Unimplemented, text));
        }
        let limits = Limits::new(&self.closed, options, self.timeout);
        let ran = plan.run(&self.environment, feeds, &limits, options.trace_level, metadata);
        ran.map_err(|error| match error.code() {
            Code::ResourceExhausted if options.report_tensor_allocations_upon_oom => {
                error.context(self.allocations())
            }
            _ => error,
        })
    }

    /// Describes how the session's memory is used, the largest variables first.
    ///
    /// ```text
    /// allocated when the step ran out of memory: 2 variables of 1.5 GiB ('w' 1.0 GiB, 'b' 512.0 MiB);
    /// the session's pool holds 3.0 GiB, of which 1.0 GiB are not in use
    /// ```
    ///
    /// At most 20 variables are named.
    fn allocations(&self) -> String {
        const LISTED: usize = 20;
        let Environment { buffers, resources, .. } = &self.environment;
        let mut variables = variable_sizes(resources);
        variables.sort_by(|(a, a_bytes), (b, b_bytes)| b_bytes.cmp(a_bytes).then_with(|| a.cmp(b)));
        let all: usize = variables.iter().map(|(_, bytes)| bytes).sum();
        let listed = variables.iter().take(LISTED).map(|(name, bytes)| format!("'{name}' {}", Size(*bytes)));
        let mut listed: Vec<String> = listed.collect();
        if let Some(more) = variables.len().checked_sub(LISTED).filter(|&more| more > 0) {
            listed.push(format!("{more} more"));
        }
        let listed = if listed.is_empty() { String::new() } else { format!(" ({})", listed.join(", ")) };
        format!(
            "allocated when the step ran out of memory: {} variables of {}{listed}; the session's pool holds {}, of which \
             {} are not in use",
            variables.len(),
            Size(all),
            Size(buffers.held_bytes()),
            Size(buffers.unused_bytes())
        )
    }

    /// Returns the limits of a compilation: those of the run, but with at least [`COMPILATION`] of time. A
    /// plan serves all later runs; under a time limit too short for compiling it, every one of them would
    /// fail.
    fn limits_of_compilation<'l>(&'l self, options: &'l RunOptions) -> Limits<'l> {
        let mut limits = Limits::new(&self.closed, options, self.timeout);
        let least = Instant::now().checked_add(COMPILATION);
        // Only a deadline is extended; a cancellation and the end of the session still end the compilation.
        limits.deadline = limits.deadline.and_then(|deadline| Some(deadline.max(least?)));
        limits
    }
}

impl Session for EmbeddedSession {
    fn graph(&self) -> &Graph {
        &self.graph
    }

    /// Runs a step. The plan is looked up by the key, compiled if it is new, and run on the calling thread.
    fn execute(&self, step: &Step<'_>, metadata: Option<&mut RunMetadata>) -> Result<Vec<Tensor>> {
        if self.is_closed() {
            return Err(closed());
        }
        // S-32: after the check for a closed session, which also holds for an empty list (S-53).
        if step.fetches.is_empty() && step.targets.is_empty() {
            return self.run_nothing();
        }
        let key = KeyRef { fetches: step.fetches, targets: step.targets, feeds: Feeds::Values(step.feeds) };
        let plan = self.plan(key, step.options)?;
        self.inner.run(&plan, step.feeds.iter().map(|(_, value)| value), step.options, metadata)
    }

    /// Compiles the plan of a signature and returns it as a callable, which does not look it up again.
    fn prepare(&self, signature: &StepSignature) -> Result<Callable> {
        if self.is_closed() {
            return Err(closed());
        }
        let StepSignature { fetches, targets, feeds } = signature;
        let key = KeyRef { fetches, targets, feeds: Feeds::Names(feeds) };
        // A callable serves runs with any options, so none of them may limit its compilation.
        let plan = self.plan(key, &RunOptions::default())?;
        Ok(Callable::new(CompiledStep { inner: self.inner.clone(), plan, graph: self.graph.clone() }))
    }

    fn close(&self) -> Result<()> {
        self.inner.close();
        self.inner.environment.threads.join(GRACE);
        Ok(())
    }

    fn join_threads(&self, grace: Duration) -> Vec<String> {
        self.inner.environment.threads.join(grace)
    }

    fn is_closed(&self) -> bool {
        self.inner.closed.is_cancelled()
    }

    /// Returns the states of operations that a resumed run needs; see [`Resources::export_states`].
    fn export_state(&self) -> Result<Vec<(String, Vec<u8>)>> {
        let replayed = crate::kernels::replayed(&self.graph);
        let mut states = self.inner.environment.resources.export_states();
        // The random operations of an input pipeline run again from its beginning after a restore; their
        // states must not be restored on top.
        states.retain(|(name, _)| !replayed.contains(name));
        Ok(states)
    }

    fn import_state(&self, state: &[(String, Vec<u8>)]) -> Result<()> {
        self.inner.environment.resources.import_states(state)
    }
}

impl fmt::Debug for EmbeddedSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddedSession").field("graph", &self.graph).finish_non_exhaustive()
    }
}

/// A plan that is called with values by position: the inside of a `Callable`.
struct CompiledStep {
    /// The session's state.
    inner: Arc<Inner>,
    /// The plan, compiled when the callable was made. It stays valid when the cache drops it.
    plan: Arc<Plan>,
    /// Keeps the graph of the plan's operations.
    graph: Graph,
}

impl PreparedStep for CompiledStep {
    fn call(
        &self,
        feeds: &[Tensor],
        options: &RunOptions,
        metadata: Option<&mut RunMetadata>,
    ) -> Result<Vec<Tensor>> {
        debug_assert!(!self.graph.is_empty());
        // S-54: not the error of a run in a closed session.
        if self.inner.closed.is_cancelled() {
            return Err(closed_callable());
        }
        self.plan.check_feeds(feeds)?;
        self.inner.run(&self.plan, feeds.iter(), options, metadata)
    }
}
