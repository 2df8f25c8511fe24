//! From the intermediate form of a step with conditionals and loops to a program.
//!
//! Every operation belongs to a frame: that of its inputs, or the one that its `Enter` opens. Operations of one frame are
//! put into an order, in which each frame inside counts as one operation; so frames become loops inside each other.

use crate::compile::{Ir, Slots, Value, last_fetches, mark_last_uses, producer};
use crate::flow::{Flow, hands_on, joins, moved};
use crate::kernel::{Input, UNUSED};
use crate::kernels::facts;
use crate::plan::{Plan, PlanStep};
use crate::program::{self, Action, Before, Loop, NO_FLAG, Program, Step};
use crate::registry::Role;
use crate::schedule;
use rustc_hash::{FxHashMap, FxHashSet};
use session_core::{Code, Error, Output, Result};

/// The frame outside of all loops.
const ROOT: usize = 0;

/// Whether a step needs a program.
pub(crate) fn has_flow(ir: &Ir) -> bool {
    ir.nodes.iter().any(|node| !node.removed && node.flow.is_some())
}

/// Makes the plan.
pub(crate) fn emit(ir: Ir, fed: Vec<Output>) -> Result<Plan> {
    let frames = Frames::of(&ir)?;
    let needed = ir.uses();
    let mut emitter = Emitter {
        edges: frames.edges(&ir)?,
        flags: flags(&ir),
        slots: Slots::default(),
        owners: FxHashMap::default(),
        kept: FxHashSet::default(),
        needed,
        frames,
        ir,
    };
    let fetches = emitter.fetches()?;
    let (steps, before, _) = emitter.block(ROOT)?;
    let program = Program { waits: program::may_wait(&steps), steps, before, flags: emitter.flags.len() };
    let Emitter { slots, ir, .. } = emitter;
    let constants = slots.constants(&ir.constants);
    let feeds = (0..fed.len()).map(|i| slots.known(Value::Feed(i as u32))).collect();
    let fetches = last_fetches(fetches, &slots.constant_slots());
    Ok(Plan::new(Vec::new(), constants, feeds, fed, fetches, slots.count()).with_program(program))
}

fn unsupported(text: &str) -> Error {
    Error::new(Code::Unimplemented, text)
}

/// Which frame each node belongs to.
struct Frames {
    /// By node: where it runs. An `Enter` runs in the frame that it opens.
    home: Vec<usize>,
    /// By frame: the one around it.
    parent: Vec<usize>,
    /// By frame: its first node, which stands for its place in the graph.
    first: Vec<usize>,
    /// By node: whether it begins rounds.
    is_head: Vec<bool>,
    is_enter: Vec<bool>,
    is_exit: Vec<bool>,
}

impl Frames {
    fn of(ir: &Ir) -> Result<Frames> {
        let count = ir.nodes.len();
        let flow = |wanted: fn(&Flow) -> bool| -> Vec<bool> {
            ir.nodes.iter().map(|node| node.flow.as_ref().is_some_and(wanted)).collect()
        };
        let is_head = |i: usize| {
            let node = &ir.nodes[i];
            joins(node.operation()) && node.inputs.iter().any(|&value| is_hand_on(ir, value))
        };
        let mut frames = Frames {
            home: vec![ROOT; count],
            parent: vec![ROOT],
            first: Vec::new(),
            is_head: (0..count).map(is_head).collect(),
            is_enter: flow(|flow| matches!(flow, Flow::Enter { .. })),
            is_exit: flow(|flow| matches!(flow, Flow::Exit)),
        };
        let mut by_name: FxHashMap<&str, usize> = FxHashMap::default();
        // A frame may turn out to lie deeper than its first `Enter` told, and so do those inside it.
        let mut rounds = 0;
        while frames.assign(ir, &mut by_name)? {
            rounds += 1;
            if rounds > by_name.len() + 1 {
                return Err(unsupported("the loops of the graph lie inside each other in a circle"));
            }
        }
        frames.first = vec![usize::MAX; frames.parent.len()];
        for (node, _) in live(ir) {
            let mut frame = frames.home[node];
            while frame != ROOT {
                frames.first[frame] = frames.first[frame].min(node);
                frame = frames.parent[frame];
            }
        }
        Ok(frames)
    }

