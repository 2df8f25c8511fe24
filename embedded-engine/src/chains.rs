//! Elementwise operations that are fused: activations, gates, losses, normalizations, and their gradients.
//! They then pass through memory once instead of once per operation.
//!
//! A chain has one last operation and any number before it. A result in the middle that other operations need
//! too becomes an output of the chain, provided that nothing can notice that it is available later than
//! before: all its users come after the end of the chain, and it is alive exactly when the end is.
//!
//! A chain is worth it because these operations are limited by memory bandwidth: each one alone reads and
//! writes whole tensors for a few instructions per element.
//!
//! # Which operations
//!
//! An operation is *eligible* if its registration names a function of single `f32` elements, all its tensors
//! are `float32`, and it is not known to be small. The members of a chain have one shape, as far as it is
//! known; inputs from outside may be broadcast. The search starts at the last eligible operation of the graph
//! and goes back over producers, nearest first.
//!
//! ```text
//! a ─► exp ─► mul ─► add ─► out        one chain of three, inputs a, b and c
//!              ▲      ▲
//!              b      c
//! ```
//!
//! # Why a result in the middle may become an output
//!
//! If `exp` above has another user `u`, then `u` must come after `add`: otherwise moving `exp` to the place
//! of the chain would put it after a node that needs it. And `exp` must run exactly if `add` does: otherwise
//! `u` would lose its value in a branch where `add` is dead, or would wait for another thread that only `add`
//! waits for. The second condition is what [`life`] computes.
//!
//! # Cost
//!
//! The search from one end visits at most `MAX_MEMBERS` members and their inputs. Sets of events have
//! numbers, so comparing two lives is comparing two numbers.

use crate::flow::Flow;
use crate::ir::{Ir, IrNode, Value, producer};
use crate::kernels::{Chain, MAX_INPUTS, Member, Source};
use crate::registry::Elementwise;
use rustc_hash::{FxHashMap, FxHashSet};
use session_core::PartialShape;
use tensor::DType;

/// The maximum number of operations in a chain. The search compares candidates with all members, so the
/// square of this bounds its cost.
const MAX_MEMBERS: usize = 32;
/// The minimum number of elements of a result for which a chain is worthwhile: the start of a chain costs
/// more than the passes that it saves for smaller ones.
const LEAST_ELEMENTS: usize = 512;

/// Joins elementwise operations into chains.
///
/// Runs after `fuse`, whose nodes are not eligible, and before `sweep`, which removes what is left without
/// users. A chain takes the place of its last member; the other members are marked as removed, and users of
/// their values are redirected to its outputs.
pub(crate) fn join(ir: &mut Ir) {
    let eligible: Vec<Option<Elementwise>> = ir.nodes.iter().map(function).collect();
    // A chain needs two operations.
    if eligible.iter().flatten().nth(1).is_none() {
        return;
    }
    let mut search = Search { users: users(ir), life: life(ir), eligible, taken: FxHashSet::default() };
    let mut renamed: FxHashMap<usize, Renamed> = FxHashMap::default();
    // From the end of the graph: the last operation of a chain is the one whose result is needed outside, and
    // everything before it can only be found by going back.
    for end in (0..ir.nodes.len()).rev() {
        let Some(members) = search.members(ir, end) else { continue };
        let Some((node, outputs)) = search.joined(ir, &members) else { continue };
        search.taken.extend(&members);
        for &member in members.iter().filter(|&&member| member != end) {
            ir.nodes[member].removed = true;
            let output = outputs.iter().position(|&output| output == member);
            renamed.insert(member, Renamed { node: end, output: output.map(|output| output as u32) });
        }
        ir.nodes[end] = node;
    }
    if !renamed.is_empty() {
        rename(ir, &renamed);
    }
}

/// The new location of a result whose operation became part of a chain.
struct Renamed {
    /// The node of the chain, which is the number of its last member.
    node: usize,
    /// The output of the chain; `None` if only the chain itself needs the value.
    output: Option<u32>,
}

