//! Synchronous training: the gradients of several replicas as those of one step.

use super::{
    ExponentialMovingAverage, GradientAndVariable, Optimizer, OptimizerSettings, limited, record,
    with_gradient,
};
use crate::array::{constant, fill, gather, size};
use crate::composite::unnamed;
use crate::control_flow::{group, no_op};
use crate::data_flow::{ConditionalAccumulator, FifoQueue, Queue, SparseConditionalAccumulator};
use crate::gradients::{IndexedSlices, summed};
use crate::math::{cast, neg, unsorted_segment_sum};
use crate::nn::top_k;
use crate::variables::{VariableBuilder, VariableExt, global_variables, report_uninitialized};
use session_core::{DType, Error, Graph, Operation, Output, PartialShape, Result, Variable};
use std::panic::Location;
use std::sync::{Arc, Mutex, PoisonError};

/// Collects the gradients of several replicas and applies their mean as one step. TensorFlow's `SyncReplicasOptimizer`, with the same
/// operations under the same names and shared names, so that workers in Rust and in Python train together.
///
/// Each replica runs the operation that [`apply_gradients`](Optimizer::apply_gradients) or [`minimize`](Optimizer::minimize)
/// returns. It adds the replica's gradients to accumulators, one for each variable, and then waits for a token. One thread,
/// the chief's, takes the mean of `replicas_to_aggregate` gradients from each accumulator, lets the inner optimizer apply
/// them, increments the global step, and enqueues tokens with the new step. Gradients that were computed for an earlier
/// step come too late and are dropped.
///
/// The replicas are the workers of a cluster, or threads of one process that run the operation on one session. The hook
/// that the extension trait `SyncReplicas` of the crate `hooks` makes initializes the replica and starts the thread of the
/// chief.
///
/// ```
/// use ops::global_step::get_or_create_global_step;
/// use ops::optimizers::{GradientDescentOptimizer, Optimizer, SyncReplicasOptimizer};
/// # let graph = session_core::Graph::new();
/// let w = ops::variables::variable(&graph.named("w"), 3.0f32);
/// let step = get_or_create_global_step(&graph);
/// let optimizer = SyncReplicasOptimizer::new(GradientDescentOptimizer::new(0.1), 4);
/// let train_op = optimizer.minimize(&ops::math::square(&w), Some(&step));
/// let tokens = optimizer.synchronization().init_tokens_op(None)?; // for the chief, before the first step
/// # assert!(train_op.error().is_none() && tokens.error().is_none());
/// # graph.finalize()?;
/// # Ok::<(), session_core::Error>(())
/// ```
///
/// The limits of gradients ([`clipvalue`](Optimizer::clipvalue) and the others) hold for the gradients of each replica; those
/// of the inner optimizer hold for the means. The global step is required: without one, staleness cannot be checked.
///
/// Other optimizers of optimizers go inside: `SyncReplicasOptimizer::new(GradientAccumulation::new(..))`. Those that apply gradients
/// in a branch, [`GradientAccumulation`](super::GradientAccumulation) and a dynamic [`LossScaleOptimizer`](super::LossScaleOptimizer),
/// refuse it as their inner optimizer.
#[derive(Debug)]
pub struct SyncReplicasOptimizer<T> {
    optimizer: T,
    settings: OptimizerSettings,
    averages: Option<(Arc<ExponentialMovingAverage>, Vec<Variable>)>,
    synchronization: Synchronization,
}

/// The work of replicas around their steps: the operations and the queue that a [`SyncReplicasOptimizer`] creates when it is
/// applied. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Synchronization {
    replicas_to_aggregate: usize,
    total_num_replicas: usize,
    /// Guards what the last application created. Nothing is called under it.
    made: Arc<Mutex<Option<Made>>>,
}

#[derive(Clone, Debug)]
struct Made {
    global_step: Variable,
    /// Makes operations next to the global step.
    place: Graph,
    token_queue: Queue,
    sync_op: Operation,
    local_step_init_op: Operation,
    chief_init_op: Operation,
    ready_for_local_init_op: Output,
}

impl<T: Optimizer> SyncReplicasOptimizer<T> {
    /// Lets the optimizer apply the mean gradients of this number of replicas.
    #[must_use]
    pub fn new(optimizer: T, replicas_to_aggregate: usize) -> SyncReplicasOptimizer<T> {
        SyncReplicasOptimizer {
            optimizer,
            settings: OptimizerSettings::new("sync_replicas"),
            averages: None,
            synchronization: Synchronization {
                replicas_to_aggregate,
                total_num_replicas: replicas_to_aggregate,
                made: Arc::default(),
            },
        }
    }

