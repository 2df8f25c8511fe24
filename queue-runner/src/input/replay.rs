//! Pipelines that run again from their beginning after a restore.

use crate::QUEUE_RUNNERS;
use session_core::{AttrValue, Operation};
use std::collections::{BTreeSet, HashSet};

/// The attribute of a dequeue whose elements are counted. It lists the operations of its pipeline that keep no
/// state in checkpoints. Engines that do not know it ignore it.
pub(super) const ATTRIBUTE: &str = "_replayed";

/// The attribute of a shuffling queue whose order does not depend on when elements come.
const REPLAYABLE: &str = "_replayable";

/// The operations that fill a queue, through all queues before it.
pub(super) struct Pipeline {
    /// The names of its operations that have state.
    pub(super) stateful: BTreeSet<String>,
    /// The reasons why the pipeline does not reproduce its elements.
    pub(super) problems: Vec<String>,
}

impl Pipeline {
    /// Returns the pipeline whose last operations these are.
    pub(super) fn of(enqueues: &[Operation]) -> Pipeline {
        let mut pipeline = Pipeline { stateful: BTreeSet::new(), problems: Vec::new() };
        let Some(graph) = enqueues.first().map(Operation::graph) else { return pipeline };
        let (all, runners) = (graph.operations(), graph.collection(&QUEUE_RUNNERS));
        let mut seen = HashSet::new();
        // Backwards through all queues: the order of the elements depends on everything that they passed.
        let mut pending: Vec<Operation> = enqueues.to_vec();
        while let Some(operation) = pending.pop() {
            if operation.error().is_some() || !seen.insert(operation.id()) {
                continue;
            }
            pipeline.look_at(&operation);
            pending.extend(operation.inputs().iter().map(|input| input.operation().clone()));
            pending.extend(operation.control_inputs());
            if is_queue(&operation) {
                let fills = |other: &&Operation| {
                    // Operations that fill a queue are not among its inputs, so they are searched for.
                    is_enqueue(other)
                        && other.inputs().first().is_some_and(|queue| *queue.operation() == operation)
                };
                pending.extend(all.iter().filter(fills).cloned());
                let threads = runners.iter().filter(|runner| runner.queue() == operation.name());
                let threads: usize = threads.map(|runner| runner.enqueue_ops().len()).sum();
                if threads > 1 {
                    let text =
                        format!("exact_resume: {threads} threads fill '{}', in no order", operation.name());
                    pipeline.problems.push(text);
                }
            }
        }
        pipeline
    }

    fn look_at(&mut self, operation: &Operation) {
        // An unknown op type may have state, and restarts with the others to be safe.
        if operation.def().is_none_or(|def| def.is_stateful()) {
            self.stateful.insert(operation.name().to_owned());
        }
        let replayable = operation.attr(REPLAYABLE).and_then(AttrValue::as_bool) == Some(true);
        if operation.op_type().starts_with("RandomShuffleQueue") && !replayable {
            let text = format!("exact_resume: the shuffling queue '{}' is not replayable", operation.name());
            self.problems.push(text);
        }
        let seed = |name: &str| operation.attr(name).and_then(AttrValue::as_int);
        // Both seeds 0 mean that each session draws other numbers.
        if let (Some(0), Some(0)) = (seed("seed"), seed("seed2"))
            && operation.attr("shuffle").and_then(AttrValue::as_bool) != Some(false)
        {
            let text = "exact_resume needs a seed (of the graph, or of each operation) for";
            self.problems.push(format!("{text} '{}'", operation.name()));
        }
    }
}

fn is_queue(operation: &Operation) -> bool {
    operation.op_type().ends_with("QueueV2") || operation.op_type().ends_with("Queue")
}

fn is_enqueue(operation: &Operation) -> bool {
    operation.op_type().starts_with("QueueEnqueue")
}