/// Redirects users of members to their chains, in inputs, control edges, fetches and targets. One pass over
/// the graph for all chains.
fn rename(ir: &mut Ir, renamed: &FxHashMap<usize, Renamed>) {
    let value = |value: &mut Value| {
        if let Some(Renamed { node, output: Some(output) }) =
            producer(*value).and_then(|node| renamed.get(&node))
        {
            *value = Value::Node(*node, *output);
        }
    };
    let node = |index: &mut usize| *index = renamed.get(index).map_or(*index, |renamed| renamed.node);
    for (index, user) in ir.nodes.iter_mut().enumerate().filter(|(_, user)| !user.removed) {
        user.inputs.iter_mut().for_each(value);
        user.control.iter_mut().for_each(node);
        // A node that waited for a member of its own chain would now wait for itself.
        user.control.retain(|&before| before != index);
    }
    ir.fetches.iter_mut().for_each(value);
    ir.targets.iter_mut().for_each(node);
}

/// Returns the function of single elements that a node computes, or `None` if it may not be part of a chain:
/// it is fused already, it controls what runs, some tensor is not `float32`, it has too many inputs, or it is
/// small.
fn function(node: &IrNode) -> Option<Elementwise> {
    let is_one = !node.removed && node.outputs == 1 && node.flow.is_none();
    let operation = node.computed().filter(|_| is_one)?;
    let elementwise = node.op?.elementwise?;
    let floats = |output: &session_core::Output| output.dtype() == DType::Float32;
    let all_floats =
        operation.inputs().iter().all(floats) && operation.output_infos()[0].dtype == DType::Float32;
    if !all_floats || node.inputs.len() > MAX_INPUTS || is_small(shape(node)) {
        return None;
    }
    elementwise(operation)
}

/// Returns the static shape of a node's only output.
fn shape(node: &IrNode) -> &PartialShape {
    &node.operation().output_infos()[0].shape
}

/// Returns true if a result has fewer than [`LEAST_ELEMENTS`] elements for certain. An unknown shape counts
/// as large.
fn is_small(shape: &PartialShape) -> bool {
    shape.elements().is_some_and(|elements| elements < LEAST_ELEMENTS)
}

/// Returns true if two shapes have the same known rank and dimensions. Unknown dimensions in the same places
/// count as equal here; the kernel checks the real ones at run time.
fn is_alike(a: &PartialShape, b: &PartialShape) -> bool {
    a.rank().is_some() && a == b
}

/// Returns the users of each node's first output, and the nodes that wait for it. Fetches and targets come
/// last.
///
/// A fetch or target counts as the user `usize::MAX`, so it comes after the end of every chain, which then
/// has an output for it.
fn users(ir: &Ir) -> Vec<Vec<usize>> {
    let mut users = vec![Vec::new(); ir.nodes.len()];
    for (index, node) in ir.live() {
        let befores = node.producers().chain(node.control.iter().copied());
        befores.for_each(|before| users[before].push(index));
    }
    let fetched = ir.fetches.iter().filter_map(|value| producer(*value)).chain(ir.targets.iter().copied());
    fetched.for_each(|node| users[node].push(usize::MAX));
    users
}