    /// Sets the number of replicas. If it is larger than the number to aggregate, the others are backups, whose late gradients are
    /// dropped; if it is smaller, replicas compute several batches for each step. Default: the number to aggregate.
    #[must_use]
    pub fn total_num_replicas(mut self, replicas: usize) -> Self {
        self.synchronization.total_num_replicas = replicas;
        self
    }

    /// Updates the moving averages of these variables after each step. Default: none.
    ///
    /// ```
    /// use ops::optimizers::{ExponentialMovingAverage, GradientDescentOptimizer, SyncReplicasOptimizer};
    /// use std::sync::Arc;
    /// # let graph = session_core::Graph::new();
    /// let w = ops::variables::variable(&graph.named("w"), 3.0f32);
    /// let averages = Arc::new(ExponentialMovingAverage::new(0.99));
    /// let optimizer = SyncReplicasOptimizer::new(GradientDescentOptimizer::new(0.1), 2);
    /// let optimizer = optimizer.variable_averages(&averages, std::slice::from_ref(&w));
    /// # let _ = optimizer;
    /// ```
    #[must_use]
    pub fn variable_averages(
        mut self,
        averages: &Arc<ExponentialMovingAverage>,
        variables: &[Variable],
    ) -> Self {
        self.averages = Some((Arc::clone(averages), variables.to_vec()));
        self
    }

    /// Returns the operations around the steps of a replica. They exist after the optimizer was applied.
    #[must_use]
    pub fn synchronization(&self) -> Synchronization {
        self.synchronization.clone()
    }
}

impl<T: Optimizer> Optimizer for SyncReplicasOptimizer<T> {
    fn settings(&self) -> &OptimizerSettings {
        &self.settings
    }

    fn settings_mut(&mut self) -> &mut OptimizerSettings {
        &mut self.settings
    }

    of_inner_optimizer!(steps self => self.optimizer);

    #[track_caller]
    fn compute_gradients(
        &self,
        loss: &dyn session_core::AsOutput,
        variables: &[Variable],
    ) -> Vec<GradientAndVariable> {
        self.optimizer.compute_gradients(loss, variables)
    }

    /// Returns the operation that a replica runs for each step. The operation that updates the variables, which the chief runs,
    /// joins the collection `train_op`, as in TensorFlow.
    #[track_caller]
    fn apply_gradients(
        &self,
        gradients: &[GradientAndVariable],
        global_step: Option<&Variable>,
    ) -> Operation {
        let location = Location::caller();
        let Some((first, _)) = with_gradient(gradients).next() else {
            return super::nothing_to_do(gradients, location);
        };
        let place = self.settings.place(&first.graph(), location);
        if let Err(error) = self.synchronization.check() {
            record(&place, error, location);
        }
        if place.is_function_body() {
            let text = "gradients of replicas cannot be collected in a branch, where GradientAccumulation and a dynamic \
                        LossScaleOptimizer apply them: pass the other optimizer to SyncReplicasOptimizer::new instead";
            // The caller is the other optimizer, which knows its own.
            let location = first.graph().location();
            record(&place, Error::value(text), location);
            return no_op(&place);
        }
        let Some(global_step) = global_step else {
            let text = "the global step is required, to recognize gradients of earlier steps: pass it to \
                        minimize or apply_gradients";
            record(&place, Error::value(text), location);
            return no_op(&place);
        };
        // Only what a replica runs waits for what the optimizer was asked to wait for: the rest is the chief's.
        let free = place.without_control_dependencies();
        let by_step = global_step.colocated(&free);

        // TensorFlow's order of operations follows, so that both languages build graphs whose names agree.
        let local_step = local_step(&free, global_step.dtype());
        let local_step_init_op = local_step.assign(global_step.read(&free));
        let ready_for_local_init_op = report_uninitialized(&free, &global_variables(&free));

        let scope = free.composite(self.settings.name());
        let mut applied = Vec::new();
        let mut accumulators = Vec::new();
        let mut means = Vec::new();
        for (gradient, variable) in &limited(&self.settings, &place, gradients, location) {
            let Some(gradient) = gradient else {
                means.push((None, variable.clone()));
                continue;
            };
            // The accumulator lives with its variable, on the parameter server; the replica's part waits
            // for what the replica waits for.
            let there = variable.colocated(&scope);
            let replica = variable.colocated(&place.scope(scope.scope_name()));
            let accumulator = Accumulator::new(&there, gradient, variable);
            let step = cast(local_step.read(&replica), DType::Int64);
            applied.push(accumulator.apply(&replica, &step));
            let required = constant(&there, number(self.synchronization.replicas_to_aggregate));
            means.push((Some(accumulator.take(required, variable)), variable.clone()));
            accumulators.push((accumulator, there));
        }
        let update_op = self.optimizer.apply_gradients(&means, Some(global_step));

        // Unbounded and shared by name: a token waits until a replica takes it, whichever process runs that.
        let queue = FifoQueue::new(&by_step.named("sync_token_q"), -1, global_step.dtype());
        let queue = queue.shapes([PartialShape::scalar()]).shared_name("sync_token_q");
        let token_queue = queue.colocate_with(global_step).build();
        // A replica takes its token only after its gradients are in, and the token is
        // the step to compute for next.
        let token = token_queue.within(&by_step.control_dependencies(&applied)).dequeue().output();
        let train_op = local_step.assign(token.within(&unnamed(&by_step)));

        let mut after_update = by_step.control_dependencies([&update_op]);
        if self.optimizer.skips_steps() {
            // An accumulator counts each mean that is taken. After a step that was skipped it would drop all gradients as late.
            let follow = |(accumulator, there): &(Accumulator, Graph)| {
                let there = there.control_dependencies([&update_op]);
                let step = cast(global_step.read(&there), DType::Int64);
                accumulator.set_global_step(&there.named("SetGlobalStep"), &step)
            };
            let followed: Vec<Operation> = accumulators.iter().map(follow).collect();
            after_update = by_step.control_dependencies(&followed);
        }
        let tokens = self.synchronization.tokens_per_step();
        let mut sync_op = enqueue_tokens(&token_queue, &after_update, global_step, tokens);
        if let Some((averages, variables)) = &self.averages {
            sync_op = averages.apply(&free.control_dependencies([&sync_op]), variables);
        }

        let mut chief_init_ops = vec![local_step_init_op.clone()];
        for (accumulator, there) in &accumulators {
            let step = cast(global_step.read(there), DType::Int64);
            chief_init_ops.push(accumulator.set_global_step(&there.named("SetGlobalStep"), &step));
        }
        let chief_init_op = group(&scope.named("group_deps"), &chief_init_ops);
        self.synchronization.set(Made {
            global_step: global_step.clone(),
            place: by_step,
            token_queue,
            sync_op,
            local_step_init_op,
            chief_init_op,
            ready_for_local_init_op,
        });
        train_op
    }

