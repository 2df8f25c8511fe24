//! The order in which the operations of a plan run.
//!
//! Data and control edges are mandatory. Beyond that, operations run in the order in which the graph was
//! built, which is deterministic and keeps values alive for a short time. If the graph does not order a read
//! and an update of a variable, the read comes first. It then sees the value from before the step (TensorFlow
//! leaves this to chance), and the update owns the value and writes in place.
//!
//! These preferences are *wishes*: they may contradict each other or the mandatory order, and are then
//! ignored. The search for reads that may come before an update is bounded, so that compile time stays linear
//! in the size of a large graph.
//!
//! # Example
//!
//! ```text
//! graph order        v = read w;  u = assign w;  x = v * 2;  z = read w  (after u)
//! hard edges         v ─► x,  u ─► z
//! wishes             v and x before u
//! order              v, x, u, z
//! ```
//!
//! `x` comes before `u` too: as long as `x` has not run, `v` shares the elements of `w`, and `u` would have
//! to copy them.
//!
//! # Wishes as items
//!
//! A wish "all of `before` ahead of all of `after`" would be |before| * |after| edges. It is an item of its
//! own instead, with soft edges from each of `before` and to each of `after`, which makes it |before| +
//! |after|.

use crate::ir::{Ir, Value};
use crate::registry::{Control, Role};
use crate::resources::Variable;
use rustc_hash::{FxHashMap, FxHashSet};
use session_core::{Code, Error, OutputInfo, Result};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use tensor::DType;

/// Nodes that should run before others if possible: all of `before` ahead of any of `after`. `after` may
/// contain nodes of other frames; the caller leaves those out.
#[derive(Debug, Default)]
pub(crate) struct Wish {
    /// The nodes that should run first: readers of a variable, and the nodes that use what was read.
    pub(crate) before: Vec<usize>,
    /// The nodes that should run later: updates of the variable.
    pub(crate) after: Vec<usize>,
}

/// The reads and updates of one variable.
#[derive(Default)]
struct Uses {
    /// The nodes that read the variable, in the order of the graph, each once.
    readers: Vec<usize>,
    /// The nodes that update it, or may: whatever takes its handle without being declared to read.
    writers: Vec<usize>,
}

/// Returns the wishes that reads precede updates. The nodes in `before` of one wish belong to the same frame.
///
/// A reader that waits for no update of anything can always come before all updates of its variable. One that
/// waits for some update may wait for an update of its own variable: a bounded search finds out, and beyond
/// the bound nothing is wished for.
///
/// `home` returns the frame in which a node runs. Only variables with readers and updates give wishes.
pub(crate) fn wishes(ir: &Ir, home: impl Fn(usize) -> usize) -> Vec<Wish> {
    let uses = uses(ir);
    if uses.iter().all(|uses| uses.readers.is_empty() || uses.writers.is_empty()) {
        return Vec::new();
    }
    let consumers = consumers(ir);
    let behind = behind(ir, &uses, &consumers);
    let edges: usize = consumers.iter().map(Vec::len).sum();
    let mut search = Search { consumers: &consumers, left: SEARCHED * (ir.nodes.len() + edges) };
    let mut wishes = Vec::new();
    for Uses { readers, writers } in uses {
        if readers.is_empty() || writers.is_empty() {
            continue;
        }
        let own: FxHashSet<usize> = writers.iter().copied().collect();
        // Sorted by frame, so that the order of wishes, and with it the plan, is the same in every process.
        let mut early: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        let mut late = Vec::new();
        for &reader in &readers {
            // The users of the value as well: until they have run, they share its elements.
            for node in std::iter::once(reader).chain(consumers[reader].iter().copied()) {
                if own.contains(&node) {
                    continue;
                }
                if behind[node] { late.push(node) } else { early.entry(home(node)).or_default().push(node) }
            }
        }
        wishes.extend(early.into_values().map(|before| Wish { before, after: writers.clone() }));
        // Nodes are in topological order, so a search need not look at nodes behind the last one that it asks
        // about.
        let Some(&last) = late.iter().max() else { continue };
        for writer in writers {
            // Writers are tried in graph order until the budget is used up; the remaining reads keep the
            // order of the graph.
            let Some(after) = search.reached(writer, last) else { break };
            let before = late.iter().filter(|node| !after.contains(node));
            wishes.extend(before.map(|&node| Wish { before: vec![node], after: vec![writer] }));
            search.left = search.left.saturating_sub(late.len());
        }
    }
    wishes
}

/// The number of search steps for each node and edge of a plan. It bounds the cost of compiling graphs in
/// which everything depends on updates; beyond it, reads are ordered by the graph alone.
const SEARCHED: usize = 64;