    /// Assigns all nodes; tells whether a frame was found to lie elsewhere than before.
    fn assign<'i>(&mut self, ir: &'i Ir, by_name: &mut FxHashMap<&'i str, usize>) -> Result<bool> {
        let mut changed = false;
        for (index, node) in live(ir) {
            let mut around = ROOT;
            for before in befores(ir, index) {
                let visible = self.visible(before);
                if self.depth(visible)? > self.depth(around)? {
                    around = visible;
                }
            }
            self.home[index] = around;
            if let Some(Flow::Enter { frame, .. }) = &node.flow {
                let id = *by_name.entry(frame.as_str()).or_insert_with(|| {
                    self.parent.push(around);
                    self.parent.len() - 1
                });
                if self.depth(around)? > self.depth(self.parent[id])? {
                    self.parent[id] = around;
                    changed = true;
                }
                self.home[index] = id;
            }
        }
        Ok(changed)
    }

    fn depth(&self, mut frame: usize) -> Result<usize> {
        let mut depth = 0;
        while frame != ROOT {
            frame = self.parent[frame];
            depth += 1;
            if depth > self.parent.len() {
                return Err(unsupported("the loops of the graph lie inside each other in a circle"));
            }
        }
        Ok(depth)
    }

    /// The frame in which a node's outputs are seen.
    fn visible(&self, node: usize) -> usize {
        let home = self.home[node];
        if self.is_exit[node] { self.parent[home] } else { home }
    }

    /// What stands in a frame for a node: itself, or the loop that holds it, numbered behind all nodes.
    fn item(&self, node: usize, frame: usize) -> Result<usize> {
        let mut home = self.home[node];
        if home == frame && !self.is_enter[node] {
            return Ok(node);
        }
        while home != ROOT {
            if self.parent[home] == frame {
                return Ok(self.home.len() + home);
            }
            home = self.parent[home];
        }
        Err(unsupported("a value of a loop is used outside of it"))
    }

    /// What must run before what, by the frame that sees both.
    fn edges(&self, ir: &Ir) -> Result<FxHashMap<usize, Edges>> {
        let mut edges: FxHashMap<usize, Edges> = FxHashMap::default();
        for (index, node) in live(ir) {
            for before in befores(ir, index).filter(|&before| !self.is_enter[before] && !self.is_head[before])
            {
                let frame = self.visible(before);
                if self.is_head[index] && self.home[index] == frame {
                    return Err(node
                        .operation()
                        .place(unsupported("a loop that begins with a computed value")));
                }
                let from = if self.is_exit[before] { self.home.len() + self.home[before] } else { before };
                let to = self.item(index, frame).map_err(|error| node.operation().place(error))?;
                if from == to {
                    return Err(node.operation().place(unsupported("a loop waits for its own end")));
                }
                edges.entry(frame).or_default().hard.push((from, to));
            }
        }
        for (reader, writer) in schedule::wishes(ir) {
            // Only what lies in one frame can be put into an order.
            let frame = self.home[reader];
            let begins = |node: usize| self.is_enter[node] || self.is_head[node];
            if begins(reader) || self.home[writer] == frame && begins(writer) {
                continue;
            }
            if let Ok(to) = self.item(writer, frame) {
                edges.entry(frame).or_default().soft.push((reader, to));
            }
        }
        Ok(edges)
    }

    /// The items of a frame in the order of the graph, with a key that tells it.
    fn items(&self, ir: &Ir, frame: usize) -> Vec<usize> {
        let nodes = live(ir).map(|(index, _)| index);
        let nodes =
            nodes.filter(|&node| self.home[node] == frame && !self.is_enter[node] && !self.is_head[node]);
        let mut items: Vec<(usize, usize)> = nodes.map(|node| (node, node)).collect();
        let inner = (1..self.parent.len()).filter(|&inner| self.parent[inner] == frame);
        let inner = inner.filter(|&inner| self.first[inner] != usize::MAX);
        items.extend(inner.map(|inner| (self.first[inner], self.home.len() + inner)));
        items.sort_unstable();
        items.into_iter().map(|(_, item)| item).collect()
    }
}

/// What must, and what should, run before what.
#[derive(Default)]
struct Edges {
    hard: Vec<(usize, usize)>,
    soft: Vec<(usize, usize)>,
}

impl Edges {
    /// For each place in an order of items the places that must have run before it. A wish that the order could not meet
    /// is none.
    fn before(&self, order: &[usize]) -> Before {
        let places: FxHashMap<usize, u32> =
            order.iter().enumerate().map(|(place, &item)| (item, place as u32)).collect();
        let mut before = vec![Vec::new(); order.len()];
        for (from, to) in self.hard.iter().chain(&self.soft) {
            if let (Some(&from), Some(&to)) = (places.get(from), places.get(to))
                && from < to
            {
                before[to as usize].push(from);
            }
        }
        for list in &mut before {
            list.sort_unstable();
            list.dedup();
        }
        before
    }
}

