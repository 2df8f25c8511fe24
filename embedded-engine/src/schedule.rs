//! The order in which the operations of a plan run.
//!
//! Data and control edges are mandatory. Beyond that, operations run in the order in which the graph was built, which is deterministic and keeps
//! values alive for a short time. If the graph does not order a read and an update of a variable, the read comes first. It then sees the value
//! from before the step (TensorFlow leaves this to chance), and the update owns the value and writes in place.
//!
//! These preferences are *wishes*: they may contradict each other or the mandatory order, and are then ignored. The search for reads that may
//! come before an update is bounded, so that compile time stays linear in the size of a large graph.

use crate::ir::{Ir, Value};
use crate::kernels::facts;
use crate::registry::{Control, Role};
use crate::resources::Variable;
use rustc_hash::{FxHashMap, FxHashSet};
use session_core::{Code, Error, Result};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use tensor::DType;

/// Nodes that should run before others if possible: all of `before` before any of `after`.
#[derive(Debug, Default)]
pub(crate) struct Wish {
    /// The nodes that must run before.
    pub(crate) before: Vec<usize>,
    /// The nodes that must run after.
    pub(crate) after: Vec<usize>,
}

/// The reads and updates of one variable.
#[derive(Default)]
struct Uses {
    /// The nodes that read the variable.
    readers: Vec<usize>,
    /// The nodes that update it.
    writers: Vec<usize>,
}

/// Returns the wishes that reads precede updates. The nodes in `before` of one wish belong to the same frame.
///
/// A reader that waits for no update of anything can always come before all updates of its variable. One that waits for some
/// update may wait for the very one: that is looked for as long as it stays cheap, and not wished for beyond that.
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
        let mut early: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        let mut late = Vec::new();
        for &reader in &readers {
            // Who uses what was read should be through as well.
            for node in std::iter::once(reader).chain(consumers[reader].iter().copied()) {
                if own.contains(&node) {
                    continue;
                }
                if behind[node] { late.push(node) } else { early.entry(home(node)).or_default().push(node) }
            }
        }
        wishes.extend(early.into_values().map(|before| Wish { before, after: writers.clone() }));
        let Some(&last) = late.iter().max() else { continue };
        for writer in writers {
            let Some(after) = search.reached(writer, last) else { break };
            let before = late.iter().filter(|node| !after.contains(node));
            wishes.extend(before.map(|&node| Wish { before: vec![node], after: vec![writer] }));
            search.left = search.left.saturating_sub(late.len());
        }
    }
    wishes
}

/// The number of search steps for each node and edge of a plan. It bounds the cost of compiling graphs in which everything depends on
/// updates; beyond it, reads are ordered by the graph alone.
const SEARCHED: usize = 64;

/// Returns the variables that constant handles name, each with its readers and its updates.
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

/// Returns the variable that a value refers to: a constant handle, or a reference that was forwarded.
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

/// Returns true if a node forwards its first input, which may be a reference, unchanged. A node that forwards the handle of a resource counts
/// as an update, because whatever uses the handle further on may update the resource.
fn passes_reference(ir: &Ir, node: usize) -> bool {
    let operation = ir.nodes[node].operation();
    let is_resource = operation.output_infos().first().is_none_or(|info| info.dtype == DType::Resource);
    !is_resource
        && !ir.nodes[node].reads
        && facts(operation).is_some_and(|op| match op.role {
            Role::PassOn => true,
            Role::Control(control) => !matches!(control, Control::Merge | Control::NextIteration),
            _ => false,
        })
}

/// Returns for each node those that wait for it; repeated if a node uses several of its outputs.
fn consumers(ir: &Ir) -> Vec<Vec<usize>> {
    let mut consumers = vec![Vec::new(); ir.nodes.len()];
    for (index, _) in ir.live() {
        ir.befores(index).for_each(|before| consumers[before].push(index));
    }
    consumers
}

/// Returns for each node whether it depends on an update, directly or indirectly.
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

/// A search for the nodes that depend on others, with a limit on the number of visited nodes.
struct Search<'a> {
    /// The nodes that depend on each node.
    consumers: &'a [Vec<usize>],
    /// The remaining number of nodes to visit, which bounds the cost of the search.
    left: usize,
}

impl Search<'_> {
    /// Returns the nodes, up to the last one given, that depend on a node. Returns `None` when the limit is reached.
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

/// The mandatory and the preferred order of the items of a block.
#[derive(Default)]
pub(crate) struct Edges {
    /// Orders that must hold: data, control inputs, and updates after reads that belong to the step before.
    pub(crate) hard: Vec<(usize, usize)>,
    /// Orders that are preferred, because an update then owns its value. They give way to hard ones.
    pub(crate) soft: Vec<(usize, usize)>,
    /// Items that are wishes: they run as soon as all before them have.
    pub(crate) wishes: Vec<usize>,
}

/// Returns an order of these items, which are given in the order of the graph, that respects all hard edges and as many soft ones as
/// possible.
pub(crate) fn order(items: &[usize], edges: &Edges) -> Result<Vec<usize>> {
    let all: Vec<usize> = items.iter().chain(&edges.wishes).copied().collect();
    let places: FxHashMap<usize, usize> =
        all.iter().enumerate().map(|(place, &item)| (item, place)).collect();
    let pair = |&(before, after): &(usize, usize)| Some((*places.get(&before)?, *places.get(&after)?));
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

/// The edges that a node still waits for.
#[derive(Default)]
struct Waits {
    /// The numbers of nodes that must run before, and of those that should.
    hard: usize,
    /// The number of unmet preferences.
    soft: usize,
    /// The nodes that must wait for this one.
    hard_after: Vec<usize>,
    /// The nodes that prefer to wait for this one.
    soft_after: Vec<usize>,
    /// True once the node has its place.
    done: bool,
}

/// Items that wait for nothing, or for wishes alone.
#[derive(Default)]
struct Ready {
    /// The places from this on are wishes.
    count: usize,
    /// The order so far.
    met: Vec<usize>,
    /// The nodes without unmet edges, in graph order.
    free: BinaryHeap<Reverse<usize>>,
    /// The nodes with unmet preferences only. One of them is chosen if nothing is free.
    wishing: BinaryHeap<Reverse<usize>>,
}

impl Ready {
    /// Adds an item to the candidates if nothing mandatory holds it.
    fn look_at(&mut self, place: usize, nodes: &[Waits]) {
        let node = &nodes[place];
        if node.done || node.hard > 0 {
            return;
        }
        match (node.soft, place < self.count) {
            (0, true) => self.free.push(Reverse(place)),
            (0, false) => self.met.push(place),
            (_, true) => self.wishing.push(Reverse(place)),
            (_, false) => {}
        }
    }

    /// Returns the next item: a wish that is fulfilled; otherwise the first item, in the order of the graph, whose wishes are fulfilled; otherwise
    /// the first item that only wishes hold, since wishes may contradict each other.
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
