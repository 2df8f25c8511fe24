//! The intermediate form of the compiler: the nodes of a step, and the values that they exchange.
//!
//! It is a graph without names. Each value is an output of a node, a feed, or a constant; each node has a
//! kernel, the functions that it calls, or nothing but an effect on the order. Passes mark nodes as removed
//! rather than moving others, so that node numbers stay valid.
//!
//! # Invariants
//!
//! - **Topological order.** Every input and control edge leads from a smaller node number to a larger one,
//!   except for the input of a `Merge` that comes from a `NextIteration`. Chains keep this by taking the
//!   place of their last member.
//! - **Numbers are stable.** A node is replaced in place or marked `removed`; live nodes never refer to
//!   removed ones.
//! - **Edges are complete.** Everything that must happen before a node is among its inputs and `control`. The
//!   order of nodes means nothing beyond that; `schedule.rs` chooses among the orders that the edges allow.
//! - **Deadness.** In a graph with [`Flow`] nodes a node runs if all its inputs are alive and all its control
//!   nodes have run. A pass must not merge nodes for which this may differ, and must not replace such a node
//!   by a constant.
//! - **Single ownership of kernels.** A kernel belongs to one node, and `emit` moves it into the plan.
//!
//! # Order of the passes
//!
//! `fuse` comes first, because the patterns that it looks for end in elementwise operations, which `chains`
//! would take; a fused product is no longer eligible for a chain. `sweep` comes last, because both leave
//! behind nodes that nothing needs.

use crate::flow::Flow;
use crate::kernel::Kernel;
use crate::kernels::facts;
use crate::registry::{Call, OpType, has_effect};
use session_core::{Operation, Output};
use smallvec::SmallVec;
use std::ops::{Index, IndexMut};
use tensor::Tensor;

/// The source of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Value {
    /// An output of a node: the number of the node and of the output.
    Node(usize, u32),
    /// A feed, by its position in the key of the plan.
    Feed(u32),
    /// A constant, by its position in [`Ir::constants`].
    Constant(u32),
}

/// The operations that a node stands for. Most have one, which needs no memory of its own.
pub(crate) type Operations = SmallVec<[Operation; 1]>;

/// The inputs of a node, which most often are few.
pub(crate) type InputValues = SmallVec<[Value; 2]>;

/// One operation of a plan in the making, or several that were fused, or one that the compiler has added.
pub(crate) struct IrNode {
    /// The operations it stands for, in the order in which they would run; the first names it in messages.
    /// Nodes that the compiler adds have the operation on whose behalf they exist, which they need not
    /// compute; see [`computed`](Self::computed). Never empty for a node that may fail.
    pub(crate) operations: Operations,
    /// The facts of [`operation`](Self::operation), which passes ask for often; `None` if the engine does not
    /// know its op type.
    pub(crate) op: Option<&'static OpType>,
    /// The values that the kernel takes, lists flattened, in the order of the op's signature.
    pub(crate) inputs: InputValues,
    /// Nodes that must have run before, in addition to those of the inputs. May contain duplicates.
    pub(crate) control: Vec<usize>,
    /// The number of outputs; a chain has one for each member whose result is needed outside.
    pub(crate) outputs: usize,
    /// The kernel. Absent for operations that only order others, for calls, and for operations whose kernel
    /// is missing, with which the compilation fails in the end.
    pub(crate) kernel: Option<Box<dyn Kernel>>,
    /// The functions that it runs or that its kernel keeps; `None` for all other nodes.
    pub(crate) callees: Option<Callees>,
    /// True if it must run although nothing needs its outputs.
    pub(crate) has_effect: bool,
    /// The effect on control flow; `None` for plain operations.
    pub(crate) flow: Option<Flow>,
    /// True if it only reads the variables of its handles.
    ///
    /// Used by the schedule, and for the purity of functions.
    pub(crate) reads: bool,
    /// True if the compiler added it on behalf of an operation, such as a read of a reference. Its inputs and
    /// outputs are its own, not those of the operation.
    pub(crate) is_added: bool,
    /// True if it may have to wait for another thread.
    ///
    /// This is about the operation itself; whether a called function waits is known once its plan exists.
    pub(crate) waits: bool,
    /// True if a pass has removed the node. It stays in the list so that numbers stay valid.
    pub(crate) removed: bool,
}

