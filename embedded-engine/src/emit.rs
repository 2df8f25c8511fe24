//! The last pass of the compiler: from the intermediate form to a plan.
//!
//! It orders the nodes of each frame, assigns a numbered slot to each value, and marks the last use of each
//! slot. A kernel may take the value of a last use out of the frame and, if nothing else shares its elements,
//! write its result in place; otherwise the slot is emptied after the step.
//!
//! Loops need three exceptions. Values that enter a loop are kept until the last iteration. Loop-carried
//! values are emptied by the merge at the head of the loop. Values of an outer frame are inputs of the loop
//! as a whole, so that they outlive all iterations.
//!
//! # Slots
//!
//! A slot holds one value of a frame. Constants have slots of their own, which a frame fills once. For every
//! input of a step the emitter records whether it is the last use: then the kernel owns the value, may write
//! in place, and the slot is empty afterwards. Fetched values and loop-carried values are never a last use.
//!
//! # Control flow
//!
//! # What is held back while something waits
//!
//! A block that waits knows for each step the steps that must run after it: those that read its values, those
//! that the graph orders behind it, and, by the wishes of `schedule`, updates of a variable behind its reads.
//!
//! ```text
//! v = read w;  y = v * dequeue q;  u = w += 1;  enqueue q (after u)
//!
//! y waits for the dequeue, and the wish puts u behind y. If it counted, u and the enqueue would wait for y,
//! and y for the enqueue. So wishes do not count for steps behind which a wait may end (`OpType::wakes`).
//! ```
//!
//! A graph without `Flow` nodes has no guards and no flags, and a graph without waits no dependents; both are
//! decided once for the whole graph. Nodes that only order others become no steps then: their order is
//! already in the sequence of the steps.
//!
//! # What the last use depends on
//!
//! The last use is that in the order of the block. If steps run in another order because one waits,
//! `suspend.rs` keeps the inputs of the deferred steps, so the marks stay valid.

use crate::flow::Flow;
use crate::frames::{Frames, ROOT};
use crate::ir::{Callees, Ir, IrNode, Numbers, Value, producer};
use crate::kernel::Body;
use crate::kernel::{Input, UNUSED};
use crate::kernels::facts;
use crate::plan::{self, Action, Block, Call, Dependent, Guard, Holder, Loop, Plan, Step};
use crate::registry::{OpType, Role, has_effect};
use crate::schedule::{self, Edges};
use rustc_hash::{FxHashMap, FxHashSet};
use session_core::{Error, Result};
use smallvec::SmallVec;
use std::sync::Arc;
use tensor::Tensor;

/// The plans of functions, by their names.
///
/// Functions come into it after those that they call.
pub(crate) type Bodies = FxHashMap<String, Arc<Plan>>;

/// Builds the plan. `bodies` holds the plans of all functions that the nodes call.
///
/// Removed nodes are not referred to, and the kernels of the others move into the plan. A node whose kernel
/// is missing becomes a step that does nothing; the caller then fails the compilation.
///
/// # Errors
/// Structures of loops that this engine does not run (`frames.rs`), a fetch from inside a loop, and cycles.
pub(crate) fn emit(mut ir: Ir, bodies: &Bodies) -> Result<Plan> {
    let frames = Frames::of(&ir)?;
    let (has_flow, waits) = (ir.has_flow(), ir.live().any(|(index, _)| waits(&ir, index, bodies)));
    let called = ir.live().flat_map(|(_, node)| &node.callees).flat_map(|callees| &callees.functions);
    let depth = called.filter_map(|name| bodies.get(name)).map(|body| body.depth).max().unwrap_or(0);
    let pure = ir.live().all(|(_, node)| is_pure(node, bodies));
    let ends = ir.live().any(|(_, node)| may_end(node, bodies));
    let blocks = ir.live().any(|(_, node)| may_block(node, bodies));
    let (needed, slots) = (ir.uses(), Slots::new(&ir));
    let (fed, known) = (std::mem::take(&mut ir.fed), std::mem::take(&mut ir.known));
    let mut emitter = Emitter {
        edges: frames.edges(&ir)?,
        flags: if has_flow { flags(&ir) } else { FxHashMap::default() },
        needed,
        slots,
        bodies,
        has_flow,
        waits,
        frames,
        ir,
    };
    // Before the block: the slots of fetches must be known as kept when last uses are marked.
    let fetches = emitter.fetches()?;
    let (block, _) = emitter.block(ROOT)?;
    let Emitter { slots, ir, flags, .. } = emitter;
    Ok(Plan {
        block,
        constants: slots.constants(ir.constants),
        feeds: (0..fed.len()).map(|i| slots.known(Value::Feed(i as u32))).collect(),
        fed,
        fetches: last_fetches(&fetches, &slots),
        late: ir.late,
        known,
        folded: ir.folded,
        slots: slots.count(),
        flags: flags.len(),
        depth: depth + 1,
        pure,
        ends,
        blocks,
        frames: plan::Frames::default(),
    })
}