fn live(ir: &Ir) -> impl Iterator<Item = (usize, &crate::compile::IrNode)> {
    ir.nodes.iter().enumerate().filter(|(_, node)| !node.removed)
}

fn is_hand_on(ir: &Ir, value: Value) -> bool {
    producer(value).is_some_and(|before| hands_on(ir.nodes[before].operation()))
}

/// The nodes that a node waits for in its own round.
fn befores(ir: &Ir, index: usize) -> impl Iterator<Item = usize> {
    let node = &ir.nodes[index];
    let inputs =
        node.inputs.iter().filter(move |&&value| !(joins(node.operation()) && is_hand_on(ir, value)));
    inputs.filter_map(|&value| producer(value)).chain(node.control.iter().copied())
}

/// A flag for each node that others wait for.
fn flags(ir: &Ir) -> FxHashMap<usize, u32> {
    let mut flags = FxHashMap::default();
    for before in live(ir).flat_map(|(_, node)| node.control.iter().copied()) {
        let next = flags.len() as u32;
        flags.entry(before).or_insert(next);
    }
    flags
}

struct Emitter {
    ir: Ir,
    frames: Frames,
    edges: FxHashMap<usize, Edges>,
    flags: FxHashMap<usize, u32>,
    slots: Slots,
    /// The frame that each slot belongs to; constants belong to none.
    owners: FxHashMap<u32, usize>,
    /// Slots that no step empties.
    kept: FxHashSet<u32>,
    needed: FxHashMap<Value, usize>,
}

impl Emitter {
    fn fetches(&mut self) -> Result<Vec<u32>> {
        let values = self.ir.fetches.clone();
        let inside = |value: Value| producer(value).is_some_and(|node| self.frames.visible(node) != ROOT);
        if let Some(&value) = values.iter().find(|&&value| inside(value)) {
            let node = &self.ir.nodes[producer(value).unwrap_or_default()];
            let text = format!("'{}' is inside of a loop and cannot be fetched", node.operation().name());
            return Err(Error::value(text));
        }
        let slots: Vec<u32> = values.into_iter().map(|value| self.slot(value)).collect();
        self.kept.extend(&slots);
        Ok(slots)
    }

    fn slot(&mut self, value: Value) -> u32 {
        let slot = self.slots.of(value);
        match value {
            Value::Node(node, _) => {
                self.owners.insert(slot, self.frames.visible(node));
            }
            Value::Feed(_) => {
                self.owners.insert(slot, ROOT);
            }
            Value::Constant(_) => {}
        }
        slot
    }

    /// The steps of a frame, what each must wait for, and the slots that it needs of those around it.
    fn block(&mut self, frame: usize) -> Result<(Vec<Step>, Before, Vec<u32>)> {
        let items = self.frames.items(&self.ir, frame);
        let edges = self.edges.remove(&frame).unwrap_or_default();
        let order = schedule::order_items(&items, &edges.hard, &edges.soft)?;
        let before = edges.before(&order);
        let mut steps = Vec::with_capacity(order.len());
        for item in order {
            let nodes = self.ir.nodes.len();
            steps.push(if item < nodes { self.step(item) } else { self.inner(item - nodes)? });
        }
        let mut outer = Vec::new();
        for input in steps.iter().filter_map(parts).flat_map(|(inputs, _)| inputs) {
            let owner = self.owners.get(&input.slot);
            if owner.is_some_and(|&owner| owner != frame) && !outer.contains(&input.slot) {
                outer.push(input.slot);
            }
        }
        let (owners, kept) = (&self.owners, &self.kept);
        let keep = |slot: u32| owners.get(&slot) != Some(&frame) || kept.contains(&slot);
        mark_last_uses(steps.iter_mut().filter_map(parts_mut).collect(), keep);
        for step in &mut steps {
            let Action::Loop(body) = &mut step.action else { continue };
            for (enter, input) in body.enters.iter_mut().zip(&body.inputs) {
                if let Action::Run(enter) = &mut enter.action {
                    enter.inputs[0].last = input.last;
                }
            }
        }
        Ok((steps, before, outer))
    }