/// The functions that an operation runs, or that its kernel keeps.
#[derive(Clone)]
pub(crate) struct Callees {
    /// The way in which the executor runs the functions; `None` if the kernel keeps them and calls them
    /// itself.
    pub(crate) call: Option<Call>,
    /// The names of the functions, in the order of the attributes that name them: condition and body, or the
    /// branches. A name may repeat.
    pub(crate) functions: Vec<String>,
}

impl IrNode {
    /// Returns the node of an operation of the graph, with the facts that its definition and its registration
    /// state.
    pub(crate) fn of(
        operation: &Operation,
        op: Option<&'static OpType>,
        inputs: InputValues,
        control: Vec<usize>,
        kernel: Option<Box<dyn Kernel>>,
    ) -> IrNode {
        let outputs = operation.num_outputs();
        IrNode {
            flow: Flow::of(operation, op),
            has_effect: has_effect(operation),
            reads: op.is_some_and(|op| op.reads),
            waits: op.is_some_and(|op| op.waits),
            ..IrNode::known(Operations::from_elem(operation.clone(), 1), op, inputs, control, outputs, kernel)
        }
    }

    /// Returns a node without effect that the compiler adds on behalf of an operation, without computing that
    /// operation.
    pub(crate) fn added(
        operations: Operations,
        inputs: InputValues,
        control: Vec<usize>,
        outputs: usize,
        kernel: Option<Box<dyn Kernel>>,
    ) -> IrNode {
        IrNode { is_added: true, ..IrNode::joined(operations, inputs, control, outputs, kernel) }
    }

    /// Returns a node without effect that computes several operations, or one.
    pub(crate) fn joined(
        operations: Operations,
        inputs: InputValues,
        control: Vec<usize>,
        outputs: usize,
        kernel: Option<Box<dyn Kernel>>,
    ) -> IrNode {
        let op = operations.first().and_then(facts);
        IrNode::known(operations, op, inputs, control, outputs, kernel)
    }

    /// Works as [`joined`](Self::joined), with the facts of the first operation.
    fn known(
        operations: Operations,
        op: Option<&'static OpType>,
        inputs: InputValues,
        control: Vec<usize>,
        outputs: usize,
        kernel: Option<Box<dyn Kernel>>,
    ) -> IrNode {
        let (has_effect, reads, is_added, waits, removed) = (false, false, false, false, false);
        let (callees, flow) = (None, None);
        IrNode {
            operations,
            op,
            inputs,
            control,
            outputs,
            kernel,
            callees,
            has_effect,
            flow,
            reads,
            is_added,
            waits,
            removed,
        }
    }

    /// Returns the operation that errors of the node name: the first one of a fused node. Panics for a node
    /// without operations.
    pub(crate) fn operation(&self) -> &Operation {
        &self.operations[0]
    }

    /// Returns the operation that the node computes: its inputs and outputs are those of the operation. `None`
    /// for fused nodes and for nodes that the compiler added.
    ///
    /// Passes that look for op types must ask this and not [`operation`](Self::operation).
    pub(crate) fn computed(&self) -> Option<&Operation> {
        match self.operations.as_slice() {
            [operation] if !self.is_added => Some(operation),
            _ => None,
        }
    }

    /// Returns the facts of [`computed`](Self::computed).
    pub(crate) fn computed_op(&self) -> Option<&'static OpType> {
        self.op.filter(|_| self.computed().is_some())
    }

    /// Returns the nodes whose outputs it takes, repeated if it takes several.
    pub(crate) fn producers(&self) -> impl Iterator<Item = usize> {
        self.inputs.iter().filter_map(|&value| producer(value))
    }
}

/// A plan in the making: the form that the passes change.
pub(crate) struct Ir {
    /// The nodes in an order in which inputs come before their users, except for loop-carried values.
    pub(crate) nodes: Vec<IrNode>,
    /// The values of constants, those of the graph and folded ones. Constants that nothing needs any more
    /// stay here and get no slot.
    pub(crate) constants: Vec<Tensor>,
    /// The fetched values, in the order of the key.
    pub(crate) fetches: Vec<Value>,
    /// The positions of the fetches that are references, which are read when the step is over, with their
    /// operations for messages.
    pub(crate) late: Vec<(usize, Operation)>,
    /// The nodes to run for their side effects. A target that was forwarded or folded has no node and is not
    /// listed.
    pub(crate) targets: Vec<usize>,
    /// The fed outputs, in the order of the key, for checking values that are given by position.
    pub(crate) fed: Vec<Output>,
    /// The bytes of constants that were computed; those that the graph contains do not count.
    pub(crate) folded: usize,
    /// The fetched values of operations that need no step, so that a trace shows them as well.
    pub(crate) known: Vec<(Operation, Tensor)>,
}