/// Returns the variables that constant handles name, each with its readers and its updates.
///
/// Variables are distinguished by the address of their resource: two handles of one name are one variable.
fn uses(ir: &Ir) -> Vec<Uses> {
    let mut places: FxHashMap<*const Variable, usize> = FxHashMap::default();
    let mut uses: Vec<Uses> = Vec::new();
    for (index, node) in ir.live() {
        for &value in &node.inputs {
            let Some(variable) = variable(ir, value) else { continue };
            let place = *places.entry(variable).or_insert_with(|| {
                uses.push(Uses::default());
                uses.len() - 1
            });
            let list = if node.reads { &mut uses[place].readers } else { &mut uses[place].writers };
            if list.last() != Some(&index) && !passes_reference(ir, index) {
                list.push(index);
            }
        }
    }
    uses
}

/// Returns the variable that a value refers to: a constant handle, or a reference that was forwarded. `None`
/// for handles that are computed in the step.
fn variable(ir: &Ir, mut value: Value) -> Option<*const Variable> {
    // As far as references are usually forwarded. Beyond that, the graph alone determines the order.
    for _ in 0..8 {
        match value {
            Value::Constant(index) => {
                return ir.constants[index as usize].as_handle::<Variable>().map(std::ptr::from_ref);
            }
            Value::Node(node, _) if node < ir.nodes.len() && passes_reference(ir, node) => {
                value = *ir.nodes[node].inputs.first()?;
            }
            _ => return None,
        }
    }
    None
}

/// Returns true if a node forwards its first input, which may be a reference, unchanged. A node that forwards
/// the handle of a resource counts as an update, because whatever uses the handle further on may update the
/// resource.
fn passes_reference(ir: &Ir, node: usize) -> bool {
    let node = &ir.nodes[node];
    let passes = node.op.is_some_and(|op| match op.role {
        Role::PassOn => true,
        Role::Control(control) => !matches!(control, Control::Merge | Control::NextIteration),
        _ => false,
    });
    let is_value = |info: &OutputInfo| info.dtype != DType::Resource;
    passes && !node.reads && node.operation().output_infos().first().is_some_and(is_value)
}

/// Returns for each node the nodes that wait for it, within the iteration; repeated if a node uses several of
/// its outputs.
fn consumers(ir: &Ir) -> Vec<Vec<usize>> {
    let mut consumers = vec![Vec::new(); ir.nodes.len()];
    for (index, _) in ir.live() {
        ir.befores(index).for_each(|before| consumers[before].push(index));
    }
    consumers
}

/// Returns for each node true if it depends on an update of any variable, directly or indirectly. One pass
/// for all variables.
fn behind(ir: &Ir, uses: &[Uses], consumers: &[Vec<usize>]) -> Vec<bool> {
    let mut behind = vec![false; ir.nodes.len()];
    let mut pending: Vec<usize> = uses.iter().flat_map(|uses| &uses.writers).copied().collect();
    while let Some(index) = pending.pop() {
        for &after in &consumers[index] {
            if !std::mem::replace(&mut behind[after], true) {
                pending.push(after);
            }
        }
    }
    behind
}

/// A search for the nodes that depend on others. The budget is shared by all searches of a plan.
struct Search<'a> {
    /// The nodes that wait for each node.
    consumers: &'a [Vec<usize>],
    /// The remaining number of nodes and edges to visit.
    left: usize,
}

impl Search<'_> {
    /// Returns the nodes, up to the last one given, that depend on a node. Returns `None` when the limit is
    /// reached.
    ///
    /// The result contains `from` itself. It is complete for nodes up to `last` only.
    fn reached(&mut self, from: usize, last: usize) -> Option<FxHashSet<usize>> {
        let mut seen = FxHashSet::default();
        let mut pending = vec![from];
        while let Some(index) = pending.pop() {
            self.left = self.left.checked_sub(1 + self.consumers[index].len())?;
            let further = self.consumers[index].iter().filter(|&&after| after <= last);
            pending.extend(further.filter(|&&after| seen.insert(after)));
        }
        seen.insert(from);
        Some(seen)
    }
}

/// The mandatory and the preferred order of the items of one frame. Items are nodes, inner loops and wishes,
/// with the numbers that `Frames` gives them.
#[derive(Default)]
pub(crate) struct Edges {
    /// Orders that must hold: inputs and control inputs.
    pub(crate) hard: Vec<(usize, usize)>,
    /// Orders that are preferred: into wishes and out of them. They give way to hard ones.
    pub(crate) soft: Vec<(usize, usize)>,
    /// The items that are wishes. They become steps that do nothing, or no steps at all.
    pub(crate) wishes: Vec<usize>,
}