    fn skips_steps(&self) -> bool {
        self.optimizer.skips_steps()
    }

    fn slot(&self, variable: &Variable, name: &str) -> Option<Variable> {
        self.optimizer.slot(variable, name)
    }

    fn variables(&self) -> Vec<Variable> {
        self.optimizer.variables()
    }
}

impl Synchronization {
    fn check(&self) -> Result<()> {
        if self.replicas_to_aggregate == 0 || self.total_num_replicas == 0 {
            return Err(Error::value(format!(
                "synchronous training needs at least one replica: replicas_to_aggregate is {}, total_num_replicas is {}",
                self.replicas_to_aggregate, self.total_num_replicas
            )));
        }
        Ok(())
    }

    /// As many tokens as replicas, or as gradients if each replica has to deliver several.
    fn tokens_per_step(&self) -> usize {
        self.replicas_to_aggregate.max(self.total_num_replicas)
    }

    fn set(&self, made: Made) {
        *self.made.lock().unwrap_or_else(PoisonError::into_inner) = Some(made);
    }

    fn made(&self) -> Result<Made> {
        let made = self.made.lock().unwrap_or_else(PoisonError::into_inner).clone();
        made.ok_or_else(|| {
            let text =
                "the SyncReplicasOptimizer was not applied yet: call minimize or apply_gradients first";
            Error::value(text)
        })
    }

    /// Returns the operation with which the chief fills the token queue before the first step: `replicas_to_aggregate` tokens, or as
    /// many as given. TensorFlow's `get_init_tokens_op`. It is made at each call, before the graph is frozen.
    ///
    /// # Errors
    /// A value error before the optimizer was applied, and for fewer tokens than the first step needs:
    /// `replicas_to_aggregate - total_num_replicas`.
    #[track_caller]
    pub fn init_tokens_op(&self, num_tokens: Option<usize>) -> Result<Operation> {
        let made = self.made()?;
        let needed = self.replicas_to_aggregate.saturating_sub(self.total_num_replicas);
        let count = num_tokens.unwrap_or(self.replicas_to_aggregate);
        if count < needed {
            return Err(Error::value(format!(
                "Too few tokens to finish the first step: {count} (given) vs {needed} (needed)"
            )));
        }
        let place = made.place.located_at(Location::caller());
        if count == 0 {
            return Ok(no_op(&place.named("no_init_tokens")));
        }
        Ok(enqueue_tokens(&made.token_queue, &place, &made.global_step, count))
    }

    /// Returns the queue of tokens, each of which lets one replica take one step.
    ///
    /// # Errors
    /// A value error before the optimizer was applied.
    pub fn token_queue(&self) -> Result<Queue> {
        Ok(self.made()?.token_queue)
    }