/// Returns true if a node may have to wait for another thread, by itself or in a function that it runs. A
/// function that its kernel keeps runs at another time or waits inside the kernel.
fn waits(ir: &Ir, index: usize, bodies: &Bodies) -> bool {
    let node = &ir.nodes[index];
    let called = node.callees.iter().filter(|callees| callees.call.is_some());
    let called = called.flat_map(|callees| &callees.functions);
    node.waits || called.filter_map(|name| bodies.get(name)).any(|body| body.block.waits())
}

/// Returns true if a node, with the functions that it calls, computes its outputs from its inputs and does
/// nothing else.
///
/// Reading a variable is enough to make it impure, because the result depends on when it runs. An op that is
/// stateful by definition and only describes what others do later counts as pure.
fn is_pure(node: &IrNode, bodies: &Bodies) -> bool {
    let mut called = node.callees.iter().flat_map(|callees| &callees.functions);
    // Nodes that the compiler made record no effect of their own, so their operations are asked as well.
    let has_effect = node.has_effect || node.operations.iter().any(has_effect);
    let acts =
        node.reads || node.waits || has_effect && !ops(node).all(|op| op.is_some_and(|op| op.describes));
    !acts && called.all(|name| bodies.get(name).is_some_and(|body| body.pure))
}

/// Returns true if a node, with the functions that it calls, may block until another thread does something.
fn may_block(node: &IrNode, bodies: &Bodies) -> bool {
    let mut called = node.callees.iter().flat_map(|callees| &callees.functions);
    node.waits
        || ops(node).any(|op| op.is_some_and(|op| op.calls_program))
        || called.any(|name| bodies.get(name).is_some_and(|body| body.blocks))
}

/// Returns the facts of the operations of a node; `None` for op types that the engine does not know.
fn ops(node: &IrNode) -> impl Iterator<Item = Option<&'static OpType>> {
    std::iter::once(node.op).chain(node.operations.iter().skip(1).map(facts))
}

/// Returns true if a node, or a function that it calls, may fail with `OutOfRange` although it is stateless.
fn may_end(node: &IrNode, bodies: &Bodies) -> bool {
    let mut called = node.callees.iter().flat_map(|callees| &callees.functions);
    ops(node).any(|op| op.is_some_and(|op| op.ends))
        || called.any(|name| bodies.get(name).is_some_and(|body| body.ends))
}

/// Returns a flag for each node that others wait for without needing a value. The flags are numbered in the
/// order in which they are first needed.
fn flags(ir: &Ir) -> FxHashMap<usize, u32> {
    let mut flags = FxHashMap::default();
    for before in ir.live().flat_map(|(_, node)| node.control.iter().copied()) {
        let next = flags.len() as u32;
        flags.entry(before).or_insert(next);
    }
    flags
}

