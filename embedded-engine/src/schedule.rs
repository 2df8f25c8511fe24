//! The order in which a plan's operations run.
//!
//! What must come first comes first; beyond that, operations run in the order in which the graph was built, which keeps
//! values alive for short and repeats itself. Where the graph does not order reading a variable and updating it, the
//! reads come first: they see the value from before the step (the original leaves that to chance), and the update finds
//! nobody sharing the value and writes in place.

use crate::compile::{Ir, Value, producer};
use crate::flow::{hands_on, joins};
use rustc_hash::{FxHashMap, FxHashSet};
use session_core::{Code, Error, Result};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use tensor::DType;

/// The nodes of the plan in a good order.
pub(crate) fn schedule(ir: &Ir) -> Result<Vec<usize>> {
    let consumers = consumers(ir);
    let soft = reads_before_updates(ir, &consumers);
    order(ir.nodes.len(), |index| !ir.nodes[index].removed, &consumers, &soft)
}

/// Pairs of nodes `(before, after)` that should be kept where possible.
pub(crate) fn wishes(ir: &Ir) -> Vec<(usize, usize)> {
    reads_before_updates(ir, &consumers(ir))
}

/// These items, which come in the order of the graph, in a good order; the pairs name items.
pub(crate) fn order_items(
    items: &[usize],
    hard: &[(usize, usize)],
    soft: &[(usize, usize)],
) -> Result<Vec<usize>> {
    let places: FxHashMap<usize, usize> =
        items.iter().enumerate().map(|(place, &item)| (item, place)).collect();
    let pair = |&(before, after): &(usize, usize)| Some((*places.get(&before)?, *places.get(&after)?));
    let mut consumers = vec![Vec::new(); items.len()];
    hard.iter().filter_map(pair).for_each(|(before, after)| consumers[before].push(after));
    let soft: Vec<(usize, usize)> = soft.iter().filter_map(pair).collect();
    let order = order(items.len(), |_| true, &consumers, &soft)?;
    Ok(order.into_iter().map(|place| items[place]).collect())
}

/// For each node the nodes that wait for it, with repetitions where they wait for several of its outputs.
fn consumers(ir: &Ir) -> Vec<Vec<usize>> {
    let mut consumers = vec![Vec::new(); ir.nodes.len()];
    for (index, node) in ir.nodes.iter().enumerate().filter(|(_, node)| !node.removed) {
        let inputs = node.inputs.iter().filter_map(|&value| producer(value));
        // What comes round in a loop is for the next round.
        let inputs =
            inputs.filter(|&before| !(joins(node.operation()) && hands_on(ir.nodes[before].operation())));
        for before in inputs.chain(node.control.iter().copied()) {
            consumers[before].push(index);
        }
    }
    consumers
}

/// Pairs `(before, after)` that should be kept where possible.
fn reads_before_updates(ir: &Ir, consumers: &[Vec<usize>]) -> Vec<(usize, usize)> {
    let mut readers: FxHashMap<u32, Vec<usize>> = FxHashMap::default();
    let mut writers: Vec<(u32, usize)> = Vec::new();
    for (index, node) in ir.nodes.iter().enumerate().filter(|(_, node)| !node.removed) {
        for handle in node.inputs.iter().filter_map(|&value| variable(ir, value)) {
            if node.reads {
                readers.entry(handle).or_default().push(index);
            } else {
                writers.push((handle, index));
            }
        }
    }
    let mut pairs = Vec::new();
    for (handle, writer) in writers {
        let Some(readers) = readers.get(&handle) else { continue };
        let after = reachable(consumers, writer);
        for &reader in readers.iter().filter(|reader| !after.contains(reader)) {
            pairs.push((reader, writer));
            let users = consumers[reader].iter().filter(|&&user| user != writer && !after.contains(&user));
            pairs.extend(users.map(|&user| (user, writer)));
        }
    }
    pairs
}

/// Identifies the variable that a constant handle stands for.
fn variable(ir: &Ir, value: Value) -> Option<u32> {
    let Value::Constant(index) = value else { return None };
    let handle = &ir.constants[index as usize];
    if handle.dtype() != DType::Resource {
        return None;
    }
    // Handles are equal when they are the same; the first of the equal ones stands for all.
    Some(ir.constants.iter().position(|other| other.is_same(handle)).map_or(index, |first| first as u32))
}

/// The nodes that wait for this one, directly or not.
fn reachable(consumers: &[Vec<usize>], from: usize) -> FxHashSet<usize> {
    let mut seen = FxHashSet::default();
    let mut pending = vec![from];
    while let Some(index) = pending.pop() {
        if seen.insert(index) {
            pending.extend(&consumers[index]);
        }
    }
    seen
}

fn order(
    count: usize,
    is_live: impl Fn(usize) -> bool,
    consumers: &[Vec<usize>],
    soft: &[(usize, usize)],
) -> Result<Vec<usize>> {
    let mut hard_waits = vec![0usize; count];
    consumers.iter().flatten().for_each(|&after| hard_waits[after] += 1);
    let mut soft_waits = vec![0usize; count];
    let mut soft_after: Vec<Vec<usize>> = vec![Vec::new(); count];
    for &(before, after) in soft {
        soft_waits[after] += 1;
        soft_after[before].push(after);
    }
    let live = || (0..count).filter(|&index| is_live(index));
    let mut ready = Ready::default();
    live().filter(|&index| hard_waits[index] == 0).for_each(|index| ready.push(index, &soft_waits));
    let mut order = Vec::with_capacity(count);
    let mut done = vec![false; count];
    while let Some(index) = ready.pop(&soft_waits, &done) {
        done[index] = true;
        order.push(index);
        for &after in &soft_after[index] {
            soft_waits[after] -= 1;
            if soft_waits[after] == 0 && hard_waits[after] == 0 && !done[after] {
                ready.push(after, &soft_waits);
            }
        }
        for &after in &consumers[index] {
            hard_waits[after] -= 1;
            if hard_waits[after] == 0 {
                ready.push(after, &soft_waits);
            }
        }
    }
    if order.len() < live().count() {
        return Err(Error::new(Code::Unimplemented, "the graph has a loop, which this engine cannot run"));
    }
    Ok(order)
}

/// Nodes that wait for nothing but wishes.
#[derive(Default)]
struct Ready {
    free: BinaryHeap<Reverse<usize>>,
    wishing: BinaryHeap<Reverse<usize>>,
}

impl Ready {
    fn push(&mut self, index: usize, soft_waits: &[usize]) {
        let heap = if soft_waits[index] == 0 { &mut self.free } else { &mut self.wishing };
        heap.push(Reverse(index));
    }

    /// The first node, in the order of the graph, whose wishes are met; the first of all when there is none, since
    /// wishes may contradict each other.
    fn pop(&mut self, soft_waits: &[usize], done: &[bool]) -> Option<usize> {
        while let Some(Reverse(index)) = self.free.pop() {
            if !done[index] {
                return Some(index);
            }
        }
        while let Some(Reverse(index)) = self.wishing.pop() {
            // One whose wishes were met meanwhile has been listed as free, and is done.
            debug_assert!(done[index] || soft_waits[index] > 0);
            if !done[index] {
                return Some(index);
            }
        }
        None
    }
}