impl Ir {
    /// Returns the nodes that are not removed, with their numbers, in the order of the graph.
    pub(crate) fn live(&self) -> impl Iterator<Item = (usize, &IrNode)> {
        self.nodes.iter().enumerate().filter(|(_, node)| !node.removed)
    }

    /// Returns true if a node decides what runs. Only then do steps need guards and flags.
    pub(crate) fn has_flow(&self) -> bool {
        self.live().any(|(_, node)| node.flow.is_some())
    }

    /// Returns the number of uses of each value by live nodes and fetches. A value that a node takes twice
    /// has two uses.
    pub(crate) fn uses(&self) -> Numbers {
        let mut uses = Numbers::new(self, 0);
        for &value in self.live().flat_map(|(_, node)| &node.inputs).chain(&self.fetches) {
            uses[value] += 1;
        }
        uses
    }

    /// Marks the nodes as removed that nothing needs. Needed are targets, producers of fetches, nodes with
    /// effects, and whatever those wait for.
    ///
    /// An operation with an effect is in the graph of a plan only if a fetch, target or control edge leads to
    /// it, so this is not a list of all effects of the graph.
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

    /// Returns the nodes that a node waits for within the same iteration: its producers and control nodes,
    /// without the back edge of a loop.
    pub(crate) fn befores(&self, index: usize) -> impl Iterator<Item = usize> {
        let node = &self.nodes[index];
        let is_merge = node.flow == Some(Flow::Merge);
        let inputs = node.producers().filter(move |&before| !(is_merge && self.hands_on(before)));
        inputs.chain(node.control.iter().copied())
    }

    /// Returns true if a node is a `NextIteration`, whose output is the one edge of a loop that leads
    /// backwards.
    pub(crate) fn hands_on(&self, index: usize) -> bool {
        self.nodes[index].flow == Some(Flow::NextIteration)
    }
}

/// A number for each value of a graph: of its uses, or of its slot. A list rather than a map: a large graph has
/// an entry for most values, and they are asked for in the order of the nodes.
///
/// Valid until a node gets another number of outputs.
pub(crate) struct Numbers {
    /// For each node, the place of its first output; then the place after the outputs of all nodes.
    firsts: Vec<u32>,
    /// The number of feeds, whose places are behind those of all outputs and before those of constants.
    feeds: u32,
    /// The numbers by place.
    numbers: Vec<u32>,
}

impl Numbers {
    /// Returns the same number for all values.
    pub(crate) fn new(ir: &Ir, number: u32) -> Numbers {
        let mut firsts = Vec::with_capacity(ir.nodes.len() + 1);
        let mut next = 0;
        for node in &ir.nodes {
            firsts.push(next);
            next += node.outputs as u32;
        }
        firsts.push(next);
        let feeds = ir.fed.len() as u32;
        let count = next as usize + ir.fed.len() + ir.constants.len();
        Numbers { firsts, feeds, numbers: vec![number; count] }
    }

    /// Returns the place of a value. Panics for an output that the node does not have.
    fn place(&self, value: Value) -> usize {
        let outputs = self.firsts[self.firsts.len() - 1];
        let place = match value {
            Value::Node(node, output) => {
                let place = self.firsts[node] + output;
                assert!(place < self.firsts[node + 1], "a node has an output for each of its values");
                place
            }
            Value::Feed(feed) => outputs + feed,
            Value::Constant(constant) => outputs + self.feeds + constant,
        };
        place as usize
    }
}

impl Index<Value> for Numbers {
    type Output = u32;

    fn index(&self, value: Value) -> &u32 {
        &self.numbers[self.place(value)]
    }
}

impl IndexMut<Value> for Numbers {
    fn index_mut(&mut self, value: Value) -> &mut u32 {
        let place = self.place(value);
        &mut self.numbers[place]
    }
}

/// Returns the node that computes a value; `None` for feeds and constants, which exist before anything runs.
pub(crate) fn producer(value: Value) -> Option<usize> {
    if let Value::Node(index, _) = value { Some(index) } else { None }
}