/// The state of the last stage, in which a graph of nodes becomes blocks of steps.
struct Emitter<'b> {
    /// The intermediate form. Nodes lose their content when their step is made.
    ir: Ir,
    /// The plans of the functions that the nodes call or hold.
    bodies: &'b Bodies,
    /// The loops of TensorFlow 1 in it.
    frames: Frames,
    /// The mandatory and preferred order within each frame. An entry leaves the map when its block is made.
    edges: FxHashMap<usize, Edges>,
    /// The flags of the nodes on whose execution others depend. Empty in graphs without control flow.
    flags: FxHashMap<usize, u32>,
    /// The slots assigned so far.
    slots: Slots,
    /// The number of uses of each value, fetches included. Values that nothing uses get no slot.
    needed: Numbers,
    /// True if there are operations that may not run.
    has_flow: bool,
    /// True if there are operations that may wait.
    waits: bool,
}

impl Emitter<'_> {
    /// Returns the slots of the fetches, which stay filled until the end of the run.
    ///
    /// # Errors
    /// `Value` for a value inside a loop, which has no single value in a run.
    fn fetches(&mut self) -> Result<Vec<u32>> {
        let values = self.ir.fetches.clone();
        let inside = |value: Value| producer(value).is_some_and(|node| self.frames.visible(node) != ROOT);
        if let Some(&value) = values.iter().find(|&&value| inside(value)) {
            let node = producer(value).unwrap_or_default();
            let name = self.ir.nodes[node].operation().name();
            let frame = self.frames.name(self.frames.visible(node));
            let text = format!("'{name}' is inside of the loop of frame '{frame}' and cannot be fetched");
            return Err(Error::value(text));
        }
        // Assigned even if nothing in the plan computes the value, as for a feed that is fetched.
        let slots: Vec<u32> = values.into_iter().map(|value| self.slot(value)).collect();
        slots.iter().for_each(|&slot| self.slots.keep(slot));
        Ok(slots)
    }

    /// Returns the slot of a value, and notes the frame that it belongs to. The first call for a value
    /// assigns the slot.
    fn slot(&mut self, value: Value) -> u32 {
        let owner = match value {
            Value::Node(node, _) => Some(self.frames.visible(node)),
            Value::Feed(_) => Some(ROOT),
            Value::Constant(_) => None,
        };
        self.slots.of(value, owner)
    }

    /// Returns the slot of an output, or [`UNUSED`] if nothing reads it.
    fn output(&mut self, node: usize, output: usize) -> u32 {
        let value = Value::Node(node, output as u32);
        if self.needed[value] > 0 { self.slot(value) } else { UNUSED }
    }

    /// Returns the steps of a frame, and the slots of the frames around it that they need. Inner loops become
    /// steps that contain their own block.
    ///
    /// The slots from outside become inputs of the loop's step, so that in the block around it the loop
    /// counts as a user of them, and they live until it has ended.
    ///
    /// # Errors
    /// `Unimplemented` if the nodes of the frame wait for each other.
    fn block(&mut self, frame: usize) -> Result<(Block, Vec<u32>)> {
        let items = self.frames.items(frame);
        let edges = self.edges.remove(&frame).unwrap_or_default();
        let order = schedule::order(&items, &edges)?;
        let mut steps = Vec::with_capacity(order.len());
        // The items of the steps.
        let mut items = Vec::with_capacity(order.len());
        for item in order {
            let (nodes, first_wish) = (self.ir.nodes.len(), self.frames.first_wish());
            // The three ranges of items; see `frames.rs`.
            let step = if item < nodes {
                self.step(item)
            } else if item < first_wish {
                self.inner(item - nodes)?
            } else {
                Step::order(None)
            };
            // A node that only orders others is no longer needed, unless something may wait or not run.
            if step.guard.is_none() && !self.waits && matches!(step.action, Action::Order) {
                continue;
            }
            items.push(item);
            steps.push(step);
        }
        let mut outer = Vec::new();
        let mut seen = FxHashSet::default();
        for input in steps.iter().flat_map(|step| &step.inputs) {
            let owner = self.slots.owner(input.slot);
            if owner.is_some_and(|owner| owner != frame) && seen.insert(input.slot) {
                outer.push(input.slot);
            }
        }
        mark_last_uses(&mut steps, &mut self.slots, frame);
        // An `Enter` is the first user in the loop of a value from outside. Where the loop is its last user
        // in the block, the `Enter` may take it.
        for step in &mut steps {
            let Action::Loop(body) = &mut step.action else { continue };
            for (enter, input) in body.enters.iter_mut().zip(&step.inputs) {
                enter.inputs[0].last = input.last;
            }
        }
        let waits = steps.iter().any(|step| step.waits);
        let wakes =
            |item: usize| self.ir.nodes.get(item).is_some_and(|node| node.op.is_some_and(|op| op.wakes));
        let dependents = waits.then(|| dependents(&steps, &items, &edges, wakes));
        Ok((Block { steps, dependents }, outer))
    }

    /// Returns the step of one node, without marks of last uses: those need the whole block.
    fn step(&mut self, index: usize) -> Step {
        let waits = waits(&self.ir, index, self.bodies);
        let guard = self.guard(index);
        let node = &mut self.ir.nodes[index];
        let action = match (node.kernel.take(), node.callees.take()) {
            (Some(kernel), None) => Action::Kernel(kernel),
            (Some(kernel), Some(callees)) => {
                let bodies = callees.functions.iter().filter_map(|name| self.bodies.get(name).cloned());
                let functions = bodies.map(|body| body as Arc<dyn Body>).collect();
                Action::Holder(Box::new(Holder { kernel, functions }))
            }
            (None, Some(Callees { call: Some(kind), functions })) => {
                let bodies = functions.iter().filter_map(|name| self.bodies.get(name).cloned());
                Action::Call(Box::new(Call { kind, bodies: bodies.collect() }))
            }
            // A node without kernel and functions only orders others; its inputs, if it has some, are those
            // of a kernel that is missing.
            (None, _) => return Step::order(guard),
        };
        let operations = std::mem::take(&mut node.operations);
        let inputs = std::mem::take(&mut node.inputs);
        let outputs = node.outputs;
        Step {
            action,
            inputs: inputs.into_iter().map(|value| Input { slot: self.slot(value), last: false }).collect(),
            outputs: (0..outputs).map(|output| self.output(index, output)).collect(),
            release: SmallVec::new(),
            operations,
            guard,
            waits,
        }
    }

    /// Returns the condition under which a step runs; `None` for a step that always runs.
    ///
    /// A plain step heeds its control nodes: it is dead if one of them did not run. A `Merge` and a
    /// `ControlTrigger` only come after theirs.
    fn guard(&self, index: usize) -> Option<Box<Guard>> {
        if !self.has_flow {
            return None;
        }
        let node = &self.ir.nodes[index];
        // A trigger and a merge wait until those before them are through, whether they ran or not.
        let is_merge = node.flow == Some(Flow::Merge);
        let heeds = !is_merge && node.op.is_none_or(|op| op.role != Role::Trigger);
        let controls = node.control.iter().filter(|_| heeds);
        Some(Box::new(Guard {
            controls: controls.filter_map(|before| self.flags.get(before).copied()).collect(),
            flag: self.flags.get(&index).copied(),
            any: is_merge,
            keeps: self.frames.is_exit[index],
        }))
    }

    /// Returns the step of a whole loop, made from the nodes of its frame: `Enter` nodes and the merges at
    /// the head first, then the body.
    fn inner(&mut self, frame: usize) -> Result<Step> {
        let nodes = self.frames.members[frame].clone();
        let (mut enters, mut heads) = (Vec::new(), Vec::new());
        let (mut entered, mut first_only, mut nexts) = (Vec::new(), Vec::new(), Vec::new());
        let (mut outputs, mut exits) = (SmallVec::new(), Vec::new());
        for &node in &nodes {
            match self.ir.nodes[node].flow {
                Some(Flow::Enter { is_constant, .. }) => {
                    let slot = self.slot(Value::Node(node, 0));
                    self.slots.keep(slot);
                    entered.push(slot);
                    first_only.extend((!is_constant).then_some(slot));
                    enters.push(self.step(node));
                }
                Some(Flow::NextIteration) => nexts.push(self.output(node, 0)),
                Some(Flow::Exit) => {
                    outputs.push(self.output(node, 0));
                    exits.extend(self.flags.get(&node));
                }
                Some(Flow::Merge) if self.frames.is_head[node] => heads.push(self.head(node)),
                _ => {}
            }
        }
        // A loop may carry a value that nothing reads any more after folding or fusion.
        nexts.retain(|&slot| slot != UNUSED);
        outputs.retain(|slot| *slot != UNUSED);
        // The end of an iteration looks at these slots, so only the heads may empty them.
        nexts.iter().for_each(|&slot| self.slots.keep(slot));
        // Only now: the body must see the slots above as kept.
        let (body, outer) = self.block(frame)?;
        let mut inputs: SmallVec<[Input; 2]> = enters.iter().map(|enter| enter.inputs[0]).collect();
        inputs.extend(outer.into_iter().map(|slot| Input { slot, last: false }));
        let waits = body.waits();
        let body = Loop { enters, heads, body, nexts, first_only, entered, exits };
        let action = Action::Loop(Box::new(body));
        let (release, operations) = (SmallVec::new(), SmallVec::new());
        Ok(Step { action, inputs, outputs, release, operations, guard: None, waits })
    }

    /// Returns the step at the head of a loop: a `Merge` of the initial and the loop-carried value.
    ///
    /// It takes its inputs out of their slots if it is their only user, so that the slot of a loop-carried
    /// value is empty when the iteration begins and shows at its end whether there is another one.
    fn head(&mut self, index: usize) -> Step {
        let values = self.ir.nodes[index].inputs.clone();
        let mut step = self.step(index);
        for (input, value) in step.inputs.iter_mut().zip(values) {
            input.last = self.needed[value] == 1;
        }
        step
    }
}

