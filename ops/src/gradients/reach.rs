//! The operations on a path between results and the tensors they are differentiated with respect to.

use super::{overriding, passes_gradients};
use session_core::{Code, Endpoint, Error, Gradient, Graph, OpId, Operation, Output, Result};
use std::collections::{BTreeSet, HashMap, HashSet};

/// The part of a graph through which gradients flow: operations that a result is computed from
/// and that depend on one of `xs`.
pub(super) struct Reach {
    /// Operations that must be asked: they lead to a result and depend on one of `xs` through an input. Each comes after
    /// those that it depends on.
    between: Vec<OpId>,
    /// Operations that are, or depend on, one of `xs`.
    reached: HashSet<OpId>,
    /// An operation that a result is computed from and that takes its value from a stack, where it is not seen what was put there.
    popped: Option<OpId>,
}

impl Reach {
    /// Finds the operations between `ys` and `xs`. Outputs of operations in `stops` count as
    /// constants, so nothing behind them is found unless another path leads there. Costs a few visits
    /// of each operation behind `ys`.
    pub(super) fn find(graph: &Graph, ys: &[Output], xs: &[Output], stops: &[Output]) -> Reach {
        let behind = behind(graph, ys, stops);
        let sources: HashSet<Endpoint> = xs.iter().map(Output::endpoint).collect();
        let mut reached: HashSet<OpId> = xs.iter().map(|x| x.operation().id()).collect();
        let order = inputs_first(&behind);
        let mut found: HashSet<OpId> = HashSet::new();
        // Once is enough, but where loops of TensorFlow 1 go round.
        loop {
            // The order has inputs first, so without cycles the first round finds
            // everything and the second confirms it.
            let before = found.len();
            for id in &order {
                let mut inputs = behind[id].iter();
                if inputs.any(|input| reached.contains(&input.op) || sources.contains(input)) {
                    found.insert(*id);
                    reached.insert(*id);
                }
            }
            if found.len() == before {
                break;
            }
        }
        let pops = |id: &&OpId| {
            let operation = graph.operation_by_id(**id);
            operation.is_some_and(|operation| matches!(operation.op_type(), "StackPop" | "StackPopV2"))
        };
        let popped = behind.keys().filter(pops).min().copied();
        let between = order.into_iter().filter(|id| found.contains(id)).collect();
        Reach { between, reached, popped }
    }

    /// Fails if a result is computed from a value on a stack: the gradient would silently lack what the
    /// values on the stack depend on.
    pub(super) fn check(&self, graph: &Graph) -> Result<()> {
        let Some(pop) = self.popped.and_then(|id| graph.operation_by_id(id)) else { return Ok(()) };
        let text = "no gradient goes through the gradients that TensorFlow 1 built of a loop: they take values from stacks, and it is not \
                    seen which values were put there; differentiate gradients that this library built";
        Err(pop.place(Error::new(Code::Unimplemented, text)))
    }

    /// The operations between, by their ids.
    pub(super) fn operations(self) -> Vec<OpId> {
        self.between
    }

    /// Returns, for each of `xs`, true if a result depends on it.
    pub(super) fn depends(graph: &Graph, ys: &[Output], xs: &[Output]) -> Vec<bool> {
        let behind = behind(graph, ys, &[]);
        xs.iter().map(|x| behind.contains_key(&x.operation().id())).collect()
    }

    /// Returns true if the gradient of this input is needed.
    pub(super) fn wants(&self, input: &Output) -> bool {
        passes_gradients(input.dtype()) && self.reached.contains(&input.operation().id())
    }

    /// Returns the operations to be asked in reverse order: each after all operations that use it.
    pub(super) fn backwards(&self, graph: &Graph) -> Vec<Operation> {
        self.between.iter().rev().filter_map(|&id| graph.operation_by_id(id)).collect()
    }
}

/// The operations in the order in which they were made, but each after its inputs: an operation that was rewritten may have
/// inputs that were made later.
fn inputs_first(behind: &HashMap<OpId, Vec<Endpoint>>) -> Vec<OpId> {
    // Kahn's algorithm with an ordered set: of the operations that are ready, the oldest comes first, so the
    // order is the same in each run.
    let mut waits: HashMap<OpId, usize> = HashMap::new();
    let mut users: HashMap<OpId, Vec<OpId>> = HashMap::new();
    for (&id, inputs) in behind {
        for input in inputs {
            *waits.entry(id).or_default() += 1;
            users.entry(input.op).or_default().push(id);
        }
    }
    let mut ready: BTreeSet<OpId> = behind.keys().copied().filter(|id| !waits.contains_key(id)).collect();
    let mut order = Vec::with_capacity(behind.len());
    while let Some(id) = ready.pop_first() {
        order.push(id);
        for user in users.remove(&id).unwrap_or_default() {
            let left = waits.entry(user).or_insert(1);
            *left -= 1;
            if *left == 0 {
                ready.insert(user);
            }
        }
    }
    // The remaining operations are in loops of TensorFlow 1, which are made functional before anything is differentiated.
    let done: HashSet<OpId> = order.iter().copied().collect();
    let mut left: Vec<OpId> = behind.keys().copied().filter(|id| !done.contains(id)).collect();
    left.sort_unstable();
    order.extend(left);
    order
}

/// The operations that results are computed from, each with those of its inputs that pass gradients on.
fn behind(graph: &Graph, ys: &[Output], stops: &[Output]) -> HashMap<OpId, Vec<Endpoint>> {
    let stops: HashSet<OpId> = stops.iter().map(|stop| stop.operation().id()).collect();
    let mut found = HashMap::new();
    let mut open: Vec<OpId> = ys.iter().map(|y| y.operation().id()).collect();
    while let Some(id) = open.pop() {
        if found.contains_key(&id) {
            continue;
        }
        let inputs = graph.operation_by_id(id).map_or_else(Vec::new, |operation| {
            let constant = matches!(overriding::rule(&operation), Ok(Gradient::Zero));
            if constant || stops.contains(&id) { Vec::new() } else { differentiable_inputs(&operation) }
        });
        open.extend(inputs.iter().map(|input| input.op));
        found.insert(id, inputs);
    }
    found
}

/// Returns the inputs that may carry gradients; indices, shapes and strings are constants for this purpose.
fn differentiable_inputs(operation: &Operation) -> Vec<Endpoint> {
    let inputs = operation.inputs();
    inputs.iter().filter(|input| passes_gradients(input.dtype())).map(Output::endpoint).collect()
}
