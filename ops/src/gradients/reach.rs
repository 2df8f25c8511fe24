//! The operations on a path between results and the tensors they are differentiated with respect to.

use super::passes_gradients;
use session_core::{Endpoint, Gradient, Graph, OpId, Operation, Output};
use std::collections::{BTreeSet, HashMap, HashSet};

/// The operations between.
pub(super) struct Reach {
    /// Operations that must be asked: they lead to a result and depend on one of `xs` through an input.
    between: BTreeSet<OpId>,
    /// Operations that are, or depend on, one of `xs`.
    reached: HashSet<OpId>,
}

impl Reach {
    pub(super) fn find(graph: &Graph, ys: &[Output], xs: &[Output], stops: &[Output]) -> Reach {
        let behind = behind(graph, ys, stops);
        let sources: HashSet<Endpoint> = xs.iter().map(Output::endpoint).collect();
        let mut reached: HashSet<OpId> = xs.iter().map(|x| x.operation().id()).collect();
        let mut between = BTreeSet::new();
        // Inputs come before what uses them, so one pass in order of ids sees causes before effects.
        let mut ids: Vec<OpId> = behind.keys().copied().collect();
        ids.sort_unstable();
        for id in ids {
            let depends =
                behind[&id].iter().any(|input| reached.contains(&input.op) || sources.contains(input));
            if depends {
                between.insert(id);
                reached.insert(id);
            }
        }
        Reach { between, reached }
    }

    /// Returns true if the gradient of this input is of use.
    pub(super) fn wants(&self, input: &Output) -> bool {
        passes_gradients(input.dtype()) && self.reached.contains(&input.operation().id())
    }

    /// Returns the operations to be asked, last made first: each after all that use it.
    pub(super) fn backwards(&self, graph: &Graph) -> Vec<Operation> {
        self.between.iter().rev().filter_map(|&id| graph.operation_by_id(id)).collect()
    }
}

/// Returns the operations that results are computed from, each with those of its inputs that pass gradients on.
fn behind(graph: &Graph, ys: &[Output], stops: &[Output]) -> HashMap<OpId, Vec<Endpoint>> {
    let stops: HashSet<OpId> = stops.iter().map(|stop| stop.operation().id()).collect();
    let mut found = HashMap::new();
    let mut open: Vec<OpId> = ys.iter().map(|y| y.operation().id()).collect();
    while let Some(id) = open.pop() {
        if found.contains_key(&id) {
            continue;
        }
        let inputs = graph.operation_by_id(id).map_or_else(Vec::new, |operation| {
            let constant = operation.def().is_some_and(|def| matches!(def.gradient_rule(), Gradient::Zero));
            if constant || stops.contains(&id) { Vec::new() } else { differentiable_inputs(&operation) }
        });
        open.extend(inputs.iter().map(|input| input.op));
        found.insert(id, inputs);
    }
    found
}

fn differentiable_inputs(operation: &Operation) -> Vec<Endpoint> {
    let inputs = operation.inputs();
    inputs.iter().filter(|input| passes_gradients(input.dtype())).map(Output::endpoint).collect()
}