/// Returns, for each step, the steps that must run after it if steps run out of order.
///
/// `items` has the item of each step, `wakes` whether that of an operation may end the wait of another. The edges are those of the schedule, and one for each value. A preference
/// that the order could not satisfy leads backwards and does not count. Nor does one that holds back a step by
/// which a wait may end: what is to come first may be what waits, and would wait for ever.
fn dependents(
    steps: &[Step],
    items: &[usize],
    edges: &Edges,
    wakes: impl Fn(usize) -> bool,
) -> Vec<Vec<Dependent>> {
    let places: FxHashMap<usize, u32> = items.iter().copied().zip(0..).collect();
    let forward = |(before, after): &(usize, usize)| {
        let (before, after) = (*places.get(before)?, *places.get(after)?);
        (before < after).then_some((before as usize, after))
    };
    let mut dependents: Vec<Vec<Dependent>> = vec![Vec::new(); steps.len()];
    for (before, step) in edges.hard.iter().filter_map(forward) {
        dependents[before].push(Dependent { step, slot: UNUSED });
    }
    // Values are edges of their own, since `suspend.rs` must know in which slot the value arrives.
    let mut producers: FxHashMap<u32, u32> = FxHashMap::default();
    for (place, step) in steps.iter().enumerate() {
        for slot in step.outputs.iter().filter(|&&slot| slot != UNUSED) {
            producers.insert(*slot, place as u32);
        }
    }
    for (place, step) in steps.iter().enumerate() {
        for input in &step.inputs {
            if let Some(&producer) =
                producers.get(&input.slot).filter(|&&producer| (producer as usize) < place)
            {
                dependents[producer as usize].push(Dependent { step: place as u32, slot: input.slot });
            }
        }
    }
    // Whether a step, or one that must run after it, may end a wait: what waits itself may end that of another.
    let mut leads = vec![false; steps.len()];
    for (place, step) in steps.iter().enumerate().rev() {
        leads[place] = step.waits
            || wakes(items[place])
            || dependents[place].iter().any(|after| leads[after.step as usize]);
    }
    for (before, step) in edges.soft.iter().filter_map(forward) {
        if !leads[step as usize] {
            dependents[before].push(Dependent { step, slot: UNUSED });
        }
    }
    dependents
}

