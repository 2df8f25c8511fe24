//! The intermediate form of the compiler: the nodes of a step, and the values that they exchange.
//!
//! It is a graph without names. Each value is an output of a node, a feed, or a constant; each node has a kernel, the functions that it
//! calls, or nothing but an effect on the order. Passes mark nodes as removed rather than moving others, so that node numbers stay valid.

use crate::flow::Flow;
use crate::kernel::Kernel;
use crate::kernels::facts;
use crate::registry::{Call, has_effect};
use rustc_hash::FxHashMap;
use session_core::{Operation, Output};
use tensor::Tensor;

/// The source of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Value {
    /// An output of a node.
    Node(usize, u32),
    /// A feed.
    Feed(u32),
    /// A constant.
    Constant(u32),
}

/// One operation of a plan in the making.
pub(crate) struct IrNode {
    /// The operations it stands for, several once fused; the first names it in messages.
    pub(crate) operations: Vec<Operation>,
    /// The values that the kernel takes.
    pub(crate) inputs: Vec<Value>,
    /// Nodes that must have run before, in addition to those of the inputs.
    pub(crate) control: Vec<usize>,
    /// The number of outputs.
    pub(crate) outputs: usize,
    /// Absent for operations that do nothing but order others, and for calls.
    pub(crate) kernel: Option<Box<dyn Kernel>>,
    /// The functions that it runs.
    pub(crate) callees: Option<Callees>,
    /// True if it must run although nothing needs its outputs.
    pub(crate) has_effect: bool,
    /// The effect on control flow.
    pub(crate) flow: Option<Flow>,
    /// True if it only reads the variables of its handles.
    pub(crate) reads: bool,
    /// True if it may have to wait for another thread.
    pub(crate) waits: bool,
    /// True if a pass has removed the node. It stays in the list so that numbers stay valid.
    pub(crate) removed: bool,
}

/// The functions that an operation runs, or that its kernel keeps.
#[derive(Clone)]
pub(crate) struct Callees {
    /// The calls of the operation's functions. `None` if the kernel makes them.
    pub(crate) call: Option<Call>,
    /// The functions that the node calls or holds, by name.
    pub(crate) functions: Vec<String>,
}

impl IrNode {
    /// Returns the node of an operation of the graph.
    pub(crate) fn of(
        operation: &Operation,
        inputs: Vec<Value>,
        control: Vec<usize>,
        kernel: Option<Box<dyn Kernel>>,
    ) -> IrNode {
        let op = facts(operation);
        IrNode {
            flow: Flow::of(operation),
            has_effect: has_effect(operation),
            reads: op.is_some_and(|op| op.reads),
            waits: op.is_some_and(|op| op.waits),
            ..IrNode::joined(vec![operation.clone()], inputs, control, operation.num_outputs(), kernel)
        }
    }

    /// Returns a node without effect that represents several operations, or none.
    pub(crate) fn joined(
        operations: Vec<Operation>,
        inputs: Vec<Value>,
        control: Vec<usize>,
        outputs: usize,
        kernel: Option<Box<dyn Kernel>>,
    ) -> IrNode {
        let (has_effect, reads, waits, removed) = (false, false, false, false);
        let (callees, flow) = (None, None);
        IrNode {
            operations,
            inputs,
            control,
            outputs,
            kernel,
            callees,
            has_effect,
            flow,
            reads,
            waits,
            removed,
        }
    }

    /// Returns the operation that errors of the node name: the last one of a fused node.
    pub(crate) fn operation(&self) -> &Operation {
        &self.operations[0]
    }

    /// Returns the nodes whose outputs it takes.
    pub(crate) fn producers(&self) -> impl Iterator<Item = usize> {
        self.inputs.iter().filter_map(|&value| producer(value))
    }
}

/// A plan in the making.
pub(crate) struct Ir {
    /// The nodes in an order in which inputs come before their users, except for loop-carried values.
    pub(crate) nodes: Vec<IrNode>,
    /// The values of constants.
    pub(crate) constants: Vec<Tensor>,
    /// The fetched values.
    pub(crate) fetches: Vec<Value>,
    /// The fetches that are references, which are read when the step is over, with their operations.
    pub(crate) late: Vec<(usize, Operation)>,
    /// The nodes to run for their side effects.
    pub(crate) targets: Vec<usize>,
    /// The fed outputs.
    pub(crate) fed: Vec<Output>,
    /// The bytes of constants that were computed.
    pub(crate) folded: usize,
    /// The fetched values of operations that need no step.
    pub(crate) known: Vec<(Operation, Tensor)>,
}

impl Ir {
    /// Returns the nodes that are left, with their numbers.
    pub(crate) fn live(&self) -> impl Iterator<Item = (usize, &IrNode)> {
        self.nodes.iter().enumerate().filter(|(_, node)| !node.removed)
    }

    /// Returns true if something in it decides what runs.
    pub(crate) fn has_flow(&self) -> bool {
        self.live().any(|(_, node)| node.flow.is_some())
    }

    /// Returns the number of uses of each value, including fetches.
    pub(crate) fn uses(&self) -> FxHashMap<Value, usize> {
        let mut uses = FxHashMap::default();
        for value in self.live().flat_map(|(_, node)| &node.inputs).chain(&self.fetches) {
            *uses.entry(*value).or_insert(0) += 1;
        }
        uses
    }

    /// Removes nodes that nothing needs and that have no effect.
    pub(crate) fn sweep(&mut self) {
        let mut needed = vec![false; self.nodes.len()];
        let mut pending: Vec<usize> = self.targets.clone();
        pending.extend(self.fetches.iter().filter_map(|value| producer(*value)));
        pending.extend(self.live().filter(|(_, node)| node.has_effect).map(|(index, _)| index));
        while let Some(index) = pending.pop() {
            if !std::mem::replace(&mut needed[index], true) {
                let node = &self.nodes[index];
                pending.extend(node.producers());
                pending.extend(&node.control);
            }
        }
        for (node, needed) in self.nodes.iter_mut().zip(needed) {
            node.removed |= !needed;
        }
    }

    /// Returns the nodes that a node waits for, in its own round where it begins one.
    pub(crate) fn befores(&self, index: usize) -> impl Iterator<Item = usize> {
        let node = &self.nodes[index];
        let is_merge = node.flow == Some(Flow::Merge);
        let inputs = node.producers().filter(move |&before| !(is_merge && self.hands_on(before)));
        inputs.chain(node.control.iter().copied())
    }

    /// Returns true if a node closes a loop: the one edge that leads backwards comes out of it.
    pub(crate) fn hands_on(&self, index: usize) -> bool {
        self.nodes[index].flow == Some(Flow::NextIteration)
    }
}

/// Returns the node that a value comes from.
pub(crate) fn producer(value: Value) -> Option<usize> {
    if let Value::Node(index, _) = value { Some(index) } else { None }
}