/// Returns an order of these items, which are given in the order of the graph, that respects all hard edges
/// and as many soft ones as possible.
///
/// The result also contains wishes that were met, at the place where they were. Edges with an end that is not
/// among the items are ignored. Kahn's algorithm with three queues; the cost is that of the edges times the
/// logarithm of the items. Items that no wish moves and that are in order already stay as they are, which is
/// what the algorithm would return.
///
/// # Errors
/// `Unimplemented` if the hard edges contain a cycle.
pub(crate) fn order(items: &[usize], edges: &Edges) -> Result<Vec<usize>> {
    let all: Vec<usize> = items.iter().chain(&edges.wishes).copied().collect();
    // A map and no list by item: there are as many of these as frames, each with a few of the items of the graph.
    let places: FxHashMap<usize, usize> =
        all.iter().enumerate().map(|(place, &item)| (item, place)).collect();
    let pair = |&(before, after): &(usize, usize)| Some((*places.get(&before)?, *places.get(&after)?));
    if edges.wishes.is_empty() && edges.hard.iter().filter_map(pair).all(|(before, after)| before < after) {
        return Ok(all);
    }
    let mut nodes: Vec<Waits> = (0..all.len()).map(|_| Waits::default()).collect();
    for (before, after) in edges.hard.iter().filter_map(pair) {
        nodes[before].hard_after.push(after);
        nodes[after].hard += 1;
    }
    for (before, after) in edges.soft.iter().filter_map(pair) {
        nodes[before].soft_after.push(after);
        nodes[after].soft += 1;
    }
    let mut ready = Ready { count: items.len(), ..Ready::default() };
    for place in 0..items.len() {
        ready.look_at(place, &nodes);
    }
    let mut order = Vec::with_capacity(all.len());
    while let Some(place) = ready.pop(&nodes) {
        nodes[place].done = true;
        order.push(all[place]);
        for after in std::mem::take(&mut nodes[place].soft_after) {
            nodes[after].soft -= 1;
            ready.look_at(after, &nodes);
        }
        for after in std::mem::take(&mut nodes[place].hard_after) {
            nodes[after].hard -= 1;
            ready.look_at(after, &nodes);
        }
    }
    if nodes[..items.len()].iter().any(|node| !node.done) {
        return Err(Error::new(Code::Unimplemented, "the graph has a loop, which this engine cannot run"));
    }
    Ok(order)
}

/// An item with the edges that it still waits for.
#[derive(Default)]
struct Waits {
    /// The number of items that must run before and have not.
    hard: usize,
    /// The number of items that should run before and have not.
    soft: usize,
    /// The items that must run after this one.
    hard_after: Vec<usize>,
    /// The items that should run after this one.
    soft_after: Vec<usize>,
    /// True once the node has its place.
    done: bool,
}

/// The items that may be next, in three classes of decreasing urgency. An item may be in two of the heaps;
/// the second one is then skipped.
#[derive(Default)]
struct Ready {
    /// The number of items that are not wishes; places from this on are wishes.
    count: usize,
    /// The wishes that are met. They are next, because they only release others.
    met: Vec<usize>,
    /// The items that nothing holds, the first of the graph on top.
    free: BinaryHeap<Reverse<usize>>,
    /// The items that only wishes hold. The first one is chosen if nothing is free.
    wishing: BinaryHeap<Reverse<usize>>,
}

impl Ready {
    /// Adds an item to the candidates if nothing mandatory holds it.
    ///
    /// Called for each item at the beginning, and again whenever one of its edges is met.
    fn look_at(&mut self, place: usize, nodes: &[Waits]) {
        let node = &nodes[place];
        if node.done || node.hard > 0 {
            return;
        }
        match (node.soft, place < self.count) {
            (0, true) => self.free.push(Reverse(place)),
            (0, false) => self.met.push(place),
            (_, true) => self.wishing.push(Reverse(place)),
            // A wish is never forced: it either is met or stays out of the order.
            (_, false) => {}
        }
    }

    /// Returns the next item: a wish that is fulfilled; otherwise the first item, in the order of the graph,
    /// whose wishes are fulfilled; otherwise the first item that only wishes hold, since wishes may
    /// contradict each other.
    fn pop(&mut self, nodes: &[Waits]) -> Option<usize> {
        if let Some(place) = self.met.pop() {
            return Some(place);
        }
        for heap in [&mut self.free, &mut self.wishing] {
            while let Some(Reverse(place)) = heap.pop() {
                if !nodes[place].done {
                    return Some(place);
                }
            }
        }
        None
    }
}