/// Returns a number for each node that stands for the conditions under which it runs and waits: of two nodes
/// with the same number, neither runs without the other, and neither waits for another thread unless the
/// other does.
///
/// An event is the choice of a `Switch`, the arrival at a `Merge` or `Exit`, or the end of a wait. The life
/// of a node is the union of the events of everything that it depends on within the iteration.
fn life(ir: &Ir) -> Vec<u32> {
    let mut lives = Lives::default();
    let mut of_node: Vec<u32> = vec![0; ir.nodes.len()];
    for (index, node) in ir.nodes.iter().enumerate() {
        let mut life = 0;
        match node.flow {
            // Values that a loop passes to its next round enter here; those that enter the loop are alive in
            // each of its rounds.
            Some(Flow::Merge | Flow::Exit) => life = lives.event((index, 0)),
            Some(Flow::Enter { .. }) => {}
            _ => {
                // Nodes are in topological order, so the lives of all inputs are known; only a `Merge` has a
                // back edge.
                for value in &node.inputs {
                    let Value::Node(before, output) = *value else { continue };
                    let condition = match ir.nodes[before].flow {
                        Some(Flow::Switch) => Some(ir.nodes[before].inputs[1]),
                        _ => None,
                    };
                    let event = match condition.and_then(producer) {
                        // Switches of one condition live and die together.
                        Some(condition) => lives.event((condition, output + 1)),
                        None if condition.is_some() => lives.event((before, output + 1)),
                        None => of_node[before],
                    };
                    life = lives.both(life, event);
                }
                for &before in &node.control {
                    life = lives.both(life, of_node[before]);
                }
            }
        }
        // A function may wait inside. Its plan does not exist yet, so every call counts.
        if node.waits || node.callees.is_some() {
            let event = lives.event((index, 0));
            life = lives.both(life, event);
        }
        of_node[index] = life;
    }
    of_node
}

/// A choice or an arrival: the node of a condition with the output of the switch plus one, or any other node
/// with 0.
type Event = (usize, u32);

/// The number of events up to which sets are compared by their elements.
///
/// A set that grows beyond it is replaced by one new event. Nodes with the same large union still share its
/// number, because unions are remembered; others no longer compare as equal, which costs a chain at worst.
const MAX_EVENTS: usize = 64;

/// Sets of events, numbered; 0 is the empty one.
#[derive(Default)]
struct Lives {
    /// The distinct sets of events, each sorted. Set n has the number n + 1.
    sets: Vec<Vec<Event>>,
    /// The numbers of the sets, for finding equal ones.
    numbers: FxHashMap<Vec<Event>, u32>,
    /// The unions that were computed before, by the smaller and the larger number. Graphs have many nodes
    /// with few distinct sets.
    unions: FxHashMap<(u32, u32), u32>,
}

impl Lives {
    /// Returns the number of the set with one event.
    fn event(&mut self, event: Event) -> u32 {
        self.number(vec![event])
    }

    /// Returns the number of the union of two sets, in constant time if it was computed before.
    fn both(&mut self, a: u32, b: u32) -> u32 {
        if a == b || b == 0 {
            return a;
        }
        if a == 0 {
            return b;
        }
        let key = (a.min(b), a.max(b));
        if let Some(&known) = self.unions.get(&key) {
            return known;
        }
        let mut union = self.sets[a as usize - 1].clone();
        union.extend(&self.sets[b as usize - 1]);
        union.sort_unstable();
        union.dedup();
        if union.len() > MAX_EVENTS {
            // One event stands for all of them, or the sets of a long line of calls would grow with its
            // square.
            union = vec![(usize::MAX, self.sets.len() as u32)];
        }
        let number = self.number(union);
        self.unions.insert(key, number);
        number
    }

    /// Returns the number of a set, which is added if it is new.
    fn number(&mut self, set: Vec<Event>) -> u32 {
        if let Some(&known) = self.numbers.get(&set) {
            return known;
        }
        self.sets.push(set.clone());
        let number = self.sets.len() as u32;
        self.numbers.insert(set, number);
        number
    }
}

/// The search for chains in one graph.
struct Search {
    /// The nodes that use each node, as [`users`] returns them. They are those of the graph before any chain;
    /// a user that is itself part of a chain has moved only further back.
    users: Vec<Vec<usize>>,
    /// The life of each node. A member with users outside must have that of the chain's end, because a chain
    /// runs as a whole.
    life: Vec<u32>,
    /// The function of each node that may be a member; `None` for all others.
    eligible: Vec<Option<Elementwise>>,
    /// The members of chains that were found, their ends among them.
    taken: FxHashSet<usize>,
}