/// Returns the slots of the fetches. Of several fetches of one slot, the last one moves the value out of the
/// frame and the others share it. A constant is never moved out.
fn last_fetches(fetches: &[u32], slots: &Slots) -> Vec<Input> {
    let mut seen = vec![false; slots.count()];
    let mut last =
        |slot: u32| !std::mem::replace(&mut seen[slot as usize], true) && slots.owner(slot).is_some();
    let mut inputs: Vec<Input> = fetches.iter().rev().map(|&slot| Input { slot, last: last(slot) }).collect();
    inputs.reverse();
    inputs
}

/// Marks the last use of each slot. A value that a step has as an input twice is not marked, because the
/// kernel needs both.
///
/// The steps are those of a frame. Slots that must stay filled are not marked either: constants, fetches, and
/// values of other frames. Where a value is an input twice, the step only releases it.
fn mark_last_uses(steps: &mut [Step], slots: &mut Slots, frame: usize) {
    // By slot, how often a step has it as an input, where that is its last use.
    let mut uses: FxHashMap<u32, usize> = FxHashMap::default();
    // Backwards, the first use that is seen is the last one.
    for step in steps.iter_mut().rev() {
        uses.clear();
        for input in &step.inputs {
            if let Some(count) = uses.get_mut(&input.slot) {
                *count += 1;
            } else if slots.ends(input.slot, frame) {
                uses.insert(input.slot, 1);
                step.release.push(input.slot);
            }
        }
        for input in &mut step.inputs {
            input.last = uses.get(&input.slot) == Some(&1);
        }
    }
}