    /// Returns the operation that applies the mean of the gradients and hands out the tokens for the next step. One thread of the
    /// chief runs it again and again.
    ///
    /// # Errors
    /// A value error before the optimizer was applied.
    pub fn sync_op(&self) -> Result<Operation> {
        Ok(self.made()?.sync_op)
    }

    /// Returns the operation with which a worker takes over the global step as its own.
    ///
    /// # Errors
    /// A value error before the optimizer was applied.
    pub fn local_step_init_op(&self) -> Result<Operation> {
        Ok(self.made()?.local_step_init_op)
    }

    /// Returns the operation with which the chief takes over the global step, for itself and for the accumulators.
    ///
    /// # Errors
    /// A value error before the optimizer was applied.
    pub fn chief_init_op(&self) -> Result<Operation> {
        Ok(self.made()?.chief_init_op)
    }

    /// Returns the names of the variables that have no value yet. Without any, the two operations above may run.
    ///
    /// # Errors
    /// A value error before the optimizer was applied.
    pub fn ready_for_local_init_op(&self) -> Result<Output> {
        Ok(self.made()?.ready_for_local_init_op)
    }
}

/// Returns the variable with the step for which a replica computes gradients. It stays with the replica, not on a parameter
/// server.
fn local_step(graph: &Graph, dtype: DType) -> Variable {
    // Colocated with an operation of the replica, because the default device may be the parameter server.
    let anchor = no_op(graph);
    let named = graph.named("sync_rep_local_step");
    let zero = crate::array::scalar_tensor(dtype, 0.0);
    VariableBuilder::new(&named).initial_value(zero).local().colocate_with_operation(&anchor).build()
}

/// Enqueues `count` tokens, each with the current global step.
fn enqueue_tokens(queue: &Queue, place: &Graph, global_step: &Variable, count: usize) -> Operation {
    let tokens = fill([count], global_step.read(place));
    queue.within(place).enqueue_many(&tokens)
}

fn number(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

/// The accumulator of a variable's gradients, and the gradient that this replica
/// adds to it, dense or as rows.
enum Accumulator {
    Dense(ConditionalAccumulator, Output),
    Rows(SparseConditionalAccumulator, IndexedSlices),
}

impl Accumulator {
    fn new(graph: &Graph, gradient: &Output, variable: &Variable) -> Accumulator {
        // TensorFlow's shared name, by which replicas in other processes find the same accumulator.
        let (dtype, name) = (gradient.dtype(), format!("{}:0/grad_accum", variable.name()));
        match IndexedSlices::of(gradient) {
            None => {
                let of = ConditionalAccumulator::next_to(variable, graph, dtype, variable.shape(), &name);
                Accumulator::Dense(of, gradient.clone())
            }
            Some(rows) => {
                let scalar = PartialShape::scalar(); // the shape that TensorFlow declares for rows
                let of = SparseConditionalAccumulator::next_to(variable, graph, dtype, &scalar, &name);
                Accumulator::Rows(of, rows)
            }
        }
    }

    fn apply(&self, graph: &Graph, step: &Output) -> Operation {
        match self {
            Accumulator::Dense(of, gradient) => of.within(graph).apply_grad(gradient, step),
            Accumulator::Rows(of, rows) => {
                let (indices, values) = in_order(graph, rows);
                of.within(graph).apply_grad(indices, values, step)
            }
        }
    }

    fn take(&self, required: Output, variable: &Variable) -> Output {
        match self {
            Accumulator::Dense(of, _) => of.take_grad(required),
            Accumulator::Rows(of, _) => {
                let [indices, values, _] = of.take_grad(required);
                // The form in which gradients of lookups are rows, which the inner optimizer takes back from it.
                let rows = variable.shape().dim(0).map_or(-1, |rows| rows as i64);
                unsorted_segment_sum(values, indices, rows)
            }
        }
    }

    fn set_global_step(&self, graph: &Graph, step: &Output) -> Operation {
        match self {
            Accumulator::Dense(of, _) => of.within(graph).set_global_step(step),
            Accumulator::Rows(of, _) => of.within(graph).set_global_step(step),
        }
    }
}

/// Returns the indices in ascending order, each once, and their rows. The sum of two such gradients has each index once, which the
/// accumulators of TensorFlow assume.
fn in_order(graph: &Graph, rows: &IndexedSlices) -> (Output, Output) {
    let indices = cast(rows.indices.within(graph), DType::Int64);
    // By `top_k` of the negated indices: there is no operation that sorts, and
    // TensorFlow's `tf.sort` does the same.
    let (_, order) = top_k(neg(&indices), size(&indices));
    summed(gather(&indices, &order), gather(rows.values.within(graph), order))
}