impl Search {
    /// Returns the operations that can run together with the one at the end, in ascending order; `None` if
    /// there are no others.
    fn members(&self, ir: &Ir, end: usize) -> Option<Vec<usize>> {
        self.eligible[end].filter(|_| !self.taken.contains(&end))?;
        let mut members = vec![end];
        let mut pending: Vec<usize> = ir.nodes[end].producers().collect();
        // Later ones first, so that all users of a node have been visited before it.
        while let Some(place) = (0..pending.len()).max_by_key(|&place| pending[place]) {
            let candidate = pending.swap_remove(place);
            if members.len() < MAX_MEMBERS
                && !members.contains(&candidate)
                && self.fits(ir, &members, candidate)
            {
                members.push(candidate);
                pending.extend(ir.nodes[candidate].producers());
            }
        }
        members.sort_unstable();
        (members.len() > 1).then_some(members)
    }

    /// Returns true if a candidate can join a chain: it is eligible and free, has the shape of the end, and
    /// can move to the end without anyone noticing.
    fn fits(&self, ir: &Ir, members: &[usize], candidate: usize) -> bool {
        // The members are not sorted before the search is over: the first one is the end.
        let end = members[0];
        if self.eligible[candidate].is_none()
            || self.taken.contains(&candidate)
            || !is_alike(shape(&ir.nodes[candidate]), shape(&ir.nodes[end]))
        {
            return false;
        }
        let mut others = self.users[candidate].iter().filter(|user| !members.contains(user)).peekable();
        let is_alone = others.peek().is_none();
        is_alone || self.life[candidate] == self.life[end] && others.all(|&user| user > end)
    }

    /// Returns the node of a chain, and the members that are its outputs, the end first. `None` if the chain
    /// exceeds the limits of the kernel that would run it, such as its number of inputs.
    ///
    /// Inputs that several members share become one input of the node, so each is loaded once.
    fn joined(&self, ir: &Ir, members: &[usize]) -> Option<(IrNode, Vec<usize>)> {
        let mut inputs: Vec<Value> = Vec::new();
        let mut kernels = Vec::with_capacity(members.len());
        let mut control: Vec<usize> = Vec::new();
        for &index in members {
            let node = &ir.nodes[index];
            let mut operands = Vec::with_capacity(node.inputs.len());
            for &value in &node.inputs {
                let member =
                    producer(value).and_then(|before| members.iter().position(|&member| member == before));
                operands.push(member.map_or_else(
                    || {
                        let known = inputs.iter().position(|&input| input == value);
                        Source::Input(known.unwrap_or_else(|| {
                            inputs.push(value);
                            inputs.len() - 1
                        }))
                    },
                    Source::Member,
                ));
            }
            // A control edge between members is met by the place of the chain: it runs after everything that
            // any member waits for.
            control.extend(node.control.iter().filter(|before| !members.contains(before)));
            kernels.push(Member {
                operation: node.operation().clone(),
                function: self.eligible[index]?,
                operands,
            });
        }
        let last = members.len() - 1;
        let is_needed = |&place: &usize| {
            place == last || self.users[members[place]].iter().any(|user| !members.contains(user))
        };
        // The end first: it is the node's output 0 already.
        let outputs: Vec<usize> = (0..members.len()).rev().filter(is_needed).collect();
        let operations = kernels.iter().map(|member| member.operation.clone()).collect();
        let chain = Chain::new(kernels, outputs.clone(), inputs.len())?;
        let node = IrNode::joined(operations, inputs.into(), control, outputs.len(), Some(Box::new(chain)));
        Some((node, outputs.into_iter().map(|place| members[place]).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_of_events_stay_small_and_keep_their_numbers() {
        let mut lives = Lives::default();
        let line = |lives: &mut Lives| {
            (0..10 * MAX_EVENTS).fold(0, |life, event| {
                let event = lives.event((event, 0));
                lives.both(life, event)
            })
        };
        let (first, second) = (line(&mut lives), line(&mut lives));
        assert_eq!(first, second);
        assert!(lives.sets.iter().all(|set| set.len() <= MAX_EVENTS));
        let other = lives.event((usize::MAX - 1, 0));
        assert_ne!(lives.both(first, other), first);
        assert_eq!(lives.both(first, 0), first);
    }
}