/// The slots of a plan. They are numbered in the order in which values are first used.
struct Slots {
    /// The slot of each value, or [`UNUSED`].
    by_value: Numbers,
    /// The slots, by their numbers.
    slots: Vec<Slot>,
}

/// One slot: the frame that its value belongs to, and how long it stays.
struct Slot {
    /// The frame that the slot belongs to; `None` for a constant.
    owner: Option<usize>,
    /// True if last uses do not apply to it: it is that of a fetch, of a value that enters a loop, or of a
    /// loop-carried value.
    is_kept: bool,
    /// True once the last use of its value is found.
    has_ended: bool,
}

impl Slots {
    /// Returns no slots, for the values of a graph.
    fn new(ir: &Ir) -> Slots {
        Slots { by_value: Numbers::new(ir, UNUSED), slots: Vec::new() }
    }

    /// Returns the slot of a value, which is assigned at its first use and belongs to a frame.
    fn of(&mut self, value: Value, owner: Option<usize>) -> u32 {
        let slot = &mut self.by_value[value];
        if *slot == UNUSED {
            *slot = self.slots.len() as u32;
            self.slots.push(Slot { owner, is_kept: false, has_ended: false });
        }
        *slot
    }

    /// Returns the slot of a value, or `None` if nothing uses the value.
    fn known(&self, value: Value) -> Option<u32> {
        Some(self.by_value[value]).filter(|&slot| slot != UNUSED)
    }

    /// Keeps the value of a slot beyond its last use.
    fn keep(&mut self, slot: u32) {
        self.slots[slot as usize].is_kept = true;
    }

    /// Returns true if a use in a frame is the last one of a slot, where later uses have been asked about before.
    fn ends(&mut self, slot: u32, frame: usize) -> bool {
        let slot = &mut self.slots[slot as usize];
        slot.owner == Some(frame) && !slot.is_kept && !std::mem::replace(&mut slot.has_ended, true)
    }

    /// Returns the frame of a slot; `None` for that of a constant.
    fn owner(&self, slot: u32) -> Option<usize> {
        self.slots[slot as usize].owner
    }

    /// Returns the number of slots.
    fn count(&self) -> usize {
        self.slots.len()
    }

    /// Returns the constants that are used, with their slots.
    fn constants(&self, constants: Vec<Tensor>) -> Vec<(u32, Tensor)> {
        let slots = (0..).map(|index| self.known(Value::Constant(index)));
        constants.into_iter().zip(slots).filter_map(|(value, slot)| Some((slot?, value))).collect()
    }
}