    /// The step of one node.
    fn step(&mut self, index: usize) -> Step {
        let node = &mut self.ir.nodes[index];
        let (kernel, waits) = (node.kernel.take(), node.waits);
        let (any, keeps) = (joins(node.operation()), self.frames.is_exit[index]);
        let operations = std::mem::take(&mut node.operations);
        let (inputs, control, outputs) = (node.inputs.clone(), node.control.clone(), node.outputs);
        // The name of the type is still asked for.
        self.ir.nodes[index].operations.clone_from(&operations);
        // A trigger waits until those before it are through, whether they ran or not.
        let op = facts(self.ir.nodes[index].operation());
        let heeds = op.is_none_or(|op| op.role != Role::Trigger);
        let control = control.iter().filter(|_| heeds);
        let controls = control.filter_map(|before| self.flags.get(before).copied()).collect();
        let flag = self.flags.get(&index).copied().unwrap_or(NO_FLAG);
        let Some(kernel) = kernel else {
            return Step { action: Action::Nothing, controls, flag, any, keeps };
        };
        let inputs = inputs.into_iter().map(|value| Input { slot: self.slot(value), last: false }).collect();
        let output = |i: usize| Value::Node(index, i as u32);
        let outputs = (0..outputs)
            .map(|i| if self.needed.contains_key(&output(i)) { self.slot(output(i)) } else { UNUSED })
            .collect();
        let step = PlanStep { kernel, waits, inputs, outputs, release: Vec::new(), operations };
        Step { action: Action::Run(step), controls, flag, any, keeps }
    }

    /// The step that is a loop.
    fn inner(&mut self, frame: usize) -> Result<Step> {
        let nodes: Vec<usize> =
            live(&self.ir).map(|(node, _)| node).filter(|&node| self.frames.home[node] == frame).collect();
        let mut entered = Vec::new();
        let mut first_only = Vec::new();
        let mut enters = Vec::new();
        let mut heads = Vec::new();
        for &node in &nodes {
            if let Some(Flow::Enter { is_constant, .. }) = self.ir.nodes[node].flow {
                let slot = self.slot(Value::Node(node, 0));
                self.kept.insert(slot);
                entered.push(slot);
                first_only.extend((!is_constant).then_some(slot));
                enters.push(self.step(node));
            } else if self.frames.is_head[node] {
                heads.push(self.head(node));
            }
        }
        let slots = |emitter: &mut Emitter, wanted: fn(&Flow) -> bool| -> Vec<(usize, u32)> {
            let wanted = |node: &&usize| emitter.ir.nodes[**node].flow.as_ref().is_some_and(wanted);
            let found: Vec<usize> = nodes.iter().filter(wanted).copied().collect();
            let needed = |emitter: &Emitter, value: Value| emitter.needed.contains_key(&value);
            let slot = |node: usize| {
                let value = Value::Node(node, 0);
                (node, if needed(emitter, value) { emitter.slot(value) } else { UNUSED })
            };
            found.into_iter().map(slot).collect()
        };
        let nexts: Vec<u32> = slots(self, |flow| *flow == Flow::NextIteration)
            .into_iter()
            .map(|(_, slot)| slot)
            .filter(|&slot| slot != UNUSED)
            .collect();
        self.kept.extend(&nexts);
        let exits = slots(self, |flow| *flow == Flow::Exit);
        let exits =
            exits.into_iter().map(|(node, slot)| (slot, self.flags.get(&node).copied().unwrap_or(NO_FLAG)));
        let exits = exits.collect();
        let (body, before, outer) = self.block(frame)?;
        let mut inputs: Vec<Input> = enters.iter().filter_map(parts).map(|(inputs, _)| inputs[0]).collect();
        inputs.extend(outer.into_iter().map(|slot| Input { slot, last: false }));
        let body = Loop {
            inputs,
            release: Vec::new(),
            enters,
            heads,
            waits: program::may_wait(&body),
            body,
            before,
            nexts,
            first_only,
            entered,
            exits,
        };
        let action = Action::Loop(Box::new(body));
        Ok(Step { action, controls: Vec::new(), flag: NO_FLAG, any: false, keeps: false })
    }

    /// The step that begins rounds: it empties the slots of what it passes on.
    fn head(&mut self, index: usize) -> Step {
        let values = self.ir.nodes[index].inputs.clone();
        let mut step = self.step(index);
        if let Action::Run(planned) = &mut step.action {
            for (input, value) in planned.inputs.iter_mut().zip(values) {
                if self.needed.get(&value) == Some(&1) {
                    *input = moved(input.slot);
                }
            }
        }
        step
    }
}

fn parts(step: &Step) -> Option<(&Vec<Input>, &Vec<u32>)> {
    match &step.action {
        Action::Run(step) => Some((&step.inputs, &step.release)),
        Action::Loop(body) => Some((&body.inputs, &body.release)),
        Action::Nothing => None,
    }
}

fn parts_mut(step: &mut Step) -> Option<(&mut Vec<Input>, &mut Vec<u32>)> {
    match &mut step.action {
        Action::Run(step) => Some((&mut step.inputs, &mut step.release)),
        Action::Loop(body) => Some((&mut body.inputs, &mut body.release)),
        Action::Nothing => None,
    }
}
